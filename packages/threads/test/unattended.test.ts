/**
 * Rings that nobody steps through: one half is ours and the other is worked by hand, each in a thread
 * of its own and at its own pace. With event indexes both sides write what they ask for and look
 * again; a half that lets the two pass each other sleeps for good.
 */
import {
  bringUp,
  DmaArena,
  FEATURE,
  type FeatureSet,
  type QueueDoorbell,
  STATUS,
} from "@virtio-admin/core";
import { fence, HandPackedRing, HandRing, type UsedEntry } from "@virtio-admin/testkit";
import { MmioDriver } from "@virtio-admin/transport-mmio";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { DeviceThread } from "../src/index.ts";
import { type Bundle, bundle } from "./bundle.ts";
import { passes, passesPacked, QUEUE, type Unattended } from "./unattended.ts";

const BASE = 0x8000_0000;
const BYTES = 4 << 20;
const PROBE_DEVICE_ID = 0x3f;
const ROUNDS = 500;
/** How many turns of the event loop are taken at once, and how many a millisecond apart after that. */
const QUICK_TURNS = 1000;
const SLOW_TURNS = 10_000;
const LENGTH = 4;

let program: Bundle;
beforeAll(async () => {
  program = await bundle("unattended-worker");
});
afterAll(() => program.remove());

const threads: DeviceThread[] = [];
afterEach(async () => {
  for (const thread of threads.splice(0)) await thread.close();
});

async function start(data: Unattended, polls: number) {
  const thread = await DeviceThread.start(program.url, { memoryBytes: BYTES, polls, data });
  threads.push(thread);
  const dma = new DmaArena(thread.memory, BASE, BYTES);
  return { dma, driver: new MmioDriver({ bus: thread.bus, dma }) };
}

const COMBINATIONS = [false, true].flatMap((packed) =>
  [0, 4000].map((polls) => [packed ? "packed" : "split", polls, packed] as const),
);

describe("our device half, and a driver that is worked by hand", () => {
  it.each(COMBINATIONS)(
    "exchange all buffers over a %s ring, %i polls",
    async (_, polls, packed) => {
      const { dma, driver } = await start({ ours: "device", packed }, polls);
      await driver.open();
      await driver.listen({
        usedBuffers: () => undefined,
        configurationChange: () => undefined,
        failed: () => undefined,
      });
      await driver.reset();
      const features = await acceptAll(driver);
      expect(features.has(FEATURE.VIRTIO_F_RING_PACKED)).toBe(packed);
      expect(features.has(FEATURE.VIRTIO_F_EVENT_IDX)).toBe(true);
      const ring = packed ? new HandPackedRing(dma, QUEUE.size) : new HandRing(dma, QUEUE.size);
      const doorbell = await driver.enableQueue(QUEUE.index, QUEUE.size, ring.areas);
      await driver.writeStatus(await withBit(driver, STATUS.DRIVER_OK));

      let rang = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const count = 1 + (round % 3);
        const bytes = Uint8Array.from({ length: LENGTH }, (_, i) => round + i);
        const buffers = Array.from({ length: count }, () => {
          const before = positionOf(ring);
          const buffer = ring.add([bytes], [LENGTH]);
          if (notifies(ring, before, doorbell)) rang++;
          return buffer;
        });
        const used = await takeAll(ring, count, `round ${round}`);
        expect(used.map(({ id }) => id).sort()).toEqual(buffers.map(({ head }) => head).sort());
        for (const buffer of buffers) expect(buffer.written()).toEqual(bytes);
      }
      expect(rang).toBeGreaterThan(0);
    },
  );
});

describe("our driver half, and a device that is worked by hand", () => {
  it.each(COMBINATIONS)(
    "exchange all buffers over a %s ring, %i polls",
    async (_, polls, packed) => {
      const { dma, driver } = await start({ ours: "driver", packed }, polls);
      const driven = await bringUp(driver, {
        deviceId: PROBE_DEVICE_ID,
        queues: [{ index: QUEUE.index, size: QUEUE.size }],
      });
      expect(driven.features.has(FEATURE.VIRTIO_F_RING_PACKED)).toBe(packed);
      expect(driven.features.has(FEATURE.VIRTIO_F_EVENT_IDX)).toBe(true);
      const handle = driven.queue(QUEUE.index);
      const source = dma.allocate(LENGTH, 8);
      const targets = [0, 1, 2].map(() => dma.allocate(LENGTH, 8));
      const used: number[] = [];
      let interrupts = 0;
      handle.onUsed = () => {
        interrupts++;
        for (let id = handle.reap(); id >= 0; id = handle.reap()) used.push(id);
      };
      const answer = new Uint8Array(LENGTH);
      for (let round = 0; round < ROUNDS; round++) {
        const bytes = Uint8Array.from({ length: LENGTH }, (_, i) => round + i);
        dma.memory.write(source.address, bytes);
        const asked = targets.slice(0, 1 + (round % 3));
        used.length = 0;
        const ids = asked.map(({ address }) => {
          const id = handle.queue.add([source.address, address], [LENGTH, LENGTH], 2, 1);
          handle.notify();
          return id;
        });
        await within(`round ${round}`, () => used.length === ids.length);
        expect([...used].sort()).toEqual([...ids].sort());
        for (const { address } of asked) {
          dma.memory.read(address, answer);
          expect(answer).toEqual(bytes.map((byte) => ~byte));
        }
      }
      expect(interrupts).toBeGreaterThan(0);
      expect(driven.state).toBe("live");
      await driven.close();
    },
  );
});

async function acceptAll(driver: MmioDriver): Promise<FeatureSet> {
  await driver.writeStatus(STATUS.ACKNOWLEDGE);
  await driver.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
  const features = (await driver.readFeatures()).intersect(driver.allowedFeatures);
  await driver.writeFeatures(features);
  await driver.writeStatus(await withBit(driver, STATUS.FEATURES_OK));
  return features;
}

async function withBit(driver: MmioDriver, bit: number): Promise<number> {
  return (await driver.readStatus()) | bit;
}

/** Where the next buffer will stand. */
function positionOf(ring: HandRing | HandPackedRing): number {
  return ring instanceof HandRing ? ring.availableIndex : ring.position;
}

/** Notifies the device of a buffer that was added, if that is what it asks for. */
function notifies(
  ring: HandRing | HandPackedRing,
  before: number,
  doorbell: QueueDoorbell,
): boolean {
  fence();
  const isAsked =
    ring instanceof HandRing
      ? passes(ring.availableEvent, ring.availableIndex, before)
      : passesPacked(ring.deviceEvent, ring.position, 2);
  if (isAsked) doorbell.ring();
  return isAsked;
}

async function takeAll(
  ring: HandRing | HandPackedRing,
  count: number,
  what: string,
): Promise<UsedEntry[]> {
  const used: UsedEntry[] = [];
  await within(what, () => {
    for (let look = 0; look < 200; look++) {
      fence();
      used.push(...ring.takeUsed());
      if (used.length >= count) return true;
    }
    return false;
  });
  return used;
}

/** Waits until `condition` holds; an answer that takes longer than ten seconds is lost. */
async function within(what: string, condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < QUICK_TURNS + SLOW_TURNS; turn++) {
    if (condition()) return;
    await new Promise((resolve) => {
      if (turn < QUICK_TURNS) setImmediate(resolve);
      else setTimeout(resolve, 1);
    });
  }
  throw new Error(`${what}: an answer is lost`);
}
