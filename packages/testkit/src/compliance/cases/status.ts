/** Identity and device status. */
import { STATUS } from "@virtio-admin/core";
import { FEATURES_OK_STATUS, RUNNING_STATUS } from "../device-bench.ts";
import { attempt, expectEqual } from "../expect.ts";
import { PROBE_DEVICE_ID } from "../probe-model.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

const { ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, FAILED, DEVICE_NEEDS_RESET } = STATUS;

/** Steps of initialization in an order that is none, each from the status before. */
const ILLEGAL_STEPS: readonly { readonly from: readonly number[]; readonly to: number }[] = [
  { from: [], to: DRIVER },
  { from: [], to: DRIVER_OK },
  { from: [], to: FEATURES_OK },
  { from: [ACKNOWLEDGE], to: ACKNOWLEDGE | FEATURES_OK },
  { from: [ACKNOWLEDGE], to: ACKNOWLEDGE | DRIVER_OK },
  { from: [ACKNOWLEDGE, DRIVER], to: ACKNOWLEDGE | DRIVER | DRIVER_OK },
  { from: [ACKNOWLEDGE, DRIVER], to: RUNNING_STATUS },
];

/** Identity and device status. */
export const STATUS_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "identity",
    "The driver half finds the device under its own device id.",
    ["mmio-device-1", "mmio-device-2", "pci-discovery-device-2"],
    async (context) => {
      const bench = await context.device();
      const { deviceId } = await bench.driver.open();
      expectEqual("the device id", deviceId, PROBE_DEVICE_ID);
      expectEqual("the transport's name", bench.driver.name, context.transport.name);
    },
  ),
  deviceCase(
    "status-steps",
    "Status bits go up one by one, and read back as they were written.",
    ["status-driver-1", "init-driver-1"],
    async (context) => {
      const bench = await context.device();
      await bench.driver.reset();
      for (const status of [ACKNOWLEDGE, ACKNOWLEDGE | DRIVER]) {
        await bench.driver.writeStatus(status);
        expectEqual("the status", await bench.driver.readStatus(), status);
      }
      await bench.accept(await bench.driver.readFeatures());
      await bench.run();
    },
  ),
  deviceCase(
    "status-order",
    "A status bit that is set before those it follows leaves the status as it was.",
    ["status-driver-1", "ccw-status-device-1"],
    async (context) => {
      const bench = await context.device();
      for (const { from, to } of ILLEGAL_STEPS) {
        await bench.driver.reset();
        let status = 0;
        for (const bit of from) {
          status |= bit;
          await bench.driver.writeStatus(status);
        }
        await bench.driver.writeFeatures(await bench.driver.readFeatures());
        await attempt(bench.driver.writeStatus(to));
        expectEqual(
          `the status after ${to} was written over ${status}`,
          await bench.driver.readStatus(),
          status,
        );
      }
    },
  ),
  deviceCase(
    "status-not-cleared",
    "Writing fewer status bits than are set changes nothing, unless it is 0.",
    ["status-driver-2", "ccw-status-device-1"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      for (const status of [ACKNOWLEDGE, FEATURES_OK_STATUS, DRIVER_OK]) {
        await attempt(bench.driver.writeStatus(status));
        expectEqual("the status", await bench.driver.readStatus(), RUNNING_STATUS);
      }
      await bench.echo(queue);
    },
  ),
  deviceCase(
    "status-needs-reset-is-the-devices",
    "A driver cannot set DEVICE_NEEDS_RESET.",
    ["status-device-3"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      await attempt(bench.driver.writeStatus(RUNNING_STATUS | DEVICE_NEEDS_RESET));
      expectEqual("the status", await bench.driver.readStatus(), RUNNING_STATUS);
      await bench.echo(queue);
    },
  ),
  deviceCase(
    "status-failed",
    "After FAILED no step is taken until the device is reset; then it starts over.",
    ["status-driver-3"],
    async (context) => {
      const bench = await context.device();
      await bench.begin();
      const failed = ACKNOWLEDGE | DRIVER | FAILED;
      await bench.driver.writeStatus(failed);
      expectEqual("the status after FAILED", await bench.driver.readStatus(), failed);
      await bench.driver.writeFeatures(await bench.driver.readFeatures());
      await attempt(bench.driver.writeStatus(failed | FEATURES_OK));
      expectEqual("the status after FAILED", await bench.driver.readStatus(), failed);
      await bench.echo(await bench.runWith(0));
    },
  ),
  deviceCase(
    "status-nothing-before-driver-ok",
    "Buffers made available before DRIVER_OK are neither used nor notified of until then.",
    ["status-device-1", "status-device-2"],
    async (context) => {
      const bench = await context.device();
      await bench.negotiate();
      const queue = await bench.queue(0);
      const buffer = queue.ring.add([Uint8Array.of(1, 2, 3)], [3]);
      queue.doorbell.ring();
      await bench.settle();
      expectEqual("buffers popped before DRIVER_OK", bench.model.popped, 0);
      expectEqual("the used index before DRIVER_OK", queue.ring.usedIndex, 0);
      expectEqual("interrupts before DRIVER_OK", bench.heard.used.length, 0);
      await bench.run(queue);
      const [used] = await bench.collect(queue);
      expectEqual("the used id", used?.id, buffer.head);
      await bench.expectSoon("the used buffer notification", () => bench.toldOf(0));
    },
  ),
  deviceCase(
    "status-no-configuration-change-before-driver-ok",
    "No configuration change notification is sent before DRIVER_OK.",
    ["reset-device-2"],
    async (context) => {
      const bench = await context.device();
      await bench.negotiate();
      await bench.driver.queuesReady?.([]);
      bench.model.host.configChanged();
      await bench.settle();
      expectEqual("configuration interrupts", bench.heard.configuration, 0);
    },
  ),
  deviceCase(
    "needs-reset",
    "A device in an error state sets DEVICE_NEEDS_RESET, says so, and uses no buffer any more.",
    ["status-device-3", "status-device-4"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      bench.model.host.needsReset("the case says so");
      const status = RUNNING_STATUS | DEVICE_NEEDS_RESET;
      expectEqual("the status", await bench.driver.readStatus(), status);
      await bench.expectSoon("the configuration interrupt", () => bench.heard.configuration > 0);
      await bench.forget();
      queue.ring.add([Uint8Array.of(1)], [1]);
      queue.doorbell.ring();
      await bench.settle();
      expectEqual("the used index", queue.ring.usedIndex, 0);
      expectEqual("interrupts", bench.heard.used.length, 0);
      await bench.echo(await bench.runWith(0));
    },
  ),
  deviceCase(
    "needs-reset-silences-work",
    "Work that was under way at DEVICE_NEEDS_RESET does not write to the queue afterwards.",
    ["status-device-3"],
    async (context) => {
      const bench = await context.device();
      bench.model.holds = true;
      const queue = await bench.runWith(0);
      bench.model.holds = true;
      const buffer = queue.ring.add([Uint8Array.of(1, 2)], [2]);
      queue.doorbell.ring();
      await bench.expectSoon("the buffer is popped", () => bench.model.popped === 1);
      bench.model.host.needsReset("the case says so");
      bench.model.release();
      await bench.settle();
      expectEqual("the used index", queue.ring.usedIndex, 0);
      expectEqual("the writable bytes", buffer.written(), Uint8Array.of(0, 0));
    },
  ),
];
