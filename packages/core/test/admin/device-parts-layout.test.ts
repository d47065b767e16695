/** The payloads of the device parts commands, byte by byte. */
import { describe, expect, it } from "vitest";
import {
  DEV_MODE_SET,
  DEV_MODE_SET_DATA,
  DEV_PARTS_GET,
  DEV_PARTS_GET_DATA,
  DEV_PARTS_METADATA_DATA,
  DEV_PARTS_METADATA_GET,
  DEV_PARTS_METADATA_RESULT,
  DEV_PARTS_SET,
  DEV_PARTS_SET_DATA,
} from "../../src/admin/index.ts";
import { CLAUSES } from "../../src/clause/index.ts";
import {
  VIRTIO_DEV_PART_DEVICE_STATUS,
  VIRTIO_DEV_PART_FEATURES,
  VIRTIO_DEV_PART_HDR,
  VIRTIO_DEV_PART_VQ_CFG,
  VIRTIO_DEV_PART_VQ_NOTIFY_DATA,
} from "../../src/device/index.ts";
import { decode, encode, type StructLayout } from "../../src/layout/index.ts";
import { hex, unhex } from "./rig.ts";

type Values = Readonly<Record<string, unknown>>;
const HDR = [0, 0, 0, 0, 0x78, 0x56, 0x34, 0x12];
const ZEROS = [0, 0, 0, 0, 0, 0, 0];

const VECTORS: readonly [string, StructLayout, Values, string][] = [
  [
    "what to tell of the parts",
    DEV_PARTS_METADATA_DATA,
    { hdr: HDR, type: 2, reserved: ZEROS },
    "0000 0000 78563412 02 00000000000000",
  ],
  [
    "a list of headers",
    DEV_PARTS_METADATA_RESULT,
    { count: 1, reserved: 0, hdrs: [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0] },
    "01000000 00000000 0101 00 00 0000000000000000 10000000",
  ],
  [
    "all parts",
    DEV_PARTS_GET_DATA,
    { hdr: HDR, type: 1, reserved: ZEROS, hdr_list: [] },
    "0000 0000 78563412 01 00000000000000",
  ],
  [
    "selected parts",
    DEV_PARTS_GET_DATA,
    {
      hdr: HDR,
      type: 0,
      reserved: ZEROS,
      hdr_list: [4, 1, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    },
    "0000 0000 78563412 00 00000000000000 0401 00 00 0500000000000000 00000000",
  ],
  [
    "parts to set",
    DEV_PARTS_SET_DATA,
    { hdr: HDR, parts: [3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 15] },
    "0000 0000 78563412 0301 00 00 0000000000000000 01000000 0f",
  ],
  ["a member to stop", DEV_MODE_SET_DATA, { flags: 1 }, "01"],
  [
    "features",
    VIRTIO_DEV_PART_FEATURES,
    { feature_bits: [0x0102030405060708n, 1n] },
    "0807060504030201 0100000000000000",
  ],
  ["a status", VIRTIO_DEV_PART_DEVICE_STATUS, { device_status: 0x4f }, "4f"],
  [
    "a queue",
    VIRTIO_DEV_PART_VQ_CFG,
    {
      queue_size: 256,
      vector: 3,
      enabled: 1,
      reserved: 0,
      queue_desc: 0x0102030405060708n,
      queue_driver: 0x1000n,
      queue_device: 0x2000n,
    },
    "0001 0300 0100 0000 0807060504030201 0010000000000000 0020000000000000",
  ],
  [
    "how a queue is notified",
    VIRTIO_DEV_PART_VQ_NOTIFY_DATA,
    { queue_notify_off: 0x0102, queue_notif_config_data: 0x0304, reserved: [0, 0, 0, 0] },
    "0201 0403 00000000",
  ],
];

describe("device parts on the wire", () => {
  it.each(VECTORS)("%s", (_, layout, values, bytes) => {
    expect(hex(encode(layout, values as never))).toBe(bytes.replaceAll(" ", ""));
    expect(decode(layout, unhex(bytes))).toMatchObject(values);
  });

  it.each([
    ["a type of more than a byte", DEV_PARTS_METADATA_DATA, { type: 256 }],
    ["a part type of more than two bytes", VIRTIO_DEV_PART_HDR, { part_type: 0x1_0000 }],
    ["a size of more than two bytes", VIRTIO_DEV_PART_VQ_CFG, { queue_size: 0x1_0000 }],
    ["a length of more than four bytes", VIRTIO_DEV_PART_HDR, { length: 2 ** 32 }],
    ["a mode of more than a byte", DEV_MODE_SET_DATA, { flags: -1 }],
  ])("%s is refused", (_, layout: StructLayout, values) => {
    expect(() => encode(layout, values as never)).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
  });

  it.each([
    ["the data of METADATA_GET", DEV_PARTS_METADATA_DATA, "0000 0000 00000000 02"],
    ["a queue", VIRTIO_DEV_PART_VQ_CFG, "0001 0300 0100 0000 08"],
    ["the header of a part", VIRTIO_DEV_PART_HDR, "0101 00 00 00"],
  ])("%s that is cut off does not decode", (_, layout: StructLayout, bytes) => {
    expect(() => decode(layout, unhex(bytes))).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
  });

  it("has the opcodes, sizes and group of the text", () => {
    const commands = [DEV_PARTS_METADATA_GET, DEV_PARTS_GET, DEV_PARTS_SET, DEV_MODE_SET];
    expect(commands.map(({ opcode, name }) => [opcode, name])).toEqual([
      [0x0e, "DEV_PARTS_METADATA_GET"],
      [0x0f, "DEV_PARTS_GET"],
      [0x10, "DEV_PARTS_SET"],
      [0x11, "DEV_MODE_SET"],
    ]);
    expect(commands.map(({ data, result }) => [data.min, result.min])).toEqual([
      [16, 8],
      [16, 0],
      [8, 0],
      [1, 0],
    ]);
    const ids = new Set(CLAUSES.map(({ id }) => id));
    for (const { groups, usesMember, clauses } of commands) {
      expect([groups, usesMember, clauses.every((id) => ids.has(id))]).toEqual([[1], true, true]);
    }
  });
});
