/** The driver half against buses that are slow, and devices that are odd or hostile. */
import {
  bringUp,
  DRIVER_FEATURES,
  FEATURE,
  FeatureSet,
  isVirtioError,
  type MaybePromise,
  type QueueAddresses,
} from "@virtio-admin/core";
import {
  loopbackBus,
  type PciBus,
  PciDriver,
  type PciDriverInit,
  type PciInterrupt,
} from "@virtio-admin/transport-pci";
import { describe, expect, it } from "vitest";
import {
  COMMON,
  CONFIG_BYTES,
  MEMORY_BASE,
  makeListener,
  makeRig,
  type RigOptions,
} from "./rig.ts";

const {
  VIRTIO_F_ADMIN_VQ,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_VERSION_1,
} = FEATURE;
const AREAS: QueueAddresses = {
  descriptorArea: MEMORY_BASE,
  driverArea: MEMORY_BASE + 0x400,
  deviceArea: MEMORY_BASE + 0x800,
};

interface Access {
  readonly op: "read" | "write";
  readonly offset: number;
  readonly size: number;
  readonly value: number;
}

interface Odd {
  /** Answers instead of the device: of BAR 0. */
  readonly read?: (offset: number, size: number) => number | undefined;
  readonly interrupt?: (deliver: (interrupt: PciInterrupt) => void) => void;
}

/** A bus over a rig that writes down accesses of BAR 0, and may answer in the device's place. */
function spy(
  options: RigOptions & { odd?: Odd; driver?: Partial<PciDriverInit>; later?: boolean } = {},
) {
  const { odd, driver: init, later = false, ...rest } = options;
  const rig = makeRig(rest);
  const inner = loopbackBus(rig.pci);
  const accesses: Access[] = [];
  const defer = <T>(make: () => MaybePromise<T>): MaybePromise<T> =>
    later ? Promise.resolve().then(make) : make();
  const bus: PciBus = {
    ...inner,
    configRead: (offset, size) => defer(() => inner.configRead(offset, size)),
    configWrite: (offset, size, value) => defer(() => inner.configWrite(offset, size, value)),
    barRead: (bar, offset, size) =>
      defer(() => {
        const answer = bar === 0 ? odd?.read?.(offset, size) : undefined;
        const value = answer ?? (inner.barRead(bar, offset, size) as number);
        if (bar === 0) accesses.push({ op: "read", offset, size, value });
        return value;
      }),
    barWrite: (bar, offset, size, value) =>
      defer(() => {
        if (bar === 0) accesses.push({ op: "write", offset, size, value });
        return inner.barWrite(bar, offset, size, value);
      }),
  };
  const driver = new PciDriver({ bus, dma: rig.dma, assignBarsAt: 0xe0000000, ...init });
  return { rig, bus, driver, accesses };
}

async function ready(options: Parameters<typeof spy>[0] & { accept?: readonly number[] } = {}) {
  const all = spy(options);
  const { heard, listener } = makeListener();
  await all.driver.open();
  await all.driver.listen(listener);
  await all.driver.reset();
  await all.driver.writeStatus(1);
  await all.driver.writeStatus(3);
  const features = FeatureSet.of(
    ...[VIRTIO_F_VERSION_1, VIRTIO_F_ADMIN_VQ, VIRTIO_F_RING_RESET],
    ...(options.accept ?? []),
  );
  await all.driver.writeFeatures(features);
  await all.driver.writeStatus(0xb);
  return { ...all, heard, features };
}

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe("accesses", () => {
  it("[pci-layout-driver-1] [pci-common-driver-1] [pci-common-driver-3] [pci-common-driver-4] [pci-common-driver-6] uses every field in its own width, and writes none that is read-only", async () => {
    const { driver, accesses, rig } = await ready();
    await driver.enableQueue(0, 8, AREAS);
    const doorbell = await driver.enableQueue(1, 8, {
      descriptorArea: MEMORY_BASE + 0x1000,
      driverArea: MEMORY_BASE + 0x1400,
      deviceArea: MEMORY_BASE + 0x1800,
    });
    await driver.queuesReady();
    await driver.writeStatus(0xf);
    doorbell.ring();
    expect(rig.model.notified).toEqual([1]);
    await driver.resetQueue(1);
    const fields = new Map<number, { width: number; access: string | undefined }>();
    for (const { offset, width, access } of Object.values(COMMON)) {
      fields.set(offset, { width: Math.min(width, 4), access });
      if (width === 8) fields.set(offset + 4, { width: 4, access });
    }
    const enables: number[] = [];
    for (const { op, offset, size, value } of accesses.filter((access) => access.offset < 64)) {
      expect(fields.get(offset)?.width, `${op} ${offset}`).toBe(size);
      if (op === "write") expect(fields.get(offset)?.access, `${offset}`).toBe("RW");
      if (op === "write" && offset === COMMON.queue_enable.offset) enables.push(value);
    }
    expect(enables).toEqual([1, 1]);
    const last = accesses.filter(({ op }) => op === "write").map(({ offset }) => offset);
    expect(last.indexOf(COMMON.queue_enable.offset)).toBeGreaterThan(
      last.indexOf(COMMON.queue_device.offset + 4),
    );
  });

  it("[pci-available-driver-1] [pci-available-driver-3] notifies with the 16-bit index at the queue's address", async () => {
    const { driver, accesses } = await ready();
    const doorbell = await driver.enableQueue(1, 8, AREAS);
    accesses.length = 0;
    doorbell.ring();
    expect(accesses).toEqual([{ op: "write", offset: 0x3004, size: 2, value: 1 }]);
  });

  it("[pci-available-driver-2+] [pci-available-driver-4+] with VIRTIO_F_NOTIFICATION_DATA notifies with index and position in 32 bits", async () => {
    const features = [VIRTIO_F_RING_RESET, VIRTIO_F_NOTIFICATION_DATA];
    const { driver, accesses, rig } = await ready({ features, accept: features, trace: true });
    const doorbell = await driver.enableQueue(1, 8, AREAS);
    await driver.writeStatus(0xf);
    accesses.length = 0;
    for (const next of [undefined, 5, 0x8005, 0xffff]) doorbell.ring(next);
    expect(accesses).toEqual(
      [0x1, 0x5_0001, 0x8005_0001, 0xffff_0001].map((value) => ({
        ...{ op: "write", offset: 0x3004, size: 4, value },
      })),
    );
    expect(rig.events.filter(({ op }) => op === "notify")).toEqual(
      [0, 5, 0x8005, 0xffff].map((next) => ({ op: "notify", queue: 1, next })),
    );
  });

  it.each([
    ["[pci-available-driver-5+]", [], 2, 0x77],
    ["[pci-available-driver-6+]", [VIRTIO_F_NOTIFICATION_DATA], 4, 0x8003_0077],
  ] as const)(
    "%s [reserved-features-driver-13+] with VIRTIO_F_NOTIF_CONFIG_DATA says what queue_notif_config_data read",
    async (_, more, size, value) => {
      // No device here offers the feature: the bus answers for one that does, and takes it back.
      const { read } = { read: COMMON.queue_notif_config_data.offset };
      const features = [VIRTIO_F_RING_RESET, ...more];
      const odd = { read: (offset: number) => (offset === read ? 0x77 : undefined) };
      const { driver, accesses } = await ready({ features, accept: features, odd });
      expect(driver.allowedFeatures.has(VIRTIO_F_NOTIF_CONFIG_DATA)).toBe(true);
      expect(DRIVER_FEATURES).toContain(VIRTIO_F_NOTIF_CONFIG_DATA);
      const accepted = FeatureSet.of(VIRTIO_F_VERSION_1, ...more, VIRTIO_F_NOTIF_CONFIG_DATA);
      await driver.writeFeatures(accepted);
      const doorbell = await driver.enableQueue(1, 8, AREAS);
      accesses.length = 0;
      doorbell.ring(0x8003);
      expect(accesses).toEqual([{ op: "write", offset: 0x3004, size, value }]);
    },
  );

  it.each([
    [
      "begins at no multiple of 4",
      { windows: { notify: { bar: 0, offset: 0x3002, length: 0x800 } } },
    ],
    ["ends at none", { windows: { notify: { bar: 0, offset: 0x3000, length: 6 } } }],
    ["has places that are 2 bytes apart", { notifyOffMultiplier: 2 }],
  ])(
    "does without VIRTIO_F_NOTIFICATION_DATA where the notification structure %s",
    async (_, placement) => {
      const features = [VIRTIO_F_RING_RESET, VIRTIO_F_NOTIFICATION_DATA];
      const { driver, rig } = await ready({ features, ...placement });
      expect(driver.allowedFeatures.has(VIRTIO_F_NOTIFICATION_DATA)).toBe(false);
      expect(rig.device.offeredFeatures.has(VIRTIO_F_NOTIFICATION_DATA)).toBe(false);
    },
  );

  it("[pci-layout-driver-1] reads and writes one field of the configuration in its own width", async () => {
    const { driver, accesses } = await ready();
    const widths = async (offset: number, length: number) => {
      accesses.length = 0;
      const bytes = await driver.readConfig(offset, length);
      expect(bytes).toEqual(CONFIG_BYTES.slice(offset, offset + length));
      return accesses.filter((access) => access.offset >= 0x2000).map(({ size }) => size);
    };
    expect(await widths(0, 8)).toEqual([4, 4]);
    expect(await widths(8, 4)).toEqual([4]);
    expect(await widths(12, 2)).toEqual([2]);
    expect(await widths(13, 2)).toEqual([1, 1]);
    expect(await widths(14, 1)).toEqual([1]);
    expect(await widths(0, 3)).toEqual([1, 1, 1]);
    expect(await widths(0, 0)).toEqual([]);
    await driver.writeConfig(8, Uint8Array.of(1, 2, 3, 4));
    expect(await driver.readConfig(8, 4)).toEqual(Uint8Array.of(1, 2, 3, 4));
  });

  it.each([
    [-1, 1],
    [0.5, 1],
    [0xfff, 2],
    [0x1000, 1],
    [Number.NaN, 1],
  ])("refuses the configuration range %f, %i", async (offset, length) => {
    const { driver } = await ready();
    expect(isVirtioError(await failureOf(driver.readConfig(offset, length)), "VALUE_RANGE")).toBe(
      true,
    );
  });

  it("refuses to work before it is open, and to write status 0", async () => {
    const { driver } = spy();
    expect(isVirtioError(await failureOf(driver.readStatus()), "DRIVER_STATE")).toBe(true);
    await driver.open();
    expect(isVirtioError(await failureOf(driver.writeStatus(0)), "DRIVER_STATE")).toBe(true);
  });

  it("comes up over a bus that makes it wait", async () => {
    for (const interrupts of ["msix", "intx"] as const) {
      const { driver } = spy({ later: true, driver: { interrupts } });
      const device = await bringUp(driver, {
        queues: [{ index: 0 }, { index: 1 }],
        adminQueues: 1,
      });
      const queue = device.queue(1);
      const block = device.dma.allocate(16, 8);
      const done = new Promise<void>((resolve) => {
        queue.onUsed = () => {
          if (queue.reap() >= 0) resolve();
        };
      });
      queue.queue.add([block.address], [16], 1, 0);
      queue.notify();
      await done;
      expect(queue.queue.usedLength).toBe(16);
      await device.close();
    }
  });

  it("keeps operations that overlap apart, on a bus that makes them wait", async () => {
    const { driver, rig } = await ready({ later: true, queues: 3 });
    const areas = (queue: number): QueueAddresses => ({
      descriptorArea: MEMORY_BASE + queue * 0x1000,
      driverArea: MEMORY_BASE + queue * 0x1000 + 0x400,
      deviceArea: MEMORY_BASE + queue * 0x1000 + 0x800,
    });
    await Promise.all([0, 1, 2].map((queue) => driver.enableQueue(queue, 8, areas(queue))));
    for (const queue of [0, 1, 2]) {
      expect(rig.device.queueAddress(queue, "descriptorArea", 0)).toBe(areas(queue).descriptorArea);
      expect(rig.device.queueEnabled(queue)).toBe(true);
    }
  });
});

describe("BARs", () => {
  it("are assigned only where they have no address", async () => {
    const { driver, rig } = spy();
    rig.pci.configWrite(0x14, 4, 0xd0000000);
    await driver.open();
    expect([rig.pci.barAddress(0), rig.pci.barAddress(1)]).toEqual([0xe0000000, 0xd0000000]);
  });

  it("are aligned to their lengths", async () => {
    const { driver, rig } = spy({ driver: { assignBarsAt: 0xe0000010 } });
    await driver.open();
    expect([rig.pci.barAddress(0), rig.pci.barAddress(1)]).toEqual([0xe0004000, 0xe0008000]);
  });

  it("must fit below 4 GiB", async () => {
    const { driver } = spy({ driver: { assignBarsAt: 0xffffd000 } });
    expect(isVirtioError(await failureOf(driver.open()), "TRANSPORT")).toBe(true);
  });
});

describe("interrupts", () => {
  const vectorsOf = async (vectors: number, limit?: number) => {
    const all = await ready({
      queues: 4,
      msix: { vectors },
      ...(limit === undefined ? {} : { driver: { vectorLimit: limit } }),
    });
    for (const queue of [0, 1, 2, 3]) {
      const base = MEMORY_BASE + queue * 0x1000;
      await all.driver.enableQueue(queue, 8, {
        descriptorArea: base,
        driverArea: base + 0x400,
        deviceArea: base + 0x800,
      });
    }
    const read = [0, 1, 2, 3].map((queue) => {
      all.rig.set("queue_select", queue);
      return all.rig.get("queue_msix_vector");
    });
    return { ...all, read, config: all.rig.get("config_msix_vector") };
  };

  it.each([
    [8, undefined, [1, 2, 3, 4]],
    [5, undefined, [1, 2, 3, 4]],
    [3, undefined, [1, 2, 1, 2]],
    [8, 2, [1, 1, 1, 1]],
    [1, undefined, [0, 0, 0, 0]],
  ])(
    "[pci-msix-driver-1] [pci-msix-driver-3] [pci-msix-driver-4] spreads %i vectors, at most %s, over the queues",
    async (vectors, limit, expected) => {
      const { read, config, rig, heard } = await vectorsOf(vectors, limit);
      expect(read).toEqual(expected);
      expect(config).toBe(0);
      rig.pci.usedBuffers(2);
      const shared = [0, 1, 2, 3].filter((queue) => read[queue] === read[2]);
      expect(heard.used).toEqual(shared);
      expect(heard.configuration).toBe(read[2] === 0 ? 1 : 0);
    },
  );

  it("[pci-config-change-driver-1] serves one vector for everything", async () => {
    const { rig, heard } = await vectorsOf(1);
    rig.pci.configurationChange();
    expect(heard).toMatchObject({ used: [0, 1, 2, 3], configuration: 1, failures: [] });
  });

  it("[pci-isr-driver-1] does not read ISR status with MSI-X", async () => {
    const { rig, accesses, heard } = await vectorsOf(5);
    accesses.length = 0;
    rig.pci.usedBuffers(0);
    rig.pci.configurationChange();
    expect(accesses).toEqual([]);
    expect(heard).toMatchObject({ used: [0], configuration: 1 });
  });

  it("[pci-config-change-driver-1] reads ISR status with INTx, and serves both bits of it", async () => {
    const { rig, heard } = await ready({ driver: { interrupts: "intx" } });
    rig.pci.usedBuffers(0);
    expect(heard).toMatchObject({ used: [undefined], configuration: 0 });
    rig.command("memory_space", "bus_master", "interrupt_disable");
    rig.pci.usedBuffers(0);
    rig.pci.configurationChange();
    rig.command("memory_space", "bus_master");
    expect(heard).toMatchObject({ used: [undefined, undefined], configuration: 1 });
  });

  it("tells of no queue that was reset", async () => {
    const { rig, heard, driver } = await vectorsOf(3);
    await driver.resetQueue(2);
    rig.pci.usedBuffers(0);
    expect(heard.used).toEqual([0]);
  });

  it("[pci-msix-driver-5] [pci-msix-driver-6] shares a vector when the device does not map the queue's own", async () => {
    let refuse = true;
    const { driver, rig } = await ready({
      odd: {
        read: (offset) => {
          if (offset !== COMMON.queue_msix_vector.offset || !refuse) return undefined;
          refuse = false;
          return 0xffff;
        },
      },
    });
    await driver.enableQueue(0, 8, AREAS);
    rig.set("queue_select", 0);
    expect(rig.get("queue_msix_vector")).toBe(0);
  });

  it("[pci-msix-driver-6] gives up a queue that maps to nothing", async () => {
    const { driver } = await ready({
      odd: {
        read: (offset) => (offset === COMMON.queue_msix_vector.offset ? 0xffff : undefined),
      },
    });
    expect(isVirtioError(await failureOf(driver.enableQueue(0, 8, AREAS)), "TRANSPORT")).toBe(true);
  });

  it("[pci-msix-driver-6] falls back on INTx when the configuration maps to nothing", async () => {
    const { driver, rig, heard } = await ready({
      odd: {
        read: (offset) => (offset === COMMON.config_msix_vector.offset ? 0xffff : undefined),
      },
    });
    await driver.enableQueue(0, 8, AREAS);
    expect(rig.pci.configRead(rig.msixControlAt(), 2) & 0x8000).toBe(0);
    rig.pci.usedBuffers(0);
    expect(heard.used).toEqual([undefined]);
  });

  it.each([
    ["msix", { msix: false as const, driver: { interrupts: "msix" as const } }],
    ["a pin", { identity: { interruptPin: 0 }, driver: { interrupts: "intx" as const } }],
  ])("refuses a device without %s", async (_what, options) => {
    const { driver } = spy(options);
    await driver.open();
    const failure = await failureOf(driver.listen(makeListener().listener));
    expect(isVirtioError(failure, "TRANSPORT_UNSUPPORTED")).toBe(true);
  });

  it("gives up a line that never falls", async () => {
    let deliver: ((interrupt: PciInterrupt) => void) | undefined;
    const { bus, rig } = spy();
    const stuck: PciBus = {
      ...bus,
      onInterrupt: (handler) => {
        deliver = handler;
      },
      barRead: (bar, offset, size) => {
        if (offset === 0x1000) {
          deliver?.("intx");
          return 1;
        }
        return bus.barRead(bar, offset, size);
      },
    };
    const driver = new PciDriver({
      bus: stuck,
      dma: rig.dma,
      assignBarsAt: 0xe0000000,
      interrupts: "intx",
    });
    const { heard, listener } = makeListener();
    await driver.open();
    await driver.listen(listener);
    deliver?.("intx");
    expect(heard.failures.length).toBe(1);
    expect(isVirtioError(heard.failures[0], "DEVICE_FAILED")).toBe(true);
  });

  it("hears nothing once it is closed", async () => {
    const { rig, heard, driver } = await vectorsOf(5);
    await driver.close();
    rig.pci.usedBuffers(0);
    expect(heard.used).toEqual([]);
    expect(rig.pci.configRead(rig.msixControlAt(), 2) & 0x8000).toBe(0);
    expect(rig.pci.configRead(4, 2)).toBe(0x402);
  });
});

describe("odd devices", () => {
  const at = (field: keyof typeof COMMON, value: number): Odd => ({
    read: (offset) => (offset === COMMON[field].offset ? value : undefined),
  });

  it("[pci-common-driver-5] gives up a reset that does not end", async () => {
    const { driver } = spy({ odd: at("device_status", 1) });
    await driver.open();
    expect(isVirtioError(await failureOf(driver.reset()), "DEVICE_FAILED")).toBe(true);
  });

  it("[pci-common-driver-5] waits until device_status reads 0", async () => {
    let reads = 0;
    const { driver } = spy({
      odd: { read: (offset) => (offset === 20 && reads++ < 9 ? 0xf : undefined) },
    });
    await driver.open();
    await driver.reset();
    expect(reads).toBe(10);
  });

  it("[pci-common-driver-7] waits until queue_reset reads 0, and gives up a reset that does not end", async () => {
    let reads = 0;
    const slow = await ready({
      odd: { read: (offset) => (offset === 58 && reads++ < 5 ? 1 : undefined) },
    });
    await slow.driver.enableQueue(0, 8, AREAS);
    await slow.driver.resetQueue(0);
    expect(reads).toBe(6);
    const stuck = await ready({ odd: at("queue_reset", 1) });
    expect(isVirtioError(await failureOf(stuck.driver.resetQueue(0)), "DEVICE_FAILED")).toBe(true);
  });

  it("does not reset a queue without VIRTIO_F_RING_RESET", async () => {
    const { driver, accesses } = await ready();
    await driver.writeFeatures(FeatureSet.of(VIRTIO_F_VERSION_1));
    accesses.length = 0;
    const failure = await failureOf(driver.resetQueue(0));
    expect(isVirtioError(failure, "TRANSPORT_UNSUPPORTED")).toBe(true);
    expect(accesses).toEqual([]);
  });

  it("gives up a configuration that never stops changing", async () => {
    let generation = 0;
    const { driver } = await ready({
      odd: { read: (offset) => (offset === 21 ? generation++ & 0xff : undefined) },
    });
    expect(isVirtioError(await failureOf(driver.readConfig(0, 4)), "DEVICE_FAILED")).toBe(true);
  });

  it("gives up a queue that is notified outside the structure", async () => {
    const { driver, rig } = await ready({ odd: at("queue_notify_off", 0x400) });
    expect(isVirtioError(await failureOf(driver.enableQueue(0, 8, AREAS)), "TRANSPORT")).toBe(true);
    expect(rig.device.queueEnabled(0)).toBe(false);
  });

  it("gives up a queue that is enabled already, or does not become enabled", async () => {
    const { driver } = await ready();
    await driver.enableQueue(0, 8, AREAS);
    expect(isVirtioError(await failureOf(driver.enableQueue(0, 8, AREAS)), "TRANSPORT")).toBe(true);
    const never = await ready({ odd: at("queue_enable", 0) });
    expect(isVirtioError(await failureOf(never.driver.enableQueue(0, 8, AREAS)), "TRANSPORT")).toBe(
      true,
    );
  });

  it.each([
    ["below num_queues", { index: 1, count: 1 }],
    ["beyond the last index", { index: 0xffff, count: 2 }],
  ])(
    "[pci-common-driver-9] refuses administration virtqueues %s",
    async (_what, { index, count }) => {
      const { driver, features } = await ready({
        odd: { read: (offset) => (offset === 60 ? index : offset === 62 ? count : undefined) },
      });
      expect(isVirtioError(await failureOf(driver.adminQueues(features)), "TRANSPORT")).toBe(true);
    },
  );

  it("[pci-common-format-3] takes 0 administration virtqueues as none", async () => {
    const { driver, features } = await ready({ odd: at("admin_queue_num", 0) });
    expect((await driver.adminQueues(features)).count).toBe(0);
  });

  it("reads nothing without VIRTIO_F_ADMIN_VQ, or without room for the fields", async () => {
    const { driver, accesses } = await ready();
    accesses.length = 0;
    const without = await failureOf(driver.adminQueues(FeatureSet.of(VIRTIO_F_VERSION_1)));
    expect(isVirtioError(without, "ADMIN_QUEUE_UNAVAILABLE")).toBe(true);
    expect(String(without)).toMatch(/pci.*41/);
    expect(accesses).toEqual([]);
    const short = await ready({ windows: { common: { bar: 0, offset: 0, length: 62 } } });
    short.accesses.length = 0;
    const failure = await failureOf(short.driver.adminQueues(short.features));
    expect(isVirtioError(failure, "ADMIN_QUEUE_UNAVAILABLE")).toBe(true);
    expect(short.accesses).toEqual([]);
  });

  it("reports a bus that fails while it notifies", async () => {
    for (const fail of [
      () => {
        throw new Error("gone");
      },
      () => Promise.reject(new Error("gone")),
    ]) {
      const { bus, rig } = spy();
      let broken = false;
      const failing: PciBus = {
        ...bus,
        barWrite: (bar, offset, size, value) =>
          broken ? fail() : bus.barWrite(bar, offset, size, value),
      };
      const driver = new PciDriver({ bus: failing, dma: rig.dma, assignBarsAt: 0xe0000000 });
      const { heard, listener } = makeListener();
      await driver.open();
      await driver.listen(listener);
      await driver.reset();
      await driver.writeStatus(1);
      await driver.writeStatus(3);
      await driver.writeFeatures(FeatureSet.of(VIRTIO_F_VERSION_1));
      await driver.writeStatus(0xb);
      const doorbell = await driver.enableQueue(0, 8, AREAS);
      broken = true;
      doorbell.ring();
      await Promise.resolve();
      expect(heard.failures).toEqual([new Error("gone")]);
    }
  });
});
