/**
 * Members whose legacy interface their owner reaches for them ("Legacy Interfaces" of the group
 * administration commands). No transport is known here.
 */
import type { ConfigField } from "../device/config-space.ts";
import type { DeviceGroup } from "./types.ts";

/** Bytes of a member that a legacy driver reads and writes, in fields. All little-endian. */
export interface LegacyRegisters {
  /** The field that the byte at `offset` is part of, as things are now; `undefined` for none. */
  field(offset: number): ConfigField | undefined;
  /** Reads a part of one field, or all of it. */
  read(offset: number, target: Uint8Array): void;
  /** Writes a part of one field, or all of it; a field that cannot be written stays. */
  write(offset: number, source: Uint8Array): void;
}

/** A place where a write of a queue's index, 16 bits, notifies a member of that queue. */
export interface LegacyNotifyPlace {
  /** Whose BAR it is in. */
  readonly of: "owner" | "member";
  /** The BAR, 1 to 5. */
  readonly bar: number;
  /** Where in the BAR, a multiple of 2. */
  readonly offset: number;
}

/** The most places that LEGACY_NOTIFY_INFO has room for: the last entry ends the list. */
export const LEGACY_NOTIFY_PLACES_MAX = 3;

/** The legacy interface of one member. */
export interface LegacyMember {
  /** The common configuration, without the device-specific one. */
  readonly common: LegacyRegisters;
  /** The device-specific configuration. */
  readonly config: LegacyRegisters;
  /** Where it is notified, best first, at most {@link LEGACY_NOTIFY_PLACES_MAX}. */
  readonly notifyPlaces: readonly LegacyNotifyPlace[];
}

/** A group whose owner reaches the legacy interfaces of its members. */
export interface LegacyGroup extends DeviceGroup {
  /** True when the members have a legacy interface. It never changes. */
  readonly hasLegacyAccess: boolean;
  /** True when they are notified at places of their own as well. It never changes. */
  readonly hasLegacyNotify: boolean;
  /** The legacy interface of a member now; `undefined` when there is no such member, or it has none. */
  legacyMember(id: number): LegacyMember | undefined;
}

/** True for a group whose owner may reach the legacy interfaces of its members. */
export function isLegacyGroup(group: DeviceGroup): group is LegacyGroup {
  return typeof (group as Partial<LegacyGroup>).legacyMember === "function";
}
