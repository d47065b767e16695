/** A subchannel of a machine under the debugger, as the bus of our driver half. */
import { accessors, type GuestMemory, VirtioError } from "@virtio-admin/core";
import {
  type CcwBus,
  type CcwInterrupt,
  type ChannelEnding,
  CONDITION_CODE,
  IRB,
} from "@virtio-admin/transport-ccw";
import {
  checkCondition,
  type Execute,
  type Executed,
  type Interruption,
  type Processor,
} from "./processor.ts";

const irb = accessors(IRB);
// Below what drivers have, in the memory that is the processor's.
const SCHIB_AT = 0x4000;
const ORB_AT = 0x4100;
const IRB_AT = 0x4200;
/** The subchannel information block, as much of it as matters here. */
const SCHIB_BYTES = 52;
/** Bit 8 of the word of flags in it (path management control word, word 1): enabled. */
const ENABLED = { at: 5, mask: 0x80 };
const DEVICE_NUMBER_AT = 6;
const SUBCHANNEL_LIMIT = 16;
const SUBCHANNEL = 0x10000;
const ORB_BYTES = 32;
const NOTHING_RAN = {
  deviceStatus: 0,
  subchannelStatus: 0,
  residual: 0,
  ccwAddress: 0,
  sense: new Uint8Array(0),
} as const;

/** One subchannel. */
export class GdbChannelBus implements CcwBus {
  /** See `CcwBus.subchannelId`. */
  readonly subchannelId: number;
  /** See `CcwBus.adapterInterrupts`. */
  readonly adapterInterrupts: boolean;
  readonly #processor: Processor;
  readonly #memory: GuestMemory;
  /** How many interrupts of each kind came. */
  readonly interrupts = { subchannel: 0, adapter: 0 };
  #failure: unknown;
  #listener: ((interrupt: CcwInterrupt) => void) | undefined;

  private constructor(
    processor: Processor,
    memory: GuestMemory,
    subchannelId: number,
    adapterInterrupts: boolean,
  ) {
    this.#processor = processor;
    this.#memory = memory;
    this.subchannelId = subchannelId;
    this.adapterInterrupts = adapterInterrupts;
  }

  /**
   * Finds the subchannel of a device by its number.
   *
   * @throws VirtioError `DEVICE_UNKNOWN` where there is none
   */
  static async find(
    processor: Processor,
    memory: GuestMemory,
    { deviceNumber, adapterInterrupts }: { deviceNumber: number; adapterInterrupts: boolean },
  ): Promise<GdbChannelBus> {
    for (let number = 0; number < SUBCHANNEL_LIMIT; number++) {
      const bus = new GdbChannelBus(processor, memory, SUBCHANNEL + number, adapterInterrupts);
      const schib = await processor.turn((execute) => bus.#store(execute));
      if (schib === undefined) break;
      if (new DataView(schib.buffer).getUint16(DEVICE_NUMBER_AT) === deviceNumber) return bus;
    }
    throw new VirtioError("DEVICE_UNKNOWN", {
      message: "no subchannel has this device",
      path: "gdb.subchannels",
      value: deviceNumber,
    });
  }

  /** Why the machine is gone; `undefined` while it is there. */
  get failure(): unknown {
    return this.#failure;
  }

  /** See `CcwBus.modifySubchannel`. */
  modifySubchannel(enabled: boolean): Promise<void> {
    return this.#processor.turn(async (execute) => {
      const schib = await this.#store(execute);
      if (schib === undefined) throw gone(this.subchannelId);
      const flags = schib[ENABLED.at] ?? 0;
      schib[ENABLED.at] = enabled ? flags | ENABLED.mask : flags & ~ENABLED.mask;
      this.#memory.write(SCHIB_AT, schib);
      checkCondition("MODIFY SUBCHANNEL", await this.#whenIdle(execute, "msch", SCHIB_AT), 0);
    });
  }

  /** See `CcwBus.startSubchannel`. */
  startSubchannel(orb: Uint8Array): Promise<ChannelEnding> {
    return this.#processor.turn(async (execute) => {
      const block = new Uint8Array(ORB_BYTES);
      block.set(orb);
      this.#memory.write(ORB_AT, block);
      const started = await this.#whenIdle(execute, "ssch", ORB_AT);
      const { STARTED, NOT_OPERATIONAL } = CONDITION_CODE;
      checkCondition("START SUBCHANNEL", started, STARTED, NOT_OPERATIONAL);
      const { conditionCode } = started;
      if (conditionCode !== STARTED) return { ...NOTHING_RAN, conditionCode };
      // QEMU runs the whole program within the instruction.
      const view = await this.#test(execute);
      if (view === undefined) throw gone(this.subchannelId);
      const control = irb.scsw_control.get(view, 0);
      const hasSense = (control & IRB.fields.scsw_control.bits.extended_control.mask) !== 0;
      const sense = view.buffer.slice(IRB.fields.extended_control.offset, IRB.size);
      return {
        conditionCode,
        deviceStatus: irb.device_status.get(view, 0),
        subchannelStatus: irb.subchannel_status.get(view, 0),
        residual: irb.count.get(view, 0),
        ccwAddress: irb.ccw_address.get(view, 0),
        sense: hasSense ? new Uint8Array(sense) : new Uint8Array(0),
      };
    });
  }

  /** See `CcwBus.diagnose500`. */
  diagnose500(
    subcode: number,
    subchannelId: number,
    data: number,
    cookie: number,
  ): Promise<number> {
    return this.#processor.turn(async (execute) => {
      const { register2 } = await execute("diag500", [
        [1, BigInt(subcode)],
        [2, BigInt(subchannelId)],
        [3, BigInt(data)],
        [4, BigInt(cookie)],
      ]);
      return Number(BigInt.asIntN(64, register2));
    });
  }

  /** See `CcwBus.onInterrupt`. */
  onInterrupt(listener: ((interrupt: CcwInterrupt) => void) | undefined): void {
    this.#listener = listener;
    if (listener === undefined) this.#processor.onInterruption(undefined);
    else {
      this.#processor.onInterruption(
        (interruption) => void this.#serve(interruption),
        (error) => {
          this.#failure ??= error;
        },
      );
    }
  }

  async #serve(interruption: Interruption): Promise<void> {
    this.interrupts[interruption.kind] += 1;
    try {
      // The next interrupt of a subchannel comes once the status of this one is taken.
      if (interruption.kind === "subchannel") {
        await this.#processor.turn((execute) => this.#test(execute));
      }
      this.#listener?.(interruption);
    } catch (error) {
      this.#failure ??= error;
    }
  }

  /** Runs an instruction that status which nobody has looked at holds back. */
  async #whenIdle(execute: Execute, name: "msch" | "ssch", block: number): Promise<Executed> {
    const done = await this.#do(execute, name, block);
    if (done.conditionCode !== 1) return done;
    await this.#test(execute);
    // It may have been for the indicators.
    this.#listener?.({ kind: "subchannel", subchannelId: this.subchannelId });
    return this.#do(execute, name, block);
  }

  /** STORE SUBCHANNEL; `undefined` where there is none. */
  async #store(execute: Execute): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { conditionCode } = await this.#do(execute, "stsch", SCHIB_AT);
    if (conditionCode !== 0) return undefined;
    const schib = new Uint8Array(SCHIB_BYTES);
    this.#memory.read(SCHIB_AT, schib);
    return schib;
  }

  /** TEST SUBCHANNEL; `undefined` when no status was pending. */
  async #test(execute: Execute): Promise<DataView<ArrayBuffer> | undefined> {
    const done = await this.#do(execute, "tsch", IRB_AT);
    checkCondition("TEST SUBCHANNEL", done, 0, 1);
    if (done.conditionCode === 1) return undefined;
    const bytes = new Uint8Array(IRB.size);
    this.#memory.read(IRB_AT, bytes);
    return new DataView(bytes.buffer);
  }

  #do(execute: Execute, name: "msch" | "ssch" | "stsch" | "tsch", block: number) {
    return execute(name, [
      [1, BigInt(this.subchannelId)],
      [2, BigInt(block)],
    ]);
  }
}

function gone(subchannelId: number): VirtioError {
  return new VirtioError("TRANSPORT", {
    message: "the subchannel is gone, or says nothing of what it did",
    path: "gdb.subchannel",
    value: subchannelId,
  });
}
