import { commandTable, registers, registerTable } from "@virtio-admin/core";
import { describe, expect, expectTypeOf, it } from "vitest";
import { failureOf } from "./failure.ts";
import { SAMPLE_COMMANDS, SAMPLE_REGISTERS } from "./samples.ts";

const META = { cite: "this project", doc: "A map for tests." };

describe("registerTable", () => {
  const table = registerTable(SAMPLE_REGISTERS);

  it("finds the register that begins at each offset, and no other", () => {
    const found: Record<number, string> = {};
    for (let offset = 0; offset < 48; offset++) {
      const entry = table.at(offset);
      if (entry !== undefined) found[offset] = entry.name;
    }
    expect(found).toEqual({
      0: "Magic",
      8: "Status",
      12: "Notify",
      16: "Lanes",
      18: "Lanes",
      20: "Lanes",
      22: "Lanes",
      32: "AdminQueueIndex",
      ...Object.fromEntries(Array.from({ length: 8 }, (_, i) => [40 + i, "Config"])),
    });
  });

  it("finds the register that covers each byte", () => {
    const names = Array.from({ length: 42 }, (_, offset) => table.covering(offset)?.name ?? "-");
    const run = (name: string, length: number) => new Array<string>(length).fill(name);
    expect(names).toEqual([
      ...run("Magic", 4),
      ...run("-", 4),
      ...run("Status", 1),
      ...run("-", 3),
      ...run("Notify", 4),
      ...run("Lanes", 8),
      ...run("-", 8),
      ...run("AdminQueueIndex", 4),
      ...run("-", 4),
      ...run("Config", 2),
    ]);
  });

  it("says what a device dispatches on", () => {
    expect(table.at(12)).toEqual({
      index: 2,
      name: "Notify",
      offset: 12,
      type: "le32",
      width: 4,
      count: undefined,
      access: "W",
      readable: false,
      writable: true,
      gate: undefined,
    });
    expect(table.byName.AdminQueueIndex).toBe(table.at(32));
    expect(table.entries.map((entry) => entry.index)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(table.byName.Magic.writable).toBe(false);
    expectTypeOf(table.entries[0]?.name).toEqualTypeOf<
      "Magic" | "Status" | "Notify" | "Lanes" | "AdminQueueIndex" | "Config" | undefined
    >();
  });

  it.each([
    -1,
    -4,
    0.5,
    8.5,
    40.5,
    2 ** 32 + 0.5,
    Number.NaN,
    Number.NEGATIVE_INFINITY,
    Number.POSITIVE_INFINITY,
  ])("finds nothing at %d", (offset) => {
    expect(table.at(offset)).toBeUndefined();
    expect(table.covering(offset)).toBeUndefined();
  });

  it("gives the rest no end, and a map without a rest one", () => {
    expect(table.at(2 ** 40)?.name).toBe("Config");
    const closed = registerTable(
      registers(
        "m",
        { ...META, busWidth: 32, size: 16 },
        {
          A: { offset: 4, type: "le32", access: "R", doc: "A." },
        },
      ),
    );
    expect([0, 4, 5, 8, 16, 2 ** 32 + 4].map((offset) => closed.at(offset)?.name)).toEqual([
      undefined,
      "A",
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect([3, 4, 7, 8].map((offset) => closed.covering(offset)?.name)).toEqual([
      undefined,
      "A",
      "A",
      undefined,
    ]);
  });

  it("gives bytes that are shared to the first declaration", () => {
    const shared = registerTable(
      registers(
        "m",
        { ...META, busWidth: [16, 32] },
        {
          Whole: { offset: 0, type: "le32", access: "RW", doc: "Whole." },
          High: { offset: 2, type: "le16", access: "RW", overlay: true, doc: "High half." },
        },
      ),
    );
    expect([shared.at(0)?.name, shared.at(2)?.name, shared.covering(2)?.name]).toEqual([
      "Whole",
      "High",
      "Whole",
    ]);
  });

  it("refuses a map that nobody checked", () => {
    const { Magic } = SAMPLE_REGISTERS.registers;
    const forged = { ...SAMPLE_REGISTERS, registers: { Magic: { ...Magic, access: undefined } } };
    const error = failureOf(() => registerTable(forged));
    expect([error.code, error.path]).toEqual(["LAYOUT_INVALID", "sample_registers.Magic.access"]);
  });
});

describe("commandTable", () => {
  it("finds commands by code, and nothing else", () => {
    const table = commandTable(SAMPLE_COMMANDS);
    const found = Array.from({ length: 0x102 }, (_, code) => table.at(code - 1)?.name);
    expect(found.flatMap((name, i) => (name === undefined ? [] : [[i - 1, name]]))).toEqual([
      [0x33, "CCW_CMD_SAMPLE_RESET"],
      [0x92, "CCW_CMD_SAMPLE_READ"],
    ]);
    expect(table.entries).toHaveLength(2);
  });
});
