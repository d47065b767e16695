/** Both halves in one process: bring-up, data and commands, with every kind of interrupt. */
import {
  AdminExecutor,
  AdminQueues,
  bringUp,
  type CommandLayout,
  createGuestMemory,
  DmaArena,
  FEATURE,
  layoutFromJson,
  layoutToJson,
  openAdminClient,
  SELF_GROUP,
  SelfGroup,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy, ENTROPY_DEVICE_ID, EntropyDriver } from "@virtio-admin/devices";
import {
  CCW_RATIFIED_LAYOUT,
  CCW_REFERENCE_LAYOUT,
  CCW_TRANSPORT,
  CcwDevice,
  type CcwDeviceInit,
  CcwDriver,
  type CcwDriverInit,
  ccwTransport,
  loopbackBus,
} from "@virtio-admin/transport-ccw";
import { describe, expect, it } from "vitest";
import { idleModel, MEMORY_BASE, MEMORY_LENGTH, makeRig, SOURCE } from "./rig.ts";

function makeDevice(adminCount = 1) {
  const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_LENGTH) }]);
  const dma = new DmaArena(memory, MEMORY_BASE, MEMORY_LENGTH);
  const executor = new AdminExecutor({ groups: [new SelfGroup()] });
  const device = new VirtioDevice({
    model: createEntropy({ source: (target) => target.set(SOURCE.subarray(0, target.length)) }),
    memory,
    ...(adminCount === 0 ? {} : { admin: new AdminQueues({ executor, count: adminCount }) }),
  });
  return { device, dma };
}

interface Halves {
  readonly half?: Omit<CcwDeviceInit, "device">;
  readonly driver?: Omit<CcwDriverInit, "bus" | "dma">;
  readonly adapterInterrupts?: boolean;
  readonly adminCount?: number;
}

function connect({
  half = {},
  driver = {},
  adapterInterrupts = true,
  adminCount = 1,
}: Halves = {}) {
  const { device, dma } = makeDevice(adminCount);
  const subchannel = new CcwDevice({ device, ...half });
  const bus = loopbackBus(subchannel, { adapterInterrupts });
  return { device, dma, subchannel, bus, driver: new CcwDriver({ bus, dma, ...driver }) };
}

/** The reference layout with one command moved, by way of its JSON form. */
function withCode(name: string, code: number): CommandLayout {
  const document = JSON.parse(JSON.stringify(layoutToJson(CCW_REFERENCE_LAYOUT)));
  document.commands.find((command: { name: string }) => command.name === name).code = code;
  const layout = layoutFromJson(document);
  if (layout.kind !== "commands") throw new Error("not a command layout");
  return layout;
}

const PLUGINS = [
  ["adapter interrupts", CCW_TRANSPORT, "0x92"],
  ["classic interrupts", ccwTransport(undefined, { adapterInterrupts: false }), "0x92"],
  ["READ_ADMIN_VQ at 0x42", ccwTransport(withCode("READ_ADMIN_VQ", 0x42)), "0x42"],
] as const;

describe.each(PLUGINS)("an entropy device over loopback, %s", (_name, plugin, code) => {
  it("[admin-vq-1+] [ccw-admin-device-13] [ccw-admin-driver-6] [ccw-admin-driver-7] [ccw-admin-driver-12] [admin-transport-2] comes up, gives bytes and answers commands", async () => {
    const { device: core, dma } = makeDevice(3);
    const free = dma.freeBytes;
    const { driver } = plugin.loopback(core, { dma });
    const device = await bringUp(driver, {
      deviceId: ENTROPY_DEVICE_ID,
      queues: [{ index: 0 }],
      adminQueues: 2,
    });
    expect(device.features.has(FEATURE.VIRTIO_F_ADMIN_VQ)).toBe(true);
    expect(device.admin).toEqual({
      index: 1,
      count: 3,
      source: `CCW command READ_ADMIN_VQ ${code}`,
    });
    expect(device.adminQueues.map(({ index }) => index)).toEqual([1, 2]);
    const entropy = new EntropyDriver(device);
    expect([...(await entropy.read(16))]).toEqual([...SOURCE.subarray(0, 16)]);
    const client = openAdminClient(device);
    expect(await client.listQuery(SELF_GROUP.id)).toContain(0);
    client.close();
    entropy.close();
    await device.close();
    expect(core.status).toBe(0);
    expect(dma.freeBytes).toBe(free);
  });

  it("can be brought up again after it was closed", async () => {
    const { device: core, dma } = makeDevice();
    const { driver } = plugin.loopback(core, { dma });
    const first = await bringUp(driver, { queues: [{ index: 0 }], adminQueues: 1 });
    await first.close();
    const second = await bringUp(driver, { queues: [{ index: 0 }], adminQueues: 1 });
    expect((await new EntropyDriver(second).read(4)).length).toBe(4);
    await second.close();
  });
});

describe("revisions", () => {
  it("[ccw-revision-driver-1] [ccw-admin-driver-1] are tried from the highest down", async () => {
    for (const highest of [3, 2, 1]) {
      const { driver, subchannel } = connect({ half: { maxRevision: highest } });
      await driver.open();
      expect(driver.revision).toBe(highest);
      expect(subchannel.revision).toBe(highest);
      await driver.close();
      expect(subchannel.revision).toBeUndefined();
    }
  });

  it.each([2, 1])(
    "[ccw-admin-driver-10] [ccw-status-driver-3] a device of revision %i works without administration virtqueues",
    async (maxRevision) => {
      const { driver, device: core } = connect({ half: { maxRevision } });
      const device = await bringUp(driver, {
        queues: [{ index: 0 }],
        adminQueues: { count: "all", required: false },
      });
      expect(device.adminQueues).toEqual([]);
      expect(core.offeredFeatures.has(FEATURE.VIRTIO_F_ADMIN_VQ)).toBe(false);
      expect((await new EntropyDriver(device).read(8)).length).toBe(8);
      await device.close();
    },
  );

  it("[ccw-admin-driver-2] required administration virtqueues name the transport and the revision", async () => {
    const { driver } = connect({ half: { maxRevision: 2 } });
    await expect(bringUp(driver, { queues: [{ index: 0 }], adminQueues: 1 })).rejects.toMatchObject(
      {
        code: "ADMIN_QUEUE_UNAVAILABLE",
        message: expect.stringMatching(/ccw.*revision 3/),
      },
    );
  });

  it("[ccw-admin-driver-3] required administration virtqueues name the transport and the bit", async () => {
    const { driver } = connect({ adminCount: 0 });
    await expect(bringUp(driver, { queues: [{ index: 0 }], adminQueues: 1 })).rejects.toMatchObject(
      {
        code: "ADMIN_QUEUE_UNAVAILABLE",
        message: expect.stringMatching(/ccw.*bit 41/),
      },
    );
  });

  it("[ccw-admin-driver-4] bit 41 is not accepted from a device that offers it at revision 2", async () => {
    const half = { maxRevision: 2, offerAdminBelowRevision3: true };
    const { driver, device: core } = connect({ half });
    const device = await bringUp(driver, {
      queues: [{ index: 0 }],
      adminQueues: { count: "all", required: false },
    });
    expect(core.offeredFeatures.has(FEATURE.VIRTIO_F_ADMIN_VQ)).toBe(true);
    expect(core.negotiated(FEATURE.VIRTIO_F_ADMIN_VQ)).toBe(false);
    expect(device.adminQueues).toEqual([]);
    await device.close();
  });

  it("[ccw-admin-driver-10] a driver of the ratified layout works on the reference device, and the reverse", async () => {
    const pairs: Halves[] = [
      { driver: { layout: CCW_RATIFIED_LAYOUT } },
      { half: { layout: CCW_RATIFIED_LAYOUT } },
    ];
    for (const pair of pairs) {
      const { driver } = connect(pair);
      const device = await bringUp(driver, {
        queues: [{ index: 0 }],
        adminQueues: { count: 1, required: false },
      });
      expect(driver.revision).toBe(2);
      expect(device.adminQueues).toEqual([]);
      expect((await new EntropyDriver(device).read(8)).length).toBe(8);
      await device.close();
    }
  });

  it("[ccw-revision-legacy-driver-1] a device that knows no revision is given up", async () => {
    // A device that has the command elsewhere does not know the code that the driver uses.
    const { driver: legacy } = connect({ half: { layout: withCode("SET_VIRTIO_REV", 0xc3) } });
    await expect(legacy.open()).rejects.toMatchObject({ code: "DEVICE_UNKNOWN" });
  });
});

describe("the driver half", () => {
  it("[ccw-basic-driver-2] [ccw-revision-driver-3] ignores device type and model, and selects a revision once", async () => {
    const rig = makeRig();
    const bus = loopbackBus(rig.subchannel);
    const driver = new CcwDriver({
      dma: rig.dma,
      bus: {
        ...bus,
        startSubchannel: async (orb) => {
          const ending = await bus.startSubchannel(orb);
          const address = new DataView(orb.buffer).getUint32(8);
          // Device type and model follow the control unit's in the answer to SENSE ID.
          if (rig.get(address, 1) === "e4") rig.put(address + 8 + 4, "339009");
          return ending;
        },
      },
    });
    const device = await bringUp(driver, { deviceId: ENTROPY_DEVICE_ID, queues: [{ index: 0 }] });
    await new EntropyDriver(device).read(4);
    await device.close();
    const selections = rig.trace.events.filter(
      (event) => event.op === "ccw" && event.command === 0x83,
    );
    expect(selections.length).toBe(1);
  });

  it("[ccw-basic-driver-1] gives up another control unit", async () => {
    const { driver, bus } = connect();
    const other = new CcwDriver({
      dma: driver.dma,
      bus: {
        ...bus,
        startSubchannel: async (orb) => {
          const ending = await bus.startSubchannel(orb);
          const address = new DataView(orb.buffer).getUint32(8);
          driver.dma.memory.write(address + 8 + 1, new Uint8Array([0x32, 0x88]));
          return ending;
        },
      },
    });
    await expect(other.open()).rejects.toMatchObject({ code: "DEVICE_UNKNOWN", value: 0x3288 });
  });

  it("[ccw-status-driver-1] takes a rejected FEATURES_OK as left clear", async () => {
    const { driver, device } = connect();
    await driver.open();
    await driver.reset();
    await driver.writeStatus(1);
    await driver.writeStatus(3);
    await driver.writeStatus(0xb);
    expect(await driver.readStatus()).toBe(3);
    expect(device.status).toBe(3);
    await expect(driver.writeStatus(7)).rejects.toMatchObject({ code: "DEVICE_FAILED" });
    expect(device.status).toBe(3);
  });

  it("cannot reset one queue", async () => {
    const { driver } = connect();
    await expect(driver.resetQueue(0)).rejects.toMatchObject({ code: "TRANSPORT_UNSUPPORTED" });
  });

  it("[ccw-notify-1] [ccw-notify-driver-1] [ccw-notify-device-2] passes on the cookie of the notification before", async () => {
    const { bus, dma } = connect({ half: { hostCookie: 0x7777 } });
    const cookies: number[] = [];
    const driver = new CcwDriver({
      dma,
      bus: {
        ...bus,
        diagnose500: (subcode, id, data, cookie) => {
          expect([subcode, id, data]).toEqual([3, 0x10000, 0]);
          cookies.push(cookie);
          return bus.diagnose500(subcode, id, data, cookie);
        },
      },
    });
    const device = await bringUp(driver, { queues: [{ index: 0 }] });
    const entropy = new EntropyDriver(device);
    await entropy.read(4);
    await entropy.read(4);
    expect(cookies[0]).toBe(0);
    expect(cookies.length).toBeGreaterThan(1);
    expect(new Set(cookies.slice(1))).toEqual(new Set([0x7777]));
    await device.close();
  });

  it("tells the listener of a refused notification", async () => {
    const { bus, dma } = connect();
    const driver = new CcwDriver({ dma, bus: { ...bus, diagnose500: async () => -22 } });
    const device = await bringUp(driver, { queues: [{ index: 0 }] });
    await expect(new EntropyDriver(device).read(4)).rejects.toThrow(/refused the notification/);
  });

  it("[ccw-admin-driver-8] sets up no queue above 63 with classic indicators", async () => {
    const rig = makeRig({ model: idleModel(70) });
    const classic = new CcwDriver({
      dma: rig.dma,
      bus: loopbackBus(rig.subchannel, { adapterInterrupts: false }),
    });
    await expect(bringUp(classic, { queues: [{ index: 64 }] })).rejects.toMatchObject({
      code: "QUEUE_UNAVAILABLE",
    });
  });

  it("[ccw-admin-driver-9] serves queues above 63 with adapter indicators", async () => {
    const rig = makeRig({ model: idleModel(70), adminCount: 2 });
    const driver = new CcwDriver({ dma: rig.dma, bus: loopbackBus(rig.subchannel) });
    const device = await bringUp(driver, { queues: [{ index: 69 }], adminQueues: 2 });
    expect(device.adminQueues.map(({ index }) => index)).toEqual([70, 71]);
    const client = openAdminClient(device);
    expect(await client.listQuery(SELF_GROUP.id)).toContain(0);
    client.close();
    await device.close();
  });

  it("[ccw-admin-driver-5] [ccw-admin-driver-11] takes a number of 0 as none, and one beyond the last index as failure", async () => {
    for (const [answer, code] of [
      ["00010000", "ADMIN_QUEUE_UNAVAILABLE"],
      ["ffff0002", "DEVICE_FAILED"],
    ] as const) {
      const { bus, dma } = connect();
      const driver = new CcwDriver({
        dma,
        bus: {
          ...bus,
          startSubchannel: async (orb) => {
            const ending = await bus.startSubchannel(orb);
            const address = new DataView(orb.buffer).getUint32(8);
            const code = new Uint8Array(1);
            dma.memory.read(address, code);
            if (code[0] === 0x92) dma.memory.write(address + 8, Buffer.from(answer, "hex"));
            return ending;
          },
        },
      });
      const up = bringUp(driver, { queues: [{ index: 0 }], adminQueues: 1 });
      await expect(up).rejects.toMatchObject({ code });
    }
  });

  it("refuses DMA memory beyond 2 GiB", async () => {
    const base = 2 ** 31;
    const memory = createGuestMemory([{ base, bytes: new Uint8Array(0x10000) }]);
    const { subchannel } = connect();
    const dma = new DmaArena(memory, base, 0x10000);
    const driver = new CcwDriver({ dma, bus: loopbackBus(subchannel) });
    await expect(driver.open()).rejects.toMatchObject({ code: "MEMORY_RANGE" });
    expect(dma.freeBytes).toBe(0x10000);
  });
});
