import {
  type DeviceChange,
  type DeviceState,
  featuresFromHex,
  prepareHook,
  refuseState,
  type SnapshotDevice,
  type StateChange,
  undoAll,
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

/** The device of a member with the state that it is to take. */
interface MemberTarget {
  readonly device: SnapshotDevice;
  readonly state: DeviceState;
  readonly path: string;
}

/** How a snapshot is restored. */
export interface RestoreOptions {
  /**
   * Called when all is in place and no device has gone on yet: the time to set up what another
   * transport needs that saved nothing for this one. When it throws, everything is as before again.
   */
  readonly beforeResume?: () => void;
}

/**
 * Puts a snapshot into an owner that was built like the one it was taken of: the same device types,
 * queues, groups, members that can be provisioned, and command families. All its devices must be
 * reset, and guest memory must already hold what it held at the snapshot. The devices go on at once:
 * available buffers are used and interrupts go out before this function returns.
 *
 * On a transport of the same name, built alike, drivers go on and notice nothing: its registers come
 * back first, and with them the members that they make. An SR-IOV group of the target either does not
 * exist or has as many members already.
 *
 * The transport of a device may be another one. What a driver had set in the one before means nothing
 * to it, and is set up by the caller: what decides which members there are (VF Enable) before the
 * call, what interrupts need in {@link RestoreOptions.beforeResume}. A device that was stopped when the
 * snapshot was taken comes back stopped: then there is time for that until its `resume`.
 *
 * All or nothing: when it throws, owner, groups and members are as before, nobody was told of
 * anything, and no device has served a buffer.
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
  const done: StateChange[] = [];
  let devices: readonly DeviceChange[];
  try {
    devices = putInPlace(owner, saved, (change) => {
      done.push(change);
      change.apply();
    });
    options.beforeResume?.();
  } catch (error) {
    undoAll(done);
    if (isVirtioError(error, "SNAPSHOT")) throw error;
    throw refuseState("snapshot", "the state could not be put in place", { cause: error });
  }
  for (const device of devices) device.settle();
  // The owner goes on last: commands that wait in its queues find its members as they were.
  const [first, ...members] = devices;
  for (const member of members) member.resume();
  first?.resume();
}

/** Makes one change after the other; `make` remembers each, to undo them when one fails. */
function putInPlace(
  owner: SnapshotOwner,
  saved: GroupSnapshot,
  make: (change: StateChange) => void,
): DeviceChange[] {
  const { executor } = owner;
  if ((executor === undefined) !== (saved.admin === undefined)) {
    const message = "only one of snapshot and owner has administration commands";
    throw refuseState("admin", message);
  }
  // The registers of the owner's transport decide which members there are.
  make(owner.device.preparePort(saved.device, "device"));
  const meetings = meet(executor?.groups ?? [], saved.groups);
  const members = memberDevices(owner.device, meetings);
  // Provisioning changes what a transport keeps: once it is undone, that is put back as it was.
  const ports = members.map(({ device, state, path }) => device.preparePort(state, path));
  make({ apply: () => undefined, undo: () => undoAll(ports) });
  for (const change of provision(meetings)) make(change);
  // What a driver set there must fit what its member has from now on.
  for (const { device, state, path } of members) make(device.preparePort(state, path));
  // And what it accepted is judged by what its device offers from now on.
  const all = [{ device: owner.device, state: saved.device, path: "device" }, ...members];
  const changes = all.map(({ device, state, path }) => device.prepareState(state, path));
  const admin = saved.admin && executor?.prepareState(saved.admin, "admin");
  const groups = saved.groups.map(({ type, state }, i) =>
    prepareHook({
      hook: executor?.groups.find((group) => group.type.id === type),
      value: state,
      path: `groups[${i}].state`,
    }),
  );
  for (const change of [...groups, admin, ...changes]) if (change !== undefined) make(change);
  return changes;
}

/** Pairs the members that are saved with those that are here, and changes nothing. */
function meet(groups: readonly DeviceGroup[], saved: readonly GroupState[]): Meeting[] {
  if (groups.length !== saved.length) {
    const message = `the owner here has ${groups.length} groups`;
    throw refuseState("groups", message, { value: saved.length });
  }
  return saved.flatMap((state, i) => {
    const path = `groups[${i}]`;
    // An owner has one group of a type, so that as many different ones are all of them.
    const isSecond = saved.findIndex(({ type }) => type === state.type) !== i;
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
    return meetMembers(group, state, path);
  });
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

/** The devices of members: one that is a member of several groups, or the owner, only once. */
function memberDevices(owner: SnapshotDevice, meetings: readonly Meeting[]): MemberTarget[] {
  const seen = new Set<SnapshotDevice>([owner]);
  return meetings.flatMap(({ member, saved: { device: state }, path }) => {
    const { device } = member;
    const isNew = device !== undefined && !seen.has(device);
    if (isNew !== (state !== undefined)) {
      throw refuseState(`${path}.device`, "only one of snapshot and member has a device here");
    }
    if (!isNew || state === undefined) return [];
    seen.add(device);
    return { device, state, path: `${path}.device` };
  });
}
