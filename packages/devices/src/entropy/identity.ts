/** What both halves of the entropy device know of it. */

/** The virtio device id of the entropy device. */
export const ENTROPY_DEVICE_ID = 4;
/** The index of its only virtqueue, the requestq. */
export const ENTROPY_REQUESTQ = 0;
