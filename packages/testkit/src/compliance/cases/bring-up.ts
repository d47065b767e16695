/** Bring-up through the driver half: order, features, and what makes it give up. */
import { FEATURE, FEATURE_BITS, FEATURE_WORDS, STATUS } from "@virtio-admin/core";
import { Random } from "../../random.ts";
import { FEATURES_OK_STATUS, RUNNING_STATUS } from "../device-bench.ts";
import type { DriverBench } from "../driver-bench.ts";
import { attempt, expectEqual, expectRefusal, expectTrue } from "../expect.ts";
import { ComplianceFailure } from "../failure.ts";
import { PROBE_CONFIG, PROBE_DEPENDENCY, PROBE_DEVICE_ID } from "../probe-model.ts";
import { SCRIPTED_FEATURES } from "../scripted-device.ts";
import type { ComplianceCase } from "../types.ts";
import { driverCase } from "./define.ts";

const { ACKNOWLEDGE, DRIVER, FAILED, DEVICE_NEEDS_RESET, FEATURES_OK } = STATUS;
const { VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET } = FEATURE;
const EVERY_FEATURE: readonly number[] = Array.from({ length: FEATURE_BITS }, (_, bit) => bit);
const LIES = 24;

/** Bring-up, from reset to DRIVER_OK. */
export const BRING_UP_CASES: readonly ComplianceCase[] = [
  driverCase(
    "bring-up-order",
    "The steps come in the order of the text: reset, two status bits, features, queues, DRIVER_OK.",
    ["init-driver-1", "status-driver-1", "status-driver-2", "init-driver-5"],
    async (context) => {
      const bench = context.driver();
      await bench.bringUp();
      const { device } = bench;
      const statuses = device.statusesWritten;
      expectEqual("the first status", statuses[0], 0);
      expectEqual(
        "the statuses behind the resets",
        statuses.filter((status) => status !== 0),
        [ACKNOWLEDGE, ACKNOWLEDGE | DRIVER, FEATURES_OK_STATUS, RUNNING_STATUS],
      );
      const at = (wanted: (call: (typeof device.calls)[number]) => boolean) =>
        device.calls.findIndex(wanted);
      const lastFeatures = device.calls.findLastIndex(({ op }) => op === "features");
      const featuresOk = at((c) => c.op === "status" && c.value === FEATURES_OK_STATUS);
      const driver = at((c) => c.op === "status" && c.value === (ACKNOWLEDGE | DRIVER));
      const readBack = device.calls.findIndex(
        ({ op }, i) => i > featuresOk && op === "read-status",
      );
      const enable = at(({ op }) => op === "enable");
      const driverOk = at((c) => c.op === "status" && c.value === RUNNING_STATUS);
      const order = [driver, lastFeatures, featuresOk, readBack, enable, driverOk];
      if (order.some((step, i) => step < 0 || (i > 0 && step < (order[i - 1] ?? 0)))) {
        throw new ComplianceFailure(
          "the steps",
          "DRIVER, features, FEATURES_OK, read, queues, DRIVER_OK",
          order,
        );
      }
    },
  ),
  driverCase(
    "bring-up-resets-first",
    "The reset is waited for before the first status bit is written.",
    ["reset-driver-1", "pci-common-driver-5", "ccw-reset-driver-1"],
    async (context) => {
      const bench = context.driver();
      bench.device.raiseStatus(RUNNING_STATUS);
      await bench.bringUp();
      const { calls } = bench.device;
      const reset = calls.findIndex((call) => call.op === "status" && call.value === 0);
      const first = calls.findIndex((call) => call.op === "status" && call.value !== 0);
      expectTrue("the reset is the first write", reset >= 0 && reset < first);
    },
  ),
  driverCase(
    "bring-up-notifies-late",
    "No available buffer notification is sent before DRIVER_OK.",
    ["init-driver-8"],
    async (context) => {
      const bench = context.driver();
      const driven = await bench.bringUp();
      await bench.settle();
      expectEqual("notifications during bring-up", bench.device.count("notify"), 0);
      const { queue } = driven.queue(0);
      const block = bench.dma.allocate(8, 8);
      queue.add([block.address], [8], 1, 0);
      driven.queue(0).notify();
      await bench.expectSoon("the notification", () => bench.device.count("notify") > 0);
      await bench.settle();
      expectEqual("notifications after it", bench.device.count("notify"), 1);
    },
  ),
  driverCase(
    "bring-up-features-refused",
    "When FEATURES_OK does not stick, bring-up sets FAILED and sets no queue up.",
    ["init-driver-5", "init-driver-6", "init-driver-7"],
    async (context) => {
      const bench = context.driver({ accepts: () => false });
      await expectRefusal("bring-up", bench.bringUp(), "FEATURES_REFUSED");
      expectFailed(bench);
      expectEqual("queues enabled", bench.device.queuesEnabled, []);
      const last = bench.device.statusesWritten.at(-1) ?? 0;
      expectEqual("FEATURES_OK in the last status", last & FEATURES_OK, 0);
    },
  ),
  driverCase(
    "bring-up-knows-what-it-accepts",
    "Offered every bit there is, the driver accepts what it knows and was asked for.",
    ["features-driver-3", "features-driver-4", "features-driver-5", "features-driver-8"],
    async (context) => {
      const bench = context.driver({ features: EVERY_FEATURE });
      await bench.bringUp();
      const accepted = bench.device.driverFeatures;
      const known = new Set([
        ...SCRIPTED_FEATURES,
        FEATURE.VIRTIO_F_INDIRECT_DESC,
        FEATURE.VIRTIO_F_EVENT_IDX,
        FEATURE.VIRTIO_F_RING_PACKED,
        FEATURE.VIRTIO_F_IN_ORDER,
        FEATURE.VIRTIO_F_NOTIFICATION_DATA,
        FEATURE.VIRTIO_F_NOTIF_CONFIG_DATA,
        FEATURE.VIRTIO_F_ACCESS_PLATFORM,
        FEATURE.VIRTIO_F_ORDER_PLATFORM,
      ]);
      for (const bit of accepted.bits()) expectTrue(`bit ${bit} is known`, known.has(bit));
      expectTrue("VIRTIO_F_VERSION_1 is accepted", accepted.has(VIRTIO_F_VERSION_1));
      expectTrue("what was asked for is accepted", accepted.has(PROBE_DEPENDENCY.feature));
    },
  ),
  driverCase(
    "bring-up-reserved-features",
    "What the transport reserves is not accepted, even when it is offered and wanted.",
    ["features-driver-5", "reserved-features-driver-10", "ccw-admin-device-21"],
    async (context) => {
      const bench = context.driver({ features: EVERY_FEATURE });
      const { reservedFeatures } = context.transport;
      await bench.bringUp({
        ringFeatures: [VIRTIO_F_RING_RESET],
        adminQueues: { count: 1, required: false },
      });
      const accepted = bench.device.driverFeatures;
      for (const bit of [...reservedFeatures, FEATURE.VIRTIO_F_SR_IOV, FEATURE.VIRTIO_F_SUSPEND]) {
        expectEqual(`bit ${bit} is accepted`, accepted.has(bit), false);
      }
      for (const bit of reservedFeatures) {
        expectEqual(
          `the driver half allows bit ${bit}`,
          bench.driver.allowedFeatures.has(bit),
          false,
        );
      }
    },
  ),
  driverCase(
    "bring-up-offered-only",
    "No feature is accepted that was not offered; the driver does without.",
    ["features-driver-1", "features-driver-6"],
    async (context) => {
      const bench = context.driver({ features: [VIRTIO_F_VERSION_1] });
      await bench.bringUp();
      expectEqual("the accepted bits", bench.device.driverFeatures.bits(), [VIRTIO_F_VERSION_1]);
    },
  ),
  driverCase(
    "bring-up-dependency",
    "A feature is not accepted without the one it requires.",
    ["features-driver-2"],
    async (context) => {
      const bench = context.driver({ features: [VIRTIO_F_VERSION_1, PROBE_DEPENDENCY.feature] });
      await bench.bringUp();
      expectEqual("the accepted bits", bench.device.driverFeatures.bits(), [VIRTIO_F_VERSION_1]);
    },
  ),
  driverCase(
    "bring-up-all-words",
    "Features of all four words reach the device.",
    ["pci-common-device-4", "mmio-driver-12", "ccw-features-1"],
    async (context) => {
      const wanted = [3, 23, 50, 63, 64, 95, 96, 127];
      const bench = context.driver({ features: [VIRTIO_F_VERSION_1, ...wanted] });
      await bench.bringUp({ features: wanted, featureDependencies: [] });
      const { driverFeatures } = bench.device;
      for (let word = 0; word < FEATURE_WORDS; word++) {
        expectEqual(
          `word ${word}`,
          driverFeatures.word(word),
          bench.device.offeredFeatures.word(word),
        );
      }
    },
  ),
  driverCase(
    "bring-up-needs-version-1",
    "A device without VIRTIO_F_VERSION_1 is given up, with FAILED.",
    ["reserved-features-driver-2", "features-driver-7"],
    async (context) => {
      const bench = context.driver({ features: [0, 1] });
      await expectRefusal("bring-up", bench.bringUp(), "FEATURE_MISSING");
      expectFailed(bench);
    },
  ),
  driverCase(
    "bring-up-needs-feature",
    "A device without a feature that is needed is given up, with FAILED.",
    ["features-driver-7", "init-driver-6", "init-driver-7"],
    async (context) => {
      const bench = context.driver();
      await expectRefusal("bring-up", bench.bringUp({ requiredFeatures: [60] }), "FEATURE_MISSING");
      expectFailed(bench);
      expectEqual("queues enabled", bench.device.queuesEnabled, []);
    },
  ),
  driverCase(
    "bring-up-queue-absent",
    "A queue that the device does not have is not enabled, and bring-up gives up.",
    ["mmio-layout-4", "pci-common-device-15", "init-driver-6"],
    async (context) => {
      const bench = context.driver({ queueSizes: [0, 8] });
      await expectRefusal("bring-up", bench.bringUp(), "QUEUE_UNAVAILABLE");
      expectFailed(bench);
      expectEqual("queues enabled", bench.device.queuesEnabled, []);
    },
  ),
  driverCase(
    "bring-up-queue-size",
    "A queue is made no larger than its maximum, and its size is a power of two.",
    ["mmio-driver-13", "pci-common-driver-3"],
    async (context) => {
      for (const [most, size] of [
        [6, 4],
        [1, 1],
        [8, 8],
        [32, 16],
      ] as const) {
        const bench = context.driver({ queueSizes: [most] });
        const driven = await bench.bringUp({ queues: [{ index: 0, size: 16 }] });
        expectEqual(`the size told to a device with ${most}`, bench.device.queueSize(0), size);
        expectEqual(`the size used with a device with ${most}`, driven.queue(0).size, size);
      }
    },
  ),
  driverCase(
    "bring-up-queue-areas",
    "The device is told where the areas are, each aligned and inside the driver's memory.",
    ["split-layout-driver-1", "reserved-features-driver-5"],
    async (context) => {
      const bench = context.driver();
      await bench.bringUp({ queues: [{ index: 1, size: 16 }] });
      const areas = bench.device.areas(1);
      const parts = [
        [areas.descriptorArea, 16, 16 * 16],
        [areas.driverArea, 2, 6 + 2 * 16],
        [areas.deviceArea, 4, 6 + 8 * 16],
      ] as const;
      for (const [address, alignment, length] of parts) {
        expectEqual(`0x${address.toString(16)} modulo ${alignment}`, address % alignment, 0);
        expectTrue("the area is inside memory", bench.dma.memory.contains(address, length));
      }
    },
  ),
  driverCase(
    "bring-up-queue-not-enabled",
    "A queue that the device does not enable ends bring-up, with FAILED.",
    ["init-driver-6", "init-driver-7"],
    async (context) => {
      const bench = context.driver({ enables: () => false });
      await expectRefusal("bring-up", bench.bringUp());
      expectFailed(bench);
      expectTrue(
        "DRIVER_OK was never written",
        !bench.device.statusesWritten.includes(RUNNING_STATUS),
      );
    },
  ),
  driverCase(
    "bring-up-needs-reset",
    "A device that asks to be reset at DRIVER_OK is not taken for running.",
    ["status-driver-4", "status-device-3"],
    async (context) => {
      const bench = context.driver({
        statusAfter: (status) => (status === RUNNING_STATUS ? status | DEVICE_NEEDS_RESET : status),
      });
      await expectRefusal("bring-up", bench.bringUp(), "DEVICE_FAILED");
    },
  ),
  driverCase(
    "bring-up-reset-hangs",
    "A device whose status never reads 0 is given up, within a bound.",
    ["reset-driver-1", "pci-common-driver-5", "ccw-reset-driver-2"],
    async (context) => {
      const bench = context.driver({ statusAfter: () => RUNNING_STATUS });
      await expectRefusal("bring-up", bench.bringUp(), "DEVICE_FAILED", "TRANSPORT");
      expectEqual("queues enabled", bench.device.queuesEnabled, []);
    },
  ),
  driverCase(
    "bring-up-other-device",
    "A device of another type is left alone.",
    ["pci-discovery-driver-1", "mmio-driver-9"],
    async (context) => {
      const bench = context.driver({ deviceId: 4 });
      await expectRefusal(
        "bring-up",
        bench.bringUp({ deviceId: PROBE_DEVICE_ID }),
        "DEVICE_UNKNOWN",
      );
      expectEqual(
        "status bits written",
        bench.device.statusesWritten.filter((status) => status !== 0),
        [],
      );
    },
  ),
  driverCase(
    "bring-up-lying-bus",
    "Whatever the bus answers, bring-up ends in a device or in a VirtioError.",
    ["init-driver-6", "init-driver-7"],
    async (context) => {
      for (let seed = 0; seed < LIES; seed++) {
        const random = new Random(seed);
        const rarely = 1 + random.below(40);
        const bench = context.driver({
          lie: (value, bytes) =>
            random.oneIn(rarely) ? random.uint32() % 2 ** (8 * bytes) : value,
        });
        await attempt(bench.bringUp({ timeout: 1000 }).then((driven) => driven.close()));
      }
    },
  ),
  driverCase(
    "config-reread",
    "A configuration that changes while it is read is read again; one that never rests is given up.",
    ["config-space-driver-1", "config-space-driver-2"],
    async (context) => {
      let asked = 0;
      let changes = 0;
      let change = () => {};
      const bench = context.driver({
        generation: () => {
          asked++;
          if (changes-- <= 0) return 0;
          change();
          return asked;
        },
      });
      change = () => bench.device.setConfig(new Uint8Array(PROBE_CONFIG.length).fill(asked));
      const driven = await bench.bringUp();
      asked = 0;
      changes = 3;
      bench.device.configReads = 0;
      const bytes = await driven.config.read(8, 8);
      expectEqual("the bytes", bytes, bench.device.config.slice(8, 16));
      // Of one generation by itself, whether or not the device half tells which.
      if (bench.device.configReads === 1) {
        context.skip(`${context.transport.name} reads the configuration space in one operation`);
      }
      expectTrue("the generation was compared", asked >= 2);
      changes = Number.POSITIVE_INFINITY;
      await expectRefusal(
        "reading a configuration that never rests",
        driven.config.read(0, 8),
        "DEVICE_FAILED",
        "TRANSPORT",
      );
    },
  ),
  driverCase(
    "config-driver-access",
    "Configuration bytes are read and written where they are, and not during negotiation.",
    ["init-driver-3", "config-space-driver-4"],
    async (context) => {
      const bench = context.driver();
      const driven = await bench.bringUp();
      expectEqual("configuration writes in bring-up", bench.device.count("config-write"), 0);
      expectEqual("4 bytes at 4", await driven.config.read(4, 4), PROBE_CONFIG.slice(4, 8));
      await driven.config.write(8, Uint8Array.of(1, 2, 3, 4));
      const expected = PROBE_CONFIG.slice();
      expected.set([1, 2, 3, 4], 8);
      expectEqual("the configuration space", bench.device.config, expected);
    },
  ),
  driverCase(
    "close-resets",
    "Closing resets the device, and gives all memory back.",
    ["cleanup-driver-2", "reset-driver-1"],
    async (context) => {
      const bench = context.driver();
      const free = bench.dma.freeBytes;
      const driven = await bench.bringUp();
      await driven.close();
      expectEqual("the last status written", bench.device.statusesWritten.at(-1), 0);
      expectEqual("the bytes of memory in use", free - bench.dma.freeBytes, 0);
    },
  ),
];

function expectFailed(bench: DriverBench): void {
  const last = bench.device.statusesWritten.at(-1) ?? 0;
  expectEqual("FAILED in the last status written", last & FAILED, FAILED);
}
