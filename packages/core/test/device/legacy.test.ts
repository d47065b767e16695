/** A transitional device as a driver from before virtio 1.0 finds it, through no transport. */
import {
  ConfigSpace,
  createDriverQueue,
  type DeviceState,
  FEATURE,
  LEGACY_FEATURE,
  legacyQueueAreas,
  legacyQueueLength,
  MemorySink,
  STATUS,
  struct,
  VirtioDevice,
  type VirtioDeviceInit,
} from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MEMORY_BASE, makeMemory } from "../direct-transport.ts";
import { FillModel } from "./models.ts";
import { goLive, makeDevice, makePort, negotiate, setDriverOk } from "./rig.ts";

const { ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, DEVICE_NEEDS_RESET, FAILED } = STATUS;
const { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_VERSION_1 } = FEATURE;
const PAGE = 4096;
const MEMORY_LENGTH = 0x1_0000;
const mask = (...bits: number[]) => bits.reduce((sum, bit) => sum + 2 ** bit, 0);
const ALWAYS = mask(27, 30);

const LAYOUT = struct(
  "test_config",
  { cite: "a test", doc: "Fields of all kinds." },
  {
    wide: { offset: 0, type: "le64", doc: "8 bytes." },
    mac: { offset: 8, type: "u8", count: 6, doc: "An array." },
    tail: { offset: 16, type: "le16", count: "rest", doc: "As many as there are." },
  },
);

interface LegacyOptions extends Partial<Omit<VirtioDeviceInit, "memory" | "model">> {
  readonly model?: FillModel;
}

function makeLegacy({ model = new FillModel(), ...init }: LegacyOptions = {}) {
  const { memory, dma } = makeMemory(MEMORY_LENGTH);
  const trace = new MemorySink();
  const device = new VirtioDevice({ model, memory, trace, transitional: true, ...init });
  const port = makePort();
  device.connect(port);
  const legacy = device.legacy;
  if (legacy === undefined) throw new Error("the device is not transitional");
  return { device, legacy, model, memory, dma, port, trace };
}

type LegacyRig = ReturnType<typeof makeLegacy>;

/** Places a queue at a page of its own, and makes one buffer of 4 bytes available in it. */
function place(rig: LegacyRig, index: number, size = 8) {
  const { dma, memory, legacy } = rig;
  const block = dma.allocate(legacyQueueLength(size, PAGE), PAGE);
  const queue = createDriverQueue({
    memory,
    size,
    ...legacyQueueAreas(block.address, size, PAGE),
    eventIdx: false,
    indirect: false,
  });
  legacy.setQueueAddress(index, block.address, PAGE);
  const target = dma.allocate(4, 4).address;
  const add = () => {
    queue.add([target], [4], 1, 0);
    queue.publish();
  };
  add();
  return { queue, add, address: block.address };
}

const used = ({ queue }: { queue: { reap(): number } }) => {
  let count = 0;
  while (queue.reap() >= 0) count++;
  return count;
};

describe("what a device must be to be transitional", () => {
  it("is asked for; other devices have no legacy interface", () => {
    expect(makeDevice().device.legacy).toBeUndefined();
    expect(makeDevice({ transitional: false }).device.legacy).toBeUndefined();
    expect(makeLegacy().legacy).toBeDefined();
  });

  it("knows the fields of its configuration space, where it has one", () => {
    const model = new FillModel(new ConfigSpace({ bytes: new Uint8Array(4) }));
    expect(() => makeDevice({ model, transitional: true })).toThrow(
      expect.objectContaining({ code: "DEVICE_MODEL", path: "model.config" }),
    );
    expect(makeDevice({ model: new FillModel(model.config) }).device.legacy).toBeUndefined();
  });

  it("tells which field a byte is part of", () => {
    const config = new ConfigSpace({ bytes: new Uint8Array(21), layout: LAYOUT });
    const { legacy } = makeLegacy({ model: new FillModel(config) });
    const found = Array.from({ length: 24 }, (_, offset) => {
      const field = legacy.configField(offset);
      return field === undefined ? "-" : `${field.offset}+${field.width}`;
    });
    expect(found).toEqual([
      ...new Array(8).fill("0+8"),
      ...new Array(6).fill("8+6"),
      ...["-", "-"],
      ...new Array(5).fill("16+5"),
      ...["-", "-", "-"],
    ]);
    for (const offset of [-1, 0.5, Number.NaN, Infinity]) {
      expect([offset, legacy.configField(offset)?.offset ?? 0]).toEqual([offset, 0]);
    }
    expect(makeLegacy().legacy.configField(0)).toBeUndefined();
  });
});

describe("features", () => {
  it("are those below 32 that the device offers, and the two that only this interface has", () => {
    const { legacy, device } = makeLegacy();
    expect(legacy.offeredFeatures).toBe(
      mask(0, 1, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX) + ALWAYS,
    );
    expect(device.offeredFeatures.has(LEGACY_FEATURE.VIRTIO_F_ANY_LAYOUT)).toBe(false);
    expect(device.offeredFeatures.has(LEGACY_FEATURE.UNUSED)).toBe(false);
  });

  it("lack VIRTIO_F_RING_PACKED, so that a legacy driver has split rings whatever is offered", () => {
    const features = [FEATURE.VIRTIO_F_RING_PACKED];
    const rig = makeLegacy({ features });
    expect(rig.device.offeredFeatures.has(FEATURE.VIRTIO_F_RING_PACKED)).toBe(true);
    expect(rig.legacy.offeredFeatures).toBe(mask(0, 1) + ALWAYS);
    rig.legacy.writeStatus(ACKNOWLEDGE | DRIVER);
    rig.legacy.writeDriverFeatures(mask(0, 1));
    const queue = place(rig, 0);
    rig.device.notify(0);
    expect(rig.device.negotiated(FEATURE.VIRTIO_F_RING_PACKED)).toBe(false);
    rig.legacy.writeStatus(ACKNOWLEDGE | DRIVER | DRIVER_OK);
    queue.add();
    rig.device.notify(0);
    expect(used(queue)).toBeGreaterThan(0);
  });

  it("lack what requires a feature that only the modern interface has", () => {
    const model = new FillModel();
    model.featureDependencies = [
      { feature: 0, requires: VIRTIO_F_VERSION_1 },
      { feature: 1, requires: 0 },
    ];
    const { legacy, device } = makeLegacy({ model, features: [] });
    expect(legacy.offeredFeatures).toBe(ALWAYS);
    expect(device.offeredFeatures.has(1)).toBe(true);
  });

  it("are taken as far as they are offered and their requirements met, and read back so", () => {
    const { legacy, device } = makeLegacy();
    legacy.writeDriverFeatures(0xffffffff - mask(30));
    expect(legacy.driverFeatures).toBe(mask(0, 1, 27, 28, 29));
    legacy.writeDriverFeatures(mask(1, 5, 24, 27, 29));
    expect(legacy.driverFeatures).toBe(mask(27, 29));
    expect([27, 29, 1, 32].map((bit) => device.negotiated(bit))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it("are none when the driver accepts the bit that nobody should", () => {
    const { legacy } = makeLegacy();
    legacy.writeDriverFeatures(0xffffffff);
    expect(legacy.driverFeatures).toBe(0);
  });

  it("are settled by the first use, not by a status or an address", () => {
    const rig = makeLegacy();
    rig.legacy.writeStatus(ACKNOWLEDGE | DRIVER);
    place(rig, 0);
    rig.legacy.writeDriverFeatures(mask(0));
    expect(rig.legacy.driverFeatures).toBe(mask(0));
    rig.device.notify(0);
    rig.legacy.writeDriverFeatures(mask(0, 1));
    expect(rig.legacy.driverFeatures).toBe(mask(0));
  });

  it("that the device type refuses leave a device that needs a reset at the first use", () => {
    const model = new FillModel();
    model.refuseFeatures = () => "not these";
    const rig = makeLegacy({ model });
    const queue = place(rig, 0);
    rig.legacy.writeStatus(ACKNOWLEDGE | DRIVER | DRIVER_OK);
    expect(rig.device.status).toBe(ACKNOWLEDGE | DRIVER | DRIVER_OK | DEVICE_NEEDS_RESET);
    rig.device.notify(0);
    expect([used(queue), model.calls]).toEqual([0, []]);
    expect(rig.port.calls).toEqual(["config"]);
  });
});

describe("the status", () => {
  it("takes the bits of legacy drivers in any order, and no other", () => {
    const { legacy, device } = makeLegacy();
    legacy.writeStatus(DRIVER);
    expect(device.status).toBe(DRIVER);
    legacy.writeStatus(ACKNOWLEDGE);
    expect(device.status).toBe(ACKNOWLEDGE | DRIVER);
    legacy.writeStatus(0xff);
    expect(device.status).toBe(ACKNOWLEDGE | DRIVER | DRIVER_OK | FAILED);
    legacy.writeStatus(0x100);
    expect(device.status).toBe(0);
    legacy.writeStatus(FEATURES_OK);
    expect(device.status).toBe(0);
  });

  it("tells who watches the device when a legacy driver takes it, and when it lets go", () => {
    const { legacy, device } = makeLegacy();
    const told: unknown[] = [];
    device.watch({ changed: (id, what) => void told.push([id, what, device.status]) }, 4);
    legacy.writeStatus(DRIVER);
    legacy.writeStatus(ACKNOWLEDGE);
    legacy.writeStatus(0);
    expect(told).toEqual([
      [4, "use", DRIVER],
      [4, "use", 0],
    ]);
  });

  it("0 resets, whoever drives the device", () => {
    const rig = makeLegacy();
    rig.legacy.writeDriverFeatures(mask(0));
    rig.legacy.writeStatus(ACKNOWLEDGE);
    rig.legacy.writeStatus(0);
    expect([rig.device.status, rig.legacy.driverFeatures]).toEqual([0, 0]);
    expect(rig.port.calls).toEqual(["reset"]);
    goLive(rig);
    rig.legacy.writeStatus(0);
    expect(rig.device.status).toBe(0);
  });

  it("DRIVER_OK starts the device once, with every queue that has an address", () => {
    const rig = makeLegacy();
    const first = place(rig, 0);
    rig.legacy.writeStatus(DRIVER_OK);
    rig.legacy.writeStatus(DRIVER_OK);
    expect(rig.model.calls).toEqual(["start"]);
    expect([rig.device.queueEnabled(0), rig.device.queueEnabled(1)]).toEqual([true, false]);
    rig.device.notify(0);
    expect(used(first)).toBe(1);
    // One that gets its address later is there with its first notification.
    const second = place(rig, 1);
    expect(used(second)).toBe(0);
    rig.device.notify(1);
    expect([used(second), rig.port.calls]).toEqual([1, ["used 0", "used 1"]]);
  });
});

describe("queues", () => {
  it("serve before DRIVER_OK: the first notification starts the device", () => {
    const rig = makeLegacy();
    const queue = place(rig, 1);
    rig.device.notify(0);
    expect(rig.model.calls).toEqual([]);
    rig.device.notify(1);
    expect(rig.model.calls).toEqual(["start", "notified 1"]);
    expect([used(queue), rig.port.calls]).toEqual([1, ["used 1"]]);
    rig.legacy.writeStatus(ACKNOWLEDGE | DRIVER | DRIVER_OK);
    expect(rig.model.calls).toEqual(["start", "notified 1"]);
    rig.device.reset();
    expect([rig.legacy.queueAddress(1), rig.device.queueEnabled(1)]).toEqual([0, false]);
  });

  it("read their address back, 0 for none", () => {
    const rig = makeLegacy();
    expect(rig.legacy.queueAddress(0)).toBe(0);
    const { address } = place(rig, 0);
    expect([0, 1, 2, 9].map((index) => rig.legacy.queueAddress(index))).toEqual([address, 0, 0, 0]);
    // 2^32 - 1 pages: more than 32 bits of address.
    rig.legacy.setQueueAddress(0, 0xffffffff * PAGE, PAGE);
    expect(rig.legacy.queueAddress(0)).toBe(0xffffffff * PAGE);
    rig.legacy.setQueueAddress(5, PAGE, PAGE);
    expect(rig.legacy.queueAddress(5)).toBe(0);
  });

  it("keep their address while they are in use, and stop with address 0", () => {
    const rig = makeLegacy();
    const first = place(rig, 0);
    rig.device.notify(0);
    rig.legacy.setQueueAddress(0, 7 * PAGE, PAGE);
    expect(rig.legacy.queueAddress(0)).toBe(first.address);
    rig.legacy.setQueueAddress(0, 0, PAGE);
    expect([rig.legacy.queueAddress(0), rig.device.queueEnabled(0)]).toEqual([0, false]);
    expect(rig.model.calls.at(-1)).toBe("reset 0");
    first.add();
    rig.device.notify(0);
    expect(used(first)).toBe(1);
    const second = place(rig, 0);
    rig.device.notify(0);
    expect(used(second)).toBe(1);
  });

  it("of administration are not there", () => {
    const admin = { queueCount: 1, maxSize: 8, attach() {}, queueNotified() {}, reset() {} };
    const rig = makeLegacy({ admin });
    rig.legacy.setQueueAddress(2, MEMORY_BASE, PAGE);
    rig.legacy.writeStatus(DRIVER_OK);
    rig.device.notify(2);
    expect([
      rig.legacy.queueAddress(2),
      rig.device.queueEnabled(2),
      rig.device.queueSize(2),
    ]).toEqual([0, false, 0]);
  });

  it.each([
    ["outside memory", 0x10_0000_0000],
    ["across the end of memory", MEMORY_BASE + MEMORY_LENGTH - PAGE],
    ["at the top of what the register can say", 0xffffffff * PAGE],
  ])("that lie %s leave a device that needs a reset, at the first use", (_, address) => {
    for (const use of [
      (rig: LegacyRig) => rig.device.notify(0),
      (rig: LegacyRig) => rig.legacy.writeStatus(DRIVER_OK),
    ]) {
      const rig = makeLegacy();
      rig.legacy.setQueueAddress(0, address, PAGE);
      expect(rig.device.status & DEVICE_NEEDS_RESET).toBe(0);
      use(rig);
      expect(rig.device.status & DEVICE_NEEDS_RESET).toBe(DEVICE_NEEDS_RESET);
      expect([rig.model.calls, rig.port.calls]).toEqual([[], ["config"]]);
      rig.device.notify(0);
      rig.legacy.writeStatus(0);
      expect(rig.device.status).toBe(0);
      const queue = place(rig, 0);
      rig.device.notify(0);
      expect(used(queue)).toBe(1);
    }
  });

  it("that break their rules leave a device that needs a reset", () => {
    const rig = makeLegacy();
    const { address, queue } = place(rig, 0);
    rig.device.notify(0);
    expect(used({ queue })).toBe(1);
    // Head 9 of 8.
    rig.memory.write(address + 128 + 4 + 2, Uint8Array.of(9, 0));
    rig.memory.write(address + 128 + 2, Uint8Array.of(2, 0));
    rig.device.notify(0);
    rig.model.host.checkDefect(0);
    expect(rig.device.status).toBe(DEVICE_NEEDS_RESET);
    expect(rig.port.calls).toEqual(["used 0", "config"]);
  });
});

describe("a driver that resets the device from its interrupt", () => {
  it.each<[string, (rig: LegacyRig) => void]>([
    ["a queue outside memory, by DRIVER_OK", ({ legacy }) => legacy.writeStatus(DRIVER_OK)],
    ["a queue outside memory, by a notification", ({ device }) => device.notify(1)],
    ["a queue outside memory beside a sound one", ({ device }) => device.notify(0)],
  ])("finds it reset, and may begin anew in there: %s", (_, use) => {
    for (const again of [false, true]) {
      const rig = makeLegacy();
      place(rig, 0);
      rig.legacy.setQueueAddress(1, 0xffffffff * PAGE, PAGE);
      let second: ReturnType<typeof place> | undefined;
      rig.port.configurationChange = () => {
        rig.legacy.writeStatus(0);
        if (!again) return;
        second = place(rig, 1);
        rig.legacy.writeStatus(DRIVER_OK);
      };
      use(rig);
      expect(rig.device.status).toBe(again ? DRIVER_OK : 0);
      expect([rig.model.host.running, rig.device.queueEnabled(0)]).toEqual([again, false]);
      expect(rig.model.calls.filter((call) => call === "start")).toHaveLength(again ? 1 : 0);
      rig.device.notify(0);
      rig.device.notify(1);
      expect(second === undefined ? 0 : used(second)).toBe(again ? 1 : 0);
    }
  });

  it("that was told of its features finds it reset too", () => {
    const model = new FillModel();
    model.refuseFeatures = () => "not these";
    const rig = makeLegacy({ model });
    place(rig, 0);
    rig.port.configurationChange = () => rig.legacy.writeStatus(0);
    rig.device.notify(0);
    expect([rig.device.status, model.host.running, model.calls]).toEqual([0, false, ["reset"]]);
  });

  it("with a used buffer finds it reset, and nothing is served after that", () => {
    const rig = makeLegacy();
    const queue = place(rig, 0);
    rig.port.onUsed = () => rig.legacy.writeStatus(0);
    rig.device.notify(0);
    expect(used(queue)).toBe(1);
    expect([rig.device.status, rig.model.host.running]).toEqual([0, false]);
    expect(rig.device.queueEnabled(0)).toBe(false);
  });
});

describe("the configuration", () => {
  const make = () =>
    makeLegacy({
      model: new FillModel(
        new ConfigSpace({
          bytes: new Uint8Array(20),
          writable: new Uint8Array(8).fill(0xff),
          layout: LAYOUT,
        }),
      ),
    });

  it("is written at any time, as far as the device type lets the driver", () => {
    const { legacy, device } = make();
    legacy.writeConfig(6, Uint8Array.of(1, 2, 3));
    const bytes = new Uint8Array(4);
    device.readConfig(6, bytes);
    expect([...bytes]).toEqual([1, 2, 0, 0]);
    expect(device.status).toBe(0);
  });

  it("that changes is told of once the device is used, DRIVER_OK or not", () => {
    const rig = make();
    place(rig, 0);
    rig.model.host.configChanged();
    expect(rig.port.calls).toEqual([]);
    rig.device.notify(0);
    rig.model.host.configChanged();
    expect(rig.port.calls).toEqual(["used 0", "config"]);
  });

  it("that the device type cannot write leaves a device that needs a reset", () => {
    const rig = makeLegacy({
      model: new FillModel(
        new ConfigSpace({
          bytes: new Uint8Array(20),
          writable: new Uint8Array(8).fill(0xff),
          layout: LAYOUT,
          written: () => {
            throw new Error("no");
          },
        }),
      ),
    });
    rig.legacy.writeConfig(0, Uint8Array.of(1));
    expect(rig.device.status).toBe(DEVICE_NEEDS_RESET);
  });
});

describe("two interfaces", () => {
  it("are not used at once: a modern driver's device ignores the legacy one but for a reset", () => {
    const rig = makeLegacy();
    negotiate(rig.device, VIRTIO_F_VERSION_1, 0);
    const before = rig.device.saveState();
    rig.legacy.writeDriverFeatures(mask(1));
    rig.legacy.writeStatus(FAILED);
    rig.legacy.setQueueAddress(0, MEMORY_BASE, PAGE);
    rig.legacy.writeConfig(0, Uint8Array.of(1));
    expect(rig.device.saveState()).toEqual(before);
    expect([rig.legacy.driverFeatures, rig.legacy.queueAddress(0)]).toEqual([0, 0]);
  });

  it("are not used at once: a legacy driver's device ignores the modern one but for a reset", () => {
    const rig = makeLegacy();
    place(rig, 0);
    rig.legacy.writeStatus(ACKNOWLEDGE | DRIVER);
    const before = rig.device.saveState();
    rig.device.writeDriverFeatures(1, 1);
    rig.device.setQueueSize(1, 2);
    rig.device.setQueueAddress(1, "descriptorArea", 0, MEMORY_BASE);
    expect(rig.device.writeStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK)).toBe(false);
    expect(rig.device.enableQueue(0)).toBe(false);
    expect(rig.device.provisionFeatures(rig.device.defaultFeatures)).toBe("in use");
    expect(rig.device.saveState()).toEqual(before);
    expect(rig.device.writeStatus(0)).toBe(true);
    goLive(rig);
    setDriverOk(rig);
    expect(rig.device.status).toBe(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  });

  it("forget of each other what was written before any status", () => {
    const rig = makeLegacy();
    rig.device.writeDriverFeatures(1, 1);
    rig.device.setQueueSize(0, 2);
    rig.device.setQueueAddress(0, "driverArea", 0, 0x40);
    rig.legacy.writeDriverFeatures(mask(0));
    expect([rig.device.driverFeatures.bits(), rig.device.queueSize(0)]).toEqual([[0], 8]);
    expect(rig.device.queueAddress(0, "driverArea", 0)).toBe(0);
    rig.device.reset();
    expect(negotiate(rig.device, 0)).toBe(ACKNOWLEDGE | DRIVER);
  });

  it("do not change what a device without a legacy driver does", () => {
    const [modern, transitional] = [makeDevice(), makeLegacy()];
    for (const rig of [modern, transitional]) {
      goLive(rig, 0);
      setDriverOk(rig);
    }
    expect(transitional.device.saveState()).toEqual(modern.device.saveState());
    expect(transitional.port.calls).toEqual(modern.port.calls);
  });
});

describe("snapshots", () => {
  /** The same memory, another device, that has the state. */
  function move(rig: LegacyRig): LegacyRig {
    const state = JSON.parse(JSON.stringify(rig.device.saveState())) as DeviceState;
    rig.device.reset();
    const model = new FillModel();
    const device = new VirtioDevice({ model, memory: rig.memory, transitional: true });
    const port = makePort();
    device.connect(port);
    const change = device.prepareState(state);
    change.apply();
    expect(device.saveState()).toEqual(state);
    change.resume();
    return { ...rig, device, model, port, legacy: device.legacy! };
  }

  it("of a legacy driver's device go on at any step", () => {
    let rig = makeLegacy();
    rig.legacy.writeDriverFeatures(mask(0));
    rig = move(rig);
    expect(rig.device.saveState().legacy).toEqual({ inUse: false });
    rig.legacy.writeDriverFeatures(mask(0, 1));
    const queue = place(rig, 0);
    rig = move(rig);
    expect([used(queue), rig.legacy.driverFeatures]).toEqual([0, mask(0, 1)]);
    rig.device.notify(0);
    expect(used(queue)).toBe(1);
    rig = move(rig);
    expect(rig.device.saveState().legacy).toEqual({ inUse: true });
    queue.add();
    rig.device.notify(0);
    expect(used(queue)).toBe(1);
    rig.legacy.writeDriverFeatures(0);
    expect(rig.legacy.driverFeatures).toBe(mask(0, 1));
    queue.add();
    rig = move(rig);
    // What was available and never notified of is used by the restored device.
    expect([used(queue), rig.port.calls]).toEqual([1, ["used 0"]]);
    rig.legacy.writeStatus(DRIVER_OK);
    expect(rig.model.calls.filter((call) => call === "start")).toHaveLength(1);
  });

  it.each<[string, Partial<DeviceState>, string]>([
    [
      "FEATURES_OK",
      { status: ACKNOWLEDGE | FEATURES_OK, legacy: { inUse: true } },
      "device.status",
    ],
    ["DRIVER_OK before a use", { status: DRIVER_OK, legacy: { inUse: false } }, "device.status"],
    [
      "features that were not taken",
      { driverFeatures: "0x2", legacy: { inUse: true } },
      "device.driverFeatures",
    ],
    [
      "a feature of the modern interface",
      { driverFeatures: "0x100000000", legacy: { inUse: true } },
      "device.driverFeatures",
    ],
    [
      "a queue in use before a use",
      {
        legacy: { inUse: false },
        queues: [
          {
            size: 8,
            descriptorArea: `0x${MEMORY_BASE.toString(16)}`,
            driverArea: `0x${(MEMORY_BASE + 128).toString(16)}`,
            deviceArea: `0x${(MEMORY_BASE + 4096).toString(16)}`,
            ring: { index: 0, publishedIndex: 0, notifications: true, interrupt: false },
          },
          { size: 8, descriptorArea: "0x0", driverArea: "0x0", deviceArea: "0x0" },
        ],
      },
      "device.queues[0]",
    ],
  ])("are refused with %s, and change nothing", (_, change, path) => {
    const rig = makeLegacy();
    const before = rig.device.saveState();
    expect(() => rig.device.prepareState({ ...before, ...change })).toThrow(
      expect.objectContaining({ code: "SNAPSHOT", path }),
    );
    expect(rig.device.saveState()).toEqual(before);
  });

  it("are not for a device without a legacy interface, nor for one that is in use", () => {
    const rig = makeLegacy();
    rig.legacy.writeDriverFeatures(0);
    const state = rig.device.saveState();
    expect(state.legacy).toEqual({ inUse: false });
    expect(() => makeDevice().device.prepareState(state)).toThrow(
      expect.objectContaining({ code: "SNAPSHOT", path: "device.legacy" }),
    );
    expect(() => rig.device.prepareState(state)).toThrow(
      expect.objectContaining({ code: "SNAPSHOT", path: "device" }),
    );
  });

  it("that are undone leave a device that was never used", () => {
    const rig = makeLegacy();
    const { device } = makeLegacy();
    place(rig, 0);
    const before = device.saveState();
    const change = device.prepareState({ ...rig.device.saveState() });
    change.apply();
    change.undo();
    expect(device.saveState()).toEqual(before);
  });
});

type Step = (rig: LegacyRig) => void;
const index = fc.constantFrom(0, 1, 2, 0xffff);
const address = fc.oneof(
  fc.constantFrom(
    0,
    MEMORY_BASE,
    MEMORY_BASE + PAGE,
    MEMORY_BASE + MEMORY_LENGTH - PAGE,
    0xffffffff * PAGE,
  ),
  fc.nat({ max: 0xffffffff }).map((page) => page * PAGE),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.nat({ max: 0x1ff }).map(
    (value): Step =>
      ({ legacy }) =>
        legacy.writeStatus(value),
  ),
  fc.nat({ max: 0xffffffff }).map(
    (value): Step =>
      ({ legacy }) =>
        legacy.writeDriverFeatures(value),
  ),
  fc.tuple(index, address).map(
    ([at, where]): Step =>
      ({ legacy }) =>
        legacy.setQueueAddress(at, where, PAGE),
  ),
  index.map(
    (at): Step =>
      ({ device }) =>
        device.notify(at),
  ),
  fc.nat({ max: 0xff }).map(
    (value): Step =>
      ({ device }) =>
        void device.writeStatus(value),
  ),
  fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 0xffffffff })).map(
    ([word, value]): Step =>
      ({ device }) =>
        device.writeDriverFeatures(word, value),
  ),
  index.map(
    (at): Step =>
      ({ device }) =>
        void device.enableQueue(at),
  ),
  fc.tuple(fc.nat({ max: 0x3fff }), fc.uint8Array({ maxLength: 16 })).map(
    ([at, bytes]): Step =>
      ({ memory }) =>
        void memory.write(MEMORY_BASE + at, bytes),
  ),
);

describe("a stopped device", () => {
  it("serves a legacy driver that came without DRIVER_OK, once it goes on", () => {
    const rig = makeLegacy();
    rig.legacy.writeStatus(ACKNOWLEDGE | DRIVER);
    void rig.device.stop();
    const queue = place(rig, 0);
    rig.device.notify(0);
    expect(used(queue)).toBe(0);
    rig.device.resume();
    expect(used(queue)).toBe(1);
    queue.add();
    rig.device.notify(0);
    expect(used(queue)).toBe(1);
  });

  it("serves such a driver where it was restored, once it goes on there", () => {
    const rig = makeLegacy();
    rig.legacy.writeStatus(ACKNOWLEDGE | DRIVER);
    const queue = place(rig, 0);
    rig.device.notify(0);
    expect(used(queue)).toBe(1);
    void rig.device.stop();
    queue.add();
    const { memory } = rig;
    const target = new VirtioDevice({ model: new FillModel(), memory, transitional: true });
    target.connect(makePort());
    const change = target.prepareState(rig.device.saveState());
    change.apply();
    change.resume();
    expect(used(queue)).toBe(0);
    target.resume();
    expect(used(queue)).toBe(1);
  });

  it("has no parts while a legacy driver has it, and takes none", () => {
    const rig = makeLegacy();
    rig.legacy.writeStatus(ACKNOWLEDGE | DRIVER);
    rig.legacy.writeDriverFeatures(mask(0));
    void rig.device.stop();
    const before = rig.device.saveState();
    const refusal = expect.objectContaining({ code: "DEVICE_PARTS", path: "legacy" });
    expect(() => rig.device.readParts()).toThrow(refusal);
    expect(() => rig.device.prepareParts([])).toThrow(refusal);
    expect(rig.device.saveState()).toEqual(before);
    rig.device.reset();
    expect(rig.device.readParts().length).toBeGreaterThan(0);
  });
});

describe("a hostile driver", () => {
  it("finds no sequence that throws, wedges the device, or mixes the interfaces", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: "max" }), (steps) => {
        const rig = makeLegacy();
        for (const each of steps) {
          each(rig);
          const { status } = rig.device;
          const modern = (status & FEATURES_OK) !== 0;
          const { legacy } = rig.device.saveState();
          expect(modern && legacy !== undefined).toBe(false);
          expect(rig.device.driverFeatures.has(VIRTIO_F_VERSION_1) && legacy !== undefined).toBe(
            false,
          );
        }
        rig.legacy.writeStatus(0);
        expect(rig.device.status).toBe(0);
        rig.memory.write(MEMORY_BASE, new Uint8Array(MEMORY_LENGTH));
        const queue = place(rig, 0);
        rig.device.notify(0);
        expect(used(queue)).toBe(1);
      }),
      { numRuns: 300 },
    );
  });
});
