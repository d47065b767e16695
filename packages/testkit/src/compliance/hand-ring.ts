/**
 * A split virtqueue driven by hand: a driver half that writes what it is told, rules or not, with
 * nothing in common with the halves under test but the text (section "Split Virtqueues").
 */
import {
  type DmaAllocator,
  type DmaBlock,
  type QueueAddresses,
  splitAreaSizes,
} from "@virtio-admin/core";
import { ComplianceFailure } from "./failure.ts";
import { fence } from "./fence.ts";

const DESCRIPTOR_BYTES = 16;
const USED_ENTRY_BYTES = 8;
const RING_AT = 4;
const INDEX_AT = 2;
/** Where the legacy interface over PCI puts the beginning of a queue, and its used ring. */
const LEGACY_ALIGNMENT = 4096;

/** The flags of a descriptor. */
export const DESCRIPTOR = { next: 1, write: 2, indirect: 4 } as const;

/** One descriptor as it stands in a table. */
export interface Descriptor {
  /** The guest address of the element. */
  readonly address: number;
  /** Its length in bytes. */
  readonly length: number;
  /** Its flags, see `VIRTQ_DESC`. */
  readonly flags: number;
  /** The descriptor that follows it. */
  readonly next?: number;
}

/** One element of the used ring. */
export interface UsedEntry {
  /** The head that the device says it used. */
  readonly id: number;
  /** The bytes that the device says it wrote. */
  readonly length: number;
}

/** One buffer in guest memory: its head, and where the device writes. */
export interface HandBuffer {
  /** The index of its first descriptor. */
  readonly head: number;
  /** The device-writable bytes, in order. */
  written(): Uint8Array;
}

/** A split virtqueue in guest memory whose every byte a case can write. */
export class HandRing {
  /** How many entries it has. */
  readonly size: number;
  /** Where its parts are. */
  readonly areas: QueueAddresses;
  readonly #dma: DmaAllocator;
  readonly #blocks: DmaBlock[] = [];
  readonly #descriptors: DataView;
  readonly #available: DataView;
  readonly #used: DataView;
  #nextDescriptor = 0;
  #nextAvailable = 0;
  #nextUsed = 0;

  /**
   * Lays out an empty ring of `size` entries.
   *
   * @param legacy in one run of memory, as legacy drivers do
   */
  constructor(dma: DmaAllocator, size: number, legacy = false) {
    this.#dma = dma;
    this.size = size;
    const [descriptors, available, used] = legacy ? this.#layOutLegacy() : this.#layOut();
    this.#descriptors = viewOf(descriptors);
    this.#available = viewOf(available);
    this.#used = viewOf(used);
    this.areas = {
      descriptorArea: descriptors.address,
      driverArea: available.address,
      deviceArea: used.address,
    };
  }

  /** Gives all memory of the ring and its buffers back. */
  free(): void {
    for (const block of this.#blocks) block.free();
  }

  /** The available index as the device sees it. */
  get availableIndex(): number {
    return this.#available.getUint16(INDEX_AT, true);
  }
  /** Writes it, whatever was offered. */
  set availableIndex(value: number) {
    this.#available.setUint16(INDEX_AT, value & 0xffff, true);
  }

  /** The flags of the available ring: 1 asks for no used buffer notifications. */
  set availableFlags(value: number) {
    this.#available.setUint16(0, value, true);
  }

  /** The used entry that the driver wants to be told of. */
  set usedEvent(value: number) {
    this.#available.setUint16(RING_AT + 2 * this.size, value & 0xffff, true);
  }

  /** The available entry that the device wants to be told of. */
  get availableEvent(): number {
    return this.#used.getUint16(RING_AT + USED_ENTRY_BYTES * this.size, true);
  }

  /** The used index as the device wrote it. */
  get usedIndex(): number {
    return this.#used.getUint16(INDEX_AT, true);
  }

  /** The used entry that the used index `index` counts, whether or not it was ever written. */
  usedEntry(index: number): UsedEntry {
    const at = RING_AT + (index % this.size) * USED_ENTRY_BYTES;
    return { id: this.#used.getUint32(at, true), length: this.#used.getUint32(at + 4, true) };
  }

  /** The flags of the used ring. */
  get usedFlags(): number {
    return this.#used.getUint16(0, true);
  }

  /** A copy of the descriptor table. */
  descriptorBytes(): Uint8Array {
    const { buffer, byteOffset, byteLength } = this.#descriptors;
    return new Uint8Array(buffer, byteOffset, byteLength).slice();
  }

  /** Takes zeroed guest memory for a case's own use. */
  allocate(length: number, alignment = 8): DmaBlock {
    return this.#allocate(length, alignment);
  }

  /** Writes one descriptor of the table, whatever it says. */
  writeDescriptor(index: number, descriptor: Descriptor): void {
    writeDescriptor(this.#descriptors, index * DESCRIPTOR_BYTES, descriptor);
  }

  /** Makes an indirect table of these descriptors. */
  indirectTable(descriptors: readonly Descriptor[]): DmaBlock {
    const table = this.#allocate(Math.max(1, descriptors.length) * DESCRIPTOR_BYTES, 16);
    const view = viewOf(table);
    descriptors.forEach((descriptor, i) => {
      writeDescriptor(view, i * DESCRIPTOR_BYTES, descriptor);
    });
    return table;
  }

  /** Makes `head` the next available entry; the device sees it after {@link publish}. */
  offer(head: number): void {
    this.#available.setUint16(RING_AT + 2 * (this.#nextAvailable % this.size), head, true);
    this.#nextAvailable = (this.#nextAvailable + 1) & 0xffff;
  }

  /** Lets the device see what was offered. */
  publish(): void {
    fence();
    this.availableIndex = this.#nextAvailable;
  }

  /**
   * Builds a buffer of these readable parts and writable parts of these lengths, offers it, and
   * publishes it. Descriptors are taken round the table: a case frees none too early.
   */
  add(readable: readonly Uint8Array[], writable: readonly number[]): HandBuffer {
    const count = readable.length + writable.length;
    const head = this.#nextDescriptor;
    const written: DmaBlock[] = [];
    const lengths = [...readable.map((part) => part.length), ...writable];
    lengths.forEach((length, i) => {
      const block = this.#allocate(Math.max(1, length), 8);
      const part = readable[i];
      if (part === undefined) written.push(block);
      else this.#dma.memory.write(block.address, part);
      const isLast = i + 1 === count;
      this.writeDescriptor((head + i) % this.size, {
        address: block.address,
        length,
        flags: (part === undefined ? DESCRIPTOR.write : 0) | (isLast ? 0 : DESCRIPTOR.next),
        next: isLast ? 0 : (head + i + 1) % this.size,
      });
    });
    this.#nextDescriptor = (head + count) % this.size;
    this.offer(head);
    this.publish();
    return {
      head,
      written: () => {
        const parts = written.map((block, i) => {
          const part = new Uint8Array(writable[i] ?? 0);
          this.#dma.memory.read(block.address, part);
          return part;
        });
        return concat(parts);
      },
    };
  }

  /**
   * The used entries that came in since the last call.
   *
   * @throws ComplianceFailure when there are more than the ring has room for.
   */
  takeUsed(): UsedEntry[] {
    const count = (this.usedIndex - this.#nextUsed) & 0xffff;
    if (count > this.size) {
      throw new ComplianceFailure("new used entries", `at most ${this.size}`, count);
    }
    fence();
    const entries: UsedEntry[] = [];
    for (let i = 0; i < count; i++) {
      entries.push(this.usedEntry(this.#nextUsed));
      this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
    }
    return entries;
  }

  #layOut(): readonly [Run, Run, Run] {
    const sizes = splitAreaSizes(this.size);
    return [
      this.#allocate(sizes.descriptorArea.length, 16),
      this.#allocate(sizes.driverArea.length, 16),
      this.#allocate(sizes.deviceArea.length, 16),
    ];
  }

  #layOutLegacy(): readonly [Run, Run, Run] {
    const { size } = this;
    const table = DESCRIPTOR_BYTES * size;
    const available = RING_AT + 2 * size + 2;
    const used = RING_AT + USED_ENTRY_BYTES * size + 2;
    const usedAt = Math.ceil((table + available) / LEGACY_ALIGNMENT) * LEGACY_ALIGNMENT;
    const { address, region } = this.#allocate(usedAt + used, LEGACY_ALIGNMENT);
    return [
      { address, length: table, region },
      { address: address + table, length: available, region },
      { address: address + usedAt, length: used, region },
    ];
  }

  #allocate(length: number, alignment: number): DmaBlock {
    const block = this.#dma.allocate(length, alignment);
    this.#blocks.push(block);
    return block;
  }
}

/** These parts, one after the other. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** One part of a ring. */
type Run = Pick<DmaBlock, "address" | "length" | "region">;

function viewOf(block: Run): DataView {
  const { buffer, byteOffset } = block.region.bytes;
  return new DataView(buffer, byteOffset + block.address - block.region.base, block.length);
}

function writeDescriptor(view: DataView, at: number, descriptor: Descriptor): void {
  view.setBigUint64(at, BigInt(descriptor.address), true);
  view.setUint32(at + 8, descriptor.length, true);
  view.setUint16(at + 12, descriptor.flags, true);
  view.setUint16(at + 14, descriptor.next ?? 0, true);
}
