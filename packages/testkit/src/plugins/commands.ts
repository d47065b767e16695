/** Commands straight to an executor, written by hand. */
import type { AdminExecutor } from "@virtio-admin/core";
import {
  encodeCommand,
  expectAnswer,
  type HandCommand,
  LIST,
  opcodeList,
  WIRE,
} from "../compliance/admin-bench.ts";

const RESPONSE_HEADER_BYTES = 8;
const DEFAULT_ROOM = 64;

/** What an executor answers. */
export interface DirectAnswer {
  /** The status. */
  readonly status: number;
  /** The status qualifier. */
  readonly qualifier: number;
  /** All bytes that were written, header included. */
  readonly bytes: Uint8Array;
}

/** Has one command carried out. */
export async function send(executor: AdminExecutor, command: HandCommand): Promise<DirectAnswer> {
  const response = new Uint8Array(RESPONSE_HEADER_BYTES + (command.room ?? DEFAULT_ROOM));
  const written = await executor.execute(encodeCommand(command), response);
  return answerOf(response.slice(0, written));
}

/** The bytes of an answer, read. */
export function answerOf(bytes: Uint8Array): DirectAnswer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    status: bytes.length >= 2 ? view.getUint16(0, true) : -1,
    qualifier: bytes.length >= 4 ? view.getUint16(2, true) : -1,
    bytes,
  };
}

/** Makes all supported commands of a group type legal. */
export async function useSupported(executor: AdminExecutor, group: number): Promise<void> {
  const data = opcodeList(executor.supported(group));
  const answer = await send(executor, { opcode: LIST.use, group, data });
  expectAnswer(`LIST_USE for group type ${group}`, answer, WIRE.ok, 0);
}
