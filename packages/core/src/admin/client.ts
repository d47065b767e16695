/**
 * The driver half of administration commands: one promise a command, over any number of
 * administration virtqueues. The thin layer over {@link AdminChannel}, which has no promises.
 */
import { hostTimer, type Timer } from "../clock.ts";
import { VirtioError } from "../errors.ts";
import { SELF_GROUP } from "../group/self.ts";
import { copyBytes } from "../memory/copy.ts";
import type { DmaAllocator } from "../memory/types.ts";
import { AdminBatch } from "./batch.ts";
import { AdminChannel, type AdminChannelOptions } from "./channel.ts";
import { decodeOpcodeList, encodeOpcodeList, INITIAL_OPCODES } from "./commands/list.ts";
import type { Dialect } from "./dialect.ts";
import type { DialectName } from "./dialect-name.ts";
import { dialectOf, opcodeIn } from "./dialects.ts";
import { AdminCommandError } from "./errors.ts";
import {
  type AdminExecuteOptions,
  type AdminReply,
  type AdminRequest,
  keyOf,
  PendingCommand,
  type RetryPolicy,
} from "./pending.ts";
import { effectiveStatus, statusOf } from "./status.ts";
import type { AdminCommand, AdminQueuePort, AdminQueueSource } from "./types.ts";

const DEFAULT_WAITING = 1024;
/** Repeats for about a second. */
const DEFAULT_RETRY: RetryPolicy = { attempts: 10, firstDelayMs: 1, maxDelayMs: 500 };
const FIRST_LIST_LENGTH = 64;
const LIST_GROWTH = 4;
const NO_BYTES = new Uint8Array(0);

/** Where the lists of a client stand that has one for all groups. */
const ALL_GROUPS = SELF_GROUP.id;

/** How an {@link AdminClient} works. */
export interface AdminClientOptions extends AdminChannelOptions {
  /** How many commands may wait for a slot, over all queues, before calls fail; 1024 when absent. */
  readonly maxWaiting?: number;
  /** What happens upon EAGAIN, unless a call says otherwise: ten repetitions within a second. */
  readonly retry?: RetryPolicy;
  /** Where deadlines and delays come from; the host's timers when absent. */
  readonly timer?: Timer;
  /**
   * Whether a group has a member of this id, as far as the driver knows (a `SriovDriver` does).
   * {@link AdminClient.executeCommand}, and so every typed client, sends no command to another one;
   * {@link AdminClient.execute} sends what it is given. Absent: the device tells.
   */
  readonly hasMember?: (group: number, member: number | bigint) => boolean;
}

/** One queue, its slots, and the command in each of them. */
interface Line {
  readonly channel: AdminChannel;
  readonly commands: (PendingCommand | undefined)[];
  /** The batch that a slot belongs to, where no command of its own is in it. */
  readonly batches: (AdminBatch | undefined)[];
  /** The key of the member that a slot of a batch is about; only with several queues. */
  readonly keys: (number | string)[];
  /** Something was submitted and not published. */
  dirty: boolean;
  /** Its breaking was noticed. */
  failed: boolean;
}

/** Where the commands of a member go while any of them is outstanding. */
interface Affinity {
  readonly line: Line;
  count: number;
}

/** Commands of a member that wait until an earlier one was repeated. */
interface Hold {
  /** How many earlier ones are being repeated. */
  count: number;
  readonly commands: PendingCommand[];
}

/**
 * Sends administration commands and settles a promise for each.
 *
 * - Commands to one member reach the device in the order of the calls. A command that is repeated
 *   after EAGAIN comes after those of its member that were with the device already; later ones
 *   wait for it. Commands to different members have no order between them.
 * - LIST_USE waits until nothing is outstanding, and holds everything else meanwhile.
 * - A command that the lists do not allow is refused before it is sent (`ADMIN_LIST`).
 * - What finds no slot waits, in order; what finds no place to wait either is refused
 *   (`QUEUE_FULL`).
 * - A command whose wait was ended by a signal or a deadline keeps its slot until the device
 *   returns the buffer.
 *
 * In the dialect proposal-v5, a reconstruction, a group is what `dst_type` names: 0 for the device
 * itself, 1 for the members of its group, of which it is one under id 0. LIST_QUERY and LIST_USE are
 * CAPS_IDENTIFY and CAPS_ACCEPT there, with one list for both; the methods below are the same.
 */
export class AdminClient {
  /** The dialect that is spoken. */
  readonly dialect: DialectName;
  readonly #format: Dialect;
  readonly #lines: readonly Line[];
  readonly #maxWaiting: number;
  readonly #retry: RetryPolicy;
  readonly #timer: Timer;
  readonly #hasMember: AdminClientOptions["hasMember"];
  readonly #reported = new Map<number, Set<number>>();
  readonly #used = new Map<number, Set<number>>();
  /** What the device reported last: it may be asked again and again, and has little new to tell. */
  readonly #latestReports = new Map<number, Uint8Array>();
  readonly #waiting: PendingCommand[] = [];
  readonly #backingOff = new Set<PendingCommand>();
  readonly #holds = new Map<number | string, Hold>();
  readonly #affinities = new Map<number | string, Affinity>();
  #heldCount = 0;
  #outstanding = 0;
  #exclusive: PendingCommand | undefined;
  #flushing = false;
  #ended: VirtioError | undefined;
  /** The command that a batch was last allowed to send: it need not be looked up again. */
  #admittedOpcode = -1;
  #admittedGroup = -1;
  /** Ends what the client listens to besides its queues. */
  #forget: (() => void) | undefined;

  /**
   * Takes the memory for the slots of every queue and starts listening.
   *
   * @throws VirtioError `ADMIN_QUEUE_UNAVAILABLE` without any port; `ADMIN_COMMAND`, `VALUE_RANGE`
   * and `MEMORY_EXHAUSTED` as {@link AdminChannel}.
   */
  constructor(
    ports: readonly AdminQueuePort[],
    dma: DmaAllocator,
    options: AdminClientOptions = {},
  ) {
    if (ports.length === 0) {
      throw new VirtioError("ADMIN_QUEUE_UNAVAILABLE", {
        path: "ports",
        message: "administration commands need at least one administration virtqueue",
        hint: "bring the device up with VIRTIO_F_ADMIN_VQ and enable a queue",
      });
    }
    this.#format = dialectOf(options.dialect);
    this.dialect = this.#format.name;
    const { maxWaiting = DEFAULT_WAITING, retry = DEFAULT_RETRY, timer = hostTimer } = options;
    this.#maxWaiting = maxWaiting;
    this.#retry = retry;
    this.#timer = timer;
    this.#hasMember = options.hasMember;
    const lines: Line[] = [];
    try {
      for (const port of ports) {
        const channel = new AdminChannel(port, dma, options);
        const commands = Array.from({ length: channel.slots }, () => undefined);
        const batches = Array.from({ length: channel.slots }, () => undefined);
        lines.push({ channel, commands, batches, keys: [], dirty: false, failed: false });
      }
    } catch (error) {
      for (const { channel } of lines) channel.close();
      throw error;
    }
    this.#lines = lines;
    for (const line of lines) {
      const { port } = line.channel;
      port.onUsed = () => this.#answered(line);
      port.onReset = () => this.fail(queueReset(port.index));
    }
  }

  /** How many commands are with the device, those included whose promise is settled already. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** How many commands wait to be sent. */
  get waiting(): number {
    return this.#waiting.length + this.#heldCount + this.#backingOff.size;
  }

  /** The opcodes that the device reported for this group type; `undefined` before LIST_QUERY. */
  reportedOpcodes(group: number): readonly number[] | undefined {
    const reported = this.#reported.get(this.#listOf(group));
    return reported === undefined ? undefined : [...reported].sort((a, b) => a - b);
  }

  /** The opcodes that may be sent for this group type: what LIST_USE settled, ascending. */
  usedOpcodes(group: number): readonly number[] {
    const used = this.#used.get(this.#listOf(group)) ?? INITIAL_OPCODES;
    return [...used].sort((a, b) => a - b);
  }

  /**
   * Asks which commands a group type has; asks again with more room where the list does not fit.
   *
   * @returns the opcodes, ascending
   * @throws VirtioError `ADMIN_RESPONSE` when the list lacks the list commands themselves; and as
   * {@link execute}. {@link AdminCommandError} with `INVALID_GROUP` means that the device has no
   * such group.
   */
  async listQuery(group: number, options: AdminExecuteOptions = {}): Promise<readonly number[]> {
    const { listQuery, listUse, responseHeaderLength } = this.#format;
    const most = listQuery.result.max;
    const list = this.#listOf(group);
    for (let length = FIRST_LIST_LENGTH; ; length *= LIST_GROWTH) {
      const room = Math.min(length, most);
      const request = { opcode: listQuery.opcode, group: list, resultLength: room };
      const { result, usedLength } = await this.execute(request, options);
      const filled = usedLength >= responseHeaderLength + room;
      if (filled && room < most) continue;
      const opcodes = decodeOpcodeList(result);
      if (!INITIAL_OPCODES.every((opcode) => opcodes.includes(opcode))) {
        throw new VirtioError("ADMIN_RESPONSE", {
          path: `${listQuery.name} (group 0x${list.toString(16)})`,
          message: `the list lacks ${listQuery.name} or ${listUse.name}`,
          value: opcodes.join(", "),
        });
      }
      return opcodes;
    }
  }

  /**
   * Settles which commands are used for a group type; it replaces what was settled before. A list
   * without LIST_USE cannot be changed until the device is reset.
   *
   * @throws VirtioError `ADMIN_LIST` for an opcode that LIST_QUERY did not report; and as
   * {@link execute}
   */
  async listUse(
    group: number,
    opcodes: readonly number[],
    options: AdminExecuteOptions = {},
  ): Promise<void> {
    const data = encodeOpcodeList(opcodes);
    const { opcode } = this.#format.listUse;
    await this.execute({ opcode, group: this.#listOf(group), data }, options);
  }

  /**
   * Uses every command that the device reports for a group type: {@link listQuery}, then
   * {@link listUse} with its answer.
   *
   * @returns the opcodes, ascending
   * @throws as {@link listQuery} and {@link listUse}
   */
  async useReported(group: number, options: AdminExecuteOptions = {}): Promise<readonly number[]> {
    const opcodes = await this.listQuery(group, options);
    await this.listUse(group, opcodes, options);
    return opcodes;
  }

  /**
   * Sends one command as it is declared: its opcode in the dialect that is spoken, its name and,
   * unless the target says otherwise, room for the longest result.
   *
   * @returns what the device answered, when it answered OK
   * @throws as {@link execute}; VirtioError `ADMIN_COMMAND` also as {@link opcodeOf}, `VALUE_RANGE`
   * for a member that the driver knows not to be there
   */
  executeCommand(
    command: AdminCommand,
    target: Omit<AdminRequest, "opcode" | "name">,
    options: AdminExecuteOptions = {},
  ): Promise<AdminReply> {
    const opcode = opcodeIn(this.#format, command);
    if (opcode === undefined) return Promise.reject(noSuchCommand(this.dialect, command));
    const { name, result } = command;
    const { group, member = 0 } = target;
    if (command.usesMember && this.#hasMember?.(group, member) === false) {
      return Promise.reject(noSuchMember(command, member));
    }
    return this.execute({ resultLength: result.max, ...target, opcode, name }, options);
  }

  /**
   * The opcode of a declared command in the dialect that is spoken.
   *
   * @throws VirtioError `ADMIN_COMMAND` for a command that the dialect does not have
   */
  opcodeOf(command: AdminCommand): number {
    const opcode = opcodeIn(this.#format, command);
    if (opcode === undefined) throw noSuchCommand(this.dialect, command);
    return opcode;
  }

  /**
   * Sends one command.
   *
   * @returns what the device answered, when it answered OK
   * @throws {@link AdminCommandError} when the device answered anything else
   * @throws VirtioError `ADMIN_COMMAND` for a field that cannot be encoded, `ADMIN_LIST` for a
   * command that the lists do not allow, `QUEUE_FULL` when too many wait, `MEMORY_EXHAUSTED` for a
   * command longer than a slot when there is no memory, `ADMIN_ABORTED`, `ADMIN_DEADLINE`,
   * `ADMIN_RESET` when the client was closed, `QUEUE_BROKEN` when the device broke the queue
   */
  execute(request: AdminRequest, options: AdminExecuteOptions = {}): Promise<AdminReply> {
    return new Promise<AdminReply>((resolve, reject) => {
      this.#accept(
        new PendingCommand(
          request,
          options,
          this.#format,
          this.#retry,
          this.#timer,
          resolve,
          reject,
        ),
        options,
      );
    });
  }

  /**
   * Makes a batch, for many commands at once without a promise for each: synchronously, or with one
   * promise. It is made once and used again and again.
   *
   * @param queue which of the client's queues it goes to, by its place among them; the first when
   * absent
   * @throws VirtioError `ADMIN_QUEUE_UNAVAILABLE` when there is no such queue
   */
  batch(queue: number = 0): AdminBatch {
    const line = this.#lines[queue];
    if (line === undefined) {
      throw new VirtioError("ADMIN_QUEUE_UNAVAILABLE", {
        path: "queue",
        message: `the client has ${this.#lines.length} administration virtqueues`,
        value: queue,
      });
    }
    return new AdminBatch({
      channel: line.channel,
      admits: (opcode, group, member) => this.#admits(line, opcode, group, member),
      added: (slot, member, group, batch) => {
        line.batches[slot] = batch;
        this.#outstanding++;
        if (this.#lines.length === 1) return;
        const key = keyOf(group, member);
        line.keys[slot] = key;
        this.#bind(line, key);
      },
      poll: () => this.#answered(line),
    });
  }

  /**
   * Gives up on the device: every command that is not settled is rejected with `ADMIN_RESET`, and
   * so is every later one. The memory stays with the device until {@link close}.
   *
   * @param cause why, for the errors
   */
  fail(cause?: unknown): void {
    if (this.#ended !== undefined) return;
    const ended = new VirtioError("ADMIN_RESET", {
      message: "the device failed, was reset, or its driver closed",
      hint: "bring the device up again and make a new client",
      ...(cause === undefined ? {} : { cause }),
    });
    this.#ended = ended;
    this.#admittedOpcode = -1;
    for (const command of this.#backingOff) this.#timer.clear(command.backoff);
    const everything = [
      ...this.#lines.flatMap(({ commands }) => commands),
      ...this.#backingOff,
      ...[...this.#holds.values()].flatMap(({ commands }) => commands),
      ...this.#waiting,
    ];
    for (const command of everything) command?.reject(ended);
    for (const { batches } of this.#lines) failBatches(batches, ended);
    for (const { channel } of this.#lines) {
      channel.port.onUsed = undefined;
      channel.port.onReset = undefined;
    }
    this.#backingOff.clear();
    this.#waiting.length = 0;
    this.#holds.clear();
    this.#heldCount = 0;
    this.#forget?.();
    this.#forget = undefined;
  }

  /** @internal Calls `forget` once, when the client ends; at once when it has ended. */
  whenEnded(forget: () => void): void {
    if (this.#ended === undefined) this.#forget = forget;
    else forget();
  }

  /**
   * Ends the client as {@link fail} does, and gives the memory of the slots back. Only after the
   * device, or each of the queues, was reset: until then the device may write to that memory.
   */
  close(): void {
    this.fail();
    this.#outstanding = 0;
    for (const line of this.#lines) {
      line.commands.fill(undefined);
      line.batches.fill(undefined);
      line.channel.close();
    }
  }

  #accept(command: PendingCommand, options: AdminExecuteOptions): void {
    if (this.#ended !== undefined) {
      command.reject(this.#ended);
      return;
    }
    if (options.signal?.aborted === true) {
      command.reject(command.aborted(options.signal));
      return;
    }
    if (this.#waiting.length === 0 && this.#start(command)) {
      if (!command.settled) command.watch(options, (error) => this.#abandon(command, error));
      return;
    }
    if (this.waiting >= this.#maxWaiting) {
      command.reject(
        new VirtioError("QUEUE_FULL", {
          path: command.label,
          message: `${this.waiting} commands are waiting already`,
          hint: "wait for answers before sending more, or raise maxWaiting",
        }),
      );
      return;
    }
    command.data = command.data.slice();
    command.state = "waiting";
    this.#waiting.push(command);
    command.watch(options, (error) => this.#abandon(command, error));
  }

  /**
   * Sends the command, puts it aside with its member's, or refuses it. False: it has to wait, as
   * everything behind it.
   */
  #start(command: PendingCommand): boolean {
    if (this.#exclusive !== undefined && this.#exclusive !== command) return false;
    const alone = this.#outstanding === 0 && this.#backingOff.size === 0;
    if (command.exclusive && !alone) {
      // What a broken queue took never comes back, so that nothing could be sent alone.
      if (!this.#lines.some(({ failed }) => failed)) return false;
      this.#finish(command, brokenQueue(command.label));
      return true;
    }
    const mayHold = this.#holds.size > 0 && command.attempts === 0;
    const hold = mayHold ? this.#holds.get(command.key) : undefined;
    if (hold !== undefined) {
      if (this.waiting >= this.#maxWaiting && command.state === "new") return false;
      if (command.state === "new") command.data = command.data.slice();
      command.state = "held";
      hold.commands.push(command);
      this.#heldCount++;
      return true;
    }
    const refusal = this.#refusal(command);
    if (refusal !== undefined) {
      this.#finish(command, refusal);
      return true;
    }
    const line = this.#lineFor(command);
    if (line === undefined) {
      this.#finish(command, brokenQueue(command.label));
      return true;
    }
    return this.#send(command, line);
  }

  #send(command: PendingCommand, line: Line): boolean {
    const { channel } = line;
    const slot = channel.acquire();
    if (slot < 0) return false;
    const { data, resultLength } = command;
    try {
      channel.reserve(slot, data.length, resultLength);
    } catch (error) {
      channel.release(slot);
      this.#finish(command, error);
      return true;
    }
    copyBytes(channel.bytesOf(slot), channel.dataAt(slot), data, 0, data.length);
    const { opcode, group, memberLow, memberHigh } = command;
    if (
      !channel.submitWide(slot, opcode, group, memberLow, memberHigh, data.length, resultLength)
    ) {
      channel.release(slot);
      if (!channel.broken) return false;
      this.#finish(command, brokenQueue(command.label));
      return true;
    }
    line.commands[slot] = command;
    command.state = "outstanding";
    this.#outstanding++;
    if (command.exclusive) this.#exclusive = command;
    if (this.#lines.length > 1) this.#bind(line, command.key);
    line.dirty = true;
    if (!this.#flushing) {
      this.#flushing = true;
      void Promise.resolve().then(() => this.#flush());
    }
    return true;
  }

  #flush(): void {
    this.#flushing = false;
    for (const line of this.#lines) {
      if (!line.dirty || this.#ended !== undefined) continue;
      line.dirty = false;
      line.channel.publish();
    }
  }

  /** Why the lists do not allow this command, if they do not. */
  #refusal(command: PendingCommand): VirtioError | undefined {
    if (command.unchecked) return undefined;
    const { opcode, uses, group } = command;
    const refusal = this.#unlisted(opcode, group, () => command.label);
    if (refusal !== undefined || uses === undefined) return refusal;
    const { listQuery } = this.#format;
    const reported = this.#reported.get(this.#listOf(group));
    const unknown = uses.find((wanted) => reported?.has(wanted) !== true);
    if (unknown === undefined) return undefined;
    return new VirtioError("ADMIN_LIST", {
      path: command.label,
      message: `${listQuery.name} has not reported this opcode for the group type`,
      value: unknown,
      hint: reported === undefined ? "call listQuery first" : "leave it out",
    });
  }

  #unlisted(opcode: number, group: number, label: () => string): VirtioError | undefined {
    const used = this.#used.get(this.#listOf(group));
    if (used === undefined ? INITIAL_OPCODES.includes(opcode) : used.has(opcode)) return undefined;
    const { listUse } = this.#format;
    return new VirtioError("ADMIN_LIST", {
      path: label(),
      message: `the command is not in the list that ${listUse.name} settled for its group type`,
      value: opcode,
      hint: "call listUse with it first",
    });
  }

  /** The queue that a command goes to; `undefined` when all that it may go to are broken. */
  #lineFor(command: PendingCommand): Line | undefined {
    if (this.#lines.length === 1) {
      const [only] = this.#lines as readonly [Line];
      return only.channel.broken ? undefined : only;
    }
    const bound = this.#affinities.get(command.key)?.line;
    if (bound !== undefined) return bound.channel.broken ? undefined : bound;
    let best: Line | undefined;
    for (const line of this.#lines) {
      if (line.channel.broken) continue;
      if (best === undefined || line.channel.free > best.channel.free) best = line;
    }
    return best;
  }

  #bind(line: Line, key: number | string): void {
    const affinity = this.#affinities.get(key);
    if (affinity === undefined) this.#affinities.set(key, { line, count: 1 });
    else affinity.count++;
  }

  #unbind(key: number | string): void {
    const affinity = this.#affinities.get(key);
    if (affinity !== undefined && --affinity.count === 0) this.#affinities.delete(key);
  }

  /** Whether a batch can send this command now. */
  #admits(line: Line, opcode: number, group: number, member: number): boolean {
    if (opcode !== this.#admittedOpcode || group !== this.#admittedGroup) {
      this.#checkBatched(opcode, group);
      this.#admittedOpcode = opcode;
      this.#admittedGroup = group;
    }
    // Ids above 2^53-1 are no numbers.
    if (!(member >= 0 && member <= Number.MAX_SAFE_INTEGER && Number.isInteger(member))) {
      throw badField("member", member);
    }
    if (this.#exclusive !== undefined || this.#waiting.length > 0 || this.#holds.size > 0) {
      return false;
    }
    if (this.#lines.length === 1) return true;
    const bound = this.#affinities.get(keyOf(group, member));
    return bound === undefined || bound.line === line;
  }

  #checkBatched(opcode: number, group: number): void {
    if (this.#ended !== undefined) throw this.#ended;
    if ((opcode & 0xffff) !== opcode) throw badField("opcode", opcode);
    if ((group & 0xffff) !== group) throw badField("group", group);
    if (opcode === this.#format.listUse.opcode) {
      throw new VirtioError("ADMIN_COMMAND", {
        path: this.#format.listUse.name,
        message: "the command has to be alone, and cannot be one of a batch",
        hint: "call listUse",
      });
    }
    const refusal = this.#unlisted(opcode, group, () => `opcode 0x${opcode.toString(16)}`);
    if (refusal !== undefined) throw refusal;
  }

  #answered(line: Line): void {
    const { channel, commands, batches } = line;
    const several = this.#lines.length > 1;
    for (let slot = channel.reap(); slot >= 0; slot = channel.reap()) {
      const command = commands[slot];
      this.#outstanding--;
      if (command === undefined) {
        // It is released with its batch, whose owner has yet to look at it.
        const batch = batches[slot];
        batches[slot] = undefined;
        if (batch === undefined) {
          channel.release(slot);
          continue;
        }
        if (several) this.#unbind(line.keys[slot] as number | string);
        batch.noteAnswer();
        continue;
      }
      commands[slot] = undefined;
      if (several) this.#unbind(command.key);
      this.#answer(command, channel, slot);
      channel.release(slot);
    }
    if (channel.broken && !line.failed) {
      line.failed = true;
      // The slots stay with the device: it may still write to them.
      for (const command of commands) if (command !== undefined) this.#lose(command);
      failBatches(batches, brokenQueue("batch"));
    }
    this.#pump();
  }

  #lose(command: PendingCommand): void {
    this.#finish(command, brokenQueue(command.label));
  }

  #answer(command: PendingCommand, channel: AdminChannel, slot: number): void {
    const outcome = channel.outcome(slot);
    const status = statusOf(outcome);
    if (status === 0) {
      const result = copyResult(command, channel, slot);
      const { listQuery } = this.#format;
      if (command.exclusive || command.opcode === listQuery.opcode) this.#learn(command, result);
      command.resolve({ usedLength: channel.usedLength(slot), result });
      this.#finish(command, undefined);
      return;
    }
    const { retry } = command;
    const again =
      !command.settled &&
      retry !== undefined &&
      command.attempts < retry.attempts &&
      effectiveStatus(status) === "EAGAIN";
    if (again) {
      if (command.attempts === 0) command.data = readBack(command, channel, slot);
      this.#backOff(command, retry);
    } else {
      const answer = this.#format.describeOutcome(outcome);
      this.#finish(command, new AdminCommandError(outcome, command.label, answer));
    }
  }

  /** What a successful list command tells. */
  #learn(command: PendingCommand, result: Uint8Array): void {
    const { opcode, uses } = command;
    const { listQuery, oneList } = this.#format;
    const list = this.#listOf(command.group);
    if (uses !== undefined) {
      this.#admittedOpcode = -1;
      this.#used.set(list, new Set(oneList ? [...INITIAL_OPCODES, ...uses] : uses));
    }
    if (opcode !== listQuery.opcode || isSame(result, this.#latestReports.get(list))) return;
    this.#latestReports.set(list, result.slice());
    const known = this.#reported.get(list) ?? new Set();
    for (const reported of decodeOpcodeList(result)) known.add(reported);
    this.#reported.set(list, known);
  }

  /** The group type whose list holds for a group type. */
  #listOf(group: number): number {
    return this.#format.oneList ? ALL_GROUPS : group;
  }

  #backOff(command: PendingCommand, retry: RetryPolicy): void {
    const delay = Math.min(retry.maxDelayMs, retry.firstDelayMs * 2 ** command.attempts);
    if (command.attempts++ === 0) {
      const hold = this.#holds.get(command.key);
      if (hold === undefined) this.#holds.set(command.key, { count: 1, commands: [] });
      else hold.count++;
    }
    command.state = "backing-off";
    this.#backingOff.add(command);
    command.backoff = this.#timer.set(() => {
      this.#backingOff.delete(command);
      command.state = "waiting";
      this.#waiting.unshift(command);
      this.#pump();
    }, delay);
  }

  /** Ends a command that is not with the device (any more); settles it if there is an error. */
  #finish(command: PendingCommand, error: unknown): void {
    if (error !== undefined) command.reject(error);
    if (this.#exclusive === command) this.#exclusive = undefined;
    if (command.attempts === 0) return;
    const hold = this.#holds.get(command.key);
    if (hold === undefined || --hold.count > 0) return;
    this.#holds.delete(command.key);
    this.#heldCount -= hold.commands.length;
    for (const held of hold.commands) held.state = "waiting";
    this.#waiting.unshift(...hold.commands);
  }

  /** The caller does not wait any more. With the device, the command keeps its slot. */
  #abandon(command: PendingCommand, error: VirtioError): void {
    if (command.settled) return;
    if (command.state === "outstanding") {
      command.reject(error);
      return;
    }
    if (command.state === "waiting") remove(this.#waiting, command);
    if (command.state === "held") {
      const commands = this.#holds.get(command.key)?.commands;
      if (commands !== undefined && remove(commands, command)) this.#heldCount--;
    }
    if (command.state === "backing-off") {
      this.#timer.clear(command.backoff);
      this.#backingOff.delete(command);
    }
    this.#finish(command, error);
    this.#pump();
  }

  #pump(): void {
    for (;;) {
      const command = this.#waiting[0];
      if (command === undefined) return;
      // It leaves the line first: what ends there may put held commands in front.
      this.#waiting.shift();
      if (this.#start(command)) continue;
      this.#waiting.unshift(command);
      return;
    }
  }
}

/**
 * A client over all administration virtqueues of a device that was brought up, in the dialect that
 * its transport found, or was told of, unless the options name another. When the device fails, so
 * does the client. Close the device first and then the client; after a queue was reset, close the
 * client and open another.
 *
 * @throws VirtioError as the constructor of {@link AdminClient}
 */
export function openAdminClient(
  device: AdminQueueSource,
  options: AdminClientOptions = {},
): AdminClient {
  const dialect = options.dialect ?? device.admin?.dialect ?? "virtio-1.4";
  const client = new AdminClient(device.adminQueues, device.dma, { ...options, dialect });
  // A device outlives the clients of its queues that were reset.
  client.whenEnded(device.onFailure((error) => client.fail(error)));
  return client;
}

function brokenQueue(path: string): VirtioError {
  return new VirtioError("QUEUE_BROKEN", {
    path,
    message: "the device broke the rules of the administration virtqueue",
    hint: "reset the device",
  });
}

function noSuchMember({ name }: AdminCommand, member: number | bigint): VirtioError {
  return new VirtioError("VALUE_RANGE", {
    path: `${name}.member`,
    message: "the group has no member of this id",
    value: member,
  });
}

function noSuchCommand(dialect: DialectName, command: AdminCommand): VirtioError {
  return new VirtioError("ADMIN_COMMAND", {
    path: command.name,
    message: `${dialect} has another command under this number`,
    value: command.opcode,
    hint: "a command of virtio-1.4 is none of this dialect; one of your own needs another number",
  });
}

function queueReset(index: number): VirtioError {
  return new VirtioError("ADMIN_RESET", {
    path: `queue[${index}]`,
    message: "the administration virtqueue was reset",
    hint: "close this client and open another",
  });
}

/** The result as asked for: a copy, zero where the device wrote nothing. */
function copyResult(command: PendingCommand, channel: AdminChannel, slot: number): Uint8Array {
  if (command.resultLength === 0) return NO_BYTES;
  const result = new Uint8Array(command.resultLength);
  const written = Math.min(result.length, channel.resultLength(slot));
  copyBytes(result, 0, channel.bytesOf(slot), channel.resultAt(slot), written);
  return result;
}

/** The command's data out of its slot: the caller's bytes may have changed since the call. */
function readBack(command: PendingCommand, channel: AdminChannel, slot: number): Uint8Array {
  const at = channel.dataAt(slot);
  return channel.bytesOf(slot).slice(at, at + command.data.length);
}

function failBatches(batches: (AdminBatch | undefined)[], error: VirtioError): void {
  for (const batch of new Set(batches)) batch?.fail(error);
  batches.fill(undefined);
}

function badField(path: string, value: number): VirtioError {
  return new VirtioError("ADMIN_COMMAND", {
    path,
    message: "the field of a command in a batch is out of range",
    value,
    hint: "16 bits of opcode and of group; member ids above 2^53-1 go through execute",
  });
}

function isSame(bytes: Uint8Array, others: Uint8Array | undefined): boolean {
  if (others?.length !== bytes.length) return false;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== others[i]) return false;
  return true;
}

function remove(commands: PendingCommand[], command: PendingCommand): boolean {
  const index = commands.indexOf(command);
  if (index < 0) return false;
  commands.splice(index, 1);
  return true;
}
