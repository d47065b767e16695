/**
 * Many administration commands at once, without a promise for each: synchronously, or with one
 * promise for all of them.
 *
 * Hot path: a batch is made once and used again and again; a command allocates nothing unless it is
 * longer than its slot. Numbers in arrays, by the place of the command in the batch.
 */
import { VirtioError } from "../errors.ts";
import { copyBytes } from "../memory/copy.ts";
import type { AdminChannel } from "./channel.ts";
import type { AdminOutcome } from "./status.ts";

/** @internal What a batch needs of the client that it belongs to. */
export interface BatchHost {
  /** The queue that the commands go to. */
  readonly channel: AdminChannel;
  /**
   * Whether a command can be sent now: false when it has to wait for others.
   *
   * @throws VirtioError when it cannot be sent at all
   */
  admits(opcode: number, group: number, member: number): boolean;
  /** The command in this slot was added to the queue. */
  added(slot: number, member: number, group: number, batch: AdminBatch): void;
  /** Looks for answers. */
  poll(): void;
}

/**
 * Commands that are sent together. Add as many as there is room for, {@link run} or {@link send}
 * them, look at the answers by the places that {@link add} returned, and {@link clear} the batch for
 * the next ones. An {@link AdminClient} makes it.
 *
 * The commands of a batch go to one queue, and reach the device in the order in which they were
 * added. Nothing is repeated after EAGAIN: the outcome says so, and the caller decides.
 */
export class AdminBatch {
  private readonly host: BatchHost;
  private readonly channel: AdminChannel;
  /** The slot of each command. */
  private readonly slots: Int32Array;
  private count = 0;
  private answered = 0;
  private failure: unknown = undefined;
  private resolve: (() => void) | undefined = undefined;
  private reject: ((error: unknown) => void) | undefined = undefined;

  /** @internal */
  constructor(host: BatchHost) {
    this.host = host;
    this.channel = host.channel;
    this.slots = new Int32Array(host.channel.slots);
  }

  /** How many commands were added since {@link clear}. */
  get size(): number {
    return this.count;
  }

  /** How many of them have no answer yet. */
  get pending(): number {
    return this.count - this.answered;
  }

  /**
   * Adds a command; the device sees it after {@link run} or {@link send}.
   *
   * @param opcode the opcode, 0..0xffff; not that of LIST_USE, which has to be alone
   * @param group the group type, 0..0xffff
   * @param member the member id, 0..2^53-1; 0 for commands that use none
   * @param resultLength how many bytes of result the device may write
   * @param data `command_specific_data`, copied; none when absent
   * @returns the place of the command in the batch, or -1 when there is no room, or the command
   * would overtake others of this client: run the batch, or wait for those
   * @throws VirtioError `ADMIN_COMMAND`, `ADMIN_LIST`, `ADMIN_RESET` and `MEMORY_EXHAUSTED` as
   * {@link AdminClient.execute}; the batch has not changed then
   */
  add(
    opcode: number,
    group: number,
    member: number,
    resultLength: number = 0,
    data?: Uint8Array,
  ): number {
    const { channel, host } = this;
    if (!host.admits(opcode, group, member)) return -1;
    const slot = channel.acquire();
    if (slot < 0) return -1;
    const dataLength = data === undefined ? 0 : data.length;
    try {
      channel.reserve(slot, dataLength, resultLength);
    } catch (error) {
      channel.release(slot);
      throw error;
    }
    if (data !== undefined) {
      copyBytes(channel.bytesOf(slot), channel.dataAt(slot), data, 0, dataLength);
    }
    if (!channel.submit(slot, opcode, group, member, dataLength, resultLength)) {
      channel.release(slot);
      return -1;
    }
    const place = this.count++;
    this.slots[place] = slot;
    host.added(slot, member, group, this);
    return place;
  }

  /**
   * Shows the commands to the device, and takes the answers that are there. A device in the same
   * thread has answered all of them by then, unless a handler of its has to wait.
   *
   * @returns {@link pending}
   * @throws what ended the client, or broke the queue, meanwhile
   */
  run(): number {
    if (this.failure === undefined) this.channel.publish();
    return this.poll();
  }

  /**
   * Takes the answers that are there.
   *
   * @returns {@link pending}
   * @throws what ended the client, or broke the queue, meanwhile
   */
  poll(): number {
    if (this.answered !== this.count && this.failure === undefined) this.host.poll();
    if (this.failure !== undefined) throw this.failure;
    return this.count - this.answered;
  }

  /**
   * Shows the commands to the device: one promise for all of them.
   *
   * @throws what ended the client, or broke the queue, meanwhile; VirtioError `DRIVER_STATE` when
   * the batch is waited for already
   */
  send(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.resolve !== undefined) throw stillWaiting("is waited for already", this.pending);
      this.resolve = resolve;
      this.reject = reject;
      if (this.failure === undefined) this.channel.publish();
      if (this.failure === undefined) this.settle();
      else this.fail(this.failure);
    });
  }

  /** The outcome of an answered command: 0 is success. */
  outcome(place: number): AdminOutcome {
    return this.channel.outcome(this.slotAt(place));
  }

  /** How many bytes the device wrote for it, response header included. */
  usedLength(place: number): number {
    return this.channel.usedLength(this.slotAt(place));
  }

  /** How many bytes of result the device wrote; what is beyond counts as zero. */
  resultLength(place: number): number {
    return this.channel.resultLength(this.slotAt(place));
  }

  /** The view that the result is in, valid until {@link clear}; it starts at {@link resultAt}. */
  view(place: number): DataView {
    return this.channel.view(this.slotAt(place));
  }

  /** Where in {@link view} the result starts. */
  resultAt(place: number): number {
    return this.channel.resultAt(this.slotAt(place));
  }

  /**
   * Makes the batch empty, for the next commands.
   *
   * @throws VirtioError `DRIVER_STATE` while commands have no answer: the device may write to them
   */
  clear(): void {
    const { channel, slots, count } = this;
    if (this.answered !== count && this.failure === undefined) {
      throw stillWaiting("cannot be emptied", this.pending);
    }
    // After a failure the slots stay with the device.
    if (this.failure === undefined) {
      for (let i = 0; i < count; i++) channel.release(slots[i] as number);
    }
    this.count = 0;
    this.answered = 0;
  }

  /** @internal The command in one of its slots was answered. */
  noteAnswer(): void {
    this.answered++;
    if (this.resolve !== undefined) this.settle();
  }

  /** @internal No command will be answered any more. */
  fail(error: unknown): void {
    this.failure = error;
    const { reject } = this;
    this.resolve = undefined;
    this.reject = undefined;
    reject?.(error);
  }

  private settle(): void {
    if (this.answered !== this.count) return;
    const { resolve } = this;
    this.resolve = undefined;
    this.reject = undefined;
    resolve?.();
  }

  private slotAt(place: number): number {
    if (place >= 0 && place < this.count) return this.slots[place] as number;
    throw new VirtioError("VALUE_RANGE", {
      path: "place",
      message: "the batch has no command there",
      value: place,
      hint: "give what add returned, before clear",
    });
  }
}

function stillWaiting(why: string, pending: number): VirtioError {
  return new VirtioError("DRIVER_STATE", {
    path: "batch",
    message: `a batch with commands under way ${why}`,
    value: pending,
    hint: "poll until nothing is pending, or await send()",
  });
}
