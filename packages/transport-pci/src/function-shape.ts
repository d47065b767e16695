/**
 * What functions have in common that are alike: where everything is, what configuration space is
 * like before a driver comes, and what answers where in the BARs. The virtual functions of one owner
 * share one shape.
 */
import { FEATURE, type Field, type TransportFacingDevice } from "@virtio-admin/core";
import { BarSpace } from "./bar-space.ts";
import { capabilityBytes, PciCfgAccess } from "./capabilities.ts";
import { CommonConfig } from "./common-config.ts";
import { headerFieldAt, PciConfigTemplate } from "./config-template.ts";
import { PCI_EXPRESS_CAPABILITY_LAYOUT } from "./express-layout.ts";
import type { FunctionInterrupts } from "./interrupts.ts";
import {
  MSIX_CAPABILITY_LAYOUT,
  PCI_HEADER_LAYOUT,
  PROPOSAL_V5_PCI_MISC_CFG_LAYOUT,
  VIRTIO_PCI_ISR_LAYOUT,
} from "./layout.ts";
import { type MsixTable, msixPendingBytes, msixTableBytes } from "./msix.ts";
import {
  carriesNotificationData,
  type FunctionKind,
  featuresWithoutRegisters,
  PCI_UNSUPPORTED_FEATURES,
  type PciPlacement,
  type ResolvedPlacement,
  resolvePlacement,
} from "./placement.ts";
import { ariCapability, sriovCapability } from "./sriov-registers.ts";
import type { SriovConstants } from "./virtual-function.ts";
import { type WritableRegister, writableRegisters } from "./writable-registers.ts";

/** What a function has behind the regions of its BARs. */
export interface FunctionRegisters {
  readonly common: CommonConfig;
  readonly interrupts: FunctionInterrupts;
  /** Absent without MSI-X. */
  readonly msix: MsixTable | undefined;
  /** Where the administration virtqueues begin, 0 for none. */
  readonly adminQueueIndex: number;
  /** A legacy notification, at this offset of its window. */
  legacyNotify(offset: number, size: number, queue: number): void;
  /** An available buffer notification, at this offset of its window. */
  notify(offset: number, size: number, value: number): void;
  readDeviceConfig(offset: number, size: number): number;
  writeDeviceConfig(offset: number, size: number, value: number): void;
}

/** What a function is to others. */
export interface FunctionRole {
  /** Physical, virtual, or neither. */
  readonly kind: FunctionKind;
  /** True for a virtual function whose legacy interface its owner reaches. */
  readonly reachesLegacy: boolean;
  /** What the SR-IOV capability of a physical function says. */
  readonly sriov: SriovConstants | undefined;
}

const CONTROL = MSIX_CAPABILITY_LAYOUT.fields.message_control;
const DEVICE_CONTROL = PCI_EXPRESS_CAPABILITY_LAYOUT.fields.device_control;
const ENTRY_NAMES = [
  "message_address.low",
  "message_address.high",
  "message_data",
  "vector_control",
];

/** What is the same for all functions that are alike. */
export class FunctionShape {
  /** Where everything is. */
  readonly placement: ResolvedPlacement;
  /** The features that such a function has no registers for, or that the transport does not carry. */
  readonly reservedFeatures: readonly number[];
  /** VIRTIO_F_SR_IOV where there is an SR-IOV capability. */
  readonly ownFeatures: readonly number[];
  /** What configuration space is like before a driver comes. */
  readonly config: PciConfigTemplate;
  /** The registers of configuration space that the driver writes. */
  readonly registers: readonly WritableRegister[];
  /** What answers in the BARs. */
  readonly space: BarSpace<FunctionRegisters>;
  /** The window of the PCI configuration access capability, where there is that capability. */
  readonly cfgAccess: PciCfgAccess | undefined;
  /** Where Message Control is, in a function with MSI-X. */
  readonly msixControlAt: number | undefined;
  /** Where Device Control is, in a PCI Express function. */
  readonly deviceControlAt: number | undefined;
  /** The fields of the capabilities by their offsets, for traces. */
  readonly #capabilityNames = new Map<number, string>();
  readonly #deviceId: number;
  readonly #queueCount: number;
  readonly #configLength: number;

  /**
   * Works out the shape of a function for this device.
   *
   * @throws VirtioError `TRANSPORT_OPTIONS` when the placement contradicts itself.
   */
  constructor(
    device: TransportFacingDevice,
    init: PciPlacement,
    { kind, reachesLegacy, sriov }: FunctionRole,
  ) {
    this.#deviceId = device.deviceId;
    this.#queueCount = device.queueCount;
    this.#configLength = device.configLength;
    const placement = resolvePlacement(device, init, kind, reachesLegacy);
    this.placement = placement;
    this.ownFeatures = sriov === undefined ? [] : [FEATURE.VIRTIO_F_SR_IOV];
    this.reservedFeatures = [
      ...new Set([
        ...PCI_UNSUPPORTED_FEATURES,
        ...(carriesNotificationData(placement.windows.notify, placement.notifyOffMultiplier)
          ? []
          : [FEATURE.VIRTIO_F_NOTIFICATION_DATA]),
        ...(sriov === undefined ? [FEATURE.VIRTIO_F_SR_IOV] : []),
        ...featuresWithoutRegisters(placement.windows),
      ]),
    ];
    const owned = sriov && sriovCapability(sriov);
    this.config = new PciConfigTemplate({
      size: placement.configSize,
      identity: placement.identity,
      bars: placement.bars,
      virtual: kind === "virtual",
      extended: kind === "plain" ? [] : [...(owned === undefined ? [] : [owned]), ariCapability()],
    });
    this.space = regionsOf(placement);
    const registers = writableRegisters(
      this.config,
      Object.values<Field>(PCI_HEADER_LAYOUT.fields),
    );
    for (const { name, at } of placement.capabilities) {
      const { bytes, writable, fields } = capabilityBytes(name, placement);
      const start = this.config.addCapability(bytes, writable, at);
      for (const { name: field, offset } of fields) {
        this.#capabilityNames.set(start + offset, `${name}.${field}`);
      }
      registers.push(
        ...writableRegisters(this.config, fields, {
          prefix: `${name}.`,
          at: start,
          transient: { device_control: DEVICE_CONTROL.bits.initiate_function_level_reset.mask },
        }),
      );
      if (name === "msix") this.msixControlAt = start + CONTROL.offset;
      if (name === "express") this.deviceControlAt = start + DEVICE_CONTROL.offset;
      if (name === "pci-cfg") this.cfgAccess = new PciCfgAccess(start);
    }
    this.registers = registers;
    const [sriovAt = 0] = this.config.extendedAt;
    for (const { name, offset } of owned?.fields ?? []) {
      this.#capabilityNames.set(sriovAt + offset, `sriov.${name}`);
    }
  }

  /** True when a function for this device has this shape, if it is placed in the same way. */
  suits({ deviceId, queueCount, configLength }: TransportFacingDevice): boolean {
    return (
      deviceId === this.#deviceId &&
      queueCount === this.#queueCount &&
      configLength === this.#configLength
    );
  }

  /** The name of what is at an offset of configuration space, for traces. */
  configName(offset: number): string | undefined {
    return this.#capabilityNames.get(offset) ?? headerFieldAt(offset);
  }
}

function regionsOf({
  windows,
  msix,
  legacyNotify,
}: ResolvedPlacement): BarSpace<FunctionRegisters> {
  const space = new BarSpace<FunctionRegisters>();
  // First, as this is the region of the hot path.
  space.add(windows.notify, {
    structure: true,
    nameAt: () => "queue_notify",
    read: () => 0,
    write: (of, offset, size, value) => of.notify(offset, size, value),
  });
  space.add(windows.common, {
    structure: true,
    nameAt: (offset) => CommonConfig.nameAt(offset),
    read: (of, offset, size) => of.common.read(offset, size),
    write: (of, offset, size, value) => of.common.write(offset, size, value),
  });
  space.add(windows.isr, {
    structure: true,
    nameAt: (offset) => (offset === 0 ? VIRTIO_PCI_ISR_LAYOUT.fields.isr_status.name : undefined),
    // The reserved bits above the byte are read along where the window has room for them.
    read: (of, offset) => (offset === 0 ? of.interrupts.readIsrStatus() : 0),
    write: () => {},
  });
  if (windows.device !== undefined) {
    space.add(windows.device, {
      structure: true,
      nameAt: () => "device_config",
      read: (of, offset, size) => of.readDeviceConfig(offset, size),
      write: (of, offset, size, value) => of.writeDeviceConfig(offset, size, value),
    });
  }
  if (windows.miscellaneous !== undefined) {
    const { admin_queue_index: index } = PROPOSAL_V5_PCI_MISC_CFG_LAYOUT.fields;
    space.add(windows.miscellaneous, {
      structure: true,
      nameAt: (offset) => (offset === index.offset ? index.name : undefined),
      read: (of, offset, size) =>
        offset === index.offset && size === index.width ? of.adminQueueIndex : 0,
      write: () => {},
    });
  }
  if (msix !== undefined) {
    space.add(
      { ...msix.table, length: msixTableBytes(msix.vectors) },
      {
        structure: false,
        nameAt: (offset) => `msix_table[${offset >> 4}].${ENTRY_NAMES[(offset >> 2) & 3]}`,
        read: (of, offset, size) => of.msix?.read(offset, size) ?? 0,
        write: (of, offset, size, value) => of.msix?.write(offset, size, value),
      },
    );
    space.add(
      { ...msix.pba, length: msixPendingBytes(msix.vectors) },
      {
        structure: false,
        nameAt: () => "msix_pba",
        read: (of, offset, size) => of.msix?.readPending(offset, size) ?? 0,
        write: () => {},
      },
    );
  }
  if (legacyNotify !== undefined) {
    space.add(legacyNotify, {
      structure: false,
      nameAt: () => "legacy_notify",
      read: () => 0,
      write: (of, offset, size, queue) => of.legacyNotify(offset, size, queue),
    });
  }
  return space;
}
