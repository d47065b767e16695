/**
 * Virtio device groups, administration commands and administration virtqueues, for drivers and devices, independent of transport.
 *
 * @packageDocumentation
 */
export {};
