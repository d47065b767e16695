/** An owner with members that have parts, its driver half, and the bytes of their commands. */
import {
  AdminClient,
  CapabilityClient,
  CapabilityFamily,
  type CommandFamily,
  DEV_PARTS_CAP,
  DevicePartsClient,
  type DevicePartsClientOptions,
  DevicePartsFamily,
  deviceCapability,
  RESOURCE_OBJ_DEV_PARTS,
  ResourceObjectClient,
  ResourceObjectFamily,
} from "../../src/admin/index.ts";
import {
  type AdminFacility,
  type DevicePort,
  encodeParts,
  FEATURE,
  FeatureSet,
  type PartsDevice,
  STATUS,
  VirtioDevice,
} from "../../src/device/index.ts";
import { type PartsGroup, SelfGroup, SR_IOV_GROUP } from "../../src/group/index.ts";
import { createGuestMemory, DmaArena, type RegionMemory } from "../../src/memory/index.ts";
import { createDriverQueue, type DriverQueue, queueAreaSizes } from "../../src/virtqueue/index.ts";
import { HoldModel } from "../device/models.ts";
import { AdminRig, type AdminRigOptions, answerOf, hex, request, unhex } from "./rig.ts";

export const OP_PARTS = { METADATA: 0x0e, GET: 0x0f, SET: 0x10, MODE: 0x11 } as const;
const OP_CREATE = 0x0a;
const OP_CAP_SET = 0x09;

export const SELF = 0;
export const SRIOV = 1;

export const OK: readonly [number, number] = [0, 0];
export const ENXIO: readonly [number, number] = [6, 3];
export const TRY_AGAIN: readonly [number, number] = [11, 7];
export const ENOMEM: readonly [number, number] = [12, 6];
export const EBUSY: readonly [number, number] = [16, 1];
export const UNTELLABLE: readonly [number, number] = [22, 1];
export const INVALID_OPCODE: readonly [number, number] = [22, 2];
export const INVALID_FIELD: readonly [number, number] = [22, 3];
export const INVALID_GROUP: readonly [number, number] = [22, 4];
export const INVALID_MEMBER: readonly [number, number] = [22, 5];

const BASE = 0x10_0000;
const LENGTH = 0x8000;
const AREAS = ["descriptorArea", "driverArea", "deviceArea"] as const;

export interface PartsMemberInit {
  readonly model?: HoldModel;
  readonly memory?: RegionMemory;
  readonly admin?: AdminFacility;
  /** Offered besides VIRTIO_F_VERSION_1; what devices offer by default unless given. */
  readonly features?: readonly number[];
}

/** A member: a device that keeps what it pops, and what it told its driver. */
export class PartsMember {
  readonly model: HoldModel;
  readonly memory: RegionMemory;
  readonly device: VirtioDevice;
  readonly told: string[] = [];

  constructor({ model = new HoldModel(), memory, admin, features }: PartsMemberInit = {}) {
    this.model = model;
    this.memory = memory ?? createGuestMemory([{ base: BASE, bytes: new Uint8Array(LENGTH) }]);
    this.device = new VirtioDevice({
      model,
      memory: this.memory,
      ...(admin === undefined ? {} : { admin }),
      ...(features === undefined ? {} : { features }),
    });
    const port: DevicePort = {
      transport: "test",
      reservedFeatures: [],
      usedBuffers: (queue) => this.told.push(`used ${queue}`),
      configurationChange: () => this.told.push("config"),
      deviceReset() {},
    };
    this.device.connect(port);
  }

  /** Its driver brings it up with one queue, and makes buffers available in it. */
  bringUp(buffers = 0, ...bits: readonly number[]): DriverQueue {
    const { device, memory } = this;
    const arena = new DmaArena(memory, BASE, LENGTH);
    device.reset();
    const features = FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1, ...bits);
    for (let word = 0; word < 4; word++) device.writeDriverFeatures(word, features.word(word));
    device.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    device.writeStatus(device.status | STATUS.FEATURES_OK);
    const packed = bits.includes(FEATURE.VIRTIO_F_RING_PACKED);
    const sizes = queueAreaSizes(8, packed);
    const place = (area: (typeof AREAS)[number]) =>
      arena.allocate(sizes[area].length, sizes[area].alignment).address;
    const areas = {
      descriptorArea: place("descriptorArea"),
      driverArea: place("driverArea"),
      deviceArea: place("deviceArea"),
    };
    const queue = createDriverQueue({
      ...areas,
      size: 8,
      memory,
      eventIdx: false,
      indirect: false,
      packed,
    });
    for (const area of AREAS) device.setQueueAddress(0, area, 0, areas[area]);
    if (!device.enableQueue(0)) throw new Error("the queue could not be enabled");
    device.writeStatus(device.status | STATUS.DRIVER_OK);
    for (let i = 0; i < buffers; i++) {
      queue.add([arena.allocate(4, 4).address], [4], 1, 0);
      queue.publish();
    }
    device.notify(0);
    return queue;
  }
}

/** Members that are there or not all together. The last has no parts. */
export class PartsMembers implements PartsGroup {
  readonly type = SR_IOV_GROUP;
  exists = true;
  readonly memberCount: number;
  readonly all: readonly PartsMember[];

  constructor(all: readonly PartsMember[]) {
    this.all = all;
    this.memberCount = all.length + 1;
  }

  hasMember(id: number): boolean {
    return this.exists && Number.isInteger(id) && id >= 1 && id <= this.memberCount;
  }

  partsDevice(id: number): PartsDevice | undefined {
    return this.hasMember(id) ? this.all[id - 1]?.device : undefined;
  }

  /** VF Enable is cleared: as `SriovGroup` does it. */
  vanish(): void {
    this.exists = false;
    for (const { device } of this.all) {
      device.resetFunction(() => device.reset());
      device.resume();
    }
  }
}

export interface PartsRigOptions extends AdminRigOptions {
  readonly members?: readonly PartsMember[];
  /** What serves the commands; the family of the project unless given. */
  readonly family?: CommandFamily;
  /** How many objects the device allows that capture and that restore; 8 of each unless given. */
  readonly limits?: readonly [get: number, set: number];
  /** The group types whose commands are used; both unless given. */
  readonly uses?: readonly number[];
}

/** An owner of three members and one without parts; everything may be used. */
export class PartsRig extends AdminRig {
  readonly group: PartsMembers;
  readonly objects: ResourceObjectFamily;

  constructor(options: PartsRigOptions = {}) {
    const { members = [1, 2, 3].map(() => new PartsMember()), limits: [get, set] = [8, 8] } =
      options;
    const capabilities = new CapabilityFamily([
      deviceCapability(DEV_PARTS_CAP, {
        get_parts_resource_objects_limit: get,
        set_parts_resource_objects_limit: set,
      }),
    ]);
    const objects = new ResourceObjectFamily({ capabilities, types: [RESOURCE_OBJ_DEV_PARTS] });
    const group = new PartsMembers(members);
    const family = options.family ?? new DevicePartsFamily({ objects });
    super({
      groups: [new SelfGroup(), group],
      families: [capabilities, objects, family],
      ...options,
    });
    this.group = group;
    this.objects = objects;
    this.useAll(...(options.uses ?? [SELF, SRIOV]));
  }

  member(id: number): PartsMember {
    return this.group.all[id - 1]!;
  }

  /** Sends one command over a queue; `undefined` while the device has not answered. */
  ask(
    opcode: number,
    member: number | bigint,
    data: string | Uint8Array = "",
    { group = SRIOV, room = 1024, port = this.port }: AskOptions = {},
  ): Answer | undefined {
    const bytes = typeof data === "string" ? unhex(data) : data;
    const buffer = { readable: request(opcode, group, member, bytes), writableLength: 8 + room };
    const placed = this.add(buffer, port);
    port.notify();
    const answer = this.take(placed, port);
    return answer === undefined ? undefined : readAnswer(answer.bytes, answer.used);
  }

  command(
    opcode: number,
    member: number | bigint,
    data: string | Uint8Array = "",
    options: AskOptions = {},
  ): Answer {
    const answer = this.ask(opcode, member, data, options);
    if (answer === undefined) throw new Error("the device did not answer");
    return answer;
  }

  outcome(opcode: number, member: number | bigint, data: string | Uint8Array = "") {
    return this.command(opcode, member, data).outcome;
  }

  /** Creates an object that captures, id 0, and one that restores, id 1, for a member. */
  prepare(member: number): this {
    const set = this.command(OP_CAP_SET, 0, "00000000 00000000 08 08", { group: SELF });
    const answers = [GET_OBJECT, SET_OBJECT].map((header, type) =>
      this.outcome(OP_CREATE, member, `${header} 0000000000000000 0${type} 00000000000000`),
    );
    if ([set.outcome, ...answers].some(([status]) => status !== 0 && status !== 16)) {
      throw new Error(`the objects could not be created: ${answers}`);
    }
    return this;
  }

  stop(member: number) {
    return this.outcome(OP_PARTS.MODE, member, "01");
  }

  resume(member: number) {
    return this.outcome(OP_PARTS.MODE, member, "00");
  }

  /** All that a command could change of the members. */
  state(): unknown {
    return this.group.all.map(({ device, told }) => ({
      parts: hex(encodeParts(device.readParts())),
      stopped: device.stopped,
      told: [...told],
    }));
  }
}

export interface AskOptions {
  readonly group?: number;
  readonly room?: number;
  readonly port?: PartsRig["port"];
}

export interface Answer {
  readonly outcome: readonly [number, number];
  readonly result: string;
}

export function readAnswer(bytes: Uint8Array, used: number): Answer {
  return { outcome: answerOf(bytes), result: hex(bytes.subarray(8, used)) };
}

/** The headers of the objects that {@link PartsRig.prepare} creates. */
export const GET_OBJECT = "0000 0000 00000000";
export const SET_OBJECT = "0000 0000 01000000";

/** The data of DEV_PARTS_METADATA_GET and the beginning of that of DEV_PARTS_GET. */
export const asking = (type: number, object = GET_OBJECT) => `${object} 0${type} 00000000000000`;

/** The data of DEV_PARTS_SET. */
export function setting(parts: Uint8Array, object = SET_OBJECT): Uint8Array {
  return new Uint8Array([...unhex(object), ...parts]);
}

/** The driver half of everything, ready to be used. */
export async function drive(rig: PartsRig, options?: DevicePartsClientOptions) {
  const client = new AdminClient(rig.ports, rig.arena);
  const capabilities = new CapabilityClient(client);
  const objects = new ResourceObjectClient(client, capabilities);
  const parts = new DevicePartsClient(client, objects, options);
  await capabilities.use();
  const isThere = await parts.use();
  await capabilities.set(DEV_PARTS_CAP, {
    get_parts_resource_objects_limit: 8,
    set_parts_resource_objects_limit: 8,
  });
  return { client, capabilities, objects, parts, isThere };
}
