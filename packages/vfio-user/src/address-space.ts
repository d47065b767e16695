/**
 * Where the memory of a client is mapped: each gibibyte of its addresses has addresses of this
 * process that stay the same, so that whoever views a byte of the client sees that byte for as long
 * as there is one. A client takes memory back and gives it again, cut in other ways, while queues
 * lie in it: QEMU does whenever the layout of the guest's addresses changes.
 */
import { Mapping, PIECE_BYTES } from "./mapping.ts";
import type { Native } from "./native.ts";

/** How many gibibytes without a range keep their addresses for those who may view them. */
const EMPTY_LIMIT = 256;

interface Piece {
  readonly mapping: Mapping;
  /** How many ranges have a part of it. */
  ranges: number;
}

/** A part of a range that lies in one gibibyte. */
interface Part {
  readonly index: number;
  /** Where in the gibibyte. */
  readonly place: number;
  /** Where in the range. */
  readonly from: number;
  readonly length: number;
}

/** The mapped memory of one client. */
export class AddressSpace {
  #pieces = new Map<number, Piece>();

  /** Maps a file at addresses where nothing is; answers an errno, and has changed nothing, else. */
  map(native: Native, fd: number, offset: number, base: number, length: number): number {
    const done: Part[] = [];
    for (const part of partsOf(base, length)) {
      const piece = this.#pieceFor(native, part.index);
      if (typeof piece === "number") return this.#undo(done, piece);
      piece.ranges += 1;
      done.push(part);
      const failed = piece.mapping.put(part.place, fd, offset + part.from, part.length);
      if (failed !== 0) return this.#undo(done, failed);
    }
    return 0;
  }

  /** Takes back what was mapped exactly so. Views of it read zeros. */
  unmap(base: number, length: number): void {
    for (const part of partsOf(base, length)) this.#take(part);
  }

  /** Ends all of it: views read zeros, and see nothing of what is mapped later. */
  clear(): void {
    for (const { mapping } of this.#pieces.values()) mapping.end();
    this.#pieces = new Map();
  }

  /** The bytes of a mapped run that lies in one gibibyte. */
  bytes(base: number, length: number): Uint8Array | undefined {
    const index = Math.floor(base / PIECE_BYTES);
    const place = base - index * PIECE_BYTES;
    return this.#pieces
      .get(index)
      ?.mapping.piece(0)
      .subarray(place, place + length);
  }

  #pieceFor(native: Native, index: number): Piece | number {
    const known = this.#pieces.get(index);
    if (known !== undefined) return known;
    const mapping = Mapping.reserve(native, PIECE_BYTES);
    if (typeof mapping === "number") return mapping;
    const piece = { mapping, ranges: 0 };
    this.#pieces.set(index, piece);
    return piece;
  }

  #undo(parts: readonly Part[], errno: number): number {
    for (const part of parts) this.#take(part);
    return errno;
  }

  #take({ index, place, length }: Part): void {
    const piece = this.#pieces.get(index);
    if (piece === undefined) return;
    piece.mapping.take(place, length);
    piece.ranges -= 1;
    if (piece.ranges > 0) return;
    if (!piece.mapping.viewed) this.#drop(index, piece);
    else this.#limitEmpty();
  }

  #limitEmpty(): void {
    const empty = [...this.#pieces].filter(([, { ranges }]) => ranges === 0);
    for (const [index, piece] of empty.slice(0, -EMPTY_LIMIT)) this.#drop(index, piece);
  }

  #drop(index: number, { mapping }: Piece): void {
    mapping.end();
    this.#pieces.delete(index);
  }
}

function* partsOf(base: number, length: number): Iterable<Part> {
  for (let from = 0; from < length; ) {
    const index = Math.floor((base + from) / PIECE_BYTES);
    const place = base + from - index * PIECE_BYTES;
    const part = Math.min(length - from, PIECE_BYTES - place);
    yield { index, place, from, length: part };
    from += part;
  }
}
