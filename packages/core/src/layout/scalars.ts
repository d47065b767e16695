import type { ByteOrder, ScalarType, ScalarWidth } from "./types.ts";

/** What there is to know about a scalar type. */
interface Scalar {
  readonly width: ScalarWidth;
  /** `undefined` for a byte, which has no order. */
  readonly order: ByteOrder | undefined;
}

/** The scalar types, declared once. */
export const SCALARS: Readonly<Record<ScalarType, Scalar>> = {
  u8: { width: 1, order: undefined },
  le16: { width: 2, order: "little" },
  le32: { width: 4, order: "little" },
  le64: { width: 8, order: "little" },
  be16: { width: 2, order: "big" },
  be32: { width: 4, order: "big" },
  be64: { width: 8, order: "big" },
};

/** True when `value` names a scalar type. */
export function isScalarType(value: unknown): value is ScalarType {
  return typeof value === "string" && Object.hasOwn(SCALARS, value);
}

/** The largest value of `width` bytes. */
export function maximumOf(width: ScalarWidth): bigint {
  return (1n << BigInt(8 * width)) - 1n;
}

/** True when `value` is a whole number, not negative, that `width` bytes hold. */
export function fitsWidth(value: unknown, width: ScalarWidth): value is number | bigint {
  if (typeof value === "bigint") return value >= 0n && value <= maximumOf(width);
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) return false;
  return width === 8 || value < 2 ** (8 * width);
}

/** True when `value` is a whole number from `least` to `most`. */
export function isWhole(value: unknown, least: number, most: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
}
