/**
 * The reference `hand`: both halves of a split ring written by hand, in one class, over one run of
 * memory, with the checks of the program in C and nothing else. No chain objects, no regions, no
 * events, no other formats: the least that JavaScript takes for a round trip, on this machine.
 */
import * as measured from "./subject.ts";
import { nanoseconds, type Subject } from "./subject.ts";

// Constants of the own module are folded into optimized code; imported ones are loaded each time.
const { MEMORY_BYTES, READABLE_BYTES, RING_SIZE, WRITABLE_BYTES } = measured;
// The layout of a split ring of 256 entries, as numbers: that is what a hand writes.
const AVAIL = 4096;
const USED = 4616;
const NEXT = 1;
const WRITE = 2;
const SLOTS_AT = 1 << 16;
const SLOT_BYTES = 64;
const WRITABLE_AT = 32;
const HIGH = 2 ** 32;

class HandRing {
  private readonly view: DataView = new DataView(new ArrayBuffer(MEMORY_BYTES));
  private readonly nextOf: Uint16Array = Uint16Array.from({ length: RING_SIZE }, (_, i) => i + 1);
  private readonly countOf: Uint16Array = new Uint16Array(RING_SIZE);
  private readonly writableOf: Uint32Array = new Uint32Array(RING_SIZE);
  private freeHead = 0;
  private freeCount = RING_SIZE;
  private driverAvail = 0;
  private driverUsed = 0;
  private deviceAvail = 0;
  private deviceUsed = 0;

  add(readable: number, writable: number): number {
    if (this.freeCount < 2) return -1;
    const { view, nextOf } = this;
    const head = this.freeHead;
    const second = nextOf[head] as number;
    let at = head << 4;
    view.setUint32(at, readable, true);
    view.setUint32(at + 4, 0, true);
    view.setUint32(at + 8, READABLE_BYTES, true);
    view.setUint32(at + 12, NEXT | (second << 16), true);
    at = second << 4;
    view.setUint32(at, writable, true);
    view.setUint32(at + 4, 0, true);
    view.setUint32(at + 8, WRITABLE_BYTES, true);
    view.setUint32(at + 12, WRITE, true);
    this.freeHead = nextOf[second] as number;
    this.freeCount -= 2;
    this.countOf[head] = 2;
    this.writableOf[head] = WRITABLE_BYTES;
    view.setUint16(AVAIL + 4 + ((this.driverAvail & (RING_SIZE - 1)) << 1), head, true);
    this.driverAvail = (this.driverAvail + 1) & 0xffff;
    return head;
  }

  publish(): void {
    this.view.setUint16(AVAIL + 2, this.driverAvail, true);
  }

  serve(): number {
    const { view } = this;
    const until = view.getUint16(AVAIL + 2, true);
    let avail = this.deviceAvail;
    let used = this.deviceUsed;
    let served = 0;
    if (((until - avail) & 0xffff) > RING_SIZE) throw new Error("index jump");
    while (avail !== until) {
      const head = view.getUint16(AVAIL + 4 + ((avail & (RING_SIZE - 1)) << 1), true);
      if (head >= RING_SIZE) throw new Error("head");
      let index = head;
      let visited = 0;
      let readable = -1;
      let writable = -1;
      for (;;) {
        const at = index << 4;
        const address = view.getUint32(at + 4, true) * HIGH + view.getUint32(at, true);
        const length = view.getUint32(at + 8, true);
        const flagsNext = view.getUint32(at + 12, true);
        if (address >= MEMORY_BYTES || length > MEMORY_BYTES - address) throw new Error("unmapped");
        if (++visited > RING_SIZE) throw new Error("loop");
        if ((flagsNext & WRITE) !== 0) writable = address;
        else if (writable >= 0) throw new Error("order");
        else readable = address;
        if ((flagsNext & NEXT) === 0) break;
        index = flagsNext >>> 16;
        if (index >= RING_SIZE) throw new Error("next");
      }
      if (readable < 0 || writable < 0) throw new Error("parts");
      const sum =
        view.getUint32(readable, true) +
        view.getUint32(readable + 16, true) +
        view.getUint32(readable + 20, true);
      view.setUint32(writable, 0, true);
      view.setUint32(writable + 4, 0, true);
      view.setUint32(writable + 8, sum >>> 0, true);
      view.setUint32(writable + 12, 0, true);
      const entry = USED + 4 + ((used & (RING_SIZE - 1)) << 3);
      view.setUint32(entry, head, true);
      view.setUint32(entry + 4, WRITABLE_BYTES, true);
      used = (used + 1) & 0xffff;
      avail = (avail + 1) & 0xffff;
      served++;
    }
    this.deviceAvail = avail;
    this.deviceUsed = used;
    view.setUint16(USED + 2, used, true);
    return served;
  }

  reap(): number {
    const { view, nextOf, countOf } = this;
    const until = view.getUint16(USED + 2, true);
    let used = this.driverUsed;
    let reaped = 0;
    if (((until - used) & 0xffff) > RING_SIZE) throw new Error("index jump");
    while (used !== until) {
      const entry = USED + 4 + ((used & (RING_SIZE - 1)) << 3);
      const id = view.getInt32(entry, true);
      const length = view.getUint32(entry + 4, true);
      if (id < 0 || id >= RING_SIZE || countOf[id] === 0) throw new Error("used id");
      if (length > (this.writableOf[id] as number)) throw new Error("used length");
      nextOf[nextOf[id] as number] = this.freeHead;
      this.freeHead = id;
      this.freeCount += countOf[id] as number;
      countOf[id] = 0;
      used = (used + 1) & 0xffff;
      reaped++;
    }
    this.driverUsed = used;
    return reaped;
  }
}

/** A function of its own: one that ends is optimized as a whole. */
function roundTrips(ring: HandRing, outstanding: number, rounds: number): void {
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < outstanding; i++) {
      const slot = SLOTS_AT + i * SLOT_BYTES;
      if (ring.add(slot, slot + WRITABLE_AT) < 0) throw new Error("the ring is full");
    }
    ring.publish();
    if (ring.serve() !== outstanding) throw new Error("buffers were lost on the way");
    if (ring.reap() !== outstanding) throw new Error("buffers were lost on the way back");
  }
}

/** The reference `hand`. */
export function handReference(): Subject {
  const ring = new HandRing();
  return {
    path: "hand",
    slice(outstanding, rounds) {
      const from = nanoseconds();
      roundTrips(ring, outstanding, rounds);
      return (nanoseconds() - from) / (rounds * outstanding);
    },
  };
}
