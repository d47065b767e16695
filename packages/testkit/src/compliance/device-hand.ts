/** What a device does by hand: it says what a script has, and works its ends of the virtqueues. */
import type { GuestMemory } from "@virtio-admin/core";
import { HandDeviceQueue } from "./hand-device-queue.ts";
import { HandPackedDeviceQueue } from "./hand-packed-device-queue.ts";
import { type DeviceScript, ScriptedDevice } from "./scripted-device.ts";

/** The hand of a scripted device. */
export interface DeviceHand {
  /** The device. */
  readonly device: ScriptedDevice;
  /** The device's end of a queue that the driver has enabled. */
  queue(index: number): HandDeviceQueue;
  /** The device's end of a packed queue that the driver has enabled. */
  packedQueue(index: number): HandPackedDeviceQueue;
}

/** The hand of a scripted device of this thread. */
export class LocalDeviceHand implements DeviceHand {
  readonly device: ScriptedDevice;

  /** Makes the device of a script. */
  constructor(memory: GuestMemory, script: DeviceScript) {
    this.device = new ScriptedDevice(memory, script);
  }

  queue(index: number): HandDeviceQueue {
    const { device } = this;
    return new HandDeviceQueue(device.memory, device.areas(index), device.queueSize(index));
  }

  packedQueue(index: number): HandPackedDeviceQueue {
    const { device } = this;
    return new HandPackedDeviceQueue(device.memory, device.areas(index), device.queueSize(index));
  }
}
