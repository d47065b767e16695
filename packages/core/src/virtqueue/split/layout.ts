/**
 * The bytes of a split virtqueue, all little-endian (section "Split Virtqueues"): the descriptor
 * table, the available ring and the used ring.
 */
import { VirtioError } from "../../errors.ts";

/** The most entries that a split virtqueue can have. */
export const SPLIT_QUEUE_MAX_SIZE = 32768;

/** `struct virtq_desc`: the offsets of its fields, and its size in bytes. */
export const VIRTQ_DESC_ADDR = 0;
/** The upper half of the le64 `addr`. */
export const VIRTQ_DESC_ADDR_HIGH = 4;
/** le32 `len`. */
export const VIRTQ_DESC_LEN = 8;
/** le16 `flags`; `next` follows it, so that one 32-bit access reaches both. */
export const VIRTQ_DESC_FLAGS = 12;
/** le16 `next`. */
export const VIRTQ_DESC_NEXT = 14;
/** The size of `struct virtq_desc`. */
export const VIRTQ_DESC_SIZE = 16;

/** The buffer goes on in the descriptor that `next` names. */
export const VIRTQ_DESC_F_NEXT = 1;
/** The element is device-writable, otherwise device-readable. */
export const VIRTQ_DESC_F_WRITE = 2;
/** The element is a table of descriptors. */
export const VIRTQ_DESC_F_INDIRECT = 4;

/** `struct virtq_avail`: le16 `flags`. */
export const VIRTQ_AVAIL_FLAGS = 0;
/** le16 `idx`. */
export const VIRTQ_AVAIL_IDX = 2;
/** le16 `ring[size]`; le16 `used_event` follows it. */
export const VIRTQ_AVAIL_RING = 4;
/** The size of an available ring entry. */
export const VIRTQ_AVAIL_ELEM_SIZE = 2;
/** The driver needs no used buffer notifications. */
export const VIRTQ_AVAIL_F_NO_INTERRUPT = 1;

/** `struct virtq_used`: le16 `flags`. */
export const VIRTQ_USED_FLAGS = 0;
/** le16 `idx`. */
export const VIRTQ_USED_IDX = 2;
/** `struct virtq_used_elem ring[size]`; le16 `avail_event` follows it. */
export const VIRTQ_USED_RING = 4;
/** `struct virtq_used_elem`: le32 `id`. */
export const VIRTQ_USED_ELEM_ID = 0;
/** le32 `len`. */
export const VIRTQ_USED_ELEM_LEN = 4;
/** The size of `struct virtq_used_elem`. */
export const VIRTQ_USED_ELEM_SIZE = 8;
/** The device needs no available buffer notifications. */
export const VIRTQ_USED_F_NO_NOTIFY = 1;

/** The size of `used_event` and of `avail_event`. */
export const VIRTQ_EVENT_SIZE = 2;

/** The most bytes that the elements of one buffer have together. */
export const VIRTQ_CHAIN_MAX_LENGTH = 2 ** 32;

/** The offset of `used_event` in an available ring of `size` entries. */
export function usedEventOffset(size: number): number {
  return VIRTQ_AVAIL_RING + VIRTQ_AVAIL_ELEM_SIZE * size;
}

/** The offset of `avail_event` in a used ring of `size` entries. */
export function availEventOffset(size: number): number {
  return VIRTQ_USED_RING + VIRTQ_USED_ELEM_SIZE * size;
}

/** The size and the alignment of one part of a virtqueue, in bytes. */
export interface QueueAreaSize {
  /** How many bytes it has. */
  readonly length: number;
  /** The power of two that its address is a multiple of. */
  readonly alignment: number;
}

/** What {@link splitAreaSizes} returns, part by part. */
export interface QueueAreaSizes {
  /** The descriptor table. */
  readonly descriptorArea: QueueAreaSize;
  /** The available ring. */
  readonly driverArea: QueueAreaSize;
  /** The used ring. */
  readonly deviceArea: QueueAreaSize;
}

/**
 * The sizes and alignments of the three parts of a split virtqueue of `size` entries. The event
 * fields have their place in them whether or not VIRTIO_F_EVENT_IDX is negotiated.
 *
 * @throws VirtioError `QUEUE_SIZE` when `size` is no power of two from 1 to 32768.
 */
export function splitAreaSizes(size: number): QueueAreaSizes {
  if (
    !Number.isInteger(size) ||
    size < 1 ||
    size > SPLIT_QUEUE_MAX_SIZE ||
    (size & (size - 1)) !== 0
  ) {
    throw new VirtioError("QUEUE_SIZE", {
      path: "queue.size",
      message: "the size of a split virtqueue is a power of two from 1 to 32768",
      value: size,
    });
  }
  return {
    descriptorArea: { length: VIRTQ_DESC_SIZE * size, alignment: 16 },
    driverArea: { length: usedEventOffset(size) + VIRTQ_EVENT_SIZE, alignment: 2 },
    deviceArea: { length: availEventOffset(size) + VIRTQ_EVENT_SIZE, alignment: 4 },
  };
}
