/** How a command can end, and what the status fields of each dialect make of it. */
import {
  ADMIN_STATUS,
  type AdminOutcome,
  type AdminQualifierName,
  type AdminStatusName,
  DIALECTS,
  type DialectName,
  OUTCOME,
  outcome,
  qualifierName,
  qualifierOf,
  statusName,
  statusOf,
} from "@virtio-admin/core";

/** One way to end. */
export interface OutcomeRow {
  /** Status and qualifier, as handlers and errors name them. */
  readonly outcome: string;
  /** The two status fields by dialect. */
  readonly answers: Readonly<Record<DialectName, readonly [status: number, detail: number]>>;
}

/** The qualifiers of EINVAL, each of which a check fails with. */
const INVALID: readonly AdminQualifierName[] = [
  "INVALID_OPCODE",
  "INVALID_GROUP",
  "INVALID_MEMBER",
  "INVALID_FIELD",
  "INVALID_COMMAND",
];
/** The statuses that have another qualifier than INVALID_COMMAND. */
const QUALIFIED: readonly AdminOutcome[] = [OUTCOME.TRY_AGAIN, outcome("ENOSPC", "NORESOURCE")];

/** Every way to end that this project's devices know. */
export function outcomeRows(): readonly OutcomeRow[] {
  const others = Object.keys(ADMIN_STATUS)
    .filter((name) => name !== "OK" && name !== "EINVAL")
    .map((name) => {
      const plain = outcome(name as AdminStatusName);
      return QUALIFIED.find((known) => statusOf(known) === statusOf(plain)) ?? plain;
    });
  const all = [OUTCOME.OK, ...INVALID.map((name) => outcome("EINVAL", name)), ...others];
  return all.map((one) => {
    const answer = (dialect: DialectName) => {
      const { status, detail } = DIALECTS[dialect].answerOf(one);
      return [status, detail] as const;
    };
    return {
      outcome: `${statusName(statusOf(one))}, ${qualifierName(qualifierOf(one))}`,
      answers: { "virtio-1.4": answer("virtio-1.4"), "proposal-v5": answer("proposal-v5") },
    };
  });
}
