import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isVirtioError } from "../../src/errors.ts";
import { createGuestMemory, type RegionMemory } from "../../src/memory/index.ts";

const HIGHEST = Number.MAX_SAFE_INTEGER;
const GUARD = 0xa5;

/** Bytes with guards before and after them in the same buffer. */
function guarded(length: number, shared: boolean) {
  const room = length + 32;
  const all = new Uint8Array(shared ? new SharedArrayBuffer(room) : new ArrayBuffer(room));
  all.fill(GUARD);
  const bytes = all.subarray(16, 16 + length);
  bytes.fill(0);
  const intact = () =>
    all.subarray(0, 16).every((byte) => byte === GUARD) &&
    all.subarray(16 + length).every((byte) => byte === GUARD);
  return { bytes, intact };
}

describe("regions are refused", () => {
  const ok = () => new Uint8Array(16);
  const cases: [string, number, () => Uint8Array][] = [
    ["without bytes", 0x1000, () => new Uint8Array(0)],
    ["below zero", -1, ok],
    ["at no integer", 0.5, ok],
    ["at NaN", Number.NaN, ok],
    ["past 2^53-1 with their end", HIGHEST - 14, ok],
    ["past 2^53-1 with their start", HIGHEST + 1, ok],
    ["over the start of another", 0x2000 - 15, ok],
    ["over the end of another", 0x200f, ok],
    ["inside another", 0x2004, () => new Uint8Array(2)],
    ["around another", 0x1ff0, () => new Uint8Array(0x40)],
    ["that equal another", 0x2000, ok],
    [
      "in a resizable buffer",
      0x8000,
      () => new Uint8Array(Reflect.construct(ArrayBuffer, [16, { maxByteLength: 32 }])),
    ],
    [
      "in a growable shared buffer",
      0x8000,
      () => new Uint8Array(Reflect.construct(SharedArrayBuffer, [16, { maxByteLength: 32 }])),
    ],
  ];
  for (const [name, base, bytes] of cases) {
    it(name, () => {
      const memory = createGuestMemory([{ base: 0x2000, bytes: ok() }]);
      let error: unknown;
      try {
        memory.add({ base, bytes: bytes() });
      } catch (caught) {
        error = caught;
      }
      expect(isVirtioError(error, "MEMORY_REGION")).toBe(true);
      expect(memory.regions.map((region) => region.base)).toEqual([0x2000]);
    });
  }
});

describe("the ends of the address space", () => {
  it("takes a region that ends at 2^53-1, and one at 0", () => {
    const memory = createGuestMemory([
      { base: HIGHEST - 15, bytes: new Uint8Array(16) },
      { base: 0, bytes: new Uint8Array(1) },
    ]);
    expect(memory.find(HIGHEST, 1)?.base).toBe(HIGHEST - 15);
    expect(memory.find(HIGHEST, 2)).toBeUndefined();
    expect(memory.contains(HIGHEST, 2)).toBe(false);
    expect(memory.find(0, 1)?.base).toBe(0);
    expect(memory.find(1, 0)).toBeUndefined();
    expect(memory.contains(1, 0)).toBe(true);
  });

  const hostile = [
    2 ** 53,
    2 ** 53 + 2,
    2 ** 63,
    2 ** 64 - 2048,
    2 ** 64,
    Number.POSITIVE_INFINITY,
    Number.NaN,
    -1,
    -(2 ** 63),
  ];
  it.each(hostile)("finds nothing at %d", (address) => {
    const memory = createGuestMemory([
      { base: 0, bytes: new Uint8Array(32) },
      { base: HIGHEST - 31, bytes: new Uint8Array(32) },
    ]);
    for (const length of [1, 16, 2 ** 32 - 1, 2 ** 53, Number.POSITIVE_INFINITY]) {
      expect(memory.find(address, length)).toBeUndefined();
      expect(memory.contains(address, length)).toBe(false);
    }
    for (const inside of [0, HIGHEST]) {
      expect(memory.find(inside, 1)).toBeDefined();
      for (const length of [-1, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
        expect(memory.find(inside, length)).toBeUndefined();
        expect(memory.contains(inside, length)).toBe(false);
      }
    }
    expect(memory.read(address, new Uint8Array(1))).toBe(false);
    expect(memory.write(address, new Uint8Array(1))).toBe(false);
  });
});

describe("removing", () => {
  it("forgets the region, the one found last too", () => {
    const memory = createGuestMemory([{ base: 64, bytes: new Uint8Array(64) }]);
    expect(memory.find(70, 4)).toBeDefined();
    expect(memory.remove(63)).toBe(false);
    expect(memory.remove(64)).toBe(true);
    expect(memory.find(70, 4)).toBeUndefined();
    expect(memory.write(70, Uint8Array.of(1))).toBe(false);
    memory.add({ base: 0, bytes: new Uint8Array(128) });
    expect(memory.find(70, 4)?.base).toBe(0);
  });
});

describe("against a map of bytes", () => {
  const SPACE = 160;
  const region = fc.record({
    base: fc.integer({ min: 0, max: SPACE }),
    length: fc.integer({ min: 1, max: 40 }),
    shared: fc.boolean(),
  });
  const access = fc.record({
    kind: fc.constantFrom("find", "contains", "read", "write", "remove"),
    address: fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: -8, max: SPACE + 48 }) },
      { weight: 1, arbitrary: fc.double({ min: 0, max: 2 ** 64, noNaN: true }).map(Math.floor) },
    ),
    length: fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: 0, max: 120 }) },
      { weight: 1, arbitrary: fc.constantFrom(2 ** 32 - 1, 2 ** 53) },
    ),
  });

  it("reads, writes and finds the same, and touches nothing beside a region", () => {
    fc.assert(
      fc.property(
        fc.array(region, { maxLength: 6 }),
        fc.array(access, { minLength: 1, maxLength: 30 }),
        (regions, accesses) => {
          const memory: RegionMemory = createGuestMemory();
          const model = new Map<number, number>();
          const owner = new Map<number, number>();
          const guards: (() => boolean)[] = [];
          for (const { base, length, shared } of regions) {
            const { bytes, intact } = guarded(length, shared);
            const taken = Array.from({ length }, (_, i) => model.has(base + i)).includes(true);
            guards.push(intact);
            if (taken) {
              expect(() => memory.add({ base, bytes })).toThrow("overlaps");
              continue;
            }
            memory.add({ base, bytes });
            for (let i = 0; i < length; i++) model.set(base + i, 0);
            for (let i = 0; i < length; i++) owner.set(base + i, base);
          }
          let stamp = 1;
          for (const { kind, address, length } of accesses) {
            const cells = Array.from({ length: Math.min(length, 256) }, (_, i) => address + i);
            const mapped = cells.length === length && cells.every((cell) => model.has(cell));
            if (kind === "find") {
              const found = memory.find(address, length);
              const owners = new Set(cells.map((cell) => owner.get(cell)));
              const expected =
                length === 0
                  ? owner.get(address)
                  : mapped && owners.size === 1
                    ? [...owners][0]
                    : undefined;
              expect(found?.base).toBe(expected);
            } else if (kind === "contains") {
              expect(memory.contains(address, length)).toBe(mapped);
            } else if (kind === "remove") {
              const starts = owner.get(address) === address;
              expect(memory.remove(address)).toBe(starts);
              for (const [cell, base] of starts ? [...owner] : []) {
                if (base !== address) continue;
                owner.delete(cell);
                model.delete(cell);
              }
            } else if (length <= 256) {
              const data = Uint8Array.from(cells, () => stamp++ & 0xff);
              if (kind === "write") {
                expect(memory.write(address, data)).toBe(mapped);
                if (mapped) cells.forEach((cell, i) => void model.set(cell, data[i] as number));
              } else {
                const before = [...data];
                expect(memory.read(address, data)).toBe(mapped);
                expect([...data]).toEqual(mapped ? cells.map((cell) => model.get(cell)) : before);
              }
            }
          }
          for (const intact of guards) expect(intact()).toBe(true);
        },
      ),
      { numRuns: 600 },
    );
  });

  it("copies long ranges over adjacent regions", () => {
    const memory = createGuestMemory([
      { base: 1000, bytes: new Uint8Array(500) },
      { base: 1500, bytes: new Uint8Array(1) },
      { base: 1501, bytes: new Uint8Array(700) },
    ]);
    const data = Uint8Array.from({ length: 1100 }, (_, i) => i * 7);
    expect(memory.write(1050, data)).toBe(true);
    const back = new Uint8Array(1100);
    expect(memory.read(1050, back)).toBe(true);
    expect(back).toEqual(data);
    expect(memory.find(1050, 1100)).toBeUndefined();
    expect(memory.write(1050, new Uint8Array(1152))).toBe(false);
    expect(memory.read(1050, back)).toBe(true);
    expect(back).toEqual(data);
  });
});
