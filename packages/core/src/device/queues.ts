/**
 * The virtqueues of one device: those of its type, then its administration virtqueues, which are
 * there only while VIRTIO_F_ADMIN_VQ is negotiated (sections "Virtqueues" and "Administration
 * Virtqueues").
 */
import type { GuestMemory } from "../memory/types.ts";
import type { TraceSink } from "../trace/types.ts";
import { createDeviceQueue, ringPosition } from "../virtqueue/index.ts";
import type { DeviceQueue, DeviceQueueInit } from "../virtqueue/types.ts";
import { FEATURE, type FeatureSet } from "./features.ts";
import type { VirtioDeviceInit } from "./init.ts";
import type { FeatureNegotiation } from "./negotiation.ts";
import { QueueSlot } from "./queue-slot.ts";
import type { RingInit } from "./saved-queue.ts";
import { TracedQueue } from "./traced-queue.ts";

/** The virtqueues of one device, and what makes them. */
export class DeviceQueues {
  /** The memory that the driver shares. */
  readonly memory: GuestMemory;
  /** Where events go. */
  readonly trace: TraceSink | undefined;
  /** Every queue by its index, administration virtqueues whether or not they are negotiated. */
  readonly slots: readonly QueueSlot[];
  /** The index of the first administration virtqueue: how many queues the device type has. */
  readonly adminBase: number;
  readonly #negotiation: FeatureNegotiation;

  constructor({ model, memory, admin, trace }: VirtioDeviceInit, negotiation: FeatureNegotiation) {
    const slots = model.queues.map(({ name, maxSize }, i) => new QueueSlot(i, name, maxSize));
    for (let i = 0; i < (admin?.queueCount ?? 0); i++) {
      slots.push(new QueueSlot(slots.length, `adminq${i}`, admin?.maxSize ?? 0));
    }
    this.memory = memory;
    this.trace = trace;
    this.slots = slots;
    this.adminBase = model.queues.length;
    this.#negotiation = negotiation;
  }

  /** The queues that the device type has. */
  get ofDeviceType(): readonly QueueSlot[] {
    return this.slots.slice(0, this.adminBase);
  }

  /** The queues that there are now. */
  get present(): readonly QueueSlot[] {
    return this.slots.filter(({ index }) => this.at(index) !== undefined);
  }

  /** The queue of this index, administration virtqueues only while they are negotiated. */
  at(index: number): QueueSlot | undefined {
    const isAdmin = index >= this.adminBase;
    return isAdmin && !this.#negotiation.negotiated(FEATURE.VIRTIO_F_ADMIN_VQ)
      ? undefined
      : this.slots[index];
  }

  /** Makes a queue, or throws; touches no memory. */
  make(index: number, ring: RingInit, features: FeatureSet): DeviceQueue {
    const queue = createDeviceQueue(this.#initOf(ring, features));
    return this.trace === undefined ? queue : new TracedQueue(queue, index, this.trace);
  }

  /** Makes the queue of a slot as its registers and the features in force say, or throws. */
  makeFor(slot: QueueSlot): DeviceQueue {
    return this.make(slot.index, ringOf(slot), this.#negotiation.inForce);
  }

  /**
   * Makes the queue of a slot anew, to go on where its memory says, or throws. Which of the latest
   * used entries the driver was told of, nobody knows here.
   */
  makeFromMemory(slot: QueueSlot): DeviceQueue {
    const features = this.#negotiation.inForce;
    const ring = ringOf(slot);
    const startIndex = ringPosition(this.#initOf(ring, features));
    const publishedIndex = (startIndex - slot.size) & 0xffff;
    return this.make(slot.index, { ...ring, startIndex, publishedIndex }, features);
  }

  /** No queue is served any more. */
  stop(): void {
    for (const { queue } of this.slots) queue?.stop();
  }

  /** Nothing is taken from a queue until it is released. */
  hold(): void {
    for (const { queue } of this.slots) queue?.hold();
  }

  /** Ends {@link hold}. */
  release(): void {
    for (const { queue } of this.slots) queue?.release();
  }

  #initOf(ring: RingInit, features: FeatureSet): DeviceQueueInit {
    return {
      ...ring,
      memory: this.memory,
      eventIdx: features.has(FEATURE.VIRTIO_F_EVENT_IDX),
      indirect: features.has(FEATURE.VIRTIO_F_INDIRECT_DESC),
      packed: features.has(FEATURE.VIRTIO_F_RING_PACKED),
      inOrder: features.has(FEATURE.VIRTIO_F_IN_ORDER),
    };
  }
}

function ringOf(slot: QueueSlot): RingInit {
  return {
    size: slot.size,
    descriptorArea: slot.address("descriptorArea"),
    driverArea: slot.address("driverArea"),
    deviceArea: slot.address("deviceArea"),
  };
}
