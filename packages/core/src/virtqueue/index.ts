/** Virtqueues, both halves. */
import { SplitDeviceQueue } from "./split/device.ts";
import { SplitDriverQueue } from "./split/driver.ts";
import { splitRingPosition } from "./split/rings.ts";
import type {
  DeviceQueue,
  DeviceQueueInit,
  DriverQueue,
  DriverQueueInit,
  QueueInit,
} from "./types.ts";

export { SplitDeviceQueue } from "./split/device.ts";
export { SplitDriverQueue } from "./split/driver.ts";
export {
  type QueueAreaSize,
  type QueueAreaSizes,
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
 * Makes the device half of a virtqueue.
 *
 * @throws VirtioError `QUEUE_SIZE`, `QUEUE_ADDRESS` or `VALUE_RANGE`, see {@link SplitDeviceQueue}.
 */
export function createDeviceQueue(init: DeviceQueueInit): DeviceQueue {
  return new SplitDeviceQueue(init);
}

/**
 * Where the device half of a virtqueue goes on when another one before it used all that it took,
 * as the memory of the queue itself tells: the {@link QueueInit.startIndex} to make it with.
 *
 * @throws VirtioError `QUEUE_SIZE` or `QUEUE_ADDRESS`, see {@link SplitDeviceQueue}.
 */
export function ringPosition(init: QueueInit): number {
  return splitRingPosition(init);
}

/**
 * Makes the driver half of a virtqueue, and writes the initial state of its rings.
 *
 * @throws VirtioError `QUEUE_SIZE`, `QUEUE_ADDRESS` or `VALUE_RANGE`, see {@link SplitDriverQueue}.
 */
export function createDriverQueue(init: DriverQueueInit): DriverQueue {
  return new SplitDriverQueue(init);
}
