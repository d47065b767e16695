/** A packed virtqueue in a zone, written without any rule, and descriptors of packed tables. */
import {
  PVIRTQ_DESC,
  PVIRTQ_EVENT_SUPPRESS,
  packedAreaSizes,
  type QueueAddresses,
} from "@virtio-admin/core";
import type { BufferElement, HostileRing, Zone } from "./zone.ts";

const DESC = PVIRTQ_DESC.fields;
const BITS = DESC.flags.bits;
const WORD = 2 ** 32;

/** The flags of a packed descriptor, `turn` being the two bits that say whose it is. */
export const PACKED_FLAG = {
  next: BITS.next.mask,
  write: BITS.write.mask,
  indirect: BITS.indirect.mask,
  avail: BITS.avail.mask,
  used: BITS.used.mask,
  turn: BITS.avail.mask | BITS.used.mask,
} as const;

/** Writes one descriptor of a ring or of a table; the address comes in halves. */
export function writePackedDescriptor(
  zone: Zone,
  at: number,
  high: number,
  low: number,
  length: number,
  flags: number,
  id = 0,
): void {
  const { view } = zone;
  view.setUint32(at + DESC.addr.offset, low, true);
  view.setUint32(at + DESC.addr.offset + 4, high, true);
  view.setUint32(at + DESC.len.offset, length, true);
  view.setUint16(at + DESC.id.offset, id, true);
  view.setUint16(at + DESC.flags.offset, flags, true);
}

/** As {@link writePackedDescriptor}, with an address below 2^53. */
export function describePacked(
  zone: Zone,
  at: number,
  address: number,
  length: number,
  flags: number,
  id = 0,
): void {
  writePackedDescriptor(zone, at, Math.floor(address / WORD), address >>> 0, length, flags, id);
}

/** A packed virtqueue in a zone. */
export class RawPackedRing implements HostileRing {
  /** How many entries it has. */
  readonly size: number;
  /** Where it is. */
  readonly areas: QueueAddresses;
  /** The length in the used descriptor that {@link take} found. */
  usedLength = 0;
  readonly #zone: Zone;
  readonly #descriptors: number;
  readonly #driverEvent: number;
  readonly #deviceEvent: number;
  /** What the device may write of, as it was offered: a used descriptor does not say any more. */
  readonly #writable: (readonly [address: number, length: number])[] = [];
  /** How many descriptors the list of each id has. */
  readonly #lists = new Map<number, number>();
  #next = 0;
  #wrap = true;
  #nextUsed = 0;
  #usedWrap = true;
  #nextId = 0;

  /** Lays out a ring. */
  constructor(zone: Zone, size: number) {
    this.#zone = zone;
    this.size = size;
    const sizes = packedAreaSizes(size);
    this.#descriptors = zone.place(sizes.descriptorArea.length);
    this.#driverEvent = zone.place(sizes.driverArea.length);
    this.#deviceEvent = zone.place(sizes.deviceArea.length);
    this.areas = {
      descriptorArea: zone.base + this.#descriptors,
      driverArea: zone.base + this.#driverEvent,
      deviceArea: zone.base + this.#deviceEvent,
    };
  }

  /** See {@link HostileRing.restart}. */
  restart(): void {
    const { bytes, view } = this.#zone;
    bytes.fill(0, this.#descriptors, this.#descriptors + PVIRTQ_DESC.size * this.size);
    view.setUint32(this.#driverEvent, 0, true);
    view.setUint32(this.#deviceEvent, 0, true);
    this.clearTable();
    this.#lists.clear();
    this.#next = 0;
    this.#wrap = true;
    this.#nextUsed = 0;
    this.#usedWrap = true;
  }

  /** See {@link HostileRing.clearTable}: the ring itself is what the device goes on in. */
  clearTable(): void {
    this.#writable.length = 0;
  }

  /** AVAIL and USED of a descriptor that is available, `ahead` descriptors from the next one. */
  turn(ahead = 0): number {
    const isTurned = Math.floor((this.#next + ahead) / this.size) % 2 === 1;
    return this.#wrap === isTurned ? PACKED_FLAG.used : PACKED_FLAG.avail;
  }

  /** Where the descriptor lies in the zone that is `ahead` descriptors from the next one. */
  at(ahead: number): number {
    return this.#descriptors + ((this.#next + ahead) % this.size) * PVIRTQ_DESC.size;
  }

  /** An id that was not used for as long as can be. */
  freshId(): number {
    this.#nextId = (this.#nextId + 1) % this.size;
    return this.#nextId;
  }

  /** Writes a descriptor `ahead` of the next one, all of its flags as given. */
  write(ahead: number, address: number, length: number, flags: number, id = 0): void {
    if ((flags & PACKED_FLAG.write) !== 0) this.#writable.push([address, length]);
    describePacked(this.#zone, this.at(ahead), address, length, flags, id);
  }

  /** As {@link write}, with an address of any 64 bits that nothing may be written to. */
  writeWide(ahead: number, high: number, low: number, length: number, flags: number): void {
    writePackedDescriptor(this.#zone, this.at(ahead), high, low, length, flags, this.freshId());
  }

  /** The next `count` descriptors were written, the last of them with this id. */
  advance(count: number, id: number): void {
    this.#lists.set(id, count);
    this.#next += count;
    if (this.#next < this.size) return;
    this.#next -= this.size;
    this.#wrap = !this.#wrap;
  }

  /** See {@link HostileRing.put}. */
  put(elements: readonly BufferElement[], table?: (index: number) => number, id?: number): number {
    const head = id ?? this.freshId();
    const { next: NEXT, write: WRITE, indirect: INDIRECT } = PACKED_FLAG;
    if (table !== undefined) {
      elements.forEach(({ address, length, writable }, i) => {
        describePacked(this.#zone, table(i), address, length, writable ? WRITE : 0);
      });
      const start = this.#zone.base + table(0);
      const bytes = elements.length * PVIRTQ_DESC.size;
      this.write(0, start, bytes, INDIRECT | this.turn(), head);
      this.advance(1, head);
      return head;
    }
    elements.forEach(({ address, length, writable }, i) => {
      const flags = (writable ? WRITE : 0) | (i + 1 < elements.length ? NEXT : 0);
      this.write(i, address, length, flags | this.turn(i), head);
    });
    this.advance(elements.length, head);
    return head;
  }

  /** What the driver says that it wants to be notified of, 32 bits of anything. */
  set driverEvent(value: number) {
    this.#zone.view.setUint32(this.#driverEvent, value, true);
  }

  /** See {@link HostileRing.used}: the descriptor that is used next. */
  get used(): number {
    const at = this.#descriptors + this.#nextUsed * PVIRTQ_DESC.size;
    return this.#zone.view.getUint32(at + DESC.id.offset, true);
  }

  /** See {@link HostileRing.take}. */
  take(): number {
    const word = this.used;
    const flags = word >>> 16;
    if ((flags & PACKED_FLAG.turn) !== (this.#usedWrap ? PACKED_FLAG.turn : 0)) return -1;
    const id = word & 0xffff;
    const count = this.#lists.get(id);
    if (count === undefined) return -1;
    const at = this.#descriptors + this.#nextUsed * PVIRTQ_DESC.size;
    const length = this.#zone.view.getUint32(at + DESC.len.offset, true);
    this.usedLength = (flags & PACKED_FLAG.write) === 0 ? 0 : length;
    this.#lists.delete(id);
    this.#nextUsed += count;
    if (this.#nextUsed >= this.size) {
      this.#nextUsed -= this.size;
      this.#usedWrap = !this.#usedWrap;
    }
    return id;
  }

  /** See {@link HostileRing.allow}. */
  allow(): void {
    this.#zone.allow(this.areas.descriptorArea, PVIRTQ_DESC.size * this.size);
    for (const [address, length] of this.#writable) this.#zone.allow(address, length);
  }

  /** See {@link HostileRing.allowEvent}. */
  allowEvent(): void {
    this.#zone.allow(this.areas.deviceArea, PVIRTQ_EVENT_SUPPRESS.size);
  }

  /** See {@link HostileRing.tableFlagsAt}. */
  readonly tableFlagsAt: number = DESC.flags.offset;
}
