import { describe, expect, it } from "vitest";
import { createGuestMemory } from "../../src/memory/index.ts";
import {
  type Chain,
  createDeviceQueue,
  createDriverQueue,
  type DeviceQueue,
  PVIRTQ_DESC,
  PVIRTQ_EVENT_SUPPRESS,
  packedAreaSizes,
  queueAreaSizes,
  splitAreaSizes,
} from "../../src/virtqueue/index.ts";
import {
  AVAIL,
  BUFFER,
  type Descriptor,
  hex,
  INDIRECT,
  memoryView,
  NEXT,
  put,
  TABLE,
  USED,
  WRAP,
  WRITE,
} from "./packed-rig.ts";
import { makeRig, RIG_BASE, type Rig, type RigOptions } from "./rig.ts";

function popOne(device: DeviceQueue): Chain {
  const chain = device.pop();
  if (chain === undefined) throw new Error(`nothing popped: ${device.defect}`);
  return chain;
}

const segments = (chain: Chain) =>
  Array.from({ length: chain.count }, (_, i) => [chain.addresses[i], chain.lengths[i]]);

const makePacked = (options: RigOptions = {}): Rig => makeRig({ ...options, packed: true });

describe("the declared layouts", () => {
  it("have the sizes and offsets of the text's structures", () => {
    expect([PVIRTQ_DESC.size, PVIRTQ_EVENT_SUPPRESS.size]).toEqual([16, 4]);
    expect([PVIRTQ_DESC.packed, PVIRTQ_EVENT_SUPPRESS.packed]).toEqual([false, false]);
    const { addr, len, id, flags } = PVIRTQ_DESC.fields;
    expect([addr, len, id, flags].map(({ offset, width }) => [offset, width])).toEqual([
      [0, 8],
      [8, 4],
      [12, 2],
      [14, 2],
    ]);
  });

  it("give the three parts of a queue of any size up to 32768", () => {
    for (const size of [1, 3, 1000, 32768]) {
      expect(packedAreaSizes(size)).toEqual({
        descriptorArea: { length: 16 * size, alignment: 16 },
        driverArea: { length: 4, alignment: 4 },
        deviceArea: { length: 4, alignment: 4 },
      });
    }
    expect(queueAreaSizes(8, true)).toEqual(packedAreaSizes(8));
    expect(queueAreaSizes(8, false)).toEqual(splitAreaSizes(8));
  });

  it.each([0, -1, 1.5, 32769, Number.NaN])("refuse a queue of %d entries", (size) => {
    expect(() => packedAreaSizes(size)).toThrow(expect.objectContaining({ code: "QUEUE_SIZE" }));
  });
});

describe("the bytes of a ring", () => {
  it("[packed-publish-driver-1+] [packed-list-driver-6+] shows a list by the flags of its first descriptor, which come last", () => {
    const { driver, device, table } = makePacked({ size: 4 });
    driver.add([BUFFER, BUFFER + 0x1000], [0x18, 0x10], 2, 1);
    // addr, len, id, flags: all but the word of the first is there.
    const first = "00800000010000001800000000000000";
    const second = "00900000010000001000000000008200";
    expect(hex(table, 0, 32)).toBe(first + second);
    expect(device.pop()).toBeUndefined();
    driver.publish();
    expect(hex(table, 0, 32)).toBe(`00800000010000001800000000008100${second}`);
    expect(popOne(device).count).toBe(2);
  });

  it.each([
    ["one readable buffer", [[BUFFER, 5]], 1, ["0080000001000000" + "05000000" + "0000" + "8000"]],
    ["one writable buffer", [[BUFFER, 5]], 0, ["0080000001000000" + "05000000" + "0000" + "8200"]],
    [
      "three elements",
      [
        [BUFFER, 1],
        [2 ** 53 - 1, 2],
        [0, 2 ** 32 - 4],
      ],
      2,
      [
        "0080000001000000" + "01000000" + "0000" + "8100",
        "ffffffffffff1f00" + "02000000" + "0000" + "8100",
        "0000000000000000" + "fcffffff" + "0000" + "8200",
      ],
    ],
  ] as [string, [number, number][], number, string[]][])(
    "writes %s as the text lays them out",
    (_, list, readable, expected) => {
      const { driver, table } = makePacked({ size: 4 });
      driver.add(
        list.map(([address]) => address),
        list.map(([, length]) => length),
        list.length,
        readable,
      );
      driver.publish();
      expect(hex(table, 0, 16 * list.length)).toBe(expected.join(""));
    },
  );

  it("writes a used descriptor over the first of its list: id, written length, both bits", () => {
    const { driver, device, table } = makePacked({ size: 4 });
    driver.add([BUFFER, BUFFER], [4, 8], 2, 1);
    driver.add([BUFFER], [4], 1, 1);
    driver.publish();
    const [first, second] = [popOne(device), popOne(device)];
    device.push(second, 0);
    device.push(first, 5);
    device.publish();
    // The second was done first: its descriptor stands where the first was made available.
    expect(hex(table, 8, 8)).toBe("00000000" + "0100" + "8080");
    expect(hex(table, 24, 8)).toBe("05000000" + "0000" + "8280");
    expect([driver.reap(), driver.usedLength]).toEqual([1, 0]);
    expect([driver.reap(), driver.usedLength, driver.reap()]).toEqual([0, 5, -1]);
  });

  it("turns both bits over with each round", () => {
    const { driver, device, table } = makePacked({ size: 3 });
    const flags: string[] = [];
    for (let i = 0; i < 10; i++) {
      driver.add([BUFFER], [1], 1, 1);
      driver.publish();
      const at = 16 * (i % 3) + 14;
      flags.push(table.getUint16(at, true).toString(16));
      device.push(popOne(device), 0);
      device.publish();
      flags.push(table.getUint16(at, true).toString(16));
      expect(driver.reap()).toBe(0);
    }
    const round = (available: string, used: string) =>
      [available, used, available, used, available, used] as const;
    expect(flags).toEqual([
      ...round("80", "8080"),
      ...round("8000", "0"),
      ...round("80", "8080"),
      ...["8000", "0"],
    ]);
  });

  it("sets the bits of a list that goes over the end by the round of each descriptor", () => {
    const { driver, device, table } = makePacked({ size: 3 });
    driver.add([BUFFER, BUFFER], [1, 1], 2, 2);
    driver.publish();
    device.push(popOne(device), 0);
    device.publish();
    driver.reap();
    driver.add([BUFFER, BUFFER, BUFFER], [1, 2, 3], 3, 1);
    driver.publish();
    const flagsAt = (slot: number) => table.getUint16(16 * slot + 14, true);
    expect([flagsAt(2), flagsAt(0), flagsAt(1)]).toEqual([
      AVAIL | NEXT,
      USED | NEXT | WRITE,
      USED | WRITE,
    ]);
    expect(segments(popOne(device)).map(([, length]) => length)).toEqual([1, 2, 3]);
  });

  it("[packed-indirect-driver-2+] puts buffers of more than one element into tables where it has any", () => {
    const { driver, table, memory } = makePacked({ size: 4, indirect: true, tableEntries: 2 });
    driver.add([BUFFER], [4], 1, 1);
    const id = driver.add([BUFFER, BUFFER + 0x100], [0x18, 0x10], 2, 1);
    driver.publish();
    expect([id, driver.free]).toEqual([1, 2]);
    const at = Number(table.getBigUint64(16, true));
    expect(hex(table, 24, 8)).toBe("20000000" + "0100" + "8400");
    const view = memory.find(at, 32)?.view as DataView;
    expect(hex(view, at - RIG_BASE, 32)).toBe(
      "00800000010000001800000000000000" + "00810000010000001000000000000200",
    );
  });
});

describe("the positions of a ring", () => {
  it.each([
    [0, WRAP],
    [2, 2 | WRAP],
    [0, 0],
    [2, 2],
  ])("goes on from offset %i, position 0x%s", (offset, startIndex) => {
    const { driver, device } = makePacked({ size: 3, startIndex });
    expect([device.index, device.publishedIndex]).toEqual([startIndex, startIndex]);
    expect([device.pop(), driver.reap(), device.defect, driver.defect]).toEqual([
      undefined,
      -1,
      undefined,
      undefined,
    ]);
    for (let i = 0; i < 7; i++) {
      driver.add([BUFFER], [1], 1, 0);
      driver.publish();
      device.push(popOne(device), 1);
      device.publish();
      expect([driver.reap(), driver.reap(), device.pop()]).toEqual([0, -1, undefined]);
      const wraps = Math.floor((offset + i + 1) / 3) % 2;
      expect(device.index).toBe(((offset + i + 1) % 3) | ((startIndex & WRAP) ^ (wraps * WRAP)));
    }
  });

  it("goes on in another device half, with what the first had written and not published", () => {
    for (const inRound of [0, 1, 2]) {
      const { driver, device, init } = makePacked({ size: 4 });
      for (let i = 0; i < inRound + 2; i++) {
        driver.add([BUFFER], [8], 1, 0);
        driver.publish();
        device.push(popOne(device), 1);
        device.publish();
        driver.reap();
      }
      driver.add([BUFFER], [8], 1, 0);
      driver.add([BUFFER, BUFFER], [4, 8], 2, 1);
      driver.publish();
      const [first, second] = [popOne(device), popOne(device)];
      device.push(second, 7);
      device.push(first, 0);
      expect(driver.reap()).toBe(-1);
      const { index, publishedIndex, notifications } = device;
      device.stop();
      const next = createDeviceQueue({ ...init, startIndex: index, publishedIndex, notifications });
      expect([next.index, next.publishedIndex]).toEqual([index, publishedIndex]);
      expect([next.publish(), next.publish()]).toEqual([true, false]);
      expect([next.publishedIndex, driver.reap(), driver.usedLength]).toEqual([
        index,
        second.head,
        7,
      ]);
      expect([driver.reap(), driver.usedLength, driver.free]).toEqual([first.head, 0, 4]);
      driver.add([BUFFER], [8], 1, 0);
      driver.publish();
      expect(popOne(next).writableLength).toBe(8);
    }
  });

  it.each([
    ["startIndex", { startIndex: 4 | WRAP }],
    ["startIndex", { startIndex: 0x10000 }],
    ["startIndex", { startIndex: -1 }],
    ["startIndex", { startIndex: 0.5 }],
    ["publishedIndex", { publishedIndex: 4 }],
    ["publishedIndex", { publishedIndex: 1 | WRAP }],
  ])("refuses a position that cannot be: %s, %j", (name, where) => {
    const { init } = makePacked({ size: 4 });
    expect(() => createDeviceQueue({ ...init, ...where })).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE", path: `queue.${name}` }),
    );
  });

  it.each([
    ["descriptorArea", 8],
    ["driverArea", 2],
    ["deviceArea", 2],
  ] as const)("[packed-layout-driver-1-] refuses a misplaced %s", (area, by) => {
    const { init } = makePacked();
    for (const make of [createDeviceQueue, createDriverQueue]) {
      expect(() => make({ ...init, [area]: init[area] + by })).toThrow(
        expect.objectContaining({ code: "QUEUE_ADDRESS", path: `queue.${area}` }),
      );
      expect(() => make({ ...init, [area]: 0x1000 })).toThrow(
        expect.objectContaining({ code: "QUEUE_ADDRESS", path: `queue.${area}` }),
      );
    }
  });

  it("refuses Atomics on bytes that are not aligned, and takes them plainly", () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(0x1002)).subarray(2);
    const memory = createGuestMemory([{ base: 0x1000, bytes }]);
    const init = {
      ...{ size: 4, memory, eventIdx: false, indirect: false, packed: true },
      ...{ descriptorArea: 0x1000, driverArea: 0x1040, deviceArea: 0x1044 },
    };
    expect(() => createDeviceQueue({ ...init, atomic: true })).toThrow(
      expect.objectContaining({ code: "QUEUE_ADDRESS", path: "queue.descriptorArea" }),
    );
    const driver = createDriverQueue(init);
    const device = createDeviceQueue(init);
    driver.add([0x1100], [1], 1, 1);
    driver.publish();
    expect(popOne(device).count).toBe(1);
  });
});

describe("a buffer that the device keeps while others come and go", () => {
  for (const others of [7, 8, 1001]) {
    it(`is taken back after ${others} of them`, () => {
      const { driver, device, arena } = makePacked({ size: 8, eventIdx: true });
      const at = arena.allocate(32, 8).address;
      const kept = driver.add([at], [8], 1, 0);
      driver.publish();
      const chain = popOne(device);
      for (let i = 0; i < others; i++) {
        const id = driver.add([at + 8], [8], 1, 0);
        driver.publish();
        device.push(popOne(device), 8);
        device.publish();
        if (driver.reap() !== id) throw new Error(`not reaped in round ${i}: ${driver.defect}`);
      }
      device.push(chain, 5);
      device.publish();
      driver.add([at + 16], [8], 1, 0);
      expect([driver.reap(), driver.usedLength, driver.defect]).toEqual([kept, 5, undefined]);
    });
  }
});

describe("lists that the device half takes", () => {
  function makeList(
    options: RigOptions,
    table: readonly Descriptor[],
    indirect: readonly Descriptor[] = [],
  ): Rig & { chain: Chain } {
    const rig = makePacked(options);
    put(rig.table, table);
    put(memoryView(rig), indirect, TABLE - RIG_BASE);
    return { ...rig, chain: popOne(rig.device) };
  }

  it("have the id of their last descriptor, and any of 16 bits", () => {
    for (const id of [0, 7, 8, 0xffff]) {
      const rig = makeList({}, [
        [BUFFER, 1, AVAIL | NEXT, 3],
        [BUFFER, 2, AVAIL | NEXT, 0xfff0],
        [BUFFER, 4, AVAIL | WRITE, id],
      ]);
      expect([rig.chain.head, rig.chain.count]).toEqual([id, 3]);
      rig.device.push(rig.chain, 4);
      rig.device.publish();
      expect(hex(rig.table, 8, 8)).toBe(
        `04000000${Buffer.from([id & 0xff, id >> 8]).toString("hex")}8280`,
      );
    }
  });

  it("take a table for what it is: every entry, and no flag but the write flag", () => {
    const { chain, device } = makeList(
      { indirect: true },
      [[TABLE, 48, AVAIL | INDIRECT | WRITE, 5]],
      [
        [BUFFER, 1, INDIRECT | USED, 99],
        [BUFFER + 1, 2, NEXT | WRITE, 98],
        [BUFFER + 3, 3, WRITE | NEXT | INDIRECT],
      ],
    );
    expect(segments(chain)).toEqual([
      [BUFFER, 1],
      [BUFFER + 1, 2],
      [BUFFER + 3, 3],
    ]);
    expect([chain.head, chain.readableCount, device.visited]).toEqual([5, 1, 4]);
  });

  it("take a table that no single region holds", () => {
    const pages = [0x10000, 0x11000].map((base) => ({ base, bytes: new Uint8Array(0x1000) }));
    const memory = createGuestMemory(pages);
    const init = {
      ...{ size: 4, memory, eventIdx: false, indirect: true, packed: true },
      ...{ descriptorArea: 0x10000, driverArea: 0x10100, deviceArea: 0x10104 },
    };
    const device = createDeviceQueue(init);
    const table = new DataView(new ArrayBuffer(48));
    put(table, [
      [0x10800, 1, 0],
      [0x10810, 2, 0],
      [0x11800, 3, WRITE],
    ]);
    memory.write(0x10fe8, new Uint8Array(table.buffer));
    put(memory.find(0x10000, 1)?.view as DataView, [[0x10fe8, 48, AVAIL | INDIRECT, 2]]);
    expect(segments(popOne(device))).toEqual([
      [0x10800, 1],
      [0x10810, 2],
      [0x11800, 3],
    ]);
  });

  it("leave out elements without bytes, wherever they point", () => {
    const { chain } = makeList({}, [
      [0, 0, AVAIL | NEXT],
      [BUFFER, 3, AVAIL | NEXT],
      [2 ** 53, 0, AVAIL | NEXT | WRITE],
      [BUFFER + 3, 3, AVAIL | WRITE],
    ]);
    expect(segments(chain)).toEqual([
      [BUFFER, 3],
      [BUFFER + 3, 3],
    ]);
    expect(chain.readableCount).toBe(1);
  });

  it("[packed-desc-device-3+] are those alone whose bits have turned over", () => {
    for (const flags of [0, USED, AVAIL | USED, NEXT | WRITE, USED | NEXT]) {
      const { device, table } = makePacked();
      put(table, [[BUFFER, 1, flags]]);
      expect([device.pop(), device.defect]).toEqual([undefined, undefined]);
    }
    for (const flags of [0, AVAIL, AVAIL | USED, AVAIL | NEXT]) {
      const { device, table } = makePacked({ startIndex: 0 });
      put(table, [[BUFFER, 1, flags]]);
      expect([device.pop(), device.defect]).toEqual([undefined, undefined]);
    }
  });

  it("[packed-desc-device-1+] [packed-indirect-driver-1+] keep their readable elements, whatever is written", () => {
    for (const indirect of [false, true]) {
      const { driver, device, memory, table } = makePacked({ size: 4, indirect, tableEntries: 3 });
      memory.write(BUFFER, Uint8Array.of(1, 2, 3, 4));
      driver.add([BUFFER, BUFFER + 4], [4, 4], 2, 1);
      driver.publish();
      expect((table.getUint16(14, true) & INDIRECT) !== 0).toBe(indirect);
      const chain = popOne(device);
      expect(device.write(chain, 0, new Uint8Array(9).fill(0xee))).toBe(4);
      device.push(chain, 4);
      device.publish();
      const bytes = new Uint8Array(8);
      memory.read(BUFFER, bytes);
      expect([...bytes]).toEqual([1, 2, 3, 4, 0xee, 0xee, 0xee, 0xee]);
    }
  });

  it("[packed-desc-device-4+] are left alone after their used descriptor", () => {
    const { driver, device, table } = makePacked({ size: 4 });
    for (let i = 0; i < 3; i++) driver.add([BUFFER], [8], 1, 0);
    driver.publish();
    const [first, second, third] = [popOne(device), popOne(device), popOne(device)];
    device.push(second, 2);
    device.publish();
    const used = hex(table, 0, 16);
    device.push(first, 1);
    device.push(third, 3);
    device.publish();
    device.pop();
    expect(hex(table, 0, 16)).toBe(used);
  });

  it("[packed-order-device-1+] [packed-order-device-2+] come out in the order of the ring, and go back in the order in which they are done", () => {
    const { driver, device } = makePacked({ size: 4 });
    const ids = [0, 1, 2, 3].map(() => driver.add([BUFFER], [8], 1, 0));
    driver.publish();
    const chains = ids.map(() => popOne(device));
    expect(chains.map(({ head }) => head)).toEqual(ids);
    for (const i of [2, 0, 3, 1]) device.push(chains[i] as Chain, i);
    device.publish();
    const reaped = ids.map(() => [driver.reap(), driver.usedLength]);
    expect(reaped).toEqual([2, 0, 3, 1].map((i) => [ids[i], i]));
  });
});

describe("what the driver half leaves undone", () => {
  it("[packed-list-driver-5+] [packed-list-driver-2+] a list for which the ring has no room changes nothing", () => {
    const { driver, table } = makePacked({ size: 4 });
    driver.add([BUFFER, BUFFER], [1, 1], 2, 2);
    const before = hex(table, 0, 64);
    expect(driver.add([BUFFER, BUFFER, BUFFER], [1, 1, 1], 3, 3)).toBe(-1);
    expect([hex(table, 0, 64), driver.free]).toEqual([before, 2]);
    expect(() => driver.add(new Array(5).fill(BUFFER), new Array(5).fill(1), 5, 5)).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE", path: "count" }),
    );
  });

  it("a list that is refused leaves no descriptor that looks available", () => {
    const { driver, device } = makePacked({ size: 4 });
    for (const lengths of [
      [1, 1, 0],
      [2 ** 32 - 1, 2 ** 32 - 1, 1],
    ]) {
      expect(() => driver.add([BUFFER, BUFFER, BUFFER], lengths, 3, 3)).toThrow(
        expect.objectContaining({ code: "VALUE_RANGE" }),
      );
    }
    driver.add([BUFFER], [7], 1, 1);
    driver.publish();
    expect(popOne(device).readableLength).toBe(7);
    expect([device.pop(), device.defect, driver.free]).toEqual([undefined, undefined, 3]);
  });

  it("[packed-desc-driver-1+] [packed-desc-driver-2+] it does not touch a descriptor between making it available and seeing it used", () => {
    const { driver, device, table } = makePacked({ size: 2 });
    driver.add([BUFFER], [8], 1, 0);
    driver.publish();
    const available = hex(table, 0, 16);
    driver.add([BUFFER], [8], 1, 0);
    driver.publish();
    const chain = popOne(device);
    expect([driver.reap(), driver.add([BUFFER], [8], 1, 0)]).toEqual([-1, -1]);
    expect(hex(table, 0, 16)).toBe(available);
    device.push(chain, 8);
    device.publish();
    const used = hex(table, 0, 16);
    expect(driver.add([BUFFER], [8], 1, 0)).toBe(-1);
    expect(hex(table, 0, 16)).toBe(used);
    driver.reap();
    expect(driver.add([BUFFER], [8], 1, 0)).toBe(0);
  });

  it("disregards the length of a used descriptor without the write flag", () => {
    const { driver, table } = makePacked();
    driver.add([BUFFER], [8], 1, 0);
    driver.publish();
    put(table, [[0, 0xffffffff, AVAIL | USED | NEXT | INDIRECT, 0]]);
    expect([driver.reap(), driver.usedLength, driver.defect]).toEqual([0, 0, undefined]);
  });
});
