/** An owner whose members have a legacy interface of a few bytes, over real administration queues. */
import { LEGACY_ACCESS_FAMILY } from "../../src/admin/index.ts";
import {
  type LegacyGroup,
  type LegacyMember,
  type LegacyNotifyPlace,
  type LegacyRegisters,
  SelfGroup,
  SR_IOV_GROUP,
} from "../../src/group/index.ts";
import { AdminRig, type AdminRigOptions, answerOf, hex, request } from "./rig.ts";

export const OP_LEGACY = {
  COMMON_WRITE: 2,
  COMMON_READ: 3,
  DEV_WRITE: 4,
  DEV_READ: 5,
  NOTIFY_INFO: 6,
} as const;
export const SRIOV = 1;
export const OK = [0, 0];
export const INVALID_OPCODE = [22, 2];
export const INVALID_FIELD = [22, 3];
export const INVALID_GROUP = [22, 4];
export const INVALID_MEMBER = [22, 5];

/** Fields as `[offset, width]`; there is a hole at 7, and a byte at 8. */
export const COMMON_FIELDS = [
  [0, 4],
  [4, 2],
  [6, 1],
  [8, 1],
] as const;
/** A le64, an array of 12 bytes, and a le16. */
export const CONFIG_FIELDS = [
  [0, 8],
  [8, 12],
  [20, 2],
] as const;

/** Registers that are bytes, and write down what is done to them. */
export class TestRegisters implements LegacyRegisters {
  readonly bytes: Uint8Array;
  readonly log: string[] = [];
  readonly #fields: readonly (readonly [number, number])[];

  constructor(fields: readonly (readonly [number, number])[], first: number) {
    this.#fields = fields;
    const [at, width] = fields.at(-1) ?? [0, 0];
    this.bytes = Uint8Array.from({ length: at + width }, (_, i) => first + i);
  }

  field(offset: number) {
    const found = this.#fields.find(([at, width]) => offset >= at && offset < at + width);
    return found === undefined ? undefined : { offset: found[0], width: found[1] };
  }

  read(offset: number, target: Uint8Array): void {
    this.log.push(`read ${offset} ${target.length}`);
    target.set(this.bytes.subarray(offset, offset + target.length));
  }

  write(offset: number, source: Uint8Array): void {
    this.log.push(`write ${offset} ${hex(source)}`);
    this.bytes.set(source, offset);
  }
}

export class TestMember implements LegacyMember {
  readonly common = new TestRegisters(COMMON_FIELDS, 0x10);
  readonly config = new TestRegisters(CONFIG_FIELDS, 0x40);
  notifyPlaces: readonly LegacyNotifyPlace[] = [{ of: "member", bar: 2, offset: 0x4000 }];
}

/** Members 1 to 3, of which 3 has no legacy interface. */
export class TestLegacyGroup implements LegacyGroup {
  readonly type = SR_IOV_GROUP;
  readonly memberCount = 3;
  exists = true;
  readonly hasLegacyAccess: boolean;
  readonly hasLegacyNotify: boolean;
  readonly members = [new TestMember(), new TestMember()];

  constructor(hasLegacyAccess = true, hasLegacyNotify = true) {
    this.hasLegacyAccess = hasLegacyAccess;
    this.hasLegacyNotify = hasLegacyNotify;
  }

  hasMember(id: number): boolean {
    return this.exists && id >= 1 && id <= this.memberCount;
  }

  legacyMember(id: number): TestMember | undefined {
    return this.hasMember(id) ? this.members[id - 1] : undefined;
  }
}

export interface Sent {
  readonly outcome: readonly number[];
  readonly used: number;
  readonly result: string;
}

export class LegacyAccessRig extends AdminRig {
  readonly group: TestLegacyGroup;

  constructor(group = new TestLegacyGroup(), options: AdminRigOptions = {}) {
    super({ groups: [new SelfGroup(), group], families: [LEGACY_ACCESS_FAMILY], ...options });
    this.group = group;
    this.useAll(SRIOV);
  }

  get first(): TestMember {
    return this.group.members[0]!;
  }

  /** Sends one command over the queue, with exactly this much data and room. */
  command(
    opcode: number,
    data: readonly number[],
    room: number,
    { member = 1, group = SRIOV }: { member?: number | bigint; group?: number } = {},
  ): Sent {
    const readable = request(opcode, group, member, Uint8Array.from(data));
    const answer = this.send({ readable, writableLength: 8 + room });
    if (answer === undefined) throw new Error("the device did not answer");
    const { used, bytes } = answer;
    return { outcome: answerOf(bytes), used, result: hex(bytes.subarray(8, used)) };
  }

  /** Everything that was done to any register. */
  get log(): readonly string[] {
    return this.group.members.flatMap(({ common, config }, i) => [
      ...common.log.map((line) => `${i + 1} common ${line}`),
      ...config.log.map((line) => `${i + 1} config ${line}`),
    ]);
  }
}

/** The data of a write: offset, seven reserved bytes, and what is written. */
export function writing(offset: number, ...bytes: readonly number[]): readonly number[] {
  return [offset, 0, 0, 0, 0, 0, 0, 0, ...bytes];
}
