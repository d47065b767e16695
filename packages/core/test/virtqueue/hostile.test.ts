import { describe, expect, it } from "vitest";
import { createGuestMemory } from "../../src/memory/index.ts";
import {
  createDeviceQueue,
  type DeviceQueue,
  QUEUE_DEFECTS,
  type QueueDefect,
} from "../../src/virtqueue/index.ts";
import { PACKED_DEFECTS } from "./garbage.ts";
import { makeRig, RIG_BASE, type Rig, type RigOptions } from "./rig.ts";

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;

const BUFFER = RIG_BASE + 0x8000;
const TABLE = RIG_BASE + 0x9000;

/** One descriptor: address, length, flags, next. */
type Descriptor = readonly [address: number | bigint, length: number, flags: number, next?: number];

function putDescriptors(view: DataView, descriptors: readonly Descriptor[], base = 0): void {
  for (const [i, [address, length, flags, next]] of descriptors.entries()) {
    view.setBigUint64(base + 16 * i, BigInt(address), true);
    view.setUint32(base + 16 * i + 8, length, true);
    view.setUint16(base + 16 * i + 12, flags, true);
    view.setUint16(base + 16 * i + 14, next ?? 0, true);
  }
}

/** Makes `heads` available, as no driver half would. */
function expose(rig: Rig, heads: readonly number[], idx = heads.length): void {
  for (const [i, head] of heads.entries()) rig.avail.setUint16(4 + 2 * i, head, true);
  rig.avail.setUint16(2, idx, true);
}

function memoryView(rig: Rig): DataView {
  const region = rig.memory.find(RIG_BASE, 1);
  if (region === undefined) throw new Error("no memory");
  return region.view;
}

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
const toTable = (entries: number, flags = INDIRECT): Descriptor => [TABLE, 16 * entries, flags];
const good: Descriptor = [BUFFER, 8, 0];

const DEVICE_CASES: readonly DeviceCase[] = [
  {
    defect: "index-jump",
    name: "the available index runs ahead by more than the ring has",
    table: [good],
    meddle: (rig) => expose(rig, [0], 9),
  },
  {
    defect: "index-jump",
    name: "[split-avail-driver-1] the available index goes back",
    table: [good, good],
    meddle: (rig) => {
      expose(rig, [0, 1]);
      rig.device.pop();
      rig.device.pop();
      rig.avail.setUint16(2, 1, true);
    },
  },
  {
    defect: "index-jump",
    name: "more is made available than the device has given back",
    table: [good, good, good, good, good, good, good, good],
    meddle: (rig) => {
      expose(rig, [0, 1, 2, 3, 4, 5, 6, 7]);
      for (let i = 0; i < 8; i++) {
        const chain = rig.device.pop();
        if (chain !== undefined) rig.device.push(chain, 0);
      }
      rig.avail.setUint16(2, 9, true);
    },
  },
  {
    defect: "head-range",
    name: "a head just past the table",
    meddle: (rig) => expose(rig, [8]),
  },
  { defect: "head-range", name: "a wild head", meddle: (rig) => expose(rig, [0xffff]) },
  {
    defect: "head-outstanding",
    name: "the same head twice",
    table: [good],
    meddle: (rig) => expose(rig, [0, 0]),
    before: 1,
  },
  {
    defect: "next-range",
    name: "a next field past the queue's table",
    table: [[BUFFER, 8, NEXT, 8]],
  },
  {
    defect: "next-range",
    name: "a next field past an indirect table, inside the queue's",
    options: withTables,
    table: [toTable(2)],
    indirect: [[BUFFER, 8, NEXT, 2], good],
  },
  {
    defect: "chain-loop",
    name: "[split-desc-driver-2] a descriptor that names itself",
    table: [[BUFFER, 8, NEXT, 0]],
  },
  {
    defect: "chain-loop",
    name: "[split-desc-driver-2] a longer loop of elements without bytes",
    table: [
      [BUFFER, 0, NEXT, 1],
      [BUFFER, 0, NEXT, 2],
      [BUFFER, 0, NEXT, 0],
    ],
  },
  {
    defect: "chain-loop",
    name: "[split-desc-driver-2] a loop inside an indirect table",
    options: withTables,
    table: [toTable(2)],
    indirect: [
      [BUFFER, 8, NEXT, 1],
      [BUFFER, 8, NEXT, 0],
    ],
  },
  {
    defect: "chain-length",
    name: "[split-indirect-driver-3] an indirect table with a longer chain than the queue has entries",
    options: { size: 4, indirect: true },
    table: [toTable(5)],
    indirect: [0, 1, 2, 3, 4].map((i) => [BUFFER, 8, i < 4 ? NEXT : 0, i + 1] as const),
  },
  {
    defect: "chain-length",
    name: "[split-indirect-driver-3] plain and indirect descriptors that are too many together",
    options: { size: 4, indirect: true },
    table: [
      [BUFFER, 8, NEXT, 1],
      [BUFFER, 8, NEXT, 2],
      [TABLE, 48, INDIRECT],
    ],
    indirect: [0, 1, 2].map((i) => [BUFFER, 8, i < 2 ? NEXT : 0, i + 1] as const),
  },
  {
    defect: "readable-after-writable",
    name: "[split-framing-driver-1] a readable element after a writable one",
    table: [
      [BUFFER, 8, NEXT | WRITE, 1],
      [BUFFER, 8, 0],
    ],
  },
  {
    defect: "readable-after-writable",
    name: "[split-framing-driver-1] the same across the start of an indirect table, without bytes",
    options: withTables,
    table: [[BUFFER, 0, NEXT | WRITE, 1], toTable(1)],
    indirect: [[BUFFER, 0, 0]],
  },
  {
    defect: "indirect-not-negotiated",
    name: "[split-indirect-driver-1] an indirect descriptor without the feature",
    table: [toTable(1)],
    indirect: [good],
  },
  {
    defect: "indirect-nested",
    name: "[split-indirect-driver-2] a table in a table",
    options: withTables,
    table: [toTable(1)],
    indirect: [toTable(1)],
  },
  {
    defect: "indirect-chained",
    name: "[split-indirect-driver-4] an indirect descriptor with NEXT",
    options: withTables,
    table: [[TABLE, 16, INDIRECT | NEXT, 1], good],
    indirect: [good],
  },
  ...[0, 8, 17, 0xffffffff].map(
    (length): DeviceCase => ({
      defect: "indirect-length",
      name: `an indirect table of ${length} bytes`,
      options: withTables,
      table: [[TABLE, length, INDIRECT]],
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
      table: [[address as number | bigint, length as number, WRITE]],
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
      table: [[address as number | bigint, length as number, INDIRECT]],
    }),
  ),
  {
    defect: "table-unmapped",
    name: "a good chain, then a bad one",
    options: withTables,
    table: [good, [0, 16, INDIRECT]],
    meddle: (rig) => expose(rig, [0, 1]),
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
      const rig = makeRig(options);
      putDescriptors(rig.table, table ?? []);
      putDescriptors(memoryView(rig), indirect ?? [], TABLE - RIG_BASE);
      if (meddle === undefined) expose(rig, [0]);
      else meddle(rig);
      expect(drain(rig.device)).toBe(before ?? 0);
      expect(rig.device.defect).toBe(defect);
      const index = rig.device.index;
      expose(rig, [0, 1], index + 1);
      expect([rig.device.pop(), rig.device.enableNotifications()]).toEqual([undefined, false]);
      expect([rig.device.defect, rig.device.index]).toEqual([defect, index]);
    },
  );

  it("total-length: [split-desc-driver-1] a chain of one byte more than 2^32", () => {
    const half = 2 ** 31;
    // One mapped gigabyte is enough of a buffer when many elements name the same bytes.
    const room = 2 ** 30;
    const memory = createGuestMemory([
      { base: 0, bytes: new Uint8Array(0x1000) },
      { base: half, bytes: new Uint8Array(room) },
    ]);
    const init = {
      size: 8,
      memory,
      descriptorArea: 0,
      driverArea: 0x200,
      deviceArea: 0x400,
      eventIdx: false,
      indirect: false,
    };
    const view = memory.find(0, 1)?.view as DataView;
    const chain = (last: number) => {
      putDescriptors(view, [
        [half, room, NEXT, 1],
        [half, room, NEXT, 2],
        [half, room, NEXT | WRITE, 3],
        [half, room - 1, NEXT | WRITE, 4],
        [half, last, WRITE],
      ]);
      view.setUint16(0x202, 1, true);
      const device = createDeviceQueue(init);
      return { device, popped: device.pop() };
    };
    expect(chain(1).popped).toMatchObject({ readableLength: half, writableLength: half });
    expect(chain(2).device.defect).toBe("total-length");
  });

  it("segment-budget: heads that share one long chain", () => {
    const size = 1024;
    const rig = makeRig({ size });
    putDescriptors(
      rig.table,
      Array.from({ length: size }, (_, i) => [BUFFER, 1, i + 1 < size ? NEXT : 0, i + 1] as const),
    );
    expose(
      rig,
      Array.from({ length: size }, (_, i) => i),
    );
    const popped = drain(rig.device);
    expect(rig.device.defect).toBe("segment-budget");
    const segments = (popped * (size + (size - popped + 1))) / 2;
    expect(segments).toBeLessThanOrEqual(8 * 32768);
    expect(segments + (size - popped)).toBeGreaterThan(8 * 32768);
  });
});

describe("the driver half gives up, quietly, on", () => {
  /** Two buffers with the device (ids 0 and 1, room for 8 bytes each), a third not published. */
  function makeBusy(): Rig {
    const rig = makeRig();
    rig.driver.add([BUFFER, BUFFER], [4, 8], 2, 1);
    rig.driver.add([BUFFER], [8], 1, 0);
    rig.driver.publish();
    rig.driver.add([BUFFER], [8], 1, 0);
    return rig;
  }
  const use = (rig: Rig, entries: readonly (readonly [number, number])[], idx = entries.length) => {
    for (const [i, [id, length]] of entries.entries()) {
      rig.used.setUint32(4 + 8 * i, id, true);
      rig.used.setUint32(8 + 8 * i, length, true);
    }
    rig.used.setUint16(2, idx, true);
  };
  const cases: [QueueDefect, string, (rig: Rig) => void, number][] = [
    ["index-jump", "the used index ahead of what is with the device", (rig) => use(rig, [], 3), 0],
    ["index-jump", "a wild used index", (rig) => use(rig, [], 0xffff), 0],
    [
      "index-jump",
      "a used index that goes back",
      (rig) => {
        use(rig, [[0, 0]]);
        rig.driver.reap();
        rig.used.setUint16(2, 0, true);
      },
      0,
    ],
    ["used-id", "an id past the table", (rig) => use(rig, [[8, 0]]), 0],
    ["used-id", "an id of 32 bits whose low half is good", (rig) => use(rig, [[0x10000, 0]]), 0],
    ["used-id", "a descriptor inside a chain", (rig) => use(rig, [[1, 0]]), 0],
    ["used-id", "a free descriptor", (rig) => use(rig, [[7, 0]]), 0],
    ["used-id", "a buffer that is not published", (rig) => use(rig, [[3, 0]]), 0],
    [
      "used-id",
      "the same buffer twice",
      (rig) =>
        use(rig, [
          [0, 8],
          [0, 8],
        ]),
      1,
    ],
    ["used-length", "one byte more than there was room", (rig) => use(rig, [[0, 9]]), 0],
    ["used-length", "the largest length", (rig) => use(rig, [[2, 0xffffffff]]), 0],
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

  it("keeps its own record: a table that the device overwrote changes nothing", () => {
    const { driver, device, table } = makeRig();
    expect([driver.add([BUFFER, BUFFER], [4, 8], 2, 1), driver.add([BUFFER], [1], 1, 1)]).toEqual([
      0, 2,
    ]);
    driver.publish();
    const chains = [device.pop(), device.pop()];
    for (let i = 0; i < table.byteLength; i++) table.setUint8(i, 0xff);
    for (const chain of chains) if (chain !== undefined) device.push(chain, chain.writableLength);
    device.publish();
    expect([driver.reap(), driver.usedLength]).toEqual([0, 8]);
    expect([driver.reap(), driver.usedLength, driver.free]).toEqual([2, 0, 8]);
    const ids = Array.from({ length: 9 }, () => driver.add([BUFFER], [1], 1, 1));
    expect([...new Set(ids)].sort((a, b) => a - b)).toEqual([-1, 0, 1, 2, 3, 4, 5, 6, 7]);
  });
});

describe("the table of defects", () => {
  it("has a crafted ring above for every name that a split ring can earn", () => {
    const crafted = new Set<string>([
      ...DEVICE_CASES.map(({ defect }) => defect),
      "total-length",
      "segment-budget",
      "used-id",
      "used-length",
      "used-order",
    ]);
    const all = Object.keys(QUEUE_DEFECTS).filter((name) => !PACKED_DEFECTS.includes(name));
    expect([...crafted].sort()).toEqual(all.sort());
  });
});
