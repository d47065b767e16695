/** Virtqueues from the driver's end, in front of a device that may break every rule. */
import { type DriverDevice, FEATURE, STATUS, type VirtioError } from "@virtio-admin/core";
import type { DriverBench } from "../driver-bench.ts";
import { expectEqual, expectRefusal, expectTrue } from "../expect.ts";
import type { HandDeviceQueue } from "../hand-device-queue.ts";
import { SCRIPTED_FEATURES } from "../scripted-device.ts";
import type { ComplianceCase } from "../types.ts";
import { BROKEN_USED, type BrokenUsed, expectDistrust } from "./broken-used.ts";
import { driverCase } from "./define.ts";

const WITH_EVENT_IDX = [...SCRIPTED_FEATURES, FEATURE.VIRTIO_F_EVENT_IDX];

/** What can be wrong in a used ring. */
const BROKEN_USED_RINGS: readonly BrokenUsed<HandDeviceQueue>[] = [
  ...BROKEN_USED,
  {
    id: "index-jump",
    title: "advances by more than it was given",
    breakIt: (queue) => {
      queue.usedIndex = 7;
    },
  },
];

/** Virtqueues from the driver's end. */
export const DRIVER_QUEUE_CASES: readonly ComplianceCase[] = [
  driverCase(
    "driver-exchange",
    "Buffers reach the device as they were added, and come back with what it wrote.",
    ["split-framing-driver-1", "split-publish-driver-1", "driver-notification-1"],
    async (context) => {
      const { bench, driven, queue } = await running(context.driver());
      const handle = driven.queue(0);
      const source = bench.dma.allocate(16, 8);
      const target = bench.dma.allocate(16, 8);
      bench.dma.memory.write(source.address, Uint8Array.of(1, 2, 3, 4, 5, 6));
      const used: number[] = [];
      handle.onUsed = () => {
        for (let id = handle.reap(); id >= 0; id = handle.reap()) used.push(id);
      };
      for (let round = 0; round < 20; round++) {
        const segments = [source.address, source.address + 4, target.address];
        const id = handle.queue.add(segments, [4, 2, 8], 3, 2);
        handle.notify();
        await bench.expectSoon(
          "the notification",
          () => bench.device.count("notify") === round + 1,
        );
        const [buffer] = queue.take();
        if (buffer === undefined) return expectTrue("a buffer is available", false);
        expectEqual("the readable bytes", buffer.readable, Uint8Array.of(1, 2, 3, 4, 5, 6));
        queue.fill(buffer, Uint8Array.of(round, 9, 9));
        queue.use(buffer.head, 3);
        bench.device.interrupt(0);
        await bench.expectSoon("the buffer is reaped", () => used.length === round + 1);
        expectEqual("its id", used.at(-1), id);
        expectEqual("its used length", handle.queue.usedLength, 3);
      }
      expectEqual("the queue of the notifications", notified(bench), new Array(20).fill(0));
      expectEqual("outstanding buffers", handle.queue.outstanding, 0);
    },
  ),
  driverCase(
    "driver-notifies-its-queue",
    "A notification carries the index of its queue.",
    ["driver-notification-1", "mmio-notify-driver-1", "ccw-notify-1"],
    async (context) => {
      const bench = context.driver();
      const driven = await bench.bringUp({ queues: [{ index: 0 }, { index: 1 }] });
      const block = bench.dma.allocate(8, 8);
      let sent = 0;
      for (const index of [1, 0, 1]) {
        driven.queue(index).queue.add([block.address], [8], 1, 0);
        driven.queue(index).notify();
        sent++;
        await bench.expectSoon("the notification", () => bench.device.count("notify") === sent);
      }
      expectEqual("the queues notified", notified(bench), [1, 0, 1]);
    },
  ),
  driverCase(
    "driver-notification-flag",
    "Without VIRTIO_F_EVENT_IDX, the device is notified exactly while its flags are 0.",
    ["split-avail-notification-driver-2", "split-avail-notification-driver-3"],
    async (context) => {
      const { bench, driven, queue } = await running(context.driver());
      const handle = driven.queue(0);
      const block = bench.dma.allocate(8, 8);
      queue.availableEvent = 0xffff;
      let expected = 0;
      for (const flags of [1, 0, 1, 0]) {
        queue.usedFlags = flags;
        handle.queue.add([block.address], [8], 1, 0);
        handle.notify();
        if (flags === 0) expected++;
        await bench.settle();
        expectEqual(`notifications with flags ${flags}`, bench.device.count("notify"), expected);
      }
    },
  ),
  driverCase(
    "driver-avail-event",
    "With VIRTIO_F_EVENT_IDX, the device is notified at avail_event alone; flags are nothing.",
    ["split-avail-notification-driver-5", "split-avail-notification-driver-6"],
    async (context) => {
      const { bench, driven, queue } = await running(context.driver({ features: WITH_EVENT_IDX }));
      const handle = driven.queue(0);
      const block = bench.dma.allocate(8, 8);
      queue.usedFlags = 1;
      queue.availableEvent = 2;
      for (const expected of [0, 0, 1, 1]) {
        handle.queue.add([block.address], [8], 1, 0);
        handle.notify();
        await bench.settle();
        expectEqual("notifications", bench.device.count("notify"), expected);
      }
      expectEqual("the flags of the available ring", queue.availableFlags, 0);
    },
  ),
  driverCase(
    "driver-spurious-interrupt",
    "Interrupts that have no cause are put up with.",
    ["split-used-notification-driver-5", "mmio-driver-17"],
    async (context) => {
      const { bench, driven } = await running(context.driver());
      const handle = driven.queue(0);
      let called = 0;
      handle.onUsed = () => {
        called++;
        handle.reap();
      };
      for (let i = 0; i < 3; i++) bench.device.interrupt(0);
      await bench.settle();
      expectTrue("the queue was looked at", called > 0);
      expectEqual("the state of the device", driven.state, "live");
    },
  ),
  driverCase(
    "driver-configuration-change",
    "A configuration change reaches whoever listens, and is no failure.",
    ["ccw-status-driver-2", "pci-config-change-driver-1", "mmio-interrupt-driver-1"],
    async (context) => {
      const { bench, driven } = await running(context.driver());
      let changes = 0;
      driven.onConfigChange(() => {
        changes++;
      });
      bench.device.changeConfiguration();
      await bench.expectSoon("the configuration change", () => changes > 0);
      expectEqual("the state of the device", driven.state, "live");
    },
  ),
  driverCase(
    "driver-needs-reset",
    "DEVICE_NEEDS_RESET is noticed, and nothing is counted on any more.",
    ["status-driver-4", "status-device-4"],
    async (context) => {
      const { bench, driven } = await running(context.driver());
      let failure: VirtioError | undefined;
      driven.onFailure((error) => {
        failure = error;
      });
      bench.device.raiseStatus(STATUS.DEVICE_NEEDS_RESET);
      bench.device.changeConfiguration();
      await bench.expectSoon("the failure", () => failure !== undefined);
      expectEqual("the state of the device", driven.state, "needs-reset");
      expectEqual("the code of the failure", failure?.code, "DEVICE_FAILED");
      const before = bench.device.count("notify");
      driven.queue(0).notify();
      await bench.settle();
      expectEqual("notifications afterwards", bench.device.count("notify"), before);
    },
  ),
  driverCase(
    "driver-reset-queue",
    "One queue is reset and enabled again, where the transport can; else that is refused.",
    ["vq-reset-driver-1", "vq-reenable-driver-1", "mmio-driver-20", "pci-common-driver-7"],
    async (context) => {
      const { bench, driven } = await running(context.driver());
      if (!context.carries(FEATURE.VIRTIO_F_RING_RESET)) {
        await expectRefusal("the reset of a queue", driven.resetQueue(0), "TRANSPORT_UNSUPPORTED");
        expectEqual("queue resets", bench.device.count("queue-reset"), 0);
        expectEqual("the state of the device", driven.state, "live");
        return;
      }
      await driven.resetQueue(0);
      const order = bench.device.calls.flatMap(({ op }) =>
        op === "queue-reset" || op === "enable" ? [op] : [],
      );
      expectEqual("resets and enablings", order, ["enable", "queue-reset", "enable"]);
      const block = bench.dma.allocate(8, 8);
      driven.queue(0).queue.add([block.address], [8], 1, 0);
      driven.queue(0).notify();
      await bench.expectSoon("the notification", () => bench.device.count("notify") === 1);
      expectEqual("the available index", bench.queue(0).availableIndex, 1);
    },
  ),
  driverCase(
    "driver-close-silences",
    "After it was closed, the driver neither notifies nor serves interrupts.",
    ["cleanup-driver-2"],
    async (context) => {
      const { bench, driven } = await running(context.driver());
      let called = 0;
      driven.queue(0).onUsed = () => {
        called++;
      };
      await driven.close();
      bench.device.interrupt(0);
      driven.queue(0).notify();
      await bench.settle();
      expectEqual("interrupts served", called, 0);
      expectEqual("notifications", bench.device.count("notify"), 0);
    },
  ),
  ...BROKEN_USED_RINGS.map(({ id, title, breakIt }) =>
    driverCase(
      `driver-used-${id}`,
      `A used ring that ${title} fails the device, with FAILED, and is not believed.`,
      ["init-driver-6", "split-used-driver-1"],
      async (context) => {
        const { bench, driven, queue } = await running(context.driver());
        await expectDistrust(bench, driven, queue, breakIt);
      },
    ),
  ),
];

interface Running {
  readonly bench: DriverBench;
  readonly driven: DriverDevice;
  readonly queue: HandDeviceQueue;
}

async function running(bench: DriverBench): Promise<Running> {
  const driven = await bench.bringUp();
  return { bench, driven, queue: bench.queue(0) };
}

function notified(bench: DriverBench): number[] {
  return bench.device.calls.flatMap((call) => (call.op === "notify" ? [call.queue] : []));
}
