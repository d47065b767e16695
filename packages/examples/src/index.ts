/**
 * Programs that use virtio-admin as its consumers do.
 *
 * @packageDocumentation
 */
export {};
