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
import {
  MEMORY_BYTES,
  nanoseconds,
  READABLE_BYTES,
  RING_SIZE,
  type Subject,
  WRITABLE_BYTES,
} from "./subject.ts";

const SLOT_BYTES = 64;
const SLOTS_AT = 1 << 16;
const WRITABLE_AT = 32;
const PART_COUNT = 2;

/** Where the measured ring lies: descriptors first, the others behind them, aligned. */
export function ringPlace(size: number, packed = false) {
  const areas = queueAreaSizes(size, packed);
  const driverArea = areas.descriptorArea.length;
  const end = driverArea + areas.driverArea.length;
  const deviceArea = Math.ceil(end / areas.deviceArea.alignment) * areas.deviceArea.alignment;
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

/** Adds `outstanding` buffers of two parts, each filled by `fill`, and publishes them. */
export function submit(
  driver: DriverQueue,
  parts: Parts,
  outstanding: number,
  fill?: (slot: number) => void,
): void {
  for (let i = 0; i < outstanding; i++) {
    const slot = SLOTS_AT + i * SLOT_BYTES;
    fill?.(slot);
    if (driver.addPair(slot, READABLE_BYTES, slot + WRITABLE_AT, WRITABLE_BYTES) < 0)
      throw new Error("the ring is full");
  }
  driver.publish();
}

/** Takes back `outstanding` buffers. */
export function reapAll(driver: DriverQueue, outstanding: number): void {
  let reaped = 0;
  while (driver.reap() >= 0) reaped++;
  if (reaped !== outstanding) throw new Error(`${outstanding} submitted, ${reaped} came back`);
}

/** The two parts of a buffer, reused for every one. */
export interface Parts {
  /** Guest addresses, readable part first. */
  readonly addresses: number[];
  /** Lengths in bytes. */
  readonly lengths: number[];
}

/** The parts of one measured buffer. */
export function measuredParts(): Parts {
  return { addresses: [0, 0], lengths: [READABLE_BYTES, WRITABLE_BYTES] };
}

function serve(device: DeviceQueue): void {
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
  }
  device.publish();
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
  const parts = measuredParts();
  return {
    path: `raw-${format}${atomic ? "-atomic" : ""}`,
    format,
    slice(outstanding, rounds) {
      const from = nanoseconds();
      for (let round = 0; round < rounds; round++) {
        submit(driver, parts, outstanding);
        serve(device);
        reapAll(driver, outstanding);
      }
      return (nanoseconds() - from) / (rounds * outstanding);
    },
  };
}
