/** Configuration space: header, BARs, capability list, and the window that one of them opens. */
import { describe, expect, it } from "vitest";
import { COMMON, CONFIG_BYTES, HEADER, makeRig, type Rig } from "./rig.ts";

const hexOf = (rig: Rig, offset: number, length: number) => {
  const bytes = new Uint8Array(length);
  rig.pci.configReadBytes(offset, bytes);
  return Buffer.from(bytes).toString("hex");
};

/** Configuration space of a device that a Linux driver was recorded with, without trailing zeroes. */
const RECORDED =
  "f41a441000001000010000ff0000000000000000000000000000000000000000" +
  "000000000000000000000000f41a001100000000400000000000000000000000" +
  "0950100100000000000000004000000009601003000000000010000001000000" +
  "0970100400000000002000000010000009841402000000000030000000100000" +
  "04000000110002000100000001080000";

describe("the header", () => {
  it("[pci-discovery-device-1] [pci-discovery-device-4] [pci-discovery-device-5] [pci-discovery-device-6] identifies the device by default", () => {
    const { pci } = makeRig();
    expect(pci.configRead(0, 4)).toBe(0x10441af4);
    expect(pci.configRead(8, 1)).toBe(1);
    expect(pci.configRead(0x2c, 2)).toBe(0x1af4);
    expect(pci.configRead(0x2e, 2)).toBeGreaterThanOrEqual(0x40);
    expect(pci.configRead(0x0e, 1)).toBe(0);
  });

  it("[pci-device-1] is byte for byte the one of a recorded device, with that device's placement", () => {
    const rig = makeRig({
      queues: 1,
      config: false,
      identity: { vendorId: 0x1af4, subsystemId: 0x1100, interruptPin: 0 },
      windows: { device: { bar: 0, offset: 0x2000, length: 0x1000 } },
      capabilities: [
        { name: "common", at: 0x40 },
        { name: "isr", at: 0x50 },
        { name: "device", at: 0x60 },
        { name: "notify", at: 0x70 },
        { name: "msix", at: 0x84 },
      ],
    });
    rig.pci.reset();
    expect(hexOf(rig, 0, 256)).toBe(RECORDED.padEnd(512, "0"));
    expect([0, 1, 2].map((bar) => rig.pci.barLength(bar))).toEqual([0x4000, 0x1000, 0]);
  });

  it("[pci-device-1] keeps read-only fields whatever is written", () => {
    const rig = makeRig();
    const before = hexOf(rig, 0, 256);
    for (const [name, field] of Object.entries(HEADER)) {
      if (field.access === "RW") continue;
      for (let i = 0; i < field.width; i++) rig.pci.configWrite(field.offset + i, 1, 0xff);
      expect(hexOf(rig, 0, 256), name).toBe(before);
    }
  });

  it.each([
    ["command", 2, 0xffff, 0x0547],
    ["cache_line_size", 1, 0x10, 0x10],
    ["latency_timer", 1, 0x40, 0x40],
    ["interrupt_line", 1, 0x0b, 0x0b],
  ] as const)("[pci-device-1] %s keeps what a driver may set", (name, size, written, kept) => {
    const { pci } = makeRig();
    pci.configWrite(HEADER[name].offset, size, written);
    expect(pci.configRead(HEADER[name].offset, size)).toBe(kept);
  });

  it("[pci-device-1] reads all ones beyond its end, and 0 in an empty extended space", () => {
    expect(makeRig().pci.configRead(0x100, 4)).toBe(0xffffffff);
    const { pci } = makeRig({ configSize: 4096 });
    expect(pci.configRead(0x100, 4)).toBe(0);
    expect(pci.configRead(0x1000, 4)).toBe(0xffffffff);
    expect(pci.configRead(0xffe, 4)).toBe(0xffff0000);
  });
});

describe("base address registers", () => {
  it.each([
    // bars, writes, what they read
    [[{ index: 0, length: 0x4000 }], 0, 0xffffffff, 0xffffc000],
    [[{ index: 0, length: 0x4000 }], 0, 0xfebf1234, 0xfebf0000],
    [[{ index: 0, length: 0x4000, prefetchable: true }], 0, 0xffffffff, 0xffffc008],
    [[{ index: 0, length: 0x4000, width: 64 as const }], 0, 0xffffffff, 0xffffc004],
    [[{ index: 0, length: 0x4000, width: 64 as const }], 1, 0xffffffff, 0xffffffff],
    [[{ index: 0, length: 0x4000 }], 3, 0xffffffff, 0],
  ])("[pci-device-1] size as they were declared: %j register %i", (bars, register, value, read) => {
    const { pci } = makeRig({ bars, msix: false });
    pci.configWrite(HEADER.bar.offset + 4 * register, 4, value);
    expect(pci.configRead(HEADER.bar.offset + 4 * register, 4)).toBe(read);
  });

  it("[pci-device-1] has no expansion ROM", () => {
    const { pci } = makeRig();
    pci.configWrite(HEADER.expansion_rom.offset, 4, 0xfffff800);
    expect(pci.configRead(HEADER.expansion_rom.offset, 4)).toBe(0);
  });

  it("tells the VMM where the driver put them", () => {
    const { pci } = makeRig({
      bars: [
        { index: 0, length: 0x4000, width: 64 },
        { index: 2, length: 0x1000 },
      ],
      msix: { table: { bar: 2, offset: 0 }, pba: { bar: 2, offset: 0x800 } },
    });
    pci.configWrite(0x10, 4, 0x8000);
    pci.configWrite(0x14, 4, 0x20);
    pci.configWrite(0x18, 4, 0xfe001000);
    expect([0, 1, 2].map((bar) => pci.barAddress(bar))).toEqual([0x2000008000, 0, 0xfe001000]);
  });

  it("[pci-device-1] answers only while Memory Space Enable is set", () => {
    const rig = makeRig();
    rig.command("bus_master");
    rig.set("device_status", 1);
    expect(rig.get("device_status")).toBe(0xff);
    expect(rig.get("queue_desc")).toBe(0);
    expect(rig.pci.memorySpace).toBe(false);
    rig.command("memory_space");
    expect(rig.get("device_status")).toBe(0);
    expect(rig.pci.barRead(5, 0, 4)).toBe(0xffffffff);
    expect(rig.pci.barRead(0, 0x4000, 4)).toBe(0xffffffff);
    expect(rig.pci.barRead(0, 0x800, 4)).toBe(0);
  });
});

describe("the capability list", () => {
  it("[pci-common-device-2] [pci-notify-device-1] [pci-isr-device-1] [pci-device-config-1] [pci-cfg-access-device-1] has every structure once", () => {
    const { pci } = makeRig();
    const found: [number, number][] = [];
    for (let at = pci.configRead(0x34, 1); at !== 0; at = pci.configRead(at + 1, 1)) {
      found.push([
        pci.configRead(at, 1),
        pci.configRead(at, 1) === 9 ? pci.configRead(at + 3, 1) : 0,
      ]);
    }
    expect(found).toEqual([
      [9, 1],
      [9, 3],
      [9, 4],
      [9, 2],
      [0x11, 0],
      [9, 5],
    ]);
  });

  it("[pci-capability-device-1] [pci-common-device-1] [pci-device-config-device-1] [pci-notify-device-2] [pci-notify-device-3] locates them as the text wants", () => {
    const rig = makeRig();
    const cap = (type: number) =>
      rig.capability(
        (at) => rig.pci.configRead(at, 1) === 9 && rig.pci.configRead(at + 3, 1) === type,
      );
    expect([1, 3, 4].map((type) => rig.pci.configRead(cap(type) + 2, 1))).toEqual([16, 16, 16]);
    expect([2, 5].map((type) => rig.pci.configRead(cap(type) + 2, 1))).toEqual([20, 20]);
    for (const type of [1, 2, 4]) expect(rig.pci.configRead(cap(type) + 8, 4) % 4).toBe(0);
    expect(rig.pci.configRead(cap(2) + 16, 4)).toBe(4);
  });

  it("[pci-device-config-1] leaves the device structure out where the type has none", () => {
    const rig = makeRig({ config: false });
    expect(rig.capability((at) => rig.pci.configRead(at + 3, 1) === 4)).toBe(0);
  });

  it("[pci-msix-device-2] reports the number of vectors, and where table and pending bits are", () => {
    const rig = makeRig({
      msix: { vectors: 5, table: { bar: 1, offset: 0x10 }, pba: { bar: 1, offset: 0x808 } },
    });
    const at = rig.msixControlAt();
    expect(rig.pci.configRead(at, 2)).toBe(4);
    expect(rig.pci.configRead(at + 2, 4)).toBe(0x11);
    expect(rig.pci.configRead(at + 6, 4)).toBe(0x809);
    rig.pci.configWrite(at, 2, 0xffff);
    expect(rig.pci.configRead(at, 2)).toBe(0xc004);
  });
});

describe("the PCI configuration access capability", () => {
  const open = (rig: Rig, bar: number, offset: number, length: number) => {
    const at = rig.capability((place) => rig.pci.configRead(place + 3, 1) === 5);
    rig.pci.configWrite(at + 4, 1, bar);
    rig.pci.configWrite(at + 8, 4, offset);
    rig.pci.configWrite(at + 12, 4, length);
    return at + 16;
  };

  it("[pci-cfg-access-device-2] [pci-cfg-access-device-3] reads and writes structures, mapped or not", () => {
    const rig = makeRig();
    rig.command();
    const status = open(rig, 0, COMMON.device_status.offset, 1);
    rig.pci.configWrite(status, 1, 3);
    expect(rig.pci.configRead(status, 1)).toBe(3);
    expect(rig.pci.configRead(status, 4)).toBe(3);
    const features = open(rig, 0, COMMON.device_feature_select.offset, 4);
    rig.pci.configWrite(features, 4, 1);
    open(rig, 0, COMMON.device_feature.offset, 4);
    expect(rig.pci.configRead(features, 4) & 1).toBe(1);
    open(rig, 0, COMMON.num_queues.offset, 2);
    expect(rig.pci.configRead(features, 2)).toBe(2);
    open(rig, 0, 0x2000, 4);
    expect(rig.pci.configRead(features, 4)).toBe(
      new DataView(CONFIG_BYTES.buffer).getUint32(0, true),
    );
  });

  it("[pci-cfg-access-device-3] reads with the side effects of the structure", () => {
    const rig = makeRig();
    rig.device.writeStatus(1);
    rig.pci.usedBuffers(0);
    const isr = open(rig, 0, 0x1000, 1);
    expect(rig.pci.configRead(isr, 1)).toBe(1);
    expect(rig.pci.configRead(isr, 1)).toBe(0);
  });

  it("[pci-cfg-access-device-2] notifies a queue", () => {
    const rig = makeRig();
    rig.negotiate([]);
    rig.enable(1);
    rig.set("device_status", 0xf);
    const data = open(rig, 0, 0x3000 + 4, 2);
    rig.pci.configWrite(data, 2, 1);
    expect(rig.model.notified).toEqual([1]);
  });

  it.each([
    ["a misaligned offset", 0, 18, 4],
    ["a misaligned offset in the configuration", 0, 0x2001, 2],
    ["a length that is none", 0, 20, 3],
    ["no length", 0, 20, 0],
    ["a reserved bar", 6, 20, 1],
    ["no structure", 0, 0x900, 4],
    ["the MSI-X table", 1, 12, 4],
    ["the end of the BAR", 0, 0x3ffe, 4],
    ["the end of the address space", 0, 0xfffffffc, 4],
  ])(
    "[pci-cfg-access-driver-1] [pci-cfg-access-driver-3] does nothing for %s",
    (_what, bar, offset, length) => {
      const rig = makeRig();
      rig.set("device_status", 1);
      const data = open(rig, bar, offset, length);
      rig.pci.configWrite(data, 4, 0);
      expect(rig.pci.configRead(data, 4)).toBe(0);
      expect(rig.get("device_status")).toBe(1);
      expect(rig.pci.barRead(1, 12, 4)).toBe(1);
    },
  );
});

describe("a reset of the function", () => {
  it("puts configuration space, MSI-X and the device back", () => {
    const rig = makeRig();
    const fresh = hexOf(makeRig(), 0, 256);
    rig.pci.configWrite(0x10, 4, 0xfe000000);
    rig.pci.configWrite(HEADER.interrupt_line.offset, 1, 9);
    rig.setMsix(true, true);
    rig.entry(1, 0xfee00000, 7);
    rig.negotiate([]);
    rig.pci.reset();
    expect(rig.device.status).toBe(0);
    expect(rig.pci.memorySpace).toBe(false);
    rig.command("memory_space", "bus_master");
    expect(hexOf(rig, 0, 256)).toBe(fresh);
    expect([0, 4, 8, 12].map((at) => rig.pci.barRead(1, 16 + at, 4))).toEqual([0, 0, 0, 1]);
  });
});
