import { type ErrorCode, isVirtioError, VirtioError } from "../errors.ts";
import {
  ADMIN_QUALIFIER,
  ADMIN_STATUS,
  type AdminOutcome,
  type AdminQualifierName,
  type AdminStatusName,
  effectiveQualifier,
  effectiveStatus,
  qualifierName,
  qualifierOf,
  statusName,
  statusOf,
} from "./status.ts";

/** Thrown when the device answers an administration command with another status than OK. */
export class AdminCommandError extends VirtioError {
  /** The name that stands before the message in a stack trace. */
  override readonly name: string = "AdminCommandError";
  /** The status as the device wrote it; of proposal-v5, what is meant by it in virtio-1.4. */
  readonly status: number;
  /** The status to act on: reserved values count as `EINVAL`. */
  readonly statusName: AdminStatusName;
  /** The status qualifier as the device wrote it. */
  readonly qualifier: number;
  /** The qualifier to act on: reserved values count as `INVALID_COMMAND`. */
  readonly qualifierName: AdminQualifierName;
  /** True when the same command may succeed later: EAGAIN, ENOMEM, NORESOURCE or TRYAGAIN. */
  readonly retryable: boolean;

  /**
   * Makes the error of this outcome; `command` names the command: `LIST_USE (group 0x0)`, and
   * `answer` the answer where it is not that of virtio-1.4.
   */
  constructor(result: AdminOutcome, command: string, answer?: string) {
    const status = statusOf(result);
    const qualifier = qualifierOf(result);
    const actingStatus = effectiveStatus(status);
    const actingQualifier = effectiveQualifier(qualifier);
    const retryable =
      actingStatus === "EAGAIN" ||
      actingStatus === "ENOMEM" ||
      actingQualifier === "NORESOURCE" ||
      actingQualifier === "TRYAGAIN";
    const shownStatus = statusName(status) ?? `reserved status ${status}`;
    const shownQualifier = qualifierName(qualifier) ?? `reserved qualifier ${qualifier}`;
    const shown = answer ?? `${shownStatus}, ${shownQualifier}`;
    super("ADMIN_STATUS", {
      path: command,
      message: `the device answered ${shown}: ${ADMIN_STATUS[actingStatus].doc} (${ADMIN_QUALIFIER[actingQualifier].doc})`,
      ...(retryable ? { hint: "the same command may succeed later" } : {}),
    });
    this.status = status;
    this.statusName = actingStatus;
    this.qualifier = qualifier;
    this.qualifierName = actingQualifier;
    this.retryable = retryable;
  }
}

/** The codes of errors that end a command before it is sent. */
const UNSENT: readonly ErrorCode[] = [
  "ADMIN_LIST",
  "ADMIN_COMMAND",
  "QUEUE_FULL",
  "MEMORY_EXHAUSTED",
];

/**
 * True when a command that ended with this error has changed nothing: the device refused it, or
 * never saw it. After any other error the device may have carried it out, or may still do so.
 */
export function changedNothing(error: unknown): boolean {
  if (error instanceof AdminCommandError) return true;
  return isVirtioError(error) && UNSENT.includes(error.code);
}
