/**
 * The vfio-user protocol: a server that exposes PCI functions to a VMM in another process, and a
 * client that is the bus of our own driver half.
 *
 * @packageDocumentation
 */

export {
  DEFAULT_CAPABILITIES,
  decodeVersion,
  encodeVersion,
  type VfioUserCapabilities,
  type VfioUserVersion,
} from "./capabilities.ts";
export { VfioUserClient, type VfioUserClientInit } from "./client.ts";
export type { VfioUserMemoryInit } from "./client-memory.ts";
export { DMA_RANGES_LIMIT, DmaMemory } from "./dma-memory.ts";
export type { VfioUserFunction } from "./function.ts";
export {
  VFIO_IRQ,
  VFIO_REGION,
  VFIO_USER_COMMAND,
  VFIO_USER_DEVICE_INFO_LAYOUT,
  VFIO_USER_DMA_ACCESS_LAYOUT,
  VFIO_USER_DMA_MAP_LAYOUT,
  VFIO_USER_DMA_UNMAP_LAYOUT,
  VFIO_USER_HEADER_LAYOUT,
  VFIO_USER_IRQ_INFO_LAYOUT,
  VFIO_USER_IRQ_SET_LAYOUT,
  VFIO_USER_REGION_ACCESS_LAYOUT,
  VFIO_USER_REGION_INFO_LAYOUT,
  VFIO_USER_REGION_IO_FDS_LAYOUT,
  VFIO_USER_VERSION,
  VFIO_USER_VERSION_LAYOUT,
  VFIO_USER_WRITE_MULTI_LAYOUT,
  VFIO_USER_WRITE_ONE_LAYOUT,
} from "./protocol.ts";
export { VfioUserHeldError } from "./refusal.ts";
export { VfioUserServer, type VfioUserServerInit } from "./server.ts";
export type { MappingPolicy } from "./session.ts";
export { mapSharedFile, type SharedFile } from "./shared-file.ts";
