import {
  bringUp,
  type DeviceModel,
  FEATURE,
  MemorySink,
  RING_FEATURES,
  VirtioDevice,
  type VirtioError,
} from "@virtio-admin/core";
import {
  createEntropy,
  ENTROPY_DEVICE_ID,
  ENTROPY_REQUESTQ,
  EntropyDriver,
  type EntropyInit,
} from "@virtio-admin/devices";
import { describe, expect, it } from "vitest";
import { DirectTransport, makeMemory } from "../../core/test/direct-transport.ts";

const MEMORY_LENGTH = 0x40_0000;

/** A source whose bytes count up, so that what was drawn can be told from what was not. */
function counting(): { source: (target: Uint8Array) => void; drawn: () => number } {
  let next = 0;
  return {
    source: (target) => {
      for (let i = 0; i < target.length; i++) target[i] = next++ & 0xff;
    },
    drawn: () => next,
  };
}

const { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_RING_PACKED } = FEATURE;

async function setUp(
  init: EntropyInit,
  ringFeatures: readonly number[] = RING_FEATURES,
  model: DeviceModel = createEntropy(init),
) {
  const { memory, dma } = makeMemory(MEMORY_LENGTH);
  const trace = new MemorySink();
  const features = [...RING_FEATURES, VIRTIO_F_RING_PACKED];
  const core = new VirtioDevice({ model, memory, trace, features });
  const device = await bringUp(new DirectTransport(core, dma), {
    deviceId: ENTROPY_DEVICE_ID,
    ringFeatures,
    queues: [{ index: ENTROPY_REQUESTQ, size: 8 }],
  });
  return { core, device, dma, memory, trace, queue: device.queue(ENTROPY_REQUESTQ) };
}

const RINGS: [string, number[]][] = [
  ["plain rings", []],
  ["EVENT_IDX", [VIRTIO_F_EVENT_IDX]],
  ["INDIRECT_DESC", [VIRTIO_F_INDIRECT_DESC]],
  ["both", [VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC]],
  ["packed rings", [VIRTIO_F_RING_PACKED]],
  ["packed rings with both", [VIRTIO_F_RING_PACKED, ...RING_FEATURES]],
];

describe.each(RINGS)("entropy over %s", (_name, ringFeatures) => {
  it("reads what the source drew, through as many requests as it takes", async () => {
    const { source } = counting();
    const { device } = await setUp({ source }, ringFeatures);
    expect(device.features.has(VIRTIO_F_EVENT_IDX)).toBe(ringFeatures.includes(VIRTIO_F_EVENT_IDX));
    const driver = new EntropyDriver(device, { bufferSize: 100 });
    const bytes = await driver.read(1000);
    expect(bytes).toEqual(Uint8Array.from({ length: 1000 }, (_, i) => i & 0xff));
    const [a, b, none] = await Promise.all([driver.read(3), driver.read(2), driver.read(0)]);
    expect([...(a ?? []), ...(b ?? [])]).toEqual([0xe8, 0xe9, 0xea, 0xeb, 0xec]);
    expect(none).toHaveLength(0);
    await device.close();
  });

  it("fills buffers of several segments, and loses none of a full queue", async () => {
    const { source, drawn } = counting();
    const { device, dma, memory, queue } = await setUp({ source }, ringFeatures);
    const block = dma.allocate(64, 1);
    const indirect = ringFeatures.includes(VIRTIO_F_INDIRECT_DESC);
    const buffers = indirect ? 8 : 4;
    let used = 0;
    queue.onUsed = () => {
      while (queue.reap() >= 0) {
        expect(queue.queue.usedLength).toBe(8);
        used++;
      }
    };
    for (let round = 0; round < 100; round++) {
      for (let i = 0; i < buffers; i++) {
        const at = block.address + 8 * i;
        expect(queue.queue.add([at, at + 3], [3, 5], 2, 0)).toBeGreaterThanOrEqual(0);
      }
      expect(queue.queue.add([block.address, block.address], [1, 1], 2, 0)).toBe(-1);
      queue.notify();
    }
    expect(used).toBe(100 * buffers);
    expect(drawn()).toBe(used * 8);
    const last = new Uint8Array(8 * buffers);
    memory.read(block.address, last);
    expect(last[0]).toBe((drawn() - 8 * buffers) & 0xff);
    await device.close();
  });
});

describe("the entropy device", () => {
  it("places bytes of the Web Crypto generator by default", async () => {
    const { device } = await setUp({});
    const bytes = await new EntropyDriver(device).read(4096);
    // 4096 random bytes lack some value of a byte with a probability below 1e-4.
    expect(new Set(bytes).size).toBeGreaterThan(240);
    await device.close();
  });

  it("fills the writable part of a buffer whose driver put a readable one before it", async () => {
    const { source } = counting();
    const { device, dma, memory, queue } = await setUp({ source });
    const block = dma.allocate(16, 1);
    memory.write(block.address, new Uint8Array(16).fill(0xee));
    const lengths: number[] = [];
    queue.onUsed = () => {
      while (queue.reap() >= 0) lengths.push(queue.queue.usedLength);
    };
    queue.queue.add([block.address, block.address + 8], [8, 8], 2, 1);
    queue.queue.add([block.address], [8], 1, 1);
    queue.notify();
    expect(lengths).toEqual([8, 0]);
    const bytes = new Uint8Array(16);
    memory.read(block.address, bytes);
    expect([...bytes]).toEqual([...Array(8).fill(0xee), 0, 1, 2, 3, 4, 5, 6, 7]);
    await device.close();
  });

  it("uses less than all of a huge buffer, rather than drawing for long", async () => {
    const { source, drawn } = counting();
    const { device, dma, queue } = await setUp({ source });
    const block = dma.allocate(0x20_0000, 1);
    let used = 0;
    queue.onUsed = () => {
      while (queue.reap() >= 0) used = queue.queue.usedLength;
    };
    queue.queue.add([block.address], [block.length], 1, 0);
    queue.notify();
    expect(used).toBe(0x10_0000);
    expect(drawn()).toBe(used);
    await device.close();
  });

  it("uses every buffer of a driver that answers each with another", async () => {
    const { source } = counting();
    const { device, dma, queue } = await setUp({ source });
    const block = dma.allocate(4, 1);
    let left = 2000;
    const done = new Promise<void>((resolve) => {
      queue.onUsed = () => {
        while (queue.reap() >= 0) {
          if (--left === 0) resolve();
          else queue.queue.add([block.address], [4], 1, 0);
        }
        queue.notify();
      };
    });
    queue.queue.add([block.address], [4], 1, 0);
    queue.notify();
    await done;
    expect(left).toBe(0);
    await device.close();
  });

  it("needs a reset when its source fails, and says why", async () => {
    const { core, device, trace } = await setUp({
      source: () => {
        throw new Error("no entropy left");
      },
    });
    const driver = new EntropyDriver(device);
    await expect(driver.read(1)).rejects.toMatchObject({ code: "DEVICE_FAILED" });
    expect(core.status & 0x40).toBe(0x40);
    const reasons = trace.events.flatMap((event) =>
      event.op === "needs-reset" ? [event.why] : [],
    );
    expect(reasons).toEqual([expect.stringContaining("no entropy left")]);
    await device.close();
  });

  it("works again after it was reset and brought up anew", async () => {
    const { memory, dma } = makeMemory(MEMORY_LENGTH);
    const transportless = new VirtioDevice({ model: createEntropy(counting()), memory });
    const transport = new DirectTransport(transportless, dma);
    for (let round = 0; round < 3; round++) {
      const device = await bringUp(transport, { queues: [{ index: 0 }] });
      const driver = new EntropyDriver(device);
      expect((await driver.read(16)).length).toBe(16);
      driver.close();
      await device.close();
      expect(transportless.status).toBe(0);
    }
    expect(dma.freeBytes).toBe(MEMORY_LENGTH);
  });
});

describe("the entropy driver", () => {
  /** An entropy device that uses buffers with a length of the test's choice, or never. */
  function odd(used: number | undefined): DeviceModel {
    const model = createEntropy();
    let attached: Parameters<DeviceModel["attach"]>[0] | undefined;
    return {
      name: model.name,
      deviceId: model.deviceId,
      features: model.features,
      queues: model.queues,
      attach: (host) => {
        attached = host;
      },
      queueNotified: (index) => {
        const queue = attached?.queue(index);
        if (queue === undefined || used === undefined) return;
        for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
          queue.push(chain, used);
        }
        attached?.publish(index);
      },
      reset: () => undefined,
    };
  }

  it("takes no more bytes than the device says it placed", async () => {
    const { device, trace } = await setUp({}, RING_FEATURES, odd(3));
    const bytes = await new EntropyDriver(device).read(7);
    expect(bytes).toHaveLength(7);
    const lengths = trace.events.flatMap((event) => (event.op === "buffer" ? [event.used] : []));
    expect(lengths).toEqual([3, 3, 1]);
    await device.close();
  });

  it("puts only device-writable buffers into the queue", async () => {
    const { device, trace } = await setUp({ source: counting().source });
    await new EntropyDriver(device).read(10);
    const segments = trace.events.flatMap((event) =>
      event.op === "buffer" ? event.descriptors : [],
    );
    expect(segments).toEqual([{ length: 10, writable: true }]);
    await device.close();
  });

  it("refuses to wait for bytes from a device that places none", async () => {
    const { device } = await setUp({}, RING_FEATURES, odd(0));
    await expect(new EntropyDriver(device).read(1)).rejects.toMatchObject({
      code: "DEVICE_FAILED",
      message: expect.stringContaining("without placing a byte"),
    });
    await device.close();
  });

  it("gives up on a device that does not answer, and does not reuse the buffer it still has", async () => {
    const { device } = await setUp({}, RING_FEATURES, odd(undefined));
    const driver = new EntropyDriver(device, { timeout: 20 });
    await expect(driver.read(1)).rejects.toMatchObject({ code: "DEVICE_FAILED" });
    await expect(driver.read(1)).rejects.toThrow("earlier buffer");
    await device.close();
  });

  it("rejects lengths that cannot be, other devices, and reads after close", async () => {
    const { device } = await setUp({});
    const driver = new EntropyDriver(device);
    for (const length of [-1, 1.5, Number.NaN, 2 ** 31]) {
      await expect(driver.read(length)).rejects.toMatchObject({ code: "VALUE_RANGE" });
    }
    driver.close();
    await expect(driver.read(1)).rejects.toMatchObject({ code: "DRIVER_STATE" });
    await device.close();

    const other = await bringUp(
      (() => {
        const { memory, dma } = makeMemory(MEMORY_LENGTH);
        const model = Object.assign(createEntropy(), { deviceId: 2 });
        return new DirectTransport(new VirtioDevice({ model, memory }), dma);
      })(),
      { queues: [{ index: 0 }] },
    );
    expect(() => new EntropyDriver(other)).toThrow(
      expect.objectContaining<Partial<VirtioError>>({ code: "DEVICE_UNKNOWN" }),
    );
    await other.close();
  });
});
