import { BlockDriver, memoryStorage, SECTOR_SIZE } from "@virtio-admin/devices";
import { describe, expect, it } from "vitest";
import { MEMORY_BASE } from "../../../core/test/direct-transport.ts";
import { expectBytes } from "./expect-bytes.ts";
import { header, heldStorage, join, MEMORY_LENGTH, pattern, RawDriver, setUp } from "./rig.ts";

const [IN, OUT] = [0, 1];
const SECTORS = 64;
const later = () => new Promise((resolve) => setTimeout(resolve, 0));

async function heldRig(queues = 1, queueSize = 256) {
  const bytes = pattern(SECTORS);
  const { storage, held } = heldStorage(bytes);
  const rig = await setUp({ init: { storage, queues }, queues, queueSize });
  return { ...rig, bytes, held, raw: new RawDriver(rig, rig.device.queue(0)) };
}

describe("an asynchronous storage", () => {
  it("completes requests in the order that the storage does", async () => {
    const rig = await heldRig();
    const order: number[] = [];
    const sent = [0, 1, 2].map((sector) =>
      rig.raw.send({ readable: header(IN, sector), writable: 513 }).then((answer) => {
        order.push(sector);
        const at = sector * SECTOR_SIZE;
        expectBytes(answer.bytes.subarray(0, -1), rig.bytes.slice(at, at + SECTOR_SIZE));
      }),
    );
    expect(rig.held).toHaveLength(3);
    await rig.held[1]?.complete();
    await rig.held[1]?.complete();
    await rig.held[0]?.complete();
    await Promise.all(sent);
    expect(order).toEqual([1, 2, 0]);
    await rig.device.close();
  });

  it("answers with IOERR when an operation rejects, with the bytes placed so far", async () => {
    const bytes = new Uint8Array(0x2_0000).fill(7);
    const { storage, held } = heldStorage(bytes);
    const rig = await setUp({ init: { storage } });
    const raw = new RawDriver(rig, rig.device.queue(0));
    const answer = raw.send({ readable: header(IN, 0), writable: bytes.length + 1 });
    await held[0]?.complete();
    await held[0]?.fail();
    expect(await answer).toMatchObject({ status: 1, used: 0x1_0000 });
    await rig.device.close();
  });

  it("has a bounded number of requests with the storage, and serves the rest in time", async () => {
    const rig = await heldRig(2);
    const second = new RawDriver(rig, rig.device.queue(1));
    const request = { readable: header(IN, 0), writable: 513 };
    const answers = [rig.raw, second].flatMap((raw) =>
      Array.from({ length: 80 }, () => raw.send(request)),
    );
    expect(rig.held).toHaveLength(128);
    let most = 0;
    while (rig.held.length > 0) {
      await rig.held[0]?.complete();
      most = Math.max(most, rig.held.length);
    }
    expect(most).toBe(128);
    for (const { status } of await Promise.all(answers)) expect(status).toBe(0);
    await rig.device.close();
  });
});

describe("a reset while requests are with the storage", () => {
  it("leaves guest memory alone, and makes the next driver wait for what is under way", async () => {
    const rig = await heldRig();
    const block = rig.dma.allocate(1024, 1);
    rig.memory.write(block.address, header(IN, 3));
    const { queue } = rig.device.queue(0);
    queue.add([block.address, block.address + 16, block.address + 528], [16, 512, 1], 3, 1);
    rig.device.queue(0).notify();
    void rig.raw.send({ readable: join(header(OUT, 5), pattern(1, 50)), writable: 1 });
    expect(rig.held.map(({ op }) => op)).toEqual(["read", "write"]);
    const [read, write] = rig.held.slice();
    rig.core.reset();
    const device = await rig.up();
    const driver = await BlockDriver.open(device);
    const next = driver.write(5, pattern(1, 60));
    await later();
    // A write of the driver before must not overtake one of this driver.
    expect(rig.held).toHaveLength(2);
    await read?.complete();
    expect(rig.held.map(({ op }) => op)).toEqual(["write"]);
    await write?.complete();
    expect(rig.held.map(({ op }) => op)).toEqual(["write"]);
    await rig.held[0]?.complete();
    await next;
    const at = 5 * SECTOR_SIZE;
    expectBytes(rig.bytes.slice(at, at + SECTOR_SIZE), pattern(1, 60));
    const data = new Uint8Array(513);
    rig.memory.read(block.address + 16, data);
    expect(new Set(data)).toEqual(new Set([0]));
    await device.close();
  });

  it("touches no byte of guest memory when it completes late", async () => {
    const rig = await heldRig();
    for (const sector of [1, 2]) void rig.raw.send({ readable: header(IN, sector), writable: 513 });
    void rig.raw.send({
      readable: join(header(OUT, 3), pattern(200, 9).subarray(0, 512)),
      writable: 1,
    });
    rig.core.reset();
    const guest = () => {
      const bytes = new Uint8Array(MEMORY_LENGTH);
      expect(rig.memory.read(MEMORY_BASE, bytes)).toBe(true);
      return bytes;
    };
    const before = guest();
    await rig.held[2]?.complete();
    await rig.held[0]?.complete();
    await rig.held[0]?.fail();
    expect(rig.held).toHaveLength(0);
    expectBytes(guest(), before);
    expect(rig.core.status).toBe(0);
  });

  it("goes on with a queue that was reset alone, and with the others", async () => {
    const rig = await heldRig(2);
    const second = new RawDriver(rig, rig.device.queue(1));
    let late = false;
    void rig.raw.send({ readable: header(IN, 1), writable: 513 }).then(() => {
      late = true;
    });
    const other = second.send({ readable: header(IN, 2), writable: 513 });
    await rig.device.resetQueue(0);
    const again = new RawDriver(rig, rig.device.queue(0)).send({
      readable: header(IN, 4),
      writable: 513,
    });
    // Held back until the read of the queue before its reset has settled.
    expect(rig.held.map(({ offset }) => offset / SECTOR_SIZE)).toEqual([1, 2]);
    await rig.held[1]?.complete();
    expect((await other).status).toBe(0);
    await rig.held[0]?.complete();
    expect(rig.held.map(({ offset }) => offset / SECTOR_SIZE)).toEqual([4]);
    await rig.held[0]?.complete();
    const answer = await again;
    expectBytes(answer.bytes.subarray(0, -1), pattern(SECTORS).slice(4 * 512, 5 * 512));
    expect(late).toBe(false);
    await rig.device.close();
  });

  it("drops a long request that has given way, and one that is being moved", async () => {
    for (const resetAt of ["between visits", "inside a visit"]) {
      const inner = memoryStorage(new Uint8Array(0x80_0000).fill(3));
      let reads = 0;
      const storage = {
        ...inner,
        read: (offset: number, target: Uint8Array) => {
          reads++;
          if (reads === 32 && resetAt === "inside a visit") rig.core.reset();
          if (reads === 32 && resetAt === "between visits") sendShort();
          return inner.read(offset, target);
        },
      };
      const rig = await setUp({ init: { storage, queues: 2 }, queues: 2 });
      const sendShort = () => {
        const handle = rig.device.queue(1);
        void new RawDriver(rig, handle).send({ readable: header(IN, 0), writable: 513 });
        handle.onUsed = () => rig.core.reset();
      };
      const block = rig.dma.allocate(0x10_0000, 1);
      const frame = rig.dma.allocate(17, 1);
      rig.memory.write(frame.address, header(IN, 0));
      const parts = new Array<number>(8).fill(block.address);
      const addresses = [frame.address, ...parts, frame.address + 16];
      const handle = rig.device.queue(0);
      handle.queue.add(addresses, [16, ...parts.map(() => block.length), 1], 10, 1);
      handle.notify();
      // A visit is of 64 pieces; the short request takes one.
      expect(reads).toBe(resetAt === "inside a visit" ? 32 : 65);
      expect(rig.core.status).toBe(0);
      const driver = await BlockDriver.open(await rig.up());
      expectBytes(await driver.read(1, 1), new Uint8Array(512).fill(3));
    }
  });
});
