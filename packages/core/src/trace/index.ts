/** What happened, as data. */
export { toHex } from "./hex.ts";
export {
  type BufferEvent,
  type ChannelEvent,
  type CommandEvent,
  type RegisterEvent,
  type SignalEvent,
  TRACE_FORMAT,
  TRACE_VERSION,
  type TraceEvent,
  type TraceHeader,
  type TraceSink,
} from "./types.ts";
