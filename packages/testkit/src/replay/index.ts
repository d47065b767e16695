/** Replay of recorded traces: reading, checking and reporting, for any transport. */
export { parseExpectations } from "./expectations.ts";
export { type PlacedBuffer, ReplayGuest, type UsedBuffer } from "./guest.ts";
export { parseTrace, TRACE_LIMITS } from "./parse.ts";
export { formatMismatch, type ReplayOptions, replay } from "./replay.ts";
export type { ReplayAnswer, ReplaySession, ReplayTarget } from "./target.ts";
export {
  type AccessLine,
  type BufferLine,
  type ChannelEndingLine,
  type ChannelLine,
  type Expectation,
  type MemberLine,
  type Mismatch,
  type NotifyLine,
  REPLAY_MODES,
  type ReplayMode,
  type ReplayReport,
  type RequestLine,
  type ResetLine,
  type Trace,
  type TraceLine,
} from "./types.ts";
