import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VIRTIO_1_4 } from "../../src/admin/dialect.ts";
import {
  ADMIN_QUALIFIER,
  ADMIN_STATUS,
  AdminCommandError,
  decodeOpcodeList,
  effectiveQualifier,
  effectiveStatus,
  encodeOpcodeList,
  outcome,
  qualifierOf,
  statusOf,
} from "../../src/admin/index.ts";
import { VirtioError } from "../../src/errors.ts";
import { hex, unhex } from "./rig.ts";

const HEADERS: readonly [string, number, number, number | bigint, string][] = [
  ["all zero", 0, 0, 0, "0000 0000 000000000000000000000000 0000000000000000"],
  ["every field", 0x1234, 0x5678, 0x9abc, "3412 7856 000000000000000000000000 bc9a000000000000"],
  ["2^53-1", 1, 0xffff, 2 ** 53 - 1, "0100 ffff 000000000000000000000000 ffffffffffff1f00"],
  ["a high half", 2, 1, 2 ** 32 + 5, "0200 0100 000000000000000000000000 0500000001000000"],
];

describe("command header", () => {
  it.each(HEADERS)("[admin-format-1+] encodes and decodes %s", (_, opcode, group, member, text) => {
    const bytes = new Uint8Array(24);
    const wide = BigInt(member);
    const view = new DataView(bytes.buffer);
    VIRTIO_1_4.encodeCommand(
      view,
      0,
      opcode,
      group,
      Number(wide & 0xffffffffn),
      Number(wide >> 32n),
    );
    expect(hex(bytes)).toBe(text.replaceAll(" ", ""));
    const header = { opcode: 0, groupType: 0, memberId: 0 };
    VIRTIO_1_4.decodeCommand(view, 0, header);
    expect(header).toEqual({ opcode, groupType: group, memberId: member });
  });

  it("decodes a member id above 2^53-1 as one that no member has", () => {
    const bytes = unhex("0000 0000 000000000000000000000000 0000000000002000");
    const header = { opcode: 0, groupType: 0, memberId: 0 };
    VIRTIO_1_4.decodeCommand(new DataView(bytes.buffer), 0, header);
    expect(header.memberId).toBe(Infinity);
  });
});

describe("response header", () => {
  it("[admin-format-2+] [admin-format-5+] writes status, qualifier and zeros", () => {
    const bytes = new Uint8Array(8).fill(0xff);
    VIRTIO_1_4.encodeOutcome(new DataView(bytes.buffer), 0, outcome("EINVAL", "INVALID_MEMBER"));
    expect(hex(bytes)).toBe("1600050000000000");
  });

  it.each([
    [0, 0, 0],
    [1, 0x16, 0],
    [2, 0x1116, 0],
    [3, 0x1116, 0x22],
    [4, 0x1116, 0x3322],
    [8, 0x1116, 0x3322],
  ])(
    "[admin-vq-driver-7+] takes what is beyond a used length of %i as zero",
    (length, status, qualifier) => {
      const bytes = unhex("1611 2233 00000000");
      const result = VIRTIO_1_4.decodeOutcome(new DataView(bytes.buffer), 0, length);
      expect([statusOf(result), qualifierOf(result)]).toEqual([status, qualifier]);
    },
  );
});

const LISTS: readonly [readonly number[], string][] = [
  [[], "0000000000000000"],
  [[0, 1], "0300000000000000"],
  [[0, 1, 64], "0300000000000000 0100000000000000"],
  [[63], "0000000000000080"],
  [[0x100], "0000000000000000 0000000000000000 0000000000000000 0000000000000000 0100000000000000"],
];

describe("opcode list", () => {
  it.each(LISTS)("[admin-format-6+] encodes and decodes %o", (opcodes, text) => {
    expect(hex(encodeOpcodeList(opcodes))).toBe(text.replaceAll(" ", ""));
    expect(decodeOpcodeList(unhex(text))).toEqual(opcodes);
  });

  it("[admin-format-9+] decodes zero words at the end, and lengths that are no whole words", () => {
    expect(decodeOpcodeList(unhex("03 0000000000000000 0000000000000000 00"))).toEqual([0, 1]);
    expect(decodeOpcodeList(new Uint8Array(0))).toEqual([]);
  });

  it.each([
    [[-1], undefined],
    [[0x10000], undefined],
    [[1.5], undefined],
    [[64], 8],
    [[1], 12],
    [[1], 8200],
    [[1], -8],
  ])("refuses %o in %s bytes", (opcodes, length) => {
    expect(() => encodeOpcodeList(opcodes, length)).toThrow(
      expect.objectContaining({ code: "ADMIN_COMMAND" }),
    );
  });

  it("[admin-format-6+] round trips any set of opcodes", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 0xffff })), (opcodes) => {
        const sorted = [...opcodes].sort((a, b) => a - b);
        const bytes = encodeOpcodeList(opcodes);
        expect(bytes.length % 8).toBe(0);
        expect(decodeOpcodeList(bytes)).toEqual(sorted);
      }),
    );
  });
});

describe("status values", () => {
  it("have the numbers of Linux's errno", () => {
    const numbers = Object.entries(ADMIN_STATUS).map(([name, { value }]) => [name, value]);
    expect(Object.fromEntries(numbers)).toEqual({
      OK: 0,
      EIO: 5,
      ENXIO: 6,
      EAGAIN: 11,
      ENOMEM: 12,
      EBUSY: 16,
      EEXIST: 17,
      EINVAL: 22,
      ENOSPC: 28,
    });
    expect(Object.values(ADMIN_QUALIFIER).map(({ value }) => value)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7,
    ]);
  });

  it("[admin-cmd-driver-9+] counts a reserved status as EINVAL", () => {
    expect([5, 1, 13, 0xffff].map(effectiveStatus)).toEqual(Array(4).fill("EINVAL"));
    expect(effectiveStatus(28)).toBe("ENOSPC");
  });

  it("[admin-cmd-driver-10+] counts a reserved qualifier as INVALID_COMMAND", () => {
    expect([8, 0xffff].map(effectiveQualifier)).toEqual(Array(2).fill("INVALID_COMMAND"));
    expect(effectiveQualifier(7)).toBe("TRYAGAIN");
  });

  it("make one error with both readings", () => {
    const error = new AdminCommandError((9 << 16) | 77, "DEV_MODE_SET");
    expect(error).toBeInstanceOf(VirtioError);
    expect(error).toMatchObject({
      code: "ADMIN_STATUS",
      name: "AdminCommandError",
      path: "DEV_MODE_SET",
      status: 77,
      statusName: "EINVAL",
      qualifier: 9,
      qualifierName: "INVALID_COMMAND",
      retryable: false,
    });
    expect(new AdminCommandError(outcome("EAGAIN", "TRYAGAIN"), "x").retryable).toBe(true);
    expect(new AdminCommandError(outcome("ENOSPC", "NORESOURCE"), "x").retryable).toBe(true);
  });
});
