/** What a dialect makes of the groups and command families that an executor is given. */
import { VirtioError } from "../errors.ts";
import { SelfGroup } from "../group/self.ts";
import { SR_IOV_GROUP } from "../group/sr-iov.ts";
import type { DeviceGroup } from "../group/types.ts";
import { withOwner } from "../group/with-owner.ts";
import { CAPS_FAMILY } from "./commands/caps.ts";
import { LIST_FAMILY } from "./commands/list.ts";
import { MANAGEMENT_FAMILY, managementFamily } from "./commands/management.ts";
import { PROPOSAL_V5_MANAGEMENT } from "./commands/management-v5.ts";
import type { Dialect } from "./dialect.ts";
import { isTaken } from "./dialects.ts";
import { PROPOSAL_V5 } from "./proposal-v5.ts";
import { PROPOSAL_V5_DESTINATION } from "./proposal-v5-layout.ts";
import type { CommandFamily } from "./types.ts";

const PROPOSAL_V5_MANAGEMENT_FAMILY = managementFamily(PROPOSAL_V5_MANAGEMENT);

/**
 * The families as they are bound, the list commands first.
 *
 * @throws VirtioError `FAMILY_INVALID` when a family has an opcode that the dialect uses itself
 */
export function familiesIn(
  dialect: Dialect,
  families: readonly CommandFamily[],
): readonly CommandFamily[] {
  if (dialect !== PROPOSAL_V5) return [LIST_FAMILY, ...families];
  const makers = families.filter((family) => family !== MANAGEMENT_FAMILY);
  for (const { name, commands } of makers) {
    const taken = commands.find(({ opcode }) => isTaken(dialect, opcode));
    if (taken === undefined) continue;
    throw new VirtioError("FAMILY_INVALID", {
      path: `families.${name}.${taken.name}.opcode`,
      message: `the opcode is one of ${dialect.name}'s own`,
      value: taken.opcode,
      hint: "commands of virtio-1.4 are no part of this dialect; give your own another opcode",
    });
  }
  const bound = families.map((family) =>
    family === MANAGEMENT_FAMILY ? PROPOSAL_V5_MANAGEMENT_FAMILY : family,
  );
  return [CAPS_FAMILY, ...bound];
}

/**
 * The groups as commands address them. In proposal-v5 the device itself can always be addressed,
 * and the owner is a member of its group.
 *
 * @throws VirtioError `GROUP_INVALID` for a group that the dialect cannot address
 */
export function groupsIn(dialect: Dialect, groups: readonly DeviceGroup[]): readonly DeviceGroup[] {
  if (dialect !== PROPOSAL_V5) return groups;
  const { self, member } = PROPOSAL_V5_DESTINATION;
  const { ownerMemberId = 0 } = dialect;
  const addressed = groups.map((group) => {
    const type = group.type.id;
    if (type === self) return group;
    if (type === member) return withOwner(group, ownerMemberId);
    throw new VirtioError("GROUP_INVALID", {
      path: "groups",
      message: `${dialect.name} has no destination for groups of this type`,
      value: type,
      hint: `the one group of that dialect has type ${SR_IOV_GROUP.id} (${SR_IOV_GROUP.name})`,
    });
  });
  return addressed.some(({ type }) => type.id === self)
    ? addressed
    : [new SelfGroup(), ...addressed];
}
