/**
 * Guest memory made of regions of this process. Hot path: `find` runs once for each segment of
 * each buffer; it compares numbers against the region found last before it searches.
 */
import { VirtioError } from "../errors.ts";
import { copyBytes } from "./copy.ts";
import type { GuestMemory, MemoryRegion } from "./types.ts";

/** What {@link RegionMemory.add} takes: bytes, and the guest address of the first of them. */
export interface RegionInit {
  /** The guest address of `bytes[0]`, an integer from 0 to 2^53-1. */
  readonly base: number;
  /**
   * The backing bytes, at least one. They may lie in a SharedArrayBuffer, not in a resizable
   * buffer: one of those makes every access through the same code several times slower.
   */
  readonly bytes: Uint8Array;
  /** See {@link MemoryRegion.concurrent}. */
  readonly concurrent?: boolean;
}

/** Stands for "no region was found yet": no address is inside it. */
const NO_REGION: MemoryRegion = {
  base: 0,
  length: 0,
  bytes: new Uint8Array(0),
  view: new DataView(new ArrayBuffer(0)),
  concurrent: false,
};

/** A sparse {@link GuestMemory} of non-overlapping regions, which may touch one another. */
export class RegionMemory implements GuestMemory {
  private sorted: readonly MemoryRegion[] = [];
  private latest: MemoryRegion = NO_REGION;

  /** The regions, by rising address. A new array after each change. */
  get regions(): readonly MemoryRegion[] {
    return this.sorted;
  }

  /**
   * Adds one region.
   *
   * @returns the region as {@link find} will give it out.
   * @throws VirtioError `MEMORY_REGION` when the region is empty, overlaps another, ends beyond
   * 2^53-1, or lies in a resizable buffer. Nothing has changed then.
   */
  add(region: RegionInit): MemoryRegion {
    const { base, bytes } = region;
    const length = bytes.length;
    if (!Number.isSafeInteger(base) || base < 0) {
      throw new VirtioError("MEMORY_REGION", {
        path: "region.base",
        message: "the base is no address",
        value: base,
        hint: "give an integer from 0 to 2^53-1",
      });
    }
    if (length === 0) {
      throw new VirtioError("MEMORY_REGION", {
        path: "region.bytes",
        message: "the region is empty",
        hint: "leave out regions without bytes",
      });
    }
    if (length - 1 > Number.MAX_SAFE_INTEGER - base) {
      throw new VirtioError("MEMORY_REGION", {
        path: "region.base",
        message: "the region ends beyond 2^53-1",
        value: base,
        hint: "addresses are numbers; place the region lower",
      });
    }
    if (isResizable(bytes.buffer)) {
      throw new VirtioError("MEMORY_REGION", {
        path: "region.bytes",
        message: "the region lies in a resizable buffer",
        hint: "give a view of a fixed-length ArrayBuffer or SharedArrayBuffer",
      });
    }
    const index = this.indexBelow(base) + 1;
    const below = this.sorted[index - 1];
    const above = this.sorted[index];
    const overlapped =
      below !== undefined && base - below.base < below.length
        ? below
        : above !== undefined && above.base - base < length
          ? above
          : undefined;
    if (overlapped !== undefined) {
      throw new VirtioError("MEMORY_REGION", {
        path: "region.base",
        message: `the region overlaps the one at 0x${overlapped.base.toString(16)}`,
        value: base,
        hint: "remove the other region first, or place this one elsewhere",
      });
    }
    const added: MemoryRegion = {
      base,
      length,
      bytes,
      view: new DataView(bytes.buffer, bytes.byteOffset, length),
      concurrent: region.concurrent === true,
    };
    this.sorted = this.sorted.toSpliced(index, 0, added);
    return added;
  }

  /**
   * Takes the region that starts at `base` out; false when there is none. Virtqueues keep views
   * of the memory that their rings lie in: stop those queues first.
   */
  remove(base: number): boolean {
    const index = this.sorted.findIndex((region) => region.base === base);
    if (index < 0) return false;
    this.sorted = this.sorted.toSpliced(index, 1);
    this.latest = NO_REGION;
    return true;
  }

  /** See {@link GuestMemory.find}. Small, so that what calls it for each segment has it inside. */
  find(address: number, length: number): MemoryRegion | undefined {
    const region = this.latest;
    const offset = address - region.base;
    if (offset >= 0 && length > 0 && length <= region.length - offset) return region;
    return this.search(address, length);
  }

  /** See {@link GuestMemory.contains}. */
  contains(address: number, length: number): boolean {
    if (length === 0 || this.find(address, length) !== undefined) return true;
    return length > 0 && this.spans(address, length);
  }

  /** See {@link GuestMemory.read}. */
  read(address: number, target: Uint8Array): boolean {
    const length = target.length;
    const region = this.find(address, length);
    if (region !== undefined) {
      copyBytes(target, 0, region.bytes, address - region.base, length);
      return true;
    }
    if (length === 0) return true;
    if (!this.spans(address, length)) return false;
    for (let done = 0; done < length; ) {
      const part = this.sorted[this.indexBelow(address + done)] as MemoryRegion;
      const offset = address + done - part.base;
      const count = Math.min(length - done, part.length - offset);
      copyBytes(target, done, part.bytes, offset, count);
      done += count;
    }
    return true;
  }

  /** See {@link GuestMemory.write}. */
  write(address: number, source: Uint8Array): boolean {
    const length = source.length;
    const region = this.find(address, length);
    if (region !== undefined) {
      copyBytes(region.bytes, address - region.base, source, 0, length);
      return true;
    }
    if (length === 0) return true;
    if (!this.spans(address, length)) return false;
    for (let done = 0; done < length; ) {
      const part = this.sorted[this.indexBelow(address + done)] as MemoryRegion;
      const offset = address + done - part.base;
      const count = Math.min(length - done, part.length - offset);
      copyBytes(part.bytes, offset, source, done, count);
      done += count;
    }
    return true;
  }

  /** What {@link find} does when the range is not inside the region found last, or is empty. */
  private search(address: number, length: number): MemoryRegion | undefined {
    const found = this.sorted[this.indexBelow(address)];
    if (found === undefined) return undefined;
    const offset = address - found.base;
    if (!(offset < found.length)) return undefined;
    this.latest = found;
    return length >= 0 && length <= found.length - offset ? found : undefined;
  }

  /** True when regions that touch one another cover the range. */
  private spans(address: number, length: number): boolean {
    let index = this.indexBelow(address);
    let region = this.sorted[index];
    if (region === undefined) return false;
    const offset = address - region.base;
    if (!(offset < region.length)) return false;
    let left = length - (region.length - offset);
    while (left > 0) {
      const above = this.sorted[++index];
      if (above === undefined || above.base - region.base !== region.length) return false;
      left -= above.length;
      region = above;
    }
    return true;
  }

  /** The index of the last region that starts at or below `address`, or -1. */
  private indexBelow(address: number): number {
    const regions = this.sorted;
    let low = 0;
    let high = regions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((regions[middle] as MemoryRegion).base <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/**
 * Makes guest memory of `regions`.
 *
 * @throws VirtioError `MEMORY_REGION`, see {@link RegionMemory.add}.
 */
export function createGuestMemory(regions: readonly RegionInit[] = []): RegionMemory {
  const memory = new RegionMemory();
  for (const region of regions) memory.add(region);
  return memory;
}

function isResizable(buffer: ArrayBufferLike): boolean {
  const { resizable, growable } = buffer as { resizable?: boolean; growable?: boolean };
  return resizable === true || growable === true;
}
