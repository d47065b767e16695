/** A buffer of one readable and one writable segment goes the short way: it has to lead as far. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createDeviceQueue,
  createDriverQueue,
  createGuestMemory,
  type DeviceQueue,
  type DriverQueue,
  queueAreaSizes,
} from "../../src/index.ts";

const SIZE = 8;
const LOW = 0x1000;
const LOW_BYTES = 0x4000;
/** A region beyond 2^32, one that crosses it, and two that touch one another. */
const REGIONS = [
  { base: LOW, length: LOW_BYTES },
  { base: 0x10000, length: 0x100 },
  { base: 0x10100, length: 0x100 },
  { base: 2 ** 32 - 0x80, length: 0x100 },
  { base: 2 ** 40, length: 0x100 },
];

interface Ring {
  readonly driver: DriverQueue;
  readonly device: DeviceQueue;
  readonly bytes: Uint8Array;
}

function ring(packed: boolean): Ring {
  const regions = REGIONS.map(({ base, length }) => ({ base, bytes: new Uint8Array(length) }));
  const memory = createGuestMemory(regions);
  const areas = queueAreaSizes(SIZE, packed);
  const driverArea = LOW + areas.descriptorArea.length;
  const deviceArea = driverArea + 64;
  const place = { descriptorArea: LOW, driverArea, deviceArea };
  const init = { size: SIZE, memory, eventIdx: false, indirect: false, packed, ...place };
  const driver = createDriverQueue(init);
  return { driver, device: createDeviceQueue(init), bytes: regions[0]?.bytes as Uint8Array };
}

const inRegion = fc
  .constantFrom(...REGIONS.slice(1))
  .chain(({ base, length }) =>
    fc
      .tuple(fc.nat(length - 1), fc.integer({ min: 1, max: length }))
      .map(([offset, count]) => ({ address: base + offset, length: count })),
  );
const anywhere = fc.record({
  address: fc.oneof(
    fc.nat(),
    fc.maxSafeNat(),
    fc.constantFrom(-1, 0.5, 2 ** 32, 2 ** 53, Number.NaN),
  ),
  length: fc.oneof(fc.nat(), fc.constantFrom(0, -1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 1.5)),
});
const segment = fc.oneof({ weight: 4, arbitrary: inRegion }, { weight: 1, arbitrary: anywhere });
const steps = fc.array(fc.record({ readable: segment, writable: segment, publish: fc.boolean() }), {
  maxLength: 40,
});

function outcomeOf(add: () => number): unknown {
  try {
    return add();
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/** What the device made of the next buffer; every field that a consumer may read. */
function popped(device: DeviceQueue) {
  const chain = device.pop();
  if (chain === undefined) return device.defect;
  const { head, count, readableCount, readableLength, writableLength, region } = chain;
  const segments = Array.from({ length: count }, (_, i) => [chain.addresses[i], chain.lengths[i]]);
  if (region !== undefined) {
    expect([region.base + chain.readableAt, region.base + chain.writableAt]).toEqual([
      chain.addresses[0],
      chain.addresses[1],
    ]);
    expect(device.memory.find(chain.addresses[0] ?? -1, readableLength)).toBe(region);
    expect(device.memory.find(chain.addresses[1] ?? -1, writableLength)).toBe(region);
  }
  device.push(chain, writableLength);
  return { head, count, readableCount, readableLength, writableLength, segments };
}

describe.each([false, true])("a pair (packed %s)", (packed) => {
  it("is written as any other buffer is, or refused as it is", () => {
    fc.assert(
      fc.property(steps, (buffers) => {
        const short = ring(packed);
        const long = ring(packed);
        for (const { readable, writable, publish } of buffers) {
          const id = outcomeOf(() =>
            short.driver.addPair(
              readable.address,
              readable.length,
              writable.address,
              writable.length,
            ),
          );
          const addresses = [readable.address, writable.address];
          const lengths = [readable.length, writable.length];
          expect(id).toBe(outcomeOf(() => long.driver.add(addresses, lengths, 2, 1)));
          if (publish) {
            short.driver.publish();
            long.driver.publish();
            expect(popped(short.device)).toEqual(popped(long.device));
            short.device.publish();
            long.device.publish();
            expect(short.driver.reap()).toBe(long.driver.reap());
            expect(short.driver.usedLength).toBe(long.driver.usedLength);
          }
          expect(short.driver.free).toBe(long.driver.free);
          expect(short.driver.outstanding).toBe(long.driver.outstanding);
          expect(short.device.visited).toBe(long.device.visited);
          expect(Buffer.compare(short.bytes, long.bytes)).toBe(0);
        }
      }),
    );
  });

  it("is popped as what it says, whatever it says", () => {
    fc.assert(
      fc.property(segment, segment, (readable, writable) => {
        const { driver, device } = ring(packed);
        const id = outcomeOf(() =>
          driver.addPair(readable.address, readable.length, writable.address, writable.length),
        );
        if (typeof id !== "number") return;
        driver.publish();
        const mapped = [readable, writable].every(({ address, length }) =>
          device.memory.contains(address, length),
        );
        const found = popped(device);
        expect(found).toEqual(
          mapped
            ? {
                head: 0,
                count: 2,
                readableCount: 1,
                readableLength: readable.length,
                writableLength: writable.length,
                segments: [
                  [readable.address, readable.length],
                  [writable.address, writable.length],
                ],
              }
            : "buffer-unmapped",
        );
      }),
    );
  });

  it("names its region only where both segments lie in one", () => {
    const { driver, device } = ring(packed);
    const regionOf = (readable: number, writable: number) => {
      driver.addPair(readable, 8, writable, 8);
      driver.publish();
      const chain = device.pop();
      if (chain === undefined) throw new Error(device.defect);
      const { region } = chain;
      device.push(chain, 0);
      device.publish();
      driver.reap();
      return region?.base;
    };
    expect(regionOf(0x10000, 0x10010)).toBe(0x10000);
    expect(regionOf(0x10010, 0x10000)).toBe(0x10000);
    expect(regionOf(0x10000, 0x10100)).toBeUndefined();
    expect(regionOf(0x100fc, 0x10000)).toBeUndefined();
    expect(regionOf(2 ** 32 - 0x80, 2 ** 32 - 0x40)).toBe(2 ** 32 - 0x80);
    expect(regionOf(2 ** 40, 2 ** 40 + 8)).toBeUndefined();
  });
});
