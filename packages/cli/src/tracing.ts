/** `--trace`: which sink a run gets. */
import { ChromeSink, JsonlSink, PrettySink, type TraceSink } from "@virtio-admin/core";
import type { Output } from "./output.ts";

/** The forms of a trace, as `--trace` names them. */
export const TRACE_FORMS = ["pretty", "jsonl", "chrome"] as const;

/** One of {@link TRACE_FORMS}. */
export type TraceForm = (typeof TRACE_FORMS)[number];

/** A sink, and what ends its document. */
export interface OpenTrace {
  /** Takes the events. */
  readonly sink: TraceSink;
  /** Writes what is left. */
  close(): void;
}

/** Opens a trace of one transport on standard error; `undefined` when none is asked for. */
export function openTrace(
  form: TraceForm | undefined,
  transport: string,
  output: Output,
): OpenTrace | undefined {
  if (form === undefined) return undefined;
  const write = (line: string) => output.trace(line);
  if (form === "chrome") {
    const sink = new ChromeSink(write, { transport });
    return { sink, close: () => sink.close() };
  }
  const sink = form === "jsonl" ? new JsonlSink(write, { transport }) : new PrettySink(write);
  return { sink, close: () => undefined };
}
