import {
  createGuestMemory,
  FEATURE,
  FeatureSet,
  freeVectors,
  SR_IOV_GROUP,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FunctionGroup, type FunctionGroupInit, VIRTIO_PCI_VENDOR } from "../src/index.ts";

const ACKNOWLEDGE = 1;
const MSIX = { total: 12, min: 1, max: 6, vectors: 2 };

function made(init: Partial<FunctionGroupInit> = {}, transitional = false) {
  const devices = new Map<number, VirtioDevice>();
  const memory = createGuestMemory([]);
  const group = new FunctionGroup({
    members: 3,
    makeDevice: (id) => {
      const device = new VirtioDevice({ model: createEntropy(), memory, transitional });
      devices.set(id, device);
      return device;
    },
    msix: MSIX,
    ...init,
  });
  return { group, devices };
}

describe("a group of plain functions", () => {
  it("has members from 1 on, as long as it is there, each a function with ids of its own", () => {
    const { group } = made();
    expect(group.type).toBe(SR_IOV_GROUP);
    expect([group.exists, group.memberCount]).toEqual([true, 3]);
    expect([0, 1, 3, 4, 1.5, Number.NaN].map((id) => group.hasMember(id))).toEqual([
      ...[false, true, true, false, false, false],
    ]);
    for (const id of [1, 2, 3]) {
      const pci = group.function(id);
      expect(pci?.placement.kind).toBe("plain");
      expect(pci?.configRead(0, 4)).toBe((0x1044 << 16) | VIRTIO_PCI_VENDOR);
      expect(pci?.msixVectors).toBe(2);
      expect(group.member(id)).toBe(group.member(id));
    }
  });

  it("[management-device-12+] [management-device-14+] settles vectors and features that resets leave as they are", () => {
    const { group } = made();
    const member = group.member(2);
    const pci = group.function(2);
    expect(member?.provisionVectors?.(5)).toBeUndefined();
    const offered = member?.offeredFeatures.without(FEATURE.VIRTIO_F_EVENT_IDX) ?? FeatureSet.EMPTY;
    expect(member?.provisionFeatures(offered)).toBeUndefined();
    pci?.reset();
    expect(pci?.msixVectors).toBe(5);
    expect(member?.offeredFeatures.equals(offered)).toBe(true);
    expect(member?.defaults.msixVectors).toBe(2);
    expect(group.msix?.free).toBe(3);
  });

  it("refuses what a member cannot have, or has no leave for, and changes nothing", () => {
    const plugged = new Set<number>();
    const { group, devices } = made({ isPlugged: (id) => plugged.has(id) });
    const [one, two] = [group.member(1), group.member(2)];
    for (const vectors of [0, 7, 1.5, Number.NaN]) {
      expect(one?.provisionVectors?.(vectors)).toBe("invalid");
    }
    expect(one?.provisionVectors?.(6)).toBeUndefined();
    expect(two?.provisionVectors?.(5)).toBe("invalid");
    devices.get(2)?.writeStatus(ACKNOWLEDGE);
    expect(two?.provisionVectors?.(3)).toBe("in use");
    expect(two?.provisionFeatures(two.offeredFeatures)).toBe("in use");
    devices.get(2)?.reset();
    plugged.add(2);
    expect(two?.provisionVectors?.(3)).toBe("in use");
    expect(two?.provisionFeatures(two.offeredFeatures)).toBeUndefined();
    expect([one?.msixVectors, two?.msixVectors, group.msix?.free]).toEqual([6, 2, 2]);
  });

  it("never gives out more vectors than there are, whatever is asked", () => {
    const request = fc.record({ id: fc.integer({ min: 1, max: 3 }), vectors: fc.nat(8) });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), (requests) => {
        const { group } = made();
        for (const { id, vectors } of requests) group.member(id)?.provisionVectors?.(vectors);
        const given = [...group.managedMembers()].map(({ msixVectors = 0 }) => msixVectors);
        expect(freeVectors(group)).toBe(MSIX.total - given.reduce((sum, each) => sum + each));
        expect(freeVectors(group)).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it("has no pool without MSI-X", () => {
    const { group } = made({ msix: false });
    expect(group.msix).toBeUndefined();
    expect(group.function(1)?.msixVectors).toBeUndefined();
    expect(group.member(1)?.provisionVectors?.(1)).toBe("invalid");
    expect(freeVectors(group)).toBe(0);
  });

  it("reaches the legacy interfaces of transitional members, which have no BAR 0", () => {
    const { group } = made({}, true);
    expect([group.hasLegacyAccess, group.hasLegacyNotify]).toEqual([true, true]);
    expect(group.function(3)?.barLength(0)).toBe(0);
    const legacy = group.legacyMember(3);
    expect(legacy?.notifyPlaces).toEqual([{ of: "member", bar: 2, offset: 0x4000 }]);
    expect(legacy?.common.field(0)?.width).toBe(4);
    expect(group.legacyMember(4)).toBeUndefined();
    expect(made().group.legacyMember(1)).toBeUndefined();
  });

  it.each([0, 0x1_0000, 1.5])("refuses to be of %d members", (members) => {
    expect(() => made({ members })).toThrow(/integer from 1 to 65535/);
  });

  it("refuses a pool that does not serve everybody", () => {
    expect(() => made({ msix: { ...MSIX, total: 5 } })).toThrow(/2 vectors each/);
  });
});
