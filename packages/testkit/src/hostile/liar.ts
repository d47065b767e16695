/** A device that says what it likes, and writes into its rings what it likes. */
import {
  type AdminFacility,
  ConfigSpace,
  type DeviceHost,
  type DeviceModel,
  type DevicePort,
  FEATURE,
  FeatureSet,
  type GuestMemory,
  type QueueArea,
  STATUS,
  VIRTQ_AVAIL,
  VIRTQ_DESC,
  VIRTQ_USED,
  VIRTQ_USED_ELEM,
  VirtioDevice,
} from "@virtio-admin/core";
import { ENTROPY_DEVICE_ID } from "@virtio-admin/devices";
import type { Random } from "../random.ts";
import { DESC_FLAG } from "./zone.ts";

/** What a device lies about while it is brought up. */
export const LIES = [
  "device id",
  "features",
  "features refused",
  "status after reset",
  "status",
  "queue size",
  "queue enabled",
  "admin place",
  "generation",
  "needs reset",
  "bytes",
] as const;

/** One of {@link LIES}. */
export type Lie = (typeof LIES)[number];

/** How many administration virtqueues a liar has. */
export const LIAR_ADMIN_QUEUES = 2;
/** The largest size of its queues. */
export const LIAR_QUEUE_SIZE = 16;
/** The length of its configuration space in bytes. */
export const LIAR_CONFIG_BYTES = 8;

const IDLE: AdminFacility = {
  queueCount: LIAR_ADMIN_QUEUES,
  maxSize: LIAR_QUEUE_SIZE,
  attach: () => undefined,
  queueNotified: () => undefined,
  reset: () => undefined,
};

/** A device whose queues nobody serves but the one who lies. */
export class LiarDevice extends VirtioDevice {
  /** What it lies about now, if anything. */
  lie: Lie | undefined;
  /** How many lies it has told. */
  told = 0;
  /** What the device core gives to consumers. */
  readonly host: DeviceHost;
  readonly #random: Random;
  #port: DevicePort | undefined;
  #generation = 0;

  /** Makes the device; it is honest until {@link lie} is set. */
  constructor(memory: GuestMemory, random: Random, features: readonly number[]) {
    let host: DeviceHost | undefined;
    const refuses = (): string | undefined => (this.#lies("features refused") ? "no" : undefined);
    const model: DeviceModel = {
      name: "liar",
      deviceId: ENTROPY_DEVICE_ID,
      features: [],
      queues: [{ name: "requestq", maxSize: LIAR_QUEUE_SIZE }],
      config: new ConfigSpace({ bytes: new Uint8Array(LIAR_CONFIG_BYTES).fill(7) }),
      attach: (given) => {
        host = given;
      },
      queueNotified: () => undefined,
      reset: () => undefined,
      refuseFeatures: () => refuses(),
    };
    super({ model, memory, features, admin: IDLE });
    this.host = host as unknown as DeviceHost;
    this.#random = random;
  }

  /** What interrupts the driver. */
  get port(): DevicePort | undefined {
    return this.#port;
  }

  override connect(port: DevicePort): void {
    this.#port = port;
    super.connect(port);
  }

  override get deviceId(): number {
    return this.#lies("device id") ? this.#random.pick([0, 1, 5, 0xffff]) : super.deviceId;
  }

  override get offeredFeatures(): FeatureSet {
    if (!this.#lies("features")) return super.offeredFeatures;
    const random = this.#random;
    const words = Array.from({ length: 4 }, () => random.uint32());
    const features = FeatureSet.fromWords(words);
    return random.oneIn(8) ? features : features.without(FEATURE.VIRTIO_F_VERSION_1);
  }

  override get status(): number {
    const status = super.status;
    if (status === 0 && this.#lies("status after reset")) return STATUS.ACKNOWLEDGE;
    if (status !== 0 && this.#lies("status")) return this.#random.below(0x100);
    return status;
  }

  override writeStatus(value: number): boolean {
    const taken = super.writeStatus(value);
    if ((value & STATUS.DRIVER_OK) !== 0 && this.#lies("needs reset")) this.host.needsReset("lie");
    return taken;
  }

  override queueSizeMax(index: number): number {
    return this.#lies("queue size") ? this.#oddSize() : super.queueSizeMax(index);
  }

  override queueSize(index: number): number {
    return this.#lies("queue size") ? this.#oddSize() : super.queueSize(index);
  }

  override queueEnabled(index: number): boolean {
    const enabled = super.queueEnabled(index);
    return this.#lies("queue enabled") ? !enabled : enabled;
  }

  override enableQueue(index: number): boolean {
    return this.#lies("queue enabled") ? false : super.enableQueue(index);
  }

  override get adminQueueIndex(): number {
    return this.#lies("admin place") ? this.#oddIndex() : super.adminQueueIndex;
  }

  override get adminQueueNum(): number {
    return this.#lies("admin place") ? this.#oddIndex() : super.adminQueueNum;
  }

  override get configGeneration(): number {
    if (!this.#lies("generation")) return super.configGeneration;
    return ++this.#generation >>> 0;
  }

  #lies(about: Lie): boolean {
    if (this.lie !== about) return false;
    this.told++;
    return true;
  }

  #oddSize(): number {
    return this.#random.pick([0, 0, 1, 3, 0xffff, 0x8001]);
  }

  #oddIndex(): number {
    return this.#random.pick([0, 1, 2, 0x8000, 0xfffe, 0xffff, this.#random.below(0x10000)]);
  }
}

/** The device's end of one ring of any format, written without any rule. */
export interface LyingRing {
  /** Heads, or ids, that the driver has made available and that were not used. */
  readonly outstanding: readonly number[];
  /** Learns what the driver has made available. */
  look(): void;
  /** The writable pieces of a buffer: offsets in the region, and lengths. */
  writable(head: number): [number, number][];
  /** Uses the buffer that is number `at` of {@link outstanding}; with all before it, as a batch. */
  useNumber(at: number, length: number, asBatch: boolean): void;
  /** Uses what there may not be. */
  use(id: number, length: number): void;
  /** Claims more than there is. */
  jump(random: Random): void;
  /** Writes what the driver is to tell of. */
  ask(random: Random): void;
  /** Fills all that is the device's to write with noise. */
  scribble(random: Random): void;
  /** The driver set the ring up anew. */
  restart(): void;
}

/** The device's end of one split ring, written without any rule. */
export class LiarRing implements LyingRing {
  /** The used index as it was written last. */
  used = 0;
  readonly #view: DataView;
  readonly #size: number;
  readonly #descriptors: number;
  readonly #available: number;
  readonly #used: number;
  readonly #base: number;
  #seen = 0;
  /** Heads that the driver has made available and that were not used. */
  readonly outstanding: number[] = [];

  /** Finds the ring of a queue that the driver has enabled in the one region that it lies in. */
  constructor(device: VirtioDevice, index: number, base: number, view: DataView) {
    const area = (name: QueueArea): number =>
      device.queueAddress(index, name, 1) * 2 ** 32 + device.queueAddress(index, name, 0) - base;
    this.#view = view;
    this.#base = base;
    this.#size = device.queueSize(index);
    this.#descriptors = area("descriptorArea");
    this.#available = area("driverArea");
    this.#used = area("deviceArea");
  }

  /** Learns what the driver has made available. */
  look(): void {
    const { idx, ring } = VIRTQ_AVAIL.fields;
    const end = this.#view.getUint16(this.#available + idx.offset, true);
    for (; this.#seen !== end; this.#seen = (this.#seen + 1) & 0xffff) {
      const slot = this.#seen & (this.#size - 1);
      const at = this.#available + ring.offset + 2 * slot;
      this.outstanding.push(this.#view.getUint16(at, true));
    }
  }

  /** The writable pieces of a buffer: offsets in the region, and lengths. */
  writable(head: number): [number, number][] {
    const view = this.#view;
    const pieces: [number, number][] = [];
    const { addr, len, flags, next } = VIRTQ_DESC.fields;
    let table = this.#descriptors;
    let at = table + head * VIRTQ_DESC.size;
    for (let i = 0; i <= this.#size; i++) {
      const flag = view.getUint16(at + flags.offset, true);
      const high = view.getUint32(at + addr.offset + 4, true);
      const start = high * 2 ** 32 + view.getUint32(at + addr.offset, true) - this.#base;
      if ((flag & DESC_FLAG.indirect) !== 0) {
        table = start;
        at = start;
        continue;
      }
      const length = view.getUint32(at + len.offset, true);
      if ((flag & DESC_FLAG.write) !== 0) pieces.push([start, length]);
      if ((flag & DESC_FLAG.next) === 0) break;
      at = table + view.getUint16(at + next.offset, true) * VIRTQ_DESC.size;
    }
    return pieces;
  }

  /** See {@link LyingRing.useNumber}. */
  useNumber(at: number, length: number, asBatch: boolean): void {
    const heads = this.outstanding.splice(asBatch ? 0 : at, asBatch ? at + 1 : 1);
    this.use(heads.at(-1) ?? 0, length);
    if (heads.length > 1) this.publish((this.used + heads.length - 1) & 0xffff);
  }

  /** See {@link LyingRing.jump}. */
  jump(random: Random): void {
    this.publish((this.used + 1 + this.outstanding.length + random.below(0x8000)) & 0xffff);
  }

  /** Writes one used entry and, unless it is to stay hidden, the index behind it. */
  use(id: number, length: number): void {
    const slot = this.used & (this.#size - 1);
    const at = this.#used + VIRTQ_USED.size + slot * VIRTQ_USED_ELEM.size;
    this.#view.setUint32(at + VIRTQ_USED_ELEM.fields.id.offset, id, true);
    this.#view.setUint32(at + VIRTQ_USED_ELEM.fields.len.offset, length, true);
    this.publish((this.used + 1) & 0xffff);
  }

  /** Writes the used index. */
  publish(index: number): void {
    this.used = index;
    this.#view.setUint16(this.#used + VIRTQ_USED.fields.idx.offset, index, true);
  }

  /** Writes the used flags and avail_event: whether, and of what, the driver is to tell. */
  ask(random: Random): void {
    const event = this.#used + VIRTQ_USED.size + this.#size * VIRTQ_USED_ELEM.size;
    this.#view.setUint16(this.#used, random.uint32() & 0xffff, true);
    this.#view.setUint16(event, random.uint32() & 0xffff, true);
  }

  /** Fills the whole used ring with noise. */
  scribble(random: Random): void {
    const end = this.#used + VIRTQ_USED.size + this.#size * VIRTQ_USED_ELEM.size;
    for (let at = this.#used; at + 2 <= end; at += 2) {
      this.#view.setUint16(at, random.uint32() & 0xffff, true);
    }
    this.used = this.#view.getUint16(this.#used + VIRTQ_USED.fields.idx.offset, true);
  }

  /** The driver set the ring up anew. */
  restart(): void {
    this.used = 0;
    this.#seen = 0;
    this.outstanding.length = 0;
  }
}
