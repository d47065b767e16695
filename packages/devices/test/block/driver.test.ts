import { bringUp, type DeviceModel, FEATURE, VirtioDevice } from "@virtio-admin/core";
import {
  BLOCK_DRIVER_FEATURES,
  BLOCK_FEATURE,
  BlockDriver,
  type BlockDriverOptions,
  createBlock,
  createEntropy,
  memoryStorage,
  SECTOR_SIZE,
} from "@virtio-admin/devices";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DirectTransport, makeMemory } from "../../../core/test/direct-transport.ts";
import { expectBytes } from "./expect-bytes.ts";
import { heldStorage, MEMORY_LENGTH, pattern, type SetUpOptions, setUp } from "./rig.ts";

const SECTORS = 64;
const { VIRTIO_F_EVENT_IDX, VIRTIO_F_IN_ORDER, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_RING_PACKED } =
  FEATURE;

async function open(setup: SetUpOptions = {}, options: BlockDriverOptions = {}) {
  const rig = await setUp(setup);
  return { ...rig, driver: await BlockDriver.open(rig.device, options) };
}

describe("the block driver", () => {
  it("reads and writes as a model does, however requests, queues and limits are laid out", async () => {
    const configuration = fc.record({
      queues: fc.integer({ min: 1, max: 3 }),
      queueSize: fc.constantFrom(4, 8, 64),
      sizeMax: fc.constantFrom(undefined, 200, 512, 1000, 65536),
      requestSize: fc.constantFrom(512, 1024, 4096, 65536),
      depth: fc.integer({ min: 1, max: 9 }),
      ring: fc.subarray([
        VIRTIO_F_EVENT_IDX,
        VIRTIO_F_INDIRECT_DESC,
        VIRTIO_F_RING_PACKED,
        VIRTIO_F_IN_ORDER,
      ]),
      features: fc.subarray([...BLOCK_DRIVER_FEATURES]),
      isSync: fc.boolean(),
    });
    const step = fc.record({
      op: fc.constantFrom("read" as const, "write" as const, "flush" as const, "many" as const),
      sector: fc.nat(SECTORS - 1),
      count: fc.nat(20),
      stamp: fc.nat(255),
    });
    await fc.assert(
      fc.asyncProperty(
        configuration,
        fc.array(step, { maxLength: 30 }),
        async (
          { queues, queueSize, sizeMax, requestSize, depth, ring, features, isSync },
          steps,
        ) => {
          // A segment below the size of a sector needs several of them.
          fc.pre(queueSize > 4 || (sizeMax ?? 512) >= 512);
          const model = pattern(SECTORS);
          const inner = memoryStorage(model.slice());
          const storage = isSync
            ? inner
            : {
                length: inner.length,
                read: async (offset: number, target: Uint8Array) => inner.read(offset, target),
                write: async (offset: number, source: Uint8Array) => inner.write(offset, source),
                flush: async () => undefined,
              };
          const needsSegments = features.includes(BLOCK_FEATURE.VIRTIO_BLK_F_SIZE_MAX)
            ? [BLOCK_FEATURE.VIRTIO_BLK_F_SEG_MAX]
            : [];
          const rig = await open(
            {
              init: { storage, queues, queueSize, ...(sizeMax === undefined ? {} : { sizeMax }) },
              queues,
              queueSize,
              features: [...features, ...needsSegments],
              ringFeatures: ring,
            },
            { requestSize, depth },
          );
          const { driver } = rig;
          expect(driver.capacity).toBe(SECTORS);
          const withQueues = features.includes(BLOCK_FEATURE.VIRTIO_BLK_F_MQ) ? queues : 1;
          expect(driver.queueCount).toBe(withQueues);
          for (const { op, sector, count, stamp } of steps) {
            const fits = Math.min(count, SECTORS - sector);
            if (op === "read") {
              const bytes = await driver.read(sector, fits);
              const at = sector * SECTOR_SIZE;
              expectBytes(bytes, model.subarray(at, at + fits * SECTOR_SIZE));
            } else if (op === "write") {
              const bytes = pattern(fits, stamp);
              model.set(bytes, sector * SECTOR_SIZE);
              await driver.write(sector, bytes);
            } else if (op === "flush") {
              await driver.flush();
            } else {
              const reads = Array.from({ length: count }, (_, i) =>
                driver.read((sector + i) % SECTORS, 1),
              );
              (await Promise.all(reads)).forEach((bytes, i) => {
                const at = ((sector + i) % SECTORS) * SECTOR_SIZE;
                expectBytes(bytes, model.subarray(at, at + SECTOR_SIZE));
              });
            }
          }
          expectBytes(inner.bytes, model);
          driver.close();
          await rig.device.close();
          expect((rig.dma as { freeBytes: number }).freeBytes).toBe(MEMORY_LENGTH);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("keeps the limits of the device", async () => {
    const rig = await open({ init: { sizeMax: 600, segMax: 3 } }, { requestSize: 65536 });
    await rig.driver.read(0, 10);
    const lengths = rig.trace.events.flatMap((event) =>
      event.op === "buffer" ? [event.descriptors.map(({ length }) => length)] : [],
    );
    // 3 segments of 600 bytes hold three sectors.
    const full = [16, 600, 600, 336, 1];
    expect(lengths).toEqual([full, full, full, [16, 512, 1]]);
    await rig.device.close();
  });

  it.each([
    ["[packed-list-driver-1+]", [VIRTIO_F_RING_PACKED]],
    ["[packed-indirect-driver-3+]", [VIRTIO_F_RING_PACKED, VIRTIO_F_INDIRECT_DESC]],
  ])("%s keeps to the device's number of segments over packed rings", async (_, ringFeatures) => {
    const init = { sizeMax: 100, segMax: 6 };
    const rig = await open({ init, ringFeatures }, { requestSize: 65536 });
    expect(rig.device.features.has(VIRTIO_F_RING_PACKED)).toBe(true);
    await rig.driver.write(0, pattern(5));
    const lengths = rig.trace.events.flatMap((event) =>
      event.op === "buffer" ? [event.descriptors.length] : [],
    );
    // Six segments of 100 bytes hold one sector, header and status aside.
    expect(lengths).toEqual(new Array(5).fill(2 + init.segMax));
    await rig.device.close();
  });

  it.each([false, true])(
    "[reserved-features-device-5+] has requests answered in order, whichever is done first (packed %s)",
    async (packed) => {
      const { storage, held } = heldStorage(pattern(SECTORS));
      const ringFeatures = [VIRTIO_F_IN_ORDER, ...(packed ? [VIRTIO_F_RING_PACKED] : [])];
      const rig = await open({ init: { storage }, ringFeatures }, { depth: 4 });
      const answered: number[] = [];
      const reads = [0, 1, 2, 3].map(async (sector) => {
        expectBytes(
          await rig.driver.read(sector, 1),
          pattern(SECTORS).subarray(sector * SECTOR_SIZE, (sector + 1) * SECTOR_SIZE),
        );
        answered.push(sector);
      });
      await new Promise((later) => setTimeout(later, 0));
      expect(held.map(({ offset }) => offset / SECTOR_SIZE)).toEqual([0, 1, 2, 3]);
      for (const [number, done] of [
        [3, []],
        [1, []],
        [0, [0, 1]],
        [2, [0, 1, 2, 3]],
      ] as const) {
        const request = held.find(({ offset }) => offset === number * SECTOR_SIZE);
        await request?.complete();
        await new Promise((later) => setTimeout(later, 0));
        expect(answered).toEqual(done);
      }
      await Promise.all(reads);
      await rig.device.close();
    },
  );

  it("spreads outstanding requests over the queues", async () => {
    const { storage, held } = heldStorage(pattern(SECTORS));
    const rig = await open({ init: { storage, queues: 3 }, queues: 3 }, { depth: 2 });
    const reads = Promise.all(Array.from({ length: 7 }, (_, i) => rig.driver.read(i, 1)));
    await new Promise((later) => setTimeout(later, 0));
    expect(held.map(({ offset }) => offset / SECTOR_SIZE)).toEqual([0, 1, 2, 3, 4, 5]);
    const used = new Set(rig.transport.rings.map(({ queue }) => queue));
    expect([...used].sort()).toEqual([0, 1, 2]);
    while (held.length > 0) await held.at(-1)?.complete();
    (await reads).forEach((bytes, i) => {
      expectBytes(bytes, pattern(SECTORS).subarray(i * SECTOR_SIZE, (i + 1) * SECTOR_SIZE));
    });
    await rig.device.close();
  });

  it("tells the ID, the block size and whether the device is read-only", async () => {
    const rig = await open({ init: { id: "disk 7", blockSize: 4096 } });
    expect(await rig.driver.id()).toBe("disk 7");
    expect(rig.driver.blockSize).toBe(4096);
    expect(rig.driver.readonly).toBe(false);
    await rig.device.close();
    const full = await open({
      init: { id: "12345678901234567890", storage: { ...memoryStorage(512), readonly: true } },
    });
    expect(await full.driver.id()).toBe("12345678901234567890");
    expect(full.driver.readonly).toBe(true);
    await expect(full.driver.write(0, new Uint8Array(512))).rejects.toMatchObject({
      code: "BLOCK_IO",
      message: expect.stringContaining("read-only"),
    });
    await full.device.close();
  });

  it("rejects what the storage fails, with the rest of the call still settled", async () => {
    const inner = memoryStorage(SECTORS * SECTOR_SIZE);
    let reads = 0;
    const storage = {
      length: inner.length,
      read: async (offset: number, target: Uint8Array) => {
        reads++;
        if (offset === SECTOR_SIZE) throw new Error("bad sector");
        inner.read(offset, target);
      },
      write: inner.write,
      flush: async () => {
        throw new Error("no flush today");
      },
    };
    const rig = await open({ init: { storage } }, { requestSize: 512 });
    await expect(rig.driver.read(0, 4)).rejects.toMatchObject({ code: "BLOCK_IO", value: 1 });
    expect(reads).toBe(4);
    await expect(rig.driver.flush()).rejects.toMatchObject({ code: "BLOCK_IO" });
    expect(await rig.driver.read(2, 1)).toHaveLength(512);
    await rig.device.close();
  });

  it("rejects arguments that cannot be, and sends nothing", async () => {
    const rig = await open();
    const { driver } = rig;
    const sent = rig.transport.rings.length;
    const calls: [string, () => Promise<unknown>][] = [
      ["a negative sector", () => driver.read(-1, 1)],
      ["half a sector", () => driver.read(0.5, 1)],
      ["a read across the end", () => driver.read(SECTORS, 1)],
      ["a count below 0", () => driver.read(0, -1)],
      ["no number", () => driver.read(Number.NaN, 1)],
      ["an odd write", () => driver.write(0, new Uint8Array(100))],
      ["a write across the end", () => driver.write(SECTORS - 1, new Uint8Array(1024))],
    ];
    for (const [, call] of calls)
      await expect(call()).rejects.toMatchObject({ code: "VALUE_RANGE" });
    expect(rig.transport.rings.length).toBe(sent);
    expect(await driver.read(SECTORS, 0)).toHaveLength(0);
    const options: BlockDriverOptions[] = [
      { depth: 0 },
      { requestSize: 100 },
      { requestSize: 2 ** 27 },
      { timeout: 0 },
    ];
    for (const each of options) {
      await expect(BlockDriver.open(rig.device, each)).rejects.toMatchObject({
        code: "VALUE_RANGE",
      });
    }
    driver.close();
    await expect(driver.read(0, 1)).rejects.toMatchObject({ code: "DRIVER_STATE" });
    await rig.device.close();
  });

  it("serves only a block device, and one that a request can be made for", async () => {
    const { memory, dma } = makeMemory(MEMORY_LENGTH);
    const entropy = new VirtioDevice({ model: createEntropy(), memory });
    const other = await bringUp(new DirectTransport(entropy, dma), { queues: [{ index: 0 }] });
    await expect(BlockDriver.open(other)).rejects.toMatchObject({ code: "DEVICE_UNKNOWN" });
    await other.close();
    const narrow = await setUp({ queueSize: 2 });
    await expect(BlockDriver.open(narrow.device)).rejects.toMatchObject({ code: "DEVICE_FAILED" });
    await narrow.device.close();
    const tiny = await setUp({ init: { sizeMax: 100, segMax: 5 } });
    await expect(BlockDriver.open(tiny.device)).rejects.toMatchObject({ code: "DEVICE_FAILED" });
    await tiny.device.close();
  });

  it("follows a capacity that changes", async () => {
    const model = createBlock({ storage: memoryStorage(4 * SECTOR_SIZE) });
    let host: Parameters<DeviceModel["attach"]>[0] | undefined;
    const attach = model.attach.bind(model);
    model.attach = (given) => {
      host = given;
      attach(given);
    };
    const rig = await open({ model });
    expect(rig.driver.capacity).toBe(4);
    model.config?.update((view) => view.setUint32(0, 2, true));
    host?.configChanged();
    await new Promise((later) => setTimeout(later, 10));
    expect(rig.driver.capacity).toBe(2);
    await rig.device.close();
  });
});

describe("the block driver before an odd device", () => {
  /** A block device that answers a status of the test's choice, claims a length, or never answers. */
  function odd(answer: { status: number; used: number } | undefined): DeviceModel {
    const model = createBlock({ storage: memoryStorage(SECTORS * SECTOR_SIZE) });
    let host: Parameters<DeviceModel["attach"]>[0] | undefined;
    model.attach = (given) => {
      host = given;
    };
    model.queueNotified = (index) => {
      const queue = host?.queue(index);
      if (queue === undefined || answer === undefined) return;
      for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
        if (answer.status >= 0) {
          queue.write(chain, chain.writableLength - 1, Uint8Array.of(answer.status));
        }
        queue.push(chain, answer.used);
      }
      host?.publish(index);
    };
    return model;
  }

  it.each([
    ["an unknown status", { status: 3, used: 513 }, "BLOCK_IO", 3],
    ["UNSUPP", { status: 2, used: 513 }, "BLOCK_IO", 2],
    ["no status at all", { status: -1, used: 513 }, "BLOCK_IO", 0xff],
    ["fewer bytes than asked for", { status: 0, used: 512 }, "DEVICE_FAILED", undefined],
  ])("rejects %s", async (_name, answer, code, value) => {
    const rig = await open({ model: odd(answer) });
    await expect(rig.driver.read(0, 1)).rejects.toMatchObject({ code, value });
    await rig.device.close();
  });

  it("gives up on a device that does not answer, and keeps the memory that it has", async () => {
    const rig = await open({ model: odd(undefined) }, { timeout: 20, depth: 2 });
    const free = (rig.dma as { freeBytes: number }).freeBytes;
    await expect(rig.driver.read(0, 1)).rejects.toMatchObject({ code: "DEVICE_FAILED" });
    rig.driver.close();
    const back = (rig.dma as { freeBytes: number }).freeBytes - free;
    // One slot of the two is with the device.
    expect(back).toBeGreaterThan(0x1_0000);
    expect(back).toBeLessThan(2 * 0x1_0000);
    await rig.device.close();
  });

  it("rejects everything outstanding when the device fails, and on close", async () => {
    const { storage } = heldStorage(pattern(SECTORS));
    const rig = await open({ init: { storage } }, { depth: 1 });
    const both = Promise.allSettled([rig.driver.read(0, 1), rig.driver.read(1, 1)]);
    rig.transport.listener?.failed(new Error("the bus is gone") as never);
    for (const { status } of await both) expect(status).toBe("rejected");
    await expect(rig.driver.flush()).rejects.toMatchObject({ code: "DEVICE_FAILED" });
    const again = await open({ init: { storage } }, { depth: 1 });
    const more = Promise.allSettled([again.driver.read(0, 1), again.driver.flush()]);
    again.driver.close();
    again.driver.close();
    for (const each of await more) {
      expect(each).toMatchObject({ status: "rejected", reason: { code: "DRIVER_STATE" } });
    }
    await again.device.close();
  });
});
