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
