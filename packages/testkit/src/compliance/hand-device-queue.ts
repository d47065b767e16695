/** The device's end of a split virtqueue, worked by hand: it uses what a case says, true or not. */
import type { GuestMemory, QueueAddresses } from "@virtio-admin/core";
import { fence } from "./fence.ts";
import { concat, DESCRIPTOR } from "./hand-ring.ts";

const DESCRIPTOR_BYTES = 16;
const USED_ENTRY_BYTES = 8;
const RING_AT = 4;
const INDEX_AT = 2;

/** An element that the device may write to. */
export interface WritableElement {
  /** Its guest address. */
  readonly address: number;
  /** Its length in bytes. */
  readonly length: number;
}

/** A buffer that the driver has made available. */
export interface AvailableBuffer {
  /** The index of its first descriptor. */
  readonly head: number;
  /** The device-readable bytes. */
  readonly readable: Uint8Array;
  /** Where the device may write, in order. */
  readonly writable: readonly WritableElement[];
}

/** A driver's virtqueue as a device reaches it. */
export class HandDeviceQueue {
  readonly #memory: GuestMemory;
  readonly #areas: QueueAddresses;
  readonly #size: number;
  #nextAvailable = 0;
  #nextUsed = 0;

  /** Works the queue of `size` entries that lies where the driver said. */
  constructor(memory: GuestMemory, areas: QueueAddresses, size: number) {
    this.#memory = memory;
    this.#areas = areas;
    this.#size = size;
  }

  /** The available index as the driver wrote it. */
  get availableIndex(): number {
    return this.#read16(this.#areas.driverArea + INDEX_AT);
  }

  /** The flags of the available ring. */
  get availableFlags(): number {
    return this.#read16(this.#areas.driverArea);
  }

  /** The flags of the used ring: 1 asks for no available buffer notifications. */
  set usedFlags(value: number) {
    this.#write16(this.#areas.deviceArea, value);
  }

  /** The available entry that the device wants to be told of. */
  set availableEvent(value: number) {
    this.#write16(this.#areas.deviceArea + RING_AT + USED_ENTRY_BYTES * this.#size, value);
  }

  /** The used index as the driver sees it. */
  set usedIndex(value: number) {
    this.#write16(this.#areas.deviceArea + INDEX_AT, value & 0xffff);
  }

  /** The buffers that came in since the last call. */
  take(): AvailableBuffer[] {
    const buffers: AvailableBuffer[] = [];
    const count = Math.min(this.#size, (this.availableIndex - this.#nextAvailable) & 0xffff);
    fence();
    for (let i = 0; i < count; i++) {
      const at = this.#areas.driverArea + RING_AT + 2 * (this.#nextAvailable % this.#size);
      buffers.push(this.#walk(this.#read16(at)));
      this.#nextAvailable = (this.#nextAvailable + 1) & 0xffff;
    }
    return buffers;
  }

  /** Writes bytes into a buffer's writable part, as far as they go. */
  fill(buffer: AvailableBuffer, bytes: Uint8Array): void {
    let at = 0;
    for (const { address, length } of buffer.writable) {
      this.#memory.write(address, bytes.subarray(at, at + length));
      at += length;
    }
  }

  /** Puts an entry into the used ring and lets the driver see it. */
  use(id: number, length: number): void {
    const entry = new DataView(new ArrayBuffer(USED_ENTRY_BYTES));
    entry.setUint32(0, id, true);
    entry.setUint32(4, length, true);
    const slot = RING_AT + USED_ENTRY_BYTES * (this.#nextUsed % this.#size);
    this.#memory.write(this.#areas.deviceArea + slot, new Uint8Array(entry.buffer));
    this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
    fence();
    this.usedIndex = this.#nextUsed;
  }

  /** Puts one entry for all of these buffers into the used ring, as is allowed in order. */
  useBatch(ids: readonly number[], length: number): void {
    this.use(ids.at(-1) ?? 0, length);
    this.#nextUsed = (this.#nextUsed + ids.length - 1) & 0xffff;
    this.usedIndex = this.#nextUsed;
  }

  #walk(head: number): AvailableBuffer {
    const readable: Uint8Array[] = [];
    const writable: { address: number; length: number }[] = [];
    const bytes = new Uint8Array(DESCRIPTOR_BYTES);
    const view = new DataView(bytes.buffer);
    let index = head;
    for (let i = 0; i < this.#size; i++) {
      this.#memory.read(this.#areas.descriptorArea + DESCRIPTOR_BYTES * index, bytes);
      const address = Number(view.getBigUint64(0, true));
      const length = view.getUint32(8, true);
      const flags = view.getUint16(12, true);
      if ((flags & DESCRIPTOR.write) !== 0) {
        writable.push({ address, length });
      } else {
        const part = new Uint8Array(length);
        this.#memory.read(address, part);
        readable.push(part);
      }
      if ((flags & DESCRIPTOR.next) === 0) break;
      index = view.getUint16(14, true);
    }
    return { head, readable: concat(readable), writable };
  }

  #read16(address: number): number {
    const bytes = new Uint8Array(2);
    this.#memory.read(address, bytes);
    return (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8);
  }

  #write16(address: number, value: number): void {
    this.#memory.write(address, Uint8Array.of(value & 0xff, value >> 8));
  }
}
