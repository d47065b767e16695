/**
 * A driver half that calls the device core itself, so that core is tested without any transport.
 * Tests may intercept its operations: each is an own, replaceable method.
 */
import {
  type AdminQueuePlace,
  CONFIG_SPACE_LIMIT,
  createGuestMemory,
  type DeviceIdentity,
  type DevicePort,
  type DmaAllocator,
  DmaArena,
  type DriverTransport,
  FEATURE,
  FEATURE_WORDS,
  FeatureSet,
  type InterruptListener,
  type QueueAddresses,
  type QueueArea,
  type QueueDoorbell,
  type TransportFacingDevice,
  VirtioError,
} from "@virtio-admin/core";

export const MEMORY_BASE = 0x10_0000;
export const MEMORY_LENGTH = 0x10_0000;

/** Guest memory at one MiB, and an allocator over all of it. */
export function makeMemory(length: number = MEMORY_LENGTH) {
  const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(length) }]);
  return { memory, dma: new DmaArena(memory, MEMORY_BASE, length) };
}

export const ALL_FEATURES = FeatureSet.fromWords([-1, -1, -1, -1]);
const AREAS: readonly QueueArea[] = ["descriptorArea", "driverArea", "deviceArea"];

export class DirectTransport implements DriverTransport {
  readonly name = "direct";
  readonly dma: DmaAllocator;
  allowedFeatures = ALL_FEATURES;
  /** Every status that was written, a reset as 0. */
  readonly statuses: number[] = [];
  /** Every doorbell that rang, with the status at that time. */
  readonly rings: { queue: number; status: number }[] = [];
  closed = false;
  readonly #device: TransportFacingDevice;
  #listener: InterruptListener | undefined;

  constructor(
    device: TransportFacingDevice,
    dma: DmaAllocator,
    reservedFeatures: readonly number[] = [],
  ) {
    this.#device = device;
    this.dma = dma;
    const port: DevicePort = {
      transport: this.name,
      reservedFeatures,
      usedBuffers: (queue) => this.#listener?.usedBuffers(queue),
      configurationChange: () => this.#listener?.configurationChange(),
      deviceReset: () => undefined,
    };
    device.connect(port);
  }

  async open(): Promise<DeviceIdentity> {
    return { deviceId: this.#device.deviceId, vendorId: 0 };
  }

  async listen(listener: InterruptListener): Promise<void> {
    this.#listener = listener;
  }

  async reset(): Promise<void> {
    this.statuses.push(0);
    this.#device.reset();
  }

  async readStatus(): Promise<number> {
    return this.#device.status;
  }

  async writeStatus(status: number): Promise<void> {
    this.statuses.push(status);
    this.#device.writeStatus(status);
  }

  async readFeatures(): Promise<FeatureSet> {
    return this.#device.offeredFeatures;
  }

  async writeFeatures(features: FeatureSet): Promise<void> {
    for (let word = 0; word < FEATURE_WORDS; word++) {
      this.#device.writeDriverFeatures(word, features.word(word));
    }
  }

  async readConfig(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(Math.min(length, CONFIG_SPACE_LIMIT));
    this.#device.readConfig(offset, bytes);
    return bytes;
  }

  async writeConfig(offset: number, bytes: Uint8Array): Promise<void> {
    this.#device.writeConfig(offset, bytes);
  }

  async queueSizeMax(index: number): Promise<number> {
    return this.#device.queueSizeMax(index);
  }

  async enableQueue(index: number, size: number, areas: QueueAddresses): Promise<QueueDoorbell> {
    this.#device.setQueueSize(index, size);
    for (const area of AREAS) {
      this.#device.setQueueAddress(index, area, 0, areas[area] >>> 0);
      this.#device.setQueueAddress(index, area, 1, Math.floor(areas[area] / 2 ** 32));
    }
    if (!this.#device.enableQueue(index)) {
      throw new VirtioError("QUEUE_UNAVAILABLE", {
        message: "the device did not enable the queue",
        value: index,
      });
    }
    return {
      ring: () => {
        this.rings.push({ queue: index, status: this.#device.status });
        this.#device.notify(index);
      },
    };
  }

  async resetQueue(index: number): Promise<void> {
    this.#device.resetQueue(index);
  }

  async adminQueues(features: FeatureSet): Promise<AdminQueuePlace> {
    if (!features.has(FEATURE.VIRTIO_F_ADMIN_VQ)) {
      throw new VirtioError("ADMIN_QUEUE_UNAVAILABLE", {
        message: "direct: VIRTIO_F_ADMIN_VQ is not negotiated",
      });
    }
    const { adminQueueIndex, adminQueueNum } = this.#device;
    return { index: adminQueueIndex, count: adminQueueNum, source: "the device core" };
  }

  async close(): Promise<void> {
    this.closed = true;
    this.#listener = undefined;
  }

  /** Delivers an interrupt that no device sent. */
  get listener(): InterruptListener | undefined {
    return this.#listener;
  }
}
