/**
 * Memory of another process, or shared with one, mapped into this.
 *
 * Whoever was given a view of it may keep that view, even past the end of the mapping: a queue, or
 * an operation under way. So a mapping does not end by taking its addresses away. Zeroed memory of
 * this process takes its place at once, and the addresses are given back when the garbage collector
 * has seen the last view. Of a mapping that nobody viewed, nothing is left at once.
 */
import type { Pointer } from "./koffi.ts";
import type { Native } from "./native.ts";
import { ERRNO } from "./protocol.ts";

/** The longest piece that is viewed as one array: within what every Node.js allows. */
export const PIECE_BYTES = 2 ** 30;

/** How many ended mappings may wait for the garbage collector. */
const ENDED_LIMIT = 4096;

/** The addresses of one ended mapping. */
interface Ended {
  readonly native: Native;
  readonly at: Pointer;
  readonly length: number;
  views: number;
}

let waiting = 0;
const collected = new FinalizationRegistry<Ended>((ended) => {
  ended.views -= 1;
  if (ended.views > 0) return;
  waiting -= 1;
  ended.native.unmap(ended.at, ended.length);
});

/** Addresses of this process, with a shared mapping of a file, or parts of files. */
export class Mapping {
  /** Its length in bytes. */
  readonly length: number;
  readonly #native: Native;
  readonly #at: Pointer;
  readonly #pieces: (Uint8Array | undefined)[] = [];
  #open = true;

  private constructor(native: Native, at: Pointer, length: number) {
    this.#native = native;
    this.#at = at;
    this.length = length;
  }

  /** Maps `length` bytes from `offset` on; an errno when that fails. The descriptor may go then. */
  static make(native: Native, fd: number, offset: number, length: number): Mapping | number {
    if (waiting >= ENDED_LIMIT) return ERRNO.ENOMEM;
    const at = native.map(fd, offset, length);
    return typeof at === "number" ? -at : new Mapping(native, at, length);
  }

  /** Takes addresses that files are mapped at later: zeros until then. An errno when that fails. */
  static reserve(native: Native, length: number): Mapping | number {
    if (waiting >= ENDED_LIMIT) return ERRNO.ENOMEM;
    const at = native.reserve(length);
    return typeof at === "number" ? -at : new Mapping(native, at, length);
  }

  /** True when somebody was given bytes of it, and may have them still. */
  get viewed(): boolean {
    return this.#pieces.length > 0;
  }

  /** Maps a file at a place of it; views that are there see the file. An errno when that fails. */
  put(place: number, fd: number, offset: number, length: number): number {
    return -this.#native.mapAt(this.#at + BigInt(place), fd, offset, length);
  }

  /** Puts zeros in the place of what was mapped there. */
  take(place: number, length: number): void {
    this.#native.replace(this.#at + BigInt(place), length);
  }

  /** The bytes of piece `index`, of {@link PIECE_BYTES} each but the last. */
  piece(index: number): Uint8Array {
    const known = this.#pieces[index];
    if (known !== undefined) return known;
    const from = index * PIECE_BYTES;
    const length = Math.min(PIECE_BYTES, this.length - from);
    const bytes = new Uint8Array(this.#native.view(this.#at + BigInt(from), length));
    this.#pieces[index] = bytes;
    return bytes;
  }

  /** Ends the mapping: the memory is not reached from now on. */
  end(): void {
    if (!this.#open) return;
    this.#open = false;
    const views = this.#pieces.filter((piece) => piece !== undefined);
    this.#pieces.length = 0;
    if (views.length === 0) {
      this.#native.unmap(this.#at, this.length);
      return;
    }
    this.#native.replace(this.#at, this.length);
    const ended: Ended = {
      native: this.#native,
      at: this.#at,
      length: this.length,
      views: views.length,
    };
    waiting += 1;
    for (const { buffer } of views) collected.register(buffer, ended);
  }
}
