/**
 * A device group that runs in this process: an owner under its driver, members that are whole
 * devices, and for each a driver of its own when one is wanted. Nothing here knows of a page.
 */
import {
  AdminClient,
  AdminCommandError,
  AdminExecutor,
  type AdminQueuePort,
  AdminQueues,
  bringUp,
  createGuestMemory,
  DmaArena,
  type DriverDevice,
  type DriverTransport,
  FeatureSet,
  type LoopbackPair,
  MANAGEMENT_FAMILY,
  ManagementClient,
  type MsixPool,
  type RegionMemory,
  SELF_GROUP,
  SelfGroup,
  type TraceSink,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import type { TransportName } from "../transports.ts";
import { type Seats, seatsOn } from "./seats.ts";

const OWNER_AT = 0x10_0000;
const OWNER_BYTES = 1 << 20;
const ADMIN_QUEUES = 1;

/** What came of something that was asked for: `OK`, or why not. */
export type Outcome = string;

/** How a bench is made. */
export interface BenchInit {
  /** The transport of the owner and its members. */
  readonly transport: TransportName;
  /** How many members there are at first. */
  readonly members: number;
  /** Where the owner's events go. */
  readonly trace?: TraceSink;
  /** What stands between the owner's driver and its transport. */
  readonly watchTransport?: (transport: DriverTransport) => DriverTransport;
  /** What stands between the client and an administration virtqueue. */
  readonly watchPort?: (port: AdminQueuePort) => AdminQueuePort;
}

/** A device as it stands. */
export interface DeviceView {
  /** The device status byte. */
  readonly status: number;
  /** What it offers. */
  readonly offered: FeatureSet;
}

/** The owner as it stands. */
export interface OwnerView extends DeviceView {
  /** Where its driver stands. */
  readonly driver: string;
  /** The features in force; empty without a driver. */
  readonly negotiated: FeatureSet;
  /** Where the administration virtqueues are, as the driver read it. */
  readonly adminQueues: string;
  /** The vectors of the group, and how many no member has. */
  readonly pool: Pick<MsixPool, "total" | "min" | "max"> & { readonly free: number };
  /** The opcodes in use for the group. */
  readonly opcodes: readonly number[];
}

/** A member as it stands. */
export interface MemberView extends DeviceView {
  /** Its id. */
  readonly id: number;
  /** What the owner may switch. */
  readonly settable: FeatureSet;
  /** How many MSI-X vectors it has. */
  readonly vectors: number;
  /** Where its own driver stands: `none` where there is none. */
  readonly driver: string;
  /** The features that its driver has in force. */
  readonly negotiated: FeatureSet;
  /** How many vectors its driver found; `undefined` where it finds no MSI-X. */
  readonly found: number | undefined;
}

interface Driven {
  readonly driver: DriverDevice;
  readonly found: number | undefined;
}

/** An owner and its members. */
export class Bench {
  /** The transport. */
  readonly transport: TransportName;
  /** The guest memory of the owner. */
  readonly memory: RegionMemory;
  readonly #device: VirtioDevice;
  readonly #seats: Seats;
  readonly #dma: DmaArena;
  readonly #pair: LoopbackPair;
  readonly #init: BenchInit;
  readonly #driven = new Map<number, Driven>();
  #driver: DriverDevice | undefined;
  #client: AdminClient | undefined;
  #management: ManagementClient | undefined;

  private constructor(init: BenchInit) {
    const { transport, trace } = init;
    this.transport = transport;
    this.#init = init;
    this.#seats = seatsOn(transport);
    this.memory = createGuestMemory([{ base: OWNER_AT, bytes: new Uint8Array(OWNER_BYTES) }]);
    this.#dma = new DmaArena(this.memory, OWNER_AT, OWNER_BYTES);
    const traced = trace === undefined ? {} : { trace };
    const executor = new AdminExecutor({
      groups: [new SelfGroup(), this.#seats.group],
      families: [MANAGEMENT_FAMILY],
      ...traced,
    });
    this.#device = new VirtioDevice({
      model: createEntropy(),
      memory: this.memory,
      admin: new AdminQueues({ executor, count: ADMIN_QUEUES }),
      ...traced,
    });
    this.#pair = this.#seats.connect(this.#device, this.#dma);
  }

  /**
   * Makes an owner, brings it up, and uses every command that it reports.
   *
   * @throws VirtioError as bring-up does
   */
  static async open(init: BenchInit): Promise<Bench> {
    const bench = new Bench(init);
    await bench.#start();
    return bench;
  }

  /** The type of the group. */
  get groupType(): number {
    return this.#seats.group.type.id;
  }

  /** The name of the group's type. */
  get groupName(): string {
    return this.#seats.group.type.name;
  }

  /** See {@link Seats.countedTogether}. */
  get countedTogether(): boolean {
    return this.#seats.countedTogether;
  }

  /** The ids of the members. */
  get members(): readonly number[] {
    return [...this.#seats.group.managedMembers()].map(({ id }) => id).sort((a, b) => a - b);
  }

  /** The client of the owner's driver. */
  get client(): AdminClient {
    if (this.#client === undefined) throw new Error("the owner has no driver");
    return this.#client;
  }

  /** The typed management commands over {@link client}. */
  get management(): ManagementClient {
    if (this.#management === undefined) throw new Error("the owner has no driver");
    return this.#management;
  }

  /** The owner as it stands. */
  owner(): OwnerView {
    const { msix } = this.#seats.group;
    const place = this.#driver?.admin;
    return {
      status: this.#device.status,
      offered: this.#device.defaultFeatures,
      driver: this.#driver?.state ?? "none",
      negotiated: this.#driver?.features ?? FeatureSet.EMPTY,
      adminQueues:
        place === undefined ? "not read" : `${place.index}, ${place.count} queue; ${place.source}`,
      pool: {
        total: msix?.total ?? 0,
        min: msix?.min ?? 0,
        max: msix?.max ?? 0,
        free: msix?.free ?? 0,
      },
      opcodes: this.#client?.usedOpcodes(this.groupType) ?? [],
    };
  }

  /** A member as it stands; `undefined` for one that is not there. */
  member(id: number): MemberView | undefined {
    const member = this.#seats.group.member(id);
    if (member === undefined) return undefined;
    const driven = this.#driven.get(id);
    return {
      id,
      status: member.deviceStatus,
      offered: member.offeredFeatures,
      settable: member.settableFeatures,
      vectors: member.msixVectors ?? 0,
      driver: driven?.driver.state ?? "none",
      negotiated: driven?.driver.features ?? FeatureSet.EMPTY,
      found: driven?.found,
    };
  }

  /** Adds a member. On PCI, all of them start anew. */
  add(): Promise<Outcome> {
    return attempt(async () => {
      if (this.countedTogether) await this.#letGo();
      await this.#seats.add(this.client);
      await this.#useGroup();
    });
  }

  /** Removes a member, its driver first. On PCI, the last one can go, and the others start anew. */
  remove(id: number): Promise<Outcome> {
    return attempt(async () => {
      if (this.countedTogether) await this.#letGo();
      else await this.#letGo(id);
      await this.#seats.remove(this.client, id);
    });
  }

  /** MSIX_COUNT_SET. */
  setVectors(id: number, vectors: number): Promise<Outcome> {
    return attempt(() => this.management.setMsixCount(this.groupType, id, vectors));
  }

  /** FEATURES_SET of one feature. */
  setFeature(id: number, bit: number, on: boolean): Promise<Outcome> {
    const mask = FeatureSet.of(bit);
    const value = on ? mask : FeatureSet.EMPTY;
    return attempt(() => this.management.setFeatures(this.groupType, id, mask, value));
  }

  /** Brings a member up under a driver of its own. */
  use(id: number): Promise<Outcome> {
    return attempt(async () => {
      if (this.#driven.has(id)) return;
      const { transport, vectors, queueSize } = this.#seats.seat(id);
      const driver = await bringUp(transport, { queues: [{ index: 0, size: queueSize }] });
      this.#driven.set(id, { driver, found: vectors() });
    });
  }

  /** A member's driver resets it, and lets go of it. */
  reset(id: number): Promise<Outcome> {
    return attempt(() => this.#letGo(id));
  }

  /** The owner's driver resets it, and brings it up again. Members keep what was set. */
  resetOwner(): Promise<Outcome> {
    return attempt(async () => {
      await this.#stop();
      await this.#start();
    });
  }

  /** Lets go of everything. */
  async close(): Promise<void> {
    await this.#letGo();
    await this.#stop();
    this.#pair.close();
  }

  async #start(): Promise<void> {
    const { watchTransport, watchPort = (port) => port, members } = this.#init;
    const transport = watchTransport?.(this.#pair.driver) ?? this.#pair.driver;
    const driver = await bringUp(transport, {
      queues: [{ index: 0 }],
      adminQueues: ADMIN_QUEUES,
      requiredFeatures: this.#seats.requiredFeatures,
    });
    this.#driver = driver;
    const client = new AdminClient(driver.adminQueues.map(watchPort), this.#dma, {
      hasMember: (group, member) => this.#seats.hasMember(group, member),
    });
    this.#client = client;
    await this.#seats.start(driver, members);
    this.#management = new ManagementClient(client);
    await client.useReported(SELF_GROUP.id);
    await this.#useGroup();
  }

  /** Virtual functions are no group while there are none: its commands are settled once there is one. */
  async #useGroup(): Promise<void> {
    const { exists } = this.#seats.group;
    if (!exists || this.client.reportedOpcodes(this.groupType) !== undefined) return;
    await this.client.useReported(this.groupType);
  }

  async #stop(): Promise<void> {
    await this.#driver?.close();
    this.#client?.close();
    this.#driver = undefined;
    this.#client = undefined;
    this.#management = undefined;
  }

  async #letGo(id?: number): Promise<void> {
    for (const [each, { driver }] of [...this.#driven]) {
      if (id !== undefined && each !== id) continue;
      this.#driven.delete(each);
      await driver.close();
    }
  }
}

async function attempt(run: () => Promise<unknown>): Promise<Outcome> {
  try {
    await run();
    return "OK";
  } catch (error) {
    if (error instanceof AdminCommandError) return `${error.statusName}, ${error.qualifierName}`;
    return error instanceof Error ? error.message : String(error);
  }
}
