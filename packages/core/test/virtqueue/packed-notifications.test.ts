import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DeviceQueue, RING_EVENT_FLAGS } from "../../src/virtqueue/index.ts";
import { BUFFER, event, hex, WRAP } from "./packed-rig.ts";
import { makeRig, type Rig } from "./rig.ts";

const { ENABLE, DISABLE, DESC } = RING_EVENT_FLAGS;
const RESERVED = 3;

/** Where a ring of `size` is after `steps` descriptors from `position`. */
function moved(position: number, steps: number, size: number): number {
  const all = (position & ~WRAP) + (position & WRAP ? 0 : size) + steps;
  const turned = ((all % (2 * size)) + 2 * size) % (2 * size);
  return turned < size ? turned | WRAP : turned - size;
}

/** The text's rule, descriptor by descriptor: is one of them the one that is waited for? */
function textSaysNotify(from: number, count: number, waited: number, size: number): boolean {
  for (let i = 0; i < count; i++) if (moved(from, i, size) === waited) return true;
  return false;
}

const SIZE = 7;
const ring = fc.record({
  start: fc.record({ offset: fc.nat(SIZE - 1), wrap: fc.constantFrom(0, WRAP) }),
  // Few, so that the event is often near.
  waited: fc.oneof(fc.integer({ min: -2, max: SIZE + 2 }), fc.integer({ min: 0, max: 0xffff })),
  isNear: fc.boolean(),
  batches: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 6 }),
  reserved: fc.integer({ min: 0, max: 0x3fff }),
});

function popMany(device: DeviceQueue, count: number) {
  return Array.from({ length: count }, () => {
    const chain = device.pop();
    if (chain === undefined) throw new Error("nothing popped");
    return chain;
  });
}

function add({ driver }: Rig, count: number): void {
  for (let i = 0; i < count; i++) driver.add([BUFFER], [1], 1, 1);
}

describe("with event indexes", () => {
  it.each(["driver", "device"] as const)(
    "the %s notifies exactly when a batch holds the descriptor that is waited for",
    (who) => {
      fc.assert(
        fc.property(ring, ({ start, waited, isNear, batches, reserved }) => {
          const startIndex = start.offset | start.wrap;
          const rig = makeRig({ size: SIZE, packed: true, eventIdx: true, startIndex });
          const { driver, device, avail, used } = rig;
          const position = isNear ? moved(startIndex, waited, SIZE) : waited & 0xffff;
          const asked = event(DESC | (reserved << 2), position);
          let at = startIndex;
          for (const count of batches) {
            const expected = textSaysNotify(at, count, position, SIZE);
            if (who === "driver") used.setUint32(0, asked, true);
            add(rig, count);
            const driverTold = driver.publish();
            for (const chain of popMany(device, count)) device.push(chain, 0);
            if (who === "device") avail.setUint32(0, asked, true);
            const deviceTold = device.publish();
            expect(who === "driver" ? driverTold : deviceTold).toBe(expected);
            at = moved(at, count, SIZE);
            while (driver.reap() >= 0);
          }
        }),
        { numRuns: 400 },
      );
    },
  );

  it("a chain of which one descriptor is waited for counts as a whole", () => {
    for (const waited of [0, 1, 2, 3]) {
      const rig = makeRig({ size: 8, packed: true, eventIdx: true });
      rig.used.setUint32(0, event(DESC, waited | WRAP), true);
      rig.driver.add([BUFFER, BUFFER, BUFFER], [1, 1, 1], 3, 3);
      expect(rig.driver.publish()).toBe(waited < 3);
      rig.avail.setUint32(0, event(DESC, waited | WRAP), true);
      for (const chain of popMany(rig.device, 1)) rig.device.push(chain, 0);
      expect(rig.device.publish()).toBe(waited < 3);
    }
  });

  it("each half says which descriptor it waits for, and by other flags that it waits for none", () => {
    const rig = makeRig({ size: 3, packed: true, eventIdx: true });
    const { driver, device, avail, used } = rig;
    const both = () => [hex(avail, 0, 4), hex(used, 0, 4)];
    expect(both()).toEqual(["00000000", "00000000"]);
    expect([driver.reap(), device.pop()]).toEqual([-1, undefined]);
    expect(both()).toEqual(["00800200", "00800200"]);
    add(rig, 2);
    expect(driver.publish()).toBe(true);
    for (const chain of popMany(device, 2)) device.push(chain, 0);
    expect([device.publish(), driver.reap(), driver.reap()]).toEqual([true, 0, 1]);
    expect([driver.reap(), device.pop()]).toEqual([-1, undefined]);
    expect(both()).toEqual(["02800200", "02800200"]);
    add(rig, 1);
    driver.publish();
    for (const chain of popMany(device, 1)) device.push(chain, 0);
    device.publish();
    expect([driver.reap(), driver.reap(), device.pop()]).toEqual([1, -1, undefined]);
    expect(both()).toEqual(["00000200", "00000200"]);
    driver.disableNotifications();
    device.disableNotifications();
    expect(both()).toEqual(["00000100", "00000100"]);
    expect([driver.reap(), device.pop()]).toEqual([-1, undefined]);
    expect(both()).toEqual(["00000100", "00000100"]);
    expect([driver.enableNotifications(), device.enableNotifications()]).toEqual([false, false]);
    expect(both()).toEqual(["00000200", "00000200"]);
  });
});

describe("whether or not there are event indexes", () => {
  it.each([false, true])("flags alone decide, what is reserved as if it asked (%s)", (eventIdx) => {
    for (const [flags, notify] of [
      [ENABLE, true],
      [DISABLE, false],
      [RESERVED, true],
    ] as const) {
      for (const position of [0, 5 | WRAP, 0xffff]) {
        const rig = makeRig({ packed: true, eventIdx });
        rig.used.setUint32(0, event(flags, position), true);
        add(rig, 1);
        expect(rig.driver.publish()).toBe(notify);
        rig.avail.setUint32(0, event(flags, position), true);
        for (const chain of popMany(rig.device, 1)) rig.device.push(chain, 0);
        expect(rig.device.publish()).toBe(notify);
      }
    }
  });

  it("a descriptor is not waited for without VIRTIO_F_EVENT_IDX", () => {
    const rig = makeRig({ packed: true });
    rig.used.setUint32(0, event(DESC, 5 | WRAP), true);
    add(rig, 1);
    expect(rig.driver.publish()).toBe(true);
    expect([rig.driver.reap(), hex(rig.avail, 0, 4)]).toEqual([-1, "00000000"]);
    rig.driver.disableNotifications();
    rig.device.disableNotifications();
    expect([hex(rig.avail, 0, 4), hex(rig.used, 0, 4)]).toEqual(["00000100", "00000100"]);
    expect(rig.device.enableNotifications()).toBe(true);
    expect(hex(rig.used, 0, 4)).toBe("00000000");
  });

  it.each([false, true])(
    "[packed-desc-driver-4+] looking at an empty ring again and again changes nothing (%s)",
    (eventIdx) => {
      const { driver, device } = makeRig({ packed: true, eventIdx });
      for (let i = 0; i < 3; i++) {
        expect([device.pop(), device.publish(), device.enableNotifications()]).toEqual([
          undefined,
          false,
          false,
        ]);
        expect([driver.reap(), driver.publish(), driver.enableNotifications()]).toEqual([
          -1,
          false,
          false,
        ]);
      }
      expect([device.index, device.defect, driver.defect, driver.free]).toEqual([
        WRAP,
        undefined,
        undefined,
        8,
      ]);
    },
  );
});
