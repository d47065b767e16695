/** What both sides of the unattended tests know: positions in rings, and who is to be told of them. */
import { PACKED_EVENT, PACKED_WRAP } from "@virtio-admin/testkit";

/** What the worker is to be. */
export interface Unattended {
  /** Which half is ours there; the other one is worked by hand. */
  readonly ours: "device" | "driver";
  readonly packed: boolean;
}

/** The queue, and how many entries it has. */
export const QUEUE = { index: 0, size: 8 } as const;

/** True when `event` is among the entries from `before` up to `next`; all modulo 65536. */
export function passes(event: number, next: number, before: number): boolean {
  return ((next - event - 1) & 0xffff) < ((next - before) & 0xffff);
}

/** The same for an event suppression structure, by positions with their wrap counters. */
export function passesPacked(event: number, next: number, written: number): boolean {
  if (event >>> 16 === PACKED_EVENT.disable >>> 16) return false;
  if (event >>> 16 === PACKED_EVENT.enable >>> 16) return true;
  const turned = ((event ^ next) & PACKED_WRAP) !== 0;
  const slot = (event & ~PACKED_WRAP & 0xffff) - (turned ? QUEUE.size : 0);
  const end = next & ~PACKED_WRAP;
  return passes(slot & 0xffff, end, (end - written) & 0xffff);
}
