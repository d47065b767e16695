/**
 * The client's memory as the device sees it: ranges that are mapped into this process, and ranges
 * that are reached by messages, for which the device waits.
 */
import type { GuestMemory, MemoryRegion } from "@virtio-admin/core";
import { AddressSpace } from "./address-space.ts";
import { PIECE_BYTES } from "./mapping.ts";
import { MessageView } from "./message-view.ts";
import type { Native } from "./native.ts";
import { ERRNO } from "./protocol.ts";

/** The most ranges at a time. */
export const DMA_RANGES_LIMIT = 4096;

/** Reaches memory by messages. False when that fails; all of it is done or none, as far as known. */
export interface DmaMessages {
  /** Reads memory of the client. */
  read(address: number, target: Uint8Array): boolean;
  /** Writes memory of the client. */
  write(address: number, source: Uint8Array): boolean;
}

/** A range that the client gave. */
export interface DmaRange {
  /** The DMA address of its first byte. */
  readonly base: number;
  /** Its length in bytes, at least 1. */
  readonly length: number;
  /** The device may read it. */
  readonly readable: boolean;
  /** The device may write it. */
  readonly writable: boolean;
}

/** A file that a range is mapped from. */
export interface DmaFile {
  /** What maps. */
  readonly native: Native;
  /** The file; it may be closed afterwards. */
  readonly fd: number;
  /** Where the range begins in it. */
  readonly offset: number;
}

interface Entry extends DmaRange {
  readonly mapped: boolean;
  readonly pieces: (MemoryRegion | undefined)[];
}

/**
 * Guest memory that a vfio-user client gives and takes back. Empty while there is no client.
 *
 * Of a range that is reached by messages there are no regions, but windows: see
 * {@link DmaMemory.window}.
 */
export class DmaMemory implements GuestMemory {
  readonly #space = new AddressSpace();
  #entries: Entry[] = [];
  #latest: MemoryRegion | undefined;
  #messages: DmaMessages | undefined;

  /** Names who reaches memory that is not mapped. @internal */
  set messages(messages: DmaMessages | undefined) {
    this.#messages = messages;
  }

  /** The number of ranges. */
  get rangeCount(): number {
    return this.#entries.length;
  }

  /**
   * Adds a range, mapped from a file or reached by messages; answers an errno, and has changed
   * nothing, when that cannot be. @internal
   */
  add(range: DmaRange, file?: DmaFile): number {
    const { base, length } = range;
    const index = this.#indexBelow(base) + 1;
    const below = this.#entries[index - 1];
    const above = this.#entries[index];
    if (below !== undefined && base - below.base < below.length) return ERRNO.EEXIST;
    if (above !== undefined && above.base - base < length) return ERRNO.EEXIST;
    if (this.#entries.length >= DMA_RANGES_LIMIT) return ERRNO.ENOSPC;
    if (file !== undefined) {
      const failed = this.#space.map(file.native, file.fd, file.offset, base, length);
      if (failed !== 0) return failed;
    }
    this.#entries.splice(index, 0, { ...range, mapped: file !== undefined, pieces: [] });
    return 0;
  }

  /** Takes a range out that was added exactly so; answers an errno when there is none. @internal */
  remove(base: number, length: number): number {
    const index = this.#indexBelow(base);
    const entry = this.#entries[index];
    if (entry === undefined || entry.base !== base || entry.length !== length) return ERRNO.ENOENT;
    this.#entries.splice(index, 1);
    this.#latest = undefined;
    if (entry.mapped) this.#space.unmap(base, length);
    return 0;
  }

  /** Takes all ranges out. @internal */
  clear(): void {
    this.#entries = [];
    this.#latest = undefined;
    this.#space.clear();
  }

  /** See `GuestMemory.find`: mapped memory alone, and within one gibibyte of its addresses. */
  find(address: number, length: number): MemoryRegion | undefined {
    let region = this.#latest;
    let offset = region === undefined ? -1 : address - region.base;
    if (region === undefined || !(offset >= 0 && offset < region.length)) {
      region = this.#pieceAt(address);
      if (region === undefined) return undefined;
      offset = address - region.base;
      this.#latest = region;
    }
    return length >= 0 && length <= region.length - offset ? region : undefined;
  }

  /** See `GuestMemory.contains`. */
  contains(address: number, length: number): boolean {
    return length === 0 || this.#spans(address, length, () => true);
  }

  /** See `GuestMemory.read`; false as well when the client does not let go of it. */
  read(address: number, target: Uint8Array): boolean {
    const { length } = target;
    if (length === 0) return true;
    if (!this.#spans(address, length, ({ readable }) => readable)) return false;
    return this.#each(address, length, (from, at, count, piece) => {
      const part = target.subarray(at, at + count);
      if (piece === undefined) return this.#messages?.read(from, part) === true;
      part.set(piece.bytes.subarray(from - piece.base, from - piece.base + count));
      return true;
    });
  }

  /** See `GuestMemory.write`; false as well when the client does not take it. */
  write(address: number, source: Uint8Array): boolean {
    const { length } = source;
    if (length === 0) return true;
    if (!this.#spans(address, length, ({ writable }) => writable)) return false;
    return this.#each(address, length, (from, at, count, piece) => {
      const part = source.subarray(at, at + count);
      if (piece === undefined) return this.#messages?.write(from, part) === true;
      piece.bytes.set(part, from - piece.base);
      return true;
    });
  }

  /** See `GuestMemory.window`: every access is a message, for which the caller waits. */
  window(address: number, length: number): DataView | undefined {
    if (length < 1 || !this.contains(address, length)) return undefined;
    return new MessageView(this, address, length);
  }

  #pieceAt(address: number): MemoryRegion | undefined {
    const entry = this.#entries[this.#indexBelow(address)];
    if (entry?.mapped !== true) return undefined;
    const offset = address - entry.base;
    return offset < entry.length ? this.#piece(entry, offset) : undefined;
  }

  #piece(entry: Entry, offset: number): MemoryRegion | undefined {
    if (!entry.mapped) return undefined;
    const first = Math.floor(entry.base / PIECE_BYTES);
    const index = Math.floor((entry.base + offset) / PIECE_BYTES);
    const known = entry.pieces[index - first];
    if (known !== undefined) return known;
    const base = Math.max(entry.base, index * PIECE_BYTES);
    const end = Math.min(entry.base + entry.length, (index + 1) * PIECE_BYTES);
    const bytes = this.#space.bytes(base, end - base);
    if (bytes === undefined) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const region: MemoryRegion = { base, length: bytes.length, bytes, view, concurrent: true };
    entry.pieces[index - first] = region;
    return region;
  }

  /** True when ranges that touch one another, and may be used so, cover `length` bytes. */
  #spans(address: number, length: number, allows: (entry: Entry) => boolean): boolean {
    let index = this.#indexBelow(address);
    let at = address;
    for (let left = length; left > 0; ) {
      const entry = this.#entries[index];
      const offset = entry === undefined ? 0 : at - entry.base;
      if (entry === undefined || offset < 0 || offset >= entry.length || !allows(entry)) {
        return false;
      }
      const count = Math.min(left, entry.length - offset);
      left -= count;
      at += count;
      index += 1;
    }
    return true;
  }

  /** Visits a range that {@link #spans} has checked, piece by piece. */
  #each(
    address: number,
    length: number,
    visit: (from: number, at: number, count: number, piece: MemoryRegion | undefined) => boolean,
  ): boolean {
    for (let at = 0; at < length; ) {
      const from = address + at;
      const entry = this.#entries[this.#indexBelow(from)];
      // While a message is waited for, the client may be lost, and its memory with it.
      if (entry === undefined || from - entry.base >= entry.length) return false;
      const piece = this.#piece(entry, from - entry.base);
      const end = piece === undefined ? entry.base + entry.length : piece.base + piece.length;
      const count = Math.min(length - at, end - from);
      if (!visit(from, at, count, piece)) return false;
      at += count;
    }
    return true;
  }

  #indexBelow(address: number): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle] as Entry).base <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
