/**
 * One administration virtqueue of the driver half, synchronous and in batches: add commands,
 * publish them, reap answers. Hot path: buffers are taken from DMA memory once, a command
 * allocates nothing unless it is longer than its slot, and there is no promise.
 */
import { VirtioError } from "../errors.ts";
import type { DmaAllocator, DmaBlock } from "../memory/types.ts";
import type { DriverQueue } from "../virtqueue/types.ts";
import { type Dialect, LONGEST_PART } from "./dialect.ts";
import type { DialectName } from "./dialect-name.ts";
import { dialectOf } from "./dialects.ts";
import type { AdminOutcome } from "./status.ts";
import type { AdminQueuePort } from "./types.ts";

const DEFAULT_CAPACITY = 128;
const WORD_BYTES = 8;
const SLOT_ALIGNMENT = 64;
/** Readable part and writable part. */
const SEGMENTS = 2;

/** How an {@link AdminChannel} lays out its buffers. */
export interface AdminChannelOptions {
  /** The dialect that the device speaks; `virtio-1.4` when absent. */
  readonly dialect?: DialectName;
  /** How many commands can be outstanding; half the queue's size when absent, and at most that. */
  readonly slots?: number;
  /** The bytes of command data that every slot has room for; 128 when absent. */
  readonly dataCapacity?: number;
  /** The bytes of result that every slot has room for; 128 when absent. */
  readonly resultCapacity?: number;
}

/**
 * The slots of one administration virtqueue. A slot is a pair of buffers: `acquire` one, write the
 * data into {@link view} at {@link dataAt}, `submit` it, and after `publish` and `reap` read the
 * result from {@link view} at {@link resultAt}, then `release` it. Between `submit` and `reap` the
 * device owns the slot's bytes.
 */
export class AdminChannel {
  /** How many slots there are. */
  readonly slots: number;
  /** The port that the commands go through. */
  readonly port: AdminQueuePort;

  private readonly format: Dialect;
  /** The lengths of the two headers of a command. */
  private readonly header: number;
  private readonly response: number;
  private readonly dma: DmaAllocator;
  private readonly queue: DriverQueue;
  private readonly block: DmaBlock;
  private readonly dataCapacity: number;
  private readonly resultCapacity: number;
  private readonly freeSlots: Int32Array;
  private freeCount: number;
  /** The slot of each buffer id, or -1. */
  private readonly slotOf: Int32Array;
  /**
   * Where the two buffers of each slot start, as guest addresses and in the view. Plain arrays, as
   * the lengths below: as long as every number in one is small, an engine keeps them as integers.
   */
  private readonly addresses: number[] = [];
  private readonly requestAt: number[] = [];
  private readonly responseAt: number[] = [];
  private readonly views: DataView[] = [];
  private readonly bytes: Uint8Array[] = [];
  /** Memory of a slot whose command is longer than the slot. */
  private readonly extra: (DmaBlock | undefined)[] = [];
  private readonly roomForData: number[] = [];
  private readonly roomForResult: number[] = [];
  private readonly outcomes: Uint32Array;
  private readonly usedLengths: Uint32Array;
  private outstandingCount = 0;
  private closed = false;

  /**
   * Takes the memory for all slots.
   *
   * @throws VirtioError `ADMIN_COMMAND` when the queue or an option leaves no slot or a capacity is
   * out of range; `VALUE_RANGE` for a dialect that there is not; `MEMORY_EXHAUSTED` when there is
   * no room for the slots.
   */
  constructor(port: AdminQueuePort, dma: DmaAllocator, options: AdminChannelOptions = {}) {
    const {
      slots = Math.floor(port.queue.size / SEGMENTS),
      dataCapacity = DEFAULT_CAPACITY,
      resultCapacity = DEFAULT_CAPACITY,
    } = options;
    const most = Math.floor(port.queue.size / SEGMENTS);
    if (!Number.isInteger(slots) || slots < 1 || slots > most) {
      throw new VirtioError("ADMIN_COMMAND", {
        path: "slots",
        message: `a queue of ${port.queue.size} entries carries 1 to ${most} commands`,
        value: slots,
        hint: "set up a larger queue, or ask for fewer slots",
      });
    }
    checkLength("dataCapacity", dataCapacity);
    checkLength("resultCapacity", resultCapacity);
    this.format = dialectOf(options.dialect);
    this.header = this.format.commandHeaderLength;
    this.response = this.format.responseHeaderLength;
    this.port = port;
    this.dma = dma;
    this.queue = port.queue;
    this.slots = slots;
    this.dataCapacity = roundUp(dataCapacity, WORD_BYTES);
    this.resultCapacity = roundUp(resultCapacity, WORD_BYTES);
    const requestSize = roundUp(this.header + this.dataCapacity, SLOT_ALIGNMENT);
    const stride = requestSize + roundUp(this.response + this.resultCapacity, SLOT_ALIGNMENT);
    this.block = dma.allocate(slots * stride, SLOT_ALIGNMENT);

    this.freeSlots = Int32Array.from({ length: slots }, (_, i) => slots - 1 - i);
    this.freeCount = slots;
    this.slotOf = new Int32Array(port.queue.size).fill(-1);
    this.outcomes = new Uint32Array(slots);
    this.usedLengths = new Uint32Array(slots);
    for (let slot = 0; slot < slots; slot++) {
      this.extra.push(undefined);
      this.views.push(this.block.region.view);
      this.bytes.push(this.block.region.bytes);
      this.addresses.push(0, 0);
      this.requestAt.push(0);
      this.responseAt.push(0);
      this.roomForData.push(0);
      this.roomForResult.push(0);
      this.place(slot);
    }
  }

  /** How many slots are free. */
  get free(): number {
    return this.freeCount;
  }

  /** How many commands are with the device. */
  get outstanding(): number {
    return this.outstandingCount;
  }

  /** True when the device broke the rules of the queue: nothing more will be reaped from it. */
  get broken(): boolean {
    return this.queue.defect !== undefined;
  }

  /** Takes a free slot; -1 when there is none. */
  acquire(): number {
    if (this.freeCount === 0 || this.closed) return -1;
    return this.freeSlots[--this.freeCount] as number;
  }

  /**
   * Gives a slot that is not with the device back. The bytes stay: read the result before.
   */
  release(slot: number): void {
    const extra = this.extra[slot];
    if (extra !== undefined) {
      extra.free();
      this.extra[slot] = undefined;
      this.views[slot] = this.block.region.view;
      this.bytes[slot] = this.block.region.bytes;
      this.place(slot);
    }
    this.freeSlots[this.freeCount++] = slot;
  }

  /**
   * Sees to it that the slot has room for these lengths, with memory of its own if need be.
   *
   * @throws VirtioError `ADMIN_COMMAND` when a length is not 0..2^24; `MEMORY_EXHAUSTED`.
   */
  reserve(slot: number, dataLength: number, resultLength: number): void {
    if (
      dataLength <= (this.roomForData[slot] as number) &&
      resultLength <= (this.roomForResult[slot] as number) &&
      dataLength >= 0 &&
      resultLength >= 0
    ) {
      return;
    }
    checkLength("dataLength", dataLength);
    checkLength("resultLength", resultLength);
    const data = roundUp(dataLength, WORD_BYTES);
    const result = roundUp(resultLength, WORD_BYTES);
    const requestSize = roundUp(this.header + data, SLOT_ALIGNMENT);
    const block = this.dma.allocate(requestSize + this.response + result, SLOT_ALIGNMENT);
    this.extra[slot]?.free();
    this.extra[slot] = block;
    this.views[slot] = block.region.view;
    this.bytes[slot] = block.region.bytes;
    this.layOut(slot, block, 0, requestSize, data, result);
  }

  /** The view that holds the slot's data and result. */
  view(slot: number): DataView {
    return this.views[slot] as DataView;
  }

  /** The same bytes as {@link view}, at the same offsets. */
  bytesOf(slot: number): Uint8Array {
    return this.bytes[slot] as Uint8Array;
  }

  /** The offset of the slot's command data in its view. */
  dataAt(slot: number): number {
    return (this.requestAt[slot] as number) + this.header;
  }

  /** The offset of the slot's result in its view; only {@link resultLength} bytes of it count. */
  resultAt(slot: number): number {
    return (this.responseAt[slot] as number) + this.response;
  }

  /**
   * Adds the slot's command to the queue; the device sees it after {@link publish}. Both parts are
   * padded with zeros to a multiple of 8 bytes.
   *
   * @param memberId the member id, 0..2^53-1
   * @param dataLength how many bytes of data were written, at most the slot's room
   * @param resultLength how many bytes of result the device may write, at most the slot's room
   * @returns false, and nothing happened, when the queue has no room or is broken
   */
  submit(
    slot: number,
    opcode: number,
    groupType: number,
    memberId: number,
    dataLength: number,
    resultLength: number,
  ): boolean {
    const high = memberId > 0xffffffff ? Math.floor(memberId / 2 ** 32) : 0;
    return this.submitWide(slot, opcode, groupType, memberId >>> 0, high, dataLength, resultLength);
  }

  /** As {@link submit}, with the member id in two halves of 32 bits: for ids above 2^53-1. */
  submitWide(
    slot: number,
    opcode: number,
    groupType: number,
    memberLow: number,
    memberHigh: number,
    dataLength: number,
    resultLength: number,
  ): boolean {
    const view = this.views[slot] as DataView;
    const at = this.requestAt[slot] as number;
    this.format.encodeCommand(view, at, opcode, groupType, memberLow, memberHigh);
    const { header, addresses } = this;
    const padded = (dataLength + WORD_BYTES - 1) & -WORD_BYTES;
    for (let i = dataLength; i < padded; i++) view.setUint8(at + header + i, 0);
    const room = (resultLength + WORD_BYTES - 1) & -WORD_BYTES;
    const id = this.queue.addPair(
      addresses[SEGMENTS * slot] as number,
      header + padded,
      addresses[SEGMENTS * slot + 1] as number,
      this.response + room,
    );
    if (id < 0) return false;
    this.slotOf[id] = slot;
    this.outstandingCount++;
    return true;
  }

  /** Shows the submitted commands to the device, and notifies it if it asked for that. */
  publish(): void {
    this.port.notify();
  }

  /** The slot of the next command that the device answered; -1 when there is none. */
  reap(): number {
    const id = this.queue.reap();
    if (id < 0) return -1;
    const slot = this.slotOf[id] as number;
    this.slotOf[id] = -1;
    const used = this.queue.usedLength;
    this.outstandingCount--;
    this.usedLengths[slot] = used;
    this.outcomes[slot] = this.format.decodeOutcome(
      this.views[slot] as DataView,
      this.responseAt[slot] as number,
      used,
    );
    return slot;
  }

  /**
   * The outcome of a reaped command: 0 is success. It was read once, when the slot was reaped, and
   * bytes beyond the used length count as zero.
   */
  outcome(slot: number): AdminOutcome {
    return this.outcomes[slot] as number;
  }

  /** The used length of a reaped command: how many bytes of the response the device wrote. */
  usedLength(slot: number): number {
    return this.usedLengths[slot] as number;
  }

  /** How many bytes of result the device wrote; what is beyond counts as zero. */
  resultLength(slot: number): number {
    return Math.max(0, (this.usedLengths[slot] as number) - this.response);
  }

  /**
   * Gives the memory of all slots back, also of those that are with the device: only after the
   * device or the queue was reset. Nothing can be acquired afterwards.
   */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.outstandingCount = 0;
    for (const extra of this.extra) extra?.free();
    this.block.free();
  }

  private place(slot: number): void {
    const requestSize = roundUp(this.header + this.dataCapacity, SLOT_ALIGNMENT);
    const stride = requestSize + roundUp(this.response + this.resultCapacity, SLOT_ALIGNMENT);
    this.layOut(
      slot,
      this.block,
      slot * stride,
      requestSize,
      this.dataCapacity,
      this.resultCapacity,
    );
  }

  private layOut(
    slot: number,
    block: DmaBlock,
    from: number,
    requestSize: number,
    data: number,
    result: number,
  ): void {
    const address = block.address + from;
    this.addresses[SEGMENTS * slot] = address;
    this.addresses[SEGMENTS * slot + 1] = address + requestSize;
    this.requestAt[slot] = address - block.region.base;
    this.responseAt[slot] = address - block.region.base + requestSize;
    this.roomForData[slot] = data;
    this.roomForResult[slot] = result;
  }
}

function roundUp(length: number, multiple: number): number {
  return Math.ceil(length / multiple) * multiple;
}

function checkLength(path: string, length: number): void {
  if (Number.isInteger(length) && length >= 0 && length <= LONGEST_PART) return;
  throw new VirtioError("ADMIN_COMMAND", {
    path,
    message: "a part of a command has 0 to 2^24 bytes",
    value: length,
  });
}
