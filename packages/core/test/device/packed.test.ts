/** Devices over packed rings: what is the same as over split rings, and what is not. */
import {
  AdminExecutor,
  AdminQueues,
  bringUp,
  type DriverQueueHandle,
  FEATURE,
  openAdminClient,
  RING_FEATURES,
  SELF_GROUP,
  SelfGroup,
  STATUS,
  VirtioDevice,
} from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DirectTransport, makeMemory } from "../direct-transport.ts";
import { FillModel } from "./models.ts";
import { goLive, makeDevice, negotiate } from "./rig.ts";

const { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_RING_PACKED } = FEATURE;
const PACKED = [...RING_FEATURES, VIRTIO_F_RING_PACKED];

async function live(options: { size?: number; features?: readonly number[] } = {}) {
  const { memory, dma } = makeMemory();
  const model = new FillModel();
  const device = new VirtioDevice({ model, memory, features: options.features ?? PACKED });
  const transport = new DirectTransport(device, dma);
  const driver = await bringUp(transport, {
    queues: [
      { index: 0, size: options.size ?? 8 },
      { index: 1, size: options.size ?? 8 },
    ],
    ...(options.size === undefined ? {} : { requiredFeatures: [VIRTIO_F_RING_PACKED] }),
  });
  const handle = driver.queue(0);
  return { memory, dma, model, device, transport, driver, handle };
}

/** Adds one writable buffer of four bytes, notifies, and takes back what was used. */
function exchange(handle: DriverQueueHandle, address: number): number[] {
  const used: number[] = [];
  handle.onUsed = () => {
    for (let id = handle.reap(); id >= 0; id = handle.reap()) used.push(handle.queue.usedLength);
  };
  handle.queue.add([address], [4], 1, 0);
  handle.notify();
  return used;
}

describe("a device over packed rings", () => {
  it("[reserved-features-driver-6] has them once its driver finds the feature offered", async () => {
    const { driver, device, handle, dma } = await live();
    expect(driver.features.has(VIRTIO_F_RING_PACKED)).toBe(true);
    expect(device.negotiated(VIRTIO_F_RING_PACKED)).toBe(true);
    const { address } = dma.allocate(4, 4);
    for (let i = 0; i < 20; i++) expect(exchange(handle, address)).toEqual([4]);
    await driver.close();
    const split = await live({ features: RING_FEATURES });
    expect(split.driver.features.has(VIRTIO_F_RING_PACKED)).toBe(false);
    expect(exchange(split.handle, split.dma.allocate(4, 4).address)).toEqual([4]);
    await split.driver.close();
  });

  it.each([1, 3, 5, 6, 7])("[pci-common-driver-3] takes queues of %i entries", async (size) => {
    const { driver, device, handle, dma } = await live({ size });
    expect([handle.size, device.queueSize(0)]).toEqual([size, size]);
    const { address } = dma.allocate(4, 4);
    for (let i = 0; i < 3 * size + 1; i++) expect(exchange(handle, address)).toEqual([4]);
    await driver.close();
  });

  it("takes no size that is no power of two unless the rings are packed", () => {
    for (const packed of [false, true]) {
      const { device } = makeDevice({ features: PACKED });
      negotiate(device, FEATURE.VIRTIO_F_VERSION_1, ...(packed ? [VIRTIO_F_RING_PACKED] : []));
      for (const size of [0, 9, 0x8000, 1.5, Number.NaN]) device.setQueueSize(0, size);
      expect(device.queueSize(0)).toBe(8);
      device.setQueueSize(0, 7);
      expect(device.queueSize(0)).toBe(packed ? 7 : 8);
    }
  });

  it("begins a queue anew after its reset, with another wrap counter or not", async () => {
    const { driver, handle, dma, model } = await live({ size: 3 });
    const { address } = dma.allocate(4, 4);
    for (const before of [0, 1, 2, 3, 4, 7]) {
      for (let i = 0; i < before; i++) expect(exchange(handle, address)).toEqual([4]);
      model.onNotified = () => undefined;
      handle.queue.add([address], [4], 1, 0);
      await driver.resetQueue(0);
      expect([handle.queue.outstanding, handle.queue.free]).toEqual([0, 3]);
      for (let i = 0; i < 4; i++) expect(exchange(handle, address)).toEqual([4]);
    }
    await driver.close();
  });

  it("needs a reset when its driver breaks a ring, and works on after it", async () => {
    const { driver, device, dma, memory } = await live();
    const at = device.queueAddress(0, "descriptorArea", 0);
    // An available descriptor whose buffer lies nowhere.
    memory.write(at, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0x82, 0));
    device.notify(0);
    expect(device.status & STATUS.DEVICE_NEEDS_RESET).toBe(STATUS.DEVICE_NEEDS_RESET);
    await driver.close();
    const again = await bringUp(
      new DirectTransport(
        new VirtioDevice({
          model: new FillModel(),
          memory,
          features: PACKED,
        }),
        dma,
      ),
      { queues: [{ index: 0, size: 4 }] },
    );
    expect(exchange(again.queue(0), dma.allocate(4, 4).address)).toEqual([4]);
    await again.close();
  });

  it("fails its driver with the defect by name when the device breaks a ring", async () => {
    const { driver, device, handle, memory } = await live();
    const at = device.queueAddress(0, "descriptorArea", 0);
    memory.write(at + 12, Uint8Array.of(99, 0, 0x80, 0x80));
    expect(handle.reap()).toBe(-1);
    expect(driver.state).toBe("failed");
    const failures: string[] = [];
    driver.onFailure((error) => failures.push(error.message));
    await new Promise((resolve) => setImmediate(resolve));
    expect(failures[0]).toContain("used-id");
    await driver.close();
  });

  it("stops without touching its ring any more, and goes on where it was", async () => {
    const { driver, device, handle, dma, memory } = await live();
    const { address } = dma.allocate(4, 4);
    for (let i = 0; i < 11; i++) exchange(handle, address);
    expect(device.stop()).toBe(true);
    const used = exchange(handle, address);
    const bytes = () => Buffer.from(memory.regions[0]!.bytes).toString("base64");
    const before = bytes();
    device.notify(0);
    expect([used, bytes()]).toEqual([[], before]);
    device.resume();
    expect(used).toEqual([4]);
    await driver.close();
  });

  it("cannot be enabled with a part that is misplaced", () => {
    const rig = makeDevice({ features: PACKED });
    goLive(rig, VIRTIO_F_RING_PACKED);
    rig.device.setQueueAddress(0, "descriptorArea", 0, 0x10_0000);
    rig.device.setQueueAddress(0, "driverArea", 0, 0x10_1002);
    rig.device.setQueueAddress(0, "deviceArea", 0, 0x10_1004);
    expect(rig.device.enableQueue(0)).toBe(false);
    expect(rig.device.status & STATUS.DEVICE_NEEDS_RESET).not.toBe(0);
  });
});

describe("a ring whose bytes change at any moment", () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant("add" as const), count: fc.nat(3) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("notify" as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("hold" as const), on: fc.boolean() }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("meddle" as const),
        // Anywhere in the ring, but most often where it is seen: id and flags, or an event.
        at: fc.oneof(
          fc.nat(16 * 5 + 7),
          fc.nat(4).map((slot) => 16 * slot + 15),
          fc.nat(87),
        ),
        byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 0x80, 0x82, 0x81, 0x84)),
      }),
    },
  );

  it("makes neither half throw or hang, and a reset mends both", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { device, driver, transport, model, handle, dma } = await live({ size: 5 });
        const { address } = dma.allocate(64, 16);
        const ring = ["descriptorArea", "driverArea", "deviceArea"] as const;
        const areas = ring.map((area) => device.queueAddress(0, area, 0));
        const held: (() => void)[] = [];
        let holds = false;
        model.onNotified = (index) => {
          const queue = model.host.queue(index);
          while (holds && queue !== undefined && held.length < 9) {
            const chain = queue.pop();
            if (chain === undefined) return;
            held.push(() => queue.push(chain, 4));
          }
        };
        let reaped = 0;
        let added = 0;
        handle.onUsed = () => {
          while (handle.reap() >= 0) {
            reaped++;
            expect(handle.queue.usedLength).toBeLessThanOrEqual(12);
          }
        };
        for (const action of steps) {
          if (action.do === "add") {
            const count = action.count + 1;
            const lengths = new Array(count).fill(4);
            if (handle.queue.add(new Array(count).fill(address), lengths, count, 1) >= 0) added++;
          } else if (action.do === "notify") {
            handle.notify();
            device.notify(0);
          } else if (action.do === "hold") {
            holds = action.on;
            while (!holds && held.length > 0) held.pop()?.();
          } else {
            const [descriptors = 0, ...events] = areas;
            const inEvents = action.at - 16 * 5;
            const place =
              inEvents < 0
                ? descriptors + action.at
                : (events[inEvents >> 2] ?? 0) + (inEvents & 3);
            dma.memory.write(place, Uint8Array.of(action.byte));
          }
          expect(reaped).toBeLessThanOrEqual(added);
        }
        await driver.close();
        expect(device.status).toBe(0);
        model.onNotified = undefined;
        const again = await bringUp(transport, { queues: [{ index: 0, size: 4 }] });
        for (let i = 0; i < 9; i++) expect(exchange(again.queue(0), address)).toEqual([4]);
        await again.close();
      }),
      { numRuns: 200 },
    );
  });
});

describe("administration commands over packed rings", () => {
  it.each([
    ["plain", []],
    ["EVENT_IDX", [VIRTIO_F_EVENT_IDX]],
    ["INDIRECT_DESC", [VIRTIO_F_INDIRECT_DESC]],
    ["both", [VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC]],
  ])("are carried as over split rings: %s", async (_, features) => {
    const { memory, dma } = makeMemory();
    const executor = new AdminExecutor({ groups: [new SelfGroup()] });
    const admin = new AdminQueues({ executor, maxSize: 4 });
    const device = new VirtioDevice({
      model: new FillModel(),
      memory,
      admin,
      features: [...features, VIRTIO_F_RING_PACKED],
    });
    const driver = await bringUp(new DirectTransport(device, dma), {
      queues: [],
      adminQueues: { count: 1, required: true, size: 4 },
    });
    expect(driver.features.has(VIRTIO_F_RING_PACKED)).toBe(true);
    const client = openAdminClient(driver);
    for (let i = 0; i < 3; i++) {
      const answers = await Promise.all(
        Array.from({ length: 7 }, () => client.listQuery(SELF_GROUP.id)),
      );
      expect(answers).toEqual(new Array(7).fill(answers[0]));
    }
    await driver.close();
  });
});
