/** Virtqueues, both halves. */
import type { QueueAreaSizes } from "./area.ts";
import { PackedDeviceQueue } from "./packed/device.ts";
import { PackedDriverQueue } from "./packed/driver.ts";
import { packedAreaSizes } from "./packed/layout.ts";
import { SplitDeviceQueue } from "./split/device.ts";
import { SplitDriverQueue } from "./split/driver.ts";
import { splitAreaSizes } from "./split/layout.ts";
import { splitRingPosition } from "./split/rings.ts";
import type {
  DeviceQueue,
  DeviceQueueInit,
  DriverQueue,
  DriverQueueInit,
  QueueInit,
} from "./types.ts";

export type { QueueAreaSize, QueueAreaSizes } from "./area.ts";
export { PackedDeviceQueue } from "./packed/device.ts";
export { PackedDriverQueue } from "./packed/driver.ts";
export {
  PACKED_QUEUE_MAX_SIZE,
  PVIRTQ_DESC,
  PVIRTQ_EVENT_SUPPRESS,
  packedAreaSizes,
  RING_EVENT_FLAGS,
} from "./packed/layout.ts";
export { SplitDeviceQueue } from "./split/device.ts";
export { SplitDriverQueue } from "./split/driver.ts";
export {
  SPLIT_QUEUE_MAX_SIZE,
  splitAreaSizes,
  VIRTQ_AVAIL,
  VIRTQ_DESC,
  VIRTQ_EVENT,
  VIRTQ_USED,
  VIRTQ_USED_ELEM,
} from "./split/layout.ts";
export { legacyQueueAreas, legacyQueueLength } from "./split/legacy.ts";
export {
  type Chain,
  DESCRIPTORS_PER_VISIT,
  type DeviceQueue,
  type DeviceQueueInit,
  type DriverQueue,
  type DriverQueueInit,
  QUEUE_DEFECTS,
  type QueueAddresses,
  type QueueDefect,
  type QueueInit,
} from "./types.ts";

/**
 * The sizes and alignments of the three parts of a virtqueue of `size` entries, packed or split.
 *
 * @throws VirtioError `QUEUE_SIZE` when a queue of that format cannot have this size.
 */
export function queueAreaSizes(size: number, packed: boolean): QueueAreaSizes {
  return packed ? packedAreaSizes(size) : splitAreaSizes(size);
}

/**
 * Makes the device half of a virtqueue.
 *
 * @throws VirtioError `QUEUE_SIZE`, `QUEUE_ADDRESS` or `VALUE_RANGE`, see {@link SplitDeviceQueue}
 * and {@link PackedDeviceQueue}.
 */
export function createDeviceQueue(init: DeviceQueueInit): DeviceQueue {
  return init.packed === true ? new PackedDeviceQueue(init) : new SplitDeviceQueue(init);
}

/**
 * Where the device half of a split virtqueue goes on when another one before it used all that it
 * took, as the memory of the queue itself tells: the {@link QueueInit.startIndex} to make it with.
 * The memory of a packed one does not tell.
 *
 * @throws VirtioError `QUEUE_SIZE` or `QUEUE_ADDRESS`, see {@link SplitDeviceQueue}.
 */
export function ringPosition(init: QueueInit): number {
  return splitRingPosition(init);
}

/**
 * Makes the driver half of a virtqueue, and writes the initial state of its rings.
 *
 * @throws VirtioError `QUEUE_SIZE`, `QUEUE_ADDRESS` or `VALUE_RANGE`, see {@link SplitDriverQueue}
 * and {@link PackedDriverQueue}.
 */
export function createDriverQueue(init: DriverQueueInit): DriverQueue {
  return init.packed === true ? new PackedDriverQueue(init) : new SplitDriverQueue(init);
}
