/**
 * What functions have in common that are alike: where everything is, what configuration space is
 * like before a driver comes, and what answers where in the BARs. The virtual functions of one owner
 * share one shape.
 */
import { FEATURE, type TransportFacingDevice } from "@virtio-admin/core";
import { BarSpace } from "./bar-space.ts";
import { capabilityBytes, PciCfgAccess } from "./capabilities.ts";
import { CommonConfig } from "./common-config.ts";
import { headerFieldAt, PciConfigTemplate } from "./config-template.ts";
import { PCI_EXPRESS_CAPABILITY_LAYOUT } from "./express-layout.ts";
import type { FunctionInterrupts } from "./interrupts.ts";
import { MSIX_CAPABILITY_LAYOUT, VIRTIO_PCI_ISR_LAYOUT } from "./layout.ts";
import { type MsixTable, msixPendingBytes, msixTableBytes } from "./msix.ts";
import {
  type FunctionKind,
  featuresWithoutRegisters,
  PCI_UNSUPPORTED_FEATURES,
  type PciPlacement,
  type ResolvedPlacement,
  resolvePlacement,
} from "./placement.ts";
import { ariCapability, sriovCapability } from "./sriov-registers.ts";
import type { SriovConstants } from "./virtual-function.ts";

/** What a function has behind the regions of its BARs. */
export interface FunctionRegisters {
  readonly common: CommonConfig;
  readonly interrupts: FunctionInterrupts;
  /** Absent without MSI-X. */
  readonly msix: MsixTable | undefined;
  /** An available buffer notification, at this offset of its window. */
  notify(offset: number, size: number, queue: number): void;
  readDeviceConfig(offset: number, size: number): number;
  writeDeviceConfig(offset: number, size: number, value: number): void;
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
   * Works out the shape of a function for this device; `sriov` is there for a physical one.
   *
   * @throws VirtioError `TRANSPORT_OPTIONS` when the placement contradicts itself.
   */
  constructor(
    device: TransportFacingDevice,
    init: PciPlacement,
    kind: FunctionKind,
    sriov: SriovConstants | undefined,
  ) {
    this.#deviceId = device.deviceId;
    this.#queueCount = device.queueCount;
    this.#configLength = device.configLength;
    const placement = resolvePlacement(device, init, kind);
    this.placement = placement;
    this.ownFeatures = sriov === undefined ? [] : [FEATURE.VIRTIO_F_SR_IOV];
    this.reservedFeatures = [
      ...new Set([
        ...PCI_UNSUPPORTED_FEATURES,
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
    for (const { name, at } of placement.capabilities) {
      const { bytes, writable, fields } = capabilityBytes(name, placement);
      const start = this.config.addCapability(bytes, writable, at);
      for (const { name: field, offset } of fields) {
        this.#capabilityNames.set(start + offset, `${name}.${field}`);
      }
      if (name === "msix") this.msixControlAt = start + CONTROL.offset;
      if (name === "express") this.deviceControlAt = start + DEVICE_CONTROL.offset;
      if (name === "pci-cfg") this.cfgAccess = new PciCfgAccess(start);
    }
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

function regionsOf({ windows, msix }: ResolvedPlacement): BarSpace<FunctionRegisters> {
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
  return space;
}
