/** The device half's core, and what device types and transports are written against. */
export { type ConfigField, ConfigSpace, type ConfigSpaceInit } from "./config-space.ts";
export { VirtioDevice } from "./device.ts";
export {
  FEATURE_DEPENDENCIES,
  type FeatureDependency,
  isDeviceTypeFeature,
  RING_FEATURES,
  SUPPORTED_FEATURES,
  violatedDependency,
  withoutUnmet,
} from "./feature-rules.ts";
export { FEATURE, FEATURE_BITS, FEATURE_WORDS, FeatureSet, featureName } from "./features.ts";
export { QUEUE_COUNT_LIMIT, QUEUE_SIZE_LIMIT, type VirtioDeviceInit } from "./init.ts";
export { LEGACY_FEATURE, LEGACY_STATUS_BITS } from "./legacy.ts";
export {
  COMMON_PARTS,
  type CommonPart,
  type CommonPartName,
  DEVICE_TYPE_PARTS,
  NO_QUEUE_VECTOR,
  type PartSelectorKind,
  VIRTIO_DEV_PART_DEVICE_STATUS,
  VIRTIO_DEV_PART_FEATURES,
  VIRTIO_DEV_PART_HDR,
  VIRTIO_DEV_PART_VQ_CFG,
  VIRTIO_DEV_PART_VQ_NOTIFY_DATA,
} from "./part-layout.ts";
export {
  commonPart,
  commonPartName,
  type DevicePart,
  decodePartHeaders,
  decodeParts,
  describePart,
  encodePartHeaders,
  encodeParts,
  headerOf,
  inPartOrder,
  isOptionalPart,
  isPartsDevice,
  PART_HEADER_BYTES,
  type PartHeader,
  type PartsDevice,
  type PartsHook,
  partKey,
  selectorOf,
} from "./parts.ts";
export {
  type StateReader,
  type StateReaders,
  savedAddress,
  savedAscending,
  savedBoolean,
  savedBytes,
  savedInteger,
  savedList,
  savedObject,
  savedSame,
  savedText,
} from "./saved-readers.ts";
export {
  addressFromHex,
  addressToHex,
  type DeviceChange,
  type DeviceState,
  isSnapshotDevice,
  refuseState,
  type SavedConfig,
  type SavedLegacy,
  type SavedQueue,
  type SavedRing,
  type SnapshotDevice,
  type StateChange,
  type StateHook,
} from "./saved-state.ts";
export {
  DRIVER_STATUS_BITS,
  judgeStatusWrite,
  STATUS,
  STATUS_RULES,
  type StatusChange,
  type StatusRefusal,
  type StatusReset,
  type StatusRule,
  type StatusVerdict,
  statusNames,
} from "./status.ts";
export { BUFFER_TRACE_LIMIT } from "./traced-queue.ts";
export type {
  AdminFacility,
  DeviceHost,
  DeviceModel,
  DevicePort,
  LegacyFacingDevice,
  ProvisionAspect,
  ProvisionableDevice,
  ProvisionRefusal,
  ProvisionWatcher,
  QueueArea,
  QueueConsumer,
  QueueSpec,
  TransportFacingDevice,
} from "./types.ts";
