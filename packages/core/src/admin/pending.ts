/** One command of an {@link AdminClient} from the call until its promise is settled. */
import type { Timer } from "../clock.ts";
import { VirtioError } from "../errors.ts";
import { decodeOpcodeList } from "./commands/list.ts";
import type { Dialect } from "./dialect.ts";
import type { AbortSignalLike } from "./types.ts";

/** One administration command as the driver asks for it. */
export interface AdminRequest {
  /** The opcode, 0..0xffff. */
  readonly opcode: number;
  /** The group type, 0..0xffff. */
  readonly group: number;
  /** The member id, 0..2^64-1; 0 when absent, as for commands that use none. */
  readonly member?: number | bigint;
  /** `command_specific_data`; none when absent. It is padded with zeros to a multiple of 8 bytes. */
  readonly data?: Uint8Array;
  /** How many bytes of `command_specific_result` are wanted; 0 when absent. */
  readonly resultLength?: number;
  /** What to call the command in errors: `DEV_MODE_SET`; its opcode when absent. */
  readonly name?: string;
}

/** How often and when a command is repeated that the device answered with EAGAIN. */
export interface RetryPolicy {
  /** The most times it is repeated. */
  readonly attempts: number;
  /** The delay before the first repetition, in milliseconds; each later one is twice as long. */
  readonly firstDelayMs: number;
  /** The longest delay, in milliseconds. */
  readonly maxDelayMs: number;
}

/** How one command is sent. */
export interface AdminExecuteOptions {
  /** Ends the wait with `ADMIN_ABORTED`; the device may still carry the command out. */
  readonly signal?: AbortSignalLike;
  /**
   * Ends the wait with `ADMIN_DEADLINE` after this many milliseconds; the device may still carry
   * the command out.
   */
  readonly deadlineMs?: number;
  /** What happens upon EAGAIN: the client's own policy when absent, `false` for none. */
  readonly retry?: RetryPolicy | false;
  /** True sends a command that the lists do not allow: for testing devices. */
  readonly unchecked?: boolean;
}

/** The answer to a command that succeeded. */
export interface AdminReply {
  /** How many bytes the device wrote, response header included. */
  readonly usedLength: number;
  /** As many bytes of result as were asked for, a copy; zero where the device wrote none. */
  readonly result: Uint8Array;
}

/** Where a command is. */
export type PendingState = "new" | "waiting" | "held" | "outstanding" | "backing-off";

const NO_BYTES = new Uint8Array(0);
const LARGEST_U16 = 0xffff;
const LARGEST_U64 = 2n ** 64n - 1n;
const LOW_MASK = 0xffffffffn;

/** A command under way. Hot path: one of these is all that a command costs besides its promise. */
export class PendingCommand {
  readonly opcode: number;
  readonly group: number;
  readonly memberLow: number;
  readonly memberHigh: number;
  /** Commands of one member have the same key, others another. */
  readonly key: number | string;
  readonly resultLength: number;
  readonly unchecked: boolean;
  readonly retry: RetryPolicy | undefined;
  /** LIST_USE, or CAPS_ACCEPT: must be alone. */
  readonly exclusive: boolean;
  /** What it asks for. */
  readonly uses: readonly number[] | undefined;
  data: Uint8Array;
  state: PendingState = "new";
  settled = false;
  attempts = 0;
  /** The slot it is in while it is with the device. */
  slot = -1;
  /** The timer of the next repetition. */
  backoff: unknown = undefined;

  private readonly name: string | undefined;
  private readonly format: Dialect;
  private readonly onReply: (reply: AdminReply) => void;
  private readonly onError: (error: unknown) => void;
  private readonly timer: Timer;
  private deadline: unknown = undefined;
  private signal: AbortSignalLike | undefined = undefined;
  private onAbort: (() => void) | undefined = undefined;

  /** @throws VirtioError `ADMIN_COMMAND` for a field that cannot be encoded. */
  constructor(
    request: AdminRequest,
    options: AdminExecuteOptions,
    format: Dialect,
    retry: RetryPolicy,
    timer: Timer,
    onReply: (reply: AdminReply) => void,
    onError: (error: unknown) => void,
  ) {
    const { opcode, group, member = 0, data = NO_BYTES, resultLength = 0 } = request;
    if ((opcode & LARGEST_U16) !== opcode) refuseU16("opcode", opcode);
    if ((group & LARGEST_U16) !== group) refuseU16("group", group);
    const small = typeof member === "number" && member >= 0 && member <= 0xffffffff;
    if (small && Number.isInteger(member)) {
      this.memberLow = member;
      this.memberHigh = 0;
    } else {
      const wide = wideMember(member);
      this.memberLow = Number(wide & LOW_MASK);
      this.memberHigh = Number(wide >> 32n);
    }
    const high = this.memberHigh;
    this.key = high === 0 ? keyOf(group, this.memberLow) : `${group}:${high}:${this.memberLow}`;
    this.opcode = opcode;
    this.group = group;
    this.data = data;
    this.resultLength = resultLength;
    this.unchecked = options.unchecked === true;
    this.retry = options.retry === false ? undefined : (options.retry ?? retry);
    this.exclusive = opcode === format.listUse.opcode;
    this.uses = this.exclusive ? decodeOpcodeList(data) : undefined;
    this.name = request.name;
    this.format = format;
    this.onReply = onReply;
    this.onError = onError;
    this.timer = timer;
  }

  /** What to call it in errors. */
  get label(): string {
    const { listQuery, listUse } = this.format;
    const named =
      this.name ??
      [listQuery, listUse].find(({ opcode }) => opcode === this.opcode)?.name ??
      `opcode 0x${this.opcode.toString(16).padStart(4, "0")}`;
    return `${named} (group 0x${this.group.toString(16)})`;
  }

  /** Starts watching the signal and the clock; `abandon` is called at most once, if at all. */
  watch(options: AdminExecuteOptions, abandon: (error: VirtioError) => void): void {
    const { signal, deadlineMs } = options;
    if (signal !== undefined) {
      this.signal = signal;
      this.onAbort = () => abandon(this.aborted(signal));
      signal.addEventListener("abort", this.onAbort);
    }
    if (deadlineMs !== undefined) {
      this.deadline = this.timer.set(() => abandon(this.late(deadlineMs)), deadlineMs);
    }
  }

  /** The error of an abort. */
  aborted(signal: AbortSignalLike): VirtioError {
    return new VirtioError("ADMIN_ABORTED", {
      path: this.label,
      message: "the command was aborted",
      hint: "the device may still carry it out",
      ...(signal.reason === undefined ? {} : { cause: signal.reason }),
    });
  }

  private late(deadlineMs: number): VirtioError {
    return new VirtioError("ADMIN_DEADLINE", {
      path: this.label,
      message: `the device did not answer within ${deadlineMs} ms`,
      hint: "the device may still carry the command out; reset it if it has hung",
    });
  }

  /** Settles the promise with a reply. Only the first settlement counts. */
  resolve(reply: AdminReply): void {
    if (!this.settle()) return;
    this.onReply(reply);
  }

  /** Settles the promise with an error. Only the first settlement counts. */
  reject(error: unknown): void {
    if (!this.settle()) return;
    this.onError(error);
  }

  private settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    if (this.deadline !== undefined) this.timer.clear(this.deadline);
    if (this.signal !== undefined && this.onAbort !== undefined) {
      this.signal.removeEventListener("abort", this.onAbort);
    }
    return true;
  }
}

/** The key of a member whose id is a number: that of {@link PendingCommand.key}. */
export function keyOf(group: number, member: number): number | string {
  if (member <= 0xffffffff) return group * 2 ** 32 + member;
  return `${group}:${Math.floor(member / 2 ** 32)}:${member >>> 0}`;
}

function refuseU16(path: string, value: number): never {
  throw new VirtioError("ADMIN_COMMAND", {
    path,
    message: "the field is an integer from 0 to 0xffff",
    value,
  });
}

function wideMember(member: number | bigint): bigint {
  const exact = typeof member === "bigint" || Number.isSafeInteger(member);
  const wide = exact ? BigInt(member) : -1n;
  if (wide >= 0n && wide <= LARGEST_U64) return wide;
  throw new VirtioError("ADMIN_COMMAND", {
    path: "member",
    message: "a member id is an integer from 0 to 2^64-1",
    value: member,
    hint: "give ids above 2^53-1 as bigint",
  });
}
