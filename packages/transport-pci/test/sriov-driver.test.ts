/** The driver half of SR-IOV, and virtual functions under drivers of their own. */
import {
  FEATURE,
  FeatureSet,
  isVirtioError,
  ManagementClient,
  type MaybePromise,
  MSIX_COUNT_GET,
  openAdminClient,
} from "@virtio-admin/core";
import { EntropyDriver } from "@virtio-admin/devices";
import { loopbackBus, type PciBus, PciDriver, SriovDriver } from "@virtio-admin/transport-pci";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findExtendedCapability } from "../src/extended.ts";
import { makeRig } from "./rig.ts";
import { makeSriovRig, SRIOV_AT, VF_BARS_AT, VF_ENABLE } from "./sriov-rig.ts";

const { VIRTIO_F_SR_IOV, VIRTIO_F_RING_RESET } = FEATURE;
const SRIOV_GROUP = 1;
const NEGOTIATED = FeatureSet.of(VIRTIO_F_SR_IOV);
const EIGHT = [1, 2, 3, 4, 5, 6, 7, 8];
const WITHOUT_RING_RESET = {
  mask: FeatureSet.of(VIRTIO_F_RING_RESET),
  value: FeatureSet.EMPTY,
};

/** A function with these dwords of configuration space from 0x100 on, and what was written to it. */
function fakeBus(dwords: ReadonlyMap<number, number>) {
  const written: [number, number][] = [];
  let reads = 0;
  const bus: PciBus = {
    configRead: (offset, size): MaybePromise<number> => {
      reads++;
      const dword = (dwords.get(offset & ~3) ?? 0) >>> (8 * (offset & 3));
      return size === 4 ? dword >>> 0 : dword & (2 ** (8 * size) - 1);
    },
    configWrite: (offset, _size, value) => void written.push([offset, value]),
    barRead: () => 0,
    barWrite: () => {},
    onInterrupt: () => {},
  };
  return { bus, written, reads: () => reads };
}

describe("eight virtual functions", () => {
  it("[group-3+] [admin-cmd-device-24+] come up under drivers of their own, as their owner says", async () => {
    const rig = makeSriovRig({ msix: { vectors: 2, max: 4, total: 32 } });
    const { owner, client, sriov } = await rig.start();
    expect([sriov.totalVfs, sriov.vfDeviceId, sriov.vendorId]).toEqual([8, 0x1044, 0x1af4]);
    await sriov.enable(8, { barsAt: VF_BARS_AT });
    const management = new ManagementClient(client);
    await management.use(SRIOV_GROUP);
    await management.setMsixCount(SRIOV_GROUP, 3, 4);
    await management.setMsixCount(SRIOV_GROUP, 4, 1);
    await management.setFeatures(SRIOV_GROUP, 5, WITHOUT_RING_RESET.mask, WITHOUT_RING_RESET.value);
    const drivers = new Map<number, Awaited<ReturnType<typeof rig.bringUpMember>>>();
    for (const id of EIGHT) drivers.set(id, await rig.bringUpMember(sriov, id));
    const bytes = await Promise.all(
      EIGHT.map(async (id) => [...(await new EntropyDriver(drivers.get(id)!).read(4))]),
    );
    expect(bytes).toEqual(EIGHT.map((id) => [id, id, id, id]));
    expect([...(await new EntropyDriver(owner).read(1))]).toEqual([0xee]);
    for (const id of EIGHT) {
      expect(drivers.get(id)!.features.has(VIRTIO_F_RING_RESET)).toBe(id !== 5);
      const { msixVectors, msixEnabled, placement } = rig.functionOf(id);
      expect([msixVectors, msixEnabled]).toEqual([id === 3 ? 4 : id === 4 ? 1 : 2, true]);
      // Table and pending bits are made for the most vectors that one can be given.
      expect(placement.msix?.vectors).toBe(4);
    }
    await expect(management.setMsixCount(SRIOV_GROUP, 1, 1)).rejects.toThrow(/EBUSY/);
    await expect(management.msixCount(SRIOV_GROUP, 9)).rejects.toThrow(/INVALID_MEMBER/);
    await Promise.all([...drivers.values()].map((driver) => driver.close()));
    await management.setMsixCount(SRIOV_GROUP, 1, 1);
    await sriov.disable(client);
    expect(rig.vfs.exists).toBe(false);
    await owner.close();
  });

  it("[management-device-12] show their own drivers the vectors that they have", async () => {
    const rig = makeSriovRig({ msix: { vectors: 2, max: 64, total: 100 } });
    const { owner, client, sriov } = await rig.start();
    await sriov.enable(2, { barsAt: VF_BARS_AT });
    const management = new ManagementClient(client);
    await management.use(SRIOV_GROUP);
    await management.setMsixCount(SRIOV_GROUP, 2, 64);
    const found = async (id: number) => {
      const pci = rig.functionOf(id);
      const driver = new PciDriver({
        bus: loopbackBus(pci),
        dma: rig.members.get(id)!.dma,
        virtualFunction: sriov.virtualFunction(id),
      });
      expect(await driver.open()).toEqual({ deviceId: 4, vendorId: 0x1af4 });
      expect(driver.allowedFeatures.has(VIRTIO_F_SR_IOV)).toBe(false);
      return driver.discovery?.msix?.vectors;
    };
    expect([await found(1), await found(2)]).toEqual([2, 64]);
    await owner.close();
  });

  it("lie in memory one after the other, each at its own routing id", async () => {
    const rig = makeSriovRig({ firstVfOffset: 8, vfStride: 3 });
    const { owner, sriov } = await rig.start();
    await sriov.enable(3, { barsAt: VF_BARS_AT + 1 });
    for (const id of [1, 2, 3]) {
      const pci = rig.functionOf(id);
      const { bars } = sriov.virtualFunction(id);
      expect(bars.map((bar) => bar?.address ?? 0).slice(0, 2)).toEqual([
        pci.barAddress(0),
        pci.barAddress(1),
      ]);
      expect(sriov.routingId(id, 0x0200)).toBe(0x0208 + 3 * (id - 1));
      expect(sriov.routingId(id, 0x0200)).toBe(rig.vfs.routingId(id, 0x0200));
    }
    expect(rig.functionOf(1).barAddress(0)).toBe(VF_BARS_AT + 0x4000);
    expect(rig.functionOf(1).barAddress(1)).toBe(VF_BARS_AT + 0x10000);
    await owner.close();
  });

  it("are told to the VMM when they come, move and go", async () => {
    const rig = makeSriovRig();
    const { owner, sriov } = await rig.start();
    const seen: [number, boolean][] = [];
    rig.vfs.onChange = () => void seen.push([rig.vfs.memberCount, rig.vfs.memorySpace]);
    await sriov.enable(2, { barsAt: VF_BARS_AT });
    expect(seen.at(-1)).toEqual([2, true]);
    await sriov.disable();
    expect(seen.at(-1)).toEqual([0, false]);
    await owner.close();
  });

  it("can be enabled in another number after they were disabled", async () => {
    const rig = makeSriovRig();
    const { owner, sriov } = await rig.start();
    let settled = 0;
    const settle = () => void settled++;
    await sriov.enable(2, { barsAt: VF_BARS_AT, settle });
    await sriov.disable();
    await sriov.enable(8, { barsAt: VF_BARS_AT, settle });
    expect([rig.vfs.memberCount, sriov.numVfs, settled]).toEqual([8, 8, 2]);
    await owner.close();
  });
});

describe("the driver of an owner", () => {
  it("[reserved-features-driver-9] [reserved-features-driver-11] enables once the feature is negotiated", async () => {
    const rig = makeSriovRig();
    const owner = await rig.bringUp([]);
    expect(owner.features.has(VIRTIO_F_SR_IOV)).toBe(false);
    await expect(SriovDriver.open(rig.bus, owner.features)).rejects.toThrow(
      /FEATURE_MISSING|VIRTIO_F_SR_IOV/,
    );
    await owner.close();
    const again = await rig.bringUp();
    const sriov = await SriovDriver.open(rig.bus, again.features);
    await sriov.enable(1, { barsAt: VF_BARS_AT });
    expect(rig.vfs.memberCount).toBe(1);
    await again.close();
  });

  it("[reserved-features-driver-12] enables again after the owner was reset", async () => {
    const rig = makeSriovRig();
    const { owner, sriov } = await rig.start();
    await owner.close();
    rig.pf.reset();
    await sriov.enable(3, { barsAt: VF_BARS_AT });
    expect(rig.vfs.memberCount).toBe(3);
  });

  it("[reserved-features-driver-10] does not allow the feature without the capability", async () => {
    const { pci, dma } = makeRig({ configSize: 4096 });

    const driver = new PciDriver({ bus: loopbackBus(pci), dma, assignBarsAt: 0xe000_0000 });
    expect(driver.allowedFeatures.has(VIRTIO_F_SR_IOV)).toBe(false);
    await driver.open();
    expect(driver.allowedFeatures.has(VIRTIO_F_SR_IOV)).toBe(false);
    const error = await SriovDriver.open(loopbackBus(pci), NEGOTIATED).catch((e) => e);
    expect(isVirtioError(error, "TRANSPORT_UNSUPPORTED")).toBe(true);
  });

  it.each<[string, (sriov: SriovDriver) => Promise<unknown> | unknown, string]>([
    ["no virtual functions", (s) => s.enable(0, { barsAt: 0 }), "VALUE_RANGE"],
    ["too many", (s) => s.enable(9, { barsAt: 0 }), "VALUE_RANGE"],
    ["half a one", (s) => s.enable(1.5, { barsAt: 0 }), "VALUE_RANGE"],
    ["no room", (s) => s.enable(8, { barsAt: 0xffff_0000 }), "TRANSPORT"],
    ["one that is not there", (s) => s.virtualFunction(1), "VALUE_RANGE"],
    ["the routing id of one that is not there", (s) => s.routingId(1, 0), "VALUE_RANGE"],
  ])("refuses %s, and enables nothing", async (_name, ask, code) => {
    const rig = makeSriovRig();
    const { owner, sriov } = await rig.start();
    const asked = Promise.resolve().then(() => ask(sriov));
    await expect(asked).rejects.toMatchObject({ code });
    expect([rig.vfs.exists, sriov.numVfs]).toEqual([false, 0]);
    await owner.close();
  });

  it("[admin-cmd-driver-11+-] sends commands to the virtual functions that it has enabled, and to no other", async () => {
    const rig = makeSriovRig({ msix: { vectors: 2, max: 4, total: 32 } });
    const { owner, sriov } = await rig.start();
    const client = openAdminClient(owner, {
      hasMember: (group, member) => sriov.hasMember(group, member),
    });
    await sriov.enable(2, { barsAt: VF_BARS_AT });
    const management = new ManagementClient(client);
    await management.use(SRIOV_GROUP);
    for (const id of [1, 2])
      expect(await management.msixCount(SRIOV_GROUP, id)).toMatchObject({ vectors: 2 });
    const outside: readonly (number | bigint)[] = [
      0,
      3,
      0x10000,
      2 ** 53 - 1,
      0n,
      3n,
      2n ** 64n - 1n,
    ];
    for (const id of outside) {
      const target = { group: SRIOV_GROUP, member: id };
      await expect(client.executeCommand(MSIX_COUNT_GET, target)).rejects.toMatchObject({
        code: "VALUE_RANGE",
        value: id,
      });
    }
    await sriov.disable(client);
    await expect(management.msixCount(SRIOV_GROUP, 1)).rejects.toMatchObject({
      code: "VALUE_RANGE",
    });
    await owner.close();
  });

  it("does not enable twice", async () => {
    const rig = makeSriovRig();
    const { owner, sriov } = await rig.start();
    await sriov.enable(2, { barsAt: VF_BARS_AT });
    await expect(sriov.enable(3, { barsAt: VF_BARS_AT })).rejects.toThrow(/enabled already/);
    expect(rig.vfs.memberCount).toBe(2);
    expect(() => sriov.virtualFunction(0)).toThrow(/1 to 2/);
    expect(() => sriov.virtualFunction(3)).toThrow(/1 to 2/);
    await owner.close();
  });

  it("[admin-cmd-driver-12-] disables only while no command is outstanding", async () => {
    const rig = makeSriovRig();
    const { owner, client, sriov } = await rig.start();
    await sriov.enable(2, { barsAt: VF_BARS_AT });
    await expect(sriov.disable(client, { outstanding: 1 })).rejects.toThrow(/outstanding/);
    expect(rig.get("control") & VF_ENABLE).toBe(VF_ENABLE);
    await sriov.disable(client);
    expect(rig.vfs.exists).toBe(false);
    await owner.close();
  });

  it("[admin-cmd-driver-13+] enables them where VF Migration Capable is clear, and never migration", async () => {
    const rig = makeSriovRig();
    const { owner, sriov } = await rig.start();
    expect(rig.pf.configRead(SRIOV_AT + 4, 4) & 1).toBe(0);
    const written: number[] = [];
    const { pf } = rig;
    const configWrite = pf.configWrite.bind(pf);
    pf.configWrite = (offset, size, value) => {
      if (offset === SRIOV_AT + 8) written.push(value);
      configWrite(offset, size, value);
    };
    await sriov.enable(2, { barsAt: VF_BARS_AT });
    await sriov.disable();
    expect(written.length).toBeGreaterThan(1);
    expect(written.every((value) => (value & 0b110) === 0)).toBe(true);
    await owner.close();
  });

  it("[admin-cmd-driver-13-] has no virtual functions of a device that says VF Migration Capable", async () => {
    const dwords = new Map([
      [0x100, 0x0001_0010],
      [0x104, 0x0000_0001],
      [0x10c, 0x0008_0008],
    ]);
    const { bus, written } = fakeBus(dwords);
    const sriov = await SriovDriver.open(bus, NEGOTIATED);
    await expect(sriov.enable(2, { barsAt: VF_BARS_AT })).rejects.toMatchObject({
      code: "TRANSPORT_UNSUPPORTED",
      path: "pci.sriov.capabilities",
    });
    expect([written, sriov.numVfs]).toEqual([[], 0]);
  });

  it("gives up on a device that leaves VF Enable clear", async () => {
    const dwords = new Map([
      [0x100, 0x0001_0010],
      [0x10c, 0x0008_0008],
    ]);
    const { bus, written } = fakeBus(dwords);
    const sriov = await SriovDriver.open(bus, NEGOTIATED);
    const error = await sriov.enable(2, { barsAt: VF_BARS_AT }).catch((e) => e);
    expect(isVirtioError(error, "DEVICE_FAILED")).toBe(true);
    expect(written.at(-1)).toEqual([0x108, 0]);
  });
});

describe("the walk over the extended capabilities", () => {
  it.each<[string, [number, number][], number | undefined]>([
    ["nothing there", [], undefined],
    ["no extended configuration space", [[0x100, 0xffffffff]], undefined],
    ["the first", [[0x100, 0x0001_0010]], 0x100],
    [
      "the second",
      [
        [0x100, 0x2001_000e],
        [0x200, 0x0001_0010],
      ],
      0x200,
    ],
    [
      "a misaligned link",
      [
        [0x100, 0x2031_000e],
        [0x200, 0x0001_0010],
      ],
      0x200,
    ],
    [
      "a link into the header",
      [
        [0x100, 0x0401_000e],
        [0x40, 0x0001_0010],
      ],
      undefined,
    ],
    ["a loop", [[0x100, 0x1001_000e]], undefined],
    [
      "a loop of two",
      [
        [0x100, 0x2001_000e],
        [0x200, 0x1001_000e],
      ],
      undefined,
    ],
    [
      "one that does not end inside",
      [
        [0x100, 0xff01_000e],
        [0xff0, 0x0001_0010],
      ],
      undefined,
    ],
  ])("%s", async (_name, dwords, at) => {
    const { bus, reads } = fakeBus(new Map(dwords));
    expect(await findExtendedCapability(bus, 0x10, 0x40)).toBe(at);
    expect(reads()).toBeLessThanOrEqual(480);
  });

  it("ends, and stays inside, whatever the bytes are", async () => {
    const space = fc.array(fc.tuple(fc.integer({ min: 0x40, max: 0x3ff }), fc.integer()), {
      maxLength: 200,
    });
    await fc.assert(
      fc.asyncProperty(space, fc.integer(), async (dwords, first) => {
        const map = new Map(dwords.map(([index, value]) => [4 * index, value >>> 0]));
        map.set(0x100, first >>> 0);
        const { bus, reads } = fakeBus(map);
        const at = await findExtendedCapability(bus, 0x10, 0x40);
        expect(reads()).toBeLessThanOrEqual(480);
        if (at === undefined) return;
        expect(at >= 0x100 && at <= 0xfc0 && at % 4 === 0).toBe(true);
        expect((map.get(at) ?? 0) & 0xffff).toBe(0x10);
      }),
    );
  });
});
