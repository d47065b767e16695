/**
 * What both ring formats look like from above. `split/` and `packed/` each have a `device.ts` and
 * a `driver.ts` behind these interfaces; a queue binds to one class when it is set up, so that
 * every hot call site stays monomorphic.
 */
import type { DmaBlock, GuestMemory, MemoryRegion } from "../memory/types.ts";

/** Where a virtqueue lies, as the transport was told (guest addresses). */
export interface QueueAddresses {
  /** The descriptor area (split: the descriptor table; packed: the descriptor ring). */
  readonly descriptorArea: number;
  /** The driver area (split: the available ring; packed: the driver event suppression). */
  readonly driverArea: number;
  /** The device area (split: the used ring; packed: the device event suppression). */
  readonly deviceArea: number;
}

/** What a virtqueue half is made from. */
export interface QueueInit extends QueueAddresses {
  /** The number of entries, up to 32768; for a split ring a power of two. */
  readonly size: number;
  /** The memory that the ring and its buffers lie in. */
  readonly memory: GuestMemory;
  /** VIRTIO_F_EVENT_IDX was negotiated. */
  readonly eventIdx: boolean;
  /** VIRTIO_F_INDIRECT_DESC was negotiated. */
  readonly indirect: boolean;
  /** VIRTIO_F_RING_PACKED was negotiated: the ring is packed. It is split unless given. */
  readonly packed?: boolean;
  /** VIRTIO_F_IN_ORDER was negotiated: buffers are used in the order in which they are available. */
  readonly inOrder?: boolean;
  /**
   * Use Atomics on the indexes, or the flags: needed when the halves run on different threads or in
   * different processes, and done without being asked where `MemoryRegion.concurrent` says so. The
   * areas must then start at even offsets of their backing buffers, of a packed ring at multiples of 4.
   */
  readonly atomic?: boolean;
  /**
   * Where both halves start; as after every reset unless given. A half that takes over a live queue
   * with nothing outstanding goes on from {@link DeviceQueue.index}, which says what it is.
   */
  readonly startIndex?: number;
}

/** What the device half is made from. */
export interface DeviceQueueInit extends QueueInit {
  /**
   * Up to where the driver sees what was used, {@link QueueInit.startIndex} unless given: a device
   * half that takes over a live queue goes on from {@link DeviceQueue.publishedIndex}, and publishes
   * what stands between the two, which its predecessor had only written.
   */
  readonly publishedIndex?: number;
  /** False when available buffer notifications were disabled; true unless given. */
  readonly notifications?: boolean;
}

/** What the driver half is made from. */
export interface DriverQueueInit extends QueueInit {
  /**
   * Memory for indirect tables, {@link QueueInit.size} equal parts of it. Used for buffers of two
   * segments and more that fit a part, when {@link QueueInit.indirect} is set. Whoever allocated
   * it frees it after the queue's last use.
   */
  readonly indirectArea?: DmaBlock;
  /**
   * Believe the length of a used buffer of a packed ring whether or not VIRTQ_DESC_F_WRITE is set
   * beside it; without the flag it is reserved, and ignored unless given.
   */
  readonly unflaggedLengths?: boolean;
}

/** Why a virtqueue half gave up on its peer. Each is counted by the soak. */
export const QUEUE_DEFECTS = {
  "index-jump": "the other side's index went back, or ran ahead by more than can be outstanding",
  "ring-overrun": "more descriptors of a packed ring are available than the device gave back",
  "list-unavailable": "a descriptor inside a list of a packed ring is not available",
  "head-range": "a ring entry names a descriptor outside the table",
  "head-outstanding": "a ring entry or a list names a buffer that the device still holds",
  "next-range": "a next field names a descriptor outside its table",
  "chain-loop": "a chain is longer than its table, so it loops",
  "chain-length": "a chain has more descriptors than the queue size allows",
  "readable-after-writable": "a readable descriptor follows a writable one",
  "indirect-not-negotiated": "an indirect descriptor without VIRTIO_F_INDIRECT_DESC",
  "indirect-nested": "an indirect descriptor inside an indirect table",
  "indirect-chained": "an indirect descriptor that also has NEXT set",
  "indirect-length": "an indirect table whose length is zero or no multiple of 16",
  "buffer-unmapped": "a buffer that is not inside guest memory",
  "table-unmapped": "an indirect table that is not inside guest memory",
  "total-length": "the bytes of one chain add up to more than 2^32",
  "segment-budget": "the buffers that the device holds have too many segments together",
  "used-id": "a used entry names a buffer that the device was not given",
  "used-length": "a used length is larger than the writable part of its buffer",
  "used-order": "a used entry stands for a batch of more buffers than were used",
} as const;

/** One of {@link QUEUE_DEFECTS}. */
export type QueueDefect = keyof typeof QUEUE_DEFECTS;

/**
 * One buffer that the device popped, and the only object per buffer: chains are pooled, filled in
 * place and given back by {@link DeviceQueue.push}. Segment `i` is `addresses[i]`, `lengths[i]`;
 * the first `readableCount` are device-readable, the rest device-writable.
 *
 * Every segment was inside guest memory when the chain was popped, and has at least one byte: the
 * text forbids no element of length zero, and gives framing no meaning, so such elements are left
 * out. A chain may therefore have no segment at all.
 */
export interface Chain {
  /** The buffer's id (split: the head descriptor's index; packed: any 16 bits). */
  readonly head: number;
  /** How many segments there are. */
  readonly count: number;
  /** How many of them, at the front, are device-readable. */
  readonly readableCount: number;
  /** Guest addresses of the segments; entries at `count` and beyond are stale. */
  readonly addresses: ArrayLike<number>;
  /** Lengths in bytes of the segments. */
  readonly lengths: ArrayLike<number>;
  /** The sum of the readable lengths, in bytes. */
  readonly readableLength: number;
  /** The sum of the writable lengths, in bytes. */
  readonly writableLength: number;
  /**
   * Of one readable and one writable segment in the same region, as nearly all buffers are: that
   * region, and where in its bytes the two start. Otherwise `undefined`, as the memory is asked then:
   * and so it is by whoever has waited since the buffer was popped, as regions come and go.
   */
  readonly region: MemoryRegion | undefined;
  /** Where in {@link region} the readable segment starts. */
  readonly readableAt: number;
  /** Where in {@link region} the writable segment starts. */
  readonly writableAt: number;
}

/**
 * How many descriptors a consumer looks at before others have their turn. A ring of 32768 heads
 * that share one chain of 32768 descriptors holds a thousand million of them.
 */
export const DESCRIPTORS_PER_VISIT = 8192;

/** The device half of a virtqueue. Nothing here throws for what the driver wrote. */
export interface DeviceQueue {
  /** The number of entries. */
  readonly size: number;
  /** The memory that the ring and its buffers lie in. */
  readonly memory: GuestMemory;
  /** True when the driver may write the ring at any time: it lies in memory that is `concurrent`. */
  readonly concurrent: boolean;
  /** Why the queue is broken, or `undefined`. A broken queue pops nothing until it is made anew. */
  readonly defect: QueueDefect | undefined;
  /**
   * How many popped buffers have not been pushed back. With {@link QueueInit.inOrder} one that was
   * pushed before an earlier one counts until that is pushed too.
   */
  readonly outstanding: number;
  /**
   * How many descriptors were looked at since the queue was made. Buffers may share descriptors, so
   * that their number says little about the work: a consumer bounds a visit by this, see
   * {@link DESCRIPTORS_PER_VISIT}.
   */
  readonly visited: number;
  /**
   * Where the buffer that is popped next stands. Of a split ring the index in the available ring, 0
   * to 65535; of a packed ring the offset in bits 0 to 14 and the wrap counter in bit 15.
   */
  readonly index: number;
  /**
   * Up to where the driver sees what was used, in the form of {@link index}. With nothing outstanding
   * it differs from that by what was pushed and not published.
   */
  readonly publishedIndex: number;
  /** False from {@link disableNotifications} to {@link enableNotifications}. */
  readonly notifications: boolean;
  /**
   * The next available buffer, or `undefined` when there is none or the queue is broken. Finding
   * none re-arms available buffer notifications, unless they are disabled: the driver notifies of
   * the buffer that comes next.
   */
  pop(): Chain | undefined;
  /**
   * Puts a used entry for `chain` into the ring, `written` bytes long (at most the chain's
   * writable length is reported). The chain goes back to the pool: it must not be touched
   * afterwards. The driver sees it after {@link publish}. Does nothing on a stopped queue.
   *
   * With {@link QueueInit.inOrder} the entry waits for those of all buffers that were popped before.
   * Buffers that are written in full need none of their own when the next one is pushed before
   * {@link publish}: its entry stands for the batch.
   *
   * @throws VirtioError `QUEUE_CHAIN` when the chain is not one that this queue has popped, or was
   * pushed before.
   */
  push(chain: Chain, written: number): void;
  /** Makes pushed entries visible; true when the driver asked to be notified of them. */
  publish(): boolean;
  /** Asks the driver for available buffer notifications; true when buffers came in meanwhile. */
  enableNotifications(): boolean;
  /** Tells the driver that available buffer notifications are not needed now. */
  disableNotifications(): void;
  /** Copies the chain's readable bytes from `from` on into `target`; returns how many there were. */
  read(chain: Chain, from: number, target: Uint8Array): number;
  /** Copies `source` to the chain's writable bytes from `at` on; returns how many found room. */
  write(chain: Chain, at: number, source: Uint8Array): number;
  /**
   * Holds the queue back, as a device that is to stop does ("Device parts"): nothing is popped, and
   * whether notifications are wanted is noted and not told. What was popped can be pushed and
   * published as ever; once nothing is outstanding, guest memory is not touched any more.
   */
  hold(): void;
  /** Ends {@link hold}: what was noted meanwhile is told to the driver. */
  release(): void;
  /**
   * Ends the queue, as its reset does: from now on nothing is popped, nothing is written to guest
   * memory, and late {@link push} and {@link write} calls have no effect.
   */
  stop(): void;
}

/** The driver half of a virtqueue. What the device wrote never throws; it breaks the queue. */
export interface DriverQueue {
  /** The number of entries. */
  readonly size: number;
  /** Why the queue is broken, or `undefined`. A broken queue reaps nothing until it is made anew. */
  readonly defect: QueueDefect | undefined;
  /** How many descriptors are free. */
  readonly free: number;
  /** How many buffers were added and not reaped. */
  readonly outstanding: number;
  /**
   * Where the buffer stands that is made visible next, in the form of {@link DeviceQueue.index}: as a
   * notification with data has it, `next_off` in bits 0 to 14 and `next_wrap` in bit 15.
   */
  readonly index: number;
  /**
   * Makes one buffer of the first `count` segments ready, the first `readableCount` of them
   * device-readable. Returns its id, below {@link size}, or -1 when there is no room or the queue
   * is broken (nothing changed). The device sees it after {@link publish}.
   *
   * @throws VirtioError `VALUE_RANGE` when `count` is not 1..{@link size} or `readableCount` not
   * 0..`count`, when an address is no integer from 0 to 2^53-1 or a length not 1..2^32-1, or when
   * the lengths add up to more than 2^32.
   */
  add(
    addresses: ArrayLike<number>,
    lengths: ArrayLike<number>,
    count: number,
    readableCount: number,
  ): number;
  /**
   * {@link add} for a buffer of one readable and one writable segment, as commands and requests
   * have: without arrays, and faster.
   *
   * @throws VirtioError `VALUE_RANGE` as {@link add}
   */
  addPair(
    readable: number,
    readableLength: number,
    writable: number,
    writableLength: number,
  ): number;
  /** Makes added buffers visible; true when the device asked to be notified of them. */
  publish(): boolean;
  /**
   * The id of the next used buffer, or -1 when there is none or the queue is broken. Its length
   * in bytes is {@link usedLength} until the next call; its descriptors are free again. Finding
   * none re-arms used buffer notifications, unless they are disabled.
   */
  reap(): number;
  /**
   * The bytes that the device wrote into the buffer reaped last; never more than it had room for.
   * All of them for a buffer of a batch that has no used entry of its own.
   */
  readonly usedLength: number;
  /** Asks the device for used buffer notifications; true when buffers came in meanwhile. */
  enableNotifications(): boolean;
  /** Tells the device that used buffer notifications are not needed now. */
  disableNotifications(): void;
}
