/**
 * The SR-IOV group: the virtual functions of a physical function, each a whole PCI function with a
 * virtio device of its own, and members of the group that the physical function owns (section
 * "Device groups").
 *
 * A member costs nothing until something looks at it: its device is made then, and kept for as long
 * as the group, however often VF Enable is switched.
 */
import {
  DeviceMember,
  type FeatureSet,
  type GroupType,
  isPartsDevice,
  isSnapshotDevice,
  type LegacyGroup,
  type LegacyMember,
  type ManagedGroup,
  type ManagedMember,
  type MemberDefaults,
  type MsixPool,
  type PartsDevice,
  type PartsGroup,
  type ProvisionableDevice,
  type ProvisionRefusal,
  type SnapshotDevice,
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
  /** The page sizes that BARs can be aligned to; bit n: `4096 << n` bytes. 0x553 by default. */
  readonly supportedPageSizes?: number;
  /**
   * True when VIRTIO_F_SR_IOV was negotiated before this process began: VF Enable can then be set at
   * once. Otherwise it stays clear until the feature is negotiated for the first time.
   */
  readonly negotiatedBefore?: boolean;
  /** Where the interrupts of a virtual function go; asked when its device is made. */
  readonly interruptSink?: (id: number) => PciInterruptSink | undefined;
}

const MOST_VFS = 0xffff;
const LARGEST_ROUTING_ID = 0xffff;
const LARGEST_TOTAL = 0xffff_ffff;
/** 4 KiB, 8 KiB, 64 KiB, 256 KiB, 1 MiB and 4 MiB: what PCI Express asks for. */
const DEFAULT_PAGE_SIZES = 0x553;

/** A virtual function that has been looked at. */
interface MadeFunction {
  readonly pci: PciDevice;
  readonly device: MemberDevice;
}

/**
 * The virtual functions of one physical function, as the group that it owns. The group is made
 * first, given to the `AdminExecutor` of the owner, and then to the owner's {@link PciDevice}.
 *
 * It exists exactly while VF Enable is set; its members are 1 to NumVFs. When VF Enable is cleared,
 * by the driver or by a reset of the physical function, every virtual function is reset, forgets
 * what was provisioned, and answers nothing until it is there again. A reset of the owner's virtio
 * device changes nothing for the members.
 */
export class SriovGroup
  implements ManagedGroup, PartsGroup, LegacyGroup, VirtualFunctions, VirtualFunctionOwner
{
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
  readonly #made = new Map<number, MadeFunction>();
  /** The members that were asked for since VF Enable was set. */
  readonly #members = new Map<number, VirtualFunctionMember>();
  #owner: PhysicalFunction | undefined;
  #count = 0;
  #memorySpace = false;
  #allocated = 0;

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
    checkNumber("supportedPageSizes", pageSizes, 1, LARGEST_TOTAL);
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
    this.msix = pool === undefined ? undefined : this.#makePool(pool);
    const { pci } = this.#make(1, example);
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
    return this.#featuresOf(1).settableFeatures;
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
      member = new VirtualFunctionMember(id, {
        defaultVectors: this.msix === undefined ? undefined : this.#defaultVectors,
        isThere: () => this.#members.get(id) === member,
        made: () => this.#made.get(id),
        make: () => this.#functionOf(id),
        features: () => this.#featuresOf(id),
        provisionVectors: (vectors) => this.#provisionVectors(id, vectors),
      });
      this.#members.set(id, member);
    }
    return member;
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

  /** See {@link VirtualFunctionOwner.legacyPlace}. */
  legacyPlace(id: number): PciPlace | undefined {
    const window = this.#owner?.legacyNotify;
    if (window === undefined) return undefined;
    return { bar: window.bar, offset: window.offset + (id - 1) * LEGACY_NOTIFY_STRIDE };
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

  #makePool({ total, min, max }: Pool): MsixPool {
    const freeNow = () => total - this.#allocated;
    return Object.freeze({
      total,
      min,
      max,
      get free(): number {
        return freeNow();
      },
    });
  }

  /** Takes over what the driver switched. NumVFs does not change while VF Enable is set. */
  #switch({ count, memorySpace }: SriovSwitches): void {
    const before = this.#count;
    this.#memorySpace = memorySpace;
    this.#count = count;
    if (before !== count) {
      // Whoever still holds a member of before holds nothing from here on.
      this.#members.clear();
      this.#allocated = this.msix === undefined ? 0 : count * this.#defaultVectors;
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
    const { msix } = this;
    if (msix === undefined) return "invalid";
    const { pci } = this.#functionOf(id);
    const more = vectors - (pci.msixVectors ?? 0);
    const fits = vectors >= msix.min && vectors <= msix.max && more <= (msix.free ?? 0);
    if (!fits) return "invalid";
    const refusal = pci.setMsixVectors(vectors);
    if (refusal === undefined) this.#allocated += more;
    return refusal;
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
      { owner: this, id },
    );
    if (id !== 1 && pci.placement.identity.deviceId !== this.constants.vfDeviceId) {
      const message = "virtual functions of one owner have one device id";
      throw refuse(`makeDevice(${id}).deviceId`, message, device.deviceId);
    }
    if (this.msix !== undefined) pci.setMsixVectors(this.#defaultVectors);
    const made = { pci, device };
    this.#made.set(id, made);
    return made;
  }
}

/** What a member asks of its group. */
interface MemberParts {
  readonly defaultVectors: number | undefined;
  /** False for a member of before VF Enable was cleared. */
  readonly isThere: () => boolean;
  /** The function, when anything has looked at it. */
  readonly made: () => MadeFunction | undefined;
  /** The function, made if it has to be. */
  readonly make: () => MadeFunction;
  readonly features: () => DeviceMember;
  readonly provisionVectors: (vectors: number) => ProvisionRefusal | undefined;
}

/** A virtual function as its owner provisions it. Once VF Enable was cleared it refuses all. */
class VirtualFunctionMember implements ManagedMember {
  readonly id: number;
  readonly #parts: MemberParts;

  constructor(id: number, parts: MemberParts) {
    this.id = id;
    this.#parts = parts;
  }

  /** Made when it is asked for: whoever does is about to save or restore it. */
  get device(): SnapshotDevice | undefined {
    if (!this.#parts.isThere()) return undefined;
    const { device } = this.#parts.make();
    return isSnapshotDevice(device) ? device : undefined;
  }

  get deviceStatus(): number {
    return this.#made?.device.status ?? 0;
  }

  get msixEnabled(): boolean {
    return this.#made?.pci.msixEnabled === true;
  }

  get msixVectors(): number | undefined {
    const { defaultVectors } = this.#parts;
    return defaultVectors === undefined
      ? undefined
      : (this.#made?.pci.msixVectors ?? defaultVectors);
  }

  get defaults(): MemberDefaults {
    const { defaultVectors, features } = this.#parts;
    return {
      // Whoever asks for the vectors alone does not have the device made.
      get features(): FeatureSet {
        return features().defaults.features;
      },
      msixVectors: defaultVectors,
    };
  }

  get offeredFeatures(): FeatureSet {
    return this.#parts.features().offeredFeatures;
  }

  get settableFeatures(): FeatureSet {
    return this.#parts.features().settableFeatures;
  }

  provisionVectors(vectors: number): ProvisionRefusal | undefined {
    return this.#parts.isThere() ? this.#parts.provisionVectors(vectors) : "invalid";
  }

  provisionFeatures(features: FeatureSet): ProvisionRefusal | undefined {
    if (!this.#parts.isThere()) return "invalid";
    return this.msixEnabled ? "in use" : this.#parts.features().provisionFeatures(features);
  }

  get #made(): MadeFunction | undefined {
    return this.#parts.isThere() ? this.#parts.made() : undefined;
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
