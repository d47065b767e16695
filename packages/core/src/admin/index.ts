/** Administration commands, both halves. */
export { AdminChannel, type AdminChannelOptions } from "./channel.ts";
export { AdminClient, type AdminClientOptions, openAdminClient } from "./client.ts";
export { CAPS_ACCEPT, CAPS_IDENTIFY, PROPOSAL_V5_CAPS } from "./commands/caps.ts";
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
export { AdminQueues, type AdminQueuesOptions } from "./device-queue.ts";
export type { AnswerFields, DialectDescription, NamedValue } from "./dialect.ts";
export type { DialectName } from "./dialect-name.ts";
export { DIALECTS } from "./dialects.ts";
export { AdminCommandError } from "./errors.ts";
export { AdminExecutor, type AdminExecutorOptions } from "./executor.ts";
export { ADMIN_COMMAND_HEADER, ADMIN_RESPONSE_HEADER } from "./layout.ts";
export { AdminMailbox, type AdminMailboxOptions } from "./mailbox.ts";
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
