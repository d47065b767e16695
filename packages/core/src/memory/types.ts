/**
 * Guest memory as both halves see it: a sparse space of byte addresses, made of regions.
 *
 * Addresses are plain numbers up to 2^53-1 (reading a 64-bit wire address that is larger yields
 * an address that no region covers). Nothing here throws on a bad address: hot paths get
 * `undefined` or `false` and decide.
 */

/** One contiguous run of guest memory that is backed by bytes of this process. */
export interface MemoryRegion {
  /** The guest address of the first byte. */
  readonly base: number;
  /** The number of bytes. */
  readonly length: number;
  /** The backing bytes, `length` long; `bytes[i]` is guest address `base + i`. */
  readonly bytes: Uint8Array;
  /** A view of the same bytes. */
  readonly view: DataView;
  /**
   * True when the other side reaches it at the same time, from another thread or process: queues
   * that lie in it order their accesses to what both sides write. False unless given.
   */
  readonly concurrent?: boolean;
}

/** The DMA address space that a device and its driver share. */
export interface GuestMemory {
  /**
   * The region that holds all of `[address, address + length)`, or `undefined` when the range is
   * unmapped, wraps, is larger than a region, or only copies can reach it. A zero length range
   * is inside a region when `address` is.
   */
  find(address: number, length: number): MemoryRegion | undefined;
  /** True when every byte of the range is mapped, over adjacent regions too. Zero length: `true`. */
  contains(address: number, length: number): boolean;
  /**
   * Copies guest memory into `target` (all of it). False, and nothing copied, when the range is
   * not wholly mapped.
   */
  read(address: number, target: Uint8Array): boolean;
  /** Copies `source` into guest memory. False, and nothing written, when not wholly mapped. */
  write(address: number, source: Uint8Array): boolean;
  /**
   * A view of a mapped range that only copies can reach: each access of it is a copy. For rings
   * that {@link find} has no region for; absent where all memory lies in regions.
   */
  window?(address: number, length: number): DataView | undefined;
}

/**
 * Memory that the driver half may hand to the device: allocated for queues and buffers.
 * Freed blocks are given out again.
 */
export interface DmaAllocator {
  /** The memory that blocks are taken from. */
  readonly memory: GuestMemory;
  /**
   * Takes `length` zeroed bytes at a multiple of `alignment` (a power of two), inside one region.
   *
   * @throws VirtioError `MEMORY_EXHAUSTED` when there is no room.
   */
  allocate(length: number, alignment: number): DmaBlock;
}

/** A block that {@link DmaAllocator.allocate} gave out. */
export interface DmaBlock {
  /** The guest address of its first byte. */
  readonly address: number;
  /** Its length in bytes. */
  readonly length: number;
  /** The region it lies in; its bytes start at `address - region.base`. */
  readonly region: MemoryRegion;
  /** Gives the block back; a second call does nothing. */
  free(): void;
}
