/**
 * What a hostile driver writes into a packed ring: one attack for each defect that a device must
 * find, descriptors of the wrong round, legal buffers that few drivers would make, and noise.
 */
import { PVIRTQ_DESC, type QueueDefect } from "@virtio-admin/core";
import { describePacked, PACKED_FLAG, type RawPackedRing } from "./packed-zone.ts";
import { type Attack, TABLE_ENTRIES } from "./playground.ts";
import { HOARD_QUEUE, PREY_QUEUE } from "./prey.ts";
import { type AttackContext, type RingAttacks, unmapped } from "./ring-attacks.ts";
import type { BufferElement } from "./zone.ts";

type PackedAttack = (context: AttackContext, ring: RawPackedRing) => Attack;

const { next: NEXT, write: WRITE, indirect: INDIRECT, avail: AVAIL, used: USED } = PACKED_FLAG;
const TURN = PACKED_FLAG.turn;
const ENTRY = PVIRTQ_DESC.size;
const LONGEST = 0xffffffff;
const IDS = 0x10000;

function defect(expected: QueueDefect): Attack {
  return { expected };
}

/** One descriptor of these flags that is available, whatever else is in it. */
function single(ring: RawPackedRing, address: number, length: number, flags: number): void {
  const id = ring.freshId();
  ring.write(0, address, length, flags | ring.turn(), id);
  ring.advance(1, id);
}

/** The attacks on a small ring, by the defect that they are. */
const DEFECTS: Partial<Readonly<Record<QueueDefect, PackedAttack>>> = {
  "list-unavailable": ({ ground, random }, ring) => {
    const count = 1 + random.below(ring.size - 1);
    // The last descriptor that the list goes on in is of any other turn.
    const turns = [0, TURN, ring.turn(count) ^ TURN];
    for (let i = 0; i <= count; i++) {
      const turn = i < count ? ring.turn(i) : (random.pick(turns) ?? 0);
      ring.write(i, ground.bulk, random.below(8), turn | (i < count ? NEXT : 0), i);
    }
    return defect("list-unavailable");
  },
  "chain-length": ({ ground, random, indirect }, ring) => {
    if (indirect && random.oneIn(2)) {
      const count = ring.size + 1 + random.below(TABLE_ENTRIES - ring.size);
      for (let i = 0; i < count; i++)
        describePacked(ground.zone, ground.entry(i), ground.bulk, 4, 0);
      single(ring, ground.tableAddress, count * ENTRY, INDIRECT);
    } else {
      // A list that goes round: behind its last descriptor comes its first.
      for (let i = 0; i < ring.size; i++) {
        ring.write(i, ground.bulk, random.below(8), ring.turn(i) | NEXT, i);
      }
    }
    return defect("chain-length");
  },
  "readable-after-writable": ({ ground, random, indirect }, ring) => {
    const before = random.below(3);
    const elements: BufferElement[] = [];
    for (let i = 0; i < before; i++) {
      elements.push({ address: ground.bulk + i, length: 1 + random.below(32), writable: false });
    }
    const address = ground.buffer(random, 16);
    elements.push({ address, length: random.below(16), writable: true });
    elements.push({ address: ground.bulk, length: random.below(16), writable: false });
    ring.put(elements, indirect && random.oneIn(2) ? (i) => ground.entry(i) : undefined);
    return defect("readable-after-writable");
  },
  "indirect-not-negotiated": ({ ground }, ring) => {
    describePacked(ground.zone, ground.entry(0), ground.bulk, 8, 0);
    single(ring, ground.tableAddress, ENTRY, INDIRECT);
    return defect("indirect-not-negotiated");
  },
  "indirect-chained": ({ ground, random }, ring) => {
    const before = random.below(3);
    describePacked(ground.zone, ground.entry(0), ground.bulk, 8, 0);
    for (let i = 0; i < before; i++) ring.write(i, ground.bulk, 8, ring.turn(i) | NEXT, i);
    const flags = INDIRECT | (before === 0 || random.oneIn(2) ? NEXT : 0);
    ring.write(before, ground.tableAddress, ENTRY, ring.turn(before) | flags, before);
    return defect("indirect-chained");
  },
  "indirect-length": ({ ground, random }, ring) => {
    const odd = random.below(LONGEST);
    const length = random.pick([0, 1, ENTRY - 1, ENTRY + 1, LONGEST, odd % ENTRY === 0 ? 0 : odd]);
    single(ring, ground.tableAddress, length, INDIRECT | (random.oneIn(2) ? WRITE : 0));
    return defect("indirect-length");
  },
  "buffer-unmapped": ({ ground, random, indirect }, ring) => {
    const flags = random.oneIn(2) ? WRITE : 0;
    const [high, low, length] = unmapped(ground, random);
    if (indirect && random.oneIn(2)) {
      const { zone } = ground;
      const { view } = zone;
      const at = ground.entry(0);
      describePacked(zone, at, 0, length, flags);
      view.setUint32(at, low, true);
      view.setUint32(at + 4, high, true);
      single(ring, ground.tableAddress, ENTRY, INDIRECT);
    } else {
      ring.writeWide(0, high, low, length, flags | ring.turn());
    }
    return defect("buffer-unmapped");
  },
  "table-unmapped": ({ ground, random }, ring) => {
    const [high, low] = unmapped(ground, random);
    ring.writeWide(0, high, low, LONGEST - (LONGEST % ENTRY), INDIRECT | ring.turn());
    return defect("table-unmapped");
  },
};

const NEEDS_INDIRECT: ReadonlySet<QueueDefect> = new Set<QueueDefect>([
  "indirect-chained",
  "indirect-length",
  "table-unmapped",
]);

const ALL = Object.keys(DEFECTS) as QueueDefect[];
const WITH_INDIRECT = ALL.filter((name) => name !== "indirect-not-negotiated");
const WITHOUT = ALL.filter((name) => !NEEDS_INDIRECT.has(name));

/** One of the defects, or a descriptor that is none of the device's business. */
function breakPackedRing(context: AttackContext, ring: RawPackedRing): Attack {
  const { random, indirect } = context;
  if (random.oneIn(8)) return wrongTurn(context, ring);
  const name = random.pick(indirect ? WITH_INDIRECT : WITHOUT);
  const attack = name === undefined ? undefined : DEFECTS[name];
  return attack?.(context, ring) ?? {};
}

/** A descriptor whose two bits say used, or available in the other round: there is nothing to use. */
function wrongTurn({ ground, random }: AttackContext, ring: RawPackedRing): Attack {
  const turn = random.pick([0, TURN, ring.turn() ^ TURN]);
  const flags = random.below(8) | (random.uint32() & 0x7f00 & ~TURN);
  ring.write(0, ground.buffer(random, 64), random.below(64), flags | turn, random.below(IDS));
  return { expected: "nothing", counts: "queue: wrong turn" };
}

/**
 * The defects that take a device that keeps buffers; `costly` allows the one of many segments, and
 * `notify` has the device take what is there.
 */
function breakPackedHoard(context: AttackContext, costly: boolean, notify: () => void): Attack {
  const { ground, random, indirect } = context;
  const ring = ground.packedRing(PREY_QUEUE.hoard);
  if (costly && indirect) {
    // Every buffer is the whole table: 256 of them have 2^18 segments together.
    for (let i = 0; i < 300; i++) {
      single(ring, ground.wideTable, HOARD_QUEUE * ENTRY, INDIRECT);
    }
    return defect("segment-budget");
  }
  switch (random.below(3)) {
    case 0: {
      if (indirect && random.oneIn(2)) {
        single(ring, ground.heavyTable, HOARD_QUEUE * ENTRY, INDIRECT);
        return defect("total-length");
      }
      for (let i = 0; i < HOARD_QUEUE; i++) {
        const more = i + 1 < HOARD_QUEUE ? NEXT : 0;
        ring.write(i, ground.bulk, ground.bulkBytes, ring.turn(i) | more);
      }
      return defect("total-length");
    }
    case 1: {
      const between = random.below(3);
      const id = random.oneIn(2) ? random.below(IDS) : 7;
      const byte = { address: ground.bulk, length: 1, writable: false };
      ring.put([byte], undefined, id);
      for (let i = 0; i < between; i++) ring.put([byte], undefined, (id + 1 + i) % IDS);
      ring.put([byte], undefined, id);
      return defect("head-outstanding");
    }
    default: {
      // The list goes on in the descriptors of buffers that the device holds.
      const held = 1 + random.below(3);
      for (let i = 0; i < held; i++) single(ring, ground.bulk, 1, 0);
      notify();
      const more = HOARD_QUEUE - held + 1 + random.below(held);
      for (let i = 0; i < more; i++) {
        const flags = ring.turn(i) | (i + 1 < more ? NEXT : 0);
        ring.write(i, ground.bulk, 1, flags, HOARD_QUEUE);
      }
      return defect("ring-overrun");
    }
  }
}

/** A buffer for entropy that is legal, and odd. */
function oddPackedBuffer(context: AttackContext, ring: RawPackedRing): Attack {
  const { ground, random, indirect } = context;
  const { zone } = ground;
  const isTable = indirect && random.oneIn(2);
  const count = 1 + random.below(6);
  const readable = random.oneIn(3) ? random.below(count + 1) : 0;
  const isOddId = random.oneIn(3);
  const id = isOddId ? ring.size + random.below(IDS - ring.size) : ring.freshId();
  let room = 0;
  const elements: BufferElement[] = [];
  for (let i = 0; i < count; i++) {
    const length = random.oneIn(4) ? 0 : random.below(64);
    const writable = i >= readable;
    const address = writable ? ground.buffer(random, 64) : ground.bulk;
    if (writable) room += length;
    // An element of no bytes may point anywhere.
    elements.push({ address: length === 0 ? random.uint32() : address, length, writable });
  }
  const isOddEvent = random.oneIn(3);
  if (isOddEvent) ring.driverEvent = random.uint32();
  const head = ring.put(elements, isTable ? (index) => ground.entry(index) : undefined, id);
  if (isTable) {
    // Of the flags of a table's entries the write flag alone counts, and no id.
    for (let i = 0; i < count; i++) {
      const noise = random.uint32() & 0xffff & ~WRITE;
      const flags = (elements[i]?.writable === true ? WRITE : 0) | noise;
      zone.view.setUint16(ground.entry(i) + 12, random.below(IDS), true);
      zone.view.setUint16(ground.entry(i) + 14, flags, true);
    }
  }
  const counts = isOddEvent
    ? { counts: "queue: odd event suppression" }
    : isOddId
      ? { counts: "queue: id beyond the ring" }
      : {};
  return { expected: "none", head, room, ...counts };
}

/** Random descriptors of random rounds, biased to what nearly makes sense. */
function packedNoise({ ground, random }: AttackContext, ring: RawPackedRing): Attack {
  for (let i = 0; i < ring.size; i++) {
    const own = random.oneIn(6) ? random.pick([0, TURN, AVAIL, USED]) : ring.turn(i);
    const flags = (random.oneIn(8) ? random.uint32() & 0x7f7f : random.below(8)) & ~TURN;
    const id = random.oneIn(8) ? random.below(IDS) : random.below(ring.size + 1);
    const isWrite = (flags & WRITE) !== 0;
    const length = random.oneIn(4) ? random.uint32() : random.below(64);
    const target = random.oneIn(8)
      ? random.uint32()
      : random.pick([ground.bulk, ground.buffer(random, 64), ground.tableAddress]);
    // The device may write into buffers alone: a write into rings is another attack.
    const address = isWrite ? ground.buffer(random, 64) : target;
    ring.write(i, address, isWrite ? length % 64 : length, flags | own, id);
  }
  ring.driverEvent = random.uint32();
  return {};
}

/** Has the device write over its own ring and tables. */
function overwritePacked({ ground, random }: AttackContext, ring: RawPackedRing): void {
  const { areas } = ring;
  const target = random.pick([
    areas.descriptorArea,
    areas.descriptorArea + ENTRY * random.below(ring.size),
    areas.driverArea,
    areas.deviceArea,
    ground.tableAddress,
  ]);
  const offers = 1 + random.below(4);
  for (let i = 0; i < offers; i++) {
    const address = target + random.below(16);
    ring.put([{ address, length: 1 + random.below(64), writable: true }]);
  }
}

/** Those of packed rings. */
export const PACKED_ATTACKS: RingAttacks = {
  breakRing: (context, index) => breakPackedRing(context, context.ground.packedRing(index)),
  breakHoard: breakPackedHoard,
  // Every attack begins with a ring of zeros.
  mendHoard: () => undefined,
  oddBuffer: (context, index) => oddPackedBuffer(context, context.ground.packedRing(index)),
  noise: (context, index) => packedNoise(context, context.ground.packedRing(index)),
  overwrite: (context, index) => overwritePacked(context, context.ground.packedRing(index)),
};
