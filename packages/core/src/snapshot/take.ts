import { type SnapshotDevice, saveHook } from "../device/saved-state.ts";
import { VirtioError } from "../errors.ts";
import { isManagedGroup, isMemberInUse, type ManagedMember } from "../group/managed.ts";
import type { DeviceGroup } from "../group/types.ts";
import {
  type GroupSnapshot,
  type GroupState,
  type MemberState,
  SNAPSHOT_VERSION,
  type SnapshotOwner,
} from "./types.ts";

/**
 * Takes a snapshot of an owner: its device, its administration commands and lists, its groups, the
 * provisioned values and devices of their members, and what the transport of every device keeps for
 * its driver, selectors, vectors and indicators for some, and VF Enable.
 *
 * It is taken between two turns of work: while no device holds a buffer and no command is under
 * way. Buffers that the driver has made available and the device has not popped are no hindrance;
 * they are used where the snapshot is restored. Nothing changes, but from here on nobody may serve
 * the queues where the snapshot was taken: the caller stops notifications first.
 *
 * Not part of it:
 * - guest memory and the driver half, which the caller moves;
 * - what a device type, a command family or a stranger's transport keeps without saving it
 *   (`StateHook`);
 * - how a transport is built, its layout, ids and BARs: of that a fingerprint is saved, and compared;
 * - interrupts that were sent: what the machine has not delivered yet, it moves itself;
 * - the devices of virtual functions that do not exist now, which are as they are made elsewhere.
 *
 * @returns a plain object of JSON values, which shares nothing with the owner
 * @throws VirtioError `SNAPSHOT_BUSY` while a device holds a buffer, naming the queue, while a
 * command is under way, or when a member is in use whose device cannot be saved; `SNAPSHOT` when
 * a `StateHook` saves what is no JSON
 */
export function takeSnapshot(owner: SnapshotOwner): GroupSnapshot {
  const { device, executor } = owner;
  const taken = new Set<SnapshotDevice>([device]);
  return {
    version: SNAPSHOT_VERSION,
    device: device.saveState("device"),
    ...(executor === undefined ? {} : { admin: executor.saveState("admin") }),
    groups: (executor?.groups ?? []).map((group, i) => saveGroup(group, taken, `groups[${i}]`)),
  };
}

function saveGroup(group: DeviceGroup, taken: Set<SnapshotDevice>, path: string): GroupState {
  const managed = isManagedGroup(group) ? [...group.managedMembers()] : [];
  return {
    type: group.type.id,
    exists: group.exists,
    ...saveHook("state", group, path),
    members: managed.map((member, i) => saveMember(member, taken, `${path}.members[${i}]`)),
  };
}

function saveMember(member: ManagedMember, taken: Set<SnapshotDevice>, path: string): MemberState {
  // Asked first: a member may come into being only when its features are asked for.
  const offeredFeatures = String(member.offeredFeatures);
  const { id, device, msixVectors } = member;
  if (device === undefined && isMemberInUse(member)) {
    throw new VirtioError("SNAPSHOT_BUSY", {
      path,
      message: `a driver uses member ${id}, and its device cannot be saved`,
      hint: "reset it first, or give the member a device that can",
    });
  }
  const isNew = device !== undefined && !taken.has(device);
  if (isNew) taken.add(device);
  return {
    id,
    offeredFeatures,
    ...(msixVectors === undefined ? {} : { msixVectors }),
    ...(isNew ? { device: device.saveState(`${path}.device`) } : {}),
  };
}
