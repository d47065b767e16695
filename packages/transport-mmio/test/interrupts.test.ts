import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MMIO_INTERRUPT, MMIO_REFERENCE_LAYOUT } from "../src/index.ts";
import { rig } from "./rig.ts";

const { usedBuffer, configurationChange } = MMIO_INTERRUPT;

describe("InterruptStatus", () => {
  test("[mmio-device-3] [mmio-device-4] an event stays until it is acknowledged, and no other is set", () => {
    const { window, read, write, lines } = rig();
    window.usedBuffers(0);
    expect(read("InterruptStatus")).toBe(usedBuffer);
    expect(window.interruptLine).toBe(true);
    window.configurationChange();
    expect(read("InterruptStatus")).toBe(usedBuffer | configurationChange);
    write("InterruptACK", usedBuffer);
    expect(read("InterruptStatus")).toBe(configurationChange);
    expect(window.interruptLine).toBe(true);
    write("InterruptACK", configurationChange);
    expect(read("InterruptStatus")).toBe(0);
    expect(lines).toEqual([true, false]);
  });

  test("[mmio-driver-19] bits that are undefined acknowledge nothing", () => {
    const { window, read, write, lines } = rig();
    write("InterruptACK", 0xffffffff);
    expect(lines).toEqual([]);
    window.usedBuffers(1);
    write("InterruptACK", 0xfffffffc);
    expect(read("InterruptStatus")).toBe(usedBuffer);
  });

  test("[mmio-device-5] a reset clears it and lowers the line", () => {
    const { window, read, write, lines } = rig();
    window.usedBuffers(0);
    window.configurationChange();
    write("Status", 0);
    expect(read("InterruptStatus")).toBe(0);
    expect(lines).toEqual([true, false]);
  });

  test("[mmio-admin-device-12] an administration virtqueue sets bit 0 as any other", () => {
    const { window, read } = rig();
    window.usedBuffers(2);
    expect(read("InterruptStatus")).toBe(usedBuffer);
  });
});

describe("hostile drivers", () => {
  const offsets = Object.values(MMIO_REFERENCE_LAYOUT.registers).map(({ offset }) => offset);
  const access = fc.record({
    offset: fc.oneof(fc.constantFrom(...offsets), fc.integer({ min: -8, max: 0x400 })),
    size: fc.oneof({ weight: 4, arbitrary: fc.constant(4) }, fc.constantFrom(0, 1, 2, 3, 8)),
    value: fc.oneof(
      fc.constantFrom(0, 1, 3, 0x0b, 0x0f, 0x41, 0x80, 0x10000, 0xffffffff),
      fc.integer({ min: 0, max: 0xffffffff }),
    ),
    isRead: fc.boolean(),
  });

  test("[mmio-driver-1] no access throws, and every read is 32 unsigned bits of no more than its width", () => {
    fc.assert(
      fc.property(fc.array(access, { maxLength: 60 }), (accesses) => {
        const { window } = rig({ adminQueues: 2 });
        for (const { offset, size, value, isRead } of accesses) {
          if (!isRead) {
            window.write(offset, size, value);
            continue;
          }
          const answer = window.read(offset, size);
          expect(
            Number.isInteger(answer) && answer >= 0 && answer < 2 ** (8 * Math.min(size, 4)),
          ).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("[mmio-admin-device-5] whatever is written, the place reads 0 or is the device's", () => {
    fc.assert(
      fc.property(fc.array(access, { maxLength: 60 }), (accesses) => {
        const { window, read } = rig({ adminQueues: 2 });
        for (const { offset, size, value } of accesses) {
          window.write(offset, size, value);
          const place = [read("AdminQueueIndex"), read("AdminQueueNum")];
          expect([
            [0, 0],
            [2, 2],
          ]).toContainEqual(place);
        }
      }),
      { numRuns: 200 },
    );
  });
});
