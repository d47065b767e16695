/** How the driver half of a command family gets its commands into the list in use. */
import type { AdminClient } from "../client.ts";
import type { AdminExecuteOptions } from "../pending.ts";
import type { AdminCommand } from "../types.ts";

/**
 * Adds commands to the list in use of a group type: asks which of them there are, and settles those
 * besides what is in use already.
 *
 * @returns the opcodes of those that there are, in the order of `commands`
 * @throws as {@link AdminClient.listQuery} and {@link AdminClient.listUse}
 */
export async function useCommands(
  client: AdminClient,
  group: number,
  commands: readonly AdminCommand[],
  options: AdminExecuteOptions,
): Promise<readonly number[]> {
  const reported = await client.listQuery(group, options);
  const ours = commands.map((command) => client.opcodeOf(command));
  const found = ours.filter((opcode) => reported.includes(opcode));
  const used = client.usedOpcodes(group);
  if (!found.every((opcode) => used.includes(opcode))) {
    await client.listUse(group, [...new Set([...used, ...found])], options);
  }
  return found;
}
