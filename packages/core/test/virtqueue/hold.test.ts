/** Device halves that are held back, and where another one goes on after them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createDeviceQueue, type DeviceQueue, ringPosition } from "../../src/virtqueue/index.ts";
import { makeRig, type Rig } from "./rig.ts";

const bytesOf = ({ memory }: Rig) => Buffer.from(memory.regions[0]!.bytes).toString("base64");

function offer({ arena, driver }: Rig, length = 4): void {
  if (driver.add([arena.allocate(length, 4).address], [length], 1, 0) < 0) throw new Error("full");
  driver.publish();
}

describe.each([
  { packed: false, eventIdx: false },
  { packed: false, eventIdx: true },
  { packed: true, eventIdx: false },
  { packed: true, eventIdx: true },
])("a queue that is held back: %j", (format) => {
  it("pops nothing, and looks at nothing for that", () => {
    const rig = makeRig(format);
    rig.device.hold();
    const before = bytesOf(rig);
    const { index } = rig.device;
    expect(rig.device.pop()).toBeUndefined();
    expect(bytesOf(rig)).toBe(before);
    offer(rig);
    expect([rig.device.pop(), rig.device.index]).toEqual([undefined, index]);
    rig.device.release();
    expect(rig.device.pop()?.writableLength).toBe(4);
  });

  it("takes back what it has given out, and publishes it", () => {
    const rig = makeRig(format);
    offer(rig);
    offer(rig);
    const chain = rig.device.pop()!;
    rig.device.hold();
    expect(rig.device.write(chain, 0, Uint8Array.of(7))).toBe(1);
    rig.device.push(chain, 1);
    rig.device.publish();
    expect([rig.driver.reap(), rig.driver.usedLength, rig.driver.reap()]).toEqual([0, 1, -1]);
    expect([rig.device.outstanding, rig.device.pop()]).toEqual([0, undefined]);
  });

  it.each([
    [true, [], true],
    [true, [false], false],
    [true, [false, true], true],
    [false, [], false],
    [false, [true], true],
    [false, [true, false], false],
  ])("tells afterwards what was wanted: %s, then %s", (first, then, last) => {
    const rig = makeRig(format);
    const want = (wanted: boolean) => {
      if (wanted) rig.device.enableNotifications();
      else rig.device.disableNotifications();
    };
    want(first);
    rig.device.pop();
    rig.device.hold();
    const before = bytesOf(rig);
    for (const wanted of then) want(wanted);
    expect([bytesOf(rig), rig.device.notifications]).toEqual([before, last]);
    rig.device.release();
    rig.device.pop();
    const { arena, driver } = rig;
    driver.add([arena.allocate(4, 4).address], [4], 1, 0);
    expect(driver.publish()).toBe(last);
  });

  it("stays stopped when it was stopped, and broken when it broke", () => {
    const rig = makeRig(format);
    offer(rig);
    rig.device.hold();
    rig.device.stop();
    rig.device.release();
    expect(rig.device.pop()).toBeUndefined();
    rig.device.hold();
    expect([rig.device.enableNotifications(), rig.device.publish()]).toEqual([false, false]);
    const other = makeRig(format);
    const [defect, breakRing] = format.packed
      ? // An indirect descriptor without the feature.
        ["indirect-not-negotiated", () => other.table.setUint16(14, 0x84, true)]
      : ["index-jump", () => other.avail.setUint16(2, 99, true)];
    breakRing();
    other.device.hold();
    expect([other.device.pop(), other.device.defect]).toEqual([undefined, undefined]);
    other.device.release();
    expect([other.device.pop(), other.device.defect]).toEqual([undefined, defect]);
  });
});

describe("the position of a split ring", () => {
  it("is where a device half went that used all that it took, whatever it took", () => {
    fc.assert(
      fc.property(
        fc.nat(0xffff),
        fc.boolean(),
        fc.array(fc.nat(8), { maxLength: 12 }),
        (startIndex, eventIdx, rounds) => {
          const rig = makeRig({ startIndex, eventIdx });
          const { driver, init } = rig;
          // As after every reset, but for the index that both rings begin with.
          rig.used.setUint16(2, startIndex, true);
          let device: DeviceQueue = rig.device;
          let used = 0;
          for (const round of rounds) {
            for (let i = 0; i < round && driver.free > 0; i++) offer(rig);
            for (let i = 0; i < round / 2; i++) {
              const chain = device.pop();
              if (chain === undefined) break;
              device.push(chain, 0);
              used++;
            }
            device.publish();
            expect(ringPosition(init)).toBe((startIndex + used) & 0xffff);
            device.stop();
            device = createDeviceQueue({ ...init, startIndex: ringPosition(init) });
            while (driver.reap() >= 0);
          }
          expect(driver.defect).toBeUndefined();
        },
      ),
      { numRuns: 100 },
    );
  });

  it("is found in queues that can be, and in no others", () => {
    const { init } = makeRig();
    expect(ringPosition(init)).toBe(0);
    expect(() => ringPosition({ ...init, deviceArea: 1 })).toThrow(
      expect.objectContaining({ code: "QUEUE_ADDRESS" }),
    );
  });
});
