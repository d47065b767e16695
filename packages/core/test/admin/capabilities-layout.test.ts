import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CapabilityFamily,
  DEV_PARTS_CAP,
  decodeCapabilityIds,
  defineCapability,
  deviceCapability,
  encodeCapabilityIds,
} from "../../src/admin/index.ts";
import { struct } from "../../src/layout/index.ts";
import { LIST_CAP, TEST_CAP } from "./object-rig.ts";
import { hex, unhex } from "./rig.ts";

type Values = Readonly<Record<string, unknown>>;
describe("payloads of the capability commands", () => {
  it("belong to commands 0x0007 to 0x0009, for the Self group alone", () => {
    expect(
      new CapabilityFamily([]).commands.map(
        ({ opcode, name, usesMember, data, result, groups }) => [
          opcode,
          name,
          usesMember,
          data.min,
          result.max,
          groups,
        ],
      ),
    ).toEqual([
      [0x0007, "CAP_ID_LIST_QUERY", false, 0, 512, [0]],
      [0x0008, "DEVICE_CAP_GET", false, 8, 4096, [0]],
      [0x0009, "DRIVER_CAP_SET", false, 8, 0, [0]],
    ]);
  });
});

describe("a list of capability ids", () => {
  it.each([
    [[0], "0100000000000000"],
    [[0, 1, 64], "0300000000000000 0100000000000000"],
    [[63], "0000000000000080"],
    [[64], "0000000000000000 0100000000000000"],
  ])("of %o is these bytes and back", (ids, text) => {
    expect(hex(encodeCapabilityIds(ids))).toBe(text.replaceAll(" ", ""));
    expect(decodeCapabilityIds(unhex(text))).toEqual(ids);
  });

  it.each([-1, 0.5, 0x1000, 0xffff])("has no place for the id %d", (id) => {
    expect(() => encodeCapabilityIds([0, id])).toThrow(
      expect.objectContaining({ code: "ADMIN_COMMAND", path: "ids[1]", value: id }),
    );
  });

  it("round trips whatever ids there are, in words up to the largest", () => {
    const ids = fc.uniqueArray(fc.integer({ min: 0, max: 0x0fff }), { minLength: 1 });
    fc.assert(
      fc.property(ids, (some) => {
        const bytes = encodeCapabilityIds(some);
        expect(bytes.length).toBe(8 * Math.ceil((Math.max(...some) + 1) / 64));
        expect(decodeCapabilityIds(bytes)).toEqual([...some].sort((a, b) => a - b));
      }),
    );
  });
});

describe("declaring a capability", () => {
  const layout = struct(
    "one",
    { cite: "test", doc: "One." },
    {
      a: { offset: 0, type: "u8", doc: "A." },
      b: { offset: 1, type: "u8", count: 3, doc: "B." },
    },
  );
  const declare = (more: Values) =>
    defineCapability({
      id: 1,
      name: "ONE",
      layout,
      rules: { a: "limit", b: "limit" },
      doc: "One.",
      cite: "test",
      ...more,
    } as never);

  it.each([
    ["id", { id: -1 }],
    ["id", { id: 0x1000 }],
    ["id", { id: 1.5 }],
    ["rules.b", { rules: { a: "limit" } }],
    ["rules.c", { rules: { a: "limit", b: "limit", c: "limit" } }],
    ["rules.toString", { rules: { a: "limit", b: "limit", toString: "limit" } }],
    ["rules.a", { rules: { a: "entries", b: "limit" } }],
  ])("with a wrong %s is refused: %o", (path, more) => {
    expect(() => declare(more)).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID", path: `ONE.${path}` }),
    );
  });

  it("takes ids up to 0x0fff", () => {
    expect([0, 0x07ff, 0x0800, 0x0fff].map((id) => declare({ id }).id)).toHaveLength(4);
    expect(DEV_PARTS_CAP.id).toBe(0);
  });

  it("refuses a device's value that does not fit the layout, or is too long", () => {
    expect(() => deviceCapability(TEST_CAP, { pools: 2 ** 32 })).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
    expect(() => deviceCapability(TEST_CAP, { other: 1 } as never)).toThrow(
      expect.objectContaining({ code: "LAYOUT_UNKNOWN_FIELD" }),
    );
    expect(() => deviceCapability(LIST_CAP, { list: new Array(1024).fill(0) })).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID", path: "LIST_CAP" }),
    );
    expect(deviceCapability(LIST_CAP, { list: new Array(1023).fill(0) }).bytes).toHaveLength(4096);
  });

  it("refuses what was declared otherwise and contradicts itself", () => {
    const make = (one: object) => () => new CapabilityFamily([one as never]);
    const refusal = (path: string) => expect.objectContaining({ code: "FAMILY_INVALID", path });
    const bytes = new Uint8Array(2);
    expect(make({ capability: { ...DEV_PARTS_CAP, id: 0x1000 }, bytes })).toThrow(
      refusal("DEV_PARTS_CAP.id"),
    );
    for (const length of [1, 3]) {
      expect(make({ capability: DEV_PARTS_CAP, bytes: new Uint8Array(length) })).toThrow(
        refusal("DEV_PARTS_CAP"),
      );
    }
    expect(make({ capability: LIST_CAP, bytes: new Uint8Array(4100) })).toThrow(
      refusal("LIST_CAP"),
    );
  });

  it("refuses two capabilities of one id", () => {
    const one = deviceCapability(DEV_PARTS_CAP, {});
    expect(() => new CapabilityFamily([one, one])).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID", path: "capabilities" }),
    );
  });
});
