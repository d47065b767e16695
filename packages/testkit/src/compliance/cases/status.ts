/** Identity, device status and reset. */
import { FEATURE, FeatureSet, STATUS } from "@virtio-admin/core";
import { FEATURES_OK_STATUS, RUNNING_STATUS } from "../device-bench.ts";
import { attempt, expectEqual, expectRefusal, expectSoon, expectTrue, settle } from "../expect.ts";
import { HandRing } from "../hand-ring.ts";
import {
  PROBE_CONFIG,
  PROBE_DEVICE_ID,
  PROBE_FEATURES,
  PROBE_QUEUE_SIZES,
  PROBE_WRITABLE,
} from "../probe-model.ts";
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

/** Identity, device status and reset. */
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
      await settle();
      expectEqual("buffers popped before DRIVER_OK", bench.model.popped, 0);
      expectEqual("the used index before DRIVER_OK", queue.ring.usedIndex, 0);
      expectEqual("interrupts before DRIVER_OK", bench.heard.used.length, 0);
      await bench.run(queue);
      const [used] = await bench.collect(queue);
      expectEqual("the used id", used?.id, buffer.head);
      await expectSoon("the used buffer notification", () => bench.toldOf(0));
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
      await settle();
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
      await expectSoon("the configuration interrupt", () => bench.heard.configuration > 0);
      bench.forget();
      queue.ring.add([Uint8Array.of(1)], [1]);
      queue.doorbell.ring();
      await settle();
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
      await expectSoon("the buffer is popped", () => bench.model.popped === 1);
      bench.model.host.needsReset("the case says so");
      bench.model.release();
      await settle();
      expectEqual("the used index", queue.ring.usedIndex, 0);
      expectEqual("the writable bytes", buffer.written(), Uint8Array.of(0, 0));
    },
  ),
  deviceCase(
    "reset-status",
    "A reset sets the status to 0 from any status.",
    ["reset-device-1", "ccw-reset-device-1", "ccw-reset-device-2", "pci-common-device-8"],
    async (context) => {
      const bench = await context.device();
      const reset = async () => {
        await bench.driver.reset();
        expectEqual("the status after a reset", await bench.driver.readStatus(), 0);
      };
      await reset();
      await bench.begin();
      await reset();
      await bench.negotiate();
      await reset();
      await bench.runWith(0);
      await reset();
      await bench.runWith(0);
      bench.model.host.needsReset("the case says so");
      await reset();
      await reset();
    },
  ),
  deviceCase(
    "reset-queues",
    "A reset disables every queue, and one that is enabled again starts from index 0.",
    ["reset-device-3", "mmio-device-6", "pci-common-device-9", "ccw-reset-device-4"],
    async (context) => {
      const bench = await context.device();
      await bench.negotiate();
      const queues = [await bench.queue(0, 4), await bench.queue(1)];
      await bench.run(...queues);
      for (const queue of queues) await bench.echo(queue);
      await bench.driver.reset();
      PROBE_QUEUE_SIZES.forEach((size, index) => {
        expectEqual(`queue ${index} is enabled`, bench.device.queueEnabled(index), false);
        expectEqual(`the size of queue ${index}`, bench.device.queueSize(index), size);
      });
      for (const queue of queues) {
        queue.ring.add([Uint8Array.of(1)], [1]);
        queue.doorbell.ring();
      }
      await settle();
      for (const queue of queues) expectEqual("the used index", queue.ring.usedIndex, 1);
      const renewed = await bench.runWith(0);
      await bench.echo(renewed);
      expectEqual("the used index of the renewed queue", renewed.ring.usedIndex, 1);
    },
  ),
  deviceCase(
    "reset-features",
    "A reset forgets the features, and another subset can be negotiated.",
    ["reset-device-1", "features-device-2", "admin-transport-3"],
    async (context) => {
      const bench = await context.device();
      await bench.negotiate();
      await bench.begin();
      expectTrue("the driver's features are empty", bench.device.driverFeatures.isEmpty);
      expectEqual(
        "the status after FEATURES_OK without features",
        (await bench.tryFeaturesOk()) & FEATURES_OK,
        0,
      );
      const few = FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1, PROBE_FEATURES[0] ?? 0);
      await bench.begin();
      await bench.accept(few);
      expectEqual("the features in force", bench.device.driverFeatures, few);
    },
  ),
  deviceCase(
    "reset-silences-work",
    "After a reset, work that was under way touches no queue and sends no notification.",
    ["reset-device-2", "reset-device-3", "ccw-reset-device-3", "ccw-reset-device-4"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      bench.model.holds = true;
      const buffer = queue.ring.add([Uint8Array.of(1, 2)], [2]);
      queue.doorbell.ring();
      await expectSoon("the buffer is popped", () => bench.model.popped === 1);
      await bench.driver.reset();
      bench.forget();
      bench.model.release();
      bench.model.host.configChanged();
      await settle();
      expectEqual("the used index", queue.ring.usedIndex, 0);
      expectEqual("the writable bytes", buffer.written(), Uint8Array.of(0, 0));
      expectEqual("interrupts", bench.heard.used.length + bench.heard.configuration, 0);
    },
  ),
  deviceCase(
    "reset-ends-interrupts",
    "An interrupt that was not served before a reset is not delivered after it.",
    ["reset-device-2", "mmio-device-5", "mmio-device-4"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      await bench.echo(queue);
      bench.model.host.configChanged();
      await bench.driver.reset();
      await settle();
      bench.forget();
      await bench.negotiate();
      const renewed = await bench.queue(0);
      await bench.run(renewed);
      await settle();
      expectEqual("interrupts", bench.heard.used.length + bench.heard.configuration, 0);
      await bench.echo(renewed);
      await expectSoon("the used buffer notification", () => bench.toldOf(0));
      expectEqual("configuration interrupts", bench.heard.configuration, 0);
    },
  ),
  deviceCase(
    "reset-ends-pending-interrupts",
    "An interrupt that nobody has heard is gone after a reset, for who listens then.",
    ["reset-device-2", "mmio-device-5", "mmio-device-4"],
    async (context) => {
      const bench = context.unopenedDevice();
      await bench.driver.open();
      const queue = await bench.runWith(0);
      await bench.echo(queue);
      bench.model.host.configChanged();
      await settle();
      await bench.driver.reset();
      await bench.listen();
      await settle();
      expectEqual("interrupts", bench.heard.used.length + bench.heard.configuration, 0);
      await bench.echo(await bench.runWith(0));
      await expectSoon("the used buffer notification", () => bench.toldOf(0));
      expectEqual("configuration interrupts", bench.heard.configuration, 0);
    },
  ),
  deviceCase(
    "reset-ends-interrupt-areas",
    "After a reset, no memory is written that the driver named for interrupts before.",
    ["reset-device-2", "ccw-reset-device-3"],
    async (context) => {
      const bench = await context.device();
      await bench.echo(await bench.runWith(0));
      await bench.negotiate();
      // Rings and buffers lie elsewhere, and no interrupt is arranged for.
      const ring = new HandRing(bench.highDma, 8);
      const doorbell = await bench.driver.enableQueue(0, ring.size, ring.areas);
      await bench.driver.writeStatus(RUNNING_STATUS);
      const before = bench.snapshot();
      await bench.echo({ index: 0, ring, doorbell });
      bench.model.host.configChanged();
      await settle();
      const after = bench.snapshot();
      const changed = after.findIndex((byte, i) => byte !== before[i]);
      expectEqual("the first byte that changed", changed, -1);
    },
  ),
  deviceCase(
    "reset-configuration",
    "A reset puts what the driver wrote to the configuration space back.",
    ["reset-device-1"],
    async (context) => {
      const bench = await context.device();
      await bench.runWith(0);
      await bench.driver.writeConfig(PROBE_WRITABLE + 4, Uint8Array.of(9, 9, 9, 9));
      await bench.driver.reset();
      expectEqual(
        "the configuration space",
        await bench.driver.readConfig(0, PROBE_CONFIG.length),
        PROBE_CONFIG,
      );
    },
  ),
  deviceCase(
    "close-silences",
    "Once the driver half has let go of the bus, it delivers no interrupt.",
    ["reset-device-2"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      await bench.echo(queue);
      await settle();
      await bench.driver.close();
      bench.forget();
      queue.ring.add([Uint8Array.of(1)], [1]);
      queue.doorbell.ring();
      bench.model.host.configChanged();
      await settle();
      expectEqual("interrupts", bench.heard.used.length + bench.heard.configuration, 0);
    },
  ),
  deviceCase(
    "late-doorbell",
    "A notification of a queue that a reset has disabled is ignored.",
    ["reset-device-3", "split-avail-notification-device-5"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      await bench.driver.reset();
      queue.doorbell.ring();
      await settle();
      expectEqual("the status", await bench.driver.readStatus(), 0);
      expectEqual("buffers popped", bench.model.popped, 0);
      await expectRefusal(
        "administration virtqueues after a reset",
        bench.driver.adminQueues(FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1)),
        "ADMIN_QUEUE_UNAVAILABLE",
      );
    },
  ),
];
