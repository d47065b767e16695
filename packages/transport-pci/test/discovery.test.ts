/** The driver half against capability lists that are strange or hostile. */
import { createGuestMemory, DmaArena, isVirtioError } from "@virtio-admin/core";
import { type PciBus, PciDriver } from "@virtio-admin/transport-pci";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MEMORY_BASE, MEMORY_LENGTH } from "./rig.ts";

const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_LENGTH) }]);
const dma = new DmaArena(memory, MEMORY_BASE, MEMORY_LENGTH);

/** Configuration space as bytes that any write changes, and how often it was read. */
class ImageBus implements PciBus {
  readonly bytes: Uint8Array;
  reads = 0;
  readonly writes: number[] = [];

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  configRead(offset: number, size: number): number {
    this.reads++;
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.bytes[offset + i] ?? 0xff);
    return value;
  }

  configWrite(offset: number, size: number, value: number): void {
    this.writes.push(offset);
    for (let i = 0; i < size; i++) this.bytes[offset + i] = (value >>> (8 * i)) & 0xff;
  }

  barRead(): number {
    return 0;
  }

  barWrite(): void {}

  onInterrupt(): void {}
}

interface Cap {
  readonly type: number;
  readonly bar?: number;
  readonly offset?: number;
  readonly length?: number;
  readonly capLen?: number;
  readonly at?: number;
  readonly next?: number;
  readonly id?: number;
}

const COMMON: Cap = { type: 1, length: 64 };
const ISR: Cap = { type: 3, offset: 0x1000, length: 1 };
const NOTIFY: Cap = { type: 2, offset: 0x3000, length: 0x1000, capLen: 20 };

interface Image {
  readonly caps: readonly Cap[];
  readonly bars?: readonly number[];
  readonly header?: Readonly<Record<number, number>>;
}

function image({ caps, bars = [0xfe000000], header = {} }: Image): ImageBus {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x10441af4, true);
  bytes[6] = 0x10;
  bytes[8] = 1;
  bars.forEach((bar, i) => {
    view.setUint32(0x10 + 4 * i, bar, true);
  });
  let at = 0x40;
  bytes[0x34] = caps.length === 0 ? 0 : (caps[0]?.at ?? at);
  caps.forEach((cap, i) => {
    const place = cap.at ?? at;
    at = place + 20;
    const following = caps[i + 1];
    bytes[place] = cap.id ?? 9;
    bytes[place + 1] = cap.next ?? (following === undefined ? 0 : (following.at ?? at));
    if (place + 20 > 256) return;
    bytes[place + 2] = cap.capLen ?? 16;
    bytes[place + 3] = cap.type;
    bytes[place + 4] = cap.bar ?? 0;
    view.setUint32(place + 8, cap.offset ?? 0, true);
    view.setUint32(place + 12, cap.length ?? 0, true);
    if (cap.type === 2) view.setUint32(place + 16, 4, true);
  });
  for (const [offset, value] of Object.entries(header)) bytes[Number(offset)] = value;
  return new ImageBus(bytes);
}

const open = async (bus: PciBus, assignBarsAt?: number) => {
  const driver = new PciDriver({
    bus,
    dma,
    ...(assignBarsAt === undefined ? {} : { assignBarsAt }),
  });
  const identity = await driver.open();
  return { identity, found: driver.discovery! };
};

describe("a usable list", () => {
  it.each<[string, Image, Record<string, unknown>]>([
    ["the plain one", { caps: [COMMON, ISR, NOTIFY] }, {}],
    [
      "[pci-capability-driver-1] reserved types",
      { caps: [{ ...COMMON, type: 6, length: 99 }, { ...COMMON, type: 255 }, COMMON, ISR, NOTIFY] },
      {},
    ],
    [
      "[pci-capability-driver-2] two of a type",
      { caps: [COMMON, { ...COMMON, offset: 0x40 }, ISR, NOTIFY] },
      {},
    ],
    [
      "[pci-capability-driver-3] a cap_len of 255",
      { caps: [{ ...COMMON, capLen: 255 }, ISR, { ...NOTIFY, capLen: 24 }] },
      {},
    ],
    [
      "[pci-capability-driver-4] a reserved bar first",
      { caps: [{ ...COMMON, bar: 6 }, { ...COMMON, bar: 255 }, COMMON, ISR, NOTIFY] },
      {},
    ],
    [
      "[pci-capability-driver-6] an unexpectedly large length",
      { caps: [{ ...COMMON, length: 0x80000000 }, ISR, NOTIFY] },
      { common: { bar: 0, offset: 0, length: 0x80000000 } },
    ],
    [
      "[pci-capability-driver-7] one that is too short first",
      { caps: [{ ...COMMON, length: 55 }, COMMON, ISR, { ...NOTIFY, length: 1 }, NOTIFY] },
      {},
    ],
    ["a BAR without address first", { caps: [{ ...COMMON, bar: 1 }, COMMON, ISR, NOTIFY] }, {}],
    [
      "the upper half of a 64-bit BAR first",
      { caps: [{ ...COMMON, bar: 3 }, COMMON, ISR, NOTIFY], bars: [0xfe000000, 0, 0x10000004, 1] },
      {},
    ],
    ["a misaligned one first", { caps: [{ ...COMMON, offset: 2 }, COMMON, ISR, NOTIFY] }, {}],
    [
      "one that ends beyond 4 GiB first",
      { caps: [{ ...COMMON, offset: 0xfffffff0 }, COMMON, ISR, NOTIFY] },
      {},
    ],
    [
      "a cap_len that is too small first",
      { caps: [{ ...COMMON, capLen: 8 }, COMMON, ISR, { ...NOTIFY, capLen: 16 }, NOTIFY] },
      {},
    ],
    [
      "capabilities of others between",
      { caps: [{ type: 0, id: 1 }, COMMON, { type: 0, id: 5 }, ISR, NOTIFY] },
      {},
    ],
    ["low bits in pointers", { caps: [COMMON, ISR, NOTIFY], header: { 52: 0x43 } }, {}],
    ["a loop after what is needed", { caps: [COMMON, ISR, { ...NOTIFY, next: 0x40 }] }, {}],
    [
      "a loop onto itself at the end",
      { caps: [COMMON, ISR, NOTIFY, { type: 9, at: 0xa0, next: 0xa0 }] },
      {},
    ],
    ["an end in the header", { caps: [COMMON, ISR, { ...NOTIFY, next: 0x10 }] }, {}],
    [
      "one that sticks out at the end",
      { caps: [COMMON, ISR, NOTIFY, { ...COMMON, at: 0xfc }] },
      {},
    ],
    [
      "64-bit BARs",
      {
        caps: [
          { ...COMMON, bar: 4 },
          { ...ISR, bar: 4 },
          { ...NOTIFY, bar: 4 },
        ],
        bars: [0, 0, 0, 0, 0xc, 0x20],
      },
      { common: { bar: 4, offset: 0, length: 64 } },
    ],
    ["I/O BARs", { caps: [COMMON, ISR, { ...NOTIFY, bar: 1 }], bars: [0xfe000000, 0xc001] }, {}],
  ])("is read: %s", async (_name, layout, expected) => {
    const { identity, found } = await open(image(layout));
    expect(identity).toEqual({ deviceId: 4, vendorId: 0x1af4 });
    expect(found.structures.common).toEqual({
      bar: 0,
      offset: 0,
      length: 64,
      ...(expected["common"] ?? {}),
    });
    expect(found.structures.isr?.length).toBe(1);
    expect(found.structures.notify?.length).toBe(0x1000);
    expect(found.notifyOffMultiplier).toBe(4);
  });

  it("[pci-capability-driver-8] writes to nothing but Command", async () => {
    const bus = image({ caps: [COMMON, ISR, NOTIFY] });
    await open(bus);
    expect(new Set(bus.writes)).toEqual(new Set([4]));
  });

  it("says why it passed a capability over", async () => {
    const { found } = await open(image({ caps: [{ ...COMMON, bar: 7 }, COMMON, ISR, NOTIFY] }));
    expect(found.passedOver).toEqual([{ at: 0x40, why: "common: bar 7 is reserved" }]);
  });
});

describe("discovery", () => {
  it.each([
    [0x1040, 0],
    [0x1041, 1],
    [0x1044, 4],
    [0x107f, 0x3f],
  ])("[pci-discovery-driver-1] matches device id %i", async (pci, deviceId) => {
    const layout = { caps: [COMMON, ISR, NOTIFY], header: { 2: pci & 0xff, 3: pci >>> 8 } };
    expect((await open(image(layout))).identity.deviceId).toBe(deviceId);
  });

  it.each([
    [0x1000, 1],
    [0x1001, 2],
    [0x1002, 5],
    [0x1003, 3],
    [0x1004, 8],
    [0x1005, 4],
    [0x1009, 9],
  ])("[pci-discovery-driver-2] matches transitional device id %i", async (pci, deviceId) => {
    const layout = { caps: [COMMON, ISR, NOTIFY], header: { 2: pci & 0xff, 3: pci >>> 8 } };
    expect((await open(image(layout))).identity.deviceId).toBe(deviceId);
  });

  it.each([0, 1, 2, 255])(
    "[pci-discovery-driver-3] [pci-discovery-driver-4] matches revision %i and any subsystem",
    async (revision) => {
      const header = { 8: revision, 44: revision, 46: 255 - revision };
      await expect(open(image({ caps: [COMMON, ISR, NOTIFY], header }))).resolves.toBeDefined();
    },
  );

  it.each<[string, Image, RegExp]>([
    ["another vendor", { caps: [COMMON, ISR, NOTIFY], header: { 0: 0x86 } }, /vendor_id/],
    ["an absent function", { caps: [], header: { 0: 0xff, 1: 0xff } }, /vendor_id/],
    ["an id below", { caps: [COMMON, ISR, NOTIFY], header: { 2: 0x3f } }, /device_id/],
    ["an id above", { caps: [COMMON, ISR, NOTIFY], header: { 2: 0x80 } }, /device_id/],
    ["a bridge", { caps: [COMMON, ISR, NOTIFY], header: { 14: 0x81 } }, /header_type/],
    ["no capability list", { caps: [COMMON, ISR, NOTIFY], header: { 6: 0 } }, /legacy/],
    ["an empty list", { caps: [] }, /legacy/],
    ["no virtio capability", { caps: [{ type: 0, id: 1 }] }, /legacy/],
    ["no common configuration", { caps: [ISR, NOTIFY] }, /common/],
    ["no notification structure", { caps: [COMMON, ISR] }, /notify/],
    ["no ISR status", { caps: [COMMON, NOTIFY] }, /isr/],
    ["BARs without addresses", { caps: [COMMON, ISR, NOTIFY], bars: [0] }, /assignBarsAt/],
    [
      "a 64-bit BAR in the last register",
      { caps: [{ ...COMMON, bar: 5 }, ISR, NOTIFY], bars: [0xfe000000, 0, 0, 0, 0, 0xfd000004] },
      /bar 5 is no BAR/,
    ],
    ["a list that loops at once", { caps: [{ ...COMMON, next: 0x40 }] }, /loops/],
  ])("gives up: %s", async (_name, layout, message) => {
    const failure = await open(image(layout)).catch((error: unknown) => error);
    expect(isVirtioError(failure, "DEVICE_UNKNOWN")).toBe(true);
    expect(String(failure)).toMatch(message);
  });

  it("[pci-capability-driver-1] [pci-capability-driver-4] never hangs and never fails otherwise, whatever the bytes are", async () => {
    const bytes = fc.uint8Array({ minLength: 192, maxLength: 192 });
    await fc.assert(
      fc.asyncProperty(bytes, fc.boolean(), async (list, assign) => {
        const bus = image({ caps: [COMMON] });
        bus.bytes.set(list, 0x40);
        bus.bytes.set(list.subarray(0, 24), 0x10);
        const result = await open(bus, assign ? 0x8000_0000 : undefined).catch(
          (error: unknown) => error,
        );
        if (result instanceof Error) expect(isVirtioError(result)).toBe(true);
        expect(bus.reads).toBeLessThan(2000);
      }),
      { numRuns: 300 },
    );
  });
});
