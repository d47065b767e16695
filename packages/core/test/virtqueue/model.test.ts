import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DmaBlock } from "../../src/memory/index.ts";
import type { Chain } from "../../src/virtqueue/index.ts";
import { makeRig } from "./rig.ts";

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

const configuration = fc.record({
  size: fc.constantFrom(1, 2, 4, 8, 64),
  eventIdx: fc.boolean(),
  indirect: fc.boolean(),
  tableEntries: fc.integer({ min: 0, max: 5 }),
  atomic: fc.boolean(),
  startIndex: fc.constantFrom(0, 1, 0x7fff, 0xfffd, 0xffff),
});

const step = fc.oneof(
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
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("notifications" as const),
      half: fc.constantFrom("driver" as const, "device" as const),
      on: fc.boolean(),
    }),
  },
);

const pattern = (length: number, stamp: number) =>
  Uint8Array.from({ length }, (_, i) => stamp + 13 * i);

describe("driver half against device half", () => {
  it("carries every buffer once, in order, with its bytes, and loses no wake-up", () => {
    fc.assert(
      fc.property(
        configuration,
        fc.array(step, { minLength: 20, maxLength: 150 }),
        (config, steps) => {
          const { tableEntries, ...rest } = config;
          const rig = makeRig(tableEntries > 0 ? { ...rest, tableEntries } : rest);
          const { driver, device, arena, memory } = rig;
          const atStart = arena.freeBytes;

          let added: Buffer[] = [];
          const available: Buffer[] = [];
          const popped: { chain: Chain; buffer: Buffer }[] = [];
          let pushed: Buffer[] = [];
          const used: Buffer[] = [];
          let freeDescriptors = config.size;
          // A half that found its ring empty, with notifications on, is told of what comes next.
          const armed = { driver: false, device: false };
          const wants = { driver: true, device: true };

          for (const action of steps) {
            switch (action.do) {
              case "add": {
                const lengths = [...action.readable, ...action.writable];
                const count = lengths.length;
                if (count === 0 || count > config.size) break;
                const blocks = lengths.map((length) => arena.allocate(length, 1));
                const inTable = config.indirect && count > 1 && count <= tableEntries;
                const descriptors = inTable ? 1 : count;
                const id = driver.add(
                  blocks.map((block) => block.address),
                  lengths,
                  count,
                  action.readable.length,
                );
                if (descriptors > freeDescriptors) {
                  expect(id).toBe(-1);
                  for (const block of blocks) block.free();
                  break;
                }
                expect(id).toBeGreaterThanOrEqual(0);
                expect(id).toBeLessThan(config.size);
                freeDescriptors -= descriptors;
                const sent = action.readable.map((length, i) => pattern(length, action.stamp + i));
                sent.forEach((bytes, i) => void memory.write(blocks[i]?.address as number, bytes));
                added.push({
                  id,
                  sent: Uint8Array.from(sent.flatMap((bytes) => [...bytes])),
                  writable: action.writable.map((length, i) => ({
                    block: blocks[action.readable.length + i] as DmaBlock,
                    length,
                  })),
                  blocks,
                  descriptors,
                  answer: new Uint8Array(0),
                  claimed: 0,
                });
                break;
              }
              case "publish": {
                const notify = driver.publish();
                if (added.length === 0) expect(notify).toBe(false);
                else if (armed.device) expect(notify).toBe(true);
                else if (!wants.device) expect(notify).toBe(false);
                if (added.length > 0) armed.device = false;
                available.push(...added);
                added = [];
                break;
              }
              case "pop": {
                const chain = device.pop();
                const buffer = available.shift();
                if (buffer === undefined) {
                  expect(chain).toBeUndefined();
                  armed.device = wants.device;
                  break;
                }
                if (chain === undefined) throw new Error("nothing popped");
                expect(chain.head).toBe(buffer.id);
                expect(chain.readableLength).toBe(buffer.sent.length);
                const room = buffer.writable.reduce((sum, { length }) => sum + length, 0);
                expect(chain.writableLength).toBe(room);
                expect(chain.count).toBe(buffer.blocks.length);
                const got = new Uint8Array(buffer.sent.length + 3);
                expect(device.read(chain, 0, got)).toBe(buffer.sent.length);
                expect(got.subarray(0, buffer.sent.length)).toEqual(buffer.sent);
                popped.push({ chain, buffer });
                break;
              }
              case "push": {
                if (popped.length === 0) break;
                const [entry] = popped.splice(action.pick % popped.length, 1);
                if (entry === undefined) break;
                const { chain, buffer } = entry;
                const answer = pattern(chain.writableLength, action.stamp);
                const half = answer.length >> 1;
                expect(device.write(chain, 0, answer.subarray(0, half))).toBe(half);
                expect(device.write(chain, half, pattern(answer.length + 9, 0))).toBe(
                  answer.length - half,
                );
                device.write(chain, half, answer.subarray(half));
                buffer.answer = answer;
                buffer.claimed = Math.max(0, answer.length - action.short);
                device.push(chain, buffer.claimed);
                pushed.push(buffer);
                break;
              }
              case "complete": {
                const notify = device.publish();
                if (pushed.length === 0) expect(notify).toBe(false);
                else if (armed.driver) expect(notify).toBe(true);
                else if (!wants.driver) expect(notify).toBe(false);
                if (pushed.length > 0) armed.driver = false;
                used.push(...pushed);
                pushed = [];
                break;
              }
              case "reap": {
                const id = driver.reap();
                const buffer = used.shift();
                if (buffer === undefined) {
                  expect(id).toBe(-1);
                  armed.driver = wants.driver;
                  break;
                }
                expect(id).toBe(buffer.id);
                expect(driver.usedLength).toBe(buffer.claimed);
                const got = buffer.writable.flatMap(({ block, length }) => {
                  const at = block.address - block.region.base;
                  return [...block.region.bytes.subarray(at, at + length)];
                });
                expect(Uint8Array.from(got)).toEqual(buffer.answer);
                for (const block of buffer.blocks) block.free();
                freeDescriptors += buffer.descriptors;
                break;
              }
              case "notifications": {
                const half = action.half === "driver" ? driver : device;
                const waiting = action.half === "driver" ? used.length : available.length;
                if (action.on) expect(half.enableNotifications()).toBe(waiting > 0);
                else half.disableNotifications();
                wants[action.half] = action.on;
                armed[action.half] = action.on && waiting === 0;
                break;
              }
            }
            expect(driver.free).toBe(freeDescriptors);
            expect(device.outstanding).toBe(popped.length);
            expect(driver.outstanding).toBe(
              added.length + available.length + popped.length + pushed.length + used.length,
            );
            expect([driver.defect, device.defect]).toEqual([undefined, undefined]);
          }

          driver.publish();
          for (let chain = device.pop(); chain !== undefined; chain = device.pop()) {
            device.push(chain, 0);
          }
          for (const { chain } of popped) device.push(chain, 0);
          device.publish();
          while (driver.reap() >= 0);
          expect([driver.free, driver.outstanding, driver.defect]).toEqual([
            config.size,
            0,
            undefined,
          ]);
          for (const buffer of [...added, ...available, ...popped.map((entry) => entry.buffer)]) {
            for (const block of buffer.blocks) block.free();
          }
          for (const buffer of [...pushed, ...used]) {
            for (const block of buffer.blocks) block.free();
          }
          expect(arena.freeBytes).toBe(atStart);
        },
      ),
      { numRuns: 300 },
    );
  });

  it.each([1, 2, 1024, 32768])("goes round a ring of %d more often than 16 bits count", (size) => {
    const { driver, device, arena } = makeRig({ size, eventIdx: true });
    const buffer = arena.allocate(8, 8);
    const batch = Math.min(size, 1024);
    let carried = 0;
    while (carried <= 0x10000 + size) {
      for (let i = 0; i < batch; i++) driver.add([buffer.address], [8], 1, 0);
      driver.publish();
      for (let i = 0; i < batch; i++) {
        const chain = device.pop();
        if (chain === undefined) throw new Error(`nothing popped after ${carried + i}`);
        device.push(chain, 8);
      }
      device.publish();
      for (let i = 0; i < batch; i++) if (driver.reap() < 0) throw new Error("nothing reaped");
      carried += batch;
    }
    expect([device.index, driver.free, device.pop(), driver.reap()]).toEqual([
      carried & 0xffff,
      size,
      undefined,
      -1,
    ]);
  });

  it("fills the largest ring, and one chain as long as the ring", () => {
    const size = 32768;
    const { driver, device, arena } = makeRig({ size, startIndex: 0x8000 });
    const { address } = arena.allocate(8, 8);
    for (let i = 0; i < size; i++) expect(driver.add([address], [1], 1, 1)).toBe(i);
    expect(driver.add([address], [1], 1, 1)).toBe(-1);
    driver.publish();
    for (let i = 0; i < size; i++) expect(device.pop()?.head).toBe(i);
    expect([device.pop(), device.outstanding]).toEqual([undefined, size]);

    const other = makeRig({ size });
    const addresses = new Array(size).fill(other.arena.allocate(8, 8).address);
    other.driver.add(addresses, new Array(size).fill(2), size, size - 1);
    other.driver.publish();
    const chain = other.device.pop();
    expect([chain?.count, chain?.readableLength, chain?.writableLength]).toEqual([
      size,
      2 * (size - 1),
      2,
    ]);
    if (chain !== undefined) other.device.push(chain, 2);
    other.device.publish();
    expect([other.driver.reap(), other.driver.free]).toEqual([0, size]);
  });
});
