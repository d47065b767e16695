/** Between a physical function and its virtual functions. */
import type { PciBar } from "./config-template.ts";

/** The owner of a virtual function, as that function sees it. */
export interface VirtualFunctionOwner {
  /** How many virtual functions there are now; they are numbered from 1. */
  readonly memberCount: number;
  /** True while they answer accesses of their BARs (VF Enable and VF MSE). */
  readonly memorySpace: boolean;
  /** The address of a BAR of the virtual function with this number; 0 when it has none. */
  barAddress(id: number, bar: number): number;
  /**
   * Takes so many MSI-X vectors for the virtual function with this number, in place of those that it
   * has; false, and nothing changes, when it cannot have them. Absent: it can.
   */
  takeVectors?(id: number, vectors: number): boolean;
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
  /** Takes over what the driver has switched. */
  switched(switches: SriovSwitches): void;
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
  connect(owner: Pick<VirtualFunctionOwner, "barAddress">): SriovConnection;
}
