/**
 * The three parts of a split virtqueue as both halves reach them. Hot path: one DataView per part,
 * made once and no longer than the part, so that no index can lead outside it.
 */
import { VirtioError } from "../../errors.ts";
import { checkWords, LITTLE_ENDIAN_HOST, viewOfArea } from "../area.ts";
import { isConcurrent } from "../concurrent.ts";
import type { QueueInit } from "../types.ts";
import { splitAreaSizes, VIRTQ_USED } from "./layout.ts";

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
  const descriptors = viewOfArea(init, "descriptorArea", areas.descriptorArea);
  const avail = viewOfArea(init, "driverArea", areas.driverArea);
  const used = viewOfArea(init, "deviceArea", areas.deviceArea);
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

function wordsOf(view: DataView, name: "driverArea" | "deviceArea"): Uint16Array {
  checkWords(view, name, Uint16Array.BYTES_PER_ELEMENT);
  return new Uint16Array(view.buffer, view.byteOffset, view.byteLength >>> 1);
}
