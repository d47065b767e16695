import {
  checkLayout,
  commands,
  type ErrorCode,
  type FieldSpec,
  type RegisterSpec,
  registers,
  struct,
} from "@virtio-admin/core";
import { describe, expect, expectTypeOf, it } from "vitest";
import { failureOf } from "./failure.ts";
import { SAMPLE_COMMANDS, SAMPLE_REGISTERS, SAMPLE_STRUCT } from "./samples.ts";

const META = { cite: "this project", doc: "A layout for tests." };
const WORD = { offset: 0, type: "le32", doc: "A word." } as const;
const REGISTER = { ...WORD, access: "RW" } as const;

/** Declarations that a compiler would refuse have to be refused in a running program too. */
const field = (member: object): FieldSpec => ({ ...WORD, ...member });
const register = (member: object): RegisterSpec => ({ ...REGISTER, ...member });

describe("struct", () => {
  it("completes what the declaration leaves out", () => {
    const { tag, flags, low, pair } = SAMPLE_STRUCT.fields;
    expect(tag).toEqual({
      name: "tag",
      offset: 0,
      type: "u8",
      width: 1,
      count: undefined,
      access: undefined,
      reset: 7,
      gate: undefined,
      overlay: false,
      doc: "One byte.",
      title: "Tag",
      linux: "SAMPLE_TAG",
      cite: "this project",
      bits: {},
    });
    expect(flags.bits.three).toEqual({ at: 3, width: 3, mask: 0x38, doc: "Three of them." });
    expect(flags.bits.first.mask).toBe(1);
    expect(low.cite).toBe("elsewhere");
    expect(pair.gate).toEqual({ feature: 0 });
  });

  it("knows names, types and counts at compile time", () => {
    expectTypeOf(SAMPLE_STRUCT.fields.tag.type).toEqualTypeOf<"u8">();
    expectTypeOf(SAMPLE_STRUCT.fields.pair.count).toEqualTypeOf<2>();
    expectTypeOf(SAMPLE_STRUCT.fields.tag.count).toEqualTypeOf<undefined>();
    expectTypeOf<keyof typeof SAMPLE_STRUCT.fields.flags.bits>().toEqualTypeOf<"first" | "three">();
    expectTypeOf(SAMPLE_COMMANDS.commands.CCW_CMD_SAMPLE_READ.payload).toEqualTypeOf<
      typeof SAMPLE_STRUCT
    >();
    expect(SAMPLE_COMMANDS.commands.CCW_CMD_SAMPLE_READ.payload).toBe(SAMPLE_STRUCT);
    expect(SAMPLE_COMMANDS.commands.CCW_CMD_SAMPLE_RESET.payload).toBeUndefined();
  });

  it("freezes everything", () => {
    const seen = new Set<object>();
    const visit = (value: unknown): void => {
      if (typeof value !== "object" || value === null || seen.has(value)) return;
      seen.add(value);
      expect(Object.isFrozen(value)).toBe(true);
      for (const member of Object.values(value)) visit(member);
    };
    for (const layout of [SAMPLE_STRUCT, SAMPLE_REGISTERS, SAMPLE_COMMANDS]) visit(layout);
    expect(seen.size).toBeGreaterThan(30);
  });

  it("doesn't freeze what the caller declared it from", () => {
    const gate = { feature: 1 };
    struct("x", META, { a: { ...WORD, gate } });
    gate.feature = 2;
    expect(gate).toEqual({ feature: 2 });
  });

  it.each<[string, Record<string, FieldSpec>, number | undefined, number, number, boolean]>([
    ["the end of the last field", { a: WORD, b: field({ offset: 4 }) }, undefined, 8, 4, false],
    ["the padded size", { a: WORD }, 8, 8, 4, false],
    ["an unaligned end", { a: WORD, b: field({ offset: 4, type: "u8" }) }, undefined, 5, 1, true],
    ["an unaligned field", { a: field({ offset: 2 }) }, undefined, 6, 1, true],
    ["bytes only", { a: field({ type: "u8", count: 5 }) }, undefined, 5, 1, false],
    ["the start of the rest", { a: field({ count: "rest" }) }, undefined, 0, 4, false],
  ])("derives size and alignment from %s", (_, fields, size, expected, alignment, packed) => {
    const layout = struct("x", size === undefined ? META : { ...META, size }, fields);
    expect([layout.size, layout.alignment, layout.packed]).toEqual([expected, alignment, packed]);
  });

  it.each<[string, Record<string, FieldSpec>, object, ErrorCode, string]>([
    ["an overlap", { a: WORD, b: field({ offset: 3 }) }, {}, "LAYOUT_OVERLAP", "x.b.offset"],
    [
      "an overlap beneath a longer field",
      { a: field({ count: 9 }), b: field({ offset: 4 }), c: field({ offset: 32 }) },
      {},
      "LAYOUT_OVERLAP",
      "x.b.offset",
    ],
    [
      "a field before the one it overlaps",
      { a: field({ offset: 2 }), b: WORD },
      {},
      "LAYOUT_OVERLAP",
      "x.a.offset",
    ],
    [
      "bits in two names",
      {
        a: field({ bits: { p: { at: 0, width: 4, doc: "P." }, q: { at: 3, doc: "Q." } } }),
      },
      {},
      "LAYOUT_OVERLAP",
      "x.a.bits.q.at",
    ],
    ["a size too small", { a: WORD }, { size: 3 }, "LAYOUT_INVALID", "x.size"],
    ["a size that is no number", { a: WORD }, { size: "8" }, "LAYOUT_INVALID", "x.size"],
    ["no field", {}, {}, "LAYOUT_INVALID", "x.fields"],
    ["no doc", { a: WORD }, { doc: "" }, "LAYOUT_INVALID", "x.doc"],
    ["no cite", { a: WORD }, { cite: undefined }, "LAYOUT_INVALID", "x.cite"],
    ["no doc of a field", { a: field({ doc: "" }) }, {}, "LAYOUT_INVALID", "x.a.doc"],
    ["an empty cite", { a: field({ cite: "" }) }, {}, "LAYOUT_INVALID", "x.a.cite"],
    ["a gate without a condition", { a: WORD }, { gate: {} }, "LAYOUT_INVALID", "x.gate"],
    [
      "a gate beyond the feature bits",
      { a: field({ gate: { feature: 128 } }) },
      {},
      "LAYOUT_INVALID",
      "x.a.gate.feature",
    ],
    [
      "a gate below revision 0",
      { a: field({ gate: { revision: -1 } }) },
      {},
      "LAYOUT_INVALID",
      "x.a.gate.revision",
    ],
    ["a name with a dash", { "a-b": WORD }, {}, "LAYOUT_INVALID", "x.a-b.name"],
    ["a name that is an index", { 0: WORD }, {}, "LAYOUT_INVALID", "x.0.name"],
    ["a negative offset", { a: field({ offset: -1 }) }, {}, "LAYOUT_INVALID", "x.a.offset"],
    ["half an offset", { a: field({ offset: 0.5 }) }, {}, "LAYOUT_INVALID", "x.a.offset"],
    ["an end too far", { a: field({ offset: 0xfffe }) }, {}, "LAYOUT_INVALID", "x.a.offset"],
    ["an unknown type", { a: field({ type: "le24" }) }, {}, "LAYOUT_INVALID", "x.a.type"],
    ["a type of every object", { a: field({ type: "valueOf" }) }, {}, "LAYOUT_INVALID", "x.a.type"],
    ["an empty array", { a: field({ count: 0 }) }, {}, "LAYOUT_INVALID", "x.a.count"],
    ["an unknown access", { a: field({ access: "RO" }) }, {}, "LAYOUT_INVALID", "x.a.access"],
    ["an overlay of 1", { a: field({ overlay: 1 }) }, {}, "LAYOUT_INVALID", "x.a.overlay"],
    ["a large reset", { a: field({ reset: 2 ** 32 }) }, {}, "LAYOUT_INVALID", "x.a.reset"],
    ["a negative reset", { a: field({ reset: -1n }) }, {}, "LAYOUT_INVALID", "x.a.reset"],
    [
      "a reset of an array",
      { a: field({ reset: 0, count: 2 }) },
      {},
      "LAYOUT_INVALID",
      "x.a.reset",
    ],
    [
      "a bit beyond the field",
      { a: field({ bits: { p: { at: 32, doc: "P." } } }) },
      {},
      "LAYOUT_INVALID",
      "x.a.bits.p.at",
    ],
    [
      "bits beyond the field",
      { a: field({ bits: { p: { at: 30, width: 3, doc: "P." } } }) },
      {},
      "LAYOUT_INVALID",
      "x.a.bits.p.width",
    ],
    [
      "bits of no width",
      { a: field({ bits: { p: { at: 30, width: 0, doc: "P." } } }) },
      {},
      "LAYOUT_INVALID",
      "x.a.bits.p.width",
    ],
    [
      "bits without a doc",
      { a: field({ bits: { p: { at: 0, doc: "" } } }) },
      {},
      "LAYOUT_INVALID",
      "x.a.bits.p.doc",
    ],
    [
      "bits with an odd name",
      { a: field({ bits: { "p q": { at: 0, doc: "P." } } }) },
      {},
      "LAYOUT_INVALID",
      "x.a.bits.p q",
    ],
    [
      "two rests",
      { a: field({ count: "rest" }), b: field({ count: "rest" }) },
      {},
      "LAYOUT_INVALID",
      "x.b.count",
    ],
    [
      "a rest before the end",
      { a: field({ count: "rest" }), b: field({ offset: 4 }) },
      {},
      "LAYOUT_INVALID",
      "x.a.offset",
    ],
    [
      "a size with the rest in it",
      { a: field({ count: "rest" }) },
      { size: 4 },
      "LAYOUT_INVALID",
      "x.size",
    ],
  ])("refuses %s", (_, fields, meta, code, path) => {
    const error = failureOf(() => struct("x", { ...META, ...meta }, fields));
    expect({ code: error.code, path: error.path }).toEqual({ code, path });
  });

  it("allows a union that is declared as one", () => {
    const layout = struct("x", META, { a: WORD, b: field({ offset: 2, overlay: true }) });
    expect(layout.size).toBe(6);
  });
});

describe("registers", () => {
  it("derives widths and size", () => {
    expect(SAMPLE_REGISTERS.busWidths).toEqual([8, 32]);
    expect(SAMPLE_REGISTERS.size).toBe(40);
    expect(SAMPLE_REGISTERS.rest).toBe("Config");
  });

  it.each<[string, Record<string, RegisterSpec>, object, ErrorCode, string]>([
    ["no access", { A: register({ access: undefined }) }, {}, "LAYOUT_INVALID", "m.A.access"],
    ["an unaligned register", { A: register({ offset: 2 }) }, {}, "LAYOUT_INVALID", "m.A.offset"],
    ["a width the bus lacks", { A: register({ type: "le64" }) }, {}, "LAYOUT_INVALID", "m.A.type"],
    [
      "the other byte order",
      { A: register({ type: "be32" }) },
      { byteOrder: "little" },
      "LAYOUT_INVALID",
      "m.A.type",
    ],
    [
      "an unknown byte order",
      { A: REGISTER },
      { byteOrder: "middle" },
      "LAYOUT_INVALID",
      "m.byteOrder",
    ],
    ["an unknown width", { A: REGISTER }, { busWidth: 24 }, "LAYOUT_INVALID", "m.busWidth"],
    ["a width twice", { A: REGISTER }, { busWidth: [32, 32] }, "LAYOUT_INVALID", "m.busWidth"],
    ["no width", { A: REGISTER }, { busWidth: [] }, "LAYOUT_INVALID", "m.busWidth"],
    ["an overlap", { A: REGISTER, B: REGISTER }, {}, "LAYOUT_OVERLAP", "m.B.offset"],
    ["no register", {}, {}, "LAYOUT_INVALID", "m.registers"],
  ])("refuses %s", (_, regs, meta, code, path) => {
    const error = failureOf(() => registers("m", { ...META, busWidth: 32, ...meta }, regs));
    expect({ code: error.code, path: error.path }).toEqual({ code, path });
  });
});

describe("commands", () => {
  const CMD = { code: 0x12, direction: "read", doc: "Reads." } as const;

  it.each<[string, Record<string, typeof CMD>, string]>([
    ["a code twice", { A: CMD, B: CMD }, "c.B.code"],
    ["the code 0", { A: { ...CMD, code: 0 as 0x12 } }, "c.A.code"],
    ["a code of two bytes", { A: { ...CMD, code: 0x112 as 0x12 } }, "c.A.code"],
    ["an unknown direction", { A: { ...CMD, direction: "both" as "read" } }, "c.A.direction"],
    ["no doc", { A: { ...CMD, doc: "" as "Reads." } }, "c.A.doc"],
    ["no command", {}, "c.commands"],
  ])("refuses %s", (_, cmds, path) => {
    const error = failureOf(() => commands("c", META, cmds));
    expect({ code: error.code, path: error.path }).toEqual({ code: "LAYOUT_INVALID", path });
  });

  it("accepts a code whose low bits say another direction, with a warning for its author", () => {
    const layout = commands("c", META, { A: { ...CMD, code: 0x11 }, B: { ...CMD, code: 0x14 } });
    expect(checkLayout(layout)).toEqual([
      {
        severity: "warning",
        rule: "direction",
        code: "LAYOUT_INVALID",
        path: "layout.commands[0].code",
        message: "to the channel subsystem the low bits of the code say write",
        value: 0x11,
      },
    ]);
  });
});
