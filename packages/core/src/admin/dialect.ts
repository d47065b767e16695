/**
 * How a command's header is laid out on the wire. Hot path: codecs are functions of a view and an
 * offset; neighbouring 16-bit fields go in one 32-bit access.
 */
import { SELF_GROUP } from "../group/self.ts";
import { SR_IOV_GROUP } from "../group/sr-iov.ts";
import type { AnyStructLayout } from "../layout/index.ts";
import { LIST_QUERY, LIST_USE } from "./commands/list.ts";
import { MANAGEMENT_COMMANDS } from "./commands/management-layout.ts";
import type { DialectName } from "./dialect-name.ts";
import { ADMIN_COMMAND_HEADER, ADMIN_RESPONSE_HEADER } from "./layout.ts";
import { ADMIN_STATUS, type AdminOutcome, qualifierOf, statusOf } from "./status.ts";
import type { AdminCommand } from "./types.ts";

/** The most bytes of data, or of result, that one command has; far above any command there is. */
export const LONGEST_PART = 2 ** 24;

/** A decoded command header. */
export interface CommandHeader {
  /** The opcode. */
  opcode: number;
  /** The group type. */
  groupType: number;
  /** The member id; infinite when it is above 2^53-1, where no member is. */
  memberId: number;
}

/** A value of a field, and what it stands for. */
export interface NamedValue {
  /** The value on the wire. */
  readonly value: number;
  /** Its name. */
  readonly name: string;
}

/** What there is to know about a dialect: declarations, from which tables and reports derive. */
export interface DialectDescription {
  /** Its name, as options, snapshots and reports have it. */
  readonly name: DialectName;
  /** What people are shown: the name, and for a reconstruction that it is one. */
  readonly label: string;
  /** True when its bytes are this project's reconstruction, and in no text that was ever published. */
  readonly reconstruction: boolean;
  /** What it is, in one sentence. */
  readonly doc: string;
  /** The structure that the device reads: a header, and the command's data at its end. */
  readonly command: AnyStructLayout;
  /** The structure that the device writes: a header, and the command's result at its end. */
  readonly answer: AnyStructLayout;
  /** Whom the field behind the opcode can name: group types, or kinds of destination. */
  readonly destinations: readonly NamedValue[];
  /** The values of status. */
  readonly statuses: readonly NamedValue[];
  /** The command that asks which commands there are. */
  readonly listQuery: AdminCommand;
  /** The command that settles which of them the driver uses. */
  readonly listUse: AdminCommand;
  /** True when there is one list for all destinations, which never takes the list commands away. */
  readonly oneList: boolean;
  /**
   * True when a command that is not legal is reported as such whomever it addresses; otherwise
   * the destination is looked at first.
   */
  readonly commandFirst: boolean;
  /** The management commands by their numbers in this dialect, in the order of those. */
  readonly management: readonly AdminCommand[];
  /** The id under which an owner is a member of its own group; `undefined` where it is none. */
  readonly ownerMemberId: number | undefined;
  /** The most administration virtqueues that a device has. */
  readonly mostQueues: number;
  /** What the two status fields of an answer read for an outcome. */
  answerOf(result: AdminOutcome): AnswerFields;
}

/** The two fields that say how a command ended. */
export interface AnswerFields {
  /** `status`. */
  readonly status: number;
  /** The field behind it: `status_qualifier`, or `command_specific_error`. */
  readonly detail: number;
}

/** One wire format of administration commands. */
export interface Dialect extends DialectDescription {
  /** The length of the readable header in bytes. */
  readonly commandHeaderLength: number;
  /** The length of the writable header in bytes. */
  readonly responseHeaderLength: number;
  /** Reads the header that starts at `at`. */
  decodeCommand(view: DataView, at: number, header: CommandHeader): void;
  /**
   * Writes the fields of the header that starts at `at`; the member id comes as two halves. The
   * reserved bytes are left as they are: the memory is zero when it is allocated.
   */
  encodeCommand(
    view: DataView,
    at: number,
    opcode: number,
    groupType: number,
    memberLow: number,
    memberHigh: number,
  ): void;
  /** Writes the response header that starts at `at`. */
  encodeOutcome(view: DataView, at: number, result: AdminOutcome): void;
  /** Reads the outcome of the response header at `at`, taking bytes beyond `length` as zero. */
  decodeOutcome(view: DataView, at: number, length: number): AdminOutcome;
  /** The answer that an outcome was read from, in words; `undefined` where those of 1.4 do. */
  describeOutcome(result: AdminOutcome): string | undefined;
}

const { opcode, group_type, group_member_id } = ADMIN_COMMAND_HEADER.fields;
const { status, reserved2 } = ADMIN_RESPONSE_HEADER.fields;
const AT_OPCODE = opcode.offset;
const AT_MEMBER = group_member_id.offset;
const AT_MEMBER_HIGH = group_member_id.offset + 4;
const AT_STATUS = status.offset;
const AT_RESERVED2 = reserved2.offset;
/** group_type follows opcode, and status_qualifier status: one access reaches both. */
const GROUP_SHIFT = 8 * (group_type.offset - opcode.offset);
const OPCODE_MASK = 2 ** GROUP_SHIFT - 1;
const OUTCOME_LENGTH = 4;

const HIGH_UNIT = 2 ** 32;
/** The highest upper half of a member id that a number holds exactly. */
const HIGHEST_MEMBER_HIGH = 0x1fffff;

/** A member id from its two halves; infinite when it is above 2^53-1, where no member is. */
export function memberIdOf(low: number, high: number): number {
  return high === 0 ? low : high > HIGHEST_MEMBER_HIGH ? Infinity : high * HIGH_UNIT + low;
}

/**
 * A class of its own for each dialect: an engine tells them apart by their shapes, and calls the
 * codec of the one that a process speaks as if there were no other.
 */
class Virtio14 implements Dialect {
  readonly name = "virtio-1.4";
  readonly label = this.name;
  readonly reconstruction = false;
  readonly doc = "The wire format of virtio 1.4.";
  readonly command = ADMIN_COMMAND_HEADER;
  readonly answer = ADMIN_RESPONSE_HEADER;
  readonly destinations = [SELF_GROUP, SR_IOV_GROUP].map(({ id, name }) => ({ value: id, name }));
  readonly statuses = Object.entries(ADMIN_STATUS)
    .filter(([, { reserved }]) => !reserved)
    .map(([name, { value }]) => ({ value, name }));
  readonly listQuery = LIST_QUERY;
  readonly listUse = LIST_USE;
  readonly oneList = false;
  readonly management = Object.values(MANAGEMENT_COMMANDS);
  readonly ownerMemberId = undefined;
  readonly mostQueues = 0x10000;
  readonly commandFirst = false;
  readonly commandHeaderLength = ADMIN_COMMAND_HEADER.size;
  readonly responseHeaderLength = ADMIN_RESPONSE_HEADER.size;

  answerOf(result: AdminOutcome): AnswerFields {
    return { status: statusOf(result), detail: qualifierOf(result) };
  }

  decodeCommand(view: DataView, at: number, header: CommandHeader): void {
    const word = view.getUint32(at + AT_OPCODE, true);
    const low = view.getUint32(at + AT_MEMBER, true);
    const high = view.getUint32(at + AT_MEMBER_HIGH, true);
    header.opcode = word & OPCODE_MASK;
    header.groupType = word >>> GROUP_SHIFT;
    header.memberId = memberIdOf(low, high);
  }

  encodeCommand(
    view: DataView,
    at: number,
    opcode: number,
    groupType: number,
    memberLow: number,
    memberHigh: number,
  ): void {
    view.setUint32(at + AT_OPCODE, opcode | (groupType << GROUP_SHIFT), true);
    view.setUint32(at + AT_MEMBER, memberLow, true);
    view.setUint32(at + AT_MEMBER_HIGH, memberHigh, true);
  }

  encodeOutcome(view: DataView, at: number, result: AdminOutcome): void {
    view.setUint32(at + AT_STATUS, result, true);
    view.setUint32(at + AT_RESERVED2, 0, true);
  }

  decodeOutcome(view: DataView, at: number, length: number): AdminOutcome {
    if (length >= AT_STATUS + OUTCOME_LENGTH) return view.getUint32(at + AT_STATUS, true);
    let result = 0;
    for (let i = 0; i < length; i++) result |= view.getUint8(at + AT_STATUS + i) << (8 * i);
    return result >>> 0;
  }

  describeOutcome(): undefined {
    return undefined;
  }
}

/** The ratified format: `struct virtio_admin_cmd` of virtio 1.4. */
export const VIRTIO_1_4: Dialect = new Virtio14();
