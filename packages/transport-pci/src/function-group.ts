/**
 * A group of plain functions under the SR-IOV group type: for hosts that plug members one by one,
 * into one guest or several, where an owner's SR-IOV capability is not shown to its driver. Its
 * driver sees the same group as that of a {@link SriovGroup} whose VF Enable is set, and members are
 * numbered alike; who has them plugged decides that they are there, for as long as the group is.
 */
import {
  countedPool,
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
  type ProvisionRefusal,
  type SnapshotDevice,
  SR_IOV_GROUP,
} from "@virtio-admin/core";
import { PciDevice } from "./device.ts";
import type { VectorMasking } from "./msix.ts";
import type { PciPlacement } from "./placement.ts";
import { checkNumber, type MemberDevice, poolOf, type SriovMsix } from "./sriov.ts";

/** What a {@link FunctionGroup} is made from. */
export interface FunctionGroupInit {
  /** How many members there are, 1 to 65535; they are numbered from 1. */
  readonly members: number;
  /**
   * Makes the device of a member. They are of one type, and offer the same features. When that of
   * number 1 is transitional, the owner reaches the legacy interfaces of those that are.
   */
  readonly makeDevice: (id: number) => MemberDevice;
  /** Their MSI-X vectors, or `false` for members without MSI-X. */
  readonly msix?: SriovMsix | false;
  /** Where everything else is in each of them. */
  readonly placement?: Omit<PciPlacement, "msix">;
  /** Who holds back their masked vectors: they do by default. */
  readonly vectorMasking?: VectorMasking;
  /** The features that the owner may switch; all that the members can offer by default. */
  readonly settable?: FeatureSet;
  /**
   * True while a member is plugged into a machine, which has read its Table Size then: its vectors
   * are not provisioned meanwhile, whether or not a driver uses it. Never by default.
   */
  readonly isPlugged?: (id: number) => boolean;
}

const MOST_MEMBERS = 0xffff;

/** Plain functions as the members of a group of the SR-IOV type. */
export class FunctionGroup implements ManagedGroup, PartsGroup, LegacyGroup {
  /** Always `SR_IOV_GROUP`. */
  readonly type: GroupType = SR_IOV_GROUP;
  /** Always true. */
  readonly exists: boolean = true;
  /** The pool of MSI-X vectors; absent when the members have none. */
  readonly msix: MsixPool | undefined;
  /** True when the device of member 1 is transitional. The members have no BAR 0 then. */
  readonly hasLegacyAccess: boolean;
  /** As {@link hasLegacyAccess}: there is a place in a BAR of every member. */
  readonly hasLegacyNotify: boolean;
  readonly #members: readonly FunctionMember[];
  #allocated: number;

  /**
   * Makes the group with all of its members.
   *
   * @throws VirtioError `TRANSPORT_OPTIONS` for numbers that cannot be, or a placement that
   * contradicts itself; `GROUP_INVALID` for a pool that does not serve all members' defaults.
   */
  constructor(init: FunctionGroupInit) {
    const { members: count, makeDevice, vectorMasking } = init;
    checkNumber("members", count, 1, MOST_MEMBERS);
    const example = makeDevice(1);
    const { msix = {} } = init;
    const pool = poolOf({ totalVfs: count, makeDevice, msix }, example.queueCount);
    const { table, pba } = msix === false ? {} : msix;
    const placement: PciPlacement = {
      ...init.placement,
      msix: pool !== undefined && {
        vectors: pool.max,
        ...(table === undefined ? {} : { table }),
        ...(pba === undefined ? {} : { pba }),
      },
    };
    this.hasLegacyAccess = example.legacy !== undefined;
    this.hasLegacyNotify = this.hasLegacyAccess;
    this.#allocated = count * (pool?.vectors ?? 0);
    this.msix = pool && countedPool(pool, () => this.#allocated);
    this.#members = Array.from({ length: count }, (_, i) => {
      const id = i + 1;
      const device = id === 1 ? example : makeDevice(id);
      const pci = new PciDevice({
        ...placement,
        device,
        reachedLegacy: this.hasLegacyAccess,
        ...(vectorMasking === undefined ? {} : { vectorMasking }),
      });
      if (pool !== undefined) pci.setMsixVectors(pool.vectors);
      return new FunctionMember(id, {
        device,
        pci,
        settable: init.settable,
        defaultVectors: pool?.vectors,
        isPlugged: () => init.isPlugged?.(id) === true,
        take: (more) => this.#take(more),
        fits: (vectors) => pool !== undefined && vectors >= pool.min && vectors <= pool.max,
      });
    });
  }

  /** How many members there are. */
  get memberCount(): number {
    return this.#members.length;
  }

  /** The features that can be switched; the members are alike. */
  get settableFeatures(): FeatureSet | undefined {
    return this.#members[0]?.settableFeatures;
  }

  /** True for 1 to {@link memberCount}. */
  hasMember(id: number): boolean {
    return this.#member(id) !== undefined;
  }

  /** The member of this id. */
  member(id: number): ManagedMember | undefined {
    return this.#member(id);
  }

  /** All members. */
  managedMembers(): readonly ManagedMember[] {
    return this.#members;
  }

  /** The function of a member, as whoever has it plugged calls it. */
  function(id: number): PciDevice | undefined {
    return this.#member(id)?.pci;
  }

  /** See {@link PartsGroup.partsDevice}. */
  partsDevice(id: number): PartsDevice | undefined {
    return this.#member(id)?.partsDevice;
  }

  /** See {@link LegacyGroup.legacyMember}. */
  legacyMember(id: number): LegacyMember | undefined {
    return this.function(id)?.legacy;
  }

  #member(id: number): FunctionMember | undefined {
    return Number.isInteger(id) ? this.#members[id - 1] : undefined;
  }

  /** Takes more vectors from the pool, or gives some back; false when there are too few. */
  #take(more: number): boolean {
    if (more > (this.msix?.free ?? 0)) return false;
    this.#allocated += more;
    return true;
  }
}

interface FunctionMemberParts {
  readonly device: MemberDevice;
  readonly pci: PciDevice;
  readonly settable: FeatureSet | undefined;
  readonly defaultVectors: number | undefined;
  readonly isPlugged: () => boolean;
  readonly take: (more: number) => boolean;
  readonly fits: (vectors: number) => boolean;
}

/** A plain function as its owner provisions it. */
class FunctionMember implements ManagedMember {
  readonly id: number;
  readonly pci: PciDevice;
  readonly #parts: FunctionMemberParts;
  readonly #features: DeviceMember;

  constructor(id: number, parts: FunctionMemberParts) {
    const { device, settable } = parts;
    this.id = id;
    this.pci = parts.pci;
    this.#parts = parts;
    this.#features = new DeviceMember(id, device, settable === undefined ? {} : { settable });
  }

  get device(): SnapshotDevice | undefined {
    const { device } = this.#parts;
    return isSnapshotDevice(device) ? device : undefined;
  }

  get partsDevice(): PartsDevice | undefined {
    const { device } = this.#parts;
    return isPartsDevice(device) ? device : undefined;
  }

  get deviceStatus(): number {
    return this.#parts.device.status;
  }

  get msixEnabled(): boolean {
    return this.pci.msixEnabled;
  }

  get msixVectors(): number | undefined {
    return this.pci.msixVectors;
  }

  get defaults(): MemberDefaults {
    const { features } = this.#features.defaults;
    return { features, msixVectors: this.#parts.defaultVectors };
  }

  get offeredFeatures(): FeatureSet {
    return this.#features.offeredFeatures;
  }

  get settableFeatures(): FeatureSet {
    return this.#features.settableFeatures;
  }

  provisionVectors(vectors: number): ProvisionRefusal | undefined {
    const { isPlugged, take, fits } = this.#parts;
    if (!Number.isInteger(vectors) || !fits(vectors)) return "invalid";
    if (isPlugged()) return "in use";
    const more = vectors - (this.msixVectors ?? 0);
    if (!take(more)) return "invalid";
    const refusal = this.pci.setMsixVectors(vectors);
    if (refusal !== undefined) take(-more);
    return refusal;
  }

  provisionFeatures(features: FeatureSet): ProvisionRefusal | undefined {
    return this.msixEnabled ? "in use" : this.#features.provisionFeatures(features);
  }
}
