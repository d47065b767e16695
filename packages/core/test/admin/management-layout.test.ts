import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readFeatures, writeFeatures } from "../../src/admin/commands/management-layout.ts";
import {
  FEATURES_DATA,
  FEATURES_RESULT,
  MANAGEMENT_FAMILY,
  MGMT_ATTRS_RESULT,
  MSIX_COUNT_DATA,
  MSIX_COUNT_RESULT,
} from "../../src/admin/index.ts";
import { FeatureSet } from "../../src/device/index.ts";
import { accessors, decode, encode, type StructLayout } from "../../src/layout/index.ts";
import { hex, unhex } from "./rig.ts";

type Values = Readonly<Record<string, unknown>>;
const VECTORS: readonly [string, StructLayout, Values, string][] = [
  [
    "the attributes of a group",
    MGMT_ATTRS_RESULT,
    {
      attrs: 3n,
      msix_total: 0x12345678,
      msix_free: 0x9abcdef0,
      msix_min: 2,
      msix_max: 0x0800,
      reserved: [0, 0, 0, 0],
      settable: [0x8000000000000001n, 0x10n],
    },
    "0300000000000000 78563412 f0debc9a 0200 0008 00000000 0100000000000080 1000000000000000",
  ],
  [
    "a count of vectors",
    MSIX_COUNT_RESULT,
    { vectors: 0x0102, default: 0x0304, reserved: [0, 0, 0, 0] },
    "0201 0403 00000000",
  ],
  [
    "a count to set",
    MSIX_COUNT_DATA,
    { vectors: 2048, reserved: [0, 0, 0, 0, 0, 0] },
    "0008 000000000000",
  ],
  [
    "the features of a member",
    FEATURES_RESULT,
    {
      offered_low: 0x0102030405060708n,
      settable_low: 1n,
      offered_high: 2n ** 63n,
      settable_high: 3n,
    },
    "0807060504030201 0100000000000000 0000000000000080 0300000000000000",
  ],
  [
    "features to switch",
    FEATURES_DATA,
    { mask_low: 5n, value_low: 4n, mask_high: 2n ** 36n, value_high: 0n },
    "0500000000000000 0400000000000000 0000000010000000 0000000000000000",
  ],
];

describe("payloads of the management commands", () => {
  it.each(VECTORS)("%s is these bytes and back", (_, layout, values, text) => {
    expect(hex(encode(layout, values as never))).toBe(text.replaceAll(" ", ""));
    expect(decode(layout, unhex(text))).toEqual(values);
  });

  it.each(VECTORS)("%s has no byte too few", (_, layout, __, text) => {
    const bytes = unhex(text);
    for (const length of [0, 1, bytes.length - 1]) {
      expect(() => decode(layout, bytes.subarray(0, length))).toThrow(
        expect.objectContaining({ code: "VALUE_RANGE" }),
      );
    }
  });

  it.each([
    [MSIX_COUNT_DATA, { vectors: 0x10000 }],
    [MSIX_COUNT_DATA, { vectors: -1 }],
    [MSIX_COUNT_DATA, { vectors: 1.5 }],
    [MSIX_COUNT_DATA, { reserved: [0] }],
    [MGMT_ATTRS_RESULT, { msix_total: 2 ** 32 }],
    [MGMT_ATTRS_RESULT, { settable: [1n] }],
    [FEATURES_DATA, { mask_low: 2n ** 64n }],
  ] as readonly [StructLayout, Values][])(
    "a value that does not fit %s is refused: %o",
    (layout, values) => {
      expect(() => encode(layout, values as never)).toThrow(
        expect.objectContaining({ code: "VALUE_RANGE" }),
      );
    },
  );

  it("hold every set of features in two words, the lower features first", () => {
    const { mask_low, mask_high } = accessors(FEATURES_DATA);
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 127 })), (bits) => {
        const features = FeatureSet.of(...bits);
        const view = new DataView(new ArrayBuffer(FEATURES_DATA.size));
        writeFeatures(mask_low, mask_high, view, features);
        expect(readFeatures(mask_low, mask_high, view).equals(features)).toBe(true);
        const whole = bits.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n);
        expect([mask_low.getBig(view, 0), mask_high.getBig(view, 0)]).toEqual([
          whole & (2n ** 64n - 1n),
          whole >> 64n,
        ]);
      }),
    );
  });

  it("belong to commands from 0x0100 on, for SR-IOV and platform groups", () => {
    expect(
      MANAGEMENT_FAMILY.commands.map(({ opcode, name, usesMember, data, result, groups }) => [
        opcode,
        name,
        usesMember,
        data.max,
        result.max,
        groups,
      ]),
    ).toEqual([
      [0x0100, "MGMT_ATTRS_GET", false, 0, 40, [1, 0xff00]],
      [0x0101, "MSIX_COUNT_GET", true, 0, 8, [1, 0xff00]],
      [0x0102, "MSIX_COUNT_SET", true, 8, 0, [1, 0xff00]],
      [0x0103, "FEATURES_GET", true, 0, 32, [1, 0xff00]],
      [0x0104, "FEATURES_SET", true, 32, 0, [1, 0xff00]],
    ]);
    expect(MANAGEMENT_FAMILY.private).toBe(true);
  });
});
