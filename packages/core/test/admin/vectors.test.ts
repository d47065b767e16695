/** Every structure and every command on the wire, and that none is forgotten. */
import { describe, expect, it } from "vitest";
import * as admin from "../../src/admin/index.ts";
import { decode, encode, type StructLayout } from "../../src/layout/index.ts";
import { BUFFER_VECTORS, type Exchange } from "./command-vectors.ts";
import {
  EXPORTED_LAYOUTS,
  LAYOUT_VECTORS,
  NO_SUCH_BYTES,
  NO_SUCH_VALUES,
} from "./layout-vectors.ts";
import { hex, unhex } from "./rig.ts";

const { DIALECTS, LONGEST_PARTS_DATA, resourceObjectCommands } = admin;

const plain = (text: string) => text.replaceAll(" ", "");
const outOfRange = expect.objectContaining({ code: "VALUE_RANGE" });

const ROWS = LAYOUT_VECTORS.map(([what, layout, values, text, clauses = []]) => ({
  title: `${clauses.map((id) => `[${id}+] `).join("")}${layout.name}: ${what}`,
  layout,
  values,
  text,
}));

describe("structures on the wire", () => {
  it.each(ROWS)("$title is these bytes and back", ({ layout, values, text }) => {
    expect(hex(encode(layout, values as never))).toBe(plain(text));
    expect(decode(layout, unhex(text))).toMatchObject(values);
  });

  it.each(ROWS)("$title has no byte too few", ({ layout, text }) => {
    const bytes = unhex(text);
    for (let length = 0; length < layout.size; length++) {
      expect(() => decode(layout, bytes.subarray(0, length)), `${length} bytes`).toThrow(
        outOfRange,
      );
    }
  });

  it.each(ROWS)(
    "$title is read as zero where bytes are missing, if told to",
    ({ layout, text }) => {
      const bytes = unhex(text);
      for (let length = 0; length < layout.size; length++) {
        const padded = new Uint8Array(layout.size);
        padded.set(bytes.subarray(0, length));
        const decoded = decode(layout, bytes.subarray(0, length), 0, { zeroExtend: true });
        expect(decoded, `${length} bytes`).toEqual(decode(layout, padded));
      }
    },
  );

  it.each(NO_SUCH_BYTES)("%s is refused", (_, layout, text) => {
    expect(() => decode(layout, unhex(text))).toThrow(outOfRange);
  });

  it.each(NO_SUCH_BYTES)(
    "%s has a reading where missing bytes are zero",
    (_, layout, text, values) => {
      expect(decode(layout, unhex(text), 0, { zeroExtend: true })).toEqual(values);
    },
  );

  it.each(
    NO_SUCH_VALUES.map(([layout, values, what = "value that does not fit"]) => ({
      name: layout.name,
      layout,
      values,
      what,
    })),
  )("$name takes no $what: $values", ({ layout, values }) => {
    expect(() => encode(layout, values as never)).toThrow(outOfRange);
  });
});

describe("commands on the wire", () => {
  it.each(
    BUFFER_VECTORS.map((vector) => ({
      ...vector,
      name: `${vector.command.name} 0x${vector.command.opcode.toString(16)}`,
    })),
  )("$name $title", ({ owner, request, answer, room, next }) => {
    const rig = owner();
    const exchanges: readonly Exchange[] = [
      room === undefined ? [request, answer] : [request, answer, room],
      ...(next === undefined ? [] : [next]),
    ];
    for (const [readable, expected, space = 0x200] of exchanges) {
      const sent = rig.send({ readable: unhex(readable), writableLength: 8 + space });
      expect(sent && hex(sent.bytes.subarray(0, sent.used))).toBe(plain(expected));
    }
    expect(rig.faults).toEqual([]);
  });
});

type Command = admin.AdminCommand;

/** Every command that is declared, of both dialects and both readings of the text. */
const COMMANDS: readonly Command[] = [
  ...new Set([
    ...Object.values(admin as Readonly<Record<string, unknown>>).filter(
      (value): value is Command =>
        typeof value === "object" && value !== null && "opcode" in value && "usesMember" in value,
    ),
    ...(["table", "prose"] as const).flatMap((reading) =>
      Object.values(resourceObjectCommands(reading)),
    ),
    ...Object.values(DIALECTS).flatMap(({ listQuery, listUse, management }) => [
      listQuery,
      listUse,
      ...management,
    ]),
  ]),
];

/** Equal for declarations of one command of one dialect. */
const keyOf = ({ opcode, name, cite }: Command) => `${name} ${opcode} (${cite})`;

describe("the vectors", () => {
  const covers = (list: readonly (readonly [unknown, ...unknown[]])[], at: number) =>
    new Set(list.map((row) => row[at]));

  it("leave no structure out that is exported", () => {
    expect(EXPORTED_LAYOUTS.length).toBeGreaterThan(30);
    const known = new Set(LAYOUT_VECTORS.map(([, layout]) => layout));
    const missing = EXPORTED_LAYOUTS.filter((layout) => !known.has(layout as StructLayout));
    expect(missing.map(({ name }) => name)).toEqual([]);
  });

  it("have bytes for each structure that are refused, but where any bytes will do", () => {
    const refused = covers(NO_SUCH_BYTES, 1);
    const isCutOff = ({ size }: { readonly size: number }) => size > 0;
    const anyBytesDo = EXPORTED_LAYOUTS.filter(
      (layout) => !isCutOff(layout) && !refused.has(layout),
    );
    // Nothing but bytes: what they are, another layout says.
    for (const layout of anyBytesDo) {
      expect(Object.values(layout.fields).map(({ type, count }) => [type, count])).toEqual([
        ["u8", "rest"],
      ]);
      expect(decode(layout as StructLayout, unhex("00ff7f"))).toEqual({
        [Object.keys(layout.fields)[0] as string]: [0, 0xff, 0x7f],
      });
    }
    expect(anyBytesDo.map(({ name }) => name).toSorted()).toEqual([
      "virtio_admin_cmd_cap_get_result",
      "virtio_admin_cmd_dev_parts_get_result",
      "virtio_admin_cmd_legacy_common_cfg_rd_result",
      "virtio_admin_cmd_resource_obj_query_result",
    ]);
  });

  it("have a value for each structure that is refused", () => {
    const refused = covers(NO_SUCH_VALUES, 0);
    const missing = EXPORTED_LAYOUTS.filter((layout) => !refused.has(layout));
    expect(missing.map(({ name }) => name)).toEqual([]);
  });

  it("have a success and a refusal of every command of every dialect", () => {
    expect(COMMANDS.length).toBeGreaterThanOrEqual(7 + 18 + 5 + 2);
    const shown = (succeeds: boolean) =>
      new Set(
        BUFFER_VECTORS.filter((each) => each.succeeds === succeeds).map(({ command }) =>
          keyOf(command),
        ),
      );
    const missing = [true, false].map((succeeds) =>
      COMMANDS.map(keyOf).filter((key) => !shown(succeeds).has(key)),
    );
    expect(missing).toEqual([[], []]);
  });

  it("say of a request and of an answer what its command declares", () => {
    for (const { command, request, answer, succeeds } of BUFFER_VECTORS) {
      const isProposal = command.cite.includes("proposal-v5");
      const data = unhex(request).length - (isProposal ? 16 : 24);
      const result = unhex(answer).length - 8;
      expect(unhex(request)[0], command.name).toBe(command.opcode & 0xff);
      expect(unhex(request)[1], command.name).toBe(command.opcode >> 8);
      expect(data, command.name).toBeGreaterThanOrEqual(command.data.min);
      expect(data, command.name).toBeLessThanOrEqual(command.data.max);
      if (succeeds) expect(result, command.name).toBeGreaterThanOrEqual(command.result.min);
    }
  });
});

describe("the declarations of commands", () => {
  it.each(COMMANDS.map((command) => [keyOf(command), command] as const))(
    "%s has a layout for what is not empty, as long as its shortest form",
    (_, { data, result, layouts = {} }) => {
      for (const [range, layout] of [
        [data, layouts.data],
        [result, layouts.result],
      ] as const) {
        expect(layout === undefined).toBe(range.max === 0);
        if (layout === undefined) continue;
        expect(EXPORTED_LAYOUTS).toContain(layout);
        expect(range.min === range.max).toBe(layout.rest === undefined);
        // An answer to a list query has a word at least.
        if (layout.size > 0) expect(range.min).toBe(layout.size);
      }
    },
  );

  it("of the lists are 0 and 1, for any group, with up to 1024 words", () => {
    const rows = [admin.LIST_QUERY, admin.LIST_USE].map((command) => [
      command.opcode,
      command.name,
      command.groups,
      command.usesMember,
      command.data,
      command.result,
    ]);
    const none = { min: 0, max: 0 };
    expect(rows).toEqual([
      [0, "LIST_QUERY", "any", false, none, { min: 8, max: 8192 }],
      [1, "LIST_USE", "any", false, { min: 0, max: 8192 }, none],
    ]);
  });

  it("of the device parts commands say how much is served", () => {
    const rows = admin.DEVICE_PARTS_COMMANDS.map(({ data, result }) => [data.max, result.max]);
    expect(LONGEST_PARTS_DATA).toBe(0x40000);
    // A byte more than is served is taken: who sends it is told so.
    expect(rows).toEqual([
      [16, 0x1000000],
      [16 + 0x40000 + 1, 0x1000000],
      [8 + 0x40000 + 1, 0],
      [1, 0],
    ]);
  });
});
