/** Headers of messages: checked where they come in, made where they go out. */
import { accessors } from "@virtio-admin/core";
import { VFIO_USER_HEADER_LAYOUT } from "./protocol.ts";

const HEADER = accessors(VFIO_USER_HEADER_LAYOUT);
const FLAGS = VFIO_USER_HEADER_LAYOUT.fields.flags.bits;
const TYPE_REPLY = 1;

/** The length of a header. */
export const HEADER_BYTES = VFIO_USER_HEADER_LAYOUT.size;

/** A message as it came in. Its descriptors belong to whoever takes it. */
export interface Message {
  /** The id that a reply echoes. */
  readonly id: number;
  /** The command. */
  readonly command: number;
  /** True for a reply. */
  readonly reply: boolean;
  /** True for a command that wants no reply. */
  readonly silent: boolean;
  /** The errno of a failed command; `undefined` when it did not fail. */
  readonly error: number | undefined;
  /** What follows the header. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** The descriptors that came along. */
  readonly fds: readonly number[];
}

/** What a header says, before the body is there. */
export type Header = Omit<Message, "body" | "fds"> & {
  /** The length of the body. */
  readonly length: number;
};

/**
 * Reads a header of {@link HEADER_BYTES} bytes.
 *
 * @returns what it says, or what is wrong with it: then nothing that follows can be understood
 */
export function readHeader(bytes: Uint8Array, longestBody: number): Header | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = HEADER.size.get(view, 0);
  const flags = HEADER.flags.get(view, 0);
  const type = flags & FLAGS.type.mask;
  if (size < HEADER_BYTES) return `a message of ${size} bytes is shorter than its header`;
  if (size - HEADER_BYTES > longestBody) return `a message of ${size} bytes is too long`;
  if (type > TYPE_REPLY) return `a message of type ${type} is neither command nor reply`;
  const reply = type === TYPE_REPLY;
  return {
    id: HEADER.id.get(view, 0),
    command: HEADER.command.get(view, 0),
    reply,
    silent: !reply && (flags & FLAGS.no_reply.mask) !== 0,
    error: reply && (flags & FLAGS.error.mask) !== 0 ? HEADER.error.get(view, 0) : undefined,
    length: size - HEADER_BYTES,
  };
}

/** A command. */
export function commandMessage(id: number, command: number, body: Uint8Array): Uint8Array {
  return message(id, command, 0, 0, body);
}

/** The reply to a command. */
export function replyMessage(
  { id, command }: Pick<Message, "id" | "command">,
  body: Uint8Array,
): Uint8Array {
  return message(id, command, TYPE_REPLY, 0, body);
}

/** The reply to a command that failed: a header alone, unless there is more to say. */
export function errorMessage(
  { id, command }: Pick<Message, "id" | "command">,
  errno: number,
  body: Uint8Array = NOTHING,
): Uint8Array {
  return message(id, command, TYPE_REPLY | FLAGS.error.mask, errno, body);
}

/** No bytes. */
export const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array(0);

function message(
  id: number,
  command: number,
  flags: number,
  error: number,
  body: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  const view = new DataView(bytes.buffer);
  HEADER.id.set(view, 0, id);
  HEADER.command.set(view, 0, command);
  HEADER.size.set(view, 0, bytes.length);
  HEADER.flags.set(view, 0, flags);
  HEADER.error.set(view, 0, error);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}
