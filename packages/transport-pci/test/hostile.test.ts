/** Accesses at random: nothing throws, and guest memory outside the queues stays as it was. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MEMORY_BASE, makeRig, type Rig } from "./rig.ts";

const number = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 0x3100 }) },
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 64 }) },
  fc.constantFrom(
    -1,
    0.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    -(2 ** 53),
  ),
);
const value = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 0xb, 0xf, 0x7fff, 0xffff, 0xffffffff, Number.NaN, -1, 1.5),
  fc.integer({ min: 0, max: 0xffffffff }),
);
const size = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom(1, 2, 4) },
  fc.constantFrom(0, 3, 8, -1, Number.NaN),
);
const bar = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(0, 1) }, fc.constantFrom(2, 6, -1));

type Poke = (rig: Rig) => void;
const poke: fc.Arbitrary<Poke> = fc.oneof(
  fc.tuple(bar, number, size, value).map(
    ([b, at, n, v]): Poke =>
      (rig) =>
        rig.pci.barWrite(b, at, n, v),
  ),
  fc.tuple(bar, number, size).map(
    ([b, at, n]): Poke =>
      (rig) => {
        const read = rig.pci.barRead(b, at, n);
        expect(read >= 0 && read <= 0xffffffff && Number.isInteger(read)).toBe(true);
      },
  ),
  fc.tuple(number, size, value).map(
    ([at, n, v]): Poke =>
      (rig) =>
        rig.pci.configWrite(at % 0x110, n, v),
  ),
  fc.tuple(number, size).map(
    ([at, n]): Poke =>
      (rig) => {
        const read = rig.pci.configRead(at % 0x110, n);
        expect(read >= 0 && read <= 0xffffffff && Number.isInteger(read)).toBe(true);
      },
  ),
  fc.tuple(bar, number, fc.uint8Array({ maxLength: 40 })).map(
    ([b, at, bytes]): Poke =>
      (rig) => {
        rig.pci.barWriteBytes(b, at, bytes);
        rig.pci.barReadBytes(b, at, bytes);
      },
  ),
  fc.tuple(number, fc.uint8Array({ maxLength: 40 })).map(
    ([at, bytes]): Poke =>
      (rig) => {
        rig.pci.configWriteBytes(at, bytes);
        rig.pci.configReadBytes(at, bytes);
      },
  ),
  fc.constantFrom<Poke>(
    (rig) => void rig.negotiate([40, 41]),
    (rig) => void rig.enable(1),
    (rig) => rig.set("device_status", 0xf),
    (rig) => rig.command("memory_space", "bus_master"),
    (rig) => rig.notify(1),
    (rig) => rig.pci.reset(),
  ),
);

describe("a hostile driver", () => {
  it.each([false, true])("[pci-device-1] changes nothing but registers, traced: %s", (trace) => {
    fc.assert(
      fc.property(fc.array(poke, { minLength: 1, maxLength: 60, size: "max" }), (pokes) => {
        const rig = makeRig({ trace });
        // Outside the queue that the pokes may enable, whose buffers a device may well write.
        rig.bytes.fill(0xa5, 0x2000);
        const before = rig.bytes.slice(0x2000);
        for (const each of pokes) each(rig);
        expect(rig.pci.placement.windows.common.length).toBe(64);
        const enabled = [0, 1, 2].filter((queue) => rig.device.queueEnabled(queue));
        const elsewhere = enabled.some(
          (queue) => rig.device.queueAddress(queue, "descriptorArea", 0) >= MEMORY_BASE + 0x2000,
        );
        if (!elsewhere) expect(Buffer.compare(rig.bytes.subarray(0x2000), before)).toBe(0);
        for (const event of rig.events) {
          if (event.op === "read" || event.op === "write")
            expect(event.data.length).toBe(2 * ("size" in event ? event.size : 0));
        }
      }),
      { numRuns: 200 },
    );
  });
});
