import process from "node:process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { configurations, Modelled, SIZES, STEPS, startIndex } from "./model.ts";
import { makeRig } from "./rig.ts";

/** Steps to go altogether: set VIRTIO_ADMIN_MODEL_STEPS, to 1000000 say, for a long run. */
const ALL_STEPS = Number(process.env["VIRTIO_ADMIN_MODEL_STEPS"] ?? 30_000);
const LONGEST_RUN = 200;
const LONG_RUN_TIMEOUT = 3_600_000;

const steps = fc.array(STEPS, { minLength: 20, maxLength: LONGEST_RUN, size: "max" });

describe("driver half against device half", () => {
  it(
    "[packed-list-device-1+] carries every buffer once, in order, with its bytes, and loses no wake-up: split and packed alike",
    () => {
      fc.assert(
        fc.property(configurations(SIZES), steps, (config, actions) => {
          const split = new Modelled(config, false);
          const packed = new Modelled(config, true);
          for (const action of actions) {
            expect(packed.step(action)).toEqual(split.step(action));
          }
          split.finish();
          packed.finish();
        }),
        { numRuns: Math.ceil(ALL_STEPS / LONGEST_RUN) },
      );
    },
    LONG_RUN_TIMEOUT,
  );

  it("carries them over packed rings of any size", () => {
    fc.assert(
      fc.property(configurations([3, 5, 6, 7, 63, 100]), steps, (config, actions) => {
        const packed = new Modelled(config, true);
        for (const action of actions) packed.step(action);
        packed.finish();
      }),
      { numRuns: 60 },
    );
  });
});

describe.each([false, true])("a ring (packed %s)", (packed) => {
  it.each([1, 2, 1024, 32768, ...(packed ? [3, 1000, 32767] : [])])(
    "goes round a ring of %d more often than 16 bits count",
    (size) => {
      const { driver, device, arena } = makeRig({ size, packed, eventIdx: true });
      const buffer = arena.allocate(8, 8);
      const batch = Math.min(size, 1024);
      let carried = 0;
      while (carried <= 0x10000 + size) {
        for (let i = 0; i < batch; i++) driver.add([buffer.address], [8], 1, 0);
        driver.publish();
        for (let i = 0; i < batch; i++) {
          const chain = device.pop();
          if (chain === undefined) throw new Error(`nothing popped after ${carried + i}`);
          device.push(chain, 8);
        }
        device.publish();
        for (let i = 0; i < batch; i++) if (driver.reap() < 0) throw new Error("nothing reaped");
        carried += batch;
      }
      expect([device.index, driver.free, device.pop(), driver.reap()]).toEqual([
        startIndex(carried, size, packed),
        size,
        undefined,
        -1,
      ]);
    },
  );

  it("fills the largest ring, and one chain as long as the ring", () => {
    const size = 32768;
    const { driver, device, arena } = makeRig({
      size,
      packed,
      startIndex: startIndex(0x8000, size, packed),
    });
    const { address } = arena.allocate(8, 8);
    for (let i = 0; i < size; i++) expect(driver.add([address], [1], 1, 1)).toBe(i);
    expect(driver.add([address], [1], 1, 1)).toBe(-1);
    driver.publish();
    for (let i = 0; i < size; i++) expect(device.pop()?.head).toBe(i);
    expect([device.pop(), device.outstanding]).toEqual([undefined, size]);

    const other = makeRig({ size, packed });
    const addresses = new Array(size).fill(other.arena.allocate(8, 8).address);
    other.driver.add(addresses, new Array(size).fill(2), size, size - 1);
    other.driver.publish();
    const chain = other.device.pop();
    expect([chain?.count, chain?.readableLength, chain?.writableLength]).toEqual([
      size,
      2 * (size - 1),
      2,
    ]);
    if (chain !== undefined) other.device.push(chain, 2);
    other.device.publish();
    expect([other.driver.reap(), other.driver.free]).toEqual([0, size]);
  });
});
