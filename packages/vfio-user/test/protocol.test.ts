/** Messages as bytes: value ↔ hex, and hex that must fail. */
import { type AnyStructLayout, decode, encode } from "@virtio-admin/core";
import {
  DEFAULT_CAPABILITIES,
  decodeVersion,
  encodeVersion,
  VFIO_USER_COMMAND,
  VFIO_USER_DEVICE_INFO_LAYOUT,
  VFIO_USER_DMA_ACCESS_LAYOUT,
  VFIO_USER_DMA_MAP_LAYOUT,
  VFIO_USER_DMA_UNMAP_LAYOUT,
  VFIO_USER_HEADER_LAYOUT,
  VFIO_USER_IRQ_INFO_LAYOUT,
  VFIO_USER_IRQ_SET_LAYOUT,
  VFIO_USER_REGION_ACCESS_LAYOUT,
  VFIO_USER_REGION_INFO_LAYOUT,
  VFIO_USER_REGION_IO_FDS_LAYOUT,
  VFIO_USER_VERSION_LAYOUT,
  VFIO_USER_WRITE_MULTI_LAYOUT,
  VFIO_USER_WRITE_ONE_LAYOUT,
} from "@virtio-admin/vfio-user";
import { describe, expect, it } from "vitest";
import { commandMessage, errorMessage, readHeader, replyMessage } from "../src/message.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytes = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

/** Layout, values, and the bytes of them. */
const VECTORS: readonly [AnyStructLayout, Readonly<Record<string, unknown>>, string][] = [
  [
    VFIO_USER_HEADER_LAYOUT,
    { id: 0x1234, command: 9, size: 32, flags: 0x31, error: 22 },
    "3412 0900 20000000 31000000 16000000",
  ],
  [VFIO_USER_VERSION_LAYOUT, { major: 0, minor: 1, data: [0x7b, 0x7d, 0] }, "0000 0100 7b7d00"],
  [
    VFIO_USER_DMA_MAP_LAYOUT,
    { argsz: 32, flags: 3, offset: 0x1000n, address: 0x1_0000_0000n, size: 0x2000n },
    "20000000 03000000 0010000000000000 0000000001000000 0020000000000000",
  ],
  [
    VFIO_USER_DMA_UNMAP_LAYOUT,
    { argsz: 24, flags: 0, address: 0x1000n, size: 0x2000n },
    "18000000 00000000 0010000000000000 0020000000000000",
  ],
  [
    VFIO_USER_DEVICE_INFO_LAYOUT,
    { argsz: 16, flags: 3, num_regions: 9, num_irqs: 5 },
    "10000000 03000000 09000000 05000000",
  ],
  [
    VFIO_USER_REGION_INFO_LAYOUT,
    { argsz: 32, flags: 3, index: 7, cap_offset: 0, size: 256n, offset: 0n },
    "20000000 03000000 07000000 00000000 0001000000000000 0000000000000000",
  ],
  [
    VFIO_USER_REGION_IO_FDS_LAYOUT,
    { argsz: 16, flags: 0, index: 1, count: 0 },
    "10000000 00000000 01000000 00000000",
  ],
  [
    VFIO_USER_IRQ_INFO_LAYOUT,
    { argsz: 16, flags: 9, index: 2, count: 3 },
    "10000000 09000000 02000000 03000000",
  ],
  [
    VFIO_USER_IRQ_SET_LAYOUT,
    { argsz: 22, flags: 0x22, index: 2, start: 1, count: 2, data: [1, 0] },
    "16000000 22000000 02000000 01000000 02000000 0100",
  ],
  [
    VFIO_USER_REGION_ACCESS_LAYOUT,
    { offset: 4n, region: 7, count: 2, data: [6, 0] },
    "0400000000000000 07000000 02000000 0600",
  ],
  [
    VFIO_USER_DMA_ACCESS_LAYOUT,
    { address: 0x1_0000_0004n, count: 2n, data: [0xaa, 0xbb] },
    "0400000001000000 0200000000000000 aabb",
  ],
  [VFIO_USER_WRITE_MULTI_LAYOUT, { wr_cnt: 1n, wrs: [] }, "0100000000000000"],
  [
    VFIO_USER_WRITE_ONE_LAYOUT,
    { offset: 16n, region: 0, count: 4, data: [1, 2, 3, 4, 0, 0, 0, 0] },
    "1000000000000000 00000000 04000000 0102030400000000",
  ],
];

describe("structures", () => {
  it.each(VECTORS)("%o", (layout, values, text) => {
    expect(hex(encode(layout, values as never))).toBe(text.replaceAll(" ", ""));
    expect(decode(layout, bytes(text))).toEqual(values);
    const short = bytes(text).subarray(0, layout.size - 1);
    expect(() => decode(layout, short)).toThrow(/bytes are there/);
  });
});

describe("headers", () => {
  it.each([
    ["0100 0900 10000000 00000000 00000000", { id: 1, command: 9, length: 0, reply: false }],
    ["0100 0900 10000000 10000000 00000000", { silent: true, reply: false }],
    ["ffff 0d00 14000000 01000000 05000000", { id: 0xffff, length: 4, reply: true, silent: false }],
    ["0100 0900 10000000 21000000 16000000", { reply: true, error: 22 }],
    ["0100 0900 10000000 21000000 00000000", { reply: true, error: 0 }],
    ["0100 0900 10010000 00000000 00000000", { length: 256 }],
  ])("%s is understood", (text, expected) => {
    expect(readHeader(bytes(text), 256)).toMatchObject(expected);
  });

  it.each([
    ["0100 0900 0f000000 00000000 00000000", /shorter than its header/],
    ["0100 0900 00000000 00000000 00000000", /shorter than its header/],
    ["0100 0900 11010000 00000000 00000000", /too long/],
    ["0100 0900 ffffffff 00000000 00000000", /too long/],
    ["0100 0900 10000000 02000000 00000000", /neither command nor reply/],
    ["0100 0900 10000000 0f000000 00000000", /neither command nor reply/],
  ])("%s is not", (text, reason) => {
    expect(readHeader(bytes(text), 256)).toMatch(reason);
  });

  it("are made for commands, replies and errors", () => {
    const command = { id: 2, command: VFIO_USER_COMMAND.regionRead };
    expect(hex(commandMessage(2, 9, bytes("aa")))).toBe("02000900110000000000000000000000aa");
    expect(hex(replyMessage(command, bytes("bb")))).toBe("02000900110000000100000000000000bb");
    expect(hex(errorMessage(command, 22))).toBe("02000900100000002100000016000000");
  });
});

describe("versions", () => {
  const json = (text: string) => `00000100${hex(new TextEncoder().encode(text))}`;

  it("say what the sender can take", () => {
    const capabilities = {
      maxMsgFds: 8,
      maxDataXferSize: 4096,
      maxDmaMaps: 3,
      pgsizes: 4096,
      writeMultiple: true,
    };
    const body = encodeVersion({ major: 0, minor: 1, capabilities });
    expect(body.at(-1)).toBe(0);
    expect(decodeVersion(body)).toEqual({ major: 0, minor: 1, capabilities });
  });

  it.each([
    ["00000000", DEFAULT_CAPABILITIES],
    [`${json("{}")}00`, DEFAULT_CAPABILITIES],
    [`${json('{"capabilities":{}}')}00`, DEFAULT_CAPABILITIES],
    [`${json('{"capabilities":{"max_msg_fds":8}}')}00`, { ...DEFAULT_CAPABILITIES, maxMsgFds: 8 }],
    [`${json('{"capabilities":{"migration":{"pgsize":4096}}}')}00`, DEFAULT_CAPABILITIES],
  ])("%s has these capabilities", (text, capabilities) => {
    expect(decodeVersion(bytes(text))).toMatchObject({ capabilities });
  });

  it.each([
    ["000000", /too short/],
    [json("{}"), /does not end in NUL/],
    [`${json("{")}00`, /cannot be read/],
    ["00000100ff00", /cannot be read/],
    [`${json("[]")}00`, /no object/],
    [`${json("null")}00`, /no object/],
    [`${json('{"capabilities":7}')}00`, /no object/],
    [`${json('{"capabilities":{"max_msg_fds":-1}}')}00`, /max_msg_fds is no size/],
    [`${json('{"capabilities":{"pgsizes":"4096"}}')}00`, /pgsizes is no size/],
    [`${json('{"capabilities":{"max_dma_maps":1.5}}')}00`, /max_dma_maps is no size/],
    [`${json('{"capabilities":{"max_data_xfer_size":0}}')}00`, /max_data_xfer_size is 0/],
    [`${json('{"capabilities":{"write_multiple":1}}')}00`, /no truth value/],
    [`00000100${"20".repeat(4097)}`, /too long/],
  ])("%s is refused", (text, reason) => {
    expect(decodeVersion(bytes(text))).toMatch(reason);
  });
});
