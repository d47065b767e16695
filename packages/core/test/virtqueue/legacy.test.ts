import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { legacyQueueAreas, legacyQueueLength, splitAreaSizes } from "../../src/virtqueue/index.ts";

describe("the legacy layout of a virtqueue", () => {
  // Worked out from the text: descriptors of 16 bytes, 6 + 2 * size bytes, padding, 6 + 8 * size.
  it.each([
    [1, 16, 4096, 8192],
    [8, 128, 4096, 8192],
    [16, 256, 4096, 8192],
    [128, 2048, 4096, 8192],
    [256, 4096, 8192, 12288],
    [512, 8192, 12288, 20480],
    [1024, 16384, 20480, 32768],
    [32768, 524288, 593920, 860160],
  ])("of %i entries has its rings at %i and %i, and %i bytes", (size, avail, used, length) => {
    expect(legacyQueueAreas(0x10_0000, size, 4096)).toEqual({
      descriptorArea: 0x10_0000,
      driverArea: 0x10_0000 + avail,
      deviceArea: 0x10_0000 + used,
    });
    expect(legacyQueueLength(size, 4096)).toBe(length);
  });

  it.each([0, 3, 65536, -1, 1.5])("has no size %d", (size) => {
    expect(() => legacyQueueAreas(0, size, 4096)).toThrow(
      expect.objectContaining({ code: "QUEUE_SIZE" }),
    );
    expect(() => legacyQueueLength(size, 4096)).toThrow(
      expect.objectContaining({ code: "QUEUE_SIZE" }),
    );
  });

  it("keeps its parts apart, aligned, and in whole units of the alignment", () => {
    fc.assert(
      fc.property(fc.nat({ max: 15 }), fc.integer({ min: 2, max: 16 }), (log, shift) => {
        const size = 2 ** log;
        const alignment = 2 ** shift;
        const areas = legacyQueueAreas(0, size, alignment);
        const sizes = splitAreaSizes(size);
        expect(areas.driverArea).toBe(sizes.descriptorArea.length);
        expect(areas.deviceArea).toBeGreaterThanOrEqual(areas.driverArea + sizes.driverArea.length);
        expect(areas.deviceArea - areas.driverArea - sizes.driverArea.length).toBeLessThan(
          alignment,
        );
        expect(areas.deviceArea % alignment).toBe(0);
        const length = legacyQueueLength(size, alignment);
        expect(length % alignment).toBe(0);
        expect(length).toBeGreaterThanOrEqual(areas.deviceArea + sizes.deviceArea.length);
      }),
    );
  });
});
