import { describe, expect, it } from "vitest";
import {
  type Chain,
  createDeviceQueue,
  createDriverQueue,
  QUEUE_DEFECTS,
  splitAreaSizes,
} from "../../src/virtqueue/index.ts";
import {
  BEYOND_GARBAGE,
  makeMemory,
  outcomesOf,
  PACKED_DEFECTS,
  PAGE,
  type Random,
  randomOf,
} from "./garbage.ts";

const RINGS = 24_000;

const SIZES = [1, 2, 4, 8, 16, 32];

function place(size: number) {
  const areas = splitAreaSizes(size);
  const descriptorArea = 0x10000;
  const driverArea = descriptorArea + areas.descriptorArea.length;
  const deviceArea = (driverArea + areas.driverArea.length + 3) & ~3;
  return { descriptorArea, driverArea, deviceArea };
}

function putDescriptor(random: Random, view: DataView, at: number, entries: number): void {
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
  const flags =
    (random.chance(55) ? 1 : 0) | (random.chance(50) ? 2 : 0) | (random.chance(15) ? 4 : 0);
  view.setUint16(at + 12, random.chance(2) ? random.next() : flags, true);
  view.setUint16(at + 14, random.chance(3) ? random.next() : random.below(entries), true);
}

function fuzzDevice(seed: number, seen: Map<string, number>): void {
  const random = randomOf(seed);
  const { memory, pages, intact } = world;
  const [page, adjacent, far] = pages as [Uint8Array, Uint8Array, Uint8Array];
  const size = random.pick(SIZES);
  const { descriptorArea, driverArea, deviceArea } = place(size);
  page.fill(0);
  for (const bytes of [page, adjacent, far]) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, PAGE);
    for (let i = 0; i < 40; i++) {
      putDescriptor(random, view, random.chance(50) ? 16 * i : 0x800 + 16 * i, size);
    }
  }
  const view = new DataView(page.buffer, page.byteOffset, PAGE);
  for (let i = 0; i < size; i++) putDescriptor(random, view, 16 * i, size);
  const avail = driverArea - 0x10000;
  view.setUint16(avail, random.below(3), true);
  for (let i = 0; i < size; i++) {
    view.setUint16(
      avail + 4 + 2 * i,
      random.chance(94) ? i : random.chance(50) ? random.below(size) : random.next(),
      true,
    );
  }
  const startIndex = random.pick([0, 0xfffe, random.next() & 0xffff]);
  const idx = random.chance(95) ? startIndex + random.below(size + 1) : random.next();
  view.setUint16(avail + 2, idx, true);
  for (let i = random.below(4); i > 0; i--) page[random.below(PAGE)] = random.next();

  const init = { size, memory, descriptorArea, driverArea, deviceArea, startIndex };
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
  // The ring may lie among the buffers, so that the device's own writes make new entries.
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
  }
  for (const chain of held) device.push(chain, 1);
  device.publish();
  device.disableNotifications();
  device.enableNotifications();
  device.stop();
  if (device.outstanding !== 0) throw new Error("chains are missing");
  // A walk looks up each segment and one table, a copied table each descriptor too; reading,
  // writing and the checks above look up each segment once more.
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
  const { descriptorArea, driverArea, deviceArea } = place(size);
  page.fill(0);
  const view = new DataView(page.buffer, page.byteOffset, PAGE);
  const startIndex = random.pick([0, 0xfffe, random.next() & 0xffff]);
  const inOrder = random.chance(50);
  const driver = createDriverQueue({
    ...{ size, memory, descriptorArea, driverArea, deviceArea, startIndex },
    eventIdx: random.chance(50),
    indirect: false,
    inOrder,
  });
  const used = deviceArea - 0x10000;
  const room = new Map<number, number>();
  let usedIdx = startIndex;
  for (let round = 0; round < 4; round++) {
    for (let i = random.below(size + 1); i > 0; i--) {
      const count = 1 + random.below(Math.min(size, 3));
      const id = driver.add([0x20000, 0x20100, 0x20200], [16, 16, 16], count, 1);
      if (id < 0) continue;
      if (room.has(id)) throw new Error(`id ${id} was given out twice`);
      room.set(id, 16 * (count - 1));
    }
    driver.publish();
    const done = random.below(room.size + 1);
    const ids = [...room.keys()];
    if (random.chance(10)) ids.reverse();
    for (let i = 0; i < done; i++) {
      const at = used + 4 + 8 * ((usedIdx + i) % size);
      const wrong = random.chance(50) ? random.pick(ids) : random.next() % 40;
      view.setUint32(at, random.chance(96) ? (ids[i] as number) : wrong, true);
      view.setUint32(at + 4, random.chance(96) ? random.below(33) : random.next(), true);
    }
    usedIdx = (usedIdx + done) & 0xffff;
    view.setUint16(used + 2, random.chance(96) ? usedIdx : random.next(), true);
    if (random.chance(10)) page[random.below(PAGE)] = random.next();
    for (let reaped = 0; ; reaped++) {
      const id = driver.reap();
      if (id < 0) break;
      if (reaped >= size) throw new Error("reaped more than there was");
      const limit = room.get(id);
      if (limit === undefined) throw new Error(`id ${id} was not outstanding`);
      if (driver.usedLength > limit) throw new Error("more bytes were used than there was room");
      const [oldest] = room.keys();
      if (inOrder && id !== oldest) throw new Error(`id ${id} came back before ${oldest}`);
      room.delete(id);
    }
    if (driver.outstanding !== room.size) throw new Error("buffers are missing");
    if (driver.free > size - room.size) throw new Error("descriptors were freed too early");
  }
  if (!intact()) throw new Error("bytes outside guest memory were written");
  const outcome = driver.defect ?? "sound";
  seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
}

const world = makeMemory();

describe(`${RINGS} rings of garbage`, () => {
  it("the device half neither throws nor hangs nor leaves guest memory", () => {
    const seen = outcomesOf(RINGS, fuzzDevice);
    // The garbage is good enough to reach every check that such small rings can fail.
    const reachable = Object.keys(QUEUE_DEFECTS).filter(
      (name) => ![...PACKED_DEFECTS, ...BEYOND_GARBAGE].includes(name),
    );
    expect(reachable.filter((name) => !seen.has(name))).toEqual([]);
    expect(seen.get("popped")).toBeGreaterThan(RINGS / 100);
  });

  it("the driver half neither throws nor hangs nor believes a wrong entry", () => {
    const seen = outcomesOf(RINGS, fuzzDriver);
    for (const outcome of ["used-id", "used-length", "used-order", "index-jump", "sound"]) {
      expect(seen.get(outcome)).toBeGreaterThan(RINGS / 200);
    }
  });
});
