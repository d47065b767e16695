/**
 * Virtio over channel I/O: the device half (what a VMM calls), the driver half (what a guest driver
 * does), and the channel commands, among them a reference layout for administration virtqueues.
 *
 * @packageDocumentation
 */
export { CCW_RESERVED_FEATURES, exposesAdminQueues } from "./binding.ts";
export { type CcwBus, type CcwLoopbackOptions, loopbackBus } from "./bus.ts";
export {
  CHANNEL_PROGRAM_LIMIT,
  type ChannelOperation,
  type ChannelUnit,
  type ExecutedCommand,
  runChannelProgram,
} from "./channel.ts";
export {
  CCW0,
  CCW1,
  CHANNEL_DEVICE_STATUS,
  type ChannelEnding,
  CONDITION_CODE,
  encodeIrb,
  IRB,
  ORB,
  SENSE_BYTE,
  SENSE_LENGTH,
  SUBCHANNEL_STATUS,
} from "./channel-layout.ts";
export { CcwDevice, type CcwDeviceInit, type CcwInterrupt, NOTIFY_REFUSED } from "./device.ts";
export { CcwDriver, type CcwDriverInit } from "./driver.ts";
export {
  type AdapterIndicators,
  adapterByte,
  adapterMask,
  CLASSIC_INDICATOR_LENGTH,
  classicByte,
  classicMask,
  SUMMARY_SET,
} from "./indicators.ts";
export {
  ADMIN_VQ_BLOCK,
  CCW_BASIC_LAYOUT,
  CCW_RATIFIED_LAYOUT,
  CCW_REFERENCE_LAYOUT,
  CHANNEL_PATH_TYPE,
  CLASSIC_INDICATOR_BITS,
  CONTROL_UNIT_TYPE,
  highestRevision,
  INDICATOR_ADDRESS,
  LOWEST_REVISION,
  NOTIFY_SUBCODE,
  SENSE_ID_BASIC_LENGTH,
  SENSE_ID_DATA,
  STATUS_BLOCK,
  VIRTIO_FEATURE_DESC,
  VIRTIO_REV_INFO,
  VIRTIO_THININT_AREA,
  VQ_CONFIG_BLOCK,
  VQ_INFO_BLOCK,
} from "./layout.ts";
export { CCW_TRANSPORT, ccwTransport } from "./plugin.ts";
export type { SavedAdapterIndicators, SavedCcw, SavedIndicators } from "./saved-state.ts";
