/** A device type in a device core, driven without a transport. */
import {
  createGuestMemory,
  type DeviceModel,
  DmaArena,
  FEATURE,
  FEATURE_WORDS,
  type FeatureSet,
  type GuestMemory,
  type QueueArea,
  STATUS,
  type TraceSink,
  VirtioDevice,
} from "@virtio-admin/core";
import { RUNNING_STATUS } from "../compliance/device-bench.ts";
import { expectEqual } from "../compliance/expect.ts";
import { ComplianceFailure } from "../compliance/failure.ts";
import { HandRing } from "../compliance/hand-ring.ts";

const MEMORY_BASE = 0x10_0000;
const MEMORY_BYTES = 0x40_0000;
const LARGEST_RING = 64;
const AREAS: readonly QueueArea[] = ["descriptorArea", "driverArea", "deviceArea"];
const DRIVER_STATUS = STATUS.ACKNOWLEDGE | STATUS.DRIVER;

/** Guest memory, and the driver's part of it. */
export interface BenchMemory {
  /** The memory. */
  readonly memory: GuestMemory;
  /** Where rings and buffers come from. */
  readonly dma: DmaArena;
}

/** Makes memory for one driver. */
export function benchMemory(): BenchMemory {
  const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_BYTES) }]);
  return { memory, dma: new DmaArena(memory, MEMORY_BASE, MEMORY_BYTES) };
}

/** A model's device, with a port that writes down what it hears. */
export class ModelBench {
  /** The device core. */
  readonly device: VirtioDevice;
  /** Memory for rings and buffers. */
  readonly dma: DmaArena;
  /** The queues that the driver was interrupted for; `undefined` for the configuration. */
  readonly interrupts: (number | undefined)[] = [];
  /** What the model threw where it must not. */
  readonly thrown: unknown[] = [];
  readonly #model: DeviceModel;

  /** Makes the device, connected and reset. */
  constructor(model: DeviceModel, trace?: TraceSink, { memory, dma } = benchMemory()) {
    this.#model = model;
    this.dma = dma;
    this.device = new VirtioDevice({
      model: this.#watched(model),
      memory,
      ...(trace === undefined ? {} : { trace }),
    });
    this.device.connect({
      transport: "check",
      reservedFeatures: [],
      usedBuffers: (queue) => this.interrupts.push(queue),
      configurationChange: () => this.interrupts.push(undefined),
      deviceReset: () => undefined,
    });
  }

  /** Goes as far as FEATURES_OK, with all that is offered unless told; returns the status. */
  negotiate(features: FeatureSet = this.device.offeredFeatures): number {
    const { device } = this;
    device.reset();
    device.writeStatus(STATUS.ACKNOWLEDGE);
    device.writeStatus(DRIVER_STATUS);
    // Without event indexes, interrupts are as plain as flags.
    const plain = features.without(FEATURE.VIRTIO_F_EVENT_IDX, FEATURE.VIRTIO_F_NOTIFICATION_DATA);
    for (let word = 0; word < FEATURE_WORDS; word++) {
      device.writeDriverFeatures(word, plain.word(word));
    }
    device.writeStatus(DRIVER_STATUS | STATUS.FEATURES_OK);
    return device.status;
  }

  /** Lays out and enables a queue. */
  queue(index: number): HandRing {
    const ring = new HandRing(this.dma, Math.min(this.device.queueSizeMax(index), LARGEST_RING));
    this.device.setQueueSize(index, ring.size);
    for (const area of AREAS) {
      const address = ring.areas[area];
      this.device.setQueueAddress(index, area, 0, address >>> 0);
      this.device.setQueueAddress(index, area, 1, Math.floor(address / 2 ** 32));
    }
    expectEqual(`queue ${index} can be enabled`, this.device.enableQueue(index), true);
    return ring;
  }

  /** Sets DRIVER_OK; returns the status. */
  run(): number {
    this.device.writeStatus(RUNNING_STATUS);
    return this.device.status;
  }

  /** A device that runs with this one queue. */
  start(index: number): HandRing {
    this.negotiate();
    const ring = this.queue(index);
    expectEqual("the status after DRIVER_OK", this.run(), RUNNING_STATUS);
    return ring;
  }

  /** Nothing was thrown. */
  expectPeace(): void {
    const [error] = this.thrown;
    if (this.thrown.length === 0) return;
    throw new ComplianceFailure(`what ${this.#model.name} threw`, "nothing", error, error);
  }

  /** The model, whose methods are heard when they throw: the device core would see to it. */
  #watched(model: DeviceModel): DeviceModel {
    return new Proxy(model, {
      get: (target, name) => {
        const part: unknown = Reflect.get(target, name, target);
        if (typeof part !== "function") return part;
        return (...args: unknown[]): unknown => {
          try {
            return part.apply(target, args);
          } catch (error) {
            // A state may be refused.
            if (name !== "restore") this.thrown.push(error);
            throw error;
          }
        };
      },
    });
  }
}
