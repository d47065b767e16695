/**
 * The driver half of a packed virtqueue (section "Packed Virtqueues").
 *
 * Hot path: plain numbers, views made once, no allocation per buffer. It keeps its own record of
 * every buffer and never reads an available descriptor back; a used one is read once and checked
 * against that record.
 */
import type { DmaBlock } from "../../memory/types.ts";
import { checkShape, outOfRange, putSegment } from "../segment.ts";
import { VIRTQ_CHAIN_MAX_LENGTH } from "../split/layout.ts";
import type { DriverQueue, DriverQueueInit, QueueDefect } from "../types.ts";
import { PVIRTQ_DESC } from "./layout.ts";
import {
  asksFor,
  EVENT_DESC,
  EVENT_DISABLE,
  EVENT_ENABLE,
  load32,
  packedRings,
  store32,
  WRAP,
} from "./rings.ts";

// Constants of the own module are folded into optimized code; imported ones are loaded each time.
const DESC_ADDR = PVIRTQ_DESC.fields.addr.offset;
const DESC_ADDR_HIGH = DESC_ADDR + 4;
const DESC_LEN = PVIRTQ_DESC.fields.len.offset;
/** `id` and `flags` in one word. */
const DESC_WORD = PVIRTQ_DESC.fields.id.offset;
const DESC_SIZE = PVIRTQ_DESC.size;
// A power of two: shifting needs no check for overflow.
const DESC_SHIFT = Math.log2(DESC_SIZE);
const ID_MASK = 0xffff;
const F_NEXT = PVIRTQ_DESC.fields.flags.bits.next.mask << 16;
const F_WRITE = PVIRTQ_DESC.fields.flags.bits.write.mask << 16;
const F_INDIRECT = PVIRTQ_DESC.fields.flags.bits.indirect.mask << 16;
const F_AVAIL = PVIRTQ_DESC.fields.flags.bits.avail.mask << 16;
const F_USED = PVIRTQ_DESC.fields.flags.bits.used.mask << 16;
/** The two bits that a wrap counter turns over. */
const TURN = F_AVAIL | F_USED;
const LONGEST_CHAIN = VIRTQ_CHAIN_MAX_LENGTH;
const LONGEST_USED_LENGTH = 0xffffffff;
const PAIR = 2;

/**
 * The driver half of a packed virtqueue. Making one writes the initial state of all three parts: no
 * descriptor available or used, every notification asked for.
 */
export class PackedDriverQueue implements DriverQueue {
  /** See {@link DriverQueue.size}. */
  readonly size: number;
  /** See {@link DriverQueue.usedLength}. */
  usedLength = 0;
  private readonly descriptors: DataView;
  private readonly driverEvent: DataView;
  private readonly deviceEvent: DataView;
  private readonly descriptorWords: Uint32Array | undefined;
  private readonly driverEventWords: Uint32Array | undefined;
  private readonly deviceEventWords: Uint32Array | undefined;
  private readonly eventIdx: boolean;
  private readonly inOrder: boolean;
  /** The indirect tables, one for each id, and how many descriptors each has room for. */
  private readonly tables: DmaBlock | undefined;
  private readonly tableEntries: number;

  /** A length counts whether or not the write flag is beside it. */
  private readonly unflaggedLengths: boolean;
  private broken: QueueDefect | undefined = undefined;
  private added = 0;
  private freeCount: number;
  private freeId = 0;
  /** For each free id the one after it; with `inOrder` for every id, and they go round. */
  private readonly nextId: Uint16Array;
  /** For the id of each outstanding buffer: how many descriptors it has, else 0. */
  private readonly descriptorCount: Uint16Array;
  /** How many buffers were added before it: an index would repeat while the device keeps it. */
  private readonly order: Float64Array;
  /** How many bytes the device may write into it, as far as a used length can say. */
  private readonly writableLength: Uint32Array;

  /** What {@link addPair} hands to {@link add}. */
  private readonly pairAddresses: Float64Array = new Float64Array(PAIR);
  private readonly pairLengths: Float64Array = new Float64Array(PAIR);

  /** The descriptor that is written next, and how AVAIL and USED stand in it once available. */
  private nextAvail: number;
  private availMark: number;
  /** The first descriptor that the device cannot see yet, its word, and how many there are. */
  private firstAt = 0;
  private firstWord = 0;
  private unpublished = 0;
  /** How many buffers were ever added, and how many of them the device was shown. */
  private addedEver = 0;
  private publishedEver = 0;
  /** The descriptor that is reaped next, and how AVAIL and USED stand in it once used. */
  private nextUsed: number;
  private usedMark: number;
  /** With `inOrder`: the id that comes back next, and the batch that is being reaped. */
  private oldestId = 0;
  private batchLeft = 0;
  private batchLength = 0;
  private wantsNotifications = true;
  /** The driver event suppression structure as it was written last. */
  private told = EVENT_ENABLE;

  /**
   * Makes the driver half of the queue that lies where `init` says.
   *
   * @throws VirtioError `QUEUE_SIZE` when the size is no integer from 1 to 32768; `QUEUE_ADDRESS`
   * when a part is misaligned or not inside one region; `VALUE_RANGE` when `startIndex` is no
   * position in the ring.
   */
  constructor(init: DriverQueueInit) {
    const rings = packedRings(init);
    const { size } = init;
    this.size = size;
    this.descriptors = rings.descriptors;
    this.driverEvent = rings.driverEvent;
    this.deviceEvent = rings.deviceEvent;
    this.descriptorWords = rings.descriptorWords;
    this.driverEventWords = rings.driverEventWords;
    this.deviceEventWords = rings.deviceEventWords;
    this.eventIdx = init.eventIdx;
    this.unflaggedLengths = init.unflaggedLengths === true;
    this.inOrder = init.inOrder === true;
    this.tables = init.indirect ? init.indirectArea : undefined;
    this.tableEntries = Math.floor((this.tables?.length ?? 0) / (size * DESC_SIZE));
    this.freeCount = size;
    this.nextId = Uint16Array.from({ length: size }, (_, id) => (id + 1) % size);
    this.descriptorCount = new Uint16Array(size);
    this.order = new Float64Array(size);
    this.writableLength = new Uint32Array(size);
    this.nextAvail = rings.offset;
    this.availMark = rings.wrap === 1 ? F_AVAIL : F_USED;
    this.nextUsed = rings.offset;
    this.usedMark = rings.wrap === 1 ? TURN : 0;
    for (let slot = 0; slot < size; slot++) {
      const at = slot * DESC_SIZE;
      this.descriptors.setUint32(at + DESC_ADDR, 0, true);
      this.descriptors.setUint32(at + DESC_ADDR_HIGH, 0, true);
      this.descriptors.setUint32(at + DESC_LEN, 0, true);
      // Used in the round before the one in which it comes next: all zero at the very beginning.
      const word = slot < rings.offset ? this.usedMark : this.usedMark ^ TURN;
      store32(this.descriptors, this.descriptorWords, at + DESC_WORD, word);
    }
    store32(this.driverEvent, this.driverEventWords, 0, EVENT_ENABLE);
    store32(this.deviceEvent, this.deviceEventWords, 0, EVENT_ENABLE);
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
    return this.added;
  }

  /** See {@link DriverQueue.index}. */
  get index(): number {
    const slot = this.nextAvail - this.unpublished;
    const mark = slot < 0 ? this.availMark ^ TURN : this.availMark;
    return (slot < 0 ? slot + this.size : slot) | (mark === F_AVAIL ? WRAP : 0);
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

    const id = this.freeId;
    if (inTable) this.fillTable(id, addresses, lengths, count, readableCount);
    else this.fillList(id, addresses, lengths, count, readableCount);
    this.commit(id, needed);
    return id;
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
    const { descriptors, availMark } = this;
    const id = this.freeId;
    const first = this.nextAvail;
    const wraps = first + 1 === this.size;
    const at = first << DESC_SHIFT;
    descriptors.setUint32(at + DESC_ADDR, readable, true);
    descriptors.setUint32(at + DESC_ADDR_HIGH, 0, true);
    descriptors.setUint32(at + DESC_LEN, readableLength, true);
    const secondAt = wraps ? 0 : at + DESC_SIZE;
    const secondMark = wraps ? availMark ^ TURN : availMark;
    descriptors.setUint32(secondAt + DESC_ADDR, writable, true);
    descriptors.setUint32(secondAt + DESC_ADDR_HIGH, 0, true);
    descriptors.setUint32(secondAt + DESC_LEN, writableLength, true);
    descriptors.setUint32(secondAt + DESC_WORD, id | secondMark | F_WRITE, true);
    this.expose(first, id | availMark | F_NEXT);
    this.writableLength[id] = writableLength;
    this.commit(id, PAIR);
    return id;
  }

  /** See {@link DriverQueue.publish}. */
  publish(): boolean {
    const count = this.unpublished;
    if (count === 0) return false;
    this.unpublished = 0;
    this.publishedEver = this.addedEver;
    store32(this.descriptors, this.descriptorWords, this.firstAt, this.firstWord);
    const event = load32(this.deviceEvent, this.deviceEventWords, 0);
    const wrap = this.availMark === F_AVAIL ? 1 : 0;
    return asksFor(event, this.eventIdx, this.size, this.nextAvail, wrap, count);
  }

  /** See {@link DriverQueue.reap}. */
  reap(): number {
    if (this.broken !== undefined) return -1;
    if (this.batchLeft > 0) return this.reapOfBatch();
    let word = this.nextWord();
    if ((word & TURN) !== this.usedMark) {
      if (!this.askForNext()) return -1;
      word = this.nextWord();
      if ((word & TURN) !== this.usedMark) return -1;
    }

    const id = word & ID_MASK;
    if (id >= this.size) return this.fail("used-id");
    const count = this.descriptorCount[id] as number;
    if (count === 0) return this.fail("used-id");
    // Added, but not published: the device cannot know it yet.
    if (this.unpublished > 0 && (this.order[id] as number) >= this.publishedEver) {
      return this.fail("used-id");
    }
    // Without the write flag the length is reserved.
    const at = this.nextUsed << DESC_SHIFT;
    const isLength = (word & F_WRITE) !== 0 || this.unflaggedLengths;
    const length = isLength ? this.descriptors.getUint32(at + DESC_LEN, true) : 0;
    if (length > (this.writableLength[id] as number)) return this.fail("used-length");
    if (this.inOrder) {
      // All that were added before it are used too: the descriptor stands for every one of them.
      const before = (this.order[id] as number) - (this.order[this.oldestId] as number);
      this.batchLeft = before + 1;
      this.batchLength = length;
      return this.reapOfBatch();
    }

    this.nextId[id] = this.freeId;
    this.freeId = id;
    return this.takeBack(id, length);
  }

  /** The next buffer of the batch; all of them but the last are taken as written in full. */
  private reapOfBatch(): number {
    const id = this.oldestId;
    this.oldestId = this.nextId[id] as number;
    const isLast = --this.batchLeft === 0;
    return this.takeBack(id, isLast ? this.batchLength : (this.writableLength[id] as number));
  }

  private takeBack(id: number, length: number): number {
    const { size } = this;
    const count = this.descriptorCount[id] as number;
    this.descriptorCount[id] = 0;
    this.freeCount += count;
    this.added--;
    let next = this.nextUsed + count;
    if (next >= size) {
      next -= size;
      this.usedMark ^= TURN;
    }
    this.nextUsed = next;
    this.usedLength = length;
    return id;
  }

  /** See {@link DriverQueue.enableNotifications}. */
  enableNotifications(): boolean {
    if (this.broken !== undefined) return false;
    this.wantsNotifications = true;
    if (!this.eventIdx) this.tell(EVENT_ENABLE);
    if (this.batchLeft > 0) return true;
    if ((this.nextWord() & TURN) === this.usedMark) return true;
    return this.askForNext() && (this.nextWord() & TURN) === this.usedMark;
  }

  /** See {@link DriverQueue.disableNotifications}. */
  disableNotifications(): void {
    this.wantsNotifications = false;
    this.tell(EVENT_DISABLE);
  }

  /** Fills free descriptors of the ring from the next one on. */
  private fillList(
    id: number,
    addresses: ArrayLike<number>,
    lengths: ArrayLike<number>,
    count: number,
    readableCount: number,
  ): void {
    const { descriptors, size } = this;
    const first = this.nextAvail;
    let slot = first;
    let total = 0;
    let readable = 0;
    // While the segments are checked no flag is written: a list that is refused leaves no descriptor
    // behind that looks available.
    for (let i = 0; i < count; i++) {
      if (i === readableCount) readable = total;
      total += putSegment(descriptors, slot * DESC_SIZE, addresses, lengths, i);
      if (++slot === size) slot = 0;
    }
    this.noteLength(id, total, readableCount === count ? total : readable);

    slot = first;
    let mark = this.availMark;
    for (let i = 1; i < count; i++) {
      if (++slot === size) {
        slot = 0;
        mark ^= TURN;
      }
      const flags = mark | (i < readableCount ? 0 : F_WRITE) | (i + 1 < count ? F_NEXT : 0);
      descriptors.setUint32(slot * DESC_SIZE + DESC_WORD, id | flags, true);
    }
    const flags = (readableCount > 0 ? 0 : F_WRITE) | (count > 1 ? F_NEXT : 0);
    this.expose(first, id | this.availMark | flags);
  }

  /** Fills the indirect table of `id`, and the next descriptor of the ring. */
  private fillTable(
    id: number,
    addresses: ArrayLike<number>,
    lengths: ArrayLike<number>,
    count: number,
    readableCount: number,
  ): void {
    const { address, region } = this.tables as DmaBlock;
    const tableAt = address + id * this.tableEntries * DESC_SIZE;
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
      region.view.setUint32(at + DESC_WORD, flags, true);
      at += DESC_SIZE;
    }
    this.noteLength(id, total, readableCount === count ? total : readable);

    const { descriptors } = this;
    const slot = this.nextAvail;
    const slotAt = slot * DESC_SIZE;
    descriptors.setUint32(slotAt + DESC_ADDR, tableAt >>> 0, true);
    descriptors.setUint32(slotAt + DESC_ADDR_HIGH, (tableAt / 0x100000000) >>> 0, true);
    descriptors.setUint32(slotAt + DESC_LEN, count * DESC_SIZE, true);
    this.expose(slot, id | this.availMark | F_INDIRECT);
  }

  /** Makes a list available by its first word; the first one waits for {@link publish}. */
  private expose(slot: number, word: number): void {
    const at = slot * DESC_SIZE + DESC_WORD;
    if (this.unpublished > 0) {
      this.descriptors.setUint32(at, word, true);
      return;
    }
    this.firstAt = at;
    this.firstWord = word;
  }

  /** Takes `count` descriptors, which are filled, for the buffer of this id. */
  private commit(id: number, count: number): void {
    const { size } = this;
    let next = this.nextAvail + count;
    if (next >= size) {
      next -= size;
      this.availMark ^= TURN;
    }
    this.nextAvail = next;
    this.unpublished += count;
    this.order[id] = this.addedEver++;
    this.freeId = this.nextId[id] as number;
    this.freeCount -= count;
    this.descriptorCount[id] = count;
    this.added++;
  }

  private noteLength(id: number, total: number, readable: number): void {
    if (total > LONGEST_CHAIN) throw outOfRange("lengths", total, "a sum up to 2^32");
    this.writableLength[id] = Math.min(total - readable, LONGEST_USED_LENGTH);
  }

  private fail(defect: QueueDefect): -1 {
    this.broken = defect;
    return -1;
  }

  private nextWord(): number {
    return load32(
      this.descriptors,
      this.descriptorWords,
      (this.nextUsed << DESC_SHIFT) + DESC_WORD,
    );
  }

  /**
   * Asks to be notified of the next used buffer; true when the device was not asked for it before:
   * the buffer may have come before the device could see the question.
   */
  private askForNext(): boolean {
    if (!this.eventIdx || !this.wantsNotifications) return false;
    return this.tell(EVENT_DESC | this.nextUsed | (this.usedMark === 0 ? 0 : WRAP));
  }

  /** Writes the driver event suppression structure; false when that is there already. */
  private tell(event: number): boolean {
    if (this.told === event) return false;
    this.told = event;
    store32(this.driverEvent, this.driverEventWords, 0, event);
    return true;
  }
}
