/**
 * One operation at a time: registers that select a queue or a feature word are shared state, so
 * two operations of a driver half must not interleave where the bus makes them wait.
 */

/** Runs operations one after the other, in the order of the calls. */
export class Exclusive {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `operation` when all before it have ended, and settles as it does. */
  run<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#last.then(operation, operation);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
