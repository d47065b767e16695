/**
 * Copies bytes between arrays. Hot path: administration commands move a few dozen bytes, where a
 * loop is several times cheaper than the view that `subarray` would make.
 */

const LONGEST_LOOP = 96;

/** Copies `count` bytes from `source[from...]` to `target[to...]`; both ranges must exist. */
export function copyBytes(
  target: Uint8Array,
  to: number,
  source: Uint8Array,
  from: number,
  count: number,
): void {
  if (count > LONGEST_LOOP) {
    target.set(source.subarray(from, from + count), to);
    return;
  }
  for (let i = 0; i < count; i++) target[to + i] = source[from + i] as number;
}
