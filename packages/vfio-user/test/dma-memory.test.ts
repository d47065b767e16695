/** Memory that messages reach: as good as memory, and rings in it as good as rings. */
import {
  createDeviceQueue,
  createDriverQueue,
  createGuestMemory,
  DmaArena,
  isVirtioError,
  splitAreaSizes,
} from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DMA_RANGES_LIMIT, DmaMemory } from "../src/dma-memory.ts";

const BASE = 0x1_0000;
const LENGTH = 0x1000;

/** Ranges that messages reach, over bytes of this process; `messages` counts them. */
function make(ranges: readonly { readonly base: number; readonly length: number }[]) {
  const client = createGuestMemory(
    ranges.map(({ base, length }) => ({ base, bytes: new Uint8Array(length) })),
  );
  const memory = new DmaMemory();
  const counted = { messages: 0, answers: true };
  for (const range of ranges) {
    expect(memory.add({ ...range, readable: true, writable: true })).toBe(0);
  }
  memory.messages = {
    read: (address, target) => {
      counted.messages += 1;
      return counted.answers && client.read(address, target);
    },
    write: (address, source) => {
      counted.messages += 1;
      return counted.answers && client.write(address, source);
    },
  };
  return { client, memory, counted };
}

const RANGES = [
  { base: 0x1000, length: 0x100 },
  { base: 0x1100, length: 0x80 },
  { base: 0x2000, length: 0x100 },
];

describe("memory by messages", () => {
  it("reads and writes what the client has, over ranges that touch, and nothing else", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0xf80, max: 0x2180 }),
        fc.uint8Array({ maxLength: 0x200 }),
        (address, bytes) => {
          const { client, memory } = make(RANGES);
          const expected = client.contains(address, bytes.length);
          expect(memory.contains(address, bytes.length)).toBe(expected);
          expect(memory.write(address, bytes)).toBe(expected);
          const read = new Uint8Array(bytes.length);
          expect(memory.read(address, read)).toBe(expected);
          expect(read).toEqual(expected ? bytes : new Uint8Array(bytes.length));
          const there = new Uint8Array(bytes.length);
          if (client.read(address, there)) expect(there).toEqual(bytes);
          expect(memory.find(address, bytes.length)).toBeUndefined();
          expect(memory.window(address, bytes.length) !== undefined).toBe(
            expected && bytes.length > 0,
          );
        },
      ),
    );
  });

  it("refuses what it cannot tell apart, and more ranges than it keeps", () => {
    const { memory } = make(RANGES);
    const range = { readable: true, writable: true };
    expect(memory.add({ ...range, base: 0x10ff, length: 1 })).toBe(17);
    expect(memory.add({ ...range, base: 0x1180, length: 0xe81 })).toBe(17);
    expect(memory.add({ ...range, base: 0x1180, length: 0xe80 })).toBe(0);
    expect(memory.remove(0x1180, 0xe7f)).toBe(2);
    expect(memory.remove(0x1180, 0xe80)).toBe(0);
    for (let i = memory.rangeCount; i < DMA_RANGES_LIMIT; i++) {
      expect(memory.add({ ...range, base: 0x10_0000 + i, length: 1 })).toBe(0);
    }
    expect(memory.add({ ...range, base: 0, length: 1 })).toBe(28);
    memory.clear();
    expect(memory.contains(0x1000, 1)).toBe(false);
  });

  it("is seen through a window as through any view, at both ends and not beyond", () => {
    const { client, memory } = make(RANGES);
    const window = memory.window(0x1000, 0x20) as DataView;
    const real = client.find(0x1000, 0x20)?.view as DataView;
    for (const [get, set, value, width] of [
      ["getUint8", "setUint8", 0xa1, 1],
      ["getUint16", "setUint16", 0xa1b2, 2],
      ["getUint32", "setUint32", 0xa1b2c3d4, 4],
      ["getBigUint64", "setBigUint64", 0xa1b2c3d4e5f60718n, 8],
    ] as const) {
      for (const little of [true, false]) {
        for (const at of [0, 3, 0x20 - width]) {
          (window[set] as (at: number, value: unknown, little: boolean) => void)(at, value, little);
          expect(window[get](at, little)).toBe(value);
          expect(real[get](at, little)).toBe(value);
        }
        for (const at of [-1, 0x20 - width + 1, Number.NaN]) {
          expect(() => window[get](at, little)).toThrow(RangeError);
          expect(() => (window[set] as (at: number, value: unknown) => void)(at, value)).toThrow(
            RangeError,
          );
        }
      }
    }
    memory.clear();
    expect(window.getUint32(0)).toBe(0);
    expect(() => window.setUint32(0, 1)).not.toThrow();
  });

  it("holds rings and buffers of a queue", () => {
    const { client, memory, counted } = make([{ base: BASE, length: LENGTH }]);
    const arena = new DmaArena(client, BASE, LENGTH);
    const areas = splitAreaSizes(8);
    const place = ({ length, alignment }: { length: number; alignment: number }) =>
      arena.allocate(length, alignment).address;
    const init = {
      size: 8,
      eventIdx: false,
      indirect: false,
      descriptorArea: place(areas.descriptorArea),
      driverArea: place(areas.driverArea),
      deviceArea: place(areas.deviceArea),
    };
    const driver = createDriverQueue({ ...init, memory: client });
    const device = createDeviceQueue({ ...init, memory });
    const out = arena.allocate(4, 4);
    const back = arena.allocate(4, 4);
    for (let round = 0; round < 20; round++) {
      client.write(out.address, new Uint8Array([1, 2, 3, round]));
      driver.add([out.address, back.address], [4, 4], 2, 1);
      driver.publish();
      const chain = device.pop();
      if (chain === undefined) throw new Error("there is no buffer");
      const taken = new Uint8Array(4);
      expect(device.read(chain, 0, taken)).toBe(4);
      expect([...taken]).toEqual([1, 2, 3, round]);
      device.push(chain, device.write(chain, 0, taken.reverse()));
      device.publish();
      expect(driver.reap()).toBeGreaterThanOrEqual(0);
      const returned = new Uint8Array(4);
      client.read(back.address, returned);
      expect([...returned]).toEqual([round, 3, 2, 1]);
    }
    expect(counted.messages).toBeGreaterThan(20 * 8);
  });

  it("holds no rings that are accessed with Atomics", () => {
    const { memory } = make([{ base: BASE, length: LENGTH }]);
    const init = {
      size: 8,
      eventIdx: false,
      indirect: false,
      descriptorArea: BASE,
      driverArea: BASE + 128,
      deviceArea: BASE + 256,
    };
    expect(() => createDeviceQueue({ ...init, memory, atomic: true })).toThrow(
      expect.toSatisfy((error) => isVirtioError(error, "QUEUE_ADDRESS")),
    );
  });

  it("reads as nothing once the client does not answer", () => {
    const { memory, counted } = make([{ base: BASE, length: LENGTH }]);
    counted.answers = false;
    expect(memory.read(BASE, new Uint8Array(4))).toBe(false);
    expect(memory.write(BASE, new Uint8Array(4))).toBe(false);
    memory.messages = undefined;
    expect(memory.read(BASE, new Uint8Array(4))).toBe(false);
  });
});
