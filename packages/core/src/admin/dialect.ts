/**
 * How a command's header is laid out on the wire. Hot path: codecs are functions of a view and an
 * offset; neighbouring 16-bit fields go in one 32-bit access.
 */
import { ADMIN_COMMAND_HEADER, ADMIN_RESPONSE_HEADER } from "./layout.ts";
import type { AdminOutcome } from "./status.ts";

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

/** One wire format of administration commands. */
export interface Dialect {
  /** Its name. */
  readonly name: string;
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

/** The ratified format: `struct virtio_admin_cmd` of virtio 1.4. */
export const VIRTIO_1_4: Dialect = {
  name: "virtio-1.4",
  commandHeaderLength: ADMIN_COMMAND_HEADER.size,
  responseHeaderLength: ADMIN_RESPONSE_HEADER.size,

  decodeCommand(view, at, header) {
    const word = view.getUint32(at + AT_OPCODE, true);
    const low = view.getUint32(at + AT_MEMBER, true);
    const high = view.getUint32(at + AT_MEMBER_HIGH, true);
    header.opcode = word & OPCODE_MASK;
    header.groupType = word >>> GROUP_SHIFT;
    header.memberId =
      high === 0 ? low : high > HIGHEST_MEMBER_HIGH ? Infinity : high * HIGH_UNIT + low;
  },

  encodeCommand(view, at, opcode, groupType, memberLow, memberHigh) {
    view.setUint32(at + AT_OPCODE, opcode | (groupType << GROUP_SHIFT), true);
    view.setUint32(at + AT_MEMBER, memberLow, true);
    view.setUint32(at + AT_MEMBER_HIGH, memberHigh, true);
  },

  encodeOutcome(view, at, result) {
    view.setUint32(at + AT_STATUS, result, true);
    view.setUint32(at + AT_RESERVED2, 0, true);
  },

  decodeOutcome(view, at, length) {
    if (length >= AT_STATUS + OUTCOME_LENGTH) return view.getUint32(at + AT_STATUS, true);
    let result = 0;
    for (let i = 0; i < length; i++) result |= view.getUint8(at + AT_STATUS + i) << (8 * i);
    return result >>> 0;
  },
};
