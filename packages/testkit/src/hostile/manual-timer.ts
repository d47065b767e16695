/** Time that passes when it is told to. */
import type { Timer } from "@virtio-admin/core";

/** A timer without a clock. */
export class ManualTimer implements Timer {
  readonly #due = new Map<number, { readonly at: number; readonly callback: () => void }>();
  #now = 0;
  #last = 0;

  /** How many calls have not been made or cleared. */
  get pending(): number {
    return this.#due.size;
  }

  set(callback: () => void, delayMs: number): number {
    this.#due.set(++this.#last, { at: this.#now + delayMs, callback });
    return this.#last;
  }

  clear(handle: unknown): void {
    this.#due.delete(handle as number);
  }

  /** Lets so many milliseconds pass, and makes the calls that become due. */
  pass(milliseconds: number): void {
    this.#now += milliseconds;
    for (const [handle, { at, callback }] of [...this.#due]) {
      if (at > this.#now || !this.#due.delete(handle)) continue;
      callback();
    }
  }
}
