/** Between a physical function and its virtual functions. */
import type { ManagedMember } from "@virtio-admin/core";
import type { PciBar } from "./config-template.ts";
import type { PciPlace, PciWindow } from "./placement.ts";

/** The owner of a virtual function, as that function sees it. */
export interface VirtualFunctionOwner {
  /** How many virtual functions there are now; they are numbered from 1. */
  readonly memberCount: number;
  /** True while they answer accesses of their BARs (VF Enable and VF MSE). */
  readonly memorySpace: boolean;
  /** True when the owner reaches the legacy interfaces of its virtual functions. */
  readonly hasLegacyAccess: boolean;
  /** Where the owner takes legacy notifications for one of them; `undefined` when it does not. */
  legacyPlace(id: number): PciPlace | undefined;
  /** The address of a BAR of the virtual function with this number; 0 when it has none. */
  barAddress(id: number, bar: number): number;
  /**
   * Takes so many MSI-X vectors for the virtual function with this number, in place of those that it
   * has; false, and nothing changes, when it cannot have them. Absent: it can.
   */
  takeVectors?(id: number, vectors: number): boolean;
}

/** What virtual functions need of the physical function that is their owner. */
export interface PhysicalFunction {
  /** Where it takes legacy notifications for them; absent when it does not. */
  readonly legacyNotify?: PciWindow | undefined;
  /** Itself as a member of its group, for a dialect that counts it as one. */
  readonly member?: ManagedMember;
  /** The address of a BAR of the virtual function with this number; 0 when it has none. */
  barAddress(id: number, bar: number): number;
}

/** One virtual function: whose it is, and which. */
export interface VirtualFunctionPlace {
  /** The owner. */
  readonly owner: VirtualFunctionOwner;
  /** Its number, from 1; also its member identifier. */
  readonly id: number;
  /** How many MSI-X vectors it has at first; as many as its table has room for when absent. */
  readonly vectors?: number | undefined;
}

/** The registers of an SR-IOV capability that never change. */
export interface SriovConstants {
  /** The most virtual functions, 1 to 65535. */
  readonly totalVfs: number;
  /** From the owner's routing id to that of the first. */
  readonly firstVfOffset: number;
  /** From one routing id to the next. */
  readonly vfStride: number;
  /** The device id of them all. */
  readonly vfDeviceId: number;
  /** The BARs of one virtual function. */
  readonly bars: readonly PciBar[];
  /** Bit n: pages of `4096 << n` bytes; bit 0 is set. */
  readonly supportedPageSizes: number;
}

/** What the driver has switched. */
export interface SriovSwitches {
  /** How many virtual functions there are: NumVFs while VF Enable is set, else 0. */
  readonly count: number;
  /** True while they answer accesses of their BARs. */
  readonly memorySpace: boolean;
}

/** How virtual functions learn from their owner's registers. */
export interface SriovConnection {
  /** True when VIRTIO_F_SR_IOV was negotiated some time before. */
  readonly negotiatedBefore: boolean;
  /** Takes over what the driver has switched, and tells nobody. */
  switched(switches: SriovSwitches): void;
  /** Tells whoever listens what the driver may have switched, or moved. */
  changed(): void;
}

/** Virtual functions that a physical function can own; a `SriovGroup` is that. */
export interface VirtualFunctions {
  /** What their owner's SR-IOV capability says of them. */
  readonly constants: SriovConstants;
  /**
   * Called once, by the physical function that becomes their owner.
   *
   * @throws VirtioError `TRANSPORT_OPTIONS` when they have an owner already.
   */
  connect(owner: PhysicalFunction): SriovConnection;
  /**
   * A legacy notification for one of them at the owner's own place, with the index of a queue. Called
   * only where the owner has such a place; ignored for a number that there is not now.
   */
  legacyNotified?(id: number, queue: number): void;
}
