/** Entropy that can be told again from its seed, for a comparison with what a guest has read. */
import { createHash } from "node:crypto";
import type { EntropySource } from "@virtio-admin/devices";

const BLOCK_BYTES = 32;

/** A stream of bytes from a seed: block n is the SHA-256 of seed and n. */
export class SeededStream {
  readonly #seed: string;
  #given = 0;

  /** Equal seeds give equal streams. */
  constructor(seed: string) {
    this.#seed = seed;
  }

  /** How many bytes were given away. */
  get given(): number {
    return this.#given;
  }

  /** Gives the next bytes. */
  readonly source: EntropySource = (target) => {
    this.#fill(target, this.#given);
    this.#given += target.length;
  };

  /**
   * Where in what was given away, from a byte on, there are `length` bytes with this SHA-256, in hex;
   * `undefined` when nowhere.
   */
  find(digest: string, length: number, from = 0): number | undefined {
    const bytes = new Uint8Array(Math.max(0, this.#given - from));
    this.#fill(bytes, from);
    for (let at = 0; at + length <= bytes.length; at++) {
      const part = bytes.subarray(at, at + length);
      if (createHash("sha256").update(part).digest("hex") === digest) return from + at;
    }
    return undefined;
  }

  #fill(target: Uint8Array, from: number): void {
    for (let at = 0; at < target.length; ) {
      const number = Math.floor((from + at) / BLOCK_BYTES);
      const inBlock = (from + at) % BLOCK_BYTES;
      const block = createHash("sha256").update(`${this.#seed}:${number}`).digest();
      const part = block.subarray(inBlock, inBlock + target.length - at);
      target.set(part, at);
      at += part.length;
    }
  }
}
