/**
 * A device that says what a case wants, right or wrong, and records what it was asked: what a
 * transport's device half talks to when its driver half is put to the test. Its virtqueues are
 * worked by hand.
 */
import {
  type DevicePort,
  type DialectName,
  FEATURE,
  FeatureSet,
  type GuestMemory,
  type QueueAddresses,
  type QueueArea,
  STATUS,
  type TraceSink,
  type TransportFacingDevice,
} from "@virtio-admin/core";
import { ComplianceFailure } from "./failure.ts";
import { PROBE_CONFIG, PROBE_DEVICE_ID } from "./probe-model.ts";

/** What a scripted device says; everything has an honest default. */
export interface DeviceScript {
  /** The device id. */
  readonly deviceId?: number;
  /** The feature bits it offers, whatever the transport has reserved. */
  readonly features?: readonly number[];
  /** Whether FEATURES_OK sticks, given what the driver wrote. */
  readonly accepts?: (features: FeatureSet) => boolean;
  /** The largest sizes of its queues; those beyond do not exist. */
  readonly queueSizes?: readonly number[];
  /** `admin_queue_index` and `admin_queue_num`, once VIRTIO_F_ADMIN_VQ is accepted. */
  readonly admin?: ScriptedPlace;
  /** The dialect that its administration commands are in; virtio-1.4 unless given. */
  readonly dialect?: DialectName;
  /** Whether a queue that the driver enables becomes enabled. */
  readonly enables?: (index: number) => boolean;
  /** What `status` becomes when the driver writes it, 0 included; what it wrote, unless given. */
  readonly statusAfter?: (written: number) => number;
  /** The configuration generation, each time it is asked for. */
  readonly generation?: () => number;
  /** The configuration space. */
  readonly config?: Uint8Array;
}

/** What a device half can ask that is recorded. */
export type DeviceCallName =
  | "status"
  | "read-status"
  | "features"
  | "enable"
  | "queue-reset"
  | "notify"
  | "admin-place"
  | "config-write";

/** One thing that the transport's device half asked of the device, in order. */
export interface DeviceCall {
  /** What was asked. */
  readonly op: DeviceCallName;
  /**
   * The status that was written or read, the feature bits of a word, or where a notification with
   * data says that the next buffer will stand; else 0.
   */
  readonly value: number;
  /** The queue, or the word of features; else -1. */
  readonly queue: number;
  /** Where configuration bytes were written; else -1. */
  readonly offset: number;
}

/** Where a script says that its administration virtqueues are. */
export interface ScriptedPlace {
  /** `admin_queue_index`. */
  readonly index: number;
  /** `admin_queue_num`. */
  readonly num: number;
}

/** The size of the administration virtqueues of a script that names none. */
export const SCRIPTED_ADMIN_QUEUE_SIZE = 8;
/** The feature bits of a script that names none. */
export const SCRIPTED_FEATURES: readonly number[] = [
  0,
  1,
  FEATURE.VIRTIO_F_VERSION_1,
  FEATURE.VIRTIO_F_RING_RESET,
];

/**
 * How often a driver half may ask anything before it counts as hanging. A driver half that polls
 * without a bound never lets a timer run, so that the bound has to be here.
 */
const STEP_LIMIT = 250_000;
const HALF = 2 ** 32;

interface ScriptedQueue {
  size: number;
  enabled: boolean;
  readonly halves: Record<QueueArea, [number, number]>;
}

/** The scripted device. */
export class ScriptedDevice implements TransportFacingDevice {
  readonly deviceId: number;
  readonly memory: GuestMemory;
  readonly trace: TraceSink | undefined = undefined;
  readonly offeredFeatures: FeatureSet;
  /** What was asked, in order. */
  readonly calls: DeviceCall[] = [];
  /** What its configuration space holds. */
  readonly config: Uint8Array;
  /** How often a part of its configuration space was read. */
  configReads = 0;
  /** Called at each notification, after it was recorded. */
  onNotify: ((queue: number) => void) | undefined = undefined;

  readonly #script: DeviceScript;
  readonly #sizes: readonly number[];
  readonly #queues = new Map<number, ScriptedQueue>();
  #port: DevicePort | undefined;
  #driverFeatures = FeatureSet.EMPTY;
  #status = 0;
  #steps = 0;

  /** Makes the device of a script. */
  constructor(memory: GuestMemory, script: DeviceScript = {}) {
    this.memory = memory;
    this.#script = script;
    this.deviceId = script.deviceId ?? PROBE_DEVICE_ID;
    this.offeredFeatures = FeatureSet.of(...(script.features ?? SCRIPTED_FEATURES));
    this.#sizes = script.queueSizes ?? [8, 16];
    this.config = Uint8Array.from(script.config ?? PROBE_CONFIG);
  }

  // What cases do

  /** The statuses that the driver wrote, resets as 0. */
  get statusesWritten(): number[] {
    return this.calls.flatMap((call) => (call.op === "status" ? [call.value] : []));
  }

  /** The queues that the driver enabled, in order. */
  get queuesEnabled(): number[] {
    return this.calls.flatMap((call) => (call.op === "enable" ? [call.queue] : []));
  }

  /**
   * How often the place of the administration virtqueues was read before any queue was enabled,
   * which is when a driver reads it. Later a device half may look at it for itself.
   */
  get placeReads(): number {
    const enabled = this.calls.findIndex(({ op }) => op === "enable");
    const before = enabled < 0 ? this.calls : this.calls.slice(0, enabled);
    return before.filter(({ op }) => op === "admin-place").length;
  }

  /** The features that the driver has written. */
  get driverFeatures(): FeatureSet {
    return this.#driverFeatures;
  }

  /** How often it was asked for `op`. */
  count(op: DeviceCallName): number {
    return this.calls.filter((call) => call.op === op).length;
  }

  /** Sets status bits by itself, as DEVICE_NEEDS_RESET. */
  raiseStatus(bits: number): void {
    this.#status |= bits;
  }

  /** Makes its configuration space hold these bytes from its beginning on, and tells nobody. */
  setConfig(bytes: Uint8Array): void {
    this.config.set(bytes);
  }

  /** Tells the driver of used buffers in this queue. */
  interrupt(queue: number): void {
    this.#port?.usedBuffers(queue);
  }

  /** Tells the driver of a configuration change. */
  changeConfiguration(): void {
    this.#port?.configurationChange();
  }

  /** Where the driver has put a queue. */
  areas(index: number): QueueAddresses {
    const { halves } = this.#queue(index);
    const address = ([low, high]: readonly [number, number]) => high * HALF + low;
    return {
      descriptorArea: address(halves.descriptorArea),
      driverArea: address(halves.driverArea),
      deviceArea: address(halves.deviceArea),
    };
  }

  // What the transport's device half asks

  connect(port: DevicePort): void {
    this.#port = port;
  }

  withholdFeatures(): void {
    // It offers what its script says: a device half that has to withhold bits cannot make it.
    this.#step();
  }

  writeDriverFeatures(word: number, value: number): void {
    this.#record("features", value >>> 0, word);
    this.#driverFeatures = this.#driverFeatures.withWord(word, value);
  }

  negotiated(bit: number): boolean {
    this.#step();
    return (this.#status & STATUS.FEATURES_OK) !== 0 && this.#driverFeatures.has(bit);
  }

  get status(): number {
    this.#record("read-status", this.#status);
    return this.#status;
  }

  writeStatus(value: number): boolean {
    this.#record("status", value);
    let status = value | (this.#status & STATUS.DEVICE_NEEDS_RESET);
    if (value === 0) {
      status = 0;
      this.#queues.clear();
      this.#driverFeatures = FeatureSet.EMPTY;
      this.#port?.deviceReset();
    } else if (
      (value & STATUS.FEATURES_OK) !== 0 &&
      this.#script.accepts?.(this.#driverFeatures) === false
    ) {
      status &= ~STATUS.FEATURES_OK;
    }
    this.#status = this.#script.statusAfter?.(status) ?? status;
    return true;
  }

  reset(): void {
    this.writeStatus(0);
  }

  get queueCount(): number {
    this.#step();
    return this.#sizes.length;
  }

  get adminQueueIndex(): number {
    this.#record("admin-place");
    return this.#script.admin?.index ?? 0;
  }

  get adminQueueNum(): number {
    this.#record("admin-place");
    return this.#script.admin?.num ?? 0;
  }

  get adminDialect(): DialectName {
    return this.#script.dialect ?? "virtio-1.4";
  }

  queueSizeMax(index: number): number {
    this.#step();
    const { admin } = this.#script;
    const isAdmin = admin !== undefined && index >= admin.index && index < admin.index + admin.num;
    return this.#sizes[index] ?? (isAdmin ? SCRIPTED_ADMIN_QUEUE_SIZE : 0);
  }

  queueSize(index: number): number {
    this.#step();
    return this.#queue(index).size;
  }

  setQueueSize(index: number, size: number): void {
    this.#step();
    this.#queue(index).size = size;
  }

  queueAddress(index: number, area: QueueArea, half: 0 | 1): number {
    this.#step();
    return this.#queue(index).halves[area][half];
  }

  setQueueAddress(index: number, area: QueueArea, half: 0 | 1, value: number): void {
    this.#step();
    this.#queue(index).halves[area][half] = value >>> 0;
  }

  enableQueue(index: number): boolean {
    this.#record("enable", 0, index);
    const enabled = this.#script.enables?.(index) ?? true;
    this.#queue(index).enabled = enabled;
    return enabled;
  }

  queueEnabled(index: number): boolean {
    this.#step();
    return this.#queues.get(index)?.enabled ?? false;
  }

  resetQueue(index: number): void {
    this.#record("queue-reset", 0, index);
    this.#queues.delete(index);
  }

  poll(): boolean {
    return false;
  }

  endPolling(): void {}

  notify(index: number, next = 0): void {
    this.#record("notify", next, index);
    this.onNotify?.(index);
  }

  get configLength(): number {
    return this.config.length;
  }

  get configGeneration(): number {
    this.#step();
    return this.#script.generation?.() ?? 0;
  }

  readConfig(offset: number, target: Uint8Array): void {
    this.#step();
    this.configReads++;
    for (let i = 0; i < target.length; i++) target[i] = this.config[offset + i] ?? 0;
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#record("config-write", 0, -1, offset);
    source.forEach((byte, i) => {
      if (offset + i < this.config.length) this.config[offset + i] = byte;
    });
  }

  #queue(index: number): ScriptedQueue {
    const known = this.#queues.get(index);
    if (known !== undefined) return known;
    const queue: ScriptedQueue = {
      size: this.queueSizeMax(index),
      enabled: false,
      halves: { descriptorArea: [0, 0], driverArea: [0, 0], deviceArea: [0, 0] },
    };
    this.#queues.set(index, queue);
    return queue;
  }

  #record(op: DeviceCallName, value = 0, queue = -1, offset = -1): void {
    this.#step();
    this.calls.push({ op, value, queue, offset });
  }

  #step(): void {
    if (++this.#steps > STEP_LIMIT) {
      throw new ComplianceFailure("accesses of the driver half", `at most ${STEP_LIMIT}`, "more");
    }
  }
}
