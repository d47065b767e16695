/** The bytes of proposal-v5: both headers, every command, and what its status makes of an outcome. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { opcodeIn } from "../../src/admin/dialects.ts";
import {
  ADMIN_QUALIFIER,
  ADMIN_STATUS,
  CAPS_ACCEPT,
  CAPS_IDENTIFY,
  DIALECTS,
  LIST_QUERY,
  LIST_USE,
  MANAGEMENT_FAMILY,
  MSIX_COUNT_SET,
  OUTCOME,
  outcome,
  PROPOSAL_V5_ANSWER_HEADER,
  PROPOSAL_V5_COMMAND_HEADER,
  PROPOSAL_V5_DESTINATION,
  qualifierOf,
  statusOf,
} from "../../src/admin/index.ts";
import { PROPOSAL_V5 } from "../../src/admin/proposal-v5.ts";
import { FeatureSet } from "../../src/device/index.ts";
import { SELF_GROUP, SR_IOV_GROUP } from "../../src/group/index.ts";
import { decode, encode } from "../../src/layout/index.ts";
import { count, switching, take } from "./management-rig.ts";
import { bitmap, MEMBER, ProposalRig, SELF, V5 } from "./proposal-v5-rig.ts";
import { hex, unhex } from "./rig.ts";

const plain = (text: string) => text.replaceAll(" ", "");
const halves = (member: number | bigint) => {
  const wide = BigInt(member);
  return [Number(wide & 0xffffffffn), Number(wide >> 32n)] as const;
};

const HEADERS: readonly [string, number, number, number | bigint, string][] = [
  ["CAPS_IDENTIFY to the device itself", 0, 0, 0, "0000 0000 00000000 0000000000000000"],
  ["a command to a member", 3, 1, 7, "0300 0100 00000000 0700000000000000"],
  ["every field", 0x1234, 0x5678, 0x9abc, "3412 7856 00000000 bc9a000000000000"],
  ["member 2^53-1", 4, 1, 2 ** 53 - 1, "0400 0100 00000000 ffffffffffff1f00"],
  ["a high half", 5, 1, 2 ** 32 + 5, "0500 0100 00000000 0500000001000000"],
  ["the last values", 0xffff, 0xffff, 0, "ffff ffff 00000000 0000000000000000"],
];

describe("the command header of proposal-v5", () => {
  it.each(HEADERS)("encodes and decodes %s", (_, command, destination, member, text) => {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    PROPOSAL_V5.encodeCommand(view, 0, command, destination, ...halves(member));
    expect(hex(bytes)).toBe(plain(text));
    const header = { opcode: -1, groupType: -1, memberId: -1 };
    PROPOSAL_V5.decodeCommand(view, 0, header);
    expect(header).toEqual({ opcode: command, groupType: destination, memberId: member });
    const declared = { command, dst_type: destination, dst_member_id: BigInt(member) };
    expect(hex(encode(PROPOSAL_V5_COMMAND_HEADER, declared))).toBe(plain(text));
    expect(decode(PROPOSAL_V5_COMMAND_HEADER, bytes)).toMatchObject(declared);
  });

  it.each([
    ["reserved bytes", "0300 0100 ffffffff 0700000000000000", 1, 7],
    ["the member id of a command to itself", "0300 0000 00000000 0700000000000000", 0, 0],
    ["a member id above 2^53-1 names nobody", "0300 0100 00000000 0000000000002000", 1, Infinity],
    ["nor does the highest", "0300 0100 00000000 ffffffffffffffff", 1, Infinity],
  ])("disregards what has no meaning: %s", (_, text, groupType, memberId) => {
    const header = { opcode: -1, groupType: -1, memberId: -1 };
    PROPOSAL_V5.decodeCommand(new DataView(unhex(text).buffer), 0, header);
    expect(header).toEqual({ opcode: 3, groupType, memberId });
  });

  it("has another length than that of virtio-1.4, and destinations with the same numbers", () => {
    expect([PROPOSAL_V5.commandHeaderLength, PROPOSAL_V5.responseHeaderLength]).toEqual([16, 8]);
    expect(PROPOSAL_V5_DESTINATION).toEqual({ self: SELF_GROUP.id, member: SR_IOV_GROUP.id });
  });

  it.each([
    ["a command of 17 bits", { command: 0x10000, dst_type: 0, dst_member_id: 0n }],
    ["a negative destination", { command: 0, dst_type: -1, dst_member_id: 0n }],
    ["a member id of 65 bits", { command: 0, dst_type: 0, dst_member_id: 2n ** 64n }],
  ])("refuses %s", (_, value) => {
    expect(() => encode(PROPOSAL_V5_COMMAND_HEADER, value)).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
  });

  it("refuses bytes that do not hold the header", () => {
    expect(() => decode(PROPOSAL_V5_COMMAND_HEADER, new Uint8Array(15))).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
    expect(() => decode(PROPOSAL_V5_ANSWER_HEADER, new Uint8Array(7))).toThrow(
      expect.objectContaining({ code: "VALUE_RANGE" }),
    );
  });
});

/** Outcome, the header on the wire, and the outcome that a driver makes of it. */
const ANSWERS: readonly [number, string, number?][] = [
  [OUTCOME.OK, "00 00 000000000000"],
  [OUTCOME.INVALID_OPCODE, "02 00 000000000000"],
  [OUTCOME.INVALID_FIELD, "03 00 000000000000"],
  [OUTCOME.INVALID_GROUP, "03 00 000000000000", OUTCOME.INVALID_FIELD],
  [OUTCOME.INVALID_MEMBER, "03 00 000000000000", OUTCOME.INVALID_FIELD],
  [outcome("EBUSY", "INVALID_COMMAND"), "01 10 000000000000"],
  [outcome("ENOSPC", "NORESOURCE"), "01 1c 000000000000"],
  [OUTCOME.TRY_AGAIN, "01 0b 000000000000"],
  [OUTCOME.FAILED, "01 05 000000000000"],
  [outcome("ENXIO"), "01 06 000000000000"],
  [outcome("EEXIST"), "01 11 000000000000"],
  [outcome("ENOMEM"), "01 0c 000000000000"],
  [outcome("EINVAL", "INVALID_COMMAND"), "01 16 000000000000"],
  [outcome("EINVAL", "NORESOURCE"), "01 16 000000000000", outcome("EINVAL", "INVALID_COMMAND")],
  [outcome("EBUSY", "INVALID_OPCODE"), "01 10 000000000000", outcome("EBUSY")],
  [outcome("ENOSPC"), "01 1c 000000000000", outcome("ENOSPC", "NORESOURCE")],
  [0x0001_0063, "01 63 000000000000"],
  [0x0001_00ff, "01 ff 000000000000"],
  [0x0001_0100, "01 00 000000000000", outcome("EINVAL", "INVALID_COMMAND")],
  [0x0001_ffff, "01 00 000000000000", outcome("EINVAL", "INVALID_COMMAND")],
];

describe("the answer header of proposal-v5", () => {
  it.each(ANSWERS)("makes of outcome 0x%s and back: %s", (result, text, back = result) => {
    const bytes = new Uint8Array(8).fill(0xff);
    const view = new DataView(bytes.buffer);
    PROPOSAL_V5.encodeOutcome(view, 0, result);
    expect(hex(bytes)).toBe(plain(text));
    expect(PROPOSAL_V5.decodeOutcome(view, 0, 8)).toBe(back);
    const { status, detail } = PROPOSAL_V5.answerOf(result);
    expect(decode(PROPOSAL_V5_ANSWER_HEADER, bytes)).toMatchObject({
      status,
      command_specific_error: detail,
    });
  });

  it.each([
    [0, 0],
    [1, outcome("EINVAL", "INVALID_COMMAND")],
    [2, outcome("EBUSY", "INVALID_COMMAND")],
    [8, outcome("EBUSY", "INVALID_COMMAND")],
  ])("takes what is beyond a used length of %i as zero", (length, expected) => {
    const view = new DataView(unhex("01 10 eeeeeeeeeeee").buffer);
    expect(PROPOSAL_V5.decodeOutcome(view, 0, length)).toBe(expected);
  });

  it("takes no notice of an error where the status is no error of a command", () => {
    for (const [text, expected] of [
      ["00 10", OUTCOME.OK],
      ["02 10", OUTCOME.INVALID_OPCODE],
      ["03 10", OUTCOME.INVALID_FIELD],
    ] as const) {
      expect(PROPOSAL_V5.decodeOutcome(new DataView(unhex(text).buffer), 0, 2)).toBe(expected);
    }
  });

  it("never takes a reserved status for success, and acts on it as on EINVAL", () => {
    for (let status = 4; status < 0x100; status++) {
      const view = new DataView(Uint8Array.of(status, 0).buffer);
      const result = PROPOSAL_V5.decodeOutcome(view, 0, 2);
      expect(statusOf(result)).not.toBe(0);
      expect(Object.values(ADMIN_STATUS).map(({ value }) => value)).not.toContain(statusOf(result));
      expect(qualifierOf(result)).toBe(ADMIN_QUALIFIER.INVALID_COMMAND.value);
      expect(PROPOSAL_V5.describeOutcome(result)).toContain(`reserved status ${status} `);
    }
  });

  it("says success of success alone, whatever an outcome is", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0xffff }), fc.nat(0xffff), (status, qualifier) => {
        const bytes = new Uint8Array(8);
        const view = new DataView(bytes.buffer);
        const result = (status | (qualifier << 16)) >>> 0;
        PROPOSAL_V5.encodeOutcome(view, 0, result);
        expect(bytes[0]).toBeGreaterThan(0);
        expect(bytes[0]).toBeLessThan(4);
        const back = PROPOSAL_V5.decodeOutcome(view, 0, 8);
        expect(statusOf(back)).not.toBe(0);
        // What a driver makes of it says the same again.
        PROPOSAL_V5.encodeOutcome(view, 0, back);
        expect(PROPOSAL_V5.decodeOutcome(view, 0, 8)).toBe(back);
      }),
    );
  });
});

const SETTABLE = "0300003000010000 0000000010000000";
const OFFERED_LOW = "0300003001010000";

/** A command's readable bytes, the answer, all hex; in order, on one owner of three functions. */
const COMMANDS: readonly [string, string, string][] = [
  ["CAPS_IDENTIFY", "0000 0000 00000000 0000000000000000", "00 00 000000000000 7f00000000000000"],
  ["CAPS_ACCEPT", "0100 0000 00000000 0000000000000000 7c00000000000000", "00 00 000000000000"],
  [
    "MGMT_ATTRS_GET",
    "0200 0100 00000000 0000000000000000",
    `00 00 000000000000 0300000000000000 14000000 08000000 0200 0800 00000000 ${SETTABLE}`,
  ],
  [
    "MSIX_COUNT_GET of a member",
    "0300 0100 00000000 0200000000000000",
    "00 00 000000000000 0400 0400 00000000",
  ],
  [
    "MSIX_COUNT_GET of the owner",
    "0300 0100 00000000 0000000000000000",
    "00 00 000000000000 0700 0700 00000000",
  ],
  ["MSIX_COUNT_SET", "0400 0100 00000000 0200000000000000 0600 000000000000", "00 00 000000000000"],
  [
    "MSIX_COUNT_GET after it",
    "0300 0100 00000000 0200000000000000",
    "00 00 000000000000 0600 0400 00000000",
  ],
  [
    "FEATURES_GET",
    "0500 0100 00000000 0100000000000000",
    `00 00 000000000000 ${OFFERED_LOW} 0300003000010000 0000000010000000 0000000010000000`,
  ],
  [
    "FEATURES_GET of the owner",
    "0500 0100 00000000 0000000000000000",
    `00 00 000000000000 ${OFFERED_LOW} 0000000000000000 0000000010000000 0000000000000000`,
  ],
  [
    "FEATURES_SET",
    "0600 0100 00000000 0100000000000000 0000002000000000 0000000000000000 0000000000000000 0000000000000000",
    "00 00 000000000000",
  ],
  [
    "FEATURES_GET after it",
    "0500 0100 00000000 0100000000000000",
    "00 00 000000000000 0300001001010000 0300003000010000 0000000010000000 0000000010000000",
  ],
];

/** Commands that fail, and change nothing; function 3 is in use. */
const REFUSALS: readonly [string, string, string][] = [
  ["a command that there is not", "0700 0000 00000000 0000000000000000", "02 00"],
  ["one of virtio-1.4's management", "0001 0100 00000000 0000000000000000", "02 00"],
  ["the last command", "ffff 0100 00000000 0100000000000000", "02 00"],
  ["no command for no destination", "0700 0900 00000000 ffffffffffffffff", "02 00"],
  ["a reserved destination", "0300 0200 00000000 0100000000000000", "03 00"],
  ["the platform group", "0300 00ff 00000000 0100000000000000", "03 00"],
  ["CAPS_IDENTIFY to a member", "0000 0100 00000000 0100000000000000", "03 00"],
  ["CAPS_ACCEPT to a member", "0100 0100 00000000 0100000000000000 7c00000000000000", "03 00"],
  ["MSIX_COUNT_GET to itself", "0300 0000 00000000 0000000000000000", "03 00"],
  ["MGMT_ATTRS_GET to itself", "0200 0000 00000000 0000000000000000", "03 00"],
  ["a member that there is not", "0300 0100 00000000 0400000000000000", "03 00"],
  ["a member id above 2^53-1", "0300 0100 00000000 0100000000000080", "03 00"],
  [
    "CAPS_ACCEPT of what was not identified",
    "0100 0000 00000000 0000000000000000 ff00000000000000",
    "03 00",
  ],
  [
    "CAPS_ACCEPT of one in the last word",
    `0100 0000 00000000 0000000000000000 7c00000000000000 ${"00".repeat(63 * 8)} 01`,
    "03 00",
  ],
  ["too few vectors", "0400 0100 00000000 0100000000000000 0100 000000000000", "03 00"],
  ["too many vectors", "0400 0100 00000000 0100000000000000 0900 000000000000", "03 00"],
  ["vectors without their number", "0400 0100 00000000 0100000000000000", "03 00"],
  ["vectors of the owner", "0400 0100 00000000 0000000000000000 0400 000000000000", "03 00"],
  [
    "a feature value outside its mask",
    "0600 0100 00000000 0100000000000000 0100000000000000 0200000000000000",
    "03 00",
  ],
  [
    "a feature of the owner",
    "0600 0100 00000000 0000000000000000 0100000000000000 0000000000000000",
    "03 00",
  ],
  ["a member in use", "0400 0100 00000000 0300000000000000 0400 000000000000", "01 10"],
  ["features of a member in use", "0600 0100 00000000 0300000000000000", "01 10"],
  ["more vectors than are free", "0400 0100 00000000 0100000000000000 0800 000000000000", "01 1c"],
];

describe("the commands of proposal-v5", () => {
  it("[proposal-v5-device-4] [proposal-v5-device-5] go over the wire as written", () => {
    const rig = new ProposalRig();
    for (const [name, request, answer] of COMMANDS) {
      const { bytes, used } = rig.raw(unhex(request));
      expect([name, hex(bytes.subarray(0, used))]).toEqual([name, plain(answer)]);
    }
  });

  it.each(REFUSALS)("[proposal-v5-device-4] refuse, and change nothing: %s", (_, request, text) => {
    const rig = new ProposalRig();
    rig.acceptAll();
    rig.v5(V5.COUNT_SET, MEMBER, 2, count(8));
    rig.v5(V5.COUNT_SET, MEMBER, 3, count(7));
    take(rig.group.first(3));
    const before = rig.state();
    const { bytes, used } = rig.raw(unhex(request));
    expect(hex(bytes.subarray(0, 8))).toBe(plain(text).padEnd(16, "0"));
    expect(bytes.subarray(8, used).every((byte) => byte === 0)).toBe(true);
    expect(rig.state()).toEqual(before);
  });

  it("carry the payloads of virtio-1.4", () => {
    const rig = new ProposalRig();
    rig.acceptAll();
    expect(rig.v5(V5.COUNT_SET, MEMBER, 1, count(5)).outcome).toEqual([0, 0]);
    const data = switching(FeatureSet.of(0, 1), FeatureSet.EMPTY);
    expect(rig.v5(V5.FEATURES_SET, MEMBER, 1, data).outcome).toEqual([0, 0]);
    expect(rig.group.first(1).msixVectors).toBe(5);
    expect(rig.group.first(1).offeredFeatures.has(0)).toBe(false);
    const pairs = DIALECTS["proposal-v5"].management.map((command, i) => [
      command,
      DIALECTS["virtio-1.4"].management[i],
    ]);
    for (const [here, there] of pairs) {
      expect(here?.data).toEqual(there?.data);
      expect(here?.result).toEqual(there?.result);
      expect(here?.name).toBe(there?.name);
    }
  });

  it.each([
    [0, []],
    [8, [V5.ATTRS]],
    [16, [V5.ATTRS]],
  ])("zero-extend a bitmap of %i bytes", (length, expected) => {
    const rig = new ProposalRig();
    const data = new Uint8Array(length);
    data.set(bitmap(V5.ATTRS).subarray(0, length));
    expect(rig.v5(V5.ACCEPT, SELF, 0, data).outcome).toEqual([0, 0]);
    expect(rig.executor.used(0)).toEqual([0, 1, ...expected]);
  });
});

describe("the numbers of commands", () => {
  const v14 = DIALECTS["virtio-1.4"];
  const v5 = DIALECTS["proposal-v5"];

  it("are 0 to 6 in proposal-v5, and 0, 1 and 0x0100 to 0x0104 in virtio-1.4", () => {
    const numbers = ({ listQuery, listUse, management }: typeof v5) =>
      [listQuery, listUse, ...management].map(({ opcode }) => opcode);
    expect(numbers(v5)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(numbers(v14)).toEqual([0, 1, 0x100, 0x101, 0x102, 0x103, 0x104]);
    expect(v14.management).toEqual(MANAGEMENT_FAMILY.commands);
  });

  it("are found for a declaration of either dialect", () => {
    expect(opcodeIn(PROPOSAL_V5, MSIX_COUNT_SET)).toBe(4);
    expect(opcodeIn(PROPOSAL_V5, LIST_USE)).toBe(CAPS_ACCEPT.opcode);
    expect(opcodeIn(PROPOSAL_V5, CAPS_IDENTIFY)).toBe(LIST_QUERY.opcode);
  });

  it("stay with a command of its maker, unless the dialect uses the number", () => {
    const own = { ...MSIX_COUNT_SET, opcode: 0x40, name: "OWN" };
    expect(opcodeIn(PROPOSAL_V5, own)).toBe(0x40);
    expect(opcodeIn(PROPOSAL_V5, { ...own, opcode: 0x0102 })).toBe(0x0102);
    for (const opcode of [0, 1, 2, 6]) {
      expect(opcodeIn(PROPOSAL_V5, { ...own, opcode })).toBeUndefined();
    }
  });

  it("and the labels say which dialect is a reconstruction", () => {
    expect([v14.reconstruction, v14.label]).toEqual([false, "virtio-1.4"]);
    expect([v5.reconstruction, v5.label]).toEqual([true, "proposal-v5 (reconstruction)"]);
    for (const { cite } of [v5.command, v5.answer, v5.listQuery, ...v5.management]) {
      expect(cite).toContain("reconstruction");
    }
  });
});
