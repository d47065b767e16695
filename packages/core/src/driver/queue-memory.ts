/** The memory of one virtqueue of the driver, from which a fresh queue is made as often as needed. */
import { FEATURE, type FeatureSet } from "../device/features.ts";
import type { DmaAllocator, DmaBlock } from "../memory/types.ts";
import { createDriverQueue, queueAreaSizes } from "../virtqueue/index.ts";
import type { DriverQueue, QueueAddresses } from "../virtqueue/types.ts";

/** How many descriptors each indirect table has room for; longer buffers take ring descriptors. */
const INDIRECT_TABLE_ENTRIES = 8;
const DESCRIPTOR_BYTES = 16;
/**
 * Each area starts in a line of its own of the caches of any processor around: what one half writes,
 * and the other looks at again and again, lies beside nothing that the other writes. The text asks
 * for less.
 */
const CACHE_LINE = 64;

/** The areas of one virtqueue in DMA memory. */
export class QueueMemory {
  /** The number of entries. */
  readonly size: number;
  readonly #dma: DmaAllocator;
  readonly #features: FeatureSet;
  readonly #packed: boolean;
  readonly #unflaggedLengths: boolean;
  readonly #blocks: DmaBlock[] = [];
  readonly #areas: QueueAddresses;
  readonly #indirectArea: DmaBlock | undefined;

  /**
   * Allocates the areas. `unflaggedLengths` is that of {@link createDriverQueue}.
   *
   * @throws VirtioError `MEMORY_EXHAUSTED` when there is no room; nothing stays allocated then.
   */
  constructor(dma: DmaAllocator, size: number, features: FeatureSet, unflaggedLengths = false) {
    this.size = size;
    this.#dma = dma;
    this.#features = features;
    this.#packed = features.has(FEATURE.VIRTIO_F_RING_PACKED);
    this.#unflaggedLengths = unflaggedLengths;
    const sizes = queueAreaSizes(size, this.#packed);
    try {
      this.#areas = {
        descriptorArea: this.#take(sizes.descriptorArea).address,
        driverArea: this.#take(sizes.driverArea).address,
        deviceArea: this.#take(sizes.deviceArea).address,
      };
      this.#indirectArea = features.has(FEATURE.VIRTIO_F_INDIRECT_DESC)
        ? this.#take({
            length: size * INDIRECT_TABLE_ENTRIES * DESCRIPTOR_BYTES,
            alignment: DESCRIPTOR_BYTES,
          })
        : undefined;
    } catch (error) {
      this.free();
      throw error;
    }
  }

  /** Where the areas are. */
  get areas(): QueueAddresses {
    return this.#areas;
  }

  /** Makes a queue over the areas, in its initial state. The device must not use them now. */
  createQueue(): DriverQueue {
    return createDriverQueue({
      ...this.#areas,
      size: this.size,
      memory: this.#dma.memory,
      eventIdx: this.#features.has(FEATURE.VIRTIO_F_EVENT_IDX),
      indirect: this.#features.has(FEATURE.VIRTIO_F_INDIRECT_DESC),
      packed: this.#packed,
      unflaggedLengths: this.#unflaggedLengths,
      inOrder: this.#features.has(FEATURE.VIRTIO_F_IN_ORDER),
      ...(this.#indirectArea === undefined ? {} : { indirectArea: this.#indirectArea }),
    });
  }

  /** Gives the areas back. */
  free(): void {
    for (const block of this.#blocks) block.free();
  }

  #take({ length, alignment }: { length: number; alignment: number }): DmaBlock {
    const block = this.#dma.allocate(length, Math.max(alignment, CACHE_LINE));
    this.#blocks.push(block);
    return block;
  }
}
