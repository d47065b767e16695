/**
 * The channel of a stock kernel, taken over for some subchannels: channel programs and notifications
 * of those go to device halves of ours. Behind each is a device of QEMU's, which sees none of it.
 *
 * - START SUBCHANNEL: our device runs the program; QEMU's gets a program that does nothing, and posts
 *   the interrupt of its end. TEST SUBCHANNEL then stores how ours ended.
 * - MODIFY SUBCHANNEL is carried out by both.
 * - DIAGNOSE 0x500 is carried out by ours alone.
 * - Unsolicited interrupts of a subchannel are those of a program that does nothing, started in between;
 *   TEST SUBCHANNEL tells of none. They are raised when the kernel has called, and then only: a processor
 *   that waits runs nothing.
 * - Adapter interrupts are rung for by whoever made this.
 */
import { accessors, type GuestMemory, VirtioError } from "@virtio-admin/core";
import {
  CCW_BASIC_LAYOUT,
  CCW1,
  type CcwDevice,
  type ChannelEnding,
  CONDITION_CODE,
  encodeIrb,
  IRB,
  ORB,
} from "@virtio-admin/transport-ccw";
import type { GdbClient } from "./client.ts";
import type { Outcome, Stops } from "./stops.ts";

/** The functions of the kernel in which the instructions are; the last one came later. */
export const KERNEL_FUNCTIONS = [
  "ssch",
  "tsch",
  "msch",
  "virtio_ccw_kvm_notify",
  "virtio_ccw_kvm_notify_with_data",
] as const;

/** Where the functions of a kernel are. */
export type KernelSymbols = ReadonlyMap<string, bigint>;

const orbFields = accessors(ORB);
const ccw = accessors(CCW1);
const irb = accessors(IRB);
/** The subchannel information block up to the flags, and the bit of them that enables. */
const SCHIB_BYTES = 8;
const ENABLED = { at: 5, mask: 0x80 };
/** DIAGNOSE 0x500 as the kernel has it: what it names are registers 2 and 4. */
const DIAGNOSE = Buffer.from("83240500", "hex");
/** START SUBCHANNEL of the one in register 1, with the block at register 2. */
const START_SUBCHANNEL = Buffer.from("b2332000", "hex");
const STATUS_PENDING = 1n;
/** What lies where in the memory that the kernel does not use. */
const ORB_OFFSET = 0x100;
const PROGRAM_OFFSET = 0x200;
/** The whole block, with the words that say nothing. */
const ORB_BYTES = 32;
/** How far from the beginning of a function it is looked for. */
const FUNCTION_BYTES = 0x200;

/** Takes over subchannels. */
export class KernelChannel {
  readonly #client: GdbClient;
  readonly #stops: Stops;
  readonly #memory: GuestMemory;
  readonly #devices = new Map<number, CcwDevice>();
  readonly #endings = new Map<number, ChannelEnding>();
  /** Devices with an unsolicited interrupt: still to be raised, or raised. */
  readonly #unsolicited = new Map<CcwDevice, "wanted" | "raised">();
  /** What the kernel wants to be told with an interrupt of each subchannel. */
  readonly #parameters = new Map<number, number>();
  readonly #scratch: number;
  readonly #notifiers: bigint[] = [];

  /** `memory` is the machine's; from `scratch` on, the kernel uses none of it. */
  constructor(client: GdbClient, stops: Stops, memory: GuestMemory, scratch: number) {
    this.#scratch = scratch;
    memory.write(scratch, START_SUBCHANNEL);
    memory.write(scratch + PROGRAM_OFFSET, NOTHING_TO_DO);
    this.#client = client;
    this.#stops = stops;
    this.#memory = memory;
  }

  /** Takes over the subchannel of a device. */
  take(device: CcwDevice): void {
    this.#devices.set(device.subchannelId, device);
  }

  /** Has an unsolicited interrupt raised, within a call of the kernel for the device. */
  interrupt(device: CcwDevice): void {
    if (!this.#unsolicited.has(device)) this.#unsolicited.set(device, "wanted");
  }

  /**
   * Stops the kernel at its functions. The machine is stopped.
   *
   * @throws VirtioError `HOST_UNSUPPORTED` when one is not among them
   */
  async open(symbols: KernelSymbols): Promise<void> {
    const at = (name: (typeof KERNEL_FUNCTIONS)[number]): bigint => {
      const address = symbols.get(name);
      if (address === undefined) throw lacks(name);
      return address;
    };
    await this.#stops.at(at("ssch"), () => this.#start());
    await this.#stops.at(at("tsch"), () => this.#test());
    await this.#stops.at(at("msch"), () => this.#modify());
    const carriesData = symbols.get("virtio_ccw_kvm_notify_with_data");
    this.#notifiers.push(
      at("virtio_ccw_kvm_notify"),
      ...(carriesData === undefined ? [] : [carriesData]),
    );
  }

  async #start(): Promise<Outcome> {
    const device = await this.#device();
    if (device === undefined) return "go on";
    // The kernel's own memory can be read now, wherever it was stopped before.
    await this.#findNotifications();
    if (this.#unsolicited.get(device) === "raised") return this.#stops.answer(STATUS_PENDING);
    const orb = await this.#client.readMemory(await this.#stops.register(3), ORB.size);
    const block = new DataView(orb.buffer);
    this.#parameters.set(device.subchannelId, orbFields.interruption_parameter.get(block, 0));
    const ending = device.startSubchannel(orb);
    if (ending.conditionCode !== CONDITION_CODE.STARTED) {
      return this.#stops.answer(BigInt(ending.conditionCode));
    }
    const program = orbFields.channel_program.get(block, 0);
    const kept = new Uint8Array(CCW1.size);
    this.#memory.read(program, kept);
    this.#memory.write(program, NOTHING_TO_DO);
    const conditionCode = await this.#stops.finish();
    this.#memory.write(program, kept);
    if (conditionCode !== 0n) throw unexpected("START SUBCHANNEL", conditionCode);
    this.#endings.set(device.subchannelId, ending);
    return "moved";
  }

  async #test(): Promise<Outcome> {
    const device = await this.#device();
    if (device === undefined) return "go on";
    const ending = this.#endings.get(device.subchannelId);
    const isUnsolicited = this.#unsolicited.get(device) === "raised";
    if (ending === undefined && !isUnsolicited) return "go on";
    const block = await this.#stops.register(3);
    if ((await this.#stops.finish()) !== 0n) return "moved";
    if (ending !== undefined) {
      await this.#client.writeMemory(block, encodeIrb(ending));
      this.#endings.delete(device.subchannelId);
    } else {
      await this.#client.writeMemory(block, ALERT);
      this.#unsolicited.delete(device);
      device.acceptInterrupt();
    }
    await this.#raise(device);
    return "moved";
  }

  async #modify(): Promise<Outcome> {
    const device = await this.#device();
    if (device === undefined) return "go on";
    const schib = await this.#client.readMemory(await this.#stops.register(3), SCHIB_BYTES);
    device.modifySubchannel(((schib[ENABLED.at] ?? 0) & ENABLED.mask) !== 0);
    return "go on";
  }

  async #notify(): Promise<Outcome> {
    const device = await this.#device();
    if (device === undefined) return "go on";
    const subcode = Number(await this.#stops.register(1));
    const data = Number(await this.#stops.register(3));
    const cookie = Number(await this.#stops.register(4));
    const answer = device.diagnose500(subcode, device.subchannelId, data, cookie);
    await this.#stops.skip(DIAGNOSE.length, BigInt(answer));
    await this.#raise(device);
    return "moved";
  }

  /** Raises the unsolicited interrupt of a device, unless the end of a program is to be told before. */
  async #raise(device: CcwDevice): Promise<void> {
    const { subchannelId } = device;
    const isWanted = this.#unsolicited.get(device) === "wanted";
    if (!isWanted || this.#endings.has(subchannelId)) return;
    const block = this.#scratch + ORB_OFFSET;
    const parameter = this.#parameters.get(subchannelId) ?? 0;
    this.#memory.write(block, orbOf(this.#scratch + PROGRAM_OFFSET, parameter));
    const conditionCode = await this.#stops.execute(this.#scratch, [
      [1, BigInt(subchannelId)],
      [2, BigInt(block)],
    ]);
    if (conditionCode !== 0) throw unexpected("START SUBCHANNEL", BigInt(conditionCode));
    this.#unsolicited.set(device, "raised");
  }

  /** Finds the notifications within their functions. */
  async #findNotifications(): Promise<void> {
    let found = 0;
    const from = this.#notifiers.splice(0);
    if (from.length === 0) return;
    for (const address of from) {
      const code = Buffer.from(await this.#client.readMemory(address, FUNCTION_BYTES));
      const at = code.indexOf(DIAGNOSE);
      if (at < 0) continue;
      found += 1;
      await this.#stops.at(address + BigInt(at), () => this.#notify());
    }
    if (found === 0) throw lacks("DIAGNOSE 0x500");
  }

  /** The device whose subchannel register 2 names: of functions the first parameter, as of DIAGNOSE. */
  async #device(): Promise<CcwDevice | undefined> {
    return this.#devices.get(Number(BigInt.asUintN(32, await this.#stops.register(2))));
  }
}

const NOTHING_TO_DO = noOperation();
const ALERT = alert();

/** The response block of an interrupt that no program has caused. */
function alert(): Uint8Array {
  const bytes = new Uint8Array(IRB.size);
  const bits = IRB.fields.scsw_control.bits;
  const control = bits.alert.mask + bits.status_pending.mask;
  irb.scsw_control.set(new DataView(bytes.buffer), 0, control);
  return bytes;
}

/** The block that designates a program of format 1. */
function orbOf(program: number, parameter: number): Uint8Array {
  const bytes = new Uint8Array(ORB_BYTES);
  const view = new DataView(bytes.buffer);
  const bits = ORB.fields.control.bits;
  orbFields.control.set(view, 0, bits.format.mask + bits.path_mask.mask);
  orbFields.channel_program.set(view, 0, program);
  orbFields.interruption_parameter.set(view, 0, parameter);
  return bytes;
}

/** The CCW of a program that ends well at once, whatever follows it. */
function noOperation(): Uint8Array {
  const bytes = new Uint8Array(CCW1.size);
  const view = new DataView(bytes.buffer);
  ccw.command.set(view, 0, CCW_BASIC_LAYOUT.commands.NOP.code);
  ccw.flags.set(view, 0, CCW1.fields.flags.bits.suppress_length.mask);
  return bytes;
}

function lacks(what: string): VirtioError {
  return new VirtioError("HOST_UNSUPPORTED", {
    message: `the kernel has no ${what} that is found`,
    path: "gdb.kernel",
  });
}

function unexpected(what: string, conditionCode: bigint): VirtioError {
  return new VirtioError("TRANSPORT", {
    message: `${what} of a program that does nothing ended with condition code ${conditionCode}`,
    path: "gdb.kernel",
  });
}
