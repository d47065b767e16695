/**
 * Where a device half puts its structures: BARs, windows, capabilities. Everything has a default,
 * and everything can be said, so that a device answers exactly as another one that was recorded.
 */
import { FEATURE, type TransportFacingDevice, VirtioError } from "@virtio-admin/core";
import type { PciBar, PciIdentity } from "./config-template.ts";
import {
  BAR_COUNT,
  MSIX_VECTORS_MAX,
  PROPOSAL_V5_PCI_MISC_CFG_LAYOUT,
  VIRTIO_PCI_COMMON_CFG_LAYOUT,
  VIRTIO_PCI_DEVICE_BASE,
  VIRTIO_PCI_DEVICE_LAST,
  VIRTIO_PCI_VENDOR,
} from "./layout.ts";
import { msixPendingBytes, msixTableBytes } from "./msix.ts";

/** A run of bytes of a BAR. */
export interface PciWindow {
  /** The BAR, 0 to 5. */
  readonly bar: number;
  /** Where in the BAR it begins. */
  readonly offset: number;
  /** Its length in bytes. */
  readonly length: number;
}

/** The virtio structures that lie in BARs. */
export interface PciWindows {
  /** The common configuration structure, 56 to 64 bytes of which are used. */
  readonly common: PciWindow;
  /** ISR status. */
  readonly isr: PciWindow;
  /** The notification addresses. */
  readonly notify: PciWindow;
  /** The device-specific configuration; absent when the device type has none. */
  readonly device?: PciWindow;
  /**
   * The miscellaneous configuration structure: there in the dialect proposal-v5, a reconstruction,
   * and only there.
   */
  readonly miscellaneous?: PciWindow;
}

/** The beginning of a run of bytes of a BAR. */
export interface PciPlace {
  /** The BAR, 0 to 5. */
  readonly bar: number;
  /** Where in the BAR it begins. */
  readonly offset: number;
}

/** Where MSI-X is. */
export interface MsixPlacement {
  /** The number of vectors, 1 to 2048. */
  readonly vectors: number;
  /** Where the table is. */
  readonly table: PciPlace;
  /** Where the pending bits are. */
  readonly pba: PciPlace;
}

/** The capabilities that this transport offers. */
export type PciCapabilityName =
  | "common"
  | "isr"
  | "device"
  | "notify"
  | "miscellaneous"
  | "msix"
  | "pci-cfg"
  | "express";

/**
 * What a function is: one by itself, the owner of virtual functions, or one of those. The latter
 * two are PCI Express functions.
 */
export type FunctionKind = "plain" | "physical" | "virtual";

/** One capability of the list. */
export interface PciCapabilityPlace {
  /** Which. */
  readonly name: PciCapabilityName;
  /** Its offset in configuration space; the lowest free one by default. */
  readonly at?: number;
}

/** What can be said about a function; everything has a default. */
export interface PciPlacement {
  /** Fields of the header; by default those of a device of this type that is not transitional. */
  readonly identity?: Partial<PciIdentity>;
  /** The bytes of configuration space; 256 by default, with SR-IOV 4096. */
  readonly configSize?: 256 | 4096;
  /** The BARs; by default BAR 0 for the structures and BAR 1 for MSI-X, of 32 bits. */
  readonly bars?: readonly PciBar[];
  /**
   * Where structures are; by default at multiples of 0x1000 from 0 of BAR 0, in their order. Virtual
   * functions with a legacy interface have no BAR 0: of BAR 2, the legacy notifications behind them.
   */
  readonly windows?: Partial<PciWindows>;
  /**
   * Where a write of a queue's index, 16 bits, notifies virtual functions that have a legacy interface:
   * of a virtual function its own place; of a physical one 4 bytes for each virtual function, the first
   * for number 1. By default every virtual function with a legacy interface has one, and no other.
   */
  readonly legacyNotify?: PciWindow;
  /**
   * `notify_off_multiplier`: a power of two, 2 or more, or 0; 4 by default. VIRTIO_F_NOTIFICATION_DATA
   * can be offered unless it is 2, where the notification addresses begin and end at multiples of 4.
   */
  readonly notifyOffMultiplier?: number;
  /**
   * MSI-X, or `false` for a function without. By default it has a vector for the configuration,
   * for every queue and for one administration virtqueue.
   */
  readonly msix?: Partial<MsixPlacement> | false;
  /**
   * The capability list in its order; by default all that there are, PCI Express only with SR-IOV,
   * the miscellaneous configuration structure only in the dialect proposal-v5.
   */
  readonly capabilities?: readonly PciCapabilityPlace[];
}

/** A {@link PciPlacement} with nothing left open. */
export interface ResolvedPlacement {
  /** What the function is. */
  readonly kind: FunctionKind;
  /** The header. */
  readonly identity: PciIdentity;
  /** The bytes of configuration space. */
  readonly configSize: 256 | 4096;
  /** The BARs. */
  readonly bars: readonly PciBar[];
  /** The structures. */
  readonly windows: PciWindows;
  /** Where legacy notifications come in, unless they come in nowhere. */
  readonly legacyNotify: PciWindow | undefined;
  /** The multiplier of queue_notify_off. */
  readonly notifyOffMultiplier: number;
  /** MSI-X, unless the function has none. */
  readonly msix: MsixPlacement | undefined;
  /** The capability list. */
  readonly capabilities: readonly PciCapabilityPlace[];
}

const PAGE = 0x1000;
const STRUCTURES_BAR = 0;
const MSIX_BAR = 1;
/** The BAR of the structures where BAR 0 has to be hardwired to zero. */
const LEGACY_STRUCTURES_BAR = 2;
const DEFAULT_MULTIPLIER = 4;
/** A device of no class that PCI knows. */
const CLASS_UNASSIGNED = 0xff0000;
/** Interrupt pin INTA. */
const INTA = 1;
/** The smallest offset of the pending bits in a BAR that MSI-X has for itself. */
const PENDING_BASE = 0x800;
/** A notification is 16 bits wide; with VIRTIO_F_NOTIFICATION_DATA, 32 bits. */
export const NOTIFICATION_BYTES = 2;
/** See {@link NOTIFICATION_BYTES}. */
export const NOTIFICATION_DATA_BYTES = 4;
/** PCI has this much of a structure's alignment in the low bits of another value. */
const MSIX_ALIGNMENT = 8;
const STRUCTURE_ALIGNMENT = { common: 4, isr: 1, notify: 2, device: 4, miscellaneous: 2 } as const;
/** From the legacy notification place of one virtual function to that of the next, in their owner. */
export const LEGACY_NOTIFY_STRIDE = 4;

/** The bytes of the common configuration structure that every device has. */
export const COMMON_BYTES_MIN = VIRTIO_PCI_COMMON_CFG_LAYOUT.fields.queue_notif_config_data.offset;

/**
 * Fills in what `placement` leaves open, and checks all of it.
 *
 * @param legacy true for a virtual function whose owner reaches its legacy interface
 * @throws VirtioError `TRANSPORT_OPTIONS` when two windows overlap, one is not inside its BAR or is
 * misaligned, or a value is not what the specification allows.
 */
export function resolvePlacement(
  device: TransportFacingDevice,
  placement: PciPlacement = {},
  kind: FunctionKind = "plain",
  legacy: boolean = false,
): ResolvedPlacement {
  const windows = resolveWindows(device, placement, legacy);
  const msix = resolveMsix(device, placement);
  const legacyNotify =
    placement.legacyNotify ?? (legacy ? structureAt(4, NOTIFICATION_BYTES, true) : undefined);
  const resolved: ResolvedPlacement = {
    kind,
    identity: resolveIdentity(device, placement),
    configSize: placement.configSize ?? (kind === "plain" ? 256 : 4096),
    bars: placement.bars ?? defaultBars(namedWindows(windows, msix, legacyNotify)),
    windows,
    legacyNotify,
    notifyOffMultiplier: placement.notifyOffMultiplier ?? DEFAULT_MULTIPLIER,
    msix,
    capabilities: placement.capabilities ?? defaultCapabilities(windows, msix, kind),
  };
  checkPlacement(resolved);
  checkLegacy(resolved, legacy);
  return resolved;
}

/**
 * The features whose registers lie beyond the end of the common configuration window, and nowhere
 * else.
 */
export function featuresWithoutRegisters(windows: PciWindows): number[] {
  const bits = new Set<number>();
  for (const field of Object.values(VIRTIO_PCI_COMMON_CFG_LAYOUT.fields)) {
    const feature = field.gate?.feature;
    if (feature === FEATURE.VIRTIO_F_ADMIN_VQ && windows.miscellaneous !== undefined) continue;
    if (feature !== undefined && field.offset + field.width > windows.common.length) {
      bits.add(feature);
    }
  }
  return [...bits];
}

/** What no function here offers: a notification names a queue by its index, and by nothing else. */
export const PCI_UNSUPPORTED_FEATURES: readonly number[] = [FEATURE.VIRTIO_F_NOTIF_CONFIG_DATA];

/**
 * Whether every queue can be notified in 32 bits, as VIRTIO_F_NOTIFICATION_DATA asks: what the
 * section "Notification capability" wants of a device that offers it. With a length that is a
 * multiple of 4 as well, the place of every queue has room for 4 bytes if it has room for 2.
 */
export function carriesNotificationData(window: PciWindow, notifyOffMultiplier: number): boolean {
  const { offset, length } = window;
  return [offset, length, notifyOffMultiplier].every(
    (each) => each % NOTIFICATION_DATA_BYTES === 0,
  );
}

function resolveIdentity(device: TransportFacingDevice, placement: PciPlacement): PciIdentity {
  const deviceId = VIRTIO_PCI_DEVICE_BASE + device.deviceId;
  return {
    vendorId: VIRTIO_PCI_VENDOR,
    deviceId,
    revisionId: 1,
    classCode: CLASS_UNASSIGNED,
    subsystemVendorId: VIRTIO_PCI_VENDOR,
    subsystemId: deviceId,
    interruptPin: INTA,
    ...placement.identity,
  };
}

function resolveWindows(
  device: TransportFacingDevice,
  placement: PciPlacement,
  legacy: boolean,
): PciWindows {
  const given = placement.windows ?? {};
  const at = (page: number, length: number) => structureAt(page, length, legacy);
  const config = given.device ?? (device.configLength > 0 ? at(2, PAGE) : undefined);
  const isProposal = device.adminDialect === "proposal-v5";
  if (given.miscellaneous !== undefined && !isProposal) {
    const message = "only a device of the dialect proposal-v5 has this structure";
    throw refuse("windows.miscellaneous", message, device.adminDialect);
  }
  return {
    common: given.common ?? at(0, VIRTIO_PCI_COMMON_CFG_LAYOUT.size),
    isr: given.isr ?? at(1, 1),
    ...(config === undefined ? {} : { device: config }),
    notify: given.notify ?? at(3, PAGE),
    ...(isProposal
      ? { miscellaneous: given.miscellaneous ?? at(4, PROPOSAL_V5_PCI_MISC_CFG_LAYOUT.size) }
      : {}),
  };
}

function structureAt(page: number, length: number, legacy: boolean): PciWindow {
  const bar = legacy ? LEGACY_STRUCTURES_BAR : STRUCTURES_BAR;
  return { bar, offset: page * PAGE, length };
}

function resolveMsix(
  device: TransportFacingDevice,
  placement: PciPlacement,
): MsixPlacement | undefined {
  if (placement.msix === false) return undefined;
  const vectors = placement.msix?.vectors ?? Math.min(device.queueCount + 2, MSIX_VECTORS_MAX);
  const pending = Math.max(PENDING_BASE, powerOfTwoFrom(msixTableBytes(vectors)));
  return {
    vectors,
    table: placement.msix?.table ?? { bar: MSIX_BAR, offset: 0 },
    pba: placement.msix?.pba ?? { bar: MSIX_BAR, offset: pending },
  };
}

function defaultBars(windows: Readonly<Record<string, PciWindow>>): PciBar[] {
  const ends = new Map<number, number>();
  for (const { bar, offset, length } of Object.values(windows)) {
    ends.set(bar, Math.max(ends.get(bar) ?? PAGE, offset + length));
  }
  return [...ends].map(([index, end]) => ({ index, length: powerOfTwoFrom(end) }));
}

function defaultCapabilities(
  windows: PciWindows,
  msix: MsixPlacement | undefined,
  kind: FunctionKind,
): PciCapabilityPlace[] {
  const names: PciCapabilityName[] = [
    ...(["common", "isr", "device", "notify", "miscellaneous"] as const),
    ...(["msix", "pci-cfg"] as const),
  ];
  if (kind !== "plain") names.push("express");
  return names
    .filter((name) => name !== "device" || windows.device !== undefined)
    .filter((name) => name !== "miscellaneous" || windows.miscellaneous !== undefined)
    .filter((name) => name !== "msix" || msix !== undefined)
    .map((name) => ({ name }));
}

/** Everything that takes bytes of a BAR, by name. */
function namedWindows(
  windows: PciWindows,
  msix: MsixPlacement | undefined,
  legacyNotify: PciWindow | undefined,
): Record<string, PciWindow> {
  const all: Record<string, PciWindow> = {};
  for (const [name, window] of Object.entries(windows)) all[`windows.${name}`] = window;
  if (msix !== undefined) {
    all["msix.table"] = { ...msix.table, length: msixTableBytes(msix.vectors) };
    all["msix.pba"] = { ...msix.pba, length: msixPendingBytes(msix.vectors) };
  }
  if (legacyNotify !== undefined) all["legacyNotify"] = legacyNotify;
  return all;
}

function checkPlacement(placement: ResolvedPlacement): void {
  const { identity, windows, msix, legacyNotify, notifyOffMultiplier } = placement;
  if (identity.deviceId > VIRTIO_PCI_DEVICE_LAST) {
    throw refuse(
      "identity.deviceId",
      "a virtio PCI device id is at most 0x107f",
      identity.deviceId,
    );
  }
  if (msix !== undefined) checkVectors(msix.vectors);
  const named = Object.entries(namedWindows(windows, msix, legacyNotify));
  for (const [path, window] of named) checkWindow(path, window, placement.bars);
  named.forEach(([path, window], i) => {
    for (const [other, { bar, offset, length }] of named.slice(0, i)) {
      const apart = window.offset + window.length <= offset || offset + length <= window.offset;
      if (bar === window.bar && !apart) throw refuse(path, `it overlaps ${other}`, window.offset);
    }
  });
  for (const [name, alignment] of Object.entries(STRUCTURE_ALIGNMENT)) {
    const window = windows[name as keyof PciWindows];
    if (window !== undefined) checkAlignment(`windows.${name}`, window.offset, alignment);
  }
  if (msix !== undefined) {
    checkAlignment("msix.table", msix.table.offset, MSIX_ALIGNMENT);
    checkAlignment("msix.pba", msix.pba.offset, MSIX_ALIGNMENT);
  }
  if (windows.common.length < COMMON_BYTES_MIN) {
    const message = `the common configuration has at least ${COMMON_BYTES_MIN} bytes`;
    throw refuse("windows.common.length", message, windows.common.length);
  }
  if (windows.notify.length < NOTIFICATION_BYTES) {
    throw refuse("windows.notify.length", "a notification has 2 bytes", windows.notify.length);
  }
  const { size: miscBytes } = PROPOSAL_V5_PCI_MISC_CFG_LAYOUT;
  if (windows.miscellaneous !== undefined && windows.miscellaneous.length < miscBytes) {
    const message = `the miscellaneous configuration has ${miscBytes} bytes`;
    throw refuse("windows.miscellaneous.length", message, windows.miscellaneous.length);
  }
  const odd = notifyOffMultiplier % NOTIFICATION_BYTES !== 0;
  if (
    notifyOffMultiplier !== 0 &&
    (odd || powerOfTwoFrom(notifyOffMultiplier) !== notifyOffMultiplier)
  ) {
    throw refuse("notifyOffMultiplier", "it is 0, or an even power of two", notifyOffMultiplier);
  }
  checkCapabilities(placement);
}

/** What the legacy access commands ask of a function (section "Legacy Interfaces"). */
function checkLegacy({ legacyNotify, bars, kind }: ResolvedPlacement, legacy: boolean): void {
  if (legacyNotify === undefined) return;
  const path = "legacyNotify";
  if (kind !== "physical" && !legacy) {
    throw refuse(path, "the function is no owner and no member with a legacy interface", kind);
  }
  if (legacyNotify.bar === 0) throw refuse(`${path}.bar`, "it is in a BAR from 1 to 5", 0);
  checkAlignment(path, legacyNotify.offset, NOTIFICATION_BYTES);
  if (legacyNotify.length < NOTIFICATION_BYTES) {
    throw refuse(`${path}.length`, "a notification has 2 bytes", legacyNotify.length);
  }
  if (legacy && bars.some(({ index }) => index === 0)) {
    throw refuse("bars[0]", "BAR 0 of a member with a legacy interface is hardwired to zero", 0);
  }
}

function checkVectors(vectors: number): void {
  if (Number.isInteger(vectors) && vectors >= 1 && vectors <= MSIX_VECTORS_MAX) return;
  throw refuse("msix.vectors", `there are 1 to ${MSIX_VECTORS_MAX} vectors`, vectors);
}

function checkCapabilities(placement: ResolvedPlacement): void {
  const { capabilities, windows, msix, kind, configSize } = placement;
  const names = capabilities.map(({ name }) => name);
  if (kind !== "plain" && (configSize !== 4096 || !names.includes("express"))) {
    const message = "SR-IOV needs 4096 bytes of configuration space and the PCI Express capability";
    throw refuse("capabilities", message, `${configSize} bytes, ${names.join(", ")}`);
  }
  if (new Set(names).size !== names.length) {
    throw refuse("capabilities", "each capability is in the list once", names.join(", "));
  }
  if (windows.miscellaneous !== undefined && !names.includes("miscellaneous")) {
    const message = "a device of the dialect proposal-v5 presents the miscellaneous configuration";
    throw refuse("capabilities", message, names.join(", "));
  }
  for (const name of names) {
    const absent =
      (name === "device" && windows.device === undefined) ||
      (name === "miscellaneous" && windows.miscellaneous === undefined) ||
      (name === "msix" && msix === undefined);
    if (absent) throw refuse("capabilities", "the function has no such structure", name);
  }
}

function checkWindow(path: string, window: PciWindow, bars: readonly PciBar[]): void {
  const { bar, offset, length } = window;
  const holder = bars.find(({ index }) => index === bar);
  if (holder === undefined || bar >= BAR_COUNT) throw refuse(`${path}.bar`, "no such BAR", bar);
  const whole = Number.isInteger(offset) && Number.isInteger(length) && offset >= 0 && length > 0;
  if (!whole || offset + length > holder.length) {
    throw refuse(path, `it is not inside the ${holder.length} bytes of BAR ${bar}`, offset);
  }
}

function checkAlignment(path: string, offset: number, alignment: number): void {
  if (offset % alignment !== 0) {
    throw refuse(`${path}.offset`, `it is not a multiple of ${alignment}`, offset);
  }
}

function powerOfTwoFrom(value: number): number {
  return 2 ** Math.ceil(Math.log2(value));
}

function refuse(path: string, message: string, value: unknown): VirtioError {
  return new VirtioError("TRANSPORT_OPTIONS", {
    message,
    path,
    value,
    hint: "leave it out for the default",
  });
}
