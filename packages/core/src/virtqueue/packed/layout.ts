/**
 * The bytes of a packed virtqueue, all little-endian (section "Packed Virtqueues"): the descriptor
 * ring, and one event suppression structure for each side.
 */
import { VirtioError } from "../../errors.ts";
import { struct } from "../../layout/index.ts";
import type { QueueAreaSizes } from "../area.ts";

/** The most entries that a packed virtqueue can have. */
export const PACKED_QUEUE_MAX_SIZE = 32768;

/** One entry of the descriptor ring, or of an indirect table. */
export const PVIRTQ_DESC = struct(
  "pvirtq_desc",
  {
    cite: "The Virtqueue Descriptor Format",
    linux: "vring_packed_desc",
    doc: "One element of a buffer, or a buffer that was used.",
  },
  {
    addr: { offset: 0, type: "le64", doc: "The guest address of the element; unused when used." },
    len: { offset: 8, type: "le32", doc: "Its length; when used, how many bytes were written." },
    id: { offset: 12, type: "le16", doc: "The buffer's id: in the last descriptor of its list." },
    flags: {
      offset: 14,
      type: "le16",
      doc: "What the element is, and whose turn it is.",
      bits: {
        next: { at: 0, doc: "The list goes on in the descriptor after this one." },
        write: { at: 1, doc: "Device-writable; when used, the device has written to the buffer." },
        indirect: { at: 2, doc: "The element is a table of descriptors." },
        avail: { at: 7, doc: "The driver's wrap counter when it made the descriptor available." },
        used: { at: 15, doc: "Unlike `avail` while available, the same as `avail` once used." },
      },
    },
  },
);

/** What one side asks the other for: the whole driver area, and the whole device area. */
export const PVIRTQ_EVENT_SUPPRESS = struct(
  "pvirtq_event_suppress",
  {
    cite: "Event Suppression Structure Format",
    linux: "vring_packed_desc_event",
    doc: "When one side wants to be notified by the other.",
  },
  {
    desc: {
      offset: 0,
      type: "le16",
      doc: "The descriptor that is waited for, with RING_EVENT_FLAGS.DESC.",
      bits: {
        desc_event_off: { at: 0, width: 15, doc: "Its offset in the ring." },
        desc_event_wrap: { at: 15, doc: "The wrap counter with which it is written." },
      },
    },
    flags: {
      offset: 2,
      type: "le16",
      doc: "Whether notifications are wanted.",
      bits: {
        desc_event_flags: { at: 0, width: 2, doc: "One of RING_EVENT_FLAGS; 3 is reserved." },
      },
    },
  },
);

/** The values of `desc_event_flags`. */
export const RING_EVENT_FLAGS = {
  /** Every event. */
  ENABLE: 0,
  /** None. */
  DISABLE: 1,
  /** Once one descriptor is written; only with VIRTIO_F_EVENT_IDX. */
  DESC: 2,
} as const;

/**
 * The sizes and alignments of the three parts of a packed virtqueue of `size` entries.
 *
 * @throws VirtioError `QUEUE_SIZE` when `size` is no integer from 1 to 32768.
 */
export function packedAreaSizes(size: number): QueueAreaSizes {
  if (!Number.isInteger(size) || size < 1 || size > PACKED_QUEUE_MAX_SIZE) {
    throw new VirtioError("QUEUE_SIZE", {
      path: "queue.size",
      message: "the size of a packed virtqueue is an integer from 1 to 32768",
      value: size,
    });
  }
  const event = { length: PVIRTQ_EVENT_SUPPRESS.size, alignment: 4 };
  return {
    descriptorArea: { length: PVIRTQ_DESC.size * size, alignment: 16 },
    driverArea: event,
    deviceArea: event,
  };
}
