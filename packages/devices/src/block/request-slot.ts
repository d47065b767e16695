/** The memory of one request of the block driver, used for one request after another. */
import {
  accessors,
  type DmaAllocator,
  type DmaBlock,
  type DriverQueueHandle,
  VirtioError,
} from "@virtio-admin/core";
import { BLOCK_STATUS, SECTOR_SIZE, VIRTIO_BLK_REQ } from "./layout.ts";

/** A request as the driver makes it; `source` and `target` are no longer than a slot has room. */
export interface SlotRequest {
  readonly type: number;
  readonly sector: number;
  /** What the device reads. */
  readonly source?: Uint8Array;
  /** Where the bytes go that the device wrote. */
  readonly target?: Uint8Array;
}

interface Waiter {
  readonly request: SlotRequest;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const REQ = accessors(VIRTIO_BLK_REQ);
/** No device answers with it: a status that was not written stands out. */
const STATUS_UNWRITTEN = 0xff;

/** One request's place in DMA memory: data first, then header and status. */
export class RequestSlot {
  /** The queue whose requests it is for. */
  readonly handle: DriverQueueHandle;
  readonly #block: DmaBlock;
  readonly #room: number;
  readonly #segmentSize: number;
  readonly #addresses: number[] = [];
  readonly #lengths: number[] = [];
  #waiter: Waiter | undefined = undefined;

  /**
   * Allocates room for `room` bytes of data, which go out in segments of `segmentSize` bytes.
   *
   * @throws VirtioError `MEMORY_EXHAUSTED`.
   */
  constructor(dma: DmaAllocator, handle: DriverQueueHandle, room: number, segmentSize: number) {
    this.handle = handle;
    this.#room = room;
    this.#segmentSize = segmentSize;
    this.#block = dma.allocate(room + VIRTIO_BLK_REQ.size + 1, SECTOR_SIZE);
  }

  /**
   * Puts a request into the queue and returns the id of its buffer, or -1 when there is no room.
   * The device sees it after the notification. `resolve` and `reject` tell how it ended.
   */
  add(request: SlotRequest, resolve: () => void, reject: (error: unknown) => void): number {
    const { address, region } = this.#block;
    const { type, sector, source, target } = request;
    const base = address - region.base;
    const header = this.#room;
    REQ.type.set(region.view, base + header, type);
    REQ.reserved.set(region.view, base + header, 0);
    REQ.sector.setNumber(region.view, base + header, sector);
    if (source !== undefined) region.bytes.set(source, base);
    region.bytes[base + this.#statusAt] = STATUS_UNWRITTEN;

    this.#addresses.length = 0;
    this.#lengths.length = 0;
    this.#segment(header, VIRTIO_BLK_REQ.size);
    if (source !== undefined) this.#segments(source.length);
    const readable = this.#addresses.length;
    if (target !== undefined) this.#segments(target.length);
    this.#segment(this.#statusAt, 1);
    const count = this.#addresses.length;
    const id = this.handle.queue.add(this.#addresses, this.#lengths, count, readable);
    if (id >= 0) this.#waiter = { request, resolve, reject };
    return id;
  }

  /** The device has used the buffer, and says that it wrote `used` bytes. */
  used(used: number): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    this.#waiter = undefined;
    const { address, region } = this.#block;
    const base = address - region.base;
    const status = region.bytes[base + this.#statusAt] ?? STATUS_UNWRITTEN;
    const { target } = waiter.request;
    if (status !== BLOCK_STATUS.VIRTIO_BLK_S_OK) {
      waiter.reject(statusError(status, waiter.request.sector));
    } else if (target !== undefined && used < target.length + 1) {
      waiter.reject(
        new VirtioError("DEVICE_FAILED", {
          message: `the block device placed ${used} bytes of ${target.length} and a status`,
          path: "requestq",
        }),
      );
    } else {
      target?.set(region.bytes.subarray(base, base + target.length));
      waiter.resolve();
    }
  }

  /** Whoever waits is told of `error`; what the device answers later is of no consequence. */
  abandon(error: unknown): void {
    this.#waiter?.reject(error);
    this.#waiter = undefined;
  }

  /** Gives the memory back. */
  free(): void {
    this.#block.free();
  }

  get #statusAt(): number {
    return this.#room + VIRTIO_BLK_REQ.size;
  }

  #segments(length: number): void {
    for (let at = 0; at < length; at += this.#segmentSize) {
      this.#segment(at, Math.min(this.#segmentSize, length - at));
    }
  }

  #segment(at: number, length: number): void {
    this.#addresses.push(this.#block.address + at);
    this.#lengths.push(length);
  }
}

function statusError(status: number, sector: number): VirtioError {
  const { VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_UNSUPP } = BLOCK_STATUS;
  const message =
    status === VIRTIO_BLK_S_IOERR
      ? `the device could not carry out the request at sector ${sector}`
      : status === VIRTIO_BLK_S_UNSUPP
        ? "the device does not support the request"
        : "the device answered with a status that is none";
  return new VirtioError("BLOCK_IO", { message, path: "virtio_blk_req.status", value: status });
}
