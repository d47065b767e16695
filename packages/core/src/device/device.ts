/**
 * The device half's core: one device between a transport's registers and a device type (chapters
 * "Basic Facilities of a Virtio Device" and "General Initialization And Device Operation"). What a
 * transport, an owner and a snapshot find stands here; how the device works, in `operation.ts` and
 * the files that go by their subjects.
 *
 * Hot path: `notify`, `poll` and what they call allocate nothing while no trace sink is set.
 */
import type { DialectName } from "../admin/dialect-name.ts";
import { VirtioError } from "../errors.ts";
import type { GuestMemory } from "../memory/types.ts";
import type { TraceSink } from "../trace/types.ts";
import { prepareParts, readParts } from "./device-parts.ts";
import type { FeatureOffer } from "./feature-offer.ts";
import { FEATURE, type FeatureSet } from "./features.ts";
import { ConsumerHost } from "./host.ts";
import { checkInit, type VirtioDeviceInit } from "./init.ts";
import { DeviceOperation } from "./operation.ts";
import type { DevicePart, PartsDevice } from "./parts.ts";
import { endPolling, pollQueues } from "./polling.ts";
import type { QueueSlot } from "./queue-slot.ts";
import { prepareDevice, preparePort, saveDevice } from "./saved-device.ts";
import type { DeviceChange, DeviceState, SnapshotDevice, StateChange } from "./saved-state.ts";
import { judgeStatusWrite, STATUS } from "./status.ts";
import { resetFunction, resumeDevice, stopDevice } from "./stopping.ts";
import type {
  DevicePort,
  LegacyFacingDevice,
  ProvisionableDevice,
  ProvisionRefusal,
  ProvisionWatcher,
  QueueArea,
  TransportFacingDevice,
} from "./types.ts";

/** One virtio device, whatever its type and transport. */
export class VirtioDevice
  implements TransportFacingDevice, ProvisionableDevice, SnapshotDevice, PartsDevice
{
  readonly #operation: DeviceOperation;
  /** Part of the operation. An owner that provisions members at random has less memory to touch. */
  readonly #offer: FeatureOffer;

  /**
   * Makes a device that is reset and connected to no transport.
   *
   * @throws VirtioError `DEVICE_MODEL` when the model, the features or the admin facility
   * contradict themselves, or the features name one that this device cannot live up to.
   */
  constructor(init: VirtioDeviceInit) {
    checkInit(init);
    this.#operation = new DeviceOperation(init, this);
    this.#offer = this.#operation.negotiation.offer;
    const host = new ConsumerHost(this.#operation);
    init.model.attach(host);
    init.admin?.attach(host);
  }

  /** See {@link TransportFacingDevice.deviceId}. */
  get deviceId(): number {
    return this.#operation.model.deviceId;
  }

  /** See {@link TransportFacingDevice.memory}. */
  get memory(): GuestMemory {
    return this.#operation.queues.memory;
  }

  /** See {@link TransportFacingDevice.legacy}. */
  get legacy(): LegacyFacingDevice | undefined {
    return this.#operation.legacy;
  }

  /** See {@link TransportFacingDevice.trace}. */
  get trace(): TraceSink | undefined {
    return this.#operation.trace;
  }

  /**
   * See {@link TransportFacingDevice.connect}.
   *
   * @throws VirtioError `TRANSPORT` when the device is connected already.
   */
  connect(port: DevicePort): void {
    const operation = this.#operation;
    if (operation.port !== undefined) {
      throw new VirtioError("TRANSPORT", {
        message: `the device is connected to ${operation.port.transport} already`,
        path: "port",
        value: port.transport,
        hint: "make one device per transport",
      });
    }
    operation.port = port;
    this.#offer.connect(port);
    operation.changed("features");
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
    const operation = this.#operation;
    if (operation.inUse) return "in use";
    if (!this.#offer.provision(features)) return "invalid";
    operation.changed("features");
    return undefined;
  }

  /** See {@link ProvisionableDevice.watch}. */
  watch(watcher: ProvisionWatcher | undefined, id: number): boolean {
    return this.#operation.watch(watcher, id);
  }

  /** See {@link TransportFacingDevice.driverFeatures}. */
  get driverFeatures(): FeatureSet {
    return this.#operation.negotiation.driverFeatures;
  }

  /** See {@link TransportFacingDevice.writeDriverFeatures}. */
  writeDriverFeatures(word: number, value: number): void {
    if (this.#hasAcceptedFeatures || this.#isLegacy) return;
    this.#operation.negotiation.writeWord(word, value);
  }

  /** See {@link TransportFacingDevice.negotiated}. */
  negotiated(bit: number): boolean {
    return this.#operation.negotiation.negotiated(bit);
  }

  get #hasAcceptedFeatures(): boolean {
    return (this.#operation.status & STATUS.FEATURES_OK) !== 0;
  }

  get #isLegacy(): boolean {
    return this.#operation.legacy?.active === true;
  }

  // Status

  /** See {@link TransportFacingDevice.status}. */
  get status(): number {
    return this.#operation.status;
  }

  /** See {@link TransportFacingDevice.writeStatus}. */
  writeStatus(value: number): boolean {
    const verdict = judgeStatusWrite(this.#operation.status, value);
    if (verdict.kind !== "reset") return this.#operation.changeStatus(verdict);
    this.reset();
    return true;
  }

  /** See {@link TransportFacingDevice.reset}. Whether the device is stopped, a reset leaves as it is. */
  reset(): void {
    this.#operation.reset();
  }

  // Queues

  /** See {@link TransportFacingDevice.queueCount}. */
  get queueCount(): number {
    return this.#operation.queues.adminBase;
  }

  /** See {@link TransportFacingDevice.adminQueueIndex}. */
  get adminQueueIndex(): number {
    return this.negotiated(FEATURE.VIRTIO_F_ADMIN_VQ) ? this.queueCount : 0;
  }

  /** See {@link TransportFacingDevice.adminQueueNum}. */
  get adminQueueNum(): number {
    const { admin } = this.#operation;
    return this.negotiated(FEATURE.VIRTIO_F_ADMIN_VQ) ? (admin?.queueCount ?? 0) : 0;
  }

  /** See {@link TransportFacingDevice.adminDialect}. */
  get adminDialect(): DialectName {
    return this.#operation.admin?.dialect ?? "virtio-1.4";
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
    const slot = this.#writableSlot(index);
    if (slot?.takes(size, this.negotiated(FEATURE.VIRTIO_F_RING_PACKED))) slot.size = size;
  }

  /** See {@link TransportFacingDevice.queueAddress}. */
  queueAddress(index: number, area: QueueArea, half: 0 | 1): number {
    return this.#slot(index)?.half(area, half) ?? 0;
  }

  /** See {@link TransportFacingDevice.setQueueAddress}. */
  setQueueAddress(index: number, area: QueueArea, half: 0 | 1, value: number): void {
    this.#writableSlot(index)?.setHalf(area, half, value);
  }

  /** See {@link TransportFacingDevice.enableQueue}. Before FEATURES_OK nothing can be enabled. */
  enableQueue(index: number): boolean {
    const slot = this.#slot(index);
    if (slot === undefined || !this.#hasAcceptedFeatures) return false;
    return slot.queue !== undefined || this.#operation.enable(slot);
  }

  /** See {@link TransportFacingDevice.queueEnabled}. */
  queueEnabled(index: number): boolean {
    return this.#slot(index)?.queue !== undefined;
  }

  /** See {@link TransportFacingDevice.resetQueue}. */
  resetQueue(index: number): void {
    this.#operation.resetQueue(index);
  }

  /** See {@link TransportFacingDevice.notify}. */
  notify(index: number, next?: number): void {
    this.#operation.notify(index, next);
  }

  /** See {@link TransportFacingDevice.poll}. */
  poll(): boolean {
    return pollQueues(this.#operation);
  }

  /** See {@link TransportFacingDevice.endPolling}. */
  endPolling(): void {
    endPolling(this.#operation);
  }

  #slot(index: number): QueueSlot | undefined {
    return this.#operation.queues.at(index);
  }

  /** The queue of this index, while its registers take what the driver writes. */
  #writableSlot(index: number): QueueSlot | undefined {
    const slot = this.#slot(index);
    return slot?.queue !== undefined || this.#isLegacy ? undefined : slot;
  }

  // Configuration space

  /** See {@link TransportFacingDevice.configLength}. */
  get configLength(): number {
    return this.#operation.model.config?.length ?? 0;
  }

  /** See {@link TransportFacingDevice.configGeneration}. */
  get configGeneration(): number {
    return this.#operation.model.config?.generation ?? 0;
  }

  /** See {@link TransportFacingDevice.readConfig}. */
  readConfig(offset: number, target: Uint8Array): void {
    const { config } = this.#operation.model;
    if (config === undefined) target.fill(0);
    else config.read(offset, target);
  }

  /** See {@link TransportFacingDevice.writeConfig}. Before FEATURES_OK writes are ignored. */
  writeConfig(offset: number, source: Uint8Array): void {
    if (this.#hasAcceptedFeatures) this.#operation.writeConfig(offset, source);
  }

  // Stopping and parts

  /** See {@link PartsDevice.stopped}. */
  get stopped(): boolean {
    return this.#operation.mode.stopped;
  }

  /** See {@link PartsDevice.resetUnderWay}. */
  get resetUnderWay(): Promise<void> | undefined {
    return this.#operation.mode.resetUnderWay;
  }

  /** See {@link PartsDevice.stop}. */
  stop(): true | Promise<boolean> {
    return stopDevice(this.#operation);
  }

  /** See {@link PartsDevice.resume}. */
  resume(): void {
    resumeDevice(this.#operation);
  }

  /** See {@link PartsDevice.resetFunction}. */
  resetFunction(reset: () => void): void {
    resetFunction(this.#operation, reset);
  }

  /** See {@link PartsDevice.readParts}. */
  readParts(): readonly DevicePart[] {
    return readParts(this.#operation);
  }

  /** See {@link PartsDevice.prepareParts}. */
  prepareParts(parts: readonly DevicePart[]): StateChange {
    return prepareParts(this.#operation, parts);
  }

  // Snapshots

  /** See {@link SnapshotDevice.saveState}. */
  saveState(path: string = "device"): DeviceState {
    return saveDevice(this.#operation, path);
  }

  /** See {@link SnapshotDevice.preparePort}. Registers of another transport mean nothing to this one. */
  preparePort(state: DeviceState, path: string = "device"): StateChange {
    return preparePort(this.#operation, state, path);
  }

  /** See {@link SnapshotDevice.prepareState}. */
  prepareState(state: DeviceState, path: string = "device"): DeviceChange {
    return prepareDevice(this.#operation, state, path);
  }
}
