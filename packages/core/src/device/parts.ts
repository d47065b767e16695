/**
 * Device parts: the state of a device in pieces, each with a header that says what it is (section
 * "Device parts"). Whoever understands a part reads its value; whoever carries it need not.
 */
import { VirtioError } from "../errors.ts";
import { accessors } from "../layout/index.ts";
import { FeatureSet } from "./features.ts";
import {
  COMMON_PARTS,
  type CommonPart,
  type CommonPartName,
  VIRTIO_DEV_PART_FEATURES,
  VIRTIO_DEV_PART_HDR,
} from "./part-layout.ts";
import type { StateChange } from "./saved-state.ts";

const HDR = accessors(VIRTIO_DEV_PART_HDR);
const FEATURES = accessors(VIRTIO_DEV_PART_FEATURES);
const OPTIONAL = VIRTIO_DEV_PART_HDR.fields.flags.bits.optional.mask;
const SELECTOR = VIRTIO_DEV_PART_HDR.fields.selector;
const SELECTOR_BYTES = 8;

/** The length of the header of a part in bytes. */
export const PART_HEADER_BYTES: number = VIRTIO_DEV_PART_HDR.size;

/** Which part it is: what `struct virtio_dev_part_hdr` says. */
export interface PartHeader {
  /** The type, 0..0xffff; {@link COMMON_PARTS} has the common ones. */
  readonly type: number;
  /** The flags, 0..0xff; bit 0 says that the device can do without the part. */
  readonly flags: number;
  /** The selector, 8 bytes as they are on the wire. */
  readonly selector: Uint8Array;
  /** The length of the value in bytes. */
  readonly length: number;
}

/** One part of a device. */
export interface DevicePart extends Omit<PartHeader, "length"> {
  /** The value, as it is on the wire. */
  readonly value: Uint8Array;
}

/**
 * Parts that somebody adds to those of the device core, and alone knows what they mean: a
 * transport's device half, or a device type with parts of its own. Whoever has one of the methods
 * has both.
 */
export interface PartsHook {
  /** The parts now, in the order in which they are to stand; must not throw. */
  readParts?(): readonly DevicePart[];
  /**
   * Checks parts, which may come from anywhere, and changes nothing. Each is one of those that the
   * hook knows, and there once.
   *
   * @param parts the parts; a transport gets the VQ_CFG parts too, for the vectors
   * @param features the features that will be in force
   * @returns what puts them in place and takes them back; neither throws
   * @throws VirtioError `DEVICE_PARTS` or any other error when a part is refused
   */
  prepareParts?(parts: readonly DevicePart[], features: FeatureSet): StateChange;
}

/** A device that can be stopped, and whose parts can be read and, while it is stopped, set. */
export interface PartsDevice {
  /**
   * True while the device is stopped: it touches no memory and sends nothing. The driver's
   * notifications are remembered, its accesses of registers carried out.
   */
  readonly stopped: boolean;
  /** A promise of the end of the reset that goes on right now; `undefined` when none does. */
  readonly resetUnderWay: Promise<void> | undefined;
  /**
   * Stops the device: takes no more buffers, and is stopped once it has used all that it has taken
   * and told the driver so. The mode outlasts resets of the device.
   *
   * @returns true when it is stopped; else a promise of true, or of false when it was resumed before
   */
  stop(): true | Promise<boolean>;
  /**
   * Lets the device go on with what is there: parts that were set, buffers, notifications that came
   * or were due meanwhile. Ends a {@link stop} that is under way. Nothing happens unless it was
   * stopped.
   */
  resume(): void;
  /**
   * Carries out a reset of the function that the device is in, the device's own included. It ends
   * the mode that the device was in before; a {@link stop} that is under way outlasts it.
   */
  resetFunction(reset: () => void): void;
  /**
   * The parts now, in the order of the table; those of the device type come last.
   *
   * @throws VirtioError `DEVICE_PARTS` while the driver uses what no part can tell
   */
  readParts(): readonly DevicePart[];
  /**
   * Checks whether the device, which must be stopped, can take parts from anywhere, and changes
   * nothing. Values that no part names stay. Where a ring goes on is read from the ring itself
   * when the device is resumed.
   *
   * @returns what puts them in place and takes them back; they take effect upon {@link resume}
   * @throws VirtioError `DEVICE_PARTS` with the path of what is refused: `parts[3].value`
   */
  prepareParts(parts: readonly DevicePart[]): StateChange;
}

/** True for a device that can be stopped and has parts; a `VirtioDevice` is one. */
export function isPartsDevice(device: object): device is PartsDevice {
  const { stop, resume, resetFunction, readParts, prepareParts } = device as Partial<PartsDevice>;
  const methods = [stop, resume, resetFunction, readParts, prepareParts];
  return methods.every((method) => typeof method === "function");
}

/** The error for parts that are refused. */
export function refuseParts(
  path: string,
  message: string,
  more: { readonly value?: unknown; readonly hint?: string; readonly cause?: unknown } = {},
): VirtioError {
  return new VirtioError("DEVICE_PARTS", { path, message, ...more });
}

/** True when the device can do without the part. */
export function isOptionalPart({ flags }: Pick<PartHeader, "flags">): boolean {
  return (flags & OPTIONAL) !== 0;
}

const BY_TYPE: ReadonlyMap<number, CommonPartName> = new Map(
  Object.entries(COMMON_PARTS).map(([name, { type }]) => [type, name as CommonPartName]),
);
const RANKS: ReadonlyMap<number, number> = new Map(
  Object.values(COMMON_PARTS).map(({ type }, rank) => [type, rank]),
);

/** The name of a common part by its type; `undefined` for any other type. */
export function commonPartName(type: number): CommonPartName | undefined {
  return BY_TYPE.get(type);
}

/** Where a type stands in the order of parts; types that are not in the table come last. */
export function partRank(type: number): number {
  return RANKS.get(type) ?? RANKS.size;
}

/** The parts in the order of the table; those of one type, and of other types, stay as they are. */
export function inPartOrder<Part extends Pick<PartHeader, "type">>(parts: readonly Part[]): Part[] {
  return [...parts].sort((a, b) => partRank(a.type) - partRank(b.type));
}

/** The selector of a common part as a number: an offset, a queue's index, or 0. */
export function selectorOf({ type, selector }: Pick<PartHeader, "type" | "selector">): number {
  const kind = partOfType(type)?.selector;
  const view = new DataView(selector.buffer, selector.byteOffset, SELECTOR_BYTES);
  if (kind === "field offset") return view.getUint32(0, true);
  return kind === "queue index" ? view.getUint16(0, true) : 0;
}

/** What tells a part from every other: equal for the headers of the same part. */
export function partKey(header: Pick<PartHeader, "type" | "selector">): string {
  const { type, selector } = header;
  if (partOfType(type) !== undefined) return `${type}:${selectorOf(header)}`;
  return `${type}:${selector.join()}`;
}

/** What to call a part in an error: `VQ_CFG 3`. */
export function describePart(header: Pick<PartHeader, "type" | "selector">): string {
  const name = commonPartName(header.type);
  if (name === undefined) return `part 0x${header.type.toString(16)}`;
  return COMMON_PARTS[name].selector === "none" ? name : `${name} ${selectorOf(header)}`;
}

/** Makes a common part. */
export function commonPart(name: CommonPartName, value: Uint8Array, selector = 0): DevicePart {
  const { type, optional, selector: kind } = COMMON_PARTS[name];
  const bytes = new Uint8Array(SELECTOR_BYTES);
  const view = new DataView(bytes.buffer);
  if (kind === "field offset") view.setUint32(0, selector, true);
  else if (kind === "queue index") view.setUint16(0, selector, true);
  return { type, flags: optional ? OPTIONAL : 0, selector: bytes, value };
}

/** The header of a part. */
export function headerOf({ type, flags, selector, value }: DevicePart): PartHeader {
  return { type, flags, selector, length: value.length };
}

/** How many bytes a part takes: its header and its value. */
export function partBytes({ value }: DevicePart): number {
  return PART_HEADER_BYTES + value.length;
}

/** Parts one after the other, as they are on the wire. */
export function encodeParts(parts: readonly DevicePart[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + partBytes(part), 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const part of parts) {
    writeHeader(bytes, view, at, headerOf(part));
    bytes.set(part.value, at + PART_HEADER_BYTES);
    at += partBytes(part);
  }
  return bytes;
}

/** Headers one after the other, as they are on the wire. */
export function encodePartHeaders(headers: readonly PartHeader[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(PART_HEADER_BYTES * headers.length);
  const view = new DataView(bytes.buffer);
  headers.forEach((header, i) => {
    writeHeader(bytes, view, PART_HEADER_BYTES * i, header);
  });
  return bytes;
}

/**
 * Reads parts that stand one after the other. What is left over is padding when it is zero.
 * Selectors and values are views of `bytes`.
 *
 * @throws VirtioError `DEVICE_PARTS` when the last part is cut off
 */
export function decodeParts(bytes: Uint8Array): DevicePart[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: DevicePart[] = [];
  const padding = paddingOf(bytes);
  for (let at = 0; at < padding; ) {
    const left = bytes.length - at;
    if (left < PART_HEADER_BYTES) {
      const message = "the header of the part is cut off";
      throw refuseParts(`parts[${parts.length}]`, message, { value: left });
    }
    const { type, flags, selector, length } = readHeader(bytes, view, at);
    if (length > left - PART_HEADER_BYTES) {
      const message = `only ${left - PART_HEADER_BYTES} bytes are there of the value`;
      throw refuseParts(`parts[${parts.length}].length`, message, { value: length });
    }
    at += PART_HEADER_BYTES;
    parts.push({ type, flags, selector, value: bytes.subarray(at, at + length) });
    at += length;
  }
  return parts;
}

/**
 * Reads headers that stand one after the other; what is missing of the last one is zero. They share
 * nothing with `bytes`.
 */
export function decodePartHeaders(bytes: Uint8Array): PartHeader[] {
  const count = Math.ceil(bytes.length / PART_HEADER_BYTES);
  const whole = new Uint8Array(count * PART_HEADER_BYTES);
  whole.set(bytes);
  const view = new DataView(whole.buffer);
  return Array.from({ length: count }, (_, i) => readHeader(whole, view, PART_HEADER_BYTES * i));
}

/** The value of DEV_FEATURES or DRV_FEATURES. */
export function encodeFeatures(features: FeatureSet): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(VIRTIO_DEV_PART_FEATURES.size);
  const view = new DataView(bytes.buffer);
  for (const half of [0, 1]) {
    FEATURES.feature_bits.setLow(view, 0, half, features.word(2 * half));
    FEATURES.feature_bits.setHigh(view, 0, half, features.word(2 * half + 1));
  }
  return bytes;
}

/** The features in a value of DEV_FEATURES or DRV_FEATURES, 16 bytes. */
export function decodeFeatures(value: Uint8Array): FeatureSet {
  const view = viewOf(value);
  return FeatureSet.fromWords(
    [0, 1].flatMap((half) => [
      FEATURES.feature_bits.getLow(view, 0, half),
      FEATURES.feature_bits.getHigh(view, 0, half),
    ]),
  );
}

/** A view of the bytes of a value. */
export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function partOfType(type: number): CommonPart | undefined {
  const name = BY_TYPE.get(type);
  return name === undefined ? undefined : COMMON_PARTS[name];
}

/** Where nothing but zeros follows: no part is all zero, as no type is 0. */
function paddingOf(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}

function readHeader(bytes: Uint8Array, view: DataView, at: number): PartHeader {
  const from = at + SELECTOR.offset;
  return {
    type: HDR.part_type.get(view, at),
    flags: HDR.flags.get(view, at),
    selector: bytes.subarray(from, from + SELECTOR_BYTES),
    length: HDR.length.get(view, at),
  };
}

function writeHeader(bytes: Uint8Array, view: DataView, at: number, header: PartHeader): void {
  HDR.part_type.set(view, at, header.type);
  HDR.flags.set(view, at, header.flags);
  bytes.set(header.selector.subarray(0, SELECTOR_BYTES), at + SELECTOR.offset);
  HDR.length.set(view, at, header.length);
}
