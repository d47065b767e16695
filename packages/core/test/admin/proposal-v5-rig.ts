/** An owner that speaks proposal-v5, its group, and commands written byte by byte. */
import { type AdminExecutor, MANAGEMENT_FAMILY } from "../../src/admin/index.ts";
import type { FeatureSet } from "../../src/device/index.ts";
import { freeVectors, type ManagedMember, SelfGroup } from "../../src/group/index.ts";
import { MsixMember, POOL, VanishingGroup } from "./management-rig.ts";
import { AdminRig, type AdminRigOptions, hex, type TestPort } from "./rig.ts";

/** The numbers of the commands. */
export const V5 = {
  IDENTIFY: 0,
  ACCEPT: 1,
  ATTRS: 2,
  COUNT_GET: 3,
  COUNT_SET: 4,
  FEATURES_GET: 5,
  FEATURES_SET: 6,
} as const;
export const SELF = 0;
export const MEMBER = 1;
export const OK: readonly [number, number] = [0, 0];
export const UNSUPPORTED: readonly [number, number] = [2, 0];
export const INVALID: readonly [number, number] = [3, 0];

/** Virtual functions whose group knows its owner. */
export class OwnedGroup extends VanishingGroup {
  readonly owner: ManagedMember;

  constructor() {
    super(
      [1, 2, 3].map((id) => new MsixMember(id, 4)),
      POOL,
    );
    const { defaults, offeredFeatures, settableFeatures } = new MsixMember(0, 7);
    const features: FeatureSet = settableFeatures.minus(settableFeatures);
    this.owner = {
      id: 0,
      deviceStatus: 0,
      msixVectors: 7,
      defaults,
      offeredFeatures,
      settableFeatures: features,
      provisionFeatures: () => "invalid",
    };
  }

  first(id: number): MsixMember {
    const found = this.all.find((member) => member.id === id);
    if (found === undefined) throw new Error(`no function ${id}`);
    return found;
  }
}

/** What one command came to. */
export interface V5Answer {
  /** status and command_specific_error. */
  readonly outcome: readonly [number, number];
  /** Everything behind the eight bytes of the header, hex. */
  readonly result: string;
  readonly used: number;
  readonly bytes: Uint8Array;
}

/** The readable part of a command. */
export function v5Request(
  command: number,
  destination: number,
  member: number | bigint = 0,
  data: Uint8Array = new Uint8Array(0),
  reserved = 0,
): Uint8Array {
  const bytes = new Uint8Array(16 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, command, true);
  view.setUint16(2, destination, true);
  view.setUint32(4, reserved, true);
  view.setBigUint64(8, BigInt(member), true);
  bytes.set(data, 16);
  return bytes;
}

/** The bitmap of these commands, in one word. */
export function bitmap(...commands: number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  let bits = 0n;
  for (const command of commands) bits |= 1n << BigInt(command);
  view.setBigUint64(0, bits, true);
  return new Uint8Array(view.buffer);
}

/** An owner of three virtual functions, over real queues. */
export class ProposalRig extends AdminRig {
  readonly group: OwnedGroup;

  constructor(options: AdminRigOptions = {}) {
    const group = new OwnedGroup();
    super({
      dialect: "proposal-v5",
      groups: [new SelfGroup(), group],
      families: [MANAGEMENT_FAMILY],
      ...options,
    });
    this.group = group;
  }

  /** Sends one command over a queue. */
  v5(
    command: number,
    destination: number,
    member: number | bigint = 0,
    data: Uint8Array = new Uint8Array(0),
    room = 64,
  ): V5Answer {
    return this.raw(v5Request(command, destination, member, data), 8 + room);
  }

  /** Sends these bytes over a queue. */
  raw(readable: Uint8Array, writableLength = 72, port: TestPort = this.port): V5Answer {
    const answer = this.send({ readable, writableLength }, port);
    if (answer === undefined) throw new Error("the device did not answer");
    const { used, bytes } = answer;
    const at = (i: number) => (i < used ? (bytes[i] ?? 0) : 0);
    return { outcome: [at(0), at(1)], result: hex(bytes.subarray(8, used)), used, bytes };
  }

  /** CAPS_ACCEPT. */
  accept(...commands: number[]): V5Answer {
    return this.v5(V5.ACCEPT, SELF, 0, bitmap(...commands));
  }

  /** Accepts the five management commands. */
  acceptAll(): void {
    const { outcome } = this.accept(2, 3, 4, 5, 6);
    if (outcome[0] !== 0) throw new Error(`CAPS_ACCEPT failed with ${outcome}`);
  }

  /** All that a command could change. */
  state(): unknown {
    return {
      admin: savedBy(this.executor),
      exists: this.group.exists,
      free: freeVectors(this.group),
      members: [this.group.owner, ...this.group.all].map((member) => ({
        id: member.id,
        status: member.deviceStatus,
        vectors: member.msixVectors,
        offered: String(member.offeredFeatures),
        settable: String(member.settableFeatures),
      })),
    };
  }
}

/** What an executor saves, as text. */
export function savedBy(executor: AdminExecutor): string {
  return JSON.stringify(executor.saveState());
}
