/** What happened, as data. */
export { ChromeSink, type ChromeSinkOptions } from "./chrome.ts";
export { describeEvent } from "./describe.ts";
export { fromHex, toHex } from "./hex.ts";
export { JsonlSink, type JsonlSinkOptions } from "./jsonl.ts";
export { MemorySink } from "./memory.ts";
export { PrettySink } from "./pretty.ts";
export type { Microseconds } from "./time.ts";
export {
  type BufferEvent,
  type ChannelEvent,
  type CommandEvent,
  type DescriptorShape,
  type MemberEvent,
  type RegisterEvent,
  type SignalEvent,
  TRACE_FORMAT,
  TRACE_VERSION,
  type TraceEvent,
  type TraceHeader,
  type TraceSink,
} from "./types.ts";
