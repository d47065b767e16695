import {
  accessors,
  isVirtioError,
  type NumberAccessor,
  type NumbersAccessor,
  type ScalarType,
  struct,
  type WideAccessor,
  type WidesAccessor,
} from "@virtio-admin/core";
import { describe, expect, expectTypeOf, it } from "vitest";
import { fromHex, toHex } from "./hex.ts";

const META = { cite: "this project", doc: "A structure for tests." };

const NUMBER_VECTORS: readonly [ScalarType, number, string][] = [
  ["u8", 0xab, "ab"],
  ["le16", 0x1234, "3412"],
  ["be16", 0x1234, "1234"],
  ["le16", 0xffff, "ffff"],
  ["le32", 0x12345678, "78563412"],
  ["be32", 0x12345678, "12345678"],
  ["le32", 0xfedcba98, "98badcfe"],
  ["be32", 0xfedcba98, "fedcba98"],
];

const WIDE_VECTORS: readonly [ScalarType, bigint, string][] = [
  ["le64", 0x0123456789abcdefn, "efcdab8967452301"],
  ["be64", 0x0123456789abcdefn, "0123456789abcdef"],
  ["le64", 0x1fffffffffffffn, "ffffffffffff1f00"],
  ["be64", 0x1fffffffffffffn, "001fffffffffffff"],
  ["le64", 0xffffffffffffffffn, "ffffffffffffffff"],
  ["le64", 0xffffffffn, "ffffffff00000000"],
  ["be64", 0x100000000n, "0000000100000000"],
];

/** A structure with one field of `type` at offset 3, so that nothing is aligned by accident. */
function single(type: ScalarType) {
  const layout = struct("single", META, { value: { offset: 3, type, doc: "The value." } });
  return accessors(layout).value;
}

/** The bytes around the field keep this value. */
const UNTOUCHED = 0x5a;

function viewOf(hex: string): DataView {
  const bytes = fromHex(hex);
  const around = new Uint8Array(5 + bytes.length + 2).fill(UNTOUCHED);
  around.set(bytes, 5);
  return new DataView(around.buffer);
}

function fieldHex(view: DataView): string {
  const bytes = new Uint8Array(view.buffer);
  const outside = [...bytes.subarray(0, 5), ...bytes.subarray(bytes.length - 2)];
  expect(outside).toEqual(new Array(7).fill(UNTOUCHED));
  return toHex(bytes.subarray(5, bytes.length - 2));
}

describe("scalars of up to 32 bits", () => {
  it.each(NUMBER_VECTORS)("reads and writes %s %d as %s", (type, value, hex) => {
    const accessor = single(type);
    if (accessor.kind !== "number") throw new Error(`${type} has no number accessor`);
    expect(accessor.get(viewOf(hex), 2)).toBe(value);
    const view = viewOf("00".repeat(hex.length / 2));
    accessor.set(view, 2, value);
    expect(fieldHex(view)).toBe(hex);
  });
});

describe("scalars of 64 bits", () => {
  it.each(WIDE_VECTORS)("reads and writes %s %d as %s", (type, value, hex) => {
    const accessor = single(type);
    if (accessor.kind !== "wide") throw new Error(`${type} has no wide accessor`);
    const view = viewOf(hex);
    expect(accessor.getBig(view, 2)).toBe(value);
    expect(accessor.getLow(view, 2)).toBe(Number(value & 0xffffffffn));
    expect(accessor.getHigh(view, 2)).toBe(Number(value >> 32n));
    expect(accessor.getNumber(view, 2)).toBe(Number(value));
    const blank = "00".repeat(8);
    const big = viewOf(blank);
    accessor.setBig(big, 2, value);
    expect(fieldHex(big)).toBe(hex);
    const halves = viewOf(blank);
    accessor.setHigh(halves, 2, Number(value >> 32n));
    accessor.setLow(halves, 2, Number(value & 0xffffffffn));
    expect(fieldHex(halves)).toBe(hex);
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) {
      const number = viewOf(blank);
      accessor.setNumber(number, 2, Number(value));
      expect(fieldHex(number)).toBe(hex);
    }
  });

  it.each(["le64", "be64"] as const)("getNumber of %s is unsafe from 2^53 on", (type) => {
    const accessor = single(type);
    if (accessor.kind !== "wide") throw new Error(`${type} has no wide accessor`);
    const view = viewOf("00".repeat(8));
    for (const value of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n + 1n, 2n ** 64n - 1n]) {
      accessor.setBig(view, 2, value);
      const number = accessor.getNumber(view, 2);
      expect(number).toBeGreaterThanOrEqual(2 ** 53);
      expect(Number.isSafeInteger(number)).toBe(false);
    }
    accessor.setBig(view, 2, 2n ** 53n - 1n);
    expect(accessor.getNumber(view, 2)).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe("arrays", () => {
  const layout = struct("arrays", META, {
    bytes: { offset: 1, type: "u8", count: 3, doc: "Bytes." },
    words: { offset: 4, type: "be16", count: 2, doc: "Words." },
    wide: { offset: 8, type: "le64", count: 2, doc: "Wide words." },
    rest: { offset: 24, type: "be32", count: "rest", doc: "What follows." },
  });
  const fields = accessors(layout);
  const hex = `00010203${"11223344"}${"0100000000000000"}${"efcdab8967452301"}${"0000000a0000000b"}`;

  it("has an accessor of the kind that the declaration asks for", () => {
    expectTypeOf(fields.bytes).toEqualTypeOf<NumbersAccessor>();
    expectTypeOf(fields.wide).toEqualTypeOf<WidesAccessor>();
    expectTypeOf(single("u8")).toEqualTypeOf<NumberAccessor | WideAccessor>();
    expect(Object.values(fields).map(({ kind }) => kind)).toEqual([
      "numbers",
      "numbers",
      "wides",
      "numbers",
    ]);
    expect(Object.isFrozen(fields)).toBe(true);
  });

  it("reads every element", () => {
    const view = new DataView(fromHex(hex).buffer);
    expect([0, 1, 2].map((i) => fields.bytes.get(view, 0, i))).toEqual([1, 2, 3]);
    expect([0, 1].map((i) => fields.words.get(view, 0, i))).toEqual([0x1122, 0x3344]);
    expect(fields.wide.getBig(view, 0, 1)).toBe(0x0123456789abcdefn);
    expect(fields.wide.getNumber(view, 0, 0)).toBe(1);
    expect([0, 1].map((i) => fields.rest.get(view, 0, i))).toEqual([10, 11]);
  });

  it("writes every element", () => {
    const view = new DataView(new ArrayBuffer(32));
    for (const i of [0, 1, 2]) fields.bytes.set(view, 0, i, i + 1);
    fields.words.set(view, 0, 0, 0x1122);
    fields.words.set(view, 0, 1, 0x3344);
    fields.wide.setNumber(view, 0, 0, 1);
    fields.wide.setLow(view, 0, 1, 0x89abcdef);
    fields.wide.setHigh(view, 0, 1, 0x01234567);
    fields.rest.set(view, 0, 0, 10);
    fields.rest.set(view, 0, 1, 11);
    expect(toHex(new Uint8Array(view.buffer))).toBe(hex);
    expect(fields.wide.getLow(view, 0, 1)).toBe(0x89abcdef);
    expect(fields.wide.getHigh(view, 0, 1)).toBe(0x01234567);
    fields.wide.setBig(view, 0, 0, 2n);
    expect(fields.wide.getBig(view, 0, 0)).toBe(2n);
  });

  it.each([-1, 3, Number.NaN])("refuses the index %d and touches nothing", (index) => {
    const view = new DataView(new ArrayBuffer(32));
    let error: unknown;
    try {
      fields.bytes.set(view, 0, index, 0xff);
    } catch (caught) {
      error = caught;
    }
    expect(isVirtioError(error, "VALUE_RANGE")).toBe(true);
    expect((error as { path: string }).path).toBe(`arrays.bytes[${index}]`);
    expect(toHex(new Uint8Array(view.buffer))).toBe("00".repeat(32));
  });

  it("ends a rest array where the view ends", () => {
    const view = new DataView(new ArrayBuffer(32));
    expect(fields.rest.count).toBe(Number.POSITIVE_INFINITY);
    expect(() => fields.rest.get(view, 0, 2)).toThrow(RangeError);
  });
});
