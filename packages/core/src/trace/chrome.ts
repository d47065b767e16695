/**
 * Traces for chrome://tracing and Perfetto: the JSON array form of the Trace Event Format, every
 * event an instant on a line of its kind.
 */
import { describeEvent } from "./describe.ts";
import { type Microseconds, stopwatch } from "./time.ts";
import type { TraceEvent, TraceSink } from "./types.ts";

const PROCESS = 1;
const LANES = ["registers", "signals", "buffers", "commands"] as const;

/** What a {@link ChromeSink} is told. */
export interface ChromeSinkOptions {
  /** The transport's name, shown as the process. */
  readonly transport: string;
  /** Tells the time; microseconds since the sink was made unless given. */
  readonly now?: Microseconds;
}

/** Writes an array of trace events; it is a JSON document once {@link close} was called. */
export class ChromeSink implements TraceSink {
  readonly #write: (line: string) => void;
  readonly #now: Microseconds;
  #closed = false;

  /** Writes the beginning. `write` gets lines without their ends. */
  constructor(write: (line: string) => void, options: ChromeSinkOptions) {
    this.#write = write;
    this.#now = options.now ?? stopwatch();
    const name = `virtio ${options.transport}`;
    write(`[${metadata("process_name", 0, name)}`);
    LANES.forEach((lane, i) => {
      write(`,${metadata("thread_name", i + 1, lane)}`);
    });
  }

  /** See {@link TraceSink.emit}. After {@link close} events are dropped. */
  emit(event: TraceEvent): void {
    if (this.#closed) return;
    const entry = {
      ph: "i",
      s: "t",
      pid: PROCESS,
      tid: LANES.indexOf(laneOf(event)) + 1,
      ts: this.#now(),
      cat: event.op,
      name: describeEvent(event),
      args: event,
    };
    this.#write(`,${JSON.stringify(entry)}`);
  }

  /** Writes the end. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#write("]");
  }
}

function laneOf(event: TraceEvent): (typeof LANES)[number] {
  switch (event.op) {
    case "read":
    case "write":
    case "ccw":
      return "registers";
    case "buffer":
      return "buffers";
    case "command":
      return "commands";
    default:
      return "signals";
  }
}

function metadata(name: string, tid: number, value: string): string {
  return JSON.stringify({ ph: "M", pid: PROCESS, tid, name, args: { name: value } });
}
