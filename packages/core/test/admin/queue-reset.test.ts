import { describe, expect, it } from "vitest";
import {
  AdminExecutor,
  AdminQueues,
  bringUp,
  openAdminClient,
  PLATFORM_GROUP,
  PlatformGroup,
  VirtioDevice,
} from "../../src/index.ts";
import { DirectTransport, makeMemory } from "../direct-transport.ts";
import { AdminRig, GROUPS, OP, settle, TestFamily } from "./rig.ts";

describe("an administration virtqueue that is reset", () => {
  it("settles what was outstanding, and refuses what comes after", async () => {
    const { memory, dma } = makeMemory();
    const family = new TestFamily();
    const executor = new AdminExecutor({
      groups: [new PlatformGroup([3])],
      families: [family],
    });
    const device = new VirtioDevice({
      memory,
      model: {
        name: "test",
        deviceId: 4,
        features: [],
        queues: [{ name: "requestq", maxSize: 8 }],
        attach() {},
        queueNotified() {},
        reset() {},
      },
      admin: new AdminQueues({ executor }),
    });
    const driver = await bringUp(new DirectTransport(device, dma), { queues: [], adminQueues: 1 });
    const client = openAdminClient(driver);
    await client.useReported(PLATFORM_GROUP.id);
    const request = { opcode: OP.WAIT, group: PLATFORM_GROUP.id, data: new Uint8Array([1]) };
    const outstanding = client.execute(request);
    const refused = expect(outstanding).rejects.toMatchObject({ code: "ADMIN_RESET" });
    await settle();
    expect(client.outstanding).toBe(1);

    const index = driver.adminQueues[0]?.index ?? -1;
    await driver.resetQueue(index);
    await refused;
    await expect(client.execute(request)).rejects.toMatchObject({ code: "ADMIN_RESET" });
    client.close();

    const next = openAdminClient(driver);
    await expect(next.listQuery(PLATFORM_GROUP.id)).resolves.toContain(OP.WAIT);
    await driver.close();
    next.close();
  });
});

describe("a ring whose heads share one long chain", () => {
  it("is served piece by piece, so that one notification holds nothing up", async () => {
    const size = 4096;
    const rig = new AdminRig({ size });
    const [port] = rig.ports;
    if (port === undefined) throw new Error("the rig has an admin queue");
    const at = (area: "descriptorArea" | "driverArea" | "deviceArea") =>
      rig.device.queueAddress(port.index, area, 0);
    const memory = rig.memory.find(at("descriptorArea"), 16 * size);
    if (memory === undefined) throw new Error("the rings are mapped");
    const { view, base } = memory;
    const NEXT = 1;
    for (let i = 0; i < size; i++) {
      const descriptor = at("descriptorArea") - base + 16 * i;
      view.setUint32(descriptor, base, true);
      view.setUint16(descriptor + 12, i + 1 < size ? NEXT : 0, true);
      view.setUint16(descriptor + 14, i + 1, true);
      view.setUint16(at("driverArea") - base + 4 + 2 * i, 0, true);
    }
    view.setUint16(at("driverArea") - base + 2, size, true);
    const used = () => view.getUint16(at("deviceArea") - base + 2, true);

    rig.device.notify(port.index);
    const atOnce = used();
    expect(atOnce).toBeGreaterThan(0);
    expect(atOnce).toBeLessThan(size / 4);
    for (let turn = 0; turn < 200 && used() < size; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    expect(used()).toBe(size);
    expect(rig.device.status & 0x40).toBe(0);
    expect(rig.executor.used(GROUPS.self)).toEqual([0, 1]);
  });
});
