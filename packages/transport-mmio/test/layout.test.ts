import {
  bringUp,
  FEATURE,
  layoutFromJson,
  layoutToJson,
  openAdminClient,
  type RegisterLayout,
  SELF_GROUP,
} from "@virtio-admin/core";
import { describe, expect, test } from "vitest";
import {
  checkMmioLayout,
  exposesAdminQueues,
  MMIO_RATIFIED_LAYOUT,
  MMIO_REFERENCE_LAYOUT,
  MMIO_REQUIRED_REGISTERS,
  MmioDevice,
  mmioTransport,
} from "../src/index.ts";
import { rig } from "./rig.ts";

/** The reference layout with registers moved or left out, by way of its document. */
function variant(change: (registers: Record<string, { offset: number; type: string }>) => void) {
  const document = JSON.parse(JSON.stringify(layoutToJson(MMIO_REFERENCE_LAYOUT)));
  const byName: Record<string, { offset: number; type: string }> = {};
  for (const register of document.registers) byName[register.name] = register;
  change(byName);
  document.registers = document.registers
    .filter(({ name }: { name: string }) => byName[name] !== undefined)
    .sort((a: { offset: number }, b: { offset: number }) => a.offset - b.offset);
  return layoutFromJson(document) as RegisterLayout;
}

/** The place that other proposals for MMIO have used. */
const MOVED = variant((registers) => {
  registers["AdminQueueIndex"]!.offset = 0x0c4;
  registers["AdminQueueNum"]!.offset = 0x0c8;
});

describe("a layout variant", () => {
  test("[admin-vq-1+] [mmio-admin-device-11] a bring-up and a command run with the registers elsewhere", async () => {
    const bench = rig({ layout: MOVED, adminQueues: 2 });
    const driver = await bringUp(bench.driver(), { queues: [], adminQueues: 2 });
    expect(driver.adminQueues.map(({ index }) => index)).toEqual([2, 3]);
    const client = openAdminClient(driver);
    expect(await client.listQuery(SELF_GROUP.id)).toEqual([0, 1]);
    await driver.close();
    client.close();
  });

  test("[mmio-admin-device-2] [mmio-admin-device-3] the reference offsets read 0 then", async () => {
    const bench = rig({ layout: MOVED });
    const driver = await bringUp(bench.driver(), { queues: [], adminQueues: 1 });
    expect([bench.window.read(0x0e0, 4), bench.window.read(0x0e4, 4)]).toEqual([0, 0]);
    expect([bench.window.read(0x0c4, 4), bench.window.read(0x0c8, 4)]).toEqual([2, 1]);
    await driver.close();
  });

  test("the description and the driver half name the place", async () => {
    expect(mmioTransport(MOVED).description.adminQueueLocation).toBe(
      "registers AdminQueueIndex 0x0c4, AdminQueueNum 0x0c8",
    );
    const bench = rig({ layout: MOVED });
    const driver = await bringUp(bench.driver(), { queues: [], adminQueues: 1 });
    expect((await bench.driver().adminQueues(driver.features)).source).toBe(
      "MMIO registers AdminQueueIndex 0x0c4, AdminQueueNum 0x0c8",
    );
  });
});

describe("the layout of virtio 1.4", () => {
  test("[features-device-4] reserves VIRTIO_F_ADMIN_VQ on both halves", async () => {
    const bench = rig({ layout: MMIO_RATIFIED_LAYOUT });
    expect(exposesAdminQueues(MMIO_RATIFIED_LAYOUT)).toBe(false);
    expect(bench.window.reservedFeatures).toContain(FEATURE.VIRTIO_F_ADMIN_VQ);
    expect(bench.device.offeredFeatures.has(FEATURE.VIRTIO_F_ADMIN_VQ)).toBe(false);
    expect(bench.driver().allowedFeatures.has(FEATURE.VIRTIO_F_ADMIN_VQ)).toBe(false);
    await expect(bringUp(bench.driver(), { queues: [], adminQueues: 1 })).rejects.toMatchObject({
      code: "ADMIN_QUEUE_UNAVAILABLE",
    });
  });

  test("says that there is no place", () => {
    expect(mmioTransport(MMIO_RATIFIED_LAYOUT).description).toMatchObject({
      adminQueueLocation: "none",
      adminQueueForm: "none",
      adminQueueGate: "none",
    });
  });
});

describe("layouts that cannot be", () => {
  test.each(MMIO_REQUIRED_REGISTERS)("one without %s is refused by name", (name) => {
    const incomplete = variant((registers) => {
      delete registers[name];
    });
    expect(() => checkMmioLayout(incomplete)).toThrow(
      expect.objectContaining({ code: "LAYOUT_INVALID", path: `virtio_mmio_admin.${name}` }),
    );
  });

  test.each([{ type: "le16", width: 2 }, { type: "be32" }, { offset: 0x032 }] as const)(
    "a control register with %o is refused",
    (change) => {
      const { registers } = MMIO_REFERENCE_LAYOUT;
      const queueSel = registers["QueueSel"]!;
      const strange: RegisterLayout = {
        ...MMIO_REFERENCE_LAYOUT,
        registers: { ...registers, QueueSel: { ...queueSel, ...change } },
      };
      expect(() => checkMmioLayout(strange)).toThrow(
        expect.objectContaining({ code: "LAYOUT_INVALID", path: "virtio_mmio_admin.QueueSel" }),
      );
    },
  );

  test("both halves refuse them when they are made", () => {
    const incomplete = variant((registers) => {
      delete registers["Status"];
    });
    const { device } = rig();
    const refusal = expect.objectContaining({ code: "LAYOUT_INVALID" });
    expect(() => new MmioDevice({ device, layout: incomplete })).toThrow(refusal);
    expect(() => rig({ layout: incomplete })).toThrow(refusal);
  });
});
