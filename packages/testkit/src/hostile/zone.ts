/**
 * The memory that a hostile driver plays in: rings, tables, commands and buffers in one small zone
 * with guard bytes between them, and a shadow of it that tells what the device has touched.
 *
 * Hot path: the whole zone is compared after every step.
 */
import {
  type QueueAddresses,
  type RegionInit,
  splitAreaSizes,
  VIRTQ_AVAIL,
  VIRTQ_DESC,
  VIRTQ_USED,
  VIRTQ_USED_ELEM,
} from "@virtio-admin/core";

/** The flags of a descriptor. */
export const DESC_FLAG = {
  next: VIRTQ_DESC.fields.flags.bits.next.mask,
  write: VIRTQ_DESC.fields.flags.bits.write.mask,
  indirect: VIRTQ_DESC.fields.flags.bits.indirect.mask,
} as const;

const WORD = 2 ** 32;
const DESC = VIRTQ_DESC.fields;
const GUARD_BYTES = 64;
const GUARD_PATTERN = 0xa5;
/** Where the zone's second region begins, in bytes: buffers may lie across. */
export const ZONE_SPLIT = 0x2000;

/** Bytes of guest memory, laid out front to back. */
export class Zone {
  /** The guest address of the first byte. */
  readonly base: number;
  /** All bytes. */
  readonly bytes: Uint8Array;
  /** The same. */
  readonly view: DataView;
  readonly #words: Int32Array;
  readonly #shadow: Int32Array;
  readonly #shadowBytes: Uint8Array;
  #end = GUARD_BYTES;

  /** Takes `length` bytes, a multiple of 4, at guest address `base`, filled with a guard pattern. */
  constructor(base: number, length: number) {
    this.base = base;
    const buffer = new ArrayBuffer(length);
    this.bytes = new Uint8Array(buffer).fill(GUARD_PATTERN);
    this.view = new DataView(buffer);
    this.#words = new Int32Array(buffer);
    this.#shadow = new Int32Array(length / 4);
    this.#shadowBytes = new Uint8Array(this.#shadow.buffer);
  }

  /** The regions of guest memory: two that touch, when the zone is longer than one. */
  get regions(): readonly RegionInit[] {
    const { base, bytes } = this;
    if (bytes.length <= ZONE_SPLIT) return [{ base, bytes }];
    return [
      { base, bytes: bytes.subarray(0, ZONE_SPLIT) },
      { base: base + ZONE_SPLIT, bytes: bytes.subarray(ZONE_SPLIT) },
    ];
  }

  /** Lays out `length` bytes, zeroed, behind a guard; returns their offset. */
  place(length: number, alignment = 16): number {
    const at = Math.ceil(this.#end / alignment) * alignment;
    this.#end = at + length + GUARD_BYTES;
    this.bytes.fill(0, at, at + length);
    return at;
  }

  /** Everything is as the driver wants it. */
  settle(): void {
    this.#shadow.set(this.#words);
  }

  /** The bytes of a range of addresses may have changed. Returns the first offset that is inside. */
  allow(address: number, length: number): void {
    const from = Math.max(0, address - this.base);
    const to = Math.min(this.bytes.length, address - this.base + length);
    if (to <= from) return;
    const { bytes } = this;
    const shadow = this.#shadowBytes;
    if (to - from > 64) shadow.set(bytes.subarray(from, to), from);
    else for (let i = from; i < to; i++) shadow[i] = bytes[i] as number;
  }

  /** The address of the first word that changed and must not have, or -1. */
  changed(): number {
    const words = this.#words;
    const shadow = this.#shadow;
    for (let i = 0; i < words.length; i++) if (words[i] !== shadow[i]) return this.base + 4 * i;
    return -1;
  }
}

/** One element of a buffer. */
export interface BufferElement {
  /** Its guest address. */
  readonly address: number;
  /** Its length in bytes. */
  readonly length: number;
  /** True for a device-writable one. */
  readonly writable: boolean;
}

/** What a virtqueue in a zone is to those who do not care for its format. */
export interface HostileRing {
  /** How many entries it has. */
  readonly size: number;
  /** Where it is. */
  readonly areas: QueueAddresses;
  /** The length of the used buffer that {@link take} found. */
  readonly usedLength: number;
  /** What changes when a buffer is used that was not taken. */
  readonly used: number;
  /** Where the flags of a descriptor of a table are. */
  readonly tableFlagsAt: number;
  /** Puts everything into the state in which a driver sets a queue up. */
  restart(): void;
  /** Forgets the descriptors of earlier attacks. */
  clearTable(): void;
  /**
   * Makes a buffer of these elements and shows it to the device: in the ring, or in the table whose
   * entries lie where `table` says. Returns its head, or id.
   */
  put(elements: readonly BufferElement[], table?: (index: number) => number): number;
  /** The next used buffer's head, or -1 when there is none. */
  take(): number;
  /** The device may have used buffers: written what they name, and what tells of them. */
  allow(): void;
  /** The device may have said when it wants to be notified. */
  allowEvent(): void;
}

/** How far apart buffers begin in a table, so that two that follow each other share no descriptor. */
const BUFFER_STRIDE = 8;

/** A split virtqueue in a zone, written without any rule. */
export class RawRing implements HostileRing {
  /** How many entries it has. */
  readonly size: number;
  /** Where it is. */
  readonly areas: QueueAddresses;
  /** The available index that the device has seen. */
  available = 0;
  /** The used index up to which was looked. */
  seen = 0;
  /** The length of the used entry that {@link take} found. */
  usedLength = 0;
  readonly #zone: Zone;
  readonly #descriptors: number;
  readonly #available: number;
  readonly #used: number;
  readonly #usedBytes: number;

  /** Lays out a ring. */
  constructor(zone: Zone, size: number) {
    this.#zone = zone;
    this.size = size;
    const sizes = splitAreaSizes(size);
    this.#descriptors = zone.place(sizes.descriptorArea.length);
    this.#available = zone.place(sizes.driverArea.length);
    this.#usedBytes = sizes.deviceArea.length;
    this.#used = zone.place(this.#usedBytes);
    this.areas = {
      descriptorArea: zone.base + this.#descriptors,
      driverArea: zone.base + this.#available,
      deviceArea: zone.base + this.#used,
    };
  }

  /** Puts both rings into their initial state; the table stays. */
  restart(): void {
    const { bytes, view } = this.#zone;
    view.setUint32(this.#available, 0, true);
    bytes.fill(0, this.#used, this.#used + this.#usedBytes);
    this.available = 0;
    this.seen = 0;
  }

  /** Forgets the descriptors of earlier attacks. */
  clearTable(): void {
    const { bytes } = this.#zone;
    bytes.fill(0, this.#descriptors, this.#descriptors + VIRTQ_DESC.size * this.size);
  }

  /** Where descriptor `index` lies in the zone. */
  at(index: number): number {
    return this.#descriptors + index * VIRTQ_DESC.size;
  }

  /** The available flags. */
  set flags(value: number) {
    this.#zone.view.setUint16(this.#available, value, true);
  }

  /** Names `head` in the next available entry. */
  offer(head: number): void {
    const slot = this.available & (this.size - 1);
    const { offset } = VIRTQ_AVAIL.fields.ring;
    this.#zone.view.setUint16(this.#available + offset + 2 * slot, head, true);
    this.available = (this.available + 1) & 0xffff;
  }

  /** Writes the available index: that of what was offered, unless another is given. */
  publish(index: number = this.available): void {
    this.#zone.view.setUint16(this.#available + VIRTQ_AVAIL.fields.idx.offset, index, true);
  }

  /** What the device wants to be told of, or what the driver does: random bytes for both halves. */
  set usedEvent(value: number) {
    const at = this.#available + VIRTQ_AVAIL.fields.ring.offset + 2 * this.size;
    this.#zone.view.setUint16(at, value, true);
  }

  /** The used index. */
  get used(): number {
    return this.#zone.view.getUint16(this.#used + VIRTQ_USED.fields.idx.offset, true);
  }

  /** The next used entry's id, or -1 when there is none. */
  take(): number {
    if (this.used === this.seen) return -1;
    const { view } = this.#zone;
    const slot = this.seen & (this.size - 1);
    const at = this.#used + VIRTQ_USED.size + slot * VIRTQ_USED_ELEM.size;
    this.seen = (this.seen + 1) & 0xffff;
    this.usedLength = view.getUint32(at + VIRTQ_USED_ELEM.fields.len.offset, true);
    return view.getUint32(at + VIRTQ_USED_ELEM.fields.id.offset, true);
  }

  /** See {@link HostileRing.put}. */
  put(elements: readonly BufferElement[], table?: (index: number) => number): number {
    const { next: NEXT, write: WRITE, indirect: INDIRECT } = DESC_FLAG;
    const head = (this.available * BUFFER_STRIDE) % this.size;
    elements.forEach(({ address, length, writable }, i) => {
      const at = table?.(i) ?? this.at(head + i);
      const isLast = i + 1 === elements.length;
      const flags = (writable ? WRITE : 0) | (isLast ? 0 : NEXT);
      const next = (table === undefined ? head : 0) + i + 1;
      describeBuffer(this.#zone, at, address, length, flags, isLast ? 0 : next);
    });
    if (table !== undefined) {
      const start = this.#zone.base + table(0);
      const bytes = elements.length * VIRTQ_DESC.size;
      describeBuffer(this.#zone, this.at(head), start, bytes, INDIRECT);
    }
    this.offer(head);
    this.publish();
    return head;
  }

  /** See {@link HostileRing.allow}: its ring, and what the table's writable descriptors name. */
  allow(): void {
    this.#zone.allow(this.areas.deviceArea, this.#usedBytes);
    allowTable(this.#zone, this.#descriptors, this.size, this.tableFlagsAt);
  }

  /** See {@link HostileRing.allowEvent}: before it uses anything it writes the 0 that is there. */
  allowEvent(): void {}

  /** See {@link HostileRing.tableFlagsAt}. */
  readonly tableFlagsAt: number = DESC.flags.offset;
}

/** Writes one descriptor; the address comes in halves, because 2^64-1 is one of them. */
export function writeDescriptor(
  zone: Zone,
  at: number,
  high: number,
  low: number,
  length: number,
  flags: number,
  next = 0,
): void {
  const { view } = zone;
  view.setUint32(at + DESC.addr.offset, low, true);
  view.setUint32(at + DESC.addr.offset + 4, high, true);
  view.setUint32(at + DESC.len.offset, length, true);
  view.setUint16(at + DESC.flags.offset, flags, true);
  view.setUint16(at + DESC.next.offset, next, true);
}

/** As {@link writeDescriptor}, with an address below 2^53. */
export function describeBuffer(
  zone: Zone,
  at: number,
  address: number,
  length: number,
  flags: number,
  next = 0,
): void {
  writeDescriptor(zone, at, Math.floor(address / WORD), address >>> 0, length, flags, next);
}

/** The device may have written what writable descriptors of this table name. */
export function allowTable(zone: Zone, table: number, entries: number, flagsAt: number): void {
  const { view } = zone;
  for (let i = 0, at = table; i < entries; i++, at += VIRTQ_DESC.size) {
    if ((view.getUint16(at + flagsAt, true) & DESC_FLAG.write) === 0) continue;
    const high = view.getUint32(at + DESC.addr.offset + 4, true);
    const address = high * WORD + view.getUint32(at + DESC.addr.offset, true);
    zone.allow(address, view.getUint32(at + DESC.len.offset, true));
  }
}
