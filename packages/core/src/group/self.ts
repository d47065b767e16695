import type { DeviceGroup, GroupType } from "./types.ts";

/** The Self group type: an owner and nobody else ("Device groups"). */
export const SELF_GROUP: GroupType = {
  id: 0x0000,
  name: "Self",
  private: false,
  transports: "any",
  cite: "Basic Facilities of a Virtio Device / Device groups",
};

/** The identifier of the only member of a Self group: the owner itself. */
export const SELF_MEMBER_ID = 0;

/** The Self group of an owner: one member, under id 0, as long as the owner is there. */
export class SelfGroup implements DeviceGroup {
  /** Always {@link SELF_GROUP}. */
  readonly type: GroupType = SELF_GROUP;
  /** Always true. */
  readonly exists: boolean = true;
  /** Always 1. */
  readonly memberCount: number = 1;

  /** True for id 0 alone. */
  hasMember(id: number): boolean {
    return id === SELF_MEMBER_ID;
  }
}
