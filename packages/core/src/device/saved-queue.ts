/** The state of one virtqueue of a device, out of its slot and back into it. */
import { VirtioError } from "../errors.ts";
import type { DeviceQueue, DeviceQueueInit } from "../virtqueue/types.ts";
import type { QueueSlot } from "./queue-slot.ts";
import {
  addressFromHex,
  addressToHex,
  refuseState,
  type SavedQueue,
  type StateChange,
} from "./saved-state.ts";

/** The ring of a queue as it is to go on; whoever makes the queue adds the features. */
export type RingInit = Pick<
  DeviceQueueInit,
  | "size"
  | "descriptorArea"
  | "driverArea"
  | "deviceArea"
  | "startIndex"
  | "publishedIndex"
  | "notifications"
>;

const AREAS = ["descriptorArea", "driverArea", "deviceArea"] as const;
const HALF = 0x1_0000_0000;

/**
 * The state of a queue now.
 *
 * @param stopped the device needs a reset: what it holds is never given back, and does not count
 * @throws VirtioError `SNAPSHOT_BUSY` when the device holds a buffer of it, or it is broken
 */
export function saveSlot(slot: QueueSlot, stopped: boolean, path: string): SavedQueue {
  const { queue } = slot;
  const hex = (area: (typeof AREAS)[number]) =>
    addressToHex(slot.half(area, 0), slot.half(area, 1));
  const registers = {
    size: slot.size,
    descriptorArea: hex("descriptorArea"),
    driverArea: hex("driverArea"),
    deviceArea: hex("deviceArea"),
  };
  if (queue === undefined) return registers;
  if (!stopped && (queue.outstanding > 0 || queue.defect !== undefined)) {
    throw new VirtioError("SNAPSHOT_BUSY", {
      path: `${path}.queues[${slot.index}]`,
      message:
        queue.defect === undefined
          ? `queue ${slot.index} (${slot.name}) holds buffers of the driver`
          : `queue ${slot.index} (${slot.name}) is broken`,
      value: queue.defect ?? queue.outstanding,
      hint: "let the device use what it holds before the snapshot",
    });
  }
  const { index, publishedIndex, notifications } = queue;
  return {
    ...registers,
    ring: { index, publishedIndex, notifications, interrupt: slot.interrupting },
  };
}

/**
 * Checks whether a queue that is not enabled can take a state.
 *
 * @param make makes the queue, or throws; touches no memory
 * @throws VirtioError `SNAPSHOT`
 */
export function prepareSlot(
  slot: QueueSlot,
  saved: SavedQueue,
  path: string,
  make: (ring: RingInit) => DeviceQueue,
): StateChange {
  const { size, ring } = saved;
  if (size < 1 || size > slot.maxSize) {
    throw refuseState(`${path}.size`, `the queue has 1 to ${slot.maxSize} entries`, {
      value: size,
    });
  }
  const halves = AREAS.map((area) => addressFromHex(saved[area]));
  const address = (i: number): number => {
    const [low, high] = halves[i] ?? [0, 0];
    return high * HALF + low;
  };
  let queue: DeviceQueue | undefined;
  if (ring !== undefined) {
    try {
      queue = make({
        size,
        descriptorArea: address(0),
        driverArea: address(1),
        deviceArea: address(2),
        startIndex: ring.index,
        publishedIndex: ring.publishedIndex,
        notifications: ring.notifications,
      });
    } catch (cause) {
      throw refuseState(path, "the queue cannot be enabled", {
        hint: cause instanceof Error ? cause.message : String(cause),
        cause,
      });
    }
  }
  const before = {
    size: slot.size,
    halves: AREAS.map((area) => [slot.half(area, 0), slot.half(area, 1)] as const),
  };
  const put = (newSize: number, newHalves: readonly (readonly [number, number])[]): void => {
    slot.size = newSize;
    AREAS.forEach((area, i) => {
      const [low, high] = newHalves[i] ?? [0, 0];
      slot.setHalf(area, 0, low);
      slot.setHalf(area, 1, high);
    });
  };
  return {
    apply: () => {
      put(size, halves);
      slot.queue = queue;
    },
    undo: () => {
      queue?.stop();
      slot.queue = undefined;
      put(before.size, before.halves);
    },
  };
}
