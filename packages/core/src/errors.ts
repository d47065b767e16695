/**
 * The one error family of the project. Every error that leaves a public function is a
 * {@link VirtioError}: a stable `code`, the path of the field it is about, the value that was
 * refused, and what to do about it.
 */

/** Every error code with what it stands for. Declared once; documentation is generated from it. */
export const ERROR_CODES = {
  // layout
  LAYOUT_INVALID: "a layout declaration contradicts itself",
  LAYOUT_OVERLAP: "two fields of a layout occupy the same bytes",
  LAYOUT_UNKNOWN_FIELD: "a layout has no field of that name",
  LAYOUT_UNKNOWN_NAME: "there is no layout of that name",
  LAYOUT_JSON: "a layout document does not match the layout schema",
  VALUE_RANGE: "a value does not fit its field",
  // memory
  MEMORY_REGION: "a memory region is malformed or overlaps another",
  MEMORY_RANGE: "a range is not inside guest memory",
  MEMORY_EXHAUSTED: "the driver's DMA memory has no room left",
  // virtqueues
  QUEUE_SIZE: "a virtqueue size is not legal",
  QUEUE_ADDRESS: "a virtqueue area is misaligned or outside guest memory",
  QUEUE_FULL: "a virtqueue has too few free descriptors",
  QUEUE_BROKEN: "the other side of a virtqueue broke its rules",
  QUEUE_CHAIN: "a buffer is given back to a queue that does not hold it",
  QUEUE_UNAVAILABLE: "a virtqueue does not exist or is not enabled",
  // device and driver
  DEVICE_MODEL: "a device model contradicts itself",
  FEATURES_REFUSED: "the device did not accept the features",
  FEATURE_MISSING: "a feature that is needed was not offered or not negotiated",
  DEVICE_FAILED: "the device failed or asks to be reset",
  DEVICE_THREAD: "the thread that a device runs in has ended, or its device half has failed",
  DEVICE_UNKNOWN: "no device answers, or not one that this driver serves",
  DRIVER_STATE: "a driver call does not fit the state of the device",
  TRANSPORT: "a transport operation failed",
  TRANSPORT_OPTIONS: "the options of a transport contradict themselves or the specification",
  TRANSPORT_UNSUPPORTED: "the transport has no such operation",
  ADMIN_QUEUE_UNAVAILABLE: "the device exposes no administration virtqueue",
  DEVICE_PARTS: "the parts of a device cannot be read, or it cannot take them",
  HOST_UNSUPPORTED: "this host lacks what the operation needs",
  BLOCK_IO: "a block device or its storage could not carry out a request",
  // administration commands
  FAMILY_INVALID: "a command family contradicts itself or another",
  GROUP_INVALID: "a device group declaration contradicts itself",
  ADMIN_STATUS: "the device answered an administration command with an error status",
  ADMIN_LIST: "a command is not in the list that LIST_USE settled",
  ADMIN_ABORTED: "an administration command was aborted",
  ADMIN_DEADLINE: "an administration command missed its deadline",
  ADMIN_RESET: "the device was reset while an administration command was outstanding",
  ADMIN_RESPONSE: "the device's response does not make sense",
  ADMIN_COMMAND: "an administration command cannot be encoded",
  // clauses, compliance, snapshots, traces, injection
  CLAUSE_UNKNOWN: "no clause has that id",
  COMPLIANCE: "a compliance case found that a rule does not hold",
  SNAPSHOT: "a snapshot cannot be read, or the device cannot take it",
  SNAPSHOT_BUSY: "a snapshot cannot be taken in this state",
  TRACE_FORMAT: "a trace cannot be read",
  SPEC_TREE: "a folder does not hold the sources of the specification",
  SPEC_OUTPUT: "patches for the specification cannot be written where they are to go",
  SPEC_ANCHOR: "a place in the sources of the specification is not there, or not as expected",
  INJECTION: "a registration is missing or wrong",
  DISPOSAL: "a part of a scope could not be let go of",
} as const;

/** A stable, machine-readable cause; the keys of {@link ERROR_CODES}. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** What an error is about; every part but `message` may be absent. */
export interface ErrorDetails {
  /** What happened, in one sentence without the path and the value. */
  readonly message: string;
  /** The field it is about, from the outside in: `layout.registers[3].offset`. */
  readonly path?: string;
  /** The value that was refused, as it was received. */
  readonly value?: unknown;
  /** What the caller can do about it. */
  readonly hint?: string;
  /** The error beneath this one. */
  readonly cause?: unknown;
}

/**
 * The error that every public function of the project throws.
 *
 * `message` reads `path: what happened (got value); hint`; the parts stand in the properties.
 */
export class VirtioError extends Error {
  /** The name that stands before the message in a stack trace. */
  override readonly name: string = "VirtioError";
  /** The stable cause, see {@link ERROR_CODES}. */
  readonly code: ErrorCode;
  /** The path of the field, or `undefined` when the error is about no field. */
  readonly path: string | undefined;
  /** The offending value, or `undefined`. */
  readonly value: unknown;
  /** What to do, or `undefined`. */
  readonly hint: string | undefined;

  /** Makes an error of `code`; `details.message` says what happened. */
  constructor(code: ErrorCode, details: ErrorDetails) {
    const where = details.path === undefined ? "" : `${details.path}: `;
    const got = "value" in details ? ` (got ${describeValue(details.value)})` : "";
    const hint = details.hint === undefined ? "" : `; ${details.hint}`;
    super(
      `${where}${details.message}${got}${hint}`,
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.code = code;
    this.path = details.path;
    this.value = details.value;
    this.hint = details.hint;
  }
}

/** True when `error` is a {@link VirtioError}, and of `code` when one is given. */
export function isVirtioError(error: unknown, code?: ErrorCode): error is VirtioError {
  return error instanceof VirtioError && (code === undefined || error.code === code);
}

const LONGEST_VALUE = 80;

function describeValue(value: unknown): string {
  if (typeof value === "number" && Number.isInteger(value) && value > 9) {
    return `${value} = 0x${value.toString(16)}`;
  }
  if (typeof value === "bigint") return `0x${value.toString(16)}`;
  let text: string;
  try {
    text = typeof value === "string" ? JSON.stringify(value) : String(value);
  } catch {
    text = Object.prototype.toString.call(value);
  }
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text;
}
