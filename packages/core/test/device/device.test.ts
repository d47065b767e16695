import {
  ConfigSpace,
  type DeviceModel,
  FEATURE,
  FeatureSet,
  MemorySink,
  STATUS,
  splitAreaSizes,
  VirtioDevice,
  type VirtioDeviceInit,
} from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MEMORY_BASE, makeMemory } from "../direct-transport.ts";
import { FillModel, NotingAdmin } from "./models.ts";

const { ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, DEVICE_NEEDS_RESET } = STATUS;
const {
  VIRTIO_F_VERSION_1,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_ADMIN_VQ,
  VIRTIO_F_SUSPEND,
  VIRTIO_F_SR_IOV,
  VIRTIO_F_RING_PACKED,
} = FEATURE;

/** What the transport was told, in order. */
function makePort(reservedFeatures: readonly number[] = [], ownFeatures: readonly number[] = []) {
  const calls: string[] = [];
  return {
    calls,
    transport: "test",
    reservedFeatures,
    ownFeatures,
    onUsed: undefined as (() => void) | undefined,
    usedBuffers(queue: number) {
      calls.push(`used ${queue}`);
      this.onUsed?.();
    },
    configurationChange() {
      calls.push("config");
    },
    deviceReset() {
      calls.push("reset");
    },
  };
}

interface Options extends Partial<Omit<VirtioDeviceInit, "memory">> {
  readonly reserved?: readonly number[];
  readonly own?: readonly number[];
}

function makeDevice(options: Options = {}) {
  const { reserved, own, ...init } = options;
  const { memory, dma } = makeMemory(0x4000);
  const model = new FillModel();
  const trace = new MemorySink();
  const device = new VirtioDevice({ model, memory, trace, ...init });
  const port = makePort(reserved, own);
  device.connect(port);
  return { device, model, memory, dma, port, trace };
}

type Rig = ReturnType<typeof makeDevice>;

function negotiate(device: VirtioDevice, ...bits: number[]): number {
  const features = FeatureSet.of(...bits);
  for (let word = 0; word < 4; word++) device.writeDriverFeatures(word, features.word(word));
  device.writeStatus(ACKNOWLEDGE | DRIVER);
  device.writeStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK);
  return device.status;
}

/** Places and enables a queue; `buffers` writable buffers of 4 bytes are available in it. */
function enable({ device, dma, memory }: Rig, index: number, buffers = 0, size = 8) {
  const areas = splitAreaSizes(size);
  const place = {
    descriptorArea: dma.allocate(areas.descriptorArea.length, 16).address,
    driverArea: dma.allocate(areas.driverArea.length, 2).address,
    deviceArea: dma.allocate(areas.deviceArea.length, 4).address,
  };
  const target = dma.allocate(4 * size, 4).address;
  const table = memory.find(place.descriptorArea, 1)!;
  const view = new DataView(table.bytes.buffer);
  const at = (address: number) => address - MEMORY_BASE;
  for (let i = 0; i < buffers; i++) {
    view.setUint32(at(place.descriptorArea) + 16 * i, target + 4 * i, true);
    view.setUint32(at(place.descriptorArea) + 16 * i + 8, 4, true);
    view.setUint16(at(place.descriptorArea) + 16 * i + 12, 2, true);
    view.setUint16(at(place.driverArea) + 4 + 2 * i, i, true);
  }
  view.setUint16(at(place.driverArea) + 2, buffers, true);
  device.setQueueSize(index, size);
  for (const area of ["descriptorArea", "driverArea", "deviceArea"] as const) {
    device.setQueueAddress(index, area, 0, place[area]);
    device.setQueueAddress(index, area, 1, 0);
  }
  return {
    place,
    target,
    enabled: device.enableQueue(index),
    usedIdx: () => view.getUint16(at(place.deviceArea) + 2, true),
    setAvailIdx: (idx: number) => view.setUint16(at(place.driverArea) + 2, idx, true),
    setRing: (entry: number, head: number) =>
      view.setUint16(at(place.driverArea) + 4 + 2 * entry, head, true),
  };
}

function goLive(rig: Rig, ...bits: number[]): void {
  expect(negotiate(rig.device, VIRTIO_F_VERSION_1, ...bits) & FEATURES_OK).toBe(FEATURES_OK);
}
const setDriverOk = ({ device }: Rig) => device.writeStatus(device.status | DRIVER_OK);

describe("offered features", () => {
  it("[reserved-features-device-1] always have VIRTIO_F_VERSION_1, and the ring features by default", () => {
    expect(makeDevice().device.offeredFeatures.bits()).toEqual([
      0,
      1,
      VIRTIO_F_INDIRECT_DESC,
      VIRTIO_F_EVENT_IDX,
      VIRTIO_F_VERSION_1,
      VIRTIO_F_RING_RESET,
    ]);
    expect(makeDevice({ features: [] }).device.offeredFeatures.bits()).toEqual([
      0,
      1,
      VIRTIO_F_VERSION_1,
    ]);
  });

  it("have VIRTIO_F_ADMIN_VQ with an admin facility, unless the transport reserves it", () => {
    const admin = () => new NotingAdmin(1);
    expect(makeDevice({ admin: admin() }).device.offeredFeatures.has(VIRTIO_F_ADMIN_VQ)).toBe(true);
    const reserved = makeDevice({ admin: admin(), reserved: [VIRTIO_F_ADMIN_VQ] });
    expect(reserved.device.offeredFeatures.has(VIRTIO_F_ADMIN_VQ)).toBe(false);
  });

  it("lack what is withheld, until the next call", () => {
    const { device } = makeDevice({ admin: new NotingAdmin(1) });
    device.withholdFeatures([VIRTIO_F_ADMIN_VQ]);
    expect(device.offeredFeatures.has(VIRTIO_F_ADMIN_VQ)).toBe(false);
    device.reset();
    expect(device.offeredFeatures.has(VIRTIO_F_ADMIN_VQ)).toBe(false);
    device.withholdFeatures([]);
    expect(device.offeredFeatures.has(VIRTIO_F_ADMIN_VQ)).toBe(true);
  });

  it("[features-device-1] lack a feature whose requirement the transport takes away", () => {
    const { device } = makeDevice({ reserved: [0] });
    expect(device.offeredFeatures.has(1)).toBe(false);
  });

  it("have what the transport brings", () => {
    expect(makeDevice({ own: [VIRTIO_F_SR_IOV] }).device.offeredFeatures.has(37)).toBe(true);
    expect(makeDevice().device.offeredFeatures.has(37)).toBe(false);
  });

  it.each([VIRTIO_F_SUSPEND, VIRTIO_F_RING_PACKED, VIRTIO_F_ADMIN_VQ, 24, 44, 127, 128])(
    "[features-device-4] cannot be made to have device-independent bit %i",
    (bit) => {
      expect(() => makeDevice({ features: [bit] })).toThrow(
        expect.objectContaining({ code: "DEVICE_MODEL", path: "features", value: bit }),
      );
    },
  );

  it.each([24, 28, 32, 40, 41, 43, 44, 49, 128, -1])(
    "[features-device-4] cannot be made to have bit %i as a device type's",
    (bit) => {
      const model = Object.assign(new FillModel(), { features: [bit] });
      expect(() => makeDevice({ model })).toThrow(
        expect.objectContaining({ code: "DEVICE_MODEL", path: "model.features", value: bit }),
      );
    },
  );
});

describe("FEATURES_OK", () => {
  it.each([
    ["nothing but VERSION_1", [32], true],
    ["everything", [0, 1, 28, 29, 32, 40], true],
    ["a subset", [0, 29, 32], true],
    ["no VERSION_1", [0, 28], false],
    ["none", [], false],
    ["a bit that is not offered", [2, 32], false],
    ["SUSPEND", [32, 43], false],
    ["an undefined bit", [32, 127], false],
    ["a bit without its requirement", [1, 32], false],
  ])("[features-device-2, features-device-3] %s: %j", (_what, bits, accepted) => {
    const { device, model, trace } = makeDevice();
    expect((negotiate(device, ...bits) & FEATURES_OK) !== 0).toBe(accepted);
    expect(model.host.features.bits()).toEqual(accepted ? bits : []);
    expect(device.negotiated(32)).toBe(accepted);
    const why = trace.events.flatMap((event) => ("why" in event ? [event.why] : []));
    expect(why).toHaveLength(accepted ? 0 : 1);
  });

  it("[features-device-3] stays clear when the device type refuses, or fails at it", () => {
    for (const refuse of [
      () => "not together",
      () => {
        throw new Error("broken");
      },
    ]) {
      const model = Object.assign(new FillModel(), { refuseFeatures: refuse });
      const { device } = makeDevice({ model });
      expect(negotiate(device, 0, 32)).toBe(ACKNOWLEDGE | DRIVER);
    }
  });

  it("ends the writing of features, and a reset begins it again", () => {
    const { device } = makeDevice();
    negotiate(device, 0, 32);
    device.writeDriverFeatures(0, 0);
    expect(device.driverFeatures.bits()).toEqual([0, 32]);
    device.reset();
    expect(device.driverFeatures.isEmpty).toBe(true);
    expect(negotiate(device, 32) & FEATURES_OK).not.toBe(0);
  });

  it("[features-device-5] takes the same features again after a reset", () => {
    const { device } = makeDevice();
    for (let i = 0; i < 3; i++) {
      expect(negotiate(device, 0, 1, 29, 32) & FEATURES_OK).not.toBe(0);
      device.reset();
    }
  });

  it("[features-device-2] accepts every subset that meets its dependencies, and no other set", () => {
    const offered = [0, 1, 28, 29, 32, 40];
    fc.assert(
      fc.property(fc.subarray([...offered, 5, 34, 43]), (bits) => {
        const { device } = makeDevice();
        const good =
          bits.every((bit) => offered.includes(bit)) &&
          bits.includes(32) &&
          (!bits.includes(1) || bits.includes(0));
        expect((negotiate(device, ...bits) & FEATURES_OK) !== 0).toBe(good);
      }),
    );
  });
});

describe("queues", () => {
  it("[status-device-1, status-device-2] are not served and not announced before DRIVER_OK", () => {
    const rig = makeDevice();
    goLive(rig);
    const { enabled, usedIdx } = enable(rig, 0, 3);
    expect(enabled).toBe(true);
    rig.device.notify(0);
    rig.model.host.publish(0);
    rig.model.host.configChanged();
    expect(rig.model.host.queue(0)).toBeUndefined();
    expect([rig.model.calls, rig.port.calls, usedIdx()]).toEqual([[], [], 0]);
    setDriverOk(rig);
    rig.device.notify(0);
    expect(rig.model.calls).toEqual(["start", "notified 0"]);
    expect([rig.port.calls, usedIdx()]).toEqual([["used 0"], 3]);
    expect(rig.trace.events.filter(({ op }) => op === "buffer")).toHaveLength(3);
    expect(rig.trace.events.findLast(({ op }) => op === "buffer")).toEqual({
      op: "buffer",
      queue: 0,
      descriptors: [{ length: 4, writable: true }],
      readable: "",
      used: 4,
      written: "5a5a5a5a",
    });
  });

  it("have the registers of a queue that is there, and none of another", () => {
    const { device } = makeDevice();
    expect([device.queueSizeMax(0), device.queueSize(0), device.queueSizeMax(2)]).toEqual([
      8, 8, 0,
    ]);
    for (const size of [0, 9, 0x8000, Number.NaN]) device.setQueueSize(0, size);
    expect(device.queueSize(0)).toBe(8);
    device.setQueueSize(0, 4);
    device.setQueueAddress(0, "driverArea", 1, 0xffffffff);
    device.setQueueAddress(0, "driverArea", 0, 0x12345678);
    expect(device.queueSize(0)).toBe(4);
    expect(device.queueAddress(0, "driverArea", 1)).toBe(0xffffffff);
    expect(device.queueAddress(0, "driverArea", 0)).toBe(0x12345678);
    for (const index of [2, -1, 65536, 1.5, Number.NaN]) {
      device.setQueueSize(index, 4);
      device.notify(index);
      device.resetQueue(index);
      expect([device.queueSize(index), device.queueEnabled(index)]).toEqual([0, false]);
      expect(device.enableQueue(index)).toBe(false);
    }
    expect(device.status).toBe(0);
  });

  it("keep their registers while they are enabled", () => {
    const rig = makeDevice();
    goLive(rig);
    const { place } = enable(rig, 0);
    rig.device.setQueueSize(0, 2);
    rig.device.setQueueAddress(0, "deviceArea", 0, 0);
    expect(rig.device.queueSize(0)).toBe(8);
    expect(rig.device.queueAddress(0, "deviceArea", 0)).toBe(place.deviceArea);
    expect(rig.device.enableQueue(0)).toBe(true);
  });

  it("cannot be enabled before FEATURES_OK, which is no fault of an address", () => {
    const rig = makeDevice();
    expect(enable(rig, 0).enabled).toBe(false);
    expect(rig.device.status).toBe(0);
  });

  it.each([
    ["a misaligned descriptor area", "descriptorArea", 8],
    ["a misaligned driver area", "driverArea", 1],
    ["a misaligned device area", "deviceArea", 2],
    ["an area outside memory", "descriptorArea", -0x10_0000],
    ["an area beyond 2^53", "driverArea", 2 ** 63],
  ] as const)("[status-device-3] that have %s need a reset", (_what, area, by) => {
    const rig = makeDevice();
    goLive(rig);
    const { place } = enable(rig, 0);
    rig.device.resetQueue(0);
    for (const name of ["descriptorArea", "driverArea", "deviceArea"] as const) {
      const address = place[name] + (name === area ? by : 0);
      rig.device.setQueueAddress(0, name, 0, address >>> 0);
      rig.device.setQueueAddress(0, name, 1, Math.floor(address / 2 ** 32));
    }
    expect(rig.device.enableQueue(0)).toBe(false);
    expect(rig.device.status & DEVICE_NEEDS_RESET).toBe(DEVICE_NEEDS_RESET);
    expect(rig.port.calls).toEqual([]);
    setDriverOk(rig);
    expect([rig.port.calls, rig.model.calls]).toEqual([["config"], ["reset 0"]]);
  });

  it("[vq-reset-device-1, vq-reset-device-2, vq-reset-device-3] forget everything at their reset, and what was popped cannot be pushed", () => {
    const rig = makeDevice();
    goLive(rig);
    const first = enable(rig, 0, 2);
    setDriverOk(rig);
    const queue = rig.model.host.queue(0)!;
    const chain = queue.pop()!;
    rig.device.resetQueue(0);
    expect(rig.model.calls).toEqual(["start", "reset 0"]);
    const before = rig.memory.find(first.place.deviceArea, 70)!.bytes.slice();
    queue.write(chain, 0, Uint8Array.of(1, 2, 3, 4));
    queue.push(chain, 4);
    expect(queue.publish()).toBe(false);
    rig.model.host.publish(0);
    rig.device.notify(0);
    expect(rig.memory.find(first.place.deviceArea, 70)!.bytes).toEqual(before);
    expect(rig.port.calls).toEqual([]);
    expect([rig.device.queueSize(0), rig.device.queueAddress(0, "driverArea", 0)]).toEqual([8, 0]);
    const again = enable(rig, 0, 4, 4);
    rig.device.notify(0);
    expect([again.enabled, again.usedIdx(), rig.port.calls]).toEqual([true, 4, ["used 0"]]);
  });

  it("[reset-device-2, reset-device-3] are left alone after a device reset, whatever its consumer does", () => {
    const rig = makeDevice();
    goLive(rig);
    const { place, usedIdx } = enable(rig, 0, 2);
    setDriverOk(rig);
    const queue = rig.model.host.queue(0)!;
    const chain = queue.pop()!;
    expect(rig.device.writeStatus(0)).toBe(true);
    rig.port.calls.length = 0;
    const before = rig.memory.find(place.deviceArea, 70)!.bytes.slice();
    queue.push(chain, 4);
    queue.publish();
    rig.model.host.publish(0);
    rig.model.host.configChanged();
    rig.model.host.revisit(0);
    rig.device.notify(0);
    expect(queue.pop()).toBeUndefined();
    expect(rig.memory.find(place.deviceArea, 70)!.bytes).toEqual(before);
    expect([usedIdx(), rig.port.calls, rig.device.status]).toEqual([0, [], 0]);
  });
});

describe("administration virtqueues", () => {
  it("exist only when VIRTIO_F_ADMIN_VQ is negotiated, directly after the other queues", () => {
    const admin = new NotingAdmin(2);
    const rig = makeDevice({ admin });
    const { device } = rig;
    expect(rig.model.host.adminQueueBase).toBe(2);
    expect([device.adminQueueIndex, device.adminQueueNum, device.queueSizeMax(2)]).toEqual([
      0, 0, 0,
    ]);
    goLive(rig);
    expect([device.adminQueueIndex, device.adminQueueNum, device.queueSizeMax(2)]).toEqual([
      0, 0, 0,
    ]);
    expect(enable(rig, 2).enabled).toBe(false);
    device.reset();
    goLive(rig, VIRTIO_F_ADMIN_VQ);
    expect([device.queueCount, device.adminQueueIndex, device.adminQueueNum]).toEqual([2, 2, 2]);
    expect([device.queueSizeMax(3), device.queueSizeMax(4)]).toEqual([16, 0]);
    expect(enable(rig, 3).enabled).toBe(true);
    setDriverOk(rig);
    device.notify(3);
    device.notify(2);
    expect(admin.calls).toEqual(["attach", "reset", "notified 3"]);
    device.reset();
    expect([device.adminQueueNum, admin.calls.at(-1)]).toEqual([0, "reset"]);
  });

  it.each([0, 65535, 1.5])("cannot be %s where there are two other queues", (count) => {
    expect(() => makeDevice({ admin: new NotingAdmin(count) })).toThrow(
      expect.objectContaining({ code: "DEVICE_MODEL", path: "admin.queueCount", value: count }),
    );
  });
});

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
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const model = new FillModel(new ConfigSpace({ bytes: new Uint8Array(8) }));
        const rig = makeDevice({ model, admin: new NotingAdmin(1) });
        const { device } = rig;
        const order = [1, 3, 11, 15];
        for (const each of steps) {
          if (each.kind === "status") device.writeStatus(each.value);
          else if (each.kind === "next") {
            device.writeDriverFeatures(1, 1 | (1 << 9));
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

describe("the configuration space", () => {
  const make = () =>
    new ConfigSpace({
      bytes: Uint8Array.of(1, 2, 3, 4),
      writable: Uint8Array.of(0, 0xf0),
    });

  it("[config-space-device-1] can be read before FEATURES_OK; what is outside reads 0", () => {
    const { device } = makeDevice({ model: new FillModel(make()) });
    const bytes = new Uint8Array(6).fill(9);
    device.readConfig(1, bytes);
    expect([...bytes]).toEqual([2, 3, 4, 0, 0, 0]);
    expect(device.configLength).toBe(4);
    const none = makeDevice().device;
    none.readConfig(0, bytes);
    expect([[...bytes], none.configLength]).toEqual([[0, 0, 0, 0, 0, 0], 0]);
  });

  it("takes what the mask allows, after FEATURES_OK, and a reset undoes it", () => {
    const rig = makeDevice({ model: new FillModel(make()) });
    const read = () => {
      const bytes = new Uint8Array(4);
      rig.device.readConfig(0, bytes);
      return [...bytes];
    };
    const write = () => rig.device.writeConfig(0, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff));
    write();
    expect(read()).toEqual([1, 2, 3, 4]);
    goLive(rig);
    write();
    expect(read()).toEqual([1, 0xf2, 3, 4]);
    rig.device.reset();
    expect(read()).toEqual([1, 2, 3, 4]);
  });

  it("[config-space-device-2] raises its generation once for each change, and tells the driver after DRIVER_OK", () => {
    const config = make();
    const model = new FillModel(config);
    const rig = makeDevice({ model });
    const change = () => {
      config.update((view) => view.setUint16(2, 0xabcd, true));
      model.host.configChanged();
    };
    change();
    expect([rig.device.configGeneration, rig.port.calls]).toEqual([1, []]);
    goLive(rig);
    setDriverOk(rig);
    change();
    expect([rig.device.configGeneration, rig.port.calls]).toEqual([2, ["config"]]);
  });

  it("tells of a change without an update by raising the generation itself", () => {
    const config = make();
    const model = new FillModel(config);
    const rig = makeDevice({ model });
    goLive(rig);
    setDriverOk(rig);
    model.host.configChanged();
    expect(rig.device.configGeneration).toBe(1);
    config.update((_, bytes) => bytes.fill(7));
    model.host.configChanged();
    expect([rig.device.configGeneration, rig.port.calls]).toEqual([2, ["config", "config"]]);
  });

  it("tells the device type of the driver's writes, and survives its failing", () => {
    const seen: [number, number][] = [];
    const config = new ConfigSpace({
      bytes: new Uint8Array(2),
      writable: Uint8Array.of(0xff, 0xff),
      written: (offset, length) => {
        seen.push([offset, length]);
        if (seen.length === 2) throw new Error("cannot");
      },
    });
    const rig = makeDevice({ model: new FillModel(config) });
    goLive(rig);
    rig.device.writeConfig(1, Uint8Array.of(5));
    rig.device.writeConfig(1, Uint8Array.of(5));
    expect([seen, rig.device.status & DEVICE_NEEDS_RESET]).toEqual([[[1, 1]], 0]);
    rig.device.writeConfig(0, Uint8Array.of(6, 6));
    expect(rig.device.status & DEVICE_NEEDS_RESET).not.toBe(0);
  });

  it("refuses a mask that is longer than the bytes", () => {
    expect(
      () => new ConfigSpace({ bytes: new Uint8Array(1), writable: new Uint8Array(2) }),
    ).toThrow(expect.objectContaining({ code: "DEVICE_MODEL" }));
  });
});

describe("what a device is made from", () => {
  const broken: [string, Partial<DeviceModel>, string][] = [
    ["device id 0", { deviceId: 0 }, "model.deviceId"],
    ["a queue size of 6", { queues: [{ name: "q", maxSize: 6 }] }, "model.queues[0].maxSize"],
    [
      "a queue size of 65536",
      { queues: [{ name: "q", maxSize: 65536 }] },
      "model.queues[0].maxSize",
    ],
  ];
  it.each(broken)("cannot have %s", (_what, part, path) => {
    const model = Object.assign(new FillModel(), part);
    expect(() => makeDevice({ model })).toThrow(
      expect.objectContaining({ code: "DEVICE_MODEL", path }),
    );
  });

  it("is connected once", () => {
    const { device } = makeDevice();
    expect(() => device.connect(makePort())).toThrow(
      expect.objectContaining({ code: "TRANSPORT" }),
    );
  });
});
