import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DeviceQueue } from "../../src/virtqueue/index.ts";
import { makeRig, RIG_BASE } from "./rig.ts";

const SIZE = 16;
const AVAIL_FLAGS = 0;
const USED_FLAGS = 0;
const usedEventAt = 4 + 2 * SIZE;
const availEventAt = 4 + 8 * SIZE;

/** The text's rule, entry by entry: was one of them placed at the index that `event` names? */
function textSaysNotify(old: number, count: number, event: number): boolean {
  for (let i = 0; i < count; i++) if (((old + i) & 0xffff) === event) return true;
  return false;
}

const ring = fc.record({
  start: fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0xfff0, max: 0xffff })),
  // Few, so that the event is often near.
  eventDistance: fc.oneof(
    fc.integer({ min: -2, max: SIZE + 2 }),
    fc.integer({ min: 0, max: 0xffff }),
  ),
  batches: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 6 }),
  flags: fc.integer({ min: 0, max: 0xffff }),
});

function popMany(device: DeviceQueue, count: number) {
  return Array.from({ length: count }, () => {
    const chain = device.pop();
    if (chain === undefined) throw new Error("nothing popped");
    return chain;
  });
}

describe("with event indexes", () => {
  it("[split-avail-notification-driver-5] [split-avail-notification-driver-6] [split-avail-notification-driver-7] the driver notifies exactly when a batch holds the entry avail_event, whatever flags says", () => {
    fc.assert(
      fc.property(ring, ({ start, eventDistance, batches, flags }) => {
        const { driver, device, used } = makeRig({ size: SIZE, eventIdx: true, startIndex: start });
        const event = (start + eventDistance) & 0xffff;
        let index = start;
        for (const count of batches) {
          used.setUint16(availEventAt, event, true);
          used.setUint16(USED_FLAGS, flags, true);
          for (let i = 0; i < count; i++) driver.add([RIG_BASE], [1], 1, 1);
          expect(driver.publish()).toBe(textSaysNotify(index, count, event));
          index = (index + count) & 0xffff;
          for (const chain of popMany(device, count)) device.push(chain, 0);
          device.publish();
          while (driver.reap() >= 0);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("[split-used-notification-device-4] [split-used-notification-device-5] [split-used-notification-device-6] the device notifies exactly when a batch holds the entry used_event, whatever flags says", () => {
    fc.assert(
      fc.property(ring, ({ start, eventDistance, batches, flags }) => {
        const { driver, device, avail } = makeRig({
          size: SIZE,
          eventIdx: true,
          startIndex: start,
        });
        const event = (start + eventDistance) & 0xffff;
        let index = start;
        for (const count of batches) {
          for (let i = 0; i < count; i++) driver.add([RIG_BASE], [1], 1, 1);
          driver.publish();
          for (const chain of popMany(device, count)) device.push(chain, 0);
          avail.setUint16(usedEventAt, event, true);
          avail.setUint16(AVAIL_FLAGS, flags, true);
          expect(device.publish()).toBe(textSaysNotify(index, count, event));
          index = (index + count) & 0xffff;
          while (driver.reap() >= 0);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("[split-avail-notification-device-3] [split-avail-notification-device-4] the device says by avail_event which entry it waits for, and leaves flags 0", () => {
    const { driver, device, used } = makeRig({ size: SIZE, eventIdx: true, startIndex: 0xfffe });
    expect(device.pop()).toBeUndefined();
    expect(used.getUint16(availEventAt, true)).toBe(0xfffe);
    driver.add([RIG_BASE], [1], 1, 1);
    expect(driver.publish()).toBe(true);
    device.disableNotifications();
    for (let i = 0; i < 3; i++) {
      driver.add([RIG_BASE], [1], 1, 1);
      expect(driver.publish()).toBe(false);
    }
    expect(device.enableNotifications()).toBe(true);
    popMany(device, 4);
    expect(device.pop()).toBeUndefined();
    expect(used.getUint16(availEventAt, true)).toBe(2);
    expect(device.enableNotifications()).toBe(false);
    expect(used.getUint16(USED_FLAGS, true)).toBe(0);
    driver.add([RIG_BASE], [1], 1, 1);
    expect(driver.publish()).toBe(true);
  });

  it("[split-used-notification-driver-3] [split-used-notification-driver-4] the driver says by used_event which entry it waits for, and leaves flags 0", () => {
    const { driver, device, avail } = makeRig({ size: SIZE, eventIdx: true, startIndex: 0xffff });
    for (let i = 0; i < 4; i++) driver.add([RIG_BASE], [1], 1, 1);
    driver.publish();
    const chains = popMany(device, 4);
    driver.disableNotifications();
    for (const chain of chains.slice(0, 2)) {
      device.push(chain, 0);
      expect(device.publish()).toBe(false);
    }
    expect(driver.enableNotifications()).toBe(true);
    expect([driver.reap(), driver.reap(), driver.reap()]).toEqual([0, 1, -1]);
    expect(avail.getUint16(usedEventAt, true)).toBe(1);
    expect(avail.getUint16(AVAIL_FLAGS, true)).toBe(0);
    for (const [i, chain] of chains.slice(2).entries()) {
      device.push(chain, 0);
      expect(device.publish()).toBe(i === 0);
    }
  });
});

describe("without event indexes", () => {
  it("[split-avail-notification-driver-2] [split-avail-notification-driver-3] [split-avail-notification-driver-4] the driver goes by the device's flags alone", () => {
    for (const [flags, event, notify] of [
      [0, 0, true],
      [0, 0x1234, true],
      [1, 0, false],
      [1, 0x1234, false],
    ] as const) {
      const { driver, used } = makeRig({ size: SIZE });
      used.setUint16(USED_FLAGS, flags, true);
      used.setUint16(availEventAt, event, true);
      driver.add([RIG_BASE], [1], 1, 1);
      expect(driver.publish()).toBe(notify);
    }
  });

  it("[split-used-notification-device-1] [split-used-notification-device-2] [split-used-notification-device-3] the device goes by the driver's flags alone", () => {
    for (const [flags, event, notify] of [
      [0, 0, true],
      [0, 0x1234, true],
      [1, 0, false],
      [1, 0x1234, false],
    ] as const) {
      const { driver, device, avail } = makeRig({ size: SIZE });
      driver.add([RIG_BASE], [1], 1, 1);
      driver.publish();
      avail.setUint16(AVAIL_FLAGS, flags, true);
      avail.setUint16(usedEventAt, event, true);
      for (const chain of popMany(device, 1)) device.push(chain, 0);
      expect(device.publish()).toBe(notify);
    }
  });

  it("[split-avail-notification-device-1] [split-avail-notification-device-2] the device sets flags 1 and 0, and leaves avail_event alone", () => {
    const { driver, device, used } = makeRig({ size: SIZE });
    used.setUint16(availEventAt, 0xbeef, true);
    device.disableNotifications();
    expect(used.getUint16(USED_FLAGS, true)).toBe(1);
    driver.add([RIG_BASE], [1], 1, 1);
    expect(driver.publish()).toBe(false);
    expect(device.enableNotifications()).toBe(true);
    expect(used.getUint16(USED_FLAGS, true)).toBe(0);
    popMany(device, 1);
    expect(device.enableNotifications()).toBe(false);
    expect(used.getUint16(availEventAt, true)).toBe(0xbeef);
  });

  it("[split-used-notification-driver-1] [split-used-notification-driver-2] the driver sets flags 1 and 0, and leaves used_event alone", () => {
    const { driver, device, avail } = makeRig({ size: SIZE });
    avail.setUint16(usedEventAt, 0xbeef, true);
    driver.disableNotifications();
    expect(avail.getUint16(AVAIL_FLAGS, true)).toBe(1);
    driver.add([RIG_BASE], [1], 1, 1);
    driver.publish();
    for (const chain of popMany(device, 1)) device.push(chain, 0);
    expect(device.publish()).toBe(false);
    expect(driver.enableNotifications()).toBe(true);
    expect(avail.getUint16(AVAIL_FLAGS, true)).toBe(0);
    expect(driver.reap()).toBe(0);
    expect(driver.enableNotifications()).toBe(false);
    expect(avail.getUint16(usedEventAt, true)).toBe(0xbeef);
  });
});

describe("without a cause", () => {
  it("[split-avail-notification-device-5] [split-used-notification-driver-5] looking at an empty ring again and again changes nothing", () => {
    for (const eventIdx of [false, true]) {
      const { driver, device } = makeRig({ eventIdx });
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
        0,
        undefined,
        undefined,
        8,
      ]);
    }
  });
});
