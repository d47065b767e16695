/**
 * A packed virtqueue driven by hand: a driver half that writes what it is told, rules or not, with
 * nothing in common with the halves under test but the text (section "Packed Virtqueues").
 */
import {
  type DmaAllocator,
  type DmaBlock,
  packedAreaSizes,
  type QueueAddresses,
} from "@virtio-admin/core";
import { ComplianceFailure } from "./failure.ts";
import { fence } from "./fence.ts";
import { concat, type HandBuffer, type UsedEntry } from "./hand-ring.ts";

const DESCRIPTOR_BYTES = 16;

/** The flags of a packed descriptor. */
export const PACKED_DESCRIPTOR = {
  /** The list goes on behind it. */
  next: 1,
  /** Device-writable; when used, written to. */
  write: 2,
  /** It refers to a table. */
  indirect: 4,
  /** The driver's wrap counter. */
  avail: 0x80,
  /** The device's wrap counter. */
  used: 0x8000,
} as const;
const { next: NEXT, write: WRITE, avail: AVAIL, used: USED } = PACKED_DESCRIPTOR;

/** An event suppression structure as a number: flags in the upper half, a position in the lower. */
export const PACKED_EVENT = {
  /** Every notification. */
  enable: 0,
  /** None. */
  disable: 0x1_0000,
  /** Once the descriptor is written whose position is added. */
  descriptor: 0x2_0000,
} as const;
/** A wrap counter of 1 in a position. */
export const PACKED_WRAP = 0x8000;

/** One descriptor as it stands in a packed ring or table. */
export interface PackedDescriptor {
  /** The guest address of the element. */
  readonly address: number;
  /** Its length in bytes. */
  readonly length: number;
  /** Its flags; whose turn it is the ring adds. */
  readonly flags: number;
  /** Its buffer id; that of the list unless given. */
  readonly id?: number;
}

/** A packed virtqueue in guest memory whose every byte a case can write. */
export class HandPackedRing {
  /** How many entries it has. */
  readonly size: number;
  /** Where its parts are. */
  readonly areas: QueueAddresses;
  readonly #dma: DmaAllocator;
  readonly #blocks: DmaBlock[] = [];
  readonly #descriptors: DataView;
  readonly #driverEvent: DataView;
  readonly #deviceEvent: DataView;
  /** How many descriptors the list of each id has. */
  readonly #lists = new Map<number, number>();
  #next = 0;
  #wrap = true;
  #nextUsed = 0;
  #usedWrap = true;
  #nextId = 0;

  /** Lays out an empty ring of `size` entries. */
  constructor(dma: DmaAllocator, size: number) {
    this.#dma = dma;
    this.size = size;
    const sizes = packedAreaSizes(size);
    const descriptors = this.allocate(sizes.descriptorArea.length, 16);
    const driverEvent = this.allocate(sizes.driverArea.length, 4);
    const deviceEvent = this.allocate(sizes.deviceArea.length, 4);
    this.#descriptors = viewOf(descriptors);
    this.#driverEvent = viewOf(driverEvent);
    this.#deviceEvent = viewOf(deviceEvent);
    this.areas = {
      descriptorArea: descriptors.address,
      driverArea: driverEvent.address,
      deviceArea: deviceEvent.address,
    };
  }

  /** Takes zeroed guest memory for a case's own use. */
  allocate(length: number, alignment = 8): DmaBlock {
    const block = this.#dma.allocate(length, alignment);
    this.#blocks.push(block);
    return block;
  }

  /** Gives all memory of the ring and its buffers back. */
  free(): void {
    for (const block of this.#blocks) block.free();
  }

  /** The descriptor that is made available next, with the wrap counter in bit 15. */
  get position(): number {
    return this.#next | (this.#wrap ? PACKED_WRAP : 0);
  }

  /** What the driver asks for, see {@link PACKED_EVENT}. */
  set driverEvent(value: number) {
    this.#driverEvent.setUint32(0, value, true);
  }

  /** What the device asks for. */
  get deviceEvent(): number {
    return this.#deviceEvent.getUint32(0, true);
  }

  /** A copy of one descriptor of the ring. */
  descriptorBytes(slot: number): Uint8Array {
    const { buffer, byteOffset } = this.#descriptors;
    return new Uint8Array(buffer, byteOffset + DESCRIPTOR_BYTES * slot, DESCRIPTOR_BYTES).slice();
  }

  /**
   * The id in the descriptor that is number `index` of all that were ever written, once it is used.
   */
  usedIdAt(index: number): number | undefined {
    const at = DESCRIPTOR_BYTES * (index % this.size);
    const turn = Math.floor(index / this.size) % 2 === 0 ? AVAIL | USED : 0;
    const flags = this.#descriptors.getUint16(at + 14, true);
    return (flags & (AVAIL | USED)) === turn
      ? this.#descriptors.getUint16(at + 12, true)
      : undefined;
  }

  /** Makes an indirect table of these descriptors. */
  indirectTable(descriptors: readonly PackedDescriptor[]): DmaBlock {
    const table = this.allocate(Math.max(1, descriptors.length) * DESCRIPTOR_BYTES, 16);
    const view = viewOf(table);
    descriptors.forEach((descriptor, i) => {
      writeBody(view, i * DESCRIPTOR_BYTES, descriptor, 0);
      view.setUint16(i * DESCRIPTOR_BYTES + 14, descriptor.flags, true);
    });
    return table;
  }

  /**
   * Writes these descriptors as one list, the first last, each marked for the round that it is in.
   *
   * @param turn changes the two bits of the descriptor with this number in the list
   */
  offer(
    list: readonly PackedDescriptor[],
    id: number,
    turn: (bits: number, i: number) => number = (bits) => bits,
  ): void {
    const words: { slot: number; flags: number }[] = [];
    list.forEach((descriptor, i) => {
      const slot = this.#next;
      const bits = turn(this.#wrap ? AVAIL : USED, i);
      writeBody(this.#descriptors, DESCRIPTOR_BYTES * slot, descriptor, id);
      words.push({ slot, flags: descriptor.flags | bits });
      this.#next = (this.#next + 1) % this.size;
      if (this.#next === 0) this.#wrap = !this.#wrap;
    });
    this.#lists.set(id, list.length);
    fence();
    for (const { slot, flags } of words.reverse()) {
      this.#descriptors.setUint16(DESCRIPTOR_BYTES * slot + 14, flags, true);
    }
  }

  /** Builds a buffer of these readable parts and writable parts of these lengths, and offers it. */
  add(readable: readonly Uint8Array[], writable: readonly number[]): HandBuffer {
    const written: DmaBlock[] = [];
    const lengths = [...readable.map((part) => part.length), ...writable];
    const list = lengths.map((length, i): PackedDescriptor => {
      const block = this.allocate(Math.max(1, length), 8);
      const part = readable[i];
      if (part === undefined) written.push(block);
      else this.#dma.memory.write(block.address, part);
      const flags = (part === undefined ? WRITE : 0) | (i + 1 < lengths.length ? NEXT : 0);
      return { address: block.address, length, flags };
    });
    // Ids come round as seldom as can be: a case sees which buffer is meant.
    const head = this.#nextId;
    this.#nextId = (this.#nextId + 1) % this.size;
    this.offer(list, head);
    return {
      head,
      written: () =>
        concat(
          written.map((block, i) => {
            const part = new Uint8Array(writable[i] ?? 0);
            this.#dma.memory.read(block.address, part);
            return part;
          }),
        ),
    };
  }

  /**
   * The used descriptors that came in since the last call.
   *
   * @throws ComplianceFailure when one names a buffer that was not offered.
   */
  takeUsed(): UsedEntry[] {
    const entries: UsedEntry[] = [];
    for (;;) {
      const at = DESCRIPTOR_BYTES * this.#nextUsed;
      const flags = this.#descriptors.getUint16(at + 14, true);
      const turn = this.#usedWrap ? AVAIL | USED : 0;
      if ((flags & (AVAIL | USED)) !== turn || this.#lists.size === 0) return entries;
      fence();
      const id = this.#descriptors.getUint16(at + 12, true);
      const count = this.#lists.get(id);
      if (count === undefined) throw new ComplianceFailure("a used id", "one that was offered", id);
      this.#lists.delete(id);
      const length = (flags & WRITE) === 0 ? 0 : this.#descriptors.getUint32(at + 8, true);
      entries.push({ id, length });
      this.#nextUsed += count;
      if (this.#nextUsed >= this.size) {
        this.#nextUsed -= this.size;
        this.#usedWrap = !this.#usedWrap;
      }
    }
  }
}

function viewOf({ region, address, length }: DmaBlock): DataView {
  const { buffer, byteOffset } = region.bytes;
  return new DataView(buffer, byteOffset + address - region.base, length);
}

function writeBody(
  view: DataView,
  at: number,
  { address, length, id }: PackedDescriptor,
  ofList: number,
): void {
  view.setBigUint64(at, BigInt(address), true);
  view.setUint32(at + 8, length, true);
  view.setUint16(at + 12, id ?? ofList, true);
}
