/** The driver half's core: bring-up, and a device under its driver. */
export { bringUp } from "./bring-up.ts";
export { type DriverConfig, DriverDevice, type DriverDeviceState } from "./driver-device.ts";
export {
  type AdminQueueOption,
  type BringUpOptions,
  DEFAULT_QUEUE_SIZE,
  DRIVER_FEATURES,
  type DriverQueueOption,
} from "./options.ts";
export { DriverQueueHandle } from "./queue-handle.ts";
