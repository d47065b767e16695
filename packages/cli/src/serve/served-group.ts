/** A group that is served: every device of it at a socket of its own, for whoever connects. */
import { join } from "node:path";
import { isMemberInUse, type TraceSink, VirtioError } from "@virtio-admin/core";
import type { PciDevice } from "@virtio-admin/transport-pci";
import { DmaMemory, VfioUserServer } from "@virtio-admin/vfio-user";
import type { GroupDescription } from "../group/description.ts";
import { type DeviceName, type Devices, makeDevices } from "./devices.ts";
import { socketName } from "./directory.ts";
import { provisionMembers, type Refusal } from "./provisioning.ts";
import type { MemberState } from "./recording.ts";

/** How a group is served. */
export interface ServedGroupInit {
  /** Where the sockets are. */
  readonly directory: string;
  /** True for an owner that tolerates nothing. */
  readonly strict: boolean;
  /** Where the owner's events go. */
  readonly trace?: TraceSink | undefined;
  /**
   * For how many milliseconds a device is polled after its last buffer. Not a device whose events are
   * wanted: a replay goes by its notifications.
   */
  readonly pollTime: number;
  /** A device has a driver now; `pid` is its process, where that can be told. */
  readonly connected: (name: DeviceName, pid: number | undefined) => void;
  /** It has none any more; `reason` is absent when the driver hung up. */
  readonly disconnected: (name: DeviceName, reason: string | undefined) => void;
}

/** A device at its socket. */
export interface ServedDevice {
  /** Which. */
  readonly name: DeviceName;
  /** The path of its socket. */
  readonly socket: string;
  /** Its function, reset whenever a driver is gone. */
  readonly pci: PciDevice;
}

/** A group at its sockets; {@link serveGroup} makes it. */
export interface ServedGroup {
  /** The identifier of its type. */
  readonly type: number;
  /** The owner first, then the members. */
  readonly devices: readonly ServedDevice[];
  /** What has become of the members. */
  memberStates(): Iterable<MemberState>;
  /** Hangs up on the members' drivers, then on the owner's, and takes the sockets away. */
  close(): Promise<void>;
}

/**
 * Makes the devices, provisions what is described, and serves them: the members first, so that an
 * owner that can be reached has all of them.
 *
 * @returns the group, or the step of provisioning that was refused
 * @throws VirtioError as `VfioUserServer.listen` does; nothing is left then
 */
export async function serveGroup(
  description: GroupDescription,
  init: ServedGroupInit,
): Promise<ServedGroup | Refusal> {
  const memories = new Map<DeviceName, DmaMemory>();
  const servers = new Map<DeviceName, VfioUserServer>();
  const made = makeDevices(description, {
    strict: init.strict,
    trace: init.trace,
    memoryOf: (name) => {
      const memory = new DmaMemory();
      memories.set(name, memory);
      return memory;
    },
    isPlugged: (id) => servers.get(id)?.connected === true,
  });
  const refusal = provisionMembers(made.group, description);
  if (refusal !== undefined) return refusal;
  const close = async () => {
    // In the order in which they were opened.
    for (const server of servers.values()) await server.close();
  };
  try {
    for (const [name, pci] of made.functions) {
      const server = await VfioUserServer.listen({
        path: join(init.directory, socketName(name)),
        memory: memoryOf(memories, name),
        device: () => pci,
        whenHeld: "refuse",
        pollTime: name === "owner" && init.trace !== undefined ? 0 : init.pollTime,
        onConnect: () => init.connected(name, servers.get(name)?.clientProcess),
        onDisconnect: (reason) => init.disconnected(name, reason?.message),
      });
      servers.set(name, server);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    type: made.group.type.id,
    devices: devicesOf(made, servers),
    *memberStates() {
      for (const member of made.group.managedMembers()) {
        const plugged = servers.get(member.id)?.connected === true;
        yield { member: member.id, plugged, in_use: isMemberInUse(member) };
      }
    },
    close,
  };
}

function devicesOf(
  { functions }: Devices,
  servers: ReadonlyMap<DeviceName, VfioUserServer>,
): ServedDevice[] {
  const devices = [...functions].map(([name, pci]) => ({
    name,
    socket: servers.get(name)?.path ?? "",
    pci,
  }));
  return devices.sort((a, b) => Number(b.name === "owner") - Number(a.name === "owner"));
}

function memoryOf(memories: ReadonlyMap<DeviceName, DmaMemory>, name: DeviceName): DmaMemory {
  const memory = memories.get(name);
  if (memory !== undefined) return memory;
  throw new VirtioError("TRANSPORT", { message: "the device has no memory", path: String(name) });
}
