/**
 * Virtio over PCI: both halves of the transport, with the administration virtqueue and SR-IOV groups.
 *
 * @packageDocumentation
 */

export { assignBars, type BarState } from "./bars.ts";
export {
  LOOPBACK_MESSAGE_ADDRESS,
  loopbackBus,
  type MsixMessage,
  type PciBus,
  type PciInterrupt,
} from "./bus.ts";
export type { PciBar, PciIdentity } from "./config-template.ts";
export { PciDevice, type PciDeviceInit } from "./device.ts";
export type { DiscoveredMsix, Discovery, PassedOver, StructureName } from "./discovery.ts";
export { PciDriver, type PciDriverInit, type VirtualFunctionIdentity } from "./driver.ts";
export {
  ARI_CAPABILITY_LAYOUT,
  PCI_EXPRESS_CAPABILITY_LAYOUT,
  PCI_EXTENDED_CAPABILITY,
  PCI_EXTENDED_HEADER_LAYOUT,
  SRIOV_CAPABILITY_LAYOUT,
} from "./express-layout.ts";
export { FunctionGroup, type FunctionGroupInit } from "./function-group.ts";
export type { PciInterruptSink } from "./interrupts.ts";
export {
  type CommonField,
  MSIX_CAPABILITY_LAYOUT,
  MSIX_ENTRY_LAYOUT,
  MSIX_VECTORS_MAX,
  NO_VECTOR,
  PCI_CAPABILITY,
  PCI_HEADER_LAYOUT,
  PROPOSAL_V5_PCI_CAP_MISC,
  PROPOSAL_V5_PCI_MISC_CFG_LAYOUT,
  VIRTIO_PCI_CAP,
  VIRTIO_PCI_CAP_LAYOUT,
  VIRTIO_PCI_CAP64_LAYOUT,
  VIRTIO_PCI_CFG_CAP_LAYOUT,
  VIRTIO_PCI_COMMON_CFG_LAYOUT,
  VIRTIO_PCI_DEVICE_BASE,
  VIRTIO_PCI_DEVICE_LAST,
  VIRTIO_PCI_ISR_LAYOUT,
  VIRTIO_PCI_NOTIFY_CAP_LAYOUT,
  VIRTIO_PCI_VENDOR,
} from "./layout.ts";
export { PCI_LAYOUTS } from "./layouts.ts";
export {
  LEGACY_QUEUE_ALIGNMENT,
  type LegacyField,
  VIRTIO_PCI_LEGACY_LAYOUT,
  VIRTIO_PCI_LEGACY_MSIX_LAYOUT,
} from "./legacy-layout.ts";
export type { VectorMasking } from "./msix.ts";
export {
  type FunctionKind,
  type MsixPlacement,
  PCI_UNSUPPORTED_FEATURES,
  type PciCapabilityName,
  type PciCapabilityPlace,
  type PciPlace,
  type PciPlacement,
  type PciWindow,
  type PciWindows,
  type ResolvedPlacement,
} from "./placement.ts";
export { PCI_TRANSPORT, type PciTransportOptions, pciTransport } from "./plugin.ts";
export type {
  SavedCommon,
  SavedGeneration,
  SavedMsix,
  SavedMsixEntry,
  SavedPci,
  SavedSriov,
} from "./saved-state.ts";
export { type MemberDevice, SriovGroup, type SriovGroupInit, type SriovMsix } from "./sriov.ts";
export { type CommandSource, type EnableOptions, SriovDriver } from "./sriov-driver.ts";
export type { InterruptChoice } from "./vectors.ts";
export type {
  PhysicalFunction,
  SriovConnection,
  SriovConstants,
  SriovSwitches,
  VirtualFunctionOwner,
  VirtualFunctionPlace,
  VirtualFunctions,
} from "./virtual-function.ts";
export type { SavedRegisters } from "./writable-registers.ts";
