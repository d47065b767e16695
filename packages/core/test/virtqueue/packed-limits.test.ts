/** How long lists of a packed ring get, what a device reads, and used descriptors out of turn. */
import { describe, expect, it } from "vitest";
import { createGuestMemory, type GuestMemory, type MemoryRegion } from "../../src/memory/index.ts";
import { createDeviceQueue } from "../../src/virtqueue/index.ts";
import {
  AVAIL,
  BUFFER,
  hex,
  INDIRECT,
  memoryView,
  NEXT,
  put,
  TABLE,
  USED,
  WRITE,
} from "./packed-rig.ts";
import { makeRig, RIG_BASE } from "./rig.ts";

describe("the driver half", () => {
  it("[packed-list-driver-4+-] adds no list for which it would need descriptors that the device has not used", () => {
    const { driver, device, table } = makeRig({ size: 4, packed: true });
    for (let i = 0; i < 3; i++) driver.add([BUFFER], [8], 1, 0);
    driver.publish();
    const before = hex(table, 0, 64);
    expect(driver.add([BUFFER, BUFFER], [8, 8], 2, 0)).toBe(-1);
    // That the device has taken them makes no room.
    const chains = [device.pop(), device.pop(), device.pop()];
    expect(driver.add([BUFFER, BUFFER], [8, 8], 2, 0)).toBe(-1);
    expect([hex(table, 0, 64), driver.free, driver.publish()]).toEqual([before, 1, false]);
    // Nor that it has used one, before the driver has seen that.
    if (chains[0] !== undefined) device.push(chains[0], 8);
    device.publish();
    expect(driver.add([BUFFER, BUFFER], [8, 8], 2, 0)).toBe(-1);
    expect(driver.reap()).toBeGreaterThanOrEqual(0);
    expect(driver.add([BUFFER, BUFFER], [8, 8], 2, 0)).toBeGreaterThanOrEqual(0);
  });

  it.each([
    ["[packed-list-driver-1-] list", undefined],
    ["[packed-indirect-driver-3-] indirect table", 16],
  ])("makes no %s that is longer than the queue is, which the device has bounded", (_, entries) => {
    const { driver, table } = makeRig({
      size: 6,
      packed: true,
      indirect: true,
      ...(entries === undefined ? {} : { tableEntries: entries }),
    });
    const list = (count: number, value: number) => new Array<number>(count).fill(value);
    expect(() => driver.add(list(7, BUFFER), list(7, 1), 7, 7)).toThrow(/count/);
    expect(hex(table, 0, 96)).toBe("00".repeat(96));
    expect(driver.add(list(6, BUFFER), list(6, 1), 6, 6)).toBe(0);
  });

  it("[packed-order-device-3+] finds used descriptors whichever was written first", () => {
    const { driver, table } = makeRig({ size: 4, packed: true });
    const ids = [1, 2, 1].map((count) =>
      driver.add(new Array(count).fill(BUFFER), new Array(count).fill(8), count, 0),
    );
    driver.publish();
    const use = (slot: number, id: number | undefined) =>
      put(table, [[0, 5, AVAIL | USED | WRITE, id ?? 0]], 16 * slot);
    use(3, ids[2]);
    expect(driver.reap()).toBe(-1);
    use(1, ids[1]);
    expect([driver.reap(), driver.enableNotifications()]).toEqual([-1, false]);
    use(0, ids[0]);
    expect([driver.reap(), driver.reap(), driver.reap(), driver.reap()]).toEqual([...ids, -1]);
    expect(driver.defect).toBe(undefined);
  });
});

describe("the device half", () => {
  it.each([
    ["a list", 4, false],
    ["an indirect table", 16, true],
  ])("[packed-list-device-2+] takes no more of %s than the queue is long", (_, size, isTable) => {
    for (const [count, popped] of [
      [size, true],
      [size + 1, false],
    ] as const) {
      const rig = makeRig({ size, packed: true, indirect: true });
      if (isTable) {
        const entries = Array.from({ length: count }, () => [BUFFER, 1, 0] as const);
        put(memoryView(rig), entries, TABLE - RIG_BASE);
        put(rig.table, [[TABLE, 16 * count, AVAIL | INDIRECT]]);
      } else {
        const more = (i: number) => (i + 1 < count ? NEXT : 0);
        const list = Array.from(
          { length: size },
          (_unused, i) => [BUFFER, 1, AVAIL | more(i)] as const,
        );
        put(rig.table, list);
      }
      const chain = rig.device.pop();
      expect([chain?.count, rig.device.defect]).toEqual(
        popped ? [size, undefined] : [undefined, "chain-length"],
      );
    }
  });

  it.each([false, true])(
    "[packed-desc-device-2+] reads no byte of an element that it may write (table %s)",
    (isTable) => {
      const rig = makeRig({
        size: 8,
        packed: true,
        indirect: true,
        ...(isTable ? { tableEntries: 8 } : {}),
      });
      const readable = BUFFER;
      const writable = BUFFER + 0x100;
      rig.memory.write(readable, Uint8Array.of(1, 2, 3, 4));
      rig.memory.write(writable, new Uint8Array(8).fill(0x5e));
      const ring = [rig.init.descriptorArea, rig.init.driverArea, rig.init.deviceArea];
      const memory = new Watched(rig.memory, ring);
      const device = createDeviceQueue({ ...rig.init, memory });
      for (let round = 0; round < 9; round++) {
        const segments = [readable, readable + 2, writable, writable + 6];
        rig.driver.add(segments, [2, 2, 6, 2], 4, 2);
        rig.driver.publish();
        const chain = device.pop();
        if (chain === undefined) throw new Error(`nothing popped: ${device.defect}`);
        const target = new Uint8Array(32);
        expect(device.read(chain, 0, target)).toBe(4);
        expect([...target.subarray(0, 5)]).toEqual([1, 2, 3, 4, 0]);
        expect(device.write(chain, 0, new Uint8Array(8).fill(round))).toBe(8);
        device.push(chain, 8);
        device.publish();
        expect([rig.driver.reap() >= 0, rig.driver.usedLength]).toEqual([true, 8]);
      }
      expect(memory.reads.filter(([at]) => at >= readable && at < readable + 4)).toHaveLength(18);
      const touched = memory.reads.filter(
        ([at, length]) => at < writable + 8 && at + length > writable,
      );
      expect(touched).toEqual([]);
      expect(memory.writes.every(([at]) => at >= writable && at < writable + 8)).toBe(true);
    },
  );
});

/** Memory of which only the parts of rings lie in regions: every other access is a copy, and seen. */
class Watched implements GuestMemory {
  readonly reads: [number, number][] = [];
  readonly writes: [number, number][] = [];
  readonly #memory: GuestMemory;
  readonly #rings: GuestMemory;

  constructor(memory: GuestMemory, ring: readonly number[]) {
    this.#memory = memory;
    const regions = ring.map((base) => {
      const region = memory.find(base, 128) as MemoryRegion;
      const at = base - region.base;
      return { base, bytes: region.bytes.subarray(at, at + (base === ring[0] ? 128 : 4)) };
    });
    this.#rings = createGuestMemory(regions);
  }

  find(address: number, length: number): MemoryRegion | undefined {
    return this.#rings.find(address, length);
  }

  contains(address: number, length: number): boolean {
    return this.#memory.contains(address, length);
  }

  read(address: number, target: Uint8Array): boolean {
    this.reads.push([address, target.length]);
    return this.#memory.read(address, target);
  }

  write(address: number, source: Uint8Array): boolean {
    this.writes.push([address, source.length]);
    return this.#memory.write(address, source);
  }
}
