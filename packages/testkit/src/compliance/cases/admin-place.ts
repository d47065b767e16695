/** Where the administration virtqueues are, and that they are nowhere without their feature. */
import { FEATURE, FeatureSet } from "@virtio-admin/core";
import { LIST, sendCommand, useOpcodes, WIRE } from "../admin-bench.ts";
import { type BenchQueue, RUNNING_STATUS } from "../device-bench.ts";
import { attempt, expectEqual, expectRefusal, expectTrue } from "../expect.ts";
import { PROBE_COMMANDS } from "../probe-family.ts";
import { PROBE_QUEUE_SIZES } from "../probe-model.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

const { VIRTIO_F_ADMIN_VQ, VIRTIO_F_VERSION_1 } = FEATURE;
const FIRST_ADMIN_QUEUE = PROBE_QUEUE_SIZES.length;
const QUEUE_INDEXES = 0x10000;
const WITH_ADMIN = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ADMIN_VQ);
const WITHOUT_ADMIN: readonly number[] = [VIRTIO_F_ADMIN_VQ, FEATURE.VIRTIO_F_EVENT_IDX];

/** The place of the administration virtqueues. */
export const ADMIN_PLACE_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "admin-place",
    "Once negotiated, the place is that of the device: behind all other queues, and inside 16 bits.",
    ["admin-vq-1", "admin-transport-1", "pci-common-format-2", "pci-common-format-3"],
    async (context) => {
      context.needsAdminQueues();
      for (const count of [1, 2, 5]) {
        const bench = await context.device({ adminQueues: count });
        const features = await bench.negotiate();
        const place = await bench.driver.adminQueues(features);
        expectEqual("the number of administration virtqueues", place.count, count);
        expectEqual("the index of the first one", place.index, FIRST_ADMIN_QUEUE);
        expectTrue("all of them are below 65536", place.index + place.count <= QUEUE_INDEXES);
        for (let i = 0; i < count; i++) {
          const size = await bench.driver.queueSizeMax(place.index + i);
          expectTrue(`administration virtqueue ${i} is available`, size > 0);
        }
        const beyond = await bench.driver.queueSizeMax(place.index + count);
        expectEqual("the size of the queue behind them", beyond, 0);
        await bench.driver.reset();
      }
    },
  ),
  deviceCase(
    "admin-place-largest",
    "As many administration virtqueues as there are indexes for can be told of.",
    ["mmio-admin-device-8", "ccw-admin-device-10", "pci-common-device-18"],
    async (context) => {
      context.needsAdminQueues();
      const most = QUEUE_INDEXES - FIRST_ADMIN_QUEUE;
      const bench = await context.device({ adminQueues: 300 });
      const place = await bench.driver.adminQueues(await bench.negotiate());
      expectEqual("the number of administration virtqueues", place.count, 300);
      expectTrue("there is room for them", place.count <= most);
      let queue: BenchQueue | undefined;
      await attempt(
        bench.queue(place.index + place.count - 1).then((last) => {
          queue = last;
        }),
      );
      // A transport may have no way to interrupt for so high an index (classic indicators).
      if (queue === undefined) queue = await bench.runWith(place.index);
      else await bench.run(queue);
      const answer = await sendCommand(bench, queue, { opcode: LIST.query });
      expectEqual("the status", answer.status, WIRE.ok);
    },
  ),
  deviceCase(
    "admin-place-before-negotiation",
    "Index and number read 0 until VIRTIO_F_ADMIN_VQ is negotiated.",
    ["mmio-admin-device-5", "ccw-admin-device-6", "admin-unnegotiated-device-4"],
    async (context) => {
      context.needsAdminQueues();
      const bench = await context.device({ adminQueues: 2 });
      const expectNone = async (when: string) => {
        const { index, count } = await bench.driver.adminQueues(WITH_ADMIN);
        expectEqual(`index and number ${when}`, [index, count], [0, 0]);
      };
      await bench.begin();
      await expectNone("before features are written");
      await bench.driver.writeFeatures(WITH_ADMIN);
      await expectNone("before FEATURES_OK");
      await bench.accept(WITH_ADMIN);
      const place = await bench.driver.adminQueues(WITH_ADMIN);
      expectEqual("the number after FEATURES_OK", place.count, 2);
      await bench.driver.reset();
      await expectNone("after a reset");
    },
  ),
  deviceCase(
    "admin-place-constant",
    "Index and number do not change from negotiation to the reset, whatever happens.",
    ["mmio-admin-device-9", "ccw-admin-device-11", "mmio-admin-device-13"],
    async (context) => {
      context.needsAdminQueues();
      const bench = await context.device({ adminQueues: 2 });
      const features = await bench.negotiate();
      const expected = await bench.driver.adminQueues(features);
      const expectSame = async (when: string) => {
        const { index, count } = await bench.driver.adminQueues(features);
        expectEqual(`index and number ${when}`, [index, count], [expected.index, expected.count]);
      };
      const queue = await bench.queue(expected.index);
      await expectSame("after a queue was enabled");
      await bench.run(queue);
      await expectSame("after DRIVER_OK");
      await useOpcodes(bench, queue, [PROBE_COMMANDS.echo.opcode]);
      await expectSame("after a command");
      bench.model.host.configChanged();
      await expectSame("after a configuration change");
      await attempt(bench.driver.resetQueue(expected.index));
      await expectSame("after the reset of the queue");
      bench.model.host.needsReset("the case says so");
      await expectSame("when the device needs a reset");
    },
  ),
  deviceCase(
    "admin-place-refused-without-feature",
    "Without the feature the driver half names the transport and what is missing, and reads nothing.",
    ["admin-vq-1", "admin-unnegotiated-device-4"],
    async (context) => {
      const bench = await context.device();
      await bench.negotiate(WITHOUT_ADMIN);
      const refusal = await expectRefusal(
        "administration virtqueues without the feature",
        bench.driver.adminQueues(FeatureSet.of(VIRTIO_F_VERSION_1)),
        "ADMIN_QUEUE_UNAVAILABLE",
      );
      expectTrue(
        `"${refusal.message}" names ${context.transport.name}`,
        refusal.message.toLowerCase().includes(context.transport.name),
      );
    },
  ),
  deviceCase(
    "admin-place-reserved",
    "Where the transport cannot say the place, asking for it is refused even with the feature.",
    ["features-driver-5", "features-device-4"],
    async (context) => {
      if (context.carriesAdminQueues) {
        context.skip(`this ${context.transport.name} transport can say the place`);
      }
      const bench = await context.device();
      await bench.negotiate();
      await expectRefusal(
        "administration virtqueues",
        bench.driver.adminQueues(WITH_ADMIN),
        "ADMIN_QUEUE_UNAVAILABLE",
      );
      expectEqual(
        "the driver half allows VIRTIO_F_ADMIN_VQ",
        bench.driver.allowedFeatures.has(VIRTIO_F_ADMIN_VQ),
        false,
      );
    },
  ),
  deviceCase(
    "admin-unaccepted-invisible",
    "A driver that does not accept the feature finds no queue behind the last ordinary one.",
    ["admin-unnegotiated-device-1", "admin-unnegotiated-device-5", "ccw-admin-device-14"],
    async (context) => {
      const bench = await context.device({ adminQueues: 2 });
      await bench.negotiate(WITHOUT_ADMIN);
      for (let i = 0; i < 3; i++) {
        const size = await bench.driver.queueSizeMax(FIRST_ADMIN_QUEUE + i);
        expectEqual(`the size of queue ${FIRST_ADMIN_QUEUE + i}`, size, 0);
      }
      const queues = [];
      for (const index of PROBE_QUEUE_SIZES.keys()) queues.push(await bench.queue(index));
      await bench.run(...queues);
      for (const queue of queues) await bench.echo(queue);
    },
  ),
  deviceCase(
    "admin-unaccepted-inert",
    "Enabling or notifying an administration virtqueue without the feature has no effect.",
    ["admin-unnegotiated-device-2", "admin-unnegotiated-device-3", "ccw-admin-device-14"],
    async (context) => {
      const bench = await context.device({ adminQueues: 2 });
      let late: { ring(): void } | undefined;
      if (context.carriesAdminQueues) late = (await bench.runWith(FIRST_ADMIN_QUEUE)).doorbell;
      await bench.negotiate(WITHOUT_ADMIN);
      const ring = bench.ring(8);
      await expectRefusal(
        "enabling an administration virtqueue",
        bench.driver.enableQueue(FIRST_ADMIN_QUEUE, ring.size, ring.areas),
      );
      const queue = await bench.queue(0);
      await bench.run(queue);
      ring.add([new Uint8Array(24)], [16]);
      late?.ring();
      await bench.settle();
      expectEqual("the used index", ring.usedIndex, 0);
      expectEqual("interrupts", bench.heard.used.length, 0);
      expectEqual("the status", await bench.driver.readStatus(), RUNNING_STATUS);
      await bench.echo(queue);
    },
  ),
  deviceCase(
    "admin-some-queues",
    "A driver may set up some of the administration virtqueues and leave the rest.",
    ["pci-common-driver-10", "mmio-admin-driver-5", "ccw-admin-driver-7"],
    async (context) => {
      context.needsAdminQueues();
      const bench = await context.device({ adminQueues: 3 });
      const queue = await bench.runWith(FIRST_ADMIN_QUEUE + 1);
      const answer = await sendCommand(bench, queue, { opcode: LIST.query });
      expectEqual("the status", answer.status, WIRE.ok);
      await bench.expectSoon("the used buffer notification", () => bench.toldOf(queue.index));
    },
  ),
  deviceCase(
    "admin-beside-ordinary",
    "Administration virtqueues and ordinary ones work side by side, each with its notifications.",
    ["mmio-admin-device-11", "mmio-admin-device-12", "ccw-admin-device-13", "ccw-admin-device-15"],
    async (context) => {
      context.needsAdminQueues();
      const bench = await context.device({ adminQueues: 2 });
      await bench.negotiate();
      const ordinary = await bench.queue(0);
      const first = await bench.queue(FIRST_ADMIN_QUEUE, 4);
      const second = await bench.queue(FIRST_ADMIN_QUEUE + 1);
      await bench.run(ordinary, first, second);
      for (let i = 0; i < 5; i++) {
        for (const queue of [first, second]) {
          await bench.forget();
          const answer = await sendCommand(bench, queue, { opcode: LIST.query });
          expectEqual("the status", answer.status, WIRE.ok);
          await bench.settle();
          expectTrue("the driver was notified", bench.toldOf(queue.index));
        }
        await bench.echo(ordinary);
      }
    },
  ),
];
