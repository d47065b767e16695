/** An owner whose members may be provisioned, and its administration commands over real queues. */
import { MANAGEMENT_FAMILY } from "../../src/admin/index.ts";
import {
  FEATURE,
  FeatureSet,
  type ProvisionRefusal,
  type ProvisionWatcher,
  STATUS,
  VirtioDevice,
} from "../../src/device/index.ts";
import {
  DeviceMember,
  freeVectors,
  isMemberInUse,
  type ManagedGroup,
  type ManagedMember,
  type MemberDefaults,
  type MsixPool,
  PlatformGroup,
  restoreDefaults,
  SelfGroup,
  SR_IOV_GROUP,
} from "../../src/group/index.ts";
import { createGuestMemory } from "../../src/memory/index.ts";
import { AdminRig, type AdminRigOptions, answerOf, hex, request, type TestPort } from "./rig.ts";

export const OP_MGMT = {
  ATTRS: 0x0100,
  COUNT_GET: 0x0101,
  COUNT_SET: 0x0102,
  FEATURES_GET: 0x0103,
  FEATURES_SET: 0x0104,
} as const;

export const OK: readonly [number, number] = [0, 0];
export const EBUSY: readonly [number, number] = [16, 1];
export const INVALID_FIELD: readonly [number, number] = [22, 3];
export const INVALID_GROUP: readonly [number, number] = [22, 4];
export const INVALID_MEMBER: readonly [number, number] = [22, 5];
export const NORESOURCE: readonly [number, number] = [28, 6];

const { VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX, VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET } =
  FEATURE;
/** What a member's device offers: a pair of features of which one needs the other, and bit 100. */
export const MEMBER_FEATURES = FeatureSet.of(
  0,
  1,
  100,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_VERSION_1,
  VIRTIO_F_RING_RESET,
);
export const SETTABLE = MEMBER_FEATURES.without(VIRTIO_F_VERSION_1);

/** A device that does nothing with its queue: only its status and its features matter. */
export function makeMemberDevice(): VirtioDevice {
  const device = new VirtioDevice({
    memory: createGuestMemory([{ base: 0, bytes: new Uint8Array(64) }]),
    model: {
      name: "member",
      deviceId: 4,
      features: [0, 1, 100],
      featureDependencies: [{ feature: 1, requires: 0 }],
      queues: [{ name: "requestq", maxSize: 8 }],
      attach() {},
      queueNotified() {},
      reset() {},
    },
  });
  device.connect({
    transport: "test",
    reservedFeatures: [],
    usedBuffers() {},
    configurationChange() {},
    deviceReset() {},
  });
  return device;
}

/** A member with MSI-X over a real device, as a PCI function would be one. */
export class MsixMember implements ManagedMember {
  readonly id: number;
  readonly virtio: VirtioDevice = makeMemberDevice();
  readonly #features: DeviceMember;
  readonly #defaultVectors: number;
  #msixEnabled = false;
  #msixVectors: number;
  #watcher: ProvisionWatcher | undefined;

  constructor(id: number, vectors: number) {
    this.id = id;
    this.#msixVectors = vectors;
    this.#defaultVectors = vectors;
    this.#features = new DeviceMember(id, this.virtio);
  }

  get deviceStatus(): number {
    return this.virtio.status;
  }

  get msixEnabled(): boolean {
    return this.#msixEnabled;
  }

  set msixEnabled(enabled: boolean) {
    this.#msixEnabled = enabled;
    this.#watcher?.changed(this.id, "use");
  }

  get msixVectors(): number {
    return this.#msixVectors;
  }

  /** Whatever the pool says. */
  set msixVectors(vectors: number) {
    this.#msixVectors = vectors;
    this.#watcher?.changed(this.id, "vectors");
  }

  get defaults(): MemberDefaults {
    return { ...this.#features.defaults, msixVectors: this.#defaultVectors };
  }

  get offeredFeatures(): FeatureSet {
    return this.#features.offeredFeatures;
  }

  get settableFeatures(): FeatureSet {
    return this.#features.settableFeatures;
  }

  provisionVectors(vectors: number): ProvisionRefusal | undefined {
    if (isMemberInUse(this)) return "in use";
    this.msixVectors = vectors;
    return undefined;
  }

  provisionFeatures(features: FeatureSet): ProvisionRefusal | undefined {
    return this.msixEnabled ? "in use" : this.#features.provisionFeatures(features);
  }

  watch(watcher: ProvisionWatcher | undefined): boolean {
    if (!this.#features.watch(watcher)) return false;
    this.#watcher = watcher;
    return true;
  }
}

/** A group whose members are there or not all together, as virtual functions are. */
export class VanishingGroup implements ManagedGroup {
  readonly type = SR_IOV_GROUP;
  readonly msix: MsixPool | undefined;
  exists = true;
  readonly all: readonly MsixMember[];

  constructor(all: readonly MsixMember[], msix: MsixPool | undefined) {
    this.all = all;
    this.msix = msix;
  }

  get memberCount(): number {
    return this.exists ? this.all.length : 0;
  }

  hasMember(id: number): boolean {
    return this.member(id) !== undefined;
  }

  member(id: number): MsixMember | undefined {
    return this.exists ? this.all.find((member) => member.id === id) : undefined;
  }

  managedMembers(): readonly MsixMember[] {
    return this.exists ? this.all : [];
  }

  vanish(): void {
    this.exists = false;
    for (const member of this.all) {
      member.msixEnabled = false;
      member.virtio.reset();
      if (restoreDefaults(member) !== undefined) throw new Error("a reset member is in use");
    }
  }
}

export const POOL: MsixPool = { total: 20, min: 2, max: 8 };
export const PLATFORM = 0xff00;
export const SRIOV = 1;
/** The default vectors of each member; their ids are 3, 7 and 11. */
const IDS = [3, 7, 11];
export const DEFAULT_VECTORS = 4;

/** Three members with MSI-X in a platform group, three in one that can vanish, and the commands. */
export class ManagementRig extends AdminRig {
  readonly members: readonly MsixMember[];
  readonly group: PlatformGroup;
  readonly virtual: VanishingGroup;

  constructor(options: AdminRigOptions = {}) {
    const members = IDS.map((id) => new MsixMember(id, DEFAULT_VECTORS));
    const group = new PlatformGroup(members, { msix: POOL });
    const functions = [1, 2, 3].map((id) => new MsixMember(id, DEFAULT_VECTORS));
    const virtual = new VanishingGroup(functions, POOL);
    super({
      groups: [new SelfGroup(), virtual, group],
      families: [MANAGEMENT_FAMILY],
      ...options,
    });
    this.members = members;
    this.group = group;
    this.virtual = virtual;
    this.useAll(PLATFORM, SRIOV);
  }

  get first(): MsixMember {
    return this.members[0]!;
  }

  /** Resets the owner, and lets its driver use everything again. */
  restart(): void {
    this.bringUp();
    this.useAll(PLATFORM);
    if (this.virtual.exists) this.useAll(SRIOV);
  }

  /** Sends one command over a queue; status and qualifier, and the result in hexadecimal. */
  command(
    opcode: number,
    member: number | bigint,
    data: Uint8Array = new Uint8Array(0),
    { group = PLATFORM, room = 64, port = this.port }: CommandOptions = {},
  ): CommandAnswer {
    const buffer = { readable: request(opcode, group, member, data), writableLength: 8 + room };
    const answer = this.send(buffer, port);
    if (answer === undefined) throw new Error("the device did not answer");
    const { used, bytes } = answer;
    return { outcome: answerOf(bytes), result: hex(bytes.subarray(8, used)) };
  }

  /** All that a command could change. */
  state(): unknown {
    const of = (group: ManagedGroup, members: readonly MsixMember[]) => ({
      exists: group.exists,
      free: freeVectors(group),
      used: this.executor.used(group.type.id),
      members: members.map((member) => ({
        id: member.id,
        status: member.deviceStatus,
        msixEnabled: member.msixEnabled,
        vectors: member.msixVectors,
        offered: String(member.offeredFeatures),
        read: String(member.virtio.offeredFeatures),
        settable: String(member.settableFeatures),
      })),
    });
    return [of(this.group, this.members), of(this.virtual, this.virtual.all)];
  }
}

export interface CommandOptions {
  readonly group?: number;
  readonly room?: number;
  readonly port?: TestPort;
}

export interface CommandAnswer {
  readonly outcome: readonly [number, number];
  readonly result: string;
}

/** The data of FEATURES_SET. */
export function switching(mask: FeatureSet, value: FeatureSet): Uint8Array {
  const view = new DataView(new ArrayBuffer(32));
  for (let word = 0; word < 4; word++) {
    const at = 16 * (word >> 1) + 4 * (word & 1);
    view.setUint32(at, mask.word(word), true);
    view.setUint32(at + 8, value.word(word), true);
  }
  return new Uint8Array(view.buffer);
}

/** The data of MSIX_COUNT_SET. */
export function count(vectors: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint16(0, vectors, true);
  return bytes;
}

/** A driver takes the member: ACKNOWLEDGE is set. */
export function take(member: MsixMember): void {
  member.virtio.writeStatus(STATUS.ACKNOWLEDGE);
}
