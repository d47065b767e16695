/** The order of accesses to memory that another thread reaches at the same time. */

const WORD = new Int32Array(1);

/**
 * What was written before is seen by others before anything that is written after it, and before
 * anything is read after it; what is read after it is no older than what was read before.
 */
export function fence(): void {
  Atomics.add(WORD, 0, 1);
}
