/** The parts of a virtqueue in guest memory, whatever its format. */
import { VirtioError } from "../errors.ts";
import type { QueueAddresses, QueueInit } from "./types.ts";

/** True where the words of a typed array have the byte order of the rings. */
export const LITTLE_ENDIAN_HOST: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** The size and the alignment of one part of a virtqueue, in bytes. */
export interface QueueAreaSize {
  /** How many bytes it has. */
  readonly length: number;
  /** The power of two that its address is a multiple of. */
  readonly alignment: number;
}

/** The three parts of one virtqueue. */
export interface QueueAreaSizes {
  /** The descriptor area (split: the descriptor table). */
  readonly descriptorArea: QueueAreaSize;
  /** The driver area (split: the available ring). */
  readonly driverArea: QueueAreaSize;
  /** The device area (split: the used ring). */
  readonly deviceArea: QueueAreaSize;
}

/**
 * The view of one part, no longer than the part, so that no index can lead outside it.
 *
 * @throws VirtioError `QUEUE_ADDRESS` when it is misaligned or not inside one region.
 */
export function viewOfArea(
  init: QueueInit,
  name: keyof QueueAddresses,
  area: QueueAreaSize,
): DataView {
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

/** Throws unless Atomics reach the part in words of `width` bytes. */
export function checkWords(view: DataView, name: keyof QueueAddresses, width: number): void {
  if (view.byteOffset % width === 0) return;
  const kind = width === 2 ? "an even offset" : "an offset that is a multiple of 4";
  throw new VirtioError("QUEUE_ADDRESS", {
    path: `queue.${name}`,
    message: `Atomics cannot reach it: its backing bytes do not start at ${kind}`,
    value: view.byteOffset,
    hint: `back the region with bytes that start at ${kind} of their buffer`,
  });
}
