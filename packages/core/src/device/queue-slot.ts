/** What a device keeps for one virtqueue: its registers, and the queue while it is enabled. */
import type { DeviceQueue, QueueAddresses } from "../virtqueue/types.ts";
import type { QueueArea } from "./types.ts";

const HALF = 0x1_0000_0000;
/** Where an area's halves stand. */
const PLACE: Readonly<Record<QueueArea, number>> = {
  descriptorArea: 0,
  driverArea: 2,
  deviceArea: 4,
};

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
  /** True when its host looks at it instead of being notified: that is no wish of its consumer. */
  polled = false;

  /** Low and high half of each area's address; absent while all of them are 0. */
  #halves: number[] | undefined = undefined;

  constructor(index: number, name: string, maxSize: number) {
    this.index = index;
    this.name = name;
    this.maxSize = maxSize;
    this.size = maxSize;
  }

  /** Half of an area's address. */
  half(area: QueueArea, half: 0 | 1): number {
    return this.#halves?.[PLACE[area] + half] ?? 0;
  }

  /** Writes half of an area's address. */
  setHalf(area: QueueArea, half: 0 | 1, value: number): void {
    if (this.#halves === undefined) {
      if (value === 0) return;
      this.#halves = [0, 0, 0, 0, 0, 0];
    }
    this.#halves[PLACE[area] + half] = value >>> 0;
  }

  /** An area's address; one above 2^53-1 comes out inexact, and inside no memory. */
  address(area: QueueArea): number {
    return this.half(area, 1) * HALF + this.half(area, 0);
  }

  /** True for a size that the queue can have: a power of two, if it is split. */
  takes(size: number, packed: boolean): boolean {
    if (!Number.isInteger(size) || size < 1 || size > this.maxSize) return false;
    return packed || (size & (size - 1)) === 0;
  }

  /** Writes the addresses of all areas, each up to 2^53-1. */
  place(areas: QueueAddresses): void {
    for (const area of QUEUE_AREAS) {
      this.setHalf(area, 0, areas[area] >>> 0);
      this.setHalf(area, 1, Math.floor(areas[area] / HALF));
    }
  }

  /** Ends the queue and puts the registers back to their reset values. */
  reset(): void {
    this.queue?.stop();
    this.queue = undefined;
    this.polled = false;
    this.size = this.maxSize;
    this.#halves = undefined;
  }
}
