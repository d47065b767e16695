/** What a device is made from, and its checks before anything is made. */
import { VirtioError } from "../errors.ts";
import type { GuestMemory } from "../memory/types.ts";
import type { TraceSink } from "../trace/types.ts";
import { isDeviceTypeFeature, RING_FEATURES, SUPPORTED_FEATURES } from "./feature-rules.ts";
import { FEATURE, featureName } from "./features.ts";
import type { AdminFacility, DeviceModel } from "./types.ts";

/** How many virtqueues a device can have (section "Virtqueues"). */
export const QUEUE_COUNT_LIMIT = 0x10000;
/** The largest size of a virtqueue. */
export const QUEUE_SIZE_LIMIT = 0x8000;

/** What a `VirtioDevice` is made from. */
export interface VirtioDeviceInit {
  /** The device type. */
  readonly model: DeviceModel;
  /** The memory that the driver shares. */
  readonly memory: GuestMemory;
  /**
   * The device-independent features to offer besides VIRTIO_F_VERSION_1, which always is, and
   * VIRTIO_F_ADMIN_VQ, which `admin` brings. {@link RING_FEATURES} unless given.
   */
  readonly features?: readonly number[];
  /** The administration virtqueues; they lie directly after the model's queues. */
  readonly admin?: AdminFacility;
  /**
   * True for a transitional device: a driver from before virtio 1.0 can drive it, where the transport
   * has legacy registers. False unless given.
   */
  readonly transitional?: boolean;
  /** Where events go. */
  readonly trace?: TraceSink;
}

/**
 * Checks what a device is to be made from.
 *
 * @throws VirtioError `DEVICE_MODEL` naming the field that contradicts the specification.
 */
export function checkInit(init: VirtioDeviceInit): void {
  const { model, features = RING_FEATURES, admin, transitional } = init;
  checkModel(model);
  checkFeatures(features);
  if (admin !== undefined) checkAdmin(admin, QUEUE_COUNT_LIMIT - model.queues.length);
  if (transitional === true) checkTransitional(model);
}

function checkModel(model: DeviceModel): void {
  if (!Number.isInteger(model.deviceId) || model.deviceId < 1 || model.deviceId > 0xffff) {
    throw invalid("model.deviceId", "a virtio device id is 1 to 65535", model.deviceId);
  }
  for (const bit of model.features) {
    if (!isDeviceTypeFeature(bit)) {
      throw invalid("model.features", "not a feature bit of device types", bit);
    }
  }
  model.queues.forEach(({ maxSize }, i) => {
    checkSize(`model.queues[${i}].maxSize`, maxSize);
  });
  if (model.queues.length > QUEUE_COUNT_LIMIT) {
    throw invalid("model.queues", "a device has at most 65536 virtqueues", model.queues.length);
  }
}

function checkFeatures(features: readonly number[]): void {
  for (const bit of features) {
    if (bit === FEATURE.VIRTIO_F_ADMIN_VQ) {
      throw invalid("features", "VIRTIO_F_ADMIN_VQ comes with the admin facility", bit);
    }
    if (!SUPPORTED_FEATURES.has(bit)) {
      throw invalid("features", `this device cannot live up to ${featureName(bit)}`, bit);
    }
  }
}

function checkAdmin(admin: AdminFacility, room: number): void {
  if (!Number.isInteger(admin.queueCount) || admin.queueCount < 1 || admin.queueCount > room) {
    throw invalid("admin.queueCount", `there are 1 to ${room} of them`, admin.queueCount);
  }
  checkSize("admin.maxSize", admin.maxSize);
}

function checkTransitional({ config }: DeviceModel): void {
  if (config === undefined || config.hasFields) return;
  throw new VirtioError("DEVICE_MODEL", {
    message: "a transitional device knows the fields of its configuration space",
    path: "model.config",
    hint: "give ConfigSpace a layout",
  });
}

function checkSize(path: string, size: number): void {
  const isPower = Number.isInteger(size) && size >= 1 && (size & (size - 1)) === 0;
  if (!isPower || size > QUEUE_SIZE_LIMIT) {
    throw invalid(path, "a queue size is a power of two up to 32768", size);
  }
}

function invalid(path: string, message: string, value: unknown): VirtioError {
  return new VirtioError("DEVICE_MODEL", { message, path, value });
}
