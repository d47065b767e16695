/** What the words of `ctl` stand for. */
import {
  FEATURE_BITS,
  FeatureSet,
  type GroupType,
  PLATFORM_GROUP,
  SELF_GROUP,
  SR_IOV_GROUP,
  VirtioError,
} from "@virtio-admin/core";
import { type DeviceTypeName, namedFeatures } from "../group/device-types.ts";
import { shortName } from "../group/feature-names.ts";

/** The group types that have a name here. */
export const GROUP_TYPES: readonly GroupType[] = [SELF_GROUP, SR_IOV_GROUP, PLATFORM_GROUP];

const GROUP_WORDS: ReadonlyMap<string, number> = new Map(
  GROUP_TYPES.map(({ name, id }) => [name.toLowerCase(), id]),
);
const LARGEST_U16 = 0xffff;
const HEX = /^(0x)?((?:[0-9a-f]{2})*)$/i;
const NUMBER = /^(0x[0-9a-f]+|[0-9]+)$/i;

/** A group type by its name, or its number. */
export function groupOf(word: string): number {
  return GROUP_WORDS.get(word.toLowerCase()) ?? numberOf("group", word, LARGEST_U16);
}

/** The name of a group type, or its number. */
export function groupName(id: number): string {
  return GROUP_TYPES.find((type) => type.id === id)?.name ?? hexOf(id);
}

/** 16 bits as commands and group types are written. */
export function hexOf(value: number): string {
  return `0x${value.toString(16).padStart(4, "0")}`;
}

/** An opcode. */
export function opcodeOf(word: string): number {
  return numberOf("opcode", word, LARGEST_U16);
}

/** A member identifier. */
export function memberOf(word: string): number {
  return numberOf("member", word, Number.MAX_SAFE_INTEGER);
}

/** A number up to `most`, decimal or with 0x in front. */
export function numberOf(path: string, word: string, most: number): number {
  const value = NUMBER.test(word) ? Number(word) : Number.NaN;
  if (Number.isSafeInteger(value) && value <= most) return value;
  throw wrong(path, `it is a number from 0 to ${most}`, word);
}

/** Bytes in memory order. */
export function bytesOf(word: string): Uint8Array {
  const digits = HEX.exec(word)?.[2];
  if (digits === undefined) throw wrong("data", "bytes are pairs of hex digits", word);
  return Uint8Array.from(Buffer.from(digits, "hex"));
}

/** Features by their names, in full or in short, or by the numbers of their bits. */
export function featuresOf(path: string, words: readonly string[], type: DeviceTypeName) {
  const named = new Map<string, number>();
  for (const [name, bit] of namedFeatures(type)) named.set(name, bit).set(shortName(name), bit);
  const bits = words
    .flatMap((word) => word.split(","))
    .map((word) => {
      const bit =
        named.get(word.toUpperCase()) ?? (NUMBER.test(word) ? Number(word) : FEATURE_BITS);
      if (bit < FEATURE_BITS) return bit;
      const names = [...namedFeatures(type).keys()].join(", ");
      throw wrong(
        path,
        `no feature of that name; there are 0 to ${FEATURE_BITS - 1}, ${names}`,
        word,
      );
    });
  return FeatureSet.of(...bits);
}

function wrong(path: string, message: string, value: string): VirtioError {
  return new VirtioError("VALUE_RANGE", { path, message, value });
}
