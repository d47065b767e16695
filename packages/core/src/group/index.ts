/** Device groups: the group types and the groups that need no particular transport. */
export { DeviceMember, type DeviceMemberOptions } from "./device-member.ts";
export {
  isLegacyGroup,
  LEGACY_NOTIFY_PLACES_MAX,
  type LegacyGroup,
  type LegacyMember,
  type LegacyNotifyPlace,
  type LegacyRegisters,
} from "./legacy-access.ts";
export {
  countedPool,
  freeVectors,
  isManagedGroup,
  isMemberInUse,
  type ManagedGroup,
  type ManagedMember,
  type MemberDefaults,
  MSIX_VECTOR_LIMIT,
  type MsixPool,
  restoreDefaults,
} from "./managed.ts";
export { isPartsGroup, type PartsGroup } from "./parts.ts";
export {
  PLATFORM_GROUP,
  PlatformGroup,
  type PlatformGroupOptions,
  type PlatformMsix,
} from "./platform.ts";
export { SELF_GROUP, SELF_MEMBER_ID, SelfGroup } from "./self.ts";
export { SR_IOV_GROUP } from "./sr-iov.ts";
export type { DeviceGroup, GroupType } from "./types.ts";
