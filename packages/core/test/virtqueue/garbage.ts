/** Rings of garbage: where it comes from, the memory it lies in, and what it can lead to. */
import { type MemoryRegion, RegionMemory } from "../../src/memory/index.ts";

const GUARD = 0xc3;
/** The bytes of each page of {@link makeMemory}. */
export const PAGE = 0x1000;

/** The defects that only a packed ring can have. */
export const PACKED_DEFECTS: readonly string[] = ["ring-overrun", "list-unavailable"];
/** Those that only a split ring can have. */
export const SPLIT_DEFECTS: readonly string[] = [
  "index-jump",
  "head-range",
  "next-range",
  "chain-loop",
  "indirect-nested",
  "used-order",
];
/** Those of driver halves, and those that small rings of garbage do not lead to. */
export const BEYOND_GARBAGE: readonly string[] = [
  "used-id",
  "used-length",
  "used-order",
  "total-length",
  "segment-budget",
];

/** A small seeded generator, so that a failure names the ring that caused it. */
export function randomOf(seed: number) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return {
    below: (limit: number) => next() % limit,
    chance: (percent: number) => next() % 100 < percent,
    pick: <T>(list: readonly T[]) => list[next() % list.length] as T,
    next,
  };
}

/** What {@link randomOf} makes. */
export type Random = ReturnType<typeof randomOf>;

/** Counts how often the queue looks something up: the measure of its work. */
export class CountingMemory extends RegionMemory {
  lookUps = 0;

  override find(address: number, length: number): MemoryRegion | undefined {
    this.lookUps++;
    return super.find(address, length);
  }
}

/** Guest memory of three pages, two of them adjacent, each between guard bytes. */
export function makeMemory() {
  const memory = new CountingMemory();
  const backing = [0x10000, 0x11000, 0x20000].map((base) => {
    const all = new Uint8Array(PAGE + 128).fill(GUARD);
    const bytes = all.subarray(64, 64 + PAGE);
    memory.add({ base, bytes });
    return { all, bytes };
  });
  const intact = () =>
    backing.every(
      ({ all }) =>
        all.subarray(0, 64).every((byte) => byte === GUARD) &&
        all.subarray(64 + PAGE).every((byte) => byte === GUARD),
    );
  return { memory, pages: backing.map(({ bytes }) => bytes), intact };
}

/** Runs `fuzz` for so many seeds; how often each outcome was seen. */
export function outcomesOf(
  rings: number,
  fuzz: (seed: number, seen: Map<string, number>) => void,
): Map<string, number> {
  const seen = new Map<string, number>();
  for (let seed = 1; seed <= rings; seed++) {
    try {
      fuzz(seed, seen);
    } catch (cause) {
      throw new Error(`ring ${seed}`, { cause });
    }
  }
  return seen;
}
