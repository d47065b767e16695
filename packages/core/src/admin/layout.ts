/**
 * The two parts that every group administration command has: the header that the driver writes
 * before the command's data, and the header that the device writes before the command's result.
 * Little-endian on every transport.
 */
import { struct } from "../layout/index.ts";

const CITE = "Basic Facilities of a Virtio Device / Device groups / Group administration commands";

/** `struct virtio_admin_cmd` up to `command_specific_data`: what the device reads, 24 bytes. */
export const ADMIN_COMMAND_HEADER = struct(
  "virtio_admin_cmd",
  {
    cite: CITE,
    linux: "virtio_admin_cmd_hdr",
    doc: "The device-readable header of a group administration command.",
    size: 24,
  },
  {
    opcode: { offset: 0, type: "le16", doc: "Which command it is." },
    group_type: { offset: 2, type: "le16", doc: "The type of the device group it is for." },
    reserved1: { offset: 4, type: "u8", count: 12, doc: "Reserved; the driver writes 0." },
    group_member_id: {
      offset: 16,
      type: "le64",
      doc: "The member of the group it is for; 0 when the command uses none.",
    },
    command_specific_data: {
      offset: 24,
      type: "u8",
      count: "rest",
      doc: "The data of the command, of a length that depends on the opcode.",
    },
  },
);

/** `struct virtio_admin_cmd` from `status` on: what the device writes, 8 bytes and the result. */
export const ADMIN_RESPONSE_HEADER = struct(
  "virtio_admin_cmd_response",
  {
    cite: CITE,
    linux: "virtio_admin_cmd_status",
    doc: "The device-writable header of a group administration command.",
    size: 8,
  },
  {
    status: { offset: 0, type: "le16", doc: "Whether the command succeeded, else the error." },
    status_qualifier: { offset: 2, type: "le16", doc: "What the error is about." },
    reserved2: { offset: 4, type: "u8", count: 4, doc: "Reserved; the device writes 0." },
    command_specific_result: {
      offset: 8,
      type: "u8",
      count: "rest",
      doc: "The result of the command, of a length that depends on the opcode.",
    },
  },
);
