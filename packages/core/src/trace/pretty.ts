/** A trace for reading. */
import { describeEvent } from "./describe.ts";
import { type Microseconds, stopwatch } from "./time.ts";
import type { TraceEvent, TraceSink } from "./types.ts";

const TIME_COLUMNS = 12;

/** Writes one line of words an event, the milliseconds in front. */
export class PrettySink implements TraceSink {
  readonly #write: (line: string) => void;
  readonly #now: Microseconds;

  /** `write` gets lines without their ends; `now` is the time since the sink was made unless given. */
  constructor(write: (line: string) => void, now: Microseconds = stopwatch()) {
    this.#write = write;
    this.#now = now;
  }

  /** See {@link TraceSink.emit}. */
  emit(event: TraceEvent): void {
    const time = `${(this.#now() / 1000).toFixed(3)} ms`.padStart(TIME_COLUMNS);
    this.#write(`${time}  ${describeEvent(event)}`);
  }
}
