/**
 * The device half's core: device status, features, queues and configuration space of one device,
 * between a transport's registers and a device type (chapters "Basic Facilities of a Virtio Device"
 * and "General Initialization And Device Operation").
 *
 * Hot path: `notify`, `publish` and what they call allocate nothing while no trace sink is set.
 */
import type { DialectName } from "../admin/dialect-name.ts";
import { isVirtioError, VirtioError } from "../errors.ts";
import type { GuestMemory } from "../memory/types.ts";
import type { TraceSink } from "../trace/types.ts";
import { createDeviceQueue, ringPosition } from "../virtqueue/index.ts";
import { type DeviceQueue, type DeviceQueueInit, QUEUE_DEFECTS } from "../virtqueue/types.ts";
import { checkTellable, commonParts, prepareCommonParts } from "./common-parts.ts";
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
import { checkInit, checkTransitional } from "./init.ts";
import { LegacyInterface } from "./legacy.ts";
import { DeviceMode } from "./mode.ts";
import { type DevicePart, inPartOrder, type PartsDevice, refuseParts } from "./parts.ts";
import { QueueSlot } from "./queue-slot.ts";
import { checkSavedConfig, checkSavedStatus, saveConfig } from "./saved-checks.ts";
import { prepareSlot, type RingInit, savedSlot, saveSlot } from "./saved-queue.ts";
import {
  type DeviceChange,
  type DeviceState,
  deferHook,
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
  LegacyFacingDevice,
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
  /**
   * True for a transitional device: a driver from before virtio 1.0 can drive it, where the transport
   * has legacy registers. False unless given.
   */
  readonly transitional?: boolean;
  /** Where events go. */
  readonly trace?: TraceSink;
}

/** One virtio device, whatever its type and transport. */
export class VirtioDevice
  implements TransportFacingDevice, ProvisionableDevice, SnapshotDevice, PartsDevice
{
  readonly #model: DeviceModel;
  readonly #admin: AdminFacility | undefined;
  readonly #memory: GuestMemory;
  readonly #trace: TraceSink | undefined;
  readonly #dependencies: readonly FeatureDependency[];
  readonly #offer: FeatureOffer;
  readonly #slots: readonly QueueSlot[];
  readonly #legacy: LegacyInterface | undefined;
  #port: DevicePort | undefined = undefined;

  #driverFeatures: FeatureSet = FeatureSet.EMPTY;
  /** The features in force: what the driver wrote, from FEATURES_OK on. */
  #features: FeatureSet = FeatureSet.EMPTY;
  #status = 0;
  /** DRIVER_OK is set and DEVICE_NEEDS_RESET is not. */
  #running = false;
  readonly #mode = new DeviceMode();
  /** What the device goes on with once it is resumed: nothing new, a driver, or set parts. */
  #due: "nothing" | "start" | "takeover" = "nothing";
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
    if (init.transitional === true) checkTransitional(model);
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
    this.#legacy = init.transitional === true ? this.#makeLegacy() : undefined;
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

  /** See {@link TransportFacingDevice.legacy}. */
  get legacy(): LegacyFacingDevice | undefined {
    return this.#legacy;
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
    if (this.#status !== 0 || this.#legacy?.active === true) return "in use";
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
    if (this.#legacy?.active === true) return;
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
    if (verdict.kind === "refused") return this.#refuseStatus(verdict.why);
    if (this.#legacy?.active === true) {
      return this.#refuseStatus("the device is driven through its legacy interface");
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

  #refuseStatus(why: string): false {
    this.#trace?.emit({ op: "status", status: this.#status, why });
    return false;
  }

  /** See {@link TransportFacingDevice.reset}. Whether the device is stopped, a reset leaves as it is. */
  reset(): void {
    this.#mode.during(() => this.#reset());
    this.#settleStop();
  }

  #reset(): void {
    this.#running = false;
    this.#due = "nothing";
    this.#toResume = undefined;
    this.#legacy?.reset();
    // No notification goes out from here on, not even for a consumer that fails below.
    this.#setStatus(0);
    for (const slot of this.#slots) slot.reset();
    this.#deliveries.forgetAll();
    this.#features = FeatureSet.EMPTY;
    this.#driverFeatures = FeatureSet.EMPTY;
    this.#model.config?.reset();
    this.#resetConsumers();
    // A consumer that fails to forget its driver holds stopped queues: it can do no harm, and the
    // status must read 0 all the same.
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

  /** See {@link TransportFacingDevice.adminDialect}. */
  get adminDialect(): DialectName {
    return this.#admin?.dialect ?? "virtio-1.4";
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
    if (slot === undefined || slot.queue !== undefined || this.#legacy?.active === true) return;
    if (slot.takes(size, this.negotiated(FEATURE.VIRTIO_F_RING_PACKED))) slot.size = size;
  }

  /** See {@link TransportFacingDevice.queueAddress}. */
  queueAddress(index: number, area: QueueArea, half: 0 | 1): number {
    return this.#slot(index)?.half(area, half) ?? 0;
  }

  /** See {@link TransportFacingDevice.setQueueAddress}. */
  setQueueAddress(index: number, area: QueueArea, half: 0 | 1, value: number): void {
    const slot = this.#slot(index);
    if (slot === undefined || slot.queue !== undefined || this.#legacy?.active === true) return;
    slot.setHalf(area, half, value);
  }

  /** See {@link TransportFacingDevice.enableQueue}. Before FEATURES_OK nothing can be enabled. */
  enableQueue(index: number): boolean {
    const slot = this.#slot(index);
    if (slot === undefined || (this.#status & STATUS.FEATURES_OK) === 0) return false;
    return slot.queue !== undefined || this.#enable(slot);
  }

  #enable(slot: QueueSlot): boolean {
    const { index } = slot;
    try {
      slot.queue = this.#makeQueue(index, this.#ringOf(slot), this.#features);
      if (!this.#mode.active) slot.queue.hold();
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
    this.#settleStop();
  }

  /** See {@link TransportFacingDevice.notify}. */
  notify(index: number, next?: number): void {
    const slot = this.#slot(index);
    if (slot === undefined) return;
    // What the driver claims is for people alone: the ring says what there is, and a queue that was
    // notified of nothing new is looked at as any other ("Driver Notifications").
    this.#trace?.emit({ op: "notify", queue: index, ...(next === undefined ? {} : { next }) });
    this.#visit(slot);
  }

  /** See {@link TransportFacingDevice.poll}. */
  poll(): boolean {
    if (!this.#running) return false;
    let found = false;
    for (const slot of this.#slots) {
      const { queue } = slot;
      if (queue === undefined || !this.#isPolled(slot)) continue;
      const before = queue.index;
      if (queue.notifications) {
        queue.disableNotifications();
        slot.polled = true;
      }
      this.#deliveries.notify(slot);
      if (queue.index !== before) found = true;
    }
    return found;
  }

  /** See {@link TransportFacingDevice.endPolling}. */
  endPolling(): void {
    for (const slot of this.#slots) {
      if (!slot.polled) continue;
      slot.polled = false;
      if (slot.queue?.enableNotifications() === true && this.#mayVisit(slot)) this.#visit(slot);
    }
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
    if ((this.#status & STATUS.FEATURES_OK) !== 0) this.#writeConfig(offset, source);
  }

  #writeConfig(offset: number, source: Uint8Array): void {
    this.#attempt("config", () => this.#model.config?.write(offset, source), this.#needsReset);
  }

  // Stopping and parts

  /** See {@link PartsDevice.stopped}. */
  get stopped(): boolean {
    return this.#mode.stopped;
  }

  /** See {@link PartsDevice.resetUnderWay}. */
  get resetUnderWay(): Promise<void> | undefined {
    return this.#mode.resetUnderWay;
  }

  /** See {@link PartsDevice.stop}. */
  stop(): true | Promise<boolean> {
    if (this.#mode.active) {
      this.#mode.stop();
      for (const slot of this.#slots) slot.queue?.hold();
      if (this.#running) {
        this.#attempt(this.#model.name, () => this.#model.stopping?.(), this.#needsReset);
        this.#attempt("admin", () => this.#admin?.stopping?.(), this.#needsReset);
      }
      this.#settleStop();
    }
    return this.#mode.stopped || this.#mode.whenSettled();
  }

  /** See {@link PartsDevice.resume}. */
  resume(): void {
    if (this.#mode.active) return;
    const due = this.#due;
    this.#due = "nothing";
    if (this.#mode.stopped) this.#holdNotifications(false);
    this.#mode.resume();
    this.#trace?.emit({ op: "resume" });
    this.#deliveries.after(() => {
      if (due === "takeover") this.#takeOver();
      else for (const slot of this.#slots) slot.queue?.release();
      if (due === "start") this.#askForNotifications();
      if (due !== "nothing") this.#goOn();
      this.#visitAll();
    });
    this.#deliveries.release();
  }

  /** See {@link PartsDevice.resetFunction}. */
  resetFunction(reset: () => void): void {
    const wasStopped = this.#mode.stopped;
    this.#mode.during(reset);
    if (wasStopped) this.resume();
    else this.#settleStop();
  }

  /** See {@link PartsDevice.readParts}. */
  readParts(): readonly DevicePart[] {
    return this.#refusing(() => this.#readParts());
  }

  #readParts(): readonly DevicePart[] {
    this.#checkParts();
    const common = commonParts({
      offered: this.offeredFeatures,
      driverFeatures: this.#driverFeatures,
      status: this.#status,
      slots: this.#slots.filter(({ index }) => this.#slot(index) !== undefined),
      vectorOf: (queue) => this.#port?.queueVector?.(queue),
    });
    const ofTransport = this.#port?.readParts?.() ?? [];
    return inPartOrder([...common, ...ofTransport, ...(this.#model.readParts?.() ?? [])]);
  }

  /** See {@link PartsDevice.prepareParts}. */
  prepareParts(parts: readonly DevicePart[]): StateChange {
    return this.#refusing(() => {
      if (this.#mode.stopped) return this.#prepareParts(parts);
      throw refuseParts("mode", "the device is not stopped", { hint: "stop it first" });
    });
  }

  /** What is thrown in `work` is the reason of a refusal. */
  #refusing<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      const refusal = isVirtioError(cause, "DEVICE_PARTS") ? cause : refusalOf(cause);
      this.#trace?.emit({ op: "parts", why: refusal.message });
      throw refusal;
    }
  }

  /** Throws while no part tells what the driver relies on, which parts could not replace either. */
  #checkParts(): void {
    checkTellable(this.#features, "driverFeatures");
    if (this.#legacy?.active !== true) return;
    throw refuseParts("legacy", "no part tells how a driver uses the legacy interface", {
      hint: "reset the device first",
    });
  }

  #prepareParts(parts: readonly DevicePart[]): StateChange {
    this.#checkParts();
    const { driverFeatures, features, status, changes } = prepareCommonParts(parts, {
      offered: this.offeredFeatures,
      driverFeatures: this.#driverFeatures,
      status: this.#status,
      slots: this.#slots.slice(0, this.#model.queues.length),
      transport: this.#port,
      deviceType: this.#model,
      accept: (wanted, withStatus) => this.#acceptable(wanted, withStatus, "driverFeatures"),
      makeQueue: (index, ring, withFeatures) => this.#makeQueue(index, ring, withFeatures),
    });
    return inOrder([this.#prepareSet(driverFeatures, features, status), ...changes]);
  }

  #prepareSet(driverFeatures: FeatureSet, features: FeatureSet, status: number): StateChange {
    const before = {
      driverFeatures: this.#driverFeatures,
      features: this.#features,
      status: this.#status,
      due: this.#due,
      running: this.#running,
    };
    return {
      apply: () => {
        this.#driverFeatures = driverFeatures;
        this.#features = features;
        this.#setStatus(status);
        this.#due = "takeover";
        this.#running = false;
      },
      undo: () => {
        this.#driverFeatures = before.driverFeatures;
        this.#features = before.features;
        this.#setStatus(before.status);
        this.#due = before.due;
        this.#running = before.running;
      },
    };
  }

  /**
   * Stops the device for good once nothing is under way any more: all that was taken is used, and
   * the driver was told so. What is written and not published yet, it publishes.
   */
  #settleStop(): void {
    if (!this.#mode.stopping || this.#mode.resetting) return;
    if (this.#running) {
      if (this.#slots.some(({ queue }) => queue !== undefined && queue.outstanding > 0)) return;
      for (const slot of this.#slots) if (slot.queue?.publish()) this.#deliveries.interrupt(slot);
    }
    // Whoever was interrupted just now may have had the device go on, or stopped it.
    if (!this.#deliveries.areQuiet || !this.#mode.stopping) return;
    this.#mode.settle();
    this.#deliveries.hold();
    this.#holdNotifications(true);
    this.#trace?.emit({ op: "stop" });
  }

  #holdNotifications(on: boolean): void {
    this.#attempt("transport", () => this.#port?.holdNotifications?.(on), this.#traceFault);
  }

  /** Makes the enabled queues anew, to go on where their memory says. */
  #takeOver(): void {
    // Before DRIVER_OK nothing was ever taken from a queue, and its memory is the driver's alone.
    const inUse =
      (this.#status & (STATUS.DRIVER_OK | STATUS.DEVICE_NEEDS_RESET)) === STATUS.DRIVER_OK;
    for (const slot of this.#slots) {
      if (slot.queue === undefined) continue;
      slot.queue.stop();
      try {
        const ring = this.#ringOf(slot);
        const start = inUse ? ringPosition(this.#queueInit(ring, this.#features)) : 0;
        const queue = this.#makeQueue(
          slot.index,
          // Which of the latest used entries the driver was told of, nobody knows here.
          {
            ...ring,
            startIndex: start,
            ...(inUse ? { publishedIndex: (start - slot.size) & 0xffff } : {}),
          },
          this.#features,
        );
        slot.queue = queue;
        if (!inUse) continue;
        if (queue.publish()) this.#deliveries.interrupt(slot);
        // Nor what the device before asked the driver for.
        queue.enableNotifications();
      } catch (error) {
        this.#needsReset(`queue ${slot.index} (${slot.name}) cannot go on: ${messageOf(error)}`);
      }
    }
  }

  /** The driver that came, or was set, while the device was stopped finds it at work. */
  #goOn(): void {
    if (!isUsed({ status: this.#status, legacy: this.#legacy })) {
      // Parts that were set can take the driver away.
      this.#resetConsumers();
    } else if ((this.#status & STATUS.DEVICE_NEEDS_RESET) !== 0) {
      for (const slot of this.#slots) slot.queue?.stop();
      this.#tellConfiguration();
    } else {
      this.#running = true;
      this.#startConsumers();
    }
  }

  // Snapshots

  /** See {@link SnapshotDevice.saveState}. */
  saveState(path: string = "device"): DeviceState {
    const { config } = this.#model;
    const port = this.#port;
    const legacy = this.#legacy;
    const stopped = (this.#status & STATUS.DEVICE_NEEDS_RESET) !== 0;
    const isSet = this.#due === "takeover" && this.#slots.some(({ queue }) => queue !== undefined);
    if (isSet) {
      throw new VirtioError("SNAPSHOT_BUSY", {
        path,
        message: "parts were set, and where their rings go on is not known yet",
        hint: "let the device go on before the snapshot, or reset it",
      });
    }
    return {
      deviceId: this.deviceId,
      status: this.#status,
      ...(legacy?.active === true ? { legacy: { inUse: legacy.inUse } } : {}),
      driverFeatures: String(this.#driverFeatures),
      configurationDue: this.#deliveries.configurationDue,
      ...(this.#mode.stopped ? { stopped: true as const } : {}),
      ...(config === undefined ? {} : { config: saveConfig(config, this.#toldGeneration) }),
      queues: this.#slots.map((slot) => saveSlot(slot, stopped, path)),
      ...saveHook("model", this.#model, path),
      ...(port === undefined ? {} : { transport: port.transport }),
      ...saveHook("port", port, path),
    };
  }

  /** See {@link SnapshotDevice.preparePort}. Registers of another transport mean nothing to this one. */
  preparePort(state: DeviceState, path: string = "device"): StateChange {
    this.#checkTarget(state, path);
    const none: StateChange = { apply: () => undefined, undo: () => undefined };
    const port = this.#port;
    if (state.transport !== port?.transport) return none;
    const before = this.saveState(path);
    const saved = { hook: port, value: state.port, path: `${path}.port`, device: state };
    return deferHook(saved, { value: before.port, device: before }) ?? none;
  }

  /** See {@link SnapshotDevice.prepareState}. */
  prepareState(state: DeviceState, path: string = "device"): DeviceChange {
    this.#checkTarget(state, path);
    const slots = this.#slots;
    const driverFeatures = featuresFromHex(state.driverFeatures);
    const legacy = this.#legacyOf(state, path);
    if (legacy === undefined) checkSavedStatus(state.status, `${path}.status`);
    const accepting = `${path}.driverFeatures`;
    const features =
      legacy === undefined
        ? // What is withheld now was offered when the driver accepted it.
          this.#acceptable(driverFeatures, state.status, accepting, this.#offer.provisioned)
        : legacyFeatures(legacy, driverFeatures, accepting);
    const accepted = (state.status & STATUS.FEATURES_OK) !== 0;
    const model = prepareHook({
      hook: this.#model,
      value: state.model,
      path: `${path}.model`,
      device: state,
    });
    const changes = [
      this.#prepareFields(state, driverFeatures, features, path),
      ...state.queues.map((saved, i) => {
        const where = `${path}.queues[${i}]`;
        const ready = state.legacy?.inUse ?? accepted;
        if (saved.ring !== undefined && !ready) {
          throw refuseState(where, "a queue is enabled without FEATURES_OK");
        }
        const isAdmin = i >= this.#model.queues.length;
        if (saved.ring !== undefined && isAdmin && !features.has(FEATURE.VIRTIO_F_ADMIN_VQ)) {
          throw refuseState(where, "the queue is enabled without VIRTIO_F_ADMIN_VQ");
        }
        const make = (ring: RingInit) => this.#makeQueue(i, ring, features);
        return prepareSlot(slots[i] as QueueSlot, savedSlot(saved), where, make);
      }),
      ...(model === undefined ? [] : [model]),
    ];
    let isSettled = false;
    const settle = () => {
      if (!isSettled) this.#settle(state);
      isSettled = true;
    };
    const resume = () => {
      settle();
      this.#resume(state);
    };
    return { ...inOrder(changes), settle, resume };
  }

  #checkTarget(state: DeviceState, path: string): void {
    if (this.#status !== 0 || this.#legacy?.active === true) {
      throw refuseState(path, "the device that is to take the state is in use", {
        value: this.#status,
        hint: "reset it first",
      });
    }
    const { deviceId, queues } = state;
    checkSame(`${path}.deviceId`, "the device is of another type", deviceId, this.deviceId);
    checkSame(`${path}.queues`, "not as many queues", queues.length, this.#slots.length);
  }

  /** The legacy interface that the device was driven through, if it was. */
  #legacyOf({ legacy, status }: DeviceState, path: string): LegacyInterface | undefined {
    if (legacy === undefined) return undefined;
    const own = this.#legacy;
    if (own === undefined) {
      throw refuseState(`${path}.legacy`, "the device here has no legacy interface", {
        hint: "make the target transitional, as the source was",
      });
    }
    const why = own.statusRefusal(status, legacy.inUse);
    if (why !== undefined) throw refuseState(`${path}.status`, why, { value: status });
    return own;
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
      due: this.#due,
    };
    config?.read(0, before.bytes);
    return {
      apply: () => {
        this.#setStatus(state.status);
        if (state.legacy !== undefined) this.#legacy?.restore(state.legacy.inUse);
        this.#toResume = state;
        this.#due = "nothing";
        this.#driverFeatures = driverFeatures;
        this.#features = features;
        this.#toldGeneration = told;
        config?.restore(bytes, generation);
      },
      undo: () => {
        this.#setStatus(0);
        this.#legacy?.reset();
        this.#toResume = undefined;
        this.#due = before.due;
        this.#driverFeatures = before.driverFeatures;
        this.#features = FeatureSet.EMPTY;
        this.#toldGeneration = before.told;
        config?.restore(before.bytes, before.generation);
      },
    };
  }

  /** What was available may never be notified of again, and what was due is due still. */
  #settle(state: DeviceState): void {
    // Whoever is told of another device may have this one reset.
    if (this.#toResume === state) {
      this.#trace?.emit({ op: "status", status: this.#status });
      if (state.stopped === true) this.#resumeStopped(state);
      else this.resume();
    }
    this.#attempt("transport", () => this.#port?.restored?.(), this.#traceFault);
  }

  #resume(state: DeviceState): void {
    // Whoever was told since, or another device that went on before, may have this one reset.
    if (this.#toResume !== state) return;
    const { configurationDue, queues } = state;
    this.#toResume = undefined;
    if (state.stopped === true || !isUsed(state)) return;
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
      this.#askForNotifications();
      this.#startConsumers();
      this.#visitAll();
    });
  }

  /** Its owner has not let the device go on yet: everything waits for that. */
  #resumeStopped(state: DeviceState): void {
    const { configurationDue, queues } = state;
    if (this.#mode.active) void this.stop();
    for (const slot of this.#slots) slot.queue?.hold();
    if (!isUsed(state)) return;
    this.#due = "start";
    if (configurationDue) this.#tellConfiguration();
    for (const slot of this.#slots) {
      if (queues[slot.index]?.ring?.interrupt === true) this.#deliveries.interrupt(slot);
    }
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
      return this.#device.#serving;
    }

    queue(index: number): DeviceQueue | undefined {
      const device = this.#device;
      return device.#serving ? device.#slot(index)?.queue : undefined;
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

    quiet(): void {
      this.#device.#settleStop();
    }
  };

  /** Consumers of queues may work: a device that is about to stop lets them finish. */
  get #serving(): boolean {
    return this.#running && !this.#mode.stopped;
  }

  #makeLegacy(): LegacyInterface {
    const device = this;
    return new LegacyInterface({
      dependencies: this.#dependencies,
      slots: this.#slots.slice(0, this.#model.queues.length),
      get status(): number {
        return device.#status;
      },
      get offered(): FeatureSet {
        return device.#offer.offered;
      },
      get driverFeatures(): FeatureSet {
        return device.#driverFeatures;
      },
      configField: (offset) => this.#model.config?.field(offset),
      refusal: (features) => this.#typeRefusal(features),
      accept: (features) => {
        this.#driverFeatures = features;
        this.#features = features;
      },
      addStatus: (bits) => {
        const status = this.#status | bits;
        this.#setStatus(status);
        this.#trace?.emit({ op: "status", status });
      },
      reset: () => this.reset(),
      resetQueue: (index) => this.resetQueue(index),
      enable: (slot) => this.#enable(slot),
      start: () => this.#start(),
      deliver: (slot) => this.#deliver(slot),
      writeConfig: (offset, source) => this.#writeConfig(offset, source),
      needsReset: (why) => this.#needsReset(why),
    });
  }

  #publish(index: number): void {
    const slot = this.#slots[index];
    if (!this.#running || slot?.queue === undefined) return;
    if (slot.queue.publish()) this.#deliveries.interrupt(slot);
    this.#settleStop();
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
    this.#settleStop();
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
    if (!this.#mode.active) {
      if (this.#due === "nothing") this.#due = "start";
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

  #resetConsumers(): void {
    this.#attempt(this.#model.name, () => this.#model.reset(), this.#traceFault);
    this.#attempt("admin", () => this.#admin?.reset(), this.#traceFault);
  }

  #tellConfiguration(): void {
    const mayTell = (this.#status & STATUS.DRIVER_OK) !== 0 || this.#legacy?.inUse === true;
    if (mayTell) this.#deliveries.interruptConfiguration();
  }

  /** The host that a device was saved at may have looked by itself, and told the driver so. */
  #askForNotifications(): void {
    for (const { queue } of this.#slots)
      if (queue?.notifications === true) queue.enableNotifications();
  }

  /** What is available may never be notified of again. */
  #visitAll(): void {
    for (const slot of this.#slots) if (this.#mayVisit(slot)) this.#visit(slot);
  }

  #mayVisit({ index, queue }: QueueSlot): boolean {
    return queue === undefined || this.#port?.holdsBack?.(index) !== true;
  }

  /** Only what somebody else writes meanwhile can have news that nobody notified of. */
  #isPolled(slot: QueueSlot): boolean {
    return slot.queue?.concurrent === true && this.#mayVisit(slot);
  }

  #visit(slot: QueueSlot): void {
    if (this.#running && slot.queue !== undefined) this.#deliveries.notify(slot);
    else this.#legacy?.notified(slot);
  }

  #deliver(slot: QueueSlot): void {
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

  #ringOf(slot: QueueSlot): RingInit {
    return {
      size: slot.size,
      descriptorArea: slot.address("descriptorArea"),
      driverArea: slot.address("driverArea"),
      deviceArea: slot.address("deviceArea"),
    };
  }

  #queueInit(ring: RingInit, features: FeatureSet): DeviceQueueInit {
    return {
      ...ring,
      memory: this.#memory,
      eventIdx: features.has(FEATURE.VIRTIO_F_EVENT_IDX),
      indirect: features.has(FEATURE.VIRTIO_F_INDIRECT_DESC),
      packed: features.has(FEATURE.VIRTIO_F_RING_PACKED),
      inOrder: features.has(FEATURE.VIRTIO_F_IN_ORDER),
    };
  }

  #makeQueue(index: number, ring: RingInit, features: FeatureSet): DeviceQueue {
    const queue = createDeviceQueue(this.#queueInit(ring, features));
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

  /** The features in force with this status; throws when they cannot be accepted. */
  #acceptable(
    features: FeatureSet,
    status: number,
    path: string,
    offered: FeatureSet = this.#offer.offered,
  ): FeatureSet {
    if ((status & STATUS.FEATURES_OK) === 0) return FeatureSet.EMPTY;
    const why = this.#refusal(features, offered);
    if (why !== undefined) throw refuseState(path, why, { value: String(features) });
    return features;
  }

  /** Why these features cannot be accepted, or `undefined`. */
  #refusal(features: FeatureSet, offered: FeatureSet = this.#offer.offered): string | undefined {
    const [extra] = features.minus(offered).bits();
    if (extra !== undefined) return `${featureName(extra)} is not offered`;
    if (!features.has(FEATURE.VIRTIO_F_VERSION_1)) return "VIRTIO_F_VERSION_1 is not accepted";
    const violated = violatedDependency(features, this.#dependencies);
    if (violated !== undefined) return describeDependency(violated);
    return this.#typeRefusal(features);
  }

  #typeRefusal(features: FeatureSet): string | undefined {
    try {
      return this.#model.refuseFeatures?.(features);
    } catch (error) {
      return messageOf(error);
    }
  }
}

/** Parts are refused for this. */
function refusalOf(cause: unknown): VirtioError {
  const { path, value, hint } = isVirtioError(cause) ? cause : {};
  const more = { ...(hint === undefined ? {} : { hint }), value, cause };
  return refuseParts(path ?? "parts", messageOf(cause), more);
}

function checkSame(path: string, message: string, found: number, expected: number): void {
  if (found !== expected) {
    throw refuseState(path, `${message}: the one here has ${expected}`, { value: found });
  }
}

/** True for a saved device that its driver had begun to use. */
function isUsed({
  status,
  legacy,
}: {
  readonly status: number;
  readonly legacy?: { readonly inUse: boolean } | undefined;
}): boolean {
  return (status & STATUS.DRIVER_OK) !== 0 || legacy?.inUse === true;
}

/** The features in force of a driver of the legacy interface; throws when they cannot be. */
function legacyFeatures(legacy: LegacyInterface, features: FeatureSet, path: string): FeatureSet {
  const why = legacy.refusal(features);
  if (why !== undefined) throw refuseState(path, why, { value: String(features) });
  return features;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
