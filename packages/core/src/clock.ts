/**
 * Timers, which every host of this project has (Node.js, browsers) and no ECMAScript library
 * declares.
 */

interface Timers {
  setTimeout(task: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
}

const timers = globalThis as unknown as Timers;

/** Runs `task` from the event loop, after what runs now. */
export function defer(task: () => void): void {
  timers.setTimeout(task, 0);
}

/**
 * What `work` comes to, or a rejection with `late()` when that takes longer than `milliseconds`.
 * What `work` does later is then of no consequence.
 */
export function withDeadline<T>(
  work: PromiseLike<T>,
  milliseconds: number,
  late: () => Error,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = timers.setTimeout(() => reject(late()), milliseconds);
    work.then(
      (value) => {
        timers.clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        timers.clearTimeout(timer);
        reject(error);
      },
    );
  });
}
