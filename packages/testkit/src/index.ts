/**
 * Compliance checks, a hostile driver and trace replay for virtio transports and device groups.
 *
 * @packageDocumentation
 */
export * from "./compliance/index.ts";
export type { Connection, ConnectOptions, LegacyOwner, TransportFixture } from "./fixture.ts";
export * from "./hostile/index.ts";
export { Random } from "./random.ts";
export * from "./replay/index.ts";
