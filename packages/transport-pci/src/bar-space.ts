/**
 * What lies in the BARs of functions that are alike: regions that answer accesses, and nothing in
 * between. Which function is accessed, the caller says.
 *
 * Hot path: an access in its natural alignment allocates nothing.
 */
import { BAR_COUNT } from "./layout.ts";
import type { PciWindow } from "./placement.ts";

/** What answers the accesses of a region. Offsets are relative to its beginning. */
export interface BarRegion<F> {
  /** True for the virtio structures, which the PCI configuration access capability reaches. */
  readonly structure: boolean;
  /** The name of what is at an offset, for traces. */
  readonly nameAt: (offset: number) => string | undefined;
  /** Reads 1, 2 or 4 bytes of this function, naturally aligned. */
  readonly read: (of: F, offset: number, size: number) => number;
  /** Writes 1, 2 or 4 bytes of this function, naturally aligned. */
  readonly write: (of: F, offset: number, size: number, value: number) => void;
}

interface PlacedRegion<F> extends BarRegion<F> {
  readonly start: number;
  readonly end: number;
}

const LONGEST_UNIT = 4;

/** The regions of all BARs. What is outside them reads 0 and ignores writes. */
export class BarSpace<F> {
  readonly #regions: readonly PlacedRegion<F>[][] = Array.from({ length: BAR_COUNT }, () => []);

  /** Adds a region; those that are accessed most often come first. */
  add({ bar, offset, length }: PciWindow, region: BarRegion<F>): void {
    this.#regions[bar]?.push({ ...region, start: offset, end: offset + length });
  }

  /** Reads 1, 2 or 4 bytes; a misaligned access is cut into aligned units. */
  read(of: F, bar: number, offset: number, size: number): number {
    if (offset % size === 0) return this.#readUnit(of, bar, offset, size);
    let value = 0;
    for (let at = 0; at < size; ) {
      const unit = unitAt(offset + at, size - at);
      value += this.#readUnit(of, bar, offset + at, unit) * 2 ** (8 * at);
      at += unit;
    }
    return value;
  }

  /** Writes 1, 2 or 4 bytes; a misaligned access is cut into aligned units. */
  write(of: F, bar: number, offset: number, size: number, value: number): void {
    if (offset % size === 0) {
      this.#writeUnit(of, bar, offset, size, bitsOf(value, size));
      return;
    }
    for (let at = 0; at < size; ) {
      const unit = unitAt(offset + at, size - at);
      this.#writeUnit(of, bar, offset + at, unit, bitsOf((value >>> 0) >>> (8 * at), unit));
      at += unit;
    }
  }

  /** Reads a virtio structure; 0 where there is none. */
  readStructure(of: F, bar: number, offset: number, size: number): number {
    const region = this.#regionAt(bar, offset, size);
    return region?.structure === true ? region.read(of, offset - region.start, size) : 0;
  }

  /** Writes a virtio structure; ignored where there is none. */
  writeStructure(of: F, bar: number, offset: number, size: number, value: number): void {
    const region = this.#regionAt(bar, offset, size);
    if (region?.structure === true) region.write(of, offset - region.start, size, value);
  }

  /** The name of what is there, for traces. */
  nameAt(bar: number, offset: number): string | undefined {
    const region = this.#regionAt(bar, offset, 1);
    return region?.nameAt(offset - region.start);
  }

  #readUnit(of: F, bar: number, offset: number, size: number): number {
    const region = this.#regionAt(bar, offset, size);
    return region === undefined ? 0 : region.read(of, offset - region.start, size);
  }

  #writeUnit(of: F, bar: number, offset: number, size: number, value: number): void {
    const region = this.#regionAt(bar, offset, size);
    region?.write(of, offset - region.start, size, value);
  }

  #regionAt(bar: number, offset: number, size: number): PlacedRegion<F> | undefined {
    const regions = this.#regions[bar];
    if (regions === undefined) return undefined;
    for (const region of regions) {
      if (offset >= region.start && offset + size <= region.end) return region;
    }
    return undefined;
  }
}

/** The largest naturally aligned unit at `offset` of at most `room` bytes. */
export function unitAt(offset: number, room: number): number {
  if (room >= LONGEST_UNIT && offset % LONGEST_UNIT === 0) return LONGEST_UNIT;
  return room >= 2 && offset % 2 === 0 ? 2 : 1;
}

/** Four bytes, little-endian. */
export function unitOf(value: number): Uint8Array {
  const bytes = new Uint8Array(LONGEST_UNIT);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function bitsOf(value: number, size: number): number {
  return size === LONGEST_UNIT ? value >>> 0 : value & (2 ** (8 * size) - 1);
}
