/** Turns given to what waits: promises, and timers. */

import { hostTimer } from "@virtio-admin/core";

/** More than any chain of promises in one operation is long. */
const FLUSH_TURNS = 32;

/** Lets promises settle that wait for nothing but one another. */
export async function flush(turns: number = FLUSH_TURNS): Promise<void> {
  for (let i = 0; i < turns; i++) await undefined;
}

/** Lets the event loop turn: timers that are due run. */
export function macrotask(): Promise<void> {
  return new Promise((resolve) => {
    hostTimer.set(resolve, 0);
  });
}

/**
 * Whether `work` settles by promises alone, before the event loop turns. One that waits for
 * nothing but a bus of this process does, or it never will. Rejects as `work` does.
 */
export function settlesAtOnce(work: Promise<void>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = hostTimer.set(() => resolve(false), 0);
    work.then(
      () => {
        hostTimer.clear(timer);
        resolve(true);
      },
      (error: unknown) => {
        hostTimer.clear(timer);
        reject(error);
      },
    );
  });
}
