import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LEGACY_ACCESS_FAMILY } from "../../src/admin/index.ts";
import { PlatformGroup, SelfGroup } from "../../src/group/index.ts";
import {
  COMMON_FIELDS,
  CONFIG_FIELDS,
  INVALID_FIELD,
  INVALID_GROUP,
  INVALID_MEMBER,
  INVALID_OPCODE,
  LegacyAccessRig,
  OK,
  OP_LEGACY,
  SRIOV,
  TestLegacyGroup,
  writing,
} from "./legacy-rig.ts";
import { AdminRig, answerOf, request } from "./rig.ts";

const { COMMON_WRITE, COMMON_READ, DEV_WRITE, DEV_READ, NOTIFY_INFO } = OP_LEGACY;
const READS = [
  [COMMON_READ, "common", COMMON_FIELDS],
  [DEV_READ, "config", CONFIG_FIELDS],
] as const;
const WRITES = [
  [COMMON_WRITE, "common", COMMON_FIELDS],
  [DEV_WRITE, "config", CONFIG_FIELDS],
] as const;
const FAMILIES = [LEGACY_ACCESS_FAMILY];

/** What the rule of the family comes to: how many bytes are accessed, 0 for a refusal. */
function accessed(
  fields: readonly (readonly [number, number])[],
  offset: number,
  length: number,
): number {
  for (const [at, width] of fields) {
    if (offset < at || offset >= at + width) continue;
    const rest = at + width - offset;
    return length <= rest ? length : length % 8 === 0 ? rest : 0;
  }
  return 0;
}

describe("the list of legacy access commands", () => {
  it.each([
    ["all of them", true, true, [0, 1, 2, 3, 4, 5, 6]],
    ["all but the notification info", true, false, [0, 1, 2, 3, 4, 5]],
    ["none where members have no legacy interface", false, false, [0, 1]],
    ["none, whatever is said of notifications then", false, true, [0, 1]],
  ])(
    "[legacy-access-device-1+-] [legacy-access-device-14+-] is %s",
    (_, access, notify, expected) => {
      const rig = new AdminRig({
        groups: [new TestLegacyGroup(access, notify)],
        families: FAMILIES,
      });
      expect(rig.executor.supported(SRIOV)).toEqual(expected);
    },
  );

  it("is empty for groups of another kind or type", () => {
    const plain = {
      type: new TestLegacyGroup().type,
      exists: true,
      memberCount: 1,
      hasMember: (id: number) => id === 1,
    };
    const groups = [new SelfGroup(), plain, new PlatformGroup([1])];
    const rig = new AdminRig({ groups, families: FAMILIES });
    for (const { type } of groups) expect(rig.executor.supported(type.id)).toEqual([0, 1]);
  });

  it("may be used in parts: which commands a driver uses is its own affair", () => {
    const rig = new LegacyAccessRig();
    const listUse = request(1, SRIOV, 0, Uint8Array.of(0b0000_1011));
    expect(answerOf(rig.send({ readable: listUse, writableLength: 8 })!.bytes)).toEqual(OK);
    expect(rig.command(COMMON_READ, [0], 4).outcome).toEqual(OK);
    expect(rig.command(COMMON_WRITE, writing(0, 1), 0).outcome).toEqual(INVALID_OPCODE);
  });
});

describe("who is addressed", () => {
  it.each(Object.values(OP_LEGACY))(
    "opcode %i is for members of an SR-IOV group that have a legacy interface",
    (opcode) => {
      const rig = new LegacyAccessRig();
      const send = (target: { member?: number | bigint; group?: number }) =>
        rig.command(opcode, writing(0, 1), 8, target).outcome;
      expect(send({ group: 0, member: 0 })).toEqual(INVALID_OPCODE);
      expect(send({ group: 0xff00 })).toEqual(INVALID_GROUP);
      for (const member of [0, 4, 2n ** 32n + 1n, 2n ** 64n - 1n]) {
        expect(send({ member })).toEqual(INVALID_MEMBER);
      }
      expect(send({ member: 3 })).toEqual(INVALID_MEMBER);
      rig.group.exists = false;
      expect(send({ member: 1 })).toEqual(INVALID_GROUP);
      expect(rig.log).toEqual([]);
      rig.group.exists = true;
      expect(send({ member: 2 })).toEqual(OK);
      expect(rig.log.every((line) => line.startsWith("2 "))).toBe(true);
    },
  );
});

describe("reading commands", () => {
  it.each(READS)(
    "[legacy-access-device-2+] opcode %i answers with the bytes of the %s field, little-endian as they lie there",
    (opcode, space) => {
      const rig = new LegacyAccessRig();
      const first = rig.first[space].bytes[0]!;
      expect(rig.command(opcode, [0], 4)).toEqual({
        outcome: OK,
        used: 12,
        result: [0, 1, 2, 3].map((i) => (first + i).toString(16)).join(""),
      });
      expect(rig.first[space].log).toEqual(["read 0 4"]);
    },
  );

  it.each(READS)(
    "[legacy-access-device-3+-] [legacy-access-device-4+-] [legacy-access-device-5+-] [legacy-access-device-6+-] opcode %i reads in the %s space what the room names, or fails and reads nothing",
    (opcode, space, fields) => {
      const rig = new LegacyAccessRig();
      for (let offset = 0; offset < 40; offset++) {
        for (let room = 0; room <= 26; room++) {
          const length = accessed(fields, offset, room);
          const { outcome, used, result } = rig.command(opcode, [offset], room);
          const { log, bytes } = rig.first[space];
          if (length === 0) {
            expect([offset, room, outcome, log]).toEqual([offset, room, INVALID_FIELD, []]);
            expect(used).toBe(8);
          } else {
            expect([offset, room, outcome, log]).toEqual([
              offset,
              room,
              OK,
              [`read ${offset} ${length}`],
            ]);
            // A multiple of 8, as far as the driver has room; what is behind the field is zero.
            expect(used).toBe(8 + Math.min(room, Math.ceil(length / 8) * 8));
            const expected = new Uint8Array(used - 8);
            expected.set(bytes.subarray(offset, offset + length));
            expect(result).toBe(Buffer.from(expected).toString("hex"));
          }
          log.length = 0;
        }
      }
      expect(rig.log).toEqual([]);
    },
  );

  it("take what is missing of the offset as zero, and do not look at what is behind it", () => {
    const rig = new LegacyAccessRig();
    expect(rig.command(COMMON_READ, [], 4).result).toBe("10111213");
    expect(rig.command(COMMON_READ, [4, 9, 9, 9, 9, 9, 9, 9, 9], 2).result).toBe("1415");
  });

  it("serve any room that is a multiple of 8, and no more than 4096 bytes of it", () => {
    const rig = new LegacyAccessRig();
    for (const room of [8, 64, 4096, 8192]) {
      expect(rig.command(COMMON_READ, [4], room)).toEqual({
        outcome: OK,
        used: 16,
        result: "1415000000000000",
      });
    }
  });

  it("serve a buffer of any pieces", () => {
    const rig = new LegacyAccessRig();
    const answer = rig.send({
      readable: request(DEV_READ, SRIOV, 1, Uint8Array.of(8)),
      readableCuts: [3, 13, 8],
      writableLength: 8 + 12,
      writableCuts: [1, 2, 6, 1],
    })!;
    expect([...answer.bytes]).toEqual([
      ...new Array(8).fill(0),
      ...Array.from({ length: 12 }, (_, i) => 0x48 + i),
    ]);
  });
});

describe("writing commands", () => {
  it.each(WRITES)(
    "[legacy-access-device-3+-] [legacy-access-device-4+-] [legacy-access-device-5+-] [legacy-access-device-6+-] opcode %i writes in the %s space what the data names, or fails and writes nothing",
    (opcode, space, fields) => {
      const rig = new LegacyAccessRig();
      for (let offset = 0; offset < 40; offset++) {
        for (let count = 0; count <= 26; count++) {
          const length = accessed(fields, offset, count);
          const padded = count > length && length > 0;
          const bytes = Array.from({ length: count }, (_, i) =>
            padded && i >= length ? 0 : 0xa0 + i,
          );
          const before = rig.first[space].bytes.slice();
          const { outcome, used } = rig.command(opcode, writing(offset, ...bytes), 8);
          const { log } = rig.first[space];
          expect(used).toBe(8);
          if (length === 0) {
            expect([offset, count, outcome, log]).toEqual([offset, count, INVALID_FIELD, []]);
            expect(rig.first[space].bytes).toEqual(before);
          } else {
            const text = Buffer.from(bytes.slice(0, length)).toString("hex");
            expect([offset, count, outcome, log]).toEqual([
              offset,
              count,
              OK,
              [`write ${offset} ${text}`],
            ]);
          }
          log.length = 0;
        }
      }
    },
  );

  it.each(WRITES)(
    "[legacy-access-device-3-] [legacy-access-device-5-] opcode %i fails when what would pad a %s field is not zero",
    (opcode, space) => {
      const rig = new LegacyAccessRig();
      for (const at of [12, 13, 19, 27]) {
        const bytes = new Array(24).fill(0);
        bytes[at] = 1;
        expect(
          rig.command(opcode, writing(space === "common" ? 0 : 8, ...bytes), 0).outcome,
        ).toEqual(INVALID_FIELD);
      }
      expect(rig.log).toEqual([]);
    },
  );

  it("do not look at the reserved bytes, and fail without them and data", () => {
    const rig = new LegacyAccessRig();
    expect(rig.command(COMMON_WRITE, [4, 1, 2, 3, 4, 5, 6, 7, 8, 9], 0).outcome).toEqual(OK);
    expect(rig.first.common.log).toEqual(["write 4 0809"]);
    for (const data of [[], [4], [4, 0, 0, 0], writing(4)]) {
      expect(rig.command(COMMON_WRITE, data, 0).outcome).toEqual(INVALID_FIELD);
    }
    expect(rig.first.common.log).toHaveLength(1);
  });

  it("take zeros of any length that is a multiple of 8", () => {
    const rig = new LegacyAccessRig();
    for (const count of [8, 64, 4096, 8192]) {
      const bytes = new Array(count).fill(0);
      bytes[0] = 0x5a;
      expect(rig.command(COMMON_WRITE, writing(6, ...bytes), 0).outcome).toEqual(OK);
    }
    expect(rig.first.common.log).toEqual(new Array(4).fill("write 6 5a"));
  });
});

describe("LEGACY_NOTIFY_INFO", () => {
  const end = "00".repeat(16);

  it("[legacy-access-device-15+] [legacy-access-device-18+] names the places in order, and ends the list", () => {
    const rig = new LegacyAccessRig();
    const member = "0202000000000000 0040000000000000".replace(" ", "");
    expect(rig.command(NOTIFY_INFO, [], 64)).toEqual({
      outcome: OK,
      used: 72,
      result: member + end + end + end,
    });
    rig.first.notifyPlaces = [
      { of: "owner", bar: 5, offset: 2 ** 40 + 2 },
      { of: "member", bar: 2, offset: 0x4000 },
    ];
    const owner = "0105000000000000 0200000000010000".replace(" ", "");
    expect(rig.command(NOTIFY_INFO, [], 64).result).toBe(owner + member + end + end);
    rig.first.notifyPlaces = [];
    expect(rig.command(NOTIFY_INFO, [], 64).result).toBe(end.repeat(4));
  });

  it("[legacy-access-device-15-] never fills the last entry, however many places there are", () => {
    const rig = new LegacyAccessRig();
    rig.first.notifyPlaces = new Array(9).fill({ of: "member", bar: 1, offset: 2 });
    const { result } = rig.command(NOTIFY_INFO, [], 64);
    expect(result).toHaveLength(2 * 64);
    expect(result.slice(2 * 48)).toBe(end);
    expect(result.slice(0, 2 * 48)).not.toContain(end);
  });

  it("is cut to the room that there is, and does not look at data", () => {
    const rig = new LegacyAccessRig();
    expect(rig.command(NOTIFY_INFO, [1, 2, 3], 16)).toMatchObject({ outcome: OK, used: 24 });
    expect(rig.command(NOTIFY_INFO, [], 0)).toMatchObject({ outcome: OK, used: 8 });
    expect(rig.command(NOTIFY_INFO, [], 200)).toMatchObject({ outcome: OK, used: 72 });
  });
});

describe("a hostile driver", () => {
  it("gets an answer to whatever it sends, and what is refused does nothing", () => {
    const rig = new LegacyAccessRig();
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(OP_LEGACY)),
        fc.uint8Array({ maxLength: 48 }),
        fc.nat({ max: 80 }),
        fc.constantFrom<number | bigint>(0, 1, 2, 3, 4, 2n ** 63n),
        (opcode, data, room, member) => {
          for (const { common, config } of rig.group.members) {
            common.log.length = 0;
            config.log.length = 0;
          }
          const { outcome, used } = rig.command(opcode, [...data], room, { member });
          expect([OK, INVALID_FIELD, INVALID_MEMBER]).toContainEqual(outcome);
          expect(used).toBeLessThanOrEqual(8 + room);
          if (outcome[0] !== 0) expect(rig.log).toEqual([]);
          expect(rig.faults).toEqual([]);
        },
      ),
    );
  });
});
