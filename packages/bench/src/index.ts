/**
 * Measurements of virtio-admin; `npm run bench` runs them.
 *
 * @packageDocumentation
 */
export { type CodecRatio, measureCodec } from "./codec.ts";
