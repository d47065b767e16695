/**
 * The bus of our driver half over the debugger: the processor executes the few instructions that it is
 * given, on a device half of ours, and takes interrupts in between.
 */
import { bringUp, DmaArena, FEATURE, VirtioDevice } from "@virtio-admin/core";
import { createEntropy, EntropyDriver } from "@virtio-admin/devices";
import {
  CcwDevice,
  CcwDriver,
  type ChannelEnding,
  CONDITION_CODE,
  encodeIrb,
  ORB,
} from "@virtio-admin/transport-ccw";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GdbChannelBus } from "../src/gdb/channel.ts";
import { GdbClient } from "../src/gdb/client.ts";
import { PROCESSOR_MEMORY, Processor } from "../src/gdb/processor.ts";
import { PSW_MASK } from "../src/gdb/registers.ts";
import { type FakeProcessor, GdbPeer } from "./gdb-peer.ts";

const DEVICE_NUMBER = 0x42;
/** Of the second subchannel, so that the first is not taken for it. */
const SUBCHANNEL = 0x10001;
const SUBCHANNELS = [0x10000, SUBCHANNEL];
const CONDITION_CODE_AT = 44n;
const IO_ENABLED = 1n << 57n;
const IO_NEW_PSW_ADDRESS = 0x1f8;
const SUBSYSTEM_ID = 0xb8;
const INTERRUPTION_ID = 0xc0;
const SCHIB_BYTES = 52;
const DMA_BYTES = 0xe_0000;
const WRITTEN = 0x77;

const NOTHING_ENDED: ChannelEnding = {
  conditionCode: 0,
  deviceStatus: 0,
  subchannelStatus: 0,
  residual: 0,
  ccwAddress: 0,
  sense: new Uint8Array(0),
};

/** A processor, and a channel with one device behind it. */
class FakeMachine implements FakeProcessor {
  /** The instructions that were executed one by one, by their first two bytes. */
  readonly executed: string[] = [];
  readonly #peer: GdbPeer;
  readonly #device: CcwDevice;
  /** Status that was not tested yet, and whether it has interrupted. */
  #status: { readonly ending: ChannelEnding; told: boolean } | undefined;
  readonly #adapters: number[] = [];

  constructor(peer: GdbPeer, device: CcwDevice) {
    this.#peer = peer;
    this.#device = device;
    device.onInterrupt = (interrupt) => {
      if (interrupt.kind === "adapter") this.#adapters.push(interrupt.subclass);
      else this.#status = { ending: interrupt.ending ?? NOTHING_ENDED, told: false };
    };
  }

  step(): void {
    const code = this.#bytes(Number(this.#peer.address), 2).toString("hex");
    this.executed.push(code);
    this.#peer.address += 4n;
    const id = Number(this.#peer.general(1) & 0xffff_ffffn);
    const block = Number(this.#peer.general(2));
    switch (code) {
      case "b232":
        this.#end(this.#status === undefined ? this.#modify(block) : 1);
        break;
      case "b233":
        this.#end(this.#status === undefined ? this.#start(block) : 1);
        break;
      case "b234":
        this.#end(this.#store(id, block));
        break;
      case "b235":
        this.#end(this.#test(block));
        break;
      case "8324": {
        const [subcode, data, cookie] = [1, 3, 4].map((each) => Number(this.#peer.general(each)));
        const to = this.#peer.general(2);
        const answer = this.#device.diagnose500(subcode ?? 0, to, data ?? 0, cookie ?? 0);
        this.#peer.setGeneral(2, BigInt(answer));
        break;
      }
      case "eb66":
        break;
      default:
        throw new Error(`the instruction is ${code}`);
    }
  }

  runs(): boolean {
    if (((this.#peer.registers[PSW_MASK] ?? 0n) & IO_ENABLED) === 0n) return true;
    const subclass = this.#adapters.shift();
    if (subclass !== undefined) this.#interrupt(0, (0x8000_0000 | (subclass << 27)) >>> 0);
    else if (this.#status !== undefined && !this.#status.told) {
      this.#status.told = true;
      this.#interrupt(SUBCHANNEL, 3 << 27);
    }
    return true;
  }

  #interrupt(subsystem: number, id: number): void {
    const words = new DataView(new ArrayBuffer(12));
    words.setUint32(0, subsystem);
    words.setUint32(INTERRUPTION_ID - SUBSYSTEM_ID, id);
    this.#peer.memory.write(SUBSYSTEM_ID, new Uint8Array(words.buffer));
    this.#peer.registers[PSW_MASK] = 0n;
    this.#peer.address = this.#bytes(IO_NEW_PSW_ADDRESS, 8).readBigUInt64BE();
  }

  #modify(block: number): number {
    this.#device.modifySubchannel(((this.#bytes(block, SCHIB_BYTES)[5] ?? 0) & 0x80) !== 0);
    return 0;
  }

  #start(block: number): number {
    return this.#device.startSubchannel(this.#bytes(block, ORB.size)).conditionCode;
  }

  #store(id: number, block: number): number {
    if (!SUBCHANNELS.includes(id)) return 3;
    const schib = Buffer.alloc(SCHIB_BYTES);
    if (this.#device.enabled) schib[5] = 0x80;
    schib.writeUInt16BE(id === SUBCHANNEL ? DEVICE_NUMBER : 1, 6);
    this.#peer.memory.write(block, schib);
    return 0;
  }

  #test(block: number): number {
    if (this.#status === undefined) return 1;
    this.#peer.memory.write(block, encodeIrb(this.#status.ending));
    if (this.#status.ending === NOTHING_ENDED) this.#device.acceptInterrupt();
    this.#status = undefined;
    return 0;
  }

  #end(conditionCode: number): void {
    const mask = (this.#peer.registers[PSW_MASK] ?? 0n) & ~(3n << CONDITION_CODE_AT);
    this.#peer.registers[PSW_MASK] = mask | (BigInt(conditionCode) << CONDITION_CODE_AT);
  }

  #bytes(address: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    expect(this.#peer.memory.read(address, bytes)).toBe(true);
    return bytes;
  }
}

let peer: GdbPeer;
let client: GdbClient;
let machine: FakeMachine;
let processor: Processor;
let device: VirtioDevice;

beforeEach(async () => {
  peer = await GdbPeer.start();
  const model = createEntropy({ source: (target) => target.fill(WRITTEN) });
  device = new VirtioDevice({ model, memory: peer.memory });
  machine = new FakeMachine(peer, new CcwDevice({ device, subchannelId: SUBCHANNEL }));
  peer.processor = machine;
  client = await GdbClient.open(peer.socket);
  processor = await Processor.open(client, peer.memory);
});

afterEach(async () => {
  processor.onInterruption(undefined);
  client.close();
  await peer.stop();
});

const find = (adapterInterrupts: boolean, deviceNumber = DEVICE_NUMBER) =>
  GdbChannelBus.find(processor, peer.memory, { deviceNumber, adapterInterrupts });

describe("a device behind the debugger", () => {
  it.each([
    ["adapter", true],
    ["subchannel", false],
  ] as const)("is brought up and used with %s interrupts", async (kind, adapterInterrupts) => {
    const bus = await find(adapterInterrupts);
    expect(bus.subchannelId).toBe(SUBCHANNEL);
    const dma = new DmaArena(peer.memory, PROCESSOR_MEMORY, DMA_BYTES);
    const driver = await bringUp(new CcwDriver({ bus, dma }), {
      features: [FEATURE.VIRTIO_F_EVENT_IDX],
      queues: [{ index: 0 }],
    });
    const entropy = new EntropyDriver(driver);
    for (let i = 0; i < 5; i++) {
      expect(await entropy.read(40)).toEqual(new Uint8Array(40).fill(WRITTEN));
    }
    entropy.close();
    expect(bus.interrupts[kind]).toBeGreaterThanOrEqual(5);
    expect(bus.failure).toBeUndefined();
    await driver.close();
    expect(device.status).toBe(0);
  });

  it("is found by its number, or not at all", async () => {
    await expect(find(true, 7)).rejects.toMatchObject({ code: "DEVICE_UNKNOWN", value: 7 });
  });

  it("starts nothing while its subchannel is disabled", async () => {
    const bus = await find(true);
    await bus.modifySubchannel(false);
    const ending = await bus.startSubchannel(new Uint8Array(ORB.size));
    expect(ending.conditionCode).toBe(CONDITION_CODE.NOT_OPERATIONAL);
    await bus.modifySubchannel(true);
    const program = await bus.startSubchannel(new Uint8Array(ORB.size));
    expect(program.conditionCode).toBe(CONDITION_CODE.STARTED);
    expect(program.subchannelStatus).not.toBe(0);
  });

  it("says when its machine is gone, whoever waits for an interrupt", async () => {
    const bus = await find(true);
    bus.onInterrupt(() => undefined);
    await processor.turn(async () => undefined);
    peer.hangUp();
    await expect(bus.modifySubchannel(true)).rejects.toMatchObject({ code: "TRANSPORT" });
    await expect(processor.turn((execute) => execute("stsch", []))).rejects.toMatchObject({
      code: "TRANSPORT",
    });
  });
});

describe("a processor", () => {
  it("runs the instructions of one turn, and nothing in between", async () => {
    machine.executed.length = 0;
    const results = await Promise.all([
      processor.turn(async (execute) => {
        await execute("stsch", [
          [1, BigInt(SUBCHANNEL)],
          [2, 0x4000n],
        ]);
        return execute("tsch", [
          [1, BigInt(SUBCHANNEL)],
          [2, 0x4000n],
        ]);
      }),
      processor.turn((execute) =>
        execute("stsch", [
          [1, 0x10009n],
          [2, 0x4000n],
        ]),
      ),
    ]);
    expect(results.map(({ conditionCode }) => conditionCode)).toEqual([1, 3]);
    expect(machine.executed).toEqual(["b234", "b235", "b234"]);
  });
});
