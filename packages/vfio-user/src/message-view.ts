/**
 * A DataView of memory that is reached by messages: what reads rings through a DataView reads them
 * here without knowing. Every access is one message; memory that cannot be reached reads as zero.
 */
import type { GuestMemory } from "@virtio-admin/core";

/** See the file. It has the length of the range, and an access outside it throws RangeError. */
export class MessageView extends DataView<ArrayBuffer> {
  readonly #memory: GuestMemory;
  readonly #address: number;
  readonly #bytes = new Uint8Array(8);
  readonly #view = new DataView(this.#bytes.buffer);

  /** Views `length` bytes from `address` on, which exist. */
  constructor(memory: GuestMemory, address: number, length: number) {
    super(new ArrayBuffer(length));
    this.#memory = memory;
    this.#address = address;
  }

  override getUint8(at: number): number {
    return this.#read(at, 1).getUint8(0);
  }

  override getUint16(at: number, little?: boolean): number {
    return this.#read(at, 2).getUint16(0, little);
  }

  override getUint32(at: number, little?: boolean): number {
    return this.#read(at, 4).getUint32(0, little);
  }

  override getBigUint64(at: number, little?: boolean): bigint {
    return this.#read(at, 8).getBigUint64(0, little);
  }

  override setUint8(at: number, value: number): void {
    this.#view.setUint8(0, value);
    this.#write(at, 1);
  }

  override setUint16(at: number, value: number, little?: boolean): void {
    this.#view.setUint16(0, value, little);
    this.#write(at, 2);
  }

  override setUint32(at: number, value: number, little?: boolean): void {
    this.#view.setUint32(0, value, little);
    this.#write(at, 4);
  }

  override setBigUint64(at: number, value: bigint, little?: boolean): void {
    this.#view.setBigUint64(0, value, little);
    this.#write(at, 8);
  }

  #read(at: number, width: number): DataView {
    this.#check(at, width);
    const bytes = this.#bytes.subarray(0, width);
    if (!this.#memory.read(this.#address + at, bytes)) bytes.fill(0);
    return this.#view;
  }

  #write(at: number, width: number): void {
    this.#check(at, width);
    this.#memory.write(this.#address + at, this.#bytes.subarray(0, width));
  }

  #check(at: number, width: number): void {
    if (!(at >= 0 && at + width <= this.byteLength)) {
      throw new RangeError("Offset is outside the bounds of the DataView");
    }
  }
}
