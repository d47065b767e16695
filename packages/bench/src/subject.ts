/** What is measured: something that makes round trips, so many at a time. */

/** A path of the benchmark, or a reference. */
export interface Subject {
  /** The name of the row. */
  readonly path: string;
  /**
   * Makes `rounds` times `outstanding` round trips, each round submitted as one batch and waited
   * for; resolves with the nanoseconds for one round trip.
   */
  slice(outstanding: number, rounds: number): Promise<number> | number;
  /** The program in C that it is paired against; `split` unless given. */
  readonly format?: "split" | "packed" | "two-threads";
  /** What it is paired against besides the references. */
  readonly baseline?: Subject;
  /** Lets go of what it holds. */
  close?(): void | Promise<void>;
}

/** The size of every ring that is measured. */
export const RING_SIZE = 256;
/** The device-readable bytes of one buffer: an administration command header. */
export const READABLE_BYTES = 24;
/** The device-writable bytes of one buffer: status, qualifier and eight bytes of result. */
export const WRITABLE_BYTES = 16;
/** Guest memory of the measured rings. */
export const MEMORY_BYTES = 1 << 20;

/** Nanoseconds now, for differences. */
export function nanoseconds(): number {
  return Number(process.hrtime.bigint());
}
