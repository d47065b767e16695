import {
  type AdminQueueOption,
  type BringUpOptions,
  bringUp,
  FEATURE,
  FeatureSet,
  VirtioError,
} from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import { NotingAdmin } from "../device/models.ts";
import type { DirectTransport } from "../direct-transport.ts";
import { setUp } from "./rig.ts";

const { VIRTIO_F_VERSION_1, VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_ADMIN_VQ } =
  FEATURE;
const ONE_QUEUE: BringUpOptions = { queues: [{ index: 0 }] };

/** What bringing up fails with. */
async function failure(transport: DirectTransport, options = ONE_QUEUE): Promise<VirtioError> {
  const error: unknown = await bringUp(transport, options).then(
    () => "no failure",
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(VirtioError);
  return error as VirtioError;
}

describe("bring-up", () => {
  it("[init-driver-1, status-driver-1, status-driver-2] goes through its steps in order", async () => {
    const { transport, model } = setUp();
    const device = await bringUp(transport, ONE_QUEUE);
    expect(transport.statuses).toEqual([0x00, 0x01, 0x03, 0x0b, 0x0f]);
    expect(device.state).toBe("live");
    expect(model.calls).toEqual(["reset", "start"]);
    await device.close();
  });

  it("[features-driver-1, features-driver-5] accepts what is wanted, offered and allowed", async () => {
    const { transport } = setUp();
    transport.allowedFeatures = transport.allowedFeatures.without(VIRTIO_F_EVENT_IDX);
    const device = await bringUp(transport, { ...ONE_QUEUE, features: [0, 5] });
    expect(device.features.bits()).toEqual([
      0,
      VIRTIO_F_INDIRECT_DESC,
      VIRTIO_F_VERSION_1,
      FEATURE.VIRTIO_F_RING_RESET,
    ]);
    await device.close();
  });

  it("[features-driver-4, features-driver-8] disregards offered features it does not know", async () => {
    const { transport } = setUp();
    const written: FeatureSet[] = [];
    transport.readFeatures = async () => FeatureSet.fromWords([-1, -1, -1, -1]);
    transport.writeFeatures = async (features) => {
      written.push(features);
    };
    await failure(transport);
    expect(written.map((set) => set.bits())).toEqual([[28, 29, 32, 33, 34, 35, 36, 38, 39, 40]]);
  });

  it("[features-driver-2] does not accept a feature without what it requires", async () => {
    const { transport } = setUp();
    const device = await bringUp(transport, {
      ...ONE_QUEUE,
      features: [1],
      featureDependencies: [{ feature: 1, requires: 0 }],
      ringFeatures: [],
    });
    expect(device.features.bits()).toEqual([VIRTIO_F_VERSION_1]);
    await device.close();
  });

  it.each([24, 30, 43, 44, 127 + 1])(
    "[features-driver-5] refuses to want bit %i, and touches nothing",
    async (bit) => {
      const { transport } = setUp();
      const error = await failure(transport, { ...ONE_QUEUE, ringFeatures: [bit] });
      expect([error.code, error.value, transport.statuses]).toEqual(["VALUE_RANGE", bit, []]);
    },
  );

  it.each([
    ["not offered", { requiredFeatures: [7] }, "the device does not offer it"],
    ["not allowed", { requiredFeatures: [VIRTIO_F_EVENT_IDX] }, "direct does not allow it"],
    [
      "without what it requires",
      { requiredFeatures: [1], featureDependencies: [{ feature: 1, requires: 0 }] },
      "bit 1 requires bit 0",
    ],
  ])(
    "[features-driver-7, init-driver-6, init-driver-7] sets FAILED when a feature it needs is %s",
    async (_what, options, why) => {
      const { transport, dma } = setUp();
      const free = dma.freeBytes;
      transport.allowedFeatures = transport.allowedFeatures.without(VIRTIO_F_EVENT_IDX);
      const error = await failure(transport, { ...ONE_QUEUE, ...options });
      expect(error.code).toBe("FEATURE_MISSING");
      expect(error.message).toContain(why);
      expect(transport.statuses).toEqual([0x00, 0x01, 0x03, 0x83]);
      expect([transport.closed, dma.freeBytes]).toEqual([true, free]);
    },
  );

  it("[reserved-features-driver-2] does not drive a device without VIRTIO_F_VERSION_1", async () => {
    const { transport } = setUp();
    transport.readFeatures = async () => FeatureSet.of(0, 28);
    const error = await failure(transport);
    expect([error.code, transport.statuses.at(-1)]).toEqual(["FEATURE_MISSING", 0x83]);
  });

  it("[init-driver-5] reads FEATURES_OK back, and gives up where it is clear", async () => {
    const { transport, model } = setUp();
    model.refuseFeatures = () => "no";
    const error = await failure(transport);
    expect([error.code, transport.statuses]).toEqual([
      "FEATURES_REFUSED",
      [0x00, 0x01, 0x03, 0x0b, 0x83],
    ]);
  });

  it("rejects another device than the one it drives, before it writes a status", async () => {
    const { transport } = setUp();
    const error = await failure(transport, { ...ONE_QUEUE, deviceId: 2 });
    expect([error.code, error.value, transport.statuses]).toEqual(["DEVICE_UNKNOWN", 4, []]);
  });

  it("rejects a queue that the device lacks", async () => {
    const { transport, dma } = setUp();
    const free = dma.freeBytes;
    const error = await failure(transport, { queues: [{ index: 0 }, { index: 9 }] });
    expect([error.code, error.value]).toEqual(["QUEUE_UNAVAILABLE", 9]);
    expect([transport.statuses.at(-1), dma.freeBytes]).toEqual([0x8b, free]);
  });

  it.each([
    [8, undefined, 8],
    [8, 4, 4],
    [8, 64, 8],
    [7, undefined, 4],
    [0xffff, undefined, 256],
    [0x7fffffff, 256, 256],
  ])("gives a queue of at most %i entries, asked for %s, %i", async (most, size, result) => {
    const { transport, dma } = setUp();
    transport.queueSizeMax = async () => most;
    const sizes: number[] = [];
    transport.enableQueue = async (_index, set) => {
      sizes.push(set);
      return { ring: () => undefined };
    };
    const queue = size === undefined ? { index: 0 } : { index: 0, size };
    const device = await bringUp(transport, { queues: [queue] });
    expect([sizes, device.queue(0).size]).toEqual([[result], result]);
    await device.close();
    expect(dma.freeBytes).toBe(0x10_0000);
  });

  it.each([
    [{ queues: [{ index: 0, size: 6 }] }, "QUEUE_SIZE", "queues[0].size"],
    [
      { queues: [{ index: 0, size: 6 }], ringFeatures: [FEATURE.VIRTIO_F_RING_PACKED] },
      "QUEUE_SIZE",
      "queues[0].size",
    ],
    [
      {
        queues: [{ index: 0, size: 0x8001 }],
        requiredFeatures: [FEATURE.VIRTIO_F_RING_PACKED],
      },
      "QUEUE_SIZE",
      "queues[0].size",
    ],
    [{ queues: [{ index: -1 }] }, "VALUE_RANGE", "queues[0].index"],
    [{ queues: [{ index: 1 }, { index: 1 }] }, "VALUE_RANGE", "queues[1].index"],
    [{ queues: [], timeout: 0 }, "VALUE_RANGE", "timeout"],
    [{ queues: [], adminQueues: 1.5 }, "VALUE_RANGE", "adminQueues"],
  ])("rejects the options %j", async (options, code, path) => {
    const { transport } = setUp();
    const error = await failure(transport, options);
    expect([error.code, error.path, transport.statuses]).toEqual([code, path, []]);
  });

  it("waits for no operation longer than its time limit", async () => {
    const { transport } = setUp();
    transport.readFeatures = () => new Promise(() => undefined);
    const error = await failure(transport, { ...ONE_QUEUE, timeout: 20 });
    expect([error.code, error.path]).toEqual(["TRANSPORT", "direct"]);
    expect(error.message).toContain("reading the features took longer than 20 ms");
    expect(transport.statuses.at(-1)).toBe(0x83);
  });

  it("makes a VirtioError of what a bus throws", async () => {
    const { transport } = setUp();
    const cause = new Error("socket closed");
    transport.reset = () => Promise.reject(cause);
    const error = await failure(transport);
    expect([error.code, error.cause]).toEqual(["TRANSPORT", cause]);
  });

  it("does not take a device that asks for a reset at DRIVER_OK for a live one", async () => {
    const { transport, model, dma } = setUp();
    const free = dma.freeBytes;
    model.start = () => model.host.needsReset("no");
    const error = await failure(transport);
    expect(error.code).toBe("DEVICE_FAILED");
    // The device was shown the queues and was not reset: it may still write to them.
    expect(dma.freeBytes).toBeLessThan(free);
    expect(transport.statuses.at(-1)).toBe(0x8f);
  });
});

describe("administration virtqueues at bring-up", () => {
  it.each([
    [1, [2]],
    ["all", [2, 3, 4]],
    [9, [2, 3, 4]],
  ] as const)("sets up %s of three", async (adminQueues, indexes) => {
    const { transport } = setUp({ admin: new NotingAdmin(3) });
    const device = await bringUp(transport, { ...ONE_QUEUE, adminQueues });
    expect(device.admin).toMatchObject({ index: 2, count: 3 });
    expect(device.adminQueues.map(({ index }) => index)).toEqual(indexes);
    expect(device.queue(2)).toBe(device.adminQueues[0]);
    await device.close();
  });

  it("sets up none, and does not accept the feature, unless asked to", async () => {
    const { transport } = setUp({ admin: new NotingAdmin(1) });
    const device = await bringUp(transport, ONE_QUEUE);
    expect(device.features.has(VIRTIO_F_ADMIN_VQ)).toBe(false);
    expect([device.admin, device.adminQueues]).toEqual([undefined, []]);
    await device.close();
  });

  it("fails with the transport and the bit, where they are required and the feature is lacking", async () => {
    for (const parts of [{}, { admin: new NotingAdmin(1), reserved: [VIRTIO_F_ADMIN_VQ] }]) {
      const { transport } = setUp(parts);
      const error = await failure(transport, { ...ONE_QUEUE, adminQueues: "all" });
      expect(error.code).toBe("ADMIN_QUEUE_UNAVAILABLE");
      expect(error.message).toMatch(/direct.*VIRTIO_F_ADMIN_VQ/);
      expect(transport.statuses.at(-1)).toBe(0x8b);
    }
  });

  it("goes on without, where they are not required", async () => {
    const { transport } = setUp();
    const adminQueues: AdminQueueOption = { count: 1, required: false };
    const device = await bringUp(transport, { ...ONE_QUEUE, adminQueues });
    expect([device.state, device.admin]).toEqual(["live", undefined]);
    await device.close();
  });

  it("takes a count of 0 for none: it goes on, unless they are required", async () => {
    const place = async () => ({ index: 2, count: 0, source: "test" });
    const first = setUp({ admin: new NotingAdmin(1) }).transport;
    first.adminQueues = place;
    const optional = { ...ONE_QUEUE, adminQueues: { count: 1, required: false } };
    const device = await bringUp(first, optional);
    expect(device.admin).toBeUndefined();
    await device.close();
    const second = setUp({ admin: new NotingAdmin(1) }).transport;
    second.adminQueues = place;
    const error = await failure(second, { ...ONE_QUEUE, adminQueues: 1 });
    expect([error.code, error.path]).toEqual(["ADMIN_QUEUE_UNAVAILABLE", "admin_queue_num"]);
  });

  it.each([
    [0, 1],
    [1, 0x10000],
    [0x10000, 1],
    [65535, 2],
    [-1, 1],
    [2.5, 1],
    [2, -1],
    [Number.NaN, 1],
  ])("does not believe an index of %d with a count of %d", async (index, count) => {
    const { transport } = setUp({ admin: new NotingAdmin(1) });
    transport.adminQueues = async () => ({ index, count, source: "test" });
    const error = await failure(transport, { ...ONE_QUEUE, adminQueues: 1 });
    expect([error.code, transport.statuses.at(-1)]).toEqual(["DEVICE_FAILED", 0x8b]);
  });
});
