/** The block device, both halves. */
export { type BlockInit, createBlock } from "./device.ts";
export { BLOCK_DRIVER_FEATURES, BlockDriver, type BlockDriverOptions } from "./driver.ts";
export {
  BLOCK_DEVICE_ID,
  BLOCK_FEATURE,
  BLOCK_ID_LENGTH,
  BLOCK_LEGACY_FLUSH,
  BLOCK_REQUEST,
  BLOCK_STATUS,
  SECTOR_SIZE,
  VIRTIO_BLK_CONFIG,
  VIRTIO_BLK_REQ,
} from "./layout.ts";
export { type BlockStorage, type MemoryStorage, memoryStorage } from "./storage.ts";
