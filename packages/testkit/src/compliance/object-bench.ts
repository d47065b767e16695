/** The kit's capabilities and resource objects on a {@link DeviceBench}, written byte by byte. */
import { SELF_GROUP } from "@virtio-admin/core";
import {
  expectAnswer,
  type HandAnswer,
  LIST,
  opcodeList,
  sendCommand,
  useOpcodes,
  WIRE,
} from "./admin-bench.ts";
import type { ComplianceContext } from "./context.ts";
import type { BenchQueue, DeviceBench } from "./device-bench.ts";
import { concat } from "./hand-ring.ts";
import { PROBE_QUEUE_SIZES } from "./probe-model.ts";
import { PROBE_CAP, PROBE_LIMITS, probeObjects } from "./probe-objects.ts";

const FIRST_ADMIN_QUEUE = PROBE_QUEUE_SIZES.length;

/** The opcodes of the capability commands. */
export const CAP = { list: 0x07, get: 0x08, set: 0x09 } as const;
/** The opcodes of the resource object commands, as the table of the text has them. */
export const OBJ = { create: 0x0a, query: 0x0b, modify: 0x0c, destroy: 0x0d } as const;

/** All of both. */
export const OBJECT_OPCODES: readonly number[] = [...Object.values(CAP), ...Object.values(OBJ)];

/** Numbers of four bytes each, little-endian. */
export function le32(...values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  for (const [i, value] of values.entries()) view.setUint32(4 * i, value, true);
  return new Uint8Array(view.buffer);
}

/** The value of {@link PROBE_CAP}. */
export function probeCap(pools: number, users: number, flags: number): Uint8Array {
  return le32(pools + users * 0x1_0000, flags);
}

/** An owner with the kit's objects; commands are sent to it through one queue. */
export class ObjectBench {
  /** The device. */
  readonly bench: DeviceBench;
  #queue: BenchQueue;

  /** Sends through `queue`. */
  constructor(bench: DeviceBench, queue: BenchQueue) {
    this.bench = bench;
    this.#queue = queue;
  }

  /** The queue that commands go through. */
  get queue(): BenchQueue {
    return this.#queue;
  }

  /** Resets the device, brings it up and settles the list again. */
  async restart(): Promise<void> {
    await this.bench.driver.reset();
    this.#queue = await this.bench.runWith(FIRST_ADMIN_QUEUE);
    await useOpcodes(this.bench, this.#queue, OBJECT_OPCODES);
  }

  /** Sends one command for the Self group, or another. */
  send(opcode: number, data?: Uint8Array, group: number = SELF_GROUP.id): Promise<HandAnswer> {
    const command = { opcode, group, ...(data === undefined ? {} : { data }) };
    return sendCommand(this.bench, this.#queue, { ...command, room: 1024 });
  }

  /** Settles the list of the Self group. */
  useList(opcodes: readonly number[]): Promise<HandAnswer> {
    return this.send(LIST.use, opcodeList([LIST.query, LIST.use, ...opcodes]));
  }

  /** Asks for a capability. */
  get(id: number): Promise<HandAnswer> {
    return this.send(CAP.get, le32(id, 0));
  }

  /** Sets a capability. */
  set(id: number, value: Uint8Array): Promise<HandAnswer> {
    return this.send(CAP.set, concat([le32(id, 0), value]));
  }

  /** Sets the capability that limits objects, which has to succeed. */
  async allow(pools: number = PROBE_LIMITS.pools, users: number = PROBE_LIMITS.users) {
    const answer = await this.set(PROBE_CAP.id, probeCap(pools, users, 0));
    expectAnswer("DRIVER_CAP_SET", answer, WIRE.ok, 0);
  }

  /** Creates an object of these two numbers. */
  create(type: number, id: number, first: number, second = 0): Promise<HandAnswer> {
    return this.send(OBJ.create, le32(type, id, 0, 0, first, second));
  }

  /** Modifies an object to these two numbers. */
  modify(type: number, id: number, first: number, second = 0): Promise<HandAnswer> {
    return this.send(OBJ.modify, le32(type, id, 0, 0, first, second));
  }

  /** Asks for an object. */
  query(type: number, id: number): Promise<HandAnswer> {
    return this.send(OBJ.query, le32(type, id, 0, 0));
  }

  /** Destroys an object. */
  destroy(type: number, id: number): Promise<HandAnswer> {
    return this.send(OBJ.destroy, le32(type, id));
  }
}

/** A device that runs with one administration virtqueue and the kit's objects, their list settled. */
export async function objectOwnerOf(context: ComplianceContext): Promise<ObjectBench> {
  context.needsAdminQueues();
  const bench = await context.device({ families: probeObjects() });
  const queue = await bench.runWith(FIRST_ADMIN_QUEUE);
  await useOpcodes(bench, queue, OBJECT_OPCODES);
  return new ObjectBench(bench, queue);
}
