/** The time that sinks put to events. */

/** Tells the time in microseconds since some moment. */
export type Microseconds = () => number;

/** A clock that starts at 0 when it is made, with whole microseconds. */
export function stopwatch(): Microseconds {
  const { performance } = globalThis as unknown as { performance: { now(): number } };
  const start = performance.now();
  return () => Math.round((performance.now() - start) * 1000);
}
