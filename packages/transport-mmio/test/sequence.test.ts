/** What the driver half touches, and in which order. */
import { bringUp, FEATURE, openAdminClient, SELF_GROUP, type TraceEvent } from "@virtio-admin/core";
import { loopbackBus } from "@virtio-admin/transport-mmio";
import { describe, expect, test } from "vitest";
import { rig, WITH_RING_RESET } from "./rig.ts";

const SHARED_MEMORY = ["SHMLenLow", "SHMLenHigh", "SHMBaseLow", "SHMBaseHigh"];

function registersOf(events: readonly TraceEvent[]): string[] {
  return events.flatMap((event) =>
    event.op === "read" || event.op === "write" ? [`${event.op} ${event.name}`] : [],
  );
}

describe("registers", () => {
  test("[mmio-layout-7] a shared memory region that does not exist reads all ones", () => {
    const { read, write } = rig();
    for (const id of [0, 1, 255, 0xffffffff]) {
      write("SHMSel", id);
      for (const name of SHARED_MEMORY) expect(read(name)).toBe(0xffffffff);
    }
  });

  test("[mmio-device-9] [mmio-device-10] QueueReset reads 0 after a reset and once the queue is ready", () => {
    const { read, write, negotiate } = rig();
    negotiate(...WITH_RING_RESET);
    write("QueueSel", 1);
    expect(read("QueueReset")).toBe(0);
    write("QueueSize", 8);
    write("QueueDescLow", 0x10000);
    write("QueueDriverLow", 0x11000);
    write("QueueDeviceLow", 0x12000);
    write("QueueReady", 1);
    expect([read("QueueReady"), read("QueueReset")]).toEqual([1, 0]);
    write("QueueReset", 1);
    expect([read("QueueReady"), read("QueueReset")]).toEqual([0, 0]);
    write("QueueReady", 1);
    expect([read("QueueReady"), read("QueueReset")]).toEqual([0, 0]);
  });
});

describe("bring-up", () => {
  test("[mmio-init-driver-3] ends at a placeholder without touching another register", async () => {
    const { window, trace, driver } = rig();
    const honest = loopbackBus(window);
    const placeholder = {
      ...honest,
      read: (offset: number, size: number) => (offset === 0x008 ? 0 : honest.read(offset, size)),
    };
    await expect(driver(placeholder).open()).rejects.toMatchObject({ code: "DEVICE_UNKNOWN" });
    expect(registersOf(trace.events)).toEqual(["read MagicValue", "read Version"]);
  });

  test("[mmio-init-driver-5] [mmio-init-driver-6] follows the general sequence and leaves shared memory alone", async () => {
    const { trace, driver } = rig();
    const device = await bringUp(driver(), { queues: [{ index: 0 }], adminQueues: 1 });
    const touched = registersOf(trace.events);
    expect(touched.filter((one) => one.includes("SHM"))).toEqual([]);
    const order = [
      "read MagicValue",
      "write Status",
      "read DeviceFeatures",
      "write DriverFeatures",
    ];
    const places = [...order, "read AdminQueueIndex", "write QueueReady"].map((one) =>
      touched.indexOf(one),
    );
    expect(places.every((place) => place >= 0)).toBe(true);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    await device.close();
  });

  test("[mmio-admin-driver-6] bit 0 of InterruptStatus is about administration virtqueues too", async () => {
    const { trace, driver } = rig();
    const device = await bringUp(driver(), { queues: [{ index: 0 }], adminQueues: 1 });
    expect(device.features.has(FEATURE.VIRTIO_F_ADMIN_VQ)).toBe(true);
    const client = openAdminClient(device);
    trace.clear();
    expect(await client.listQuery(SELF_GROUP.id)).toEqual([0, 1]);
    const read = trace.events.find(
      (event) => event.op === "read" && event.name === "InterruptStatus",
    );
    expect(read).toMatchObject({ data: "01000000" });
    await device.close();
    client.close();
  });
});
