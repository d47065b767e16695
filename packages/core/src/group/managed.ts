/**
 * Members that their owner may provision: how many MSI-X vectors they have, which features they
 * offer. Private to this project, as the management commands are; no transport is known here.
 */
import type { FeatureSet } from "../device/features.ts";
import type { SnapshotDevice } from "../device/saved-state.ts";
import type { ProvisionRefusal, ProvisionWatcher } from "../device/types.ts";
import type { DeviceGroup } from "./types.ts";

/** The most MSI-X vectors that one function can have: Table Size has 11 bits and is one less. */
export const MSIX_VECTOR_LIMIT = 2048;

/** What a member is when nobody has provisioned it. */
export interface MemberDefaults {
  /** The features it offers. */
  readonly features: FeatureSet;
  /** How many MSI-X vectors it has; absent where it has no MSI-X. */
  readonly msixVectors?: number | undefined;
}

/**
 * A member as its owner sees it.
 *
 * What is provisioned survives every reset of the member and of its owner. The `provision…`
 * methods check and change in one synchronous step: when they refuse, nothing changed. Refusals
 * are `"in use"` while {@link deviceStatus} is not 0 or {@link msixEnabled} is true, and
 * `"invalid"` for values that the member cannot have.
 */
export interface ManagedMember {
  /** Its identifier in the group, 0..2^53-1. */
  readonly id: number;
  /** Its device status byte; 0 when no driver uses it. */
  readonly deviceStatus: number;
  /** True while its MSI-X Enable is set; false or absent where it has no MSI-X. */
  readonly msixEnabled?: boolean | undefined;
  /** How many MSI-X vectors it has now, 1..2048; absent where it has no MSI-X. */
  readonly msixVectors?: number | undefined;
  /** Its device, as a snapshot of the group saves and restores it; absent when it can do neither. */
  readonly device?: SnapshotDevice | undefined;
  /** What it goes back to, see {@link restoreDefaults}. */
  readonly defaults: MemberDefaults;
  /** The features that its own driver is offered on the next bring-up. */
  readonly offeredFeatures: FeatureSet;
  /** The features that its owner may switch on and off; VIRTIO_F_VERSION_1 never counts as one. */
  readonly settableFeatures: FeatureSet;
  /**
   * Gives it this many MSI-X vectors, 1..2048; Table Size then reads one less. Absent where it has
   * no MSI-X.
   */
  provisionVectors?(vectors: number): ProvisionRefusal | undefined;
  /**
   * Makes it offer exactly these features. `"invalid"` when a feature changes that is not
   * settable, or one would be offered without another that it requires.
   */
  provisionFeatures(features: FeatureSet): ProvisionRefusal | undefined;
  /**
   * Called by the group that the member is added to: from now on it tells `watcher` of every change
   * that is a `ProvisionAspect`, under its {@link id}; `undefined` ends it. A group keeps count of
   * members that tell, and finds them quickly however many there are. One that cannot tell of all
   * its changes has no such method: it is looked at each time.
   *
   * @returns false when it tells somebody else already, and nothing changed
   */
  watch?(watcher: ProvisionWatcher | undefined): boolean;
}

/** The MSI-X vectors that the members of a group share. */
export interface MsixPool {
  /** How many there are for all members together, those that are allocated included; le32. */
  readonly total: number;
  /** The fewest that one member can have, 1..max. */
  readonly min: number;
  /** The most that one member can have, min..2048. */
  readonly max: number;
  /** How many of them no member has, where the group keeps count; else {@link freeVectors} counts. */
  readonly free?: number | undefined;
}

/** The pool of a group that keeps count: it is asked how many are allocated whenever `free` is read. */
export function countedPool({ total, min, max }: MsixPool, allocated: () => number): MsixPool {
  return Object.freeze({
    total,
    min,
    max,
    get free(): number {
      return total - allocated();
    },
  });
}

/** A group whose owner may provision the members. */
export interface ManagedGroup extends DeviceGroup {
  /**
   * The MSI-X vectors of the members; absent for a group whose members have no MSI-X. Whether it
   * is there never changes.
   */
  readonly msix?: MsixPool | undefined;
  /**
   * The features that can be switched on some member, where the group knows them without a look at
   * every member.
   */
  readonly settableFeatures?: FeatureSet | undefined;
  /**
   * What the group knows of its owner, for a dialect that counts the owner among the members. It is
   * read, and never provisioned.
   */
  readonly owner?: ManagedMember | undefined;
  /**
   * The member of this id now; `undefined` when there is none, or it cannot be provisioned. The same
   * object each time as long as the member is there, and another once it was gone in between.
   */
  member(id: number): ManagedMember | undefined;
  /**
   * The same as {@link member} for whoever is done with it before anything else is asked of the
   * group: a command is. It may be one object for all members, which does not have to look for the
   * member itself. Absent: {@link member} serves.
   */
  borrow?(id: number): ManagedMember | undefined;
  /** The members that there are now and that can be provisioned. */
  managedMembers(): Iterable<ManagedMember>;
}

/** True for a group whose owner may provision the members. */
export function isManagedGroup(group: DeviceGroup): group is ManagedGroup {
  const { member, managedMembers } = group as Partial<ManagedGroup>;
  return typeof member === "function" && typeof managedMembers === "function";
}

/** True while a driver uses the member, so that nothing about it may be provisioned. */
export function isMemberInUse(member: ManagedMember): boolean {
  return member.deviceStatus !== 0 || member.msixEnabled === true;
}

/**
 * How many MSI-X vectors of the group's pool no member has; 0 for a group without MSI-X. Unless the
 * group keeps count, it is counted from the members, which takes longer the more there are.
 */
export function freeVectors(group: ManagedGroup): number {
  if (group.msix === undefined) return 0;
  let { free } = group.msix;
  if (free === undefined) {
    free = group.msix.total;
    for (const member of group.managedMembers()) free -= member.msixVectors ?? 0;
  }
  return Math.max(0, free);
}

/**
 * Returns a member to its defaults. A group does it when its members vanish (SR-IOV: when VF
 * Enable is cleared), after it has reset them.
 *
 * @returns `undefined` when it is done; `"in use"` when the member was not reset
 */
export function restoreDefaults(member: ManagedMember): ProvisionRefusal | undefined {
  const { features, msixVectors } = member.defaults;
  if (isMemberInUse(member)) return "in use";
  const refusal = member.provisionFeatures(features);
  if (refusal !== undefined || msixVectors === undefined) return refusal;
  return member.provisionVectors?.(msixVectors);
}
