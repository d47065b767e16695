/**
 * The device half of virtio over PCI: what a VMM calls when the guest touches configuration space
 * or a BAR.
 *
 * The specification leaves open what happens when a driver breaks its rules. Here: inside a BAR,
 * an access that is no register of that width reads 0 and is ignored; where the function does not
 * answer at all (no such BAR, beyond its end, Memory Space Enable clear) reads are all ones, as on
 * a bus without a responder. A misaligned or longer access is cut into naturally aligned units of
 * 4, 2 and 1 bytes, low address first. While Bus Master Enable is clear, available buffer
 * notifications and MSI-X messages wait.
 *
 * Hot path: `barWrite` of a notification allocates nothing while no trace sink is set.
 */
import {
  type DevicePart,
  type DevicePort,
  type DeviceState,
  FEATURE,
  fingerprint,
  isPartsDevice,
  type LegacyMember,
  type LegacyNotifyPlace,
  type ProvisionRefusal,
  type ProvisionWatcher,
  type StateChange,
  type TransportFacingDevice,
} from "@virtio-admin/core";
import { unitAt, unitOf } from "./bar-space.ts";
import type { StructureAccess } from "./capabilities.ts";
import { CommonConfig, type CommonConfigOwner } from "./common-config.ts";
import { PciConfigSpace } from "./config-space.ts";
import { DeviceConfig } from "./device-config.ts";
import { FunctionParts, type FunctionPartsOwner } from "./device-parts.ts";
import { PCI_EXPRESS_CAPABILITY_LAYOUT } from "./express-layout.ts";
import { type FunctionRegisters, FunctionShape } from "./function-shape.ts";
import { FunctionInterrupts, type PciInterruptSink } from "./interrupts.ts";
import { MSIX_CAPABILITY_LAYOUT } from "./layout.ts";
import { LegacyConfig } from "./legacy.ts";
import { type MsixReceiver, MsixTable, type VectorMasking } from "./msix.ts";
import { FunctionNotifications } from "./notifications.ts";
import { OwnerMember } from "./owner-member.ts";
import {
  LEGACY_NOTIFY_STRIDE,
  NOTIFICATION_BYTES,
  type PciPlacement,
  type ResolvedPlacement,
} from "./placement.ts";
import { commonRegisters, type SavedPci, saveCommon, savedPci } from "./saved-state.ts";
import { SriovRegisters } from "./sriov-registers.ts";
import type { VirtualFunctionPlace, VirtualFunctions } from "./virtual-function.ts";
import { prepareRegisters, saveRegisters } from "./writable-registers.ts";

/** What a PCI device half is made from. */
export interface PciDeviceInit extends PciPlacement {
  /** The device behind the function; this transport connects itself to it. */
  readonly device: TransportFacingDevice;
  /** Where interrupts go; may be set later, see {@link PciDevice.interruptSink}. */
  readonly interruptSink?: PciInterruptSink;
  /** Who holds back masked vectors: the device by default. */
  readonly vectorMasking?: VectorMasking;
  /**
   * Makes it a physical function with an SR-IOV capability, and the owner of these, a `SriovGroup`.
   */
  readonly sriov?: VirtualFunctions;
  /**
   * True for a plain function whose legacy interface, if its device has one, an owner reaches: see
   * `FunctionGroup`. It has no BAR 0 then, as a virtual function.
   */
  readonly reachedLegacy?: boolean;
}

const CONTROL = MSIX_CAPABILITY_LAYOUT.fields.message_control;
const DEVICE_CONTROL = PCI_EXPRESS_CAPABILITY_LAYOUT.fields.device_control;

/** One virtio device as a PCI function. */
export class PciDevice implements DevicePort {
  /** The transport's name. */
  readonly transport: string = "pci";
  readonly #device: TransportFacingDevice;
  readonly #shape: FunctionShape;
  readonly #inside: FunctionRegisters & StructureAccess & FunctionPartsOwner;
  readonly #config: PciConfigSpace;
  readonly #common: CommonConfig;
  readonly #deviceConfig: DeviceConfig;
  readonly #notifications: FunctionNotifications;
  readonly #legacy: LegacyConfig | undefined;
  readonly #msix: MsixTable | undefined;
  readonly #interrupts: FunctionInterrupts;
  readonly #virtual: VirtualFunctionPlace | undefined;
  readonly #virtualFunctions: VirtualFunctions | undefined;
  readonly #sriov: SriovRegisters | undefined;
  /** Who is told of changes, and what it calls this function. */
  #watcher: ProvisionWatcher | undefined = undefined;
  #watchedAs = 0;
  #toldEnabled = false;
  #memorySpace = false;

  /**
   * Makes the function and connects it to the device. `virtual` is what a group gives to its virtual
   * functions, `like` another one of them that is placed in the same way: they share what is the
   * same in both.
   *
   * @throws VirtioError `TRANSPORT_OPTIONS` when the placement contradicts itself, or the group has
   * an owner already.
   */
  constructor(init: PciDeviceInit, virtual?: VirtualFunctionPlace, like?: PciDevice) {
    const { device, sriov } = init;
    const kind = virtual !== undefined ? "virtual" : sriov !== undefined ? "physical" : "plain";
    const reachesLegacy = init.reachedLegacy === true || virtual?.owner.hasLegacyAccess === true;
    const alike = like === undefined ? undefined : like.#shape;
    const shape =
      alike?.suits(device) === true
        ? alike
        : new FunctionShape(device, init, {
            kind,
            reachesLegacy,
            sriov: sriov?.constants,
          });
    const { msix, identity } = shape.placement;
    const inside = new PciDevice.#Inside(this);
    this.#device = device;
    this.#virtual = virtual;
    this.#shape = shape;
    this.#inside = inside;
    this.#deviceConfig = new DeviceConfig(device);
    this.#notifications = new FunctionNotifications(device, shape.placement);
    this.#msix = msix && new MsixTable(msix.vectors, inside, init.vectorMasking);
    this.#config = new PciConfigSpace(shape.config);
    const hasLine = identity.interruptPin !== 0 && virtual === undefined;
    this.#interrupts = new FunctionInterrupts(this.#config, this.#msix, hasLine);
    this.#interrupts.sink = init.interruptSink;
    this.#common = new CommonConfig(inside);
    if (virtual?.vectors !== undefined) this.#resizeMsix(virtual.vectors);
    this.#legacy = reachesLegacy ? this.#makeLegacy() : undefined;
    this.#virtualFunctions = sriov;
    this.#sriov = sriov === undefined ? undefined : this.#addSriov(sriov);
    device.connect(this);
  }

  /** Where everything is. */
  get placement(): ResolvedPlacement {
    return this.#shape.placement;
  }

  /** The features that this function has no registers for, or that the transport does not carry. */
  get reservedFeatures(): readonly number[] {
    return this.#shape.reservedFeatures;
  }

  /** VIRTIO_F_SR_IOV where there is an SR-IOV capability. */
  get ownFeatures(): readonly number[] {
    return this.#shape.ownFeatures;
  }

  /**
   * The legacy interface of a member, as its owner reaches it; `undefined` for every other function,
   * and for one whose device is not transitional.
   */
  get legacy(): LegacyMember | undefined {
    return this.#legacy;
  }

  /**
   * A legacy notification of the queue with this index, wherever it came in: it acts as a write of the
   * Queue Notify register. Ignored without a legacy interface.
   */
  legacyNotified(queue: number): void {
    if (this.#legacy !== undefined) this.#notifications.legacyNotified(queue);
  }

  /** Where interrupts go; `undefined` for nowhere. */
  get interruptSink(): PciInterruptSink | undefined {
    return this.#interrupts.sink;
  }

  /** Replaces where interrupts go. */
  set interruptSink(sink: PciInterruptSink | undefined) {
    this.#interrupts.sink = sink;
  }

  /** True while INTx is asserted. */
  get interruptLine(): boolean {
    return this.#interrupts.line;
  }

  /**
   * True while there is such a function: of a virtual one, while VF Enable is set and NumVFs reaches
   * its number. A function that is not there answers nothing, and reads are all ones.
   */
  get present(): boolean {
    return this.#virtual === undefined || this.#virtual.id <= this.#virtual.owner.memberCount;
  }

  /** True while the function answers accesses of its BARs (Memory Space Enable, or VF MSE). */
  get memorySpace(): boolean {
    const virtual = this.#virtual;
    if (virtual === undefined) return this.#memorySpace;
    return virtual.owner.memorySpace && virtual.id <= virtual.owner.memberCount;
  }

  /** The address that the driver gave a BAR, 0 when it gave none or there is no such BAR. */
  barAddress(bar: number): number {
    const virtual = this.#virtual;
    if (virtual === undefined) return this.#config.barAddress(bar);
    return this.present ? virtual.owner.barAddress(virtual.id, bar) : 0;
  }

  /** How many MSI-X vectors the function has now; `undefined` without MSI-X. */
  get msixVectors(): number | undefined {
    return this.#msix?.vectors;
  }

  /** Who holds back masked vectors; `undefined` without MSI-X. */
  get vectorMasking(): VectorMasking | undefined {
    return this.#msix?.masking;
  }

  /** True while MSI-X Enable is set. */
  get msixEnabled(): boolean {
    return this.#msix?.enabled === true;
  }

  /**
   * Gives the function another number of MSI-X vectors, from 1 to what its table has room for, which
   * is what it was made with. Table Size shows it; resets do not change it.
   *
   * @returns `undefined` when it is done; `"in use"` while the device status is not 0 or MSI-X is
   * enabled, `"invalid"` for a number that cannot be, and nothing has changed
   */
  setMsixVectors(vectors: number): ProvisionRefusal | undefined {
    const table = this.#msix;
    if (table === undefined || this.#shape.msixControlAt === undefined) return "invalid";
    if (!Number.isInteger(vectors) || vectors < 1 || vectors > table.capacity) return "invalid";
    if (this.#device.status !== 0 || table.enabled) return "in use";
    const virtual = this.#virtual;
    if (virtual?.owner.takeVectors?.(virtual.id, vectors) === false) return "invalid";
    this.#resizeMsix(vectors);
    this.#watcher?.changed(this.#watchedAs, "vectors");
    return undefined;
  }

  /**
   * Has `watcher` told, under this id, whenever MSI-X Enable or the number of MSI-X vectors changes:
   * for a function that is a member of a platform group, whose device tells the rest; `undefined`
   * ends it.
   *
   * @returns false when somebody else is told already, and nothing changed
   */
  watch(watcher: ProvisionWatcher | undefined, id: number): boolean {
    if (watcher !== undefined && this.#watcher !== undefined) return false;
    this.#watcher = watcher;
    this.#watchedAs = id;
    return true;
  }

  #resizeMsix(vectors: number): void {
    this.#msix?.resize(vectors);
    this.#common.unmapVectors();
    if (this.#shape.msixControlAt === undefined) return;
    const { at, mask } = CONTROL.bits.table_size;
    this.#config.settle(this.#shape.msixControlAt, mask, (vectors - 1) << at);
  }

  /** The bytes that a BAR maps; 0 when there is no such BAR. */
  barLength(bar: number): number {
    return this.#config.bars[bar]?.length ?? 0;
  }

  /** Reads 1, 2 or 4 bytes of configuration space, little-endian; all ones beyond its end. */
  configRead(offset: number, size: number): number {
    const bytes = new Uint8Array(isUnitSize(size) ? size : 0);
    this.configReadBytes(offset, bytes);
    return bytes.reduceRight((value, byte) => value * 0x100 + byte, 0);
  }

  /** Writes 1, 2 or 4 bytes of configuration space; read-only bits stay. */
  configWrite(offset: number, size: number, value: number): void {
    this.configWriteBytes(offset, unitOf(value).subarray(0, isUnitSize(size) ? size : 0));
  }

  /** Reads any run of configuration space into `target`; all ones beyond its end. */
  configReadBytes(offset: number, target: Uint8Array): void {
    const config = this.#config;
    const data = new Uint8Array(target.length);
    if (this.present) {
      const { cfgAccess } = this.#shape;
      cfgAccess?.beforeRead(config.view, this.#inside, offset, target.length);
      for (let i = 0; i < data.length; i++) data[i] = config.readByte(offset + i);
    } else data.fill(0xff);
    target.set(data);
    this.#emit("read", "config", offset, data, () => this.#shape.configName(offset));
  }

  /** Writes any run of configuration space; read-only bits, and what is beyond its end, stay. */
  configWriteBytes(offset: number, source: Uint8Array): void {
    this.#emit("write", "config", offset, source, () => this.#shape.configName(offset));
    if (!this.present) return;
    const data = source.slice();
    for (let i = 0; i < data.length; i++) this.#config.writeByte(offset + i, data[i] ?? 0);
    if (this.#resetIsInitiated()) {
      this.reset();
      return;
    }
    this.#applySwitches();
    this.#shape.cfgAccess?.afterWrite(this.#config.view, this.#inside, offset, data.length);
  }

  /** Reads 1, 2 or 4 bytes of a BAR, little-endian. */
  barRead(bar: number, offset: number, size: number): number {
    if (!isUnitSize(size)) return 0;
    let value: number;
    if (!this.#answers(bar, offset)) value = 2 ** (8 * size) - 1;
    else value = this.#shape.space.read(this.#inside, bar, offset, size);
    if (this.#device.trace !== undefined) this.#emitValue("read", bar, offset, size, value);
    return value;
  }

  /** Writes 1, 2 or 4 bytes of a BAR, little-endian. */
  barWrite(bar: number, offset: number, size: number, value: number): void {
    if (!isUnitSize(size)) return;
    if (this.#device.trace !== undefined) this.#emitValue("write", bar, offset, size, value);
    if (!this.#answers(bar, offset)) return;
    this.#shape.space.write(this.#inside, bar, offset, size, value);
  }

  /** Reads any run of a BAR into `target`. */
  barReadBytes(bar: number, offset: number, target: Uint8Array): void {
    const data = new Uint8Array(target.length);
    for (let at = 0; at < data.length; ) {
      const size = unitAt(offset + at, data.length - at);
      const answers = this.#answers(bar, offset + at);
      const value = answers
        ? this.#shape.space.read(this.#inside, bar, offset + at, size)
        : 0xffffffff;
      data.set(unitOf(value).subarray(0, size), at);
      at += size;
    }
    target.set(data);
    this.#emit("read", `bar${bar}`, offset, data, () => this.#shape.space.nameAt(bar, offset));
  }

  /** Writes any run of a BAR. */
  barWriteBytes(bar: number, offset: number, source: Uint8Array): void {
    this.#emit("write", `bar${bar}`, offset, source, () => this.#shape.space.nameAt(bar, offset));
    const data = new DataView(source.slice().buffer);
    for (let at = 0; at < data.byteLength; ) {
      const size = unitAt(offset + at, data.byteLength - at);
      if (this.#answers(bar, offset + at)) {
        this.#shape.space.write(this.#inside, bar, offset + at, size, readUnit(data, at, size));
      }
      at += size;
    }
  }

  /**
   * Resets the function (FLR, or a reset of its bus): device, configuration space and MSI-X. With
   * SR-IOV that clears VF Enable. What was provisioned on a virtual function stays; a device that
   * its owner has stopped goes on.
   */
  reset(): void {
    const device = this.#device;
    const resetAll = () => {
      device.reset();
      this.#config.reset();
      this.#msix?.reset();
      this.#applySwitches();
    };
    if (isPartsDevice(device)) device.resetFunction(resetAll);
    else resetAll();
  }

  /** See `TransportFacingDevice.poll`: serves queues without a notification, for a host that looks. */
  poll(): boolean {
    return this.#device.poll();
  }

  /** See `TransportFacingDevice.endPolling`. */
  endPolling(): void {
    this.#device.endPolling();
  }

  /** Part of `DevicePort`: a used buffer notification. */
  usedBuffers(queue: number): void {
    this.#interrupts.usedBuffers(this.#common.queueVector(queue));
  }

  /** Part of `DevicePort`: a configuration change notification. */
  configurationChange(): void {
    this.#interrupts.configurationChange(this.#common.configVector);
  }

  /** Part of `DevicePort`: selectors, vectors, ISR status and what waited are reset. */
  deviceReset(): void {
    this.#common.reset();
    this.#legacy?.reset();
    this.#notifications.waiting = undefined;
    this.#interrupts.reset();
  }

  /** Part of `DevicePort`: while a device is stopped, no message leaves the function. */
  holdNotifications(on: boolean): void {
    this.#msix?.hold(on);
  }

  /** Part of `DevicePort`: the vector of a queue. */
  queueVector(queue: number): number {
    return this.#common.queueVector(queue);
  }

  /** Part of `DevicePort`: the device parts that are a function's. */
  readParts(): readonly DevicePart[] {
    return new FunctionParts(this.#inside).read();
  }

  /** Part of `DevicePort`: checks the device parts that are a function's. */
  prepareParts(parts: readonly DevicePart[]): StateChange {
    return new FunctionParts(this.#inside).prepare(parts);
  }

  // Snapshots

  /** Part of `DevicePort`: the registers that live here, and the virtual functions that they make. */
  save(): SavedPci {
    const config = saveRegisters(this.#config, this.#shape.registers);
    const common = saveCommon(this.#common.registers);
    const msix = this.#msix?.save();
    const sriov = this.#sriov?.save();
    const { isrStatus } = this.#interrupts;
    const { waiting } = this.#notifications;
    const legacyQueue = this.#legacy?.queueSelect ?? 0;
    return {
      layout: this.#fingerprint(),
      ...(Object.keys(config).length === 0 ? {} : { config }),
      ...(common === undefined ? {} : { common }),
      ...(this.placement.windows.device === undefined
        ? {}
        : { generation: this.#deviceConfig.save() }),
      ...(isrStatus === 0 ? {} : { isr_status: isrStatus }),
      ...(msix === undefined ? {} : { msix }),
      ...(legacyQueue === 0 ? {} : { legacy_queue_select: legacyQueue }),
      ...(waiting === undefined ? {} : { waiting }),
      ...(sriov === undefined ? {} : { sriov }),
    };
  }

  /**
   * Part of `DevicePort`. An SR-IOV group must not exist, or have as many members as the saved one.
   *
   * @throws VirtioError `SNAPSHOT` for a function that is built otherwise, and for what a driver
   * cannot have left in the registers of this one
   */
  restore(value: unknown, path: string, device?: DeviceState): () => void {
    const saved = savedPci({
      layout: this.#fingerprint(),
      vectors: this.#msix?.vectors ?? 0,
      queues: device?.queues.length ?? 0,
      hasConfig: this.placement.windows.device !== undefined,
      hasLegacy: this.#legacy !== undefined,
      isPhysical: this.#sriov !== undefined,
    })(value, path);
    const putRegisters = prepareRegisters(
      this.#config,
      this.#shape.registers,
      saved.config,
      `${path}.config`,
    );
    const putSriov = saved.sriov && this.#sriov?.prepare(saved.sriov, `${path}.sriov`);
    return () => {
      putRegisters();
      this.#common.registers = commonRegisters(saved.common);
      this.#deviceConfig.put(saved.generation);
      this.#interrupts.isrStatus = saved.isr_status ?? 0;
      this.#msix?.put(saved.msix);
      if (this.#legacy !== undefined) this.#legacy.queueSelect = saved.legacy_queue_select ?? 0;
      this.#notifications.waiting = saved.waiting;
      this.#takeSwitches();
      putSriov?.();
    };
  }

  /** Part of `DevicePort`: what was restored shows outside, and messages are sent that nothing holds. */
  restored(): void {
    this.#applySwitches();
  }

  /** Part of `DevicePort`: notifications wait while the function is no bus master. */
  holdsBack(queue: number): boolean {
    return this.#notifications.holdsBack(queue);
  }

  /** What a driver finds and cannot change, in short. */
  #fingerprint(): string {
    const { legacyNotify } = this.placement;
    return fingerprint([
      this.#config.shape,
      this.#sriov?.shape ?? null,
      legacyNotify === undefined
        ? null
        : [legacyNotify.bar, legacyNotify.offset, legacyNotify.length],
    ]);
  }

  // Configuration space

  /** Takes over what the driver may have switched in Command and Message Control. */
  #applySwitches(): void {
    this.#takeSwitches();
    this.#msix?.release();
    this.#interrupts.update();
    this.#sriov?.update();
    this.#notifications.resume();
  }

  /** Takes over what stands in Command and Message Control, and sends nothing. */
  #takeSwitches(): void {
    const config = this.#config;
    const { busMaster } = config;
    this.#memorySpace = config.memorySpace;
    this.#notifications.busMaster = busMaster;
    if (this.#msix !== undefined && this.#shape.msixControlAt !== undefined) {
      const control = config.view.getUint16(this.#shape.msixControlAt, true);
      const isSet = (mask: number) => (control & mask) !== 0;
      this.#msix.configure(
        isSet(CONTROL.bits.msix_enable.mask),
        isSet(CONTROL.bits.function_mask.mask),
        busMaster,
      );
    }
    if (this.msixEnabled !== this.#toldEnabled) {
      this.#toldEnabled = this.msixEnabled;
      this.#watcher?.changed(this.#watchedAs, "use");
    }
  }

  #addSriov(group: VirtualFunctions): SriovRegisters {
    const [at = 0] = this.#config.extendedAt;
    const barAddress = (id: number, bar: number) => this.#sriov?.barAddress(id, bar) ?? 0;
    const { legacyNotify } = this.placement;
    const member = new OwnerMember(this.#device, this);
    const connection = group.connect({ barAddress, legacyNotify, member });
    return new SriovRegisters(group.constants, this.#config, at, connection);
  }

  /** True when the driver has just asked for a function level reset. */
  #resetIsInitiated(): boolean {
    const at = this.#shape.deviceControlAt;
    if (at === undefined) return false;
    const { mask } = DEVICE_CONTROL.bits.initiate_function_level_reset;
    return (this.#config.view.getUint16(at, true) & mask) !== 0;
  }

  // BARs

  /**
   * What the parts of the function see of it: an object without closures, as there may be many
   * functions.
   */
  static readonly #Inside = class
    implements
      FunctionRegisters,
      StructureAccess,
      CommonConfigOwner,
      FunctionPartsOwner,
      MsixReceiver
  {
    readonly #pci: PciDevice;

    constructor(pci: PciDevice) {
      this.#pci = pci;
    }

    get device(): TransportFacingDevice {
      return this.#pci.#device;
    }

    get common(): CommonConfig {
      return this.#pci.#common;
    }

    get interrupts(): FunctionInterrupts {
      return this.#pci.#interrupts;
    }

    get msix(): MsixTable | undefined {
      return this.#pci.#msix;
    }

    get vectors(): number {
      return this.#pci.#msix?.vectors ?? 0;
    }

    get generation(): number {
      return this.#pci.#deviceConfig.generation;
    }

    get queueCount(): number {
      return this.#pci.#device.queueCount;
    }

    get tellsAdminPlace(): boolean {
      return this.#pci.placement.windows.miscellaneous === undefined;
    }

    get adminQueueIndex(): number {
      return this.#pci.#device.adminQueueIndex;
    }

    notifyOffset(queue: number): number {
      return this.#pci.#notifications.offsetOf(queue);
    }

    notify(offset: number, size: number, value: number): void {
      this.#pci.#notifications.written(offset, size, value);
    }

    legacyNotify(offset: number, size: number, queue: number): void {
      this.#pci.#legacyNotify(offset, size, queue);
    }

    readDeviceConfig(offset: number, size: number): number {
      return this.#pci.#deviceConfig.read(offset, size);
    }

    writeDeviceConfig(offset: number, size: number, value: number): void {
      this.#pci.#deviceConfig.write(offset, size, value);
    }

    readStructure(bar: number, offset: number, size: number): number {
      return this.#pci.#shape.space.readStructure(this, bar, offset, size);
    }

    writeStructure(bar: number, offset: number, size: number, value: number): void {
      this.#pci.#shape.space.writeStructure(this, bar, offset, size, value);
    }

    message(vector: number, address: number, data: number): void {
      this.#pci.#interrupts.sink?.msix(vector, address, data);
    }

    statusWritten(): void {
      const pci = this.#pci;
      if (pci.#device.negotiated(FEATURE.VIRTIO_F_SR_IOV)) pci.#sriov?.unlock();
    }
  };

  #answers(bar: number, offset: number): boolean {
    return (
      this.memorySpace && Number.isInteger(offset) && offset >= 0 && offset < this.barLength(bar)
    );
  }

  // Structures

  /** A legacy notification: at a place of the function's own, or at one of each virtual function. */
  #legacyNotify(offset: number, size: number, queue: number): void {
    if (size !== NOTIFICATION_BYTES) return;
    const group = this.#virtualFunctions;
    if (group === undefined) {
      if (offset === 0) this.legacyNotified(queue);
    } else if (offset % LEGACY_NOTIFY_STRIDE === 0) {
      group.legacyNotified?.(1 + offset / LEGACY_NOTIFY_STRIDE, queue);
    }
  }

  #makeLegacy(): LegacyConfig | undefined {
    const device = this.#device;
    const { legacy } = device;
    if (legacy === undefined) return undefined;
    return new LegacyConfig({
      device,
      legacy,
      msixEnabled: () => this.msixEnabled,
      vectors: this.#common,
      readIsrStatus: () => this.#interrupts.readIsrStatus(),
      notify: (queue) => this.legacyNotified(queue),
      places: () => this.#legacyPlaces(),
    });
  }

  #legacyPlaces(): LegacyNotifyPlace[] {
    const own = this.placement.legacyNotify;
    const virtual = this.#virtual;
    const ofOwner = virtual?.owner.legacyPlace(virtual.id);
    return [
      ...(own === undefined ? [] : [{ of: "member" as const, bar: own.bar, offset: own.offset }]),
      ...(ofOwner === undefined ? [] : [{ of: "owner" as const, ...ofOwner }]),
    ];
  }

  // Trace

  #emitValue(op: "read" | "write", bar: number, offset: number, size: number, value: number): void {
    this.#emit(op, `bar${bar}`, offset, unitOf(value).subarray(0, size), () =>
      this.#shape.space.nameAt(bar, offset),
    );
  }

  #emit(
    op: "read" | "write",
    region: string,
    offset: number,
    data: Uint8Array,
    nameOf: () => string | undefined,
  ): void {
    const trace = this.#device.trace;
    if (trace === undefined) return;
    const name = nameOf();
    trace.emit({
      op,
      region,
      offset,
      size: data.length,
      data: Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join(""),
      ...(name === undefined ? {} : { name }),
    });
  }
}

function isUnitSize(size: number): boolean {
  return size === 1 || size === 2 || size === 4;
}

function readUnit(view: DataView, at: number, size: number): number {
  if (size === 4) return view.getUint32(at, true);
  return size === 2 ? view.getUint16(at, true) : view.getUint8(at);
}
