/**
 * Virtio over MMIO: the device half (what a VMM calls), the driver half (what a guest driver does),
 * and the register layouts, among them a reference layout for administration virtqueues.
 *
 * @packageDocumentation
 */
export { loopbackBus, type MmioBus } from "./bus.ts";
export {
  checkMmioLayout,
  exposesAdminQueues,
  MMIO_RESERVED_FEATURES,
  MmioDevice,
  type MmioDeviceInit,
} from "./device.ts";
export { MmioDriver, type MmioDriverInit } from "./driver.ts";
export {
  MMIO_INTERRUPT,
  MMIO_MAGIC,
  MMIO_RATIFIED_LAYOUT,
  MMIO_REFERENCE_LAYOUT,
  MMIO_REQUIRED_REGISTERS,
  MMIO_VERSION,
  type MmioRegister,
} from "./layout.ts";
export { MMIO_TRANSPORT, mmioTransport } from "./plugin.ts";
export type { SavedMmio } from "./saved-state.ts";
