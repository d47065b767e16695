/** What a device keeps for one virtqueue: its registers, and the queue while it is enabled. */
import type { DeviceQueue, QueueAddresses } from "../virtqueue/types.ts";
import type { QueueArea } from "./types.ts";

const HALF = 0x1_0000_0000;

/** The areas of a virtqueue in the order of their registers. */
export const QUEUE_AREAS: readonly QueueArea[] = ["descriptorArea", "driverArea", "deviceArea"];

/** The registers of one virtqueue, as transports present them. */
export class QueueSlot {
  /** Its index in the device. */
  readonly index: number;
  /** Its name, for people. */
  readonly name: string;
  /** The largest size. */
  readonly maxSize: number;
  /** The size that is set. */
  size: number;
  /** The queue while it is enabled. */
  queue: DeviceQueue | undefined = undefined;
  /** True when its consumer is to be called. */
  notified = false;
  /** True when the driver is to be interrupted. */
  interrupting = false;

  readonly #halves: Record<QueueArea, [number, number]> = {
    descriptorArea: [0, 0],
    driverArea: [0, 0],
    deviceArea: [0, 0],
  };

  constructor(index: number, name: string, maxSize: number) {
    this.index = index;
    this.name = name;
    this.maxSize = maxSize;
    this.size = maxSize;
  }

  /** Half of an area's address. */
  half(area: QueueArea, half: 0 | 1): number {
    return this.#halves[area][half];
  }

  /** Writes half of an area's address. */
  setHalf(area: QueueArea, half: 0 | 1, value: number): void {
    this.#halves[area][half] = value >>> 0;
  }

  /** An area's address; one above 2^53-1 comes out inexact, and inside no memory. */
  address(area: QueueArea): number {
    const [low, high] = this.#halves[area];
    return high * HALF + low;
  }

  /** True for a size that the queue can have. */
  takes(size: number): boolean {
    return size >= 1 && size <= this.maxSize && (size & (size - 1)) === 0;
  }

  /** Writes the addresses of all areas, each up to 2^53-1. */
  place(areas: QueueAddresses): void {
    for (const [area, halves] of Object.entries(this.#halves)) {
      const address = areas[area as QueueArea];
      halves[0] = address >>> 0;
      halves[1] = Math.floor(address / HALF);
    }
  }

  /** Ends the queue and puts the registers back to their reset values. */
  reset(): void {
    this.queue?.stop();
    this.queue = undefined;
    this.size = this.maxSize;
    for (const halves of Object.values(this.#halves)) halves.fill(0);
  }
}
