/**
 * A kernel's channel, taken over: the kernel is one of a few calls, and QEMU's part of them is noted.
 */
import { accessors, STATUS, VirtioDevice } from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import {
  CCW1,
  CcwDevice,
  CHANNEL_DEVICE_STATUS,
  IRB,
  NOTIFY_REFUSED,
  ORB,
  SENSE_BYTE,
} from "@virtio-admin/transport-ccw";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GdbClient } from "../src/gdb/client.ts";
import { KERNEL_FUNCTIONS, KernelChannel } from "../src/gdb/kernel-channel.ts";
import { PSW_MASK } from "../src/gdb/registers.ts";
import { Stops } from "../src/gdb/stops.ts";
import { type FakeProcessor, GdbPeer } from "./gdb-peer.ts";

const OURS = 0x10001;
const OTHER = 0x10000;
const ORB_AT = 0x3000;
const PROGRAM = 0x3100;
const DATA = 0x3200;
const IRB_AT = 0x3300;
const SCHIB_AT = 0x3400;
const IDLE = 0x2000n;
/** From one function to the next. */
const STRIDE = 0x400;
const FUNCTIONS_AT = 0x4000;
const DIAGNOSE = 0x10;
const SCRATCH = 0x8000;
const RING = 0x3600;
const PARAMETER = 0x1234;
const READ_STATUS = 0x72;
const SET_VIRTIO_REV = 0x83;
const SLI = 0x20;
const PROBLEM_STATE = 1n << 48n;

const orb = accessors(ORB);
const ccw = accessors(CCW1);
const irb = accessors(IRB);
type Function = (typeof KERNEL_FUNCTIONS)[number];
const SYMBOLS = new Map(
  KERNEL_FUNCTIONS.map((name, i) => [name as string, BigInt(FUNCTIONS_AT + i * STRIDE)]),
);
const addressOf = (name: Function): bigint => SYMBOLS.get(name) ?? 0n;

/** Calls functions one by one; QEMU executes the instruction in each, when it gets that far. */
class FakeKernel implements FakeProcessor {
  /** What QEMU executed: the function, and the first byte of a channel program. */
  readonly executed: string[] = [];
  readonly #peer: GdbPeer;
  readonly #calls: (() => void)[] = [];
  #returned: ((result: bigint) => void) | undefined;

  constructor(peer: GdbPeer) {
    this.#peer = peer;
    peer.address = IDLE;
    // Somewhere in the functions that notify, the instruction that does.
    const code = Buffer.from("83240500", "hex");
    for (const name of ["virtio_ccw_kvm_notify", "virtio_ccw_kvm_notify_with_data"] as const) {
      peer.memory.write(Number(addressOf(name)) + DIAGNOSE, code);
    }
  }

  /** Has the kernel call a function, with registers from the second on; answers what it returns. */
  call(name: Function, ...parameters: number[]): Promise<bigint> {
    return new Promise((resolve) => {
      this.#calls.push(() => {
        parameters.forEach((value, i) => {
          this.#peer.setGeneral(2 + i, BigInt(value));
        });
        if (name.startsWith("virtio")) this.#peer.setGeneral(1, 3n);
        this.#peer.setGeneral(14, IDLE);
        this.#peer.address = addressOf(name);
        this.#returned = resolve;
      });
    });
  }

  step(): void {
    if (this.#peer.address !== BigInt(SCRATCH)) {
      this.#peer.address += 2n;
      return;
    }
    // An instruction in between: it is START SUBCHANNEL, and what it says is noted.
    const id = Number(this.#peer.general(1));
    const block = new Uint8Array(ORB.size);
    this.#peer.memory.read(Number(this.#peer.general(2)), block);
    const parameter = orb.interruption_parameter.get(new DataView(block.buffer), 0);
    this.executed.push(`start 0x${id.toString(16)} ${parameter}`);
    // Whatever it changes is put back.
    this.#peer.setGeneral(1, 0n);
    this.#peer.registers[PSW_MASK] = 0n;
    this.#peer.address = 0n;
  }

  runs(): boolean {
    const { address } = this.#peer;
    if (address === IDLE) {
      this.#returned?.(this.#peer.general(2));
      this.#returned = undefined;
      this.#calls.shift()?.();
      return true;
    }
    const index = Math.floor((Number(address) - FUNCTIONS_AT) / STRIDE);
    const name = KERNEL_FUNCTIONS[index] ?? expect.unreachable();
    const offset = Number(address) - FUNCTIONS_AT - index * STRIDE;
    if (name.startsWith("virtio") && offset < DIAGNOSE) {
      this.#peer.address += BigInt(DIAGNOSE - offset);
    } else if (name.startsWith("virtio") && offset > DIAGNOSE + 2) {
      this.#peer.address = IDLE;
    } else this.#execute(name);
    return true;
  }

  /** QEMU's part. */
  #execute(name: Function): void {
    const byte = new Uint8Array(2);
    if (name === "ssch") this.#peer.memory.read(PROGRAM, byte);
    if (name === "tsch") this.#peer.memory.write(IRB_AT, new Uint8Array(IRB.size).fill(0xee));
    this.executed.push(name === "ssch" ? `ssch ${byte[0]} ${byte[1]}` : name);
    this.#peer.setGeneral(2, 0n);
    this.#peer.address = IDLE;
  }
}

let peer: GdbPeer;
let client: GdbClient;
let kernel: FakeKernel;
let stops: Stops;
let channel: KernelChannel;
let device: VirtioDevice;
let subchannel: CcwDevice;
let ended: Promise<unknown>;

beforeEach(async () => {
  peer = await GdbPeer.start();
  kernel = new FakeKernel(peer);
  peer.processor = kernel;
  client = await GdbClient.open(peer.socket);
  stops = new Stops(client);
  channel = new KernelChannel(client, stops, peer.memory, SCRATCH);
  device = new VirtioDevice({ model: createEntropy(), memory: peer.memory });
  subchannel = new CcwDevice({ device, subchannelId: OURS });
  channel.take(subchannel);
  ended = stops.run().catch((error: unknown) => ({ failed: error }));
});

afterEach(async () => {
  client.close();
  await ended;
  await peer.stop();
});

const open = () => stops.whileStopped(() => channel.open(SYMBOLS));

/** Writes a channel program of one command, and the block that designates it. */
function writeProgram(command: number, data: readonly number[]): void {
  const block = new Uint8Array(ORB.size);
  const view = new DataView(block.buffer);
  orb.control.set(view, 0, ORB.fields.control.bits.format.mask);
  orb.channel_program.set(view, 0, PROGRAM);
  orb.interruption_parameter.set(view, 0, PARAMETER);
  peer.memory.write(ORB_AT, block);
  peer.memory.write(PROGRAM, programOf(command, data.length));
  peer.memory.write(DATA, Uint8Array.from(data));
}

function programOf(command: number, count: number): Uint8Array {
  const bytes = new Uint8Array(CCW1.size);
  const view = new DataView(bytes.buffer);
  ccw.command.set(view, 0, command);
  ccw.count.set(view, 0, count);
  ccw.data_address.set(view, 0, DATA);
  return bytes;
}

function bytesAt(address: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  expect(peer.memory.read(address, bytes)).toBe(true);
  return bytes;
}

/** Runs a command as a kernel does, and answers what it sees of the ending. */
async function run(command: number, data: readonly number[]): Promise<DataView> {
  writeProgram(command, data);
  expect(await kernel.call("ssch", OURS, ORB_AT)).toBe(0n);
  expect(bytesAt(PROGRAM, CCW1.size)).toEqual(programOf(command, data.length));
  expect(await kernel.call("tsch", OURS, IRB_AT)).toBe(0n);
  return new DataView(bytesAt(IRB_AT, IRB.size).slice().buffer);
}

describe("a subchannel that is taken over", () => {
  it("runs programs on our device, while QEMU's gets one that does nothing", async () => {
    await open();
    await run(SET_VIRTIO_REV, [0, 2, 0, 0]);
    expect(subchannel.revision).toBe(2);
    device.writeStatus(STATUS.ACKNOWLEDGE);
    const view = await run(READ_STATUS, [0xff]);
    expect(bytesAt(DATA, 1)).toEqual(Uint8Array.of(STATUS.ACKNOWLEDGE));
    expect(irb.device_status.get(view, 0)).toBe(
      CHANNEL_DEVICE_STATUS.CHANNEL_END | CHANNEL_DEVICE_STATUS.DEVICE_END,
    );
    expect(irb.ccw_address.get(view, 0)).toBe(PROGRAM + CCW1.size);
    expect(kernel.executed).toEqual([`ssch 3 ${SLI}`, "tsch", `ssch 3 ${SLI}`, "tsch"]);
  });

  it("tells how a program ended that our device rejects", async () => {
    await open();
    const view = await run(SET_VIRTIO_REV, [0, 9, 0, 0]);
    expect(irb.device_status.get(view, 0) & CHANNEL_DEVICE_STATUS.UNIT_CHECK).not.toBe(0);
    expect(view.getUint8(IRB.fields.extended_control.offset)).toBe(SENSE_BYTE.COMMAND_REJECT);
    expect(subchannel.revision).toBeUndefined();
  });

  it("tells an ending once: what comes after it is QEMU's", async () => {
    await open();
    await run(SET_VIRTIO_REV, [0, 1, 0, 0]);
    await kernel.call("tsch", OURS, IRB_AT);
    expect(bytesAt(IRB_AT, 1)[0]).toBe(0xee);
  });

  it("starts nothing while it is disabled, and QEMU's neither", async () => {
    await open();
    await kernel.call("msch", OURS, SCHIB_AT);
    expect(subchannel.enabled).toBe(false);
    writeProgram(READ_STATUS, [0]);
    expect(await kernel.call("ssch", OURS, ORB_AT)).toBe(3n);
    peer.memory.write(SCHIB_AT + 5, Uint8Array.of(0x80));
    await kernel.call("msch", OURS, SCHIB_AT);
    expect(subchannel.enabled).toBe(true);
    expect(kernel.executed).toEqual(["msch", "msch"]);
  });

  it.each(["virtio_ccw_kvm_notify", "virtio_ccw_kvm_notify_with_data"] as const)(
    "has our device notified by %s, and not QEMU's",
    async (name) => {
      await open();
      await run(SET_VIRTIO_REV, [0, 1, 0, 0]);
      kernel.executed.length = 0;
      expect(await kernel.call(name, OURS, 0, 0)).toBe(2n);
      expect(await kernel.call(name, OURS, 9, 0)).toBe(BigInt.asUintN(64, BigInt(NOTIFY_REFUSED)));
      expect(kernel.executed).toEqual([]);
    },
  );
});

describe("an unsolicited interrupt", () => {
  const KERNEL_MASK = 0x0704_c001_8000_0000n;
  const INDICATORS = 0x3500;
  const SET_IND = 0x43;

  /** A buffer of entropy in a ring of one, with classic indicators. */
  async function bringUpByHand(): Promise<void> {
    await run(SET_VIRTIO_REV, [0, 1, 0, 0]);
    await run(SET_IND, [0, 0, 0, 0, 0, 0, INDICATORS >> 8, 0]);
    const version1 = 1;
    device.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    device.writeDriverFeatures(1, version1);
    device.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK);
    device.setQueueSize(0, 1);
    for (const [i, area] of (["descriptorArea", "driverArea", "deviceArea"] as const).entries()) {
      device.setQueueAddress(0, area, 0, RING + i * 0x100);
    }
    expect(device.enableQueue(0)).toBe(true);
    device.writeStatus(device.status | STATUS.DRIVER_OK);
    const descriptor = new DataView(new ArrayBuffer(16));
    descriptor.setUint32(0, DATA, true);
    descriptor.setUint32(8, 4, true);
    descriptor.setUint16(12, 2, true);
    peer.memory.write(RING, new Uint8Array(descriptor.buffer));
    peer.memory.write(RING + 0x102, Uint8Array.of(1, 0));
    kernel.executed.length = 0;
  }

  it("is that of a program of ours in between, and leaves the kernel as it was", async () => {
    subchannel.onInterrupt = (interrupt) => {
      if (interrupt.kind === "subchannel" && interrupt.ending === undefined) {
        channel.interrupt(subchannel);
      }
    };
    await open();
    await bringUpByHand();
    peer.registers[PSW_MASK] = KERNEL_MASK;
    expect(await kernel.call("virtio_ccw_kvm_notify", OURS, 0, 0)).toBe(2n);
    expect(peer.registers[PSW_MASK]).toBe(KERNEL_MASK);
    expect(peer.general(1)).toBe(3n);
    expect(bytesAt(INDICATORS, 8)).toEqual(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1));
    // The kernel finds the subchannel by what it gave with its own programs.
    expect(kernel.executed).toEqual([`start 0x${OURS.toString(16)} ${PARAMETER}`]);
    // No program starts while status is pending.
    writeProgram(READ_STATUS, [0]);
    expect(await kernel.call("ssch", OURS, ORB_AT)).toBe(1n);
    expect(subchannel.interruptPending).toBe(true);
    expect(await kernel.call("tsch", OURS, IRB_AT)).toBe(0n);
    const { alert, status_pending } = IRB.fields.scsw_control.bits;
    expect(irb.scsw_control.get(new DataView(bytesAt(IRB_AT, IRB.size).slice().buffer), 0)).toBe(
      alert.mask + status_pending.mask,
    );
    expect(subchannel.interruptPending).toBe(false);
  });
});

describe("other subchannels", () => {
  it("are QEMU's alone", async () => {
    await open();
    writeProgram(READ_STATUS, [7]);
    await run(SET_VIRTIO_REV, [0, 1, 0, 0]);
    kernel.executed.length = 0;
    writeProgram(READ_STATUS, [7]);
    await kernel.call("ssch", OTHER, ORB_AT);
    await kernel.call("tsch", OTHER, IRB_AT);
    await kernel.call("msch", OTHER, SCHIB_AT);
    await kernel.call("virtio_ccw_kvm_notify", OTHER, 0, 0);
    expect(kernel.executed).toEqual([
      `ssch ${READ_STATUS} 0`,
      "tsch",
      "msch",
      "virtio_ccw_kvm_notify",
    ]);
    expect(bytesAt(DATA, 1)).toEqual(Uint8Array.of(7));
  });

  it("are so as well where a program has an address of the kernel's", async () => {
    await open();
    peer.registers[PSW_MASK] = PROBLEM_STATE;
    writeProgram(SET_VIRTIO_REV, [0, 1, 0, 0]);
    await kernel.call("ssch", OURS, ORB_AT);
    expect(kernel.executed).toEqual([`ssch ${SET_VIRTIO_REV} 0`]);
    expect(subchannel.revision).toBeUndefined();
  });
});

describe("a kernel", () => {
  it.each(["ssch", "tsch", "msch", "virtio_ccw_kvm_notify"])(
    "without %s is refused",
    async (name) => {
      const symbols = new Map(SYMBOLS);
      symbols.delete(name);
      const opened = stops.whileStopped(() => channel.open(symbols));
      await expect(opened).rejects.toMatchObject({ code: "HOST_UNSUPPORTED" });
    },
  );

  it("of before notifications with data will do", async () => {
    const symbols = new Map(SYMBOLS);
    symbols.delete("virtio_ccw_kvm_notify_with_data");
    await stops.whileStopped(() => channel.open(symbols));
    await run(SET_VIRTIO_REV, [0, 1, 0, 0]);
    expect(await kernel.call("virtio_ccw_kvm_notify", OURS, 0, 0)).toBe(2n);
  });

  it("that notifies in a way that is not known ends it", async () => {
    for (const name of ["virtio_ccw_kvm_notify", "virtio_ccw_kvm_notify_with_data"] as const) {
      peer.memory.write(Number(addressOf(name)) + DIAGNOSE, new Uint8Array(4));
    }
    await open();
    writeProgram(SET_VIRTIO_REV, [0, 1, 0, 0]);
    void kernel.call("ssch", OURS, ORB_AT);
    expect(await ended).toMatchObject({ failed: { code: "HOST_UNSUPPORTED" } });
  });
});

describe("a machine that is gone", () => {
  it("ends the run, and refuses what was to be done while it is stopped", async () => {
    peer.script = () => undefined;
    const waiting = stops.whileStopped(async () => expect.unreachable());
    peer.hangUp();
    expect(await ended).toMatchObject({ code: "TRANSPORT" });
    await expect(waiting).rejects.toMatchObject({ code: "TRANSPORT" });
    const late = stops.whileStopped(async () => expect.unreachable());
    await expect(late).rejects.toMatchObject({ code: "TRANSPORT" });
  });
});
