/**
 * Which command of an {@link AdminClient} is sent when: in the order of the calls within a member,
 * the exclusive ones alone, and again after EAGAIN; and what an answer means for it. Hot path: a
 * command of a batch allocates nothing.
 */
import { VirtioError } from "../errors.ts";
import { AdminBatch } from "./batch.ts";
import type { ClientLists } from "./client-lists.ts";
import { brokenQueue, type ClientQueue, type ClientQueues } from "./client-queues.ts";
import type { Dialect } from "./dialect.ts";
import { AdminCommandError } from "./errors.ts";
import type { AdminExecuteOptions, PendingCommand } from "./pending.ts";
import { effectiveStatus, statusOf } from "./status.ts";
import type { WaitingCommands } from "./waiting.ts";

/** Brings commands to the device, and their answers to whoever waits for them. */
export class CommandDispatch {
  private readonly format: Dialect;
  private readonly lists: ClientLists;
  private readonly queues: ClientQueues;
  private readonly waiting: WaitingCommands;
  /** The command that has to be alone, from its first sending until its end. */
  private exclusive: PendingCommand | undefined = undefined;
  private ended: VirtioError | undefined = undefined;
  /** The command that a batch was last allowed to send: it need not be looked up again. */
  private admittedOpcode = -1;
  private admittedGroup = -1;
  /** Ends what is listened to besides the queues. */
  private forget: (() => void) | undefined = undefined;

  /** Starts listening to the queues. */
  constructor(format: Dialect, lists: ClientLists, queues: ClientQueues, waiting: WaitingCommands) {
    this.format = format;
    this.lists = lists;
    this.queues = queues;
    this.waiting = waiting;
    for (const queue of queues.all) {
      queue.listen(
        () => this.answered(queue),
        () => this.fail(queueReset(queue.channel.port.index)),
      );
    }
  }

  /** Sends a new command, lets it wait, or rejects it. */
  accept(command: PendingCommand, options: AdminExecuteOptions): void {
    if (this.ended !== undefined) {
      command.reject(this.ended);
      return;
    }
    if (options.signal?.aborted === true) {
      command.reject(command.aborted(options.signal));
      return;
    }
    const { waiting } = this;
    const started = waiting.lineEmpty && this.start(command);
    if (!started && waiting.full) {
      command.reject(
        new VirtioError("QUEUE_FULL", {
          path: command.label,
          message: `${waiting.count} commands are waiting already`,
          hint: "wait for answers before sending more, or raise maxWaiting",
        }),
      );
      return;
    }
    if (!started) waiting.add(command);
    if (!command.settled) command.watch(options, (error) => this.abandon(command, error));
  }

  /** Makes a batch for one of the queues. */
  batch(queue: ClientQueue): AdminBatch {
    return new AdminBatch({
      channel: queue.channel,
      admits: (opcode, group, member) => this.admits(queue, opcode, group, member),
      added: (slot, member, group, batch) => queue.added(slot, group, member, batch),
      poll: () => this.answered(queue),
    });
  }

  /** Gives up on the device: whatever is not settled is rejected, and so is what comes later. */
  fail(cause?: unknown): void {
    if (this.ended !== undefined) return;
    const ended = new VirtioError("ADMIN_RESET", {
      message: "the device failed, was reset, or its driver closed",
      hint: "bring the device up again and make a new client",
      ...(cause === undefined ? {} : { cause }),
    });
    this.ended = ended;
    this.admittedOpcode = -1;
    const { all } = this.queues;
    for (const command of all.flatMap(({ commands }) => commands)) command.reject(ended);
    this.waiting.fail(ended);
    for (const queue of all) queue.end(ended);
    this.forget?.();
    this.forget = undefined;
  }

  /** Calls `forget` once, when this ends; at once when it has ended. */
  whenEnded(forget: () => void): void {
    if (this.ended === undefined) this.forget = forget;
    else forget();
  }

  /**
   * Sends the command, puts it aside with its member's, or refuses it. False: it has to wait, as
   * everything behind it.
   */
  private start(command: PendingCommand): boolean {
    if (this.exclusive !== undefined && this.exclusive !== command) return false;
    const { queues, waiting } = this;
    if (command.exclusive && !(queues.outstanding === 0 && waiting.noneDelayed)) {
      // What a broken queue took never comes back, so that nothing could be sent alone.
      if (!queues.all.some(({ failed }) => failed)) return false;
      this.finish(command, brokenQueue(command.label));
      return true;
    }
    if (waiting.isHeld(command)) {
      if (command.state === "new" && waiting.full) return false;
      waiting.hold(command);
      return true;
    }
    const refusal = this.lists.refusal(command);
    if (refusal !== undefined) {
      this.finish(command, refusal);
      return true;
    }
    try {
      if (!queues.send(command)) return false;
    } catch (error) {
      this.finish(command, error);
      return true;
    }
    if (command.exclusive) this.exclusive = command;
    return true;
  }

  /** Whether a batch can send this command now. */
  private admits(queue: ClientQueue, opcode: number, group: number, member: number): boolean {
    if (opcode !== this.admittedOpcode || group !== this.admittedGroup) {
      this.checkBatched(opcode, group);
      this.admittedOpcode = opcode;
      this.admittedGroup = group;
    }
    // Ids above 2^53-1 are no numbers.
    if (!(member >= 0 && member <= Number.MAX_SAFE_INTEGER && Number.isInteger(member))) {
      throw badField("member", member);
    }
    return this.exclusive === undefined && this.waiting.idle && queue.admits(group, member);
  }

  private checkBatched(opcode: number, group: number): void {
    if (this.ended !== undefined) throw this.ended;
    if ((opcode & 0xffff) !== opcode) throw badField("opcode", opcode);
    if ((group & 0xffff) !== group) throw badField("group", group);
    if (opcode === this.format.listUse.opcode) {
      throw new VirtioError("ADMIN_COMMAND", {
        path: this.format.listUse.name,
        message: "the command has to be alone, and cannot be one of a batch",
        hint: "call listUse",
      });
    }
    if (!this.lists.allow(opcode, group)) {
      throw this.lists.unlisted(opcode, `opcode 0x${opcode.toString(16)}`);
    }
  }

  /** Takes the answers that are there, and sends what waited for them. */
  private answered(queue: ClientQueue): void {
    for (let command = queue.reap(); command !== undefined; command = queue.reap()) {
      this.answer(command, queue);
      queue.release(command);
    }
    if (queue.channel.broken && !queue.failed) {
      for (const command of queue.commands) this.finish(command, brokenQueue(command.label));
      queue.fail(brokenQueue("batch"));
    }
    this.pump();
  }

  private answer(command: PendingCommand, queue: ClientQueue): void {
    const { channel } = queue;
    const outcome = channel.outcome(command.slot);
    const status = statusOf(outcome);
    if (status === 0) {
      const result = queue.resultOf(command);
      this.lists.learn(command, result);
      if (command.exclusive) this.admittedOpcode = -1;
      command.resolve({ usedLength: channel.usedLength(command.slot), result });
      this.finish(command, undefined);
      return;
    }
    const { retry } = command;
    const again =
      !command.settled &&
      retry !== undefined &&
      command.attempts < retry.attempts &&
      effectiveStatus(status) === "EAGAIN";
    if (again) {
      if (command.attempts === 0) command.data = queue.dataOf(command);
      this.waiting.delay(command, retry, () => this.pump());
    } else {
      const answer = this.format.describeOutcome(outcome);
      this.finish(command, new AdminCommandError(outcome, command.label, answer));
    }
  }

  /** Ends a command that is not with the device (any more); settles it if there is an error. */
  private finish(command: PendingCommand, error: unknown): void {
    if (error !== undefined) command.reject(error);
    if (this.exclusive === command) this.exclusive = undefined;
    this.waiting.conclude(command);
  }

  /** The caller does not wait any more. With the device, the command keeps its slot. */
  private abandon(command: PendingCommand, error: VirtioError): void {
    if (command.settled) return;
    if (command.state === "outstanding") {
      command.reject(error);
      return;
    }
    this.waiting.remove(command);
    this.finish(command, error);
    this.pump();
  }

  private pump(): void {
    const { waiting } = this;
    // It leaves the line first: what ends there may put held commands in front.
    for (let command = waiting.next(); command !== undefined; command = waiting.next()) {
      if (this.start(command)) continue;
      waiting.putBack(command);
      return;
    }
  }
}

function queueReset(index: number): VirtioError {
  return new VirtioError("ADMIN_RESET", {
    path: `queue[${index}]`,
    message: "the administration virtqueue was reset",
    hint: "close this client and open another",
  });
}

function badField(path: string, value: number): VirtioError {
  return new VirtioError("ADMIN_COMMAND", {
    path,
    message: "the field of a command in a batch is out of range",
    value,
    hint: "16 bits of opcode and of group; member ids above 2^53-1 go through execute",
  });
}
