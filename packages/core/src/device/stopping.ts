/** Stopping one device, and letting it go on (section "Device parts"). */
import { messageOf } from "./message-of.ts";
import type { DeviceOperation } from "./operation.ts";
import { askForNotifications } from "./polling.ts";
import { isUsed, STATUS } from "./status.ts";

/** See `PartsDevice.stop`. */
export function stopDevice(device: DeviceOperation): true | Promise<boolean> {
  const { mode } = device;
  if (mode.active) {
    mode.stop();
    device.queues.hold();
    if (device.running) device.stopConsumers();
    device.settleStop();
  }
  return mode.stopped || mode.whenSettled();
}

/** See `PartsDevice.resume`. */
export function resumeDevice(device: DeviceOperation): void {
  const { mode, due, queues, deliveries } = device;
  if (mode.active) return;
  device.due = "nothing";
  if (mode.stopped) device.holdNotifications(false);
  mode.resume();
  device.trace?.emit({ op: "resume" });
  deliveries.after(() => {
    if (due === "takeover") takeOver(device);
    else queues.release();
    if (due === "start") askForNotifications(device);
    if (due !== "nothing") goOn(device);
    device.visitAll();
  });
  deliveries.release();
}

/** See `PartsDevice.resetFunction`. */
export function resetFunction(device: DeviceOperation, reset: () => void): void {
  const wasStopped = device.mode.stopped;
  device.mode.during(reset);
  if (wasStopped) resumeDevice(device);
  else device.settleStop();
}

/** Makes the enabled queues anew, to go on where their memory says. */
function takeOver(device: DeviceOperation): void {
  const { queues, deliveries, status } = device;
  // Before DRIVER_OK nothing was ever taken from a queue, and its memory is the driver's alone.
  const inUse = (status & (STATUS.DRIVER_OK | STATUS.DEVICE_NEEDS_RESET)) === STATUS.DRIVER_OK;
  for (const slot of queues.slots) {
    if (slot.queue === undefined) continue;
    slot.queue.stop();
    try {
      slot.queue = inUse ? queues.makeFromMemory(slot) : queues.makeFor(slot);
      if (!inUse) continue;
      if (slot.queue.publish()) deliveries.interrupt(slot);
      // Nor does anybody know here what the device before asked the driver for.
      slot.queue.enableNotifications();
    } catch (error) {
      device.needsReset(`queue ${slot.index} (${slot.name}) cannot go on: ${messageOf(error)}`);
    }
  }
}

/** The driver that came, or was set, while the device was stopped finds it at work. */
function goOn(device: DeviceOperation): void {
  if (!isUsed(device)) {
    // Parts that were set can take the driver away.
    device.resetConsumers();
  } else if (device.isBroken) {
    device.queues.stop();
    device.tellConfiguration();
  } else {
    device.running = true;
    device.startConsumers();
  }
}
