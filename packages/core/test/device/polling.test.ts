/** A device that looks at its queues itself: what is served, what the driver is told, and the way back. */
import {
  bringUp,
  createGuestMemory,
  DmaArena,
  FEATURE,
  RING_FEATURES,
  restoreSnapshot,
  takeSnapshot,
  VirtioDevice,
} from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import { DirectTransport, MEMORY_BASE, MEMORY_LENGTH } from "../direct-transport.ts";
import { FillModel } from "./models.ts";

const { VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_PACKED } = FEATURE;
const FORMATS = [
  ["split, flags", []],
  ["split, event indexes", [VIRTIO_F_EVENT_IDX]],
  ["packed, flags", [VIRTIO_F_RING_PACKED]],
  ["packed, event indexes", [VIRTIO_F_RING_PACKED, VIRTIO_F_EVENT_IDX]],
] as const;

async function rig(features: readonly number[], concurrent = true) {
  const memory = createGuestMemory([
    { base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_LENGTH), concurrent },
  ]);
  const dma = new DmaArena(memory, MEMORY_BASE, MEMORY_LENGTH);
  const model = new FillModel();
  const device = new VirtioDevice({ model, memory, features });
  const transport = new DirectTransport(device, dma);
  const driver = await bringUp(transport, { queues: [{ index: 0 }, { index: 1 }] });
  const handle = driver.queue(0);
  const { address } = dma.allocate(4, 4);
  const used: number[] = [];
  const reap = () => {
    for (let id = handle.reap(); id >= 0; id = handle.reap()) used.push(handle.queue.usedLength);
  };
  handle.onUsed = reap;
  /** Makes a buffer available; true when the driver is to notify of it, which is left to the caller. */
  const offer = () => {
    handle.queue.add([address], [4], 1, 0);
    return handle.queue.publish();
  };
  /** Another device of the same kind, which was never polled. */
  const another = () => new VirtioDevice({ model: new FillModel(), memory, features });
  return { device, model, driver, memory, used, reap, offer, handle, another };
}

describe.each(FORMATS)("a device that polls: %s", (_name, features) => {
  it("serves what nobody notified of, and asks for no notifications", async () => {
    const { device, offer, used } = await rig(features);
    expect([device.poll(), offer()]).toEqual([false, false]);
    expect(used).toEqual([]);
    for (let count = 1; count <= 40; count++) {
      expect([device.poll(), used.length]).toEqual([true, count]);
      expect([device.poll(), offer()]).toEqual([false, false]);
    }
  });

  it("asks for them again at the end, and serves what came before it could", async () => {
    const { device, offer, used, handle } = await rig(features);
    device.poll();
    offer();
    device.endPolling();
    expect(used).toEqual([4]);
    expect(offer()).toBe(true);
    expect(used).toEqual([4]);
    device.notify(handle.index);
    expect(used).toEqual([4, 4]);
  });

  it("leaves queues in memory that nobody else writes to notifications", async () => {
    const { device, model, offer } = await rig(features, false);
    const before = model.calls.length;
    expect([device.poll(), offer(), device.poll()]).toEqual([false, true, false]);
    device.endPolling();
    expect(model.calls.length).toBe(before);
  });

  it.each([false, true])(
    "is notified where its snapshot goes on (stopped: %s)",
    async (stopped) => {
      const { device, offer, handle, another, used, reap } = await rig(features);
      device.poll();
      offer();
      expect(device.poll()).toBe(true);
      if (stopped) await device.stop();
      const target = another();
      restoreSnapshot({ device: target }, takeSnapshot({ device }));
      if (stopped) target.resume();
      expect(offer()).toBe(true);
      target.notify(handle.index);
      reap();
      expect(used).toEqual([4, 4]);
    },
  );

  it("leaves notifications alone that its device type does not want", async () => {
    const { device, model, offer } = await rig(features);
    model.host.queue(0)?.disableNotifications();
    device.poll();
    device.endPolling();
    expect(offer()).toBe(false);
  });

  it("goes on being polled, or not, where it was stopped meanwhile", async () => {
    const { device, offer, used } = await rig(features);
    device.poll();
    await device.stop();
    expect([offer(), device.poll()]).toEqual([false, false]);
    device.endPolling();
    expect(used).toEqual([]);
    device.resume();
    expect(used).toEqual([4]);
    expect(offer()).toBe(true);
  });

  it("looks at nothing before DRIVER_OK and after a reset", async () => {
    const { device, model, driver } = await rig(features);
    device.poll();
    await driver.close();
    device.reset();
    const before = model.calls.length;
    expect(device.poll()).toBe(false);
    device.endPolling();
    expect(model.calls.length).toBe(before);
  });
});

it("finds a broken ring, and needs a reset once", async () => {
  const { device, memory, handle, model } = await rig(RING_FEATURES);
  device.poll();
  const avail = device.queueAddress(handle.index, "driverArea", 0);
  memory.write(avail + 2, Uint8Array.of(0xff, 0x7f));
  expect(device.poll()).toBe(false);
  expect(device.status & 0x40).toBe(0x40);
  const before = model.calls.length;
  expect(device.poll()).toBe(false);
  device.endPolling();
  expect(model.calls.length).toBe(before);
});
