/** Bytes with their fields: what is drawn in colours. */
import {
  type AnyStructLayout,
  DIALECTS,
  type DialectName,
  type FeatureSet,
  type Field,
  featureName,
  statusNames,
  VIRTQ_DESC,
} from "@virtio-admin/core";

/** The most bytes of one block that are drawn; the rest is counted. */
export const BLOCK_LIMIT = 512;
/** The most elements of an array whose values are told. */
const TOLD_ELEMENTS = 4;

/** A field among bytes. */
export interface Span {
  /** The first byte. */
  readonly from: number;
  /** The byte after the last. */
  readonly to: number;
  /** The field's name. */
  readonly name: string;
  /** Its value in words. */
  readonly value: string;
  /** What it is. */
  readonly doc: string;
}

/** Bytes that are shown together. */
export interface Block {
  /** What they are. */
  readonly title: string;
  /** Where they are in guest memory, where that is known. */
  readonly address?: number;
  /** The bytes, at most {@link BLOCK_LIMIT}. */
  readonly bytes: Uint8Array;
  /** How many bytes are not shown. */
  readonly more: number;
  /** The fields in the order of their offsets; bytes between them have no name. */
  readonly spans: readonly Span[];
}

/** Makes a block of bytes and of the layouts that they have, one after the other. */
export function blockOf(
  title: string,
  bytes: Uint8Array,
  layouts: readonly AnyStructLayout[],
  address?: number,
): Block {
  const spans: Span[] = [];
  let at = 0;
  for (const layout of layouts) {
    for (const field of Object.values<Field>(layout.fields)) {
      const isPlaceholder = field.count === "rest" && layout !== layouts.at(-1);
      if (isPlaceholder || field.overlay) continue;
      const from = at + field.offset;
      const length =
        field.count === "rest" ? bytes.length - from : (field.count ?? 1) * field.width;
      const to = Math.min(from + length, bytes.length);
      if (to > from) {
        spans.push({
          from,
          to,
          name: field.name,
          value: fieldWords(field, bytes, from, to),
          doc: field.doc,
        });
      }
    }
    at += layout.size;
  }
  return {
    title,
    ...(address === undefined ? {} : { address }),
    bytes: bytes.subarray(0, BLOCK_LIMIT),
    more: Math.max(0, bytes.length - BLOCK_LIMIT),
    spans: spans.filter(({ from }) => from < BLOCK_LIMIT),
  };
}

/** A block of one value, such as a register. */
export function valueBlock(title: string, bytes: Uint8Array, field: Field): Block {
  const value = fieldWords(field, bytes, 0, bytes.length);
  const span = {
    from: 0,
    to: Math.min(bytes.length, BLOCK_LIMIT),
    name: field.name,
    value,
    doc: field.doc,
  };
  return {
    title,
    bytes: bytes.subarray(0, BLOCK_LIMIT),
    more: Math.max(0, bytes.length - BLOCK_LIMIT),
    spans: bytes.length === 0 ? [] : [span],
  };
}

function fieldWords(field: Field, bytes: Uint8Array, from: number, to: number): string {
  const { width, count, type } = field;
  const littleEndian = !type.startsWith("be");
  const element = (at: number): bigint => {
    let value = 0n;
    for (let i = 0; i < width; i++) {
      const byte = at + (littleEndian ? width - 1 - i : i);
      value = (value << 8n) | BigInt(bytes[byte] ?? 0);
    }
    return value;
  };
  if (count !== undefined) {
    const number = Math.floor((to - from) / width);
    if (bytes.subarray(from, to).every((byte) => byte === 0)) return "all zero";
    if (number > TOLD_ELEMENTS) return `${number} × ${type}`;
    return Array.from({ length: number }, (_, i) => words(element(from + i * width))).join(", ");
  }
  const value = element(from);
  const named = namedValue(field, value);
  return named === undefined ? words(value) : `${words(value)} ${named}`;
}

function words(value: bigint): string {
  return value < 10n ? `${value}` : `0x${value.toString(16)}`;
}

function namedValue({ name, bits, type }: Field, value: bigint): string | undefined {
  const set = Object.entries(bits).flatMap(([bit, { at, width }]) => {
    const part = (value >> BigInt(at)) & ((1n << BigInt(width)) - 1n);
    if (part === 0n) return [];
    return [width === 1 ? bit : `${bit} = ${part}`];
  });
  if (set.length > 0) return `(${set.join(", ")})`;
  if (/^(device_)?status$/i.test(name) && (type === "u8" || type === "le32")) {
    return value > 0n && value <= 0xffn ? `(${statusNames(Number(value))})` : undefined;
  }
  return undefined;
}

/** The short names of features, by bit. */
export function featureWords(features: FeatureSet): string {
  const names = features.bits().map((bit) => shortFeature(bit));
  return names.length === 0 ? "none" : names.join(", ");
}

/** A feature without what all of their names begin with. */
export function shortFeature(bit: number): string {
  return featureName(bit)?.replace(/^VIRTIO_(F_|RNG_F_)?/, "") ?? `bit ${bit}`;
}

/** Status and qualifier of an answer, in the words of a dialect. */
export function answerWords(dialect: DialectName, status: number, detail: number): string {
  const name = DIALECTS[dialect].statuses.find(({ value }) => value === status)?.name;
  return `${name ?? "reserved status"} (${status}, ${detail})`;
}

/** A field that no layout has: a value of this name in as many bytes as there are. */
export function plainField(name: string, width: number): Field {
  const scalar = width === 1 ? 1 : width === 2 ? 2 : width === 8 ? 8 : 4;
  const isScalar = scalar === width;
  return {
    ...(VIRTQ_DESC.fields.addr as Field),
    name,
    offset: 0,
    type: isScalar && scalar > 1 ? `le${(8 * scalar) as 16}` : "u8",
    width: isScalar ? scalar : 1,
    count: isScalar ? undefined : width,
    doc: "",
    cite: "",
  };
}
