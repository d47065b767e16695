/** Device reset, and what does not outlive it. */
import { FEATURE, FeatureSet, STATUS } from "@virtio-admin/core";
import { RUNNING_STATUS } from "../device-bench.ts";
import { expectEqual, expectRefusal, expectTrue } from "../expect.ts";
import { PROBE_CONFIG, PROBE_FEATURES, PROBE_QUEUE_SIZES, PROBE_WRITABLE } from "../probe-model.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

const { FEATURES_OK } = STATUS;

/** Device reset, and what does not outlive it. */
export const RESET_CASES: readonly ComplianceCase[] = [
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
      await bench.settle();
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
      await bench.expectSoon("the buffer is popped", () => bench.model.popped === 1);
      await bench.driver.reset();
      await bench.forget();
      bench.model.release();
      bench.model.host.configChanged();
      await bench.settle();
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
      await bench.settle();
      await bench.forget();
      await bench.negotiate();
      const renewed = await bench.queue(0);
      await bench.run(renewed);
      await bench.settle();
      expectEqual("interrupts", bench.heard.used.length + bench.heard.configuration, 0);
      await bench.echo(renewed);
      await bench.expectSoon("the used buffer notification", () => bench.toldOf(0));
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
      await bench.settle();
      await bench.driver.reset();
      await bench.listen();
      await bench.settle();
      expectEqual("interrupts", bench.heard.used.length + bench.heard.configuration, 0);
      await bench.echo(await bench.runWith(0));
      await bench.expectSoon("the used buffer notification", () => bench.toldOf(0));
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
      const ring = bench.highRing(8);
      const doorbell = await bench.driver.enableQueue(0, ring.size, ring.areas);
      await bench.driver.writeStatus(RUNNING_STATUS);
      const before = bench.snapshot();
      await bench.echo({ index: 0, ring, doorbell });
      bench.model.host.configChanged();
      await bench.settle();
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
      await bench.settle();
      await bench.driver.close();
      await bench.forget();
      queue.ring.add([Uint8Array.of(1)], [1]);
      queue.doorbell.ring();
      bench.model.host.configChanged();
      await bench.settle();
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
      await bench.settle();
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
