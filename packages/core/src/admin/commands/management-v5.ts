/**
 * The management commands of the dialect proposal-v5, a reconstruction: those of virtio-1.4 with
 * the same payloads under other numbers, for members of the one group that there is.
 */
import { SR_IOV_GROUP } from "../../group/sr-iov.ts";
import { PROPOSAL_V5_CITE } from "../proposal-v5-layout.ts";
import type { AdminCommand } from "../types.ts";
import { CAPS_ACCEPT } from "./caps.ts";
import { MANAGEMENT_COMMANDS, type ManagementCommands } from "./management-layout.ts";

/** The first number behind the commands for lists. */
const FIRST = CAPS_ACCEPT.opcode + 1;
const ORDER = Object.values(MANAGEMENT_COMMANDS);

function renumbered(command: AdminCommand): AdminCommand {
  return {
    ...command,
    opcode: FIRST + ORDER.indexOf(command),
    groups: [SR_IOV_GROUP.id],
    cite: PROPOSAL_V5_CITE,
  };
}

/** The management commands as proposal-v5 numbers them: 0x0002 to 0x0006. */
export const PROPOSAL_V5_MANAGEMENT: ManagementCommands = {
  attrsGet: renumbered(MANAGEMENT_COMMANDS.attrsGet),
  msixCountGet: renumbered(MANAGEMENT_COMMANDS.msixCountGet),
  msixCountSet: renumbered(MANAGEMENT_COMMANDS.msixCountSet),
  featuresGet: renumbered(MANAGEMENT_COMMANDS.featuresGet),
  featuresSet: renumbered(MANAGEMENT_COMMANDS.featuresSet),
};
