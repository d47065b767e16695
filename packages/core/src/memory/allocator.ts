/** The driver's DMA memory: a first-fit allocator over a range of guest memory. */
import { VirtioError } from "../errors.ts";
import type { DmaAllocator, DmaBlock, GuestMemory, MemoryRegion } from "./types.ts";

/** The highest alignment that {@link DmaArena.allocate} takes. */
const HIGHEST_ALIGNMENT = 2 ** 30;

interface Gap {
  readonly address: number;
  readonly length: number;
}

/**
 * Gives out blocks of one range of guest memory: the lowest gap that fits is taken, and a block
 * that comes back joins the gaps beside it.
 */
export class DmaArena implements DmaAllocator {
  /** See {@link DmaAllocator.memory}. */
  readonly memory: GuestMemory;
  private readonly region: MemoryRegion;
  /** What is free, by rising address; no two gaps touch. */
  private gaps: Gap[];
  private room: number;

  /**
   * Makes an allocator of the `length` bytes at guest address `base`.
   *
   * @throws VirtioError `MEMORY_RANGE` when the range is empty or not inside one region.
   */
  constructor(memory: GuestMemory, base: number, length: number) {
    const region = length > 0 ? memory.find(base, length) : undefined;
    if (region === undefined || !Number.isInteger(base) || !Number.isInteger(length)) {
      throw new VirtioError("MEMORY_RANGE", {
        path: "arena",
        message: `${length} bytes are not inside one region of guest memory`,
        value: base,
        hint: "add a region that holds the whole arena first",
      });
    }
    this.memory = memory;
    this.region = region;
    this.gaps = [{ address: base, length }];
    this.room = length;
  }

  /** How many bytes are free, over all gaps. */
  get freeBytes(): number {
    return this.room;
  }

  /**
   * See {@link DmaAllocator.allocate}; the alignment is at most 2^30.
   *
   * @throws VirtioError `MEMORY_EXHAUSTED` when no gap is large enough; `VALUE_RANGE` when
   * `length` is no positive integer or `alignment` no power of two.
   */
  allocate(length: number, alignment: number): DmaBlock {
    if (!Number.isSafeInteger(length) || length < 1) {
      throw new VirtioError("VALUE_RANGE", {
        path: "length",
        message: "a block has at least one byte",
        value: length,
      });
    }
    if (
      !Number.isInteger(alignment) ||
      alignment < 1 ||
      alignment > HIGHEST_ALIGNMENT ||
      (alignment & (alignment - 1)) !== 0
    ) {
      throw new VirtioError("VALUE_RANGE", {
        path: "alignment",
        message: "the alignment is no power of two from 1 to 2^30",
        value: alignment,
      });
    }
    const gaps = this.gaps;
    for (let index = 0; index < gaps.length; index++) {
      const gap = gaps[index] as Gap;
      const address = Math.ceil(gap.address / alignment) * alignment;
      const skipped = address - gap.address;
      const left = gap.length - skipped - length;
      if (left < 0) continue;
      const remains: Gap[] = [];
      if (skipped > 0) remains.push({ address: gap.address, length: skipped });
      if (left > 0) remains.push({ address: address + length, length: left });
      gaps.splice(index, 1, ...remains);
      this.room -= length;
      const offset = address - this.region.base;
      this.region.bytes.fill(0, offset, offset + length);
      return new ArenaBlock(address, length, this.region, (block) => this.takeBack(block));
    }
    throw new VirtioError("MEMORY_EXHAUSTED", {
      path: "arena",
      message: `no gap holds ${length} bytes at a multiple of ${alignment}`,
      value: this.room,
      hint: "free blocks, or give the driver a larger arena",
    });
  }

  private takeBack(block: Gap): void {
    const gaps = this.gaps;
    let index = gaps.findIndex((gap) => gap.address > block.address);
    if (index < 0) index = gaps.length;
    const below = gaps[index - 1];
    const above = gaps[index];
    const joinsBelow = below !== undefined && below.address + below.length === block.address;
    const joinsAbove = above !== undefined && block.address + block.length === above.address;
    const address = joinsBelow ? below.address : block.address;
    const end = joinsAbove ? above.address + above.length : block.address + block.length;
    gaps.splice(joinsBelow ? index - 1 : index, Number(joinsBelow) + Number(joinsAbove), {
      address,
      length: end - address,
    });
    this.room += block.length;
  }
}

class ArenaBlock implements DmaBlock {
  readonly address: number;
  readonly length: number;
  readonly region: MemoryRegion;
  private giveBack: ((block: Gap) => void) | undefined;

  constructor(
    address: number,
    length: number,
    region: MemoryRegion,
    giveBack: (block: Gap) => void,
  ) {
    this.address = address;
    this.length = length;
    this.region = region;
    this.giveBack = giveBack;
  }

  free(): void {
    this.giveBack?.(this);
    this.giveBack = undefined;
  }
}
