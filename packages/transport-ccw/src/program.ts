/**
 * The driver's channel: one channel command word and its data area in DMA memory, through which
 * commands are issued one at a time.
 */
import {
  accessors,
  type ChannelCommand,
  CONFIG_SPACE_LIMIT,
  type DmaAllocator,
  type DmaBlock,
  Exclusive,
  VirtioError,
} from "@virtio-admin/core";
import type { CcwBus } from "./bus.ts";
import {
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

/** What a command came to. */
export interface CommandResult {
  /** True when the device rejected the command; it then changed nothing. */
  readonly rejected: boolean;
  /** The data area afterwards: what was put there, or what the device stored. */
  readonly view: DataView;
  /** How many bytes of it the device moved. */
  readonly moved: number;
}

/** How a command is issued. */
export interface CommandOptions {
  /** Suppress the indication of incorrect length; false by default. */
  readonly suppressLength?: boolean;
}

/** The first address that a format-1 CCW cannot hold. */
const ADDRESS_END = 2 ** 31;
const CCW_ALIGNMENT = 8;
const DATA_OFFSET = CCW1.size;
const FULL_PATH_MASK = 0x80;
const ENDED = CHANNEL_DEVICE_STATUS.CHANNEL_END | CHANNEL_DEVICE_STATUS.DEVICE_END;

const FLAG = CCW1.fields.flags.bits;
const ccw = accessors(CCW1);
const orbFields = accessors(ORB);

/** Issues channel commands through a bus. */
export class CommandChannel {
  readonly #bus: CcwBus;
  readonly #dma: DmaAllocator;
  readonly #exclusive = new Exclusive();
  #block: DmaBlock | undefined;
  /** True while the device may access the block. */
  #busy = false;

  /** A channel over `bus`; its memory is taken from `dma` when the first command is issued. */
  constructor(bus: CcwBus, dma: DmaAllocator) {
    this.#bus = bus;
    this.#dma = dma;
  }

  /**
   * Issues one command with `data` in its data area, which is as long as `data`.
   *
   * @throws VirtioError `TRANSPORT` when it ended in anything but success or command reject;
   * `MEMORY_EXHAUSTED`; `MEMORY_RANGE` when the DMA memory is beyond 2 GiB.
   */
  issue(
    command: ChannelCommand,
    data: Uint8Array,
    options: CommandOptions = {},
  ): Promise<CommandResult> {
    return this.#exclusive.run(async () => {
      const { ending, bytes } = await this.#start(command, data, options.suppressLength ?? false);
      const view = new DataView(bytes.buffer);
      if ((ending.deviceStatus & CHANNEL_DEVICE_STATUS.UNIT_CHECK) !== 0) {
        await this.#expectReject(command);
        return { rejected: true, view, moved: 0 };
      }
      const status = ending.subchannelStatus & ~SUBCHANNEL_STATUS.PROGRAM_CONTROLLED;
      if (ending.deviceStatus !== ENDED || status !== 0) throw badEnding(command, ending);
      // A bus may claim any residual count.
      const left = Number.isInteger(ending.residual) ? Math.max(0, ending.residual) : data.length;
      return { rejected: false, view, moved: Math.max(0, data.length - left) };
    });
  }

  /** As {@link issue}. @throws VirtioError `TRANSPORT` also when the device rejected the command */
  async demand(
    command: ChannelCommand,
    data: Uint8Array,
    options?: CommandOptions,
  ): Promise<CommandResult> {
    const result = await this.issue(command, data, options);
    if (!result.rejected) return result;
    throw new VirtioError("TRANSPORT", {
      message: "the device rejected the channel command",
      path: `ccw.${command.name}`,
      value: command.code,
      hint: "it is outside the selected revision, or the device cannot do it now",
    });
  }

  /** Gives the memory back, unless a command never ended: the device may still write there. */
  release(): void {
    if (this.#busy) return;
    this.#block?.free();
    this.#block = undefined;
  }

  /** After a unit check: the sense data has to say command reject. */
  async #expectReject(command: ChannelCommand): Promise<void> {
    const sense = CCW_BASIC_LAYOUT.commands.SENSE;
    const { ending, bytes } = await this.#start(sense, new Uint8Array(SENSE_LENGTH), true);
    const rejected = ((bytes[0] ?? 0) & SENSE_BYTE.COMMAND_REJECT) !== 0;
    if (ending.deviceStatus === ENDED && rejected) return;
    throw new VirtioError("TRANSPORT", {
      message: "the device ended the command in a unit check that is no command reject",
      path: `ccw.${command.name}`,
      value: bytes[0],
      hint: "reset the device",
    });
  }

  async #start(
    command: ChannelCommand,
    data: Uint8Array,
    suppressLength: boolean,
  ): Promise<{ ending: ChannelEnding; bytes: Uint8Array<ArrayBuffer> }> {
    const block = this.#memory();
    const { view, bytes, base } = block.region;
    const at = block.address - base;
    const area = at + DATA_OFFSET;
    ccw.command.set(view, at, command.code);
    ccw.flags.set(view, at, suppressLength ? FLAG.suppress_length.mask : 0);
    ccw.count.set(view, at, data.length);
    ccw.data_address.set(view, at, block.address + DATA_OFFSET);
    bytes.set(data, area);
    this.#busy = true;
    const ending = await this.#bus.startSubchannel(orbOf(block.address));
    this.#busy = false;
    if (ending.conditionCode !== CONDITION_CODE.STARTED) {
      throw new VirtioError("TRANSPORT", {
        message: "the subchannel did not start the channel program",
        path: `ccw.${command.name}`,
        value: ending.conditionCode,
        hint: "condition code 3: the subchannel is disabled or the device is gone",
      });
    }
    return { ending, bytes: Uint8Array.from(bytes.subarray(area, area + data.length)) };
  }

  #memory(): DmaBlock {
    this.#block ??= this.#dma.allocate(DATA_OFFSET + CONFIG_SPACE_LIMIT, CCW_ALIGNMENT);
    const { address, length } = this.#block;
    if (address + length <= ADDRESS_END) return this.#block;
    this.release();
    throw new VirtioError("MEMORY_RANGE", {
      message: "channel programs and their data lie below 2 GiB",
      path: "ccw.dma",
      value: address,
      hint: "give the driver DMA memory below 0x80000000",
    });
  }
}

/** The operation request block of a program of format 1 at `address`. */
function orbOf(address: number): Uint8Array {
  const bytes = new Uint8Array(ORB.size);
  const view = new DataView(bytes.buffer);
  const bits = ORB.fields.control.bits;
  const paths = FULL_PATH_MASK * 2 ** bits.path_mask.at;
  orbFields.control.set(view, 0, bits.format.mask + bits.prefetch.mask + paths);
  orbFields.channel_program.set(view, 0, address);
  return bytes;
}

function badEnding(command: ChannelCommand, ending: ChannelEnding): VirtioError {
  const names = Object.entries(SUBCHANNEL_STATUS)
    .filter(([, bit]) => (ending.subchannelStatus & bit) !== 0)
    .map(([name]) => name);
  return new VirtioError("TRANSPORT", {
    message: `the channel program ended badly (${names.join(", ") || "no subchannel status"})`,
    path: `ccw.${command.name}`,
    value: (ending.deviceStatus << 8) | ending.subchannelStatus,
    hint: "the device does not agree with the driver on the command; reset it",
  });
}
