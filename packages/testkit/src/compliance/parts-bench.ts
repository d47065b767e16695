/** Members that have device parts on a {@link DeviceBench}, and commands written byte by byte. */
import {
  CapabilityFamily,
  createGuestMemory,
  DEV_PARTS_CAP,
  type DevicePart,
  DevicePartsFamily,
  DmaArena,
  decodeParts,
  deviceCapability,
  encodeParts,
  FEATURE,
  FeatureSet,
  type PartsDevice,
  type PartsGroup,
  RESOURCE_OBJ_DEV_PARTS,
  ResourceObjectFamily,
  SELF_GROUP,
  SR_IOV_GROUP,
  VirtioDevice,
} from "@virtio-admin/core";
import {
  addCommand,
  decodeAnswer,
  expectAnswer,
  type HandAnswer,
  sendCommand,
  useOpcodes,
  WIRE,
} from "./admin-bench.ts";
import type { ComplianceContext } from "./context.ts";
import {
  type BenchQueue,
  type DeviceBench,
  FEATURES_OK_STATUS,
  RUNNING_STATUS,
} from "./device-bench.ts";
import { expectEqual } from "./expect.ts";
import { concat, HandRing } from "./hand-ring.ts";
import { CAP, le32, OBJ } from "./object-bench.ts";
import { PROBE_QUEUE_SIZES, ProbeModel } from "./probe-model.ts";

/** The opcodes of the device parts commands. */
export const PARTS = { metadata: 0x0e, get: 0x0f, set: 0x10, mode: 0x11 } as const;
/** The ids of the objects that the bench creates for each member. */
export const PARTS_OBJECT = { get: 0, set: 1 } as const;

const SR_IOV = SR_IOV_GROUP.id;
const MEMORY_BASE = 0x7000_0000;
const MEMORY_BYTES = 0x1_0000;
const LIMIT = 8;
const ROOM = 2048;
const AREAS = ["descriptorArea", "driverArea", "deviceArea"] as const;

/** A member: a probe in memory that all members share, and what it told its driver. */
export class ProbeMember {
  /** Its device type. */
  readonly model: ProbeModel = new ProbeModel();
  /** Its device core. */
  readonly device: VirtioDevice;
  /** What its driver was told, in order. */
  readonly told: string[] = [];
  readonly #dma: DmaArena;

  /** Makes a member whose driver takes its memory from `dma`. */
  constructor(dma: DmaArena) {
    this.#dma = dma;
    this.device = new VirtioDevice({ model: this.model, memory: dma.memory });
    this.device.connect({
      transport: "kit",
      reservedFeatures: [],
      usedBuffers: (queue) => this.told.push(`used ${queue}`),
      configurationChange: () => this.told.push("configuration"),
      deviceReset: () => {},
    });
  }

  /** Brings it up with its first queue, which a case drives by hand. */
  bringUp(): HandRing {
    const { device } = this;
    device.reset();
    const features = FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1);
    for (let word = 0; word < 4; word++) device.writeDriverFeatures(word, features.word(word));
    device.writeStatus(FEATURES_OK_STATUS);
    const ring = new HandRing(this.#dma, PROBE_QUEUE_SIZES[0] ?? 1);
    for (const area of AREAS) device.setQueueAddress(0, area, 0, ring.areas[area]);
    device.enableQueue(0);
    device.writeStatus(RUNNING_STATUS);
    expectEqual("the status of the member", device.status, RUNNING_STATUS);
    return ring;
  }
}

/** The members of the kit's SR-IOV group, of which there are three. */
export class ProbeMembers implements PartsGroup {
  /** Always `SR_IOV_GROUP`. */
  readonly type: PartsGroup["type"] = SR_IOV_GROUP;
  /** Always true. */
  readonly exists: boolean = true;
  /** Always 3. */
  readonly memberCount: number = 3;
  /** The bytes that the members share. */
  readonly bytes: Uint8Array = new Uint8Array(MEMORY_BYTES);
  /** The members, that with id 1 first. */
  readonly all: readonly ProbeMember[];

  constructor() {
    const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: this.bytes }]);
    const dma = new DmaArena(memory, MEMORY_BASE, MEMORY_BYTES);
    this.all = Array.from({ length: this.memberCount }, () => new ProbeMember(dma));
  }

  hasMember(id: number): boolean {
    return this.all[id - 1] !== undefined;
  }

  partsDevice(id: number): PartsDevice | undefined {
    return this.all[id - 1]?.device;
  }
}

/** An owner with the kit's members; commands are sent to it through one queue. */
export class PartsBench {
  /** The owner. */
  readonly bench: DeviceBench;
  /** The members. */
  readonly members: ProbeMembers;
  readonly #queue: BenchQueue;

  /** Sends through `queue`. */
  constructor(bench: DeviceBench, members: ProbeMembers, queue: BenchQueue) {
    this.bench = bench;
    this.members = members;
    this.#queue = queue;
  }

  /** The member of this id. */
  member(id: number): ProbeMember {
    const member = this.members.all[id - 1];
    if (member === undefined) throw new Error(`there is no member ${id}`);
    return member;
  }

  /** Sends one command for a member. */
  send(opcode: number, member: number, data: Uint8Array, room: number = ROOM): Promise<HandAnswer> {
    return sendCommand(this.bench, this.#queue, { opcode, group: SR_IOV, member, data, room });
  }

  /** Sends one command that may not be answered; what looks for the answer. */
  begin(opcode: number, member: number, data: Uint8Array): () => HandAnswer | undefined {
    const buffer = addCommand(this.#queue, { opcode, group: SR_IOV, member, data });
    this.#queue.doorbell.ring();
    return () => {
      const [used] = this.#queue.ring.takeUsed();
      return used === undefined ? undefined : decodeAnswer(buffer, used.length);
    };
  }

  /** Stops a member, or lets it go on. */
  mode(member: number, flags: number): Promise<HandAnswer> {
    return this.send(PARTS.mode, member, Uint8Array.of(flags));
  }

  /** Stops a member, which has to succeed. */
  async stop(member: number): Promise<void> {
    expectAnswer("DEV_MODE_SET to stop", await this.mode(member, 1), WIRE.ok, 0);
  }

  /** Lets a member go on, which has to succeed. */
  async resume(member: number): Promise<void> {
    expectAnswer("DEV_MODE_SET to resume", await this.mode(member, 0), WIRE.ok, 0);
  }

  /** Asks for all parts of a member, or those that these headers name. */
  get(member: number, headers?: Uint8Array, room?: number): Promise<HandAnswer> {
    const type = headers === undefined ? 1 : 0;
    const head = concat([le32(0, PARTS_OBJECT.get), le32(type, 0)]);
    return this.send(PARTS.get, member, concat([head, headers ?? new Uint8Array(0)]), room);
  }

  /** All parts of a member. */
  async parts(member: number): Promise<readonly DevicePart[]> {
    const answer = await this.get(member);
    expectAnswer("DEV_PARTS_GET", answer, WIRE.ok, 0);
    return decodeParts(answer.result);
  }

  /** Asks for metadata: 0 the size, 1 the number, 2 the headers. */
  metadata(member: number, type: number, room?: number): Promise<HandAnswer> {
    const data = concat([le32(0, PARTS_OBJECT.get), le32(type, 0)]);
    return this.send(PARTS.metadata, member, data, room);
  }

  /** Sets parts of a member. */
  set(member: number, parts: readonly DevicePart[]): Promise<HandAnswer> {
    return this.send(PARTS.set, member, concat([le32(0, PARTS_OBJECT.set), encodeParts(parts)]));
  }
}

/**
 * A device that runs with one administration virtqueue and members that have parts, their lists
 * settled and their objects created.
 */
export async function partsOwnerOf(context: ComplianceContext): Promise<PartsBench> {
  needsParts(context);
  const limits = {
    get_parts_resource_objects_limit: LIMIT,
    set_parts_resource_objects_limit: LIMIT,
  };
  const capabilities = new CapabilityFamily([deviceCapability(DEV_PARTS_CAP, limits)]);
  const objects = new ResourceObjectFamily({ capabilities, types: [RESOURCE_OBJ_DEV_PARTS] });
  const members = new ProbeMembers();
  const bench = await context.device({
    families: [capabilities, objects, new DevicePartsFamily({ objects })],
    groups: [members],
  });
  const queue = await bench.runWith(PROBE_QUEUE_SIZES.length);
  await useOpcodes(bench, queue, Object.values(CAP), SELF_GROUP.id);
  await useOpcodes(bench, queue, [...Object.values(OBJ), ...Object.values(PARTS)], SR_IOV);
  const set = { opcode: CAP.set, data: concat([le32(0, 0), Uint8Array.of(LIMIT, LIMIT)]) };
  expectAnswer("DRIVER_CAP_SET", await sendCommand(bench, queue, set), WIRE.ok, 0);
  const owner = new PartsBench(bench, members, queue);
  for (let member = 1; member <= members.memberCount; member++) {
    for (const [type, id] of [PARTS_OBJECT.get, PARTS_OBJECT.set].entries()) {
      const answer = await owner.send(OBJ.create, member, le32(0, id, 0, 0, type, 0));
      expectAnswer("RESOURCE_OBJ_CREATE", answer, WIRE.ok, 0);
    }
  }
  return owner;
}

/** Skips a case about device parts where no owner has an SR-IOV group. */
export function needsParts(context: ComplianceContext): void {
  context.needsAdminQueues();
  const { groupTypes, name } = context.transport;
  if (!groupTypes.includes(SR_IOV_GROUP.name)) {
    context.skip(`device parts are for SR-IOV groups, and ${name} has none`);
  }
}
