/**
 * The virtio-admin command: run, inspect and check virtio device groups.
 *
 * @packageDocumentation
 */
export { EXIT, main } from "./main.ts";
export type { Streams } from "./output.ts";
