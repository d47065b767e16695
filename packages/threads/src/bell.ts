/**
 * How one thread wakes another: a count that grows, and how many sleep on it. Who waits polls the
 * count for a while, then says that it sleeps, and sleeps; who rings raises the count, and wakes
 * someone only when someone sleeps. So two threads that are both busy never enter the kernel.
 *
 * No ring is lost: a sleeper is counted before it compares the count with what it saw, and a ringer
 * raises the count before it looks for sleepers. Atomics have one order for all threads, so that
 * one of the two sees the other.
 */

/** Why a wait ended. */
export type Heard = "rung" | "timed-out";

const COUNT = 0;
const SLEEPERS = 1;

/** What `Atomics.waitAsync` returns; the library that this is compiled against lacks it. */
interface Wait {
  readonly async: boolean;
  readonly value: "not-equal" | "timed-out" | Promise<"ok" | "timed-out">;
}

const { waitAsync } = Atomics as unknown as {
  waitAsync(words: Int32Array, index: number, value: number, timeout?: number): Wait;
};

/** A bell in two words of shared memory. Each thread makes one of the same words. */
export class Bell {
  /** How many words one takes. */
  static readonly WORDS = 2;
  readonly #words: Int32Array;
  readonly #count: number;
  readonly #sleepers: number;

  /**
   * Makes the bell whose words begin at index `at`; they are zero at first.
   *
   * @param words of a SharedArrayBuffer
   */
  constructor(words: Int32Array, at: number = 0) {
    this.#words = words;
    this.#count = at + COUNT;
    this.#sleepers = at + SLEEPERS;
  }

  /** How often it rang, modulo 2^32: read it before looking for work, and give it to {@link heard}. */
  get count(): number {
    return Atomics.load(this.#words, this.#count);
  }

  /** How many wait asleep. */
  get sleepers(): number {
    return Atomics.load(this.#words, this.#sleepers);
  }

  /** Tells who waits. What was written before is seen by whoever hears it. */
  ring(): void {
    Atomics.add(this.#words, this.#count, 1);
    if (Atomics.load(this.#words, this.#sleepers) !== 0) Atomics.notify(this.#words, this.#count);
  }

  /** Polls: true when it rang since the count was `seen`. Blocks for `polls` looks at the most. */
  rang(seen: number, polls: number): boolean {
    const words = this.#words;
    const count = this.#count;
    for (let left = polls; left >= 0; left--) {
      if (Atomics.load(words, count) !== seen) return true;
    }
    return false;
  }

  /**
   * Waits until it rings, or has rung since the count was `seen`: polls, then sleeps. The event loop
   * goes on while it sleeps.
   *
   * @param seen the {@link count} before work was last looked for
   * @param polls how often it looks before it sleeps
   * @param timeoutMs how long it sleeps at the most; without end when absent
   */
  async heard(seen: number, polls: number, timeoutMs: number = Infinity): Promise<Heard> {
    if (this.rang(seen, polls)) return "rung";
    Atomics.add(this.#words, this.#sleepers, 1);
    try {
      const { value } = waitAsync(this.#words, this.#count, seen, timeoutMs);
      return (await value) === "timed-out" ? "timed-out" : "rung";
    } finally {
      Atomics.sub(this.#words, this.#sleepers, 1);
    }
  }

  /**
   * As {@link heard}, but blocks the whole thread while it sleeps: for threads that do nothing else.
   */
  heardBlocking(seen: number, polls: number, timeoutMs: number = Infinity): Heard {
    if (this.rang(seen, polls)) return "rung";
    Atomics.add(this.#words, this.#sleepers, 1);
    try {
      const ended = Atomics.wait(this.#words, this.#count, seen, timeoutMs);
      return ended === "timed-out" ? "timed-out" : "rung";
    } finally {
      Atomics.sub(this.#words, this.#sleepers, 1);
    }
  }
}
