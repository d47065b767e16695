/** The device under a hostile driver, with what its checks found laid open. */
import {
  type AdminFacility,
  type DeviceHost,
  type DeviceModel,
  type DeviceQueue,
  type FeatureSet,
  type QueueDefect,
  STATUS,
  type TraceSink,
  VirtioDevice,
  type VirtioDeviceInit,
} from "@virtio-admin/core";
import type { Tally } from "./tally.ts";

/** A device whose refusals are counted. */
export class ObservedDevice extends VirtioDevice {
  /** True when something happened since the last reset that asks for another. */
  broken = false;
  /** How many resets there were. */
  resets = 0;
  /** How many notifications of enabled queues came in. */
  notifications = 0;
  /** How many calls could have changed the device. */
  changes = 0;
  readonly #tally: Tally;

  /** Makes the device; its consumers report defects to {@link note}. */
  constructor(init: VirtioDeviceInit, tally: Tally) {
    super(init);
    this.#tally = tally;
  }

  /** A queue turned out to be broken. */
  note(defect: QueueDefect): void {
    if (this.broken) return;
    this.broken = true;
    this.#tally.count(`queue: ${defect}`);
  }

  override writeStatus(value: number): boolean {
    const before = this.status;
    const taken = super.writeStatus(value);
    if (this.status !== before) this.changes++;
    if (!taken) this.#tally.count("status: write refused");
    else if ((value & ~before & STATUS.FEATURES_OK) !== 0 && value !== 0) {
      if ((this.status & STATUS.FEATURES_OK) === 0) this.#tally.count("status: features refused");
    }
    return taken;
  }

  override writeDriverFeatures(word: number, value: number): void {
    this.changes++;
    super.writeDriverFeatures(word, value);
  }

  override reset(): void {
    this.changes++;
    this.resets++;
    this.broken = false;
    super.reset();
  }

  override setQueueSize(index: number, size: number): void {
    this.changes++;
    const before = this.queueSize(index);
    super.setQueueSize(index, size);
    if (size !== before && this.queueSize(index) === before) this.#tally.count("queue: bad size");
  }

  override enableQueue(index: number): boolean {
    this.changes++;
    const before = this.status;
    const enabled = super.enableQueue(index);
    if (enabled) return true;
    if ((this.status & ~before & STATUS.DEVICE_NEEDS_RESET) === 0) {
      this.#tally.count("queue: cannot be enabled now");
      return false;
    }
    this.broken = true;
    this.#tally.count("queue: bad addresses");
    return false;
  }

  override resetQueue(index: number): void {
    this.changes++;
    super.resetQueue(index);
  }

  override notify(index: number, next?: number): void {
    this.changes++;
    if (this.queueEnabled(index)) this.notifications++;
    else this.#tally.count("notification: of no queue");
    super.notify(index, next);
  }

  override writeConfig(offset: number, source: Uint8Array): void {
    this.changes++;
    super.writeConfig(offset, source);
  }
}

/** The host that a watched consumer sees: a defect is told before the device hears of it. */
class WatchedHost implements DeviceHost {
  readonly memory: DeviceHost["memory"];
  readonly adminQueueBase: number;
  readonly #host: DeviceHost;
  readonly #note: (defect: QueueDefect) => void;

  constructor(host: DeviceHost, note: (defect: QueueDefect) => void) {
    this.memory = host.memory;
    this.adminQueueBase = host.adminQueueBase;
    this.#host = host;
    this.#note = note;
  }

  get features(): FeatureSet {
    return this.#host.features;
  }

  get running(): boolean {
    return this.#host.running;
  }

  get trace(): TraceSink | undefined {
    return this.#host.trace;
  }

  queue(index: number): DeviceQueue | undefined {
    return this.#host.queue(index);
  }

  publish(index: number): void {
    this.#host.publish(index);
  }

  revisit(index: number): void {
    this.#host.revisit(index);
  }

  checkDefect(index: number): boolean {
    const defect = this.#host.queue(index)?.defect;
    if (defect !== undefined) this.#note(defect);
    return this.#host.checkDefect(index);
  }

  needsReset(why: string): void {
    this.#host.needsReset(why);
  }

  configChanged(): void {
    this.#host.configChanged();
  }
}

type Note = (defect: QueueDefect) => void;
type Consumer = Pick<DeviceModel, "attach" | "start" | "queueNotified" | "queueReset" | "reset">;

/** The consumer's methods, with a look at its queues after each call that may pop. */
function watched(consumer: Consumer, queues: () => readonly number[], note: Note) {
  let host: DeviceHost | undefined;
  const look = (indexes: readonly number[], call: () => void): void => {
    const before = indexes.map((index) => host?.queue(index));
    call();
    for (const queue of before) if (queue?.defect !== undefined) note(queue.defect);
  };
  return {
    attach: (real: DeviceHost): void => {
      host = real;
      consumer.attach(new WatchedHost(real, note));
    },
    start: (): void => look(queues(), () => consumer.start?.()),
    queueNotified: (index: number): void => look([index], () => consumer.queueNotified(index)),
    queueReset: (index: number): void => consumer.queueReset?.(index),
    reset: (): void => consumer.reset(),
  };
}

/** A device type whose broken queues are told to `note`. */
export function watchedModel(model: DeviceModel, note: Note): DeviceModel {
  const { name, deviceId, features, queues, config } = model;
  const identity = { name, deviceId, features, queues };
  const consumer = watched(model, () => queues.map((_, index) => index), note);
  return { ...identity, ...consumer, ...(config === undefined ? {} : { config }) };
}

/** Administration virtqueues whose defects are told to `note`. */
export function watchedAdmin(admin: AdminFacility, base: number, note: Note): AdminFacility {
  const { queueCount, maxSize } = admin;
  const indexes = Array.from({ length: queueCount }, (_, i) => base + i);
  return { queueCount, maxSize, ...watched(admin, () => indexes, note) };
}
