/**
 * The SR-IOV group: the virtual functions of a physical function, each a whole PCI function with a
 * virtio device of its own, and members of the group that the physical function owns (section
 * "Device groups").
 *
 * A member costs a few bytes until something looks at its function, or switches its features: its
 * device is made then, and kept for as long as the group, however often VF Enable is switched. Its
 * vectors are a number of the group's.
 */
import {
  countedPool,
  DeviceMember,
  type FeatureSet,
  type GroupType,
  isPartsDevice,
  type LegacyGroup,
  type LegacyMember,
  type ManagedGroup,
  type ManagedMember,
  type MsixPool,
  type PartsDevice,
  type PartsGroup,
  type ProvisionableDevice,
  type ProvisionRefusal,
  SR_IOV_GROUP,
  type TransportFacingDevice,
  VirtioError,
} from "@virtio-admin/core";
import { PciDevice } from "./device.ts";
import type { PciInterruptSink } from "./interrupts.ts";
import { MSIX_VECTORS_MAX } from "./layout.ts";
import {
  LEGACY_NOTIFY_STRIDE,
  type MsixPlacement,
  type PciPlace,
  type PciPlacement,
} from "./placement.ts";
import { type MadeFunction, type MemberParts, VirtualFunctionMember } from "./sriov-member.ts";
import type {
  PhysicalFunction,
  SriovConnection,
  SriovConstants,
  SriovSwitches,
  VirtualFunctionOwner,
  VirtualFunctions,
} from "./virtual-function.ts";

/** The device behind a virtual function; a `VirtioDevice` is one. */
export interface MemberDevice extends TransportFacingDevice, ProvisionableDevice {
  /** The device status byte. */
  readonly status: number;
}

/** The MSI-X vectors of virtual functions. Everything has a default. */
export interface SriovMsix {
  /** How many each has at first; by default one for the configuration and for every queue. */
  readonly vectors?: number;
  /** How many there are for all together; by default as many as all have at first. */
  readonly total?: number;
  /** The fewest that one can be given; 1 by default. */
  readonly min?: number;
  /** The most that one can be given, which its table has room for; `vectors` by default. */
  readonly max?: number;
  /** Where the table is; at the beginning of BAR 1 by default. */
  readonly table?: MsixPlacement["table"];
  /** Where the pending bits are; behind the table by default. */
  readonly pba?: MsixPlacement["pba"];
}

/** What a {@link SriovGroup} is made from. */
export interface SriovGroupInit {
  /** The most virtual functions that there can be, 1 to 65535 (TotalVFs, InitialVFs). */
  readonly totalVfs: number;
  /**
   * Makes the device of a virtual function, 1 to `totalVfs`, when it is first looked at; that of
   * number 1 at once, as an example of them all. They are of one type, and offer the same features.
   * When that device is transitional, the owner reaches the legacy interfaces of those that are.
   */
  readonly makeDevice: (id: number) => MemberDevice;
  /** Their MSI-X vectors, or `false` for virtual functions without MSI-X. */
  readonly msix?: SriovMsix | false;
  /** Where everything is in each of them, but for MSI-X; see {@link PciPlacement}. */
  readonly placement?: Omit<PciPlacement, "msix" | "configSize">;
  /** The features that the owner may switch on its members; all that they can offer by default. */
  readonly settable?: FeatureSet;
  /** From the routing id of the owner to that of virtual function 1; 1 by default. */
  readonly firstVfOffset?: number;
  /** From the routing id of a virtual function to that of the next; 1 by default. */
  readonly vfStride?: number;
  /**
   * The page sizes that BARs can be aligned to; bit n, 0 to 19: `4096 << n` bytes. Always with bit 0;
   * 0x553 by default.
   */
  readonly supportedPageSizes?: number;
  /**
   * True when VIRTIO_F_SR_IOV was negotiated before this process began: VF Enable can then be set at
   * once. Otherwise it stays clear until the feature is negotiated for the first time.
   */
  readonly negotiatedBefore?: boolean;
  /** Where the interrupts of a virtual function go; asked when its device is made. */
  readonly interruptSink?: (id: number) => PciInterruptSink | undefined;
}

// What stands in a cell
const VECTORS = 0x0fff;
const MADE = 0x8000;

const MOST_VFS = 0xffff;
const LARGEST_ROUTING_ID = 0xffff;
const LARGEST_TOTAL = 0xffff_ffff;
/** 4 KiB, 8 KiB, 64 KiB, 256 KiB, 1 MiB and 4 MiB: what PCI Express asks for. */
const DEFAULT_PAGE_SIZES = 0x553;
/** A BAR is as long as a page at least, and maps 2 GiB at most. */
const ALL_PAGE_SIZES = 0xf_ffff;

/**
 * The virtual functions of one physical function, as the group that it owns. The group is made
 * first, given to the `AdminExecutor` of the owner, and then to the owner's {@link PciDevice}.
 *
 * It exists exactly while VF Enable is set; its members are 1 to NumVFs. When VF Enable is cleared,
 * by the driver or by a reset of the physical function, every virtual function is reset, forgets
 * what was provisioned, and answers nothing until it is there again. A reset of the owner's virtio
 * device changes nothing for the members.
 */
export class SriovGroup implements ManagedGroup, PartsGroup, LegacyGroup, VirtualFunctions {
  /** Always `SR_IOV_GROUP`. */
  readonly type: GroupType = SR_IOV_GROUP;
  /** What the SR-IOV capability of the owner says. */
  readonly constants: SriovConstants;
  /** The pool of MSI-X vectors; absent when the virtual functions have none. */
  readonly msix: MsixPool | undefined;
  /** True when the device of virtual function 1 is transitional. VF BAR 0 is hardwired to zero then. */
  readonly hasLegacyAccess: boolean;
  /** As {@link hasLegacyAccess}: there is a place in a BAR of every virtual function. */
  readonly hasLegacyNotify: boolean;
  /**
   * Called after VF Enable, NumVFs, VF MSE or the place of a BAR may have changed: a VMM maps and
   * plugs functions then. Must not throw.
   */
  onChange: (() => void) | undefined;

  readonly #init: SriovGroupInit;
  readonly #placement: PciPlacement;
  readonly #defaultVectors: number;
  /** By number: the functions that have been looked at. */
  readonly #made = new Map<number, MadeFunction>();
  /** By number: the members that {@link member} was asked for since VF Enable was set. */
  readonly #members = new Map<number, VirtualFunctionMember>();
  /** By number: its vectors while it is there, and whether its function is made. */
  readonly #cells: Uint16Array;
  readonly #parts: MemberParts;
  readonly #place: VirtualFunctionOwner;
  readonly #borrowed: VirtualFunctionMember;
  #owner: PhysicalFunction | undefined;
  #count = 0;
  #memorySpace = false;
  #allocated = 0;
  #epoch = 0;

  /**
   * Makes the group; it does not exist before a driver sets VF Enable.
   *
   * @throws VirtioError `TRANSPORT_OPTIONS` for numbers that cannot be, or a placement that
   * contradicts itself; `GROUP_INVALID` for a pool that does not serve all members' defaults.
   */
  constructor(init: SriovGroupInit) {
    const { totalVfs, firstVfOffset = 1, vfStride = 1 } = init;
    const pageSizes = init.supportedPageSizes ?? DEFAULT_PAGE_SIZES;
    checkNumber("totalVfs", totalVfs, 1, MOST_VFS);
    checkNumber("firstVfOffset", firstVfOffset, 1, LARGEST_ROUTING_ID);
    checkNumber("vfStride", vfStride, 1, LARGEST_ROUTING_ID);
    checkNumber("firstVfOffset", firstVfOffset + (totalVfs - 1) * vfStride, 1, LARGEST_ROUTING_ID);
    checkNumber("supportedPageSizes", pageSizes, 1, ALL_PAGE_SIZES);
    if (pageSizes % 2 === 0) {
      throw refuse("supportedPageSizes", "pages of 4 KiB are always supported", pageSizes);
    }
    this.#init = init;
    const example = init.makeDevice(1);
    this.hasLegacyAccess = example.legacy !== undefined;
    this.hasLegacyNotify = this.hasLegacyAccess;
    const pool = poolOf(init, example.queueCount);
    this.#defaultVectors = pool?.vectors ?? 0;
    const { table, pba } = init.msix === false ? {} : (init.msix ?? {});
    this.#placement = {
      ...init.placement,
      msix: pool !== undefined && {
        vectors: pool.max,
        ...(table === undefined ? {} : { table }),
        ...(pba === undefined ? {} : { pba }),
      },
    };
    this.msix = pool && countedPool(pool, () => this.#allocated);
    this.#cells = new Uint16Array(totalVfs + 1);
    this.#parts = this.#makeParts();
    this.#place = this.#makePlace();
    this.#borrowed = new VirtualFunctionMember(1, this.#parts);
    const { pci } = this.#make(1, example);
    if (pool !== undefined && !pci.placement.capabilities.some(({ name }) => name === "msix")) {
      const message = "virtual functions with MSI-X vectors have the MSI-X capability";
      throw refuse("placement.capabilities", message, undefined);
    }
    this.constants = {
      totalVfs,
      firstVfOffset,
      vfStride,
      vfDeviceId: pci.placement.identity.deviceId,
      bars: pci.placement.bars,
      supportedPageSizes: pageSizes,
    };
  }

  /** True while VF Enable is set. */
  get exists(): boolean {
    return this.#count > 0;
  }

  /** NumVFs while VF Enable is set, else 0. */
  get memberCount(): number {
    return this.#count;
  }

  /** True while the virtual functions answer accesses of their BARs (VF Enable and VF MSE). */
  get memorySpace(): boolean {
    return this.#memorySpace;
  }

  /** The features that can be switched; the members are alike. */
  get settableFeatures(): FeatureSet {
    return this.#example.settableFeatures;
  }

  /** The physical function; `undefined` before it was made. It has id 0, and is not provisioned. */
  get owner(): ManagedMember | undefined {
    return this.#owner?.member;
  }

  /** True for 1 to {@link memberCount}. */
  hasMember(id: number): boolean {
    return Number.isInteger(id) && id >= 1 && id <= this.#count;
  }

  /** The member of this id; `undefined` when there is none now. */
  member(id: number): ManagedMember | undefined {
    if (!this.hasMember(id)) return undefined;
    let member = this.#members.get(id);
    if (member === undefined) {
      member = new VirtualFunctionMember(id, this.#parts);
      this.#members.set(id, member);
    }
    return member;
  }

  /** See `ManagedGroup.borrow`. */
  borrow(id: number): ManagedMember | undefined {
    return this.hasMember(id) ? this.#borrowed.standFor(id) : undefined;
  }

  /** All members that there are now. */
  *managedMembers(): Iterable<ManagedMember> {
    for (let id = 1; id <= this.#count; id++) {
      const member = this.member(id);
      if (member !== undefined) yield member;
    }
  }

  /** See {@link PartsGroup.partsDevice}. */
  partsDevice(id: number): PartsDevice | undefined {
    if (!this.hasMember(id)) return undefined;
    const { device } = this.#functionOf(id);
    return isPartsDevice(device) ? device : undefined;
  }

  /** The virtual function of this number as a VMM calls it; `undefined` when there is none now. */
  function(id: number): PciDevice | undefined {
    return this.hasMember(id) ? this.#functionOf(id).pci : undefined;
  }

  /** See {@link LegacyGroup.legacyMember}. */
  legacyMember(id: number): LegacyMember | undefined {
    return this.function(id)?.legacy;
  }

  /** See {@link VirtualFunctions.legacyNotified}. */
  legacyNotified(id: number, queue: number): void {
    this.function(id)?.legacyNotified(queue);
  }

  /** The address of a BAR of a virtual function; 0 when the driver gave none, or there is none. */
  barAddress(id: number, bar: number): number {
    return this.#owner?.barAddress(id, bar) ?? 0;
  }

  /**
   * The routing id (bus, device and function number) of a virtual function, when its owner has this
   * one; beyond 0xffff it begins again at 0.
   */
  routingId(id: number, owner: number): number {
    const { firstVfOffset, vfStride } = this.constants;
    return (owner + firstVfOffset + (id - 1) * vfStride) & LARGEST_ROUTING_ID;
  }

  /** See {@link VirtualFunctions.connect}; the owner's `PciDevice` calls it. */
  connect(owner: PhysicalFunction): SriovConnection {
    if (this.#owner !== undefined) {
      throw refuse("owner", "the virtual functions have an owner already", undefined);
    }
    const { legacyNotify } = owner;
    const needed = this.constants.totalVfs * LEGACY_NOTIFY_STRIDE;
    if (legacyNotify !== undefined && !(this.hasLegacyAccess && legacyNotify.length >= needed)) {
      const message = "the virtual functions are not transitional, or too many for the window";
      throw refuse("owner.legacyNotify", message, legacyNotify.length);
    }
    this.#owner = owner;
    return {
      negotiatedBefore: this.#init.negotiatedBefore === true,
      switched: (switches) => this.#switch(switches),
      changed: () => this.onChange?.(),
    };
  }

  /** What members ask for, in one object: there may be many of them. */
  #makeParts(): MemberParts {
    const group = this;
    const msixVectors = this.msix === undefined ? undefined : this.#defaultVectors;
    return {
      defaults: {
        get features(): FeatureSet {
          return group.#example.defaults.features;
        },
        msixVectors,
      },
      get settableFeatures(): FeatureSet {
        return group.settableFeatures;
      },
      get epoch(): number {
        return group.#epoch;
      },
      vectorsOf: (id) => this.#vectorsOf(id),
      made: (id) => (((this.#cells[id] as number) & MADE) === 0 ? undefined : this.#made.get(id)),
      make: (id) => this.#functionOf(id),
      provisionVectors: (id, vectors) => this.#provisionVectors(id, vectors),
      provisionFeatures: (id, features) => this.#provisionFeatures(id, features),
    };
  }

  /** What the functions see of the group: no one else takes vectors for them. */
  #makePlace(): VirtualFunctionOwner {
    const group = this;
    return {
      get memberCount(): number {
        return group.#count;
      },
      get memorySpace(): boolean {
        return group.#memorySpace;
      },
      hasLegacyAccess: this.hasLegacyAccess,
      legacyPlace: (id) => this.#legacyPlace(id),
      barAddress: (id, bar) => this.barAddress(id, bar),
      takeVectors: (id, vectors) => this.#takeVectors(id, vectors),
    };
  }

  #legacyPlace(id: number): PciPlace | undefined {
    const window = this.#owner?.legacyNotify;
    if (window === undefined) return undefined;
    return { bar: window.bar, offset: window.offset + (id - 1) * LEGACY_NOTIFY_STRIDE };
  }

  /** Takes over what the driver switched. NumVFs does not change while VF Enable is set. */
  #switch({ count, memorySpace }: SriovSwitches): void {
    const before = this.#count;
    this.#memorySpace = memorySpace;
    this.#count = count;
    if (before !== count) {
      // Whoever still holds a member of before holds nothing from here on.
      this.#epoch++;
      this.#members.clear();
      this.#cells.fill(this.#defaultVectors);
      for (const id of this.#made.keys()) this.#cells[id] = MADE | this.#defaultVectors;
      this.#allocated = count * this.#defaultVectors;
      if (count === 0) for (const made of this.#made.values()) this.#retire(made);
    }
  }

  /** Resets a virtual function that is not there any more, and forgets what its owner did to it. */
  #retire({ pci, device }: MadeFunction): void {
    pci.reset();
    if (isPartsDevice(device)) device.resume();
    device.provisionFeatures(device.defaultFeatures);
    if (this.msix !== undefined) pci.setMsixVectors(this.#defaultVectors);
  }

  #provisionVectors(id: number, vectors: number): ProvisionRefusal | undefined {
    const made = this.#parts.made(id);
    if (made !== undefined) return made.pci.setMsixVectors(vectors);
    return this.#takeVectors(id, vectors) ? undefined : "invalid";
  }

  /** A function that is not there has its defaults, and can have nothing else. */
  #takeVectors(id: number, vectors: number): boolean {
    const { msix } = this;
    if (msix === undefined) return false;
    if (!this.hasMember(id)) return vectors === this.#defaultVectors;
    const more = vectors - this.#vectorsOf(id);
    const fits = vectors >= msix.min && vectors <= msix.max && this.#allocated + more <= msix.total;
    if (!fits || !Number.isInteger(vectors)) return false;
    this.#cells[id] = ((this.#cells[id] as number) & MADE) | vectors;
    this.#allocated += more;
    return true;
  }

  #provisionFeatures(id: number, features: FeatureSet): ProvisionRefusal | undefined {
    const isMade = this.#made.has(id);
    if (!isMade && features.equals(this.#example.defaults.features)) return undefined;
    return this.#featuresOf(id).provisionFeatures(features);
  }

  /** The function that shows what all of them are like while nobody has provisioned them. */
  get #example(): DeviceMember {
    return this.#featuresOf(1);
  }

  #featuresOf(id: number): DeviceMember {
    const { settable } = this.#init;
    const { device } = this.#functionOf(id);
    return new DeviceMember(id, device, settable === undefined ? {} : { settable });
  }

  #functionOf(id: number): MadeFunction {
    return this.#made.get(id) ?? this.#make(id, this.#init.makeDevice(id));
  }

  #make(id: number, device: MemberDevice): MadeFunction {
    const interruptSink = this.#init.interruptSink?.(id);
    const pci = new PciDevice(
      {
        ...this.#placement,
        device,
        ...(interruptSink === undefined ? {} : { interruptSink }),
      },
      { owner: this.#place, id, vectors: this.msix && this.#vectorsAtFirst(id) },
      this.#made.get(1)?.pci,
    );
    if (id !== 1 && pci.placement.identity.deviceId !== this.constants.vfDeviceId) {
      const message = "virtual functions of one owner have one device id";
      throw refuse(`makeDevice(${id}).deviceId`, message, device.deviceId);
    }
    const made = { pci, device };
    this.#made.set(id, made);
    this.#cells[id] = (this.#cells[id] as number) | MADE;
    return made;
  }

  #vectorsAtFirst(id: number): number {
    return this.hasMember(id) ? this.#vectorsOf(id) : this.#defaultVectors;
  }

  #vectorsOf(id: number): number {
    return (this.#cells[id] as number) & VECTORS;
  }
}

/** The vectors of members, with nothing left open. */
export interface Pool extends Required<Pick<SriovMsix, "vectors" | "total" | "min" | "max">> {}

/** @throws VirtioError `GROUP_INVALID` for a pool that does not serve all; `undefined` without MSI-X. */
export function poolOf({ msix, totalVfs }: SriovGroupInit, queues: number): Pool | undefined {
  if (msix === false) return undefined;
  const vectors = msix?.vectors ?? Math.min(queues + 1, msix?.max ?? MSIX_VECTORS_MAX);
  const min = msix?.min ?? 1;
  const max = msix?.max ?? vectors;
  checkNumber("msix.max", max, 1, MSIX_VECTORS_MAX);
  checkNumber("msix.min", min, 1, max);
  checkNumber("msix.vectors", vectors, min, max);
  const total = msix?.total ?? vectors * totalVfs;
  if (Number.isInteger(total) && total >= vectors * totalVfs && total <= LARGEST_TOTAL) {
    return { vectors, total, min, max };
  }
  throw new VirtioError("GROUP_INVALID", {
    message: `the pool serves ${totalVfs} virtual functions with ${vectors} vectors each`,
    path: "sriov.msix.total",
    value: total,
    hint: "enlarge the total, or lower the vectors",
  });
}

/** @throws VirtioError `TRANSPORT_OPTIONS` for what is no integer in this range. */
export function checkNumber(path: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw refuse(path, `it is an integer from ${least} to ${most}`, value);
}

function refuse(path: string, message: string, value: unknown): VirtioError {
  return new VirtioError("TRANSPORT_OPTIONS", { message, path: `sriov.${path}`, value });
}
