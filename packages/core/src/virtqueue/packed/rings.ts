/**
 * The three parts of a packed virtqueue as both halves reach them, positions in the ring, and what
 * an event suppression structure asks for.
 *
 * Hot path: one DataView per part, made once; `id` and `flags` of a descriptor are one 32-bit word,
 * and so is an event suppression structure.
 */
import { VirtioError } from "../../errors.ts";
import { checkWords, LITTLE_ENDIAN_HOST, viewOfArea } from "../area.ts";
import { isConcurrent } from "../concurrent.ts";
import type { QueueAddresses, QueueInit } from "../types.ts";
import { PVIRTQ_EVENT_SUPPRESS, packedAreaSizes, RING_EVENT_FLAGS } from "./layout.ts";

/** A wrap counter of 1 in a position: bit 15, as in an event suppression structure. */
export const WRAP: number = PVIRTQ_EVENT_SUPPRESS.fields.desc.bits.desc_event_wrap.mask;
/** Where both rings begin: the first descriptor, wrap counter 1. */
const START = WRAP;

const OFFSET_MASK = PVIRTQ_EVENT_SUPPRESS.fields.desc.bits.desc_event_off.mask;
const WRAP_SHIFT = PVIRTQ_EVENT_SUPPRESS.fields.desc.bits.desc_event_wrap.at;
const FLAGS_SHIFT = 8 * PVIRTQ_EVENT_SUPPRESS.fields.flags.offset;
const FLAGS_MASK = PVIRTQ_EVENT_SUPPRESS.fields.flags.bits.desc_event_flags.mask;
const { ENABLE, DISABLE, DESC } = RING_EVENT_FLAGS;

/** An event suppression structure that asks for every notification. */
export const EVENT_ENABLE: number = ENABLE << FLAGS_SHIFT;
/** One that asks for none. */
export const EVENT_DISABLE: number = DISABLE << FLAGS_SHIFT;
/** One that asks for the descriptor whose position is added to it. */
export const EVENT_DESC: number = DESC << FLAGS_SHIFT;

/** The views of one queue. The words are there only when it is accessed with Atomics. */
export interface PackedRings {
  readonly descriptors: DataView;
  readonly driverEvent: DataView;
  readonly deviceEvent: DataView;
  readonly descriptorWords: Uint32Array | undefined;
  readonly driverEventWords: Uint32Array | undefined;
  readonly deviceEventWords: Uint32Array | undefined;
  /** The offset at which both rings start. */
  readonly offset: number;
  /** The wrap counter with which they do. */
  readonly wrap: 0 | 1;
}

/**
 * Finds the parts of a queue in guest memory and makes views of them.
 *
 * @throws VirtioError `QUEUE_SIZE`, `QUEUE_ADDRESS` or `VALUE_RANGE`.
 */
export function packedRings(init: QueueInit): PackedRings {
  const areas = packedAreaSizes(init.size);
  const start = init.startIndex ?? START;
  checkPosition("startIndex", start, init.size);
  const descriptors = viewOfArea(init, "descriptorArea", areas.descriptorArea);
  const driverEvent = viewOfArea(init, "driverArea", areas.driverArea);
  const deviceEvent = viewOfArea(init, "deviceArea", areas.deviceArea);
  const atomic = init.atomic === true || isConcurrent(init, areas);
  return {
    descriptors,
    driverEvent,
    deviceEvent,
    descriptorWords: atomic ? wordsOf(descriptors, "descriptorArea") : undefined,
    driverEventWords: atomic ? wordsOf(driverEvent, "driverArea") : undefined,
    deviceEventWords: atomic ? wordsOf(deviceEvent, "deviceArea") : undefined,
    offset: start & OFFSET_MASK,
    wrap: (start & WRAP) === 0 ? 0 : 1,
  };
}

/**
 * How many descriptors a ring of `size` goes from position `from` to position `to`: 0 to 2 * size - 1.
 *
 * @throws VirtioError `VALUE_RANGE` when `from` is no position.
 */
export function descriptorsBetween(from: number, to: number, size: number): number {
  checkPosition("publishedIndex", from, size);
  const distance = linear(to, size) - linear(from, size);
  return distance < 0 ? distance + 2 * size : distance;
}

/**
 * Whether the other side is to be notified.
 *
 * @param event the event suppression structure that it wrote, of which anything can be there
 * @param eventIdx VIRTIO_F_EVENT_IDX was negotiated
 * @param size the number of entries of the ring
 * @param offset the descriptor behind the last that was written
 * @param wrap the wrap counter there
 * @param count how many were written since the last time, 1 to `size`
 */
export function asksFor(
  event: number,
  eventIdx: boolean,
  size: number,
  offset: number,
  wrap: number,
  count: number,
): boolean {
  const flags = (event >>> FLAGS_SHIFT) & FLAGS_MASK;
  if (flags === DISABLE) return false;
  // One notification too many does no harm, and what is reserved or not negotiated asks for nothing else.
  if (flags !== DESC || !eventIdx) return true;
  const waited = event & OFFSET_MASK;
  // The descriptors offset-count..offset-1 were written: was the one that is waited for among them?
  const at = ((event >>> WRAP_SHIFT) & 1) === wrap ? waited : waited - size;
  return waited < size && at < offset && at >= offset - count;
}

/** Reads the le32 at `at`: atomically when there are words, else plainly. */
export function load32(view: DataView, words: Uint32Array | undefined, at: number): number {
  return words === undefined
    ? view.getUint32(at, true)
    : littleEndian(Atomics.load(words, at >>> 2));
}

/** Writes the le32 at `at`: atomically when there are words, else plainly. */
export function store32(
  view: DataView,
  words: Uint32Array | undefined,
  at: number,
  value: number,
): void {
  if (words === undefined) view.setUint32(at, value, true);
  else Atomics.store(words, at >>> 2, littleEndian(value));
}

function littleEndian(value: number): number {
  if (LITTLE_ENDIAN_HOST) return value;
  return (
    ((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)
  );
}

function linear(position: number, size: number): number {
  return (position & OFFSET_MASK) + ((position & WRAP) === 0 ? size : 0);
}

function checkPosition(name: "startIndex" | "publishedIndex", value: number, size: number): void {
  const isPosition = Number.isInteger(value) && value >>> 16 === 0;
  if (isPosition && (value & OFFSET_MASK) < size) return;
  throw new VirtioError("VALUE_RANGE", {
    path: `queue.${name}`,
    message: `a position in the ring is an offset below ${size}, with the wrap counter in bit 15`,
    value,
  });
}

function wordsOf(view: DataView, name: keyof QueueAddresses): Uint32Array {
  checkWords(view, name, Uint32Array.BYTES_PER_ELEMENT);
  return new Uint32Array(view.buffer, view.byteOffset, view.byteLength >>> 2);
}
