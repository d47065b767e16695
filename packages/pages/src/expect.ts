/** Whether two things are the same, for cells: what differs is in the error. */
import { isDeepStrictEqual } from "node:util";

const LONGEST = 400;

/**
 * Both are the same.
 *
 * @throws Error naming what it is about, and both
 */
export function same(what: string, got: unknown, wanted: unknown): void {
  if (isDeepStrictEqual(got, wanted)) return;
  throw new Error(`${what}: got ${shown(got)}, and ${shown(wanted)} was to be there`);
}

/**
 * Something holds.
 *
 * @throws Error naming it
 */
export function holds(what: string, isSo: boolean): void {
  if (!isSo) throw new Error(`${what}: it is not so`);
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
