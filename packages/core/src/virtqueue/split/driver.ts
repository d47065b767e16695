/**
 * The driver half of a split virtqueue (section "Split Virtqueues").
 *
 * Hot path: plain numbers, views made once, no allocation per buffer. It keeps its own record of
 * every descriptor and never reads the table back; a used entry is read once and checked against
 * that record.
 */
import type { DmaBlock } from "../../memory/types.ts";
import { checkShape, outOfRange, putSegment } from "../segment.ts";
import type { DriverQueue, DriverQueueInit, QueueDefect } from "../types.ts";
import {
  availEventOffset,
  usedEventOffset,
  VIRTQ_AVAIL,
  VIRTQ_CHAIN_MAX_LENGTH,
  VIRTQ_DESC,
  VIRTQ_USED,
  VIRTQ_USED_ELEM,
} from "./layout.ts";
import { load16, splitRings, store16 } from "./rings.ts";

// Constants of the own module are folded into optimized code; imported ones are loaded each time.
const DESC_ADDR = VIRTQ_DESC.fields.addr.offset;
const DESC_ADDR_HIGH = DESC_ADDR + 4;
const DESC_LEN = VIRTQ_DESC.fields.len.offset;
const DESC_FLAGS_NEXT = VIRTQ_DESC.fields.flags.offset;
const DESC_SIZE = VIRTQ_DESC.size;
// Sizes are powers of two: shifting needs no check for overflow.
const DESC_SHIFT = Math.log2(DESC_SIZE);
const F_NEXT = VIRTQ_DESC.fields.flags.bits.next.mask;
const F_WRITE = VIRTQ_DESC.fields.flags.bits.write.mask;
const F_INDIRECT = VIRTQ_DESC.fields.flags.bits.indirect.mask;
const AVAIL_FLAGS = VIRTQ_AVAIL.fields.flags.offset;
const F_NO_INTERRUPT = VIRTQ_AVAIL.fields.flags.bits.no_interrupt.mask;
const AVAIL_IDX = VIRTQ_AVAIL.fields.idx.offset;
const AVAIL_RING = VIRTQ_AVAIL.fields.ring.offset;
const AVAIL_ENTRY_SHIFT = Math.log2(VIRTQ_AVAIL.fields.ring.width);
const USED_FLAGS = VIRTQ_USED.fields.flags.offset;
const F_NO_NOTIFY = VIRTQ_USED.fields.flags.bits.no_notify.mask;
const USED_IDX = VIRTQ_USED.fields.idx.offset;
const USED_RING = VIRTQ_USED.size;
const USED_ELEM_SHIFT = Math.log2(VIRTQ_USED_ELEM.size);
const USED_ELEM_ID = VIRTQ_USED_ELEM.fields.id.offset;
const USED_ELEM_LEN = VIRTQ_USED_ELEM.fields.len.offset;
const LONGEST_CHAIN = VIRTQ_CHAIN_MAX_LENGTH;
const PAIR = 2;
const LONGEST_USED_LENGTH = 0xffffffff;

/**
 * The driver half of a split virtqueue. Making one writes the initial state of both rings: flags
 * zero, every index at the start.
 */
export class SplitDriverQueue implements DriverQueue {
  /** See {@link DriverQueue.size}. */
  readonly size: number;
  /** See {@link DriverQueue.usedLength}. */
  usedLength = 0;
  private readonly descriptors: DataView;
  private readonly avail: DataView;
  private readonly used: DataView;
  private readonly availWords: Uint16Array | undefined;
  private readonly usedWords: Uint16Array | undefined;
  private readonly eventIdx: boolean;
  private readonly inOrder: boolean;
  private readonly usedEventAt: number;
  private readonly availEventAt: number;
  /** The indirect tables, one for each head, and how many descriptors each has room for. */
  private readonly tables: DmaBlock | undefined;
  private readonly tableEntries: number;

  private broken: QueueDefect | undefined = undefined;
  private freeCount: number;
  private freeHead = 0;
  /**
   * For each descriptor the one after it, in its buffer or in the free list; with `inOrder` the one
   * behind it in the table, whatever became of it.
   */
  private readonly nextDescriptor: Uint16Array;
  /**
   * For the head of each outstanding buffer: how many descriptors it has, in the low half, and the
   * last of them, in the high half; else 0.
   */
  private readonly taken: Uint32Array;
  /** How many buffers were added before it: an index would repeat while the device keeps it. */
  private readonly order: Float64Array;
  /** How many bytes the device may write into it, as far as a used length can say. */
  private readonly writableLength: Uint32Array;
  /** What {@link addPair} hands to {@link add}. */
  private readonly pairAddresses: Float64Array = new Float64Array(PAIR);
  private readonly pairLengths: Float64Array = new Float64Array(PAIR);

  /** The index of the available entry that is written next. */
  private nextAvail: number;
  /** The available idx as the device sees it. */
  private publishedAvail: number;
  /** How many buffers were ever added, and how many of them the device was shown. */
  private addedEver = 0;
  private publishedEver = 0;
  /** The index of the used entry that is reaped next. */
  private nextUsed: number;
  /** The used idx as it was read last. */
  private seenUsed: number;
  /** With `inOrder`: the buffer that comes back next, and the batch that is being reaped. */
  private oldestHead = 0;
  private batchLeft = 0;
  private batchLength = 0;
  private wantsNotifications = true;
  /** The used_event that was written last. */
  private usedEvent: number;

  /**
   * Makes the driver half of the queue that lies where `init` says.
   *
   * @throws VirtioError `QUEUE_SIZE` when the size is no power of two from 1 to 32768;
   * `QUEUE_ADDRESS` when a part is misaligned or not inside one region; `VALUE_RANGE` when
   * `startIndex` has more than 16 bits.
   */
  constructor(init: DriverQueueInit) {
    const rings = splitRings(init);
    const { size } = init;
    this.size = size;
    this.descriptors = rings.descriptors;
    this.avail = rings.avail;
    this.used = rings.used;
    this.availWords = rings.availWords;
    this.usedWords = rings.usedWords;
    this.eventIdx = init.eventIdx;
    this.inOrder = init.inOrder === true;
    this.usedEventAt = usedEventOffset(size);
    this.availEventAt = availEventOffset(size);
    this.tables = init.indirect ? init.indirectArea : undefined;
    this.tableEntries = Math.floor((this.tables?.length ?? 0) / (size * DESC_SIZE));
    this.freeCount = size;
    this.nextDescriptor = Uint16Array.from({ length: size }, (_, index) => (index + 1) % size);
    this.taken = new Uint32Array(size);
    this.order = new Float64Array(size);
    this.writableLength = new Uint32Array(size);
    this.nextAvail = rings.start;
    this.publishedAvail = rings.start;
    this.nextUsed = rings.start;
    this.seenUsed = rings.start;
    this.usedEvent = rings.start;
    store16(this.avail, this.availWords, AVAIL_FLAGS, 0);
    store16(this.avail, this.availWords, AVAIL_IDX, rings.start);
    store16(this.avail, this.availWords, this.usedEventAt, rings.start);
    store16(this.used, this.usedWords, USED_FLAGS, 0);
    store16(this.used, this.usedWords, USED_IDX, rings.start);
    store16(this.used, this.usedWords, this.availEventAt, rings.start);
  }

  /** See {@link DriverQueue.defect}. */
  get defect(): QueueDefect | undefined {
    return this.broken;
  }

  /** See {@link DriverQueue.free}. */
  get free(): number {
    return this.freeCount;
  }

  /** See {@link DriverQueue.outstanding}. */
  get outstanding(): number {
    return (this.nextAvail - this.nextUsed) & 0xffff;
  }

  /** See {@link DriverQueue.index}. */
  get index(): number {
    return this.publishedAvail;
  }

  /** See {@link DriverQueue.add}. */
  add(
    addresses: ArrayLike<number>,
    lengths: ArrayLike<number>,
    count: number,
    readableCount: number,
  ): number {
    const { size } = this;
    checkShape(count, readableCount, size);
    if (this.broken !== undefined) return -1;
    const inTable = count > 1 && count <= this.tableEntries;
    const needed = inTable ? 1 : count;
    if (needed > this.freeCount) return -1;

    // Free descriptors are the driver's own, so they are filled while the segments are checked.
    const head = this.freeHead;
    const tail = inTable
      ? this.fillTable(head, addresses, lengths, count, readableCount)
      : this.fillChain(head, addresses, lengths, count, readableCount);
    this.commit(head, tail, needed);
    return head;
  }

  /** See {@link DriverQueue.addPair}. */
  addPair(
    readable: number,
    readableLength: number,
    writable: number,
    writableLength: number,
  ): number {
    if (
      this.tableEntries >= PAIR ||
      this.broken !== undefined ||
      this.freeCount < PAIR ||
      // What lies below 2^32 and is shorter than 2^31 bytes, as nearly all is, is written as it is.
      readable >>> 0 !== readable ||
      writable >>> 0 !== writable ||
      (readableLength | 0) !== readableLength ||
      (writableLength | 0) !== writableLength ||
      readableLength <= 0 ||
      writableLength <= 0
    ) {
      const { pairAddresses, pairLengths } = this;
      pairAddresses[0] = readable;
      pairAddresses[1] = writable;
      pairLengths[0] = readableLength;
      pairLengths[1] = writableLength;
      return this.add(pairAddresses, pairLengths, PAIR, 1);
    }
    const { descriptors } = this;
    const head = this.freeHead;
    const tail = this.nextDescriptor[head] as number;
    const at = head << DESC_SHIFT;
    descriptors.setUint32(at + DESC_ADDR, readable, true);
    descriptors.setUint32(at + DESC_ADDR_HIGH, 0, true);
    descriptors.setUint32(at + DESC_LEN, readableLength, true);
    descriptors.setUint32(at + DESC_FLAGS_NEXT, F_NEXT | (tail << 16), true);
    const tailAt = tail << DESC_SHIFT;
    descriptors.setUint32(tailAt + DESC_ADDR, writable, true);
    descriptors.setUint32(tailAt + DESC_ADDR_HIGH, 0, true);
    descriptors.setUint32(tailAt + DESC_LEN, writableLength, true);
    descriptors.setUint32(tailAt + DESC_FLAGS_NEXT, F_WRITE, true);
    this.writableLength[head] = writableLength;
    this.commit(head, tail, PAIR);
    return head;
  }

  /** See {@link DriverQueue.publish}. */
  publish(): boolean {
    const old = this.publishedAvail;
    const now = this.nextAvail;
    if (now === old) return false;
    this.publishedAvail = now;
    this.publishedEver = this.addedEver;
    store16(this.avail, this.availWords, AVAIL_IDX, now);
    if (this.eventIdx) {
      const availEvent = load16(this.used, this.usedWords, this.availEventAt);
      // The entries old..now-1 were written: was the one that the device waits for among them?
      return ((now - availEvent - 1) & 0xffff) < ((now - old) & 0xffff);
    }
    const flags = load16(this.used, this.usedWords, USED_FLAGS);
    return (flags & F_NO_NOTIFY) === 0;
  }

  /** See {@link DriverQueue.reap}. */
  reap(): number {
    const next = this.nextUsed;
    if (this.batchLeft > 0) return this.reapOfBatch();
    if (next === this.seenUsed && !this.lookForBuffers()) return -1;

    const { size, used, taken } = this;
    const entry = USED_RING + ((next & (size - 1)) << USED_ELEM_SHIFT);
    // Signed, so that what is returned is an integer to the engine, and never floating point.
    const id = used.getInt32(entry + USED_ELEM_ID, true);
    const length = used.getUint32(entry + USED_ELEM_LEN, true);
    if (id < 0 || id >= size) return this.fail("used-id");
    const descriptors = taken[id] as number;
    if (descriptors === 0) return this.fail("used-id");
    // Added, but not published: the device cannot know it yet.
    if (
      this.nextAvail !== this.publishedAvail &&
      (this.order[id] as number) >= this.publishedEver
    ) {
      return this.fail("used-id");
    }
    if (length > (this.writableLength[id] as number)) return this.fail("used-length");
    if (this.inOrder) {
      // All that were added before it are used too: the entry stands for every one of them.
      const before = (this.order[id] as number) - (this.order[this.oldestHead] as number);
      if (before >= ((this.seenUsed - next) & 0xffff)) return this.fail("used-order");
      this.batchLeft = before + 1;
      this.batchLength = length;
      return this.reapOfBatch();
    }

    this.nextDescriptor[descriptors >>> 16] = this.freeHead;
    this.freeHead = id;
    return this.takeBack(id, length);
  }

  /** The next buffer of the batch; all of them but the last are taken as written in full. */
  private reapOfBatch(): number {
    const head = this.oldestHead;
    this.oldestHead = this.nextDescriptor[(this.taken[head] as number) >>> 16] as number;
    const isLast = --this.batchLeft === 0;
    return this.takeBack(head, isLast ? this.batchLength : (this.writableLength[head] as number));
  }

  private takeBack(head: number, length: number): number {
    this.freeCount += (this.taken[head] as number) & 0xffff;
    this.taken[head] = 0;
    this.nextUsed = (this.nextUsed + 1) & 0xffff;
    this.usedLength = length;
    return head;
  }

  /** See {@link DriverQueue.enableNotifications}. */
  enableNotifications(): boolean {
    if (this.broken !== undefined) return false;
    this.wantsNotifications = true;
    if (!this.eventIdx) store16(this.avail, this.availWords, AVAIL_FLAGS, 0);
    return this.nextUsed !== this.seenUsed || this.lookForBuffers();
  }

  /** See {@link DriverQueue.disableNotifications}. */
  disableNotifications(): void {
    this.wantsNotifications = false;
    if (this.eventIdx) {
      // With event indexes flags stays 0; an entry that is past is not written again for a while.
      this.writeUsedEvent((this.nextUsed - 1) & 0xffff);
    } else {
      store16(this.avail, this.availWords, AVAIL_FLAGS, F_NO_INTERRUPT);
    }
  }

  /** Fills free descriptors from `head` on; returns the last. */
  private fillChain(
    head: number,
    addresses: ArrayLike<number>,
    lengths: ArrayLike<number>,
    count: number,
    readableCount: number,
  ): number {
    const { descriptors, nextDescriptor } = this;
    let index = head;
    let total = 0;
    let readable = 0;
    let flags = 0;
    let at = 0;
    let tail = head;
    for (let i = 0; i < count; i++) {
      if (i === readableCount) {
        readable = total;
        flags = F_WRITE;
      }
      tail = index;
      at = tail * DESC_SIZE;
      index = nextDescriptor[tail] as number;
      total += putSegment(descriptors, at, addresses, lengths, i);
      descriptors.setUint32(at + DESC_FLAGS_NEXT, flags | F_NEXT | (index << 16), true);
    }
    descriptors.setUint32(at + DESC_FLAGS_NEXT, flags, true);
    this.noteLength(head, total, readableCount === count ? total : readable);
    return tail;
  }

  /** Fills the indirect table of `head`, and that descriptor; returns it. */
  private fillTable(
    head: number,
    addresses: ArrayLike<number>,
    lengths: ArrayLike<number>,
    count: number,
    readableCount: number,
  ): number {
    const { address, region } = this.tables as DmaBlock;
    const tableAt = address + head * this.tableEntries * DESC_SIZE;
    let at = tableAt - region.base;
    let total = 0;
    let readable = 0;
    let flags = 0;
    for (let i = 0; i < count; i++) {
      if (i === readableCount) {
        readable = total;
        flags = F_WRITE;
      }
      total += putSegment(region.view, at, addresses, lengths, i);
      const next = i + 1 < count ? F_NEXT | ((i + 1) << 16) : 0;
      region.view.setUint32(at + DESC_FLAGS_NEXT, flags | next, true);
      at += DESC_SIZE;
    }
    const { descriptors } = this;
    const headAt = head * DESC_SIZE;
    descriptors.setUint32(headAt + DESC_ADDR, tableAt >>> 0, true);
    descriptors.setUint32(headAt + DESC_ADDR_HIGH, (tableAt / 0x100000000) >>> 0, true);
    descriptors.setUint32(headAt + DESC_LEN, count * DESC_SIZE, true);
    descriptors.setUint32(headAt + DESC_FLAGS_NEXT, F_INDIRECT, true);
    this.noteLength(head, total, readableCount === count ? total : readable);
    return head;
  }

  private noteLength(head: number, total: number, readable: number): void {
    if (total > LONGEST_CHAIN) throw outOfRange("lengths", total, "a sum up to 2^32");
    this.writableLength[head] = Math.min(total - readable, LONGEST_USED_LENGTH);
  }

  /** Offers the chain from `head` to `tail`, whose descriptors are filled. */
  private commit(head: number, tail: number, count: number): void {
    const next = this.nextAvail;
    const entry = (next & (this.size - 1)) << AVAIL_ENTRY_SHIFT;
    this.avail.setUint16(AVAIL_RING + entry, head, true);
    this.nextAvail = (next + 1) & 0xffff;
    this.order[head] = this.addedEver++;
    this.freeHead = this.nextDescriptor[tail] as number;
    this.freeCount -= count;
    this.taken[head] = (tail << 16) | count;
  }

  /** A broken queue has seen all that it will. */
  private fail(defect: QueueDefect): -1 {
    this.broken = defect;
    this.seenUsed = this.nextUsed;
    return -1;
  }

  /**
   * Reads the used idx; true when there are buffers. When there are none, asks to be notified of
   * the next, and looks again: it may have come before the device could see the question.
   */
  private lookForBuffers(): boolean {
    if (this.broken !== undefined) return false;
    if (this.readUsedIdx()) return true;
    if (!this.eventIdx || !this.wantsNotifications || this.broken !== undefined) return false;
    if (this.usedEvent === this.nextUsed) return false;
    this.writeUsedEvent(this.nextUsed);
    return this.readUsedIdx();
  }

  private readUsedIdx(): boolean {
    const idx = load16(this.used, this.usedWords, USED_IDX);
    const next = this.nextUsed;
    if (idx === next) return false;
    const withDevice = (this.publishedAvail - next) & 0xffff;
    if (((idx - next) & 0xffff) > withDevice) {
      this.broken = "index-jump";
      return false;
    }
    this.seenUsed = idx;
    return true;
  }

  private writeUsedEvent(index: number): void {
    this.usedEvent = index;
    store16(this.avail, this.availWords, this.usedEventAt, index);
  }
}
