/**
 * The devices of a group as `serve` makes them: an owner with every command family that its group
 * can have, and members that are plain functions, each in memory of its own. Nothing is connected
 * yet; a replay makes the same owner.
 */
import {
  AdminExecutor,
  AdminQueues,
  CapabilityFamily,
  type CommandFamily,
  DEV_PARTS_CAP,
  DeviceMember,
  type DeviceModel,
  DevicePartsFamily,
  deviceCapability,
  type GuestMemory,
  LEGACY_ACCESS_FAMILY,
  MANAGEMENT_FAMILY,
  type ManagedGroup,
  PlatformGroup,
  RESOURCE_OBJ_DEV_PARTS,
  ResourceObjectFamily,
  SelfGroup,
  STRICT,
  TOLERANT,
  type TraceSink,
  VirtioDevice,
} from "@virtio-admin/core";
import { FunctionGroup, PciDevice } from "@virtio-admin/transport-pci";
import type { GroupDescription } from "../group/description.ts";
import { createModel } from "../group/device-types.ts";

/** Who or what a device is: the owner, or the member of an id. */
export type DeviceName = "owner" | number;

/** How devices are made. */
export interface DevicesInit {
  /** The memory of each. */
  readonly memoryOf: (name: DeviceName) => GuestMemory;
  /** True for an owner that tolerates nothing. */
  readonly strict: boolean;
  /** The owner's device type; as described unless given. */
  readonly ownerModel?: DeviceModel;
  /** Where the owner's events go. */
  readonly trace?: TraceSink | undefined;
  /** True while a member is plugged into a machine. Never unless given. */
  readonly isPlugged?: (id: number) => boolean;
}

/** The devices of a group. */
export interface Devices {
  /** The group. */
  readonly group: ManagedGroup;
  /** Every device. */
  readonly devices: ReadonlyMap<DeviceName, VirtioDevice>;
  /** The function of each device, the members in their order and the owner last. */
  readonly functions: ReadonlyMap<DeviceName, PciDevice>;
}

/** The masks are the business of the VMM at the other end of a socket. */
const VECTOR_MASKING = "vmm";
/** What a limit of the capability for device parts has room for. */
const MOST_PARTS_OBJECTS = 255;

/**
 * Makes the devices of a group on PCI.
 *
 * @throws VirtioError `GROUP_INVALID` or `TRANSPORT_OPTIONS` for a group that cannot be
 */
export function makeDevices(description: GroupDescription, init: DevicesInit): Devices {
  const { owner, group: described } = description;
  const devices = new Map<DeviceName, VirtioDevice>();
  const makeMember = (id: number): VirtioDevice => {
    const device = new VirtioDevice({
      model: createModel(owner),
      memory: init.memoryOf(id),
      transitional: described.transitional === true,
    });
    devices.set(id, device);
    return device;
  };
  const { group, functions } =
    described.type === "sr-iov"
      ? functionGroup(described, makeMember, init)
      : platformGroup(described, makeMember);
  const executor = new AdminExecutor({
    groups: [new SelfGroup(), group],
    families: familiesOf(described.members.length),
    tolerances: init.strict ? STRICT : TOLERANT,
    trace: init.trace,
  });
  const device = new VirtioDevice({
    model: init.ownerModel ?? createModel(owner),
    memory: init.memoryOf("owner"),
    admin: new AdminQueues({ executor, count: owner.adminQueues }),
    ...(init.trace === undefined ? {} : { trace: init.trace }),
  });
  devices.set("owner", device);
  functions.set("owner", new PciDevice({ device, vectorMasking: VECTOR_MASKING }));
  return { group, devices, functions };
}

/** Every family that is shipped: what a group cannot have, they do not list. */
function familiesOf(members: number): readonly CommandFamily[] {
  const limit = Math.min(members, MOST_PARTS_OBJECTS);
  const capabilities = new CapabilityFamily([
    deviceCapability(DEV_PARTS_CAP, {
      get_parts_resource_objects_limit: limit,
      set_parts_resource_objects_limit: limit,
    }),
  ]);
  const objects = new ResourceObjectFamily({ capabilities, types: [RESOURCE_OBJ_DEV_PARTS] });
  const parts = new DevicePartsFamily({ objects });
  return [LEGACY_ACCESS_FAMILY, capabilities, objects, parts, MANAGEMENT_FAMILY];
}

interface Members {
  readonly group: ManagedGroup;
  readonly functions: Map<DeviceName, PciDevice>;
}

type Described = GroupDescription["group"];

/** Members by number, which owner and members' own guests cannot tell from virtual functions. */
function functionGroup(
  { members, msix, settable }: Described,
  makeDevice: (id: number) => VirtioDevice,
  { isPlugged }: DevicesInit,
): Members {
  const group = new FunctionGroup({
    members: members.length,
    makeDevice,
    vectorMasking: VECTOR_MASKING,
    ...(msix === undefined ? {} : { msix: { ...msix, vectors: msix.default } }),
    ...(settable === undefined ? {} : { settable }),
    ...(isPlugged === undefined ? {} : { isPlugged }),
  });
  const functions = new Map<DeviceName, PciDevice>();
  for (const id of members) {
    const pci = group.function(id);
    if (pci !== undefined) functions.set(id, pci);
  }
  return { group, functions };
}

function platformGroup(
  { members, settable }: Described,
  makeDevice: (id: number) => VirtioDevice,
): Members {
  const functions = new Map<DeviceName, PciDevice>();
  const managed = members.map((id) => {
    const device = makeDevice(id);
    functions.set(id, new PciDevice({ device, vectorMasking: VECTOR_MASKING }));
    return new DeviceMember(id, device, settable === undefined ? {} : { settable });
  });
  return { group: new PlatformGroup(managed), functions };
}
