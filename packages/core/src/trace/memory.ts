/** A trace that stays in the process: for tests, and for what happened just before a failure. */
import { VirtioError } from "../errors.ts";
import type { TraceEvent, TraceSink } from "./types.ts";

const DEFAULT_LIMIT = 10_000;

/** Keeps the latest events, as they were emitted and without times. */
export class MemorySink implements TraceSink {
  readonly #limit: number;
  readonly #kept: TraceEvent[] = [];
  /** Where the oldest event stands once the limit is reached. */
  #oldest = 0;
  #dropped = 0;

  /**
   * Keeps up to `limit` events, 10000 unless given.
   *
   * @throws VirtioError `VALUE_RANGE` when the limit is no positive integer.
   */
  constructor(limit: number = DEFAULT_LIMIT) {
    if (!Number.isSafeInteger(limit) || limit < 1) {
      throw new VirtioError("VALUE_RANGE", {
        message: "a sink keeps at least one event",
        path: "limit",
        value: limit,
      });
    }
    this.#limit = limit;
  }

  /** The events that were kept, oldest first, as an array of their own. */
  get events(): TraceEvent[] {
    return [...this.#kept.slice(this.#oldest), ...this.#kept.slice(0, this.#oldest)];
  }

  /** How many older events had to go. */
  get dropped(): number {
    return this.#dropped;
  }

  /** See {@link TraceSink.emit}. */
  emit(event: TraceEvent): void {
    if (this.#kept.length < this.#limit) {
      this.#kept.push(event);
      return;
    }
    this.#kept[this.#oldest] = event;
    this.#oldest = (this.#oldest + 1) % this.#limit;
    this.#dropped++;
  }

  /** Forgets all events. */
  clear(): void {
    this.#kept.length = 0;
    this.#oldest = 0;
    this.#dropped = 0;
  }
}
