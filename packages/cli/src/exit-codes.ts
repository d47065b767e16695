/** What an error of a command that speaks to other processes means for its exit code. */
import { AdminCommandError, type ErrorCode, isVirtioError } from "@virtio-admin/core";

/** What is missing or busy around the command. */
const ENVIRONMENT: readonly ErrorCode[] = ["HOST_UNSUPPORTED", "TRANSPORT", "MEMORY_EXHAUSTED"];
/** What is wrong with its words, or with a file that they name. */
const USAGE: readonly ErrorCode[] = [
  "TRANSPORT_OPTIONS",
  "VALUE_RANGE",
  "GROUP_INVALID",
  "ADMIN_COMMAND",
  "TRACE_FORMAT",
];

/** 1 for what a device refused or got wrong, 2 for wrong words, 3 for what is missing or busy. */
export function exitCodeOf(error: unknown): 1 | 2 | 3 {
  if (!isVirtioError(error)) throw error;
  if (error instanceof AdminCommandError) return 1;
  if (ENVIRONMENT.includes(error.code)) return 3;
  return USAGE.includes(error.code) ? 2 : 1;
}
