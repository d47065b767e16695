import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createGuestMemory, DmaArena, type DmaBlock } from "../../src/memory/index.ts";

const BASE = 0x1_0000_0010;

function arenaOf(length: number, dirt = 0) {
  const bytes = new Uint8Array(length + 64).fill(dirt);
  const memory = createGuestMemory([{ base: BASE - 32, bytes }]);
  return { arena: new DmaArena(memory, BASE, length), bytes, memory };
}

describe("DmaArena", () => {
  it("takes the lowest gap that fits, aligned", () => {
    const { arena } = arenaOf(256);
    expect(arena.allocate(1, 1).address).toBe(BASE);
    const aligned = arena.allocate(32, 64);
    expect(aligned.address).toBe(BASE + 0x30);
    expect(arena.allocate(8, 8).address).toBe(BASE + 8);
    aligned.free();
    expect(arena.allocate(40, 2).address).toBe(BASE + 0x10);
  });

  it("zeroes what it gives out, and nothing else", () => {
    const { arena, bytes } = arenaOf(64, 0xee);
    const block = arena.allocate(10, 1);
    expect([...bytes].filter((byte) => byte === 0)).toHaveLength(10);
    bytes.fill(0x77);
    block.free();
    const again = arena.allocate(10, 1);
    const at = again.address - again.region.base;
    expect([...bytes.subarray(at, at + 10)]).toEqual(new Array(10).fill(0));
  });

  it("joins the gaps on both sides of a block that comes back", () => {
    const { arena } = arenaOf(96);
    const blocks = [0, 1, 2].map(() => arena.allocate(32, 1));
    expect(arena.freeBytes).toBe(0);
    expect(() => arena.allocate(1, 1)).toThrow(
      expect.objectContaining({ code: "MEMORY_EXHAUSTED" }),
    );
    blocks[0]?.free();
    blocks[2]?.free();
    expect(() => arena.allocate(33, 1)).toThrow(
      expect.objectContaining({ code: "MEMORY_EXHAUSTED" }),
    );
    blocks[1]?.free();
    expect(arena.allocate(96, 1).address).toBe(BASE);
  });

  it("ignores a second free", () => {
    const { arena } = arenaOf(64);
    const first = arena.allocate(32, 1);
    first.free();
    const second = arena.allocate(64, 1);
    first.free();
    expect(arena.freeBytes).toBe(0);
    second.free();
    second.free();
    expect(arena.freeBytes).toBe(64);
  });

  it.each([0, -1, 1.5, Number.NaN, 2 ** 53])("refuses the length %d", (length) => {
    const { arena } = arenaOf(64);
    expect(() => arena.allocate(length, 1)).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
    expect(arena.freeBytes).toBe(64);
  });

  it.each([0, 3, 0.5, -2, 2 ** 31, Number.NaN])("refuses the alignment %d", (alignment) => {
    const { arena } = arenaOf(64);
    expect(() => arena.allocate(1, alignment)).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
  });

  it("refuses a range outside memory", () => {
    const { memory } = arenaOf(64);
    for (const [base, length] of [
      [BASE, 0],
      [BASE, 97],
      [BASE - 33, 4],
      [BASE + 0.5, 4],
    ] as const) {
      expect(() => new DmaArena(memory, base, length)).toThrow(
        expect.objectContaining({ code: "MEMORY_RANGE" }),
      );
    }
  });

  it("never gives a byte out twice, fails only when no gap fits, and gets everything back", () => {
    const step = fc.record({
      free: fc.boolean(),
      pick: fc.nat(),
      length: fc.integer({ min: 1, max: 60 }),
      shift: fc.integer({ min: 0, max: 6 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const length = 200;
        const { arena, bytes } = arenaOf(length, 0x5a);
        const taken = new Array<boolean>(length).fill(false);
        const blocks: DmaBlock[] = [];
        const mark = (block: DmaBlock, value: boolean) => {
          for (let i = 0; i < block.length; i++) {
            expect(taken[block.address - BASE + i]).toBe(!value);
            taken[block.address - BASE + i] = value;
          }
        };
        for (const { free, pick, length: wanted, shift } of steps) {
          const alignment = 2 ** shift;
          if (free && blocks.length > 0) {
            const [block] = blocks.splice(pick % blocks.length, 1) as [DmaBlock];
            block.free();
            mark(block, false);
            continue;
          }
          const fits = taken.findIndex(
            (_, at) =>
              (BASE + at) % alignment === 0 &&
              at + wanted <= length &&
              !taken.slice(at, at + wanted).includes(true),
          );
          if (fits < 0) {
            expect(() => arena.allocate(wanted, alignment)).toThrow(/no gap/);
            continue;
          }
          const block = arena.allocate(wanted, alignment);
          expect(block.address).toBe(BASE + fits);
          const at = block.address - block.region.base;
          expect(bytes.subarray(at, at + wanted).every((byte) => byte === 0)).toBe(true);
          bytes.fill(0x99, at, at + wanted);
          mark(block, true);
          blocks.push(block);
        }
        for (const block of blocks) block.free();
        expect(arena.allocate(length, 1).address).toBe(BASE);
        expect(bytes.subarray(0, 32).every((byte) => byte === 0x5a)).toBe(true);
        expect(bytes.subarray(32 + length).every((byte) => byte === 0x5a)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
