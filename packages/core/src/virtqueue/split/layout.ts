/**
 * The bytes of a split virtqueue, all little-endian (section "Split Virtqueues"): the descriptor
 * table, the available ring and the used ring.
 */
import { VirtioError } from "../../errors.ts";
import { struct } from "../../layout/index.ts";
import type { QueueAreaSizes } from "../area.ts";

/** The most entries that a split virtqueue can have. */
export const SPLIT_QUEUE_MAX_SIZE = 32768;

/** One entry of the descriptor table, or of an indirect table. */
export const VIRTQ_DESC = struct(
  "virtq_desc",
  { cite: "The Virtqueue Descriptor Table", linux: "vring_desc", doc: "One element of a buffer." },
  {
    addr: { offset: 0, type: "le64", doc: "The guest address of the element." },
    len: { offset: 8, type: "le32", doc: "Its length in bytes." },
    flags: {
      offset: 12,
      type: "le16",
      doc: "What the element is.",
      bits: {
        next: {
          at: 0,
          linux: "VRING_DESC_F_NEXT",
          doc: "The buffer goes on in the descriptor that `next` names.",
        },
        write: {
          at: 1,
          linux: "VRING_DESC_F_WRITE",
          doc: "Device-writable; device-readable when clear.",
        },
        indirect: {
          at: 2,
          linux: "VRING_DESC_F_INDIRECT",
          doc: "The element is a table of descriptors.",
        },
      },
    },
    next: { offset: 14, type: "le16", doc: "The index of the descriptor after this one." },
  },
);

/** The available ring; `used_event` follows the last entry. */
export const VIRTQ_AVAIL = struct(
  "virtq_avail",
  {
    cite: "The Virtqueue Available Ring",
    linux: "vring_avail",
    doc: "The buffers that the driver offers.",
  },
  {
    flags: {
      offset: 0,
      type: "le16",
      doc: "What the driver asks for, without VIRTIO_F_EVENT_IDX.",
      bits: {
        no_interrupt: {
          at: 0,
          linux: "VRING_AVAIL_F_NO_INTERRUPT",
          doc: "No used buffer notifications are needed.",
        },
      },
    },
    idx: { offset: 2, type: "le16", doc: "Where the driver puts the next entry, modulo 2^16." },
    ring: { offset: 4, type: "le16", count: "rest", doc: "Heads of descriptor chains." },
  },
);

/** One entry of the used ring. */
export const VIRTQ_USED_ELEM = struct(
  "virtq_used_elem",
  {
    cite: "The Virtqueue Used Ring",
    linux: "vring_used_elem",
    doc: "A buffer that the device gives back.",
  },
  {
    id: { offset: 0, type: "le32", doc: "The head of the buffer's descriptor chain." },
    len: { offset: 4, type: "le32", doc: "How many bytes the device wrote into it." },
  },
);

/** The used ring: its entries, of type `virtq_used_elem`, begin here; `avail_event` follows. */
export const VIRTQ_USED = struct(
  "virtq_used",
  {
    cite: "The Virtqueue Used Ring",
    linux: "vring_used",
    doc: "The buffers that the device has used.",
  },
  {
    flags: {
      offset: 0,
      type: "le16",
      doc: "What the device asks for, without VIRTIO_F_EVENT_IDX.",
      bits: {
        no_notify: {
          at: 0,
          linux: "VRING_USED_F_NO_NOTIFY",
          doc: "No available buffer notifications are needed.",
        },
      },
    },
    idx: { offset: 2, type: "le16", doc: "Where the device puts the next entry, modulo 2^16." },
  },
);

/** `used_event` and `avail_event`, each at the end of its ring. */
export const VIRTQ_EVENT = struct(
  "virtq_event",
  { cite: "Used Buffer Notification Suppression", doc: "The event index after a ring." },
  { event: { offset: 0, type: "le16", doc: "Notify once the entry with this index is written." } },
);

/** The most bytes that the elements of one buffer have together. */
export const VIRTQ_CHAIN_MAX_LENGTH = 2 ** 32;

/** The offset of `used_event` in an available ring of `size` entries. */
export function usedEventOffset(size: number): number {
  const { ring } = VIRTQ_AVAIL.fields;
  return ring.offset + ring.width * size;
}

/** The offset of `avail_event` in a used ring of `size` entries. */
export function availEventOffset(size: number): number {
  return VIRTQ_USED.size + VIRTQ_USED_ELEM.size * size;
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
    descriptorArea: { length: VIRTQ_DESC.size * size, alignment: 16 },
    driverArea: { length: usedEventOffset(size) + VIRTQ_EVENT.size, alignment: 2 },
    deviceArea: { length: availEventOffset(size) + VIRTQ_EVENT.size, alignment: 4 },
  };
}
