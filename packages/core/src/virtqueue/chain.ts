/**
 * The buffers that a device half pops, and their pool. Hot path: a chain is made once and filled
 * in place for every buffer after that; typed arrays keep its shape the same for all addresses. What
 * every buffer needs are methods: a function of another module is looked up at each call.
 */
import { VirtioError } from "../errors.ts";
import { copyBytes } from "../memory/copy.ts";
import type { GuestMemory, MemoryRegion } from "../memory/types.ts";
import type { Chain, DeviceQueue } from "./types.ts";

/**
 * The most segments that one queue's popped buffers have together. A driver may let 32768 heads
 * share one long chain of descriptors; this bounds what remembering them costs, at 4 MiB. Pairs are
 * not counted: there is room for them in any chain. What chains keep to spare comes on top, 1 KiB for
 * each entry of the ring at most.
 */
export const SEGMENT_BUDGET = 8 * 32768;

const FIRST_SEGMENTS = 8;
/** A chain with room for more segments than this gives the room up when it goes back. */
const KEPT_SEGMENTS = 64;
const LONGEST_USED_LENGTH = 0xffffffff;

/** What {@link PooledChain.written} is until the chain is pushed. */
export const WAITING: number = -1;

/** A {@link Chain} as its queue sees it: writable, and knowing whose it is. */
export class PooledChain implements Chain {
  head = 0;
  count = 0;
  readableCount = 0;
  readableLength = 0;
  writableLength = 0;
  region: MemoryRegion | undefined = undefined;
  readableAt = 0;
  writableAt = 0;
  /** How many descriptors of a packed ring it takes; split rings do not count them. */
  descriptors = 1;
  /** True between pop and push. */
  held = false;
  /** The chain that was given back before it: what a queue has to spare is a list. */
  spare: PooledChain | undefined = undefined;
  /** In a queue that uses buffers in order: the one popped next, and how many bytes this one got. */
  after: PooledChain | undefined = undefined;
  written = WAITING;
  /** A private name: no copy of a chain has it. */
  readonly #owner: DeviceQueue;
  private addressesKept: Float64Array = new Float64Array(FIRST_SEGMENTS);
  private lengthsKept: Float64Array = new Float64Array(FIRST_SEGMENTS);

  constructor(owner: DeviceQueue) {
    this.#owner = owner;
  }

  /** The queue that popped it. */
  get owner(): DeviceQueue {
    return this.#owner;
  }

  /** See {@link Chain.addresses}; those of a pair are written when they are asked for. */
  get addresses(): Float64Array {
    const { addressesKept, region } = this;
    if (region !== undefined) {
      addressesKept[0] = region.base + this.readableAt;
      addressesKept[1] = region.base + this.writableAt;
    }
    return addressesKept;
  }

  /** See {@link Chain.lengths}; those of a pair are written when they are asked for. */
  get lengths(): Float64Array {
    const { lengthsKept } = this;
    if (this.region !== undefined) {
      lengthsKept[0] = this.readableLength;
      lengthsKept[1] = this.writableLength;
    }
    return lengthsKept;
  }

  /** Fills it with a readable and a writable segment, both of them in `region`. */
  fillPair(
    region: MemoryRegion,
    readable: number,
    readableLength: number,
    writable: number,
    writableLength: number,
  ): void {
    const { base } = region;
    this.region = region;
    this.readableAt = readable - base;
    this.writableAt = writable - base;
    this.count = 2;
    this.readableCount = 1;
    this.readableLength = readableLength;
    this.writableLength = writableLength;
  }

  /** The used length to report when `written` bytes are said to have been written. */
  usedLength(written: number): number {
    const { writableLength } = this;
    // Nearly always: an integer of 32 bits, told without a detour over floating point.
    if (written >>> 0 === written && written <= writableLength) return written;
    return Math.max(0, Math.min(written, writableLength, LONGEST_USED_LENGTH));
  }

  /** Sets segment `i`, the next one, of a chain that is no pair. */
  setSegment(i: number, address: number, length: number): void {
    if (i === this.addressesKept.length) this.grow();
    this.addressesKept[i] = address;
    this.lengthsKept[i] = length;
  }

  /** Forgets a room that only a very long buffer needed. */
  shrink(): void {
    if (this.addressesKept.length <= KEPT_SEGMENTS) return;
    this.addressesKept = new Float64Array(FIRST_SEGMENTS);
    this.lengthsKept = new Float64Array(FIRST_SEGMENTS);
  }

  /** Makes room for twice as many segments. */
  private grow(): void {
    const addresses = new Float64Array(2 * this.addressesKept.length);
    const lengths = new Float64Array(2 * this.lengthsKept.length);
    addresses.set(this.addressesKept);
    lengths.set(this.lengthsKept);
    this.addressesKept = addresses;
    this.lengthsKept = lengths;
  }
}

/** The error of a chain that is pushed to a queue which does not hold it. */
export function notHeld(chain: Chain): VirtioError {
  return new VirtioError("QUEUE_CHAIN", {
    path: "chain",
    message: "the queue does not hold this buffer",
    value: chain.head,
    hint: "push each popped chain once, to the queue that popped it",
  });
}

/** Copies readable bytes of `chain`, from offset `from` on, into `target`; returns how many. */
export function readChain(
  memory: GuestMemory,
  chain: Chain,
  from: number,
  target: Uint8Array,
): number {
  return copyChain(memory, chain, 0, chain.readableCount, from, target, false);
}

/** Copies `source` to the writable bytes of `chain`, from offset `at` on; returns how many. */
export function writeChain(
  memory: GuestMemory,
  chain: Chain,
  at: number,
  source: Uint8Array,
): number {
  return copyChain(memory, chain, chain.readableCount, chain.count, at, source, true);
}

function copyChain(
  memory: GuestMemory,
  chain: Chain,
  first: number,
  end: number,
  offset: number,
  local: Uint8Array,
  toGuest: boolean,
): number {
  const { addresses, lengths } = chain;
  const wanted = local.length;
  let skip = offset;
  let done = 0;
  for (let i = first; i < end && done < wanted; i++) {
    const length = lengths[i] as number;
    if (skip >= length) {
      skip -= length;
      continue;
    }
    const address = (addresses[i] as number) + skip;
    const count = Math.min(length - skip, wanted - done);
    skip = 0;
    const region = memory.find(address, count);
    if (region === undefined) {
      const part = local.subarray(done, done + count);
      if (!(toGuest ? memory.write(address, part) : memory.read(address, part))) break;
    } else if (toGuest) {
      copyBytes(region.bytes, address - region.base, local, done, count);
    } else {
      copyBytes(local, done, region.bytes, address - region.base, count);
    }
    done += count;
  }
  return done;
}
