/**
 * Members with a legacy interface behind the transport, and a legacy driver written by hand, register
 * by register, over the owner's administration virtqueue. Commands have exactly the lengths that they
 * need, as those of Linux.
 */
import {
  createGuestMemory,
  DmaArena,
  type LegacyNotifyPlace,
  type RegionMemory,
  SR_IOV_GROUP,
  VirtioDevice,
} from "@virtio-admin/core";
import type { LegacyOwner } from "../fixture.ts";
import { expectAnswer, type HandAnswer, sendCommand, useOpcodes, WIRE } from "./admin-bench.ts";
import type { BenchQueue, DeviceBench } from "./device-bench.ts";
import { expectEqual } from "./expect.ts";
import { concat, HandRing } from "./hand-ring.ts";
import { PROBE_QUEUE_SIZES, ProbeModel } from "./probe-model.ts";

const GUEST_AT = 0x10_0000;
const GUEST_BYTES = 0x2_0000;
const PAGE = 4096;
const BYTE = 0x100;

/** How many members there are. */
export const LEGACY_MEMBERS = 2;

/** The opcodes of the legacy access commands. */
export const LEGACY = {
  commonWrite: 2,
  commonRead: 3,
  deviceWrite: 4,
  deviceRead: 5,
  notifyInfo: 6,
} as const;

/** The name of a register. */
export type RegisterName =
  | "deviceFeatures"
  | "driverFeatures"
  | "queueAddress"
  | "queueSize"
  | "queueSelect"
  | "queueNotify"
  | "deviceStatus"
  | "isrStatus";

/** The registers, as offset and width. */
export const REGISTER: Readonly<Record<RegisterName, readonly [number, number]>> = {
  deviceFeatures: [0, 4],
  driverFeatures: [4, 4],
  queueAddress: [8, 4],
  queueSize: [12, 2],
  queueSelect: [14, 2],
  queueNotify: [16, 2],
  deviceStatus: [18, 1],
  isrStatus: [19, 1],
};

/** One member, and the guest whose legacy driver uses it. */
export interface LegacyGuest {
  /** Its number. */
  readonly id: number;
  /** Its device type. */
  readonly model: ProbeModel;
  /** Its device core. */
  readonly device: VirtioDevice;
  /** The memory that it shares with its driver. */
  readonly memory: RegionMemory;
  /** What rings and buffers are taken from. */
  readonly dma: DmaArena;
}

/** An owner at work, its members, and the commands for them. */
export class LegacyBench {
  /** The owner. */
  readonly owner: DeviceBench;
  /** Its administration virtqueue. */
  readonly queue: BenchQueue;
  /** The member that cases use, number 1. */
  readonly member: LegacyGuest;
  /** Another, which nothing may happen to. */
  readonly other: LegacyGuest;
  readonly #legacy: LegacyOwner;

  /** Made by `ComplianceContext.legacyOwner`. */
  constructor(
    legacy: LegacyOwner,
    owner: DeviceBench,
    queue: BenchQueue,
    guests: readonly [LegacyGuest, LegacyGuest],
  ) {
    this.#legacy = legacy;
    this.owner = owner;
    this.queue = queue;
    [this.member, this.other] = guests;
  }

  /** Sends one command to the member. */
  send(opcode: number, data: readonly number[], room: number): Promise<HandAnswer> {
    return sendCommand(this.owner, this.queue, {
      opcode,
      group: SR_IOV_GROUP.id,
      member: this.member.id,
      data: Uint8Array.from(data),
      room,
    });
  }

  /** Sends a write. */
  sendWrite(opcode: number, offset: number, bytes: readonly number[]): Promise<HandAnswer> {
    return this.send(opcode, [offset, 0, 0, 0, 0, 0, 0, 0, ...bytes], 0);
  }

  /** Reads a register. */
  async read(name: RegisterName): Promise<number> {
    const [offset, width] = REGISTER[name];
    const answer = await this.send(LEGACY.commonRead, [offset], width);
    expectAnswer(`the read of ${name}`, answer, WIRE.ok, 0);
    expectEqual(`the length of ${name}`, answer.result.length, width);
    return answer.result.reduceRight((value, byte) => value * BYTE + byte, 0);
  }

  /** Writes a register. */
  async write(name: RegisterName, value: number): Promise<void> {
    const [offset, width] = REGISTER[name];
    const answer = await this.sendWrite(LEGACY.commonWrite, offset, littleEndian(value, width));
    expectAnswer(`the write of ${name}`, answer, WIRE.ok, 0);
  }

  /** Resets the member, and goes as far as DRIVER with these features. */
  async begin(features = 0): Promise<void> {
    for (const status of [0, 1, 3]) await this.write("deviceStatus", status);
    await this.write("driverFeatures", features);
  }

  /** Lays a queue out as legacy drivers do, and gives the member its address. */
  async place(index: number): Promise<HandRing> {
    await this.write("queueSelect", index);
    const ring = new HandRing(this.member.dma, await this.read("queueSize"), true);
    await this.write("queueAddress", ring.areas.descriptorArea / PAGE);
    return ring;
  }

  /** Notifies the member of a queue at a place. */
  notifyAt(place: LegacyNotifyPlace, index: number): void {
    this.#legacy.writeBar(this.member.id, place, index);
  }

  /** All that a command could change, of both members. */
  state(): string {
    return JSON.stringify([this.member, this.other].map(({ device }) => device.saveState()));
  }

  /** Sends one buffer through a queue of the probe, tells of it, and checks that it is answered. */
  async echo(ring: HandRing, notify: () => Promise<void> | void, text = "ping"): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    const buffer = ring.add([bytes], [bytes.length]);
    await notify();
    const [used] = ring.takeUsed();
    expectEqual("the used id", used?.id, buffer.head);
    expectEqual("the answer", buffer.written(), bytes);
  }
}

/**
 * Brings an owner up that has members with a legacy interface, all commands in use.
 *
 * @param makeOwner as a fixture has it
 * @param open makes the bench of the owner
 */
export async function openLegacyBench(
  makeOwner: (members: number, makeDevice: (id: number) => VirtioDevice) => LegacyOwner,
  open: (legacy: LegacyOwner) => Promise<DeviceBench>,
): Promise<LegacyBench> {
  const guests = [1, LEGACY_MEMBERS].map(makeGuest);
  const legacy = makeOwner(LEGACY_MEMBERS, (id) => (guests[id - 1] as LegacyGuest).device);
  const owner = await open(legacy);
  const queue = await owner.runWith(PROBE_QUEUE_SIZES.length);
  legacy.enable();
  await useOpcodes(owner, queue, Object.values(LEGACY), SR_IOV_GROUP.id);
  return new LegacyBench(legacy, owner, queue, guests as [LegacyGuest, LegacyGuest]);
}

function makeGuest(id: number): LegacyGuest {
  const memory = createGuestMemory([{ base: GUEST_AT, bytes: new Uint8Array(GUEST_BYTES) }]);
  const model = new ProbeModel();
  const device = new VirtioDevice({ model, memory, transitional: true });
  return { id, model, device, memory, dma: new DmaArena(memory, GUEST_AT, GUEST_BYTES) };
}

/** The bytes of a number. */
export function littleEndian(value: number, width: number): readonly number[] {
  return Array.from({ length: width }, (_, i) => Math.floor(value / BYTE ** i) % BYTE);
}

/** The places in an answer to LEGACY_NOTIFY_INFO, before its end. */
export function placesOf(result: Uint8Array): readonly LegacyNotifyPlace[] {
  const bytes = concat([result, new Uint8Array(64)]);
  const view = new DataView(bytes.buffer);
  const places: LegacyNotifyPlace[] = [];
  for (let at = 0; at < 64 && view.getUint8(at) !== 0; at += 16) {
    places.push({
      of: view.getUint8(at) === 1 ? "owner" : "member",
      bar: view.getUint8(at + 1),
      offset: Number(view.getBigUint64(at + 8, true)),
    });
  }
  return places;
}
