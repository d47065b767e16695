/**
 * The status values and status qualifiers of group administration commands, and their pairing as
 * one number: the outcome, which is the first 32-bit word of a response on the wire.
 */

const CITE = "Basic Facilities of a Virtio Device / Device groups / Group administration commands";

/** What there is to know about one status value or status qualifier. */
export interface StatusEntry {
  /** The value on the wire, le16. */
  readonly value: number;
  /** What it stands for, in a few words. */
  readonly doc: string;
  /** The section that names it; "this project" where no text does. */
  readonly cite: string;
  /** True for a value that is in no table of the specification, so that a driver must treat it as reserved. */
  readonly reserved: boolean;
}

/** The name of a status value. */
export type AdminStatusName =
  | "OK"
  | "EIO"
  | "ENXIO"
  | "EAGAIN"
  | "ENOMEM"
  | "EBUSY"
  | "EEXIST"
  | "EINVAL"
  | "ENOSPC";

/** The name of a status qualifier. */
export type AdminQualifierName =
  | "OK"
  | "INVALID_COMMAND"
  | "INVALID_OPCODE"
  | "INVALID_FIELD"
  | "INVALID_GROUP"
  | "INVALID_MEMBER"
  | "NORESOURCE"
  | "TRYAGAIN";

/**
 * The status values by name; each is the Linux errno of the same name. `EEXIST` stands in the text
 * on resource objects alone, not in the table of status values. `EIO` is how this project's device
 * reports that it failed itself, which may have left the command half done: the table leaves
 * every other value open to "command error", and none of its own says that.
 */
export const ADMIN_STATUS: Readonly<Record<AdminStatusName, StatusEntry>> = {
  OK: { value: 0, doc: "the command completed successfully", cite: CITE, reserved: false },
  EIO: {
    value: 5,
    doc: "the device failed while it carried the command out",
    cite: "this project",
    reserved: true,
  },
  ENXIO: { value: 6, doc: "there is no such capability or resource", cite: CITE, reserved: false },
  EAGAIN: { value: 11, doc: "nothing happened, try again", cite: CITE, reserved: false },
  ENOMEM: { value: 12, doc: "nothing happened for lack of resources", cite: CITE, reserved: false },
  EBUSY: { value: 16, doc: "the device is busy", cite: CITE, reserved: false },
  EEXIST: {
    value: 17,
    doc: "the resource object exists already",
    cite: `${CITE} / Device resource objects`,
    reserved: false,
  },
  EINVAL: { value: 22, doc: "the command is invalid", cite: CITE, reserved: false },
  ENOSPC: {
    value: 28,
    doc: "the device's resources are exhausted",
    cite: CITE,
    reserved: false,
  },
};

/** The status qualifiers by name. */
export const ADMIN_QUALIFIER: Readonly<Record<AdminQualifierName, StatusEntry>> = {
  OK: { value: 0, doc: "used with status OK", cite: CITE, reserved: false },
  INVALID_COMMAND: { value: 1, doc: "no more is known", cite: CITE, reserved: false },
  INVALID_OPCODE: { value: 2, doc: "the opcode", cite: CITE, reserved: false },
  INVALID_FIELD: {
    value: 3,
    doc: "a field of the command's own data",
    cite: CITE,
    reserved: false,
  },
  INVALID_GROUP: { value: 4, doc: "the group type", cite: CITE, reserved: false },
  INVALID_MEMBER: { value: 5, doc: "the group member id", cite: CITE, reserved: false },
  NORESOURCE: {
    value: 6,
    doc: "internal resources are short, a retry may help",
    cite: CITE,
    reserved: false,
  },
  TRYAGAIN: {
    value: 7,
    doc: "the command would block for too long, a retry should help",
    cite: CITE,
    reserved: false,
  },
};

/**
 * How a command ended, as one number: the status in bits 0..15, the qualifier in bits 16..31, which
 * is the response's first word on the wire. 0 is success.
 */
export type AdminOutcome = number;

/** The outcome of this status and qualifier. */
export function outcome(
  status: AdminStatusName,
  qualifier: AdminQualifierName = status === "OK" ? "OK" : "INVALID_COMMAND",
): AdminOutcome {
  return (ADMIN_STATUS[status].value | (ADMIN_QUALIFIER[qualifier].value << 16)) >>> 0;
}

/** The outcomes that most commands have in common. */
export const OUTCOME = {
  /** Success. */
  OK: outcome("OK"),
  /** The group type is invalid. */
  INVALID_GROUP: outcome("EINVAL", "INVALID_GROUP"),
  /** The opcode is invalid for the group type, or not in the list in use. */
  INVALID_OPCODE: outcome("EINVAL", "INVALID_OPCODE"),
  /** The member id is invalid. */
  INVALID_MEMBER: outcome("EINVAL", "INVALID_MEMBER"),
  /** A field of the command's data is invalid. */
  INVALID_FIELD: outcome("EINVAL", "INVALID_FIELD"),
  /** Nothing happened; the driver should try again. */
  TRY_AGAIN: outcome("EAGAIN", "TRYAGAIN"),
  /** The device failed itself; state may have changed. */
  FAILED: outcome("EIO", "INVALID_COMMAND"),
} as const satisfies Readonly<Record<string, AdminOutcome>>;

/** The status of an outcome. */
export function statusOf(result: AdminOutcome): number {
  return result & 0xffff;
}

/** The qualifier of an outcome. */
export function qualifierOf(result: AdminOutcome): number {
  return result >>> 16;
}

const STATUS_NAMES = new Map<number, AdminStatusName>(
  Object.entries(ADMIN_STATUS).map(([name, { value }]) => [value, name as AdminStatusName]),
);
const QUALIFIER_NAMES = new Map<number, AdminQualifierName>(
  Object.entries(ADMIN_QUALIFIER).map(([name, { value }]) => [value, name as AdminQualifierName]),
);

/** The name of a status value, or `undefined` for one that has none. */
export function statusName(value: number): AdminStatusName | undefined {
  return STATUS_NAMES.get(value);
}

/** The name of a status qualifier, or `undefined` for a reserved one. */
export function qualifierName(value: number): AdminQualifierName | undefined {
  return QUALIFIER_NAMES.get(value);
}

/**
 * The status that a driver acts on: reserved values count as `EINVAL` (driver requirements of
 * "Group administration commands").
 */
export function effectiveStatus(value: number): AdminStatusName {
  const name = STATUS_NAMES.get(value);
  return name === undefined || ADMIN_STATUS[name].reserved ? "EINVAL" : name;
}

/** The qualifier that a driver acts on: reserved values count as `INVALID_COMMAND`. */
export function effectiveQualifier(value: number): AdminQualifierName {
  return QUALIFIER_NAMES.get(value) ?? "INVALID_COMMAND";
}
