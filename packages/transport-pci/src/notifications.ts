/**
 * The available buffer notifications of one function: at which place and in which width a write is
 * one (section "Available Buffer Notifications"), and what waits while the function is no bus master.
 *
 * Hot path: a notification that does not wait allocates nothing.
 */
import {
  FEATURE,
  notifiedPosition,
  notifiedQueue,
  type TransportFacingDevice,
} from "@virtio-admin/core";
import {
  NOTIFICATION_BYTES,
  NOTIFICATION_DATA_BYTES,
  type ResolvedPlacement,
} from "./placement.ts";

/** The notifications of one function. */
export class FunctionNotifications {
  /**
   * True while the function may access memory: notifications go through. What waits does so once
   * {@link resume} is called.
   */
  busMaster = false;

  readonly #device: TransportFacingDevice;
  readonly #placement: ResolvedPlacement;
  /** Queues that were notified while the function was no bus master. */
  #waiting: Set<number> | undefined = undefined;

  constructor(device: TransportFacingDevice, placement: ResolvedPlacement) {
    this.#device = device;
    this.#placement = placement;
  }

  /** The queues that wait; `undefined` for none. */
  get waiting(): readonly number[] | undefined {
    return this.#waiting && [...this.#waiting];
  }

  /** Replaces which queues wait. */
  set waiting(queues: readonly number[] | undefined) {
    this.#waiting = undefined;
    for (const queue of queues ?? []) this.#wait(queue);
  }

  /**
   * The notification offset of a queue. Queues for which the window has no address of their own
   * share the last one: the value that is written tells them apart.
   */
  offsetOf(queue: number): number {
    const { notifyOffMultiplier, windows } = this.#placement;
    if (notifyOffMultiplier === 0) return queue;
    const last = Math.floor((windows.notify.length - NOTIFICATION_BYTES) / notifyOffMultiplier);
    return Math.min(queue, last);
  }

  /** A write at this offset of the window; ignored when it is no notification. */
  written(offset: number, size: number, value: number): void {
    const device = this.#device;
    const carriesData = device.negotiated(FEATURE.VIRTIO_F_NOTIFICATION_DATA);
    if (size !== (carriesData ? NOTIFICATION_DATA_BYTES : NOTIFICATION_BYTES)) return;
    const queue = carriesData ? notifiedQueue(value) : value;
    if (offset !== this.offsetOf(queue) * this.#placement.notifyOffMultiplier) return;
    if (!this.busMaster) {
      if (device.queueEnabled(queue)) this.#wait(queue);
    } else if (carriesData) {
      device.notify(queue, notifiedPosition(value));
    } else {
      device.notify(queue);
    }
  }

  /** A notification of a legacy driver: such queues are not enabled, but there or not. */
  legacyNotified(queue: number): void {
    if (this.busMaster) this.#device.notify(queue);
    else if (this.#device.queueSizeMax(queue) > 0) this.#wait(queue);
  }

  /** True when a queue has to wait; it waits then. */
  holdsBack(queue: number): boolean {
    if (!this.busMaster) this.#wait(queue);
    return !this.busMaster;
  }

  /** Lets through what waits, if the function is a bus master now. */
  resume(): void {
    if (!this.busMaster || this.#waiting === undefined) return;
    const queues = this.#waiting;
    this.#waiting = undefined;
    for (const queue of queues) this.#device.notify(queue);
  }

  #wait(queue: number): void {
    this.#waiting ??= new Set();
    this.#waiting.add(queue);
  }
}
