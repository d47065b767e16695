/**
 * The virtio-admin command: run, inspect and check virtio device groups.
 *
 * @packageDocumentation
 */
export {};
