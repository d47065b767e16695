/**
 * The command lists as the driver half knows them: what the device reported, and what LIST_USE
 * settled, for each group type on its own ("Group administration commands").
 */
import { VirtioError } from "../errors.ts";
import { SELF_GROUP } from "../group/self.ts";
import { decodeOpcodeList, INITIAL_OPCODES } from "./commands/list.ts";
import type { Dialect } from "./dialect.ts";
import type { PendingCommand } from "./pending.ts";

/** Where the lists of a client stand that has one for all groups. */
const ALL_GROUPS = SELF_GROUP.id;

/** The lists of an {@link AdminClient}. */
export class ClientLists {
  readonly #format: Dialect;
  readonly #reported = new Map<number, Set<number>>();
  readonly #used = new Map<number, Set<number>>();
  /** What the device reported last: it may be asked again and again, and has little new to tell. */
  readonly #latestReports = new Map<number, Uint8Array>();

  constructor(format: Dialect) {
    this.#format = format;
  }

  /** The group type whose list holds for a group type. */
  listOf(group: number): number {
    return this.#format.oneList ? ALL_GROUPS : group;
  }

  /** The opcodes that were reported, ascending; `undefined` before the first report. */
  reported(group: number): readonly number[] | undefined {
    const reported = this.#reported.get(this.listOf(group));
    return reported === undefined ? undefined : [...reported].sort((a, b) => a - b);
  }

  /** The opcodes that may be sent, ascending. */
  used(group: number): readonly number[] {
    const used = this.#used.get(this.listOf(group)) ?? INITIAL_OPCODES;
    return [...used].sort((a, b) => a - b);
  }

  /** Whether a command may be sent. */
  allow(opcode: number, group: number): boolean {
    const used = this.#used.get(this.listOf(group));
    return used === undefined ? INITIAL_OPCODES.includes(opcode) : used.has(opcode);
  }

  /** The error of a command that they do not {@link allow}. */
  unlisted(opcode: number, label: string): VirtioError {
    const { listUse } = this.#format;
    return new VirtioError("ADMIN_LIST", {
      path: label,
      message: `the command is not in the list that ${listUse.name} settled for its group type`,
      value: opcode,
      hint: "call listUse with it first",
    });
  }

  /** Why the lists do not allow this command, if they do not. */
  refusal(command: PendingCommand): VirtioError | undefined {
    const { opcode, uses, group, unchecked } = command;
    if (unchecked) return undefined;
    if (!this.allow(opcode, group)) return this.unlisted(opcode, command.label);
    return uses === undefined ? undefined : this.#unreported(command, uses);
  }

  /** What a command that succeeded tells, if it is one of the list commands. */
  learn(command: PendingCommand, result: Uint8Array): void {
    const { opcode, uses } = command;
    const { listQuery, oneList } = this.#format;
    const list = this.listOf(command.group);
    if (uses !== undefined) {
      this.#used.set(list, new Set(oneList ? [...INITIAL_OPCODES, ...uses] : uses));
    }
    if (opcode !== listQuery.opcode || isSame(result, this.#latestReports.get(list))) return;
    this.#latestReports.set(list, result.slice());
    const known = this.#reported.get(list) ?? new Set();
    for (const reported of decodeOpcodeList(result)) known.add(reported);
    this.#reported.set(list, known);
  }

  #unreported(command: PendingCommand, uses: readonly number[]): VirtioError | undefined {
    const reported = this.#reported.get(this.listOf(command.group));
    const unknown = uses.find((wanted) => reported?.has(wanted) !== true);
    if (unknown === undefined) return undefined;
    return new VirtioError("ADMIN_LIST", {
      path: command.label,
      message: `${this.#format.listQuery.name} has not reported this opcode for the group type`,
      value: unknown,
      hint: reported === undefined ? "call listQuery first" : "leave it out",
    });
  }
}

function isSame(bytes: Uint8Array, others: Uint8Array | undefined): boolean {
  if (others?.length !== bytes.length) return false;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== others[i]) return false;
  return true;
}
