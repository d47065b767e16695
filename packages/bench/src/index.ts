/**
 * Measurements of virtio-admin.
 *
 * @packageDocumentation
 */
export {};
