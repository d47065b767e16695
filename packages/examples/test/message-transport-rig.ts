/** Both halves over messages, in front of a device with a configuration space and two owners' queues. */
import {
  AdminExecutor,
  AdminQueues,
  ConfigSpace,
  createGuestMemory,
  type DeviceHost,
  type DeviceModel,
  DmaArena,
  FEATURE,
  FeatureSet,
  SelfGroup,
  STATUS,
  VirtioDevice,
} from "@virtio-admin/core";
import {
  loopbackBus,
  type MessageBus,
  MessageDevice,
  MessageDriver,
} from "../src/message-transport/index.ts";

const BASE = 0x8000_0000;
const BYTES = 1 << 20;

/** How long the configuration space is: longer than one of the smallest messages carries. */
export const CONFIG_BYTES = 64;
/** The features that a driver of administration virtqueues accepts. */
export const OWNER = FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1, FEATURE.VIRTIO_F_ADMIN_VQ);

/** A device, both halves, and the bus between them, which a test may change. */
export function rig(options: { limit?: number; bus?: (honest: MessageBus) => MessageBus } = {}) {
  const memory = createGuestMemory([{ base: BASE, bytes: new Uint8Array(BYTES) }]);
  const config = new ConfigSpace({
    bytes: Uint8Array.from({ length: CONFIG_BYTES }, (_, i) => i),
    writable: new Uint8Array(CONFIG_BYTES).fill(0xff),
  });
  let host: DeviceHost | undefined;
  const model: DeviceModel = {
    name: "rig",
    deviceId: 0x3f,
    features: [0, 127],
    queues: [{ name: "q", maxSize: 8 }],
    config,
    attach: (given) => {
      host = given;
    },
    queueNotified: () => undefined,
    reset: () => undefined,
  };
  const executor = new AdminExecutor({ groups: [new SelfGroup()] });
  const admin = new AdminQueues({ executor, count: 2, maxSize: 4 });
  const device = new VirtioDevice({ model, memory, admin });
  const { limit } = options;
  const end = new MessageDevice({ device, ...(limit === undefined ? {} : { limit }) });
  const honest = loopbackBus(end);
  const bus = options.bus?.(honest) ?? honest;
  const dma = new DmaArena(memory, BASE, BYTES);
  const driver = new MessageDriver({ bus, dma });
  const change = (at: number, value: number) => {
    config.update((view) => view.setUint8(at, value));
    host?.configChanged();
  };
  return { device, end, bus, driver, dma, config, change };
}

/** Writes features and sets FEATURES_OK. */
export async function negotiate(driver: MessageDriver, features: FeatureSet): Promise<void> {
  await driver.reset();
  const begun = STATUS.ACKNOWLEDGE | STATUS.DRIVER;
  await driver.writeStatus(STATUS.ACKNOWLEDGE);
  await driver.writeStatus(begun);
  await driver.writeFeatures(features);
  await driver.writeStatus(begun | STATUS.FEATURES_OK);
}

/** Bytes as hex, in groups that blanks may separate. */
export function fromHex(hex: string): Uint8Array {
  const digits = hex.replaceAll(/\s/g, "");
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
}

/** Hex of bytes. */
export function toHex(bytes: Uint8Array | undefined): string | undefined {
  return bytes && [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
