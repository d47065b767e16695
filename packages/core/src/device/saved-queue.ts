/** The state of one virtqueue of a device, out of its slot and back into it. */
import { VirtioError } from "../errors.ts";
import type { DeviceQueue, DeviceQueueInit } from "../virtqueue/types.ts";
import { messageOf } from "./message-of.ts";
import { QUEUE_AREAS, type QueueSlot } from "./queue-slot.ts";
import {
  addressFromHex,
  addressToHex,
  refuseState,
  type SavedQueue,
  type StateChange,
} from "./saved-state.ts";
import type { QueueArea } from "./types.ts";

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

/** What the slot of a queue is to become. */
export interface SlotState {
  /** The size that is set. */
  readonly size: number;
  /** The low and the high half of each area's address, in the order of {@link QUEUE_AREAS}. */
  readonly halves: readonly (readonly [number, number])[];
  /** Where the ring goes on, as far as it is known; absent for a queue that is not enabled. */
  readonly ring?: Pick<RingInit, "startIndex" | "publishedIndex" | "notifications">;
}

const HALF = 0x1_0000_0000;

/**
 * The state of a queue now.
 *
 * @param stopped the device needs a reset: what it holds is never given back, and does not count
 * @throws VirtioError `SNAPSHOT_BUSY` when the device holds a buffer of it, or it is broken
 */
export function saveSlot(slot: QueueSlot, stopped: boolean, path: string): SavedQueue {
  const { queue } = slot;
  const hex = (area: QueueArea) => addressToHex(slot.half(area, 0), slot.half(area, 1));
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
    ring: {
      index,
      publishedIndex,
      // Who polls here does not poll where it goes on.
      notifications: notifications || slot.polled,
      interrupt: slot.interrupting,
    },
  };
}

/** What the slot of a saved queue is to become. */
export function savedSlot(saved: SavedQueue): SlotState {
  const { size, ring } = saved;
  const halves = QUEUE_AREAS.map((area) => addressFromHex(saved[area]));
  if (ring === undefined) return { size, halves };
  const { index, publishedIndex, notifications } = ring;
  return { size, halves, ring: { startIndex: index, publishedIndex, notifications } };
}

/**
 * Checks whether the slot of a queue can take a state.
 *
 * @param make makes the queue, or throws; touches no memory
 * @throws VirtioError `SNAPSHOT`
 */
export function prepareSlot(
  slot: QueueSlot,
  { size, halves, ring }: SlotState,
  path: string,
  make: (ring: RingInit) => DeviceQueue,
): StateChange {
  if (size < 1 || size > slot.maxSize) {
    throw refuseState(`${path}.size`, `the queue has 1 to ${slot.maxSize} entries`, {
      value: size,
    });
  }
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
        ...ring,
      });
    } catch (cause) {
      throw refuseState(path, "the queue cannot be enabled", {
        hint: messageOf(cause),
        cause,
      });
    }
  }
  const before = {
    size: slot.size,
    halves: QUEUE_AREAS.map((area) => [slot.half(area, 0), slot.half(area, 1)] as const),
    queue: slot.queue,
  };
  const put = (newSize: number, newHalves: readonly (readonly [number, number])[]): void => {
    slot.size = newSize;
    QUEUE_AREAS.forEach((area, i) => {
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
      slot.queue = before.queue;
      put(before.size, before.halves);
    },
  };
}
