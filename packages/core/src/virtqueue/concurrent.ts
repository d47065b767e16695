/** Whether the two halves of a virtqueue run at the same time. */
import type { QueueAreaSizes } from "./area.ts";
import type { QueueInit } from "./types.ts";

/**
 * True when all areas of a queue lie in memory that the other half reaches at the same time: its
 * indexes are then accessed with Atomics. What one half writes has to be seen by the other before it
 * looks whether it is to notify (section "Notifying The Device"), and plain accesses are not ordered
 * so. An area that lies in no region is reached by messages, one after the other.
 */
export function isConcurrent(init: QueueInit, areas: QueueAreaSizes): boolean {
  const { memory, descriptorArea, driverArea, deviceArea } = init;
  return (
    memory.find(descriptorArea, areas.descriptorArea.length)?.concurrent === true &&
    memory.find(driverArea, areas.driverArea.length)?.concurrent === true &&
    memory.find(deviceArea, areas.deviceArea.length)?.concurrent === true
  );
}
