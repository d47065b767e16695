import { decode, encode, type VirtioError } from "@virtio-admin/core";
import {
  BLOCK_FEATURE,
  type BlockInit,
  createBlock,
  memoryStorage,
  VIRTIO_BLK_CONFIG,
  VIRTIO_BLK_REQ,
} from "@virtio-admin/devices";
import { describe, expect, it } from "vitest";

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));

describe("virtio_blk_req", () => {
  const vectors: [string, Parameters<typeof encode<typeof VIRTIO_BLK_REQ.fields>>[1], string][] = [
    ["a read", { type: 0, reserved: 0, sector: 0x12n }, "00000000 00000000 1200000000000000"],
    ["a write", { type: 1, reserved: 0, sector: 2n ** 40n }, "01000000 00000000 0000000000010000"],
    ["a flush", { type: 4, reserved: 0, sector: 0n }, "04000000 00000000 0000000000000000"],
    ["a get ID", { type: 8, reserved: 0, sector: 0n }, "08000000 00000000 0000000000000000"],
    [
      "all ones",
      { type: 0xffffffff, reserved: 0xffffffff, sector: 2n ** 64n - 1n },
      "ffffffff ffffffff ffffffffffffffff",
    ],
  ];
  it.each(vectors)("encodes and decodes %s", (_name, value, hex) => {
    expect(hexOf(encode(VIRTIO_BLK_REQ, value))).toBe(hex.replaceAll(" ", ""));
    expect(decode(VIRTIO_BLK_REQ, bytesOf(hex))).toMatchObject({ ...value });
  });

  it("cannot be decoded from fewer bytes", () => {
    expect(() => decode(VIRTIO_BLK_REQ, new Uint8Array(15))).toThrow(/virtio_blk_req/);
  });
});

describe("virtio_blk_config", () => {
  it("has each field where the specification puts it", () => {
    const offsets = Object.values(VIRTIO_BLK_CONFIG.fields).map(({ name, offset }) => [
      name,
      offset,
    ]);
    expect(Object.fromEntries(offsets)).toMatchObject({
      capacity: 0x00,
      size_max: 0x08,
      seg_max: 0x0c,
      geometry_cylinders: 0x10,
      geometry_sectors: 0x13,
      blk_size: 0x14,
      topology_physical_block_exp: 0x18,
      topology_opt_io_size: 0x1c,
      writeback: 0x20,
      num_queues: 0x22,
      max_discard_sectors: 0x24,
      max_write_zeroes_seg: 0x34,
      write_zeroes_may_unmap: 0x38,
      max_secure_erase_sectors: 0x3c,
      zoned_zone_sectors: 0x48,
      zoned_write_granularity: 0x58,
      zoned_model: 0x5c,
    });
    expect(VIRTIO_BLK_CONFIG.size).toBe(0x60);
    expect(VIRTIO_BLK_CONFIG.packed).toBe(false);
  });

  const configurations: [string, BlockInit, string, number[]][] = [
    [
      "the defaults",
      { storage: memoryStorage(0x10_0000) },
      "0008000000000000 00000000 fe000000 00000000 00020000",
      [2, 6, 9],
    ],
    [
      "several queues, with limits",
      {
        storage: memoryStorage(512 * 3 + 100),
        queues: 4,
        queueSize: 16,
        sizeMax: 0x2000,
        segMax: 7,
        blockSize: 4096,
      },
      "0300000000000000 00200000 07000000 00000000 00100000 0000000000000000 0000 0400",
      [1, 2, 6, 9, 12],
    ],
    [
      "no features",
      { storage: memoryStorage(511), features: [], queueSize: 1 },
      "0000000000000000 00000000 00000000 00000000 00000000",
      [],
    ],
    [
      "a read-only storage",
      { storage: { ...memoryStorage(1024), readonly: true } },
      "0200000000000000 00000000 fe000000 00000000 00020000",
      [2, 5, 6, 9],
    ],
  ];
  it.each(configurations)("is filled from %s", (_name, init, hex, features) => {
    const model = createBlock(init);
    const bytes = new Uint8Array(VIRTIO_BLK_CONFIG.size);
    model.config?.read(0, bytes);
    const expected = new Uint8Array(VIRTIO_BLK_CONFIG.size);
    expected.set(bytesOf(hex));
    expect(hexOf(bytes)).toBe(hexOf(expected));
    expect([...model.features].sort((a, b) => a - b)).toEqual(features);
    expect(model.queues).toHaveLength(init.queues ?? 1);
  });
});

describe("createBlock", () => {
  const storage = memoryStorage(512);
  const { VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_SIZE_MAX, VIRTIO_BLK_F_SEG_MAX } = BLOCK_FEATURE;
  const refused: [string, Omit<BlockInit, "storage"> & Partial<BlockInit>, string][] = [
    ["a feature that it lacks", { features: [VIRTIO_BLK_F_DISCARD] }, "block.features"],
    ["SIZE_MAX without a value", { features: [VIRTIO_BLK_F_SIZE_MAX] }, "block.sizeMax"],
    ["several queues without MQ", { queues: 2, features: [] }, "block.features"],
    [
      "writes to a read-only storage",
      { storage: { ...storage, readonly: true }, features: [] },
      "block.features",
    ],
    ["no queue", { queues: 0 }, "block.queues"],
    ["more queues than num_queues can say", { queues: 0x1_0000 }, "block.queues"],
    ["segments that do not fit a queue", { queueSize: 8, segMax: 7 }, "block.segMax"],
    [
      "a queue without room for data",
      { queueSize: 2, features: [VIRTIO_BLK_F_SEG_MAX] },
      "block.segMax",
    ],
    ["segments of no byte", { sizeMax: 0 }, "block.sizeMax"],
    ["an odd block size", { blockSize: 1000 }, "block.blockSize"],
    ["an ID that is too long", { id: "123456789012345678901" }, "block.id"],
    ["an ID that is not ASCII", { id: "plätze" }, "block.id"],
    [
      "a storage without end",
      { storage: { ...storage, length: Number.POSITIVE_INFINITY } },
      "block.storage.length",
    ],
  ];
  it.each(refused)("refuses %s", (_name, init, path) => {
    expect(() => createBlock({ storage, ...init })).toThrow(
      expect.objectContaining<Partial<VirtioError>>({ code: "DEVICE_MODEL", path }),
    );
  });

  it("has storage in memory of a sensible length only", () => {
    for (const length of [-1, 1.5, Number.NaN, 2 ** 53]) {
      expect(() => memoryStorage(length)).toThrow(
        expect.objectContaining<Partial<VirtioError>>({ code: "VALUE_RANGE" }),
      );
    }
  });
});
