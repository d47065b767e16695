/** Everything in guest memory that a hostile driver uses, at fixed places. */
import {
  createGuestMemory,
  DmaArena,
  type QueueDefect,
  type RegionMemory,
  VIRTQ_DESC,
} from "@virtio-admin/core";
import type { Random } from "../random.ts";
import { describePacked, RawPackedRing } from "./packed-zone.ts";
import { HOARD_QUEUE, PREY_ADMIN_QUEUES, PREY_QUEUE, SMALL_QUEUE } from "./prey.ts";
import type { RingFormat } from "./types.ts";
import {
  allowTable,
  DESC_FLAG,
  describeBuffer,
  type HostileRing,
  RawRing,
  ZONE_SPLIT,
  Zone,
} from "./zone.ts";

// Programs of channels reach 2^31: what no channel program may touch lies above.
const ARENA_BASE = 0x1000_0000;
const ARENA_BYTES = 0x4_0000;
const ZONE_BASE = 0x1_4000_0000;
const HOARD_BASE = 0x2_0000_0000;
const HOARD_BYTES = 0x1_0000;
const BULK_BASE = 0x3_0000_0000;
/** 1024 descriptors of it are more than 2^32 bytes. */
const BULK_BYTES = 5 << 20;

/** How many descriptors the indirect table of the zone has room for. */
export const TABLE_ENTRIES = 48;
const REQUEST_BYTES = 512;
const BUFFER_BYTES = 1024;
/** The buffers lie across the end of a region. */
const BUFFERS_AT = ZONE_SPLIT - BUFFER_BYTES / 2;
const ZONE_BYTES = BUFFERS_AT + BUFFER_BYTES + 1024;

/** What an attack is to come to; `expected` is left out where nobody can tell. */
export interface Attack {
  /**
   * The defect that the device must find; `none` when it must use the buffer, `nothing` when there is
   * none for it to use.
   */
  readonly expected?: QueueDefect | "none" | "nothing";
  /** The class that it is of; told by what is expected unless given. */
  readonly counts?: string;
  /** The head of the buffer that is used, and the bytes that it has room for. */
  readonly head?: number;
  /** How many bytes the device may write into it. */
  readonly room?: number;
}

/** Guest memory with all that attacks need in it. */
export class Playground {
  /** Guest memory. */
  readonly memory: RegionMemory;
  /** What the driver half of the transport allocates from. */
  readonly arena: DmaArena;
  /** Small rings, commands and buffers: compared after every step. */
  readonly zone: Zone;
  /** The large ring. */
  readonly hoard: Zone;
  /** The rings by queue index. */
  readonly rings: readonly HostileRing[];
  /** Where the indirect table lies in the zone. */
  readonly table: number;
  /** Where requests are written in the zone. */
  readonly requests: number;
  /** The address of writable buffers. */
  readonly buffers: number = ZONE_BASE + BUFFERS_AT;
  /** How many bytes of them there are. */
  readonly bufferBytes: number = BUFFER_BYTES;
  /** How many bytes of requests there are. */
  readonly requestBytes: number = REQUEST_BYTES;
  /** The address of a large region that nothing is written to. */
  readonly bulk: number = BULK_BASE;
  /** Its length. */
  readonly bulkBytes: number = BULK_BYTES;
  /** How many entries of the indirect table attacks have filled. */
  tableUsed = 0;
  /** A table of more bytes than one chain may have: its address. */
  readonly heavyTable: number;
  /** A table of as many entries as the large ring, of one byte each: its address. Packed alone. */
  readonly wideTable: number;

  /** Lays everything out. */
  constructor(format: RingFormat = "split") {
    this.zone = new Zone(ZONE_BASE, ZONE_BYTES);
    this.hoard = new Zone(HOARD_BASE, HOARD_BYTES);
    this.memory = createGuestMemory([
      { base: ARENA_BASE, bytes: new Uint8Array(ARENA_BYTES) },
      ...this.zone.regions,
      ...[{ base: HOARD_BASE, bytes: this.hoard.bytes }],
      { base: BULK_BASE, bytes: new Uint8Array(BULK_BYTES) },
    ]);
    this.arena = new DmaArena(this.memory, ARENA_BASE, ARENA_BYTES);
    const Ring = format === "packed" ? RawPackedRing : RawRing;
    const rings: HostileRing[] = [];
    rings[PREY_QUEUE.entropy] = new Ring(this.zone, SMALL_QUEUE);
    rings[PREY_QUEUE.hoard] = new Ring(this.hoard, HOARD_QUEUE);
    for (let i = 0; i < PREY_ADMIN_QUEUES; i++) {
      rings[PREY_QUEUE.admin + i] = new Ring(this.zone, SMALL_QUEUE);
    }
    this.rings = rings;
    this.table = this.zone.place(TABLE_ENTRIES * VIRTQ_DESC.size);
    this.requests = this.zone.place(REQUEST_BYTES);
    const heavy = this.hoard.place(HOARD_QUEUE * VIRTQ_DESC.size);
    this.heavyTable = this.hoard.base + heavy;
    const wide = format === "packed" ? this.hoard.place(HOARD_QUEUE * VIRTQ_DESC.size) : heavy;
    this.wideTable = this.hoard.base + wide;
    if (format === "packed") this.#fillPackedHoard(heavy, wide);
    else this.#fillHoard(heavy);
    this.zone.settle();
    this.hoard.settle();
  }

  /** The ring of a queue. */
  ring(index: number): HostileRing {
    return this.rings[index] as HostileRing;
  }

  /** The same, where rings are split. */
  splitRing(index: number): RawRing {
    return this.rings[index] as RawRing;
  }

  /** The same, where rings are packed. */
  packedRing(index: number): RawPackedRing {
    return this.rings[index] as RawPackedRing;
  }

  /** The offset of entry `index` of the indirect table, which counts as used from now on. */
  entry(index: number): number {
    if (index >= this.tableUsed) this.tableUsed = index + 1;
    return this.table + index * VIRTQ_DESC.size;
  }

  /** The address of the indirect table. */
  get tableAddress(): number {
    return this.zone.base + this.table;
  }

  /** Forgets the indirect table of an earlier attack. */
  clearTable(): void {
    if (this.tableUsed === 0) return;
    const { bytes } = this.zone;
    bytes.fill(0, this.table, this.table + this.tableUsed * VIRTQ_DESC.size);
    this.tableUsed = 0;
  }

  /** A random piece of the writable buffers: its address. `length` is at most half of them. */
  buffer(random: Random, length: number): number {
    return this.buffers + random.below(this.bufferBytes - length);
  }

  /**
   * Where the device wrote something that it must not have written: an address, or -1.
   *
   * @param used false where it had no buffer to use
   */
  trespass(queue: number, used: boolean = true): number {
    const ring = this.ring(queue);
    // With its start, a device says of every queue when it wants to be notified.
    for (const each of this.rings) each.allowEvent();
    if (used) ring.allow();
    if (queue === PREY_QUEUE.hoard) return this.hoard.changed();
    if (used) allowTable(this.zone, this.table, this.tableUsed, ring.tableFlagsAt);
    return this.zone.changed();
  }

  /** Everything is as it should be, whatever was written. */
  settle(): void {
    this.zone.settle();
  }

  /** One chain through the whole large ring, and a table that is too long in bytes. */
  #fillHoard(heavy: number): void {
    const { hoard } = this;
    const ring = this.splitRing(PREY_QUEUE.hoard);
    for (let i = 0; i < HOARD_QUEUE; i++) {
      const isLast = i === HOARD_QUEUE - 1;
      const flags = isLast ? 0 : DESC_FLAG.next;
      describeBuffer(hoard, ring.at(i), BULK_BASE + i, 1, flags, i + 1);
      const at = heavy + i * VIRTQ_DESC.size;
      describeBuffer(hoard, at, BULK_BASE, BULK_BYTES, flags, isLast ? 0 : i + 1);
    }
  }

  /** A table that is too long in bytes, and one that many buffers share. */
  #fillPackedHoard(heavy: number, wide: number): void {
    for (let i = 0; i < HOARD_QUEUE; i++) {
      const at = i * VIRTQ_DESC.size;
      describePacked(this.hoard, heavy + at, BULK_BASE, BULK_BYTES, 0);
      describePacked(this.hoard, wide + at, BULK_BASE + i, 1, 0);
    }
  }
}
