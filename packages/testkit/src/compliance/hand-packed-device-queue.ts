/** The device's end of a packed virtqueue, worked by hand: it uses what a case says, true or not. */
import type { GuestMemory, QueueAddresses } from "@virtio-admin/core";
import { fence } from "./fence.ts";
import type { AvailableBuffer } from "./hand-device-queue.ts";
import { PACKED_DESCRIPTOR, PACKED_WRAP } from "./hand-packed-ring.ts";
import { concat } from "./hand-ring.ts";

const DESCRIPTOR_BYTES = 16;
const FLAGS_AT = 14;
const { next: NEXT, write: WRITE, avail: AVAIL, used: USED } = PACKED_DESCRIPTOR;

/** A driver's packed virtqueue as a device reaches it. */
export class HandPackedDeviceQueue {
  readonly #memory: GuestMemory;
  readonly #areas: QueueAddresses;
  readonly #size: number;
  readonly #lists = new Map<number, number>();
  #next = 0;
  #wrap = true;
  #nextUsed = 0;
  #usedWrap = true;

  /** Works the queue of `size` entries that lies where the driver said. */
  constructor(memory: GuestMemory, areas: QueueAddresses, size: number) {
    this.#memory = memory;
    this.#areas = areas;
    this.#size = size;
  }

  /** The descriptor that becomes available next, with the wrap counter in bit 15. */
  get position(): number {
    return this.#next | (this.#wrap ? PACKED_WRAP : 0);
  }

  /** What the driver asks for, see `PACKED_EVENT`. */
  get driverEvent(): number {
    return this.#view(this.#areas.driverArea, 4).getUint32(0, true);
  }

  /** What the device asks for. */
  set deviceEvent(value: number) {
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, value, true);
    this.#memory.write(this.#areas.deviceArea, new Uint8Array(view.buffer));
  }

  /** The buffers that came in since the last call. */
  take(): AvailableBuffer[] {
    const buffers: AvailableBuffer[] = [];
    while (buffers.length < this.#size && this.#isAvailable()) {
      fence();
      const readable: Uint8Array[] = [];
      const writable: { address: number; length: number }[] = [];
      for (let count = 1; ; count++) {
        const view = this.#descriptor(this.#next);
        const address = Number(view.getBigUint64(0, true));
        const length = view.getUint32(8, true);
        const flags = view.getUint16(FLAGS_AT, true);
        if ((flags & WRITE) === 0) readable.push(this.#bytes(address, length));
        else writable.push({ address, length });
        this.#next = (this.#next + 1) % this.#size;
        if (this.#next === 0) this.#wrap = !this.#wrap;
        if ((flags & NEXT) !== 0 && count < this.#size) continue;
        const head = view.getUint16(12, true);
        this.#lists.set(head, count);
        buffers.push({ head, readable: concat(readable), writable });
        break;
      }
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

  /** Writes a used descriptor, which the driver sees. */
  use(id: number, length: number): void {
    const view = new DataView(new ArrayBuffer(DESCRIPTOR_BYTES));
    view.setUint32(8, length, true);
    view.setUint16(12, id, true);
    view.setUint16(FLAGS_AT, WRITE | (this.#usedWrap ? AVAIL | USED : 0), true);
    const at = this.#areas.descriptorArea + DESCRIPTOR_BYTES * this.#nextUsed;
    // Its flags last: with them the driver may look at the rest.
    this.#memory.write(at, new Uint8Array(view.buffer, 0, FLAGS_AT));
    fence();
    this.#memory.write(at + FLAGS_AT, new Uint8Array(view.buffer, FLAGS_AT));
    this.#nextUsed += this.#lists.get(id) ?? 1;
    this.#lists.delete(id);
    if (this.#nextUsed >= this.#size) {
      this.#nextUsed -= this.#size;
      this.#usedWrap = !this.#usedWrap;
    }
  }

  /** Writes one used descriptor for all of these buffers, as is allowed in order. */
  useBatch(ids: readonly number[], length: number): void {
    const last = ids.at(-1) ?? 0;
    const descriptors = ids.reduce((sum, id) => sum + (this.#lists.get(id) ?? 1), 0);
    this.#lists.set(last, descriptors);
    this.use(last, length);
  }

  #isAvailable(): boolean {
    const flags = this.#descriptor(this.#next).getUint16(FLAGS_AT, true);
    return (flags & (AVAIL | USED)) === (this.#wrap ? AVAIL : USED);
  }

  #descriptor(slot: number): DataView {
    return this.#view(this.#areas.descriptorArea + DESCRIPTOR_BYTES * slot, DESCRIPTOR_BYTES);
  }

  #view(address: number, length: number): DataView {
    return new DataView(this.#bytes(address, length).buffer);
  }

  #bytes(address: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    this.#memory.read(address, bytes);
    return bytes;
  }
}
