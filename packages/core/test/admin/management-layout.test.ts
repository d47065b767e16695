import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readFeatures, writeFeatures } from "../../src/admin/commands/management-layout.ts";
import { FEATURES_DATA, MANAGEMENT_FAMILY } from "../../src/admin/index.ts";
import { FeatureSet } from "../../src/device/index.ts";
import { accessors } from "../../src/layout/index.ts";

describe("payloads of the management commands", () => {
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
