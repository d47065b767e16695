/**
 * Timers, which every host of this project has (Node.js, browsers) and no ECMAScript library
 * declares.
 */

interface TimerGlobals {
  setTimeout(callback: () => void, delayMs: number): unknown;
  clearTimeout(handle: unknown): void;
}

/** Where delays come from: a test brings its own clock. */
export interface Timer {
  /** Calls `callback` after `delayMs` milliseconds; returns a handle for {@link clear}. */
  set(callback: () => void, delayMs: number): unknown;
  /** Forgets a call that has not been made. */
  clear(handle: unknown): void;
}

/** The timers that every JavaScript host has. */
export const hostTimer: Timer = {
  set(callback, delayMs) {
    return (globalThis as unknown as TimerGlobals).setTimeout(callback, delayMs);
  },
  clear(handle) {
    (globalThis as unknown as TimerGlobals).clearTimeout(handle);
  },
};

/** Runs `task` from the event loop, after what runs now. */
export function defer(task: () => void): void {
  hostTimer.set(task, 0);
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
    const timer = hostTimer.set(() => reject(late()), milliseconds);
    work.then(
      (value) => {
        hostTimer.clear(timer);
        resolve(value);
      },
      (error: unknown) => {
        hostTimer.clear(timer);
        reject(error);
      },
    );
  });
}
