/**
 * The device half of administration commands: takes a command, checks it, carries it out and
 * answers. Hot path: dispatch is by array, and nothing is allocated for a command that need not
 * wait.
 */
import {
  inOrder,
  prepareHook,
  refuseState,
  type StateChange,
  saveHook,
} from "../device/saved-state.ts";
import { VirtioError } from "../errors.ts";
import { SELF_GROUP } from "../group/self.ts";
import { SR_IOV_GROUP } from "../group/sr-iov.ts";
import type { DeviceGroup } from "../group/types.ts";
import type { TraceSink } from "../trace/types.ts";
import { INITIAL_OPCODES } from "./commands/list.ts";
import { type Dialect, LONGEST_PART } from "./dialect.ts";
import type { DialectName } from "./dialect-name.ts";
import { dialectOf } from "./dialects.ts";
import { familiesIn, groupsIn } from "./executor-dialect.ts";
import { appliesTo, type BoundCommand, CommandLists, type GroupLists } from "./lists.ts";
import type { AdminState } from "./saved-state.ts";
import { type AdminOutcome, OUTCOME, statusOf } from "./status.ts";
import { CAPABILITY_FAMILY_NAME, STRICT, type Tolerances } from "./tolerances.ts";
import type {
  AdminCommand,
  AdminOwner,
  CommandFamily,
  CommandHandler,
  FamilyBinding,
} from "./types.ts";
import { CommandWork, KEPT_CAPACITY } from "./work.ts";

/** Opcodes from here on may have another structure; none is served. */
const OPCODE_LIMIT = 0x8000;
/** How many cancelled handlers may still be running before the device asks to try again. */
const MOST_ABANDONED = 256;
const WORD_BYTES = 8;

/** What an {@link AdminExecutor} is made from. */
export interface AdminExecutorOptions {
  /** The groups that the owner controls, at most one of each type. */
  readonly groups: readonly DeviceGroup[];
  /** The command families, beyond the list commands that every owner has. */
  readonly families?: readonly CommandFamily[];
  /**
   * The wire format, `virtio-1.4` when absent. An owner has one for its whole life. In
   * `proposal-v5`, a reconstruction, the only groups are Self and the one of type 1 (SR-IOV), which
   * the owner is a member of under id 0; `MANAGEMENT_FAMILY` has the numbers 0x0002 to 0x0006.
   */
  readonly dialect?: DialectName;
  /** Departures from the text of virtio 1.4 that are put up with; none when absent. */
  readonly tolerances?: Tolerances;
  /** Where the events of commands go that came through no queue with a sink of its own. */
  readonly trace?: TraceSink | undefined;
  /**
   * Called when a handler or a family's reset throws; the driver sees `EIO`. Must not throw.
   */
  readonly onFault?: (error: unknown, command: AdminCommand | undefined) => void;
}

/** What there is for one group type: the commands that apply, by opcode, and the lists. */
interface GroupState {
  readonly groupType: number;
  readonly group: DeviceGroup;
  readonly commands: readonly (BoundCommand | undefined)[];
  readonly lists: GroupLists;
}

/**
 * Carries out the administration commands of one owner device, whatever interface they come
 * through ("Group administration commands").
 *
 * A command is checked in the order the text asks for: group type, opcode, then member id if the
 * command uses it. In proposal-v5 the command comes first, then its destination. Every check fails
 * with EINVAL and changes nothing. Lengths never fail a command: what is missing reads as zero,
 * what is too much is not looked at.
 */
export class AdminExecutor {
  /** The wire format. */
  readonly dialect: DialectName;
  /** The groups of the owner. */
  readonly groups: readonly DeviceGroup[];
  /** The command families, the list commands first. */
  readonly families: readonly CommandFamily[];
  /** The tolerances that are on; none in another dialect than virtio-1.4. */
  readonly tolerances: Tolerances;
  /** Where events go, when anyone listens. */
  readonly trace: TraceSink | undefined;

  private readonly format: Dialect;
  private readonly lists: CommandLists;
  private readonly bindings: FamilyBinding[] = [];
  private readonly byOpcode: (BoundCommand | undefined)[] = [];
  /** The most data of each opcode. */
  private readonly dataLimits: Uint32Array;
  private readonly states: GroupState[] = [];
  private readonly onFault: AdminExecutorOptions["onFault"];
  /** The commands whose handlers are waiting. */
  private readonly waiting = new Set<CommandWork>();
  private abandoned = 0;

  /**
   * Makes the executor of one owner.
   *
   * @throws VirtioError `GROUP_INVALID` when two groups have one type, or the dialect cannot address
   * one; `FAMILY_INVALID` when two families have one name or opcode, an opcode is not 0..0x7fff or
   * the dialect's own, a command has no handler, or a family lacks what it {@link
   * CommandFamily.needs}; `VALUE_RANGE` for a dialect that there is not.
   */
  constructor(options: AdminExecutorOptions) {
    this.format = dialectOf(options.dialect);
    this.dialect = this.format.name;
    this.groups = options.groups;
    this.families = familiesIn(this.format, options.families ?? []);
    checkFamilies(this.families);
    checkNeeds(this.families);
    // A tolerance is for what stock drivers do, and those speak virtio-1.4.
    this.tolerances = this.dialect === "virtio-1.4" ? (options.tolerances ?? STRICT) : STRICT;
    this.trace = options.trace;
    this.onFault = options.onFault;
    const opcodes = this.families.flatMap(({ commands }) => commands.map((c) => c.opcode));
    const length = 1 + Math.max(...opcodes);
    this.dataLimits = new Uint32Array(length);
    this.lists = new CommandLists(
      length,
      INITIAL_OPCODES,
      (bound, groupType) => this.listedByTolerance(bound, groupType),
      this.format.oneList,
    );
    const groups = groupsIn(this.format, this.groups);
    const owner: AdminOwner = {
      groups,
      group: (type) => groups.find((group) => group.type.id === type),
      lists: this.lists,
    };
    for (const family of this.families) this.bind(family, owner);
    for (const group of groups) this.addGroup(group);
    if (this.tolerances.T1 === true && owner.group(SR_IOV_GROUP.id) === undefined) {
      this.addGroup(ABSENT_SR_IOV);
    }
  }

  /** The opcodes that this executor supports for a group type, ascending. */
  supported(groupType: number): readonly number[] {
    return this.lists.supported(groupType);
  }

  /** The opcodes that the driver may use for a group type now, ascending. */
  used(groupType: number): readonly number[] {
    return this.lists.used(groupType);
  }

  /**
   * Carries out one command that lies in two runs of bytes.
   *
   * @param request the device-readable part; any length
   * @param response the device-writable part, filled from its start; any length
   * @returns how many bytes of `response` were written; a promise of it when the handler waits.
   * The promise never rejects; for a command that a reset cancelled it resolves to 0.
   */
  execute(request: Uint8Array, response: Uint8Array): number | Promise<number> {
    let settle: ((written: number) => void) | undefined;
    const work = new CommandWork(-1, () => settle?.(this.answer(work, response)));
    work.trace = this.trace;
    const { commandHeaderLength } = this.format;
    const header = new Uint8Array(commandHeaderLength);
    header.set(request.subarray(0, commandHeaderLength));
    this.decode(work, new DataView(header.buffer), 0);
    const limit = this.dataLimit(work.opcode);
    const data = request.subarray(commandHeaderLength, commandHeaderLength + limit);
    const end = Math.min(limit, Math.max(KEPT_CAPACITY, data.length));
    const room = work.reserveData(end);
    room.set(data);
    room.fill(0, data.length, end);
    work.dataLength = data.length;
    work.resultRoom = Math.max(0, response.length - this.format.responseHeaderLength);
    if (this.start(work)) return this.answer(work, response);
    return new Promise<number>((resolve) => {
      settle = resolve;
      work.onCancel(() => resolve(0));
    });
  }

  /**
   * The device was reset: running handlers are cancelled, every list is back to the two list
   * commands, and every family forgets its state. The admin queues call it.
   */
  reset(): void {
    for (const work of [...this.waiting]) this.cancel(work);
    this.lists.reset();
    for (const binding of this.bindings) {
      try {
        binding.reset?.();
      } catch (error) {
        this.onFault?.(error, undefined);
      }
    }
  }

  /**
   * The state that a driver has set: the lists, and what the families save.
   *
   * @throws VirtioError `SNAPSHOT_BUSY` while a command is under way
   */
  saveState(path: string = "admin"): AdminState {
    if (this.waiting.size > 0) {
      throw new VirtioError("SNAPSHOT_BUSY", {
        path,
        message: "administration commands are under way",
        value: this.waiting.size,
        hint: "let them be answered before the snapshot",
      });
    }
    return {
      dialect: this.dialect,
      lists: this.lists.save(),
      families: this.families.flatMap(({ name }, i) => {
        const { state } = saveHook("state", this.bindings[i], `${path}.families.${name}`);
        return state === undefined ? [] : [{ name, state }];
      }),
    };
  }

  /**
   * Checks whether this executor can take a state of the right form, and changes nothing.
   *
   * @throws VirtioError `SNAPSHOT` when it cannot, or a command is under way
   */
  prepareState(state: AdminState, path: string = "admin"): StateChange {
    if (this.waiting.size > 0) {
      throw refuseState(path, "administration commands are under way here", {
        value: this.waiting.size,
      });
    }
    if (state.dialect !== this.dialect) {
      const message = `the owner here speaks ${this.dialect}`;
      throw refuseState(`${path}.dialect`, message, { value: state.dialect });
    }
    const saved = new Map(state.families.map(({ name, state }) => [name, state]));
    state.families.forEach(({ name }, i) => {
      if (saved.size === state.families.length && this.families.some((f) => f.name === name))
        return;
      const message = "the owner here has no such command family, or one stands here twice";
      throw refuseState(`${path}.families[${i}].name`, message, { value: name });
    });
    const families = this.families.map(({ name }, i) =>
      prepareHook({
        hook: this.bindings[i],
        value: saved.get(name),
        path: `${path}.families.${name}`,
      }),
    );
    return inOrder([
      ...this.lists.prepare(state.lists, `${path}.lists`),
      ...families.filter((change) => change !== undefined),
    ]);
  }

  /** @internal Reads the header at `at` into `work`. */
  decode(work: CommandWork, view: DataView, at: number): void {
    this.format.decodeCommand(view, at, work);
  }

  /** @internal Writes the outcome of `work` as the response header at `at`. */
  encode(work: CommandWork, view: DataView, at: number): void {
    this.format.encodeOutcome(view, at, work.outcome);
  }

  /** @internal The length of the readable header. */
  get commandHeaderLength(): number {
    return this.format.commandHeaderLength;
  }

  /** @internal The length of the writable header. */
  get responseHeaderLength(): number {
    return this.format.responseHeaderLength;
  }

  /** @internal How many bytes of data are copied for this opcode. */
  dataLimit(opcode: number): number {
    return opcode < this.dataLimits.length ? (this.dataLimits[opcode] as number) : 0;
  }

  /**
   * @internal Carries out a command whose header and data are in `work`. True when `work.outcome`
   * is there; otherwise `work.whenDone` is called later, unless the work is cancelled before.
   */
  start(work: CommandWork): boolean {
    const { opcode, groupType } = work;
    work.resultLength = 0;
    work.tolerance = undefined;
    const state = this.stateOf(groupType);
    if (state === undefined) return this.refuse(work, OUTCOME.INVALID_GROUP);
    if (!state.group.exists && !this.toleratesAbsent(work)) {
      return this.refuse(work, OUTCOME.INVALID_GROUP);
    }
    const bound = opcode < state.commands.length ? state.commands[opcode] : undefined;
    if (
      bound === undefined ||
      (state.lists.used[opcode] === 0 && !this.toleratesUnlisted(work, bound, state.lists))
    ) {
      return this.refuse(work, OUTCOME.INVALID_OPCODE);
    }
    work.command = bound.command;
    work.group = state.group;
    work.reserveResult(bound.resultRoom);
    work.resultLength = bound.shortestResult;
    if (bound.usesMember === true && !state.group.hasMember(work.memberId)) {
      return this.finish(work, OUTCOME.INVALID_MEMBER);
    }
    if (this.abandoned >= MOST_ABANDONED) return this.finish(work, OUTCOME.TRY_AGAIN);
    try {
      const result = bound.handler(work);
      if (typeof result === "number") return this.finish(work, result);
      this.await(work, result);
      return false;
    } catch (error) {
      return this.fault(work, error);
    }
  }

  /** @internal Nobody waits for this command any more; its handler's answer is dropped. */
  cancel(work: CommandWork): void {
    if (this.waiting.delete(work)) this.abandoned++;
    work.cancel();
  }

  /** @internal The length of the response in bytes, header included: always a multiple of 8. */
  responseLength(work: CommandWork): number {
    return this.format.responseHeaderLength + roundUp(work.resultLength);
  }

  private await(work: CommandWork, result: PromiseLike<AdminOutcome>): void {
    // A reset from inside the handler cancels the command before it is known to wait.
    if (work.cancelled) this.abandoned++;
    else this.waiting.add(work);
    const settled = (finish: () => void): void => {
      if (work.cancelled) {
        this.abandoned--;
        return;
      }
      this.waiting.delete(work);
      finish();
      work.whenDone();
    };
    Promise.resolve(result).then(
      (answer) => settled(() => this.finish(work, answer)),
      (error: unknown) => settled(() => this.fault(work, error)),
    );
  }

  private fault(work: CommandWork, error: unknown): true {
    this.onFault?.(error, work.command);
    return this.finish(work, OUTCOME.FAILED);
  }

  private finish(work: CommandWork, result: AdminOutcome): true {
    if (result === 0) work.endResult();
    else work.outcome = this.failure(work, result);
    if (work.trace !== undefined) this.emit(work, work.trace);
    return true;
  }

  /** What is answered when a handler returns this, which is not success. */
  private failure(work: CommandWork, result: AdminOutcome): AdminOutcome {
    // What a handler wrote before it failed is not shown; the structure is there, all zero.
    if (work.resultLength > 0) {
      work.resultLength = work.command.result.min;
      work.clearResult();
    } else {
      work.resultLength = 0;
    }
    if (result >>> 0 === result && statusOf(result) !== 0) return result;
    this.onFault?.(
      new VirtioError("FAMILY_INVALID", {
        path: work.command.name,
        message: "the handler returned no outcome",
        value: result,
      }),
      work.command,
    );
    return OUTCOME.FAILED;
  }

  /**
   * Ends a command that is not legal for its destination. Where the command is looked at first, it
   * is at fault unless it is legal for another destination.
   */
  private refuse(work: CommandWork, result: AdminOutcome): true {
    if (!this.format.commandFirst) return this.finish(work, result);
    const isLegal = this.states.some(({ lists }) => lists.used[work.opcode] === 1);
    return this.finish(work, isLegal ? OUTCOME.INVALID_GROUP : OUTCOME.INVALID_OPCODE);
  }

  private emit(work: CommandWork, trace: TraceSink): void {
    const bound = work.opcode < this.byOpcode.length ? this.byOpcode[work.opcode] : undefined;
    const { reconstruction, label } = this.format;
    const { status, detail } = this.format.answerOf(work.outcome);
    trace.emit({
      op: "command",
      ...(work.queue < 0 ? {} : { queue: work.queue }),
      opcode: work.opcode,
      ...(bound === undefined ? {} : { name: bound.command.name }),
      group: work.groupType,
      member: Math.min(work.memberId, Number.MAX_SAFE_INTEGER),
      status,
      qualifier: detail,
      ...(reconstruction ? { dialect: label } : {}),
      ...(work.tolerance === undefined ? {} : { tolerance: work.tolerance }),
    });
  }

  private answer(work: CommandWork, response: Uint8Array): number {
    const whole = new Uint8Array(this.responseLength(work));
    const { responseHeaderLength } = this.format;
    this.format.encodeOutcome(new DataView(whole.buffer), 0, work.outcome);
    whole.set(
      work.resultBytes.subarray(0, whole.length - responseHeaderLength),
      responseHeaderLength,
    );
    const written = Math.min(whole.length, response.length);
    response.set(whole.subarray(0, written));
    return written;
  }

  private stateOf(groupType: number): GroupState | undefined {
    const { states } = this;
    for (let i = 0; i < states.length; i++) {
      const state = states[i] as GroupState;
      if (state.groupType === groupType) return state;
    }
    return undefined;
  }

  private toleratesAbsent(work: CommandWork): boolean {
    if (this.tolerances.T1 !== true || work.groupType !== SR_IOV_GROUP.id) return false;
    if (!INITIAL_OPCODES.includes(work.opcode)) return false;
    work.tolerance = "T1";
    return true;
  }

  private toleratesUnlisted(work: CommandWork, bound: BoundCommand, lists: GroupLists): boolean {
    if (this.tolerances.T2 !== true || work.groupType !== SELF_GROUP.id) return false;
    if (bound.family.name !== CAPABILITY_FAMILY_NAME || lists.settled) return false;
    work.tolerance = "T2";
    return true;
  }

  private listedByTolerance(bound: BoundCommand, groupType: number): boolean {
    return (
      this.tolerances.T2 === true &&
      groupType === SR_IOV_GROUP.id &&
      bound.family.name === CAPABILITY_FAMILY_NAME
    );
  }

  private bind(family: CommandFamily, owner: AdminOwner): void {
    const binding = family.bind(owner);
    this.bindings.push(binding);
    for (const command of family.commands) {
      const handler = binding.handlers[command.opcode];
      if (handler === undefined) {
        throw new VirtioError("FAMILY_INVALID", {
          path: `families.${family.name}.${command.name}`,
          message: "the command has no handler",
          value: command.opcode,
          hint: "return a handler for every opcode from bind()",
        });
      }
      const isShared = command.groups === "any" || command.groups.length > 1;
      const needsGuard = this.format.oneList && isShared && binding.supports !== undefined;
      const handle = needsGuard ? supportedOnly(command, binding, handler) : handler;
      const longest = binding.longestResult?.(command) ?? command.result.max;
      const resultRoom = Math.min(longest, command.result.max, KEPT_CAPACITY);
      const bound: BoundCommand = {
        command,
        family,
        binding,
        handler: handle,
        resultRoom,
        shortestResult: command.result.min,
        usesMember: command.usesMember,
      };
      this.byOpcode[command.opcode] = bound;
      this.dataLimits[command.opcode] = command.data.max;
      this.lists.addCommand(bound);
    }
  }

  private addGroup(group: DeviceGroup): void {
    const groupType = group.type.id;
    if (this.stateOf(groupType) !== undefined) {
      throw new VirtioError("GROUP_INVALID", {
        path: "groups",
        message: "an owner has at most one group of a type",
        value: groupType,
        hint: "leave one of them out",
      });
    }
    const commands = Array.from(this.byOpcode, (bound) =>
      bound !== undefined && appliesTo(bound.command, groupType) ? bound : undefined,
    );
    this.states.push({ groupType, group, commands, lists: this.lists.add(groupType) });
  }
}

/**
 * A handler for owners with one list for all groups: a command in it may still not be supported for
 * the one that it is sent to.
 */
function supportedOnly(
  command: AdminCommand,
  binding: FamilyBinding,
  handler: CommandHandler,
): CommandHandler {
  return (call) =>
    binding.supports?.(command, call.group.type.id) === false
      ? OUTCOME.INVALID_GROUP
      : handler(call);
}

/** Stands for the SR-IOV group of a device that has none, under tolerance T1. */
const ABSENT_SR_IOV: DeviceGroup = {
  type: SR_IOV_GROUP,
  exists: false,
  memberCount: 0,
  hasMember: () => false,
};

function roundUp(length: number): number {
  return (length + WORD_BYTES - 1) & -WORD_BYTES;
}

/** A set of commands that the text has all of, or none, is there as a whole. */
function checkNeeds(families: readonly CommandFamily[]): void {
  const opcodes = new Set(families.flatMap(({ commands }) => commands.map((c) => c.opcode)));
  for (const { name, needs = [] } of families) {
    const missing = needs.find(({ opcode }) => !opcodes.has(opcode));
    if (missing === undefined) continue;
    throw new VirtioError("FAMILY_INVALID", {
      path: `families.${name}`,
      message: `the owner lacks ${missing.name}, which goes with this family`,
      value: missing.opcode,
      hint: "give it the family of that command too, or leave both out",
    });
  }
}

function checkFamilies(families: readonly CommandFamily[]): void {
  const names = new Set<string>();
  const owners = new Map<number, string>();
  for (const family of families) {
    if (names.has(family.name)) {
      throw new VirtioError("FAMILY_INVALID", {
        path: "families",
        message: "two command families have one name",
        value: family.name,
      });
    }
    names.add(family.name);
    for (const { opcode, name, data, result } of family.commands) {
      const path = `families.${family.name}.${name}`;
      if (!Number.isInteger(opcode) || opcode < 0 || opcode >= OPCODE_LIMIT) {
        throw new VirtioError("FAMILY_INVALID", {
          path: `${path}.opcode`,
          message: "an opcode is an integer from 0 to 0x7fff",
          value: opcode,
          hint: "opcodes from 0x8000 on may have another structure",
        });
      }
      const taken = owners.get(opcode);
      if (taken !== undefined) {
        throw new VirtioError("FAMILY_INVALID", {
          path: `${path}.opcode`,
          message: `the opcode is taken by family ${taken}`,
          value: opcode,
        });
      }
      owners.set(opcode, family.name);
      for (const range of [data, result]) {
        if (!(range.min >= 0 && range.min <= range.max && range.max <= LONGEST_PART)) {
          throw new VirtioError("FAMILY_INVALID", {
            path,
            message: "a length range has 0 <= min <= max <= 2^24",
            value: `${range.min}..${range.max}`,
          });
        }
      }
    }
  }
}
