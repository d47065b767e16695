import { FEATURE, STATUS } from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import { NotingAdmin } from "./models.ts";
import { enable, goLive, makeDevice, setDriverOk } from "./rig.ts";

const { DEVICE_NEEDS_RESET } = STATUS;
const { VIRTIO_F_ADMIN_VQ } = FEATURE;

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
    for (const size of [0, 3, 7, 9, 0x8000, Number.NaN]) device.setQueueSize(0, size);
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
