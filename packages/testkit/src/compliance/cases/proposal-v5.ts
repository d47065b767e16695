/** The device half of the dialect proposal-v5, a reconstruction. */
import { DIALECTS, SR_IOV_GROUP } from "@virtio-admin/core";
import { encodeCommand, LIST, le64, opcodeList } from "../admin-bench.ts";
import { PROPOSAL_MEMBERS } from "../device-bench.ts";
import { expectEqual } from "../expect.ts";
import { concat } from "../hand-ring.ts";
import { PROBE_COMMANDS } from "../probe-family.ts";
import { PROBE_QUEUE_SIZES } from "../probe-model.ts";
import {
  acceptCommands,
  encodeProposalCommand,
  expectProposalAnswer,
  proposalOwnerOf,
  sendProposal,
  sendProposalBytes,
  V5,
} from "../proposal-bench.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

const { echo, store, load, odd, busy, wait } = PROBE_COMMANDS;
const FIRST_ADMIN_QUEUE = PROBE_QUEUE_SIZES.length;
const SUPPORTED = [echo, store, load, wait, odd, busy].map(({ opcode }) => opcode);
const ALL = [V5.identify, V5.accept, ...SUPPORTED];
const OWNER = 0;
const NOBODY = 99;

/** The dialect proposal-v5, from the device's end. */
export const PROPOSAL_V5_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "proposal-v5-place",
    "A device of proposal-v5 tells the place of one administration virtqueue, behind all others.",
    [
      "proposal-v5-device-2",
      "proposal-v5-device-3",
      "proposal-v5-driver-1",
      "proposal-v5-driver-2",
    ],
    async (context) => {
      context.needsProposalV5();
      const bench = await context.device({ dialect: "proposal-v5" });
      const place = await bench.driver.adminQueues(await bench.negotiate());
      expectEqual("index and number", [place.index, place.count], [FIRST_ADMIN_QUEUE, 1]);
      expectEqual("the dialect", place.dialect, "proposal-v5");
      const beyond = await bench.driver.queueSizeMax(place.index + 1);
      expectEqual("the size of the queue behind it", beyond, 0);
    },
  ),
  deviceCase(
    "proposal-v5-not-there",
    "A device of virtio-1.4 is not taken for one of proposal-v5.",
    ["proposal-v5-device-1", "proposal-v5-device-2", "proposal-v5-driver-1"],
    async (context) => {
      context.needsProposalV5();
      const bench = await context.device({ adminQueues: 2 });
      const place = await bench.driver.adminQueues(await bench.negotiate());
      expectEqual("index and number", [place.index, place.count], [FIRST_ADMIN_QUEUE, 2]);
      expectEqual("the dialect", place.dialect ?? "virtio-1.4", "virtio-1.4");
    },
  ),
  deviceCase(
    "proposal-v5-one-dialect",
    "Commands of virtio-1.4 mean nothing to a device of proposal-v5, and change nothing.",
    ["proposal-v5-device-1"],
    async (context) => {
      const { bench, queue } = await proposalOwnerOf(context);
      const use = encodeCommand({ opcode: LIST.use, data: opcodeList(ALL) });
      const used = await sendProposalBytes(bench, queue, use);
      expectProposalAnswer("LIST_USE of virtio-1.4", used, V5.invalidField);
      const [first] = DIALECTS["virtio-1.4"].management;
      const foreign = encodeCommand({ opcode: first?.opcode ?? 0, group: SR_IOV_GROUP.id });
      const answer = await sendProposalBytes(bench, queue, foreign);
      expectProposalAnswer("a command of virtio-1.4", answer, V5.unsupportedCommand);
      const stored = await sendProposal(bench, queue, { command: store.opcode, data: le64(7) });
      expectProposalAnswer("a command of the list", stored, V5.unsupportedCommand);
      expectEqual("the commands that ran", bench.family.ran, []);
    },
  ),
  deviceCase(
    "proposal-v5-format",
    "Commands and answers have the headers of the dialect, little-endian on every transport.",
    ["proposal-v5-device-1", "admin-transport-2"],
    async (context) => {
      const { bench, queue } = await proposalOwnerOf(context);
      const identified = await sendProposal(bench, queue, { command: V5.identify });
      const header = new Uint8Array(8);
      expectEqual("CAPS_IDENTIFY", identified.bytes, concat([header, opcodeList(ALL)]));
      const accepted = await acceptCommands(bench, queue, SUPPORTED);
      expectEqual("CAPS_ACCEPT", accepted.bytes, header);
      const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
      await sendProposal(bench, queue, { command: store.opcode, data });
      expectEqual("the value that arrived", bench.family.value, 0x0807060504030201n);
      const loaded = await sendProposal(bench, queue, { command: load.opcode });
      expectEqual("the value that came back", loaded.bytes, concat([header, data]));
      bench.family.busy = 1;
      const again = await sendProposal(bench, queue, { command: busy.opcode });
      const error = Uint8Array.of(V5.commandSpecificError, 11, 0, 0, 0, 0, 0, 0);
      expectEqual("an error of the command itself", again.bytes, error);
    },
  ),
  deviceCase(
    "proposal-v5-unaccepted",
    "A command that was not accepted is unsupported, whomever it addresses; the two for lists are not.",
    ["proposal-v5-device-5"],
    async (context) => {
      const { bench, queue } = await proposalOwnerOf(context);
      for (const destination of [V5.self, V5.member, 2, 0xffff]) {
        for (const command of [...SUPPORTED, 2, 0x7777, 0xffff]) {
          const answer = await sendProposal(bench, queue, { command, destination, member: NOBODY });
          const what = `command ${command} to destination ${destination}`;
          expectProposalAnswer(what, answer, V5.unsupportedCommand);
        }
      }
      expectEqual("the commands that ran", bench.family.ran, []);
      const identified = await sendProposal(bench, queue, { command: V5.identify });
      expectProposalAnswer("CAPS_IDENTIFY", identified, V5.ok);
      const accepted = await acceptCommands(bench, queue, []);
      expectProposalAnswer("CAPS_ACCEPT", accepted, V5.ok);
    },
  ),
  deviceCase(
    "proposal-v5-accept-replaces",
    "CAPS_ACCEPT replaces what was accepted, and never takes the two commands for lists away.",
    ["proposal-v5-device-5"],
    async (context) => {
      const { bench, queue } = await proposalOwnerOf(context);
      const status = async (command: number) =>
        (await sendProposal(bench, queue, { command })).status;
      for (const [commands, storing, busying] of [
        [[store.opcode], V5.ok, V5.unsupportedCommand],
        [[busy.opcode], V5.unsupportedCommand, V5.ok],
        [[], V5.unsupportedCommand, V5.unsupportedCommand],
        [ALL, V5.ok, V5.ok],
      ] as const) {
        const accepted = await acceptCommands(bench, queue, commands);
        expectProposalAnswer(`CAPS_ACCEPT of ${commands.length} commands`, accepted, V5.ok);
        expectEqual("the status of one", await status(store.opcode), storing);
        expectEqual("the status of another", await status(busy.opcode), busying);
        expectEqual("the status of CAPS_IDENTIFY", await status(V5.identify), V5.ok);
      }
    },
  ),
  deviceCase(
    "proposal-v5-accept-refused",
    "CAPS_ACCEPT of what was not identified, or of what cannot be used alone, changes nothing.",
    ["proposal-v5-device-5"],
    async (context) => {
      const { bench, queue } = await proposalOwnerOf(context);
      await acceptCommands(bench, queue, [store.opcode]);
      for (const commands of [[2], [store.opcode, 0x3f], [load.opcode], [0x1000]]) {
        const answer = await acceptCommands(bench, queue, commands);
        expectProposalAnswer(`CAPS_ACCEPT of ${commands.join(", ")}`, answer, V5.invalidField);
      }
      const stored = await sendProposal(bench, queue, { command: store.opcode, data: le64(7) });
      expectProposalAnswer("what was accepted before", stored, V5.ok);
      const loaded = await sendProposal(bench, queue, { command: load.opcode });
      expectProposalAnswer("what was not", loaded, V5.unsupportedCommand);
    },
  ),
  deviceCase(
    "proposal-v5-reset",
    "A device reset ends what was accepted.",
    ["proposal-v5-device-5", "admin-life-device-2"],
    async (context) => {
      const { bench, queue } = await proposalOwnerOf(context);
      await acceptCommands(bench, queue, [store.opcode]);
      const renewed = await bench.runWith(FIRST_ADMIN_QUEUE);
      const answer = await sendProposal(bench, renewed, { command: store.opcode });
      expectProposalAnswer("a command after the reset", answer, V5.unsupportedCommand);
      const accepted = await acceptCommands(bench, renewed, [store.opcode]);
      expectProposalAnswer("CAPS_ACCEPT", accepted, V5.ok);
    },
  ),
  deviceCase(
    "proposal-v5-owner-member",
    "The owner is a member of its group under id 0; without a group there is no destination but self.",
    ["proposal-v5-device-4"],
    async (context) => {
      const { bench, queue } = await proposalOwnerOf(context);
      await acceptCommands(bench, queue, [echo.opcode]);
      const hasGroup = context.transport.groupTypes.includes(SR_IOV_GROUP.name);
      const destination = V5.member;
      for (const member of [OWNER, ...PROPOSAL_MEMBERS]) {
        const answer = await sendProposal(bench, queue, {
          command: echo.opcode,
          destination,
          member,
        });
        expectProposalAnswer(`member ${member}`, answer, hasGroup ? V5.ok : V5.invalidField);
      }
      for (const member of [3, NOBODY, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n]) {
        const answer = await sendProposal(bench, queue, {
          command: echo.opcode,
          destination,
          member,
        });
        expectProposalAnswer(`member ${member}`, answer, V5.invalidField);
      }
      const ran = hasGroup ? 1 + PROPOSAL_MEMBERS.length : 0;
      expectEqual("the commands that ran", bench.family.ran.length, ran);
    },
  ),
  deviceCase(
    "proposal-v5-destination",
    "A reserved destination, or one that a command does not have, is an invalid field.",
    ["proposal-v5-device-4", "proposal-v5-device-5"],
    async (context) => {
      const { bench, queue } = await proposalOwnerOf(context);
      await acceptCommands(bench, queue, [odd.opcode, echo.opcode]);
      for (const [command, destination] of [
        [odd.opcode, V5.member],
        [V5.identify, V5.member],
        [V5.accept, V5.member],
        [echo.opcode, 2],
        [V5.identify, 0xffff],
      ] as const) {
        const answer = await sendProposal(bench, queue, { command, destination });
        const what = `command ${command} to destination ${destination}`;
        expectProposalAnswer(what, answer, V5.invalidField);
      }
      expectEqual("the commands that ran", bench.family.ran, []);
      // The device itself is no choice of several, and reserved bytes mean nothing.
      const answer = await sendProposal(bench, queue, {
        command: echo.opcode,
        member: NOBODY,
        reserved: 0xffffffff,
      });
      expectProposalAnswer("the device itself", answer, V5.ok);
    },
  ),
  deviceCase(
    "proposal-v5-lengths",
    "What a short command lacks counts as zero, what a short answer has no room for is dropped.",
    ["proposal-v5-device-1", "admin-vq-device-1", "admin-vq-device-2"],
    async (context) => {
      const { bench, queue } = await proposalOwnerOf(context);
      const identify = encodeProposalCommand({ command: V5.identify });
      for (const length of [1, 2, 4, 8, 15]) {
        const part = identify.slice(0, length);
        const answer = await sendProposalBytes(bench, queue, part);
        expectProposalAnswer(`CAPS_IDENTIFY of ${length} bytes`, answer, V5.ok);
      }
      const whole = (await sendProposalBytes(bench, queue, identify)).bytes;
      for (const room of [1, 2, 8, 12, 16]) {
        const { bytes } = await sendProposalBytes(bench, queue, identify, room);
        expectEqual(`an answer of ${room} bytes`, bytes, whole.slice(0, room));
      }
      await acceptCommands(bench, queue, [store.opcode]);
      const short = { command: store.opcode, data: Uint8Array.of(0xff, 0xff) };
      expectProposalAnswer("two bytes of eight", await sendProposal(bench, queue, short), V5.ok);
      expectEqual("the value that arrived", bench.family.value, 0xffffn);
    },
  ),
];
