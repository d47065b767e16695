/**
 * The contracts of administration commands: how a command is declared, how the device half carries
 * it out, and what the driver half needs of a virtqueue.
 */
import type { StateHook } from "../device/saved-state.ts";
import type { DeviceGroup } from "../group/types.ts";
import type { AnyStructLayout } from "../layout/index.ts";
import type { DmaAllocator } from "../memory/types.ts";
import type { AdminQueuePlace } from "../transport/types.ts";
import type { DriverQueue } from "../virtqueue/types.ts";
import type { AdminOutcome } from "./status.ts";

/** The lengths that a part of a command may have, in bytes. */
export interface LengthRange {
  /** The length of the fixed part; what a driver does not supply of it reads as zero. */
  readonly min: number;
  /** The most that is looked at or produced; equals `min` for a structure of fixed length. */
  readonly max: number;
}

/** What the two parts of a command look like. */
export interface AdminCommandLayouts {
  /** The layout of `command_specific_data`; absent for none. */
  readonly data?: AnyStructLayout;
  /** The layout of `command_specific_result`; absent for none. */
  readonly result?: AnyStructLayout;
}

/** One administration command, declared as data. */
export interface AdminCommand {
  /** The opcode, 0..0x7fff. */
  readonly opcode: number;
  /** The name in the specification without `VIRTIO_ADMIN_CMD_`: `LIST_QUERY`. */
  readonly name: string;
  /** The ids of the group types it applies to; `any` for all. */
  readonly groups: readonly number[] | "any";
  /** True when `group_member_id` is used, so that an invalid one fails the command. */
  readonly usesMember: boolean;
  /** The lengths of `command_specific_data`. */
  readonly data: LengthRange;
  /** The lengths of `command_specific_result`. */
  readonly result: LengthRange;
  /** The layouts of both, of what is not empty; a command family may leave its own out. */
  readonly layouts?: AdminCommandLayouts;
  /** The ids of the clauses that this command alone is held to. */
  readonly clauses: readonly string[];
  /** What it does, in one sentence. */
  readonly doc: string;
  /** The section that defines it. */
  readonly cite: string;
}

/**
 * One command under way, as its handler sees it. The object is used again for the next command of
 * the same interface: a handler keeps nothing of it once it has answered.
 */
export interface AdminCall {
  /** The declaration of the command. */
  readonly command: AdminCommand;
  /** The group that is addressed; it existed when the command was checked. */
  readonly group: DeviceGroup;
  /** The member id; valid when the command uses it, otherwise whatever the driver wrote. */
  readonly memberId: number;
  /** How many bytes of command data the driver supplied, at most `command.data.max`. */
  readonly dataLength: number;
  /**
   * The command data, a copy: `command.data.max` bytes are there, zero beyond `dataLength`. Beyond
   * 16384 bytes, no more are there than the driver supplied.
   */
  readonly data: DataView;
  /** The same bytes. */
  readonly dataBytes: Uint8Array;
  /**
   * Room for `command.result.max` bytes of result, up to 16384, zeroed before the handler runs; see
   * {@link reserveResult}.
   */
  readonly result: DataView;
  /** The same bytes. */
  readonly resultBytes: Uint8Array;
  /**
   * The length of the result structure in bytes, `command.result.min` unless the handler sets
   * another, at most `command.result.max`. It says what the structure is, not what the driver has
   * room for: a shorter buffer is filled as far as it goes.
   */
  resultLength: number;
  /**
   * How many bytes of result the driver has room for. It is no matter but to a command whose text
   * says what too little of it leads to.
   */
  readonly resultRoom: number;
  /**
   * Makes room for a result of this length, zeroed; {@link result} and {@link resultBytes} are
   * others then. Needed beyond 16384 bytes.
   */
  reserveResult(length: number): void;
  /**
   * True once the device or the queue was reset: nobody waits for the answer. A handler that waits
   * looks at it after each wait, and commits nothing when it is true.
   */
  readonly cancelled: boolean;
  /** Calls `listener` when the command is cancelled; at once when it is already. */
  onCancel(listener: () => void): void;
}

/**
 * Carries a command out: checks, then commits, and returns the outcome. EINVAL, EAGAIN and ENOMEM
 * mean that nothing changed. A handler that has to wait returns a promise; later commands of the
 * same queue are held back meanwhile. One that throws or rejects is answered with `EIO`, because
 * the device cannot know what it had changed by then.
 */
export type CommandHandler = (call: AdminCall) => AdminOutcome | PromiseLike<AdminOutcome>;

/** Why LIST_USE is refused. */
export type ListRefusal = "unsupported opcode" | "unmet dependency";

/** Which commands an owner supports and its driver uses, for each group type on its own. */
export interface OwnerLists {
  /** The opcodes that LIST_QUERY reports for this group type, ascending. */
  supported(groupType: number): readonly number[];
  /** The most bytes that {@link report} writes. */
  readonly longestReport: number;
  /**
   * Writes what {@link supported} returns to the start of `target`, as LIST_QUERY answers it, and
   * returns how many bytes that are: at most {@link longestReport}, for which there is room.
   */
  report(groupType: number, target: DataView): number;
  /** The opcodes that are legal for this group type now, ascending. */
  used(groupType: number): readonly number[];
  /** Replaces the list in use by these opcodes. Returns why not, and changes nothing then. */
  use(groupType: number, opcodes: readonly number[]): ListRefusal | undefined;
}

/** What a command family is given when it is bound to an owner device. */
export interface AdminOwner {
  /** The owner's groups. */
  readonly groups: readonly DeviceGroup[];
  /** The group of that type, whether or not it exists now; `undefined` when there is none. */
  group(type: number): DeviceGroup | undefined;
  /** The lists of supported and used commands. */
  readonly lists: OwnerLists;
}

/**
 * A command family at work for one owner. A family with state that a driver set saves and restores
 * it, for snapshots of the owner; a snapshot is taken while no command is under way.
 */
export interface FamilyBinding extends StateHook {
  /** The handler of every command of the family, by opcode. */
  readonly handlers: Readonly<Record<number, CommandHandler>>;
  /**
   * Whether the command is offered for groups of this type, among those it applies to; absent: it
   * is. Once offered, a command stays offered.
   */
  supports?(command: AdminCommand, groupType: number): boolean;
  /**
   * The longest result of this command here, where that is less than declared: as much is zeroed
   * before the handler runs. Asked once, when the family is bound.
   */
  longestResult?(command: AdminCommand): number;
  /**
   * Why the driver cannot use this list, when commands depend on each other. Pure: a list that was
   * accepted once must be accepted after a reset.
   */
  refuseList?(groupType: number, uses: (opcode: number) => boolean): string | undefined;
  /** The device was reset: the family's state goes back to what it was at first. */
  reset?(): void;
}

/** A family of commands as a plug-in: declarations, and how they are bound to an owner. */
export interface CommandFamily {
  /** Short name, unique: `list`, `device-parts`. */
  readonly name: string;
  /** What the commands are for, in one sentence. */
  readonly doc: string;
  /** True for a family that is in no ratified text. */
  readonly private: boolean;
  /** Its commands. */
  readonly commands: readonly AdminCommand[];
  /**
   * Commands of other families that an owner of this one must have as well: those that the text has
   * all of, or none. Absent: it needs no other.
   */
  readonly needs?: readonly AdminCommand[];
  /** Makes the state and the handlers for one owner. */
  bind(owner: AdminOwner): FamilyBinding;
}

/**
 * What the driver half needs of one administration virtqueue; a `DriverQueueHandle` is one.
 */
export interface AdminQueuePort {
  /** The index of the queue in the device. */
  readonly index: number;
  /** The driver half of the virtqueue. */
  readonly queue: DriverQueue;
  /** Called whenever used buffers may be there; set by whoever sends through the port. */
  onUsed: (() => void) | undefined;
  /** Called when the queue was reset: {@link queue} is another, what was outstanding is lost. */
  onReset?: (() => void) | undefined;
  /** Makes added buffers visible, and notifies the device if it asked for that. */
  notify(): void;
}

/** What the driver half needs of a device to send it commands; a `DriverDevice` is one. */
export interface AdminQueueSource {
  /** The administration virtqueues that were set up. */
  readonly adminQueues: readonly AdminQueuePort[];
  /** Where buffers are taken from. */
  readonly dma: DmaAllocator;
  /** What the transport read of their place, the dialect of the commands with it. */
  readonly admin?: Pick<AdminQueuePlace, "dialect"> | undefined;
  /** Calls `listener` once when the device fails. Returns what ends that. */
  onFailure(listener: (error: Error) => void): () => void;
}

/** The part of an `AbortSignal` that is used: core needs no DOM or Node types. */
export interface AbortSignalLike {
  /** True once aborted. */
  readonly aborted: boolean;
  /** Why. */
  readonly reason?: unknown;
  /** Starts listening. */
  addEventListener(type: "abort", listener: () => void): void;
  /** Stops listening. */
  removeEventListener(type: "abort", listener: () => void): void;
}
