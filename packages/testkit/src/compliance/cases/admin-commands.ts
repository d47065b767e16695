/** Administration commands as they lie in buffers: checks, lengths, order. */
import { PLATFORM_GROUP, SR_IOV_GROUP } from "@virtio-admin/core";
import {
  addCommand,
  decodeAnswer,
  encodeCommand,
  expectAnswer,
  LIST,
  le64,
  sendCommand,
  useOpcodes,
  WIRE,
} from "../admin-bench.ts";
import { type BenchQueue, type DeviceBench, PLATFORM_MEMBERS } from "../device-bench.ts";
import { expectEqual } from "../expect.ts";
import { concat, DESCRIPTOR } from "../hand-ring.ts";
import { ODD_RESULT, PROBE_COMMANDS, REFUSED_VALUE } from "../probe-family.ts";
import { PROBE_QUEUE_SIZES } from "../probe-model.ts";
import type { ComplianceCase } from "../types.ts";
import { ownerOf } from "./admin-lists.ts";
import { deviceCase } from "./define.ts";

const { echo, store, load, wait, odd, busy } = PROBE_COMMANDS;
const FIRST_ADMIN_QUEUE = PROBE_QUEUE_SIZES.length;
const MEMBER = PLATFORM_MEMBERS[0] ?? 0;
const NO_GROUP = 0x1234;
const RESPONSE_HEADER_BYTES = 8;

/** Group administration commands, end to end. */
export const ADMIN_COMMAND_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "admin-check-group",
    "An unknown group type is reported first, whatever opcode and member id are.",
    ["admin-cmd-device-1", "admin-cmd-device-2", "admin-cmd-device-23"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      for (const group of [NO_GROUP, SR_IOV_GROUP.id, 0xffff]) {
        for (const opcode of [LIST.query, echo.opcode, 0x7777, 0xffff]) {
          const answer = await sendCommand(bench, queue, { opcode, group, member: 2n ** 64n - 1n });
          const what = `opcode ${opcode} for group ${group}`;
          expectAnswer(what, answer, WIRE.einval, WIRE.invalidGroup);
        }
      }
    },
  ),
  deviceCase(
    "admin-check-opcode",
    "An unknown opcode is reported before the member id is looked at.",
    ["admin-cmd-device-1", "admin-cmd-device-3"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      for (const opcode of [2, 0x3f, 0x46, 0x7777, 0x8000, 0xffff]) {
        const answer = await sendCommand(bench, queue, {
          opcode,
          group: PLATFORM_GROUP.id,
          member: 999,
        });
        expectAnswer(`opcode ${opcode}`, answer, WIRE.einval, WIRE.invalidOpcode);
      }
      const group = PLATFORM_GROUP.id;
      const foreign = await sendCommand(bench, queue, { opcode: odd.opcode, group });
      expectAnswer("a command of another group", foreign, WIRE.einval, WIRE.invalidOpcode);
    },
  ),
  deviceCase(
    "admin-check-member",
    "An invalid member id is reported where it is used; all 64 bits of it count.",
    ["admin-cmd-device-4", "platform-group-device-3", "platform-group-device-4"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      const group = PLATFORM_GROUP.id;
      await useOpcodes(bench, queue, [echo.opcode], group);
      const data = le64(5);
      for (const member of PLATFORM_MEMBERS) {
        const answer = await sendCommand(bench, queue, {
          opcode: echo.opcode,
          group,
          member,
          data,
        });
        expectAnswer(`member ${member}`, answer, WIRE.ok, 0);
      }
      for (const member of [0n, 2n, 5n, 2n ** 32n + 1n, 2n ** 63n + 1n, 2n ** 64n - 1n]) {
        const answer = await sendCommand(bench, queue, {
          opcode: echo.opcode,
          group,
          member,
          data,
        });
        expectAnswer(`member ${member}`, answer, WIRE.einval, WIRE.invalidMember);
      }
      expectEqual("the commands that ran", bench.family.ran.length, PLATFORM_MEMBERS.length);
    },
  ),
  deviceCase(
    "admin-member-unused",
    "The member id of a command that uses none is disregarded.",
    ["admin-format-4", "admin-format-10", "admin-cmd-device-4"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      const member = 2n ** 64n - 1n;
      const query = await sendCommand(bench, queue, { opcode: LIST.query, member });
      expectAnswer("LIST_QUERY", query, WIRE.ok, 0);
      await useOpcodes(bench, queue, [odd.opcode]);
      const odds = await sendCommand(bench, queue, { opcode: odd.opcode, member });
      expectAnswer("another command", odds, WIRE.ok, 0);
    },
  ),
  deviceCase(
    "admin-member-comes-and-goes",
    "A member that joined is valid, and one that left is not any more.",
    ["admin-cmd-device-4", "platform-group-device-3"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      const group = PLATFORM_GROUP.id;
      await useOpcodes(bench, queue, [echo.opcode], group);
      const send = () => sendCommand(bench, queue, { opcode: echo.opcode, group, member: 99 });
      expectAnswer("before it joined", await send(), WIRE.einval, WIRE.invalidMember);
      bench.group.add(99);
      expectAnswer("after it joined", await send(), WIRE.ok, 0);
      bench.group.remove(99);
      expectAnswer("after it left", await send(), WIRE.einval, WIRE.invalidMember);
    },
  ),
  deviceCase(
    "admin-little-endian",
    "Commands are little-endian, whatever the byte order of the transport.",
    ["admin-format-1", "admin-format-2", "admin-transport-2"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [store.opcode, load.opcode]);
      const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
      await sendCommand(bench, queue, { opcode: store.opcode, data });
      expectEqual("the value that arrived", bench.family.value, 0x0807060504030201n);
      const answer = await sendCommand(bench, queue, { opcode: load.opcode });
      expectEqual("the value that came back", answer.result, data);
      const failed = await sendCommand(bench, queue, { opcode: 0x7777 });
      expectEqual(
        "the header of the answer",
        failed.bytes.slice(0, 8),
        Uint8Array.of(WIRE.einval, 0, WIRE.invalidOpcode, 0, 0, 0, 0, 0),
      );
    },
  ),
  deviceCase(
    "admin-field-refused",
    "A field that the command refuses fails it with EINVAL, and nothing has changed.",
    ["admin-cmd-device-6", "admin-cmd-device-7", "admin-cmd-device-9"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [store.opcode, load.opcode]);
      await sendCommand(bench, queue, { opcode: store.opcode, data: le64(7) });
      const refused = await sendCommand(bench, queue, {
        opcode: store.opcode,
        data: le64(REFUSED_VALUE),
      });
      expectAnswer("the refused value", refused, WIRE.einval, WIRE.invalidField);
      const answer = await sendCommand(bench, queue, { opcode: load.opcode });
      expectEqual("the value kept", answer.result, le64(7));
    },
  ),
  deviceCase(
    "admin-try-again",
    "A command that asks to be tried again succeeds when it is repeated.",
    ["admin-vq-device-12", "admin-vq-driver-9"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [busy.opcode]);
      bench.family.busy = 1;
      const first = await sendCommand(bench, queue, { opcode: busy.opcode });
      expectEqual("the status", first.status, WIRE.eagain);
      expectEqual("the commands that ran", bench.family.ran, []);
      const second = await sendCommand(bench, queue, { opcode: busy.opcode });
      expectAnswer("the repetition", second, WIRE.ok, 0);
    },
  ),
  deviceCase(
    "admin-short-request",
    "What a short readable part lacks counts as zero; no length fails a command.",
    ["admin-vq-device-1", "admin-vq-device-7"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [store.opcode]);
      const list = Uint8Array.of(LIST.query, 0, 0, 0, 0, 0, 0, 0);
      for (const length of [1, 2, 8, 16]) {
        const buffer = queue.ring.add([list.slice(0, length)], [24]);
        const [used] = await bench.exchange(queue);
        const answer = decodeAnswer(buffer, used?.length ?? 0);
        expectAnswer(`LIST_QUERY of ${length} bytes`, answer, WIRE.ok, 0);
      }
      bench.family.value = 1n;
      const data = Uint8Array.of(0xff, 0xff);
      const short = await sendCommand(bench, queue, { opcode: store.opcode, data });
      expectAnswer("a command with 2 of 8 bytes of data", short, WIRE.ok, 0);
      expectEqual("the value that arrived", bench.family.value, 0xffffn);
      const none = await sendCommand(bench, queue, { opcode: store.opcode });
      expectAnswer("a command without its data", none, WIRE.ok, 0);
      expectEqual("the value that arrived", bench.family.value, 0n);
    },
  ),
  deviceCase(
    "admin-long-request",
    "Readable bytes beyond the expected length are not looked at.",
    ["admin-vq-device-3", "admin-vq-device-7"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      const group = PLATFORM_GROUP.id;
      await useOpcodes(bench, queue, [echo.opcode], group);
      const data = new Uint8Array(echo.data.max + 512).fill(0x5a);
      const command = { opcode: echo.opcode, group, member: MEMBER, data, room: 256 };
      const answer = await sendCommand(bench, queue, command);
      expectAnswer("the long command", answer, WIRE.ok, 0);
      expectEqual("the result", answer.result, data.slice(0, echo.data.max));
    },
  ),
  deviceCase(
    "admin-short-response",
    "What a short writable part has no room for is dropped, and used is what was written.",
    ["admin-vq-device-2", "admin-vq-device-5", "admin-vq-device-7"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [store.opcode, load.opcode]);
      await sendCommand(bench, queue, { opcode: store.opcode, data: le64(0x1122334455667788n) });
      const request = encodeCommand({ opcode: load.opcode });
      const whole = concat([new Uint8Array(RESPONSE_HEADER_BYTES), le64(0x1122334455667788n)]);
      for (const room of [0, 2, 4, 8, 12, 16]) {
        const buffer = queue.ring.add([request], room === 0 ? [] : [room]);
        const [used] = await bench.exchange(queue);
        expectEqual(`the used length of ${room} bytes`, used?.length, room);
        expectEqual(`${room} bytes`, buffer.written(), whole.slice(0, room));
      }
      const useless = await sendCommand(bench, queue, {
        opcode: store.opcode,
        data: le64(9),
        room: -RESPONSE_HEADER_BYTES,
      });
      expectEqual("the used length without room", useless.used, 0);
      expectEqual("the value kept", bench.family.value, 9n);
    },
  ),
  deviceCase(
    "admin-long-response",
    "No more than the expected structure is written, and all of it is.",
    ["admin-vq-device-4", "admin-vq-device-6", "admin-format-5", "admin-vq-device-9"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [load.opcode, store.opcode, odd.opcode]);
      const cases = [
        [load.opcode, new Uint8Array(16)],
        [store.opcode, new Uint8Array(8)],
        [odd.opcode, concat([new Uint8Array(8), ODD_RESULT, new Uint8Array(3)])],
        [0x7777, Uint8Array.of(WIRE.einval, 0, WIRE.invalidOpcode, 0, 0, 0, 0, 0)],
      ] as const;
      for (const [opcode, expected] of cases) {
        const { buffer, used } = await sendOverSentinels(bench, queue, opcode);
        expectEqual(`the used length of opcode ${opcode}`, used, expected.length);
        const rest = new Uint8Array(SENTINEL_ROOM - expected.length).fill(SENTINEL);
        expectEqual(`the bytes of opcode ${opcode}`, buffer, concat([expected, rest]));
      }
    },
  ),
  deviceCase(
    "admin-length-of-eight",
    "The length that is initialized is a multiple of eight bytes, padding zeroed.",
    ["admin-vq-device-8", "admin-vq-device-5"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [odd.opcode]);
      const answer = await sendCommand(bench, queue, { opcode: odd.opcode });
      expectEqual("the used length", answer.used, RESPONSE_HEADER_BYTES + 8);
      expectEqual("the result", answer.result, concat([ODD_RESULT, new Uint8Array(3)]));
    },
  ),
  deviceCase(
    "admin-scattered",
    "A command may be cut into descriptors anywhere.",
    ["admin-vq-2", "split-framing-device-1"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      const group = PLATFORM_GROUP.id;
      await useOpcodes(bench, queue, [echo.opcode], group);
      const data = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
      const request = encodeCommand({ opcode: echo.opcode, group, member: MEMBER, data });
      const expected = concat([new Uint8Array(RESPONSE_HEADER_BYTES), data]);
      const cuts: readonly (readonly [readonly number[], readonly number[]])[] = [
        [
          [1, 1, 2, 19, 17],
          [1, 2, 4, 17],
        ],
        [
          [24, 16],
          [8, 16],
        ],
        [[20, 5, 15], [24]],
        [[40], [3, 5, 16]],
      ];
      for (const [parts, rooms] of cuts) {
        let at = 0;
        const readable = parts.map((length) => {
          at += length;
          return request.slice(at - length, at);
        });
        const buffer = queue.ring.add(readable, rooms);
        const [used] = await bench.exchange(queue);
        expectEqual("the used length", used?.length, expected.length);
        expectEqual("the answer", buffer.written(), expected);
      }
    },
  ),
  deviceCase(
    "admin-in-order",
    "Commands of one queue are processed in order: one that waits holds back those behind it.",
    ["admin-vq-device-10", "admin-vq-3"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [wait.opcode, store.opcode]);
      const first = addCommand(queue, { opcode: wait.opcode, data: le64(1) });
      const second = addCommand(queue, { opcode: store.opcode, data: le64(2) });
      queue.doorbell.ring();
      await bench.expectSoon("the first command waits", () => bench.family.waiting === 1);
      await bench.settle();
      expectEqual("the commands that ran", bench.family.ran, []);
      bench.family.letGo();
      const used = await bench.collect(queue, 2);
      expectEqual(
        "the used ids",
        used.map(({ id }) => id),
        [first.head, second.head],
      );
      expectEqual("the commands that ran", bench.family.ran, ["wait", "store"]);
      await bench.expectSoon("the used buffer notification", () => bench.toldOf(queue.index));
    },
  ),
  deviceCase(
    "admin-queues-independent",
    "A command that waits holds back no other queue, and each is used on its own queue.",
    ["admin-vq-device-11", "admin-vq-3"],
    async (context) => {
      context.needsAdminQueues();
      const bench = await context.device({ adminQueues: 2 });
      await bench.negotiate();
      const first = await bench.queue(FIRST_ADMIN_QUEUE);
      const second = await bench.queue(FIRST_ADMIN_QUEUE + 1);
      await bench.run(first, second);
      await useOpcodes(bench, second, [wait.opcode, store.opcode]);
      addCommand(first, { opcode: wait.opcode, data: le64(1) });
      first.doorbell.ring();
      await bench.expectSoon("the command waits", () => bench.family.waiting === 1);
      const answer = await sendCommand(bench, second, { opcode: store.opcode, data: le64(2) });
      expectAnswer("the command on the other queue", answer, WIRE.ok, 0);
      expectEqual("the used index of the first queue", first.ring.usedIndex, 0);
      bench.family.letGo();
      await bench.collect(first);
      expectEqual("the commands that ran", bench.family.ran, ["store", "wait"]);
    },
  ),
  deviceCase(
    "admin-batch",
    "A full queue of commands is served, each command once and in order.",
    ["admin-vq-device-10", "admin-vq-2"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [store.opcode, odd.opcode]);
      const buffers = [];
      for (let i = 0; i < queue.ring.size / 2; i++) {
        buffers.push(addCommand(queue, { opcode: store.opcode, data: le64(i) }));
      }
      const used = await bench.exchange(queue, buffers.length);
      expectEqual(
        "the used ids",
        used.map(({ id }) => id),
        buffers.map(({ head }) => head),
      );
      expectEqual("the value kept", bench.family.value, BigInt(buffers.length - 1));
    },
  ),
];

const SENTINEL = 0xa5;
const SENTINEL_ROOM = 48;

/** Sends a command whose writable part was full of sentinels; its bytes and used length. */
async function sendOverSentinels(
  bench: DeviceBench,
  queue: BenchQueue,
  opcode: number,
): Promise<{ readonly buffer: Uint8Array; readonly used: number | undefined }> {
  const request = encodeCommand({ opcode });
  const source = queue.ring.allocate(request.length);
  const target = queue.ring.allocate(SENTINEL_ROOM);
  bench.write(source.address, request);
  bench.write(target.address, new Uint8Array(SENTINEL_ROOM).fill(SENTINEL));
  queue.ring.writeDescriptor(0, {
    address: source.address,
    length: request.length,
    flags: DESCRIPTOR.next,
    next: 1,
  });
  queue.ring.writeDescriptor(1, {
    address: target.address,
    length: SENTINEL_ROOM,
    flags: DESCRIPTOR.write,
  });
  queue.ring.offer(0);
  queue.ring.publish();
  const [used] = await bench.exchange(queue);
  return { buffer: bench.read(target.address, SENTINEL_ROOM), used: used?.length };
}
