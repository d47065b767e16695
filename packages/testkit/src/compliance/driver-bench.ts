/** The driver half and bring-up, in front of a device that says what a case wants. */
import {
  type BringUpOptions,
  bringUp,
  createGuestMemory,
  DmaArena,
  type DriverDevice,
  type DriverTransport,
} from "@virtio-admin/core";
import type { Connection, TransportFixture } from "../fixture.ts";
import { HandDeviceQueue } from "./hand-device-queue.ts";
import { HandPackedDeviceQueue } from "./hand-packed-device-queue.ts";
import { PROBE_DEPENDENCY, PROBE_DEVICE_ID } from "./probe-model.ts";
import { type DeviceScript, ScriptedDevice } from "./scripted-device.ts";

const MEMORY_BASE = 0x2000_0000;
const MEMORY_BYTES = 0x10_0000;

/** What a case wants of its device and of the bus. */
export interface DriverBenchOptions extends DeviceScript {
  /** Changes the values that the driver half reads. */
  readonly lie?: (value: number, bytes: number) => number;
}

/** What bring-up is asked for unless a case says more: one queue, and the probe's features. */
export const PLAIN_BRING_UP: BringUpOptions = {
  deviceId: PROBE_DEVICE_ID,
  features: [PROBE_DEPENDENCY.requires, PROBE_DEPENDENCY.feature],
  featureDependencies: [PROBE_DEPENDENCY],
  queues: [{ index: 0, size: 8 }],
  timeout: 2000,
};

/** The driver side of a case. */
export class DriverBench {
  /** Memory for queues and buffers, all of guest memory. */
  readonly dma: DmaArena;
  /** The device. */
  readonly device: ScriptedDevice;
  /** The driver half. */
  readonly driver: DriverTransport;
  readonly #connection: Connection;

  /** Makes the device of a script and connects it. */
  constructor(fixture: TransportFixture, options: DriverBenchOptions = {}) {
    const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_BYTES) }]);
    this.dma = new DmaArena(memory, MEMORY_BASE, MEMORY_BYTES);
    this.device = new ScriptedDevice(memory, options);
    const { lie } = options;
    this.#connection = fixture.connect(this.device, {
      dma: this.dma,
      ...(lie === undefined ? {} : { lie }),
    });
    this.driver = this.#connection.driver;
  }

  /** Brings the device up; `options` over {@link PLAIN_BRING_UP}. */
  bringUp(options: Partial<BringUpOptions> = {}): Promise<DriverDevice> {
    return bringUp(this.driver, { ...PLAIN_BRING_UP, ...options });
  }

  /** The device's end of a queue that the driver has enabled. */
  queue(index: number): HandDeviceQueue {
    const { device } = this;
    return new HandDeviceQueue(device.memory, device.areas(index), device.queueSize(index));
  }

  /** The device's end of a packed queue that the driver has enabled. */
  packedQueue(index: number): HandPackedDeviceQueue {
    const { device } = this;
    return new HandPackedDeviceQueue(device.memory, device.areas(index), device.queueSize(index));
  }

  /** Takes everything apart. */
  close(): void {
    this.#connection.close();
  }
}
