/**
 * The three parts of a split virtqueue as both halves reach them. Hot path: one DataView per part,
 * made once and no longer than the part, so that no index can lead outside it.
 */
import { VirtioError } from "../../errors.ts";
import { isConcurrent } from "../concurrent.ts";
import type { QueueAddresses, QueueInit } from "../types.ts";
import { type QueueAreaSize, splitAreaSizes, VIRTQ_USED } from "./layout.ts";

/** The views of one queue. The words are there only when the indexes are accessed with Atomics. */
export interface SplitRings {
  readonly descriptors: DataView;
  readonly avail: DataView;
  readonly used: DataView;
  readonly availWords: Uint16Array | undefined;
  readonly usedWords: Uint16Array | undefined;
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
  const descriptors = viewOf(init, "descriptorArea", areas.descriptorArea);
  const avail = viewOf(init, "driverArea", areas.driverArea);
  const used = viewOf(init, "deviceArea", areas.deviceArea);
  const atomic = init.atomic === true || isConcurrent(init, areas);
  return {
    descriptors,
    avail,
    used,
    availWords: atomic ? wordsOf(avail, "driverArea") : undefined,
    usedWords: atomic ? wordsOf(used, "deviceArea") : undefined,
    start,
  };
}

/**
 * The index from which a device half goes on that takes over a ring with nothing outstanding: every
 * buffer that was taken has its used entry, so that the used idx counts both.
 *
 * @throws VirtioError as {@link splitRings}
 */
export function splitRingPosition(init: QueueInit): number {
  const { used, usedWords } = splitRings(init);
  return load16(used, usedWords, VIRTQ_USED.fields.idx.offset);
}

/** Reads the le16 at `offset`: atomically when there are words, else plainly. */
export function load16(view: DataView, words: Uint16Array | undefined, offset: number): number {
  return words === undefined
    ? view.getUint16(offset, true)
    : littleEndian(Atomics.load(words, offset >>> 1));
}

/** Writes the le16 at `offset`: atomically when there are words, else plainly. */
export function store16(
  view: DataView,
  words: Uint16Array | undefined,
  offset: number,
  value: number,
): void {
  if (words === undefined) view.setUint16(offset, value, true);
  else Atomics.store(words, offset >>> 1, littleEndian(value));
}

function littleEndian(value: number): number {
  return LITTLE_ENDIAN_HOST ? value : ((value & 0xff) << 8) | (value >>> 8);
}

function viewOf(init: QueueInit, name: keyof QueueAddresses, area: QueueAreaSize): DataView {
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
    const window = init.atomic === true ? undefined : init.memory.window?.(address, area.length);
    if (window !== undefined) return window;
    throw new VirtioError("QUEUE_ADDRESS", {
      path: `queue.${name}`,
      message: `its ${area.length} bytes are not inside one region of guest memory`,
      value: address,
    });
  }
  const { buffer, byteOffset } = region.bytes;
  return new DataView(buffer, byteOffset + address - region.base, area.length);
}

function wordsOf(view: DataView, name: keyof QueueAddresses): Uint16Array {
  if (view.byteOffset % Uint16Array.BYTES_PER_ELEMENT !== 0) {
    throw new VirtioError("QUEUE_ADDRESS", {
      path: `queue.${name}`,
      message: "Atomics cannot reach it: its backing bytes start at an odd offset",
      value: view.byteOffset,
      hint: "back the region with bytes that start at an even offset of their buffer",
    });
  }
  return new Uint16Array(view.buffer, view.byteOffset, view.byteLength >>> 1);
}
