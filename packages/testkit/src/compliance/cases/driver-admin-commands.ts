/** Administration commands from the driver's end. */
import {
  type AdminClient,
  AdminCommandError,
  type DriverDevice,
  FEATURE,
  isVirtioError,
  openAdminClient,
  SELF_GROUP,
  STATUS,
} from "@virtio-admin/core";
import { LIST, opcodeList } from "../admin-bench.ts";
import type { ComplianceContext } from "../context.ts";
import type { DriverBench } from "../driver-bench.ts";
import { expectEqual, expectRefusal, expectTrue } from "../expect.ts";
import { ComplianceFailure } from "../failure.ts";
import type { AvailableBuffer } from "../hand-device-queue.ts";
import { concat } from "../hand-ring.ts";
import { PROBE_COMMANDS } from "../probe-family.ts";
import { type DeviceScript, SCRIPTED_ADMIN_QUEUE_SIZE } from "../scripted-device.ts";
import type { ComplianceCase } from "../types.ts";
import { driverCase } from "./define.ts";

const { VIRTIO_F_ADMIN_VQ, VIRTIO_F_VERSION_1 } = FEATURE;
const PLACE = { index: 2, num: 3 } as const;
const STATUS_OK = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0);
const RESERVED = 0x7abc;
const { store, load } = PROBE_COMMANDS;

/** Administration commands from the driver's end. */
export const DRIVER_ADMIN_COMMAND_CASES: readonly ComplianceCase[] = [
  driverCase(
    "driver-admin-command",
    "Commands are little-endian, zero where nothing is said, and a multiple of eight bytes long.",
    ["admin-format-1", "admin-format-driver-1", "admin-vq-driver-3", "admin-vq-driver-4"],
    async (context) => {
      const { client, requests } = await commanding(context, () => STATUS_OK);
      await client.execute(
        {
          opcode: store.opcode,
          group: SELF_GROUP.id,
          member: 0x1122334455667788n,
          data: Uint8Array.of(9),
        },
        { unchecked: true },
      );
      const expected = new Uint8Array(32);
      expected.set([store.opcode, 0, 0, 0]);
      expected.set([0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 9], 16);
      expectEqual("the readable part", requests[0]?.readable, expected);
      const room = (requests[0]?.writable ?? []).reduce((sum, { length }) => sum + length, 0);
      expectTrue(`a writable part of ${room} bytes`, room >= 8 && room % 8 === 0);
    },
  ),
  driverCase(
    "driver-admin-lists",
    "The driver asks with LIST_QUERY, and uses only what LIST_USE has settled.",
    ["admin-cmd-driver-2", "admin-cmd-driver-6", "admin-cmd-driver-7", "admin-format-driver-3"],
    async (context) => {
      const { client, requests } = await commanding(context, (readable) =>
        readable[0] === LIST.query
          ? concat([STATUS_OK, opcodeList([LIST.query, LIST.use, store.opcode])])
          : STATUS_OK,
      );
      const group = SELF_GROUP.id;
      const early = client.execute({ opcode: store.opcode, group });
      await expectRefusal("a command before LIST_USE", early, "ADMIN_LIST");
      const reported = await client.listQuery(group);
      expectEqual("the list", reported, [LIST.query, LIST.use, store.opcode]);
      await expectRefusal(
        "a LIST_USE of what was not reported",
        client.listUse(group, [LIST.query, LIST.use, load.opcode]),
        "ADMIN_LIST",
      );
      await client.listUse(group, reported);
      await client.execute({ opcode: store.opcode, group });
      expectEqual(
        "the opcodes sent",
        requests.map(({ readable }) => readable[0]),
        [LIST.query, LIST.use, store.opcode],
      );
      for (const { readable } of requests) {
        expectEqual("the member id", readable.slice(16, 24), new Uint8Array(8));
      }
      expectEqual("the list sent", requests[1]?.readable.slice(24), opcodeList(reported));
    },
  ),
  driverCase(
    "driver-admin-list-use-alone",
    "LIST_USE is not sent while another command is outstanding, nor any other beside it.",
    ["admin-cmd-driver-4"],
    async (context) => {
      let holds = false;
      const { bench, client, requests, release } = await commanding(context, (readable) => {
        if (holds) return undefined;
        const list = opcodeList([LIST.query, LIST.use]);
        return readable[0] === LIST.query ? concat([STATUS_OK, list]) : STATUS_OK;
      });
      const group = SELF_GROUP.id;
      await client.listQuery(group);
      holds = true;
      const first = client.listQuery(group);
      const use = client.listUse(group, [LIST.query, LIST.use]);
      const last = client.listQuery(group);
      const all = Promise.all([first, use, last]);
      all.catch(() => {});
      await bench.settle();
      const sent = () => requests.map(({ readable }) => readable[0]);
      expectEqual("the opcodes sent at first", sent(), [LIST.query, LIST.query]);
      holds = false;
      release();
      await all;
      expectEqual("all opcodes sent", sent(), [LIST.query, LIST.query, LIST.use, LIST.query]);
    },
  ),
  driverCase(
    "driver-admin-errors",
    "A failed command rejects with its status; reserved values count as EINVAL, INVALID_COMMAND.",
    ["admin-cmd-driver-9", "admin-cmd-driver-10"],
    async (context) => {
      const answers = [
        [22, 2, "EINVAL", "INVALID_OPCODE"],
        [RESERVED, 2, "EINVAL", "INVALID_OPCODE"],
        [16, RESERVED, "EBUSY", "INVALID_COMMAND"],
      ] as const;
      let next = 0;
      const { client } = await commanding(context, () => {
        const [status, qualifier] = answers[next] ?? [0, 0];
        return Uint8Array.of(
          status & 0xff,
          status >> 8,
          qualifier & 0xff,
          qualifier >> 8,
          0,
          0,
          0,
          0,
        );
      });
      for (const [, , status, qualifier] of answers) {
        const error = await client.execute({ opcode: LIST.query, group: SELF_GROUP.id }).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        if (!(error instanceof AdminCommandError)) {
          throw new ComplianceFailure("the command", "an AdminCommandError", error);
        }
        expectEqual("the status", error.statusName, status);
        expectEqual("the qualifier", error.qualifierName, qualifier);
        next++;
      }
    },
  ),
  driverCase(
    "driver-admin-short-answer",
    "Bytes beyond the used length count as zero, whatever stands there.",
    ["admin-vq-driver-6", "admin-vq-driver-7"],
    async (context) => {
      const answer = concat([STATUS_OK, new Uint8Array(16).fill(0xee)]);
      const { client } = await commanding(context, () => answer, 12);
      const { result } = await client.execute(
        { opcode: load.opcode, group: SELF_GROUP.id, resultLength: 16 },
        { unchecked: true },
      );
      const expected = new Uint8Array(16);
      expected.fill(0xee, 0, 4);
      expectEqual("the result", result, expected);
    },
  ),
  driverCase(
    "driver-admin-retry",
    "A command that is answered EAGAIN is repeated.",
    ["admin-vq-driver-9"],
    async (context) => {
      let refusals = 2;
      const { client, requests } = await commanding(context, () =>
        refusals-- > 0 ? Uint8Array.of(11, 0, 7, 0, 0, 0, 0, 0) : STATUS_OK,
      );
      await client.execute({ opcode: store.opcode, group: SELF_GROUP.id }, { unchecked: true });
      expectEqual("how often it was sent", requests.length, 3);
    },
  ),
  driverCase(
    "driver-admin-broken",
    "A used ring that is broken rejects every command under way, and fails the device.",
    ["init-driver-6", "status-driver-4"],
    async (context) => {
      const { bench, client, driven } = await commanding(context, () => undefined);
      const pending = client.execute({ opcode: LIST.query, group: SELF_GROUP.id });
      const ended = expectRefusal("the command", pending);
      await bench.expectSoon("the notification", () => bench.device.count("notify") > 0);
      bench.queue(PLACE.index).use(SCRIPTED_ADMIN_QUEUE_SIZE, 8);
      bench.device.interrupt(PLACE.index);
      await ended;
      await bench.expectSoon("the failure of the device", () => driven.state === "failed");
    },
  ),
  driverCase(
    "driver-admin-needs-reset",
    "DEVICE_NEEDS_RESET rejects every command under way.",
    ["status-driver-4"],
    async (context) => {
      const { bench, client } = await commanding(context, () => undefined);
      const pending = client.execute({ opcode: LIST.query, group: SELF_GROUP.id });
      const ended = expectRefusal("the command", pending);
      await bench.expectSoon("the notification", () => bench.device.count("notify") > 0);
      bench.device.raiseStatus(STATUS.DEVICE_NEEDS_RESET);
      bench.device.changeConfiguration();
      const error = await ended;
      expectTrue("the cause is told", isVirtioError(error.cause, "DEVICE_FAILED"));
    },
  ),
];

/** A client in front of a device that a case scripts. */
export interface Commanding {
  /** The device. */
  readonly bench: DriverBench;
  /** The device as its driver has it. */
  readonly driven: DriverDevice;
  /** What sends the commands. */
  readonly client: AdminClient;
  /** The commands that reached the device, in order. */
  readonly requests: readonly AvailableBuffer[];
  /** Asks for the answers of the commands that had none. */
  release(): void;
}

/**
 * A client in front of a device that answers each command with what `answer` says, or not at all.
 *
 * @param used the used length, when it is not that of the answer
 * @param script what else the device says
 */
export async function commanding(
  context: ComplianceContext,
  answer: (readable: Uint8Array) => Uint8Array | undefined,
  used?: number,
  script: DeviceScript = {},
): Promise<Commanding> {
  context.needsAdminQueues();
  const bench = context.driver({
    features: [VIRTIO_F_VERSION_1, VIRTIO_F_ADMIN_VQ],
    admin: PLACE,
    ...script,
  });
  const driven = await bench.bringUp({ adminQueues: 1, features: [] });
  const queue = bench.queue(PLACE.index);
  const requests: AvailableBuffer[] = [];
  const held: AvailableBuffer[] = [];
  const answerAll = (buffers: readonly AvailableBuffer[]) => {
    let answered = false;
    for (const buffer of buffers) {
      const bytes = answer(buffer.readable);
      if (bytes === undefined) {
        held.push(buffer);
        continue;
      }
      queue.fill(buffer, bytes);
      queue.use(buffer.head, used ?? bytes.length);
      answered = true;
    }
    if (answered) bench.device.interrupt(PLACE.index);
  };
  bench.device.onNotify = (index) => {
    if (index !== PLACE.index) return;
    const buffers = queue.take();
    requests.push(...buffers);
    answerAll(buffers);
  };
  const release = () => answerAll(held.splice(0));
  return { bench, driven, client: openAdminClient(driven), requests, release };
}
