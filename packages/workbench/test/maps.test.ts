import {
  CAP_GET_DATA,
  type Layout,
  type LayoutDocument,
  layoutFromJson,
  layoutToJson,
  struct,
} from "@virtio-admin/core";
import {
  CCW_BASIC_LAYOUT,
  CCW_RATIFIED_LAYOUT,
  CCW_REFERENCE_LAYOUT,
} from "@virtio-admin/transport-ccw";
import { MMIO_RATIFIED_LAYOUT, MMIO_REFERENCE_LAYOUT } from "@virtio-admin/transport-mmio";
import { PCI_LAYOUTS, VIRTIO_PCI_COMMON_CFG_LAYOUT } from "@virtio-admin/transport-pci";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { COUNTERPARTS, counterpartsOf } from "../src/maps/counterparts.ts";
import { differencesOf, differenceWords } from "../src/maps/differences.ts";
import { gridOf, ROW_BYTES } from "../src/maps/grid.ts";
import { homeOf, LAYOUT_FILE_LIMIT, readOwnLayout } from "../src/maps/own-layout.ts";
import { type Strip, stripsOf } from "../src/maps/strips.ts";

const LAYOUTS = [
  ...PCI_LAYOUTS,
  MMIO_RATIFIED_LAYOUT,
  MMIO_REFERENCE_LAYOUT,
  CCW_BASIC_LAYOUT,
  CCW_RATIFIED_LAYOUT,
  CCW_REFERENCE_LAYOUT,
  CAP_GET_DATA,
];

/** Every byte of the grid, and who has it: what a reader sees, cell by cell. */
function cellsOf(strip: Strip): (string | undefined)[] {
  const { rows, pieces } = gridOf(strip);
  const cells = new Map<number, string | undefined>();
  for (const { field, row, rowSpan, column, columnSpan } of pieces) {
    for (let r = row; r < row + rowSpan; r++) {
      for (let c = column; c < column + columnSpan; c++) {
        const { offset, rows: count } = rows[r]!;
        for (let folded = 0; folded < count; folded++) {
          const at = offset + folded * ROW_BYTES + c;
          expect(cells.has(at), `byte ${at} of ${strip.name} twice`).toBe(false);
          cells.set(at, field?.key);
        }
      }
    }
  }
  return Array.from({ length: strip.size }, (_, at) => {
    expect(cells.has(at), `byte ${at} of ${strip.name}`).toBe(true);
    return cells.get(at);
  });
}

function ownersOf({ fields, size }: Strip): (string | undefined)[] {
  const owners = new Array<string | undefined>(size).fill(undefined);
  for (const { key, offset, length } of fields) {
    for (let at = offset; at < offset + length; at++) owners[at] ??= key;
  }
  return owners;
}

describe("the grid of a strip", () => {
  it.each(LAYOUTS.map((layout) => [layout.name, layout] as const))(
    "has every byte of %s once",
    (_, layout) => {
      for (const strip of stripsOf(layout)) {
        expect(cellsOf(strip)).toEqual(ownersOf(strip));
        const named = gridOf(strip).pieces.filter(
          ({ field, named }) => named && field !== undefined,
        );
        const { shared } = gridOf(strip);
        expect(named.length + shared.length).toBe(strip.fields.length);
      }
    },
  );

  it("has every byte of any structure once", () => {
    const widths = fc.array(
      fc.record({
        gap: fc.nat(40),
        width: fc.constantFrom("u8", "le16", "le32", "be64"),
        count: fc.nat(80),
      }),
      { minLength: 1, maxLength: 12 },
    );
    fc.assert(
      fc.property(widths, (parts) => {
        let offset = 0;
        const fields = parts.map(({ gap, width, count }, i) => {
          const bytes = width === "u8" ? 1 : Number(width.slice(2)) / 8;
          const at = offset + gap;
          offset = at + bytes * Math.max(1, count);
          const spec = { offset: at, type: width as "u8", doc: "Any." };
          return [`f${i}`, count === 0 ? spec : { ...spec, count }] as const;
        });
        const layout = struct("any", { cite: "none", doc: "Any." }, Object.fromEntries(fields));
        const [strip] = stripsOf(layout);
        expect(cellsOf(strip!)).toEqual(ownersOf(strip!));
        expect(gridOf(strip!).rows.length).toBeLessThan(12 * 20);
      }),
    );
  });

  it("marks what is about administration virtqueues", () => {
    const admin = (layout: (typeof LAYOUTS)[number]) =>
      stripsOf(layout).flatMap(({ fields }) => fields.filter((f) => f.admin).map((f) => f.key));
    expect(admin(VIRTIO_PCI_COMMON_CFG_LAYOUT)).toEqual(["admin_queue_index", "admin_queue_num"]);
    expect(admin(MMIO_REFERENCE_LAYOUT)).toEqual(["AdminQueueIndex", "AdminQueueNum"]);
    expect(admin(MMIO_RATIFIED_LAYOUT)).toEqual([]);
    expect(admin(CCW_REFERENCE_LAYOUT)).toEqual([
      "READ_ADMIN_VQ.admin_queue_index",
      "READ_ADMIN_VQ.admin_queue_num",
    ]);
  });
});

describe("counterparts", () => {
  it("name what there is", () => {
    const keys = {
      pci: VIRTIO_PCI_COMMON_CFG_LAYOUT,
      mmio: MMIO_REFERENCE_LAYOUT,
      ccw: CCW_REFERENCE_LAYOUT,
    };
    for (const [name, layout] of Object.entries(keys)) {
      const all = new Set(
        [...stripsOf(layout), ...stripsOf(CCW_BASIC_LAYOUT)].flatMap(({ key, fields }) => [
          key,
          ...fields.map((field) => field.key),
        ]),
      );
      for (const each of COUNTERPARTS) {
        for (const key of each[name as keyof typeof keys]) expect(all).toContain(key);
      }
    }
  });

  it("are found from any side", () => {
    expect([...counterpartsOf("mmio", "AdminQueueIndex").pci]).toEqual(["admin_queue_index"]);
    expect([...counterpartsOf("pci", "queue_desc").mmio]).toEqual([
      "QueueDescLow",
      "QueueDescHigh",
    ]);
    expect(counterpartsOf("pci", "queue_desc").pci.size).toBe(0);
    expect(counterpartsOf("pci", "num_queues").mmio.size).toBe(0);
  });
});

describe("differences", () => {
  it("are none of a layout and itself", () => {
    for (const layout of LAYOUTS) expect(differencesOf(layout, layout)).toEqual([]);
  });

  it("have the keys of what is shown, and a class", () => {
    const shown = (base: Layout, other: Layout) =>
      differencesOf(base, other)
        .filter(({ class: found }) => found !== "editorial")
        .map(({ class: found, what, key }) => `${found}: ${what} ${key}`);
    expect(shown(MMIO_RATIFIED_LAYOUT, MMIO_REFERENCE_LAYOUT)).toEqual([
      "compatible: added AdminQueueIndex",
      "compatible: added AdminQueueNum",
    ]);
    expect(shown(CCW_REFERENCE_LAYOUT, CCW_RATIFIED_LAYOUT)).toEqual([
      "breaking: removed READ_ADMIN_VQ",
    ]);
  });

  it("name what a moved register has changed", () => {
    const document = layoutToJson(MMIO_REFERENCE_LAYOUT);
    const registers = document.registers.map((register) =>
      register.name === "AdminQueueNum" ? { ...register, offset: 0xe8 } : register,
    );
    const moved = layoutFromJson({ ...document, registers });
    const [difference, ...others] = differencesOf(MMIO_REFERENCE_LAYOUT, moved);
    expect(others).toEqual([]);
    expect(difference).toMatchObject({ class: "breaking", key: "AdminQueueNum" });
    expect(differenceWords(MMIO_REFERENCE_LAYOUT, difference!)).toBe(
      "AdminQueueNum.offset: 0x0e4 → 0x0e8",
    );
  });

  it("of the data of a command are those of its fields", () => {
    const document = layoutToJson(CCW_REFERENCE_LAYOUT);
    const commands = document.commands.map((command) =>
      command.name === "READ_ADMIN_VQ" && command.payload !== undefined
        ? {
            ...command,
            payload: {
              ...command.payload,
              size: 8,
              fields: command.payload.fields.map((field) => ({
                ...field,
                offset: field.offset + 4,
              })),
            },
          }
        : command,
    );
    const moved = layoutFromJson({ ...document, commands });
    const keys = differencesOf(CCW_REFERENCE_LAYOUT, moved).map(({ key }) => key);
    expect(keys).toContain("READ_ADMIN_VQ.admin_queue_index");
    expect(keys).toContain("READ_ADMIN_VQ.admin_queue_num");
  });
});

describe("a layout of the reader's own", () => {
  it.each(LAYOUTS.map((layout) => [layout.name, layout] as const))("is read: %s", (_, layout) => {
    const own = readOwnLayout(JSON.stringify(layoutToJson(layout) as LayoutDocument));
    expect(own.layout).toEqual(layout);
    expect(homeOf(layout)).toBe({ struct: "pci", registers: "mmio", commands: "ccw" }[layout.kind]);
  });

  it.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["no layout", "[1]"],
    ["null", "null"],
    ["deep lists", "[".repeat(100_000)],
    ["a huge name", JSON.stringify({ format: "x".repeat(500_000) })],
    ["more than is read", " ".repeat(LAYOUT_FILE_LIMIT + 1)],
    ["a prototype", '{"__proto__": {"kind": "registers"}}'],
  ])("is refused, with a reason: %s", (_, text) => {
    const own = readOwnLayout(text);
    expect(own.layout).toBeUndefined();
    expect(own.findings[0]).toMatchObject({ severity: "error" });
  });

  it("is never an exception, whatever the file", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const own = readOwnLayout(text);
        expect(own.layout === undefined).toBe(own.findings.some((f) => f.severity === "error"));
      }),
    );
  });
});
