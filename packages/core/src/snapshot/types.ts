/** What a snapshot of a device group is. */
import type { AdminState } from "../admin/saved-state.ts";
import type { DeviceState, SnapshotDevice, StateChange } from "../device/saved-state.ts";
import type { DeviceGroup } from "../group/types.ts";

/**
 * The version of the form of a snapshot. Version 1 said nothing of what transports keep: a driver
 * could not have gone on unaware, and such a snapshot is refused.
 */
export const SNAPSHOT_VERSION = 2;

/** What administration commands add to a snapshot; an `AdminExecutor` is one. */
export interface SnapshotAdmin {
  /** The owner's groups. */
  readonly groups: readonly DeviceGroup[];
  /**
   * The command lists and the state of the families.
   *
   * @param path what to call them in errors
   * @throws VirtioError `SNAPSHOT_BUSY` while a command is under way
   */
  saveState(path?: string): AdminState;
  /**
   * Checks whether a state of the right form can be taken, and changes nothing.
   *
   * @param path what to call the state in errors
   * @throws VirtioError `SNAPSHOT` when it cannot
   */
  prepareState(state: AdminState, path?: string): StateChange;
}

/** An owner with its groups, as far as a snapshot is concerned. */
export interface SnapshotOwner {
  /** Its device. */
  readonly device: SnapshotDevice;
  /** What carries its administration commands out, and knows its groups; absent when nothing does. */
  readonly executor?: SnapshotAdmin | undefined;
}

/** A member that its owner may provision. */
export interface MemberState {
  /** Its identifier in the group. */
  readonly id: number;
  /** The features it offers as provisioned, as one hexadecimal number. */
  readonly offeredFeatures: string;
  /** How many MSI-X vectors it has, where it has MSI-X. */
  readonly msixVectors?: number;
  /**
   * Its device. A device that is a member of several groups, or the owner itself, stands where it
   * comes first.
   */
  readonly device?: DeviceState;
}

/** One group of the owner. */
export interface GroupState {
  /** The identifier of the group type. */
  readonly type: number;
  /** Whether the group exists. */
  readonly exists: boolean;
  /** What the group itself saved: the ids of all members, for a platform group. */
  readonly state?: unknown;
  /** The members that the owner may provision. */
  readonly members: readonly MemberState[];
}

/** An owner, its administration commands and its groups at one moment, as JSON. */
export interface GroupSnapshot {
  /** {@link SNAPSHOT_VERSION}. */
  readonly version: typeof SNAPSHOT_VERSION;
  /** The owner's device. */
  readonly device: DeviceState;
  /** The administration commands; absent for an owner without. */
  readonly admin?: AdminState;
  /** Every group, the Self group included. */
  readonly groups: readonly GroupState[];
}
