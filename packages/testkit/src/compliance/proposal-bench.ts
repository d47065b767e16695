/** Commands of the dialect proposal-v5, a reconstruction, written by hand over a {@link DeviceBench}. */
import { opcodeList } from "./admin-bench.ts";
import type { ComplianceContext } from "./context.ts";
import type { BenchQueue, DeviceBench } from "./device-bench.ts";
import { expectEqual } from "./expect.ts";
import { ComplianceFailure } from "./failure.ts";
import { concat } from "./hand-ring.ts";
import { PROBE_QUEUE_SIZES } from "./probe-model.ts";

const HEADER_BYTES = 16;
const ANSWER_HEADER_BYTES = 8;
const NO_BYTES = new Uint8Array(0);

/** The values on the wire, as the reconstruction numbers them. */
export const V5 = {
  identify: 0,
  accept: 1,
  self: 0,
  member: 1,
  ok: 0,
  commandSpecificError: 1,
  unsupportedCommand: 2,
  invalidField: 3,
} as const;

/** One command. */
export interface ProposalCommand {
  /** The command. */
  readonly command: number;
  /** `dst_type`; the device itself unless given. */
  readonly destination?: number;
  /** `dst_member_id`; 0 unless given. */
  readonly member?: number | bigint;
  /** The reserved bytes as a le32; 0 unless given. */
  readonly reserved?: number;
  /** The command's data. */
  readonly data?: Uint8Array;
}

/** The device's answer. */
export interface ProposalAnswer {
  /** `status`. */
  readonly status: number;
  /** `command_specific_error`. */
  readonly error: number;
  /** The result, as far as the device wrote it. */
  readonly result: Uint8Array;
  /** All that the device wrote. */
  readonly bytes: Uint8Array;
}

/** The device-readable part of a command. */
export function encodeProposalCommand(command: ProposalCommand): Uint8Array {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  header.setUint16(0, command.command, true);
  header.setUint16(2, command.destination ?? V5.self, true);
  header.setUint32(4, command.reserved ?? 0, true);
  header.setBigUint64(8, BigInt(command.member ?? 0), true);
  return concat([new Uint8Array(header.buffer), command.data ?? NO_BYTES]);
}

/** Sends these readable bytes and waits for the answer. */
export async function sendProposalBytes(
  bench: DeviceBench,
  queue: BenchQueue,
  readable: Uint8Array,
  room: number = ANSWER_HEADER_BYTES + 64,
): Promise<ProposalAnswer> {
  const buffer = queue.ring.add([readable], [room]);
  const [used] = await bench.exchange(queue);
  expectEqual("the used id", used?.id, buffer.head);
  const bytes = buffer.written().slice(0, used?.length ?? 0);
  return {
    status: bytes[0] ?? -1,
    error: bytes[1] ?? -1,
    result: bytes.subarray(ANSWER_HEADER_BYTES),
    bytes,
  };
}

/** Sends one command and waits for its answer. */
export function sendProposal(
  bench: DeviceBench,
  queue: BenchQueue,
  command: ProposalCommand,
): Promise<ProposalAnswer> {
  return sendProposalBytes(bench, queue, encodeProposalCommand(command));
}

/** Sends CAPS_ACCEPT of these commands. */
export function acceptCommands(
  bench: DeviceBench,
  queue: BenchQueue,
  commands: readonly number[],
): Promise<ProposalAnswer> {
  return sendProposal(bench, queue, { command: V5.accept, data: opcodeList(commands) });
}

/** Checks status and command_specific_error of an answer. */
export function expectProposalAnswer(
  what: string,
  { status, error }: ProposalAnswer,
  expected: number,
  expectedError = 0,
): void {
  if (status === expected && error === expectedError) return;
  throw new ComplianceFailure(
    `status and command_specific_error of ${what}`,
    [expected, expectedError],
    [status, error],
  );
}

/** A device of the dialect that runs with its administration virtqueue. */
export async function proposalOwnerOf(
  context: ComplianceContext,
): Promise<{ readonly bench: DeviceBench; readonly queue: BenchQueue }> {
  context.needsProposalV5();
  const bench = await context.device({ dialect: "proposal-v5" });
  return { bench, queue: await bench.runWith(PROBE_QUEUE_SIZES.length) };
}
