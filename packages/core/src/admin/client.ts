/**
 * The driver half of administration commands: one promise a command, over any number of
 * administration virtqueues. The thin layer over {@link AdminChannel}, which has no promises.
 */
import { hostTimer, type Timer } from "../clock.ts";
import { VirtioError } from "../errors.ts";
import type { DmaAllocator } from "../memory/types.ts";
import type { AdminBatch } from "./batch.ts";
import type { AdminChannelOptions } from "./channel.ts";
import { ClientLists } from "./client-lists.ts";
import { ClientQueues } from "./client-queues.ts";
import { decodeOpcodeList, encodeOpcodeList, INITIAL_OPCODES } from "./commands/list.ts";
import type { Dialect } from "./dialect.ts";
import type { DialectName } from "./dialect-name.ts";
import { dialectOf, opcodeIn } from "./dialects.ts";
import { CommandDispatch } from "./dispatch.ts";
import {
  type AdminExecuteOptions,
  type AdminReply,
  type AdminRequest,
  PendingCommand,
  type RetryPolicy,
} from "./pending.ts";
import type { AdminCommand, AdminQueuePort, AdminQueueSource } from "./types.ts";
import { WaitingCommands } from "./waiting.ts";

const DEFAULT_WAITING = 1024;
/** Repeats for about a second. */
const DEFAULT_RETRY: RetryPolicy = { attempts: 10, firstDelayMs: 1, maxDelayMs: 500 };
const FIRST_LIST_LENGTH = 64;
const LIST_GROWTH = 4;

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
  readonly #retry: RetryPolicy;
  readonly #timer: Timer;
  readonly #hasMember: AdminClientOptions["hasMember"];
  readonly #lists: ClientLists;
  readonly #queues: ClientQueues;
  readonly #waiting: WaitingCommands;
  readonly #dispatch: CommandDispatch;

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
    this.#retry = retry;
    this.#timer = timer;
    this.#hasMember = options.hasMember;
    this.#lists = new ClientLists(this.#format);
    this.#queues = new ClientQueues(ports, dma, options);
    this.#waiting = new WaitingCommands(maxWaiting, timer);
    this.#dispatch = new CommandDispatch(this.#format, this.#lists, this.#queues, this.#waiting);
  }

  /** How many commands are with the device, those included whose promise is settled already. */
  get outstanding(): number {
    return this.#queues.outstanding;
  }

  /** How many commands wait to be sent. */
  get waiting(): number {
    return this.#waiting.count;
  }

  /** The opcodes that the device reported for this group type; `undefined` before LIST_QUERY. */
  reportedOpcodes(group: number): readonly number[] | undefined {
    return this.#lists.reported(group);
  }

  /** The opcodes that may be sent for this group type: what LIST_USE settled, ascending. */
  usedOpcodes(group: number): readonly number[] {
    return this.#lists.used(group);
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
    const list = this.#lists.listOf(group);
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
    await this.execute({ opcode, group: this.#lists.listOf(group), data }, options);
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
      this.#dispatch.accept(
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
    const { all } = this.#queues;
    const chosen = all[queue];
    if (chosen === undefined) {
      throw new VirtioError("ADMIN_QUEUE_UNAVAILABLE", {
        path: "queue",
        message: `the client has ${all.length} administration virtqueues`,
        value: queue,
      });
    }
    return this.#dispatch.batch(chosen);
  }

  /**
   * Gives up on the device: every command that is not settled is rejected with `ADMIN_RESET`, and
   * so is every later one. The memory stays with the device until {@link close}.
   *
   * @param cause why, for the errors
   */
  fail(cause?: unknown): void {
    this.#dispatch.fail(cause);
  }

  /** @internal Calls `forget` once, when the client ends; at once when it has ended. */
  whenEnded(forget: () => void): void {
    this.#dispatch.whenEnded(forget);
  }

  /**
   * Ends the client as {@link fail} does, and gives the memory of the slots back. Only after the
   * device, or each of the queues, was reset: until then the device may write to that memory.
   */
  close(): void {
    this.fail();
    for (const queue of this.#queues.all) queue.close();
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
