/**
 * What the block device has on the wire, all little-endian (section "Block Device"): feature bits,
 * configuration space, request header, request types and statuses.
 */
import { struct } from "@virtio-admin/core";

/** The virtio device id of the block device. */
export const BLOCK_DEVICE_ID = 2;

/** The unit of addresses and lengths in bytes, whatever the block size (section "Device Operation"). */
export const SECTOR_SIZE = 512;

/** The feature bits of the block device by their names in the specification (section "Feature bits"). */
export const BLOCK_FEATURE = {
  /** The size of a segment is limited. */
  VIRTIO_BLK_F_SIZE_MAX: 1,
  /** The number of segments of a request is limited. */
  VIRTIO_BLK_F_SEG_MAX: 2,
  /** Tells the geometry of a disk. */
  VIRTIO_BLK_F_GEOMETRY: 4,
  /** Read-only: writes fail. */
  VIRTIO_BLK_F_RO: 5,
  /** Tells the block size that suits the device. */
  VIRTIO_BLK_F_BLK_SIZE: 6,
  /** Has the flush request. */
  VIRTIO_BLK_F_FLUSH: 9,
  /** Tells how requests are best aligned. */
  VIRTIO_BLK_F_TOPOLOGY: 10,
  /** Its cache can be switched between writeback and writethrough. */
  VIRTIO_BLK_F_CONFIG_WCE: 11,
  /** Has several request queues. */
  VIRTIO_BLK_F_MQ: 12,
  /** Has the discard request. */
  VIRTIO_BLK_F_DISCARD: 13,
  /** Has the request that writes zeroes. */
  VIRTIO_BLK_F_WRITE_ZEROES: 14,
  /** Tells how worn the storage is. */
  VIRTIO_BLK_F_LIFETIME: 15,
  /** Has the secure erase request. */
  VIRTIO_BLK_F_SECURE_ERASE: 16,
  /** Is a zoned block device. */
  VIRTIO_BLK_F_ZONED: 17,
} as const;

/** The types of requests that both halves know; a device answers any other with `S_UNSUPP`. */
export const BLOCK_REQUEST = {
  /** Reads sectors. */
  VIRTIO_BLK_T_IN: 0,
  /** Writes sectors. */
  VIRTIO_BLK_T_OUT: 1,
  /** Makes the writes that are completed stable. */
  VIRTIO_BLK_T_FLUSH: 4,
  /** Reads the device ID string. */
  VIRTIO_BLK_T_GET_ID: 8,
} as const;

/**
 * What a legacy driver may send in place of `VIRTIO_BLK_T_FLUSH` (section "Legacy Interface: Device
 * Operation"); without meaning through the modern interface.
 */
export const BLOCK_LEGACY_FLUSH = 5;

/** What the last byte of a request says once the device has used it. */
export const BLOCK_STATUS = {
  /** The request was carried out. */
  VIRTIO_BLK_S_OK: 0,
  /** The storage failed, or the driver asked for what cannot be. */
  VIRTIO_BLK_S_IOERR: 1,
  /** The device has no such request. */
  VIRTIO_BLK_S_UNSUPP: 2,
} as const;

/** The length of the device ID string: NUL-padded ASCII, without a NUL when it is that long. */
export const BLOCK_ID_LENGTH = 20;

const {
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_GEOMETRY,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_TOPOLOGY,
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_MQ,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_WRITE_ZEROES,
  VIRTIO_BLK_F_SECURE_ERASE,
  VIRTIO_BLK_F_ZONED,
} = BLOCK_FEATURE;

const SIZE_MAX = { feature: VIRTIO_BLK_F_SIZE_MAX };
const SEG_MAX = { feature: VIRTIO_BLK_F_SEG_MAX };
const GEOMETRY = { feature: VIRTIO_BLK_F_GEOMETRY };
const BLK_SIZE = { feature: VIRTIO_BLK_F_BLK_SIZE };
const TOPOLOGY = { feature: VIRTIO_BLK_F_TOPOLOGY };
const CONFIG_WCE = { feature: VIRTIO_BLK_F_CONFIG_WCE };
const MQ = { feature: VIRTIO_BLK_F_MQ };
const DISCARD = { feature: VIRTIO_BLK_F_DISCARD };
const WRITE_ZEROES = { feature: VIRTIO_BLK_F_WRITE_ZEROES };
const SECURE_ERASE = { feature: VIRTIO_BLK_F_SECURE_ERASE };
const ZONED = { feature: VIRTIO_BLK_F_ZONED };

/** The configuration space. Nested structures are flat here, with the outer name in front. */
export const VIRTIO_BLK_CONFIG = struct(
  "virtio_blk_config",
  {
    cite: "Block Device: Device configuration layout",
    doc: "The configuration space of a block device; all but the capacity comes with a feature.",
  },
  {
    capacity: { offset: 0, type: "le64", access: "R", doc: "The size in sectors of 512 bytes." },
    size_max: {
      offset: 8,
      type: "le32",
      access: "R",
      gate: SIZE_MAX,
      doc: "The most bytes of one segment.",
    },
    seg_max: {
      offset: 12,
      type: "le32",
      access: "R",
      gate: SEG_MAX,
      doc: "The most segments of one request's data.",
    },
    geometry_cylinders: {
      offset: 16,
      type: "le16",
      access: "R",
      gate: GEOMETRY,
      doc: "Cylinders of a disk.",
    },
    geometry_heads: {
      offset: 18,
      type: "u8",
      access: "R",
      gate: GEOMETRY,
      doc: "Heads of a disk.",
    },
    geometry_sectors: {
      offset: 19,
      type: "u8",
      access: "R",
      gate: GEOMETRY,
      doc: "Sectors of each track.",
    },
    blk_size: {
      offset: 20,
      type: "le32",
      access: "R",
      gate: BLK_SIZE,
      doc: "The block size in bytes that serves the device best.",
    },
    topology_physical_block_exp: {
      offset: 24,
      type: "u8",
      access: "R",
      gate: TOPOLOGY,
      doc: "The binary logarithm of logical blocks per physical block.",
    },
    topology_alignment_offset: {
      offset: 25,
      type: "u8",
      access: "R",
      gate: TOPOLOGY,
      doc: "The first aligned logical block.",
    },
    topology_min_io_size: {
      offset: 26,
      type: "le16",
      access: "R",
      gate: TOPOLOGY,
      doc: "The smallest request in blocks that is suggested.",
    },
    topology_opt_io_size: {
      offset: 28,
      type: "le32",
      access: "R",
      gate: TOPOLOGY,
      doc: "The largest request in blocks that is suggested.",
    },
    writeback: {
      offset: 32,
      type: "u8",
      access: "RW",
      gate: CONFIG_WCE,
      doc: "The cache mode: 0 writethrough, 1 writeback.",
    },
    unused0: { offset: 33, type: "u8", access: "R", doc: "Reads 0." },
    num_queues: {
      offset: 34,
      type: "le16",
      access: "R",
      gate: MQ,
      doc: "How many request queues there are.",
    },
    max_discard_sectors: {
      offset: 36,
      type: "le32",
      access: "R",
      gate: DISCARD,
      doc: "The most sectors of one discard segment.",
    },
    max_discard_seg: {
      offset: 40,
      type: "le32",
      access: "R",
      gate: DISCARD,
      doc: "The most segments of one discard.",
    },
    discard_sector_alignment: {
      offset: 44,
      type: "le32",
      access: "R",
      gate: DISCARD,
      doc: "The alignment in sectors that suits discards.",
    },
    max_write_zeroes_sectors: {
      offset: 48,
      type: "le32",
      access: "R",
      gate: WRITE_ZEROES,
      doc: "The most sectors of one write-zeroes segment.",
    },
    max_write_zeroes_seg: {
      offset: 52,
      type: "le32",
      access: "R",
      gate: WRITE_ZEROES,
      doc: "The most segments of one write of zeroes.",
    },
    write_zeroes_may_unmap: {
      offset: 56,
      type: "u8",
      access: "R",
      gate: WRITE_ZEROES,
      doc: "1 when a write of zeroes with `unmap` may discard.",
    },
    unused1: { offset: 57, type: "u8", count: 3, access: "R", doc: "Reads 0." },
    max_secure_erase_sectors: {
      offset: 60,
      type: "le32",
      access: "R",
      gate: SECURE_ERASE,
      doc: "The most sectors of one secure erase segment.",
    },
    max_secure_erase_seg: {
      offset: 64,
      type: "le32",
      access: "R",
      gate: SECURE_ERASE,
      doc: "The most segments of one secure erase.",
    },
    secure_erase_sector_alignment: {
      offset: 68,
      type: "le32",
      access: "R",
      gate: SECURE_ERASE,
      doc: "The alignment in sectors that suits secure erases.",
    },
    zoned_zone_sectors: {
      offset: 72,
      type: "le32",
      access: "R",
      gate: ZONED,
      doc: "The size of a zone in sectors.",
    },
    zoned_max_open_zones: {
      offset: 76,
      type: "le32",
      access: "R",
      gate: ZONED,
      doc: "The most open zones; 0 for no limit.",
    },
    zoned_max_active_zones: {
      offset: 80,
      type: "le32",
      access: "R",
      gate: ZONED,
      doc: "The most active zones; 0 for no limit.",
    },
    zoned_max_append_sectors: {
      offset: 84,
      type: "le32",
      access: "R",
      gate: ZONED,
      doc: "The most sectors of one zone append.",
    },
    zoned_write_granularity: {
      offset: 88,
      type: "le32",
      access: "R",
      gate: ZONED,
      doc: "The alignment in bytes of writes to a sequential zone.",
    },
    zoned_model: {
      offset: 92,
      type: "u8",
      access: "R",
      gate: ZONED,
      doc: "Not zoned, host-managed or host-aware.",
    },
    zoned_unused2: {
      offset: 93,
      type: "u8",
      count: 3,
      access: "R",
      gate: ZONED,
      doc: "Reads 0.",
    },
  },
);

/**
 * How a request begins. Its data follows, device-readable or device-writable as the type demands,
 * and one status byte, the last that is device-writable.
 */
export const VIRTIO_BLK_REQ = struct(
  "virtio_blk_req",
  { cite: "Block Device: Device Operation", doc: "The header of a request, device-readable." },
  {
    type: { offset: 0, type: "le32", doc: "The type of the request." },
    reserved: { offset: 4, type: "le32", doc: "0; once a priority." },
    sector: {
      offset: 8,
      type: "le64",
      doc: "Where a read or write begins, in sectors of 512 bytes; 0 for other requests.",
    },
  },
);
