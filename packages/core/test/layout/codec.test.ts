import {
  ADMIN_COMMAND_HEADER,
  ADMIN_RESPONSE_HEADER,
  decode,
  type Encodable,
  type ErrorCode,
  encode,
  struct,
} from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, expectTypeOf, it } from "vitest";
import { failureOf } from "./failure.ts";
import { fromHex, toHex } from "./hex.ts";
import { SAMPLE_REGISTERS, SAMPLE_STRUCT } from "./samples.ts";

type Sample = (typeof SAMPLE_STRUCT)["fields"];

describe("the headers of administration commands", () => {
  it("encodes the readable header little-endian", () => {
    const bytes = encode(ADMIN_COMMAND_HEADER, {
      opcode: 0x0102,
      group_type: 1,
      group_member_id: 0x1122334455667788n,
      command_specific_data: [0xaa, 0xbb],
    });
    expect(toHex(bytes)).toBe(`02010100${"00".repeat(12)}8877665544332211aabb`);
    expect(ADMIN_COMMAND_HEADER.size).toBe(24);
  });

  it("decodes the writable header", () => {
    expect(decode(ADMIN_RESPONSE_HEADER, fromHex("160003000000000001"))).toEqual({
      status: 22,
      status_qualifier: 3,
      reserved2: [0, 0, 0, 0],
      command_specific_result: [1],
    });
    expect(ADMIN_RESPONSE_HEADER.size).toBe(8);
  });
});

const wide = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const sample = fc.record({
  tag: fc.integer({ min: 0, max: 0xff }),
  flags: fc.integer({ min: 0, max: 0xffff }),
  pad: fc.array(fc.integer({ min: 0, max: 0xff }), { minLength: 4, maxLength: 4 }),
  address: wide,
  pair: fc.array(wide, { minLength: 2, maxLength: 2 }),
  short: fc.integer({ min: 0, max: 0xffff }),
  word: fc.integer({ min: 0, max: 0xffff_ffff }),
  long: wide,
  tail: fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 9 }),
});

describe("decode and encode", () => {
  it("undo one another, values first", () => {
    fc.assert(
      fc.property(sample, (values) => {
        const low = Number(values.address & 0xffff_ffffn);
        expect(decode(SAMPLE_STRUCT, encode(SAMPLE_STRUCT, values))).toEqual({ ...values, low });
      }),
    );
  });

  it("undo one another, bytes first, but for padding", () => {
    const padding = [1, 34, 35];
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 24, maxLength: 40 }), (half) => {
        const bytes = new Uint8Array(2 * half.length);
        bytes.set(half);
        bytes.set(half, half.length);
        for (const at of padding) bytes[at] = 0;
        expect(toHex(encode(SAMPLE_STRUCT, decode(SAMPLE_STRUCT, bytes)))).toBe(toHex(bytes));
      }),
    );
  });

  it("decodes at a position", () => {
    const bytes = encode(SAMPLE_STRUCT, { tag: 9 });
    const moved = new Uint8Array(bytes.length + 5).fill(0xee);
    moved.set(bytes, 5);
    expect(decode(SAMPLE_STRUCT, moved, 5).tag).toBe(9);
    const window = moved.subarray(5);
    expect(decode(SAMPLE_STRUCT, window).tag).toBe(9);
  });

  it("gives typed plain values", () => {
    const values = decode(SAMPLE_STRUCT, new Uint8Array(48));
    expectTypeOf(values.tag).toEqualTypeOf<number>();
    expectTypeOf(values.address).toEqualTypeOf<bigint>();
    expectTypeOf(values.pair).toEqualTypeOf<readonly bigint[]>();
    expectTypeOf(values.tail).toEqualTypeOf<readonly number[]>();
    expect(values.tail).toEqual([]);
  });

  it("encodes what is left out as its reset value, and that below what shares its bytes", () => {
    expect(toHex(encode(SAMPLE_STRUCT, {}))).toBe(
      `07${"00".repeat(7)}${"ff".repeat(8)}${"00".repeat(32)}`,
    );
    const { address } = decode(SAMPLE_STRUCT, encode(SAMPLE_STRUCT, { low: 1 }));
    expect(address).toBe(0xffff_ffff_0000_0001n);
  });

  it("encodes and decodes register maps too", () => {
    const bytes = encode(SAMPLE_REGISTERS, { Status: 0x80, Lanes: [1, 2, 3, 4], Config: [5] });
    expect(bytes.length).toBe(41);
    expect(decode(SAMPLE_REGISTERS, bytes)).toMatchObject({
      Magic: 0x74726976,
      Status: 0x80,
      Lanes: [1, 2, 3, 4],
      Config: [5],
    });
  });

  it("reads missing bytes as zero only when asked to", () => {
    const whole = encode(SAMPLE_STRUCT, { tag: 3, long: 0x1122334455667788n, tail: [0x0201] });
    for (let length = 0; length < 48; length++) {
      const cut = whole.subarray(0, length);
      expect(failureOf(() => decode(SAMPLE_STRUCT, cut)).code).toBe("VALUE_RANGE");
      const zeroed = new Uint8Array(48);
      zeroed.set(cut);
      expect(decode(SAMPLE_STRUCT, cut, 0, { zeroExtend: true })).toEqual(
        decode(SAMPLE_STRUCT, zeroed),
      );
    }
    const half = whole.subarray(0, 49);
    expect(failureOf(() => decode(SAMPLE_STRUCT, half)).path).toBe("sample.tail");
    expect(decode(SAMPLE_STRUCT, half, 0, { zeroExtend: true }).tail).toEqual([1]);
  });

  it("names the first field that is missing", () => {
    expect(failureOf(() => decode(SAMPLE_STRUCT, new Uint8Array(17))).path).toBe("sample.pair");
    const padded = struct(
      "padded",
      { cite: "this project", doc: "Padded.", size: 4 },
      { a: { offset: 0, type: "u8", doc: "A." } },
    );
    expect(failureOf(() => decode(padded, new Uint8Array(2))).path).toBe("padded.size");
  });

  it.each([-1, 0.5, 49, Number.NaN])("refuses to decode at %d", (at) => {
    const error = failureOf(() => decode(SAMPLE_STRUCT, new Uint8Array(48), at));
    expect([error.code, error.path, error.value]).toEqual(["VALUE_RANGE", "sample", at]);
  });

  it.each<[string, object, ErrorCode, string]>([
    ["an unknown field", { nope: 1 }, "LAYOUT_UNKNOWN_FIELD", "sample.nope"],
    ["a member of every object", { toString: 1 }, "LAYOUT_UNKNOWN_FIELD", "sample.toString"],
    ["a byte of 256", { tag: 256 }, "VALUE_RANGE", "sample.tag"],
    ["a negative byte", { tag: -1 }, "VALUE_RANGE", "sample.tag"],
    ["half a byte", { tag: 0.5 }, "VALUE_RANGE", "sample.tag"],
    ["a text", { tag: "1" }, "VALUE_RANGE", "sample.tag"],
    ["null", { tag: null }, "VALUE_RANGE", "sample.tag"],
    ["a half-word of 2^16", { flags: 0x1_0000 }, "VALUE_RANGE", "sample.flags"],
    ["a word of 2^32", { word: 2 ** 32 }, "VALUE_RANGE", "sample.word"],
    ["a wide word of 2^64", { long: 2n ** 64n }, "VALUE_RANGE", "sample.long"],
    ["a negative wide word", { long: -1n }, "VALUE_RANGE", "sample.long"],
    ["an unsafe number", { long: 2 ** 53 }, "VALUE_RANGE", "sample.long"],
    ["a short array", { pad: [1, 2, 3] }, "VALUE_RANGE", "sample.pad"],
    ["a long array", { pad: [1, 2, 3, 4, 5] }, "VALUE_RANGE", "sample.pad"],
    ["a scalar for an array", { pad: 1 }, "VALUE_RANGE", "sample.pad"],
    ["a bad element", { pad: [1, 2, 256, 4] }, "VALUE_RANGE", "sample.pad[2]"],
    ["a bad wide element", { pair: [1n, -1n] }, "VALUE_RANGE", "sample.pair[1]"],
    ["a rest that is no array", { tail: {} }, "VALUE_RANGE", "sample.tail"],
    ["a rest beyond all memory", { tail: { length: 2 ** 40 } }, "VALUE_RANGE", "sample.tail"],
  ])("refuses to encode %s", (_, values, code, path) => {
    const error = failureOf(() => encode(SAMPLE_STRUCT, values as Encodable<Sample>));
    expect({ code: error.code, path: error.path }).toEqual({ code, path });
  });
});
