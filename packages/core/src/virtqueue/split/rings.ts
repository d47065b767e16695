/**
 * The three parts of a split virtqueue as both halves reach them. Hot path: typed arrays made once,
 * each no longer than its part, so that no index can lead outside it. They are cheaper than
 * DataViews; the price is that the backing bytes must be aligned as the parts are.
 */
import { VirtioError } from "../../errors.ts";
import type { QueueAddresses, QueueInit } from "../types.ts";
import { type QueueAreaSize, splitAreaSizes } from "./layout.ts";

/** The words of one queue, in the byte order of the ring: see {@link le16} and {@link le32}. */
export interface SplitRings {
  /** The descriptor table, in words of 32 bits. */
  readonly table: Uint32Array;
  /** The available ring, in words of 16 bits. */
  readonly avail: Uint16Array;
  /** The used ring, in words of 32 bits. */
  readonly used: Uint32Array;
  /** The used ring again, in words of 16 bits. */
  readonly usedHalves: Uint16Array;
  /** The index that both rings start from. */
  readonly start: number;
}

const LITTLE_ENDIAN_HOST = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * Finds the parts of a queue in guest memory and makes views of them.
 *
 * @throws VirtioError `QUEUE_SIZE`, `QUEUE_ADDRESS` or `VALUE_RANGE`.
 */
export function splitRings(init: QueueInit): SplitRings {
  const areas = splitAreaSizes(init.size);
  const start = init.startIndex ?? 0;
  if (!Number.isInteger(start) || start < 0 || start > 0xffff) {
    throw new VirtioError("VALUE_RANGE", {
      path: "queue.startIndex",
      message: "a ring index has 16 bits",
      value: start,
    });
  }
  const table = locate(init, "descriptorArea", areas.descriptorArea);
  const avail = locate(init, "driverArea", areas.driverArea);
  const used = locate(init, "deviceArea", areas.deviceArea);
  return {
    table: words32(table, "queue.descriptorArea"),
    avail: words16(avail, "queue.driverArea"),
    used: words32(used, "queue.deviceArea"),
    usedHalves: words16(used, "queue.deviceArea"),
    start,
  };
}

/**
 * `bytes` in words of 32 bits.
 *
 * @throws VirtioError `QUEUE_ADDRESS` when they do not start at a multiple of 4 of their buffer.
 */
export function words32(bytes: Uint8Array, path: string): Uint32Array {
  checkBacking(bytes, Uint32Array.BYTES_PER_ELEMENT, path);
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
}

function words16(bytes: Uint8Array, path: string): Uint16Array {
  checkBacking(bytes, Uint16Array.BYTES_PER_ELEMENT, path);
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 1);
}

/** Turns a word of a ring into a number, and back. */
export function le16(word: number): number {
  return LITTLE_ENDIAN_HOST ? word : ((word & 0xff) << 8) | (word >>> 8);
}

/** Turns a word of a ring into a number, and back. */
export function le32(word: number): number {
  if (LITTLE_ENDIAN_HOST) return word;
  return ((le16(word & 0xffff) << 16) | le16(word >>> 16)) >>> 0;
}

/** Reads one le16: with Atomics, or plainly. */
export function load16(words: Uint16Array, atomic: boolean, index: number): number {
  return le16(atomic ? Atomics.load(words, index) : (words[index] as number));
}

/** Writes one le16: with Atomics, or plainly. */
export function store16(words: Uint16Array, atomic: boolean, index: number, value: number): void {
  if (atomic) Atomics.store(words, index, le16(value));
  else words[index] = le16(value);
}

function locate(init: QueueInit, name: keyof QueueAddresses, area: QueueAreaSize): Uint8Array {
  const address = init[name];
  if (!Number.isSafeInteger(address) || address % area.alignment !== 0) {
    throw new VirtioError("QUEUE_ADDRESS", {
      path: `queue.${name}`,
      message: `the address is no multiple of ${area.alignment}`,
      value: address,
    });
  }
  const region = init.memory.find(address, area.length);
  if (region === undefined) {
    throw new VirtioError("QUEUE_ADDRESS", {
      path: `queue.${name}`,
      message: `its ${area.length} bytes are not inside one region of guest memory`,
      value: address,
    });
  }
  const offset = address - region.base;
  return region.bytes.subarray(offset, offset + area.length);
}

function checkBacking(bytes: Uint8Array, alignment: number, path: string): void {
  if (bytes.byteOffset % alignment === 0) return;
  throw new VirtioError("QUEUE_ADDRESS", {
    path,
    message: `its backing bytes do not start at a multiple of ${alignment} of their buffer`,
    value: bytes.byteOffset,
    hint: "back the region with bytes whose offset in their buffer is aligned as its base is",
  });
}
