/** The driver of the block device (section "Block Device"). */
import {
  accessors,
  type DriverDevice,
  type DriverQueueHandle,
  type Field,
  isVirtioError,
  VirtioError,
  withDeadline,
} from "@virtio-admin/core";
import {
  BLOCK_DEVICE_ID,
  BLOCK_FEATURE,
  BLOCK_ID_LENGTH,
  BLOCK_REQUEST,
  SECTOR_SIZE,
  VIRTIO_BLK_CONFIG,
} from "./layout.ts";
import { RequestSlot, type SlotRequest } from "./request-slot.ts";

/** What a block driver may be told. */
export interface BlockDriverOptions {
  /** How many requests may be outstanding on each queue; 8 unless given, fewer on a small queue. */
  readonly depth?: number;
  /**
   * The most bytes of one request, a multiple of 512 up to 2^26; 65536 unless given. The device's
   * limits lower it. Longer reads and writes take several requests.
   */
  readonly requestSize?: number;
  /** How long one request may take, in milliseconds; 30000 unless given. */
  readonly timeout?: number;
}

const {
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_MQ,
} = BLOCK_FEATURE;

/** The device-type features that a {@link BlockDriver} makes use of: for the options of `bringUp`. */
export const BLOCK_DRIVER_FEATURES: readonly number[] = [
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_MQ,
];

const DEFAULT_DEPTH = 8;
const DEFAULT_REQUEST_SIZE = 0x1_0000;
const REQUEST_SIZE_LIMIT = 2 ** 26;
const DEFAULT_TIMEOUT = 30_000;
/** The most bytes of one read or write; a larger one is a mistake rather than a need. */
const TRANSFER_LIMIT = 2 ** 30;
/** The header and the status, beside the segments of the data. */
const FRAME_SEGMENTS = 2;

const CONFIG = accessors(VIRTIO_BLK_CONFIG);

/** What the configuration space says of a device under these features. */
interface Limits {
  readonly capacity: number;
  readonly blockSize: number;
  readonly queues: number;
  /** The most bytes of one segment, and the most segments of one request. */
  readonly segmentSize: number;
  readonly segments: number;
}

/** One queue that the driver uses, and its requests by the ids of their buffers. */
interface RequestQueue {
  readonly handle: DriverQueueHandle;
  readonly outstanding: (RequestSlot | undefined)[];
}

/**
 * Reads and writes sectors through a block device. Several calls may be under way: their requests
 * are spread over the queues and may be carried out in any order, so await a write before what
 * depends on it.
 */
export class BlockDriver {
  readonly #device: DriverDevice;
  readonly #timeout: number;
  readonly #limits: Limits;
  readonly #requestSize: number;
  readonly #queues: readonly RequestQueue[];
  /** Slots without a request, the one that waits longest first. */
  readonly #idle: RequestSlot[] = [];
  readonly #waiting: { resolve: (slot: RequestSlot) => void; reject: (error: unknown) => void }[] =
    [];
  readonly #ignoreFailure: () => void;
  readonly #ignoreConfigChange: () => void;
  #capacity: number;
  #error: VirtioError | undefined = undefined;
  #closed = false;

  private constructor(
    device: DriverDevice,
    handles: readonly DriverQueueHandle[],
    limits: Limits,
    options: BlockDriverOptions,
  ) {
    this.#device = device;
    this.#limits = limits;
    this.#capacity = limits.capacity;
    this.#timeout = options.timeout ?? DEFAULT_TIMEOUT;
    this.#queues = handles.map((handle) => ({
      handle,
      outstanding: new Array<undefined>(handle.size).fill(undefined),
    }));
    const asked = options.requestSize ?? DEFAULT_REQUEST_SIZE;
    const smallest = handles.reduce((size, handle) => Math.min(size, handle.size), 0x8000);
    const segments = Math.min(limits.segments, smallest - FRAME_SEGMENTS);
    const most = Math.min(asked, limits.segmentSize * segments);
    this.#requestSize = most - (most % SECTOR_SIZE);
    if (this.#requestSize <= 0) {
      throw new VirtioError("DEVICE_FAILED", {
        message: `no sector fits a request of ${segments} segments of ${limits.segmentSize} bytes`,
        path: "virtio_blk_config",
        hint: "bring the device up with larger queues",
      });
    }
    try {
      this.#allocate(options.depth ?? DEFAULT_DEPTH);
    } catch (error) {
      for (const slot of this.#idle) slot.free();
      throw error;
    }
    for (const queue of this.#queues) queue.handle.onUsed = () => this.#used(queue);
    this.#ignoreFailure = device.onFailure((error) => this.#end(error));
    this.#ignoreConfigChange = device.onConfigChange(() => this.#lookAtCapacity());
  }

  /**
   * Takes over the request queues of a device that was brought up: queue 0 and, with
   * VIRTIO_BLK_F_MQ, those that follow it without a gap.
   *
   * @throws VirtioError `DEVICE_UNKNOWN` when it is no block device; `QUEUE_UNAVAILABLE` when queue
   * 0 was not set up; `DEVICE_FAILED` when no request fits its limits and the queues; `VALUE_RANGE`
   * for options that cannot be; `MEMORY_EXHAUSTED`; `TRANSPORT`.
   */
  static async open(device: DriverDevice, options: BlockDriverOptions = {}): Promise<BlockDriver> {
    if (device.identity.deviceId !== BLOCK_DEVICE_ID) {
      throw new VirtioError("DEVICE_UNKNOWN", {
        message: "not a block device",
        path: "device.identity.deviceId",
        value: device.identity.deviceId,
      });
    }
    checkOptions(options);
    const limits = await readLimits(device);
    return new BlockDriver(device, queuesOf(device, limits.queues), limits, options);
  }

  /** How many sectors of 512 bytes there are. Follows what the device tells of its changes. */
  get capacity(): number {
    return this.#capacity;
  }

  /** The block size in bytes that suits the device best; 512 where it does not say. */
  get blockSize(): number {
    return this.#limits.blockSize;
  }

  /** True when VIRTIO_BLK_F_RO was negotiated: writes fail. */
  get readonly(): boolean {
    return this.#device.features.has(VIRTIO_BLK_F_RO);
  }

  /** How many request queues are used. */
  get queueCount(): number {
    return this.#queues.length;
  }

  /**
   * Reads `count` sectors from `sector` on.
   *
   * @throws VirtioError `VALUE_RANGE` for sectors beyond the capacity, or more than 2^30 bytes;
   * `BLOCK_IO` when the device answers with an error; `DEVICE_FAILED` when it fails, takes too
   * long or places fewer bytes than were asked for; `DRIVER_STATE` after {@link close} and when
   * the device is not live.
   */
  async read(sector: number, count: number): Promise<Uint8Array> {
    this.#checkRange(sector, count, "count");
    const bytes = new Uint8Array(count * SECTOR_SIZE);
    await this.#transfer(bytes.length, (start, end) => ({
      type: BLOCK_REQUEST.VIRTIO_BLK_T_IN,
      sector: sector + start / SECTOR_SIZE,
      target: bytes.subarray(start, end),
    }));
    return bytes;
  }

  /**
   * Writes `bytes`, a multiple of 512, from `sector` on. They must not change until the promise
   * settles. When it rejects, any part of them may have been written.
   *
   * @throws VirtioError as {@link read}; `VALUE_RANGE` also for a length that is no multiple of
   * 512, and `BLOCK_IO` for a device that is read-only.
   */
  async write(sector: number, bytes: Uint8Array): Promise<void> {
    this.#checkRange(sector, bytes.length / SECTOR_SIZE, "bytes.length / 512");
    if (this.readonly) {
      throw new VirtioError("BLOCK_IO", { message: "the device is read-only", path: "sector" });
    }
    await this.#transfer(bytes.length, (start, end) => ({
      type: BLOCK_REQUEST.VIRTIO_BLK_T_OUT,
      sector: sector + start / SECTOR_SIZE,
      source: bytes.subarray(start, end),
    }));
  }

  /**
   * Makes the writes that are completed stable. Where VIRTIO_BLK_F_FLUSH was not negotiated there
   * is nothing to do: writes are stable when they are completed, or the device has no means.
   *
   * @throws VirtioError as {@link read}.
   */
  async flush(): Promise<void> {
    this.#checkState();
    if (!this.#device.features.has(VIRTIO_BLK_F_FLUSH)) return;
    const slot = await this.#idleSlot();
    await this.#send(slot, { type: BLOCK_REQUEST.VIRTIO_BLK_T_FLUSH, sector: 0 });
  }

  /**
   * Reads the device ID string, up to 20 characters.
   *
   * @throws VirtioError as {@link read}.
   */
  async id(): Promise<string> {
    this.#checkState();
    const target = new Uint8Array(BLOCK_ID_LENGTH);
    const slot = await this.#idleSlot();
    await this.#send(slot, { type: BLOCK_REQUEST.VIRTIO_BLK_T_GET_ID, sector: 0, target });
    const end = target.indexOf(0);
    return String.fromCharCode(...target.subarray(0, end < 0 ? target.length : end));
  }

  /**
   * Ends the driver's use of the queues; what is outstanding rejects. Its memory is given back
   * except for the requests that the device still has.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ignoreFailure();
    this.#ignoreConfigChange();
    for (const { handle } of this.#queues) handle.onUsed = undefined;
    this.#end(new VirtioError("DRIVER_STATE", { message: "the block driver is closed" }));
    for (const slot of this.#idle) slot.free();
    this.#idle.length = 0;
  }

  /** As many slots on each queue as it has descriptors for, so that no request is ever refused. */
  #allocate(depth: number): void {
    const { segmentSize } = this.#limits;
    const descriptors = Math.ceil(this.#requestSize / segmentSize) + FRAME_SEGMENTS;
    for (let i = 1; i <= depth; i++) {
      for (const { handle } of this.#queues) {
        if (i * descriptors > handle.size) continue;
        this.#idle.push(new RequestSlot(this.#device.dma, handle, this.#requestSize, segmentSize));
      }
    }
  }

  /** Sends the requests that `length` bytes take, and settles when all of them have. */
  async #transfer(
    length: number,
    requestOf: (start: number, end: number) => SlotRequest,
  ): Promise<void> {
    this.#checkState();
    const errors: unknown[] = [];
    const sent: Promise<void>[] = [];
    try {
      for (let start = 0; start < length && errors.length === 0; start += this.#requestSize) {
        const slot = await this.#idleSlot();
        const request = requestOf(start, Math.min(start + this.#requestSize, length));
        sent.push(
          this.#send(slot, request).catch((error: unknown) => {
            errors.push(error);
          }),
        );
      }
    } catch (error) {
      errors.push(error);
    }
    await Promise.all(sent);
    if (errors.length > 0) throw errors[0];
  }

  /** A slot without a request; rejects when there will be none any more. */
  #idleSlot(): Promise<RequestSlot> {
    const slot = this.#idle.shift();
    if (slot !== undefined) return Promise.resolve(slot);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  #giveBack(slot: RequestSlot): void {
    const next = this.#waiting.shift();
    if (next !== undefined) next.resolve(slot);
    else if (this.#closed) slot.free();
    else this.#idle.push(slot);
  }

  #send(slot: RequestSlot, request: SlotRequest): Promise<void> {
    const answered = new Promise<void>((resolve, reject) => {
      try {
        this.#checkState();
        const { handle } = slot;
        const id = slot.add(request, resolve, reject);
        if (id < 0) throw failed("has no room for a request in a queue that is the driver's alone");
        const queue = this.#queues.find((each) => each.handle === handle);
        if (queue !== undefined) queue.outstanding[id] = slot;
        handle.notify();
      } catch (error) {
        this.#giveBack(slot);
        reject(error);
      }
    });
    return withDeadline(answered, this.#timeout, () => {
      const error = failed(`did not answer within ${this.#timeout} ms`);
      // The memory stays with the device until it answers after all.
      slot.abandon(error);
      return error;
    });
  }

  #used({ handle, outstanding }: RequestQueue): void {
    for (let id = handle.reap(); id >= 0; id = handle.reap()) {
      const slot = outstanding[id];
      if (slot === undefined) continue;
      outstanding[id] = undefined;
      slot.used(handle.queue.usedLength);
      this.#giveBack(slot);
    }
  }

  #end(error: VirtioError): void {
    this.#error ??= error;
    for (const { outstanding } of this.#queues) {
      for (const slot of outstanding) slot?.abandon(error);
    }
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #lookAtCapacity(): void {
    readLimits(this.#device).then(
      ({ capacity }) => {
        this.#capacity = capacity;
      },
      // A device whose configuration cannot be read has failed; that is told elsewhere.
      () => undefined,
    );
  }

  #checkState(): void {
    if (this.#error !== undefined) throw this.#error;
    if (this.#device.failure !== undefined) throw this.#device.failure;
    if (this.#device.state === "live") return;
    throw new VirtioError("DRIVER_STATE", {
      message: "the device is not live",
      path: "device.state",
      value: this.#device.state,
    });
  }

  #checkRange(sector: number, count: number, path: string): void {
    const isInside =
      Number.isInteger(sector) &&
      Number.isInteger(count) &&
      sector >= 0 &&
      count >= 0 &&
      sector <= this.#capacity - count;
    if (isInside && count <= TRANSFER_LIMIT / SECTOR_SIZE) return;
    throw new VirtioError("VALUE_RANGE", {
      message: isInside
        ? "a read or write is of at most 2^30 bytes"
        : `whole sectors from 0 to the capacity of ${this.#capacity} are needed`,
      path: `sector, ${path}`,
      value: `${sector}, ${count}`,
    });
  }
}

function checkOptions({ depth, requestSize, timeout }: BlockDriverOptions): void {
  if (depth !== undefined && !(Number.isInteger(depth) && depth >= 1)) {
    throw invalid("depth", "at least one request is outstanding", depth);
  }
  const fits =
    requestSize === undefined ||
    (Number.isInteger(requestSize) &&
      requestSize >= SECTOR_SIZE &&
      requestSize <= REQUEST_SIZE_LIMIT &&
      requestSize % SECTOR_SIZE === 0);
  if (!fits) throw invalid("requestSize", "a multiple of 512 up to 2^26 is needed", requestSize);
  if (timeout !== undefined && !(timeout > 0)) {
    throw invalid("timeout", "a time limit is more than 0 ms", timeout);
  }
}

/** Reads the fields that the features in force bring; what else is there stays unread. */
async function readLimits(device: DriverDevice): Promise<Limits> {
  const { features } = device;
  const present = Object.values<Field>(VIRTIO_BLK_CONFIG.fields).filter(
    ({ gate }) => gate?.feature === undefined || features.has(gate.feature),
  );
  const length = present
    .filter(({ name }) => !name.startsWith("unused"))
    .reduce((end, { offset, width }) => Math.max(end, offset + width), 0);
  const bytes = new Uint8Array(VIRTIO_BLK_CONFIG.size);
  bytes.set(await device.config.read(0, length));
  const view = new DataView(bytes.buffer);
  const segments = features.has(VIRTIO_BLK_F_SEG_MAX) ? CONFIG.seg_max.get(view, 0) : 1;
  return {
    capacity: Math.min(CONFIG.capacity.getNumber(view, 0), Number.MAX_SAFE_INTEGER),
    blockSize: features.has(VIRTIO_BLK_F_BLK_SIZE) ? CONFIG.blk_size.get(view, 0) : SECTOR_SIZE,
    queues: features.has(VIRTIO_BLK_F_MQ) ? CONFIG.num_queues.get(view, 0) : 1,
    segmentSize: features.has(VIRTIO_BLK_F_SIZE_MAX)
      ? CONFIG.size_max.get(view, 0)
      : REQUEST_SIZE_LIMIT,
    segments: Math.max(1, segments),
  };
}

function queuesOf(device: DriverDevice, count: number): DriverQueueHandle[] {
  const handles = [device.queue(0)];
  for (let index = 1; index < count; index++) {
    try {
      handles.push(device.queue(index));
    } catch (error) {
      if (isVirtioError(error, "QUEUE_UNAVAILABLE")) break;
      throw error;
    }
  }
  return handles;
}

function failed(what: string): VirtioError {
  return new VirtioError("DEVICE_FAILED", {
    message: `the block device ${what}`,
    path: "requestq",
    hint: "close the device and bring it up again",
  });
}

function invalid(path: string, message: string, value: unknown): VirtioError {
  return new VirtioError("VALUE_RANGE", { message, path, value });
}
