/** The groups that are measured: members that no driver uses, and as many as there can be. */
import {
  ADMIN_COMMAND_HEADER,
  ADMIN_RESPONSE_HEADER,
  type AdminExecutor,
  accessors,
  DeviceMember,
  type DeviceModel,
  encodeOpcodeList,
  type GuestMemory,
  LIST_USE,
  PlatformGroup,
  VirtioDevice,
} from "@virtio-admin/core";
import { SriovGroup } from "@virtio-admin/transport-pci";
import { measuredRing } from "./raw-split.ts";

/** The vectors of a member that nobody has provisioned. */
export const DEFAULT_VECTORS = 2;
/** The most vectors of one member; a power of two. */
export const MOST_VECTORS = 8;

const ENTROPY_ID = 4;
const header = accessors(ADMIN_COMMAND_HEADER);
const answer = accessors(ADMIN_RESPONSE_HEADER);

/** A device type that does nothing. */
export function idleModel(): DeviceModel {
  return {
    name: "idle",
    deviceId: ENTROPY_ID,
    features: [],
    queues: [{ name: "requestq", maxSize: 8 }],
    attach: () => undefined,
    start: () => undefined,
    queueNotified: () => undefined,
    reset: () => undefined,
  };
}

/** A device that no driver uses. */
export function idleDevice(memory: GuestMemory, model: DeviceModel = idleModel()): VirtioDevice {
  return new VirtioDevice({ model, memory });
}

/** A platform group of these devices, under the ids from 1, with vectors for all that is asked. */
export function platformGroup(devices: readonly VirtioDevice[]): PlatformGroup {
  const members = devices.map((device, i) => new DeviceMember(i + 1, device));
  const total = devices.length * MOST_VECTORS;
  const msix = { total, min: 1, max: MOST_VECTORS, vectors: DEFAULT_VECTORS };
  return new PlatformGroup(members, { msix });
}

/** A platform group of so many idle devices. */
export function platformMembers(count: number): PlatformGroup {
  const { memory } = measuredRing(false);
  return platformGroup(Array.from({ length: count }, () => idleDevice(memory)));
}

/** An SR-IOV group with VF Enable set, and vectors for all that is asked. */
export function virtualFunctions(
  count: number,
  makeDevice: (id: number) => VirtioDevice,
): SriovGroup {
  const msix = { vectors: DEFAULT_VECTORS, max: MOST_VECTORS, total: count * MOST_VECTORS };
  const group = new SriovGroup({ totalVfs: count, makeDevice, msix });
  group.connect({ barAddress: () => 0 }).switched({ count, memorySpace: true });
  return group;
}

/** Puts every command of the group into its list in use, as a driver does first. */
export function useAll(executor: AdminExecutor, groupType: number): void {
  const list = encodeOpcodeList(executor.supported(groupType));
  const request = new Uint8Array(ADMIN_COMMAND_HEADER.size + list.length);
  const view = new DataView(request.buffer);
  header.opcode.set(view, 0, LIST_USE.opcode);
  header.group_type.set(view, 0, groupType);
  request.set(list, ADMIN_COMMAND_HEADER.size);
  const response = new Uint8Array(ADMIN_RESPONSE_HEADER.size);
  executor.execute(request, response);
  const status = answer.status.get(new DataView(response.buffer), 0);
  if (status !== 0) throw new Error(`LIST_USE failed: ${status}`);
}
