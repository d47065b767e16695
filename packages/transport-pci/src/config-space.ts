/**
 * PCI configuration space of one function: bytes of which the driver may write some. What a write
 * means is its owner's business.
 */
import { accessors, toHex } from "@virtio-admin/core";
import { bitsOf, type PciBar, type PciConfigTemplate } from "./config-template.ts";
import { PCI_EXTENDED_BASE } from "./express-layout.ts";
import { PCI_BAR_LAYOUT, PCI_HEADER_LAYOUT } from "./layout.ts";

const HEADER = accessors(PCI_HEADER_LAYOUT);
const FIELDS = PCI_HEADER_LAYOUT.fields;
const COMMAND = FIELDS.command.bits;
const BAR_BITS = PCI_BAR_LAYOUT.fields.bar.bits;
const WORD = 0x100000000;
/** What is read where nothing answers. */
const ABSENT_BYTE = 0xff;

/** The configuration space of one function. */
export class PciConfigSpace {
  readonly #template: PciConfigTemplate;
  readonly #view: DataView;
  /** The template's, until it changes here. */
  #writable: Uint8Array;
  /** Where a le16 has bits that a reset leaves as they are, which, and what; none at first. */
  #settledAt = 0;
  #settledMask = 0;
  #settled = 0;

  constructor(template: PciConfigTemplate) {
    this.#template = template;
    this.#view = new DataView(template.bytes.slice().buffer);
    this.#writable = template.writable;
  }

  /** The BARs by their numbers; `undefined` for none, and for the upper half of a 64-bit one. */
  get bars(): readonly (PciBar | undefined)[] {
    return this.#template.bars;
  }

  /** Where the extended capabilities are, in their order. */
  get extendedAt(): readonly number[] {
    return this.#template.extendedAt;
  }

  /** The bytes as they are, for their owner. */
  get view(): DataView {
    return this.#view;
  }

  /** True while the function answers accesses of memory BARs. */
  get memorySpace(): boolean {
    return (HEADER.command.get(this.#view, 0) & COMMAND.memory_space.mask) !== 0;
  }

  /** True while the function may access memory and send messages. */
  get busMaster(): boolean {
    return (HEADER.command.get(this.#view, 0) & COMMAND.bus_master.mask) !== 0;
  }

  /** True while INTx may not be asserted. */
  get interruptDisable(): boolean {
    return (HEADER.command.get(this.#view, 0) & COMMAND.interrupt_disable.mask) !== 0;
  }

  /** Shows in Status whether an INTx interrupt is pending. */
  setInterruptStatus(pending: boolean): void {
    const { mask } = FIELDS.status.bits.interrupt_status;
    const status = HEADER.status.get(this.#view, 0);
    HEADER.status.set(this.#view, 0, pending ? status | mask : status & ~mask);
  }

  /** The address that the driver gave a BAR, above 2^53 rounded; 0 when there is no such BAR. */
  barAddress(index: number): number {
    const bar = this.bars[index];
    if (bar === undefined) return 0;
    const low = (HEADER.bar.get(this.#view, 0, index) & BAR_BITS.address.mask) >>> 0;
    return bar.width === 64 ? HEADER.bar.get(this.#view, 0, index + 1) * WORD + low : low;
  }

  /** The byte at `offset`; all ones outside. */
  readByte(offset: number): number {
    if (!(offset >= 0 && offset < this.#template.size)) return ABSENT_BYTE;
    const isUsed = Number.isInteger(offset) && offset < this.#view.byteLength;
    return isUsed ? this.#view.getUint8(offset) : 0;
  }

  /** Writes the bits of a byte that the driver may write; the others, and bytes outside, stay. */
  writeByte(offset: number, value: number): void {
    const mask = this.#writable[offset];
    if (mask === undefined) return;
    this.#view.setUint8(offset, (this.#view.getUint8(offset) & ~mask) | (value & mask));
  }

  /** The bits of a register of 1, 2 or 4 bytes. */
  bits(offset: number, width: number): number {
    return bitsOf(this.#bytes, offset, width);
  }

  /** The bits of a register of 1, 2 or 4 bytes after a reset. */
  resetBits(offset: number, width: number): number {
    return bitsOf(this.#afterReset(), offset, width);
  }

  /** Changes some bits of a register of 1, 2 or 4 bytes, whoever may write them. */
  putBits(offset: number, width: number, mask: number, value: number): void {
    const bits = (this.bits(offset, width) & ~mask) | (value & mask);
    for (let i = 0; i < width; i++) this.#view.setUint8(offset + i, bits >>> (8 * i));
  }

  /**
   * What a driver finds here and cannot change, but for the extended capabilities' registers: all
   * bytes after a reset, and the bits that can be written below those capabilities.
   */
  get shape(): readonly [string, string] {
    return [toHex(this.#afterReset()), toHex(this.#writable.subarray(0, PCI_EXTENDED_BASE))];
  }

  /** Makes exactly these bits of an aligned dword writable; the value stays. */
  setWritable(offset: number, mask: number): void {
    if (this.#writable === this.#template.writable) this.#writable = this.#writable.slice();
    new DataView(this.#writable.buffer).setUint32(offset, mask, true);
  }

  /**
   * Changes some bits, which the driver cannot write, of one le16 for good, always the same ones: a
   * reset leaves them as they are.
   */
  settle(offset: number, mask: number, value: number): void {
    this.#settledAt = offset;
    this.#settledMask = mask;
    this.#settled = value;
    put(this.#view, offset, mask, value);
  }

  /** Puts everything back to what it was before the driver came. */
  reset(): void {
    this.#bytes.set(this.#afterReset());
  }

  get #bytes(): Uint8Array {
    return new Uint8Array(this.#view.buffer);
  }

  #afterReset(): Uint8Array {
    const bytes = this.#template.bytes.slice();
    put(new DataView(bytes.buffer), this.#settledAt, this.#settledMask, this.#settled);
    return bytes;
  }
}

function put(view: DataView, offset: number, mask: number, value: number): void {
  const old = view.getUint16(offset, true);
  view.setUint16(offset, (old & ~mask) | (value & mask), true);
}
