import { FEATURE, FeatureSet, type QueueAddresses, type VirtioError } from "@virtio-admin/core";
import { describe, expect, test } from "vitest";
import { loopbackBus, type MmioBus, type MmioDevice } from "../src/index.ts";
import { MEMORY_BASE, rig, WITH_ADMIN, WITH_RING_RESET } from "./rig.ts";

const AREAS: QueueAddresses = {
  descriptorArea: MEMORY_BASE,
  driverArea: MEMORY_BASE + 0x200,
  deviceArea: MEMORY_BASE + 0x400,
};
const RING_RESET = FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1, FEATURE.VIRTIO_F_RING_RESET);
const ADMIN = FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1, FEATURE.VIRTIO_F_ADMIN_VQ);

/** A bus on which the register at `offset` reads what `answer` says, and which records accesses. */
function lyingBus(
  window: MmioDevice,
  offset: number,
  answer: (honest: number) => number,
): MmioBus & { readonly reads: number[]; readonly writes: number[] } {
  const reads: number[] = [];
  const writes: number[] = [];
  return {
    ...loopbackBus(window),
    reads,
    writes,
    read: (at, size) => {
      reads.push(at);
      return at === offset ? answer(window.read(at, size)) : window.read(at, size);
    },
    write: (at, size, value) => {
      writes.push(at);
      window.write(at, size, value);
    },
  };
}

describe("open", () => {
  test.each([
    ["MagicValue", 0x000, 0x74726977],
    ["Version", 0x004, 1],
    ["Version", 0x004, 3],
    ["DeviceID", 0x008, 0],
  ])(
    "[mmio-driver-6] [mmio-driver-7] [mmio-driver-9] [mmio-init-driver-1] [mmio-init-driver-4] %s of 0x%s, %i, is left alone",
    async (name, offset, value) => {
      const { window, driver } = rig();
      const bus = lyingBus(window, offset, () => value);
      await expect(driver(bus).open()).rejects.toMatchObject({
        code: "DEVICE_UNKNOWN",
        path: name,
        value,
      });
      expect(bus.reads).toEqual([0x000, 0x004, 0x008].slice(0, offset / 4 + 1));
      expect(bus.writes).toEqual([]);
    },
  );

  test("[mmio-init-driver-2] tells the device id and the vendor id", async () => {
    const { driver } = rig({ vendorId: 0x1234 });
    expect(await driver().open()).toEqual({ deviceId: 42, vendorId: 0x1234 });
  });
});

describe("errors", () => {
  test("[reset-driver-1] a status that never reads 0 fails the reset, within a bound", async () => {
    const { window, driver } = rig();
    const bus = lyingBus(window, 0x070, () => 0x40);
    await expect(driver(bus).reset()).rejects.toMatchObject({
      code: "DEVICE_FAILED",
      path: "mmio.Status",
    });
    expect(bus.reads.length).toBeLessThan(20_000);
  });

  test("[config-space-driver-2] a generation that never rests fails the read, within a bound", async () => {
    const { window, driver } = rig();
    let generation = 0;
    const bus = lyingBus(window, 0x0fc, () => generation++);
    await expect(driver(bus).readConfig(0, 4)).rejects.toMatchObject({
      code: "DEVICE_FAILED",
      path: "mmio.ConfigGeneration",
    });
    expect(bus.reads.length).toBeLessThan(1000);
  });

  test.each([
    [-1, 4],
    [0, 4097],
    [4096, 1],
    [0, -1],
    [Number.NaN, 4],
  ])(
    "a configuration range of %i, %i is refused before anything is read",
    async (offset, length) => {
      const { window, driver } = rig();
      const bus = lyingBus(window, 0, (honest) => honest);
      let refusal: unknown;
      try {
        await driver(bus).readConfig(offset, length);
      } catch (error) {
        refusal = error;
      }
      expect(refusal).toMatchObject({ code: "VALUE_RANGE", path: "config" });
      expect(bus.reads).toEqual([]);
    },
  );

  test("[mmio-driver-14] a queue that is in use already is not touched", async () => {
    const { negotiate, driver, device } = rig();
    negotiate(0, 1);
    const half = driver();
    await half.enableQueue(0, 16, AREAS);
    await expect(half.enableQueue(0, 8, AREAS)).rejects.toMatchObject({
      code: "TRANSPORT",
      path: "mmio.queue[0].QueueReady",
    });
    expect(device.queueSize(0)).toBe(16);
  });

  test("a queue that does not become ready is reported by its index", async () => {
    const { negotiate, driver } = rig();
    negotiate(0, 1);
    await expect(driver().enableQueue(1, 8, { ...AREAS, deviceArea: 4 })).rejects.toMatchObject({
      code: "TRANSPORT",
      path: "mmio.queue[1].QueueReady",
    });
  });

  test("[mmio-driver-20] a queue reset that never ends fails, within a bound", async () => {
    const { window, driver } = rig();
    const half = driver(lyingBus(window, 0x0c0, () => 1));
    await half.writeFeatures(RING_RESET);
    await expect(half.resetQueue(0)).rejects.toMatchObject({
      code: "DEVICE_FAILED",
      path: "mmio.QueueReset",
    });
  });

  test("a queue reset that the device promised and does not know fails, within a bound", async () => {
    const { window, negotiate, driver } = rig();
    negotiate(...WITH_RING_RESET);
    const bus = loopbackBus(window);
    const half = driver({
      ...bus,
      write: (at, size, value) => (at === 0x0c0 ? undefined : bus.write(at, size, value)),
    });
    await half.writeFeatures(RING_RESET);
    await half.enableQueue(0, 16, AREAS);
    await expect(half.resetQueue(0)).rejects.toMatchObject({
      code: "DEVICE_FAILED",
      path: "mmio.QueueReady",
    });
  });

  test("a queue is not reset by a register that VIRTIO_F_RING_RESET did not bring", async () => {
    const { window, negotiate, driver, device } = rig();
    negotiate(0, 1);
    const bus = lyingBus(window, 0, (honest) => honest);
    const half = driver(bus);
    await half.writeFeatures(FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1));
    await half.enableQueue(0, 16, AREAS);
    bus.writes.length = 0;
    const refusal = { code: "TRANSPORT_UNSUPPORTED", path: "mmio.QueueReset" };
    await expect(half.resetQueue(0)).rejects.toMatchObject(refusal);
    expect(bus.writes).toEqual([]);
    expect(device.queueSize(0)).toBe(16);
    // What was negotiated before a reset is not in force after it.
    await half.writeFeatures(RING_RESET);
    await half.reset();
    await expect(half.resetQueue(0)).rejects.toMatchObject(refusal);
  });
});

describe("the place of the administration virtqueues", () => {
  test("[mmio-admin-driver-1] is not read without the feature; the error names it", async () => {
    const { window, driver } = rig();
    const bus = lyingBus(window, 0, (honest) => honest);
    const error: VirtioError = await driver(bus)
      .adminQueues(FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1))
      .then(
        () => expect.unreachable(),
        (thrown) => thrown,
      );
    expect(error).toMatchObject({ code: "ADMIN_QUEUE_UNAVAILABLE", path: "mmio.AdminQueueIndex" });
    expect(error.message).toContain("bit 41");
    expect(bus.reads).toEqual([]);
  });

  test.each([
    [0x0e0, 0xabcd0002, { index: 2, count: 3 }],
    [0x0e4, 0xffff0002, { index: 2, count: 2 }],
  ])("[mmio-admin-driver-2] bits 16 to 31 are disregarded at %i", async (offset, value, place) => {
    const { window, driver, negotiate } = rig({ adminQueues: 3 });
    negotiate(...WITH_ADMIN);
    const bus = lyingBus(window, offset, () => value);
    expect(await driver(bus).adminQueues(ADMIN)).toMatchObject(place);
  });

  test.each([
    [0x0e4, 0xffff],
    [0x0e0, 0xfffe],
  ])(
    "[mmio-admin-driver-9] one beyond the last index is a failure (0x%s: %i)",
    async (offset, value) => {
      const { window, driver, negotiate } = rig({ adminQueues: 3 });
      negotiate(...WITH_ADMIN);
      const bus = lyingBus(window, offset, () => value);
      await expect(driver(bus).adminQueues(ADMIN)).rejects.toMatchObject({
        code: "TRANSPORT",
        path: "mmio.AdminQueueNum",
      });
    },
  );

  test("[mmio-admin-driver-8] is never written", async () => {
    const { window, driver, negotiate } = rig();
    negotiate(...WITH_ADMIN);
    const bus = lyingBus(window, 0, (honest) => honest);
    const half = driver(bus);
    await half.adminQueues(ADMIN);
    await half.enableQueue(2, 8, AREAS);
    expect(bus.writes).not.toContain(0x0e0);
    expect(bus.writes).not.toContain(0x0e4);
  });
});

describe("features", () => {
  test("[mmio-driver-12] reach a device that knows two words, and takes any other for the second", async () => {
    const { window, driver, read } = rig();
    const direct = loopbackBus(window);
    const SELECTORS = [0x014, 0x024];
    const bus: MmioBus = {
      ...direct,
      write: (offset, size, value) =>
        window.write(offset, size, SELECTORS.includes(offset) ? Math.min(value, 1) : value),
    };
    const half = driver(bus);
    await half.reset();
    for (const status of [1, 3]) await half.writeStatus(status);
    await half.writeFeatures(ADMIN);
    await half.writeStatus(0x0b);
    expect(await half.readStatus()).toBe(0x0b);
    expect([read("AdminQueueIndex"), read("AdminQueueNum")]).toEqual([2, 1]);
  });

  test("[mmio-driver-12] a word that had bits is written again without them", async () => {
    const { device, driver } = rig();
    const half = driver();
    await half.writeFeatures(FeatureSet.of(0, 50, 64, 127));
    expect(device.driverFeatures.bits()).toEqual([0, 50, 64, 127]);
    await half.writeFeatures(FeatureSet.of(1));
    expect(device.driverFeatures.bits()).toEqual([1]);
  });

  test("[mmio-notify-driver-2+] with VIRTIO_F_NOTIFICATION_DATA notifications have index and position", async () => {
    const features = [FEATURE.VIRTIO_F_VERSION_1, FEATURE.VIRTIO_F_NOTIFICATION_DATA];
    const { driver, window } = rig({ features: [FEATURE.VIRTIO_F_NOTIFICATION_DATA] });
    const written: [number, number][] = [];
    const bus: MmioBus = {
      ...loopbackBus(window),
      write: (offset, size, value) => {
        if (offset === 0x50) written.push([size, value]);
        return window.write(offset, size, value);
      },
    };
    const half = driver(bus);
    await half.writeStatus(3);
    await half.writeFeatures(FeatureSet.of(...features));
    await half.writeStatus(0x0b);
    expect(await half.readStatus()).toBe(0x0b);
    const doorbell = await half.enableQueue(1, 16, AREAS);
    for (const next of [undefined, 5, 0x8005, 0xffff]) doorbell.ring(next);
    expect(written).toEqual([
      [4, 0x1],
      [4, 0x5_0001],
      [4, 0x8005_0001],
      [4, 0xffff_0001],
    ]);
  });
});

describe("interrupts", () => {
  function listening(half: ReturnType<ReturnType<typeof rig>["driver"]>) {
    const heard: string[] = [];
    const ready = half.listen({
      usedBuffers: (queue) => heard.push(`used ${queue}`),
      configurationChange: () => heard.push("configuration"),
      failed: (error) => heard.push((error as VirtioError).code),
    });
    return { heard, ready };
  }

  test("[mmio-interrupt-driver-1] [mmio-interrupt-driver-2] [mmio-interrupt-driver-3] events are told and acknowledged", async () => {
    const { window, driver, read } = rig();
    const { heard, ready } = listening(driver());
    await ready;
    window.usedBuffers(1);
    expect(new Set(heard)).toEqual(new Set(["used undefined"]));
    expect(read("InterruptStatus")).toBe(0);
    heard.length = 0;
    window.configurationChange();
    expect(new Set(heard)).toEqual(new Set(["configuration"]));
    expect(window.interruptLine).toBe(false);
  });

  test("[mmio-driver-17] undefined bits cause nothing", async () => {
    const { window, driver } = rig();
    const bus = lyingBus(window, 0x060, (honest) => honest | 0xfffffffc);
    const { heard, ready } = listening(driver(bus));
    await ready;
    window.usedBuffers(0);
    expect(new Set(heard)).toEqual(new Set(["used undefined"]));
  });

  test("an interrupt that stays asserted is given up, within a bound", async () => {
    const { window, driver } = rig();
    const bus = lyingBus(window, 0x060, () => 1);
    const { heard, ready } = listening(driver(bus));
    await ready;
    window.usedBuffers(0);
    expect(heard.at(-1)).toBe("DEVICE_FAILED");
    expect(heard.length).toBeLessThan(10_000);
  });

  test("a bus that answers later delivers them too", async () => {
    const { window, driver, read } = rig();
    const direct = loopbackBus(window);
    const bus: MmioBus = {
      ...direct,
      read: async (offset, size) => window.read(offset, size),
      write: async (offset, size, value) => window.write(offset, size, value),
    };
    const half = driver(bus);
    const { heard, ready } = listening(half);
    await ready;
    window.usedBuffers(0);
    window.configurationChange();
    await expect.poll(() => read("InterruptStatus")).toBe(0);
    expect(new Set(heard)).toEqual(new Set(["used undefined", "configuration"]));
    await half.close();
    heard.length = 0;
    window.usedBuffers(0);
    await Promise.resolve();
    expect(heard).toEqual([]);
  });

  test("[mmio-interrupt-driver-1] what comes up while the last answer is on its way is seen", async () => {
    const { window, driver } = rig();
    const direct = loopbackBus(window);
    let raise: (() => void) | undefined = () => window.configurationChange();
    const bus: MmioBus = {
      ...direct,
      read: (offset, size) => {
        const status = window.read(offset, size);
        const answer = Promise.resolve(status);
        if (status === 0) {
          raise?.();
          raise = undefined;
        }
        return answer;
      },
      write: async (offset, size, value) => window.write(offset, size, value),
    };
    const { heard, ready } = listening(driver(bus));
    await ready;
    window.usedBuffers(0);
    await expect.poll(() => heard).toContain("configuration");
    expect([raise, window.interruptLine]).toEqual([undefined, false]);
  });

  test("a device that interrupts again at every look is given up, within a bound", async () => {
    const { window, driver } = rig();
    const direct = loopbackBus(window);
    let reads = 0;
    let handler: (() => void) | undefined;
    const bus: MmioBus = {
      ...direct,
      onInterrupt: (listener) => {
        handler = listener;
      },
      read: async () => {
        reads++;
        handler?.();
        return 0;
      },
      write: async () => undefined,
    };
    const { heard, ready } = listening(driver(bus));
    await ready;
    handler?.();
    await expect.poll(() => heard).toEqual(["DEVICE_FAILED"]);
    expect(reads).toBeLessThan(10_000);
  });

  test("a bus that fails while it notifies or serves is reported", async () => {
    const { window, driver, negotiate } = rig();
    negotiate(0, 1);
    const broken = { now: false };
    const direct = loopbackBus(window);
    const fail = () => {
      throw new Error("the wire is cut");
    };
    const bus: MmioBus = {
      ...direct,
      read: (offset, size) => (broken.now ? fail() : window.read(offset, size)),
      write: (offset, size, value) => (broken.now ? fail() : window.write(offset, size, value)),
    };
    const half = driver(bus);
    const errors: unknown[] = [];
    await half.listen({
      usedBuffers: () => undefined,
      configurationChange: () => undefined,
      failed: (error) => errors.push(error),
    });
    const doorbell = await half.enableQueue(0, 16, AREAS);
    broken.now = true;
    doorbell.ring();
    window.usedBuffers(0);
    expect(errors.map(String)).toEqual(["Error: the wire is cut", "Error: the wire is cut"]);
  });

  test("an interrupt that was pending before anyone listened is delivered", async () => {
    const { window, driver } = rig();
    window.configurationChange();
    const { heard, ready } = listening(driver());
    await ready;
    expect(heard).toContain("configuration");
  });
});
