import { describe, expect, it } from "vitest";
import { declarationsOf, numberOf, sizeOf } from "../../src/latex/c.ts";

/** The size of the last structure in a listing. */
function sizeIn(listing: string): string {
  const { structs } = declarationsOf(listing);
  const last = structs.at(-1)!;
  if (!last.complete) return "incomplete";
  const size = sizeOf(last.fields, new Map(structs.map((struct) => [struct.name, struct])));
  return size === undefined ? "unknown" : `${size.bytes}${size.open ? "+" : ""}`;
}

describe("declarationsOf", () => {
  it.each([
    ["struct a { u8 x; le16 y; be32 z; le64 w; };", "15"],
    ["struct a { u8 x[7]; le64 y[2]; };", "23"],
    ["#define N 4\nstruct a { le16 x[N]; };", "8"],
    ["struct a { le16 x[UNKNOWN]; };", "unknown"],
    ["struct a { le16 x; u8 rest[]; };", "2+"],
    ["struct a { struct b one; };", "unknown"],
    ["struct b { le32 x; };\nstruct a { struct b two[2]; };", "8"],
    ["struct a { union { le32 x; struct { u8 y[6]; } z; } u; u8 w; };", "7"],
    ["struct a { struct a self; };", "unknown"],
    ["struct a { u8 x; } __attribute__ ((packed));", "1"],
    ["struct a { le16 x : 15; };", "incomplete"],
    ["struct a { u8 x;", "incomplete"],
    [`struct a { ${"struct { ".repeat(40)} u8 x; ${"} y; ".repeat(40)} };`, "incomplete"],
  ])("sizes %j as %s", (listing, size) => {
    expect(sizeIn(listing)).toBe(size);
  });

  it("reads constants, enumerators and comments", () => {
    const { constants, comments } = declarationsOf(
      "#define A 0x10 /* one */\n#define B (1 << 3)\n#define C A\nenum e { D, E = 7, F };\n// two\nint x;",
    );
    expect(constants.map(({ name, value }) => [name, value])).toEqual([
      ["A", 16],
      ["B", 8],
      ["C", undefined],
      ["D", 0],
      ["E", 7],
      ["F", 8],
    ]);
    expect(comments.map(({ text, open }) => [text, open])).toEqual([
      ["one", false],
      ["two", false],
    ]);
  });

  it.each([
    ["/* no end\nu8 a;", true],
    ["/* no end /* another */", true],
    ["/* an end */ u8 a;", false],
  ])("sees whether the comment of %j ends", (listing, open) => {
    expect(declarationsOf(listing).comments[0]?.open).toBe(open);
  });

  it("has the comment of a member with it", () => {
    const { structs } = declarationsOf("struct a {\n u8 x; /* read-only */\n u8 y;\n};");
    expect(structs[0]?.fields.map(({ name, comment }) => [name, comment])).toEqual([
      ["x", "read-only"],
      ["y", ""],
    ]);
  });
});

describe("numberOf", () => {
  it.each<[string, number | undefined]>([
    ["7", 7],
    [" 0xFF ", 255],
    ["(3)", 3],
    ["1 << 4", 16],
    ["(1ULL << 4)", 16],
    ["x", undefined],
    ["", undefined],
    ["1 + 1", undefined],
  ])("reads %j", (text, value) => {
    expect(numberOf(text)).toBe(value);
  });
});
