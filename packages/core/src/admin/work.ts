/**
 * One command under way on the device half. Hot path: one object for each command interface, with
 * buffers that are kept; a command allocates nothing unless it waits or is longer than any before.
 */
import type { DeviceGroup } from "../group/types.ts";
import type { TraceSink } from "../trace/types.ts";
import { LIST_QUERY } from "./commands/list.ts";
import type { CommandHeader } from "./dialect.ts";
import type { AdminOutcome } from "./status.ts";
import type { AdminCall, AdminCommand } from "./types.ts";

const LONGEST_LOOP = 32;
const FIRST_CAPACITY = 64;
const WORD_BYTES = 8;
/**
 * A longer buffer is given up once its command is answered. As much there is room for from the
 * start; what a command has beyond, it gets when it turns out to be needed.
 */
export const KEPT_CAPACITY = 16384;

const NOWHERE: DeviceGroup = {
  type: { id: 0, name: "", private: true, transports: "any", cite: "" },
  exists: false,
  memberCount: 0,
  hasMember: () => false,
};

/** Zeroes `bytes[from...end]`. Short runs are what there is: a loop is cheaper than `fill` there. */
function clearBytes(bytes: Uint8Array, from: number, end: number): void {
  if (end - from > LONGEST_LOOP) bytes.fill(0, from, end);
  else for (let i = from; i < end; i++) bytes[i] = 0;
}

/** The state of one command, from header to outcome. */
export class CommandWork implements AdminCall, CommandHeader {
  opcode = 0;
  groupType = 0;
  memberId = 0;
  command: AdminCommand = LIST_QUERY;
  group: DeviceGroup = NOWHERE;
  dataLength = 0;
  dataBytes: Uint8Array = new Uint8Array(FIRST_CAPACITY);
  data: DataView = new DataView(this.dataBytes.buffer);
  resultRoom = 0;
  resultBytes: Uint8Array = new Uint8Array(FIRST_CAPACITY);
  result: DataView = new DataView(this.resultBytes.buffer);
  resultLength = 0;
  cancelled = false;
  /** How the command ended, once it has. */
  outcome: AdminOutcome = 0;
  /** The id of the tolerance that the command needed, if any. */
  tolerance: string | undefined = undefined;
  /** The index of the queue it came through; -1 for another interface. */
  readonly queue: number;
  /** Where its event goes. */
  trace: TraceSink | undefined = undefined;
  /** Called when a command that had to wait is answered, unless it was cancelled. */
  readonly whenDone: () => void;
  #listeners: (() => void)[] | undefined = undefined;

  constructor(queue: number, whenDone: () => void) {
    this.queue = queue;
    this.whenDone = whenDone;
  }

  /** Room for `length` bytes of data; what is in there is stale. */
  reserveData(length: number): Uint8Array {
    if (this.dataBytes.length < length) {
      this.dataBytes = new Uint8Array(length);
      this.data = new DataView(this.dataBytes.buffer);
    }
    return this.dataBytes;
  }

  /** Zeroes the data from `from` up to `end`. */
  clearData(from: number, end: number): void {
    clearBytes(this.dataBytes, from, end);
  }

  /** Room for `length` bytes of result, and for whole words of them, zeroed. */
  reserveResult(length: number): void {
    const room = (length + WORD_BYTES - 1) & -WORD_BYTES;
    if (this.resultBytes.length < room) {
      this.resultBytes = new Uint8Array(room);
      this.result = new DataView(this.resultBytes.buffer);
    } else if (room > LONGEST_LOOP) {
      this.resultBytes.fill(0, 0, room);
    } else {
      const { result } = this;
      for (let at = 0; at < room; at += 4) result.setUint32(at, 0, true);
    }
  }

  /** The command succeeded: its result has a length that it may have, and is padded. */
  endResult(): void {
    const length = this.resultLength;
    this.outcome = 0;
    if (!(length > 0)) {
      this.resultLength = 0;
      return;
    }
    const most = Math.min(this.command.result.max, this.resultBytes.length);
    if (length > most) this.resultLength = most;
    else if ((length | 0) !== length) this.resultLength = Math.trunc(length);
    if ((this.resultLength & (WORD_BYTES - 1)) !== 0) this.padResult();
  }

  /** Zeroes what pads the result to whole words. */
  private padResult(): void {
    const { resultLength } = this;
    const end = (resultLength + WORD_BYTES - 1) & -WORD_BYTES;
    if (end !== resultLength) clearBytes(this.resultBytes, resultLength, end);
  }

  /** Zeroes the result, and what pads it. */
  clearResult(): void {
    clearBytes(this.resultBytes, 0, (this.resultLength + WORD_BYTES - 1) & -WORD_BYTES);
  }

  /** Copies the first `count` bytes of the result to `bytes`, `view` of the same, from `at` on. */
  copyResult(bytes: Uint8Array, view: DataView, at: number, count: number): void {
    if (count > LONGEST_LOOP) {
      bytes.set(this.resultBytes.subarray(0, count), at);
      return;
    }
    const { result, resultBytes } = this;
    const whole = count & -4;
    for (let i = 0; i < whole; i += 4) view.setUint32(at + i, result.getUint32(i, true), true);
    for (let i = whole; i < count; i++) bytes[at + i] = resultBytes[i] as number;
  }

  /** Gives up what only a long command needed, and forgets who listens. */
  release(): void {
    this.#listeners = undefined;
    if (this.dataBytes.length > KEPT_CAPACITY) {
      this.dataBytes = new Uint8Array(FIRST_CAPACITY);
      this.data = new DataView(this.dataBytes.buffer);
    }
    if (this.resultBytes.length > KEPT_CAPACITY) {
      this.resultBytes = new Uint8Array(FIRST_CAPACITY);
      this.result = new DataView(this.resultBytes.buffer);
    }
  }

  onCancel(listener: () => void): void {
    if (this.cancelled) listener();
    else if (this.#listeners === undefined) this.#listeners = [listener];
    else this.#listeners.push(listener);
  }

  /** Nobody waits any more. The object is not used for another command. */
  cancel(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    const listeners = this.#listeners ?? [];
    this.#listeners = undefined;
    for (const listener of listeners) {
      try {
        listener();
      } catch {
        // A handler's listener must not keep a reset from happening.
      }
    }
  }
}
