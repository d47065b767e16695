/** Groups whose members can be stopped, and their parts read and set ("Device parts"). */
import type { PartsDevice } from "../device/parts.ts";
import type { DeviceGroup } from "./types.ts";

/** A group whose owner may stop its members, and read and set their parts. */
export interface PartsGroup extends DeviceGroup {
  /** The device of this member now; `undefined` when there is none, or it has no parts. */
  partsDevice(id: number): PartsDevice | undefined;
}

/** True for a group whose owner may stop its members, and read and set their parts. */
export function isPartsGroup(group: DeviceGroup): group is PartsGroup {
  return typeof (group as Partial<PartsGroup>).partsDevice === "function";
}
