/** Where the dialect proposal-v5 has its administration virtqueue on PCI, and how a driver finds it. */
import {
  AdminExecutor,
  AdminQueues,
  bringUp,
  createGuestMemory,
  type DialectName,
  DmaArena,
  FEATURE,
  FeatureSet,
  openAdminClient,
  SELF_GROUP,
  SelfGroup,
  STATUS,
  type TraceEvent,
  VirtioDevice,
} from "@virtio-admin/core";
import {
  loopbackBus,
  PCI_TRANSPORT,
  type PciBus,
  PciDevice,
  PciDriver,
  type PciDriverInit,
  type PciPlacement,
  PROPOSAL_V5_PCI_CAP_MISC,
  PROPOSAL_V5_PCI_MISC_CFG_LAYOUT,
  SriovGroup,
} from "@virtio-admin/transport-pci";
import { describe, expect, it } from "vitest";
import { VIRTIO_PCI_CAP } from "../src/layout.ts";
import { COMMON, HEADER, MEMORY_BASE, MEMORY_LENGTH, SampleModel } from "./rig.ts";

const BARS_AT = 0xe000_0000;
const QUEUES = 2;
const { VIRTIO_F_ADMIN_VQ, VIRTIO_F_VERSION_1 } = FEATURE;

interface RigOptions extends PciPlacement {
  readonly dialect?: DialectName;
  readonly queues?: number;
  readonly trace?: boolean;
}

/** A function whose owner speaks a dialect, and a bus to it. */
function makeFunction(options: RigOptions = {}) {
  const { dialect = "proposal-v5", queues = QUEUES, trace = false, ...placement } = options;
  const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_LENGTH) }]);
  const executor = new AdminExecutor({ dialect, groups: [new SelfGroup()] });
  const events: TraceEvent[] = [];
  const device = new VirtioDevice({
    memory,
    model: new SampleModel(queues, true),
    admin: new AdminQueues({ executor, maxSize: 16 }),
    ...(trace ? { trace: { emit: (event: TraceEvent) => void events.push(event) } } : {}),
  });
  const pci = new PciDevice({ ...placement, device });
  const dma = new DmaArena(memory, MEMORY_BASE, MEMORY_LENGTH);
  const bus = loopbackBus(pci);
  const driver = (init: Partial<PciDriverInit> = {}) =>
    new PciDriver({ bus, dma, assignBarsAt: BARS_AT, ...init });
  const up = (init: Partial<PciDriverInit> = {}, required = true) =>
    bringUp(driver(init), {
      queues: [{ index: 0, size: 8 }],
      adminQueues: { count: 1, required },
    });
  /** Memory space on, and features as far as FEATURES_OK. */
  const negotiate = (features: FeatureSet) => {
    pci.configWrite(HEADER.command.offset, 2, 6);
    device.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    for (let word = 0; word < 4; word++) device.writeDriverFeatures(word, features.word(word));
    device.writeStatus(device.status | STATUS.FEATURES_OK);
  };
  return { pci, device, executor, events, bus, dma, driver, up, negotiate };
}

/** The vendor capabilities of a function: cfg_type, and where the capability is. */
function capabilitiesOf(pci: PciDevice): readonly (readonly [type: number, at: number])[] {
  const found: (readonly [number, number])[] = [];
  let at = pci.configRead(HEADER.capabilities_pointer.offset, 1);
  while (at !== 0) {
    if (pci.configRead(at, 1) === 9) found.push([pci.configRead(at + 3, 1), at]);
    at = pci.configRead(at + 1, 1);
  }
  return found;
}

/** A bus on which bytes of configuration space read otherwise. */
function patched(bus: PciBus, bytes: Readonly<Record<number, number>>): PciBus {
  return {
    ...bus,
    configRead: (offset, size) => {
      let value = 0;
      for (let i = size - 1; i >= 0; i--) {
        value = value * 256 + (bytes[offset + i] ?? Number(bus.configRead(offset + i, 1)));
      }
      return value;
    },
  };
}

const WITH_ADMIN = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ADMIN_VQ);

describe("the device half", () => {
  it("[proposal-v5-device-2] presents a capability of type 10, in this dialect alone", () => {
    const types = (dialect: DialectName) =>
      capabilitiesOf(makeFunction({ dialect }).pci).map(([type]) => type);
    expect(types("proposal-v5")).toContain(PROPOSAL_V5_PCI_CAP_MISC);
    expect(types("virtio-1.4")).toEqual(
      types("proposal-v5").filter((type) => type !== PROPOSAL_V5_PCI_CAP_MISC),
    );
    expect(Object.values<number>(VIRTIO_PCI_CAP)).not.toContain(PROPOSAL_V5_PCI_CAP_MISC);
  });

  it("[proposal-v5-device-2] has admin_queue_index there, and only while it is negotiated", () => {
    const { pci, device, negotiate } = makeFunction();
    const window = pci.placement.windows.miscellaneous;
    if (window === undefined) throw new Error("there is no such structure");
    expect(window.length).toBe(PROPOSAL_V5_PCI_MISC_CFG_LAYOUT.size);
    const read = () => pci.barRead(window.bar, window.offset, 2);
    negotiate(FeatureSet.of(VIRTIO_F_VERSION_1));
    expect(read()).toBe(0);
    device.reset();
    negotiate(WITH_ADMIN);
    expect(read()).toBe(QUEUES);
    pci.barWrite(window.bar, window.offset, 2, 0xffff);
    expect(read()).toBe(QUEUES);
    expect(pci.barRead(window.bar, window.offset, 1)).toBe(0);
    expect(pci.barRead(window.bar, window.offset, 4)).toBe(0);
    device.reset();
    expect(read()).toBe(0);
  });

  it("[proposal-v5-device-2] reads 0 where virtio 1.4 has the place", () => {
    for (const [dialect, expected] of [
      ["proposal-v5", [0, 0]],
      ["virtio-1.4", [QUEUES, 1]],
    ] as const) {
      const { pci, negotiate } = makeFunction({ dialect });
      const { bar, offset } = pci.placement.windows.common;
      negotiate(WITH_ADMIN);
      const read = ({ offset: at }: { offset: number }) => pci.barRead(bar, offset + at, 2);
      expect([read(COMMON.admin_queue_index), read(COMMON.admin_queue_num)]).toEqual(expected);
    }
  });

  it("reaches the structure through the PCI configuration access capability", () => {
    const { pci, negotiate } = makeFunction();
    negotiate(WITH_ADMIN);
    const window = pci.placement.windows.miscellaneous!;
    const [, at] = capabilitiesOf(pci).find(([type]) => type === VIRTIO_PCI_CAP.pciCfg)!;
    pci.configWrite(at + 4, 1, window.bar);
    pci.configWrite(at + 8, 4, window.offset);
    pci.configWrite(at + 12, 4, 2);
    expect(pci.configRead(at + 16, 2)).toBe(QUEUES);
  });

  it("names the field in a trace", () => {
    const { pci, events, negotiate } = makeFunction({ trace: true });
    const { bar, offset } = pci.placement.windows.miscellaneous!;
    negotiate(WITH_ADMIN);
    pci.barRead(bar, offset, 2);
    expect(events.at(-1)).toMatchObject({ op: "read", data: "0200", name: "admin_queue_index" });
  });

  it("carries the feature without the end of the common configuration", () => {
    const windows = { common: { bar: 0, offset: 0, length: 56 } };
    expect(makeFunction({ windows }).pci.reservedFeatures).not.toContain(VIRTIO_F_ADMIN_VQ);
    expect(makeFunction({ windows, dialect: "virtio-1.4" }).pci.reservedFeatures).toContain(
      VIRTIO_F_ADMIN_VQ,
    );
  });

  const at = (offset: number, length: number, bar = 0) => ({ bar, offset, length });

  it("[proposal-v5-device-2] puts the structure where it is told", async () => {
    const windows = { miscellaneous: at(0x3ffe, 2), notify: at(0x3000, 0x800) };
    const { pci, up } = makeFunction({ windows });
    expect(pci.placement.windows.miscellaneous).toEqual(at(0x3ffe, 2));
    expect((await up()).admin).toMatchObject({ index: QUEUES, count: 1 });
  });

  it.each<[string, RigOptions, RegExp]>([
    ["a misaligned structure", { windows: { miscellaneous: at(0x4001, 2) } }, /offset/],
    ["a short one", { windows: { miscellaneous: at(0x4000, 1) } }, /miscellaneous\.length/],
    ["one over another", { windows: { miscellaneous: at(0x10, 2) } }, /overlaps/],
    [
      "one in virtio-1.4",
      { dialect: "virtio-1.4", windows: { miscellaneous: at(0x4000, 2) } },
      /only a device of the dialect proposal-v5/,
    ],
    [
      "[proposal-v5-device-2] a list that leaves it out",
      {
        capabilities: (["common", "isr", "device", "notify", "msix"] as const).map((name) => ({
          name,
        })),
      },
      /presents the miscellaneous configuration/,
    ],
    [
      "a capability of a structure that is not there",
      {
        dialect: "virtio-1.4",
        capabilities: (["common", "isr", "notify", "miscellaneous"] as const).map((name) => ({
          name,
        })),
      },
      /no such structure/,
    ],
  ])("refuses %s", (_, options, message) => {
    expect(() => makeFunction(options)).toThrow(
      expect.objectContaining({
        code: "TRANSPORT_OPTIONS",
        message: expect.stringMatching(message),
      }),
    );
  });
});

describe("the driver half", () => {
  it("[proposal-v5-driver-1] recognizes the dialect by the capability, without being told", async () => {
    const { up, executor } = makeFunction();
    const owner = await up();
    expect(owner.admin).toEqual({
      index: QUEUES,
      count: 1,
      dialect: "proposal-v5",
      source:
        "virtio_pci_misc_cfg, offset 0, by a capability of type 10; proposal-v5 (reconstruction)",
    });
    const client = openAdminClient(owner);
    expect(client.dialect).toBe("proposal-v5");
    expect(await client.useReported(SELF_GROUP.id)).toEqual([0, 1]);
    expect(executor.used(SELF_GROUP.id)).toEqual([0, 1]);
    await owner.close();
    client.close();
  });

  it("[proposal-v5-driver-1] takes a function without the capability for one of virtio-1.4", async () => {
    const { up } = makeFunction({ dialect: "virtio-1.4" });
    const owner = await up();
    expect(owner.admin).toEqual({
      index: QUEUES,
      count: 1,
      source: "virtio_pci_common_cfg, offsets 60 and 62",
    });
    const client = openAdminClient(owner);
    expect(client.dialect).toBe("virtio-1.4");
    expect(await client.useReported(SELF_GROUP.id)).toEqual([0, 1]);
  });

  it("[proposal-v5-driver-1] takes the ratified place first, whatever type 10 may come to mean", async () => {
    const { pci, bus, up } = makeFunction({ dialect: "virtio-1.4" });
    const [, at] = capabilitiesOf(pci).find(([type]) => type === VIRTIO_PCI_CAP.pciCfg)!;
    const other = patched(bus, { [at + 3]: PROPOSAL_V5_PCI_CAP_MISC, [at + 12]: 64 });
    const driver = new PciDriver({ bus: other, dma: makeFunction().dma, assignBarsAt: BARS_AT });
    await driver.open();
    expect(driver.discovery?.structures.miscellaneous).toBeDefined();
    const owner = await up({ bus: other });
    expect(owner.admin).toEqual({
      index: QUEUES,
      count: 1,
      source: "virtio_pci_common_cfg, offsets 60 and 62",
    });
  });

  it("[pci-capability-driver-1] ignores type 10 as reserved when it speaks virtio-1.4 alone", async () => {
    const { up, driver } = makeFunction();
    const alone = driver({ dialect: "virtio-1.4" });
    await alone.open();
    expect(alone.discovery?.structures.miscellaneous).toBeUndefined();
    expect(alone.discovery?.passedOver.map(({ why }) => why)).toEqual(["cfg_type 10 is reserved"]);
    await alone.close();
    await expect(up({ dialect: "virtio-1.4" })).rejects.toMatchObject({
      code: "ADMIN_QUEUE_UNAVAILABLE",
    });
    const owner = await up({ dialect: "virtio-1.4" }, false);
    expect([owner.state, owner.adminQueues.length, owner.admin]).toEqual(["live", 0, undefined]);
  });

  it("[proposal-v5-driver-1] finds none where it speaks proposal-v5 alone and there is no capability", async () => {
    const { up } = makeFunction({ dialect: "virtio-1.4" });
    await expect(up({ dialect: "proposal-v5" })).rejects.toMatchObject({
      code: "ADMIN_QUEUE_UNAVAILABLE",
      message: expect.stringMatching(/capability of type 10.*proposal-v5 \(reconstruction\)/),
    });
    const owner = await up({ dialect: "proposal-v5" }, false);
    expect([owner.state, owner.adminQueues.length]).toEqual(["live", 0]);
  });

  it("speaks proposal-v5 alone where there is the capability", async () => {
    const { up } = makeFunction();
    expect((await up({ dialect: "proposal-v5" })).admin?.dialect).toBe("proposal-v5");
  });

  it("refuses a dialect that there is not", () => {
    const { driver } = makeFunction();
    expect(() => driver({ dialect: "proposal-v4" as DialectName })).toThrow(
      expect.objectContaining({ code: "TRANSPORT_OPTIONS", path: "pci.dialect" }),
    );
  });

  it.each<[string, (at: number) => Readonly<Record<number, number>>, RegExp]>([
    [
      "in a BAR without an address",
      (at) => ({ [at + 4]: 5 }),
      /miscellaneous: bar 5 has no address/,
    ],
    ["in a reserved BAR", (at) => ({ [at + 4]: 6 }), /miscellaneous: bar 6 is reserved/],
    ["misaligned", (at) => ({ [at + 8]: 1 }), /offset .* is not a multiple of 2/],
    ["too short", (at) => ({ [at + 12]: 1 }), /miscellaneous: length 1 is less than 2/],
    ["of a capability cut short", (at) => ({ [at + 2]: 15 }), /cap_len 15 is less than 16/],
  ])("passes an unusable structure over: %s", async (_, bytesOf, why) => {
    const { pci, bus, dma, up } = makeFunction();
    const [, at] = capabilitiesOf(pci).find(([type]) => type === PROPOSAL_V5_PCI_CAP_MISC)!;
    const broken = patched(bus, bytesOf(at));
    const driver = new PciDriver({ bus: broken, dma, assignBarsAt: BARS_AT });
    await driver.open();
    expect(driver.discovery?.passedOver.map((one) => one.why).join()).toMatch(why);
    await driver.close();
    await expect(up({ bus: broken })).rejects.toMatchObject({ code: "ADMIN_QUEUE_UNAVAILABLE" });
    await expect(up({ bus: broken, dialect: "proposal-v5" })).rejects.toMatchObject({
      code: "ADMIN_QUEUE_UNAVAILABLE",
    });
  });

  it.each([0, 1])(
    "does not believe an index of %i, where a queue of another kind is",
    async (index) => {
      const { pci, bus, up } = makeFunction();
      const { bar, offset } = pci.placement.windows.miscellaneous!;
      const lying: PciBus = {
        ...bus,
        barRead: (at, from, size) =>
          at === bar && from === offset ? index : bus.barRead(at, from, size),
      };
      await expect(up({ bus: lying })).rejects.toMatchObject({
        code: "TRANSPORT",
        path: "pci.admin_queue_index",
        value: index,
      });
    },
  );

  it("finds no queue at an index that is none", async () => {
    const { pci, bus, up } = makeFunction();
    const { bar, offset } = pci.placement.windows.miscellaneous!;
    const lying: PciBus = {
      ...bus,
      barRead: (at, from, size) =>
        at === bar && from === offset ? 0xffff : bus.barRead(at, from, size),
    };
    await expect(up({ bus: lying })).rejects.toMatchObject({ code: "QUEUE_UNAVAILABLE" });
  });

  it("has the place at index 0 of a device without other queues", async () => {
    const { driver, device } = makeFunction({ queues: 0 });
    const owner = await bringUp(driver(), { queues: [], adminQueues: 1 });
    expect(owner.admin).toMatchObject({ index: 0, count: 1, dialect: "proposal-v5" });
    expect(device.queueCount).toBe(0);
    expect(await openAdminClient(owner).useReported(SELF_GROUP.id)).toEqual([0, 1]);
  });
});

describe("the owner of virtual functions as a member", () => {
  it("[proposal-v5-device-4] is known to its group, and only read", () => {
    const group = new SriovGroup({
      totalVfs: 2,
      makeDevice: () =>
        new VirtioDevice({
          memory: createGuestMemory([{ base: 0, bytes: new Uint8Array(64) }]),
          model: new SampleModel(1, false),
        }),
    });
    expect(group.owner).toBeUndefined();
    const { device } = makeFunctionOf(group);
    const { owner } = group;
    expect(owner).toMatchObject({ id: 0, deviceStatus: 0, msixEnabled: false, msixVectors: 4 });
    expect(owner?.offeredFeatures.equals(device.offeredFeatures)).toBe(true);
    expect(owner?.defaults.msixVectors).toBe(4);
    expect(owner?.settableFeatures.isEmpty).toBe(true);
    expect(owner?.provisionVectors).toBeUndefined();
    expect(owner?.provisionFeatures(device.offeredFeatures)).toBe("invalid");
    device.writeStatus(STATUS.ACKNOWLEDGE);
    expect(owner?.deviceStatus).toBe(STATUS.ACKNOWLEDGE);
    // What it is in virtio 1.4 has not changed.
    expect([group.hasMember(0), group.member(0)]).toEqual([false, undefined]);
  });
});

function makeFunctionOf(sriov: SriovGroup) {
  const memory = createGuestMemory([{ base: MEMORY_BASE, bytes: new Uint8Array(MEMORY_LENGTH) }]);
  const executor = new AdminExecutor({ dialect: "proposal-v5", groups: [new SelfGroup(), sriov] });
  const device = new VirtioDevice({
    memory,
    model: new SampleModel(QUEUES, true),
    admin: new AdminQueues({ executor }),
  });
  return { device, pci: new PciDevice({ device, sriov }) };
}

describe("the description of the transport", () => {
  it("labels the dialect as a reconstruction", () => {
    expect(PCI_TRANSPORT.description.dialects).toEqual([
      {
        name: "proposal-v5",
        label: "proposal-v5 (reconstruction)",
        location: "virtio_pci_misc_cfg (cfg_type 10), offset 0",
        form: "le16",
        detection: "cfg_type 10",
      },
    ]);
    expect(PROPOSAL_V5_PCI_MISC_CFG_LAYOUT.cite).toContain("reconstruction");
  });
});
