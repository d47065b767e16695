/**
 * The device half of the management commands: an owner learns and sets how many MSI-X vectors its
 * members have and which features they offer. Private to this project, and off unless the device's
 * maker asks for it.
 *
 * Every handler is synchronous: its checks and its change are one step, so that commands of several
 * queues, and the members' own drivers, come before or after it.
 */
import { FEATURE, FeatureSet } from "../../device/features.ts";
import type { ProvisionRefusal } from "../../device/types.ts";
import {
  freeVectors,
  isManagedGroup,
  isMemberInUse,
  type ManagedGroup,
  type ManagedMember,
  MSIX_VECTOR_LIMIT,
} from "../../group/managed.ts";
import { accessors } from "../../layout/index.ts";
import { type AdminOutcome, OUTCOME, outcome } from "../status.ts";
import type { AdminCall, AdminCommand, CommandFamily, CommandHandler } from "../types.ts";
import {
  FEATURES_DATA,
  FEATURES_RESULT,
  MANAGEMENT_COMMANDS,
  type ManagementCommands,
  MGMT_ATTRS_RESULT,
  MSIX_COUNT_DATA,
  MSIX_COUNT_RESULT,
  readFeatures,
  writeFeatures,
} from "./management-layout.ts";

const ATTRS = accessors(MGMT_ATTRS_RESULT);
const COUNT = accessors(MSIX_COUNT_RESULT);
const COUNT_DATA = accessors(MSIX_COUNT_DATA);
const FEATURES = accessors(FEATURES_RESULT);
const FEATURES_IN = accessors(FEATURES_DATA);
const { msix: HAS_MSIX, features: HAS_FEATURES } = MGMT_ATTRS_RESULT.fields.attrs.bits;

const BUSY = outcome("EBUSY", "INVALID_COMMAND");
const POOL_SHORT = outcome("ENOSPC", "NORESOURCE");

/**
 * The management commands as a family, for SR-IOV and platform groups. They are supported for
 * groups whose members can be provisioned, the MSI-X commands only where there is a pool of
 * vectors.
 *
 * A setting command is checked in this order: its fields (EINVAL, INVALID_FIELD), whether the
 * member is in use (EBUSY, INVALID_COMMAND), whether the pool has the vectors (ENOSPC,
 * NORESOURCE), then whatever the member itself has against it. A member that is in the group and
 * cannot be provisioned is an invalid one here.
 */
export const MANAGEMENT_FAMILY: CommandFamily = managementFamily(MANAGEMENT_COMMANDS);

/** The management commands under the numbers of a dialect, see {@link MANAGEMENT_FAMILY}. */
export function managementFamily(commands: ManagementCommands): CommandFamily {
  const { attrsGet, msixCountGet, msixCountSet, featuresGet, featuresSet } = commands;
  const msixCommands: readonly AdminCommand[] = [msixCountGet, msixCountSet];
  return {
    name: "management",
    doc: "The owner sets how many MSI-X vectors its members have and which features they offer.",
    private: true,
    commands: [attrsGet, msixCountGet, msixCountSet, featuresGet, featuresSet],
    bind(owner) {
      return {
        handlers: {
          [attrsGet.opcode]: getAttributes,
          [msixCountGet.opcode]: forMember(getVectors),
          [msixCountSet.opcode]: forMember(setVectors),
          [featuresGet.opcode]: forMember(getFeatures),
          [featuresSet.opcode]: forMember(setFeatures),
        },
        supports(command, groupType) {
          const group = owner.group(groupType);
          if (group === undefined || !isManagedGroup(group)) return false;
          return group.msix !== undefined || !msixCommands.includes(command);
        },
      };
    },
  };
}

type MemberHandler = (call: AdminCall, group: ManagedGroup, member: ManagedMember) => AdminOutcome;

function forMember(handle: MemberHandler): CommandHandler {
  return (call) => {
    const { group, memberId } = call;
    if (!isManagedGroup(group)) return OUTCOME.INVALID_MEMBER;
    const member = group.borrow === undefined ? group.member(memberId) : group.borrow(memberId);
    return member === undefined ? OUTCOME.INVALID_MEMBER : handle(call, group, member);
  };
}

function getAttributes({ group, result }: AdminCall): AdminOutcome {
  if (!isManagedGroup(group)) return OUTCOME.INVALID_OPCODE;
  const { msix } = group;
  ATTRS.attrs.setLow(result, 0, HAS_FEATURES.mask + (msix === undefined ? 0 : HAS_MSIX.mask));
  if (msix !== undefined) {
    ATTRS.msix_total.set(result, 0, msix.total);
    ATTRS.msix_free.set(result, 0, freeVectors(group));
    ATTRS.msix_min.set(result, 0, msix.min);
    ATTRS.msix_max.set(result, 0, msix.max);
  }
  const settable = settableInGroup(group);
  for (const half of [0, 1]) {
    ATTRS.settable.setLow(result, 0, half, settable.word(2 * half));
    ATTRS.settable.setHigh(result, 0, half, settable.word(2 * half + 1));
  }
  return OUTCOME.OK;
}

function getVectors(
  { result }: AdminCall,
  _: ManagedGroup,
  { msixVectors, defaults }: ManagedMember,
): AdminOutcome {
  if (msixVectors === undefined) return OUTCOME.INVALID_MEMBER;
  COUNT.vectors.set(result, 0, msixVectors);
  COUNT.default.set(result, 0, defaults.msixVectors ?? 0);
  return OUTCOME.OK;
}

function setVectors({ data }: AdminCall, group: ManagedGroup, member: ManagedMember): AdminOutcome {
  const { msix } = group;
  const { msixVectors } = member;
  if (msix === undefined || msixVectors === undefined || member.provisionVectors === undefined) {
    return OUTCOME.INVALID_MEMBER;
  }
  const vectors = COUNT_DATA.vectors.get(data, 0);
  const fits = vectors >= Math.max(1, msix.min) && vectors <= Math.min(msix.max, MSIX_VECTOR_LIMIT);
  if (!fits) return OUTCOME.INVALID_FIELD;
  if (isMemberInUse(member)) return BUSY;
  if (vectors - msixVectors > freeVectors(group)) return POOL_SHORT;
  return outcomeOf(member.provisionVectors(vectors));
}

function getFeatures({ result }: AdminCall, _: ManagedGroup, member: ManagedMember): AdminOutcome {
  const { offered_low, offered_high, settable_low, settable_high } = FEATURES;
  writeFeatures(offered_low, offered_high, result, member.offeredFeatures);
  writeFeatures(settable_low, settable_high, result, settableOf(member));
  return OUTCOME.OK;
}

function setFeatures({ data }: AdminCall, _: ManagedGroup, member: ManagedMember): AdminOutcome {
  const mask = readFeatures(FEATURES_IN.mask_low, FEATURES_IN.mask_high, data);
  const value = readFeatures(FEATURES_IN.value_low, FEATURES_IN.value_high, data);
  if (!value.isSubsetOf(mask) || !mask.isSubsetOf(settableOf(member))) return OUTCOME.INVALID_FIELD;
  if (isMemberInUse(member)) return BUSY;
  return outcomeOf(member.provisionFeatures(member.offeredFeatures.minus(mask).union(value)));
}

function settableInGroup(group: ManagedGroup): FeatureSet {
  const known = group.settableFeatures?.without(FEATURE.VIRTIO_F_VERSION_1);
  if (known !== undefined) return known;
  let settable = FeatureSet.EMPTY;
  for (const member of group.managedMembers()) settable = settable.union(settableOf(member));
  return settable;
}

function settableOf(member: ManagedMember): FeatureSet {
  return member.settableFeatures.without(FEATURE.VIRTIO_F_VERSION_1);
}

function outcomeOf(refusal: ProvisionRefusal | undefined): AdminOutcome {
  if (refusal === undefined) return OUTCOME.OK;
  return refusal === "in use" ? BUSY : OUTCOME.INVALID_FIELD;
}
