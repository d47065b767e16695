/** What every run of a hostile peer has to reach, on any transport. */
import { QUEUE_DEFECTS, type QueueDefect } from "@virtio-admin/core";
import type { RingFormat } from "./types.ts";

/** The defects that only a driver half can find. */
const DRIVER_HALF_ONLY: readonly QueueDefect[] = ["used-id", "used-length", "used-order"];
/** Those that a ring of the other format alone can have. */
const FOREIGN: Readonly<Record<RingFormat, readonly QueueDefect[]>> = {
  split: ["ring-overrun", "list-unavailable"],
  packed: ["index-jump", "head-range", "next-range", "chain-loop", "indirect-nested", "used-order"],
};
/** What else can be wrong with a packed ring, and is no defect: whose turn it is, ids, and events. */
const PACKED_ODDITIES: readonly string[] = [
  "queue: wrong turn",
  "queue: id beyond the ring",
  "queue: odd event suppression",
];

function defectsOf(rings: RingFormat, side: "driver" | "device"): string[] {
  const both: readonly QueueDefect[] = ["index-jump"];
  return (Object.keys(QUEUE_DEFECTS) as QueueDefect[])
    .filter((defect) => !FOREIGN[rings].includes(defect))
    .filter(
      (defect) =>
        both.includes(defect) || DRIVER_HALF_ONLY.includes(defect) === (side === "device"),
    )
    .map((defect) => `queue: ${defect}`);
}

/**
 * The classes that a hostile peer reaches on every transport, by the format of the rings, its side
 * and the names under which it counts them. Each is counted where the half under test finds it: a
 * defect of a queue, the status of a command, the code of an error.
 */
export const HOSTILE_CLASSES: Readonly<
  Record<RingFormat, Readonly<Record<"driver" | "device", readonly string[]>>>
> = {
  split: classesOf("split"),
  packed: classesOf("packed"),
};

function classesOf(rings: RingFormat): Readonly<Record<"driver" | "device", readonly string[]>> {
  return {
    driver: [
      ...defectsOf(rings, "driver"),
      ...(rings === "packed" ? PACKED_ODDITIES : []),
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
      ...defectsOf(rings, "device"),
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
}
