/** The registers of the SR-IOV capability, and the configuration space of virtual functions. */
import { FEATURE, isVirtioError } from "@virtio-admin/core";
import { PciDevice, SriovGroup, type SriovGroupInit } from "@virtio-admin/transport-pci";
import { describe, expect, it } from "vitest";
import { HEADER, makeRig } from "./rig.ts";
import { makeMember, makeSriovRig, SRIOV_AT, VF_ENABLE, VF_MSE } from "./sriov-rig.ts";

const NEGOTIATED = { negotiatedBefore: true };
const hexOf = (pci: PciDevice, at: number, length: number) => {
  const bytes = new Uint8Array(length);
  pci.configReadBytes(at, bytes);
  return Buffer.from(bytes).toString("hex");
};
const capabilityAt = (pci: PciDevice, id: number) => {
  let at = pci.configRead(0x34, 1);
  while (at !== 0 && pci.configRead(at, 1) !== id) at = pci.configRead(at + 1, 1);
  return at;
};

describe("the bytes of the capabilities", () => {
  it("are those of PCI Express after a reset", () => {
    const { pf } = makeSriovRig();
    expect(hexOf(pf, SRIOV_AT, 0x40)).toBe(
      "10000114" + // SR-IOV, version 1, next at 0x140
        "00000000" + // no migration
        "00000000" + // control, status
        "08000800" + // InitialVFs, TotalVFs
        "00000000" + // NumVFs, dependency link
        "01000100" + // offset, stride
        "00004410" + // device id of the virtual functions
        "53050000" + // supported page sizes
        "01000000" + // system page size
        "00".repeat(24) + // VF BARs
        "00000000",
    );
    expect(hexOf(pf, 0x140, 8)).toBe("0e00010000000000");
    expect(hexOf(pf, 0x148, 16)).toBe("00".repeat(16));
    expect(pf.configRead(0xffc, 4)).toBe(0);
    expect(pf.configRead(0x1000, 4)).toBe(0xffffffff);
  });

  it("say PCI Express, version 2, an endpoint that can be reset on its own", () => {
    const { pf } = makeSriovRig();
    const at = capabilityAt(pf, 0x10);
    expect(hexOf(pf, at, 0x3c)).toBe(
      `1000020000800010${"00000000"}1100000000001100${"00".repeat(0x3c - 20)}`,
    );
  });

  it("are not there without SR-IOV", () => {
    const { pci } = makeRig({ configSize: 4096 });
    expect(pci.configRead(0x100, 4)).toBe(0);
    expect(capabilityAt(pci, 0x10)).toBe(0);
  });

  it("show the numbers that the group was made with", () => {
    const rig = makeSriovRig({ totalVfs: 300, firstVfOffset: 0x80, vfStride: 2 });
    expect(
      ["initial_vfs", "total_vfs", "first_vf_offset", "vf_stride"].map((name) =>
        rig.get(name as "total_vfs"),
      ),
    ).toEqual([300, 300, 0x80, 2]);
    expect(rig.vfs.routingId(1, 0x0100)).toBe(0x0180);
    expect(rig.vfs.routingId(300, 0x0100)).toBe(0x0180 + 299 * 2);
    expect(rig.vfs.routingId(300, 0xff00)).toBe((0xff80 + 299 * 2) & 0xffff);
  });
});

describe("what the registers take", () => {
  type Step = ["num" | "control" | "page", number];
  const cases: [string, Step[], { num: number; control: number; members: number }][] = [
    ["NumVFs alone", [["num", 3]], { num: 3, control: 0, members: 0 }],
    ["NumVFs of TotalVFs", [["num", 8]], { num: 8, control: 0, members: 0 }],
    ["NumVFs above TotalVFs", [["num", 9]], { num: 0, control: 0, members: 0 }],
    [
      "NumVFs above TotalVFs after another",
      [
        ["num", 5],
        ["num", 0xffff],
      ],
      { num: 5, control: 0, members: 0 },
    ],
    [
      "VF Enable",
      [
        ["num", 3],
        ["control", 1],
      ],
      { num: 3, control: 1, members: 3 },
    ],
    ["VF Enable without NumVFs", [["control", 9]], { num: 0, control: 8, members: 0 }],
    [
      "NumVFs while VF Enable is set",
      [
        ["num", 3],
        ["control", 1],
        ["num", 4],
      ],
      { num: 3, control: 1, members: 3 },
    ],
    [
      "NumVFs 0 while VF Enable is set",
      [
        ["num", 3],
        ["control", 1],
        ["num", 0],
      ],
      { num: 3, control: 1, members: 3 },
    ],
    [
      "NumVFs once VF Enable is cleared",
      [
        ["num", 3],
        ["control", 1],
        ["control", 0],
        ["num", 4],
      ],
      { num: 4, control: 0, members: 0 },
    ],
    [
      "migration, which there is none of",
      [
        ["num", 3],
        ["control", 0xffff],
      ],
      { num: 3, control: 0x19, members: 3 },
    ],
    [
      "ARI while VF Enable is set",
      [
        ["num", 3],
        ["control", 1],
        ["control", 0x11],
      ],
      { num: 3, control: 1, members: 3 },
    ],
    [
      "ARI before VF Enable",
      [
        ["num", 3],
        ["control", 0x10],
        ["control", 0x11],
      ],
      { num: 3, control: 0x11, members: 3 },
    ],
    ["VF MSE alone", [["control", 8]], { num: 0, control: 8, members: 0 }],
  ];
  it.each(cases)("[group-3+] [group-5+] %s", (_name, steps, expected) => {
    const rig = makeSriovRig(NEGOTIATED);
    for (const [register, value] of steps) {
      rig.set(register === "num" ? "num_vfs" : "control", value);
    }
    expect({
      num: rig.get("num_vfs"),
      control: rig.get("control"),
      members: rig.vfs.memberCount,
    }).toEqual(expected);
    expect(rig.vfs.exists).toBe((expected.control & VF_ENABLE) !== 0);
  });

  it("never changes what is read-only", () => {
    const rig = makeSriovRig(NEGOTIATED);
    const before = hexOf(rig.pf, SRIOV_AT, 0x40);
    for (const at of [
      0, 4, 0x0a, 0x0c, 0x0e, 0x12, 0x14, 0x16, 0x18, 0x1a, 0x1c, 0x2c, 0x30, 0x3c,
    ]) {
      rig.pf.configWrite(SRIOV_AT + at, 2, 0xffff);
    }
    expect(hexOf(rig.pf, SRIOV_AT, 0x40)).toBe(before);
  });

  it("takes NumVFs before VF Enable when one access writes both", () => {
    const rig = makeSriovRig(NEGOTIATED);
    const write = (control: number, num: number) => {
      const bytes = new Uint8Array(0x0a);
      bytes[0] = control;
      bytes[8] = num;
      rig.pf.configWriteBytes(SRIOV_AT + 8, bytes);
    };
    write(1, 4);
    expect(rig.vfs.memberCount).toBe(4);
    write(1, 2);
    expect(rig.vfs.memberCount).toBe(4);
    write(0, 2);
    expect([rig.vfs.memberCount, rig.get("num_vfs")]).toEqual([0, 4]);
  });

  it("takes NumVFs byte by byte", () => {
    const rig = makeSriovRig({ ...NEGOTIATED, totalVfs: 0x1ff });
    rig.pf.configWrite(SRIOV_AT + 0x11, 1, 1);
    rig.pf.configWrite(SRIOV_AT + 0x10, 1, 0xff);
    rig.set("control", VF_ENABLE);
    expect(rig.vfs.memberCount).toBe(0x1ff);
  });

  it.each([
    [0x10, 0x10],
    [0x20, 1],
    [0x03, 1],
    [0, 1],
    [0x400, 0x400],
  ])("takes one supported page size: %s reads %s", (written, read) => {
    const rig = makeSriovRig();
    rig.set("system_page_size", written);
    expect(rig.get("system_page_size")).toBe(read);
  });

  it("keeps the page size while VF Enable is set", () => {
    const rig = makeSriovRig(NEGOTIATED);
    rig.enable(1);
    rig.set("system_page_size", 0x10);
    expect(rig.get("system_page_size")).toBe(1);
  });
});

describe("VF BARs", () => {
  const bar = (rig: ReturnType<typeof makeSriovRig>, index: number, value: number) => {
    const at = SRIOV_AT + 0x24 + 4 * index;
    rig.pf.configWrite(at, 4, value);
    return rig.pf.configRead(at, 4);
  };

  it("read as the size of one virtual function's", () => {
    const rig = makeSriovRig();
    expect([0, 1, 2, 3, 4, 5].map((i) => bar(rig, i, 0xffffffff))).toEqual([
      0xffffc000, 0xfffff000, 0, 0, 0, 0,
    ]);
  });

  it("grow to the system page size", () => {
    const rig = makeSriovRig(NEGOTIATED);
    bar(rig, 1, 0x9000_1000);
    rig.set("system_page_size", 0x10);
    expect([0, 1].map((i) => bar(rig, i, 0xffffffff))).toEqual([0xffff0000, 0xffff0000]);
    bar(rig, 0, 0x9000_0000);
    rig.enable(3);
    expect(rig.functionOf(3).barAddress(0)).toBe(0x9002_0000);
    expect(rig.functionOf(3).barLength(0)).toBe(0x4000);
  });

  it("are as long as the largest page that a group can have", () => {
    const rig = makeSriovRig({ ...NEGOTIATED, supportedPageSizes: 0x8_0001 });
    rig.set("system_page_size", 0x8_0000);
    expect(bar(rig, 0, 0xffff_ffff)).toBe(0x8000_0000);
  });

  it("can be of 64 bits", () => {
    const bars = [
      { index: 0, length: 0x4000, width: 64, prefetchable: true },
      { index: 2, length: 0x1000, width: 64 },
    ] as const;
    const rig = makeSriovRig({
      ...NEGOTIATED,
      placement: { bars },
      msix: { table: { bar: 2, offset: 0 }, pba: { bar: 2, offset: 0x800 } },
    });
    expect([0, 1, 2, 3, 4].map((i) => bar(rig, i, 0xffffffff))).toEqual([
      0xffffc00c, 0xffffffff, 0xfffff004, 0xffffffff, 0,
    ]);
    bar(rig, 0, 0x4000);
    bar(rig, 1, 2);
    rig.enable(2);
    expect(rig.functionOf(2).barAddress(0)).toBe(2 * 2 ** 32 + 0x8000);
  });

  it("have an address for each virtual function that is there", () => {
    const rig = makeSriovRig(NEGOTIATED);
    expect(rig.vfs.barAddress(1, 0)).toBe(0);
    bar(rig, 0, 0x8000_0000);
    rig.enable(2);
    const second = rig.functionOf(2);
    expect([second.barAddress(0), second.barAddress(1), second.barAddress(5)]).toEqual([
      0x8000_4000, 0, 0,
    ]);
    rig.disable();
    expect(second.barAddress(0)).toBe(0);
  });
});

describe("the configuration space of a virtual function", () => {
  it("has no ids, no BARs and no memory space of its own", () => {
    const rig = makeSriovRig(NEGOTIATED);
    rig.enable(2);
    const vf = rig.functionOf(2);
    expect(vf.configRead(0, 4)).toBe(0xffffffff);
    expect(vf.configRead(HEADER.subsystem_vendor_id.offset, 4)).toBe(0x10441af4);
    expect(vf.configRead(HEADER.interrupt_pin.offset, 1)).toBe(0);
    vf.configWriteBytes(4, new Uint8Array(0x3c).fill(0xff));
    expect(vf.configRead(HEADER.command.offset, 2)).toBe(HEADER.command.bits.bus_master.mask);
    expect(hexOf(vf, HEADER.bar.offset, 24)).toBe("00".repeat(24));
    expect(vf.configRead(HEADER.interrupt_line.offset, 1)).toBe(0);
    expect(hexOf(vf, 0x100, 8)).toBe("0e00010000000000");
  });

  it("answers its BARs with VF MSE, and not with its own Memory Space Enable", () => {
    const rig = makeSriovRig(NEGOTIATED);
    rig.set("num_vfs", 1);
    rig.set("control", VF_ENABLE);
    const vf = rig.functionOf(1);
    vf.configWrite(4, 2, 0xffff);
    const numQueues = () => vf.barRead(0, 18, 2);
    expect([vf.memorySpace, numQueues()]).toEqual([false, 0xffff]);
    rig.set("control", VF_ENABLE | VF_MSE);
    expect([vf.memorySpace, numQueues()]).toEqual([true, 1]);
    rig.set("control", VF_MSE);
    expect([vf.memorySpace, numQueues()]).toEqual([false, 0xffff]);
  });

  it("answers nothing while it is not there", () => {
    const rig = makeSriovRig(NEGOTIATED);
    rig.enable(3);
    const vf = rig.functionOf(3);
    const msix = capabilityAt(vf, 0x11);
    rig.disable();
    rig.enable(2);
    expect(rig.vfs.function(3)).toBeUndefined();
    expect([vf.present, vf.configRead(4, 2), vf.configRead(0x40, 1)]).toEqual([
      false,
      0xffff,
      0xff,
    ]);
    vf.configWrite(msix + 2, 2, 0x8000);
    vf.barWrite(0, 20, 1, 1);
    expect([vf.barRead(0, 20, 1), vf.msixEnabled]).toEqual([0xff, false]);
    rig.disable();
    rig.enable(3);
    expect(rig.functionOf(3)).toBe(vf);
    expect([vf.configRead(4, 2), vf.barRead(0, 20, 1)]).toEqual([0, 0]);
  });

  it("is reset by its own function level reset alone", () => {
    const rig = makeSriovRig(NEGOTIATED);
    rig.enable(2);
    const [first, second] = [rig.functionOf(1), rig.functionOf(2)];
    for (const vf of [first, second]) {
      vf.configWrite(4, 2, 4);
      vf.barWrite(0, 20, 1, 1);
    }
    const at = capabilityAt(first, 0x10) + 8;
    first.configWrite(at, 2, 0x8000);
    expect(first.configRead(at, 2)).toBe(0);
    expect([first.barRead(0, 20, 1), first.configRead(4, 2)]).toEqual([0, 0]);
    expect([second.barRead(0, 20, 1), second.configRead(4, 2)]).toEqual([1, 4]);
    expect(rig.vfs.memberCount).toBe(2);
  });
});

describe("VIRTIO_F_SR_IOV", () => {
  const { VIRTIO_F_SR_IOV } = FEATURE;

  it("[reserved-features-device-7] is offered with the capability", () => {
    expect(makeSriovRig().device.offeredFeatures.has(VIRTIO_F_SR_IOV)).toBe(true);
  });

  it("[reserved-features-device-8] is not offered without it, nor by a virtual function", () => {
    expect(makeRig().device.offeredFeatures.has(VIRTIO_F_SR_IOV)).toBe(false);
    const rig = makeSriovRig(NEGOTIATED);
    rig.enable(1);
    expect(rig.members.get(1)!.device.offeredFeatures.has(VIRTIO_F_SR_IOV)).toBe(false);
  });

  it("has to be negotiated before VF Enable can be set for the first time", async () => {
    const rig = makeSriovRig();
    rig.enable(2);
    expect([rig.get("control"), rig.vfs.memberCount]).toEqual([VF_MSE, 0]);
    const without = await rig.bringUp([]);
    rig.enable(2);
    expect(rig.vfs.exists).toBe(false);
    await without.close();
    await rig.bringUp();
    rig.enable(2);
    expect(rig.vfs.memberCount).toBe(2);
  });

  it("[reserved-features-driver-12] need not be negotiated again after a reset", async () => {
    const rig = makeSriovRig();
    await rig.bringUp();
    rig.pf.reset();
    rig.enable(2);
    expect(rig.vfs.memberCount).toBe(2);
  });
});

describe("a group that cannot be", () => {
  it.each<[string, Partial<SriovGroupInit>, RegExp]>([
    ["no virtual functions", { totalVfs: 0 }, /sriov\.totalVfs/],
    ["too many of them", { totalVfs: 0x10000 }, /sriov\.totalVfs/],
    ["half a virtual function", { totalVfs: 1.5 }, /sriov\.totalVfs/],
    ["an offset of 0", { firstVfOffset: 0 }, /sriov\.firstVfOffset/],
    ["routing ids beyond 0xffff", { totalVfs: 0x8001, vfStride: 2 }, /sriov\.firstVfOffset/],
    ["no pages of 4 KiB", { supportedPageSizes: 0x552 }, /sriov\.supportedPageSizes/],
    ["pages that no BAR is as long as", { supportedPageSizes: 0x10_0001 }, /supportedPageSizes/],
    ["more vectors than one can have", { msix: { vectors: 4, max: 3 } }, /sriov\.msix\.vectors/],
    ["too many vectors", { msix: { max: 2049 } }, /sriov\.msix\.max/],
    ["a pool that is too small", { msix: { vectors: 2, total: 15 } }, /sriov\.msix\.total/],
    ["a table that overlaps", { msix: { table: { bar: 0, offset: 0 } } }, /overlaps/],
    ["no PCI Express", { placement: { capabilities: [{ name: "common" }] } }, /PCI Express/],
  ])("is refused: %s", (_name, init, message) => {
    expect(() => makeSriovRig(init)).toThrow(message);
  });

  it("has one owner", () => {
    const { vfs } = makeSriovRig();
    const { device } = makeMember(0);
    try {
      new PciDevice({ device, sriov: vfs });
      expect.unreachable();
    } catch (error) {
      expect(isVirtioError(error, "TRANSPORT_OPTIONS")).toBe(true);
    }
  });

  it("needs 4096 bytes of configuration space in its owner", () => {
    const vfs = new SriovGroup({ totalVfs: 1, makeDevice: (id) => makeMember(id).device });
    const { device } = makeMember(0);
    expect(() => new PciDevice({ device, sriov: vfs, configSize: 256 })).toThrow(/4096/);
  });

  it("has members of one device type", () => {
    const rig = makeSriovRig({
      ...NEGOTIATED,
      models: (id) => ({
        name: "other",
        deviceId: id,
        features: [],
        queues: [],
        attach() {},
        queueNotified() {},
        reset() {},
      }),
    });
    rig.enable(2);
    expect(() => rig.vfs.function(2)).toThrow(/makeDevice\(2\)\.deviceId/);
  });
});
