/** What two halves of a virtqueue do to each other, whatever the format of its rings. */
import fc from "fast-check";
import { expect } from "vitest";
import type { DmaBlock } from "../../src/memory/index.ts";
import { type Chain, createDeviceQueue, type DeviceQueue } from "../../src/virtqueue/index.ts";
import { makeRig, RIG_BASE, type Rig } from "./rig.ts";

/** A buffer as the model knows it, from add to reap. */
interface Buffer {
  readonly id: number;
  readonly sent: Uint8Array;
  readonly writable: { readonly block: DmaBlock; readonly length: number }[];
  readonly blocks: DmaBlock[];
  readonly descriptors: number;
  answer: Uint8Array;
  claimed: number;
}

/** A buffer that the device took; it may be done before an earlier one, and wait for it. */
interface Popped {
  readonly chain: Chain;
  readonly buffer: Buffer;
  done: boolean;
}

/** The queue of a run. */
export interface Configuration {
  readonly size: number;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  /** How many descriptors an indirect table has room for; 0 for none. */
  readonly tableEntries: number;
  readonly atomic: boolean;
  readonly inOrder: boolean;
  /** Memory lies below 2^32, where a readable and a writable segment go the short way. */
  readonly low: boolean;
  /** How many entries both rings are ahead of where they start after a reset. */
  readonly ahead: number;
}

/** The sizes that queues of either format can have. */
export const SIZES: readonly number[] = [1, 2, 4, 8, 64];

/** A queue of one of these sizes. */
export function configurations(sizes: readonly number[]): fc.Arbitrary<Configuration> {
  return fc.record({
    size: fc.constantFrom(...sizes),
    eventIdx: fc.boolean(),
    indirect: fc.boolean(),
    tableEntries: fc.integer({ min: 0, max: 5 }),
    atomic: fc.boolean(),
    inOrder: fc.boolean(),
    low: fc.boolean(),
    ahead: fc.constantFrom(0, 1, 0x7fff, 0xfffd, 0xffff),
  });
}

/** What is done to a queue. */
export const STEPS = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("add" as const),
      readable: fc.array(fc.integer({ min: 1, max: 150 }), { maxLength: 4 }),
      writable: fc.array(fc.integer({ min: 1, max: 150 }), { maxLength: 4 }),
      stamp: fc.integer({ min: 0, max: 255 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("publish" as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("pop" as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("push" as const),
      pick: fc.nat(),
      stamp: fc.integer({ min: 0, max: 255 }),
      short: fc.integer({ min: 0, max: 3 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("complete" as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("reap" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("add" as const),
      readable: fc.tuple(fc.integer({ min: 1, max: 150 })),
      writable: fc.tuple(fc.integer({ min: 1, max: 150 })),
      stamp: fc.integer({ min: 0, max: 255 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("takeOver" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("notifications" as const),
      half: fc.constantFrom("driver" as const, "device" as const),
      on: fc.boolean(),
    }),
  },
);

/** One of {@link STEPS}. */
export type Step = typeof STEPS extends fc.Arbitrary<infer T> ? T : never;

type Four = [number, number, number, number];

const pattern = (length: number, stamp: number) =>
  Uint8Array.from({ length }, (_, i) => stamp + 13 * i);

const INDEXES = 0x10000;
const LOW_BASE = 0x8000_0000;

/** A position so many entries ahead of where rings start after a reset. */
export function startIndex(ahead: number, size: number, packed: boolean): number {
  if (!packed) return ahead % INDEXES;
  return (ahead % size) | (Math.floor(ahead / size) % 2 === 0 ? 0x8000 : 0);
}

/**
 * A queue of one format and the model that it is held against: every buffer is carried once, in
 * order, with its bytes, and no wake-up is lost.
 */
export class Modelled {
  readonly rig: Rig;
  #device: DeviceQueue;
  readonly #config: Configuration;
  readonly #atStart: number;
  #added: Buffer[] = [];
  readonly #available: Buffer[] = [];
  readonly #popped: Popped[] = [];
  #pushed: Buffer[] = [];
  readonly #used: Buffer[] = [];
  #freeDescriptors: number;
  /** A half that found its ring empty, with notifications on, is told of what comes next. */
  readonly #armed = { driver: false, device: false };
  readonly #wants = { driver: true, device: true };

  constructor(config: Configuration, packed: boolean) {
    const { tableEntries, ahead, low, ...rest } = config;
    this.#config = config;
    this.rig = makeRig({
      ...rest,
      packed,
      base: low ? LOW_BASE : RIG_BASE,
      startIndex: startIndex(ahead, config.size, packed),
      ...(tableEntries > 0 ? { tableEntries } : {}),
    });
    this.#device = this.rig.device;
    this.#atStart = this.rig.arena.freeBytes;
    this.#freeDescriptors = config.size;
  }

  /** Does one step and checks it; returns what both formats have to agree on. */
  step(action: Step): unknown {
    const told = this.#do(action);
    const { driver } = this.rig;
    const device = this.#device;
    expect(driver.free).toBe(this.#freeDescriptors);
    expect(device.outstanding).toBe(this.#popped.length);
    const outstanding =
      this.#added.length +
      this.#available.length +
      this.#popped.length +
      this.#pushed.length +
      this.#used.length;
    expect(driver.outstanding).toBe(outstanding);
    expect([driver.defect, device.defect]).toEqual([undefined, undefined]);
    return told;
  }

  #do(action: Step): unknown {
    switch (action.do) {
      case "add":
        return this.#add(action.readable, action.writable, action.stamp);
      case "publish":
        return this.#publish();
      case "pop":
        return this.#pop();
      case "push":
        return this.#push(action);
      case "complete":
        return this.#complete();
      case "reap":
        return this.#reap();
      case "takeOver":
        return this.#takeOver();
      case "notifications":
        return this.#notifications(action.half, action.on);
    }
  }

  #add(readable: readonly number[], writable: readonly number[], stamp: number): unknown {
    const { driver, arena, memory } = this.rig;
    const { size, indirect, tableEntries } = this.#config;
    const lengths = [...readable, ...writable];
    const count = lengths.length;
    if (count === 0 || count > size) return undefined;
    const blocks = lengths.map((length) => arena.allocate(length, 1));
    const descriptors = indirect && count > 1 && count <= tableEntries ? 1 : count;
    const addresses = blocks.map((block) => block.address);
    const isPair = readable.length === 1 && writable.length === 1;
    const id = isPair
      ? driver.addPair(...([addresses[0], lengths[0], addresses[1], lengths[1]] as Four))
      : driver.add(addresses, lengths, count, readable.length);
    if (descriptors > this.#freeDescriptors) {
      expect(id).toBe(-1);
      for (const block of blocks) block.free();
      return false;
    }
    expect(id).toBeGreaterThanOrEqual(0);
    expect(id).toBeLessThan(size);
    this.#freeDescriptors -= descriptors;
    const sent = readable.map((length, i) => pattern(length, stamp + i));
    sent.forEach((bytes, i) => void memory.write(blocks[i]?.address as number, bytes));
    this.#added.push({
      id,
      sent: Uint8Array.from(sent.flatMap((bytes) => [...bytes])),
      writable: writable.map((length, i) => ({
        block: blocks[readable.length + i] as DmaBlock,
        length,
      })),
      blocks,
      descriptors,
      answer: new Uint8Array(0),
      claimed: 0,
    });
    return true;
  }

  #publish(): void {
    const notify = this.rig.driver.publish();
    const { length } = this.#added;
    if (length === 0) expect(notify).toBe(false);
    else if (this.#armed.device) expect(notify).toBe(true);
    else if (!this.#wants.device) expect(notify).toBe(false);
    if (length > 0) this.#armed.device = false;
    this.#available.push(...this.#added);
    this.#added = [];
  }

  #pop(): unknown {
    const device = this.#device;
    const chain = device.pop();
    const buffer = this.#available.shift();
    if (buffer === undefined) {
      expect(chain).toBeUndefined();
      this.#armed.device = this.#wants.device;
      return undefined;
    }
    if (chain === undefined) throw new Error(`nothing popped: ${device.defect}`);
    expect(chain.head).toBe(buffer.id);
    expect(chain.readableLength).toBe(buffer.sent.length);
    const room = buffer.writable.reduce((sum, { length }) => sum + length, 0);
    expect(chain.writableLength).toBe(room);
    expect(chain.count).toBe(buffer.blocks.length);
    const got = new Uint8Array(buffer.sent.length + 3);
    expect(device.read(chain, 0, got)).toBe(buffer.sent.length);
    expect(got.subarray(0, buffer.sent.length)).toEqual(buffer.sent);
    this.#popped.push({ chain, buffer, done: false });
    return [chain.readableCount, chain.readableLength, chain.writableLength, [...got]];
  }

  #push({ pick, stamp, short }: { pick: number; stamp: number; short: number }): void {
    const device = this.#device;
    const held = this.#popped.filter(({ done }) => !done);
    const entry = held[pick % held.length];
    if (entry === undefined) return;
    const { chain, buffer } = entry;
    const answer = pattern(chain.writableLength, stamp);
    const half = answer.length >> 1;
    expect(device.write(chain, 0, answer.subarray(0, half))).toBe(half);
    expect(device.write(chain, half, pattern(answer.length + 9, 0))).toBe(answer.length - half);
    device.write(chain, half, answer.subarray(half));
    buffer.answer = answer;
    buffer.claimed = Math.max(0, answer.length - short);
    device.push(chain, buffer.claimed);
    entry.done = true;
    // In order, it counts as used once all before it are.
    const isNext = (each: Popped, i: number) => each.done && (i === 0 || !this.#config.inOrder);
    for (;;) {
      const at = this.#popped.findIndex(isNext);
      const [used] = at < 0 ? [] : this.#popped.splice(at, 1);
      if (used === undefined) return;
      this.#pushed.push(used.buffer);
    }
  }

  #complete(): void {
    const notify = this.#device.publish();
    const { length } = this.#pushed;
    if (length === 0) expect(notify).toBe(false);
    else if (this.#armed.driver) expect(notify).toBe(true);
    else if (!this.#wants.driver) expect(notify).toBe(false);
    if (length > 0) this.#armed.driver = false;
    this.#used.push(...this.#pushed);
    this.#pushed = [];
  }

  #reap(): unknown {
    const { driver } = this.rig;
    const id = driver.reap();
    const buffer = this.#used.shift();
    if (buffer === undefined) {
      expect(id).toBe(-1);
      this.#armed.driver = this.#wants.driver;
      return undefined;
    }
    expect(id).toBe(buffer.id);
    expect(driver.usedLength).toBe(buffer.claimed);
    const got = buffer.writable.flatMap(({ block, length }) => {
      const at = block.address - block.region.base;
      return [...block.region.bytes.subarray(at, at + length)];
    });
    expect(Uint8Array.from(got)).toEqual(buffer.answer);
    for (const block of buffer.blocks) block.free();
    this.#freeDescriptors += buffer.descriptors;
    return [buffer.claimed, got];
  }

  /** Another device half goes on, where nothing is outstanding; what was pushed it may have to publish. */
  #takeOver(): void {
    const device = this.#device;
    if (this.#popped.length > 0) return;
    const { index, publishedIndex, notifications } = device;
    device.stop();
    const from = { startIndex: index, publishedIndex, notifications };
    this.#device = createDeviceQueue({ ...this.rig.init, ...from });
  }

  #notifications(who: "driver" | "device", on: boolean): void {
    const half = who === "driver" ? this.rig.driver : this.#device;
    const waiting = who === "driver" ? this.#used.length : this.#available.length;
    if (on) expect(half.enableNotifications()).toBe(waiting > 0);
    else half.disableNotifications();
    this.#wants[who] = on;
    this.#armed[who] = on && waiting === 0;
  }

  /** Lets everything that is under way come to its end. */
  finish(): void {
    const { driver, arena } = this.rig;
    const device = this.#device;
    driver.publish();
    for (let chain = device.pop(); chain !== undefined; chain = device.pop()) {
      device.push(chain, 0);
    }
    for (const { chain, done } of this.#popped) if (!done) device.push(chain, 0);
    device.publish();
    while (driver.reap() >= 0);
    expect([driver.free, driver.outstanding, driver.defect]).toEqual([
      this.#config.size,
      0,
      undefined,
    ]);
    const popped = this.#popped.map(({ buffer }) => buffer);
    const all = [...this.#added, ...this.#available, ...popped, ...this.#pushed, ...this.#used];
    for (const { blocks } of all) for (const block of blocks) block.free();
    expect(arena.freeBytes).toBe(this.#atStart);
  }
}
