import { describe, expect, it } from "vitest";
import { createGuestMemory, type MemoryRegion, RegionMemory } from "../../src/memory/index.ts";
import {
  type Chain,
  createDeviceQueue,
  createDriverQueue,
  type DeviceQueue,
  type DriverQueueInit,
  splitAreaSizes,
} from "../../src/virtqueue/index.ts";
import { makeRig, RIG_BASE, type Rig, type RigOptions } from "./rig.ts";

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;
const BUFFER = RIG_BASE + 0x8000;
const TABLE = RIG_BASE + 0x9008;

type Descriptor = readonly [address: number, length: number, flags: number, next?: number];

function put(view: DataView, base: number, descriptors: readonly Descriptor[]): void {
  for (const [i, [address, length, flags, next]] of descriptors.entries()) {
    view.setBigUint64(base + 16 * i, BigInt(address), true);
    view.setUint32(base + 16 * i + 8, length, true);
    view.setUint16(base + 16 * i + 12, flags, true);
    view.setUint16(base + 16 * i + 14, next ?? 0, true);
  }
}

function popOne(device: DeviceQueue): Chain {
  const chain = device.pop();
  if (chain === undefined) throw new Error(`nothing popped: ${device.defect}`);
  return chain;
}

function makeChain(
  options: RigOptions,
  table: readonly Descriptor[],
  indirect: readonly Descriptor[] = [],
): Rig & { chain: Chain } {
  const rig = makeRig(options);
  put(rig.table, 0, table);
  put(rig.memory.find(RIG_BASE, 1)?.view as DataView, TABLE - RIG_BASE, indirect);
  rig.avail.setUint16(2, 1, true);
  return { ...rig, chain: popOne(rig.device) };
}

const segments = (chain: Chain) =>
  Array.from({ length: chain.count }, (_, i) => [chain.addresses[i], chain.lengths[i]]);

describe("chains that the device half takes", () => {
  it("follows next in any order", () => {
    const { chain } = makeChain({}, [
      [BUFFER, 1, NEXT, 7],
      [BUFFER + 3, 4, WRITE],
      ...new Array<Descriptor>(5).fill([0, 0, 0]),
      [BUFFER + 1, 2, NEXT, 1],
    ]);
    expect(segments(chain)).toEqual([
      [BUFFER, 1],
      [BUFFER + 1, 2],
      [BUFFER + 3, 4],
    ]);
    expect([chain.readableCount, chain.readableLength, chain.writableLength]).toEqual([2, 3, 4]);
  });

  it("[split-indirect-device-1] disregards the write flag of what refers to a table", () => {
    for (const flags of [INDIRECT, INDIRECT | WRITE]) {
      const { chain } = makeChain(
        { indirect: true },
        [[TABLE, 32, flags]],
        [
          [BUFFER, 5, NEXT, 1],
          [BUFFER + 8, 6, WRITE],
        ],
      );
      expect([chain.readableLength, chain.writableLength]).toEqual([5, 6]);
    }
  });

  it("[split-indirect-device-2] takes plain descriptors followed by an indirect one", () => {
    for (const plain of [0, 1, 3]) {
      const { chain } = makeChain(
        { indirect: true },
        [
          ...Array.from({ length: plain }, (_, i): Descriptor => [BUFFER + i, 1, NEXT, i + 1]),
          [TABLE, 48, INDIRECT],
        ],
        [
          [BUFFER + 100, 1, NEXT, 2],
          [0, 0, INDIRECT],
          [BUFFER + 101, 1, WRITE],
        ],
      );
      expect([chain.count, chain.readableLength, chain.writableLength]).toEqual([
        plain + 2,
        plain + 1,
        1,
      ]);
    }
  });

  it("takes a table that is larger than its chain, and than the queue", () => {
    const { chain } = makeChain(
      { size: 2, indirect: true },
      [[TABLE, 16 * 64, INDIRECT]],
      [[BUFFER, 5, NEXT, 63]],
    );
    expect(segments(chain)).toEqual([[BUFFER, 5]]);
  });

  it("[split-framing-device-1] leaves out elements without bytes, wherever they point", () => {
    const { chain, device } = makeChain({}, [
      [0, 0, NEXT, 1],
      [BUFFER, 3, NEXT, 2],
      [2 ** 53, 0, NEXT | WRITE, 3],
      [BUFFER + 3, 3, NEXT | WRITE, 4],
      [0, 0, WRITE],
    ]);
    expect(segments(chain)).toEqual([
      [BUFFER, 3],
      [BUFFER + 3, 3],
    ]);
    expect(chain.readableCount).toBe(1);
    device.push(chain, 3);
    expect(device.outstanding).toBe(0);
  });

  it("takes a chain of nothing but elements without bytes", () => {
    const { chain, device } = makeChain({}, [[0, 0, WRITE]]);
    expect([chain.count, device.write(chain, 0, Uint8Array.of(1))]).toEqual([0, 0]);
  });

  it("disregards flag bits that the split format does not have", () => {
    const { chain } = makeChain({}, [[BUFFER, 3, 0xfff8, 0xffff]]);
    expect(segments(chain)).toEqual([[BUFFER, 3]]);
  });
});

describe("copies", () => {
  const lengths = [1, 7, 200, 3];
  const rigged = () => {
    const rig = makeRig();
    const addresses = lengths.map((_, i) => BUFFER + 0x100 * i);
    return { ...rig, addresses };
  };

  it("[split-framing-device-1] read and write at any offset as if the buffer were one piece", () => {
    const total = lengths.reduce((a, b) => a + b);
    for (let at = 0; at <= total + 1; at++) {
      const { driver, device, addresses, memory } = rigged();
      const bytes = Uint8Array.from({ length: total }, (_, i) => i + 1);
      let from = 0;
      for (const [i, length] of lengths.entries()) {
        memory.write(addresses[i] as number, bytes.subarray(from, from + length));
        from += length;
      }
      driver.add(addresses, lengths, 4, 4);
      driver.add(addresses, lengths, 4, 0);
      driver.publish();
      const readable = popOne(device);
      const writable = popOne(device);
      const count = Math.max(0, Math.min(150, total - at));
      const got = new Uint8Array(150);
      expect(device.read(readable, at, got)).toBe(count);
      expect([...got]).toEqual([
        ...bytes.subarray(at, at + count),
        ...new Array(150 - count).fill(0),
      ]);
      expect(device.write(writable, at, new Uint8Array(150).fill(0xee))).toBe(count);
      const after = new Uint8Array(total);
      expect(device.read(readable, 0, after)).toBe(total);
      expect([...after]).toEqual(
        [...bytes].map((byte, i) => (i >= at && i < at + 150 ? 0xee : byte)),
      );
    }
  });

  it("[split-desc-device-1] [split-desc-device-2] reach only the readable, only the writable part", () => {
    const { driver, device, memory } = makeRig();
    memory.write(BUFFER, Uint8Array.of(1, 2, 3, 4));
    driver.add([BUFFER, BUFFER + 2], [2, 2], 2, 1);
    driver.publish();
    const chain = popOne(device);
    const got = new Uint8Array(4);
    expect([device.read(chain, 0, got), ...got]).toEqual([2, 1, 2, 0, 0]);
    expect(device.write(chain, 0, new Uint8Array(4).fill(9))).toBe(2);
    memory.read(BUFFER, got);
    expect([...got]).toEqual([1, 2, 9, 9]);
  });

  it("cross adjacent regions, tables too, and stop where memory was taken away", () => {
    const memory = createGuestMemory([
      { base: 0, bytes: new Uint8Array(0x1000) },
      { base: 0x1000, bytes: new Uint8Array(0x100) },
      { base: 0x1100, bytes: new Uint8Array(0x100) },
    ]);
    const init = {
      size: 4,
      memory,
      descriptorArea: 0,
      driverArea: 0x100,
      deviceArea: 0x200,
      eventIdx: false,
      indirect: true,
    };
    createDriverQueue(init);
    const view = memory.find(0, 1)?.view as DataView;
    put(view, 0, [[0x0ff0, 32, INDIRECT]]);
    put(view, 0x0ff0, [[0x10f8, 16, NEXT | WRITE, 1]]);
    put(memory.find(0x1000, 1)?.view as DataView, 0, [[0x1180, 16, WRITE]]);
    view.setUint16(0x102, 1, true);
    const device = createDeviceQueue(init);
    const chain = popOne(device);
    expect(segments(chain)).toEqual([
      [0x10f8, 16],
      [0x1180, 16],
    ]);
    expect(device.write(chain, 0, new Uint8Array(40).fill(5))).toBe(32);
    const got = new Uint8Array(16);
    memory.read(0x10f8, got);
    expect([...got]).toEqual(new Array(16).fill(5));
    memory.remove(0x1100);
    expect(device.write(chain, 0, new Uint8Array(40).fill(6))).toBe(0);
    device.push(chain, 32);
    expect(device.publish()).toBe(true);
  });
});

describe("every value is read once", () => {
  it("from an indirect table", () => {
    const reads = new Map<number, number>();
    const bytes = new Uint8Array(0x1000);
    const counting = new DataView(bytes.buffer);
    counting.getUint32 = (offset, littleEndian) => {
      reads.set(offset, (reads.get(offset) ?? 0) + 1);
      return DataView.prototype.getUint32.call(counting, offset, littleEndian);
    };
    class CountingMemory extends RegionMemory {
      override find(address: number, length: number): MemoryRegion | undefined {
        const region = super.find(address, length);
        return region && { ...region, view: counting };
      }
    }
    const memory = new CountingMemory();
    memory.add({ base: 0, bytes });
    const view = new DataView(bytes.buffer);
    put(view, 0, [[0x800, 32, INDIRECT]]);
    put(view, 0x800, [
      [0x900, 4, NEXT, 1],
      [0x904, 4, WRITE],
    ]);
    view.setUint16(0x102, 1, true);
    const device = createDeviceQueue({
      ...{ size: 4, memory, descriptorArea: 0, driverArea: 0x100, deviceArea: 0x200 },
      eventIdx: false,
      indirect: true,
    });
    expect(popOne(device).count).toBe(2);
    expect([...reads]).toEqual([0, 4, 8, 12, 16, 20, 24, 28].map((at) => [0x800 + at, 1]));
  });
});

describe("used entries", () => {
  it("[split-used-device-1] are whole before the index shows them", () => {
    const { driver, device, used } = makeRig();
    driver.add([BUFFER], [8], 1, 0);
    driver.publish();
    device.push(popOne(device), 7);
    expect([used.getUint16(2, true), used.getUint32(4, true), used.getUint32(8, true)]).toEqual([
      0, 0, 7,
    ]);
    device.publish();
    expect(used.getUint16(2, true)).toBe(1);
  });

  it.each([
    [9, 8],
    [2 ** 40, 8],
    [-1, 0],
    [8, 8],
  ])("report %d written bytes of 8 as %d", (written, reported) => {
    const { driver, device } = makeRig();
    driver.add([BUFFER], [8], 1, 0);
    driver.publish();
    device.push(popOne(device), written);
    device.publish();
    expect([driver.reap(), driver.usedLength]).toEqual([0, reported]);
  });

  it("are refused for a chain that is not held", () => {
    const { driver, device } = makeRig();
    const other = makeRig();
    for (const half of [driver, other.driver]) {
      half.add([BUFFER], [8], 1, 0);
      half.publish();
    }
    const chain = popOne(device);
    const refused = expect.objectContaining({ code: "QUEUE_CHAIN" });
    expect(() => device.push(popOne(other.device), 0)).toThrow(refused);
    expect(() => device.push({ ...chain }, 0)).toThrow(refused);
    device.push(chain, 0);
    expect(() => device.push(chain, 0)).toThrow(refused);
    device.publish();
    expect([driver.reap(), driver.reap(), device.outstanding]).toEqual([0, -1, 0]);
  });
});

describe("[split-desc-device-3] the descriptor table", () => {
  it("is never written by the device", () => {
    const { driver, device, table } = makeRig();
    for (let i = 0; i < 4; i++) driver.add([BUFFER, BUFFER + 8], [8, 8], 2, 1);
    const before = Buffer.from(table.buffer, table.byteOffset, table.byteLength).toString("hex");
    driver.publish();
    for (let i = 0; i < 4; i++) {
      const chain = popOne(device);
      device.write(chain, 0, new Uint8Array(8).fill(1));
      device.push(chain, 8);
    }
    device.publish();
    const after = Buffer.from(table.buffer, table.byteOffset, table.byteLength).toString("hex");
    expect(after).toBe(before);
  });
});

describe("what the driver half adds", () => {
  it("[split-indirect-driver-1] [split-indirect-driver-4] is in a table only with the feature, and for more than one segment", () => {
    for (const indirect of [false, true]) {
      const { driver, table } = makeRig({ indirect, tableEntries: 3 });
      driver.add([BUFFER, BUFFER], [1, 1], 2, 1);
      expect(table.getUint16(12, true)).toBe(indirect ? INDIRECT : NEXT);
      expect(driver.free).toBe(indirect ? 7 : 6);
      const free = driver.free;
      driver.add([BUFFER], [1], 1, 1);
      expect(driver.free).toBe(free - 1);
      driver.add([BUFFER, BUFFER, BUFFER, BUFFER], [1, 1, 1, 1], 4, 1);
      expect(driver.free).toBe(free - 5);
    }
  });

  const cases: [string, number[], number[], number, number][] = [
    ["no segment", [], [], 0, 0],
    ["[split-indirect-driver-3] more segments than the queue has", [], [], 9, 0],
    ["a fraction of a segment", [BUFFER, BUFFER], [1, 1], 1.5, 1],
    ["more readable segments than there are", [BUFFER], [1], 1, 2],
    ["a negative number of readable segments", [BUFFER], [1], 1, -1],
    ["a length of zero", [BUFFER, BUFFER], [1, 0], 2, 1],
    ["a length of 2^32", [BUFFER], [2 ** 32], 1, 1],
    ["a length that is missing", [BUFFER, BUFFER], [1], 2, 1],
    ["an address below zero", [-1], [1], 1, 1],
    ["an address beyond 2^53-1", [2 ** 53], [1], 1, 1],
    ["an address that is missing", [], [1], 1, 1],
    [
      "[split-desc-driver-1] more than 2^32 bytes",
      [BUFFER, BUFFER, BUFFER],
      [2 ** 31, 2 ** 31, 1],
      3,
      1,
    ],
  ];
  it.each(cases)("is refused: %s", (_, addresses, lengths, count, readableCount) => {
    for (const options of [{}, { indirect: true, tableEntries: 8 }]) {
      const { driver, device } = makeRig(options);
      const id = driver.add([BUFFER], [1], 1, 1);
      expect(() => driver.add(addresses, lengths, count, readableCount)).toThrow(
        expect.objectContaining({ code: "VALUE_RANGE" }),
      );
      expect([driver.free, driver.outstanding]).toEqual([7, 1]);
      driver.publish();
      expect([popOne(device).head, device.pop(), device.defect]).toEqual([
        id,
        undefined,
        undefined,
      ]);
    }
  });

  it("may be 2^32 bytes long", () => {
    const { driver } = makeRig();
    expect(driver.add([BUFFER, BUFFER], [2 ** 31, 2 ** 31], 2, 1)).toBe(0);
  });
});

describe("making a queue", () => {
  it.each([
    [1, 16, 8, 14],
    [256, 4096, 518, 2054],
    [32768, 524288, 65542, 262150],
  ])("[split-layout-driver-1] of %d entries takes so much memory", (size, table, avail, used) => {
    expect(splitAreaSizes(size)).toEqual({
      descriptorArea: { length: table, alignment: 16 },
      driverArea: { length: avail, alignment: 2 },
      deviceArea: { length: used, alignment: 4 },
    });
  });

  it.each([0, 3, 65536, 1.5, -1, Number.NaN])("refuses the size %d", (size) => {
    const { init } = makeRig();
    const refused = expect.objectContaining({ code: "QUEUE_SIZE", path: "queue.size" });
    expect(() => createDeviceQueue({ ...init, size })).toThrow(refused);
    expect(() => createDriverQueue({ ...init, size })).toThrow(refused);
  });

  const end = RIG_BASE + 0x10000 + 64 * 8;
  it.each([
    ["descriptorArea", RIG_BASE + 8],
    ["descriptorArea", end - 16 * 8 + 16],
    ["descriptorArea", 2 ** 53],
    ["descriptorArea", -16],
    ["driverArea", RIG_BASE + 1],
    ["driverArea", end - 20],
    ["deviceArea", RIG_BASE + 2],
    ["deviceArea", end - 64],
    ["deviceArea", Number.NaN],
  ] as const)("[split-layout-driver-1] refuses %s at %d", (area, address) => {
    const { init } = makeRig();
    const refused = expect.objectContaining({ code: "QUEUE_ADDRESS", path: `queue.${area}` });
    expect(() => createDeviceQueue({ ...init, [area]: address })).toThrow(refused);
    expect(() => createDriverQueue({ ...init, [area]: address })).toThrow(refused);
  });

  it.each([-1, 0x10000, 0.5])("refuses the start index %d", (startIndex) => {
    const { init } = makeRig();
    expect(() => createDeviceQueue({ ...init, startIndex })).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
  });

  it("refuses Atomics on bytes at an odd offset, and takes them plainly", () => {
    const bytes = new Uint8Array(new ArrayBuffer(0x1001), 1);
    const memory = createGuestMemory([{ base: 0, bytes }]);
    const init: DriverQueueInit = {
      ...{ size: 4, memory, descriptorArea: 0, driverArea: 0x100, deviceArea: 0x200 },
      eventIdx: true,
      indirect: false,
    };
    expect(() => createDriverQueue({ ...init, atomic: true })).toThrow(
      expect.objectContaining({ code: "QUEUE_ADDRESS" }),
    );
    const driver = createDriverQueue(init);
    const device = createDeviceQueue(init);
    driver.add([0x800], [4], 1, 1);
    expect(driver.publish()).toBe(true);
    expect(popOne(device).head).toBe(0);
  });

  it("touches no guest memory in the device half", () => {
    const { init, memory } = makeRig();
    const bytes = memory.find(RIG_BASE, 1)?.bytes as Uint8Array;
    bytes.fill(0xff);
    createDeviceQueue(init);
    expect(bytes.every((byte) => byte === 0xff)).toBe(true);
  });

  it("[split-avail-notification-driver-1] starts both rings afresh in the driver half", () => {
    const { init, avail, used } = makeRig({ eventIdx: true });
    for (const view of [avail, used]) for (let i = 0; i < view.byteLength; i++) view.setInt8(i, -1);
    createDriverQueue({ ...init, startIndex: 5 });
    expect([avail.getUint16(0, true), avail.getUint16(2, true)]).toEqual([0, 5]);
    expect([used.getUint16(0, true), used.getUint16(2, true)]).toEqual([0, 5]);
    expect([avail.getUint16(4 + 16, true), used.getUint16(4 + 64, true)]).toEqual([5, 5]);
  });
});

describe("stopping and making anew", () => {
  it("[vq-reset-device-1] [vq-reset-device-2] a stopped queue pops, writes and notifies nothing", () => {
    for (const eventIdx of [false, true]) {
      const { driver, device, memory } = makeRig({ eventIdx });
      for (let i = 0; i < 3; i++) driver.add([BUFFER], [8], 1, 0);
      driver.publish();
      const late = popOne(device);
      device.push(popOne(device), 8);
      device.stop();
      const bytes = memory.find(RIG_BASE, 1)?.bytes as Uint8Array;
      const before = bytes.slice();
      expect(device.write(late, 0, Uint8Array.of(1))).toBe(0);
      device.push(late, 8);
      device.disableNotifications();
      expect([device.pop(), device.publish(), device.enableNotifications()]).toEqual([
        undefined,
        false,
        false,
      ]);
      expect(Buffer.compare(bytes, before)).toBe(0);
    }
  });

  it("[vq-reset-device-3] [vq-reenable-device-1] [vq-reenable-driver-1] a queue made anew starts at 0, with another size and place", () => {
    const first = makeRig({ size: 8 });
    for (let i = 0; i < 5; i++) first.driver.add([BUFFER], [8], 1, 0);
    first.driver.publish();
    popOne(first.device);
    first.device.stop();
    const { driverArea } = first.init;
    const init = { ...first.init, size: 4, driverArea: driverArea + 2, eventIdx: true };
    const driver = createDriverQueue(init);
    const device = createDeviceQueue(init);
    expect([device.index, device.pop(), driver.reap(), driver.free]).toEqual([0, undefined, -1, 4]);
    const id = driver.add([BUFFER], [8], 1, 0);
    expect(driver.publish()).toBe(true);
    expect(popOne(device).head).toBe(id);
  });

  it("goes on from a given index", () => {
    const { driver, device, init } = makeRig({ startIndex: 0xffff });
    for (let i = 0; i < 2; i++) {
      driver.add([BUFFER], [8], 1, 0);
      driver.publish();
      device.push(popOne(device), 8);
      device.publish();
      driver.reap();
    }
    expect(device.index).toBe(1);
    const successor = createDeviceQueue({ ...init, startIndex: device.index });
    expect(successor.pop()).toBeUndefined();
    const id = driver.add([BUFFER], [8], 1, 0);
    driver.publish();
    successor.push(popOne(successor), 3);
    successor.publish();
    expect([driver.reap(), driver.usedLength]).toEqual([id, 3]);
  });
});
