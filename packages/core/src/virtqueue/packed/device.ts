/**
 * The device half of a packed virtqueue (section "Packed Virtqueues").
 *
 * Hot path: plain numbers, views made once, no allocation per buffer. Every value that the driver
 * can write is read once into a local and then checked; no ring contents make it throw, hang, or
 * reach outside guest memory.
 */
import { VirtioError } from "../../errors.ts";
import type { GuestMemory } from "../../memory/types.ts";
import { notHeld, PooledChain, readChain, SEGMENT_BUDGET, WAITING, writeChain } from "../chain.ts";
import { VIRTQ_CHAIN_MAX_LENGTH } from "../split/layout.ts";
import type { Chain, DeviceQueue, DeviceQueueInit, QueueDefect } from "../types.ts";
import { PVIRTQ_DESC } from "./layout.ts";
import {
  asksFor,
  descriptorsBetween,
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
const F_KIND = F_NEXT | F_WRITE | F_INDIRECT;
const F_AVAIL = PVIRTQ_DESC.fields.flags.bits.avail.mask << 16;
const F_USED = PVIRTQ_DESC.fields.flags.bits.used.mask << 16;
/** The two bits that a wrap counter turns over. */
const TURN = F_AVAIL | F_USED;
const LONGEST_CHAIN = VIRTQ_CHAIN_MAX_LENGTH;
const PAIR = 2;

/** The highest upper half of an address that a number can hold, and that memory can cover. */
const HIGHEST_ADDRESS_HIGH = 0x1fffff;
/** No text bounds a buffer id but its 16 bits. */
const IDS = 0x10000;
/** No event suppression structure is this. */
const UNKNOWN_EVENT = -1;

/** What a queue does; beyond SERVING nothing is popped, and STOPPED is the end. */
const SERVING = 0;
const HELD = 1;
const STOPPED = 2;

/** The device half of a packed virtqueue. It touches no guest memory before its first call. */
export class PackedDeviceQueue implements DeviceQueue {
  /** See {@link DeviceQueue.size}. */
  readonly size: number;
  /** See {@link DeviceQueue.memory}. */
  readonly memory: GuestMemory;
  private readonly descriptors: DataView;
  private readonly driverEvent: DataView;
  private readonly deviceEvent: DataView;
  private readonly descriptorWords: Uint32Array | undefined;
  private readonly driverEventWords: Uint32Array | undefined;
  private readonly deviceEventWords: Uint32Array | undefined;
  private readonly eventIdx: boolean;
  private readonly indirect: boolean;
  private readonly inOrder: boolean;

  private broken: QueueDefect | undefined = undefined;
  private mode = SERVING;
  /** Buffers popped and not pushed. */
  private held = 0;
  /** The segments of the buffers that are held, of those that are no pairs. */
  private heldSegments = 0;
  private looked = 0;
  /** 1 for the id of each buffer that is held; as long as the ring until an id is beyond it. */
  private heldIds: Uint8Array;
  /** The chain that was given back last. */
  private spare: PooledChain | undefined = undefined;
  /** With `inOrder`: the buffer that is to be used next, and the one that was popped last. */
  private oldest: PooledChain | undefined = undefined;
  private newest: PooledChain | undefined = undefined;
  /** With `inOrder`: the batch at the first unpublished descriptor can take one more buffer. */
  private batchOpen = false;

  /** The descriptor that is looked at next, and how AVAIL and USED stand in it once available. */
  private nextAvail: number;
  private availMark: number;
  /** Descriptors that were taken and that the driver has not seen used. */
  private taken: number;
  /** Where the next used descriptor is written, and how AVAIL and USED stand in it. */
  private nextUsed: number;
  private usedMark: number;
  /** The first used descriptor that the driver cannot see yet, and its mark. */
  private publishedUsed: number;
  private publishedMark: number;
  /** How many descriptors the used ones that the driver cannot see yet stand for. */
  private unpublished: number;
  /** Their first word, which makes all of them visible; 0 when a predecessor wrote them. */
  private firstWord = 0;
  private inherited: boolean;
  private wantsNotifications: boolean;
  /** What the driver was told of them before the queue was held back. */
  private toldNotifications = true;
  /** The device event suppression structure as it was written last. */
  private told = UNKNOWN_EVENT;

  /** One descriptor of an indirect table that no single region holds. */
  private readonly scratch = new Uint8Array(DESC_SIZE);
  private readonly scratchView = new DataView(this.scratch.buffer);

  /**
   * Makes the device half of the queue that lies where `init` says.
   *
   * @throws VirtioError `QUEUE_SIZE` when the size is no integer from 1 to 32768; `QUEUE_ADDRESS`
   * when a part is misaligned or not inside one region; `VALUE_RANGE` when `startIndex` or
   * `publishedIndex` is no position in the ring, or the second not up to `size` before the first.
   */
  constructor(init: DeviceQueueInit) {
    const rings = packedRings(init);
    const { size } = init;
    this.size = size;
    this.memory = init.memory;
    this.descriptors = rings.descriptors;
    this.driverEvent = rings.driverEvent;
    this.deviceEvent = rings.deviceEvent;
    this.descriptorWords = rings.descriptorWords;
    this.driverEventWords = rings.driverEventWords;
    this.deviceEventWords = rings.deviceEventWords;
    this.eventIdx = init.eventIdx;
    this.indirect = init.indirect;
    this.inOrder = init.inOrder === true;
    this.heldIds = new Uint8Array(size);
    this.nextAvail = rings.offset;
    this.availMark = rings.wrap === 1 ? F_AVAIL : F_USED;
    this.nextUsed = rings.offset;
    this.usedMark = rings.wrap === 1 ? TURN : 0;
    const published = init.publishedIndex ?? this.index;
    this.unpublished = descriptorsBetween(published, this.index, size);
    if (this.unpublished > size) {
      throw new VirtioError("VALUE_RANGE", {
        path: "queue.publishedIndex",
        message: `at most ${size} descriptors are unpublished`,
        value: published,
      });
    }
    this.publishedUsed = published & ~WRAP;
    this.publishedMark = (published & WRAP) === 0 ? 0 : TURN;
    this.taken = this.unpublished;
    this.inherited = this.unpublished > 0;
    this.wantsNotifications = init.notifications ?? true;
  }

  /** See {@link DeviceQueue.concurrent}. */
  get concurrent(): boolean {
    return this.descriptorWords !== undefined;
  }

  /** See {@link DeviceQueue.defect}. */
  get defect(): QueueDefect | undefined {
    return this.broken;
  }

  /** See {@link DeviceQueue.outstanding}. */
  get outstanding(): number {
    return this.held;
  }

  /** See {@link DeviceQueue.visited}. */
  get visited(): number {
    return this.looked;
  }

  /** See {@link DeviceQueue.index}. */
  get index(): number {
    return this.nextAvail | (this.availMark === F_AVAIL ? WRAP : 0);
  }

  /** See {@link DeviceQueue.publishedIndex}. */
  get publishedIndex(): number {
    return this.publishedUsed | (this.publishedMark === 0 ? 0 : WRAP);
  }

  /** See {@link DeviceQueue.notifications}. */
  get notifications(): boolean {
    return this.wantsNotifications;
  }

  /** See {@link DeviceQueue.pop}. */
  pop(): Chain | undefined {
    if (this.broken !== undefined || this.mode !== SERVING) return undefined;
    let word = this.nextWord();
    if ((word & TURN) !== this.availMark) {
      if (!this.askForNext()) return undefined;
      word = this.nextWord();
      if ((word & TURN) !== this.availMark) return undefined;
    }

    const chain = this.spare ?? new PooledChain(this);
    if (!this.takePair(chain, word)) {
      const defect = this.walk(chain, word);
      if (defect !== undefined) return this.fail(defect);
    }
    const taken = this.taken + chain.descriptors;
    if (taken > this.size) return this.fail("ring-overrun");
    const { head } = chain;
    if (head >= this.heldIds.length) this.growIds();
    if (this.heldIds[head] !== 0) return this.fail("head-outstanding");
    if (chain.region === undefined) {
      const segments = this.heldSegments + chain.count;
      if (segments > SEGMENT_BUDGET) return this.fail("segment-budget");
      this.heldSegments = segments;
    }

    this.spare = chain.spare;
    this.taken = taken;
    this.heldIds[head] = 1;
    this.held++;
    chain.held = true;
    if (this.inOrder) this.enqueue(chain);
    let next = this.nextAvail + chain.descriptors;
    if (next >= this.size) {
      next -= this.size;
      this.availMark ^= TURN;
    }
    this.nextAvail = next;
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
    else this.use(pooled, written, this.unpublished === 0);
  }

  /** Writes the used descriptor of a buffer, and takes the buffer back. */
  private use(chain: PooledChain, written: number, isFirst: boolean): void {
    const { head, descriptors } = chain;
    const length = chain.usedLength(written) >>> 0;
    const flags = length === 0 ? 0 : F_WRITE;
    if (isFirst) {
      // The driver looks at one descriptor: while that is not used, it sees none behind it.
      const at = this.publishedUsed << DESC_SHIFT;
      this.descriptors.setUint32(at + DESC_LEN, length, true);
      this.descriptors.setUint16(at + DESC_WORD, head, true);
      this.firstWord = head | this.publishedMark | flags;
    } else {
      const at = this.nextUsed << DESC_SHIFT;
      this.descriptors.setUint32(at + DESC_LEN, length, true);
      this.descriptors.setUint32(at + DESC_WORD, head | this.usedMark | flags, true);
    }
    this.unpublished += descriptors;
    let next = this.nextUsed + descriptors;
    if (next >= this.size) {
      next -= this.size;
      this.usedMark ^= TURN;
    }
    this.nextUsed = next;

    this.heldIds[head] = 0;
    this.held--;
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
    const count = this.unpublished;
    if (count === 0 || this.mode === STOPPED) return false;
    const at = (this.publishedUsed << DESC_SHIFT) + DESC_WORD;
    const word = this.inherited ? this.inheritedWord() : this.firstWord;
    this.inherited = false;
    this.unpublished = 0;
    this.taken -= count;
    this.publishedUsed = this.nextUsed;
    this.publishedMark = this.usedMark;
    store32(this.descriptors, this.descriptorWords, at, word);
    const event = load32(this.driverEvent, this.driverEventWords, 0);
    const wrap = this.usedMark === 0 ? 0 : 1;
    return asksFor(event, this.eventIdx, this.size, this.nextUsed, wrap, count);
  }

  /** See {@link DeviceQueue.enableNotifications}. */
  enableNotifications(): boolean {
    if (this.broken !== undefined || this.mode === STOPPED) return false;
    this.wantsNotifications = true;
    if (this.mode === HELD) return false;
    if (!this.eventIdx) this.tell(EVENT_ENABLE);
    if ((this.nextWord() & TURN) === this.availMark) return true;
    return this.askForNext() && (this.nextWord() & TURN) === this.availMark;
  }

  /** See {@link DeviceQueue.disableNotifications}. */
  disableNotifications(): void {
    if (this.mode === STOPPED) return;
    this.wantsNotifications = false;
    if (this.mode === HELD) return;
    this.tell(EVENT_DISABLE);
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
  }

  private enqueue(chain: PooledChain): void {
    chain.written = WAITING;
    chain.after = undefined;
    if (this.newest === undefined) this.oldest = chain;
    else this.newest.after = chain;
    this.newest = chain;
  }

  /**
   * Uses the buffers that are done and have none before them that is not. The first of them that the
   * driver cannot see yet begins a batch, which grows as long as every buffer of it but the last was
   * written in full: that is what the driver takes a buffer for that has no used descriptor
   * ("In-order use of descriptors"). Only that one has no flags yet: a later one must not change.
   */
  private pushInOrder(done: PooledChain, written: number): void {
    done.written = Math.max(0, written);
    let chain = this.oldest;
    while (chain !== undefined && chain.written !== WAITING) {
      const { after, writableLength } = chain;
      const inBatch = this.unpublished === 0 || this.batchOpen;
      this.use(chain, chain.written, inBatch);
      this.batchOpen = inBatch && chain.written >= writableLength;
      chain = after;
    }
    this.oldest = chain;
    if (chain === undefined) this.newest = undefined;
  }

  private fail(defect: QueueDefect): undefined {
    this.broken = defect;
    return undefined;
  }

  private nextWord(): number {
    return load32(
      this.descriptors,
      this.descriptorWords,
      (this.nextAvail << DESC_SHIFT) + DESC_WORD,
    );
  }

  /**
   * Asks to be notified of the next buffer; true when the driver was not asked for it before: the
   * buffer may have come before the driver could see the question.
   */
  private askForNext(): boolean {
    if (!this.eventIdx || !this.wantsNotifications) return false;
    return this.tell(EVENT_DESC | this.index);
  }

  /** Writes the device event suppression structure; false when that is there already. */
  private tell(event: number): boolean {
    if (this.told === event) return false;
    this.told = event;
    store32(this.deviceEvent, this.deviceEventWords, 0, event);
    return true;
  }

  private growIds(): void {
    const ids = new Uint8Array(IDS);
    ids.set(this.heldIds);
    this.heldIds = ids;
  }

  /** What a device half before this one wrote, and did not make visible. */
  private inheritedWord(): number {
    const at = this.publishedUsed << DESC_SHIFT;
    const id = this.descriptors.getUint16(at + DESC_WORD, true);
    const length = this.descriptors.getUint32(at + DESC_LEN, true);
    return id | this.publishedMark | (length === 0 ? 0 : F_WRITE);
  }

  /**
   * Fills `chain` from the descriptor that is next, whose `id` and `flags` are `word`, and the one
   * behind it, when they are what nearly all buffers are: a readable and a writable one, in one
   * region, neither a table. False otherwise, and then {@link walk} looks at everything anew and
   * tells what is wrong, if anything is.
   */
  private takePair(chain: PooledChain, word: number): boolean {
    const { descriptors, memory, nextAvail, availMark } = this;
    if ((word & F_KIND) !== F_NEXT) return false;
    const wraps = nextAvail + 1 === this.size;
    const at = nextAvail << DESC_SHIFT;
    const secondAt = wraps ? 0 : at + DESC_SIZE;
    const secondWord = descriptors.getUint32(secondAt + DESC_WORD, true);
    const secondMark = wraps ? availMark ^ TURN : availMark;
    if ((secondWord & TURN) !== secondMark || (secondWord & F_KIND) !== F_WRITE) return false;
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
    chain.head = secondWord & ID_MASK;
    chain.descriptors = PAIR;
    chain.fillPair(region, readable, readableLength, writable, writableLength);
    return true;
  }

  /**
   * Fills `chain` from the descriptor that is next, whose `id` and `flags` are `word`, and from the
   * ones behind it or its table. Bounded: a list has no more descriptors than the queue size.
   */
  private walk(chain: PooledChain, firstWord: number): QueueDefect | undefined {
    const { memory, size } = this;
    let view = this.descriptors;
    let slot = this.nextAvail;
    let mark = this.availMark;
    let word = firstWord;
    let at = slot * DESC_SIZE;
    let descriptors = 1;
    /** How many descriptors of a table are to come, this one included; 0 outside of tables. */
    let left = 0;
    /** Where in guest memory a table lies that only copies reach, or -1. */
    let copiedFrom = -1;

    let id = word & ID_MASK;
    let visited = 0;
    let count = 0;
    let readableCount = 0;
    let readableLength = 0;
    let writableLength = 0;
    let writableSeen = false;

    for (;;) {
      visited++;
      const low = view.getUint32(at + DESC_ADDR, true);
      const high = view.getUint32(at + DESC_ADDR_HIGH, true);
      const length = view.getUint32(at + DESC_LEN, true);
      const address = high * 0x100000000 + low;

      if ((word & F_INDIRECT) !== 0 && left === 0) {
        if (!this.indirect) return "indirect-not-negotiated";
        if (descriptors > 1 || (word & F_NEXT) !== 0) return "indirect-chained";
        if (length === 0 || length % DESC_SIZE !== 0) return "indirect-length";
        if (high > HIGHEST_ADDRESS_HIGH) return "table-unmapped";
        left = length / DESC_SIZE;
        const region = memory.find(address, length);
        if (region !== undefined) {
          view = region.view;
          at = address - region.base;
        } else {
          if (!memory.contains(address, length)) return "table-unmapped";
          view = this.scratchView;
          at = 0;
          copiedFrom = address;
          if (!memory.read(copiedFrom, this.scratch)) return "table-unmapped";
        }
        if (left > size) return "chain-length";
        word = view.getUint32(at + DESC_WORD, true);
        continue;
      }

      const writable = (word & F_WRITE) !== 0;
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

      if (left > 0) {
        if (--left === 0) break;
        if (copiedFrom < 0) {
          at += DESC_SIZE;
        } else {
          copiedFrom += DESC_SIZE;
          if (!memory.read(copiedFrom, this.scratch)) return "table-unmapped";
        }
        word = view.getUint32(at + DESC_WORD, true);
        continue;
      }
      if ((word & F_NEXT) === 0) break;
      if (++descriptors > size) return "chain-length";
      if (++slot === size) {
        slot = 0;
        mark ^= TURN;
      }
      at = slot * DESC_SIZE;
      word = view.getUint32(at + DESC_WORD, true);
      if ((word & TURN) !== mark) return "list-unavailable";
      id = word & ID_MASK;
    }

    this.looked += visited;
    chain.head = id;
    chain.descriptors = descriptors;
    chain.region = undefined;
    chain.count = count;
    chain.readableCount = readableCount;
    chain.readableLength = readableLength;
    chain.writableLength = writableLength;
    return undefined;
  }
}
