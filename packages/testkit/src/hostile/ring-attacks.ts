/**
 * What a hostile driver writes into a ring: one attack for each defect that a device must find,
 * legal buffers that few drivers would make, and noise.
 */
import { type QueueDefect, VIRTQ_DESC } from "@virtio-admin/core";
import type { Random } from "../random.ts";
import type { Attack, Playground } from "./playground.ts";
import { TABLE_ENTRIES } from "./playground.ts";
import { HOARD_QUEUE, PREY_QUEUE } from "./prey.ts";
import { DESC_FLAG, describeBuffer, type RawRing, writeDescriptor } from "./zone.ts";

/** What attacks are made with. */
export interface AttackContext {
  /** The memory. */
  readonly ground: Playground;
  /** Where chance comes from. */
  readonly random: Random;
  /** Whether VIRTIO_F_INDIRECT_DESC is in force. */
  readonly indirect: boolean;
}

/** The attacks of one format, each on the queue of an index. */
export interface RingAttacks {
  /** One of the defects of small rings. */
  breakRing(context: AttackContext, index: number): Attack;
  /** One of those that take a device that keeps buffers; it may `notify` of the first of them. */
  breakHoard(context: AttackContext, costly: boolean, notify: () => void): Attack;
  /** Puts back what that changed for good. */
  mendHoard(ground: Playground): void;
  /** A legal buffer. */
  oddBuffer(context: AttackContext, index: number): Attack;
  /** Anything. */
  noise(context: AttackContext, index: number): Attack;
  /** The device's own ring as a buffer. */
  overwrite(context: AttackContext, index: number): void;
}

type RingAttack = (context: AttackContext, ring: RawRing) => Attack;

const { next: NEXT, write: WRITE, indirect: INDIRECT } = DESC_FLAG;
const ENTRY = VIRTQ_DESC.size;
const LONGEST = 0xffffffff;

/** Offers one head and lets the device see it. */
function offer(ring: RawRing, head: number): void {
  ring.offer(head);
  ring.publish();
}

function defect(expected: QueueDefect): Attack {
  return { expected };
}

/** The attacks on a small ring, by the defect that they are. */
const DEFECTS: Partial<Readonly<Record<QueueDefect, RingAttack>>> = {
  "index-jump": ({ random }, ring) => {
    const far = 1 + ring.size + random.below(0xffff - ring.size);
    ring.publish((ring.available + far) & 0xffff);
    return defect("index-jump");
  },
  "head-range": ({ random }, ring) => {
    offer(ring, ring.size + random.below(0x10000 - ring.size));
    return defect("head-range");
  },
  "next-range": ({ ground, random, indirect }, ring) => {
    const head = random.below(ring.size);
    if (indirect && random.oneIn(2)) {
      const entries = 1 + random.below(ring.size);
      table(ground, ring, head, ground.tableAddress, entries * ENTRY);
      const next = entries + random.below(0x10000 - entries);
      describeBuffer(ground.zone, ground.entry(0), ground.bulk, 8, NEXT, next);
    } else {
      const next = ring.size + random.below(0x10000 - ring.size);
      describeBuffer(ground.zone, ring.at(head), ground.bulk, 8, NEXT, next);
    }
    offer(ring, head);
    return defect("next-range");
  },
  "chain-loop": ({ ground, random }, ring) => {
    const length = 1 + random.below(ring.size);
    const flags = random.oneIn(2) ? NEXT : NEXT | WRITE;
    for (let i = 0; i < length; i++) {
      const address = ground.buffer(random, 8);
      const bytes = random.below(8);
      describeBuffer(ground.zone, ring.at(i), address, bytes, flags, (i + 1) % length);
    }
    offer(ring, random.below(length));
    return defect("chain-loop");
  },
  "chain-length": ({ ground, random }, ring) => {
    const head = random.below(ring.size);
    const count = ring.size + 1 + random.below(TABLE_ENTRIES - ring.size);
    table(ground, ring, head, ground.tableAddress, count * ENTRY);
    const isLoop = random.oneIn(4);
    for (let i = 0; i < count; i++) {
      const isLast = i === count - 1;
      const flags = isLast && !isLoop ? 0 : NEXT;
      describeBuffer(ground.zone, ground.entry(i), ground.bulk, 4, flags, isLast ? 0 : i + 1);
    }
    offer(ring, head);
    return defect("chain-length");
  },
  "readable-after-writable": ({ ground, random }, ring) => {
    const { zone } = ground;
    const before = random.below(3);
    for (let i = 0; i < before; i++) {
      describeBuffer(zone, ring.at(i), ground.bulk + i, 1 + random.below(32), NEXT, i + 1);
    }
    const address = ground.buffer(random, 16);
    describeBuffer(zone, ring.at(before), address, random.below(16), NEXT | WRITE, before + 1);
    describeBuffer(zone, ring.at(before + 1), ground.bulk, random.below(16), 0);
    offer(ring, 0);
    return defect("readable-after-writable");
  },
  "indirect-not-negotiated": ({ ground, random }, ring) => {
    const head = random.below(ring.size);
    table(ground, ring, head, ground.tableAddress, ENTRY);
    describeBuffer(ground.zone, ground.entry(0), ground.bulk, 8, 0);
    offer(ring, head);
    return defect("indirect-not-negotiated");
  },
  "indirect-nested": ({ ground, random }, ring) => {
    const head = random.below(ring.size);
    table(ground, ring, head, ground.tableAddress, 2 * ENTRY);
    const first = random.oneIn(2) ? INDIRECT : NEXT;
    describeBuffer(ground.zone, ground.entry(0), ground.tableAddress, ENTRY, first, 1);
    describeBuffer(ground.zone, ground.entry(1), ground.tableAddress, ENTRY, INDIRECT);
    offer(ring, head);
    return defect("indirect-nested");
  },
  "indirect-chained": ({ ground, random }, ring) => {
    const head = random.below(ring.size);
    const at = ring.at(head);
    describeBuffer(ground.zone, at, ground.tableAddress, ENTRY, INDIRECT | NEXT, 0);
    offer(ring, head);
    return defect("indirect-chained");
  },
  "indirect-length": ({ ground, random }, ring) => {
    const head = random.below(ring.size);
    const odd = random.below(LONGEST);
    const length = random.pick([0, 1, ENTRY - 1, ENTRY + 1, LONGEST, odd % ENTRY === 0 ? 0 : odd]);
    table(ground, ring, head, ground.tableAddress, length);
    offer(ring, head);
    return defect("indirect-length");
  },
  "buffer-unmapped": ({ ground, random }, ring) => {
    const head = random.below(ring.size);
    const flags = random.oneIn(2) ? WRITE : 0;
    const at = ring.at(head);
    const [high, low, length] = unmapped(ground, random);
    writeDescriptor(ground.zone, at, high, low, length, flags);
    offer(ring, head);
    return defect("buffer-unmapped");
  },
  "table-unmapped": ({ ground, random }, ring) => {
    const head = random.below(ring.size);
    const [high, low] = unmapped(ground, random);
    // Longer than any region, so that it is outside wherever it begins.
    const length = LONGEST - (LONGEST % ENTRY);
    writeDescriptor(ground.zone, ring.at(head), high, low, length, INDIRECT);
    offer(ring, head);
    return defect("table-unmapped");
  },
};

const NEEDS_INDIRECT: ReadonlySet<QueueDefect> = new Set<QueueDefect>([
  "chain-length",
  "indirect-nested",
  "indirect-chained",
  "indirect-length",
  "table-unmapped",
]);

const ALL = Object.keys(DEFECTS) as QueueDefect[];
const WITH_INDIRECT = ALL.filter((name) => name !== "indirect-not-negotiated");
const WITHOUT = ALL.filter((name) => !NEEDS_INDIRECT.has(name));

/** One of the defects. */
function breakRing(context: AttackContext, ring: RawRing): Attack {
  const name = context.random.pick(context.indirect ? WITH_INDIRECT : WITHOUT);
  const attack = name === undefined ? undefined : DEFECTS[name];
  return attack?.(context, ring) ?? {};
}

/** The defects that take a device that keeps buffers; `costly` allows the one of many segments. */
function breakHoard({ ground, random, indirect }: AttackContext, costly: boolean): Attack {
  const ring = ground.splitRing(PREY_QUEUE.hoard);
  if (costly) {
    // Head i is a chain of the descriptors from i on: the first 320 are 276,000 together.
    for (let head = 0; head < 320; head++) ring.offer(head);
    ring.publish();
    return defect("segment-budget");
  }
  const last = HOARD_QUEUE - 1;
  if (indirect && random.oneIn(2)) {
    const at = ring.at(last);
    const bytes = HOARD_QUEUE * ENTRY;
    describeBuffer(ground.hoard, at, ground.heavyTable, bytes, INDIRECT);
    offer(ring, last);
    return defect("total-length");
  }
  const between = random.below(3);
  ring.offer(last);
  for (let i = 0; i < between; i++) ring.offer(last - 1 - i);
  offer(ring, last);
  return defect("head-outstanding");
}

/** Puts the descriptor back that {@link breakHoard} changes. */
function mendHoard(ground: Playground): void {
  const ring = ground.splitRing(PREY_QUEUE.hoard);
  describeBuffer(ground.hoard, ring.at(HOARD_QUEUE - 1), ground.bulk, 1, 0);
}

/** A buffer for entropy that is legal, and odd. */
function oddBuffer({ ground, random, indirect }: AttackContext, ring: RawRing): Attack {
  const { zone } = ground;
  const isTable = indirect && random.oneIn(2);
  const count = 1 + random.below(6);
  const readable = random.oneIn(3) ? random.below(count + 1) : 0;
  const head = isTable ? random.below(ring.size) : 0;
  let room = 0;
  for (let i = 0; i < count; i++) {
    const length = random.oneIn(4) ? 0 : random.below(64);
    const isWritable = i >= readable;
    const at = isTable ? ground.entry(i) : ring.at(i);
    const address = isWritable ? ground.buffer(random, 64) : ground.bulk;
    const flags = (isWritable ? WRITE : 0) | (i < count - 1 ? NEXT : 0);
    if (isWritable) room += length;
    // An element of no bytes may point anywhere.
    describeBuffer(zone, at, length === 0 ? random.uint32() : address, length, flags, i + 1);
  }
  if (isTable) table(ground, ring, head, ground.tableAddress, count * ENTRY);
  offer(ring, head);
  return { expected: "none", head, room };
}

/** Random descriptors and entries, biased to what nearly makes sense. */
function noise({ ground, random }: AttackContext, ring: RawRing): Attack {
  const { zone } = ground;
  for (let i = 0; i < ring.size; i++) {
    const at = ring.at(i);
    const flags = random.oneIn(8) ? random.uint32() & 0xffff : random.below(8);
    const next = random.oneIn(8) ? random.uint32() & 0xffff : random.below(ring.size + 1);
    const length = random.oneIn(4) ? random.uint32() : random.below(64);
    const address = random.oneIn(8)
      ? random.uint32()
      : random.pick([ground.bulk, ground.buffer(random, 64), ground.tableAddress]);
    // The device may write into buffers alone: a write into rings is another attack.
    const isWrite = (flags & WRITE) !== 0;
    const target = isWrite ? ground.buffer(random, 64) : address;
    describeBuffer(zone, at, target, isWrite ? length % 64 : length, flags, next);
  }
  const offers = random.below(ring.size + 2);
  for (let i = 0; i < offers; i++) {
    ring.offer(random.oneIn(16) ? random.uint32() & 0xffff : random.below(ring.size));
  }
  ring.publish(random.oneIn(8) ? random.uint32() & 0xffff : ring.available);
  ring.flags = random.uint32() & 0xffff;
  ring.usedEvent = random.uint32() & 0xffff;
  return {};
}

/** Has the device write over its own rings and tables. */
function overwrite({ ground, random }: AttackContext, ring: RawRing): Attack {
  const { zone } = ground;
  const { areas } = ring;
  const target = random.pick([
    areas.descriptorArea,
    areas.driverArea,
    areas.deviceArea,
    ground.tableAddress,
  ]);
  const offers = 1 + random.below(4);
  for (let i = 0; i < offers; i++) {
    describeBuffer(zone, ring.at(i), target + random.below(16), 1 + random.below(64), WRITE);
    ring.offer(i);
  }
  ring.publish();
  return {};
}

function table(
  ground: Playground,
  ring: RawRing,
  head: number,
  address: number,
  length: number,
): void {
  describeBuffer(ground.zone, ring.at(head), address, length, INDIRECT);
}

/** A place outside guest memory, or across its end: address halves and length. */
export function unmapped(ground: Playground, random: Random): readonly [number, number, number] {
  const length = random.oneIn(2) ? LONGEST : 1 + random.below(4096);
  switch (random.below(5)) {
    case 0:
      return [LONGEST, LONGEST, length];
    case 1:
      return [0, 0, length];
    case 2:
      return [0x20_0000 + random.below(LONGEST - 0x20_0000), random.uint32(), length];
    case 3: {
      const last = ground.bulk + ground.bulkBytes - 1;
      return [Math.floor(last / 2 ** 32), last >>> 0, Math.max(2, length)];
    }
    default: {
      const before = ground.zone.base - 1;
      return [Math.floor(before / 2 ** 32), before >>> 0, length];
    }
  }
}

/** Those of split rings. */
export const SPLIT_ATTACKS: RingAttacks = {
  breakRing: (context, index) => breakRing(context, context.ground.splitRing(index)),
  breakHoard,
  mendHoard,
  oddBuffer: (context, index) => oddBuffer(context, context.ground.splitRing(index)),
  noise: (context, index) => noise(context, context.ground.splitRing(index)),
  overwrite: (context, index) => void overwrite(context, context.ground.splitRing(index)),
};
