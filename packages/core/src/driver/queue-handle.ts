/**
 * One virtqueue that a driver has set up.
 *
 * Hot path: `notify`, `reap` and `used` allocate nothing.
 */
import type { QueueDoorbell } from "../transport/types.ts";
import type { DriverQueue } from "../virtqueue/types.ts";
import type { QueueMemory } from "./queue-memory.ts";

/** What a handle tells the device that it belongs to. */
export interface QueueOwner {
  /** The queue broke, or its user's callback failed. */
  queueFailed(handle: DriverQueueHandle, cause: unknown): void;
}

/** A virtqueue with its doorbell. A {@link DriverDevice} makes it. */
export class DriverQueueHandle {
  /** The queue's index in the device. */
  readonly index: number;
  /**
   * Called when used buffers may be there: call {@link reap} until it returns -1. It may be called
   * from inside {@link notify}. An error that it throws fails the device.
   */
  onUsed: (() => void) | undefined = undefined;
  /**
   * Called when the queue was reset and {@link queue} is another ring: what was outstanding never
   * comes back. An error that it throws fails the device.
   */
  onReset: (() => void) | undefined = undefined;
  readonly #owner: QueueOwner;
  readonly #memory: QueueMemory;
  #queue: DriverQueue;
  #doorbell: QueueDoorbell | undefined = undefined;

  /** @internal */
  constructor(index: number, memory: QueueMemory, owner: QueueOwner) {
    this.index = index;
    this.#owner = owner;
    this.#memory = memory;
    this.#queue = memory.createQueue();
  }

  /** The ring itself: for {@link DriverQueue.add}. Another one after {@link DriverDevice.resetQueue}. */
  get queue(): DriverQueue {
    return this.#queue;
  }

  /** The number of entries. */
  get size(): number {
    return this.#queue.size;
  }

  /** True while buffers can be exchanged with the device. */
  get live(): boolean {
    return this.#doorbell !== undefined;
  }

  /**
   * Makes the added buffers visible, and notifies the device if it asked for that. Does nothing
   * while the queue is not {@link live}.
   */
  notify(): void {
    const doorbell = this.#doorbell;
    if (doorbell !== undefined && this.#queue.publish()) doorbell.ring(this.#queue.index);
  }

  /**
   * The id of the next used buffer, or -1; its length is {@link DriverQueue.usedLength} of
   * {@link queue}. A queue that turns out to be broken fails the device.
   */
  reap(): number {
    const id = this.#queue.reap();
    if (id < 0 && this.#queue.defect !== undefined) {
      this.#owner.queueFailed(this, this.#queue.defect);
    }
    return id;
  }

  /** @internal */
  used(): void {
    if (this.#doorbell === undefined) return;
    try {
      this.onUsed?.();
    } catch (error) {
      this.#owner.queueFailed(this, error);
      return;
    }
    if (this.#queue.defect !== undefined) this.#owner.queueFailed(this, this.#queue.defect);
  }

  /** @internal */
  get memory(): QueueMemory {
    return this.#memory;
  }

  /** @internal Buffers may go to the device from now on. */
  open(doorbell: QueueDoorbell): void {
    this.#doorbell = doorbell;
  }

  /** @internal No buffer goes to the device any more. Returns the doorbell that was open. */
  fence(): QueueDoorbell | undefined {
    const doorbell = this.#doorbell;
    this.#doorbell = undefined;
    return doorbell;
  }

  /** @internal Starts over with empty rings; the device has let go of them. */
  renew(): void {
    this.#queue = this.#memory.createQueue();
    try {
      this.onReset?.();
    } catch (error) {
      this.#owner.queueFailed(this, error);
    }
  }
}
