/**
 * The channel: runs a channel program out of guest memory against one device.
 *
 * What the architecture has and this does: formats 0 and 1, command and data chaining, transfer in
 * channel, suppressed and unsuppressed length checks, skipping, program-controlled interruption
 * (told in the ending status, since the program has run by then), and indirect data addresses of
 * both formats. What it refuses with a program check: the suspend flag, modified indirect data
 * addresses, transport-mode programs. Storage keys, paths and address limits are not checked.
 *
 * Three choices where the architecture leaves room:
 * - A command that does not end well changed nothing in the device: lengths and addresses are checked
 *   before it acts. (The device of a real channel may act on a length that is found wrong later.)
 * - Without suppression a wrong length is the incorrect-length indication, also for a command
 *   whose data is too short to be processed; with suppression the latter is a unit check with
 *   command reject.
 * - A program may not run forever: after {@link CHANNEL_PROGRAM_LIMIT} words it ends in a program
 *   check.
 *
 * The program and its data are hostile: every word is read once, nothing throws, and only as many
 * bytes are copied as the command moves.
 */
import { accessors, type GuestMemory } from "@virtio-admin/core";
import {
  CCW0,
  CCW1,
  CHANNEL_DEVICE_STATUS,
  type ChannelEnding,
  CONDITION_CODE,
  ORB,
  SENSE_BYTE,
  SENSE_LENGTH,
  SUBCHANNEL_STATUS,
} from "./channel-layout.ts";
import { CCW_BASIC_LAYOUT } from "./layout.ts";

/** The most CCWs that one program may have executed, transfers in channel included. */
export const CHANNEL_PROGRAM_LIMIT = 1024;

/** What a device does for one command. */
export interface ChannelOperation {
  /** The command's name, for traces. */
  readonly name: string;
  /** How many bytes the command moves: what it takes (write, control) or supplies (read). */
  readonly length: number;
  /** How many bytes of the data area the device must have to act; it is given up to `length`. */
  readonly input: number;
  /** True when bytes go back to the data area. */
  readonly output: boolean;
  /** True when a data area shorter than `length` is no incorrect length. */
  readonly mayBeShort?: boolean;
  /**
   * Acts. `input` has at least {@link ChannelOperation.input} bytes, or is empty when that is 0 on
   * a read. Returns the bytes for the data area (`length` of them; empty when there is no output),
   * or `undefined` to reject the command, which must then have changed nothing.
   */
  run(input: Uint8Array): Uint8Array | undefined;
}

/** One CCW that was executed, for traces. */
export interface ExecutedCommand {
  /** The command code. */
  readonly command: number;
  /** The command's name, or `undefined` when the device does not know it. */
  readonly name: string | undefined;
  /** The flags of its first CCW. */
  readonly flags: number;
  /** The length of its data area in bytes, over all chained CCWs. */
  readonly count: number;
  /** The bytes that were moved. */
  readonly data: Uint8Array;
  /** Device status in bits 8-15, subchannel status in bits 0-7. */
  readonly status: number;
  /** The residual count. */
  readonly residual: number;
}

/** The device at the end of the channel. */
export interface ChannelUnit {
  /** What the device does for a command, or `undefined` to reject it. */
  operation(command: number): ChannelOperation | undefined;
  /** Hears of every executed command; absent when nobody listens. */
  readonly executed?: ((command: ExecutedCommand) => void) | undefined;
}

const ORB_BITS = ORB.fields.control.bits;
const FLAG = CCW1.fields.flags.bits;
const CHAIN_DATA = FLAG.chain_data.mask;
const CHAIN_COMMAND = FLAG.chain_command.mask;
const SUPPRESS_LENGTH = FLAG.suppress_length.mask;
const SKIP = FLAG.skip.mask;
const INTERRUPT = FLAG.interrupt.mask;
const INDIRECT = FLAG.indirect.mask;
const REFUSED_FLAGS = FLAG.suspend.mask | FLAG.modified_indirect.mask;

const TIC = CCW_BASIC_LAYOUT.commands.TIC.code;
/** The bits of a command code that say what kind of command it is. */
const COMMAND_MASK = 0x0f;
const CCW_BYTES = CCW1.size;
/** The first address that no CCW of the format reaches. */
const ADDRESS_END = { 0: 2 ** 24, 1: 2 ** 31 } as const;
const ENDED = CHANNEL_DEVICE_STATUS.CHANNEL_END | CHANNEL_DEVICE_STATUS.DEVICE_END;
const NO_BYTES = new Uint8Array(0);

const orbFields = accessors(ORB);
const ccw0 = accessors(CCW0);
const ccw1 = accessors(CCW1);

/** One CCW of either format. */
interface Word {
  readonly address: number;
  readonly command: number;
  readonly flags: number;
  readonly count: number;
  readonly data: number;
}

/** One contiguous piece of a data area; nothing is stored where it is `skipped`. */
interface Piece {
  readonly address: number;
  readonly length: number;
  readonly skipped: boolean;
}

/** How one command ended. */
interface CommandEnd {
  readonly deviceStatus: number;
  readonly subchannelStatus: number;
  /** The CCW that was current at the end, and what was left of its data area. */
  readonly current: Word;
  readonly residual: number;
  readonly name: string | undefined;
  readonly data: Uint8Array;
}

/**
 * Runs the channel program that an operation request block designates, to its end.
 *
 * @param memory the memory that the program and its data areas lie in
 * @param orb the bytes of the block, at least as many as {@link ORB} has
 * @param unit the device
 * @returns how it ended; never throws for what the block or the program say
 */
export function runChannelProgram(
  memory: GuestMemory,
  orb: Uint8Array,
  unit: ChannelUnit,
): ChannelEnding {
  const copy = new Uint8Array(ORB.size);
  copy.set(orb.subarray(0, ORB.size));
  const view = new DataView(copy.buffer);
  // A block that is cut short designates address 0 in format 0; refuse it instead.
  const control =
    orb.length < ORB.size ? ORB_BITS.transport_mode.mask : orbFields.control.get(view, 0);
  return new Program(memory, control, unit).run(orbFields.channel_program.get(view, 0));
}

/** One run of one channel program. */
class Program {
  readonly #memory: GuestMemory;
  readonly #unit: ChannelUnit;
  readonly #format: 0 | 1;
  readonly #wideIndirect: boolean;
  readonly #indirectBlock: number;
  readonly #refused: boolean;
  readonly #bytes = new Uint8Array(CCW_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  /** CCWs left before the program is stopped. */
  #budget = CHANNEL_PROGRAM_LIMIT;
  /** The address of the CCW that was looked at last. */
  #at = 0;
  /** The program-controlled interruption bit, once a CCW asked for it. */
  #requested = 0;

  constructor(memory: GuestMemory, control: number, unit: ChannelUnit) {
    this.#memory = memory;
    this.#unit = unit;
    this.#format = (control & ORB_BITS.format.mask) !== 0 ? 1 : 0;
    this.#wideIndirect = (control & ORB_BITS.idaw_format.mask) !== 0;
    const large = this.#wideIndirect && (control & ORB_BITS.idaw_2k.mask) === 0;
    this.#indirectBlock = large ? 4096 : 2048;
    this.#refused = (control & ORB_BITS.transport_mode.mask) !== 0;
  }

  run(start: number): ChannelEnding {
    this.#at = start;
    if (this.#refused) return this.#programCheck();
    let next = start;
    // A program must not begin with a transfer in channel.
    let mayTransfer = false;
    for (;;) {
      const words = this.#fetchCommand(next, mayTransfer);
      if (words === undefined) return this.#programCheck();
      const first = words[0];
      const end = this.#execute(words);
      this.#unit.executed?.({
        command: first.command,
        name: end.name,
        flags: first.flags,
        count: words.reduce((sum, word) => sum + word.count, 0),
        data: end.data,
        status: (end.deviceStatus << 8) | end.subchannelStatus,
        residual: end.residual,
      });
      const endedWell = end.deviceStatus === ENDED && end.subchannelStatus === 0;
      if (!endedWell || (end.current.flags & CHAIN_COMMAND) === 0) return this.#ending(end);
      next = end.current.address + CCW_BYTES;
      mayTransfer = true;
    }
  }

  /** A command and the CCWs that continue its data area; `undefined` for a program check. */
  #fetchCommand(address: number, mayTransfer: boolean): readonly [Word, ...Word[]] | undefined {
    const first = this.#fetch(address, mayTransfer);
    // A command code with four low zeros is no command at all.
    if (first === undefined || (first.command & COMMAND_MASK) === 0) return undefined;
    const words: [Word, ...Word[]] = [first];
    for (let last = first; (last.flags & CHAIN_DATA) !== 0; ) {
      const next = last.count === 0 ? undefined : this.#fetch(last.address + CCW_BYTES, true);
      if (next === undefined || next.count === 0) return undefined;
      words.push(next);
      last = next;
    }
    return words;
  }

  /** The CCW at `address`, or where a transfer in channel there leads. */
  #fetch(address: number, mayTransfer: boolean): Word | undefined {
    const word = this.#read(address);
    if (word === undefined || (word.command & COMMAND_MASK) !== TIC) return this.#checked(word);
    // In format 0 the rest of a transfer's CCW is ignored, in format 1 it must be zero.
    const clean = word.command === TIC && word.flags === 0 && word.count === 0;
    if (!mayTransfer || (this.#format === 1 && !clean)) return undefined;
    const target = this.#read(word.data);
    // A transfer must not lead to another one.
    if (target === undefined || (target.command & COMMAND_MASK) === TIC) return undefined;
    return this.#checked(target);
  }

  #checked(word: Word | undefined): Word | undefined {
    if (word === undefined || (word.flags & REFUSED_FLAGS) !== 0) return undefined;
    if (this.#format === 0 && word.count === 0) return undefined;
    if ((word.flags & INTERRUPT) !== 0) this.#requested = SUBCHANNEL_STATUS.PROGRAM_CONTROLLED;
    return word;
  }

  #read(address: number): Word | undefined {
    this.#at = address;
    const end = ADDRESS_END[this.#format];
    if (this.#budget-- === 0 || address % CCW_BYTES !== 0 || address >= end) return undefined;
    if (!this.#memory.read(address, this.#bytes)) return undefined;
    const view = this.#view;
    const word: Word =
      this.#format === 1
        ? {
            address,
            command: ccw1.command.get(view, 0),
            flags: ccw1.flags.get(view, 0),
            count: ccw1.count.get(view, 0),
            data: ccw1.data_address.get(view, 0),
          }
        : {
            address,
            command: ccw0.command.get(view, 0),
            flags: ccw0.flags.get(view, 0),
            count: ccw0.count.get(view, 0),
            data: ccw0.address_high.get(view, 0) * 0x10000 + ccw0.address_low.get(view, 0),
          };
    return word.data < end ? word : undefined;
  }

  #execute(words: readonly [Word, ...Word[]]): CommandEnd {
    const first = words[0];
    const operation = this.#unit.operation(first.command);
    const nothing = {
      current: first,
      residual: first.count,
      name: operation?.name,
      data: NO_BYTES,
    };
    if (operation === undefined) {
      // Refused at selection: the channel moved nothing, so there is no channel end either.
      return { ...nothing, deviceStatus: CHANNEL_DEVICE_STATUS.UNIT_CHECK, subchannelStatus: 0 };
    }
    const total = words.reduce((sum, word) => sum + word.count, 0);
    const moved = Math.min(total, operation.length);
    const [current, residual] = position(words, moved);
    const reached = { current, residual, name: operation.name, data: NO_BYTES };
    const wrong = total > operation.length || (total < operation.length && !operation.mayBeShort);
    // Suppression does not hold in a CCW that chains data.
    const suppressed = (current.flags & (SUPPRESS_LENGTH | CHAIN_DATA)) === SUPPRESS_LENGTH;
    const subchannelStatus = wrong && !suppressed ? SUBCHANNEL_STATUS.INCORRECT_LENGTH : 0;
    const short = total < operation.input;
    if (subchannelStatus !== 0 && (short || !operation.output)) {
      return { ...reached, deviceStatus: ENDED, subchannelStatus };
    }
    const rejected = { deviceStatus: ENDED | CHANNEL_DEVICE_STATUS.UNIT_CHECK, subchannelStatus };
    if (short) return { ...reached, ...rejected };
    const pieces = this.#pieces(words, moved, operation.output);
    if (pieces === undefined) {
      const check = SUBCHANNEL_STATUS.PROGRAM_CHECK;
      return { ...nothing, deviceStatus: ENDED, subchannelStatus: check };
    }
    const input = this.#gather(pieces, operation.output ? operation.input : moved);
    const output = operation.run(input);
    if (output === undefined) return { ...reached, ...rejected, data: input };
    const stored = output.subarray(0, moved);
    if (operation.output) this.#scatter(pieces, stored);
    const data = operation.output ? stored : input;
    return { ...reached, deviceStatus: ENDED, subchannelStatus, data };
  }

  /** The first `length` bytes of a data area; `undefined` when one of them cannot be reached. */
  #pieces(words: readonly Word[], length: number, maySkip: boolean): Piece[] | undefined {
    const pieces: Piece[] = [];
    let left = length;
    for (const word of words) {
      const here = Math.min(left, word.count);
      left -= here;
      if (here === 0) continue;
      if (maySkip && (word.flags & SKIP) !== 0) {
        pieces.push({ address: word.data, length: here, skipped: true });
      } else if ((word.flags & INDIRECT) === 0) {
        pieces.push({ address: word.data, length: here, skipped: false });
      } else if (!this.#indirect(word.data, here, pieces)) {
        return undefined;
      }
    }
    const reachable = pieces.every(
      (piece) => piece.skipped || this.#memory.contains(piece.address, piece.length),
    );
    return reachable ? pieces : undefined;
  }

  /** Adds the pieces that a list of indirect data addresses designates; false when it is wrong. */
  #indirect(list: number, length: number, pieces: Piece[]): boolean {
    const width = this.#wideIndirect ? 8 : 4;
    if (list % width !== 0) return false;
    const block = this.#indirectBlock;
    let left = length;
    for (let at = list; left > 0; at += width) {
      if (!this.#memory.read(at, this.#bytes.subarray(0, width))) return false;
      const high = this.#wideIndirect ? this.#view.getUint32(0) : 0;
      const address = high * 2 ** 32 + this.#view.getUint32(width - 4);
      if (!this.#wideIndirect && address >= ADDRESS_END[1]) return false;
      // Only the first address may lie inside a block.
      if (at !== list && address % block !== 0) return false;
      const here = Math.min(left, block - (address % block));
      pieces.push({ address, length: here, skipped: false });
      left -= here;
    }
    return true;
  }

  #gather(pieces: readonly Piece[], length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
      const here = bytes.subarray(at, at + piece.length);
      if (!piece.skipped) this.#memory.read(piece.address, here);
      at += piece.length;
    }
    return bytes;
  }

  #scatter(pieces: readonly Piece[], bytes: Uint8Array): void {
    let at = 0;
    for (const piece of pieces) {
      if (!piece.skipped) this.#memory.write(piece.address, bytes.subarray(at, at + piece.length));
      at += piece.length;
    }
  }

  /** The program is wrong before the device has anything to do with it. */
  #programCheck(): ChannelEnding {
    return {
      conditionCode: CONDITION_CODE.STARTED,
      deviceStatus: 0,
      subchannelStatus: SUBCHANNEL_STATUS.PROGRAM_CHECK | this.#requested,
      residual: 0,
      ccwAddress: (this.#at + CCW_BYTES) % ADDRESS_END[1],
      sense: NO_BYTES,
    };
  }

  #ending(end: CommandEnd): ChannelEnding {
    const unitCheck = (end.deviceStatus & CHANNEL_DEVICE_STATUS.UNIT_CHECK) !== 0;
    return {
      conditionCode: CONDITION_CODE.STARTED,
      deviceStatus: end.deviceStatus,
      subchannelStatus: end.subchannelStatus | this.#requested,
      residual: end.residual,
      ccwAddress: end.current.address + CCW_BYTES,
      sense: unitCheck ? commandReject() : NO_BYTES,
    };
  }
}

/** The sense data of a rejected command. */
function commandReject(): Uint8Array {
  const sense = new Uint8Array(SENSE_LENGTH);
  sense[0] = SENSE_BYTE.COMMAND_REJECT;
  return sense;
}

/**
 * The CCW that is current once `moved` bytes have been moved, and its residual count. A CCW that
 * chains data hands over to the next as soon as its own count is used up.
 */
function position(words: readonly [Word, ...Word[]], moved: number): readonly [Word, number] {
  let left = moved;
  let current: Word = words[0];
  for (const word of words) {
    if (left < word.count) return [word, word.count - left];
    left -= word.count;
    current = word;
  }
  return [current, 0];
}
