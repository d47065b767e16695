/**
 * Serves the requests of a block device, from ring to storage and back.
 *
 * Hot path: requests of a synchronous storage allocate no more than a view per chunk. What the
 * driver wrote is read once and then checked; its lengths size no allocation, since data goes
 * through buffers of one size, of which there is a fixed number.
 */
import {
  accessors,
  type Chain,
  DESCRIPTORS_PER_VISIT,
  type DeviceHost,
  type DeviceQueue,
  FEATURE,
} from "@virtio-admin/core";
import {
  BLOCK_FEATURE,
  BLOCK_ID_LENGTH,
  BLOCK_LEGACY_FLUSH,
  BLOCK_REQUEST,
  BLOCK_STATUS,
  SECTOR_SIZE,
  VIRTIO_BLK_REQ,
} from "./layout.ts";
import type { BlockStorage } from "./storage.ts";

const { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID } =
  BLOCK_REQUEST;
const { VIRTIO_BLK_S_OK, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_UNSUPP } = BLOCK_STATUS;
const REQ = accessors(VIRTIO_BLK_REQ);
const HEADER_LENGTH = VIRTIO_BLK_REQ.size;

/** How many bytes go to or come from the storage in one operation, at most. */
const CHUNK_LENGTH = 0x1_0000;
/** How many requests of the whole device are with the storage at a time, at most. */
const IN_FLIGHT_LIMIT = 128;
/** The most bytes that are moved at a time, before other queues have their turn. */
const VISIT_LIMIT = 4 << 20;

/** What requests are served from. */
export interface Disk {
  /** Where the bytes are. */
  readonly storage: BlockStorage;
  /** How many sectors the driver may use. */
  readonly sectors: number;
  /** Writes fail. */
  readonly readonly: boolean;
  /** VIRTIO_BLK_F_FLUSH is offered. */
  readonly offersFlush: boolean;
  /** The device ID string, padded. */
  readonly id: Uint8Array;
}

/** A request that moves data or flushes, and the buffer that its data goes through. */
class Transfer {
  readonly buffer: Uint8Array = new Uint8Array(CHUNK_LENGTH);
  index = 0;
  queue: DeviceQueue | undefined = undefined;
  chain: Chain | undefined = undefined;
  /** From storage to driver; the other way round when false. */
  reads = false;
  /** Ends with a flush of the storage. */
  flush = false;
  /** Where it begins in the storage, in bytes. */
  start = 0;
  length = 0;
  /** How many bytes have arrived. */
  at = 0;
  /** What is under way. */
  part: Uint8Array = new Uint8Array(0);
  /** Its queue was reset while it was with the storage. */
  revoked = false;
}

const NOTHING = new Uint8Array(0);

/** Serves the request queues of one block device. */
export class Requests {
  readonly #host: DeviceHost;
  readonly #disk: Disk;
  readonly #header = new Uint8Array(HEADER_LENGTH);
  readonly #headerView = new DataView(this.#header.buffer);
  readonly #status = new Uint8Array(1);
  readonly #idle: Transfer[] = [];
  /** How many transfers are not idle. */
  #busy = 0;
  readonly #inFlight = new Set<Transfer>();
  /** How many of those that are in flight were revoked. */
  #revoked = 0;
  /** Transfers that gave way, to go on with the next visit of their queue. */
  #parked: Transfer[] = [];
  /** Queues that wait until a transfer is idle, or no revoked one is in flight. */
  readonly #waiting = new Set<number>();
  /** How many bytes may still be moved in this go. */
  #budget = 0;

  constructor(host: DeviceHost, disk: Disk) {
    this.#host = host;
    this.#disk = disk;
  }

  /** Serves what is available in the queue of that index. */
  visit(index: number): void {
    const host = this.#host;
    const queue = host.queue(index);
    if (queue === undefined) return;
    this.#budget = VISIT_LIMIT;
    if (this.#parked.length > 0) this.#resume(index);
    let buffers = 0;
    let more = true;
    const enough = queue.visited + DESCRIPTORS_PER_VISIT;
    while (more && buffers < queue.size && this.#budget > 0 && queue.visited < enough) {
      if (this.#revoked > 0 || this.#busy >= IN_FLIGHT_LIMIT) {
        this.#waiting.add(index);
        more = false;
        break;
      }
      const chain = queue.pop();
      if (chain === undefined) more = false;
      else this.#begin(index, queue, chain);
      buffers++;
    }
    host.publish(index);
    if (more || this.#hasParked(index)) host.revisit(index);
    this.#wake();
  }

  /** The queue of that index was reset, or all of them were: nothing of theirs is answered. */
  revoke(index?: number): void {
    const concerns = (transfer: Transfer) => index === undefined || transfer.index === index;
    for (const transfer of this.#inFlight) {
      if (transfer.revoked || !concerns(transfer)) continue;
      transfer.revoked = true;
      this.#revoked++;
    }
    const parked = this.#parked;
    this.#parked = parked.filter((transfer) => !concerns(transfer));
    for (const transfer of parked) if (concerns(transfer)) this.#release(transfer);
    if (index === undefined) this.#waiting.clear();
    else this.#waiting.delete(index);
    this.#wake();
  }

  #begin(index: number, queue: DeviceQueue, chain: Chain): void {
    const { writableLength } = chain;
    if (writableLength === 0) {
      // There is no place for a status: giving the buffer back is all that can be done.
      queue.push(chain, 0);
      return;
    }
    if (queue.read(chain, 0, this.#header) < HEADER_LENGTH) {
      this.#answer(queue, chain, VIRTIO_BLK_S_IOERR, 0);
      return;
    }
    const disk = this.#disk;
    const flushes = this.#host.features.has(BLOCK_FEATURE.VIRTIO_BLK_F_FLUSH);
    const sector = REQ.sector.getNumber(this.#headerView, 0);
    const type = REQ.type.get(this.#headerView, 0);
    switch (type === BLOCK_LEGACY_FLUSH && this.#isLegacy ? VIRTIO_BLK_T_FLUSH : type) {
      case VIRTIO_BLK_T_IN: {
        const length = writableLength - 1;
        if (!this.#fits(sector, length)) break;
        this.#advance(this.#take(index, queue, chain, true, sector, length, false));
        return;
      }
      case VIRTIO_BLK_T_OUT: {
        const length = chain.readableLength - HEADER_LENGTH;
        if (disk.readonly || !this.#fits(sector, length)) break;
        // A driver that was offered the flush and did without it gets stable writes
        // (device requirements of "Device Operation").
        const through = disk.offersFlush && !flushes;
        this.#advance(this.#take(index, queue, chain, false, sector, length, through));
        return;
      }
      case VIRTIO_BLK_T_FLUSH:
        // A legacy driver may flush what it was offered without having accepted it.
        if (!flushes && !(disk.offersFlush && this.#isLegacy)) {
          this.#answer(queue, chain, VIRTIO_BLK_S_UNSUPP, 0);
          return;
        }
        this.#advance(this.#take(index, queue, chain, false, 0, 0, true));
        return;
      case VIRTIO_BLK_T_GET_ID:
        if (writableLength !== BLOCK_ID_LENGTH + 1) break;
        this.#answer(queue, chain, VIRTIO_BLK_S_OK, queue.write(chain, 0, disk.id));
        return;
      default:
        this.#answer(queue, chain, VIRTIO_BLK_S_UNSUPP, 0);
        return;
    }
    this.#answer(queue, chain, VIRTIO_BLK_S_IOERR, 0);
  }

  #fits(sector: number, length: number): boolean {
    return length % SECTOR_SIZE === 0 && sector <= this.#disk.sectors - length / SECTOR_SIZE;
  }

  /** Moves data until all is there, the storage takes its time, or others have their turn. */
  #advance(transfer: Transfer): void {
    for (;;) {
      if (!this.#isCurrent(transfer)) {
        this.#release(transfer);
        return;
      }
      if (transfer.at === transfer.length && !transfer.flush) {
        this.#finish(transfer, VIRTIO_BLK_S_OK);
        return;
      }
      if (this.#budget <= 0) {
        this.#parked.push(transfer);
        return;
      }
      try {
        const pending = this.#start(transfer);
        if (pending !== undefined) {
          this.#inFlight.add(transfer);
          // Never called back from inside `then`, whatever kind of promise it is.
          Promise.resolve(pending).then(
            () => this.#settled(transfer, true),
            () => this.#settled(transfer, false),
          );
          return;
        }
      } catch {
        this.#finish(transfer, VIRTIO_BLK_S_IOERR);
        return;
      }
      if (!this.#land(transfer)) {
        this.#finish(transfer, VIRTIO_BLK_S_IOERR);
        return;
      }
    }
  }

  /** Begins the next operation of the storage. */
  #start(transfer: Transfer): undefined | PromiseLike<unknown> {
    const { storage } = this.#disk;
    const { at, buffer } = transfer;
    const count = Math.min(transfer.length - at, CHUNK_LENGTH);
    if (count === 0) {
      transfer.part = NOTHING;
      transfer.flush = false;
      return storage.flush();
    }
    const part = count === CHUNK_LENGTH ? buffer : buffer.subarray(0, count);
    transfer.part = part;
    this.#budget -= count;
    const from = transfer.start + at;
    if (transfer.reads) return storage.read(from, part);
    const { queue, chain } = transfer;
    if (queue === undefined || chain === undefined) return undefined;
    queue.read(chain, HEADER_LENGTH + at, part);
    return storage.write(from, part);
  }

  /** The operation under way is done: false when its bytes found no room. */
  #land(transfer: Transfer): boolean {
    const { queue, chain, part } = transfer;
    if (queue === undefined || chain === undefined) return false;
    if (transfer.reads && queue.write(chain, transfer.at, part) < part.length) return false;
    transfer.at += part.length;
    return true;
  }

  #settled(transfer: Transfer, succeeded: boolean): void {
    this.#inFlight.delete(transfer);
    if (transfer.revoked) this.#revoked--;
    if (transfer.revoked || !this.#isCurrent(transfer)) {
      this.#release(transfer);
      this.#wake();
      return;
    }
    const { index } = transfer;
    this.#budget = VISIT_LIMIT;
    if (succeeded && this.#land(transfer)) this.#advance(transfer);
    else this.#finish(transfer, VIRTIO_BLK_S_IOERR);
    this.#host.publish(index);
    if (this.#hasParked(index)) this.#host.revisit(index);
    this.#wake();
  }

  #finish(transfer: Transfer, status: number): void {
    const { queue, chain } = transfer;
    if (queue !== undefined && chain !== undefined && this.#isCurrent(transfer)) {
      this.#answer(queue, chain, status, transfer.reads ? transfer.at : 0);
    }
    this.#release(transfer);
  }

  /**
   * Uses the buffer. `placed` bytes of data precede the status; its length counts only what was
   * written without a gap (section "The Virtqueue Used Ring").
   */
  #answer(queue: DeviceQueue, chain: Chain, status: number, placed: number): void {
    const last = chain.writableLength - 1;
    this.#status[0] = status;
    queue.write(chain, last, this.#status);
    queue.push(chain, placed === last ? last + 1 : placed);
  }

  /** True while a legacy driver uses the device. */
  get #isLegacy(): boolean {
    return !this.#host.features.has(FEATURE.VIRTIO_F_VERSION_1);
  }

  /** True while the queue is the one that the transfer was popped from. */
  #isCurrent(transfer: Transfer): boolean {
    return transfer.queue !== undefined && this.#host.queue(transfer.index) === transfer.queue;
  }

  #hasParked(index: number): boolean {
    return this.#parked.some((transfer) => transfer.index === index);
  }

  #resume(index: number): void {
    const parked = this.#parked;
    this.#parked = parked.filter((transfer) => transfer.index !== index);
    for (const transfer of parked) if (transfer.index === index) this.#advance(transfer);
  }

  #wake(): void {
    if (this.#waiting.size === 0 || this.#revoked > 0 || this.#busy >= IN_FLIGHT_LIMIT) return;
    const indexes = [...this.#waiting];
    this.#waiting.clear();
    for (const index of indexes) this.#host.revisit(index);
  }

  #take(
    index: number,
    queue: DeviceQueue,
    chain: Chain,
    reads: boolean,
    sector: number,
    length: number,
    flush: boolean,
  ): Transfer {
    const transfer = this.#idle.pop() ?? new Transfer();
    this.#busy++;
    transfer.index = index;
    transfer.queue = queue;
    transfer.chain = chain;
    transfer.reads = reads;
    transfer.flush = flush;
    transfer.start = sector * SECTOR_SIZE;
    transfer.length = length;
    transfer.at = 0;
    transfer.revoked = false;
    return transfer;
  }

  #release(transfer: Transfer): void {
    transfer.queue = undefined;
    transfer.chain = undefined;
    transfer.part = NOTHING;
    this.#busy--;
    this.#idle.push(transfer);
  }
}
