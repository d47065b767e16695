/** The block device (section "Block Device"): sectors of a storage, read and written by requests. */
import {
  accessors,
  ConfigSpace,
  type DeviceHost,
  type DeviceModel,
  type QueueSpec,
  VirtioError,
} from "@virtio-admin/core";
import {
  BLOCK_DEVICE_ID,
  BLOCK_FEATURE,
  BLOCK_ID_LENGTH,
  SECTOR_SIZE,
  VIRTIO_BLK_CONFIG,
} from "./layout.ts";
import { type Disk, Requests } from "./requests.ts";
import type { BlockStorage } from "./storage.ts";

/** What a block device is made from. */
export interface BlockInit {
  /** Where its bytes are. A last part that is no whole sector is out of reach. */
  readonly storage: BlockStorage;
  /**
   * The device-type features to offer. Unless given: SEG_MAX, BLK_SIZE and FLUSH; RO when the
   * storage is read-only, MQ when there are several queues, SIZE_MAX when `sizeMax` is given.
   */
  readonly features?: readonly number[];
  /** How many request queues there are, 1 to 65535; 1 unless given. */
  readonly queues?: number;
  /** The largest size of each; 256 unless given. */
  readonly queueSize?: number;
  /**
   * The most segments of one request's data, offered with SEG_MAX: with a header and a status they
   * fit the queue, so at most, and unless given, the queue size - 2.
   */
  readonly segMax?: number;
  /** The most bytes of one segment, offered with SIZE_MAX. */
  readonly sizeMax?: number;
  /** The block size that suits the storage, a multiple of 512 and offered with BLK_SIZE; 512 unless given. */
  readonly blockSize?: number;
  /** The device ID string, up to 20 ASCII characters; `virtio-admin` unless given. */
  readonly id?: string;
}

const DEFAULT_QUEUE_SIZE = 256;
const DEFAULT_ID = "virtio-admin";
/** The header and the status, beside the segments of the data. */
const FRAME_SEGMENTS = 2;
const LE16_MAX = 0xffff;
const LE32_MAX = 0xffffffff;

const {
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_MQ,
} = BLOCK_FEATURE;

/** The features that this device can have. */
const SERVED_FEATURES: readonly number[] = [
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_MQ,
];

const CONFIG = accessors(VIRTIO_BLK_CONFIG);

/**
 * Makes a block device.
 *
 * Requests that reach beyond the capacity, whose data is no multiple of 512 bytes, that write to a
 * read-only device, or that the storage fails, are answered with `S_IOERR`; requests of an unknown
 * type with `S_UNSUPP`. Requests of an asynchronous storage may be completed out of order. After a
 * reset, requests wait until the storage has settled what was begun before it.
 *
 * @throws VirtioError `DEVICE_MODEL` when what it is made from contradicts itself or does not fit
 * its field.
 */
export function createBlock(init: BlockInit): DeviceModel {
  return new Block(init);
}

class Block implements DeviceModel {
  readonly name = "block";
  readonly deviceId = BLOCK_DEVICE_ID;
  readonly features: readonly number[];
  readonly queues: readonly QueueSpec[];
  readonly config: ConfigSpace;
  readonly #disk: Disk;
  #host: DeviceHost | undefined = undefined;
  #requests: Requests | undefined = undefined;

  constructor(init: BlockInit) {
    const { storage } = init;
    const queues = inRange("queues", init.queues ?? 1, 1, LE16_MAX);
    const maxSize = init.queueSize ?? DEFAULT_QUEUE_SIZE;
    this.features = featuresOf(init, queues);
    this.queues = Array.from({ length: queues }, (_, i) => ({ name: `requestq${i + 1}`, maxSize }));
    const length = inRange("storage.length", storage.length, 0, Number.MAX_SAFE_INTEGER);
    const sectors = Math.floor(length / SECTOR_SIZE);
    this.#disk = {
      storage,
      sectors,
      readonly: this.features.includes(VIRTIO_BLK_F_RO),
      offersFlush: this.features.includes(VIRTIO_BLK_F_FLUSH),
      id: idOf(init.id ?? DEFAULT_ID),
    };
    this.config = new ConfigSpace({
      bytes: configOf(init, this.features, sectors, queues, maxSize),
      layout: VIRTIO_BLK_CONFIG,
    });
  }

  attach(host: DeviceHost): void {
    this.#host = host;
    this.#requests = new Requests(host, this.#disk);
  }

  start(): void {
    for (let index = 0; index < this.queues.length; index++) this.queueNotified(index);
  }

  queueNotified(index: number): void {
    // Without VIRTIO_BLK_F_MQ there is one queue, whatever the driver enabled.
    if (index > 0 && this.#host?.features.has(VIRTIO_BLK_F_MQ) !== true) return;
    this.#requests?.visit(index);
  }

  queueReset(index: number): void {
    this.#requests?.revoke(index);
  }

  reset(): void {
    this.#requests?.revoke();
  }
}

function featuresOf(init: BlockInit, queues: number): readonly number[] {
  const readonly = init.storage.readonly === true;
  const features = init.features ?? [
    VIRTIO_BLK_F_SEG_MAX,
    VIRTIO_BLK_F_BLK_SIZE,
    VIRTIO_BLK_F_FLUSH,
    ...(readonly ? [VIRTIO_BLK_F_RO] : []),
    ...(queues > 1 ? [VIRTIO_BLK_F_MQ] : []),
    ...(init.sizeMax === undefined ? [] : [VIRTIO_BLK_F_SIZE_MAX]),
  ];
  const unknown = features.find((bit) => !SERVED_FEATURES.includes(bit));
  if (unknown !== undefined) throw invalid("features", "this device has no such feature", unknown);
  if (readonly && !features.includes(VIRTIO_BLK_F_RO)) {
    throw invalid("features", "a read-only storage needs VIRTIO_BLK_F_RO", features);
  }
  if (queues > 1 && !features.includes(VIRTIO_BLK_F_MQ)) {
    throw invalid("features", "several queues need VIRTIO_BLK_F_MQ", features);
  }
  if (init.sizeMax === undefined && features.includes(VIRTIO_BLK_F_SIZE_MAX)) {
    throw invalid("sizeMax", "VIRTIO_BLK_F_SIZE_MAX needs a value", init.sizeMax);
  }
  return features;
}

function configOf(
  init: BlockInit,
  features: readonly number[],
  sectors: number,
  queues: number,
  queueSize: number,
): Uint8Array {
  const bytes = new Uint8Array(VIRTIO_BLK_CONFIG.size);
  const view = new DataView(bytes.buffer);
  CONFIG.capacity.setNumber(view, 0, sectors);
  if (features.includes(VIRTIO_BLK_F_SIZE_MAX)) {
    CONFIG.size_max.set(view, 0, inRange("sizeMax", init.sizeMax ?? 0, 1, LE32_MAX));
  }
  if (features.includes(VIRTIO_BLK_F_SEG_MAX)) {
    // A longer chain would break the ring ("The Virtqueue Descriptor Table").
    const most = queueSize - FRAME_SEGMENTS;
    CONFIG.seg_max.set(view, 0, inRange("segMax", init.segMax ?? most, 1, most));
  }
  if (features.includes(VIRTIO_BLK_F_BLK_SIZE)) {
    const blockSize = inRange("blockSize", init.blockSize ?? SECTOR_SIZE, SECTOR_SIZE, LE32_MAX);
    if (blockSize % SECTOR_SIZE !== 0) {
      throw invalid("blockSize", "a block size is a multiple of 512", blockSize);
    }
    CONFIG.blk_size.set(view, 0, blockSize);
  }
  if (features.includes(VIRTIO_BLK_F_MQ)) CONFIG.num_queues.set(view, 0, queues);
  return bytes;
}

function idOf(id: string): Uint8Array {
  if (id.length > BLOCK_ID_LENGTH || !/^[\x20-\x7e]*$/.test(id)) {
    throw invalid("id", "a device ID string is up to 20 printable ASCII characters", id);
  }
  const bytes = new Uint8Array(BLOCK_ID_LENGTH);
  for (let i = 0; i < id.length; i++) bytes[i] = id.charCodeAt(i);
  return bytes;
}

function inRange(path: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw invalid(path, `an integer from ${least} to ${most} is needed`, value);
}

function invalid(path: string, message: string, value: unknown): VirtioError {
  return new VirtioError("DEVICE_MODEL", { message, path: `block.${path}`, value });
}
