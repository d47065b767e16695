/** The capabilities that the device half offers, and the window that one of them opens. */
import { accessors, type Field } from "@virtio-admin/core";
import { PCI_EXPRESS_CAPABILITY_LAYOUT } from "./express-layout.ts";
import {
  MSIX_CAPABILITY_LAYOUT,
  PROPOSAL_V5_PCI_CAP_MISC,
  VIRTIO_PCI_CAP,
  VIRTIO_PCI_CAP_LAYOUT,
  VIRTIO_PCI_CFG_CAP_LAYOUT,
  VIRTIO_PCI_NOTIFY_CAP_LAYOUT,
} from "./layout.ts";
import type {
  FunctionKind,
  MsixPlacement,
  PciCapabilityName,
  PciWindow,
  ResolvedPlacement,
} from "./placement.ts";

const CAP = accessors(VIRTIO_PCI_CAP_LAYOUT);
const NOTIFY_CAP = accessors(VIRTIO_PCI_NOTIFY_CAP_LAYOUT);
const CFG_CAP = accessors(VIRTIO_PCI_CFG_CAP_LAYOUT);
const MSIX_CAP = accessors(MSIX_CAPABILITY_LAYOUT);
const EXPRESS_CAP = accessors(PCI_EXPRESS_CAPABILITY_LAYOUT);
const CONTROL_BITS = MSIX_CAPABILITY_LAYOUT.fields.message_control.bits;
const CFG_FIELDS = VIRTIO_PCI_CFG_CAP_LAYOUT.fields;

/** The layout of the PCI Express capability that is described by its layout. */
const EXPRESS_VERSION = 2;

/** One capability as it stands in configuration space. */
export interface CapabilityBytes {
  /** Its bytes after a reset; `cap_next` is filled in by the list. */
  readonly bytes: Uint8Array;
  /** The bits that the driver may write. */
  readonly writable: Uint8Array;
  /** Its fields, for traces. */
  readonly fields: readonly Field[];
}

/** Makes the bytes of a capability. */
export function capabilityBytes(
  name: PciCapabilityName,
  placement: ResolvedPlacement,
): CapabilityBytes {
  const { windows, msix } = placement;
  switch (name) {
    case "common":
      return located(VIRTIO_PCI_CAP.common, windows.common);
    case "isr":
      return located(VIRTIO_PCI_CAP.isr, windows.isr);
    case "device":
      return located(VIRTIO_PCI_CAP.device, windows.device);
    case "miscellaneous":
      return located(PROPOSAL_V5_PCI_CAP_MISC, windows.miscellaneous);
    case "notify":
      return notifyCapability(windows.notify, placement.notifyOffMultiplier);
    case "pci-cfg":
      return cfgAccessCapability();
    case "msix":
      return msixCapability(msix);
    case "express":
      return expressCapability(placement.kind);
  }
}

function located(cfgType: number, window: PciWindow | undefined): CapabilityBytes {
  const { size, fields } = VIRTIO_PCI_CAP_LAYOUT;
  const bytes = new Uint8Array(size);
  fill(new DataView(bytes.buffer), size, cfgType, window);
  return { bytes, writable: new Uint8Array(size), fields: Object.values(fields) };
}

function notifyCapability(window: PciWindow, multiplier: number): CapabilityBytes {
  const { size, fields } = VIRTIO_PCI_NOTIFY_CAP_LAYOUT;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  fill(view, size, VIRTIO_PCI_CAP.notify, window);
  NOTIFY_CAP.notify_off_multiplier.set(view, 0, multiplier);
  return { bytes, writable: new Uint8Array(size), fields: Object.values(fields) };
}

function cfgAccessCapability(): CapabilityBytes {
  const { size, fields } = VIRTIO_PCI_CFG_CAP_LAYOUT;
  const bytes = new Uint8Array(size);
  fill(new DataView(bytes.buffer), size, VIRTIO_PCI_CAP.pciCfg, undefined);
  const writable = new Uint8Array(size);
  for (const field of Object.values(fields)) {
    const length = field.width * (typeof field.count === "number" ? field.count : 1);
    if (field.access === "RW") writable.fill(0xff, field.offset, field.offset + length);
  }
  return { bytes, writable, fields: Object.values(fields) };
}

function msixCapability(msix: MsixPlacement | undefined): CapabilityBytes {
  const { size, fields } = MSIX_CAPABILITY_LAYOUT;
  const bytes = new Uint8Array(size);
  const writable = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  MSIX_CAP.cap_id.set(view, 0, Number(fields.cap_id.reset));
  if (msix !== undefined) {
    MSIX_CAP.message_control.set(view, 0, msix.vectors - 1);
    // The offset is a multiple of 8: its low bits hold the BAR.
    MSIX_CAP.table.set(view, 0, msix.table.offset + msix.table.bar);
    MSIX_CAP.pba.set(view, 0, msix.pba.offset + msix.pba.bar);
  }
  const switches = CONTROL_BITS.msix_enable.mask | CONTROL_BITS.function_mask.mask;
  MSIX_CAP.message_control.set(new DataView(writable.buffer), 0, switches);
  return { bytes, writable, fields: Object.values(fields) };
}

/**
 * An endpoint on a link of one lane. Of a virtual function only the reset can be written: the rest
 * is its owner's.
 */
function expressCapability(kind: FunctionKind): CapabilityBytes {
  const { size, fields } = PCI_EXPRESS_CAPABILITY_LAYOUT;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  const can = fields.device_capabilities.bits;
  EXPRESS_CAP.cap_id.set(view, 0, Number(fields.cap_id.reset));
  EXPRESS_CAP.express_capabilities.set(view, 0, EXPRESS_VERSION);
  const { role_based_error_reporting: roles, function_level_reset: reset } = can;
  EXPRESS_CAP.device_capabilities.set(view, 0, (roles.mask | reset.mask) >>> 0);
  const { max_link_speed: speed, max_link_width: width } = fields.link_capabilities.bits;
  EXPRESS_CAP.link_capabilities.set(view, 0, (1 << speed.at) | (1 << width.at));
  const { link_speed, link_width } = fields.link_status.bits;
  EXPRESS_CAP.link_status.set(view, 0, (1 << link_speed.at) | (1 << link_width.at));
  const writable = new Uint8Array(size);
  const control = fields.device_control.bits;
  const mask =
    kind === "virtual"
      ? control.initiate_function_level_reset.mask
      : Object.values(control).reduce((all, bit) => all | bit.mask, 0);
  EXPRESS_CAP.device_control.set(new DataView(writable.buffer), 0, mask);
  return { bytes, writable, fields: Object.values(fields) };
}

function fill(view: DataView, size: number, cfgType: number, window: PciWindow | undefined): void {
  CAP.cap_vndr.set(view, 0, Number(VIRTIO_PCI_CAP_LAYOUT.fields.cap_vndr.reset));
  CAP.cap_len.set(view, 0, size);
  CAP.cfg_type.set(view, 0, cfgType);
  if (window === undefined) return;
  CAP.bar.set(view, 0, window.bar);
  CAP.offset.set(view, 0, window.offset);
  CAP.length.set(view, 0, window.length);
}

/** How the window of the PCI configuration access capability reaches a BAR. */
export interface StructureAccess {
  /** Reads a structure; 0 where there is none. */
  readStructure(bar: number, offset: number, size: number): number;
  /** Writes a structure; ignored where there is none. */
  writeStructure(bar: number, offset: number, size: number, value: number): void;
}

/**
 * The window of the PCI configuration access capability (section of that name). It works whether
 * or not the BARs are mapped, and reaches the virtio structures only; an access that is misaligned
 * or of another length than 1, 2 or 4 reads 0 and is ignored.
 */
export class PciCfgAccess {
  readonly #at: number;
  readonly #dataAt: number;

  /** `at` is where the capability lies in configuration space. */
  constructor(at: number) {
    this.#at = at;
    this.#dataAt = at + CFG_FIELDS.pci_cfg_data.offset;
  }

  /** Fetches `pci_cfg_data` when a read of `config` is about to touch it. */
  beforeRead(config: DataView, access: StructureAccess, offset: number, length: number): void {
    if (!this.#touches(offset, length)) return;
    const window = this.#window(config);
    const value =
      window === undefined ? 0 : access.readStructure(window.bar, window.offset, window.length);
    if (window?.length === 4) config.setUint32(this.#dataAt, value, true);
    else if (window?.length === 2) config.setUint16(this.#dataAt, value, true);
    else if (window?.length === 1) config.setUint8(this.#dataAt, value);
  }

  /** Executes `pci_cfg_data` when a write of `config` touched it. */
  afterWrite(config: DataView, access: StructureAccess, offset: number, length: number): void {
    if (!this.#touches(offset, length)) return;
    const window = this.#window(config);
    if (window === undefined) return;
    const data = config.getUint32(this.#dataAt, true);
    const value = window.length === 4 ? data : data & (2 ** (8 * window.length) - 1);
    access.writeStructure(window.bar, window.offset, window.length, value);
  }

  #touches(offset: number, length: number): boolean {
    const count = CFG_FIELDS.pci_cfg_data.count;
    return offset < this.#dataAt + count && offset + length > this.#dataAt;
  }

  #window(config: DataView): PciWindow | undefined {
    const bar = CFG_CAP.bar.get(config, this.#at);
    const offset = CFG_CAP.offset.get(config, this.#at);
    const length = CFG_CAP.length.get(config, this.#at);
    const legal = length === 1 || length === 2 || length === 4;
    return legal && offset % length === 0 ? { bar, offset, length } : undefined;
  }
}
