/** A small seeded generator, so that every run of the kit can be repeated from its seed. */

/** Pseudo-random numbers from a seed; the same seed gives the same numbers everywhere. */
export class Random {
  #state: number;

  /** Starts from `seed`, of which 32 bits count. */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** The next number, 0..2^32-1. */
  uint32(): number {
    // A Weyl sequence through a 32-bit finaliser: every state is visited once per 2^32 numbers.
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return (mixed ^ (mixed >>> 16)) >>> 0;
  }

  /** A number from 0 to `limit - 1`. */
  below(limit: number): number {
    return this.uint32() % limit;
  }

  /** True once in `n` calls, on average. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  /** One of the items, of which there must be at least one. */
  pick<T>(items: readonly [T, ...T[]]): T;
  /** One of the items, or `undefined` when there is none. */
  pick<T>(items: readonly T[]): T | undefined;
  pick<T>(items: readonly T[]): T | undefined {
    return items[this.below(Math.max(1, items.length))];
  }

  /** Random bytes. */
  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.uint32() & 0xff;
    return bytes;
  }
}
