/**
 * A group that runs in this process: an owner under its driver, and members that are whole devices,
 * each in memory of its own and under a driver of its own when one is wanted.
 */
import {
  type AdminClient,
  bringUp,
  createGuestMemory,
  DeviceMember,
  DmaArena,
  type DriverDevice,
  type DriverTransport,
  FEATURE,
  type FeatureSet,
  type LoopbackPair,
  MANAGEMENT_FAMILY,
  type ManagedGroup,
  ManagementClient,
  openAdminClient,
  PlatformGroup,
  type TraceSink,
  VirtioDevice,
  VirtioError,
} from "@virtio-admin/core";
import {
  connectOwner,
  type DependencyContainer,
  DMA,
  resolveOwner,
  resolveTransport,
} from "@virtio-admin/core/di";
import {
  loopbackBus,
  PciDevice,
  PciDriver,
  SriovDriver,
  SriovGroup,
  type SriovGroupInit,
} from "@virtio-admin/transport-pci";
import { createOwnerContainer } from "../application.ts";
import type { GroupDescription } from "./description.ts";
import { createModel, type DeviceTypeDescription } from "./device-types.ts";

/** Where the guest memory of a member begins, and how much it has. */
const MEMBER_BASE = 0x10_0000;
const MEMBER_BYTES = 0x1_0000;
const MEMBER_QUEUE_SIZE = 8;
/** Where the BARs of an owner are, and from where on those of its virtual functions. */
const OWNER_BARS_AT = 0xe000_0000;
const MEMBER_BARS_AT = 0x8000_0000;

/** A member as its own driver found it. */
export interface MemberView {
  /** How many MSI-X vectors it has: Table Size and one; absent without MSI-X. */
  readonly vectors: number | undefined;
  /** The features that it offers. */
  readonly offered: FeatureSet;
}

/** A member that its own driver uses. */
export interface MemberInUse extends MemberView {
  /** The driver lets go of it. */
  close(): Promise<void>;
}

/** One member's way to a driver of its own. */
interface MemberConnection {
  readonly transport: DriverTransport;
  readonly vectors: () => number | undefined;
}

/** What the two kinds of group differ in. */
interface Parts {
  readonly group: ManagedGroup;
  /** Makes the owner's driver half. */
  connect(owner: DependencyContainer): LoopbackPair;
  /** What the owner's driver does before there are members. */
  enable(driver: DriverDevice): Promise<void>;
  /** A driver half for a member. */
  member(id: number): MemberConnection;
  /** Whether a group has this member, as the owner's driver knows. */
  readonly hasMember: (type: number, id: number | bigint) => boolean;
  /** Undoes `enable`, and lets go of the members. */
  disable(client: AdminClient): Promise<void>;
}

/** A group that runs; {@link openGroup} makes it. */
export class RunningGroup {
  /** The identifier of its type. */
  readonly type: number;
  /** The identifiers of its members. */
  readonly members: readonly number[];
  /** The owner's management commands, which are in use. */
  readonly management: ManagementClient;
  readonly #parts: Parts;
  readonly #close: () => Promise<void>;

  /** Made by {@link openGroup}. */
  constructor(
    parts: Parts,
    members: readonly number[],
    management: ManagementClient,
    close: () => Promise<void>,
  ) {
    this.type = parts.group.type.id;
    this.members = members;
    this.management = management;
    this.#parts = parts;
    this.#close = close;
  }

  /** How many members there are now: none once virtual functions are disabled. */
  get memberCount(): number {
    return this.#parts.group.memberCount;
  }

  /** Brings a member up under its own driver, which uses it from then on. */
  async use(id: number): Promise<MemberInUse> {
    const { transport, vectors } = this.#parts.member(id);
    const driver = await bringUp(transport, { queues: [{ index: 0, size: MEMBER_QUEUE_SIZE }] });
    const offered = await transport.readFeatures();
    return { vectors: vectors(), offered, close: () => driver.close() };
  }

  /** What a member's own driver finds; it is not in use afterwards. */
  async look(id: number): Promise<MemberView> {
    const { vectors, offered, close } = await this.use(id);
    await close();
    return { vectors, offered };
  }

  /** Lets go of everything. */
  close(): Promise<void> {
    return this.#close();
  }
}

/**
 * Runs a group: the owner is brought up, there are members, nothing is provisioned yet.
 *
 * @throws VirtioError as bring-up does, or `GROUP_INVALID` for a group that cannot be
 */
export async function openGroup(
  application: DependencyContainer,
  { transport, owner, group }: GroupDescription,
  trace?: TraceSink,
): Promise<RunningGroup> {
  const parts =
    group.type === "sr-iov"
      ? sriovParts(owner, group)
      : platformParts(application, transport, owner, group);
  const container = createOwnerContainer(application, {
    model: createModel(owner),
    adminQueues: owner.adminQueues,
    groups: [parts.group],
    families: [MANAGEMENT_FAMILY],
    trace,
  });
  const pair = parts.connect(container);
  const required = group.type === "sr-iov" ? [FEATURE.VIRTIO_F_SR_IOV] : [];
  let driver: DriverDevice | undefined;
  let client: AdminClient | undefined;
  const close = async () => {
    if (client !== undefined) await parts.disable(client);
    await driver?.close();
    client?.close();
    pair.close();
    await container.dispose();
  };
  try {
    driver = await bringUp(pair.driver, {
      queues: [{ index: 0 }],
      adminQueues: owner.adminQueues,
      requiredFeatures: required,
    });
    client = openAdminClient(driver, { hasMember: parts.hasMember });
    await parts.enable(driver);
    const management = new ManagementClient(client);
    await management.use(parts.group.type.id);
    return new RunningGroup(parts, group.members, management, close);
  } catch (error) {
    await close();
    throw error;
  }
}

/** Virtual functions: the transport has them, and every driver finds its function by itself. */
function sriovParts(
  type: DeviceTypeDescription,
  { members, msix, transitional = false, settable }: GroupDescription["group"],
): Parts {
  const memories = new Map<number, DmaArena>();
  const vectors: SriovGroupInit =
    msix === undefined
      ? { totalVfs: members.length, makeDevice }
      : { totalVfs: members.length, makeDevice, msix: { ...msix, vectors: msix.default } };
  const group = new SriovGroup({ ...vectors, ...(settable === undefined ? {} : { settable }) });
  let bus: ReturnType<typeof loopbackBus> | undefined;
  let sriov: SriovDriver | undefined;

  function makeDevice(id: number): VirtioDevice {
    const made = createMember(type, transitional);
    memories.set(id, made.dma);
    return made.device;
  }

  return {
    group,
    connect: (owner) => {
      const own = loopbackBus(new PciDevice({ device: resolveOwner(owner).device, sriov: group }));
      bus = own;
      const dma = owner.resolve(DMA);
      const driver = new PciDriver({ bus: own, dma, assignBarsAt: OWNER_BARS_AT });
      return { driver, close: () => own.onInterrupt(undefined) };
    },
    enable: async ({ features }) => {
      if (bus === undefined) throw absent("owner");
      sriov = await SriovDriver.open(bus, features);
      await sriov.enable(members.length, { barsAt: MEMBER_BARS_AT });
    },
    member: (id) => {
      const pci = group.function(id);
      const dma = memories.get(id);
      if (sriov === undefined || pci === undefined || dma === undefined) throw absent(`vf[${id}]`);
      const virtualFunction = sriov.virtualFunction(id);
      const transport = new PciDriver({ bus: loopbackBus(pci), dma, virtualFunction });
      return { transport, vectors: () => transport.discovery?.msix?.vectors };
    },
    hasMember: (type, id) => sriov?.hasMember(type, id) ?? type !== group.type.id,
    disable: async (client) => sriov?.disable(client),
  };
}

/** Devices on the owner's transport: they are members because the owner's maker says so. */
function platformParts(
  application: DependencyContainer,
  transport: string,
  type: DeviceTypeDescription,
  { members, settable }: GroupDescription["group"],
): Parts {
  const plugin = resolveTransport(application, transport);
  const pairs = new Map<number, LoopbackPair>();
  const managed = members.map((id) => {
    const { device: own, dma } = createMember(type);
    // Connected first: a transport narrows what a device can offer.
    pairs.set(id, plugin.loopback(own, { dma }));
    return new DeviceMember(id, own, settable === undefined ? {} : { settable });
  });
  const group = new PlatformGroup(managed);
  return {
    group,
    connect: (owner) => connectOwner(owner, transport),
    enable: async () => undefined,
    member: (id) => {
      const pair = pairs.get(id);
      if (pair === undefined) throw absent(`members[${id}]`);
      return { transport: pair.driver, vectors: () => undefined };
    },
    hasMember: (type, id) => type !== group.type.id || group.hasMember(Number(id)),
    disable: async () => {
      for (const pair of pairs.values()) pair.close();
    },
  };
}

function createMember(
  type: DeviceTypeDescription,
  transitional = false,
): { device: VirtioDevice; dma: DmaArena } {
  const memory = createGuestMemory([{ base: MEMBER_BASE, bytes: new Uint8Array(MEMBER_BYTES) }]);
  const device = new VirtioDevice({
    memory,
    model: createModel(type, MEMBER_QUEUE_SIZE),
    transitional,
  });
  return { device, dma: new DmaArena(memory, MEMBER_BASE, MEMBER_BYTES) };
}

function absent(path: string): VirtioError {
  return new VirtioError("DRIVER_STATE", { path, message: "it is not there yet, or no more" });
}
