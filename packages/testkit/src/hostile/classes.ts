/** What every run of a hostile peer has to reach, on any transport. */
import { QUEUE_DEFECTS, type QueueDefect } from "@virtio-admin/core";

/** The defects that only a driver half can find. */
const DRIVER_HALF_ONLY: readonly QueueDefect[] = ["used-id", "used-length"];
/** Those of packed rings: the rings of a hostile peer are split. */
const PACKED_ONLY: readonly QueueDefect[] = ["ring-overrun", "list-unavailable"];
const DEVICE_HALF: readonly QueueDefect[] = (Object.keys(QUEUE_DEFECTS) as QueueDefect[]).filter(
  (defect) => ![...DRIVER_HALF_ONLY, ...PACKED_ONLY].includes(defect),
);
const DRIVER_HALF: readonly QueueDefect[] = ["index-jump", ...DRIVER_HALF_ONLY];

/**
 * The classes that a hostile peer reaches on every transport, by the names under which it counts
 * them. Each is counted where the half under test finds it: a defect of a queue, the status of a
 * command, the code of an error.
 */
export const HOSTILE_CLASSES: Readonly<Record<"driver" | "device", readonly string[]>> = {
  driver: [
    ...DEVICE_HALF.map((defect) => `queue: ${defect}`),
    "queue: odd buffer used",
    "queue: rings overwritten",
    "status: write refused",
    "status: features refused",
    "notification: of no queue",
    "command: OK OK",
    "command: EINVAL INVALID_GROUP",
    "command: EINVAL INVALID_OPCODE",
    "command: EINVAL INVALID_MEMBER",
    "command: EINVAL INVALID_FIELD",
    "command: EAGAIN TRYAGAIN",
    "command: header cut short",
    "command: odd length",
    "command: no room for the status",
    "command: room cut short",
    "command: answered later",
    "command: cancelled by a reset",
    "honest: entropy read and list queried",
  ],
  device: [
    ...DRIVER_HALF.map((defect) => `queue: ${defect}`),
    "device: failed",
    "device: needs-reset",
    "bring-up: DEVICE_UNKNOWN",
    "bring-up: DEVICE_FAILED",
    "bring-up: FEATURES_REFUSED",
    "bring-up: FEATURE_MISSING",
    "bring-up: QUEUE_UNAVAILABLE",
    "bring-up: admin place",
    "reset: DEVICE_FAILED",
    "command: answered",
    "command: response cut short",
    "command: reserved status",
    "command: reserved qualifier",
    "command: EINVAL",
    "command: QUEUE_BROKEN",
    "command: QUEUE_FULL",
    "command: ADMIN_LIST",
    "command: ADMIN_DEADLINE",
    "command: ADMIN_RESET",
    "list: ADMIN_RESPONSE",
    "entropy: DEVICE_FAILED",
  ],
};
