/** The driver half against configuration spaces, subchannels that fail, and buses that lie. */
import { ConfigSpace, type DeviceModel, FEATURE, FeatureSet } from "@virtio-admin/core";
import {
  type CcwBus,
  CcwDriver,
  type ChannelEnding,
  loopbackBus,
} from "@virtio-admin/transport-ccw";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CE_DE, idleModel, makeRig } from "./rig.ts";

const ENDED: ChannelEnding = {
  conditionCode: 0,
  deviceStatus: CE_DE,
  subchannelStatus: 0,
  residual: 0,
  ccwAddress: 0,
  sense: new Uint8Array(0),
};

function connect(
  model: DeviceModel = idleModel(2),
  change: Partial<CcwBus> = {},
  features?: readonly number[],
) {
  const rig = makeRig({ model, ...(features === undefined ? {} : { features }) });
  const bus = { ...loopbackBus(rig.subchannel), ...change };
  return { ...rig, bus, driver: new CcwDriver({ bus, dma: rig.dma }) };
}

/** The counts and flags of the commands of a code that the device has executed. */
function executed(rig: ReturnType<typeof connect>, code: number): [number, number][] {
  return rig.trace.events.flatMap((event) =>
    event.op === "ccw" && event.command === code ? [[event.count, event.flags]] : [],
  );
}

describe("notifications", () => {
  it("[ccw-notify-1+] [ccw-notify-2+] have the index in GPR 3, and with VIRTIO_F_NOTIFICATION_DATA the position in its upper half", async () => {
    for (const [more, expected] of [
      [[], [1, 1]],
      [[FEATURE.VIRTIO_F_NOTIFICATION_DATA], [0x1, 0x8005_0001]],
    ] as const) {
      const sent: number[] = [];
      const bus: Partial<CcwBus> = {
        diagnose500: (_subcode, _id, data) => {
          sent.push(data);
          return 0;
        },
      };
      const rig = connect(idleModel(2), bus, more);
      const { driver } = rig;
      await driver.open();
      await driver.reset();
      await driver.writeStatus(1);
      await driver.writeStatus(3);
      const features = [FEATURE.VIRTIO_F_VERSION_1, ...more];
      expect(FeatureSet.of(...features).isSubsetOf(driver.allowedFeatures)).toBe(true);
      await driver.writeFeatures(FeatureSet.of(...features));
      await driver.writeStatus(0xb);
      const block = rig.dma.allocate(0x1000, 0x1000);
      const doorbell = await driver.enableQueue(1, 8, {
        descriptorArea: block.address,
        driverArea: block.address + 0x400,
        deviceArea: block.address + 0x800,
      });
      doorbell.ring();
      doorbell.ring(0x8005);
      expect(sent).toEqual(expected);
    }
  });
});

describe("the configuration space", () => {
  const make = () => {
    const bytes = Uint8Array.from([1, 2, 3, 4, 5, 6]);
    const writable = Uint8Array.of(0, 0, 0xff, 0xff);
    return connect(idleModel(2, new ConfigSpace({ bytes, writable })));
  };
  const ready = async (driver: CcwDriver) => {
    await driver.open();
    await driver.reset();
    await driver.writeStatus(1);
    await driver.writeStatus(3);
    await driver.writeFeatures(FeatureSet.of(FEATURE.VIRTIO_F_VERSION_1));
    await driver.writeStatus(0xb);
  };

  it("is read in part, with zeros beyond its end", async () => {
    const { driver } = make();
    await ready(driver);
    expect([...(await driver.readConfig(2, 3))]).toEqual([3, 4, 5]);
    expect([...(await driver.readConfig(4, 4))]).toEqual([5, 6, 0, 0]);
    expect([...(await driver.readConfig(0, 0))]).toEqual([]);
    expect([...(await driver.readConfig(4000, 2))]).toEqual([0, 0]);
  });

  it("[ccw-basic-driver-3] is transmitted in its own length, once that is known", async () => {
    const machine = make();
    await ready(machine.driver);
    await machine.driver.readConfig(0, 1);
    await machine.driver.readConfig(0, 1);
    expect(executed(machine, 0x22)).toEqual([
      [4096, 0x20],
      [6, 0],
    ]);
  });

  it("is written in part, the rest as it was read", async () => {
    const machine = make();
    await ready(machine.driver);
    await machine.driver.writeConfig(3, Uint8Array.of(0x77));
    expect([...(await machine.driver.readConfig(0, 6))]).toEqual([1, 2, 3, 0x77, 5, 6]);
    expect(executed(machine, 0x21)).toEqual([[6, 0]]);
    await machine.driver.writeConfig(10, Uint8Array.of(1));
    expect(executed(machine, 0x21).length).toBe(1);
  });

  it("keeps what is written together", async () => {
    const machine = make();
    await ready(machine.driver);
    await Promise.all([
      machine.driver.writeConfig(2, Uint8Array.of(0x77)),
      machine.driver.writeConfig(3, Uint8Array.of(0x88)),
    ]);
    expect([...(await machine.driver.readConfig(0, 6))]).toEqual([1, 2, 0x77, 0x88, 5, 6]);
  });

  it("of no bytes costs no command once that is known", async () => {
    const machine = connect();
    await ready(machine.driver);
    expect([...(await machine.driver.readConfig(0, 2))]).toEqual([0, 0]);
    await machine.driver.readConfig(0, 2);
    expect(executed(machine, 0x22).length).toBe(1);
  });

  it("is at most 4096 bytes", async () => {
    const { driver } = make();
    await expect(driver.readConfig(4095, 2)).rejects.toMatchObject({ code: "VALUE_RANGE" });
    await expect(driver.writeConfig(-1, new Uint8Array(1))).rejects.toMatchObject({
      code: "VALUE_RANGE",
    });
  });
});

describe("endings that are no success", () => {
  const failing: [string, Partial<ChannelEnding>, RegExp][] = [
    ["condition code 3", { conditionCode: 3 }, /did not start/],
    ["a program check", { deviceStatus: 0, subchannelStatus: 0x20 }, /PROGRAM_CHECK/],
    ["an incorrect length", { subchannelStatus: 0x40 }, /INCORRECT_LENGTH/],
    ["no device end", { deviceStatus: 0x08 }, /no subchannel status/],
    ["a unit check without a reject", { deviceStatus: 0x02 }, /no command reject/],
  ];

  it.each(failing)("%s is an error that names the command", async (_name, change, message) => {
    const { driver } = connect(idleModel(1), {
      startSubchannel: () => ({ ...ENDED, ...change }),
    });
    await expect(driver.open()).rejects.toMatchObject({
      code: "TRANSPORT",
      path: "ccw.SENSE_ID",
      message: expect.stringMatching(message),
    });
  });

  it("[ccw-reset-driver-2] a reset that leaves the status is a failure", async () => {
    const rig = connect();
    const { bus, memory, dma } = rig;
    const driver = new CcwDriver({
      dma,
      bus: {
        ...bus,
        startSubchannel: async (orb) => {
          const ending = await bus.startSubchannel(orb);
          const address = new DataView(orb.buffer).getUint32(8);
          const code = new Uint8Array(1);
          memory.read(address, code);
          if (code[0] === 0x72) memory.write(address + 8, Uint8Array.of(0x40));
          return ending;
        },
      },
    });
    await driver.open();
    await expect(driver.reset()).rejects.toMatchObject({ code: "DEVICE_FAILED", value: 0x40 });
  });

  it("a queue that the device rejects is not available", async () => {
    const { driver } = connect();
    await driver.open();
    await driver.reset();
    const areas = { descriptorArea: 0x20000, driverArea: 0x21000, deviceArea: 0x22000 };
    await expect(driver.enableQueue(9, 8, areas)).rejects.toMatchObject({
      code: "QUEUE_UNAVAILABLE",
    });
  });

  it("[ccw-revision-driver-2] commands before open are rejected, not executed", async () => {
    const { driver, device } = connect();
    await expect(driver.reset()).rejects.toMatchObject({ code: "TRANSPORT" });
    expect(driver.allowedFeatures.isEmpty).toBe(true);
    expect(device.status).toBe(0);
  });

  it("falls back to classic indicators where adapter indicators are rejected", async () => {
    const { driver, bus, command, trace } = connect();
    await driver.open();
    await driver.reset();
    // Somebody has set classic indicators up, so that adapter indicators are rejected.
    command(0x43, "0000000000012000");
    await driver.queuesReady([0, 1]);
    const codes = trace.events.flatMap((event) => (event.op === "ccw" ? [event.command] : []));
    expect(codes.slice(-4)).toEqual([0x73, 0x04, 0x43, 0x53]);
    await bus.modifySubchannel(false);
    await expect(driver.readStatus()).rejects.toMatchObject({ code: "TRANSPORT" });
  });
});

describe("one program at a time", () => {
  it("operations that are called together do not share the data area", async () => {
    const rig = connect(idleModel(8));
    const slow = new CcwDriver({
      dma: rig.dma,
      bus: {
        ...rig.bus,
        startSubchannel: async (orb) => {
          await Promise.resolve();
          const ending = await rig.bus.startSubchannel(orb);
          await Promise.resolve();
          return ending;
        },
      },
    });
    await slow.open();
    const answers = await Promise.all([
      slow.queueSizeMax(0),
      slow.readFeatures(),
      slow.queueSizeMax(8),
      slow.readStatus(),
      slow.queueSizeMax(7),
    ]);
    expect([answers[0], answers[2], answers[3], answers[4]]).toEqual([16, 0, 0, 16]);
    expect(answers[1].equals(rig.device.offeredFeatures)).toBe(true);
  });
});

describe("a bus that lies", () => {
  const ending = fc.record({
    conditionCode: fc.constantFrom(0, 0, 0, 0, 3),
    deviceStatus: fc.constantFrom(0x0c, 0x0c, 0x0c, 0x0e, 0x02, 0),
    subchannelStatus: fc.constantFrom(0, 0, 0, 0x80, 0x40, 0x20),
    residual: fc.oneof(fc.constant(0), fc.integer(), fc.double()),
    ccwAddress: fc.nat(),
    sense: fc.uint8Array(),
  });

  it("makes every operation resolve or reject with a VirtioError", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(ending, fc.uint8Array({ maxLength: 40 })), { minLength: 1 }),
        async (lies) => {
          const rig = connect();
          let next = 0;
          const driver = new CcwDriver({
            dma: rig.dma,
            bus: {
              ...rig.bus,
              startSubchannel: (orb) => {
                const [lie, data] = lies[next++ % lies.length] ?? [ENDED, new Uint8Array(0)];
                rig.memory.write(new DataView(orb.buffer).getUint32(8) + 8, data);
                return lie;
              },
            },
          });
          const operations: (() => Promise<unknown>)[] = [
            () => driver.open(),
            () => driver.reset(),
            () => driver.readFeatures(),
            () => driver.writeStatus(3),
            () => driver.readConfig(0, 64),
            () => driver.writeConfig(0, new Uint8Array(8)),
            () => driver.queueSizeMax(0),
            () => driver.adminQueues(FeatureSet.of(41)),
            () => driver.queuesReady([0]),
            () => driver.readStatus(),
            () => driver.close(),
          ];
          for (const operation of operations) {
            const error = await operation().then(
              () => undefined,
              (reason: unknown) => reason,
            );
            if (error !== undefined) expect(error).toMatchObject({ name: "VirtioError" });
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
