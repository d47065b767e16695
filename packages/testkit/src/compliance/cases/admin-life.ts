/** What ends administration state, and what it survives. */
import { FEATURE, STATUS } from "@virtio-admin/core";
import {
  addCommand,
  expectAnswer,
  LIST,
  le64,
  sendCommand,
  useOpcodes,
  WIRE,
} from "../admin-bench.ts";
import { RUNNING_STATUS } from "../device-bench.ts";
import { expectEqual, expectRefusal } from "../expect.ts";
import { PROBE_COMMANDS } from "../probe-family.ts";
import { PROBE_QUEUE_SIZES } from "../probe-model.ts";
import type { ComplianceCase } from "../types.ts";
import { ownerOf } from "./admin-lists.ts";
import { deviceCase } from "./define.ts";

const { store, load, wait } = PROBE_COMMANDS;
const FIRST_ADMIN_QUEUE = PROBE_QUEUE_SIZES.length;

/** Resets, queue resets and broken rings under administration commands. */
export const ADMIN_LIFE_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "admin-reset-state",
    "A device reset ends the state that commands have set up.",
    ["admin-life-device-2", "ccw-admin-device-19", "mmio-admin-device-6"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [store.opcode, load.opcode]);
      await sendCommand(bench, queue, { opcode: store.opcode, data: le64(7) });
      const renewed = await bench.runWith(FIRST_ADMIN_QUEUE);
      await useOpcodes(bench, renewed, [store.opcode, load.opcode]);
      const answer = await sendCommand(bench, renewed, { opcode: load.opcode });
      expectEqual("the value after a reset", answer.result, le64(0));
    },
  ),
  deviceCase(
    "admin-queue-reset-state",
    "The reset of an administration virtqueue leaves lists and state as they are.",
    ["admin-life-device-1", "mmio-admin-device-14", "ccw-admin-device-21"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [store.opcode, load.opcode]);
      await sendCommand(bench, queue, { opcode: store.opcode, data: le64(7) });
      let after = queue;
      if (context.carries(FEATURE.VIRTIO_F_RING_RESET)) {
        await bench.driver.resetQueue(queue.index);
        after = await bench.queue(queue.index, 4);
      } else {
        await expectRefusal(
          "the reset of one queue",
          bench.driver.resetQueue(queue.index),
          "TRANSPORT_UNSUPPORTED",
        );
      }
      const answer = await sendCommand(bench, after, { opcode: load.opcode });
      expectAnswer("a command in the list", answer, WIRE.ok, 0);
      expectEqual("the value kept", answer.result, le64(7));
    },
  ),
  deviceCase(
    "admin-reset-fences",
    "A command that waited when the device was reset has no effect afterwards.",
    ["admin-life-device-3", "reset-device-2", "reset-device-3"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [wait.opcode, store.opcode]);
      const before = queue.ring.usedIndex;
      const buffer = addCommand(queue, { opcode: wait.opcode, data: le64(5) });
      const held = addCommand(queue, { opcode: store.opcode, data: le64(6) });
      queue.doorbell.ring();
      await bench.expectSoon("the command waits", () => bench.family.waiting === 1);
      await bench.driver.reset();
      const renewed = await bench.runWith(FIRST_ADMIN_QUEUE);
      await bench.forget();
      bench.family.letGo();
      await bench.settle();
      expectEqual("the used index of the queue before", queue.ring.usedIndex, before);
      expectEqual("the writable bytes", buffer.written(), new Uint8Array(buffer.written().length));
      expectEqual("those of the next one", held.written(), new Uint8Array(held.written().length));
      expectEqual("the used index of the renewed queue", renewed.ring.usedIndex, 0);
      expectEqual("interrupts", bench.heard.used.length, 0);
      expectEqual("the value kept", bench.family.value, 0n);
      const answer = await sendCommand(bench, renewed, { opcode: LIST.query });
      expectAnswer("a command after the reset", answer, WIRE.ok, 0);
    },
  ),
  deviceCase(
    "admin-queue-reset-fences",
    "A command that waited when its queue was reset has no effect; the queue works anew.",
    ["admin-life-device-3", "vq-reset-device-1", "vq-reset-device-2"],
    async (context) => {
      if (!context.carries(FEATURE.VIRTIO_F_RING_RESET)) {
        context.skip(`no single queue is stopped on ${context.transport.name}`);
      }
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [wait.opcode, store.opcode, load.opcode]);
      const before = queue.ring.usedIndex;
      const buffer = addCommand(queue, { opcode: wait.opcode, data: le64(5) });
      queue.doorbell.ring();
      await bench.expectSoon("the command waits", () => bench.family.waiting === 1);
      await bench.driver.resetQueue(queue.index);
      await bench.forget();
      const renewed = await bench.queue(queue.index);
      bench.family.letGo();
      await bench.settle();
      expectEqual("the used index of the queue before", queue.ring.usedIndex, before);
      expectEqual("the writable bytes", buffer.written(), new Uint8Array(buffer.written().length));
      expectEqual("interrupts", bench.heard.used.length, 0);
      const answer = await sendCommand(bench, renewed, { opcode: load.opcode });
      expectEqual("the value kept", answer.result, le64(0));
    },
  ),
  deviceCase(
    "admin-needs-reset-fences",
    "A command that waited when the device came to need a reset is not answered any more.",
    ["admin-life-device-3", "status-device-3"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [wait.opcode]);
      const before = queue.ring.usedIndex;
      addCommand(queue, { opcode: wait.opcode, data: le64(5) });
      queue.doorbell.ring();
      await bench.expectSoon("the command waits", () => bench.family.waiting === 1);
      bench.model.host.needsReset("the case says so");
      bench.family.letGo();
      await bench.settle();
      expectEqual("the used index", queue.ring.usedIndex, before);
    },
  ),
  deviceCase(
    "admin-ring-broken",
    "A broken administration virtqueue ends in DEVICE_NEEDS_RESET; a reset mends it.",
    ["status-device-3", "status-device-4"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      queue.ring.offer(queue.ring.size + 1);
      queue.ring.publish();
      queue.doorbell.ring();
      await bench.expectSoon("the configuration interrupt", () => bench.heard.configuration > 0);
      expectEqual(
        "the status",
        await bench.driver.readStatus(),
        RUNNING_STATUS | STATUS.DEVICE_NEEDS_RESET,
      );
      const renewed = await bench.runWith(FIRST_ADMIN_QUEUE);
      const answer = await sendCommand(bench, renewed, { opcode: LIST.query });
      expectAnswer("a command after the reset", answer, WIRE.ok, 0);
    },
  ),
  deviceCase(
    "admin-before-driver-ok",
    "Commands made available before DRIVER_OK are carried out from then on.",
    ["status-device-1", "admin-vq-2"],
    async (context) => {
      context.needsAdminQueues();
      const bench = await context.device();
      await bench.negotiate();
      const queue = await bench.queue(FIRST_ADMIN_QUEUE);
      addCommand(queue, { opcode: LIST.query });
      queue.doorbell.ring();
      await bench.settle();
      expectEqual("the used index before DRIVER_OK", queue.ring.usedIndex, 0);
      await bench.run(queue);
      await bench.collect(queue);
    },
  ),
];
