/** The device half's core, and what device types and transports are written against. */
export { ConfigSpace, type ConfigSpaceInit } from "./config-space.ts";
export { VirtioDevice, type VirtioDeviceInit } from "./device.ts";
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
export { QUEUE_COUNT_LIMIT, QUEUE_SIZE_LIMIT } from "./init.ts";
export {
  type DeviceChange,
  type DeviceState,
  isSnapshotDevice,
  type SavedConfig,
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
  ProvisionAspect,
  ProvisionableDevice,
  ProvisionRefusal,
  ProvisionWatcher,
  QueueArea,
  QueueConsumer,
  QueueSpec,
  TransportFacingDevice,
} from "./types.ts";
