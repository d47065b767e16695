/**
 * What an available buffer notification carries with VIRTIO_F_NOTIFICATION_DATA, the same number on
 * every transport: the notify region of PCI, QueueNotify of MMIO, GPR 3 of DIAGNOSE 0x500.
 *
 * Hot path: numbers in, numbers out.
 */
import { struct } from "../layout/index.ts";

/** `notifications-data-le.c`, `notifications-le.c` and `notifications-be.c` of the text as one word. */
export const VIRTQ_NOTIFICATION = struct(
  "virtq_notification",
  {
    cite: "Driver Notifications",
    doc: "Which virtqueue has new available buffers, and where its next one will stand.",
  },
  {
    data: {
      offset: 0,
      type: "le32",
      doc: "The notification, where VIRTIO_F_NOTIFICATION_DATA is negotiated.",
      bits: {
        vq_index: {
          at: 0,
          width: 16,
          doc: "The virtqueue's index, or its queue_notif_config_data where that is negotiated.",
        },
        next_off: {
          at: 16,
          width: 15,
          doc: "Split: bits 0 to 14 of the available index; packed: the offset of the next descriptor.",
        },
        next_wrap: {
          at: 31,
          doc: "Split: bit 15 of the available index; packed: the wrap counter of the next descriptor.",
        },
      },
    },
  },
);

const { bits } = VIRTQ_NOTIFICATION.fields.data;
const INDEX_MASK = bits.vq_index.mask;
const POSITION_SHIFT = bits.next_off.at;

/**
 * The 32 bits of a notification with data.
 *
 * @param queue the virtqueue's index, or its `queue_notif_config_data`
 * @param next where its next buffer will stand, as `DriverQueue.index` has it
 */
export function notificationData(queue: number, next: number): number {
  return ((next << POSITION_SHIFT) | queue) >>> 0;
}

/** The virtqueue that a notification with data names; any of 65536. */
export function notifiedQueue(data: number): number {
  return data & INDEX_MASK;
}

/** Where the driver of a notification with data says that its next buffer will stand; any 16 bits. */
export function notifiedPosition(data: number): number {
  return data >>> POSITION_SHIFT;
}
