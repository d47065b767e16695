import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeNotifyPlaces,
  LEGACY_ACCESS_FAMILY,
  LEGACY_NOTIFY_ENTRY,
} from "../../src/admin/index.ts";
import type { LegacyNotifyPlace } from "../../src/group/index.ts";
import { encode } from "../../src/layout/index.ts";

describe("payloads of the legacy access commands", () => {
  it("belong to commands 2 to 6, for the SR-IOV group alone", () => {
    expect(
      LEGACY_ACCESS_FAMILY.commands.map(({ opcode, name, usesMember, data, result, groups }) => [
        opcode,
        name,
        usesMember,
        [data.min, data.max],
        [result.min, result.max],
        groups,
      ]),
    ).toEqual([
      [2, "LEGACY_COMMON_CFG_WRITE", true, [8, 8 + 4096], [0, 0], [1]],
      [3, "LEGACY_COMMON_CFG_READ", true, [1, 1], [0, 4096], [1]],
      [4, "LEGACY_DEV_CFG_WRITE", true, [8, 8 + 4096], [0, 0], [1]],
      [5, "LEGACY_DEV_CFG_READ", true, [1, 1], [0, 4096], [1]],
      [6, "LEGACY_NOTIFY_INFO", true, [0, 0], [64, 64], [1]],
    ]);
    expect(LEGACY_ACCESS_FAMILY.private).toBe(false);
  });
});

const BARS = {
  owner: (bar: number) => (bar === 1 ? 0x1000 : 0),
  member: (bar: number) => (bar === 4 ? 0x4002 : bar === 0 ? 0x1000 : 0),
};
const entry = (flags: number, bar: number, offset: bigint) =>
  encode(LEGACY_NOTIFY_ENTRY, { flags, bar, offset });
const entries = (...list: readonly Uint8Array[]) =>
  Uint8Array.from(list.flatMap((bytes) => [...bytes]));
const member = (offset: number): LegacyNotifyPlace => ({ of: "member", bar: 4, offset });

describe("notification places", () => {
  it("[legacy-access-driver-5-] end at the first entry with flags 0", () => {
    const bytes = entries(
      entry(2, 4, 0x10n),
      entry(0, 4, 0x20n),
      entry(2, 4, 0x30n),
      entry(1, 1, 0n),
    );
    expect(decodeNotifyPlaces(bytes, BARS)).toEqual([member(0x10)]);
    expect(decodeNotifyPlaces(entries(entry(0, 4, 0n), entry(2, 4, 2n)), BARS)).toEqual([]);
  });

  it.each([
    ["reserved flags", entry(3, 4, 0n)],
    ["both flags", entry(0x82, 4, 0n)],
    ["BAR 0, though there is one", entry(2, 0, 0n)],
    ["a BAR that the member does not have", entry(2, 1, 0n)],
    ["a BAR that the owner does not have", entry(1, 4, 0n)],
    ["a BAR above 5", entry(2, 6, 0n)],
    ["an odd offset", entry(2, 4, 0x11n)],
    ["an offset at the end of the BAR", entry(2, 4, 0x4002n)],
    ["an offset beyond all BARs", entry(2, 4, 2n ** 64n - 2n)],
    ["an offset that no number holds", entry(2, 4, 2n ** 53n + 2n)],
  ])(
    "[legacy-access-driver-6-] [legacy-access-driver-7-] leave out %s, and nothing after it",
    (_, bad) => {
      const bytes = entries(entry(2, 4, 0n), bad, entry(1, 1, 0xffen));
      expect(decodeNotifyPlaces(bytes, BARS)).toEqual([
        member(0),
        { of: "owner", bar: 1, offset: 0xffe },
      ]);
    },
  );

  it("may be the last two bytes of a BAR", () => {
    expect(decodeNotifyPlaces(entry(2, 4, 0x4000n), BARS)).toEqual([member(0x4000)]);
  });

  it("of a function that nobody named are left out", () => {
    const bytes = entries(entry(2, 4, 0n), entry(1, 1, 0n));
    expect(decodeNotifyPlaces(bytes, {})).toEqual([]);
    expect(decodeNotifyPlaces(bytes, { owner: BARS.owner })).toHaveLength(1);
  });

  it("come from any bytes of any length, and are always inside a BAR", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        for (const { of, bar, offset } of decodeNotifyPlaces(bytes, BARS)) {
          expect(bar).toBeGreaterThan(0);
          expect(offset % 2).toBe(0);
          expect(offset + 2).toBeLessThanOrEqual(BARS[of](bar));
        }
      }),
    );
    expect(decodeNotifyPlaces(entries(...new Array(5).fill(entry(2, 4, 0n))), BARS)).toHaveLength(
      4,
    );
  });
});
