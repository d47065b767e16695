/**
 * What configuration space is like before a driver comes: the type 0 header, BARs that can be sized,
 * and the capability lists, with a mask of what the driver may write. Functions that are alike share
 * one.
 */
import { accessors, VirtioError } from "@virtio-admin/core";
import { PCI_EXTENDED_BASE, PCI_EXTENDED_HEADER_LAYOUT } from "./express-layout.ts";
import { BAR_COUNT, PCI_BAR_LAYOUT, PCI_HEADER_LAYOUT } from "./layout.ts";

const HEADER = accessors(PCI_HEADER_LAYOUT);
const FIELDS = PCI_HEADER_LAYOUT.fields;
const COMMAND = FIELDS.command.bits;
const BAR_BITS = PCI_BAR_LAYOUT.fields.bar.bits;
const BAR_AT = FIELDS.bar.offset;
const BAR_BYTES = FIELDS.bar.width;
/** Capabilities are dword-aligned, lie above the header, and are linked by one byte. */
const CAPABILITY_ALIGNMENT = 4;
const CAPABILITIES_BASE = PCI_HEADER_LAYOUT.size;
const CAPABILITIES_END = 0x100;
const CAP_NEXT_AT = 1;
const SMALLEST_BAR = 16;
const LARGEST_BAR = 2 ** 31;

/** What the ids of a virtual function read: they stand in its owner's SR-IOV capability. */
const VIRTUAL_ID = 0xffff;
const NEXT_BIT = PCI_EXTENDED_HEADER_LAYOUT.fields.header.bits.next;

/** The identity in the header. */
export interface PciIdentity {
  /** The vendor id. */
  readonly vendorId: number;
  /** The device id. */
  readonly deviceId: number;
  /** The revision id, 1 or more for a device that is not transitional. */
  readonly revisionId: number;
  /** Base class, sub-class and programming interface: `0xff0000` for a device of no class. */
  readonly classCode: number;
  /** The subsystem vendor id. */
  readonly subsystemVendorId: number;
  /** The subsystem id, 0x40 or more for a device that is not transitional. */
  readonly subsystemId: number;
  /** 1 to 4 for INTA to INTD, 0 for a function without INTx. */
  readonly interruptPin: number;
}

/** One memory BAR. */
export interface PciBar {
  /** The number of the register, 0 to 5. */
  readonly index: number;
  /** The bytes it maps: a power of two from 16 to 2^31. */
  readonly length: number;
  /** Its width in bits; one of 64 bits takes the next register too. 32 by default. */
  readonly width?: 32 | 64;
  /** Reads have no side effects: false by default, as reading ISR status has one. */
  readonly prefetchable?: boolean;
}

/** What configuration space is made from. */
export interface PciConfigTemplateInit {
  /** 256 bytes, or 4096 for PCI Express. */
  readonly size: 256 | 4096;
  /** The identity. */
  readonly identity: PciIdentity;
  /** The BARs. */
  readonly bars: readonly PciBar[];
  /**
   * True for the header of a virtual function: its ids read all ones, it has no BAR registers, and
   * of Command only Bus Master Enable can be set.
   */
  readonly virtual?: boolean;
  /** The extended capabilities in the order of their list; each begins where the last one ends. */
  readonly extended?: readonly ExtendedCapability[];
}

/** An extended capability. */
export interface ExtendedCapability {
  /** Its bytes after a reset, a multiple of 4; the link is filled in. */
  readonly bytes: Uint8Array;
  /** The bits that the driver may write. */
  readonly writable: Uint8Array;
}

/** Base address registers, six each: what they read at first, and the bits that can be written. */
export interface BarRegisters {
  /** The kind of each BAR; the addresses are 0. */
  readonly values: readonly number[];
  /** The address bits; those below the length stay 0, which is how a driver learns the length. */
  readonly writable: readonly number[];
  /** The BARs by their numbers; `undefined` for none, and for the upper half of a 64-bit one. */
  readonly bars: readonly (PciBar | undefined)[];
}

/** The configuration space of functions that are alike, as none of their drivers has touched it. */
export class PciConfigTemplate {
  /** The number of bytes. */
  readonly size: number;
  /** The BARs by their numbers; `undefined` for none, and for the upper half of a 64-bit one. */
  readonly bars: readonly (PciBar | undefined)[];
  /** Where the extended capabilities are, in their order. */
  readonly extendedAt: readonly number[];
  /** What is used of the space; the rest reads 0. */
  readonly bytes: Uint8Array;
  /** The bits of those that the driver may write. */
  readonly writable: Uint8Array;

  readonly #view: DataView;
  #lastLink: number = FIELDS.capabilities_pointer.offset;
  #free: number = CAPABILITIES_BASE;

  /** @throws VirtioError `TRANSPORT_OPTIONS` when an id does not fit or BARs contradict. */
  constructor(init: PciConfigTemplateInit) {
    const { size, identity, virtual = false, extended = [] } = init;
    this.size = size;
    const used = extended.reduce((end, { bytes }) => end + bytes.length, PCI_EXTENDED_BASE);
    if (used > Math.max(size, PCI_EXTENDED_BASE)) {
      throw options("configSize", "the extended capabilities do not fit", size);
    }
    this.bytes = new Uint8Array(used);
    this.#view = new DataView(this.bytes.buffer);
    this.writable = new Uint8Array(used);
    this.#writeIdentity(virtual ? virtualIdentity(identity) : identity);
    const { values, writable: sizes, bars } = barRegisters(init.bars);
    this.bars = bars;
    const writable = new DataView(this.writable.buffer);
    if (virtual) HEADER.command.set(writable, 0, COMMAND.bus_master.mask);
    else {
      values.forEach((value, i) => {
        HEADER.bar.set(this.#view, 0, i, value);
        HEADER.bar.set(writable, 0, i, sizes[i] ?? 0);
      });
      const command = Object.values(COMMAND).reduce((mask, bit) => mask | bit.mask, 0);
      HEADER.command.set(writable, 0, command);
      HEADER.cache_line_size.set(writable, 0, 0xff);
      HEADER.latency_timer.set(writable, 0, 0xff);
      HEADER.interrupt_line.set(writable, 0, 0xff);
    }
    this.extendedAt = this.#writeExtended(extended);
  }

  /**
   * Appends a capability to the list, at the lowest free offset unless one is given.
   *
   * @param bytes the capability; its `cap_next` is set here
   * @param writable the bits that the driver may write, as long as `bytes`
   * @returns its offset
   * @throws VirtioError `TRANSPORT_OPTIONS` when it does not lie in free, aligned bytes below 256.
   */
  addCapability(bytes: Uint8Array, writable: Uint8Array, at: number = this.#free): number {
    const end = at + Math.ceil(bytes.length / CAPABILITY_ALIGNMENT) * CAPABILITY_ALIGNMENT;
    if (!Number.isInteger(at) || at % CAPABILITY_ALIGNMENT !== 0 || at < this.#free) {
      throw new VirtioError("TRANSPORT_OPTIONS", {
        message: "a capability lies at a multiple of 4, after the header and the one before it",
        path: "capabilities.at",
        value: at,
        hint: `the lowest free offset is ${this.#free}`,
      });
    }
    if (end > CAPABILITIES_END) {
      throw new VirtioError("TRANSPORT_OPTIONS", {
        message: "the capabilities do not fit into 256 bytes",
        path: "capabilities.at",
        value: at,
        hint: "leave out capabilities, or place them closer together",
      });
    }
    this.bytes.set(bytes, at);
    this.bytes[at + CAP_NEXT_AT] = 0;
    this.bytes[this.#lastLink] = at;
    this.writable.set(writable, at);
    this.#lastLink = at + CAP_NEXT_AT;
    this.#free = end;
    const { mask } = FIELDS.status.bits.capabilities_list;
    HEADER.status.set(this.#view, 0, HEADER.status.get(this.#view, 0) | mask);
    return at;
  }

  /** The bits of a register of 1, 2 or 4 bytes that the driver may write. */
  writableBits(offset: number, width: number): number {
    return bitsOf(this.writable, offset, width);
  }

  #writeIdentity(identity: PciIdentity): void {
    const view = this.#view;
    HEADER.vendor_id.set(view, 0, fits("vendorId", identity.vendorId, 0xffff));
    HEADER.device_id.set(view, 0, fits("deviceId", identity.deviceId, 0xffff));
    HEADER.revision_id.set(view, 0, fits("revisionId", identity.revisionId, 0xff));
    const classCode = fits("classCode", identity.classCode, 0xffffff);
    HEADER.prog_if.set(view, 0, classCode & 0xff);
    HEADER.sub_class.set(view, 0, (classCode >>> 8) & 0xff);
    HEADER.base_class.set(view, 0, classCode >>> 16);
    const subsystemVendor = fits("subsystemVendorId", identity.subsystemVendorId, 0xffff);
    HEADER.subsystem_vendor_id.set(view, 0, subsystemVendor);
    HEADER.subsystem_id.set(view, 0, fits("subsystemId", identity.subsystemId, 0xffff));
    HEADER.interrupt_pin.set(view, 0, fits("interruptPin", identity.interruptPin, 4));
  }

  #writeExtended(extended: readonly ExtendedCapability[]): number[] {
    const places: number[] = [];
    let at = PCI_EXTENDED_BASE;
    extended.forEach(({ bytes, writable }, i) => {
      places.push(at);
      this.bytes.set(bytes, at);
      this.writable.set(writable, at);
      const next = i + 1 < extended.length ? at + bytes.length : 0;
      const header = this.#view.getUint32(at, true);
      this.#view.setUint32(at, (header | (next << NEXT_BIT.at)) >>> 0, true);
      at += bytes.length;
    });
    return places;
  }
}

/**
 * Makes the registers of memory BARs, in a header or in an SR-IOV capability.
 *
 * @throws VirtioError `TRANSPORT_OPTIONS` when two take one register, or a length cannot be.
 */
export function barRegisters(bars: readonly PciBar[]): BarRegisters {
  const values: number[] = new Array(BAR_COUNT).fill(0);
  const writable: number[] = new Array(BAR_COUNT).fill(0);
  const found: (PciBar | undefined)[] = new Array(BAR_COUNT).fill(undefined);
  const taken = new Set<number>();
  for (const bar of bars) {
    const path = `bars[${bar.index}]`;
    const registers = bar.width === 64 ? [bar.index, bar.index + 1] : [bar.index];
    for (const register of registers) {
      if (!Number.isInteger(register) || register < 0 || register >= BAR_COUNT) {
        throw options(path, "there are BARs 0 to 5", register);
      }
      if (taken.has(register)) throw options(path, "the BAR register is taken", register);
      taken.add(register);
    }
    const { length } = bar;
    if (!isPowerOfTwo(length) || length < SMALLEST_BAR || length > LARGEST_BAR) {
      throw options(path, "the length of a BAR is a power of two from 16 to 2^31", length);
    }
    values[bar.index] =
      (bar.width === 64 ? BAR_BITS.wide.mask : 0) |
      (bar.prefetchable === true ? BAR_BITS.prefetchable.mask : 0);
    writable[bar.index] = -length >>> 0;
    if (bar.width === 64) writable[bar.index + 1] = 0xffffffff;
    found[bar.index] = bar;
  }
  return { values, writable, bars: found };
}

function virtualIdentity(identity: PciIdentity): PciIdentity {
  return { ...identity, vendorId: VIRTUAL_ID, deviceId: VIRTUAL_ID, interruptPin: 0 };
}

/** The name of the header field at `offset`, for traces. */
export function headerFieldAt(offset: number): string | undefined {
  if (offset >= BAR_AT && offset < BAR_AT + BAR_COUNT * BAR_BYTES) {
    return `bar${Math.floor((offset - BAR_AT) / BAR_BYTES)}`;
  }
  return Object.values(FIELDS).find((field) => field.offset === offset)?.name;
}

/** The little-endian bits of so many bytes, 1, 2 or 4; beyond the end they are 0. */
export function bitsOf(bytes: Uint8Array, offset: number, width: number): number {
  let bits = 0;
  for (let i = 0; i < width; i++) bits |= (bytes[offset + i] ?? 0) << (8 * i);
  return bits >>> 0;
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(value) && value > 0 && Math.log2(value) % 1 === 0;
}

function fits(path: string, value: number, largest: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= largest) return value;
  throw options(`identity.${path}`, `the value is an integer from 0 to ${largest}`, value);
}

function options(path: string, message: string, value: unknown): VirtioError {
  return new VirtioError("TRANSPORT_OPTIONS", { message, path, value });
}
