import {
  type DeviceChange,
  featuresFromHex,
  inOrder,
  prepareHook,
  refuseState,
  type SnapshotDevice,
  type StateChange,
} from "../device/saved-state.ts";
import type { ProvisionRefusal } from "../device/types.ts";
import { isVirtioError } from "../errors.ts";
import { isManagedGroup, isMemberInUse, type ManagedMember } from "../group/managed.ts";
import type { DeviceGroup } from "../group/types.ts";
import { readSnapshot } from "./read.ts";
import type { GroupSnapshot, GroupState, MemberState, SnapshotOwner } from "./types.ts";

/** A member of the target with what it is to become. */
interface Meeting {
  readonly member: ManagedMember;
  readonly saved: MemberState;
  readonly path: string;
}

/** How a snapshot is restored. */
export interface RestoreOptions {
  /**
   * Called when all is in place and no device has gone on yet: the time to set up what the
   * transport alone keeps, MSI-X for one. When it throws, everything is as before again.
   */
  readonly beforeResume?: () => void;
}

/**
 * Puts a snapshot into an owner that was built like the one it was taken of: the same device types,
 * queues, groups, members that can be provisioned, and command families. All its devices must be
 * reset, and guest memory must already hold what it held at the snapshot. The devices go on at once:
 * available buffers are used and interrupts go out before this function returns.
 *
 * The transport may be another one. What it alone keeps (see {@link takeSnapshot}) is set up by the
 * caller: what decides which members and features there are (VF Enable, the CCW revision) before
 * the call, what interrupts need in {@link RestoreOptions.beforeResume}.
 *
 * All or nothing: when it throws, owner, groups and members are as before, and no device has
 * served a buffer.
 *
 * @param snapshot what {@link takeSnapshot} or {@link decodeSnapshot} returned, or anything else,
 * which is then refused
 * @throws VirtioError `SNAPSHOT` with the path of what cannot be taken
 */
export function restoreSnapshot(
  owner: SnapshotOwner,
  snapshot: GroupSnapshot,
  options: RestoreOptions = {},
): void {
  const saved = readSnapshot(snapshot);
  const { meetings, groupChanges } = meet(owner, saved);
  const provisioning = inOrder(provision(meetings));
  run(provisioning, "groups");
  let devices: readonly DeviceChange[];
  try {
    // What a driver accepted is judged by what its device offers from now on.
    devices = prepareDevices(owner, saved, meetings);
    const admin =
      saved.admin === undefined ? undefined : owner.executor?.prepareState(saved.admin, "admin");
    const last: StateChange = { apply: () => options.beforeResume?.(), undo: () => undefined };
    const changes = [...groupChanges, ...(admin === undefined ? [] : [admin]), ...devices, last];
    run(inOrder(changes), "snapshot");
  } catch (error) {
    provisioning.undo();
    throw error;
  }
  for (const device of devices) device.resume();
}

/** Pairs what is saved with what is here, and changes nothing. */
function meet(
  { executor }: SnapshotOwner,
  saved: GroupSnapshot,
): { readonly meetings: readonly Meeting[]; readonly groupChanges: readonly StateChange[] } {
  if ((executor === undefined) !== (saved.admin === undefined)) {
    const message = "only one of snapshot and owner has administration commands";
    throw refuseState("admin", message);
  }
  const groups = executor?.groups ?? [];
  if (groups.length !== saved.groups.length) {
    const message = `the owner here has ${groups.length} groups`;
    throw refuseState("groups", message, { value: saved.groups.length });
  }
  const meetings: Meeting[] = [];
  const groupChanges: StateChange[] = [];
  saved.groups.forEach((state, i) => {
    const path = `groups[${i}]`;
    // An owner has one group of a type, so that as many different ones are all of them.
    const isSecond = saved.groups.findIndex(({ type }) => type === state.type) !== i;
    const group = groups.find(({ type }) => type.id === state.type);
    if (group === undefined || isSecond) {
      const message = "the owner here has no group of this type, or it stands here twice";
      throw refuseState(`${path}.type`, message, { value: state.type });
    }
    if (group.exists !== state.exists) {
      throw refuseState(
        `${path}.exists`,
        `the group here does${group.exists ? "" : " not"} exist`,
        {
          value: state.exists,
          hint: "set up first what the transport decides, VF Enable for one",
        },
      );
    }
    meetings.push(...meetMembers(group, state, path));
    const change = prepareHook(group, state.state, `${path}.state`);
    if (change !== undefined) groupChanges.push(change);
  });
  return { meetings, groupChanges };
}

function meetMembers(group: DeviceGroup, state: GroupState, path: string): Meeting[] {
  const here = new Map<number, ManagedMember>();
  if (isManagedGroup(group)) {
    for (const member of group.managedMembers()) here.set(member.id, member);
  }
  if (here.size !== state.members.length) {
    const message = `the group here has ${here.size} members that can be provisioned`;
    throw refuseState(`${path}.members`, message, { value: state.members.length });
  }
  return state.members.map((saved, i) => {
    const where = `${path}.members[${i}]`;
    const member = here.get(saved.id);
    here.delete(saved.id);
    if (member === undefined) {
      const message = "the group here has no such member, or it stands here twice";
      throw refuseState(`${where}.id`, message, { value: saved.id });
    }
    if (isMemberInUse(member)) {
      throw refuseState(where, "a driver uses the member here", {
        value: saved.id,
        hint: "reset it first",
      });
    }
    return { member, saved, path: where };
  });
}

/** Vectors are given back before they are handed out: both lots come out of one pool. */
function provision(meetings: readonly Meeting[]): StateChange[] {
  const back: StateChange[] = [];
  const out: StateChange[] = [];
  const features: StateChange[] = [];
  for (const { member, saved, path } of meetings) {
    const before = member.msixVectors;
    const { msixVectors } = saved;
    if ((before === undefined) !== (msixVectors === undefined)) {
      throw refuseState(`${path}.msixVectors`, "only one of the two has MSI-X");
    }
    if (before !== undefined && msixVectors !== undefined && before !== msixVectors) {
      (msixVectors < before ? back : out).push(
        settle(`${path}.msixVectors`, before, msixVectors, (n) => member.provisionVectors?.(n)),
      );
    }
    const offered = member.offeredFeatures;
    const wanted = featuresFromHex(saved.offeredFeatures);
    if (offered.equals(wanted)) continue;
    const where = `${path}.offeredFeatures`;
    features.push(settle(where, offered, wanted, (set) => member.provisionFeatures(set)));
  }
  return [...back, ...out, ...features];
}

function settle<T>(
  path: string,
  before: T,
  wanted: T,
  give: (value: T) => ProvisionRefusal | undefined,
): StateChange {
  let done = false;
  return {
    apply: () => {
      const refusal = give(wanted);
      if (refusal !== undefined) {
        const why = refusal === "in use" ? "is in use" : "cannot have this";
        throw refuseState(path, `the member here ${why}`, { value: wanted });
      }
      done = true;
    },
    undo: () => {
      if (done) give(before);
    },
  };
}

function prepareDevices(
  { device }: SnapshotOwner,
  saved: GroupSnapshot,
  meetings: readonly Meeting[],
): DeviceChange[] {
  const seen = new Set<SnapshotDevice>([device]);
  const changes = [device.prepareState(saved.device, "device")];
  for (const { member, saved: state, path } of meetings) {
    const own = member.device;
    const isNew = own !== undefined && !seen.has(own);
    if (isNew !== (state.device !== undefined)) {
      throw refuseState(`${path}.device`, "only one of snapshot and member has a device here");
    }
    if (!isNew || state.device === undefined) continue;
    seen.add(own);
    changes.push(own.prepareState(state.device, `${path}.device`));
  }
  return changes;
}

function run(change: StateChange, path: string): void {
  try {
    change.apply();
  } catch (error) {
    if (isVirtioError(error, "SNAPSHOT")) throw error;
    throw refuseState(path, "the state could not be put in place", { cause: error });
  }
}
