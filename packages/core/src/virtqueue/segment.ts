/**
 * What a driver half checks of the buffers it is given, and how it writes one segment: address and
 * length stand at the same offsets in descriptors of both ring formats.
 *
 * Hot path: constants of the own module are folded into optimized code.
 */
import { VirtioError } from "../errors.ts";
import { VIRTQ_DESC } from "./split/layout.ts";

const DESC_ADDR = VIRTQ_DESC.fields.addr.offset;
const DESC_ADDR_HIGH = DESC_ADDR + 4;
const DESC_LEN = VIRTQ_DESC.fields.len.offset;

/** The upper half of 2^53-1, the highest address. */
const HIGHEST_ADDRESS_HIGH = 0x1fffff;

/** Throws unless a queue of `size` entries can take `count` segments of which so many are readable. */
export function checkShape(count: number, readableCount: number, size: number): void {
  if (!(Number.isInteger(count) && count >= 1 && count <= size)) {
    throw outOfRange("count", count, `1..${size}`);
  }
  if (!(readableCount >= 0 && readableCount <= count && (readableCount | 0) === readableCount)) {
    throw outOfRange("readableCount", readableCount, `0..${count}`);
  }
}

/** Checks segment `i` and writes its address and length to a descriptor; returns the length. */
export function putSegment(
  view: DataView,
  at: number,
  addresses: ArrayLike<number>,
  lengths: ArrayLike<number>,
  i: number,
): number {
  const address = addresses[i] as number;
  const length = lengths[i] as number;
  const low = address >>> 0;
  const high = (address / 0x100000000) >>> 0;
  if (high * 0x100000000 + low !== address || high > HIGHEST_ADDRESS_HIGH) {
    throw outOfRange(`addresses[${i}]`, address, "0..2^53-1");
  }
  if (length >>> 0 !== length || length === 0) {
    throw outOfRange(`lengths[${i}]`, length, "1..2^32-1");
  }
  view.setUint32(at + DESC_ADDR, low, true);
  view.setUint32(at + DESC_ADDR_HIGH, high, true);
  view.setUint32(at + DESC_LEN, length, true);
  return length;
}

/** The error of a buffer that cannot be described. */
export function outOfRange(path: string, value: number, range: string): VirtioError {
  return new VirtioError("VALUE_RANGE", {
    path,
    message: "a buffer cannot be described",
    value,
    hint: `must be ${range}`,
  });
}
