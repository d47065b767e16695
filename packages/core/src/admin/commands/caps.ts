/**
 * CAPS_IDENTIFY and CAPS_ACCEPT of the dialect proposal-v5, a reconstruction: which commands the
 * device has, and which ones the driver uses. One list for the device, whomever commands address.
 */
import { SELF_GROUP } from "../../group/self.ts";
import { struct } from "../../layout/index.ts";
import { PROPOSAL_V5_CITE } from "../proposal-v5-layout.ts";
import type { AdminCommand, CommandFamily } from "../types.ts";
import { LIST_QUERY, LIST_USE, listFamily } from "./list.ts";

/** The bitmap of commands that both carry. */
export const PROPOSAL_V5_CAPS = struct(
  "virtio_admin_caps_v5",
  {
    cite: PROPOSAL_V5_CITE,
    doc: "A list of commands: bit n of word w stands for command 64 * w + n. A reconstruction.",
  },
  {
    commands: {
      offset: 0,
      type: "le64",
      count: "rest",
      doc: "The words of the list; words that are missing are zero.",
    },
  },
);

/** Reports the commands that the device has. */
export const CAPS_IDENTIFY: AdminCommand = {
  opcode: 0x0000,
  name: "CAPS_IDENTIFY",
  groups: [SELF_GROUP.id],
  usesMember: false,
  data: { min: 0, max: 0 },
  result: LIST_QUERY.result,
  layouts: { result: PROPOSAL_V5_CAPS },
  clauses: ["proposal-v5-device-5"],
  doc: "Reports the commands that the device has.",
  cite: PROPOSAL_V5_CITE,
};

/** Settles the commands that the driver uses. */
export const CAPS_ACCEPT: AdminCommand = {
  opcode: 0x0001,
  name: "CAPS_ACCEPT",
  groups: [SELF_GROUP.id],
  usesMember: false,
  data: LIST_USE.data,
  result: { min: 0, max: 0 },
  layouts: { data: PROPOSAL_V5_CAPS },
  clauses: ["proposal-v5-device-5", "proposal-v5-driver-3"],
  doc: "Replaces the commands that are accepted; these two always are.",
  cite: PROPOSAL_V5_CITE,
};

/**
 * The two commands as a family. An executor of this dialect binds it by itself.
 *
 * CAPS_ACCEPT fails with an invalid field, and changes nothing, when a bit is set that
 * CAPS_IDENTIFY does not report, or commands are accepted that need others. The bits of the two
 * commands themselves mean nothing: both are legal at any time.
 */
export const CAPS_FAMILY: CommandFamily = listFamily(
  {
    name: "caps",
    doc: "Which commands there are, and which ones the driver uses (proposal-v5, reconstruction).",
    private: true,
  },
  CAPS_IDENTIFY,
  CAPS_ACCEPT,
);
