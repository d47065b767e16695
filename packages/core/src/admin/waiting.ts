/**
 * The commands of an {@link AdminClient} that are not with the device: in line for a slot, delayed
 * after EAGAIN, or held until an earlier one of their member was repeated.
 */
import type { Timer } from "../clock.ts";
import type { PendingCommand, RetryPolicy } from "./pending.ts";

/** Commands of a member that wait until an earlier one was repeated. */
interface Hold {
  /** How many earlier ones are being repeated. */
  count: number;
  readonly commands: PendingCommand[];
}

/** What waits, and in which order. It sets the state of a command that it takes. */
export class WaitingCommands {
  private readonly most: number;
  private readonly timer: Timer;
  private readonly line: PendingCommand[] = [];
  private readonly delayed = new Set<PendingCommand>();
  /** By the key of the member. */
  private readonly holds = new Map<number | string, Hold>();
  private heldCount = 0;

  /** @param most how many commands may wait before new ones are refused */
  constructor(most: number, timer: Timer) {
    this.most = most;
    this.timer = timer;
  }

  /** How many commands wait. */
  get count(): number {
    return this.line.length + this.heldCount + this.delayed.size;
  }

  /** True when no new command can wait. */
  get full(): boolean {
    return this.count >= this.most;
  }

  /** True when none is in line. */
  get lineEmpty(): boolean {
    return this.line.length === 0;
  }

  /** True when none is to be repeated after a delay. */
  get noneDelayed(): boolean {
    return this.delayed.size === 0;
  }

  /** True when a new command overtakes none, whichever its member is. */
  get idle(): boolean {
    return this.line.length === 0 && this.holds.size === 0;
  }

  /** Whether an earlier command of this one's member is being repeated. */
  isHeld(command: PendingCommand): boolean {
    return this.holds.size > 0 && command.attempts === 0 && this.holds.has(command.key);
  }

  /** Puts a new command at the end of the line. */
  add(command: PendingCommand): void {
    command.data = command.data.slice();
    command.state = "waiting";
    this.line.push(command);
  }

  /** Takes the first command out of the line. */
  next(): PendingCommand | undefined {
    return this.line.length === 0 ? undefined : this.line.shift();
  }

  /** Puts a command in front of the line. */
  putBack(command: PendingCommand): void {
    this.line.unshift(command);
  }

  /** Puts a command that {@link isHeld} aside. */
  hold(command: PendingCommand): void {
    if (command.state === "new") command.data = command.data.slice();
    command.state = "held";
    this.holds.get(command.key)?.commands.push(command);
    this.heldCount++;
  }

  /**
   * Delays a command that is to be repeated; then it goes in front of the line. Until
   * {@link conclude}, later ones of its member are held.
   *
   * @param due called when it is in line
   */
  delay(command: PendingCommand, retry: RetryPolicy, due: () => void): void {
    const delay = Math.min(retry.maxDelayMs, retry.firstDelayMs * 2 ** command.attempts);
    if (command.attempts++ === 0) {
      const hold = this.holds.get(command.key);
      if (hold === undefined) this.holds.set(command.key, { count: 1, commands: [] });
      else hold.count++;
    }
    command.state = "backing-off";
    this.delayed.add(command);
    command.backoff = this.timer.set(() => {
      this.delayed.delete(command);
      command.state = "waiting";
      this.line.unshift(command);
      due();
    }, delay);
  }

  /** A command was settled: those that it alone held go in front of the line. */
  conclude(command: PendingCommand): void {
    if (command.attempts === 0) return;
    const hold = this.holds.get(command.key);
    if (hold === undefined || --hold.count > 0) return;
    this.holds.delete(command.key);
    this.heldCount -= hold.commands.length;
    for (const held of hold.commands) held.state = "waiting";
    this.line.unshift(...hold.commands);
  }

  /** Takes a command out, wherever it waits. */
  remove(command: PendingCommand): void {
    if (command.state === "waiting") removeFrom(this.line, command);
    if (command.state === "held") {
      const commands = this.holds.get(command.key)?.commands;
      if (commands !== undefined && removeFrom(commands, command)) this.heldCount--;
    }
    if (command.state === "backing-off") {
      this.timer.clear(command.backoff);
      this.delayed.delete(command);
    }
  }

  /** Rejects whatever waits. */
  fail(error: unknown): void {
    for (const command of this.delayed) this.timer.clear(command.backoff);
    const held = [...this.holds.values()].flatMap(({ commands }) => commands);
    for (const command of [...this.delayed, ...held, ...this.line]) command.reject(error);
    this.delayed.clear();
    this.holds.clear();
    this.heldCount = 0;
    this.line.length = 0;
  }
}

function removeFrom(commands: PendingCommand[], command: PendingCommand): boolean {
  const index = commands.indexOf(command);
  if (index < 0) return false;
  commands.splice(index, 1);
  return true;
}
