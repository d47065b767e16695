/** The device's end of one packed ring, written without any rule. */
import { PVIRTQ_DESC, type QueueArea, type VirtioDevice } from "@virtio-admin/core";
import type { Random } from "../random.ts";
import type { LyingRing } from "./liar.ts";
import { PACKED_FLAG } from "./packed-zone.ts";

const { addr: ADDR, len: LEN, id: ID, flags: FLAGS } = PVIRTQ_DESC.fields;
const SIZE = PVIRTQ_DESC.size;
const TURN = PACKED_FLAG.turn;

/** A buffer that the driver made available. */
interface Taken {
  readonly descriptors: number;
  readonly pieces: [number, number][];
}

/** See the file. */
export class LiarPackedRing implements LyingRing {
  /** See {@link LyingRing.outstanding}. */
  readonly outstanding: number[] = [];
  readonly #view: DataView;
  readonly #size: number;
  readonly #base: number;
  readonly #ring: number;
  readonly #deviceEvent: number;
  readonly #taken = new Map<number, Taken>();
  #next = 0;
  #wrap = true;
  #nextUsed = 0;
  #usedWrap = true;
  /** What is in the ring is not the driver's alone any more: nothing of it is believed. */
  #isLost = false;

  /** Finds the ring of a queue that the driver has enabled in the one region that it lies in. */
  constructor(device: VirtioDevice, index: number, base: number, view: DataView) {
    const area = (name: QueueArea): number =>
      device.queueAddress(index, name, 1) * 2 ** 32 + device.queueAddress(index, name, 0) - base;
    this.#view = view;
    this.#base = base;
    this.#size = device.queueSize(index);
    this.#ring = area("descriptorArea");
    this.#deviceEvent = area("deviceArea");
  }

  /** See {@link LyingRing.look}. */
  look(): void {
    for (let lists = 0; lists < this.#size && !this.#isLost; lists++) {
      const turn = this.#wrap ? PACKED_FLAG.avail : PACKED_FLAG.used;
      if ((this.#flags(this.#ring + SIZE * this.#next) & TURN) !== turn) return;
      const pieces: [number, number][] = [];
      let descriptors = 0;
      let id = 0;
      for (let more = true; more && descriptors < this.#size; descriptors++) {
        const at = this.#ring + SIZE * this.#next;
        const flags = this.#flags(at);
        if ((flags & PACKED_FLAG.indirect) !== 0) this.#table(at, pieces);
        else this.#piece(at, pieces);
        id = this.#view.getUint16(at + ID.offset, true);
        more = (flags & PACKED_FLAG.next) !== 0;
        this.#next = (this.#next + 1) % this.#size;
        if (this.#next === 0) this.#wrap = !this.#wrap;
      }
      this.#taken.set(id, { descriptors, pieces });
      this.outstanding.push(id);
    }
  }

  /** See {@link LyingRing.writable}. */
  writable(id: number): [number, number][] {
    return this.#taken.get(id)?.pieces ?? [];
  }

  /** See {@link LyingRing.useNumber}. */
  useNumber(at: number, length: number, asBatch: boolean): void {
    const ids = this.outstanding.splice(asBatch ? 0 : at, asBatch ? at + 1 : 1);
    const id = ids.at(-1) ?? 0;
    const count = ids.reduce((sum, each) => sum + (this.#taken.get(each)?.descriptors ?? 1), 0);
    for (const each of ids) this.#taken.delete(each);
    this.#write(id, length);
    this.#advance(count);
  }

  /** See {@link LyingRing.use}. */
  use(id: number, length: number): void {
    this.#write(id & 0xffff, length);
    this.#advance(1);
  }

  /** See {@link LyingRing.jump}: flags of any kind in the descriptor that the driver looks at. */
  jump(random: Random): void {
    const at = this.#ring + SIZE * this.#nextUsed;
    this.#view.setUint16(at + FLAGS.offset, random.uint32() & 0xffff, true);
    this.#isLost = true;
  }

  /** See {@link LyingRing.ask}. */
  ask(random: Random): void {
    this.#view.setUint32(this.#deviceEvent, random.uint32(), true);
  }

  /** See {@link LyingRing.scribble}. */
  scribble(random: Random): void {
    for (let at = this.#ring; at < this.#ring + SIZE * this.#size; at += 4) {
      this.#view.setUint32(at, random.uint32(), true);
    }
    this.ask(random);
    this.#isLost = true;
  }

  /** See {@link LyingRing.restart}. */
  restart(): void {
    this.outstanding.length = 0;
    this.#isLost = false;
    this.#taken.clear();
    this.#next = 0;
    this.#wrap = true;
    this.#nextUsed = 0;
    this.#usedWrap = true;
  }

  #write(id: number, length: number): void {
    const at = this.#ring + SIZE * this.#nextUsed;
    this.#view.setUint32(at + LEN.offset, length, true);
    this.#view.setUint16(at + ID.offset, id, true);
    const flags = PACKED_FLAG.write | (this.#usedWrap ? TURN : 0);
    this.#view.setUint16(at + FLAGS.offset, flags, true);
  }

  #advance(count: number): void {
    this.#nextUsed += count;
    if (this.#nextUsed < this.#size) return;
    this.#nextUsed -= this.#size;
    this.#usedWrap = !this.#usedWrap;
  }

  #flags(at: number): number {
    return this.#view.getUint16(at + FLAGS.offset, true);
  }

  #piece(at: number, pieces: [number, number][]): void {
    if ((this.#flags(at) & PACKED_FLAG.write) === 0) return;
    const start = this.#address(at);
    const length = this.#view.getUint32(at + LEN.offset, true);
    if (this.#isInside(start, length)) pieces.push([start, length]);
  }

  #table(at: number, pieces: [number, number][]): void {
    const start = this.#address(at);
    const bytes = this.#view.getUint32(at + LEN.offset, true);
    if (bytes > SIZE * this.#size || !this.#isInside(start, bytes)) return;
    for (let offset = 0; offset < bytes; offset += SIZE) this.#piece(start + offset, pieces);
  }

  /** Once it has lied about the ring, the device itself cannot tell any more what the driver wrote. */
  #isInside(start: number, length: number): boolean {
    return start >= 0 && start + length <= this.#view.byteLength;
  }

  #address(at: number): number {
    const high = this.#view.getUint32(at + ADDR.offset + 4, true);
    return high * 2 ** 32 + this.#view.getUint32(at + ADDR.offset, true) - this.#base;
  }
}
