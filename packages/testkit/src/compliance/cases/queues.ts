/** Setting queues up, resetting one, and what is left alone. */
import { FEATURE, FeatureSet, type QueueAddresses, STATUS } from "@virtio-admin/core";
import { RUNNING_STATUS } from "../device-bench.ts";
import { attempt, expectEqual, expectRefusal, expectTrue } from "../expect.ts";
import { PROBE_QUEUE_SIZES } from "../probe-model.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

const { DEVICE_NEEDS_RESET } = STATUS;
const FIRST_QUEUE_SIZE = PROBE_QUEUE_SIZES[0] ?? 0;

/** Ring areas that no driver may give. */
const BAD_AREAS: readonly (readonly [string, (areas: QueueAddresses) => QueueAddresses])[] = [
  ["a misaligned descriptor area", (a) => ({ ...a, descriptorArea: a.descriptorArea + 8 })],
  ["a misaligned driver area", (a) => ({ ...a, driverArea: a.driverArea + 1 })],
  ["a misaligned device area", (a) => ({ ...a, deviceArea: a.deviceArea + 2 })],
  ["a descriptor area outside memory", (a) => ({ ...a, descriptorArea: 0x1000 })],
  ["a device area beyond 2^53", (a) => ({ ...a, deviceArea: 2 ** 53 - 4096 })],
];

/** Setting queues up, and resetting one. */
export const QUEUE_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "queue-size-max",
    "The largest size of each queue is what the device has, and 0 where there is no queue.",
    ["mmio-layout-4", "pci-common-device-15", "ccw-admin-device-23", "ccw-vq-format-1"],
    async (context) => {
      const bench = await context.device({ adminQueues: 0 });
      await bench.negotiate();
      for (const [index, size] of PROBE_QUEUE_SIZES.entries()) {
        expectEqual(`queue ${index}`, await bench.driver.queueSizeMax(index), size);
      }
      for (const index of [PROBE_QUEUE_SIZES.length, 100, 0xffff]) {
        expectEqual(`queue ${index}`, await bench.driver.queueSizeMax(index), 0);
      }
    },
  ),
  deviceCase(
    "queue-each-works",
    "Every queue of the device can be set up and used, all of them at once.",
    ["mmio-layout-5", "ccw-vq-format-2", "pci-common-driver-4"],
    async (context) => {
      const bench = await context.device();
      await bench.negotiate();
      const queues = [];
      for (const index of PROBE_QUEUE_SIZES.keys()) queues.push(await bench.queue(index));
      await bench.run(...queues);
      for (const queue of [...queues, ...queues]) {
        await bench.forget();
        await bench.echo(queue, `through queue ${queue.index}`);
        await bench.expectSoon("the used buffer notification", () => bench.toldOf(queue.index));
      }
    },
  ),
  deviceCase(
    "queue-high-addresses",
    "Areas and buffers may lie at any 64-bit address of memory.",
    ["pci-layout-device-1", "ccw-vq-format-2"],
    async (context) => {
      const bench = await context.device();
      await bench.negotiate();
      const ring = bench.highRing(FIRST_QUEUE_SIZE);
      const doorbell = await bench.driver.enableQueue(0, ring.size, ring.areas);
      const queue = { index: 0, ring, doorbell };
      await bench.run(queue);
      for (let i = 0; i < 3; i++) await bench.echo(queue);
    },
  ),
  deviceCase(
    "queue-interrupt-names-queue",
    "Where an interrupt names a queue, it is the one in which a buffer was used.",
    ["pci-msix-device-1", "ccw-adapter-interrupt-1"],
    async (context) => {
      const bench = await context.device();
      await bench.negotiate();
      const queues = [await bench.queue(0), await bench.queue(2)];
      await bench.run(...queues);
      for (const queue of queues) {
        await bench.forget();
        await bench.echo(queue);
        await bench.expectSoon("the used buffer notification", () => bench.toldOf(queue.index));
        await bench.settle();
        for (const told of bench.heard.used) {
          if (told !== undefined) expectEqual("the queue of the interrupt", told, queue.index);
        }
      }
    },
  ),
  deviceCase(
    "queue-smaller",
    "A queue works with a size below its maximum, over several rounds of its rings.",
    ["mmio-driver-13", "ccw-vq-format-2"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(1, 4);
      for (let i = 0; i < 11; i++) await bench.echo(queue, `round ${i}`);
      expectEqual("the used index", queue.ring.usedIndex, 11);
      expectEqual("the size of the queue", bench.device.queueSize(1), 4);
    },
  ),
  deviceCase(
    "queue-size-bad",
    "A size that is no power of two, 0, or above the maximum, is never in force.",
    ["pci-common-device-16", "mmio-driver-13"],
    async (context) => {
      const bench = await context.device();
      for (const size of [0, 3, 2 * FIRST_QUEUE_SIZE, 0x8000]) {
        await bench.negotiate();
        const ring = bench.ring(FIRST_QUEUE_SIZE);
        await attempt(bench.driver.enableQueue(0, size, ring.areas));
        const inForce = bench.device.queueEnabled(0) ? bench.device.queueSize(0) : "none";
        expectTrue(
          `size ${size} is not in force`,
          inForce === "none" || inForce === FIRST_QUEUE_SIZE,
        );
        await bench.echo(await bench.runWith(0));
        await bench.driver.reset();
        ring.free();
      }
    },
  ),
  deviceCase(
    "queue-address-bad",
    "A queue whose areas are misaligned or outside memory is not enabled; a reset mends that.",
    ["split-layout-driver-1", "status-device-3"],
    async (context) => {
      const bench = await context.device();
      for (const [what, change] of BAD_AREAS) {
        await bench.negotiate();
        const ring = bench.ring(FIRST_QUEUE_SIZE);
        await expectRefusal(
          `enabling a queue with ${what}`,
          bench.driver.enableQueue(0, ring.size, change(ring.areas)),
        );
        expectEqual(`a queue with ${what} is enabled`, bench.device.queueEnabled(0), false);
        await bench.driver.reset();
        ring.free();
        await bench.echo(await bench.runWith(0));
      }
    },
  ),
  deviceCase(
    "queue-absent",
    "A queue that the device does not have cannot be enabled, and the device takes no harm.",
    ["mmio-layout-4", "pci-common-device-15"],
    async (context) => {
      const bench = await context.device({ adminQueues: 0 });
      await bench.negotiate();
      const stray = bench.ring(8);
      for (const index of [PROBE_QUEUE_SIZES.length, 9, 0xffff]) {
        await expectRefusal(
          `enabling queue ${index}`,
          bench.driver.enableQueue(index, stray.size, stray.areas),
        );
        expectEqual(`queue ${index} is enabled`, bench.device.queueEnabled(index), false);
      }
      const queue = await bench.queue(0);
      await bench.run(queue);
      await bench.echo(queue);
      expectEqual("the used index of the stray ring", stray.usedIndex, 0);
    },
  ),
  deviceCase(
    "queue-before-features-ok",
    "A queue cannot be enabled before FEATURES_OK.",
    ["init-driver-1"],
    async (context) => {
      const bench = await context.device();
      await bench.begin();
      const ring = bench.ring(FIRST_QUEUE_SIZE);
      await attempt(bench.driver.enableQueue(0, ring.size, ring.areas));
      expectEqual("the queue is enabled", bench.device.queueEnabled(0), false);
      await bench.echo(await bench.runWith(0));
    },
  ),
  deviceCase(
    "queue-enabled-once",
    "A queue that is enabled keeps its size and areas, whatever is written afterwards.",
    ["mmio-driver-14", "pci-common-driver-4"],
    async (context) => {
      const bench = await context.device();
      await bench.negotiate();
      const queue = await bench.queue(0);
      const stray = bench.ring(4);
      await attempt(bench.driver.enableQueue(0, stray.size, stray.areas));
      expectTrue("the queue is enabled", bench.device.queueEnabled(0));
      expectEqual("the size of the queue", bench.device.queueSize(0), FIRST_QUEUE_SIZE);
      await bench.run(queue);
      await bench.echo(queue);
      expectEqual("the used index of the stray ring", stray.usedIndex, 0);
    },
  ),
  deviceCase(
    "queue-notified-for-nothing",
    "A notification without available buffers has no effect, and is answered by none.",
    ["split-avail-notification-device-5"],
    async (context) => {
      const bench = await context.device();
      const queue = await bench.runWith(0);
      for (let i = 0; i < 3; i++) queue.doorbell.ring();
      await bench.settle();
      expectEqual("interrupts", bench.heard.used.length, 0);
      expectEqual("the status", await bench.driver.readStatus(), RUNNING_STATUS);
      await bench.echo(queue);
    },
  ),
  deviceCase(
    "queue-notification-names-queue",
    "A notification makes the device look at the queue it names.",
    ["driver-notification-1", "mmio-notify-driver-1", "ccw-notify-1"],
    async (context) => {
      const bench = await context.device();
      await bench.negotiate();
      const first = await bench.queue(0);
      const second = await bench.queue(1);
      await bench.run(first, second);
      first.ring.add([Uint8Array.of(1)], [1]);
      second.ring.add([Uint8Array.of(2)], [1]);
      second.doorbell.ring();
      await bench.collect(second);
      expectEqual("the used index of the queue not notified", first.ring.usedIndex, 0);
      await bench.exchange(first);
    },
  ),
  deviceCase(
    "queue-reset",
    "One queue can be stopped, and works again with what is configured anew, from index 0 on.",
    ["vq-reset-device-3", "vq-reenable-device-1", "pci-common-device-12", "mmio-device-11"],
    async (context) => {
      const bench = await context.device();
      if (!context.carries(FEATURE.VIRTIO_F_RING_RESET)) {
        const queue = await bench.runWith(0);
        await expectRefusal(
          "resetting a queue where one cannot be stopped",
          bench.driver.resetQueue(0),
          "TRANSPORT_UNSUPPORTED",
        );
        await bench.echo(queue);
        return;
      }
      const queue = await bench.runWith(1);
      for (let i = 0; i < 3; i++) await bench.echo(queue);
      await bench.driver.resetQueue(1);
      expectEqual("the queue is enabled", bench.device.queueEnabled(1), false);
      expectEqual("the size", await bench.driver.queueSizeMax(1), PROBE_QUEUE_SIZES[1] ?? 0);
      const renewed = await bench.queue(1, 4);
      for (let i = 0; i < 5; i++) await bench.echo(renewed);
      expectEqual("the used index of the renewed queue", renewed.ring.usedIndex, 5);
      expectEqual("the used index of the queue before", queue.ring.usedIndex, 3);
      expectEqual("resets of single queues", bench.model.queueResets, [1]);
    },
  ),
  deviceCase(
    "queue-reset-fences",
    "After its reset a queue is neither written to nor notified of, whatever was under way.",
    ["vq-reset-device-1", "vq-reset-device-2", "mmio-device-8"],
    async (context) => {
      if (!context.carries(FEATURE.VIRTIO_F_RING_RESET)) {
        context.skip(`no single queue is stopped on ${context.transport.name}`);
      }
      const bench = await context.device();
      const queue = await bench.runWith(0);
      bench.model.holds = true;
      const buffer = queue.ring.add([Uint8Array.of(1, 2)], [2]);
      queue.doorbell.ring();
      await bench.expectSoon("the buffer is popped", () => bench.model.popped === 1);
      await bench.driver.resetQueue(0);
      await bench.forget();
      bench.model.release();
      queue.ring.add([Uint8Array.of(3)], [1]);
      queue.doorbell.ring();
      await bench.settle();
      expectEqual("the used index", queue.ring.usedIndex, 0);
      expectEqual("the writable bytes", buffer.written(), Uint8Array.of(0, 0));
      expectEqual("interrupts", bench.heard.used.length, 0);
    },
  ),
  deviceCase(
    "queue-reset-alone",
    "The reset of one queue leaves the others and the device as they are.",
    ["vq-reset-device-3"],
    async (context) => {
      if (!context.carries(FEATURE.VIRTIO_F_RING_RESET)) {
        context.skip(`no single queue is stopped on ${context.transport.name}`);
      }
      const bench = await context.device();
      await bench.negotiate();
      const [first, second] = [await bench.queue(0), await bench.queue(1)];
      await bench.run(first, second);
      await bench.echo(first);
      await bench.echo(second);
      await bench.driver.resetQueue(0);
      expectEqual("the status", await bench.driver.readStatus(), RUNNING_STATUS);
      for (let i = 0; i < 3; i++) await bench.echo(second);
    },
  ),
  deviceCase(
    "queue-reset-needs-feature",
    "Without VIRTIO_F_RING_RESET negotiated, the registers of a queue reset have no effect.",
    ["vq-reset-device-3", "pci-common-device-12"],
    async (context) => {
      if (!context.carries(FEATURE.VIRTIO_F_RING_RESET)) {
        context.skip(`no single queue is stopped on ${context.transport.name}`);
      }
      const bench = await context.device();
      await bench.negotiate([FEATURE.VIRTIO_F_RING_RESET, FEATURE.VIRTIO_F_EVENT_IDX]);
      const queue = await bench.queue(0);
      await bench.run(queue);
      // A driver half that refuses by itself is made to think that the feature is in force; the
      // device takes no features any more.
      const { VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET } = FEATURE;
      await attempt(
        bench.driver.writeFeatures(FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET)),
      );
      await attempt(bench.driver.resetQueue(0));
      expectTrue("the queue is enabled", bench.device.queueEnabled(0));
      await bench.echo(queue);
    },
  ),
  deviceCase(
    "queue-needs-reset-on-bad-address",
    "A device whose driver gave it a bad area asks to be reset, or refuses the request itself.",
    ["status-device-3"],
    async (context) => {
      const bench = await context.device();
      await bench.begin();
      await bench.accept(FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1));
      const ring = bench.ring(FIRST_QUEUE_SIZE);
      const areas = { ...ring.areas, deviceArea: 0x10 };
      await expectRefusal(
        "enabling a queue outside memory",
        bench.driver.enableQueue(0, ring.size, areas),
      );
      const status = await bench.driver.readStatus();
      expectEqual(
        "status bits beside DEVICE_NEEDS_RESET",
        status & ~DEVICE_NEEDS_RESET,
        STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK,
      );
    },
  ),
];
