/**
 * The command lists of an owner: which opcodes it supports and which ones the driver uses, for
 * each group type on its own ("Group administration commands").
 */
import { refuseState, type StateChange } from "../device/saved-state.ts";
import { SELF_GROUP } from "../group/self.ts";
import { encodeOpcodeList, opcodeListLength } from "./commands/list.ts";
import type { SavedLists } from "./saved-state.ts";
import type {
  AdminCommand,
  CommandFamily,
  CommandHandler,
  FamilyBinding,
  ListRefusal,
  OwnerLists,
} from "./types.ts";

/** A command with what an owner needs to carry it out. */
export interface BoundCommand {
  /** The declaration. */
  readonly command: AdminCommand;
  /** The family it belongs to. */
  readonly family: CommandFamily;
  /** The family at work for the owner. */
  readonly binding: FamilyBinding;
  /** What carries it out. */
  readonly handler: CommandHandler;
  /** How many bytes of result are zeroed before it runs. */
  readonly resultRoom: number;
  /** How many bytes of result there are at least, of the declaration. */
  readonly shortestResult: number;
  /** Whether the command names a member, of the declaration. */
  readonly usesMember: boolean;
}

/** True when `command` is for groups of this type. */
export function appliesTo(command: AdminCommand, groupType: number): boolean {
  return command.groups === "any" || command.groups.includes(groupType);
}

/** The lists of one group type. Both are indexed by opcode; 1 means that the opcode is in. */
export interface GroupLists {
  /** The group type; Self where there is one list for all. */
  readonly groupType: number;
  /** The group types that they are for: one, or all. */
  readonly groupTypes: number[];
  /** What LIST_QUERY reports. Only ever grows. */
  readonly supported: Uint8Array;
  /** What the driver may send. */
  readonly used: Uint8Array;
  /** True from the first successful LIST_USE until the device is reset. */
  settled: boolean;
  /** {@link supported} as LIST_QUERY answers it; `undefined` until it is asked for again. */
  report: ListReport | undefined;
}

/** The answer to a LIST_QUERY, kept: a driver may ask for it again and again. */
interface ListReport {
  /** The list on the wire, whole words. */
  readonly words: DataView;
  /** How many bytes it has: a view's own length is a call. */
  readonly length: number;
  /** The commands that are not in it and may come up. */
  readonly unlisted: readonly BoundCommand[];
}

/** The lists of all group types that an owner knows. */
export class CommandLists implements OwnerLists {
  readonly #commands: BoundCommand[] = [];
  readonly #bindings = new Set<FamilyBinding>();
  readonly #initial: readonly number[];
  readonly #alsoListed: (bound: BoundCommand, groupType: number) => boolean;
  /** One list for all group types, from which the initial opcodes are never missing. */
  readonly #oneList: boolean;
  readonly #length: number;
  readonly #groups = new Map<number, GroupLists>();
  /** The lists that were asked for last. */
  #reported: GroupLists | undefined;

  /**
   * Makes lists without commands and groups.
   *
   * @param length the largest opcode there will be, and one
   * @param initial the opcodes that are legal after a reset
   * @param alsoListed what a tolerance lists beyond the group types a command applies to
   * @param oneList true for one list that holds for all group types, and always the opcodes that
   * are legal after a reset
   */
  constructor(
    length: number,
    initial: readonly number[],
    alsoListed: (bound: BoundCommand, groupType: number) => boolean,
    oneList = false,
  ) {
    this.#oneList = oneList;
    this.#length = length;
    this.#initial = initial;
    this.#alsoListed = alsoListed;
  }

  /** Adds a command. */
  addCommand(bound: BoundCommand): void {
    this.#commands.push(bound);
    this.#bindings.add(bound.binding);
  }

  /** Adds a group type, or returns what is there. */
  add(groupType: number): GroupLists {
    const known = this.#groups.get(groupType);
    if (known !== undefined) return known;
    const [shared] = this.#oneList ? this.#groups.values() : [];
    if (shared !== undefined) {
      shared.groupTypes.push(groupType);
      shared.report = undefined;
      this.#groups.set(groupType, shared);
      return shared;
    }
    const lists: GroupLists = {
      groupType: this.#oneList ? SELF_GROUP.id : groupType,
      groupTypes: [groupType],
      supported: new Uint8Array(this.#length),
      used: new Uint8Array(this.#length),
      settled: false,
      report: undefined,
    };
    this.#groups.set(groupType, lists);
    this.#restore(lists);
    return lists;
  }

  /** See {@link OwnerLists.supported}. */
  supported(groupType: number): readonly number[] {
    const lists = this.#groups.get(groupType);
    if (lists === undefined) return [];
    lists.supported.set(this.#offered(lists));
    lists.report = undefined;
    return opcodesOf(lists.supported);
  }

  /** See {@link OwnerLists.longestReport}. */
  get longestReport(): number {
    return opcodeListLength([this.#length - 1]);
  }

  /** See {@link OwnerLists.report}. Hot path: while nothing comes up, nothing is allocated. */
  report(groupType: number, target: DataView): number {
    let lists = this.#reported;
    if (lists?.groupType !== groupType) {
      lists = this.#groups.get(groupType);
      if (lists === undefined) return 0;
      this.#reported = lists;
    }
    let report = lists.report;
    if (report === undefined || this.#cameUp(lists, report.unlisted)) {
      report = this.#makeReport(lists);
    }
    const { words, length } = report;
    for (let at = 0; at < length; at += 4) {
      target.setUint32(at, words.getUint32(at, true), true);
    }
    return length;
  }

  /** See {@link OwnerLists.used}. */
  used(groupType: number): readonly number[] {
    const lists = this.#groups.get(groupType);
    return lists === undefined ? [] : opcodesOf(lists.used);
  }

  /** See {@link OwnerLists.use}. */
  use(groupType: number, opcodes: readonly number[]): ListRefusal | undefined {
    const lists = this.#groups.get(groupType);
    if (lists === undefined) return "unsupported opcode";
    const offered = this.#offered(lists);
    if (opcodes.some((opcode) => offered[opcode] !== 1)) return "unsupported opcode";
    if (this.#unmet(lists, opcodes) !== undefined) return "unmet dependency";
    lists.supported.set(offered);
    lists.report = undefined;
    lists.used.fill(0);
    for (const opcode of opcodes) lists.used[opcode] = 1;
    for (const opcode of this.#permanent) lists.used[opcode] = 1;
    lists.settled = true;
    return undefined;
  }

  /** Device reset: only the initial commands are legal; what is supported stays supported. */
  reset(): void {
    for (const lists of this.#groups.values()) this.#restore(lists);
  }

  /** The lists of every group type as they are now. */
  save(): SavedLists[] {
    return this.#all.map(({ groupType, supported, used, settled }) => ({
      groupType,
      supported: opcodesOf(supported),
      used: opcodesOf(used),
      settled,
    }));
  }

  /**
   * Checks whether these lists can take saved ones, and changes nothing.
   *
   * @throws VirtioError `SNAPSHOT` when a group type is missing or too many, an opcode is not
   * supported here, or LIST_USE could not have settled the list
   */
  prepare(saved: readonly SavedLists[], path: string): StateChange[] {
    const all = this.#all;
    if (saved.length !== all.length) {
      const message = `the owner here has lists for ${all.length} group types`;
      throw refuseState(path, message, { value: saved.length });
    }
    const seen = new Set<GroupLists>();
    return saved.map((one, i) => {
      const lists = all.find(({ groupType }) => groupType === one.groupType);
      if (lists === undefined || seen.has(lists)) {
        const message = "the owner here has no lists for this group type, or it stands here twice";
        throw refuseState(`${path}[${i}].groupType`, message, { value: one.groupType });
      }
      seen.add(lists);
      return this.#prepareOne(lists, one, `${path}[${i}]`);
    });
  }

  #prepareOne(lists: GroupLists, saved: SavedLists, path: string): StateChange {
    const offered = this.#offered(lists);
    for (const name of ["supported", "used"] as const) {
      saved[name].forEach((opcode, i) => {
        if (offered[opcode] === 1) return;
        const where = `${path}.${name}[${i}]`;
        throw refuseState(where, "the owner here does not support this opcode", { value: opcode });
      });
    }
    const initial = [...this.#initial].sort((a, b) => a - b);
    const missing = this.#permanent.find((opcode) => !saved.used.includes(opcode));
    if (missing !== undefined) {
      throw refuseState(`${path}.used`, "no list can leave this opcode out", { value: missing });
    }
    const unmet = saved.settled
      ? this.#unmet(lists, saved.used)
      : saved.used.join() === initial.join()
        ? undefined
        : "these are not the opcodes that are legal before LIST_USE";
    if (unmet !== undefined) throw refuseState(`${path}.used`, unmet, { value: saved.used });
    const before = {
      supported: lists.supported.slice(),
      used: lists.used.slice(),
      settled: lists.settled,
    };
    return {
      apply: () => {
        for (const opcode of saved.supported) lists.supported[opcode] = 1;
        lists.report = undefined;
        lists.used.fill(0);
        for (const opcode of saved.used) lists.used[opcode] = 1;
        lists.settled = saved.settled;
      },
      undo: () => {
        lists.supported.set(before.supported);
        lists.report = undefined;
        lists.used.set(before.used);
        lists.settled = before.settled;
      },
    };
  }

  #cameUp(lists: GroupLists, unlisted: readonly BoundCommand[]): boolean {
    for (let i = 0; i < unlisted.length; i++) {
      if (this.#isOfferedFor(lists, unlisted[i] as BoundCommand)) return true;
    }
    return false;
  }

  #makeReport(lists: GroupLists): ListReport {
    const { supported, groupTypes } = lists;
    supported.set(this.#offered(lists));
    const unlisted = this.#commands.filter(
      (bound) =>
        supported[bound.command.opcode] === 0 &&
        groupTypes.some((groupType) => this.#isListed(bound, groupType)),
    );
    const words = new DataView(encodeOpcodeList(opcodesOf(supported)).buffer);
    lists.report = { words, length: words.byteLength, unlisted };
    return lists.report;
  }

  /** What LIST_QUERY reports now: what it reported before, and what came up since. */
  #offered(lists: GroupLists): Uint8Array {
    const offered = lists.supported.slice();
    for (const bound of this.#commands) {
      const { opcode } = bound.command;
      if (offered[opcode] === 0 && this.#isOfferedFor(lists, bound)) offered[opcode] = 1;
    }
    return offered;
  }

  #isOfferedFor({ groupTypes }: GroupLists, bound: BoundCommand): boolean {
    const { command, binding } = bound;
    for (let i = 0; i < groupTypes.length; i++) {
      const groupType = groupTypes[i] as number;
      if (!this.#isListed(bound, groupType)) continue;
      if (binding.supports?.(command, groupType) !== false) return true;
    }
    return false;
  }

  /** Whether the command can be in the list for a group type. */
  #isListed(bound: BoundCommand, groupType: number): boolean {
    return appliesTo(bound.command, groupType) || this.#alsoListed(bound, groupType);
  }

  /** Why the commands of this list do not go together, or `undefined`. */
  #unmet({ groupTypes }: GroupLists, opcodes: readonly number[]): string | undefined {
    const wanted = new Set([...opcodes, ...this.#permanent]);
    const uses = (opcode: number) => wanted.has(opcode);
    for (const groupType of groupTypes) {
      for (const binding of this.#bindings) {
        const why = binding.refuseList?.(groupType, uses);
        if (why !== undefined) return why;
      }
    }
    return undefined;
  }

  /** Every list once. */
  get #all(): readonly GroupLists[] {
    return [...new Set(this.#groups.values())];
  }

  /** What no list leaves out. */
  get #permanent(): readonly number[] {
    return this.#oneList ? this.#initial : [];
  }

  #restore(lists: GroupLists): void {
    lists.used.fill(0);
    for (const opcode of this.#initial) lists.used[opcode] = 1;
    lists.settled = false;
  }
}

function opcodesOf(list: Uint8Array): number[] {
  const opcodes: number[] = [];
  for (let opcode = 0; opcode < list.length; opcode++) if (list[opcode] !== 0) opcodes.push(opcode);
  return opcodes;
}
