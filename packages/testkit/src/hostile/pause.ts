/** Turns given to what waits: promises, and timers. */

interface Timers {
  setTimeout(task: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
}

const timers = globalThis as unknown as Timers;

/** More than any chain of promises in one operation is long. */
const FLUSH_TURNS = 32;

/** Lets promises settle that wait for nothing but one another. */
export async function flush(turns: number = FLUSH_TURNS): Promise<void> {
  for (let i = 0; i < turns; i++) await undefined;
}

/** Lets the event loop turn: timers that are due run. */
export function macrotask(): Promise<void> {
  return new Promise((resolve) => {
    timers.setTimeout(resolve, 0);
  });
}

/**
 * Whether `work` settles by promises alone, before the event loop turns. One that waits for
 * nothing but a bus of this process does, or it never will. Rejects as `work` does.
 */
export function settlesAtOnce(work: Promise<void>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = timers.setTimeout(() => resolve(false), 0);
    work.then(
      () => {
        timers.clearTimeout(timer);
        resolve(true);
      },
      (error: unknown) => {
        timers.clearTimeout(timer);
        reject(error);
      },
    );
  });
}
