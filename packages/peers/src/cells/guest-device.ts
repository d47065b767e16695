/** What a guest tells of the virtio device that it drives. */
import { FEATURE } from "@virtio-admin/core";
import type { GuestResult } from "../guest/lines.ts";
import type { Served } from "../served/function.ts";
import { expect } from "./types.ts";

const DRIVER_OK_STATUS = 0x0f;

/**
 * Functions of the shell: `devices` tells of every virtio device; `interrupts` how many came in all,
 * on how many lines of /proc/interrupts, whose first is named.
 */
export const TELL_DEVICE = `
devices() {
  for device in /sys/bus/virtio/devices/*; do
    tell device id=$(cat $device/device) status=$(cat $device/status) features=$(cat $device/features) driver=$(basename $(readlink $device/driver))
  done
}
interrupts() {
  tell interrupts $(awk '/virtio0/ { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i; lines++; if (lines == 1) first = $1 $(i) }
    END { printf "lines=%d count=%d first=%s", lines, n, first }' /proc/interrupts)
}
`;

/** What is to be true of a device. */
export interface ExpectedDevice {
  /** The name of its driver. */
  readonly driver: string;
  /** Feature bits that the driver accepted, besides VIRTIO_F_VERSION_1. */
  readonly accepted: readonly number[];
  /** Feature bits that it did not accept. */
  readonly left?: readonly number[];
}

/** Checks what `devices` told, and answers the features in words. */
export function expectDevice(
  { fields }: GuestResult,
  { driver, accepted, left = [] }: ExpectedDevice,
): string {
  expect(fields["driver"] === driver, `the driver is "${fields["driver"]}"`);
  expect(Number(fields["status"]) === DRIVER_OK_STATUS, `the status is ${fields["status"]}`);
  const features = fields["features"] ?? "";
  for (const feature of [FEATURE.VIRTIO_F_VERSION_1, ...accepted]) {
    expect(features[feature] === "1", `Linux did not accept feature ${feature}`);
  }
  for (const feature of left) {
    expect(features[feature] === "0", `Linux accepted feature ${feature}`);
  }
  return `features 0x${featuresOf(features).toString(16)}`;
}

/** Checks that interrupts came, and answers how many in words. */
export function expectInterrupts({ fields }: GuestResult): string {
  const count = Number(fields["count"]);
  expect(count > 0, "no interrupt came");
  return `${count} interrupts, ${fields["lines"]} in /proc/interrupts (${fields["first"]})`;
}

/** Checks that the device never called its driver broken, and that QEMU hung up by its own wish. */
export function expectSound({ counted, gone }: Served): void {
  expect(counted.broken.length === 0, `the device is broken: ${counted.broken.join(", ")}`);
  expect(
    gone.every((reason) => reason === "hung up"),
    `the connection: ${gone.join(", ")}`,
  );
}

/** Linux writes one character for each bit, the lowest first. */
function featuresOf(text: string): bigint {
  return [...text].reduce((bits, character, i) => bits | (BigInt(character) << BigInt(i)), 0n);
}
