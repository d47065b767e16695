/** The lists of commands: LIST_QUERY and LIST_USE. */
import { PLATFORM_GROUP, SELF_GROUP } from "@virtio-admin/core";
import {
  expectAnswer,
  GROUPS,
  LIST,
  opcodeList,
  sendCommand,
  useOpcodes,
  WIRE,
} from "../admin-bench.ts";
import type { ComplianceContext } from "../context.ts";
import type { BenchQueue, DeviceBench } from "../device-bench.ts";
import { expectEqual } from "../expect.ts";
import { PROBE_COMMANDS } from "../probe-family.ts";
import { PROBE_QUEUE_SIZES } from "../probe-model.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

const FIRST_ADMIN_QUEUE = PROBE_QUEUE_SIZES.length;
const { echo, store, load, wait, odd, busy } = PROBE_COMMANDS;
const ANYWHERE = [echo, store, load, wait].map(({ opcode }) => opcode);
const SUPPORTED = [LIST.query, LIST.use, ...ANYWHERE, odd.opcode, busy.opcode];
const UNSUPPORTED = 0x47;

/** A device that runs with one administration virtqueue. */
export async function ownerOf(
  context: ComplianceContext,
): Promise<{ bench: DeviceBench; queue: BenchQueue }> {
  context.needsAdminQueues();
  const bench = await context.device();
  return { bench, queue: await bench.runWith(FIRST_ADMIN_QUEUE) };
}

/** LIST_QUERY and LIST_USE. */
export const ADMIN_LIST_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "admin-list-query",
    "LIST_QUERY reports exactly the supported opcodes, in as many words as that takes.",
    ["admin-format-6", "admin-format-7", "admin-format-8", "admin-cmd-device-5"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      const answer = await sendCommand(bench, queue, { opcode: LIST.query });
      expectAnswer("LIST_QUERY", answer, WIRE.ok, 0);
      expectEqual("the list", answer.result, opcodeList(SUPPORTED));
    },
  ),
  deviceCase(
    "admin-list-query-by-group",
    "LIST_QUERY reports for each group type the commands that apply to it.",
    ["admin-cmd-device-13", "platform-group-device-5"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      const group = PLATFORM_GROUP.id;
      const answer = await sendCommand(bench, queue, { opcode: LIST.query, group });
      const expected = SUPPORTED.filter((opcode) => opcode !== odd.opcode);
      expectEqual("the list", answer.result, opcodeList(expected));
    },
  ),
  deviceCase(
    "admin-list-query-constant",
    "The list of supported commands does not depend on the list in use.",
    ["admin-cmd-device-18", "admin-cmd-device-19"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      const query = async () => (await sendCommand(bench, queue, { opcode: LIST.query })).result;
      const before = await query();
      await useOpcodes(bench, queue, []);
      expectEqual("the list after LIST_USE", await query(), before);
      await bench.driver.reset();
      const renewed = await bench.runWith(FIRST_ADMIN_QUEUE);
      const after = await sendCommand(bench, renewed, { opcode: LIST.query });
      expectEqual("the list after a reset", after.result, before);
    },
  ),
  deviceCase(
    "admin-list-use-gates",
    "Until LIST_USE, only the list commands are legal; then those of the list.",
    ["admin-cmd-device-14", "admin-cmd-device-16", "admin-cmd-device-17"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      const send = () => sendCommand(bench, queue, { opcode: odd.opcode });
      expectAnswer("a command before LIST_USE", await send(), WIRE.einval, WIRE.invalidOpcode);
      await sendCommand(bench, queue, { opcode: LIST.query });
      expectAnswer("a command after LIST_QUERY", await send(), WIRE.einval, WIRE.invalidOpcode);
      await useOpcodes(bench, queue, [odd.opcode]);
      expectAnswer("a command in the list", await send(), WIRE.ok, 0);
      const other = await sendCommand(bench, queue, { opcode: store.opcode });
      expectAnswer("a command outside the list", other, WIRE.einval, WIRE.invalidOpcode);
      expectEqual("the commands that ran", bench.family.ran, ["odd"]);
    },
  ),
  deviceCase(
    "admin-list-use-replaces",
    "A later LIST_USE replaces the list, also by a smaller one.",
    ["admin-cmd-device-15"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [odd.opcode, store.opcode]);
      await useOpcodes(bench, queue, [store.opcode]);
      const odds = await sendCommand(bench, queue, { opcode: odd.opcode });
      expectAnswer("a command that left the list", odds, WIRE.einval, WIRE.invalidOpcode);
      const stores = await sendCommand(bench, queue, { opcode: store.opcode });
      expectAnswer("a command that stayed", stores, WIRE.ok, 0);
    },
  ),
  deviceCase(
    "admin-list-use-locks",
    "A LIST_USE without the list commands locks the list until the device is reset.",
    ["admin-cmd-device-15", "admin-cmd-driver-8", "admin-life-device-2"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      const data = opcodeList([odd.opcode]);
      const locking = await sendCommand(bench, queue, { opcode: LIST.use, data });
      expectAnswer("the LIST_USE that locks", locking, WIRE.ok, 0);
      for (const opcode of [LIST.query, LIST.use]) {
        const answer = await sendCommand(bench, queue, { opcode, data });
        expectAnswer(`opcode ${opcode}`, answer, WIRE.einval, WIRE.invalidOpcode);
      }
      const answer = await sendCommand(bench, queue, { opcode: odd.opcode });
      expectAnswer("a command in the list", answer, WIRE.ok, 0);
      const renewed = await bench.runWith(FIRST_ADMIN_QUEUE);
      const query = await sendCommand(bench, renewed, { opcode: LIST.query });
      expectAnswer("LIST_QUERY after a reset", query, WIRE.ok, 0);
    },
  ),
  deviceCase(
    "admin-list-use-unsupported",
    "A LIST_USE that names an unsupported opcode is refused and changes nothing.",
    ["admin-cmd-device-11", "admin-cmd-device-7", "admin-cmd-device-8"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [odd.opcode]);
      for (const stray of [UNSUPPORTED, 0x3f, 0x7ff, 0xffff]) {
        const data = opcodeList([LIST.query, LIST.use, store.opcode, stray]);
        const refused = await sendCommand(bench, queue, { opcode: LIST.use, data });
        expectAnswer(`LIST_USE of ${stray}`, refused, WIRE.einval, WIRE.invalidField);
      }
      const odds = await sendCommand(bench, queue, { opcode: odd.opcode });
      expectAnswer("a command of the list before", odds, WIRE.ok, 0);
      const stores = await sendCommand(bench, queue, { opcode: store.opcode });
      expectAnswer("a command of the refused list", stores, WIRE.einval, WIRE.invalidOpcode);
    },
  ),
  deviceCase(
    "admin-list-use-dependency",
    "A LIST_USE that violates a dependency is refused and changes nothing.",
    ["admin-cmd-device-11"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      const data = opcodeList([LIST.query, LIST.use, load.opcode]);
      const refused = await sendCommand(bench, queue, { opcode: LIST.use, data });
      expectAnswer("LIST_USE", refused, WIRE.einval, WIRE.invalidField);
      const loads = await sendCommand(bench, queue, { opcode: load.opcode });
      expectAnswer("a command of the refused list", loads, WIRE.einval, WIRE.invalidOpcode);
      await useOpcodes(bench, queue, [load.opcode, store.opcode]);
    },
  ),
  deviceCase(
    "admin-list-use-long",
    "A list may be longer than needed, filled up with zeros.",
    ["admin-format-9", "admin-vq-device-7"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      const data = opcodeList([LIST.query, LIST.use, odd.opcode], 64);
      const answer = await sendCommand(bench, queue, { opcode: LIST.use, data });
      expectAnswer("LIST_USE of 64 words", answer, WIRE.ok, 0);
      const odds = await sendCommand(bench, queue, { opcode: odd.opcode });
      expectAnswer("a command in the list", odds, WIRE.ok, 0);
    },
  ),
  deviceCase(
    "admin-list-by-group",
    "The lists of one group type have no effect on those of another.",
    ["admin-cmd-device-12", "admin-cmd-device-16"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      await useOpcodes(bench, queue, [store.opcode], SELF_GROUP.id);
      const group = PLATFORM_GROUP.id;
      const other = await sendCommand(bench, queue, { opcode: store.opcode, group });
      expectAnswer("the command in another group", other, WIRE.einval, WIRE.invalidOpcode);
      await useOpcodes(bench, queue, [busy.opcode], group);
      const stays = await sendCommand(bench, queue, { opcode: store.opcode });
      expectAnswer("the command in its group", stays, WIRE.ok, 0);
    },
  ),
  deviceCase(
    "admin-list-reset",
    "A device reset returns all lists to the list commands, and the same list is accepted again.",
    ["admin-life-device-2", "admin-cmd-device-21", "admin-cmd-device-22", "admin-cmd-device-14"],
    async (context) => {
      const { bench, queue } = await ownerOf(context);
      for (const group of GROUPS)
        await useOpcodes(bench, queue, [store.opcode, load.opcode], group);
      const renewed = await bench.runWith(FIRST_ADMIN_QUEUE);
      for (const group of GROUPS) {
        const answer = await sendCommand(bench, renewed, { opcode: store.opcode, group });
        expectAnswer("a command after a reset", answer, WIRE.einval, WIRE.invalidOpcode);
      }
      for (const group of GROUPS) {
        await useOpcodes(bench, renewed, [store.opcode, load.opcode], group);
      }
    },
  ),
];
