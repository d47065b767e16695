/** The driver half and bring-up, in front of a device that says what a case wants. */
import {
  type BringUpOptions,
  bringUp,
  DmaArena,
  type DriverDevice,
  type DriverTransport,
  type GuestMemory,
} from "@virtio-admin/core";
import type {
  Connection,
  ConnectOptions,
  MemoryRun,
  ScriptedConnection,
  TransportFixture,
} from "../fixture.ts";
import { memoryOf } from "./device-bench.ts";
import { type DeviceHand, LocalDeviceHand } from "./device-hand.ts";
import { type Arrived, expectSoon, settle } from "./expect.ts";
import type { HandDeviceQueue } from "./hand-device-queue.ts";
import type { HandPackedDeviceQueue } from "./hand-packed-device-queue.ts";
import { PROBE_DEPENDENCY, PROBE_DEVICE_ID } from "./probe-model.ts";
import type { DeviceScript, ScriptedDevice } from "./scripted-device.ts";

const MEMORY: MemoryRun = { base: 0x2000_0000, length: 0x10_0000 };

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
  readonly #hand: DeviceHand;

  /** Makes the device of a script and connects it. */
  constructor(fixture: TransportFixture, options: DriverBenchOptions = {}) {
    const memory = memoryOf(fixture, [MEMORY]);
    this.dma = new DmaArena(memory, MEMORY.base, MEMORY.length);
    const { lie, ...script } = options;
    const connected = connectScripted(fixture, memory, script, {
      dma: this.dma,
      ...(lie === undefined ? {} : { lie }),
    });
    this.#connection = connected.connection;
    this.#hand = connected.hand;
    this.device = this.#hand.device;
    this.driver = this.#connection.driver;
  }

  /** Brings the device up; `options` over {@link PLAIN_BRING_UP}. */
  bringUp(options: Partial<BringUpOptions> = {}): Promise<DriverDevice> {
    return bringUp(this.driver, { ...PLAIN_BRING_UP, ...options });
  }

  /** The device's end of a queue that the driver has enabled. */
  queue(index: number): HandDeviceQueue {
    return this.#hand.queue(index);
  }

  /** The device's end of a packed queue that the driver has enabled. */
  packedQueue(index: number): HandPackedDeviceQueue {
    return this.#hand.packedQueue(index);
  }

  /** Waits until `condition` holds, within a bound; `what` says what is waited for. */
  expectSoon(what: string, condition: () => boolean): Promise<void> {
    return expectSoon(what, condition, this.#arrived);
  }

  /** Gives whatever is under way the time to happen, so that its absence can be seen. */
  settle(): Promise<void> {
    return settle(this.#arrived);
  }

  get #arrived(): Arrived | undefined {
    return this.#connection.arrived?.bind(this.#connection);
  }

  /** Takes everything apart. */
  close(): void {
    this.#connection.close();
  }
}

function connectScripted(
  fixture: TransportFixture,
  memory: GuestMemory,
  script: DeviceScript,
  options: ConnectOptions,
): ScriptedConnection {
  if (fixture.connectScripted !== undefined) {
    return fixture.connectScripted(memory, script, options);
  }
  const hand = new LocalDeviceHand(memory, script);
  return { connection: fixture.connect(hand.device, options), hand };
}
