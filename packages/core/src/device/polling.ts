/**
 * A host that looks into the queues of a device instead of waiting for notifications, and tells the
 * driver so (section "Available Buffer Notification Suppression").
 *
 * Hot path: nothing is allocated.
 */
import type { DeviceOperation } from "./operation.ts";
import type { QueueSlot } from "./queue-slot.ts";

/** See `TransportFacingDevice.poll`. */
export function pollQueues(device: DeviceOperation): boolean {
  if (!device.running) return false;
  let found = false;
  for (const slot of device.queues.slots) {
    const { queue } = slot;
    if (queue === undefined || !isPolled(device, slot)) continue;
    const before = queue.index;
    if (queue.notifications) {
      queue.disableNotifications();
      slot.polled = true;
    }
    device.deliveries.notify(slot);
    if (queue.index !== before) found = true;
  }
  return found;
}

/** See `TransportFacingDevice.endPolling`. */
export function endPolling(device: DeviceOperation): void {
  for (const slot of device.queues.slots) {
    if (!slot.polled) continue;
    slot.polled = false;
    if (slot.queue?.enableNotifications() === true && device.mayVisit(slot)) device.visit(slot);
  }
}

/** The host that a device was saved at may have looked by itself, and told the driver so. */
export function askForNotifications({ queues }: DeviceOperation): void {
  for (const { queue } of queues.slots)
    if (queue?.notifications === true) queue.enableNotifications();
}

/** Only what somebody else writes meanwhile can have news that nobody notified of. */
function isPolled(device: DeviceOperation, slot: QueueSlot): boolean {
  return slot.queue?.concurrent === true && device.mayVisit(slot);
}
