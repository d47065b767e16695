import { describe, expect, it } from "vitest";
import {
  type Chain,
  createDeviceQueue,
  createDriverQueue,
  QUEUE_DEFECTS,
} from "../../src/virtqueue/index.ts";
import {
  BEYOND_GARBAGE,
  makeMemory,
  outcomesOf,
  PAGE,
  type Random,
  randomOf,
  SPLIT_DEFECTS,
} from "./garbage.ts";

const RINGS = 24_000;
const SIZES = [1, 2, 3, 4, 7, 8, 16, 32];
const AREAS = { descriptorArea: 0x10000, driverArea: 0x10200, deviceArea: 0x10204 };
const AVAIL = 0x80;
const USED = 0x8000;
const WRAP = 0x8000;

const world = makeMemory();

/** A descriptor that is often good, and often available in the round that `available` marks. */
function putDescriptor(random: Random, view: DataView, at: number, available: number): void {
  const address = random.pick([
    0x10800 + random.below(0x800),
    0x11000 + random.below(PAGE),
    0x10f00 + random.below(0x200),
    0x20000 + random.below(PAGE + 64),
    random.next(),
  ]);
  const length = random.pick([0, 1, 16, 16 * random.below(8), random.below(300), random.next()]);
  view.setUint32(at, address, true);
  view.setUint32(at + 4, random.chance(2) ? random.next() : 0, true);
  view.setUint32(at + 8, random.chance(90) ? length & 0x1ff : length, true);
  const id = random.chance(85) ? (at >> 4) & 0x1f : random.chance(80) ? random.below(8) : 0xffff;
  view.setUint16(at + 12, id, true);
  const flags =
    (random.chance(45) ? 1 : 0) | (random.chance(50) ? 2 : 0) | (random.chance(15) ? 4 : 0);
  const turn = random.chance(90) ? available : random.pick([0, AVAIL, USED, AVAIL | USED]);
  view.setUint16(at + 14, random.chance(2) ? random.next() : flags | turn, true);
}

function fuzzDevice(seed: number, seen: Map<string, number>): void {
  const random = randomOf(seed);
  const { memory, pages, intact } = world;
  const [page] = pages as [Uint8Array];
  const size = random.pick(SIZES);
  const offset = random.below(size);
  const startIndex = offset | (random.chance(50) ? WRAP : 0);
  const markOf = (slot: number) => (slot >= offset === startIndex >= WRAP ? AVAIL : USED);
  for (const bytes of pages) {
    bytes.fill(0);
    const view = new DataView(bytes.buffer, bytes.byteOffset, PAGE);
    for (let i = 0; i < 40; i++) putDescriptor(random, view, 0x800 + 16 * i, 0);
  }
  const view = new DataView(page.buffer, page.byteOffset, PAGE);
  for (let i = 0; i < size; i++) putDescriptor(random, view, 16 * i, markOf(i));
  view.setUint32(0x200, random.chance(50) ? random.next() : random.below(4) << 16, true);

  const init = { size, memory, ...AREAS, startIndex, packed: true };
  const device = createDeviceQueue({
    ...init,
    eventIdx: random.chance(50),
    indirect: random.chance(80),
    inOrder: random.chance(50),
  });
  memory.lookUps = 0;
  const data = new Uint8Array(200).fill(seed);
  const held: Chain[] = [];
  let pops = 0;
  let turned = startIndex;
  for (; pops < 4 * size + 4; pops++) {
    const chain = device.pop();
    if (chain === undefined) break;
    let bytes = 0;
    for (let i = 0; i < chain.count; i++) {
      const address = chain.addresses[i] as number;
      const length = chain.lengths[i] as number;
      if (length < 1 || !memory.contains(address, length)) throw new Error("a segment is outside");
      bytes += length;
    }
    if (chain.readableLength + chain.writableLength !== bytes)
      throw new Error("the sums are wrong");
    if (chain.count > size) throw new Error("the chain is longer than the queue");
    device.read(chain, random.below(64), data);
    device.write(chain, random.below(64), data);
    held.push(chain);
    if (random.chance(60)) {
      device.push(held.splice(random.below(held.length), 1)[0] as Chain, random.next());
      if (random.chance(50)) device.publish();
    }
    if (held.length > size) throw new Error("more is outstanding than the ring has");
    // What the driver writes next, at any moment: another round, or garbage.
    for (let slot = turned & ~WRAP; slot !== (device.index & ~WRAP) && random.chance(70); ) {
      putDescriptor(random, view, 16 * slot, markOf(slot) ^ AVAIL ^ USED);
      slot = (slot + 1) % size;
    }
    turned = device.index;
    if (random.chance(10)) page[random.below(0x210)] = random.next();
  }
  for (const chain of held) device.push(chain, 1);
  device.publish();
  device.disableNotifications();
  device.enableNotifications();
  if (device.index % WRAP >= size || device.publishedIndex % WRAP >= size) {
    throw new Error("the position is outside the ring");
  }
  device.stop();
  if (device.outstanding !== 0) throw new Error("chains are missing");
  if (memory.lookUps > (pops + 1) * (12 * size + 16)) throw new Error("the work is not bounded");
  if (!intact()) throw new Error("bytes outside guest memory were written");
  const outcome = device.defect ?? (pops > 0 ? "popped" : "empty");
  seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
}

function fuzzDriver(seed: number, seen: Map<string, number>): void {
  const random = randomOf(seed);
  const { memory, pages, intact } = world;
  const page = pages[0] as Uint8Array;
  const size = random.pick(SIZES);
  page.fill(0);
  const view = new DataView(page.buffer, page.byteOffset, PAGE);
  let slot = random.below(size);
  let wrap = random.chance(50);
  const inOrder = random.chance(50);
  const driver = createDriverQueue({
    ...{ size, memory, ...AREAS, packed: true, startIndex: slot | (wrap ? WRAP : 0) },
    eventIdx: random.chance(50),
    indirect: false,
    inOrder,
  });
  const room = new Map<number, { readonly limit: number; readonly descriptors: number }>();
  for (let round = 0; round < 4; round++) {
    for (let i = random.below(size + 1); i > 0; i--) {
      const count = 1 + random.below(Math.min(size, 3));
      const id = driver.add([0x20000, 0x20100, 0x20200], [16, 16, 16], count, 1);
      if (id < 0) continue;
      if (room.has(id)) throw new Error(`id ${id} was given out twice`);
      room.set(id, { limit: 16 * (count - 1), descriptors: count });
    }
    driver.publish();
    // Used as a device would, but for a few fields.
    for (const [id, { limit, descriptors }] of [...room].slice(0, random.below(room.size + 1))) {
      const at = 16 * slot;
      view.setUint32(at + 8, random.chance(97) ? random.below(limit + 1) : random.next(), true);
      view.setUint16(at + 12, random.chance(97) ? id : random.next() % 40, true);
      view.setUint16(at + 14, (wrap ? AVAIL | USED : 0) | (random.chance(70) ? 2 : 0), true);
      slot += descriptors;
      if (slot >= size) {
        slot -= size;
        wrap = !wrap;
      }
    }
    if (random.chance(10)) page[random.below(0x208)] = random.next();
    for (let reaped = 0; ; reaped++) {
      const id = driver.reap();
      if (id < 0) break;
      if (reaped >= size) throw new Error("reaped more than there was");
      const buffer = room.get(id);
      if (buffer === undefined) throw new Error(`id ${id} was not outstanding`);
      if (driver.usedLength > buffer.limit) throw new Error("more was used than there was room");
      const [oldest] = room.keys();
      if (inOrder && id !== oldest) throw new Error(`id ${id} came back before ${oldest}`);
      room.delete(id);
    }
    if (driver.outstanding !== room.size) throw new Error("buffers are missing");
    const taken = [...room.values()].reduce((sum, { descriptors }) => sum + descriptors, 0);
    if (driver.free !== size - taken) throw new Error("descriptors are missing");
  }
  if (!intact()) throw new Error("bytes outside guest memory were written");
  const outcome = driver.defect ?? "sound";
  seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
}

describe(`${RINGS} packed rings of garbage`, () => {
  it("the device half neither throws nor hangs nor leaves guest memory", () => {
    const seen = outcomesOf(RINGS, fuzzDevice);
    const reachable = Object.keys(QUEUE_DEFECTS).filter(
      (name) => ![...SPLIT_DEFECTS, ...BEYOND_GARBAGE].includes(name),
    );
    expect(reachable.filter((name) => !seen.has(name))).toEqual([]);
    expect(seen.get("popped")).toBeGreaterThan(RINGS / 100);
  });

  it("the driver half neither throws nor hangs nor believes a wrong descriptor", () => {
    const seen = outcomesOf(RINGS, fuzzDriver);
    for (const outcome of ["used-id", "used-length", "sound"]) {
      expect(seen.get(outcome)).toBeGreaterThan(RINGS / 200);
    }
  });
});
