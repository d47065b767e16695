/**
 * The wire format of the dialect proposal-v5: the two structures, whom a command addresses, and how
 * it ended. A reconstruction: of the proposal there is a cover letter, which names the ideas; these
 * bytes are this project's own. Little-endian on every transport.
 */
import { struct } from "../layout/index.ts";

/** Where these bytes come from. */
export const PROPOSAL_V5_CITE = "this project: proposal-v5 (reconstruction)";

/** `struct virtio_admin_cmd` of the proposal up to its data: what the device reads, 16 bytes. */
export const PROPOSAL_V5_COMMAND_HEADER = struct(
  "virtio_admin_cmd_v5",
  {
    cite: PROPOSAL_V5_CITE,
    doc: "The device-readable header of a command of proposal-v5, a reconstruction.",
    size: 16,
  },
  {
    command: { offset: 0, type: "le16", doc: "Which command it is." },
    dst_type: { offset: 2, type: "le16", doc: "What kind of device it is for." },
    reserved: { offset: 4, type: "u8", count: 4, doc: "Reserved; the driver writes 0." },
    dst_member_id: {
      offset: 8,
      type: "le64",
      doc: "The member of the group it is for; 0 when the command uses none.",
    },
    command_specific_data: {
      offset: 16,
      type: "u8",
      count: "rest",
      doc: "The data of the command, of a length that depends on the command.",
    },
  },
);

/** `struct virtio_admin_cmd` of the proposal from its status on: what the device writes, 8 bytes. */
export const PROPOSAL_V5_ANSWER_HEADER = struct(
  "virtio_admin_cmd_v5_answer",
  {
    cite: PROPOSAL_V5_CITE,
    doc: "The device-writable header of a command of proposal-v5, a reconstruction.",
    size: 8,
  },
  {
    status: { offset: 0, type: "u8", doc: "Whether the command succeeded, else what failed." },
    command_specific_error: {
      offset: 1,
      type: "u8",
      doc: "What the error of the command itself is; 0 for every other status.",
    },
    reserved: { offset: 2, type: "u8", count: 6, doc: "Reserved; the device writes 0." },
    command_specific_result: {
      offset: 8,
      type: "u8",
      count: "rest",
      doc: "The result of the command, of a length that depends on the command.",
    },
  },
);

/**
 * The values of `dst_type`; the others are reserved. They are the group types Self and SR-IOV of
 * virtio-1.4, so that groups are found by either.
 */
export const PROPOSAL_V5_DESTINATION = {
  /** The device that the command is sent to; `dst_member_id` is not used. */
  self: 0,
  /** The member of its group that `dst_member_id` names. */
  member: 1,
} as const;

/** The values of `status`; the others are reserved. */
export const PROPOSAL_V5_STATUS = {
  /** The command succeeded. */
  OK: 0,
  /** An error of the command itself, told by `command_specific_error`. */
  COMMAND_SPECIFIC_ERROR: 1,
  /** There is no such command, or CAPS_ACCEPT has not accepted it. */
  UNSUPPORTED_COMMAND: 2,
  /** A field is invalid: the destination, the member, or one of the command's own data. */
  INVALID_FIELD: 3,
} as const;

/** The id under which the owner is a member of its own group. */
export const PROPOSAL_V5_OWNER_ID = 0;
