import {
  type AdminCall,
  AdminExecutor,
  type AdminExecutorOptions,
  type AdminOutcome,
  type AdminQueuePort,
  AdminQueues,
  type CommandFamily,
  OUTCOME,
  outcome,
} from "../../src/admin/index.ts";
import type { Timer } from "../../src/clock.ts";
import { FEATURE, FeatureSet, STATUS, VirtioDevice } from "../../src/device/index.ts";
import { PLATFORM_GROUP, PlatformGroup, SELF_GROUP, SelfGroup } from "../../src/group/index.ts";
import { createGuestMemory, DmaArena, type RegionMemory } from "../../src/memory/index.ts";
import type { TraceEvent } from "../../src/trace/index.ts";
import { createDriverQueue, type DriverQueue, splitAreaSizes } from "../../src/virtqueue/index.ts";

/** Opcodes of the family that the tests bring. */
export const OP = {
  ECHO: 0x20,
  MEMBER: 0x21,
  WAIT: 0x22,
  THROW: 0x23,
  AGAIN: 0x24,
  SELF_ONLY: 0x25,
  ADD: 0x26,
  FAR: 0x100,
} as const;

export interface Waiting {
  readonly call: AdminCall;
  readonly tag: number;
  answer(result: AdminOutcome): void;
  fail(error: unknown): void;
}

/** A family with one command of every kind, and what it saw. */
export class TestFamily implements CommandFamily {
  readonly name = "test";
  readonly doc = "Commands for tests.";
  readonly private = true;
  readonly commands = [
    command("ECHO", { data: { min: 4, max: 24 }, result: { min: 8, max: 24 } }),
    command("MEMBER", { usesMember: true }),
    command("WAIT", { data: { min: 1, max: 1 }, result: { min: 8, max: 8 } }),
    command("THROW", { result: { min: 8, max: 8 } }),
    command("AGAIN", { data: { min: 0, max: 8 } }),
    command("SELF_ONLY", { groups: [SELF_GROUP.id] }),
    command("ADD", { data: { min: 2, max: 2 } }),
    command("FAR", {}),
  ];
  /** The tag of each WAIT and AGAIN that was carried out, in order. */
  readonly seen: number[] = [];
  readonly waiting: Waiting[] = [];
  /** How many more times AGAIN answers EAGAIN. */
  again = 0;
  total = 0;
  resets = 0;

  bind() {
    return {
      handlers: {
        [OP.ECHO]: (call: AdminCall) => {
          call.resultBytes.set(call.dataBytes.subarray(0, 24));
          call.resultLength = Math.max(8, call.dataLength);
          return OUTCOME.OK;
        },
        [OP.MEMBER]: () => OUTCOME.OK,
        [OP.WAIT]: (call: AdminCall) => {
          const tag = call.data.getUint8(0);
          this.seen.push(tag);
          return new Promise<AdminOutcome>((resolve, reject) => {
            this.waiting.push({ call, tag, answer: resolve, fail: reject });
          });
        },
        [OP.THROW]: (call: AdminCall) => {
          call.resultBytes.fill(0xff);
          throw new Error("broken handler");
        },
        [OP.AGAIN]: (call: AdminCall) => {
          if (this.again > 0) {
            this.again--;
            return OUTCOME.TRY_AGAIN;
          }
          this.seen.push(call.data.getUint8(0));
          return OUTCOME.OK;
        },
        [OP.SELF_ONLY]: () => OUTCOME.OK,
        [OP.ADD]: (call: AdminCall) => {
          const amount = call.data.getUint16(0, true);
          if (amount > 100) return OUTCOME.INVALID_FIELD;
          if (this.total + amount > 1000) return outcome("ENOSPC", "NORESOURCE");
          this.total += amount;
          return OUTCOME.OK;
        },
        [OP.FAR]: () => OUTCOME.OK,
      },
      reset: () => {
        this.resets++;
        this.total = 0;
      },
    };
  }
}

function command(
  name: keyof typeof OP,
  more: {
    readonly groups?: readonly number[];
    readonly usesMember?: boolean;
    readonly data?: { readonly min: number; readonly max: number };
    readonly result?: { readonly min: number; readonly max: number };
  },
) {
  const none = { min: 0, max: 0 };
  return {
    opcode: OP[name],
    name,
    groups: more.groups ?? ("any" as const),
    usesMember: more.usesMember ?? false,
    data: more.data ?? none,
    result: more.result ?? none,
    clauses: [],
    doc: `Test command ${name}.`,
    cite: "this project",
  };
}

export interface AdminRigOptions extends Partial<AdminExecutorOptions> {
  readonly count?: number;
  readonly size?: number;
  readonly budget?: number;
  readonly traced?: boolean;
}

const BASE = 0x10_0000;
const LENGTH = 0x10_0000;

/** An owner device with admin queues, and the driver halves of those, over one memory. */
export class AdminRig {
  readonly family = new TestFamily();
  readonly platform = new PlatformGroup([3, 7]);
  readonly faults: unknown[] = [];
  readonly events: TraceEvent[] = [];
  readonly memory: RegionMemory;
  readonly arena: DmaArena;
  readonly executor: AdminExecutor;
  readonly admin: AdminQueues;
  readonly device: VirtioDevice;
  ports: TestPort[] = [];
  readonly #count: number;
  readonly #size: number;

  constructor(options: AdminRigOptions = {}) {
    this.memory = createGuestMemory([{ base: BASE, bytes: new Uint8Array(LENGTH) }]);
    this.arena = new DmaArena(this.memory, BASE, LENGTH);
    this.executor = new AdminExecutor({
      groups: options.groups ?? [new SelfGroup(), this.platform],
      families: options.families ?? [this.family],
      onFault: (error) => this.faults.push(error),
      ...(options.tolerances === undefined ? {} : { tolerances: options.tolerances }),
      ...(options.dialect === undefined ? {} : { dialect: options.dialect }),
    });
    this.#count = options.count ?? 1;
    this.#size = options.size ?? 64;
    this.admin = new AdminQueues({
      executor: this.executor,
      count: this.#count,
      maxSize: this.#size,
      ...(options.budget === undefined ? {} : { budget: options.budget }),
    });
    this.device = new VirtioDevice({
      memory: this.memory,
      model: {
        name: "test",
        deviceId: 4,
        features: [],
        queues: [{ name: "requestq", maxSize: 8 }],
        attach() {},
        queueNotified() {},
        reset() {},
      },
      admin: this.admin,
      ...(options.traced === true ? { trace: { emit: (event) => this.events.push(event) } } : {}),
    });
    this.device.connect({
      transport: "test",
      reservedFeatures: [],
      usedBuffers: (queue) => {
        for (const port of this.ports) if (port.index === queue) port.onUsed?.();
      },
      configurationChange() {},
      deviceReset() {},
    });
    this.bringUp();
  }

  /** Negotiates, and sets the admin queues up anew. */
  bringUp(): void {
    const { device } = this;
    device.reset();
    device.writeStatus(STATUS.ACKNOWLEDGE);
    device.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    const features = FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1, FEATURE.VIRTIO_F_ADMIN_VQ);
    for (let word = 0; word < 4; word++) device.writeDriverFeatures(word, features.word(word));
    device.writeStatus(device.status | STATUS.FEATURES_OK);
    this.ports = Array.from({ length: this.#count }, (_, i) =>
      this.setUpQueue(device.adminQueueIndex + i),
    );
    device.writeStatus(device.status | STATUS.DRIVER_OK);
  }

  setUpQueue(index: number): TestPort {
    const { device, arena } = this;
    const sizes = splitAreaSizes(this.#size);
    const place = (area: { length: number; alignment: number }) =>
      arena.allocate(area.length, area.alignment).address;
    const areas = {
      descriptorArea: place(sizes.descriptorArea),
      driverArea: place(sizes.driverArea),
      deviceArea: place(sizes.deviceArea),
    };
    const queue = createDriverQueue({
      ...areas,
      size: this.#size,
      memory: this.memory,
      eventIdx: false,
      indirect: false,
    });
    device.setQueueSize(index, this.#size);
    for (const area of ["descriptorArea", "driverArea", "deviceArea"] as const) {
      device.setQueueAddress(index, area, 0, areas[area]);
    }
    if (!device.enableQueue(index)) throw new Error("the queue could not be enabled");
    return new TestPort(index, queue, () => device.notify(index));
  }

  /** Puts one buffer into a queue, cut up as told; returns where its parts are. */
  add(buffer: RawBuffer, port: TestPort = this.port): RawPlaced {
    const readable = place(this.arena, buffer.readable.length, buffer.readableCuts);
    const writable = place(this.arena, buffer.writableLength, buffer.writableCuts);
    let at = 0;
    for (const { address, length } of readable) {
      this.memory.write(address, buffer.readable.subarray(at, at + length));
      at += length;
    }
    for (const { address, length } of writable) {
      this.memory.write(address, new Uint8Array(length).fill(0xa5));
    }
    const parts = [...readable, ...writable];
    const id = port.queue.add(
      parts.map(({ address }) => address),
      parts.map(({ length }) => length),
      parts.length,
      readable.length,
    );
    return { id, readable, writable };
  }

  /** Sends one buffer and takes the answer back; `undefined` when the device has not answered. */
  send(buffer: RawBuffer, port: TestPort = this.port): RawAnswer | undefined {
    const placed = this.add(buffer, port);
    port.notify();
    return this.take(placed, port);
  }

  take(placed: RawPlaced, port: TestPort = this.port): RawAnswer | undefined {
    const id = port.queue.reap();
    if (id < 0) return undefined;
    if (id !== placed.id) throw new Error(`buffer ${id} came back before ${placed.id}`);
    const chunks = placed.writable.map(({ address, length }) => {
      const chunk = new Uint8Array(length);
      this.memory.read(address, chunk);
      return chunk;
    });
    const bytes = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return { used: port.queue.usedLength, bytes };
  }

  get port(): TestPort {
    return this.ports[0]!;
  }

  /** Lets the driver use everything there is, without going through a queue. */
  useAll(...groups: number[]): void {
    for (const group of groups) {
      const list = this.executor.supported(group);
      const data = new Uint8Array(64);
      for (const opcode of list) data[opcode >> 3] = data[opcode >> 3]! | (1 << (opcode & 7));
      const response = new Uint8Array(8);
      this.executor.execute(request(0x0001, group, 0, data), response);
      if (response[0] !== 0) throw new Error(`LIST_USE failed with ${response[0]}`);
    }
  }
}

export class TestPort implements AdminQueuePort {
  onUsed: (() => void) | undefined = undefined;
  readonly index: number;
  readonly queue: DriverQueue;
  readonly #ring: () => void;

  constructor(index: number, queue: DriverQueue, ring: () => void) {
    this.index = index;
    this.queue = queue;
    this.#ring = ring;
  }

  notify(): void {
    if (this.queue.publish()) this.#ring();
  }
}

export interface RawBuffer {
  readonly readable: Uint8Array;
  readonly writableLength: number;
  /** Lengths of the leading descriptors; the rest is one more. */
  readonly readableCuts?: readonly number[];
  readonly writableCuts?: readonly number[];
}
interface Part {
  readonly address: number;
  readonly length: number;
}
export interface RawPlaced {
  readonly id: number;
  readonly readable: readonly Part[];
  readonly writable: readonly Part[];
}
export interface RawAnswer {
  readonly used: number;
  readonly bytes: Uint8Array;
}

function place(arena: DmaArena, length: number, cuts: readonly number[] = []): Part[] {
  const parts: Part[] = [];
  let left = length;
  for (const cut of [...cuts, length]) {
    const size = Math.min(cut, left);
    if (size <= 0) continue;
    // A gap between the parts, so that nothing works only because they touch.
    parts.push({ address: arena.allocate(size + 16, 8).address, length: size });
    left -= size;
  }
  return parts;
}

/** The readable part of a command. */
export function request(
  opcode: number,
  group: number,
  member: number | bigint,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const bytes = new Uint8Array(24 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, opcode, true);
  view.setUint16(2, group, true);
  view.setBigUint64(16, BigInt(member), true);
  bytes.set(data, 24);
  return bytes;
}

/** Status and qualifier of a response. */
export function answerOf(bytes: Uint8Array): readonly [number, number] {
  return [bytes[0]! | (bytes[1]! << 8), bytes[2]! | (bytes[3]! << 8)];
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
}

/** Lets promises settle, and the microtasks that follow from them. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

/** A clock that a test moves on. */
export class TestTimer implements Timer {
  now = 0;
  readonly #calls = new Set<{ readonly at: number; readonly callback: () => void }>();

  set(callback: () => void, delayMs: number): unknown {
    const call = { at: this.now + delayMs, callback };
    this.#calls.add(call);
    return call;
  }

  clear(handle: unknown): void {
    this.#calls.delete(handle as never);
  }

  get pending(): number {
    return this.#calls.size;
  }

  async advance(milliseconds: number): Promise<void> {
    this.now += milliseconds;
    const due = [...this.#calls].filter(({ at }) => at <= this.now).sort((a, b) => a.at - b.at);
    for (const call of due) {
      if (!this.#calls.delete(call)) continue;
      call.callback();
      await settle();
    }
  }
}

export const GROUPS = { self: SELF_GROUP.id, srIov: 1, platform: PLATFORM_GROUP.id } as const;
