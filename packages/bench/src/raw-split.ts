/** The ring alone: our driver half and our device half, one thread plays both. */
import {
  createDeviceQueue,
  createDriverQueue,
  createGuestMemory,
  type DeviceQueue,
  type DriverQueue,
  type GuestMemory,
  queueAreaSizes,
} from "@virtio-admin/core";
import * as measured from "./subject.ts";
import { nanoseconds, type Subject } from "./subject.ts";

// Constants of the own module are folded into optimized code; imported ones are loaded each time.
const { MEMORY_BYTES, READABLE_BYTES, RING_SIZE, WRITABLE_BYTES } = measured;
const SLOT_BYTES = 64;
/** No alignment of the text is larger. */
const CACHE_LINE = 64;
const SLOTS_AT = 1 << 16;
const WRITABLE_AT = 32;

/** Where the measured ring lies: descriptors first, the others behind them, in cache lines of their own. */
export function ringPlace(size: number, packed = false) {
  const areas = queueAreaSizes(size, packed);
  const driverArea = Math.ceil(areas.descriptorArea.length / CACHE_LINE) * CACHE_LINE;
  const end = driverArea + areas.driverArea.length;
  const deviceArea = Math.ceil(end / CACHE_LINE) * CACHE_LINE;
  return { descriptorArea: 0, driverArea, deviceArea };
}

/** Guest memory of one megabyte, and the driver half of a ring in it. */
export function measuredRing(
  atomic: boolean,
  packed = false,
): {
  memory: GuestMemory;
  bytes: Uint8Array;
  driver: DriverQueue;
} {
  const bytes = new Uint8Array(MEMORY_BYTES);
  const memory = createGuestMemory([{ base: 0, bytes }]);
  const init = { size: RING_SIZE, memory, eventIdx: false, indirect: false, atomic, packed };
  const driver = createDriverQueue({ ...init, ...ringPlace(RING_SIZE, packed) });
  return { memory, bytes, driver };
}

/**
 * Adds `outstanding` buffers of two parts, each filled by `fill`, and publishes them: true when the
 * device asked to be notified.
 */
export function submit(
  driver: DriverQueue,
  outstanding: number,
  fill?: (slot: number) => void,
): boolean {
  for (let i = 0; i < outstanding; i++) {
    const slot = SLOTS_AT + i * SLOT_BYTES;
    fill?.(slot);
    if (driver.addPair(slot, READABLE_BYTES, slot + WRITABLE_AT, WRITABLE_BYTES) < 0)
      throw new Error("the ring is full");
  }
  return driver.publish();
}

/** Takes back `outstanding` buffers. */
export function reapAll(driver: DriverQueue, outstanding: number): void {
  let reaped = 0;
  while (driver.reap() >= 0) reaped++;
  if (reaped !== outstanding) throw new Error(`${outstanding} submitted, ${reaped} came back`);
}

/** Uses all buffers that are there, and publishes them; returns how many there were. */
export function serve(device: DeviceQueue): number {
  let served = 0;
  for (let chain = device.pop(); chain !== undefined; chain = device.pop()) {
    const { region, readableAt: at, writableAt: out } = chain;
    if (region === undefined) throw new Error("unmapped");
    if (chain.readableLength < READABLE_BYTES || chain.writableLength < WRITABLE_BYTES)
      throw new Error("short");
    const { view } = region;
    const sum =
      view.getUint32(at, true) + view.getUint32(at + 16, true) + view.getUint32(at + 20, true);
    view.setUint32(out, 0, true);
    view.setUint32(out + 4, 0, true);
    view.setUint32(out + 8, sum >>> 0, true);
    view.setUint32(out + 12, 0, true);
    device.push(chain, WRITABLE_BYTES);
    served++;
  }
  device.publish();
  return served;
}

/** The path `raw-split`. */
export function rawSplit(atomic = false): Subject {
  return rawRing("split", atomic);
}

/** The path `raw-split` or `raw-packed`. */
export function rawRing(format: "split" | "packed", atomic: boolean): Subject {
  const packed = format === "packed";
  const { memory, driver } = measuredRing(atomic, packed);
  const init = { size: RING_SIZE, memory, eventIdx: false, indirect: false, atomic, packed };
  const device = createDeviceQueue({ ...init, ...ringPlace(RING_SIZE, packed) });
  return {
    path: `raw-${format}${atomic ? "-atomic" : ""}`,
    format,
    slice(outstanding, rounds) {
      const from = nanoseconds();
      roundTrips(driver, device, outstanding, rounds);
      return (nanoseconds() - from) / (rounds * outstanding);
    },
  };
}

/** A function of its own: one that ends is optimized as a whole. */
function roundTrips(
  driver: DriverQueue,
  device: DeviceQueue,
  outstanding: number,
  rounds: number,
): void {
  for (let round = 0; round < rounds; round++) {
    submit(driver, outstanding);
    serve(device);
    reapAll(driver, outstanding);
  }
}
