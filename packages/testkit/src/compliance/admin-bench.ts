/** Administration commands written by hand, byte by byte, over a {@link DeviceBench}. */
import { PLATFORM_GROUP, SELF_GROUP } from "@virtio-admin/core";
import type { BenchQueue, DeviceBench } from "./device-bench.ts";
import { expectEqual } from "./expect.ts";
import { ComplianceFailure } from "./failure.ts";
import type { HandBuffer } from "./hand-ring.ts";
import { concat } from "./hand-ring.ts";

const HEADER_BYTES = 24;
const RESPONSE_HEADER_BYTES = 8;
const WORD_BITS = 64;

/** Status values and qualifiers on the wire, as the text numbers them. */
export const WIRE = {
  ok: 0,
  enxio: 6,
  eagain: 11,
  enomem: 12,
  ebusy: 16,
  eexist: 17,
  einval: 22,
  enospc: 28,
  invalidCommand: 1,
  invalidOpcode: 2,
  invalidField: 3,
  invalidGroup: 4,
  invalidMember: 5,
} as const;

/** One command. */
export interface HandCommand {
  /** The opcode. */
  readonly opcode: number;
  /** The group type; Self unless given. */
  readonly group?: number;
  /** The member id; 0 unless given. */
  readonly member?: number | bigint;
  /** The command's data. */
  readonly data?: Uint8Array;
  /** How many bytes there are for the result, behind the eight of the header; 64 unless given. */
  readonly room?: number;
}

/** The device's answer. */
export interface HandAnswer {
  /** The status. */
  readonly status: number;
  /** The status qualifier. */
  readonly qualifier: number;
  /** The result, as far as the device wrote it. */
  readonly result: Uint8Array;
  /** The used length. */
  readonly used: number;
  /** All bytes of the writable part. */
  readonly bytes: Uint8Array;
}

/** The device-readable part of a command. */
export function encodeCommand(command: HandCommand): Uint8Array {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  header.setUint16(0, command.opcode, true);
  header.setUint16(2, command.group ?? SELF_GROUP.id, true);
  header.setBigUint64(16, BigInt(command.member ?? 0), true);
  return concat([new Uint8Array(header.buffer), command.data ?? new Uint8Array(0)]);
}

/** A le64. */
export function le64(value: number | bigint): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(value), true);
  return new Uint8Array(view.buffer);
}

/** The list of these opcodes, in `words` words or as many as it takes. */
export function opcodeList(opcodes: readonly number[], words?: number): Uint8Array {
  const count = words ?? Math.floor(Math.max(0, ...opcodes) / WORD_BITS) + 1;
  const bytes = new Uint8Array(8 * count);
  for (const opcode of opcodes)
    bytes[opcode >> 3] = (bytes[opcode >> 3] ?? 0) | (1 << (opcode & 7));
  return bytes;
}

/** Makes a command available without notifying of it. */
export function addCommand(queue: BenchQueue, command: HandCommand): HandBuffer {
  return queue.ring.add([encodeCommand(command)], [RESPONSE_HEADER_BYTES + (command.room ?? 64)]);
}

/** What the device wrote into a buffer that it used `used` bytes of. */
export function decodeAnswer(buffer: HandBuffer, used: number): HandAnswer {
  const bytes = buffer.written();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    status: bytes.length >= 2 ? view.getUint16(0, true) : -1,
    qualifier: bytes.length >= 4 ? view.getUint16(2, true) : -1,
    result: bytes.subarray(RESPONSE_HEADER_BYTES, Math.max(RESPONSE_HEADER_BYTES, used)),
    used,
    bytes,
  };
}

/** Sends one command and waits for its answer. */
export async function sendCommand(
  bench: DeviceBench,
  queue: BenchQueue,
  command: HandCommand,
): Promise<HandAnswer> {
  const buffer = addCommand(queue, command);
  const [used] = await bench.exchange(queue);
  expectEqual("the used id", used?.id, buffer.head);
  return decodeAnswer(buffer, used?.length ?? 0);
}

/** Checks status and qualifier of an answer. */
export function expectAnswer(
  what: string,
  answer: Pick<HandAnswer, "status" | "qualifier">,
  status: number,
  qualifier: number,
): void {
  if (answer.status === status && answer.qualifier === qualifier) return;
  throw new ComplianceFailure(
    `status and qualifier of ${what}`,
    [status, qualifier],
    [answer.status, answer.qualifier],
  );
}

/** The opcodes of LIST_QUERY and LIST_USE. */
export const LIST = { query: 0, use: 1 } as const;

/** Makes these opcodes legal for a group type, beside the list commands. */
export async function useOpcodes(
  bench: DeviceBench,
  queue: BenchQueue,
  opcodes: readonly number[],
  group: number = SELF_GROUP.id,
): Promise<void> {
  const data = opcodeList([LIST.query, LIST.use, ...opcodes]);
  const answer = await sendCommand(bench, queue, { opcode: LIST.use, group, data });
  expectAnswer("LIST_USE", answer, WIRE.ok, 0);
}

/** The group types that the bench's device has. */
export const GROUPS: readonly number[] = [SELF_GROUP.id, PLATFORM_GROUP.id];
