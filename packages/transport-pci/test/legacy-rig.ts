/**
 * Virtual functions whose owner reaches their legacy interfaces, and a driver from before virtio 1.0
 * that knows nothing but what a hypervisor gives it: registers over administration commands, a place
 * to notify, interrupts, memory.
 */
import {
  createDriverQueue,
  createGuestMemory,
  type DeviceModel,
  DmaArena,
  type DriverQueue,
  LEGACY_ACCESS_FAMILY,
  LegacyAccessClient,
  type LegacyNotifyPlace,
  legacyQueueAreas,
  legacyQueueLength,
  MANAGEMENT_FAMILY,
  STATUS,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import {
  LEGACY_QUEUE_ALIGNMENT,
  type LegacyField,
  loopbackBus,
  MSIX_ENTRY_LAYOUT,
  NO_VECTOR,
  type PciBus,
  type SriovDriver,
  VIRTIO_PCI_LEGACY_MSIX_LAYOUT,
} from "@virtio-admin/transport-pci";
import { MEMORY_BASE } from "./rig.ts";
import { makeSriovRig, type SriovRig, type SriovRigOptions, VF_BARS_AT } from "./sriov-rig.ts";

export const LEGACY = VIRTIO_PCI_LEGACY_MSIX_LAYOUT.fields;
export const OP = {
  COMMON_WRITE: 2,
  COMMON_READ: 3,
  DEV_WRITE: 4,
  DEV_READ: 5,
  NOTIFY_INFO: 6,
} as const;
export const OK = [0, 0];
export const INVALID_FIELD = [22, 3];
export const INVALID_MEMBER = [22, 5];
const GUEST_LENGTH = 0x1_0000;

/** A transitional device, and the memory of the guest that drives it. */
export function makeGuest(model: DeviceModel, transitional = true) {
  const bytes = new Uint8Array(GUEST_LENGTH);
  const memory = createGuestMemory([{ base: MEMORY_BASE, bytes }]);
  const device = new VirtioDevice({ model, memory, transitional });
  return { device, memory, bytes, dma: new DmaArena(memory, MEMORY_BASE, GUEST_LENGTH) };
}

export type Guest = ReturnType<typeof makeGuest>;

export interface LegacyRigOptions extends SriovRigOptions {
  /** The ids of members that are not transitional. */
  readonly modern?: readonly number[];
}

/** What a function was interrupted with: the data of MSI-X messages. */
export interface Answer {
  readonly outcome: readonly [number, number];
  readonly result: readonly number[];
}

export function makeLegacyRig(options: LegacyRigOptions = {}) {
  const { models, modern = [], ...init } = options;
  const guests = new Map<number, Guest>();
  const rig = makeSriovRig({
    families: [LEGACY_ACCESS_FAMILY, MANAGEMENT_FAMILY],
    totalVfs: 4,
    makeDevice: (id) => {
      const model =
        models?.(id) ?? createEntropy({ source: (target) => void target.fill(id), queueSize: 8 });
      const guest = makeGuest(model, !modern.includes(id));
      guests.set(id, guest);
      return guest.device;
    },
    ...init,
  });
  return {
    ...rig,
    guests,
    guestOf: (id: number): Guest => {
      const guest = guests.get(id);
      if (guest === undefined) throw new Error(`nothing has looked at member ${id}`);
      return guest;
    },
    /** One command straight to the executor, with exactly this much data and room, as Linux does. */
    exact: (opcode: number, member: number, data: readonly number[], room: number): Answer => {
      const request = new Uint8Array(24 + data.length);
      const view = new DataView(request.buffer);
      view.setUint16(0, opcode, true);
      view.setUint16(2, 1, true);
      view.setUint32(16, member, true);
      request.set(data, 24);
      const response = new Uint8Array(8 + room);
      const used = rig.executor.execute(request, response);
      if (typeof used !== "number") throw new Error("the command waits");
      const answer = new DataView(response.buffer);
      return {
        outcome: [answer.getUint16(0, true), answer.getUint16(2, true)],
        result: [...response.subarray(8, used)],
      };
    },
  };
}

export type LegacyRig = ReturnType<typeof makeLegacyRig>;

/** A rig whose members are there and whose commands are all in use, without drivers. */
export function readyRig(options: LegacyRigOptions = {}, count = 3): LegacyRig {
  const rig = makeLegacyRig({ negotiatedBefore: true, ...options });
  rig.enable(count);
  rig.useAll();
  return rig;
}

/** The owner brought up by its driver, `count` members, and the client of the legacy commands. */
export async function startRig(rig: LegacyRig, count = 3) {
  const { owner, client, sriov } = await rig.start();
  await sriov.enable(count, { barsAt: VF_BARS_AT });
  const legacy = new LegacyAccessClient(client);
  await legacy.use();
  return { owner, client, sriov, legacy };
}

export interface DriverOptions {
  /** Notify by the register, although there is a place. */
  readonly byRegister?: boolean;
  /** Poll ISR status instead of MSI-X. */
  readonly polled?: boolean;
}

/** One queue of a {@link LegacyDriver}. */
export interface LegacyQueue {
  readonly index: number;
  readonly queue: DriverQueue;
  /** The vector that its used buffer notifications come with. */
  readonly vector: number;
}

/**
 * A driver from before virtio 1.0: reset, ACKNOWLEDGE, DRIVER, features, queues, DRIVER_OK. The
 * hypervisor's part, a bus to the function for MSI-X and the notification place, is in it too.
 */
export class LegacyDriver {
  readonly member: number;
  readonly guest: Guest;
  readonly bus: PciBus;
  /** The vectors that came in. */
  readonly interrupts: number[] = [];
  readonly #rig: LegacyRig;
  readonly #legacy: LegacyAccessClient;
  readonly #sriov: SriovDriver;
  readonly #options: DriverOptions;
  #place: LegacyNotifyPlace | undefined;
  #features = 0;

  constructor(
    rig: LegacyRig,
    started: { readonly legacy: LegacyAccessClient; readonly sriov: SriovDriver },
    member: number,
    options: DriverOptions = {},
  ) {
    this.#rig = rig;
    this.#legacy = started.legacy;
    this.#sriov = started.sriov;
    this.#options = options;
    this.member = member;
    this.bus = loopbackBus(rig.functionOf(member));
    this.guest = rig.guestOf(member);
  }

  read(field: LegacyField): Promise<number> {
    return this.#legacy.readCommon(this.member, LEGACY[field]);
  }

  write(field: LegacyField, value: number): Promise<void> {
    return this.#legacy.writeCommon(this.member, LEGACY[field], value);
  }

  /** Bytes of the configuration, as legacy drivers read them: one by one. */
  async config(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      bytes.set(await this.#legacy.readDevice(this.member, offset + i, 1), i);
    }
    return bytes;
  }

  /** Goes as far as features; `wanted` is a mask of feature bits. */
  async begin(wanted = 0): Promise<number> {
    const { bus } = this;
    // What a hypervisor does when its guest enables the device.
    await bus.configWrite(4, 2, 0x4);
    if (this.#options.polled !== true) await this.#enableMsix();
    const places = await this.#legacy.notifyPlaces(this.member, {
      member: (bar) => this.#sriov.barLength(bar),
    });
    this.#place = this.#options.byRegister === true ? undefined : places[0];
    await this.write("device_status", 0);
    await this.write("device_status", STATUS.ACKNOWLEDGE);
    await this.write("device_status", STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    const offered = await this.read("device_features");
    await this.write("driver_features", (offered & wanted) >>> 0);
    this.#features = await this.read("driver_features");
    return this.#features;
  }

  /** Sets a queue up, with a vector of its own. */
  async queue(index: number): Promise<LegacyQueue> {
    await this.write("queue_select", index);
    const size = await this.read("queue_size");
    if (size === 0 || (await this.read("queue_address")) !== 0) throw new Error("no free queue");
    const { dma, memory } = this.guest;
    const block = dma.allocate(
      legacyQueueLength(size, LEGACY_QUEUE_ALIGNMENT),
      LEGACY_QUEUE_ALIGNMENT,
    );
    const queue = createDriverQueue({
      memory,
      size,
      ...legacyQueueAreas(block.address, size, LEGACY_QUEUE_ALIGNMENT),
      eventIdx: ((this.#features >>> 29) & 1) === 1,
      indirect: false,
    });
    await this.write("queue_address", block.address / LEGACY_QUEUE_ALIGNMENT);
    let vector = NO_VECTOR;
    if (this.#options.polled !== true) {
      await this.write("queue_msix_vector", index + 1);
      vector = await this.read("queue_msix_vector");
      if (vector === NO_VECTOR) throw new Error("the vector is not mapped");
    }
    return { index, queue, vector };
  }

  async driverOk(): Promise<void> {
    await this.write("device_status", STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.DRIVER_OK);
  }

  /** Makes one buffer available; `readable` first, then room for `writable` bytes. */
  add({ queue }: LegacyQueue, readable: Uint8Array, writable: number) {
    const { dma, memory } = this.guest;
    const source = dma.allocate(Math.max(1, readable.length), 8);
    const target = dma.allocate(Math.max(1, writable), 8);
    memory.write(source.address, readable);
    const segments = [...(readable.length > 0 ? [source] : []), ...(writable > 0 ? [target] : [])];
    const id = queue.add(
      segments.map(({ address }) => address),
      segments.map((block) => (block === source ? readable.length : writable)),
      segments.length,
      readable.length > 0 ? 1 : 0,
    );
    if (id < 0) throw new Error("the queue is full");
    return {
      id,
      written: (): Uint8Array => {
        const bytes = new Uint8Array(writable);
        memory.read(target.address, bytes);
        return bytes;
      },
    };
  }

  /** Publishes what was added and notifies of it, in the place or by the register. */
  async kick({ index, queue }: LegacyQueue): Promise<void> {
    if (!queue.publish()) return;
    if (this.#place === undefined) await this.write("queue_notify", index);
    else await this.bus.barWrite(this.#place.bar, this.#place.offset, 2, index);
  }

  /** True when an interrupt told of this queue; with ISR status, of any. */
  async interrupted({ vector }: LegacyQueue): Promise<boolean> {
    if (this.#options.polled === true) return ((await this.read("isr_status")) & 1) === 1;
    const at = this.interrupts.indexOf(vector);
    if (at >= 0) this.interrupts.splice(at, 1);
    return at >= 0;
  }

  async #enableMsix(): Promise<void> {
    const pci = this.#rig.functionOf(this.member);
    const { msix } = pci.placement;
    if (msix === undefined) throw new Error("the function has no MSI-X");
    this.bus.onInterrupt((interrupt) => {
      if (typeof interrupt === "number") this.interrupts.push(interrupt);
    });
    let at = await this.bus.configRead(0x34, 1);
    while ((await this.bus.configRead(at, 1)) !== 0x11) at = await this.bus.configRead(at + 1, 1);
    await this.bus.configWrite(at + 2, 2, 0x8000);
    for (let vector = 0; vector < msix.vectors; vector++) {
      const message = this.bus.message?.(vector);
      if (message === undefined) throw new Error("the bus has no messages");
      const entry = msix.table.offset + vector * MSIX_ENTRY_LAYOUT.size;
      await this.bus.barWrite(msix.table.bar, entry, 4, message.address);
      await this.bus.barWrite(msix.table.bar, entry + 8, 4, message.data);
      await this.bus.barWrite(msix.table.bar, entry + 12, 4, 0);
    }
  }
}

export type { SriovRig };
