/** Guest memory: the DMA address space that a device and its driver share. */
export { DmaArena } from "./allocator.ts";
export { createGuestMemory, type RegionInit, RegionMemory } from "./regions.ts";
export type { DmaAllocator, DmaBlock, GuestMemory, MemoryRegion } from "./types.ts";
