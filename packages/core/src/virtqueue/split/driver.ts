/**
 * The driver half of a split virtqueue (section "Split Virtqueues").
 *
 * Hot path: plain numbers, views made once, no allocation per buffer. It keeps its own record of
 * every descriptor and never reads the table back; a used entry is read once and checked against
 * that record.
 */
import { VirtioError } from "../../errors.ts";
import type { DmaBlock } from "../../memory/types.ts";
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
import { le16, le32, load16, splitRings, store16, words32 } from "./rings.ts";

// Constants of the own module are folded into optimized code; imported ones are loaded each time.
// Places in a ring are counted in words, of 32 bits (descriptors, used entries) or 16 (the rest).
const DESC_ADDR = VIRTQ_DESC.fields.addr.offset / 4;
const DESC_ADDR_HIGH = DESC_ADDR + 1;
const DESC_LEN = VIRTQ_DESC.fields.len.offset / 4;
const DESC_FLAGS_NEXT = VIRTQ_DESC.fields.flags.offset / 4;
const DESC_SIZE = VIRTQ_DESC.size;
const DESC_WORDS = DESC_SIZE / 4;
const F_NEXT = VIRTQ_DESC.fields.flags.bits.next.mask;
const F_WRITE = VIRTQ_DESC.fields.flags.bits.write.mask;
const F_INDIRECT = VIRTQ_DESC.fields.flags.bits.indirect.mask;
const AVAIL_FLAGS = VIRTQ_AVAIL.fields.flags.offset / 2;
const F_NO_INTERRUPT = VIRTQ_AVAIL.fields.flags.bits.no_interrupt.mask;
const AVAIL_IDX = VIRTQ_AVAIL.fields.idx.offset / 2;
const AVAIL_RING = VIRTQ_AVAIL.fields.ring.offset / 2;
const USED_FLAGS = VIRTQ_USED.fields.flags.offset / 2;
const F_NO_NOTIFY = VIRTQ_USED.fields.flags.bits.no_notify.mask;
const USED_IDX = VIRTQ_USED.fields.idx.offset / 2;
const USED_RING = VIRTQ_USED.size / 4;
const USED_ENTRY = VIRTQ_USED_ELEM.size / 4;
const USED_ELEM_ID = VIRTQ_USED_ELEM.fields.id.offset / 4;
const USED_ELEM_LEN = VIRTQ_USED_ELEM.fields.len.offset / 4;
const LONGEST_CHAIN = VIRTQ_CHAIN_MAX_LENGTH;

const TABLES_PATH = "queue.indirectArea";
/** The upper half of 2^53-1, the highest address. */
const HIGHEST_ADDRESS_HIGH = 0x1fffff;

/**
 * The driver half of a split virtqueue. Making one writes the initial state of both rings: flags
 * zero, every index at the start.
 */
export class SplitDriverQueue implements DriverQueue {
  /** See {@link DriverQueue.size}. */
  readonly size: number;
  /** See {@link DriverQueue.usedLength}. */
  usedLength = 0;
  private readonly table: Uint32Array;
  private readonly avail: Uint16Array;
  private readonly used: Uint32Array;
  private readonly usedHalves: Uint16Array;
  private readonly atomic: boolean;
  private readonly eventIdx: boolean;
  private readonly usedEventAt: number;
  private readonly availEventAt: number;
  /** The indirect tables, one for each head, and how many descriptors each has room for. */
  private readonly tables: Uint32Array;
  private readonly tablesAddress: number;
  private readonly tableEntries: number;

  private broken: QueueDefect | undefined = undefined;
  private added = 0;
  private freeCount: number;
  private freeHead = 0;
  /** For each descriptor the one after it, in its buffer or in the free list. */
  private readonly nextDescriptor: Uint16Array;
  /** For the head of each outstanding buffer: how many descriptors it has, else 0. */
  private readonly descriptorCount: Uint16Array;
  /** The last descriptor of the buffer. */
  private readonly tail: Uint16Array;
  /** The index of the available entry that names it. */
  private readonly availIndex: Uint16Array;
  /** How many bytes the device may write into it. */
  private readonly writableLength: Float64Array;

  /** The index of the available entry that is written next. */
  private nextAvail: number;
  /** The available idx as the device sees it. */
  private publishedAvail: number;
  /** The index of the used entry that is reaped next. */
  private nextUsed: number;
  /** The used idx as it was read last. */
  private seenUsed: number;
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
    this.table = rings.table;
    this.avail = rings.avail;
    this.used = rings.used;
    this.usedHalves = rings.usedHalves;
    this.atomic = init.atomic === true;
    this.eventIdx = init.eventIdx;
    this.usedEventAt = usedEventOffset(size) / 2;
    this.availEventAt = availEventOffset(size) / 2;
    const area = init.indirect ? init.indirectArea : undefined;
    this.tables = area === undefined ? new Uint32Array(0) : words32(bytesOf(area), TABLES_PATH);
    this.tablesAddress = area?.address ?? 0;
    this.tableEntries = Math.floor((area?.length ?? 0) / (size * DESC_SIZE));
    this.freeCount = size;
    this.nextDescriptor = Uint16Array.from({ length: size }, (_, index) => index + 1);
    this.descriptorCount = new Uint16Array(size);
    this.tail = new Uint16Array(size);
    this.availIndex = new Uint16Array(size);
    this.writableLength = new Float64Array(size);
    this.nextAvail = rings.start;
    this.publishedAvail = rings.start;
    this.nextUsed = rings.start;
    this.seenUsed = rings.start;
    this.usedEvent = rings.start;
    store16(this.avail, this.atomic, AVAIL_FLAGS, 0);
    store16(this.avail, this.atomic, AVAIL_IDX, rings.start);
    store16(this.avail, this.atomic, this.usedEventAt, rings.start);
    store16(this.usedHalves, this.atomic, USED_FLAGS, 0);
    store16(this.usedHalves, this.atomic, USED_IDX, rings.start);
    store16(this.usedHalves, this.atomic, this.availEventAt, rings.start);
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

  /** See {@link DriverQueue.add}. */
  add(
    addresses: ArrayLike<number>,
    lengths: ArrayLike<number>,
    count: number,
    readableCount: number,
  ): number {
    const { size } = this;
    if (!(Number.isInteger(count) && count >= 1 && count <= size))
      throw outOfRange("count", count, `1..${size}`);
    if (!(readableCount >= 0 && readableCount <= count && (readableCount | 0) === readableCount)) {
      throw outOfRange("readableCount", readableCount, `0..${count}`);
    }
    if (this.broken !== undefined) return -1;
    const inTable = count > 1 && count <= this.tableEntries;
    const needed = inTable ? 1 : count;
    if (needed > this.freeCount) return -1;

    // Free descriptors are the driver's own, so they are filled while the segments are checked.
    const head = this.freeHead;
    const tail = inTable
      ? this.fillTable(head, addresses, lengths, count, readableCount)
      : this.fillChain(head, addresses, lengths, count, readableCount);
    const nextAvail = this.nextAvail;
    const entry = nextAvail & (size - 1);
    this.avail[AVAIL_RING + entry] = le16(head);
    this.nextAvail = (nextAvail + 1) & 0xffff;
    this.availIndex[head] = nextAvail;
    this.freeHead = this.nextDescriptor[tail] as number;
    this.freeCount -= needed;
    this.descriptorCount[head] = needed;
    this.tail[head] = tail;
    this.added++;
    return head;
  }

  /** See {@link DriverQueue.publish}. */
  publish(): boolean {
    const old = this.publishedAvail;
    const now = this.nextAvail;
    if (now === old) return false;
    this.publishedAvail = now;
    store16(this.avail, this.atomic, AVAIL_IDX, now);
    if (this.eventIdx) {
      const availEvent = load16(this.usedHalves, this.atomic, this.availEventAt);
      // The entries old..now-1 were written: was the one that the device waits for among them?
      return ((now - availEvent - 1) & 0xffff) < ((now - old) & 0xffff);
    }
    const flags = load16(this.usedHalves, this.atomic, USED_FLAGS);
    return (flags & F_NO_NOTIFY) === 0;
  }

  /** See {@link DriverQueue.reap}. */
  reap(): number {
    const next = this.nextUsed;
    if (this.broken !== undefined) return -1;
    if (next === this.seenUsed && !this.lookForBuffers()) return -1;

    const { size } = this;
    const entry = USED_RING + (next & (size - 1)) * USED_ENTRY;
    const id = le32(this.used[entry + USED_ELEM_ID] as number);
    const length = le32(this.used[entry + USED_ELEM_LEN] as number);
    if (id >= size) return this.fail("used-id");
    const count = this.descriptorCount[id] as number;
    if (count === 0) return this.fail("used-id");
    // Added, but not published: the device cannot know it yet.
    if (((this.publishedAvail - (this.availIndex[id] as number) - 1) & 0xffff) >= size) {
      return this.fail("used-id");
    }
    if (length > (this.writableLength[id] as number)) return this.fail("used-length");

    this.descriptorCount[id] = 0;
    this.nextDescriptor[this.tail[id] as number] = this.freeHead;
    this.freeHead = id;
    this.freeCount += count;
    this.added--;
    this.nextUsed = (next + 1) & 0xffff;
    this.usedLength = length;
    return id;
  }

  /** See {@link DriverQueue.enableNotifications}. */
  enableNotifications(): boolean {
    if (this.broken !== undefined) return false;
    this.wantsNotifications = true;
    if (!this.eventIdx) store16(this.avail, this.atomic, AVAIL_FLAGS, 0);
    return this.nextUsed !== this.seenUsed || this.lookForBuffers();
  }

  /** See {@link DriverQueue.disableNotifications}. */
  disableNotifications(): void {
    this.wantsNotifications = false;
    if (this.eventIdx) {
      // With event indexes flags stays 0; an entry that is past is not written again for a while.
      this.writeUsedEvent((this.nextUsed - 1) & 0xffff);
    } else {
      store16(this.avail, this.atomic, AVAIL_FLAGS, F_NO_INTERRUPT);
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
    const { table, nextDescriptor } = this;
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
      at = tail * DESC_WORDS;
      index = nextDescriptor[tail] as number;
      total += putSegment(table, at, addresses, lengths, i);
      table[at + DESC_FLAGS_NEXT] = le32(flags | F_NEXT | (index << 16));
    }
    table[at + DESC_FLAGS_NEXT] = le32(flags);
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
    const { table, tables, tableEntries } = this;
    let at = head * tableEntries * DESC_WORDS;
    const address = this.tablesAddress + at * Uint32Array.BYTES_PER_ELEMENT;
    let total = 0;
    let readable = 0;
    let flags = 0;
    for (let i = 0; i < count; i++) {
      if (i === readableCount) {
        readable = total;
        flags = F_WRITE;
      }
      total += putSegment(tables, at, addresses, lengths, i);
      const next = i + 1 < count ? F_NEXT | ((i + 1) << 16) : 0;
      tables[at + DESC_FLAGS_NEXT] = le32(flags | next);
      at += DESC_WORDS;
    }
    const headAt = head * DESC_WORDS;
    table[headAt + DESC_ADDR] = le32(address >>> 0);
    table[headAt + DESC_ADDR_HIGH] = le32((address / 0x100000000) >>> 0);
    table[headAt + DESC_LEN] = le32(count * DESC_SIZE);
    table[headAt + DESC_FLAGS_NEXT] = le32(F_INDIRECT);
    this.noteLength(head, total, readableCount === count ? total : readable);
    return head;
  }

  private noteLength(head: number, total: number, readable: number): void {
    if (total > LONGEST_CHAIN) throw outOfRange("lengths", total, "a sum up to 2^32");
    this.writableLength[head] = total - readable;
  }

  private fail(defect: QueueDefect): -1 {
    this.broken = defect;
    return -1;
  }

  /**
   * Reads the used idx; true when there are buffers. When there are none, asks to be notified of
   * the next, and looks again: it may have come before the device could see the question.
   */
  private lookForBuffers(): boolean {
    if (this.readUsedIdx()) return true;
    if (!this.eventIdx || !this.wantsNotifications || this.broken !== undefined) return false;
    if (this.usedEvent === this.nextUsed) return false;
    this.writeUsedEvent(this.nextUsed);
    return this.readUsedIdx();
  }

  private readUsedIdx(): boolean {
    const idx = load16(this.usedHalves, this.atomic, USED_IDX);
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
    store16(this.avail, this.atomic, this.usedEventAt, index);
  }
}

function bytesOf({ address, length, region }: DmaBlock): Uint8Array {
  const offset = address - region.base;
  return region.bytes.subarray(offset, offset + length);
}

/** Checks segment `i` and writes its address and length to a descriptor; returns the length. */
function putSegment(
  words: Uint32Array,
  at: number,
  addresses: ArrayLike<number>,
  lengths: ArrayLike<number>,
  i: number,
): number {
  const address = addresses[i] as number;
  const length = lengths[i] as number;
  const low = address >>> 0;
  const high = (address / 0x100000000) >>> 0;
  if (high * 0x100000000 + low !== address || high > HIGHEST_ADDRESS_HIGH) {
    throw outOfRange(`addresses[${i}]`, address, "0..2^53-1");
  }
  if (length >>> 0 !== length || length === 0) {
    throw outOfRange(`lengths[${i}]`, length, "1..2^32-1");
  }
  words[at + DESC_ADDR] = le32(low);
  words[at + DESC_ADDR_HIGH] = le32(high);
  words[at + DESC_LEN] = le32(length);
  return length;
}

function outOfRange(path: string, value: number, range: string): VirtioError {
  return new VirtioError("VALUE_RANGE", {
    path,
    message: "a buffer cannot be described",
    value,
    hint: `must be ${range}`,
  });
}
