/**
 * What the workbench shows, without the page: register maps to scale, a device group that runs, and
 * the way of a command. A program on Node.js has the same.
 *
 * @packageDocumentation
 */
export {
  Bench,
  type BenchInit,
  type MemberView,
  type Outcome,
  type OwnerView,
} from "./group/bench.ts";
export { MOST_MEMBERS, VECTOR_POOL } from "./group/seats.ts";
export { COUNTERPARTS, counterpartsOf } from "./maps/counterparts.ts";
export { type Difference, differencesOf, differenceWords } from "./maps/differences.ts";
export { type Grid, gridOf } from "./maps/grid.ts";
export { type OwnLayout, readOwnLayout } from "./maps/own-layout.ts";
export { type MapField, type Strip, stripsOf } from "./maps/strips.ts";
export { TRANSPORT_NAMES, type TransportName } from "./transports.ts";
export { TraceContext } from "./way/context.ts";
export { followCommand, LIVE_COMMANDS, type LiveCommand } from "./way/live.ts";
export { type Moment, momentOf } from "./way/moments.ts";
export { featureWords } from "./way/spans.ts";
export { type ReadTrace, readTraceFile, type TraceFile } from "./way/trace-file.ts";
