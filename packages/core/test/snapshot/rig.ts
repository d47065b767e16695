/** An owner, its members and their drivers' halves: built alike as often as a test wants. */
import {
  type AdminCall,
  AdminExecutor,
  AdminQueues,
  type CommandFamily,
  ConfigSpace,
  createDriverQueue,
  createGuestMemory,
  type DeviceHost,
  DeviceMember,
  type DeviceModel,
  DmaArena,
  type DriverQueue,
  FEATURE,
  FeatureSet,
  LIST_QUERY,
  LIST_USE,
  MANAGEMENT_FAMILY,
  type ManagedMember,
  type MemberDefaults,
  OUTCOME,
  PlatformGroup,
  type ProvisionRefusal,
  queueAreaSizes,
  type RegionMemory,
  RING_FEATURES,
  SelfGroup,
  STATUS,
  VirtioDevice,
} from "@virtio-admin/core";

export const BASE = 0x10_0000;
export const LENGTH = 0x1_0000;
export const QUEUE_SIZE = 8;
export const PLATFORM = 0xff00;
export const SET_COUNTER = 0x42;
export const WAIT = 0x43;

/** Fills buffers with a byte that its driver wrote to the configuration; stops when told. */
export class Filler implements DeviceModel {
  readonly name = "filler";
  readonly deviceId = 4;
  readonly features = [0, 1];
  readonly featureDependencies = [{ feature: 1, requires: 0 }];
  readonly queues = [
    { name: "firstq", maxSize: QUEUE_SIZE },
    { name: "secondq", maxSize: QUEUE_SIZE },
  ];
  readonly config = new ConfigSpace({
    bytes: Uint8Array.of(0x11, 0x22, 0x33, 0x44),
    writable: Uint8Array.of(0, 0, 0xff, 0x0f),
  });
  /** How it serves: at once, without publishing, by holding what it pops, or not at all. */
  mode: "serve" | "no publish" | "hold" | "nothing" = "serve";
  served = 0;
  starts = 0;
  host!: DeviceHost;

  attach(host: DeviceHost): void {
    this.host = host;
  }

  start(): void {
    this.starts++;
  }

  queueNotified(index: number): void {
    const queue = this.host.queue(index);
    if (queue === undefined || this.mode === "nothing") return;
    const fill = new Uint8Array(1);
    this.config.read(2, fill);
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      if (this.mode === "hold") return;
      const bytes = new Uint8Array(chain.writableLength).fill(fill[0]!);
      queue.push(chain, queue.write(chain, 0, bytes));
      this.served++;
    }
    if (this.mode === "serve") this.host.publish(index);
  }

  reset(): void {
    this.served = 0;
  }

  save(): unknown {
    return { served: this.served };
  }

  restore(value: unknown): () => void {
    const served = (value as { served?: unknown }).served;
    if (typeof served !== "number") throw new Error("no number of served buffers");
    return () => {
      this.served = served;
    };
  }
}

/** A family with a number that the driver sets, and a command that waits. */
export class CounterFamily implements CommandFamily {
  readonly name = "counter";
  readonly doc = "A number, for tests.";
  readonly private = true;
  readonly commands = [SET_COUNTER, WAIT].map((opcode) => ({
    opcode,
    name: opcode === WAIT ? "WAIT" : "SET_COUNTER",
    groups: "any" as const,
    usesMember: false,
    data: { min: 4, max: 4 },
    result: { min: 0, max: 0 },
    clauses: [],
    doc: "For tests.",
    cite: "this project",
  }));
  counter = 0;
  answer: (() => void) | undefined;

  bind() {
    return {
      handlers: {
        [SET_COUNTER]: ({ data }: AdminCall) => {
          this.counter = data.getUint32(0, true);
          return OUTCOME.OK;
        },
        [WAIT]: () =>
          new Promise<number>((resolve) => {
            this.answer = () => resolve(OUTCOME.OK);
          }),
      },
      reset: () => {
        this.counter = 0;
      },
      save: () => this.counter,
      restore: (value: unknown) => {
        if (!Number.isInteger(value)) throw new Error("the counter is an integer");
        return () => {
          this.counter = value as number;
        };
      },
    };
  }
}

/** A member with MSI-X over a real device. */
export class VectorMember implements ManagedMember {
  readonly id: number;
  readonly device: VirtioDevice;
  msixVectors: number = 4;
  readonly #features: DeviceMember;

  constructor(id: number, device: VirtioDevice) {
    this.id = id;
    this.device = device;
    this.#features = new DeviceMember(id, device);
  }

  get deviceStatus(): number {
    return this.device.status;
  }

  get defaults(): MemberDefaults {
    return { ...this.#features.defaults, msixVectors: 4 };
  }

  get offeredFeatures(): FeatureSet {
    return this.#features.offeredFeatures;
  }

  get settableFeatures(): FeatureSet {
    return this.#features.settableFeatures;
  }

  provisionVectors(vectors: number): ProvisionRefusal | undefined {
    if (this.deviceStatus !== 0) return "in use";
    if (pool(this) - this.msixVectors + vectors > 12) return "invalid";
    this.msixVectors = vectors;
    return undefined;
  }

  provisionFeatures(features: FeatureSet): ProvisionRefusal | undefined {
    return this.#features.provisionFeatures(features);
  }

  /** The members it shares vectors with. */
  peers: readonly VectorMember[] = [this];
}

function pool({ peers }: VectorMember): number {
  return peers.reduce((sum, { msixVectors }) => sum + msixVectors, 0);
}

export interface HalfOptions {
  readonly transport?: string;
  /** Guest memory of another rig, to go on with. */
  readonly memory?: RegionMemory;
  readonly trace?: boolean;
  /** All devices offer VIRTIO_F_RING_PACKED. */
  readonly packed?: boolean;
  /** All devices offer VIRTIO_F_IN_ORDER. */
  readonly inOrder?: boolean;
}

/** The device half of an owner with three members, and no driver. */
export class DeviceSide {
  readonly memory: RegionMemory;
  readonly family = new CounterFamily();
  readonly model = new Filler();
  readonly models: readonly Filler[];
  readonly members: readonly VectorMember[];
  readonly group: PlatformGroup;
  readonly executor: AdminExecutor;
  readonly device: VirtioDevice;
  /** Interrupts, in order. */
  readonly interrupts: string[] = [];
  /** A register of the transport, saved by transports named `saving`. */
  register = 0;

  constructor(options: HalfOptions = {}) {
    const { transport = "test", memory, trace = false, packed = false, inOrder = false } = options;
    this.memory = memory ?? createGuestMemory([{ base: BASE, bytes: new Uint8Array(LENGTH) }]);
    const more = {
      ...(trace ? { trace: { emit: () => undefined } } : {}),
      features: [
        ...RING_FEATURES,
        ...(packed ? [FEATURE.VIRTIO_F_RING_PACKED] : []),
        ...(inOrder ? [FEATURE.VIRTIO_F_IN_ORDER] : []),
      ],
    };
    const connect = (device: VirtioDevice, name: string) => {
      device.connect({
        transport,
        reservedFeatures: [],
        usedBuffers: (queue) => this.interrupts.push(`${name} used ${queue}`),
        configurationChange: () => this.interrupts.push(`${name} config`),
        deviceReset() {},
        ...(transport === "saving"
          ? {
              save: () => this.register,
              restore: (value: unknown) => {
                if (typeof value !== "number") throw new Error("no register");
                return () => {
                  this.register = value;
                };
              },
            }
          : {}),
      });
      return device;
    };
    this.models = [3, 7].map(() => new Filler());
    this.members = this.models.map((model, i) => {
      const device = new VirtioDevice({ model, memory: this.memory, ...more });
      return new VectorMember([3, 7][i]!, connect(device, `member ${[3, 7][i]}`));
    });
    for (const member of this.members) member.peers = this.members;
    this.group = new PlatformGroup(this.members, { msix: { total: 12, min: 1, max: 8 } });
    this.group.add(20);
    this.executor = new AdminExecutor({
      groups: [new SelfGroup(), this.group],
      families: [MANAGEMENT_FAMILY, this.family],
    });
    const admin = new AdminQueues({ executor: this.executor, maxSize: QUEUE_SIZE });
    this.device = connect(
      new VirtioDevice({ model: this.model, memory: this.memory, admin, ...more }),
      "owner",
    );
  }

  /** All that a restore could change, as far as it can be seen from outside. */
  seen(): unknown {
    const of = (device: VirtioDevice) => ({
      status: device.status,
      offered: String(device.offeredFeatures),
      driver: String(device.driverFeatures),
      generation: device.configGeneration,
      config: [...readConfig(device)],
      queues: [0, 1, 2].map((i) => [
        device.queueSize(i),
        device.queueEnabled(i),
        ...(["descriptorArea", "driverArea", "deviceArea"] as const).map((area) => [
          device.queueAddress(i, area, 0),
          device.queueAddress(i, area, 1),
        ]),
      ]),
    });
    return {
      owner: of(this.device),
      members: this.members.map(({ device, msixVectors }) => [of(device), msixVectors]),
      ids: this.group.members,
      used: [0, PLATFORM].map((type) => this.executor.used(type)),
      counter: this.family.counter,
      served: [this.model, ...this.models].map(({ served, starts }) => [served, starts]),
      register: this.register,
      interrupts: [...this.interrupts],
    };
  }
}

export function readConfig(device: VirtioDevice): Uint8Array {
  const bytes = new Uint8Array(device.configLength);
  device.readConfig(0, bytes);
  return bytes;
}

/** The driver half of one queue, over whatever device half stands behind the memory now. */
export class DriverSide {
  readonly queue: DriverQueue;
  readonly index: number;
  readonly #memory: RegionMemory;
  readonly #arena: DmaArena;

  constructor(
    device: VirtioDevice,
    index: number,
    arena: DmaArena,
    { eventIdx = false, indirect = false, packed = false, inOrder = false } = {},
  ) {
    this.index = index;
    this.#arena = arena;
    this.#memory = arena.memory as RegionMemory;
    const sizes = queueAreaSizes(QUEUE_SIZE, packed);
    const areas = {
      descriptorArea: arena.allocate(sizes.descriptorArea.length, 16).address,
      driverArea: arena.allocate(sizes.driverArea.length, 4).address,
      deviceArea: arena.allocate(sizes.deviceArea.length, 4).address,
    };
    const memory = this.#memory;
    this.queue = createDriverQueue({
      ...areas,
      size: QUEUE_SIZE,
      memory,
      eventIdx,
      indirect,
      packed,
      inOrder,
    });
    device.setQueueSize(index, QUEUE_SIZE);
    for (const area of ["descriptorArea", "driverArea", "deviceArea"] as const) {
      device.setQueueAddress(index, area, 0, areas[area]);
      device.setQueueAddress(index, area, 1, 0);
    }
    if (!device.enableQueue(index)) throw new Error("the queue could not be enabled");
  }

  /** Makes one buffer available, without a notification; returns where its writable part is. */
  offer(readable: Uint8Array, writable: number): number {
    const block = this.#arena.allocate(readable.length + writable, 8);
    this.#memory.write(block.address, readable);
    const addresses = [block.address, block.address + readable.length];
    const lengths = [readable.length, writable];
    const first = readable.length === 0 ? 1 : 0;
    const id = this.queue.add(addresses.slice(first), lengths.slice(first), 2 - first, 1 - first);
    if (id < 0) throw new Error("no room");
    this.queue.publish();
    return block.address + readable.length;
  }

  read(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#memory.read(address, bytes);
    return bytes;
  }

  /** Takes back everything that was used; how many buffers that were. */
  reap(): number {
    let count = 0;
    while (this.queue.reap() >= 0) count++;
    return count;
  }
}

/** Negotiates these features, up to and with FEATURES_OK. */
export function negotiate(device: VirtioDevice, ...bits: readonly number[]): void {
  const features = FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1, ...bits);
  for (let word = 0; word < 4; word++) device.writeDriverFeatures(word, features.word(word));
  device.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
  device.writeStatus(device.status | STATUS.FEATURES_OK);
  if ((device.status & STATUS.FEATURES_OK) === 0) throw new Error("the features are refused");
}

export function setDriverOk(device: VirtioDevice): void {
  device.writeStatus(device.status | STATUS.DRIVER_OK);
}

/** An administration command as its buffer's readable part. */
export function command(opcode: number, group: number, member = 0, data = new Uint8Array(0)) {
  const bytes = new Uint8Array(24 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, opcode, true);
  view.setUint16(2, group, true);
  view.setUint32(16, member, true);
  bytes.set(data, 24);
  return bytes;
}

/** LIST_USE for these opcodes. */
export function useList(group: number, opcodes: readonly number[]): Uint8Array {
  const data = new Uint8Array(40);
  for (const opcode of opcodes) data[opcode >> 3]! |= 1 << (opcode & 7);
  return command(LIST_USE.opcode, group, 0, data);
}

export const listQuery = (group: number) => command(LIST_QUERY.opcode, group);

/** An owner in the middle of its work: lists settled, a member provisioned, another at work. */
export function busyOwner(options: HalfOptions = {}, features: readonly number[] = []) {
  const packed = features.includes(FEATURE.VIRTIO_F_RING_PACKED);
  const inOrder = features.includes(FEATURE.VIRTIO_F_IN_ORDER);
  const side = new DeviceSide({ packed, inOrder, ...options });
  const arena = new DmaArena(side.memory, BASE, LENGTH);
  const { device, family, members } = side;
  const rings = {
    eventIdx: features.includes(FEATURE.VIRTIO_F_EVENT_IDX),
    indirect: features.includes(FEATURE.VIRTIO_F_INDIRECT_DESC),
    packed,
    inOrder,
  };
  negotiate(device, FEATURE.VIRTIO_F_ADMIN_VQ, ...features);
  const first = new DriverSide(device, 0, arena, rings);
  const admin = new DriverSide(device, 2, arena, rings);
  setDriverOk(device);
  const send = (request: Uint8Array, room = 16): Uint8Array => {
    const at = admin.offer(request, 8 + room);
    device.notify(2);
    if (admin.reap() !== 1) throw new Error("the command was not answered");
    return admin.read(at, 8 + room);
  };
  send(listQuery(PLATFORM));
  send(useList(PLATFORM, [0, 1, SET_COUNTER, WAIT, 0x100, 0x101, 0x102, 0x103, 0x104]), 0);
  send(command(SET_COUNTER, PLATFORM, 0, Uint8Array.of(0x2a, 0, 0, 0)), 0);
  send(command(0x102, PLATFORM, 3, Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0)), 0);
  send(command(0x102, PLATFORM, 7, Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0)), 0);
  members[0]!.provisionFeatures(members[0]!.offeredFeatures.without(1));
  negotiate(members[0]!.device, 0);
  const memberQueue = new DriverSide(members[0]!.device, 1, arena);
  setDriverOk(members[0]!.device);
  members[0]!.device.writeConfig(2, Uint8Array.of(0x77, 0x0f));
  device.writeConfig(2, Uint8Array.of(0x5a));
  first.offer(new Uint8Array(0), 16);
  device.notify(0);
  first.reap();
  return { side, arena, first, admin, memberQueue, send, family };
}
