/**
 * The SR-IOV capability of a physical function: its bytes, and what its registers do when the
 * driver writes them.
 *
 * PCI Express leaves open what happens when a driver breaks its rules. Here: while VF Enable is set,
 * NumVFs, System Page Size and ARI Capable Hierarchy stay as they are; a NumVFs above TotalVFs and a
 * page size that is not supported are ignored; VF Enable stays clear while NumVFs is 0, or before
 * VIRTIO_F_SR_IOV was negotiated for the first time. One access that touches several registers takes
 * effect as a whole, NumVFs before VF Enable.
 */
import { accessors, type Field, refuseState } from "@virtio-admin/core";
import type { CapabilityBytes } from "./capabilities.ts";
import type { PciConfigSpace } from "./config-space.ts";
import { type BarRegisters, barRegisters } from "./config-template.ts";
import {
  ARI_CAPABILITY_LAYOUT,
  PCI_EXTENDED_CAPABILITY,
  PCI_EXTENDED_HEADER_LAYOUT,
  SRIOV_CAPABILITY_LAYOUT,
} from "./express-layout.ts";
import { BAR_COUNT, PCI_BAR_LAYOUT } from "./layout.ts";
import type { SavedSriov } from "./saved-state.ts";
import type { SriovConnection, SriovConstants } from "./virtual-function.ts";

const SRIOV = accessors(SRIOV_CAPABILITY_LAYOUT);
const ARI = accessors(ARI_CAPABILITY_LAYOUT);
const FIELDS = SRIOV_CAPABILITY_LAYOUT.fields;
const CONTROL = FIELDS.control.bits;
const BAR_BITS = PCI_BAR_LAYOUT.fields.bar.bits;
const HEADER_BITS = PCI_EXTENDED_HEADER_LAYOUT.fields.header.bits;
/** All that a driver may ever write in SR-IOV Control. */
const WRITABLE_CONTROL =
  CONTROL.vf_enable.mask | CONTROL.vf_mse.mask | CONTROL.ari_capable_hierarchy.mask;
const WORD = 0x100000000;
const DWORD = 4;
const LE16_MASK = 0xffff;
/** Bit 0 of the page size registers stands for pages of this size. */
const SMALLEST_PAGE = 4096;

/** The bytes of an SR-IOV capability after a reset. */
export function sriovCapability(constants: SriovConstants): CapabilityBytes {
  const { size } = SRIOV_CAPABILITY_LAYOUT;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  const { values } = barRegisters(constants.bars);
  SRIOV.header.set(view, 0, headerOf(PCI_EXTENDED_CAPABILITY.sriov));
  SRIOV.initial_vfs.set(view, 0, constants.totalVfs);
  SRIOV.total_vfs.set(view, 0, constants.totalVfs);
  SRIOV.first_vf_offset.set(view, 0, constants.firstVfOffset);
  SRIOV.vf_stride.set(view, 0, constants.vfStride);
  SRIOV.vf_device_id.set(view, 0, constants.vfDeviceId);
  SRIOV.supported_page_sizes.set(view, 0, constants.supportedPageSizes);
  SRIOV.system_page_size.set(view, 0, Number(FIELDS.system_page_size.reset));
  values.forEach((value, i) => {
    SRIOV.vf_bar.set(view, 0, i, value);
  });
  // What can be written depends on VF Enable: SriovRegisters sees to it.
  return { bytes, writable: new Uint8Array(size), fields: Object.values<Field>(FIELDS) };
}

/** The bytes of an ARI capability. */
export function ariCapability(): CapabilityBytes {
  const { size, fields } = ARI_CAPABILITY_LAYOUT;
  const bytes = new Uint8Array(size);
  ARI.header.set(new DataView(bytes.buffer), 0, headerOf(PCI_EXTENDED_CAPABILITY.ari));
  return { bytes, writable: new Uint8Array(size), fields: Object.values<Field>(fields) };
}

/** The registers of the SR-IOV capability of one physical function. */
export class SriovRegisters {
  readonly #constants: SriovConstants;
  readonly #config: PciConfigSpace;
  readonly #view: DataView;
  readonly #at: number;
  readonly #connection: SriovConnection;
  #unlocked: boolean;
  #numVfs = 0;
  #pageSize = 0;
  #enabled = false;

  /**
   * @param at where the capability lies in `config`
   * @param connection told what the driver has switched, whenever it may have
   */
  constructor(
    constants: SriovConstants,
    config: PciConfigSpace,
    at: number,
    connection: SriovConnection,
  ) {
    this.#constants = constants;
    this.#config = config;
    this.#view = config.view;
    this.#at = at;
    this.#unlocked = connection.negotiatedBefore;
    this.#connection = connection;
    this.update();
  }

  /** VIRTIO_F_SR_IOV is negotiated: VF Enable can be set from now on, whatever is reset. */
  unlock(): void {
    this.#unlocked = true;
  }

  /** Takes over what a write, or a reset, left in the registers, and tells of it. */
  update(): void {
    this.#takeOver();
    this.#connection.changed();
  }

  /** What the registers cannot show: the VF BARs as they are with the smallest pages. */
  get shape(): readonly (readonly number[])[] {
    const { values, writable } = this.#barRegisters(Number(FIELDS.system_page_size.reset));
    return [values, writable];
  }

  /** What the driver left in the registers. */
  save(): SavedSriov {
    const view = this.#view;
    const at = this.#at;
    const { writable } = this.#barRegisters(this.#pageSize);
    return {
      negotiated: this.#unlocked,
      control: SRIOV.control.get(view, at),
      num_vfs: SRIOV.num_vfs.get(view, at),
      system_page_size: SRIOV.system_page_size.get(view, at),
      vf_bar: writable.map((mask, i) => (SRIOV.vf_bar.get(view, at, i) & mask) >>> 0),
    };
  }

  /**
   * Checks saved registers; what it returns puts them in place, and the virtual functions with them,
   * and tells nobody before {@link update}.
   *
   * @throws VirtioError `SNAPSHOT` for what a driver cannot have left there, and while there are
   * virtual functions here, and not as many in the saved registers
   */
  prepare(saved: SavedSriov, path: string): () => void {
    const { control, num_vfs: numVfs, system_page_size: pageSize, vf_bar: addresses } = saved;
    const { totalVfs, supportedPageSizes } = this.#constants;
    const wrong = (
      name: keyof SavedSriov,
      message: string,
      value: unknown,
      hint?: string,
    ): never => {
      const more = hint === undefined ? { value } : { value, hint };
      throw refuseState(`${path}.${name}`, message, more);
    };
    if ((control & ~WRITABLE_CONTROL) !== 0) {
      wrong("control", "the register does not hold these bits", control);
    }
    if (numVfs > totalVfs) wrong("num_vfs", `there are at most ${totalVfs}`, numVfs);
    if (!isSingleBit(pageSize) || (pageSize & supportedPageSizes) === 0) {
      wrong("system_page_size", "not one page size that is supported here", pageSize);
    }
    const { values, writable } = this.#barRegisters(pageSize);
    if (addresses.length !== BAR_COUNT) {
      wrong("vf_bar", `not ${BAR_COUNT} registers`, addresses.length);
    }
    const bars = addresses.map((address, i) => {
      if ((address & ~(writable[i] ?? 0)) === 0) return (address | (values[i] ?? 0)) >>> 0;
      throw refuseState(`${path}.vf_bar[${i}]`, "the register here does not hold this address", {
        value: address,
      });
    });
    const enabled = (control & CONTROL.vf_enable.mask) !== 0;
    if (enabled && !(saved.negotiated && numVfs > 0)) {
      wrong("control", "VF Enable is set without NumVFs, or before VIRTIO_F_SR_IOV", control);
    }
    if (this.#enabled && !(enabled && numVfs === this.#numVfs)) {
      const here = `there are ${this.#numVfs} virtual functions here`;
      wrong(
        enabled ? "num_vfs" : "control",
        here,
        enabled ? numVfs : control,
        "disable them first",
      );
    }
    return () => {
      const view = this.#view;
      const at = this.#at;
      this.#unlocked = saved.negotiated;
      SRIOV.control.set(view, at, control);
      SRIOV.num_vfs.set(view, at, numVfs);
      SRIOV.system_page_size.set(view, at, pageSize);
      bars.forEach((bar, i) => {
        SRIOV.vf_bar.set(view, at, i, bar);
      });
      this.#takeOver();
    };
  }

  #takeOver(): void {
    const view = this.#view;
    const at = this.#at;
    this.#updateNumVfs();
    this.#updatePageSize();
    const control = SRIOV.control.get(view, at);
    const wanted = (control & CONTROL.vf_enable.mask) !== 0;
    const enabled = wanted && this.#unlocked && this.#numVfs > 0;
    if (wanted && !enabled) SRIOV.control.set(view, at, control & ~CONTROL.vf_enable.mask);
    this.#enabled = enabled;
    this.#lock();
    this.#connection.switched({
      count: enabled ? this.#numVfs : 0,
      memorySpace: enabled && (control & CONTROL.vf_mse.mask) !== 0,
    });
  }

  /** The bytes from one virtual function's BAR to the next one's; 0 when there is no such BAR. */
  aperture(bar: number): number {
    const length = this.#constants.bars.find(({ index }) => index === bar)?.length;
    return length === undefined ? 0 : apertureOf(length, this.#pageSize);
  }

  /** The address of a BAR of a virtual function; 0 when the driver gave none, or there is none. */
  barAddress(id: number, bar: number): number {
    const found = this.#constants.bars.find(({ index }) => index === bar);
    if (found === undefined) return 0;
    const low = (SRIOV.vf_bar.get(this.#view, this.#at, bar) & BAR_BITS.address.mask) >>> 0;
    const high = found.width === 64 ? SRIOV.vf_bar.get(this.#view, this.#at, bar + 1) : 0;
    const first = high * WORD + low;
    return first === 0 ? 0 : first + (id - 1) * this.aperture(bar);
  }

  #updateNumVfs(): void {
    const numVfs = SRIOV.num_vfs.get(this.#view, this.#at);
    if (numVfs <= this.#constants.totalVfs) this.#numVfs = numVfs;
    else SRIOV.num_vfs.set(this.#view, this.#at, this.#numVfs);
  }

  #updatePageSize(): void {
    const size = SRIOV.system_page_size.get(this.#view, this.#at);
    if (size === this.#pageSize) return;
    if (!isSingleBit(size) || (size & this.#constants.supportedPageSizes) === 0) {
      SRIOV.system_page_size.set(this.#view, this.#at, this.#pageSize);
      return;
    }
    this.#pageSize = size;
    const { values, writable } = this.#barRegisters(size);
    for (let i = 0; i < BAR_COUNT; i++) {
      const mask = writable[i] ?? 0;
      const address = SRIOV.vf_bar.get(this.#view, this.#at, i) & mask;
      SRIOV.vf_bar.set(this.#view, this.#at, i, (address | (values[i] ?? 0)) >>> 0);
      this.#config.setWritable(this.#at + FIELDS.vf_bar.offset + i * DWORD, mask);
    }
  }

  /** VF BARs are as long as what one virtual function takes with this page size. */
  #barRegisters(pageSize: number): BarRegisters {
    return barRegisters(
      this.#constants.bars.map((bar) => ({ ...bar, length: apertureOf(bar.length, pageSize) })),
    );
  }

  #lock(): void {
    const free = !this.#enabled;
    const switches = CONTROL.vf_enable.mask | CONTROL.vf_mse.mask;
    const control = switches | (free ? CONTROL.ari_capable_hierarchy.mask : 0);
    // The dword of a register holds a read-only one above it: Status, the dependency link.
    this.#config.setWritable(this.#at + FIELDS.control.offset, control);
    this.#config.setWritable(this.#at + FIELDS.num_vfs.offset, free ? LE16_MASK : 0);
    const pages = free ? this.#constants.supportedPageSizes : 0;
    this.#config.setWritable(this.#at + FIELDS.system_page_size.offset, pages);
  }
}

function apertureOf(length: number, pageSize: number): number {
  return Math.max(length, pageSize * SMALLEST_PAGE);
}

function isSingleBit(value: number): boolean {
  return value !== 0 && (value & (value - 1)) === 0;
}

function headerOf(id: number): number {
  return ((id << HEADER_BITS.capability_id.at) | (1 << HEADER_BITS.version.at)) >>> 0;
}
