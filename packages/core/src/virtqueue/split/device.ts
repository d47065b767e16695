/**
 * The device half of a split virtqueue (section "Split Virtqueues").
 *
 * Hot path: plain numbers, views made once, no allocation per buffer. Every value that the driver
 * can write is read once into a local and then checked; no ring contents make it throw, hang, or
 * reach outside guest memory.
 */
import { VirtioError } from "../../errors.ts";
import type { GuestMemory } from "../../memory/types.ts";
import { notHeld, PooledChain, readChain, SEGMENT_BUDGET, WAITING, writeChain } from "../chain.ts";
import type { Chain, DeviceQueue, DeviceQueueInit, QueueDefect } from "../types.ts";
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
const F_KIND = F_NEXT | F_WRITE | F_INDIRECT;
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

/** The highest upper half of an address that a number can hold, and that memory can cover. */
const HIGHEST_ADDRESS_HIGH = 0x1fffff;

/** What a queue does; beyond SERVING nothing is popped, and STOPPED is the end. */
const SERVING = 0;
const HELD = 1;
const STOPPED = 2;

/** The device half of a split virtqueue. It touches no guest memory before its first call. */
export class SplitDeviceQueue implements DeviceQueue {
  /** See {@link DeviceQueue.size}. */
  readonly size: number;
  /** See {@link DeviceQueue.memory}. */
  readonly memory: GuestMemory;
  private readonly descriptors: DataView;
  private readonly avail: DataView;
  private readonly used: DataView;
  private readonly availWords: Uint16Array | undefined;
  private readonly usedWords: Uint16Array | undefined;
  private readonly eventIdx: boolean;
  private readonly indirect: boolean;
  private readonly inOrder: boolean;
  private readonly usedEventAt: number;
  private readonly availEventAt: number;

  private broken: QueueDefect | undefined = undefined;
  private mode = SERVING;
  /** The segments of the buffers that are held, of those that are no pairs. */
  private heldSegments = 0;
  private looked = 0;
  /** 1 for the head of each buffer that is held. */
  private readonly heldHeads: Uint8Array;
  /** The chain that was given back last. */
  private spare: PooledChain | undefined = undefined;
  /** With `inOrder`: the buffer that is to be used next, and the one that was popped last. */
  private oldest: PooledChain | undefined = undefined;
  private newest: PooledChain | undefined = undefined;
  /** With `inOrder`: the batch that began at the published index can take one more buffer. */
  private batchOpen = false;

  /** The index of the available entry that is popped next. */
  private nextAvail: number;
  /** The available idx as it was read last. */
  private seenAvail: number;
  /** The index of the used entry that is written next. */
  private nextUsed: number;
  /** The used idx as the driver sees it. */
  private publishedUsed: number;
  private wantsNotifications: boolean;
  /** What the driver was told of them before the queue was held back. */
  private toldNotifications = true;
  /** The avail_event that was written last, or -1 before the first. */
  private availEvent = -1;

  /** One descriptor of an indirect table that no single region holds. */
  private readonly scratch = new Uint8Array(DESC_SIZE);
  private readonly scratchView = new DataView(this.scratch.buffer);

  /**
   * Makes the device half of the queue that lies where `init` says.
   *
   * @throws VirtioError `QUEUE_SIZE` when the size is no power of two from 1 to 32768;
   * `QUEUE_ADDRESS` when a part is misaligned or not inside one region; `VALUE_RANGE` when
   * `startIndex` has more than 16 bits, or `publishedIndex` is not up to `size` before it.
   */
  constructor(init: DeviceQueueInit) {
    const rings = splitRings(init);
    this.size = init.size;
    this.memory = init.memory;
    this.descriptors = rings.descriptors;
    this.avail = rings.avail;
    this.used = rings.used;
    this.availWords = rings.availWords;
    this.usedWords = rings.usedWords;
    this.eventIdx = init.eventIdx;
    this.indirect = init.indirect;
    this.inOrder = init.inOrder === true;
    this.usedEventAt = usedEventOffset(init.size);
    this.availEventAt = availEventOffset(init.size);
    this.heldHeads = new Uint8Array(init.size);
    this.nextAvail = rings.start;
    this.seenAvail = rings.start;
    this.nextUsed = rings.start;
    this.publishedUsed = checkPublished(init, rings.start);
    this.wantsNotifications = init.notifications ?? true;
  }

  /** See {@link DeviceQueue.concurrent}. */
  get concurrent(): boolean {
    return this.availWords !== undefined;
  }

  /** See {@link DeviceQueue.defect}. */
  get defect(): QueueDefect | undefined {
    return this.broken;
  }

  /** See {@link DeviceQueue.outstanding}. */
  get outstanding(): number {
    return (this.nextAvail - this.nextUsed) & 0xffff;
  }

  /** See {@link DeviceQueue.visited}. */
  get visited(): number {
    return this.looked;
  }

  /** See {@link DeviceQueue.index}. */
  get index(): number {
    return this.nextAvail;
  }

  /** See {@link DeviceQueue.publishedIndex}. */
  get publishedIndex(): number {
    return this.publishedUsed;
  }

  /** See {@link DeviceQueue.notifications}. */
  get notifications(): boolean {
    return this.wantsNotifications;
  }

  /** See {@link DeviceQueue.pop}. */
  pop(): Chain | undefined {
    const next = this.nextAvail;
    if (next === this.seenAvail && !this.lookForBuffers()) return undefined;

    const { size } = this;
    const entry = (next & (size - 1)) << AVAIL_ENTRY_SHIFT;
    const head = this.avail.getUint16(AVAIL_RING + entry, true);
    if (head >= size) return this.fail("head-range");
    if (this.heldHeads[head] !== 0) return this.fail("head-outstanding");

    const chain = this.spare ?? new PooledChain(this);
    if (!this.takePair(chain, head)) {
      const defect = this.walk(chain, head);
      if (defect !== undefined) return this.fail(defect);
      const segments = this.heldSegments + chain.count;
      if (segments > SEGMENT_BUDGET) return this.fail("segment-budget");
      this.heldSegments = segments;
    }
    this.spare = chain.spare;
    this.heldHeads[head] = 1;
    chain.head = head;
    chain.held = true;
    if (this.inOrder) this.enqueue(chain);
    this.nextAvail = (next + 1) & 0xffff;
    return chain;
  }

  /** See {@link DeviceQueue.push}. */
  push(chain: Chain, written: number): void {
    if (this.mode === STOPPED) return;
    // Of anything else the owner is undefined, of a copy too.
    const pooled = chain as PooledChain;
    if (pooled.owner !== this || pooled.held !== true) throw notHeld(chain);
    pooled.held = false;
    if (this.inOrder) this.pushInOrder(pooled, written);
    else this.use(pooled, written, this.nextUsed);
  }

  /** Writes the used entry of a buffer at `index`, and takes the buffer back. */
  private use(chain: PooledChain, written: number, index: number): void {
    const { head } = chain;
    const entry = USED_RING + ((index & (this.size - 1)) << USED_ELEM_SHIFT);
    this.used.setUint32(entry + USED_ELEM_ID, head, true);
    this.used.setUint32(entry + USED_ELEM_LEN, chain.usedLength(written), true);
    this.nextUsed = (this.nextUsed + 1) & 0xffff;

    this.heldHeads[head] = 0;
    if (chain.region === undefined) {
      this.heldSegments -= chain.count;
      chain.shrink();
    }
    // Memory that is taken out meanwhile is not kept by a chain that is to spare.
    chain.region = undefined;
    chain.spare = this.spare;
    this.spare = chain;
  }

  /** See {@link DeviceQueue.publish}. */
  publish(): boolean {
    const old = this.publishedUsed;
    const now = this.nextUsed;
    if (now === old || this.mode === STOPPED) return false;
    this.publishedUsed = now;
    store16(this.used, this.usedWords, USED_IDX, now);
    if (this.eventIdx) {
      const usedEvent = load16(this.avail, this.availWords, this.usedEventAt);
      // The entries old..now-1 were written: was the one that the driver waits for among them?
      return ((now - usedEvent - 1) & 0xffff) < ((now - old) & 0xffff);
    }
    const flags = load16(this.avail, this.availWords, AVAIL_FLAGS);
    return (flags & F_NO_INTERRUPT) === 0;
  }

  /** See {@link DeviceQueue.enableNotifications}. */
  enableNotifications(): boolean {
    if (this.broken !== undefined || this.mode === STOPPED) return false;
    this.wantsNotifications = true;
    if (this.mode === HELD) return false;
    if (!this.eventIdx) store16(this.used, this.usedWords, USED_FLAGS, 0);
    return this.nextAvail !== this.seenAvail || this.lookForBuffers();
  }

  /** See {@link DeviceQueue.disableNotifications}. */
  disableNotifications(): void {
    if (this.mode === STOPPED) return;
    this.wantsNotifications = false;
    if (this.mode === HELD) return;
    if (this.eventIdx) {
      // With event indexes flags stays 0; an entry that is past is not written again for a while.
      this.writeAvailEvent((this.nextAvail - 1) & 0xffff);
    } else {
      store16(this.used, this.usedWords, USED_FLAGS, F_NO_NOTIFY);
    }
  }

  /** See {@link DeviceQueue.read}. */
  read(chain: Chain, from: number, target: Uint8Array): number {
    return readChain(this.memory, chain, from, target);
  }

  /** See {@link DeviceQueue.write}. */
  write(chain: Chain, at: number, source: Uint8Array): number {
    return this.mode === STOPPED ? 0 : writeChain(this.memory, chain, at, source);
  }

  /** See {@link DeviceQueue.hold}. */
  hold(): void {
    if (this.mode !== SERVING) return;
    this.mode = HELD;
    this.seenAvail = this.nextAvail;
    this.toldNotifications = this.wantsNotifications;
  }

  /** See {@link DeviceQueue.release}. */
  release(): void {
    if (this.mode !== HELD) return;
    this.mode = SERVING;
    if (this.wantsNotifications === this.toldNotifications) return;
    if (this.wantsNotifications) this.enableNotifications();
    else this.disableNotifications();
  }

  /** See {@link DeviceQueue.stop}. */
  stop(): void {
    this.mode = STOPPED;
    this.seenAvail = this.nextAvail;
  }

  private enqueue(chain: PooledChain): void {
    chain.written = WAITING;
    chain.after = undefined;
    if (this.newest === undefined) this.oldest = chain;
    else this.newest.after = chain;
    this.newest = chain;
  }

  /**
   * Uses the buffers that are done and have none before them that is not. What the driver cannot see
   * yet is one batch as long as every buffer of it but the last was written in full, which is what the
   * driver takes a buffer without an entry for ("In-order use of descriptors").
   */
  private pushInOrder(done: PooledChain, written: number): void {
    done.written = Math.max(0, written);
    let chain = this.oldest;
    while (chain !== undefined && chain.written !== WAITING) {
      const { after, writableLength } = chain;
      const first = this.nextUsed === this.publishedUsed;
      const inBatch = first || this.batchOpen;
      this.use(chain, chain.written, inBatch ? this.publishedUsed : this.nextUsed);
      this.batchOpen = inBatch && chain.written >= writableLength;
      chain = after;
    }
    this.oldest = chain;
    if (chain === undefined) this.newest = undefined;
  }

  /** A queue that is broken, held back or stopped has seen all that it pops. */
  private fail(defect: QueueDefect): undefined {
    this.broken = defect;
    this.seenAvail = this.nextAvail;
    return undefined;
  }

  /**
   * Reads the available idx; true when there are buffers. When there are none, asks to be notified
   * of the next, and looks again: it may have come before the driver could see the question.
   */
  private lookForBuffers(): boolean {
    if (this.broken !== undefined || this.mode !== SERVING) return false;
    if (this.readAvailIdx()) return true;
    if (!this.eventIdx || !this.wantsNotifications || this.broken !== undefined) return false;
    if (this.availEvent === this.nextAvail) return false;
    this.writeAvailEvent(this.nextAvail);
    return this.readAvailIdx();
  }

  private readAvailIdx(): boolean {
    const idx = load16(this.avail, this.availWords, AVAIL_IDX);
    const next = this.nextAvail;
    if (idx === next) return false;
    // What the driver has not seen used, it cannot have made available again.
    const unseen = (next - this.publishedUsed) & 0xffff;
    if (((idx - next) & 0xffff) + unseen > this.size) {
      this.broken = "index-jump";
      return false;
    }
    this.seenAvail = idx;
    return true;
  }

  private writeAvailEvent(index: number): void {
    this.availEvent = index;
    store16(this.used, this.usedWords, this.availEventAt, index);
  }

  /**
   * Fills `chain` from the two descriptors that start at `head`, when they are what nearly all
   * buffers are: a readable and a writable one, in one region, neither a table. False otherwise, and
   * then {@link walk} looks at everything anew and tells what is wrong, if anything is.
   */
  private takePair(chain: PooledChain, head: number): boolean {
    const { descriptors, memory } = this;
    const at = head << DESC_SHIFT;
    const flagsNext = descriptors.getUint32(at + DESC_FLAGS_NEXT, true);
    const second = flagsNext >>> 16;
    if ((flagsNext & F_KIND) !== F_NEXT || second >= this.size) return false;
    const secondAt = second << DESC_SHIFT;
    const secondFlags = descriptors.getUint32(secondAt + DESC_FLAGS_NEXT, true);
    if ((secondFlags & F_KIND) !== F_WRITE) return false;
    const high = descriptors.getUint32(at + DESC_ADDR_HIGH, true);
    const secondHigh = descriptors.getUint32(secondAt + DESC_ADDR_HIGH, true);
    if ((high | secondHigh) !== 0) return false;
    const readable = descriptors.getUint32(at + DESC_ADDR, true);
    const writable = descriptors.getUint32(secondAt + DESC_ADDR, true);
    // As signed numbers, so that what is 2^31 bytes and more is left to walk too.
    const readableLength = descriptors.getInt32(at + DESC_LEN, true);
    const writableLength = descriptors.getInt32(secondAt + DESC_LEN, true);
    if (readableLength <= 0 || writableLength <= 0) return false;
    const region = memory.find(readable, readableLength);
    if (region === undefined) return false;
    const writableAt = writable - region.base;
    if (!(writableAt >= 0 && writableLength <= region.length - writableAt)) return false;
    this.looked += PAIR;
    chain.fillPair(region, readable, readableLength, writable, writableLength);
    return true;
  }

  /**
   * Fills `chain` from the descriptors that start at `head`. Bounded: a table gives no more
   * descriptors than it has, the whole chain no more than the queue size, and tables do not nest.
   */
  private walk(chain: PooledChain, head: number): QueueDefect | undefined {
    const { memory, size } = this;
    let view = this.descriptors;
    let base = 0;
    let entries = size;
    let inTable = false;
    /** Where a table lies that only copies reach, or -1. */
    let copiedFrom = -1;

    let index = head;
    let visited = 0;
    let before = 0;
    let elements = 0;
    let count = 0;
    let readableCount = 0;
    let readableLength = 0;
    let writableLength = 0;
    let writableSeen = false;

    for (;;) {
      if (++visited > entries) return "chain-loop";
      let at = base + index * DESC_SIZE;
      if (copiedFrom >= 0) {
        if (!memory.read(copiedFrom + at, this.scratch)) return "table-unmapped";
        at = 0;
      }
      const low = view.getUint32(at + DESC_ADDR, true);
      const high = view.getUint32(at + DESC_ADDR_HIGH, true);
      const length = view.getUint32(at + DESC_LEN, true);
      const flagsNext = view.getUint32(at + DESC_FLAGS_NEXT, true);
      const address = high * 0x100000000 + low;

      if ((flagsNext & F_INDIRECT) !== 0) {
        if (inTable) return "indirect-nested";
        if (!this.indirect) return "indirect-not-negotiated";
        if ((flagsNext & F_NEXT) !== 0) return "indirect-chained";
        if (length === 0 || length % DESC_SIZE !== 0) return "indirect-length";
        if (high > HIGHEST_ADDRESS_HIGH) return "table-unmapped";
        const region = memory.find(address, length);
        if (region !== undefined) {
          view = region.view;
          base = address - region.base;
        } else {
          if (!memory.contains(address, length)) return "table-unmapped";
          view = this.scratchView;
          base = 0;
          copiedFrom = address;
        }
        inTable = true;
        entries = length / DESC_SIZE;
        before = visited;
        visited = 0;
        index = 0;
        continue;
      }

      if (++elements > size) return "chain-length";
      const writable = (flagsNext & F_WRITE) !== 0;
      if (writable) writableSeen = true;
      else if (writableSeen) return "readable-after-writable";
      if (length !== 0) {
        if (
          high > HIGHEST_ADDRESS_HIGH ||
          (memory.find(address, length) === undefined && !memory.contains(address, length))
        ) {
          return "buffer-unmapped";
        }
        chain.setSegment(count++, address, length);
        if (writable) {
          writableLength += length;
        } else {
          readableLength += length;
          readableCount = count;
        }
        if (readableLength + writableLength > LONGEST_CHAIN) return "total-length";
      }
      if ((flagsNext & F_NEXT) === 0) break;
      index = flagsNext >>> 16;
      if (index >= entries) return "next-range";
    }

    this.looked += before + visited;
    chain.region = undefined;
    chain.count = count;
    chain.readableCount = readableCount;
    chain.readableLength = readableLength;
    chain.writableLength = writableLength;
    return undefined;
  }
}

function checkPublished({ publishedIndex, size }: DeviceQueueInit, start: number): number {
  if (publishedIndex === undefined) return start;
  const isIndex = Number.isInteger(publishedIndex) && publishedIndex >>> 16 === 0;
  if (isIndex && ((start - publishedIndex) & 0xffff) <= size) return publishedIndex;
  throw new VirtioError("VALUE_RANGE", {
    path: "queue.publishedIndex",
    message: `a used index is an integer of 16 bits, and at most ${size} entries are unpublished`,
    value: publishedIndex,
  });
}
