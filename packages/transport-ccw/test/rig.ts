/** What the tests of this package share: a machine with one device, and channel programs as hex. */
import {
  AdminExecutor,
  AdminQueues,
  type ConfigSpace,
  createGuestMemory,
  type DeviceHost,
  type DeviceModel,
  DmaArena,
  MemorySink,
  SelfGroup,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import { CcwDevice, type CcwDeviceInit, type CcwInterrupt } from "@virtio-admin/transport-ccw";

export const MEMORY_BASE = 0x10000;
export const MEMORY_LENGTH = 0x80000;
/** Where the programs of the tests lie. */
export const PROGRAM = MEMORY_BASE;
/** Where their data lies. */
export const DATA = MEMORY_BASE + 0x1000;

/** Bytes that the entropy source gives. */
export const SOURCE = Uint8Array.from({ length: 256 }, (_, i) => i ^ 0xa5);

export const CE_DE = 0x0c;
export const UNIT_CHECK = 0x02;
export const PROGRAM_CHECK = 0x20;
export const INCORRECT_LENGTH = 0x40;

export const FLAGS = { CD: 0x80, CC: 0x40, SLI: 0x20, SKIP: 0x10, PCI: 0x08, IDA: 0x04, S: 0x02 };

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function unhex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/\s+/g, ""), "hex"));
}

/** A model with any number of queues and a configuration space, which uses no buffer. */
export function idleModel(
  queues: number,
  config?: ConfigSpace,
): DeviceModel & { host?: DeviceHost } {
  const model: DeviceModel & { host?: DeviceHost } = {
    name: "idle",
    deviceId: 42,
    features: [],
    queues: Array.from({ length: queues }, (_, i) => ({ name: `q${i}`, maxSize: 16 })),
    ...(config === undefined ? {} : { config }),
    attach: (host) => {
      model.host = host;
    },
    queueNotified: () => undefined,
    reset: () => undefined,
  };
  return model;
}

export interface RigOptions extends Omit<CcwDeviceInit, "device"> {
  readonly model?: DeviceModel;
  readonly adminCount?: number;
  readonly features?: readonly number[];
}

/** A machine: memory, a device, its subchannel, and everything it interrupted with. */
export function makeRig(options: RigOptions = {}) {
  const { model, adminCount = 1, features, ...init } = options;
  const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_LENGTH) }]);
  const dma = new DmaArena(memory, MEMORY_BASE + 0x10000, MEMORY_LENGTH - 0x10000);
  const trace = new MemorySink();
  const executor = new AdminExecutor({ groups: [new SelfGroup()] });
  const device = new VirtioDevice({
    model:
      model ?? createEntropy({ source: (target) => target.set(SOURCE.subarray(0, target.length)) }),
    memory,
    trace,
    ...(features === undefined ? {} : { features }),
    ...(adminCount === 0 ? {} : { admin: new AdminQueues({ executor, count: adminCount }) }),
  });
  const interrupts: CcwInterrupt[] = [];
  const subchannel = new CcwDevice({
    device,
    onInterrupt: (interrupt) => interrupts.push(interrupt),
    ...init,
  });
  const put = (address: number, text: string) => memory.write(address, unhex(text));
  const get = (address: number, length: number) => {
    const bytes = new Uint8Array(length);
    memory.read(address, bytes);
    return hex(bytes);
  };
  /** Runs the program whose CCWs are given in hex; format 1 unless told. */
  const run = (program: string, control = 0x00c08000, address = PROGRAM) => {
    put(address, program);
    return subchannel.startSubchannel(unhex(`cafe0000${be(control, 4)}${be(address, 4)}`));
  };
  /** Runs one format-1 CCW over `data`, whose length is the count unless told otherwise. */
  const command = (code: number, data = "", flags = 0, count = data.length / 2) => {
    put(DATA, data);
    return run(ccw1(code, flags, count, DATA));
  };
  return { memory, dma, device, subchannel, interrupts, trace, put, get, run, command };
}

export type Rig = ReturnType<typeof makeRig>;

/** A number as big-endian hex. */
export function be(value: number, bytes: number): string {
  return value.toString(16).padStart(2 * bytes, "0");
}

/** A format-1 CCW in hex. */
export function ccw1(code: number, flags: number, count: number, address: number): string {
  return be(code, 1) + be(flags, 1) + be(count, 2) + be(address, 4);
}

/** A format-0 CCW in hex. */
export function ccw0(code: number, flags: number, count: number, address: number): string {
  return `${be(code, 1)}${be(address, 3)}${be(flags, 1)}00${be(count, 2)}`;
}

/** How a program ended, short: device status, subchannel status, residual. */
export function brief(ending: {
  deviceStatus: number;
  subchannelStatus: number;
  residual: number;
}): [number, number, number] {
  return [ending.deviceStatus, ending.subchannelStatus, ending.residual];
}

/** A SET_VQ payload in hex. */
export function setVq(index: number, size: number, desc: number, driver: number, device: number) {
  return be(desc, 8) + be(0, 4) + be(index, 2) + be(size, 2) + be(driver, 8) + be(device, 8);
}

/** Negotiates a revision and the features given, up to FEATURES_OK. */
export function negotiate(rig: Rig, revision: number, features = 0x1_0000_0000n): void {
  const ok = (ending: { deviceStatus: number; subchannelStatus: number }) => {
    if (ending.deviceStatus !== CE_DE || ending.subchannelStatus !== 0) {
      throw new Error(`setup failed: ${JSON.stringify(ending)}`);
    }
  };
  ok(rig.command(0x83, be(revision, 2) + be(0, 2)));
  ok(rig.command(0x33));
  ok(rig.command(0x31, "01"));
  ok(rig.command(0x31, "03"));
  for (let word = 0; word < 2; word++) {
    const view = new DataView(new ArrayBuffer(5));
    view.setUint32(0, Number((features >> BigInt(32 * word)) & 0xffffffffn), true);
    view.setUint8(4, word);
    ok(rig.command(0x11, hex(new Uint8Array(view.buffer))));
  }
  ok(rig.command(0x31, "0b"));
}
