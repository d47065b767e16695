/** The errors and checks of the driver half. */
import { CONFIG_SPACE_LIMIT, DIALECTS, type DialectName, VirtioError } from "@virtio-admin/core";
import { CLASSIC_INDICATOR_BITS } from "./layout.ts";

/** Checks a range of the configuration space. @throws VirtioError `VALUE_RANGE` */
export function checkConfigRange(offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= CONFIG_SPACE_LIMIT) return;
  throw new VirtioError("VALUE_RANGE", {
    message: `a range of the configuration space lies in its first ${CONFIG_SPACE_LIMIT} bytes`,
    path: "config",
    value: `${offset}+${length}`,
  });
}

/** Checks that classic indicators have a bit for a queue. @throws VirtioError `QUEUE_UNAVAILABLE` */
export function checkClassic(index: number): void {
  if (index < CLASSIC_INDICATOR_BITS) return;
  throw new VirtioError("QUEUE_UNAVAILABLE", {
    message: `classic indicators have bits for queues 0 to ${CLASSIC_INDICATOR_BITS - 1} only`,
    path: `ccw.queue[${index}]`,
    value: index,
    hint: "use a machine and a device with adapter interrupts, or fewer queues",
  });
}

/** Checks the dialect that a driver is told. @throws VirtioError `TRANSPORT_OPTIONS` */
export function checkDialect(dialect: DialectName): DialectName {
  if (Object.hasOwn(DIALECTS, dialect)) return dialect;
  throw new VirtioError("TRANSPORT_OPTIONS", {
    message: "there is no such dialect of administration commands",
    path: "ccw.dialect",
    value: dialect,
    hint: `say ${Object.keys(DIALECTS).join(" or ")}`,
  });
}

/** Why the administration virtqueues cannot be found. */
export function unavailable(message: string, value: unknown, hint: string): VirtioError {
  return new VirtioError("ADMIN_QUEUE_UNAVAILABLE", {
    message,
    path: "ccw.READ_ADMIN_VQ",
    value,
    hint,
  });
}

/** The machine answered a notification with an error. */
export function notifyRefused(index: number, answer: number): VirtioError {
  return new VirtioError("TRANSPORT", {
    message: "the machine refused the notification",
    path: `ccw.queue[${index}]`,
    value: answer,
    hint: "the subchannel or the queue is gone; reset the device",
  });
}
