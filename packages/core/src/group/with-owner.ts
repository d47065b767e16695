/**
 * A group that counts its owner among the members, as the dialect proposal-v5 does; virtio 1.4
 * changed that.
 */
import { isManagedGroup, type ManagedGroup, type ManagedMember } from "./managed.ts";
import type { DeviceGroup } from "./types.ts";

/**
 * The group as its members see it, its owner among them under `ownerId`. It exists as long as the
 * owner is there, also while it has no other member. A group whose owner may provision the members
 * stays one; the owner itself is a member that is read and not provisioned.
 */
export function withOwner(group: DeviceGroup, ownerId: number): DeviceGroup {
  return isManagedGroup(group)
    ? new ManagedGroupWithOwner(group, ownerId)
    : new GroupWithOwner(group, ownerId);
}

class GroupWithOwner<Group extends DeviceGroup> implements DeviceGroup {
  readonly exists: boolean = true;
  protected readonly group: Group;
  protected readonly ownerId: number;

  constructor(group: Group, ownerId: number) {
    this.group = group;
    this.ownerId = ownerId;
  }

  get type(): DeviceGroup["type"] {
    return this.group.type;
  }

  get memberCount(): number {
    return 1 + (this.group.exists ? this.group.memberCount : 0);
  }

  hasMember(id: number): boolean {
    return id === this.ownerId || (this.group.exists && this.group.hasMember(id));
  }
}

class ManagedGroupWithOwner extends GroupWithOwner<ManagedGroup> implements ManagedGroup {
  get msix(): ManagedGroup["msix"] {
    return this.group.msix;
  }

  get settableFeatures(): ManagedGroup["settableFeatures"] {
    return this.group.settableFeatures;
  }

  get owner(): ManagedMember | undefined {
    return this.group.owner;
  }

  member(id: number): ManagedMember | undefined {
    return id === this.ownerId ? this.owner : this.group.member(id);
  }

  borrow(id: number): ManagedMember | undefined {
    const { group } = this;
    if (id === this.ownerId) return this.owner;
    return group.borrow === undefined ? group.member(id) : group.borrow(id);
  }

  /** Those whose vectors and features are provisioned: the owner's are not. */
  managedMembers(): Iterable<ManagedMember> {
    return this.group.managedMembers();
  }
}
