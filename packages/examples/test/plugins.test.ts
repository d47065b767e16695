/** What the examples bring of their own, held to the checks of the testkit. */
import { PLATFORM_GROUP } from "@virtio-admin/core";
import { checkCommandFamily, checkDeviceType } from "@virtio-admin/testkit";
import { expect, it } from "vitest";
import { RATE_LIMIT_FAMILY, RATE_LIMIT_SET } from "../src/own-command-family.ts";
import { Counter } from "../src/own-device-type.ts";

it("own-command-family: keeps the rules of command families", async () => {
  const rate = (member: number, low: number) => ({
    opcode: RATE_LIMIT_SET.opcode,
    group: PLATFORM_GROUP.id,
    member,
    data: Uint8Array.of(low, 0, 0, 0),
  });
  const report = await checkCommandFamily({
    name: RATE_LIMIT_FAMILY.name,
    make: () => RATE_LIMIT_FAMILY,
    examples: [rate(1, 5), rate(2, 7), rate(1, 9)],
  });
  expect(report.failures).toEqual([]);
  expect(report.skipped).toEqual([]);
});

it("own-device-type: keeps the rules of device types", async () => {
  const report = await checkDeviceType({
    name: "counter",
    make: () => new Counter(),
    request: { queue: 0, readable: [Uint8Array.of(5, 0, 0, 0)], writable: [4] },
  });
  expect(report.failures).toEqual([]);
  expect(report.skipped).toEqual([]);
});
