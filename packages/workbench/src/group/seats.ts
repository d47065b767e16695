/**
 * Where the members of a group are. On PCI they are the virtual functions of the owner, and their
 * number is NumVFs; elsewhere they are devices of a platform group, which come and go one by one.
 */
import {
  type AdminClient,
  createGuestMemory,
  DeviceMember,
  DmaArena,
  type DriverDevice,
  type DriverTransport,
  FEATURE,
  type LoopbackPair,
  type ManagedGroup,
  PlatformGroup,
  VirtioDevice,
  VirtioError,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import {
  loopbackBus,
  PciDevice,
  PciDriver,
  SriovDriver,
  SriovGroup,
} from "@virtio-admin/transport-pci";
import { TRANSPORTS, type TransportName } from "../transports.ts";

/** The most members that there can be. */
export const MOST_MEMBERS = 8;
/** The MSI-X vectors of the members: enough for all at first, and not for all to have the most. */
export const VECTOR_POOL = { total: 20, min: 1, max: 8, vectors: 2 } as const;

const MEMBER_AT = 0x10_0000;
const MEMBER_BYTES = 0x1_0000;
const MEMBER_QUEUE_SIZE = 8;
const OWNER_BARS_AT = 0xe000_0000;
const MEMBER_BARS_AT = 0x8000_0000;

/** How a member's own driver gets at it. */
export interface Seat {
  /** The driver's half of the transport. */
  readonly transport: DriverTransport;
  /** How many MSI-X vectors the driver found; `undefined` where it finds none. */
  readonly vectors: () => number | undefined;
  /** The queue size that its memory has room for. */
  readonly queueSize: number;
}

/** The members, and what they need of the owner. */
export interface Seats {
  /** The group that the owner has. */
  readonly group: ManagedGroup;
  /** Features that the owner's driver cannot do without. */
  readonly requiredFeatures: readonly number[];
  /** True when only the last member can go, and the others forget what was set. */
  readonly countedTogether: boolean;
  /** Connects the owner to its driver. */
  connect(owner: VirtioDevice, dma: DmaArena): LoopbackPair;
  /** The owner's driver is up: there may be members. */
  start(driver: DriverDevice, members: number): Promise<void>;
  /** Whether a group has this member, as the owner's driver knows. */
  hasMember(group: number, member: number | bigint): boolean;
  /** Adds a member, and answers its id. */
  add(client: AdminClient): Promise<number>;
  /** Removes a member that no driver uses. */
  remove(client: AdminClient, id: number): Promise<void>;
  /** Connects a member to a driver of its own. */
  seat(id: number): Seat;
}

/** Makes the members of an owner on a transport; none is there yet. */
export function seatsOn(transport: TransportName): Seats {
  return transport === "pci" ? virtualFunctions() : platformDevices(transport);
}

function makeMember(): { readonly device: VirtioDevice; readonly dma: DmaArena } {
  const memory = createGuestMemory([{ base: MEMBER_AT, bytes: new Uint8Array(MEMBER_BYTES) }]);
  const device = new VirtioDevice({
    model: createEntropy({ queueSize: MEMBER_QUEUE_SIZE }),
    memory,
  });
  return { device, dma: new DmaArena(memory, MEMBER_AT, MEMBER_BYTES) };
}

function virtualFunctions(): Seats {
  const memories = new Map<number, DmaArena>();
  const group = new SriovGroup({
    totalVfs: MOST_MEMBERS,
    msix: VECTOR_POOL,
    makeDevice: (id) => {
      const { device, dma } = makeMember();
      memories.set(id, dma);
      return device;
    },
  });
  let bus: ReturnType<typeof loopbackBus> | undefined;
  let sriov: SriovDriver | undefined;
  const enabled = async (client: AdminClient, members: number): Promise<void> => {
    const driver = present(sriov, "owner");
    if (members < 0 || members > MOST_MEMBERS) throw outOfRange(members);
    await driver.disable(client);
    if (members > 0) await driver.enable(members, { barsAt: MEMBER_BARS_AT });
  };
  return {
    group,
    requiredFeatures: [FEATURE.VIRTIO_F_SR_IOV],
    countedTogether: true,
    connect: (device, dma) => {
      const own = loopbackBus(new PciDevice({ device, sriov: group }));
      bus = own;
      const driver = new PciDriver({ bus: own, dma, assignBarsAt: OWNER_BARS_AT });
      return { driver, close: () => own.onInterrupt(undefined) };
    },
    start: async (driver, members) => {
      // A reset of the owner's device leaves its virtual functions as they are.
      if (sriov !== undefined) return;
      sriov = await SriovDriver.open(present(bus, "owner"), driver.features);
      if (members > 0) await sriov.enable(members, { barsAt: MEMBER_BARS_AT });
    },
    hasMember: (type, id) => sriov?.hasMember(type, id) ?? type !== group.type.id,
    add: async (client) => {
      await enabled(client, group.memberCount + 1);
      return group.memberCount;
    },
    remove: async (client, id) => {
      if (id !== group.memberCount) throw outOfRange(id);
      await enabled(client, id - 1);
    },
    seat: (id) => {
      const identity = present(sriov, "owner").virtualFunction(id);
      const pci = present(group.function(id), `vf[${id}]`);
      const dma = present(memories.get(id), `vf[${id}]`);
      const transport = new PciDriver({ bus: loopbackBus(pci), dma, virtualFunction: identity });
      const vectors = () => transport.discovery?.msix?.vectors;
      return { transport, vectors, queueSize: MEMBER_QUEUE_SIZE };
    },
  };
}

function platformDevices(name: "mmio" | "ccw"): Seats {
  const plugin = TRANSPORTS[name];
  const pairs = new Map<number, LoopbackPair>();
  const group = new PlatformGroup([], { msix: VECTOR_POOL });
  const add = (): number => {
    let id = 1;
    while (group.hasMember(id)) id++;
    if (id > MOST_MEMBERS) throw outOfRange(id);
    const { device, dma } = makeMember();
    // Connected first: a transport narrows what a device can offer.
    const pair = plugin.loopback(device, { dma });
    group.add(new DeviceMember(id, device));
    pairs.set(id, pair);
    return id;
  };
  return {
    group,
    requiredFeatures: [],
    countedTogether: false,
    connect: (device, dma) => plugin.loopback(device, { dma }),
    start: async (_driver, members) => {
      while (group.memberCount < members) add();
    },
    hasMember: (type, id) => type !== group.type.id || group.hasMember(Number(id)),
    add: async () => add(),
    remove: async (_client, id) => {
      if (!group.remove(id)) throw outOfRange(id);
      pairs.get(id)?.close();
      pairs.delete(id);
    },
    seat: (id) => {
      const { driver } = present(pairs.get(id), `members[${id}]`);
      return { transport: driver, vectors: () => undefined, queueSize: MEMBER_QUEUE_SIZE };
    },
  };
}

function present<T>(value: T | undefined, path: string): T {
  if (value !== undefined) return value;
  throw new VirtioError("DRIVER_STATE", { path, message: "it is not there yet, or no more" });
}

function outOfRange(value: number): VirtioError {
  return new VirtioError("GROUP_INVALID", {
    path: "group.members",
    message: `there are 1 to ${MOST_MEMBERS} members here, and the last of virtual functions goes first`,
    value,
  });
}
