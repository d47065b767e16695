/**
 * Virtio device types for device groups, both halves of each: entropy, a source of random bytes,
 * and block, a disk of sectors over storage in memory or of one's own. Storage in a file is in
 * `@virtio-admin/devices/file`, for Node.js alone.
 *
 * @packageDocumentation
 */
export * from "./block/index.ts";
export * from "./entropy/index.ts";
