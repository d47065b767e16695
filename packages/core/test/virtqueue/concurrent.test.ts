/** Queues in memory that the other half reaches at the same time. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { createGuestMemory } from "../../src/memory/index.ts";
import { createDeviceQueue, createDriverQueue, type QueueInit } from "../../src/virtqueue/index.ts";

const BASE = 0x1000;
const LENGTH = 0x1000;
const AVAIL_IDX = 0x402;
const USED_FLAGS = 0x800;
const AVAIL_FLAGS = 0x400;
const USED_IDX = 0x802;
/** With 8 entries: behind the ring of 16, and of 64 bytes. */
const USED_EVENT = 0x400 + 4 + 16;
const AVAIL_EVENT = 0x800 + 4 + 64;

interface Options {
  readonly eventIdx?: boolean;
  /** Which 1 KiB of memory is concurrent: the table's, the available ring's, the used ring's. */
  readonly concurrent?: readonly boolean[];
}

function initOf({ eventIdx = false, concurrent = [true, true, true] }: Options): QueueInit {
  const bytes = new Uint8Array(LENGTH);
  const memory = createGuestMemory(
    concurrent.map((each, i) => ({
      base: BASE + i * 0x400,
      bytes: bytes.subarray(i * 0x400, (i + 1) * 0x400),
      concurrent: each,
    })),
  );
  return {
    size: 8,
    memory,
    descriptorArea: BASE,
    driverArea: BASE + AVAIL_FLAGS,
    deviceArea: BASE + USED_FLAGS,
    eventIdx,
    indirect: false,
  };
}

/** Writes down what is done with Atomics, by the offset of the byte. */
function watch(): string[] {
  const done: string[] = [];
  const { load, store } = Atomics;
  const at = (words: { byteOffset: number }, index: number) => words.byteOffset + 2 * index;
  vi.spyOn(Atomics, "load").mockImplementation(((words: Uint16Array, index: number) => {
    done.push(`load ${at(words, index)}`);
    return load(words, index);
  }) as typeof Atomics.load);
  vi.spyOn(Atomics, "store").mockImplementation(((words: Uint16Array, i: number, value: number) => {
    done.push(`store ${at(words, i)}`);
    return store(words, i, value);
  }) as typeof Atomics.store);
  return done;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a queue in concurrent memory", () => {
  it.each([
    { eventIdx: false, wish: USED_FLAGS },
    { eventIdx: true, wish: AVAIL_EVENT },
  ])(
    "[split-notify-driver-1+] shows the device what is available before it looks whether to notify: %o",
    (options) => {
      const driver = createDriverQueue(initOf(options));
      driver.add([BASE], [16], 1, 0);
      const done = watch();
      expect(driver.publish()).toBe(true);
      expect(done).toEqual([`store ${AVAIL_IDX}`, `load ${options.wish}`]);
    },
  );

  it.each([
    { eventIdx: false, wish: AVAIL_FLAGS },
    { eventIdx: true, wish: USED_EVENT },
  ])("shows the driver what is used before it looks whether to interrupt: %o", (options) => {
    const init = initOf(options);
    const driver = createDriverQueue(init);
    const device = createDeviceQueue(init);
    driver.add([BASE], [16], 1, 0);
    driver.publish();
    const chain = device.pop();
    if (chain === undefined) throw new Error("no chain");
    device.push(chain, 0);
    const done = watch();
    expect(device.publish()).toBe(true);
    expect(done).toEqual([`store ${USED_IDX}`, `load ${options.wish}`]);
  });

  it("asks for notifications before it looks for the last time", () => {
    for (const eventIdx of [false, true]) {
      const init = initOf({ eventIdx });
      const driver = createDriverQueue(init);
      const device = createDeviceQueue(init);
      driver.disableNotifications();
      device.disableNotifications();
      const done = watch();
      expect([driver.enableNotifications(), device.enableNotifications()]).toEqual([false, false]);
      expect(done.filter((each) => each.startsWith("store")).length).toBe(2);
      for (const [wish, index] of eventIdx
        ? [
            [USED_EVENT, USED_IDX],
            [AVAIL_EVENT, AVAIL_IDX],
          ]
        : [
            [AVAIL_FLAGS, USED_IDX],
            [USED_FLAGS, AVAIL_IDX],
          ]) {
        expect(done.lastIndexOf(`load ${index}`)).toBeGreaterThan(done.indexOf(`store ${wish}`));
      }
      vi.restoreAllMocks();
    }
  });

  it.each([
    { concurrent: [false, false, false] },
    { concurrent: [false, true, true] },
    { concurrent: [true, false, true] },
    { concurrent: [true, true, false] },
  ])("is one only when all of it is there: %o", (options) => {
    const done = watch();
    const driver = createDriverQueue(initOf(options));
    driver.add([BASE], [16], 1, 0);
    driver.publish();
    expect(done).toEqual([]);
  });
});
