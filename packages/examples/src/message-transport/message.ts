/**
 * Messages as bytes, checked in one place: what comes in is copied once, then looked at, so that
 * nobody changes it between the check and the use.
 */
import { type AnyStructLayout, accessors } from "@virtio-admin/core";
import { MESSAGE_HEADER } from "./layout.ts";

const header = accessors(MESSAGE_HEADER);
const TYPE = MESSAGE_HEADER.fields.type.bits;

/** Why a message was discarded: the receiver does nothing with it, and answers nothing. */
export const DISCARD_REASONS = {
  "too long": "it is longer than the bus carries",
  "cut short": "its header or its payload is not all there",
  "other device": "it is for another device, or for the bus",
  "wrong kind": "a request has a token, an event has none, and an answer was asked for",
  "unknown id": "there is no such message",
  "wrong length": "its payload has not the length that its id and its counts ask for",
  "wrong value": "a field has a value that it cannot have",
  "not negotiated": "it needs a feature that is not negotiated",
} as const;

/** One of {@link DISCARD_REASONS}. */
export type DiscardReason = keyof typeof DISCARD_REASONS;

/** How often messages were discarded, by reason. */
export type Discards = Map<DiscardReason, number>;

/** What a message without a payload carries. */
export const NO_PAYLOAD: Uint8Array = new Uint8Array(0);

/** Counts one message as discarded. */
export function discard(discards: Discards, reason: DiscardReason): undefined {
  discards.set(reason, (discards.get(reason) ?? 0) + 1);
}

/** A message that has a sound header. */
export interface Message {
  /** True for an answer. */
  readonly isAnswer: boolean;
  /** Which message it is. */
  readonly id: number;
  /** The token of a request and its answer; 0 for an event. */
  readonly token: number;
  /** The payload: a copy. */
  readonly payload: Uint8Array;
}

/** Where messages go between: one device on one bus. */
export interface Route {
  /** The number of the device on its bus. */
  readonly deviceNumber: number;
  /** The longest message of the bus, in bytes with the header. */
  readonly limit: number;
}

/** Takes a message apart, or says why it is none. Bytes behind `msg_size` are the bus's framing. */
export function readMessage(bytes: Uint8Array, route: Route): Message | DiscardReason {
  if (bytes.length > route.limit) return "too long";
  const copy = new Uint8Array(bytes);
  if (copy.length < MESSAGE_HEADER.size) return "cut short";
  const view = new DataView(copy.buffer);
  const size = header.msg_size.get(view, 0);
  if (size < MESSAGE_HEADER.size || size > copy.length) return "cut short";
  const type = header.type.get(view, 0);
  const isBusMessage = (type & TYPE.bus.mask) !== 0;
  if (isBusMessage || header.dev_num.get(view, 0) !== route.deviceNumber) return "other device";
  return {
    isAnswer: (type & TYPE.response.mask) !== 0,
    id: header.msg_id.get(view, 0),
    token: header.token.get(view, 0),
    payload: copy.subarray(MESSAGE_HEADER.size, size),
  };
}

/** Puts a message together. */
export function writeMessage(message: Message, deviceNumber: number): Uint8Array {
  const { isAnswer, id, token, payload } = message;
  const bytes = new Uint8Array(MESSAGE_HEADER.size + payload.length);
  const view = new DataView(bytes.buffer);
  header.type.set(view, 0, isAnswer ? TYPE.response.mask : 0);
  header.msg_id.set(view, 0, id);
  header.dev_num.set(view, 0, deviceNumber);
  header.token.set(view, 0, token);
  header.msg_size.set(view, 0, bytes.length);
  bytes.set(payload, MESSAGE_HEADER.size);
  return bytes;
}

/** Makes an event; it has no token and is never answered. */
export function writeEvent(id: number, payload: Uint8Array, deviceNumber: number): Uint8Array {
  return writeMessage({ isAnswer: false, id, token: 0, payload }, deviceNumber);
}

/**
 * How much longer a payload of this length is than its layout, in elements of the array at its
 * end: negative or broken when it does not fit. `undefined` is the layout of no payload.
 */
export function excessOf(layout: AnyStructLayout | undefined, length: number): number {
  if (layout === undefined) return length;
  const rest = layout.rest === undefined ? undefined : layout.fields[layout.rest];
  return (length - layout.size) / (rest?.width ?? 1);
}
