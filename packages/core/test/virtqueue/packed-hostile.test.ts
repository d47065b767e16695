import { describe, expect, it } from "vitest";
import { createGuestMemory } from "../../src/memory/index.ts";
import {
  createDeviceQueue,
  createDriverQueue,
  type DeviceQueue,
  QUEUE_DEFECTS,
  type QueueDefect,
} from "../../src/virtqueue/index.ts";
import { SPLIT_DEFECTS } from "./garbage.ts";
import {
  AVAIL,
  BUFFER,
  type Descriptor,
  INDIRECT,
  memoryView,
  NEXT,
  put,
  TABLE,
  USED,
  WRITE,
} from "./packed-rig.ts";
import { makeRig, RIG_BASE, type Rig, type RigOptions } from "./rig.ts";

interface DeviceCase {
  readonly defect: QueueDefect;
  readonly name: string;
  readonly options?: RigOptions;
  readonly table?: readonly Descriptor[];
  readonly indirect?: readonly Descriptor[];
  readonly meddle?: (rig: Rig) => void;
  /** How many buffers come out before the device gives up. */
  readonly before?: number;
}

const withTables: RigOptions = { indirect: true };
const good: Descriptor = [BUFFER, 8, AVAIL];
const linked: Descriptor = [BUFFER, 8, AVAIL | NEXT];
const toTable = (entries: number): Descriptor => [TABLE, 16 * entries, AVAIL | INDIRECT];
const many = (count: number, each: Descriptor): Descriptor[] => new Array(count).fill(each);

const DEVICE_CASES: readonly DeviceCase[] = [
  {
    defect: "ring-overrun",
    name: "[packed-desc-driver-1-] the next round of descriptors that the device still holds",
    options: { size: 2 },
    table: [[BUFFER, 8, AVAIL, 0] as Descriptor, [BUFFER, 8, AVAIL, 1]],
    meddle: (rig) => {
      rig.device.pop();
      rig.device.pop();
      put(rig.table, [[BUFFER, 8, USED, 2]]);
    },
  },
  {
    defect: "ring-overrun",
    name: "a list that goes on in descriptors which the device has used and not published",
    options: { size: 3 },
    table: [good, good],
    meddle: (rig) => {
      const first = rig.device.pop();
      if (first !== undefined) rig.device.push(first, 0);
      put(rig.table, [good], 16);
      rig.device.pop();
      put(rig.table, [linked], 32);
      put(rig.table, [
        [BUFFER, 8, USED | NEXT],
        [BUFFER, 8, USED, 3],
      ]);
    },
  },
  {
    defect: "list-unavailable",
    name: "[packed-list-driver-6-] a list whose second descriptor is not available",
    table: [linked, [BUFFER, 8, 0]],
  },
  {
    defect: "list-unavailable",
    name: "[packed-list-driver-6-] a list that goes on in a used descriptor",
    table: [linked, [BUFFER, 8, AVAIL | USED]],
  },
  {
    defect: "list-unavailable",
    name: "a list over the end of the ring without a turn of its bits",
    options: { size: 2, startIndex: 1 | 0x8000 },
    table: [good, linked],
  },
  {
    defect: "chain-length",
    name: "[packed-list-driver-2-] a list that never ends: all around the ring",
    table: many(8, linked),
  },
  {
    defect: "head-outstanding",
    name: "the same id twice",
    table: [
      [BUFFER, 8, AVAIL, 3],
      [BUFFER, 8, AVAIL, 3],
    ],
    before: 1,
  },
  {
    defect: "head-outstanding",
    name: "the same id beyond the ring twice",
    table: [
      [BUFFER, 8, AVAIL, 0xffff],
      [BUFFER, 8, AVAIL, 0xffff],
    ],
    before: 1,
  },
  {
    defect: "chain-length",
    name: "[packed-list-driver-2-] a table of more descriptors than the queue has entries",
    options: { size: 4, indirect: true },
    table: [toTable(5)],
    indirect: many(5, [BUFFER, 8, 0]),
  },
  {
    defect: "chain-length",
    name: "the same with no bytes in them",
    options: { size: 4, indirect: true },
    table: [toTable(64)],
  },
  {
    defect: "readable-after-writable",
    name: "[packed-list-driver-3-] a readable element after a writable one",
    table: [[BUFFER, 8, AVAIL | NEXT | WRITE], good],
  },
  {
    defect: "readable-after-writable",
    name: "[packed-list-driver-3-] the same inside a table, without bytes",
    options: withTables,
    table: [toTable(2)],
    indirect: [
      [BUFFER, 0, WRITE],
      [BUFFER, 0, 0],
    ],
  },
  {
    defect: "indirect-not-negotiated",
    name: "[packed-indirect-driver-1-] an indirect descriptor without the feature",
    table: [toTable(1)],
    indirect: [good],
  },
  {
    defect: "indirect-chained",
    name: "[packed-indirect-driver-4-] an indirect descriptor with NEXT",
    options: withTables,
    table: [[TABLE, 16, AVAIL | INDIRECT | NEXT], good],
    indirect: [good],
  },
  {
    defect: "indirect-chained",
    name: "[packed-indirect-driver-4-] an indirect descriptor at the end of a list",
    options: withTables,
    table: [linked, toTable(1)],
    indirect: [good],
  },
  ...[0, 8, 17, 0xffffffff].map(
    (length): DeviceCase => ({
      defect: "indirect-length",
      name: `an indirect table of ${length} bytes`,
      options: withTables,
      table: [[TABLE, length, AVAIL | INDIRECT]],
      indirect: [good],
    }),
  ),
  ...[
    ["between regions", 0x10, 8],
    ["past the end", RIG_BASE + 0x10000 + 64 * 8 - 4, 8],
    ["as long as a length can be", BUFFER, 0xffffffff],
    ["at 2^53", 2 ** 53, 1],
    ["at 2^64-1", 2n ** 64n - 1n, 0xffffffff],
    ["whose low half alone would be inside", (1n << 63n) + BigInt(BUFFER), 8],
  ].map(
    ([where, address, length]): DeviceCase => ({
      defect: "buffer-unmapped",
      name: `a buffer ${where}`,
      table: [[address as number | bigint, length as number, AVAIL | WRITE]],
    }),
  ),
  ...[
    ["outside memory", 0x10, 16],
    ["past the end", RIG_BASE + 0x10000 + 64 * 8 - 8, 16],
    ["as long as a length can be", TABLE, 0xfffffff0],
    ["at 2^64-16", 2n ** 64n - 16n, 16],
  ].map(
    ([where, address, length]): DeviceCase => ({
      defect: "table-unmapped",
      name: `an indirect table ${where}`,
      options: withTables,
      table: [[address as number | bigint, length as number, AVAIL | INDIRECT]],
    }),
  ),
  {
    defect: "table-unmapped",
    name: "a good buffer, then a bad one",
    options: withTables,
    table: [good, [0, 16, AVAIL | INDIRECT, 1]],
    before: 1,
  },
];

function drain(device: DeviceQueue): number {
  let count = 0;
  while (device.pop() !== undefined) count++;
  return count;
}

describe("the device half gives up, quietly, on", () => {
  it.each(DEVICE_CASES)(
    "$defect: $name",
    ({ defect, options, table, indirect, meddle, before }) => {
      const rig = makeRig({ ...options, packed: true });
      put(rig.table, table ?? []);
      put(memoryView(rig), indirect ?? [], TABLE - RIG_BASE);
      meddle?.(rig);
      expect(drain(rig.device)).toBe(before ?? 0);
      expect(rig.device.defect).toBe(defect);
      const { index } = rig.device;
      put(rig.table, many(rig.device.size, good));
      expect([rig.device.pop(), rig.device.enableNotifications()]).toEqual([undefined, false]);
      expect([rig.device.defect, rig.device.index]).toEqual([defect, index]);
    },
  );

  it("total-length: a list of one byte more than 2^32", () => {
    const half = 2 ** 31;
    // One mapped gigabyte is enough of a buffer when many elements name the same bytes.
    const room = 2 ** 30;
    const memory = createGuestMemory([
      { base: 0, bytes: new Uint8Array(0x1000) },
      { base: half, bytes: new Uint8Array(room) },
    ]);
    const init = {
      ...{ size: 8, memory, eventIdx: false, indirect: false, packed: true },
      ...{ descriptorArea: 0, driverArea: 0x200, deviceArea: 0x400 },
    };
    const view = memory.find(0, 1)?.view as DataView;
    const list = (last: number) => {
      put(view, [
        [half, room, AVAIL | NEXT],
        [half, room, AVAIL | NEXT],
        [half, room, AVAIL | NEXT | WRITE],
        [half, room - 1, AVAIL | NEXT | WRITE],
        [half, last, AVAIL | WRITE],
      ]);
      const device = createDeviceQueue(init);
      return { device, popped: device.pop() };
    };
    expect(list(1).popped).toMatchObject({ readableLength: half, writableLength: half });
    expect(list(2).device.defect).toBe("total-length");
  });

  it("segment-budget: descriptors that share one long table", () => {
    const size = 1024;
    const rig = makeRig({ size, packed: true, indirect: true, memoryLength: 0x20000 });
    put(memoryView(rig), many(size, [BUFFER, 1, 0]), 0x10000);
    const table = RIG_BASE + 0x10000;
    put(
      rig.table,
      Array.from({ length: size }, (_, id) => [table, 16 * size, AVAIL | INDIRECT, id] as const),
    );
    expect([drain(rig.device), rig.device.defect]).toEqual([256, "segment-budget"]);
  });
});

describe("the driver half gives up, quietly, on", () => {
  /** Two buffers with the device (ids 0 and 1, room for 8 bytes each), a third not published. */
  function makeBusy(): Rig {
    const rig = makeRig({ packed: true });
    rig.driver.add([BUFFER, BUFFER], [4, 8], 2, 1);
    rig.driver.add([BUFFER], [8], 1, 0);
    rig.driver.publish();
    rig.driver.add([BUFFER], [8], 1, 0);
    return rig;
  }
  const use = (rig: Rig, slot: number, id: number, length: number, flags = WRITE) => {
    put(rig.table, [[0, length, AVAIL | USED | flags, id]], 16 * slot);
  };
  const cases: [QueueDefect, string, (rig: Rig) => void, number][] = [
    ["used-id", "an id past the ring", (rig) => use(rig, 0, 8, 0), 0],
    ["used-id", "the largest id", (rig) => use(rig, 0, 0xffff, 0), 0],
    ["used-id", "a free id", (rig) => use(rig, 0, 7, 0), 0],
    ["used-id", "a buffer that is not published", (rig) => use(rig, 0, 2, 0), 0],
    [
      "used-id",
      "the same buffer twice",
      (rig) => {
        use(rig, 0, 0, 8);
        use(rig, 2, 0, 8);
      },
      1,
    ],
    [
      "used-id",
      "more than was ever made available",
      (rig) => {
        use(rig, 0, 1, 8);
        use(rig, 1, 0, 8);
        use(rig, 3, 0, 8);
      },
      2,
    ],
    ["used-length", "one byte more than there was room", (rig) => use(rig, 0, 0, 9), 0],
    ["used-length", "the largest length", (rig) => use(rig, 0, 1, 0xffffffff), 0],
  ];
  it.each(cases)("%s: %s", (defect, _, meddle, before) => {
    const rig = makeBusy();
    meddle(rig);
    let reaped = 0;
    while (rig.driver.reap() >= 0) reaped++;
    expect([reaped, rig.driver.defect]).toEqual([before, defect]);
    const { free, outstanding } = rig.driver;
    expect(rig.driver.add([BUFFER], [8], 1, 0)).toBe(-1);
    expect([rig.driver.free, rig.driver.outstanding]).toEqual([free, outstanding]);
    expect([rig.driver.reap(), rig.driver.enableNotifications()]).toEqual([-1, false]);
  });

  it.each([
    { unflaggedLengths: false, used: 0, what: "is ignored" },
    { unflaggedLengths: true, used: 6, what: "is believed where that is asked for" },
  ])("a length without the write flag $what", ({ unflaggedLengths, used }) => {
    const rig = makeRig({ packed: true });
    const driver = createDriverQueue({ ...rig.init, unflaggedLengths });
    for (let round = 0; round < 2 * driver.size; round++) {
      driver.add([BUFFER], [8], 1, 0);
      driver.publish();
      const turn = round < driver.size ? AVAIL | USED : 0;
      put(rig.table, [[0, 6, turn, 0]], 16 * (round % driver.size));
      expect([driver.reap(), driver.usedLength]).toEqual([0, used]);
    }
    driver.add([BUFFER], [8], 1, 0);
    driver.publish();
    put(rig.table, [[0, 9, AVAIL | USED, 0]]);
    expect([driver.reap(), driver.defect]).toEqual(
      unflaggedLengths ? [-1, "used-length"] : [0, undefined],
    );
  });

  it("keeps its own record: a ring that the device overwrote changes nothing", () => {
    const { driver, device, table } = makeRig({ packed: true });
    expect([driver.add([BUFFER, BUFFER], [4, 8], 2, 1), driver.add([BUFFER], [1], 1, 1)]).toEqual([
      0, 1,
    ]);
    driver.publish();
    const chains = [device.pop(), device.pop()];
    // No descriptor looks used but those that the device uses.
    for (let i = 0; i < table.byteLength; i++) table.setUint8(i, i % 16 === 15 ? 0x7f : 0xff);
    for (const chain of chains) if (chain !== undefined) device.push(chain, chain.writableLength);
    device.publish();
    expect([driver.reap(), driver.usedLength]).toEqual([0, 8]);
    put(table, [[0, 0, AVAIL | USED, 1]], 32);
    expect([driver.reap(), driver.usedLength, driver.free]).toEqual([1, 0, 8]);
    const ids = Array.from({ length: 9 }, () => driver.add([BUFFER], [1], 1, 1));
    expect([...new Set(ids)].sort((a, b) => a - b)).toEqual([-1, 0, 1, 2, 3, 4, 5, 6, 7]);
  });
});

describe("the table of defects", () => {
  it("has a crafted ring above for every name that a packed ring can earn", () => {
    const crafted = new Set<string>([
      ...DEVICE_CASES.map(({ defect }) => defect),
      ...["total-length", "segment-budget", "used-id", "used-length"],
    ]);
    const all = Object.keys(QUEUE_DEFECTS).filter((name) => !SPLIT_DEFECTS.includes(name));
    expect([...crafted].sort()).toEqual(all.sort());
  });
});
