/** Administration commands, both halves. */
export { AdminBatch } from "./batch.ts";
export { AdminChannel, type AdminChannelOptions } from "./channel.ts";
export { AdminClient, type AdminClientOptions, openAdminClient } from "./client.ts";
export type { CommandInterface, CommandInterfaceBinding } from "./command-interface.ts";
export {
  type CapabilityDependant,
  CapabilityFamily,
  type DriverCapabilities,
  type SavedCapabilities,
  type SavedCapability,
} from "./commands/capabilities.ts";
export { CapabilityClient, type CapabilityHold } from "./commands/capabilities-client.ts";
export {
  CAP_GET_DATA,
  CAP_GET_RESULT,
  CAP_ID_LIST_QUERY,
  CAP_ID_LIST_RESULT,
  CAP_SET_DATA,
  DEVICE_CAP_GET,
  DRIVER_CAP_SET,
  decodeCapabilityIds,
  encodeCapabilityIds,
} from "./commands/capabilities-layout.ts";
export {
  CAPABILITY_IDS,
  type Capability,
  type CapabilityRule,
  type DeviceCapability,
  defineCapability,
  deviceCapability,
  type FieldsOf,
  type IdRange,
  LONGEST_CAPABILITY,
} from "./commands/capability.ts";
export { CAPS_ACCEPT, CAPS_IDENTIFY, PROPOSAL_V5_CAPS } from "./commands/caps.ts";
export {
  DEV_PARTS_CAP,
  DEV_PARTS_CAP_LAYOUT,
  RESOURCE_OBJ_DEV_PARTS,
  RESOURCE_OBJ_DEV_PARTS_LAYOUT,
  RESOURCE_OBJ_DEV_PARTS_TYPE,
} from "./commands/dev-parts-object.ts";
export { DevicePartsFamily, type DevicePartsFamilyInit } from "./commands/device-parts.ts";
export {
  DevicePartsClient,
  type DevicePartsClientOptions,
  type MoveMemberOptions,
  moveMember,
  type OwnedMember,
} from "./commands/device-parts-client.ts";
export {
  DEV_MODE_SET,
  DEV_MODE_SET_DATA,
  DEV_PARTS_GET,
  DEV_PARTS_GET_DATA,
  DEV_PARTS_GET_RESULT,
  DEV_PARTS_GET_TYPE,
  DEV_PARTS_METADATA_DATA,
  DEV_PARTS_METADATA_GET,
  DEV_PARTS_METADATA_RESULT,
  DEV_PARTS_METADATA_TYPE,
  DEV_PARTS_SET,
  DEV_PARTS_SET_DATA,
  DEVICE_PARTS_COMMANDS,
  LONGEST_PARTS_DATA,
} from "./commands/device-parts-layout.ts";
export { LEGACY_ACCESS_FAMILY } from "./commands/legacy-access.ts";
export {
  type BarLength,
  decodeNotifyPlaces,
  LegacyAccessClient,
  type LegacyNotifyBars,
  type LegacyRegister,
} from "./commands/legacy-access-client.ts";
export {
  LEGACY_COMMON_CFG_READ,
  LEGACY_COMMON_CFG_WRITE,
  LEGACY_DEV_CFG_READ,
  LEGACY_DEV_CFG_WRITE,
  LEGACY_NOTIFY_ENTRIES,
  LEGACY_NOTIFY_ENTRY,
  LEGACY_NOTIFY_FLAGS,
  LEGACY_NOTIFY_INFO,
  LEGACY_NOTIFY_INFO_RESULT,
  LEGACY_READ_DATA,
  LEGACY_READ_RESULT,
  LEGACY_WRITE_DATA,
} from "./commands/legacy-access-layout.ts";
export {
  ADMIN_COMMAND_LIST,
  decodeOpcodeList,
  encodeOpcodeList,
  INITIAL_OPCODES,
  LIST_FAMILY,
  LIST_QUERY,
  LIST_USE,
  OPCODE_COUNT,
  opcodeListLength,
} from "./commands/list.ts";
export { MANAGEMENT_FAMILY } from "./commands/management.ts";
export {
  type ManagementAttributes,
  ManagementClient,
  type MemberFeatures,
  type MemberVectors,
  type MsixAttributes,
} from "./commands/management-client.ts";
export {
  FEATURES_DATA,
  FEATURES_GET,
  FEATURES_RESULT,
  FEATURES_SET,
  MGMT_ATTRS_GET,
  MGMT_ATTRS_RESULT,
  MSIX_COUNT_DATA,
  MSIX_COUNT_GET,
  MSIX_COUNT_RESULT,
  MSIX_COUNT_SET,
} from "./commands/management-layout.ts";
export {
  defineResourceObjectType,
  LONGEST_RESOURCE_OBJECT,
  RESOURCE_OBJECT_TYPES,
  type ResourceObject,
  type ResourceObjectReference,
  type ResourceObjectType,
} from "./commands/resource-object.ts";
export {
  ResourceObjectFamily,
  type ResourceObjectFamilyInit,
  type SavedResourceObject,
} from "./commands/resource-objects.ts";
export {
  type CreatedObject,
  ResourceObjectClient,
  type ResourceObjectClientOptions,
  type ResourceObjectTarget,
} from "./commands/resource-objects-client.ts";
export {
  RESOURCE_OBJ_CMD_HDR,
  RESOURCE_OBJ_CREATE_DATA,
  RESOURCE_OBJ_MODIFY_DATA,
  RESOURCE_OBJ_OPCODES,
  RESOURCE_OBJ_QUERY_DATA,
  RESOURCE_OBJ_QUERY_RESULT,
  type ResourceObjectCommands,
  type ResourceObjectOpcodes,
  resourceObjectCommands,
  type SwappedOpcodes,
} from "./commands/resource-objects-layout.ts";
export { AdminQueues, type AdminQueuesOptions } from "./device-queue.ts";
export type { AnswerFields, DialectDescription, NamedValue } from "./dialect.ts";
export type { DialectName } from "./dialect-name.ts";
export { DIALECTS } from "./dialects.ts";
export { AdminCommandError } from "./errors.ts";
export { AdminExecutor, type AdminExecutorOptions } from "./executor.ts";
export { ADMIN_COMMAND_HEADER, ADMIN_RESPONSE_HEADER } from "./layout.ts";
export { AdminMailbox, type AdminMailboxOptions, mailboxInterface } from "./mailbox.ts";
export type { AdminExecuteOptions, AdminReply, AdminRequest, RetryPolicy } from "./pending.ts";
export {
  PROPOSAL_V5_ANSWER_HEADER,
  PROPOSAL_V5_COMMAND_HEADER,
  PROPOSAL_V5_DESTINATION,
  PROPOSAL_V5_OWNER_ID,
  PROPOSAL_V5_STATUS,
} from "./proposal-v5-layout.ts";
export type { AdminState, SavedFamily, SavedLists } from "./saved-state.ts";
export {
  ADMIN_QUALIFIER,
  ADMIN_STATUS,
  type AdminOutcome,
  type AdminQualifierName,
  type AdminStatusName,
  effectiveQualifier,
  effectiveStatus,
  OUTCOME,
  outcome,
  qualifierName,
  qualifierOf,
  type StatusEntry,
  statusName,
  statusOf,
} from "./status.ts";
export {
  STRICT,
  TOLERANCES,
  TOLERANT,
  type Tolerance,
  type ToleranceId,
  type Tolerances,
} from "./tolerances.ts";
export type {
  AbortSignalLike,
  AdminCall,
  AdminCommand,
  AdminCommandLayouts,
  AdminOwner,
  AdminQueuePort,
  AdminQueueSource,
  CommandFamily,
  CommandHandler,
  FamilyBinding,
  LengthRange,
  ListRefusal,
  OwnerLists,
} from "./types.ts";
