/**
 * Device groups: an owner controls members of one kind, each with an identifier that is unique in
 * the group (section "Device groups").
 */

import type { StateHook } from "../device/saved-state.ts";

/** A kind of group: what its members are and how they are identified. */
export interface GroupType {
  /** The group type identifier on the wire, 0..0xffff. */
  readonly id: number;
  /** Its name: `Self`, `SR-IOV`. */
  readonly name: string;
  /** True for a type that is this project's own and in no ratified text. */
  readonly private: boolean;
  /** The transports whose devices can be owner and members; `any` for transport-neutral types. */
  readonly transports: readonly string[] | "any";
  /** The section that defines it. */
  readonly cite: string;
}

/**
 * One group: a type and, implicitly, its owner. An owner has at most one group of a type. What is
 * to be in a snapshot besides the members that can be provisioned, the group saves itself.
 */
export interface DeviceGroup extends StateHook {
  /** What kind of group it is. */
  readonly type: GroupType;
  /** False while the group does not exist (SR-IOV: VF Enable clear). */
  readonly exists: boolean;
  /** How many members there are now. */
  readonly memberCount: number;
  /** True when this identifier names a member now. Identifiers above 2^53-1 never do. */
  hasMember(id: number): boolean;
}
