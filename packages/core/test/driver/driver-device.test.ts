import {
  type BringUpOptions,
  bringUp,
  ConfigSpace,
  FEATURE,
  RING_FEATURES,
  STATUS,
  VirtioError,
} from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import { setUp } from "./rig.ts";

const { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC } = FEATURE;
const { FAILED, DEVICE_NEEDS_RESET } = STATUS;
const ONE_QUEUE: BringUpOptions = { queues: [{ index: 0 }] };

/** Lets what was started but is not waited for come to its end. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

async function live(
  parts: Parameters<typeof setUp>[0] = {},
  ringFeatures: readonly number[] = RING_FEATURES,
) {
  const rig = setUp(parts);
  const device = await bringUp(rig.transport, {
    queues: [
      { index: 0, size: 4 },
      { index: 1, size: 4 },
    ],
    ringFeatures,
  });
  const block = rig.dma.allocate(64, 16);
  const handle = device.queue(0);
  const used: number[] = [];
  handle.onUsed = () => {
    for (let id = handle.reap(); id >= 0; id = handle.reap()) used.push(handle.queue.usedLength);
  };
  const failures: VirtioError[] = [];
  device.onFailure((error) => failures.push(error));
  const add = () => handle.queue.add([block.address], [16], 1, 0);
  return { ...rig, device, block, handle, used, failures, add };
}

describe("a device under its driver", () => {
  it("[init-driver-8] exchanges buffers, and rang no doorbell before DRIVER_OK", async () => {
    for (const features of [[], [VIRTIO_F_EVENT_IDX], [VIRTIO_F_INDIRECT_DESC]]) {
      const { device, handle, used, add, transport, block } = await live({}, features);
      add();
      handle.notify();
      add();
      add();
      handle.notify();
      handle.notify();
      expect(used).toEqual([16, 16, 16]);
      expect(transport.rings.every(({ status }) => status === 0x0f)).toBe(true);
      expect(transport.rings).toHaveLength(2);
      expect(block.region.bytes[block.address - block.region.base + 15]).toBe(0x5a);
      await device.close();
    }
  });

  it("listens to an interrupt that may be for any queue, and to none for a queue it lacks", async () => {
    const { device, transport } = await live();
    const calls: number[] = [];
    for (const index of [0, 1]) device.queue(index).onUsed = () => calls.push(index);
    transport.listener?.usedBuffers(undefined);
    transport.listener?.usedBuffers(1);
    transport.listener?.usedBuffers(7);
    expect(calls).toEqual([0, 1, 1]);
    expect(() => device.queue(7)).toThrow(expect.objectContaining({ code: "QUEUE_UNAVAILABLE" }));
    await device.close();
  });

  it("fails, once, and sets FAILED, when the device breaks a queue", async () => {
    const { device, core, handle, failures, transport, memory, add } = await live();
    add();
    // A used entry that nobody made available.
    const areas = { low: core.queueAddress(0, "deviceArea", 0) };
    memory.write(areas.low, Uint8Array.of(0, 0, 1, 0, 99, 0, 0, 0, 0, 0, 0, 0));
    handle.queue.publish();
    transport.listener?.usedBuffers(0);
    transport.listener?.usedBuffers(0);
    await settled();
    expect(failures.map(({ code }) => code)).toEqual(["DEVICE_FAILED"]);
    expect(failures[0]?.message).toContain("used-id");
    expect([device.state, handle.live]).toEqual(["failed", false]);
    expect(transport.statuses.at(-1)).toBe(0x0f | FAILED);
    const late: VirtioError[] = [];
    device.onFailure((error) => late.push(error));
    await settled();
    expect(late).toEqual(failures);
    await device.close();
    expect(core.status).toBe(0);
  });

  it("finds a broken queue while it polls, without any interrupt", async () => {
    const { device, core, handle, failures, memory } = await live();
    memory.write(core.queueAddress(0, "deviceArea", 0), Uint8Array.of(0, 0, 0xff, 0xff));
    expect(handle.reap()).toBe(-1);
    expect(failures[0]?.message).toContain("index-jump");
    await device.close();
  });

  it("[status-driver-4] tells of DEVICE_NEEDS_RESET, and does not touch the queues any more", async () => {
    const { device, core, model, handle, failures, add, transport } = await live();
    model.host.needsReset("test");
    await settled();
    expect([device.state, device.needsReset, failures.length]).toEqual(["needs-reset", true, 1]);
    expect(failures[0]?.message).toContain("DEVICE_NEEDS_RESET");
    const rings = transport.rings.length;
    add();
    handle.notify();
    expect(transport.rings.length).toBe(rings);
    expect(core.status).toBe(0x0f | DEVICE_NEEDS_RESET);
    await device.close();
  });

  it("tells of configuration changes, however close they come", async () => {
    const config = new ConfigSpace({
      bytes: Uint8Array.of(1, 2),
      writable: Uint8Array.of(0, 0xff),
    });
    const { device, model } = await live({ config });
    let changes = 0;
    const stop = device.onConfigChange(() => changes++);
    config.update((_, bytes) => bytes.set([9]));
    for (let i = 0; i < 100; i++) model.host.configChanged();
    await settled();
    // The changes that came while the status was read are told of together, once more.
    expect(changes).toBe(2);
    stop();
    model.host.configChanged();
    await settled();
    expect(changes).toBe(2);
    await device.config.write(1, Uint8Array.of(7));
    expect([...(await device.config.read(0, 2))]).toEqual([9, 7]);
    for (const [offset, length] of [
      [-1, 1],
      [0, 4097],
      [4096, 1],
      [0.5, 1],
    ] as const) {
      await expect(device.config.read(offset, length)).rejects.toMatchObject({
        code: "VALUE_RANGE",
      });
    }
    await device.close();
  });

  it("fails when its bus does, or when the user of a queue does", async () => {
    const bus = await live();
    bus.transport.listener?.failed(new Error("socket closed"));
    expect(bus.failures[0]?.message).toContain("socket closed");
    await bus.device.close();
    const user = await live();
    user.handle.onUsed = () => {
      throw new Error("mistake");
    };
    user.add();
    user.handle.notify();
    expect(user.failures[0]?.cause).toEqual(new Error("mistake"));
    await user.device.close();
  });

  it("[vq-reenable-driver-1] resets one queue and goes on with it, empty", async () => {
    const { device, core, handle, used, add, model } = await live();
    model.onNotified = () => core.resetQueue(0);
    add();
    handle.notify();
    model.onNotified = undefined;
    expect(handle.queue.outstanding).toBe(1);
    await device.resetQueue(0);
    expect([handle.queue.outstanding, handle.live]).toEqual([0, true]);
    add();
    handle.notify();
    expect(used).toEqual([16]);
    await device.close();
  });

  it("leaves a queue as it is where the transport cannot stop one", async () => {
    const { device, transport, handle, used, add, failures } = await live();
    transport.resetQueue = () =>
      Promise.reject(new VirtioError("TRANSPORT_UNSUPPORTED", { message: "cannot" }));
    await expect(device.resetQueue(0)).rejects.toMatchObject({ code: "TRANSPORT_UNSUPPORTED" });
    add();
    handle.notify();
    expect([used, failures]).toEqual([[16], []]);
    await device.close();
    await expect(device.resetQueue(0)).rejects.toMatchObject({ code: "DRIVER_STATE" });
  });

  it("[cleanup-driver-2] enables no queue again once it was closed", async () => {
    const { device, transport, dma } = await live();
    const calls: string[] = [];
    const { resetQueue, enableQueue, reset } = transport;
    transport.resetQueue = async (index) => {
      calls.push("resetQueue");
      await resetQueue.call(transport, index);
      await settled();
    };
    transport.enableQueue = (index, size, areas) => {
      calls.push("enableQueue");
      return enableQueue.call(transport, index, size, areas);
    };
    transport.reset = () => {
      calls.push("reset");
      return reset.call(transport);
    };
    const resetting = expect(device.resetQueue(0)).rejects.toMatchObject({ code: "DRIVER_STATE" });
    await device.close();
    const freed = dma.allocate(0x1000, 0x1000);
    freed.region.bytes.fill(0x5a);
    await resetting;
    expect(calls).toEqual(["resetQueue", "reset"]);
    expect(freed.region.bytes.every((byte) => byte === 0x5a)).toBe(true);
  });

  it("fails when a queue cannot be enabled again", async () => {
    const { device, transport, failures } = await live();
    transport.enableQueue = () => Promise.reject(new Error("gone"));
    await expect(device.resetQueue(0)).rejects.toMatchObject({ code: "TRANSPORT" });
    expect([device.state, failures.length]).toEqual(["failed", 1]);
    await device.close();
  });

  it("[cleanup-driver-2] closes by a reset, gives all memory back, and closes once", async () => {
    const { device, core, dma, block, transport, handle, add } = await live();
    add();
    handle.notify();
    await Promise.all([device.close(), device.close()]);
    block.free();
    expect([core.status, transport.closed, device.state]).toEqual([0, true, "closed"]);
    expect(transport.statuses.filter((status) => status === 0)).toHaveLength(2);
    expect(dma.freeBytes).toBe(0x10_0000);
  });

  it("[cleanup-driver-2] keeps the memory of a device that it could not reset", async () => {
    const { device, dma, block, transport } = await live();
    const before = dma.freeBytes;
    transport.reset = () => Promise.reject(new Error("no answer"));
    await expect(device.close()).rejects.toMatchObject({ code: "TRANSPORT" });
    expect([dma.freeBytes, transport.closed]).toEqual([before, true]);
    block.free();
  });

  it("[status-driver-3] is brought up again only after a reset", async () => {
    const { device, core, transport, handle } = await live();
    handle.onUsed = () => {
      throw new Error("give up");
    };
    transport.listener?.usedBuffers(0);
    await settled();
    expect(core.status & FAILED).toBe(FAILED);
    await device.close();
    const again = await bringUp(transport, ONE_QUEUE);
    const afterFailed = transport.statuses.slice(transport.statuses.indexOf(0x0f | FAILED) + 1);
    expect(afterFailed).toEqual([0x00, 0x00, 0x01, 0x03, 0x0b, 0x0f]);
    expect(core.status).toBe(0x0f);
    await again.close();
  });
});
