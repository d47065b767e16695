/** Device groups: the group types and the groups that need no particular transport. */
export { PLATFORM_GROUP, PlatformGroup } from "./platform.ts";
export { SELF_GROUP, SELF_MEMBER_ID, SelfGroup } from "./self.ts";
export { SR_IOV_GROUP } from "./sr-iov.ts";
export type { DeviceGroup, GroupType } from "./types.ts";
