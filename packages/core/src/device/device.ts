/**
 * The device half's core: device status, features, queues and configuration space of one device,
 * between a transport's registers and a device type (chapters "Basic Facilities of a Virtio Device"
 * and "General Initialization And Device Operation").
 *
 * Hot path: `notify`, `publish` and what they call allocate nothing while no trace sink is set.
 */
import { VirtioError } from "../errors.ts";
import type { GuestMemory } from "../memory/types.ts";
import type { TraceSink } from "../trace/types.ts";
import { createDeviceQueue } from "../virtqueue/index.ts";
import { type DeviceQueue, QUEUE_DEFECTS } from "../virtqueue/types.ts";
import { Deliveries, type Recipients } from "./deliveries.ts";
import { FeatureOffer } from "./feature-offer.ts";
import {
  describeDependency,
  FEATURE_DEPENDENCIES,
  type FeatureDependency,
  RING_FEATURES,
  violatedDependency,
} from "./feature-rules.ts";
import { FEATURE, FeatureSet, featureName } from "./features.ts";
import { checkInit } from "./init.ts";
import { QueueSlot } from "./queue-slot.ts";
import { checkSavedConfig, checkSavedStatus, saveConfig } from "./saved-checks.ts";
import { prepareSlot, type RingInit, saveSlot } from "./saved-queue.ts";
import {
  type DeviceChange,
  type DeviceState,
  featuresFromHex,
  inOrder,
  prepareHook,
  refuseState,
  type SnapshotDevice,
  type StateChange,
  saveHook,
} from "./saved-state.ts";
import { judgeStatusWrite, STATUS } from "./status.ts";
import { TracedQueue } from "./traced-queue.ts";
import type {
  AdminFacility,
  DeviceHost,
  DeviceModel,
  DevicePort,
  ProvisionableDevice,
  ProvisionRefusal,
  ProvisionWatcher,
  QueueArea,
  QueueConsumer,
  TransportFacingDevice,
} from "./types.ts";

/** What a {@link VirtioDevice} is made from. */
export interface VirtioDeviceInit {
  /** The device type. */
  readonly model: DeviceModel;
  /** The memory that the driver shares. */
  readonly memory: GuestMemory;
  /**
   * The device-independent features to offer besides VIRTIO_F_VERSION_1, which always is, and
   * VIRTIO_F_ADMIN_VQ, which `admin` brings. {@link RING_FEATURES} unless given.
   */
  readonly features?: readonly number[];
  /** The administration virtqueues; they lie directly after the model's queues. */
  readonly admin?: AdminFacility;
  /** Where events go. */
  readonly trace?: TraceSink;
}

/** One virtio device, whatever its type and transport. */
export class VirtioDevice implements TransportFacingDevice, ProvisionableDevice, SnapshotDevice {
  readonly #model: DeviceModel;
  readonly #admin: AdminFacility | undefined;
  readonly #memory: GuestMemory;
  readonly #trace: TraceSink | undefined;
  readonly #dependencies: readonly FeatureDependency[];
  readonly #offer: FeatureOffer;
  readonly #slots: readonly QueueSlot[];
  #port: DevicePort | undefined = undefined;

  #driverFeatures: FeatureSet = FeatureSet.EMPTY;
  /** The features in force: what the driver wrote, from FEATURES_OK on. */
  #features: FeatureSet = FeatureSet.EMPTY;
  #status = 0;
  /** DRIVER_OK is set and DEVICE_NEEDS_RESET is not. */
  #running = false;
  #toldGeneration: number;
  /** What was restored, until the device goes on. */
  #toResume: DeviceState | undefined = undefined;
  readonly #deliveries: Deliveries;
  /** Who is told of changes, and what it calls this device. */
  #watcher: ProvisionWatcher | undefined = undefined;
  #watchedAs = 0;

  /**
   * Makes a device that is reset and connected to no transport.
   *
   * @throws VirtioError `DEVICE_MODEL` when the model, the features or the admin facility
   * contradict themselves, or the features name one that this device cannot live up to.
   */
  constructor(init: VirtioDeviceInit) {
    const { model, admin } = init;
    const features = init.features ?? RING_FEATURES;
    checkInit(model, features, admin);
    this.#model = model;
    this.#admin = admin;
    this.#memory = init.memory;
    this.#trace = init.trace;
    this.#dependencies =
      model.featureDependencies === undefined
        ? FEATURE_DEPENDENCIES
        : [...FEATURE_DEPENDENCIES, ...model.featureDependencies];
    const own = FeatureSet.of(
      ...model.features,
      ...features,
      FEATURE.VIRTIO_F_VERSION_1,
      ...(admin === undefined ? [] : [FEATURE.VIRTIO_F_ADMIN_VQ]),
    );
    this.#offer = new FeatureOffer(own, this.#dependencies);
    this.#toldGeneration = model.config?.generation ?? 0;
    const slots = model.queues.map(({ name, maxSize }, i) => new QueueSlot(i, name, maxSize));
    for (let i = 0; i < (admin?.queueCount ?? 0); i++) {
      slots.push(new QueueSlot(slots.length, `adminq${i}`, admin?.maxSize ?? 0));
    }
    this.#slots = slots;
    const host = new VirtioDevice.#Host(this);
    this.#deliveries = new Deliveries(host);
    model.attach(host);
    admin?.attach(host);
  }

  /** See {@link TransportFacingDevice.deviceId}. */
  get deviceId(): number {
    return this.#model.deviceId;
  }

  /** See {@link TransportFacingDevice.memory}. */
  get memory(): GuestMemory {
    return this.#memory;
  }

  /** See {@link TransportFacingDevice.trace}. */
  get trace(): TraceSink | undefined {
    return this.#trace;
  }

  /**
   * See {@link TransportFacingDevice.connect}.
   *
   * @throws VirtioError `TRANSPORT` when the device is connected already.
   */
  connect(port: DevicePort): void {
    if (this.#port !== undefined) {
      throw new VirtioError("TRANSPORT", {
        message: `the device is connected to ${this.#port.transport} already`,
        path: "port",
        value: port.transport,
        hint: "make one device per transport",
      });
    }
    this.#port = port;
    this.#offer.connect(port);
    this.#watcher?.changed(this.#watchedAs, "features");
  }

  // Features

  /** See {@link TransportFacingDevice.offeredFeatures}. */
  get offeredFeatures(): FeatureSet {
    return this.#offer.offered;
  }

  /** See {@link TransportFacingDevice.withholdFeatures}. */
  withholdFeatures(bits: readonly number[]): void {
    this.#offer.withhold(bits);
  }

  /** See {@link ProvisionableDevice.defaultFeatures}. */
  get defaultFeatures(): FeatureSet {
    return this.#offer.full;
  }

  /** See {@link ProvisionableDevice.provisionedFeatures}. */
  get provisionedFeatures(): FeatureSet {
    return this.#offer.provisioned;
  }

  /** See {@link ProvisionableDevice.provisionFeatures}. */
  provisionFeatures(features: FeatureSet): ProvisionRefusal | undefined {
    if (this.#status !== 0) return "in use";
    if (!this.#offer.provision(features)) return "invalid";
    this.#watcher?.changed(this.#watchedAs, "features");
    return undefined;
  }

  /** See {@link ProvisionableDevice.watch}. */
  watch(watcher: ProvisionWatcher | undefined, id: number): boolean {
    if (watcher !== undefined && this.#watcher !== undefined) return false;
    this.#watcher = watcher;
    this.#watchedAs = id;
    return true;
  }

  /** See {@link TransportFacingDevice.driverFeatures}. */
  get driverFeatures(): FeatureSet {
    return this.#driverFeatures;
  }

  /** See {@link TransportFacingDevice.writeDriverFeatures}. */
  writeDriverFeatures(word: number, value: number): void {
    if ((this.#status & STATUS.FEATURES_OK) !== 0) return;
    this.#driverFeatures = this.#driverFeatures.withWord(word, value);
  }

  /** See {@link TransportFacingDevice.negotiated}. */
  negotiated(bit: number): boolean {
    return this.#features.has(bit);
  }

  // Status

  /** See {@link TransportFacingDevice.status}. */
  get status(): number {
    return this.#status;
  }

  /** See {@link TransportFacingDevice.writeStatus}. */
  writeStatus(value: number): boolean {
    const verdict = judgeStatusWrite(this.#status, value);
    if (verdict.kind === "reset") {
      this.reset();
      return true;
    }
    if (verdict.kind === "refused") {
      this.#trace?.emit({ op: "status", status: this.#status, why: verdict.why });
      return false;
    }
    let bits = verdict.bits;
    let why: string | undefined;
    if ((bits & STATUS.FEATURES_OK) !== 0) {
      why = this.#refusal(this.#driverFeatures);
      if (why === undefined) this.#features = this.#driverFeatures;
      else bits &= ~STATUS.FEATURES_OK;
    }
    this.#setStatus(this.#status | bits);
    this.#trace?.emit({
      op: "status",
      status: this.#status,
      ...(why === undefined ? {} : { why }),
    });
    if ((bits & STATUS.DRIVER_OK) !== 0) this.#start();
    return true;
  }

  /** See {@link TransportFacingDevice.reset}. */
  reset(): void {
    this.#running = false;
    this.#toResume = undefined;
    // No notification goes out from here on, not even for a consumer that fails below.
    this.#setStatus(0);
    for (const slot of this.#slots) slot.reset();
    this.#deliveries.forgetAll();
    this.#features = FeatureSet.EMPTY;
    this.#driverFeatures = FeatureSet.EMPTY;
    this.#model.config?.reset();
    // A consumer that fails to forget its driver holds stopped queues: it can do no harm, and the
    // status must read 0 all the same.
    this.#attempt(this.#model.name, () => this.#model.reset(), this.#traceFault);
    this.#attempt("admin", () => this.#admin?.reset(), this.#traceFault);
    this.#setStatus(0);
    this.#trace?.emit({ op: "reset" });
    this.#attempt("transport", () => this.#port?.deviceReset(), this.#traceFault);
  }

  // Queues

  /** See {@link TransportFacingDevice.queueCount}. */
  get queueCount(): number {
    return this.#model.queues.length;
  }

  /** See {@link TransportFacingDevice.adminQueueIndex}. */
  get adminQueueIndex(): number {
    return this.negotiated(FEATURE.VIRTIO_F_ADMIN_VQ) ? this.queueCount : 0;
  }

  /** See {@link TransportFacingDevice.adminQueueNum}. */
  get adminQueueNum(): number {
    return this.negotiated(FEATURE.VIRTIO_F_ADMIN_VQ) ? (this.#admin?.queueCount ?? 0) : 0;
  }

  /** See {@link TransportFacingDevice.queueSizeMax}. */
  queueSizeMax(index: number): number {
    return this.#slot(index)?.maxSize ?? 0;
  }

  /** See {@link TransportFacingDevice.queueSize}. */
  queueSize(index: number): number {
    return this.#slot(index)?.size ?? 0;
  }

  /** See {@link TransportFacingDevice.setQueueSize}. */
  setQueueSize(index: number, size: number): void {
    const slot = this.#slot(index);
    if (slot === undefined || slot.queue !== undefined) return;
    if (size >= 1 && size <= slot.maxSize && (size & (size - 1)) === 0) slot.size = size;
  }

  /** See {@link TransportFacingDevice.queueAddress}. */
  queueAddress(index: number, area: QueueArea, half: 0 | 1): number {
    return this.#slot(index)?.half(area, half) ?? 0;
  }

  /** See {@link TransportFacingDevice.setQueueAddress}. */
  setQueueAddress(index: number, area: QueueArea, half: 0 | 1, value: number): void {
    const slot = this.#slot(index);
    if (slot !== undefined && slot.queue === undefined) slot.setHalf(area, half, value);
  }

  /** See {@link TransportFacingDevice.enableQueue}. Before FEATURES_OK nothing can be enabled. */
  enableQueue(index: number): boolean {
    const slot = this.#slot(index);
    if (slot === undefined || (this.#status & STATUS.FEATURES_OK) === 0) return false;
    if (slot.queue !== undefined) return true;
    try {
      const ring = {
        size: slot.size,
        descriptorArea: slot.address("descriptorArea"),
        driverArea: slot.address("driverArea"),
        deviceArea: slot.address("deviceArea"),
      };
      slot.queue = this.#makeQueue(index, ring, this.#features);
      return true;
    } catch (error) {
      this.#needsReset(`queue ${index} (${slot.name}) cannot be enabled: ${messageOf(error)}`);
      return false;
    }
  }

  /** See {@link TransportFacingDevice.queueEnabled}. */
  queueEnabled(index: number): boolean {
    return this.#slot(index)?.queue !== undefined;
  }

  /** See {@link TransportFacingDevice.resetQueue}. */
  resetQueue(index: number): void {
    const slot = this.#slot(index);
    if (slot === undefined) return;
    const wasEnabled = slot.queue !== undefined;
    slot.reset();
    this.#deliveries.forget(slot);
    if (!wasEnabled) return;
    this.#trace?.emit({ op: "reset", queue: index });
    const consumer = this.#consumer(index);
    this.#attempt(slot.name, () => consumer.queueReset?.(index), this.#needsReset);
  }

  /** See {@link TransportFacingDevice.notify}. */
  notify(index: number): void {
    const slot = this.#slot(index);
    if (slot === undefined) return;
    this.#trace?.emit({ op: "notify", queue: index });
    this.#visit(slot);
  }

  // Configuration space

  /** See {@link TransportFacingDevice.configLength}. */
  get configLength(): number {
    return this.#model.config?.length ?? 0;
  }

  /** See {@link TransportFacingDevice.configGeneration}. */
  get configGeneration(): number {
    return this.#model.config?.generation ?? 0;
  }

  /** See {@link TransportFacingDevice.readConfig}. */
  readConfig(offset: number, target: Uint8Array): void {
    if (this.#model.config === undefined) target.fill(0);
    else this.#model.config.read(offset, target);
  }

  /** See {@link TransportFacingDevice.writeConfig}. Before FEATURES_OK writes are ignored. */
  writeConfig(offset: number, source: Uint8Array): void {
    if ((this.#status & STATUS.FEATURES_OK) === 0) return;
    this.#attempt("config", () => this.#model.config?.write(offset, source), this.#needsReset);
  }

  // Snapshots

  /** See {@link SnapshotDevice.saveState}. */
  saveState(path: string = "device"): DeviceState {
    const { config } = this.#model;
    const port = this.#port;
    const stopped = (this.#status & STATUS.DEVICE_NEEDS_RESET) !== 0;
    return {
      deviceId: this.deviceId,
      status: this.#status,
      driverFeatures: String(this.#driverFeatures),
      configurationDue: this.#deliveries.configurationDue,
      ...(config === undefined ? {} : { config: saveConfig(config, this.#toldGeneration) }),
      queues: this.#slots.map((slot) => saveSlot(slot, stopped, path)),
      ...saveHook("model", this.#model, path),
      ...(port === undefined ? {} : { transport: port.transport }),
      ...saveHook("port", port, path),
    };
  }

  /** See {@link SnapshotDevice.prepareState}. */
  prepareState(state: DeviceState, path: string = "device"): DeviceChange {
    if (this.#status !== 0) {
      throw refuseState(path, "the device that is to take the state is in use", {
        value: this.#status,
        hint: "reset it first",
      });
    }
    const slots = this.#slots;
    checkSame(`${path}.deviceId`, "the device is of another type", state.deviceId, this.deviceId);
    checkSame(`${path}.queues`, "not as many queues", state.queues.length, slots.length);
    checkSavedStatus(state.status, `${path}.status`);
    const driverFeatures = featuresFromHex(state.driverFeatures);
    const accepted = (state.status & STATUS.FEATURES_OK) !== 0;
    const why = accepted ? this.#refusal(driverFeatures) : undefined;
    if (why !== undefined) {
      throw refuseState(`${path}.driverFeatures`, why, { value: state.driverFeatures });
    }
    const features = accepted ? driverFeatures : FeatureSet.EMPTY;
    const model = prepareHook(this.#model, state.model, `${path}.model`);
    const port = this.#preparePort(state, `${path}.port`);
    const changes = [
      this.#prepareFields(state, driverFeatures, features, path),
      ...state.queues.map((saved, i) => {
        const where = `${path}.queues[${i}]`;
        if (saved.ring !== undefined && !accepted) {
          throw refuseState(where, "a queue is enabled without FEATURES_OK");
        }
        const isAdmin = i >= this.#model.queues.length;
        if (saved.ring !== undefined && isAdmin && !features.has(FEATURE.VIRTIO_F_ADMIN_VQ)) {
          throw refuseState(where, "the queue is enabled without VIRTIO_F_ADMIN_VQ");
        }
        const make = (ring: RingInit) => this.#makeQueue(i, ring, features);
        return prepareSlot(slots[i] as QueueSlot, saved, where, make);
      }),
      ...(model === undefined ? [] : [model]),
      ...(port === undefined ? [] : [port]),
    ];
    return { ...inOrder(changes), resume: () => this.#resume(state) };
  }

  /** Registers of another transport mean nothing to this one. */
  #preparePort(state: DeviceState, path: string): StateChange | undefined {
    const port = this.#port;
    return state.transport === port?.transport ? prepareHook(port, state.port, path) : undefined;
  }

  #prepareFields(
    state: DeviceState,
    driverFeatures: FeatureSet,
    features: FeatureSet,
    path: string,
  ): StateChange {
    const { config } = this.#model;
    const bytes = checkSavedConfig(config, state.config, `${path}.config`);
    const generation = state.config?.generation ?? 0;
    const told = state.config?.toldGeneration ?? 0;
    const before = {
      driverFeatures: this.#driverFeatures,
      generation: config?.generation ?? 0,
      told: this.#toldGeneration,
      bytes: new Uint8Array(bytes.length),
    };
    config?.read(0, before.bytes);
    return {
      apply: () => {
        this.#setStatus(state.status);
        this.#toResume = state;
        this.#driverFeatures = driverFeatures;
        this.#features = features;
        this.#toldGeneration = told;
        config?.restore(bytes, generation);
      },
      undo: () => {
        this.#setStatus(0);
        this.#toResume = undefined;
        this.#driverFeatures = before.driverFeatures;
        this.#features = FeatureSet.EMPTY;
        this.#toldGeneration = before.told;
        config?.restore(before.bytes, before.generation);
      },
    };
  }

  /** What was available may never be notified of again, and what was due is due still. */
  #resume(state: DeviceState): void {
    // Another device that went on before may have had this one reset.
    if (this.#toResume !== state) return;
    this.#toResume = undefined;
    const { configurationDue, queues } = state;
    this.#trace?.emit({ op: "status", status: this.#status });
    if ((state.status & STATUS.DRIVER_OK) === 0) return;
    if ((this.#status & STATUS.DEVICE_NEEDS_RESET) !== 0) {
      for (const slot of this.#slots) slot.queue?.stop();
      if (configurationDue) this.#tellConfiguration();
      return;
    }
    this.#running = true;
    this.#deliveries.after(() => {
      if (configurationDue) this.#tellConfiguration();
      queues.forEach(({ ring }, i) => {
        const slot = this.#slots[i];
        if (slot?.queue === undefined) return;
        const wanted = slot.queue.publish();
        if (wanted || ring?.interrupt === true) this.#deliveries.interrupt(slot);
      });
      this.#startConsumers();
      for (const slot of this.#slots) this.#visit(slot);
    });
  }

  // What the consumers of the queues see

  /** What a device shows to them, and where its deliveries go: an object without closures. */
  static readonly #Host = class implements DeviceHost, Recipients {
    readonly #device: VirtioDevice;

    constructor(device: VirtioDevice) {
      this.#device = device;
    }

    get memory(): GuestMemory {
      return this.#device.#memory;
    }

    get adminQueueBase(): number {
      return this.#device.#model.queues.length;
    }

    get trace(): TraceSink | undefined {
      return this.#device.#trace;
    }

    get features(): FeatureSet {
      return this.#device.#features;
    }

    get running(): boolean {
      return this.#device.#running;
    }

    queue(index: number): DeviceQueue | undefined {
      const device = this.#device;
      return device.#running ? device.#slot(index)?.queue : undefined;
    }

    publish(index: number): void {
      this.#device.#publish(index);
    }

    revisit(index: number): void {
      const device = this.#device;
      const slot = device.#slot(index);
      if (slot !== undefined) device.#visit(slot);
    }

    checkDefect(index: number): boolean {
      const device = this.#device;
      const slot = device.#slot(index);
      return slot !== undefined && device.#checkDefect(slot);
    }

    needsReset(why: string): void {
      this.#device.#needsReset(why);
    }

    configChanged(): void {
      this.#device.#configChanged();
    }

    consume(slot: QueueSlot): void {
      this.#device.#consume(slot);
    }

    interrupt({ index }: QueueSlot): void {
      const device = this.#device;
      device.#trace?.emit({ op: "interrupt", queue: index });
      device.#port?.usedBuffers(index);
    }

    interruptConfiguration(): void {
      const device = this.#device;
      device.#trace?.emit({ op: "interrupt" });
      device.#port?.configurationChange();
    }

    failed(error: unknown): void {
      this.#device.#needsReset(`the transport failed: ${messageOf(error)}`);
    }
  };

  #publish(index: number): void {
    const slot = this.#slots[index];
    if (!this.#running || slot?.queue === undefined) return;
    if (slot.queue.publish()) this.#deliveries.interrupt(slot);
  }

  #checkDefect(slot: QueueSlot): boolean {
    const defect = slot.queue?.defect;
    if (defect === undefined) return false;
    this.#needsReset(
      `queue ${slot.index} (${slot.name}) is broken, ${defect}: ${QUEUE_DEFECTS[defect]}`,
    );
    return true;
  }

  /** In an error state that only a reset ends, no queue is served any more. */
  #needsReset(why: string): void {
    if ((this.#status & STATUS.DEVICE_NEEDS_RESET) !== 0) return;
    this.#setStatus(this.#status | STATUS.DEVICE_NEEDS_RESET);
    this.#running = false;
    for (const slot of this.#slots) slot.queue?.stop();
    this.#deliveries.forgetAll();
    this.#traceFault(why);
    this.#tellConfiguration();
  }

  #traceFault(why: string): void {
    this.#trace?.emit({ op: "needs-reset", why });
  }

  #setStatus(status: number): void {
    const wasInUse = this.#status !== 0;
    this.#status = status;
    if ((status !== 0) !== wasInUse) this.#watcher?.changed(this.#watchedAs, "use");
  }

  #configChanged(): void {
    const config = this.#model.config;
    if (config !== undefined) {
      if (config.generation === this.#toldGeneration) config.raise();
      this.#toldGeneration = config.generation;
    }
    if ((this.#status & STATUS.DEVICE_NEEDS_RESET) === 0) this.#tellConfiguration();
  }

  // Between consumers and driver

  #start(): void {
    if ((this.#status & STATUS.DEVICE_NEEDS_RESET) !== 0) {
      this.#tellConfiguration();
      return;
    }
    this.#running = true;
    this.#deliveries.after(() => this.#startConsumers());
  }

  #startConsumers(): void {
    this.#attempt(this.#model.name, () => this.#model.start?.(), this.#needsReset);
    this.#attempt("admin", () => this.#admin?.start?.(), this.#needsReset);
    // What was available before DRIVER_OK may have turned out to be broken already.
    for (const slot of this.#slots) this.#checkDefect(slot);
  }

  #tellConfiguration(): void {
    if ((this.#status & STATUS.DRIVER_OK) !== 0) this.#deliveries.interruptConfiguration();
  }

  #visit(slot: QueueSlot): void {
    if (this.#running && slot.queue !== undefined) this.#deliveries.notify(slot);
  }

  #consume(slot: QueueSlot): void {
    try {
      this.#consumer(slot.index).queueNotified(slot.index);
    } catch (error) {
      this.#needsReset(`queue ${slot.index} (${slot.name}): ${messageOf(error)}`);
    }
    this.#checkDefect(slot);
  }

  #attempt(
    who: string,
    action: () => void,
    failed: (this: VirtioDevice, why: string) => void,
  ): void {
    try {
      action();
    } catch (error) {
      failed.call(this, `${who}: ${messageOf(error)}`);
    }
  }

  #makeQueue(index: number, ring: RingInit, features: FeatureSet): DeviceQueue {
    const queue = createDeviceQueue({
      ...ring,
      memory: this.#memory,
      eventIdx: features.has(FEATURE.VIRTIO_F_EVENT_IDX),
      indirect: features.has(FEATURE.VIRTIO_F_INDIRECT_DESC),
    });
    return this.#trace === undefined ? queue : new TracedQueue(queue, index, this.#trace);
  }

  /** The queue of this index, administration virtqueues only while they are negotiated. */
  #slot(index: number): QueueSlot | undefined {
    const isAdmin = index >= this.#model.queues.length;
    return isAdmin && !this.negotiated(FEATURE.VIRTIO_F_ADMIN_VQ) ? undefined : this.#slots[index];
  }

  #consumer(index: number): QueueConsumer {
    return index >= this.#model.queues.length ? (this.#admin ?? this.#model) : this.#model;
  }

  /** Why these features cannot be accepted, or `undefined`. */
  #refusal(features: FeatureSet): string | undefined {
    const [extra] = features.minus(this.#offer.offered).bits();
    if (extra !== undefined) return `${featureName(extra)} is not offered`;
    if (!features.has(FEATURE.VIRTIO_F_VERSION_1)) return "VIRTIO_F_VERSION_1 is not accepted";
    const violated = violatedDependency(features, this.#dependencies);
    if (violated !== undefined) return describeDependency(violated);
    try {
      return this.#model.refuseFeatures?.(features);
    } catch (error) {
      return messageOf(error);
    }
  }
}

function checkSame(path: string, message: string, found: number, expected: number): void {
  if (found !== expected) {
    throw refuseState(path, `${message}: the one here has ${expected}`, { value: found });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
