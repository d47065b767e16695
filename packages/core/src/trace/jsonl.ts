/** The trace format: JSON lines, a header and then one event each. */
import { type Microseconds, stopwatch } from "./time.ts";
import {
  TRACE_FORMAT,
  TRACE_VERSION,
  type TraceEvent,
  type TraceHeader,
  type TraceSink,
} from "./types.ts";

/** What a {@link JsonlSink} is told. */
export interface JsonlSinkOptions {
  /** The transport's name, for the header line. */
  readonly transport: string;
  /** What the device was made from, for the header line: JSON; nothing unless given. */
  readonly device?: unknown;
  /** Tells the time; microseconds since the sink was made unless given. */
  readonly now?: Microseconds;
}

/** Writes the trace format, which schema/trace.schema.json describes line by line. */
export class JsonlSink implements TraceSink {
  readonly #write: (line: string) => void;
  readonly #now: Microseconds;

  /** Writes the header line. `write` gets lines without their ends. */
  constructor(write: (line: string) => void, options: JsonlSinkOptions) {
    this.#write = write;
    this.#now = options.now ?? stopwatch();
    const header: TraceHeader = {
      format: TRACE_FORMAT,
      version: TRACE_VERSION,
      transport: options.transport,
      ...(options.device === undefined ? {} : { device: options.device }),
    };
    write(JSON.stringify(header));
  }

  /** See {@link TraceSink.emit}. */
  emit(event: TraceEvent): void {
    this.#write(JSON.stringify({ t_us: this.#now(), ...event }));
  }
}
