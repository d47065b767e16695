/**
 * The dialect proposal-v5, a reconstruction: codecs of its two headers, and what its one byte of
 * status makes of an outcome. Hot path: codecs are functions of a view and an offset.
 *
 * An outcome is a status and a qualifier of virtio-1.4, which all handlers speak. Here:
 *
 * | outcome | status | command_specific_error |
 * |---|---|---|
 * | OK | OK | 0 |
 * | EINVAL, INVALID_OPCODE | UNSUPPORTED_COMMAND | 0 |
 * | EINVAL, INVALID_GROUP or INVALID_MEMBER or INVALID_FIELD | INVALID_FIELD | 0 |
 * | any other | COMMAND_SPECIFIC_ERROR | its status; 0 where that has more than 8 bits |
 *
 * Back again, an invalid field is INVALID_FIELD, whichever it was, and an error of the command has
 * the qualifier that goes with its status.
 */
import { CAPS_ACCEPT, CAPS_IDENTIFY } from "./commands/caps.ts";
import { PROPOSAL_V5_MANAGEMENT } from "./commands/management-v5.ts";
import {
  type AnswerFields,
  type CommandHeader,
  type Dialect,
  memberIdOf,
  type NamedValue,
} from "./dialect.ts";
import {
  PROPOSAL_V5_ANSWER_HEADER,
  PROPOSAL_V5_COMMAND_HEADER,
  PROPOSAL_V5_DESTINATION,
  PROPOSAL_V5_OWNER_ID,
  PROPOSAL_V5_STATUS,
} from "./proposal-v5-layout.ts";
import { ADMIN_STATUS, type AdminOutcome, OUTCOME, outcome, statusOf } from "./status.ts";

const { command, dst_type, dst_member_id } = PROPOSAL_V5_COMMAND_HEADER.fields;
const { status, command_specific_error } = PROPOSAL_V5_ANSWER_HEADER.fields;
const AT_COMMAND = command.offset;
const AT_MEMBER = dst_member_id.offset;
const AT_MEMBER_HIGH = dst_member_id.offset + 4;
const AT_STATUS = status.offset;
const AT_ERROR = command_specific_error.offset;
const AT_REST = status.offset + 4;
/** dst_type follows command, and command_specific_error status: one access reaches both. */
const DESTINATION_SHIFT = 8 * (dst_type.offset - command.offset);
const COMMAND_MASK = 2 ** DESTINATION_SHIFT - 1;
const ERROR_SHIFT = 8 * (command_specific_error.offset - status.offset);
const LARGEST_ERROR = 0xff;
const { OK, COMMAND_SPECIFIC_ERROR, UNSUPPORTED_COMMAND, INVALID_FIELD } = PROPOSAL_V5_STATUS;
const SELF = PROPOSAL_V5_DESTINATION.self;

/** The outcomes whose qualifier says more than that nothing is known; the wire has no room for it. */
const WITH_QUALIFIER: readonly AdminOutcome[] = [
  OUTCOME.TRY_AGAIN,
  outcome("ENOSPC", "NORESOURCE"),
];
/** The qualifier of all other errors of commands. */
const NO_MORE_KNOWN = outcome("EINVAL", "INVALID_COMMAND") - ADMIN_STATUS.EINVAL.value;
/** A reserved status is kept apart from any status of an outcome: those have 8 bits here. */
const RESERVED = 0x100;

/** The first two bytes of an answer: status, and command_specific_error above it. */
function answerWord(result: AdminOutcome): number {
  switch (result) {
    case OUTCOME.OK:
      return OK;
    case OUTCOME.INVALID_OPCODE:
      return UNSUPPORTED_COMMAND;
    case OUTCOME.INVALID_GROUP:
    case OUTCOME.INVALID_MEMBER:
    case OUTCOME.INVALID_FIELD:
      return INVALID_FIELD;
    default: {
      const error = statusOf(result);
      return COMMAND_SPECIFIC_ERROR | (error > LARGEST_ERROR ? 0 : error << ERROR_SHIFT);
    }
  }
}

function outcomeOf(found: number, error: number): AdminOutcome {
  switch (found) {
    case OK:
      return OUTCOME.OK;
    case UNSUPPORTED_COMMAND:
      return OUTCOME.INVALID_OPCODE;
    case INVALID_FIELD:
      return OUTCOME.INVALID_FIELD;
    case COMMAND_SPECIFIC_ERROR:
      if (error === 0) return ADMIN_STATUS.EINVAL.value + NO_MORE_KNOWN;
      return WITH_QUALIFIER.find((known) => statusOf(known) === error) ?? error + NO_MORE_KNOWN;
    default:
      return RESERVED + found + NO_MORE_KNOWN;
  }
}

class ProposalV5 implements Dialect {
  readonly name = "proposal-v5";
  readonly label = `${this.name} (reconstruction)`;
  readonly reconstruction = true;
  readonly doc =
    "The wire format of the series that proposed device groups, reconstructed from what its cover letter names.";
  readonly command = PROPOSAL_V5_COMMAND_HEADER;
  readonly answer = PROPOSAL_V5_ANSWER_HEADER;
  readonly destinations = namedValues(PROPOSAL_V5_DESTINATION);
  readonly statuses = namedValues(PROPOSAL_V5_STATUS);
  readonly listQuery = CAPS_IDENTIFY;
  readonly listUse = CAPS_ACCEPT;
  readonly oneList = true;
  readonly management = Object.values(PROPOSAL_V5_MANAGEMENT);
  readonly ownerMemberId = PROPOSAL_V5_OWNER_ID;
  readonly mostQueues = 1;
  readonly commandFirst = true;
  readonly commandHeaderLength = PROPOSAL_V5_COMMAND_HEADER.size;
  readonly responseHeaderLength = PROPOSAL_V5_ANSWER_HEADER.size;

  answerOf(result: AdminOutcome): AnswerFields {
    const word = answerWord(result);
    return { status: word & LARGEST_ERROR, detail: word >>> ERROR_SHIFT };
  }

  decodeCommand(view: DataView, at: number, header: CommandHeader): void {
    const word = view.getUint32(at + AT_COMMAND, true);
    const low = view.getUint32(at + AT_MEMBER, true);
    const high = view.getUint32(at + AT_MEMBER_HIGH, true);
    const destination = word >>> DESTINATION_SHIFT;
    header.opcode = word & COMMAND_MASK;
    header.groupType = destination;
    // The device itself is no choice of several: what stands in dst_member_id is not looked at.
    header.memberId = destination === SELF ? PROPOSAL_V5_OWNER_ID : memberIdOf(low, high);
  }

  encodeCommand(
    view: DataView,
    at: number,
    opcode: number,
    groupType: number,
    memberLow: number,
    memberHigh: number,
  ): void {
    view.setUint32(at + AT_COMMAND, opcode | (groupType << DESTINATION_SHIFT), true);
    view.setUint32(at + AT_MEMBER, memberLow, true);
    view.setUint32(at + AT_MEMBER_HIGH, memberHigh, true);
  }

  encodeOutcome(view: DataView, at: number, result: AdminOutcome): void {
    view.setUint32(at + AT_STATUS, answerWord(result), true);
    view.setUint32(at + AT_REST, 0, true);
  }

  decodeOutcome(view: DataView, at: number, length: number): AdminOutcome {
    const found = length > AT_STATUS ? view.getUint8(at + AT_STATUS) : OK;
    const error = length > AT_ERROR ? view.getUint8(at + AT_ERROR) : 0;
    return outcomeOf(found, error);
  }

  describeOutcome(result: AdminOutcome): string {
    const reserved = statusOf(result) - RESERVED;
    if (reserved >= 0) {
      return `reserved status ${reserved} of ${this.label} (does the device speak virtio-1.4?)`;
    }
    const { status: found, detail } = this.answerOf(result);
    const name = this.statuses.find(({ value }) => value === found)?.name;
    const error = found === COMMAND_SPECIFIC_ERROR ? ` ${detail}` : "";
    return `status ${found}, ${name}${error}, of ${this.label}`;
  }
}

function namedValues(values: Readonly<Record<string, number>>): readonly NamedValue[] {
  return Object.entries(values).map(([name, value]) => ({ value, name }));
}

/** The format of the proposal, as this project reconstructs it. */
export const PROPOSAL_V5: Dialect = new ProposalV5();
