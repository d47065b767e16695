/**
 * Virtio over channel I/O: both halves of the transport, with the administration virtqueue.
 *
 * @packageDocumentation
 */
export {};
