/** The device types that owners and members can be of. */
import { type DeviceModel, FEATURE } from "@virtio-admin/core";
import { BLOCK_FEATURE, createBlock, createEntropy, memoryStorage } from "@virtio-admin/devices";

/** A device type by its name in a description. */
export type DeviceTypeName = "entropy" | "block";

/** The storage of a block device, which nobody keeps anything in. */
const STORAGE_BYTES = 0x8000;

/** What the devices of one description have in common. */
export interface DeviceTypeDescription {
  /** Their type. */
  readonly device: DeviceTypeName;
  /** How many request queues each has, of block devices; absent: 1. */
  readonly queues?: number;
}

/** Makes a device of a type, with queues of this size at most where one is given. */
export function createModel(
  { device, queues = 1 }: DeviceTypeDescription,
  queueSize?: number,
): DeviceModel {
  const size = queueSize === undefined ? {} : { queueSize };
  if (device === "entropy") return createEntropy(size);
  return createBlock({ storage: memoryStorage(STORAGE_BYTES), queues, ...size });
}

/** The features that have a name, by that name, with those of a device type. */
export function namedFeatures(type: DeviceTypeName): ReadonlyMap<string, number> {
  const typed: Readonly<Record<string, number>> = type === "block" ? BLOCK_FEATURE : {};
  return new Map(Object.entries({ ...FEATURE, ...typed }));
}
