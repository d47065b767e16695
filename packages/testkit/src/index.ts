/**
 * Compliance checks of transports and of every other plug-in, a hostile driver, and trace replay.
 *
 * @packageDocumentation
 */
export * from "./compliance/index.ts";
export type {
  Connection,
  ConnectOptions,
  LegacyOwner,
  MemoryRun,
  ScriptedConnection,
  TransportFixture,
} from "./fixture.ts";
export * from "./hostile/index.ts";
export * from "./plugins/index.ts";
export { Random } from "./random.ts";
export * from "./replay/index.ts";
