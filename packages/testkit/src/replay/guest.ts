/**
 * The guest of a replay: memory where the recorded driver had its rings, and the driver's half of
 * each queue, into which recorded buffers go as they were shaped then.
 */
import {
  createDriverQueue,
  type DescriptorShape,
  type DriverQueue,
  FEATURE,
  isVirtioError,
  type QueueAddresses,
  queueAreaSizes,
  RegionMemory,
  type TransportFacingDevice,
} from "@virtio-admin/core";

/** What the device did with a buffer. */
export interface UsedBuffer {
  /** The used length. */
  readonly used: number;
  /** The bytes that lie in the writable part up to the used length. */
  readonly written: Uint8Array;
}

/** A buffer that was handed to the device. */
export interface PlacedBuffer {
  /** What came of it; `undefined` until the device used it. */
  result: UsedBuffer | undefined;
}

interface Placed extends PlacedBuffer {
  readonly base: number;
  readonly writableAt: number;
}

interface GuestQueue {
  readonly regions: readonly number[];
  readonly ring: DriverQueue;
  readonly placed: Map<number, Placed>;
}

/** Where buffers lie: far above what recorded guests had, since recordings do not say where. */
const BUFFERS_BASE = 2 ** 44;
const BUFFER_ALIGNMENT = 4096;

/** The guest's memory and its virtqueues. */
export class ReplayGuest {
  /** Guest memory: only what was mapped. */
  readonly memory: RegionMemory = new RegionMemory();

  readonly #queues = new Map<number, GuestQueue>();
  #nextBuffer = BUFFERS_BASE;

  /**
   * Maps `length` zeroed bytes at `address`, so that the device finds memory where the recorded
   * driver had some. False, and nothing mapped, when that is no memory range or overlaps another.
   */
  map(address: number, length: number): boolean {
    try {
      this.memory.add({ base: address, bytes: new Uint8Array(length) });
      return true;
    } catch (error) {
      if (isVirtioError(error, "MEMORY_REGION")) return false;
      throw error;
    }
  }

  /** Takes a range out again that {@link map} mapped at `address`. */
  unmap(address: number): void {
    this.memory.remove(address);
  }

  /**
   * Lays out a queue where the recorded driver had it; called before the device sees the request
   * that enables it; {@link follow} comes after. Nothing happens when `device` has the queue enabled,
   * or when it has no queue of that index and size, or none can lie there: it then has to refuse.
   */
  prepareQueue(
    device: TransportFacingDevice,
    index: number,
    size: number,
    addresses: QueueAddresses,
  ): void {
    if (device.queueEnabled(index) || size > device.queueSizeMax(index)) return;
    this.#drop(index);
    const regions: number[] = [];
    try {
      const packed = device.negotiated(FEATURE.VIRTIO_F_RING_PACKED);
      const areas = queueAreaSizes(size, packed);
      for (const name of ["descriptorArea", "driverArea", "deviceArea"] as const) {
        if (this.map(addresses[name], areas[name].length)) regions.push(addresses[name]);
      }
      const ring = createDriverQueue({
        size,
        memory: this.memory,
        ...addresses,
        eventIdx: device.negotiated(FEATURE.VIRTIO_F_EVENT_IDX),
        indirect: false,
        packed,
      });
      this.#queues.set(index, { regions, ring, placed: new Map() });
    } catch (error) {
      for (const base of regions) this.memory.remove(base);
      if (!isVirtioError(error)) throw error;
    }
  }

  /** Lays out a queue where the device's registers say. */
  prepareFromRegisters(device: TransportFacingDevice, index: number): void {
    const address = (area: keyof QueueAddresses) =>
      device.queueAddress(index, area, 1) * 2 ** 32 + device.queueAddress(index, area, 0);
    this.prepareQueue(device, index, device.queueSize(index), {
      descriptorArea: address("descriptorArea"),
      driverArea: address("driverArea"),
      deviceArea: address("deviceArea"),
    });
  }

  /**
   * Follows the device after a request: takes what it used out of the queues, into the results of
   * the placed buffers, and forgets the queues that it has stopped.
   */
  follow(device: TransportFacingDevice): void {
    for (const [index, queue] of this.#queues) {
      this.#reap(queue);
      if (!device.queueEnabled(index)) this.#drop(index);
    }
  }

  /** Says whether the driver wants to be interrupted for what the device uses in a queue from now on. */
  wantInterrupts(index: number, wanted: boolean): void {
    const ring = this.#queues.get(index)?.ring;
    if (wanted) ring?.enableNotifications();
    else ring?.disableNotifications();
  }

  /**
   * Makes a buffer available in an enabled queue; the notification is the caller's.
   *
   * @param filling what the writable bytes hold before the device writes them: choose bytes that
   * the device is not expected to write
   * @returns the buffer, or why it cannot be placed.
   */
  place(
    index: number,
    descriptors: readonly DescriptorShape[],
    readable: Uint8Array,
    filling: Uint8Array,
  ): PlacedBuffer | string {
    const queue = this.#queues.get(index);
    if (queue === undefined) return `queue ${index} is not enabled`;
    const { ring } = queue;
    if (descriptors.length > ring.size) return `queue ${index} has ${ring.size} descriptors only`;
    const base = this.#nextBuffer;
    const lengths = descriptors.map(({ length }) => length);
    const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
    bytes.set(readable);
    bytes.set(filling.subarray(0, bytes.length - readable.length), readable.length);
    let at = base;
    const addresses = lengths.map((length) => {
      at += length;
      return at - length;
    });
    this.#nextBuffer += Math.ceil(bytes.length / BUFFER_ALIGNMENT) * BUFFER_ALIGNMENT;
    if (!this.map(base, bytes.length)) return "its memory is taken";
    this.memory.write(base, bytes);
    const readableCount = descriptors.filter(({ writable }) => !writable).length;
    const id = ring.add(addresses, lengths, lengths.length, readableCount);
    if (id < 0) {
      this.memory.remove(base);
      return ring.defect === undefined
        ? `queue ${index} is full`
        : `the device broke queue ${index}: ${ring.defect}`;
    }
    ring.publish();
    const placed: Placed = { base, writableAt: readable.length, result: undefined };
    queue.placed.set(id, placed);
    return placed;
  }

  #reap(queue: GuestQueue): void {
    for (let id = queue.ring.reap(); id >= 0; id = queue.ring.reap()) {
      const placed = queue.placed.get(id);
      queue.placed.delete(id);
      if (placed === undefined) continue;
      const written = new Uint8Array(queue.ring.usedLength);
      this.memory.read(placed.base + placed.writableAt, written);
      placed.result = { used: queue.ring.usedLength, written };
      this.memory.remove(placed.base);
    }
  }

  #drop(index: number): void {
    const queue = this.#queues.get(index);
    if (queue === undefined) return;
    for (const base of queue.regions) this.memory.remove(base);
    for (const { base } of queue.placed.values()) this.memory.remove(base);
    this.#queues.delete(index);
  }
}
