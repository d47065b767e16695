/**
 * The legacy interface of a transitional device: what a driver from before virtio 1.0 finds, whose
 * accesses a transport's legacy registers turn into these calls (the sections named "Legacy
 * Interface"; all values are little-endian here).
 *
 * There is no FEATURES_OK: features are in force as they are written, and settled by the first use,
 * which is DRIVER_OK or the first notification of a queue that has an address. The device serves its
 * queues from then on, DRIVER_OK or not. Of the driver's 32 features the device takes those that it
 * offers and whose requirements are met; it cannot say more than that.
 *
 * A device has one driver at a time: whatever is written first after a reset settles through which
 * interface, and the other one's writes are ignored until the next reset, which either can ask for.
 */
import { legacyQueueAreas } from "../virtqueue/index.ts";
import type { ConfigField } from "./config-space.ts";
import { withoutUnmet } from "./feature-rules.ts";
import { FeatureSet } from "./features.ts";
import type { FeatureNegotiation } from "./negotiation.ts";
import type { QueueSlot } from "./queue-slot.ts";
import { STATUS, statusNames } from "./status.ts";
import type { LegacyFacingDevice, TransportFacingDevice } from "./types.ts";

/**
 * The feature bits that exist only through the legacy interface (section "Legacy Interface: Reserved
 * Feature Bits"). NOTIFY_ON_EMPTY (24) is among the bits that a device may offer; it is not offered.
 */
export const LEGACY_FEATURE = {
  /** Descriptors may be arranged in any way. */
  VIRTIO_F_ANY_LAYOUT: 27,
  /** Always offered; a driver that accepts it has not negotiated, and has no feature at all. */
  UNUSED: 30,
} as const;

/** The status bits that a driver sets through the legacy interface. */
export const LEGACY_STATUS_BITS: number =
  STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.DRIVER_OK | STATUS.FAILED;

const LOW_WORD = FeatureSet.fromWords([0xffffffff]);
const ALWAYS_OFFERED = FeatureSet.of(...Object.values(LEGACY_FEATURE));

/** What the legacy interface needs of the device core. */
export interface LegacyCore {
  /** The device status. */
  readonly status: number;
  /** The features, as they are offered through the modern interface, and what the driver wrote. */
  readonly negotiation: FeatureNegotiation;
  /** The field of the configuration space that a byte is part of. */
  configField(offset: number): ConfigField | undefined;
  /** Sets these bits of the device status besides those that are set. */
  addStatus(bits: number): void;
  /** Makes the queue of a slot; the device needs a reset where that cannot be. */
  enable(slot: QueueSlot): void;
  /** The device may use its queues from now on. */
  start(): void;
  /** Has the consumer of a queue called, when the device is running and the queue enabled. */
  deliver(slot: QueueSlot): void;
  /** Writes configuration bytes. */
  writeConfig(offset: number, source: Uint8Array): void;
  /** Sets DEVICE_NEEDS_RESET. */
  needsReset(why: string): void;
}

/** The device as its driver resets it, through whichever interface. */
export type ResettableDevice = Pick<TransportFacingDevice, "reset" | "resetQueue">;

/** The legacy interface of one device. */
export class LegacyInterface implements LegacyFacingDevice {
  readonly #device: ResettableDevice;
  readonly #core: LegacyCore;
  /** The queues, without those of administration. */
  readonly #slots: readonly QueueSlot[];
  #active = false;
  #inUse = false;
  /** Counts resets: whatever calls out looks whether one came meanwhile. */
  #epoch = 0;

  constructor(device: ResettableDevice, core: LegacyCore, slots: readonly QueueSlot[]) {
    this.#device = device;
    this.#core = core;
    this.#slots = slots;
  }

  /** True while the device is driven through this interface. */
  get active(): boolean {
    return this.#active;
  }

  /** True once the driver has used the device: its features are settled. */
  get inUse(): boolean {
    return this.#inUse;
  }

  /** The device was reset: any interface may be used. */
  reset(): void {
    this.#active = false;
    this.#inUse = false;
    this.#epoch++;
  }

  /** Goes on where a saved device was. */
  restore(inUse: boolean): void {
    this.#active = true;
    this.#inUse = inUse;
  }

  /** See {@link LegacyFacingDevice.offeredFeatures}. */
  get offeredFeatures(): number {
    return this.#offer().word(0);
  }

  /** See {@link LegacyFacingDevice.driverFeatures}. */
  get driverFeatures(): number {
    return this.#active ? this.#core.negotiation.driverFeatures.word(0) : 0;
  }

  /** See {@link LegacyFacingDevice.writeDriverFeatures}. */
  writeDriverFeatures(value: number): void {
    if (!this.#enter() || this.#inUse) return;
    this.#accept(this.#accepted(FeatureSet.fromWords([value])));
  }

  /** See {@link LegacyFacingDevice.writeStatus}. */
  writeStatus(value: number): void {
    if ((value & 0xff) === 0) {
      this.#device.reset();
      return;
    }
    if (!this.#enter()) return;
    const bits = value & LEGACY_STATUS_BITS & ~this.#core.status;
    this.#core.addStatus(bits);
    if ((bits & STATUS.DRIVER_OK) !== 0 && !this.#inUse) this.#begin();
  }

  /** See {@link LegacyFacingDevice.queueAddress}. */
  queueAddress(index: number): number {
    const slot = this.#active ? this.#slots[index] : undefined;
    return slot?.address("descriptorArea") ?? 0;
  }

  /** See {@link LegacyFacingDevice.setQueueAddress}. */
  setQueueAddress(index: number, address: number, alignment: number): void {
    const slot = this.#slots[index];
    if (slot === undefined || !this.#enter()) return;
    if (address === 0) this.#device.resetQueue(index);
    else if (slot.queue === undefined) slot.place(legacyQueueAreas(address, slot.size, alignment));
  }

  /** See {@link LegacyFacingDevice.configField}. */
  configField(offset: number): ConfigField | undefined {
    return this.#core.configField(offset);
  }

  /** See {@link LegacyFacingDevice.writeConfig}. */
  writeConfig(offset: number, source: Uint8Array): void {
    if (this.#enter()) this.#core.writeConfig(offset, source);
  }

  /** A notification of a queue that is not enabled, or of a device that does not run. */
  notified(slot: QueueSlot): void {
    if (!this.#active || !isPlaced(slot) || this.#isBroken) return;
    const epoch = this.#epoch;
    if (!this.#inUse) this.#begin();
    if (epoch !== this.#epoch || this.#isBroken) return;
    if (slot.queue === undefined) this.#core.enable(slot);
    if (epoch === this.#epoch) this.#core.deliver(slot);
  }

  /** Why a driver cannot have settled on these features through this interface, or `undefined`. */
  refusal(features: FeatureSet): string | undefined {
    return this.#accepted(features).equals(features)
      ? undefined
      : "the features are not what the legacy interface would have taken";
  }

  /** Why a device that is driven through this interface cannot have this status, or `undefined`. */
  statusRefusal(status: number, inUse: boolean): string | undefined {
    const unknown = status & ~(LEGACY_STATUS_BITS | STATUS.DEVICE_NEEDS_RESET);
    if (unknown !== 0) return `a device has no status ${statusNames(unknown)} here`;
    const early = (status & STATUS.DRIVER_OK) !== 0 && !inUse;
    return early ? "DRIVER_OK is a use of the device" : undefined;
  }

  /** False when the device is driven through the modern interface. */
  #enter(): boolean {
    if (this.#active) return true;
    if (this.#core.status !== 0) return false;
    // What was written through the other interface before any status bit means nothing to this one.
    for (const slot of this.#slots) slot.reset();
    this.#accept(FeatureSet.EMPTY);
    this.#active = true;
    return true;
  }

  /** The first use: features are settled, and every queue that has an address is there. */
  #begin(): void {
    const core = this.#core;
    const epoch = this.#epoch;
    this.#inUse = true;
    const why = core.negotiation.typeRefusal(core.negotiation.driverFeatures);
    if (why !== undefined) {
      core.needsReset(why);
      return;
    }
    for (const slot of this.#slots) {
      if (isPlaced(slot)) core.enable(slot);
      // The driver is told of what it did wrong, and may reset the device at once.
      if (epoch !== this.#epoch || this.#isBroken) return;
    }
    core.start();
  }

  get #isBroken(): boolean {
    return (this.#core.status & STATUS.DEVICE_NEEDS_RESET) !== 0;
  }

  /** Features are in force as they are written. */
  #accept(features: FeatureSet): void {
    this.#core.negotiation.set(features, features);
  }

  #offer(): FeatureSet {
    const { offered, dependencies } = this.#core.negotiation;
    return withoutUnmet(offered.intersect(LOW_WORD), dependencies).union(ALWAYS_OFFERED);
  }

  #accepted(features: FeatureSet): FeatureSet {
    if (features.has(LEGACY_FEATURE.UNUSED)) return FeatureSet.EMPTY;
    return withoutUnmet(features.intersect(this.#offer()), this.#core.negotiation.dependencies);
  }
}

function isPlaced(slot: QueueSlot): boolean {
  return slot.address("descriptorArea") !== 0;
}
