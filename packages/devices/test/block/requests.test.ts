import { FEATURE } from "@virtio-admin/core";
import { BLOCK_FEATURE, memoryStorage, SECTOR_SIZE } from "@virtio-admin/devices";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectBytes } from "./expect-bytes.ts";
import {
  header,
  join,
  pattern,
  RawDriver,
  type RawRequest,
  type SetUpOptions,
  setUp,
} from "./rig.ts";

const [IN, OUT, FLUSH, GET_ID] = [0, 1, 4, 8];
const [OK, IOERR, UNSUPP] = [0, 1, 2];
const SECTORS = 64;

async function rawRig(options: SetUpOptions = {}) {
  const content = pattern(SECTORS);
  const storage = memoryStorage(content.slice());
  const rig = await setUp({ ...options, init: { storage, ...options.init } });
  return { ...rig, content, bytes: storage.bytes, raw: new RawDriver(rig, rig.device.queue(0)) };
}

describe("requests in any split", () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 600 }), { maxLength: 5 });
  const split = (length: number, sizes: readonly number[]) =>
    sizes.length === 0 ? 1 : Math.ceil(length / Math.min(...sizes));

  it("reads, writes and identifies itself however the driver cuts its buffers", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(IN, OUT, GET_ID, FLUSH),
        fc.nat(SECTORS - 4),
        fc.integer({ min: 0, max: 4 }),
        cuts,
        cuts,
        fc.boolean(),
        async (type, sector, count, readableCuts, writableCuts, indirect) => {
          const data = type === OUT ? pattern(count, 99) : new Uint8Array(0);
          const readable = join(header(type, sector), data);
          const writable = { [IN]: count * SECTOR_SIZE, [GET_ID]: 20 }[type] ?? 0;
          const segments = split(readable.length, readableCuts) + split(writable + 1, writableCuts);
          fc.pre(segments <= 256);
          const rig = await rawRig({
            init: { id: "odd splits" },
            queueSize: 256,
            ringFeatures: indirect ? [FEATURE.VIRTIO_F_INDIRECT_DESC] : [],
          });
          const answer = await rig.raw.send({
            readable,
            writable: writable + 1,
            readableCuts,
            writableCuts,
          });
          expect(answer.status).toBe(OK);
          expect(answer.used).toBe(writable + 1);
          const start = sector * SECTOR_SIZE;
          const expected = rig.content.slice();
          if (type === OUT) expected.set(data, start);
          expectBytes(rig.bytes, expected);
          const got = answer.bytes.subarray(0, -1);
          if (type === IN) expectBytes(got, rig.content.subarray(start, start + writable));
          if (type === GET_ID)
            expect(Buffer.from(got).toString()).toBe("odd splits".padEnd(20, "\0"));
          await rig.device.close();
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe("requests that cannot be carried out", () => {
  const out = (sector: number | bigint, data: Uint8Array) => join(header(OUT, sector), data);
  const table: [string, RawRequest, number | undefined, number][] = [
    ["a read of the last sector", { readable: header(IN, 63), writable: 513 }, OK, 513],
    ["a read of no sector", { readable: header(IN, 64), writable: 1 }, OK, 1],
    ["a read that begins at the end", { readable: header(IN, 64), writable: 513 }, IOERR, 0],
    ["a read that crosses the end", { readable: header(IN, 63), writable: 1025 }, IOERR, 0],
    ["a read of no sector beyond the end", { readable: header(IN, 65), writable: 1 }, IOERR, 1],
    ["a read of more than there is", { readable: header(IN, 0), writable: 65 * 512 + 1 }, IOERR, 0],
    ["a sector of 2^53", { readable: header(IN, 2n ** 53n), writable: 513 }, IOERR, 0],
    ["the highest sector", { readable: header(IN, 2n ** 64n - 1n), writable: 513 }, IOERR, 0],
    ["a sector that wraps in bytes", { readable: header(IN, 2n ** 55n), writable: 513 }, IOERR, 0],
    ["a write of the last sector", { readable: out(63, pattern(1)), writable: 1 }, OK, 1],
    ["a write at the end", { readable: out(64, pattern(1)), writable: 1 }, IOERR, 1],
    ["a write that crosses the end", { readable: out(63, pattern(2)), writable: 1 }, IOERR, 1],
    [
      "a write of the highest sector",
      { readable: out(2n ** 64n - 1n, pattern(1)), writable: 1 },
      IOERR,
      1,
    ],
    ["a read of 511 bytes", { readable: header(IN, 0), writable: 512 }, IOERR, 0],
    ["a read of 513 bytes", { readable: header(IN, 0), writable: 514 }, IOERR, 0],
    ["a write of 100 bytes", { readable: out(0, new Uint8Array(100)), writable: 1 }, IOERR, 1],
    ["a write of 513 bytes", { readable: out(0, new Uint8Array(513)), writable: 1 }, IOERR, 1],
    ["an ID of 19 bytes", { readable: header(GET_ID, 0), writable: 20 }, IOERR, 0],
    ["an ID of 21 bytes", { readable: header(GET_ID, 0), writable: 22 }, IOERR, 0],
    ["an ID of no byte", { readable: header(GET_ID, 0), writable: 1 }, IOERR, 1],
    ["no header", { readable: new Uint8Array(0), writable: 513 }, IOERR, 0],
    ["15 bytes of a header", { readable: header(IN, 0).subarray(0, 15), writable: 513 }, IOERR, 0],
    ["one byte of a header", { readable: header(IN, 0).subarray(0, 1), writable: 1 }, IOERR, 1],
    ["no place for a status", { readable: header(IN, 0), writable: 0 }, undefined, 0],
    ["a write without a status", { readable: out(0, pattern(1)), writable: 0 }, undefined, 0],
    ["a legacy SCSI command", { readable: header(2, 0), writable: 1 }, UNSUPP, 1],
    ["a legacy flush", { readable: header(5, 0), writable: 1 }, UNSUPP, 1],
    ["a lifetime", { readable: header(10, 0), writable: 7 }, UNSUPP, 0],
    ["a discard", { readable: join(header(11, 0), new Uint8Array(16)), writable: 1 }, UNSUPP, 1],
    ["zeroes", { readable: join(header(13, 0), new Uint8Array(16)), writable: 1 }, UNSUPP, 1],
    ["a zone report", { readable: header(16, 0), writable: 513 }, UNSUPP, 0],
    ["a zone reset", { readable: header(24, 0), writable: 1 }, UNSUPP, 1],
    ["a barrier", { readable: header(0x80000001, 0), writable: 1 }, UNSUPP, 1],
    ["the highest type", { readable: header(0xffffffff, 0), writable: 1 }, UNSUPP, 1],
  ];

  it.each(table)("%s", async (_name, request, status, used) => {
    const rig = await rawRig();
    const answer = await rig.raw.send(request);
    expect(answer.status).toBe(status);
    expect(answer.used).toBe(used);
    if (status !== OK) {
      expectBytes(rig.bytes, rig.content);
      // Not a byte of data is written where the request failed.
      expect(new Set(answer.bytes.subarray(0, -1)).size).toBeLessThanOrEqual(1);
      for (const byte of answer.bytes.subarray(0, -1)) expect(byte).toBe(0xee);
    }
    // The queue goes on.
    const next = await rig.raw.send({ readable: header(IN, 1), writable: 513 });
    expect(next.status).toBe(OK);
    expectBytes(next.bytes.subarray(0, 512), rig.bytes.slice(512, 1024));
    expect(rig.core.status & 0x40).toBe(0);
    await rig.device.close();
  });

  it("survives any request, never writes beyond what was asked, and answers all of them", async () => {
    const request = fc.record({
      type: fc.oneof(fc.constantFrom(IN, OUT, FLUSH, GET_ID), fc.nat(0xffffffff)),
      sector: fc.oneof(
        fc.nat(SECTORS + 2).map(BigInt),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      ),
      headerLength: fc.oneof(
        { weight: 4, arbitrary: fc.constant(16) },
        { weight: 1, arbitrary: fc.nat(16) },
      ),
      data: fc.oneof(
        fc.nat(1600),
        fc.nat(3).map((count) => count * SECTOR_SIZE),
      ),
      writable: fc.oneof(
        fc.nat(1600),
        fc.nat(3).map((count) => count * SECTOR_SIZE + 1),
      ),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 20 }), async (requests) => {
        const rig = await rawRig();
        const expected = rig.content.slice();
        for (const { type, sector, headerLength, data, writable } of requests) {
          const payload = pattern(4, 77).subarray(0, headerLength === 16 ? data : 0);
          const readable = join(header(type, sector).subarray(0, headerLength), payload);
          if (readable.length + writable === 0) continue;
          const answer = await rig.raw.send({ readable, writable });
          const at = Number(sector) * SECTOR_SIZE;
          const isWhole = headerLength === 16 && writable > 0;
          const isWrite = isWhole && type === OUT && data % SECTOR_SIZE === 0;
          if (isWrite && at + data <= expected.length) {
            expect(answer.status).toBe(OK);
            expected.set(payload, at);
          } else if (isWhole && type === OUT) {
            expect(answer.status).toBe(IOERR);
          }
          expect(answer.used).toBeLessThanOrEqual(writable);
          expectBytes(rig.bytes, expected);
        }
        expect(rig.core.status & 0x40).toBe(0);
        await rig.device.close();
      }),
      { numRuns: 100 },
    );
  });
});

describe("features", () => {
  it("writes nothing to a read-only device", async () => {
    const bytes = pattern(4);
    const storage = { ...memoryStorage(bytes.slice()), readonly: true };
    const rig = await rawRig({ init: { storage }, features: [] });
    const answer = await rig.raw.send({
      readable: join(header(OUT, 0), pattern(1, 5)),
      writable: 1,
    });
    expect(answer).toMatchObject({ status: IOERR, used: 1 });
    expect((await rig.raw.send({ readable: header(IN, 0), writable: 513 })).status).toBe(OK);
    expect((storage as { bytes?: Uint8Array }).bytes).toEqual(bytes);
    await rig.device.close();
  });

  const flushes: [string, number[] | undefined, boolean, number, string[]][] = [
    ["flushes when asked", undefined, true, OK, ["write", "flush"]],
    [
      "writes through when the flush was offered and not taken",
      undefined,
      false,
      UNSUPP,
      ["write", "flush"],
    ],
    ["needs not flush where it never offered to", [], false, UNSUPP, ["write"]],
  ];
  it.each(flushes)("%s", async (_name, offered, takes, status, expected) => {
    const calls: string[] = [];
    const inner = memoryStorage(SECTORS * SECTOR_SIZE);
    const storage = {
      length: inner.length,
      read: inner.read,
      write: (offset: number, source: Uint8Array) => {
        calls.push("write");
        return inner.write(offset, source);
      },
      flush: () => {
        calls.push("flush");
        return undefined;
      },
    };
    const rig = await rawRig({
      init: { storage, ...(offered === undefined ? {} : { features: offered }) },
      features: takes ? [BLOCK_FEATURE.VIRTIO_BLK_F_FLUSH] : [],
    });
    const write = await rig.raw.send({ readable: join(header(OUT, 0), pattern(1)), writable: 1 });
    expect(write.status).toBe(OK);
    // Where the write was stable the flush was done by now.
    if (!takes) expect(calls).toEqual(expected);
    const flush = await rig.raw.send({ readable: header(FLUSH, 0), writable: 1 });
    expect(flush).toMatchObject({ status, used: 1 });
    expect(calls).toEqual(expected);
    await rig.device.close();
  });

  it("has one queue without VIRTIO_BLK_F_MQ, and leaves the others alone", async () => {
    const rig = await rawRig({ init: { queues: 2 }, queues: 2, features: [] });
    const second = new RawDriver(rig, rig.device.queue(1));
    let answered = false;
    void second.send({ readable: header(IN, 0), writable: 513 }).then(() => {
      answered = true;
    });
    expect((await rig.raw.send({ readable: header(IN, 0), writable: 513 })).status).toBe(OK);
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(answered).toBe(false);
    await rig.device.close();
  });

  it("answers with IOERR when the storage throws", async () => {
    const storage = {
      ...memoryStorage(SECTORS * SECTOR_SIZE),
      read: () => {
        throw new Error("unreadable");
      },
    };
    const rig = await rawRig({ init: { storage } });
    const answer = await rig.raw.send({ readable: header(IN, 0), writable: 513 });
    expect(answer).toMatchObject({ status: IOERR, used: 0 });
    expect(rig.core.status & 0x40).toBe(0);
    await rig.device.close();
  });

  it("moves long data piece by piece, and gives other queues their turn", async () => {
    const bytes = Uint8Array.from({ length: 0x80_0000 }, (_, i) => (i * 31 + (i >> 12)) & 0xff);
    const asked: number[] = [];
    let whenAsked: (() => void) | undefined;
    const inner = memoryStorage(bytes);
    const storage = {
      ...inner,
      read: (offset: number, target: Uint8Array) => {
        asked.push(target.length);
        whenAsked?.();
        whenAsked = undefined;
        return inner.read(offset, target);
      },
    };
    const rig = await rawRig({ init: { storage, queues: 2 }, queues: 2 });
    // The same megabyte of memory eight times: more than one visit moves at a time.
    const block = rig.dma.allocate(0x10_0000, 1);
    const frame = rig.dma.allocate(17, 1);
    rig.memory.write(frame.address, header(IN, 0));
    const order: string[] = [];
    const other = new RawDriver(rig, rig.device.queue(1));
    const short = new Promise<void>((resolve) => {
      // The other queue is notified while the long request is under way.
      whenAsked = () => {
        const sent = other.send({ readable: header(IN, 0), writable: 513 });
        void sent.then(() => order.push("short")).then(() => resolve());
      };
    });
    const { queue } = rig.device.queue(0);
    const long = new Promise<number>((resolve) => {
      rig.device.queue(0).onUsed = () => {
        while (queue.reap() >= 0) {
          const used = queue.usedLength;
          void Promise.resolve().then(() => order.push("long"));
          resolve(used);
        }
      };
    });
    const parts = new Array<number>(8).fill(block.address);
    const addresses = [frame.address, ...parts, frame.address + 16];
    queue.add(addresses, [16, ...parts.map(() => block.length), 1], 10, 1);
    rig.device.queue(0).notify();
    expect(await long).toBe(bytes.length + 1);
    await short;
    expect(order).toEqual(["short", "long"]);
    expect(Math.max(...asked)).toBeLessThanOrEqual(0x1_0000);
    const got = new Uint8Array(block.length);
    rig.memory.read(block.address, got);
    expectBytes(got, bytes.subarray(-block.length));
    await rig.device.close();
  });
});
