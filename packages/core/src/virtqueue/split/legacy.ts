/**
 * Where the parts of a split virtqueue lie when it is used through the legacy interface: one after
 * the other in one run of memory, the used ring on the next multiple of the queue alignment
 * (section "Legacy Interfaces: A Note on Virtqueue Layout"). The parts themselves are the same.
 */
import type { QueueAddresses } from "../types.ts";
import { splitAreaSizes } from "./layout.ts";

/**
 * The parts of a legacy virtqueue of `size` entries that begins at `address`.
 *
 * @param alignment the queue alignment, a power of two; `address` is a multiple of it
 * @throws VirtioError `QUEUE_SIZE` when `size` is no power of two from 1 to 32768.
 */
export function legacyQueueAreas(address: number, size: number, alignment: number): QueueAddresses {
  const { descriptorArea, driverArea } = splitAreaSizes(size);
  const available = descriptorArea.length;
  return {
    descriptorArea: address,
    driverArea: address + available,
    deviceArea: address + alignUp(available + driverArea.length, alignment),
  };
}

/**
 * How many bytes a legacy virtqueue of `size` entries takes. The text rounds up with a mask of the
 * alignment itself, which is no rounding; what it describes, and what drivers do, is this.
 *
 * @param alignment the queue alignment, a power of two
 * @throws VirtioError `QUEUE_SIZE` when `size` is no power of two from 1 to 32768.
 */
export function legacyQueueLength(size: number, alignment: number): number {
  const { deviceArea } = splitAreaSizes(size);
  return alignUp(legacyQueueAreas(0, size, alignment).deviceArea + deviceArea.length, alignment);
}

function alignUp(length: number, alignment: number): number {
  return Math.ceil(length / alignment) * alignment;
}
