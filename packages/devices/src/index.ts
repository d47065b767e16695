/**
 * Virtio device types for device groups: entropy and block.
 *
 * @packageDocumentation
 */
export * from "./entropy/index.ts";
