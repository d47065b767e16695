/**
 * The contracts around a device half: what a device type brings (`DeviceModel`), what it is given
 * (`DeviceHost`), what the transport's device half calls (`TransportFacingDevice`) and what that
 * half offers in return (`DevicePort`). All of it is synchronous: a VMM traps and wants its answer.
 */
import type { DialectName } from "../admin/dialect-name.ts";
import type { GuestMemory } from "../memory/types.ts";
import type { TraceSink } from "../trace/types.ts";
import type { DeviceQueue } from "../virtqueue/types.ts";
import type { ConfigField, ConfigSpace } from "./config-space.ts";
import type { FeatureDependency } from "./feature-rules.ts";
import type { FeatureSet } from "./features.ts";
import type { PartsHook } from "./parts.ts";
import type { StateHook } from "./saved-state.ts";

/** One virtqueue that a device type has. */
export interface QueueSpec {
  /** What the specification calls it: `requestq`. */
  readonly name: string;
  /** The largest size the device serves: a power of two up to 32768. */
  readonly maxSize: number;
}

/** What consumes the buffers of a device's virtqueues: a device type, or the admin queues. */
export interface QueueConsumer {
  /** Called once, before anything else. */
  attach(host: DeviceHost): void;
  /**
   * DRIVER_OK was set, a legacy driver goes ahead without it, or the device goes on with what it was
   * set to: buffers may be used from now on. Queues may already hold some.
   */
  start?(): void;
  /**
   * The device is to stop: it is stopped once every buffer that was popped is pushed and published.
   * Who holds buffers until something happens gives them back now, unused; who works on them goes
   * on. Nothing more is popped, and a notification of all queues follows when the device goes on.
   */
  stopping?(): void;
  /** Buffers may be available in this queue (its index in the whole device). */
  queueNotified(index: number): void;
  /** The driver reset or disabled this one queue; what is popped from it must not be pushed. */
  queueReset?(index: number): void;
  /** The device was reset: forget the driver. Work under way must not touch a queue again. */
  reset(): void;
}

/**
 * A device type: its identity, features, configuration space and what it does with its queues. What
 * is to be in a snapshot besides the configuration space, it saves itself; a snapshot is taken
 * while it holds no buffer, and after a restore it is started like any other device. Device parts
 * of its own (types 0x0200 to 0x05ff) it reads and sets itself.
 */
export interface DeviceModel extends QueueConsumer, StateHook, PartsHook {
  /** The device type's name in the specification, lower case: `entropy`. */
  readonly name: string;
  /** The virtio device id: 4 for entropy. */
  readonly deviceId: number;
  /** The device-type feature bits it offers. */
  readonly features: readonly number[];
  /** What its feature bits require, where they require another. */
  readonly featureDependencies?: readonly FeatureDependency[];
  /** Its queues under every feature set it offers, in the order of their indexes. */
  readonly queues: readonly QueueSpec[];
  /** Its configuration space, absent when the type has none. */
  readonly config?: ConfigSpace;
  /**
   * Checks the features that the driver wants, on top of "a subset of what is offered" and the
   * generic dependencies. Returns why they cannot be, or `undefined`.
   */
  refuseFeatures?(features: FeatureSet): string | undefined;
}

/** The administration virtqueues of an owner device, as the device core sees them. */
export interface AdminFacility extends QueueConsumer {
  /** How many administration virtqueues there are, 1..0x10000 - the model's queues. */
  readonly queueCount: number;
  /** The largest size of each. */
  readonly maxSize: number;
  /** The dialect of the commands; `virtio-1.4` when absent. */
  readonly dialect?: DialectName;
}

/** What a device gives to the consumers of its queues. */
export interface DeviceHost {
  /** The memory that the driver shares. */
  readonly memory: GuestMemory;
  /**
   * The features in force; empty until FEATURES_OK, which legacy drivers do not set. Without
   * VIRTIO_F_VERSION_1 in a running device, its driver is one of those.
   */
  readonly features: FeatureSet;
  /** The index of the first administration virtqueue (whether or not it is negotiated). */
  readonly adminQueueBase: number;
  /**
   * True between DRIVER_OK (or a legacy driver's first use) and the next reset, while
   * DEVICE_NEEDS_RESET is clear and the device is not stopped.
   */
  readonly running: boolean;
  /** The queue of that index, or `undefined` while it is not enabled or the device not running. */
  queue(index: number): DeviceQueue | undefined;
  /** Publishes the pushed entries of that queue and interrupts the driver if it asked for it. */
  publish(index: number): void;
  /**
   * Asks for another `queueNotified` of that queue, once what is pending was served: for a
   * consumer that stops before `pop` returned nothing, to bound its work.
   */
  revisit(index: number): void;
  /** Call after `pop` returned nothing: true when the queue broke (the device then needs a reset). */
  checkDefect(index: number): boolean;
  /** Sets DEVICE_NEEDS_RESET and tells the driver; `why` goes to the trace. */
  needsReset(why: string): void;
  /** The configuration space changed: raises the generation and tells the driver. */
  configChanged(): void;
  /** Where events go, when anyone listens. */
  readonly trace: TraceSink | undefined;
}

/**
 * Why a device or a member cannot be provisioned: a driver uses it, or the values are none it can
 * have.
 */
export type ProvisionRefusal = "in use" | "invalid";

/**
 * What may change about a device or a member that its group keeps in mind: whether a driver uses
 * it, its features (those it offers, its defaults, those that can be switched), how many MSI-X
 * vectors it has.
 */
export type ProvisionAspect = "use" | "features" | "vectors";

/** Who keeps in mind what a device or a member is like, and is told of every change; a group. */
export interface ProvisionWatcher {
  /**
   * Called after something about the member of this id has changed, for whatever reason. What it
   * is now is read from the member. Never throws.
   */
  changed(id: number, what: ProvisionAspect): void;
}

/**
 * A device whose features somebody else than its driver may settle, while no driver uses it. What
 * was settled stays until it is settled anew: a reset of the device does not touch it.
 */
export interface ProvisionableDevice {
  /** The device status byte. */
  readonly status: number;
  /** What it offers as long as nobody settled anything: all that it can offer on its transport. */
  readonly defaultFeatures: FeatureSet;
  /**
   * What is settled now. The driver may be offered less for a while, see
   * {@link TransportFacingDevice.withholdFeatures}.
   */
  readonly provisionedFeatures: FeatureSet;
  /**
   * Offers exactly these features from now on. Check and change are one step.
   *
   * @returns `undefined` when it is done; else nothing changed: `"in use"` while the status is not
   * 0, `"invalid"` for features that are not among {@link defaultFeatures}, lack
   * VIRTIO_F_VERSION_1, or lack one that another of them requires
   */
  provisionFeatures(features: FeatureSet): ProvisionRefusal | undefined;
  /**
   * Has `watcher` told, under this id, whenever the status leaves 0 or goes back to it, and when
   * {@link defaultFeatures} or {@link provisionedFeatures} change; `undefined` ends it. Absent for
   * a device that cannot.
   *
   * @returns false when somebody else is told already, and nothing changed
   */
  watch?(watcher: ProvisionWatcher | undefined, id: number): boolean;
}

/**
 * How a device interrupts its driver: given to the device core by the transport's device half. That
 * half saves the registers of its own (selectors, vectors, indicators) if it wants them in a
 * snapshot of the device; they are restored on a transport of the same name only, before anything
 * else of the device. Where the text has device parts for them, it reads and sets those.
 */
export interface DevicePort extends StateHook, PartsHook {
  /** The transport's name, for traces: `pci`. */
  readonly transport: string;
  /** Features that this transport cannot carry; they are never offered. Empty for most. */
  readonly reservedFeatures: readonly number[];
  /**
   * Features that this transport brings, offered besides the device's own: VIRTIO_F_SR_IOV on a
   * PCI device with that capability.
   */
  readonly ownFeatures?: readonly number[];
  /** Used buffers are there in the queue of this index. */
  usedBuffers(queue: number): void;
  /** The configuration (or DEVICE_NEEDS_RESET) changed. */
  configurationChange(): void;
  /** The device was reset: the transport's own per-driver state goes back to its reset values. */
  deviceReset(): void;
  /** The MSI-X vector of a queue, 0xffff for none; absent where a transport has no such thing. */
  queueVector?(queue: number): number;
  /**
   * The device stopped, or goes on: while `on`, nothing is sent to the driver, not even what was
   * due before. It is due again afterwards.
   */
  holdNotifications?(on: boolean): void;
  /**
   * A device that goes on looks into a queue without a notification of the driver. True when such
   * notifications wait here now, and this one with them.
   */
  holdsBack?(queue: number): boolean;
  /**
   * A restore is complete, this device's state and that of all others in place: what the transport
   * has still to tell of what it took, a raised line for one, it tells now. Must not throw.
   */
  restored?(): void;
}

/** The three areas of a virtqueue, as transports name them. */
export type QueueArea = "descriptorArea" | "driverArea" | "deviceArea";

/** What a transport's device half calls: registers are turned into these. */
export interface TransportFacingDevice {
  /** The virtio device id. */
  readonly deviceId: number;
  /** The memory that the driver shares. */
  readonly memory: GuestMemory;
  /** Where events go, when anyone listens. */
  readonly trace: TraceSink | undefined;
  /** Connects the transport's device half. Once per device. */
  connect(port: DevicePort): void;

  /** The features offered on this transport. */
  readonly offeredFeatures: FeatureSet;
  /** Bits that are withheld for now (CCW: VIRTIO_F_ADMIN_VQ below revision 3). Ends with the next call. */
  withholdFeatures(bits: readonly number[]): void;
  /** The features the driver wrote so far; changing them is ignored once FEATURES_OK is set. */
  readonly driverFeatures: FeatureSet;
  /** Writes one of the driver's four feature words (bits `32 * word` and up); other words are ignored. */
  writeDriverFeatures(word: number, value: number): void;
  /**
   * True when the driver accepted this bit and FEATURES_OK is set; through the legacy interface, when
   * the device took it.
   */
  negotiated(bit: number): boolean;

  /** The device status byte. */
  readonly status: number;
  /**
   * Writes the device status. 0 resets. Returns false when the write was refused (a bit cleared,
   * or set out of order); the status is then as before. FEATURES_OK that the device does not
   * accept stays clear and is no refusal of the write.
   */
  writeStatus(value: number): boolean;
  /** Resets the device, as writing status 0 does. */
  reset(): void;

  /** How many queues there are, administration virtqueues not counted. */
  readonly queueCount: number;
  /**
   * The index of the first administration virtqueue; 0 unless VIRTIO_F_ADMIN_VQ is negotiated. To
   * read it is to tell the driver: a device half that answers it along with what a driver may ask
   * earlier looks at {@link negotiated} first.
   */
  readonly adminQueueIndex: number;
  /** How many administration virtqueues there are; 0 unless VIRTIO_F_ADMIN_VQ is negotiated. */
  readonly adminQueueNum: number;
  /**
   * The dialect of the administration commands, from when the device is made: a transport may tell
   * the place of the queues elsewhere in another one. `virtio-1.4` when absent, or without queues.
   */
  readonly adminDialect?: DialectName | undefined;
  /** The largest size of that queue; 0 when there is no such queue (now). */
  queueSizeMax(index: number): number;
  /** The size that is set for that queue: its maximum after reset; 0 when there is no such queue. */
  queueSize(index: number): number;
  /**
   * Sets the size; ignored when there is no such queue, while it is enabled, for what is not 1 up to
   * its maximum, and for what is no power of two unless VIRTIO_F_RING_PACKED is negotiated.
   */
  setQueueSize(index: number, size: number): void;
  /** The low 32 bits (`half` 0) or high 32 bits (`half` 1) of an area's address. */
  queueAddress(index: number, area: QueueArea, half: 0 | 1): number;
  /** Writes half an address; ignored when there is no such queue or while it is enabled. */
  setQueueAddress(index: number, area: QueueArea, half: 0 | 1, value: number): void;
  /**
   * Enables the queue. Returns false, and sets DEVICE_NEEDS_RESET where the driver's values are at
   * fault, when it cannot be enabled. True when it is enabled already.
   */
  enableQueue(index: number): boolean;
  /** True while the queue is enabled. */
  queueEnabled(index: number): boolean;
  /** Stops one queue (queue reset, QueueReady = 0) and puts its registers back to their reset values. */
  resetQueue(index: number): void;
  /**
   * An available buffer notification. Ignored before DRIVER_OK and for queues that are not enabled;
   * from a legacy driver it is what enables and starts.
   *
   * @param next what the driver says of where its next buffer will stand, 16 bits of anything: with
   * VIRTIO_F_NOTIFICATION_DATA. It goes to the trace, and nothing depends on it.
   */
  notify(index: number, next?: number): void;
  /**
   * Serves what is available in the queues that another thread or process writes (regions of memory
   * marked `concurrent`), as if the driver had notified of it, and tells the driver that
   * notifications are not needed. For a host that has the time to look; until {@link endPolling} it
   * has to keep looking. Other queues are served by notifications alone, before and after.
   *
   * @returns true when there was something
   */
  poll(): boolean;
  /** Asks the driver for notifications again, and serves what came in before it could know. */
  endPolling(): void;

  /** The length of the configuration space in bytes. */
  readonly configLength: number;
  /** Changes whenever the configuration space did, 0..0xffffffff; a transport shows as many bits as it has. */
  readonly configGeneration: number;
  /** Copies configuration bytes into `target`; bytes outside the space read 0. */
  readConfig(offset: number, target: Uint8Array): void;
  /** Writes configuration bytes where the device type lets the driver; the rest is ignored. */
  writeConfig(offset: number, source: Uint8Array): void;

  /** The legacy interface of a transitional device; absent for all others. */
  readonly legacy?: LegacyFacingDevice | undefined;
}

/**
 * What legacy registers are turned into, besides `status`, `queueSizeMax`, `notify` and `readConfig`
 * of {@link TransportFacingDevice}, which serve both interfaces. Writes are ignored while the device
 * is driven through the modern interface, but for the status 0.
 */
export interface LegacyFacingDevice {
  /** The features 0 to 31 that are offered here; feature n is bit n. */
  readonly offeredFeatures: number;
  /** Those that the device has taken; 0 after a reset. */
  readonly driverFeatures: number;
  /** Writes the features that the driver accepts; ignored once the device was used. */
  writeDriverFeatures(value: number): void;
  /** Writes the device status: 0 resets, other values set bits. FEATURES_OK is not one of them. */
  writeStatus(value: number): void;
  /** The address that was given to a queue; 0 when there is none, or no such queue. */
  queueAddress(index: number): number;
  /**
   * Gives a queue an address, where its parts lie one after the other; 0 stops the queue. Ignored
   * when there is no such queue, and while it is in use.
   *
   * @param alignment the queue alignment of the transport, a power of two
   */
  setQueueAddress(index: number, address: number, alignment: number): void;
  /** The field of the configuration space that the byte at `offset` is part of. */
  configField(offset: number): ConfigField | undefined;
  /** Writes configuration bytes, at any time. */
  writeConfig(offset: number, source: Uint8Array): void;
}
