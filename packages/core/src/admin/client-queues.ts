/**
 * The administration virtqueues of an {@link AdminClient}: what is in each slot, and which queue
 * the commands of a member go to. Hot path: a command of a batch allocates nothing, and with one
 * queue nothing is looked up either.
 */
import { VirtioError } from "../errors.ts";
import { copyBytes } from "../memory/copy.ts";
import type { DmaAllocator } from "../memory/types.ts";
import type { AdminBatch } from "./batch.ts";
import { AdminChannel, type AdminChannelOptions } from "./channel.ts";
import { keyOf, type PendingCommand } from "./pending.ts";
import type { AdminQueuePort } from "./types.ts";

const NO_BYTES = new Uint8Array(0);

/** Where the commands of a member go while any of them is outstanding. */
interface Affinity {
  readonly queue: ClientQueue;
  count: number;
}

/** The queues that members are bound to; only with several queues. */
class Affinities {
  private readonly byKey = new Map<number | string, Affinity>();

  /** The queue that the commands of a member have to go to, if it matters. */
  queueOf(key: number | string): ClientQueue | undefined {
    return this.byKey.get(key)?.queue;
  }

  /** A command went to this queue. */
  bind(queue: ClientQueue, key: number | string): void {
    const affinity = this.byKey.get(key);
    if (affinity === undefined) this.byKey.set(key, { queue, count: 1 });
    else affinity.count++;
  }

  /** A command came back. */
  unbind(key: number | string): void {
    const affinity = this.byKey.get(key);
    if (affinity !== undefined && --affinity.count === 0) this.byKey.delete(key);
  }
}

/** One queue, its slots, and the command in each of them. */
export class ClientQueue {
  /** The queue without promises. */
  readonly channel: AdminChannel;

  private readonly affinities: Affinities | undefined;
  private readonly commandIn: (PendingCommand | undefined)[];
  /** The batch that a slot belongs to, where no command of its own is in it. */
  private readonly batchIn: (AdminBatch | undefined)[];
  /** The key of the member that a slot of a batch is about; only with several queues. */
  private readonly keyIn: (number | string)[] = [];
  /** Something was submitted and not published. */
  private dirty = false;
  private hasFailed = false;

  constructor(channel: AdminChannel, affinities: Affinities | undefined) {
    this.channel = channel;
    this.affinities = affinities;
    this.commandIn = Array.from({ length: channel.slots }, () => undefined);
    this.batchIn = Array.from({ length: channel.slots }, () => undefined);
  }

  /** True when its breaking was noticed: see {@link fail}. */
  get failed(): boolean {
    return this.hasFailed;
  }

  /** The commands that are with the device; not those of batches. */
  get commands(): readonly PendingCommand[] {
    return this.commandIn.filter((command) => command !== undefined);
  }

  /**
   * Adds a command to the queue; the device sees it after {@link publish}.
   *
   * @returns false, and nothing happened, when there is no room
   * @throws VirtioError `ADMIN_COMMAND` and `MEMORY_EXHAUSTED` as {@link AdminChannel.reserve};
   * `QUEUE_BROKEN`
   */
  submit(command: PendingCommand): boolean {
    const { channel } = this;
    const slot = channel.acquire();
    if (slot < 0) return false;
    const { data, resultLength } = command;
    try {
      channel.reserve(slot, data.length, resultLength);
    } catch (error) {
      channel.release(slot);
      throw error;
    }
    copyBytes(channel.bytesOf(slot), channel.dataAt(slot), data, 0, data.length);
    const { opcode, group, memberLow, memberHigh } = command;
    if (
      !channel.submitWide(slot, opcode, group, memberLow, memberHigh, data.length, resultLength)
    ) {
      channel.release(slot);
      if (channel.broken) throw brokenQueue(command.label);
      return false;
    }
    this.commandIn[slot] = command;
    command.slot = slot;
    command.state = "outstanding";
    this.affinities?.bind(this, command.key);
    this.dirty = true;
    return true;
  }

  /** Whether a command of a batch may go here, as far as others of its member are concerned. */
  admits(group: number, member: number): boolean {
    if (this.affinities === undefined) return true;
    const bound = this.affinities.queueOf(keyOf(group, member));
    return bound === undefined || bound === this;
  }

  /** A command of a batch was added to the queue. */
  added(slot: number, group: number, member: number, batch: AdminBatch): void {
    this.batchIn[slot] = batch;
    if (this.affinities === undefined) return;
    const key = keyOf(group, member);
    this.keyIn[slot] = key;
    this.affinities.bind(this, key);
  }

  /** Shows the device what was submitted. */
  publish(): void {
    if (!this.dirty) return;
    this.dirty = false;
    this.channel.publish();
  }

  /**
   * The next command that the device answered, if any: look at the answer, then {@link release} it.
   * Batches are told of theirs on the way.
   */
  reap(): PendingCommand | undefined {
    const { channel, commandIn, batchIn, affinities } = this;
    for (let slot = channel.reap(); slot >= 0; slot = channel.reap()) {
      const command = commandIn[slot];
      if (command !== undefined) {
        commandIn[slot] = undefined;
        affinities?.unbind(command.key);
        return command;
      }
      // It is released with its batch, whose owner has yet to look at it.
      const batch = batchIn[slot];
      batchIn[slot] = undefined;
      if (batch === undefined) {
        channel.release(slot);
        continue;
      }
      affinities?.unbind(this.keyIn[slot] as number | string);
      batch.noteAnswer();
    }
    return undefined;
  }

  /** The result as asked for: a copy, zero where the device wrote nothing. */
  resultOf({ slot, resultLength }: PendingCommand): Uint8Array {
    if (resultLength === 0) return NO_BYTES;
    const { channel } = this;
    const result = new Uint8Array(resultLength);
    const written = Math.min(resultLength, channel.resultLength(slot));
    copyBytes(result, 0, channel.bytesOf(slot), channel.resultAt(slot), written);
    return result;
  }

  /** The command's data out of its slot: the caller's bytes may have changed since the call. */
  dataOf({ slot, data }: PendingCommand): Uint8Array {
    const at = this.channel.dataAt(slot);
    return this.channel.bytesOf(slot).slice(at, at + data.length);
  }

  /** Gives the slot of a command back whose answer was looked at. */
  release(command: PendingCommand): void {
    this.channel.release(command.slot);
  }

  /** Listens to the port, until {@link end}. */
  listen(onUsed: () => void, onReset: () => void): void {
    const { port } = this.channel;
    port.onUsed = onUsed;
    port.onReset = onReset;
  }

  /** Nothing will be answered any more. The slots stay with the device: it may still write there. */
  fail(error: VirtioError): void {
    this.hasFailed = true;
    for (const batch of new Set(this.batchIn)) batch?.fail(error);
    this.batchIn.fill(undefined);
  }

  /** Fails as {@link fail} does, and shows the device nothing more. */
  end(error: VirtioError): void {
    this.fail(error);
    this.dirty = false;
    const { port } = this.channel;
    port.onUsed = undefined;
    port.onReset = undefined;
  }

  /** Gives the memory back. */
  close(): void {
    this.commandIn.fill(undefined);
    this.batchIn.fill(undefined);
    this.channel.close();
  }
}

/** All queues of a client. */
export class ClientQueues {
  /** Each of them. */
  readonly all: readonly ClientQueue[];

  private readonly affinities: Affinities | undefined;
  private flushing = false;

  /** @throws VirtioError as {@link AdminChannel} */
  constructor(ports: readonly AdminQueuePort[], dma: DmaAllocator, options: AdminChannelOptions) {
    const channels: AdminChannel[] = [];
    try {
      for (const port of ports) channels.push(new AdminChannel(port, dma, options));
    } catch (error) {
      for (const channel of channels) channel.close();
      throw error;
    }
    this.affinities = channels.length > 1 ? new Affinities() : undefined;
    this.all = channels.map((channel) => new ClientQueue(channel, this.affinities));
  }

  /** How many commands are with the device, those of batches included. */
  get outstanding(): number {
    return this.all.reduce((sum, { channel }) => sum + channel.outstanding, 0);
  }

  /**
   * Sends a command to the queue that it has to go to, or the one with the most room. The device
   * sees it soon, with others that are sent meanwhile.
   *
   * @returns false, and nothing happened, when there is no room
   * @throws VirtioError as {@link ClientQueue.submit}; `QUEUE_BROKEN` also when all queues that it
   * may go to are broken
   */
  send(command: PendingCommand): boolean {
    const queue = this.queueFor(command.key);
    if (queue === undefined) throw brokenQueue(command.label);
    if (!queue.submit(command)) return false;
    if (!this.flushing) {
      this.flushing = true;
      void Promise.resolve().then(() => this.flush());
    }
    return true;
  }

  private flush(): void {
    this.flushing = false;
    for (const queue of this.all) queue.publish();
  }

  private queueFor(key: number | string): ClientQueue | undefined {
    if (this.affinities === undefined) {
      const [only] = this.all as readonly [ClientQueue];
      return only.channel.broken ? undefined : only;
    }
    const bound = this.affinities.queueOf(key);
    if (bound !== undefined) return bound.channel.broken ? undefined : bound;
    let best: ClientQueue | undefined;
    for (const queue of this.all) {
      if (queue.channel.broken) continue;
      if (best === undefined || queue.channel.free > best.channel.free) best = queue;
    }
    return best;
  }
}

/** The error of commands whose queue the device broke. */
export function brokenQueue(path: string): VirtioError {
  return new VirtioError("QUEUE_BROKEN", {
    path,
    message: "the device broke the rules of the administration virtqueue",
    hint: "reset the device",
  });
}
