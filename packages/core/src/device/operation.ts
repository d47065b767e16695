/**
 * What goes on between the driver of a device and the consumers of its queues: the device status
 * and what it brings, from the start at DRIVER_OK to the reset; buffers that become available, and
 * buffers that were used (chapter "General Initialization And Device Operation").
 *
 * Hot path: `notify`, `publish` and what they call allocate nothing while no trace sink is set.
 */
import type { TraceSink } from "../trace/types.ts";
import { QUEUE_DEFECTS } from "../virtqueue/types.ts";
import type { ConfigField } from "./config-space.ts";
import { Deliveries, type Recipients } from "./deliveries.ts";
import type { VirtioDeviceInit } from "./init.ts";
import { type LegacyCore, LegacyInterface, type ResettableDevice } from "./legacy.ts";
import { messageOf } from "./message-of.ts";
import { DeviceMode } from "./mode.ts";
import { FeatureNegotiation } from "./negotiation.ts";
import type { QueueSlot } from "./queue-slot.ts";
import { DeviceQueues } from "./queues.ts";
import type { DeviceState } from "./saved-state.ts";
import { isUsed, STATUS, type StatusChange, type StatusRefusal } from "./status.ts";
import type {
  AdminFacility,
  DeviceHost,
  DeviceModel,
  DevicePort,
  ProvisionAspect,
  ProvisionWatcher,
  QueueConsumer,
} from "./types.ts";

/** The operation of one device, whatever its type and transport. */
export class DeviceOperation implements LegacyCore, Recipients {
  /** The device type. */
  readonly model: DeviceModel;
  /** The administration virtqueues' consumer. */
  readonly admin: AdminFacility | undefined;
  /** The features. */
  readonly negotiation: FeatureNegotiation;
  /** The virtqueues. */
  readonly queues: DeviceQueues;
  /** The legacy interface of a transitional device. */
  readonly legacy: LegacyInterface | undefined;
  /** What consumers and driver are still to be told of. */
  readonly deliveries: Deliveries;
  /** Whether the device is stopped. */
  readonly mode: DeviceMode = new DeviceMode();
  /** The transport, once it is connected. */
  port: DevicePort | undefined = undefined;
  /** DRIVER_OK is set, or a legacy driver did without, and DEVICE_NEEDS_RESET is not. */
  running = false;
  /** What the device goes on with once it is resumed: nothing new, a driver, or set parts. */
  due: "nothing" | "start" | "takeover" = "nothing";
  /** What was restored, until the device goes on. */
  toResume: DeviceState | undefined = undefined;
  /** The generation of the configuration that the driver was told of. */
  toldGeneration: number;
  #status = 0;
  /** Who is told of changes, and what it calls this device. */
  #watcher: ProvisionWatcher | undefined = undefined;
  #watchedAs = 0;

  /** @param device whose operation it is; it may do more at a reset than is done here */
  constructor(init: VirtioDeviceInit, device: ResettableDevice) {
    const { model, admin } = init;
    this.model = model;
    this.admin = admin;
    this.negotiation = new FeatureNegotiation(init);
    this.queues = new DeviceQueues(init, this.negotiation);
    this.legacy =
      init.transitional === true
        ? new LegacyInterface(device, this, this.queues.ofDeviceType)
        : undefined;
    this.deliveries = new Deliveries(this);
    this.toldGeneration = model.config?.generation ?? 0;
  }

  /** Where events go. */
  get trace(): TraceSink | undefined {
    return this.queues.trace;
  }

  // Status

  /** The device status byte. */
  get status(): number {
    return this.#status;
  }

  /** Only a reset ends the error state that the device is in. */
  get isBroken(): boolean {
    return (this.#status & STATUS.DEVICE_NEEDS_RESET) !== 0;
  }

  /** A driver has begun with the device. */
  get inUse(): boolean {
    return this.#status !== 0 || this.legacy?.active === true;
  }

  /** Sets the status, whatever stood there, and tells who watches. */
  setStatus(status: number): void {
    const wasInUse = this.#status !== 0;
    this.#status = status;
    if ((status !== 0) !== wasInUse) this.changed("use");
  }

  /** See {@link LegacyCore.addStatus}. */
  addStatus(bits: number): void {
    const status = this.#status | bits;
    this.setStatus(status);
    this.trace?.emit({ op: "status", status });
  }

  /** Does what a write of the driver comes to; false when the write is refused. */
  changeStatus(verdict: StatusRefusal | StatusChange): boolean {
    if (verdict.kind === "refused") return this.#refuseStatus(verdict.why);
    if (this.legacy?.active === true) {
      return this.#refuseStatus("the device is driven through its legacy interface");
    }
    let bits = verdict.bits;
    let why: string | undefined;
    if ((bits & STATUS.FEATURES_OK) !== 0) {
      why = this.negotiation.settle();
      if (why !== undefined) bits &= ~STATUS.FEATURES_OK;
    }
    this.setStatus(this.#status | bits);
    this.trace?.emit({
      op: "status",
      status: this.#status,
      ...(why === undefined ? {} : { why }),
    });
    if ((bits & STATUS.DRIVER_OK) !== 0) this.start();
    return true;
  }

  #refuseStatus(why: string): false {
    this.trace?.emit({ op: "status", status: this.#status, why });
    return false;
  }

  /** Has a watcher told of changes; false when somebody else is told already. */
  watch(watcher: ProvisionWatcher | undefined, id: number): boolean {
    if (watcher !== undefined && this.#watcher !== undefined) return false;
    this.#watcher = watcher;
    this.#watchedAs = id;
    return true;
  }

  /** Tells who watches that something has changed. */
  changed(what: ProvisionAspect): void {
    this.#watcher?.changed(this.#watchedAs, what);
  }

  /** The driver is set up: the device may use buffers, unless it is stopped. */
  start(): void {
    if (this.isBroken) {
      this.tellConfiguration();
      return;
    }
    if (!this.mode.active) {
      if (this.due === "nothing") this.due = "start";
      return;
    }
    this.running = true;
    this.deliveries.after(() => this.startConsumers());
  }

  /** See {@link DeviceHost.needsReset}. In an error state that only a reset ends, no queue is served. */
  needsReset(why: string): void {
    if (this.isBroken) return;
    this.setStatus(this.#status | STATUS.DEVICE_NEEDS_RESET);
    this.running = false;
    this.queues.stop();
    this.deliveries.forgetAll();
    this.traceFault(why);
    this.tellConfiguration();
    this.settleStop();
  }

  /** Resets the device. Whether it is stopped, a reset leaves as it is. */
  reset(): void {
    this.mode.during(() => this.#reset());
    this.settleStop();
  }

  #reset(): void {
    this.running = false;
    this.due = "nothing";
    this.toResume = undefined;
    this.legacy?.reset();
    // No notification goes out from here on, not even for a consumer that fails below.
    this.setStatus(0);
    for (const slot of this.queues.slots) slot.reset();
    this.deliveries.forgetAll();
    this.negotiation.reset();
    this.model.config?.reset();
    this.resetConsumers();
    // A consumer that fails to forget its driver holds stopped queues: it can do no harm, and the
    // status must read 0 all the same.
    this.setStatus(0);
    this.trace?.emit({ op: "reset" });
    this.attempt("transport", () => this.port?.deviceReset(), this.traceFault);
  }

  // Queues

  /** See {@link LegacyCore.enable}. */
  enable(slot: QueueSlot): boolean {
    try {
      slot.queue = this.queues.makeFor(slot);
      if (!this.mode.active) slot.queue.hold();
      return true;
    } catch (error) {
      this.needsReset(`queue ${slot.index} (${slot.name}) cannot be enabled: ${messageOf(error)}`);
      return false;
    }
  }

  /** Ends one queue, and has its consumer forget it. */
  resetQueue(index: number): void {
    const slot = this.queues.at(index);
    if (slot === undefined) return;
    const wasEnabled = slot.queue !== undefined;
    slot.reset();
    this.deliveries.forget(slot);
    if (!wasEnabled) return;
    this.trace?.emit({ op: "reset", queue: index });
    const consumer = this.#consumer(index);
    this.attempt(slot.name, () => consumer.queueReset?.(index), this.needsReset);
    this.settleStop();
  }

  /** The driver notifies of this queue. */
  notify(index: number, next: number | undefined): void {
    const slot = this.queues.at(index);
    if (slot === undefined) return;
    // What the driver claims is for people alone: the ring says what there is, and a queue that was
    // notified of nothing new is looked at as any other ("Driver Notifications").
    this.trace?.emit({ op: "notify", queue: index, ...(next === undefined ? {} : { next }) });
    this.visit(slot);
  }

  /** What may be available in this queue is to be served, or makes a legacy driver's device start. */
  visit(slot: QueueSlot): void {
    if (this.running && slot.queue !== undefined) this.deliveries.notify(slot);
    else this.legacy?.notified(slot);
  }

  /** What is available may never be notified of again. */
  visitAll(): void {
    for (const slot of this.queues.slots) if (this.mayVisit(slot)) this.visit(slot);
  }

  /** False while a notification that nobody sent would wait at the transport, as others do. */
  mayVisit({ index, queue }: QueueSlot): boolean {
    return queue === undefined || this.port?.holdsBack?.(index) !== true;
  }

  /** See {@link LegacyCore.deliver}. */
  deliver(slot: QueueSlot): void {
    if (this.running && slot.queue !== undefined) this.deliveries.notify(slot);
  }

  /** See {@link DeviceHost.publish}. */
  publish(index: number): void {
    const slot = this.queues.slots[index];
    if (!this.running || slot?.queue === undefined) return;
    if (slot.queue.publish()) this.deliveries.interrupt(slot);
    this.settleStop();
  }

  /** Whether this queue broke; the device then needs a reset. */
  checkDefect(slot: QueueSlot): boolean {
    const defect = slot.queue?.defect;
    if (defect === undefined) return false;
    this.needsReset(
      `queue ${slot.index} (${slot.name}) is broken, ${defect}: ${QUEUE_DEFECTS[defect]}`,
    );
    return true;
  }

  // Consumers

  /** Consumers learn that buffers may be used from now on. */
  startConsumers(): void {
    this.attempt(this.model.name, () => this.model.start?.(), this.needsReset);
    this.attempt("admin", () => this.admin?.start?.(), this.needsReset);
    // What was available before DRIVER_OK may have turned out to be broken already.
    for (const slot of this.queues.slots) this.checkDefect(slot);
  }

  /** Consumers learn that the device is to stop. */
  stopConsumers(): void {
    this.attempt(this.model.name, () => this.model.stopping?.(), this.needsReset);
    this.attempt("admin", () => this.admin?.stopping?.(), this.needsReset);
  }

  /** Consumers learn that the driver is gone. */
  resetConsumers(): void {
    this.attempt(this.model.name, () => this.model.reset(), this.traceFault);
    this.attempt("admin", () => this.admin?.reset(), this.traceFault);
  }

  #consumer(index: number): QueueConsumer {
    return index >= this.queues.adminBase ? (this.admin ?? this.model) : this.model;
  }

  /** Calls somebody who may throw anything; `failed` is a method of this object. */
  attempt(
    who: string,
    action: () => void,
    failed: (this: DeviceOperation, why: string) => void,
  ): void {
    try {
      action();
    } catch (error) {
      failed.call(this, `${who}: ${messageOf(error)}`);
    }
  }

  /** A fault that has no other consequence is there for people to see. */
  traceFault(why: string): void {
    this.trace?.emit({ op: "needs-reset", why });
  }

  // Configuration space

  /** See {@link LegacyCore.configField}. */
  configField(offset: number): ConfigField | undefined {
    return this.model.config?.field(offset);
  }

  /** See {@link LegacyCore.writeConfig}. */
  writeConfig(offset: number, source: Uint8Array): void {
    this.attempt("config", () => this.model.config?.write(offset, source), this.needsReset);
  }

  /** See {@link DeviceHost.configChanged}. */
  configChanged(): void {
    const { config } = this.model;
    if (config !== undefined) {
      if (config.generation === this.toldGeneration) config.raise();
      this.toldGeneration = config.generation;
    }
    if (!this.isBroken) this.tellConfiguration();
  }

  /** The driver is to be interrupted for the configuration, or its status, if it may be. */
  tellConfiguration(): void {
    if (isUsed(this)) this.deliveries.interruptConfiguration();
  }

  // Where deliveries go

  /** See {@link Recipients.consume}. */
  consume(slot: QueueSlot): void {
    try {
      this.#consumer(slot.index).queueNotified(slot.index);
    } catch (error) {
      this.needsReset(`queue ${slot.index} (${slot.name}): ${messageOf(error)}`);
    }
    this.checkDefect(slot);
  }

  /** See {@link Recipients.interrupt}. */
  interrupt({ index }: QueueSlot): void {
    this.trace?.emit({ op: "interrupt", queue: index });
    this.port?.usedBuffers(index);
  }

  /** See {@link Recipients.interruptConfiguration}. */
  interruptConfiguration(): void {
    this.trace?.emit({ op: "interrupt" });
    this.port?.configurationChange();
  }

  /** See {@link Recipients.failed}. */
  failed(error: unknown): void {
    this.needsReset(`the transport failed: ${messageOf(error)}`);
  }

  /** See {@link Recipients.quiet}. */
  quiet(): void {
    this.settleStop();
  }

  // Stopping

  /**
   * Stops the device for good once nothing is under way any more: all that was taken is used, and
   * the driver was told so. What is written and not published yet, it publishes.
   */
  settleStop(): void {
    if (!this.mode.stopping || this.mode.resetting) return;
    if (this.running) {
      const { slots } = this.queues;
      if (slots.some(({ queue }) => queue !== undefined && queue.outstanding > 0)) return;
      for (const slot of slots) if (slot.queue?.publish()) this.deliveries.interrupt(slot);
    }
    // Whoever was interrupted just now may have had the device go on, or stopped it.
    if (!this.deliveries.areQuiet || !this.mode.stopping) return;
    this.mode.settle();
    this.deliveries.hold();
    this.holdNotifications(true);
    this.trace?.emit({ op: "stop" });
  }

  /** The transport sends nothing from now on, or again. */
  holdNotifications(on: boolean): void {
    this.attempt("transport", () => this.port?.holdNotifications?.(on), this.traceFault);
  }
}
