/**
 * The plug-in contract of a transport. A transport is a description, a device half and a driver
 * half. The device half is synchronous and has its own shape (a VMM calls it with register
 * accesses or channel programs); the driver half is {@link DriverTransport}, the same for all.
 */
import type { DialectName } from "../admin/dialect-name.ts";
import type { FeatureSet } from "../device/features.ts";
import type { TransportFacingDevice } from "../device/types.ts";
import type { Layout } from "../layout/index.ts";
import type { DmaAllocator } from "../memory/types.ts";
import type { QueueAddresses } from "../virtqueue/types.ts";

/** A value, or the promise of it: in-process buses answer at once, sockets later. */
export type MaybePromise<T> = T | PromiseLike<T>;

/** What a driver half learns when it opens a device. */
export interface DeviceIdentity {
  /** The virtio device id: 4 for entropy. */
  readonly deviceId: number;
  /** The vendor id; 0 where the transport has none. */
  readonly vendorId: number;
}

/** Where the administration virtqueues are, as the driver half read it. */
export interface AdminQueuePlace {
  /** The index of the first administration virtqueue (`admin_queue_index`). */
  readonly index: number;
  /** How many there are (`admin_queue_num`); 0 means none. */
  readonly count: number;
  /** Where it was read, for people: `MMIO registers AdminQueueIndex 0x0e0, AdminQueueNum 0x0e4`. */
  readonly source: string;
  /** The dialect of their commands, where it was found or told; `virtio-1.4` when absent. */
  readonly dialect?: DialectName;
}

/** What a driver half calls when the device interrupts. Handlers must not throw. */
export interface InterruptListener {
  /**
   * Used buffers may be in the queue of this index, or in any queue when `queue` is `undefined`
   * (a shared interrupt).
   */
  usedBuffers(queue: number | undefined): void;
  /** The configuration changed, or DEVICE_NEEDS_RESET was set. */
  configurationChange(): void;
  /** The bus failed while it served an interrupt or a notification. */
  failed(error: unknown): void;
}

/** How one enabled queue is notified. */
export interface QueueDoorbell {
  /**
   * Sends an available buffer notification. Never throws: failures reach
   * {@link InterruptListener.failed}.
   *
   * @param next where the queue's next buffer will stand, as `DriverQueue.index` has it: sent along
   * where VIRTIO_F_NOTIFICATION_DATA is negotiated. 0 when absent, as in a ring that is not used yet.
   */
  ring(next?: number): void;
}

/** The largest configuration space a driver half reads, in bytes. */
export const CONFIG_SPACE_LIMIT = 4096;

/**
 * The driver half of a transport: the few operations that bring-up and the data path are made of.
 * All methods but `ring` may wait for a bus. A device that answers nonsense makes them reject with
 * a VirtioError; nothing hangs without a bound.
 */
export interface DriverTransport {
  /** The transport's name: `pci`, `mmio`, `ccw`. */
  readonly name: string;
  /** Memory that is shared with the device. */
  readonly dma: DmaAllocator;
  /**
   * Finds the device and its structures. Called once, first.
   *
   * @throws VirtioError `DEVICE_UNKNOWN` when no device of a supported version answers.
   */
  open(): Promise<DeviceIdentity>;
  /** Where interrupts go from now on; called after `open`, before any queue is set up. */
  listen(listener: InterruptListener): Promise<void>;
  /** Resets the device and waits, within a bound, until it is reset. */
  reset(): Promise<void>;
  /** Reads the device status. */
  readStatus(): Promise<number>;
  /** Writes the device status (not 0: use {@link reset}). */
  writeStatus(status: number): Promise<void>;
  /** The features this transport lets a driver accept; bring-up masks with them. */
  readonly allowedFeatures: FeatureSet;
  /** Reads all 128 offered feature bits (a transport that has fewer answers 0 for the rest). */
  readFeatures(): Promise<FeatureSet>;
  /** Writes all feature bits that the driver accepts. */
  writeFeatures(features: FeatureSet): Promise<void>;
  /** Reads configuration bytes, consistently (generation unchanged), retrying within a bound. */
  readConfig(offset: number, length: number): Promise<Uint8Array>;
  /** Writes configuration bytes. */
  writeConfig(offset: number, bytes: Uint8Array): Promise<void>;
  /** The largest size of a queue; 0 when there is no such queue. */
  queueSizeMax(index: number): Promise<number>;
  /** Sets up and enables a queue; resolves when the device has it enabled. */
  enableQueue(index: number, size: number, areas: QueueAddresses): Promise<QueueDoorbell>;
  /**
   * Resets one queue (VIRTIO_F_RING_RESET, or what the transport has) and waits for it.
   *
   * @throws VirtioError `TRANSPORT_UNSUPPORTED` where one queue cannot be stopped.
   */
  resetQueue(index: number): Promise<void>;
  /**
   * Called after DRIVER_OK is settled but before it is written: the last chance to arrange
   * interrupts for the queues that were enabled (CCW indicators).
   */
  queuesReady?(indexes: readonly number[]): Promise<void>;
  /**
   * Reads where the administration virtqueues are. Called after FEATURES_OK, with the features in
   * force.
   *
   * @throws VirtioError `ADMIN_QUEUE_UNAVAILABLE`, naming the transport and the missing feature
   * bit or revision, when the device does not expose any; nothing is read then.
   */
  adminQueues(features: FeatureSet): Promise<AdminQueuePlace>;
  /** Lets go of the bus: no interrupt is delivered any more. The device is reset by the caller first. */
  close(): Promise<void>;
}

/** Where a transport tells the place of the administration virtqueue of a dialect that is not the text's. */
export interface DialectPlace {
  /** Which dialect. */
  readonly name: DialectName;
  /** Its name with what it is: `proposal-v5 (reconstruction)`. */
  readonly label: string;
  /** Where `admin_queue_index` lives. */
  readonly location: string;
  /** Its form on the wire. */
  readonly form: string;
  /** How a driver comes to know of the dialect. */
  readonly detection: string;
}

/** What a transport says of itself: the row of the table that consumers choose by. */
export interface TransportDescription {
  /** Short name, unique: `pci`. */
  readonly name: string;
  /** The specification's name for it: `Virtio Over PCI Bus`. */
  readonly title: string;
  /** The layouts that a reader may print, compare or replace. */
  readonly layouts: readonly Layout[];
  /** Where `admin_queue_index` lives: `virtio_pci_common_cfg, offsets 60 and 62`. */
  readonly adminQueueLocation: string;
  /** Its form on the wire: `le16, le16`. */
  readonly adminQueueForm: string;
  /** What gates it: `VIRTIO_F_ADMIN_VQ negotiated`. */
  readonly adminQueueGate: string;
  /**
   * Whether the place is in the ratified text, in this project's reference layout, or in neither:
   * the sketch of a transport that no text has yet.
   */
  readonly adminQueueStatus: "ratified" | "reference layout" | "sketch";
  /** The other dialects of administration commands that it carries; none when absent. */
  readonly dialects?: readonly DialectPlace[];
  /** The group types a device on this transport can own, by name. */
  readonly groupTypes: readonly string[];
  /** How the driver is interrupted, in a phrase. */
  readonly interrupts: string;
  /** Whether one queue can be stopped without a device reset, and how. */
  readonly queueReset: string;
  /** Features that the transport reserves: never offered, never accepted. */
  readonly reservedFeatures: readonly number[];
}

/** Both halves connected in one process. */
export interface LoopbackPair {
  /** The driver half, on a bus that calls the device half directly. */
  readonly driver: DriverTransport;
  /** Undoes the connection; the device stays. */
  close(): void;
}

/** Options that any transport's loopback understands. */
export interface LoopbackOptions {
  /** Memory for the driver's queues and buffers, inside the device's guest memory. */
  readonly dma: DmaAllocator;
}

/** A transport as a plug-in. */
export interface TransportPlugin {
  /** What it says of itself. */
  readonly description: TransportDescription;
  /**
   * Puts a device half around `device` and a driver half beside it, in this process: what the demo,
   * the compliance kit and the benchmarks run on.
   */
  loopback(device: TransportFacingDevice, options: LoopbackOptions): LoopbackPair;
}
