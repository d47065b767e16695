/** A transport without a bus: the driver half calls the device, and faults are planted between. */
import {
  CONFIG_SPACE_LIMIT,
  type DmaAllocator,
  type DriverTransport,
  FEATURE,
  FeatureSet,
  type InterruptListener,
  type QueueArea,
  type TransportFacingDevice,
  type TransportPlugin,
  VirtioError,
} from "@virtio-admin/core";
import type { TransportFixture } from "@virtio-admin/testkit";

const AREAS: readonly QueueArea[] = ["descriptorArea", "driverArea", "deviceArea"];
const ALL = FeatureSet.fromWords([0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff]);

/** What goes wrong, on purpose. */
export interface Faults {
  /** Runs after every notification that reached the device. */
  readonly afterNotify?: (device: TransportFacingDevice) => void;
  /** What a poke does. */
  readonly poke?: () => void;
  /** Changes the driver half. */
  readonly spoil?: (driver: DriverTransport, dma: DmaAllocator) => void;
}

function directDriver(
  device: TransportFacingDevice,
  dma: DmaAllocator,
  lie: (value: number, bytes: number) => number,
  afterNotify: () => void,
): DriverTransport {
  let listener: InterruptListener | undefined;
  device.connect({
    transport: "direct",
    reservedFeatures: [],
    usedBuffers: (queue) => listener?.usedBuffers(queue),
    configurationChange: () => listener?.configurationChange(),
    deviceReset: () => undefined,
  });
  return {
    name: "direct",
    dma,
    allowedFeatures: ALL,
    open: async () => ({ deviceId: lie(device.deviceId, 4), vendorId: 0 }),
    listen: async (to) => {
      listener = to;
    },
    reset: async () => {
      device.reset();
      const status = lie(device.status, 1);
      if (status === 0) return;
      throw new VirtioError("DEVICE_FAILED", { message: "the device is not reset", value: status });
    },
    readStatus: async () => lie(device.status, 1),
    writeStatus: async (status) => {
      device.writeStatus(status);
    },
    readFeatures: async () =>
      FeatureSet.fromWords([0, 1, 2, 3].map((word) => lie(device.offeredFeatures.word(word), 4))),
    writeFeatures: async (features) => {
      for (let word = 0; word < 4; word++) device.writeDriverFeatures(word, features.word(word));
    },
    readConfig: async (offset, length) => {
      const bytes = new Uint8Array(Math.min(length, CONFIG_SPACE_LIMIT));
      device.readConfig(offset, bytes);
      return bytes;
    },
    writeConfig: async (offset, bytes) => device.writeConfig(offset, bytes),
    queueSizeMax: async (index) => lie(device.queueSizeMax(index), 2),
    enableQueue: async (index, size, areas) => {
      device.setQueueSize(index, size);
      for (const area of AREAS) {
        device.setQueueAddress(index, area, 0, areas[area] >>> 0);
        device.setQueueAddress(index, area, 1, Math.floor(areas[area] / 2 ** 32));
      }
      if (!device.enableQueue(index)) {
        throw new VirtioError("QUEUE_UNAVAILABLE", { message: "no such queue", value: index });
      }
      return {
        ring: () => {
          device.notify(index);
          afterNotify();
        },
      };
    },
    resetQueue: async (index) => device.resetQueue(index),
    adminQueues: async (features) => {
      if (!features.has(FEATURE.VIRTIO_F_ADMIN_VQ)) {
        throw new VirtioError("ADMIN_QUEUE_UNAVAILABLE", { message: "not negotiated" });
      }
      const index = lie(device.adminQueueIndex, 2);
      return { index, count: lie(device.adminQueueNum, 2), source: "the device core" };
    },
    close: async () => {
      listener = undefined;
    },
  };
}

/** The fixture, with faults planted. */
export function directFixture(faults: Faults = {}): TransportFixture {
  return {
    plugin: { description: { name: "direct" } } as unknown as TransportPlugin,
    connect: (device, { dma, lie = (value) => value }) => {
      const afterNotify = (): void => faults.afterNotify?.(device);
      const driver = directDriver(device, dma, lie, afterNotify);
      faults.spoil?.(driver, dma);
      return {
        driver,
        poke: faults.poke ?? (() => undefined),
        close: () => undefined,
      };
    },
  };
}
