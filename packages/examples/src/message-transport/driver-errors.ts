/** What the driver half refuses, and how it says so. */
import { CONFIG_SPACE_LIMIT, VirtioError } from "@virtio-admin/core";
import { MESSAGE_TRANSPORT_NAME } from "./device.ts";

/** The path of a field of this transport. */
export function pathOf(field: string): string {
  return `${MESSAGE_TRANSPORT_NAME}.${field}`;
}

/** The error of a request whose answer is missing, or is none. */
export function faultyAnswer(id: number, message: string): VirtioError {
  return new VirtioError("TRANSPORT", {
    message,
    path: pathOf("msg_id"),
    value: id,
    hint: "the device or the bus is faulty, or does not know this message",
  });
}

/** Checks that an answer is about what was asked: it repeats that. @throws VirtioError `TRANSPORT` */
export function expectEcho(
  what: string,
  answer: Readonly<Record<string, unknown>>,
  asked: Readonly<Record<string, number>>,
): void {
  for (const [name, value] of Object.entries(asked)) {
    if (answer[name] === value) continue;
    throw new VirtioError("TRANSPORT", {
      message: `the answer is about something else than was asked for, ${value}`,
      path: pathOf(`${what}.${name}`),
      value: answer[name],
      hint: "the device is faulty",
    });
  }
}

/** Checks that an answer brings as many elements as were asked for. @throws VirtioError `TRANSPORT` */
export function expectElements(what: string, data: readonly number[], wanted: number): void {
  if (data.length >= wanted) return;
  throw new VirtioError("TRANSPORT", {
    message: `the answer brings too few of the ${wanted} elements asked for`,
    path: pathOf(what),
    value: data.length,
    hint: "the device is faulty",
  });
}

/** The error of a device that never gets where it was told to. */
export function deviceHangs(field: string, looks: number): VirtioError {
  return new VirtioError("DEVICE_FAILED", {
    message: "it never became what it should be",
    path: pathOf(field),
    value: looks,
    hint: "the device hangs",
  });
}

/** The error of a configuration that changes faster than it can be accessed. */
export function restlessConfig(attempts: number): VirtioError {
  return new VirtioError("DEVICE_FAILED", {
    message: "the configuration changed during every attempt",
    path: pathOf("config.generation"),
    value: attempts,
    hint: "reset the device",
  });
}

/** Checks a range of the configuration space. @throws VirtioError `VALUE_RANGE` */
export function checkRange(offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= CONFIG_SPACE_LIMIT) return;
  throw new VirtioError("VALUE_RANGE", {
    message: `a range of the configuration space lies in its first ${CONFIG_SPACE_LIMIT} bytes`,
    path: "config",
    value: `${offset}+${length}`,
    hint: "read one field at a time",
  });
}
