/**
 * Virtio over MMIO: both halves of the transport, with the administration virtqueue.
 *
 * @packageDocumentation
 */
export {};
