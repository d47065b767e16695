import { ConfigSpace, FEATURE, RING_FEATURES, STATUS } from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MEMORY_BASE } from "../direct-transport.ts";
import { FillModel, NotingAdmin } from "./models.ts";
import { enable, goLive, makeDevice, setDriverOk } from "./rig.ts";

const { DEVICE_NEEDS_RESET } = STATUS;

describe("a hostile driver, or a device type that fails", () => {
  it("[status-device-3, status-device-4] a broken queue needs a reset, tells the driver, and stops the other queues", () => {
    const rig = makeDevice();
    goLive(rig);
    const bad = enable(rig, 0, 1);
    const good = enable(rig, 1, 1);
    setDriverOk(rig);
    bad.setRing(0, 100);
    rig.device.notify(0);
    expect(rig.device.status & DEVICE_NEEDS_RESET).toBe(DEVICE_NEEDS_RESET);
    expect(rig.model.host.running).toBe(false);
    rig.device.notify(1);
    expect([good.usedIdx(), rig.port.calls]).toEqual([0, ["config"]]);
    expect(rig.trace.events).toContainEqual({
      op: "needs-reset",
      why: expect.stringContaining("queue 0 (first) is broken, head-range"),
    });
    rig.device.reset();
    goLive(rig);
    const anew = enable(rig, 1, 2);
    setDriverOk(rig);
    rig.device.notify(1);
    expect(anew.usedIdx()).toBe(2);
  });

  it("[status-device-3] a queue that was broken before DRIVER_OK needs a reset at DRIVER_OK", () => {
    const model = new (class extends FillModel {
      override start(): void {
        super.start();
        this.queueNotified(0);
      }
    })();
    const rig = makeDevice({ model });
    goLive(rig);
    enable(rig, 0, 1).setRing(0, 100);
    setDriverOk(rig);
    expect(rig.device.status & DEVICE_NEEDS_RESET).toBe(DEVICE_NEEDS_RESET);
    expect(model.host.running).toBe(false);
  });

  it("what was popped before DEVICE_NEEDS_RESET is not pushed after it", () => {
    const rig = makeDevice();
    goLive(rig);
    const { place, usedIdx } = enable(rig, 0, 1);
    setDriverOk(rig);
    const queue = rig.model.host.queue(0)!;
    const chain = queue.pop()!;
    rig.model.host.needsReset("test");
    queue.push(chain, 4);
    expect([queue.publish(), usedIdx()]).toEqual([false, 0]);
    const entry = new Uint8Array(8);
    rig.memory.read(place.deviceArea + 4, entry);
    expect([...entry]).toEqual(Array(8).fill(0));
  });

  it("an index that ran ahead is found by checkDefect too", () => {
    const rig = makeDevice();
    goLive(rig);
    const { setAvailIdx } = enable(rig, 0);
    setDriverOk(rig);
    expect(rig.model.host.checkDefect(0)).toBe(false);
    setAvailIdx(9000);
    expect(rig.model.host.queue(0)?.pop()).toBeUndefined();
    expect(rig.model.host.checkDefect(0)).toBe(true);
    expect(rig.device.status & DEVICE_NEEDS_RESET).not.toBe(0);
  });

  it("errors of the device type become DEVICE_NEEDS_RESET, with the reason in the trace", () => {
    for (const where of ["queueNotified", "start", "queueReset"] as const) {
      const model = Object.assign(new FillModel(), {
        [where]: () => {
          throw new Error(`failed in ${where}`);
        },
      });
      const rig = makeDevice({ model });
      goLive(rig);
      enable(rig, 0, 1);
      setDriverOk(rig);
      rig.device.notify(0);
      rig.device.resetQueue(0);
      expect(rig.device.status & DEVICE_NEEDS_RESET).not.toBe(0);
      const why = rig.trace.events.filter(({ op }) => op === "needs-reset");
      expect(why).toEqual([
        { op: "needs-reset", why: expect.stringContaining(`failed in ${where}`) },
      ]);
      expect(rig.port.calls).toContain("config");
    }
  });

  it("[reset-device-1] a device type that fails to reset does not keep the device from it", () => {
    const model = Object.assign(new FillModel(), {
      reset: () => {
        model.host.needsReset("from inside");
        throw new Error("no reset");
      },
    });
    const rig = makeDevice({ model });
    goLive(rig);
    setDriverOk(rig);
    rig.device.writeStatus(0);
    expect([rig.device.status, rig.port.calls]).toEqual([0, ["reset"]]);
  });

  it("a reset from inside an interrupt ends the serving of all queues", () => {
    const rig = makeDevice();
    goLive(rig);
    enable(rig, 0, 2);
    const second = enable(rig, 1, 2);
    setDriverOk(rig);
    rig.port.onUsed = () => {
      rig.device.notify(1);
      rig.device.writeStatus(0);
    };
    rig.device.notify(0);
    expect(rig.device.status).toBe(0);
    expect(rig.port.calls).toEqual(["used 0", "reset"]);
    expect([second.usedIdx(), rig.model.calls]).toEqual([0, ["start", "notified 0", "reset"]]);
  });

  it("a reset and a whole new start from inside an interrupt leave the device live", () => {
    const rig = makeDevice();
    goLive(rig);
    enable(rig, 0, 1);
    setDriverOk(rig);
    let anew: ReturnType<typeof enable> | undefined;
    rig.port.onUsed = () => {
      rig.port.onUsed = undefined;
      rig.device.reset();
      goLive(rig);
      anew = enable(rig, 1, 3);
      setDriverOk(rig);
      rig.device.notify(1);
    };
    rig.device.notify(0);
    expect(anew?.usedIdx()).toBe(3);
    expect(rig.model.host.running).toBe(true);
    expect(rig.port.calls).toEqual(["used 0", "reset", "used 1"]);
  });

  it("a consumer is never called inside a consumer, and the driver only after it returned", () => {
    const rig = makeDevice();
    goLive(rig);
    enable(rig, 0, 1);
    enable(rig, 1, 1);
    setDriverOk(rig);
    let depth = 0;
    let deepest = 0;
    rig.model.onNotified = (index) => {
      deepest = Math.max(deepest, ++depth);
      if (index === 0) {
        rig.device.notify(1);
        rig.model.host.publish(0);
      }
      depth--;
    };
    rig.port.onUsed = () => expect(depth).toBe(0);
    rig.device.notify(0);
    expect([deepest, rig.port.calls]).toEqual([1, ["used 0", "used 1"]]);
  });

  it("a driver that notifies from each interrupt does not keep the device from returning", async () => {
    const rig = makeDevice();
    goLive(rig);
    const { setAvailIdx } = enable(rig, 0, 1);
    setDriverOk(rig);
    let rounds = 1;
    const done = new Promise<void>((resolve) => {
      rig.port.onUsed = () => {
        if (rounds === 5000) {
          resolve();
          return;
        }
        setAvailIdx(++rounds & 0xffff);
        rig.device.notify(0);
      };
    });
    rig.device.notify(0);
    expect(rounds).toBeLessThan(5000);
    await done;
    expect(rig.device.status & DEVICE_NEEDS_RESET).toBe(0);
  });

  it("a transport that fails to interrupt makes the device need a reset, and throws at no one", () => {
    const rig = makeDevice();
    goLive(rig);
    enable(rig, 0, 1);
    setDriverOk(rig);
    rig.port.onUsed = () => {
      throw new Error("no bus");
    };
    rig.device.notify(0);
    expect(rig.device.status & DEVICE_NEEDS_RESET).not.toBe(0);
    expect(rig.port.calls).toEqual(["used 0", "config"]);
  });

  it("no sequence of register accesses throws, leaves guest memory, or wedges the device", () => {
    const address = fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.constant(MEMORY_BASE));
    const index = fc.integer({ min: -1, max: 5 });
    const area = fc.constantFrom("descriptorArea", "driverArea", "deviceArea" as const);
    const step = fc.oneof(
      fc.record({ kind: fc.constant("status" as const), value: fc.integer({ min: 0, max: 255 }) }),
      fc.record({ kind: fc.constant("next" as const) }),
      fc.record({ kind: fc.constant("features" as const), word: fc.nat(5), value: fc.nat() }),
      fc.record({ kind: fc.constant("size" as const), index, value: fc.integer() }),
      fc.record({ kind: fc.constant("address" as const), index, area, value: address }),
      fc.record({ kind: fc.constant("enable" as const), index }),
      fc.record({ kind: fc.constant("notify" as const), index }),
      fc.record({ kind: fc.constant("stop" as const), index }),
      fc.record({ kind: fc.constant("config" as const), offset: fc.integer(), value: fc.nat(255) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, packed) => {
        const model = new FillModel(new ConfigSpace({ bytes: new Uint8Array(8) }));
        const features = [...RING_FEATURES, ...(packed ? [FEATURE.VIRTIO_F_RING_PACKED] : [])];
        const rig = makeDevice({ model, admin: new NotingAdmin(1), features });
        const { device } = rig;
        const order = [1, 3, 11, 15];
        for (const each of steps) {
          if (each.kind === "status") device.writeStatus(each.value);
          else if (each.kind === "next") {
            device.writeDriverFeatures(1, 1 | (1 << 9) | (packed ? 1 << 2 : 0));
            device.writeStatus(order.find((value) => (value & ~device.status) !== 0) ?? 0);
          } else if (each.kind === "features") device.writeDriverFeatures(each.word, each.value);
          else if (each.kind === "size") device.setQueueSize(each.index, each.value);
          else if (each.kind === "address") {
            device.setQueueAddress(each.index, each.area as "driverArea", 0, each.value);
          } else if (each.kind === "enable") device.enableQueue(each.index);
          else if (each.kind === "notify") device.notify(each.index);
          else if (each.kind === "stop") device.resetQueue(each.index);
          else {
            device.writeConfig(each.offset, Uint8Array.of(each.value));
            device.readConfig(each.offset, new Uint8Array(4));
          }
        }
        device.writeStatus(0);
        expect(device.status).toBe(0);
        goLive({ ...rig, device });
        const { usedIdx } = enable(rig, 0, 2);
        setDriverOk(rig);
        device.notify(0);
        expect(usedIdx()).toBe(2);
      }),
      { numRuns: 300 },
    );
  });
});
