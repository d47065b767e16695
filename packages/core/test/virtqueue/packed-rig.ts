/** Packed rings as a driver or a device writes them by hand: one word, one field at a time. */
import { RIG_BASE, type Rig } from "./rig.ts";

export const NEXT = 1;
export const WRITE = 2;
export const INDIRECT = 4;
export const AVAIL = 1 << 7;
export const USED = 1 << 15;

/** A wrap counter of 1 in a position. */
export const WRAP = 0x8000;

/** Somewhere to put buffers and tables. */
export const BUFFER: number = RIG_BASE + 0x8000;
export const TABLE: number = RIG_BASE + 0x9000;

/** One descriptor: address, length, flags, id. */
export type Descriptor = readonly [
  address: number | bigint,
  length: number,
  flags: number,
  id?: number,
];

/** Writes descriptors from `slot` on. */
export function put(view: DataView, descriptors: readonly Descriptor[], base = 0): void {
  for (const [i, [address, length, flags, id]] of descriptors.entries()) {
    view.setBigUint64(base + 16 * i, BigInt(address), true);
    view.setUint32(base + 16 * i + 8, length, true);
    view.setUint16(base + 16 * i + 12, id ?? 0, true);
    view.setUint16(base + 16 * i + 14, flags, true);
  }
}

/** All of guest memory. */
export function memoryView(rig: Rig): DataView {
  const region = rig.memory.find(RIG_BASE, 1);
  if (region === undefined) throw new Error("no memory");
  return region.view;
}

/** The bytes of a view, as digits. */
export const hex = (view: DataView, offset: number, length: number): string =>
  Buffer.from(view.buffer, view.byteOffset + offset, length).toString("hex");

/** An event suppression structure as one word. */
export const event = (flags: number, position = 0): number => ((flags << 16) | position) >>> 0;
