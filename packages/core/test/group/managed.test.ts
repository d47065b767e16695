import {
  bringUp,
  DeviceMember,
  FEATURE,
  FeatureSet,
  freeVectors,
  isManagedGroup,
  isMemberInUse,
  type ManagedGroup,
  type ManagedMember,
  PlatformGroup,
  type ProvisionableDevice,
  type ProvisionWatcher,
  RING_FEATURES,
  restoreDefaults,
  SelfGroup,
  SR_IOV_GROUP,
  STATUS,
  VirtioDevice,
} from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FillModel, NotingAdmin } from "../device/models.ts";
import { DirectTransport, makeMemory } from "../direct-transport.ts";

const { VIRTIO_F_VERSION_1, VIRTIO_F_ADMIN_VQ, VIRTIO_F_NOTIFICATION_DATA, VIRTIO_F_RING_RESET } =
  FEATURE;
/** What a device with {@link FillModel} offers: of its own features, 1 requires 0. */
const OFFERED = FeatureSet.of(0, 1, ...RING_FEATURES, VIRTIO_F_VERSION_1);
const invalid = expect.objectContaining({ code: "GROUP_INVALID" });

function makeDevice(admin?: NotingAdmin) {
  const { memory, dma } = makeMemory();
  const model = new FillModel();
  return {
    device: new VirtioDevice({ model, memory, ...(admin === undefined ? {} : { admin }) }),
    dma,
  };
}

/** A member that keeps what it is told: as plain as the contract allows. */
function makeMember(id: number, vectors?: number) {
  const member = {
    id,
    deviceStatus: 0,
    msixEnabled: false as boolean,
    msixVectors: vectors,
    defaults: { features: OFFERED, msixVectors: vectors },
    offeredFeatures: OFFERED,
    settableFeatures: OFFERED,
    provisionVectors: (wanted: number) => {
      member.msixVectors = wanted;
      return undefined;
    },
    provisionFeatures: (features: FeatureSet) => {
      member.offeredFeatures = features;
      return undefined;
    },
  } satisfies ManagedMember;
  return member;
}

describe("a device whose features are provisioned", () => {
  it("offers its driver what was settled, from the next bring-up on", async () => {
    const { device, dma } = makeDevice();
    const transport = new DirectTransport(device, dma);
    const options = { features: [0, 1], queues: [{ index: 0 }] };
    const first = await bringUp(transport, options);
    expect(first.features.equals(OFFERED)).toBe(true);
    expect(device.provisionFeatures(OFFERED.without(1))).toBe("in use");
    device.reset();
    expect(device.provisionFeatures(OFFERED.without(1, VIRTIO_F_RING_RESET))).toBeUndefined();
    const second = await bringUp(transport, options);
    expect(second.features.equals(OFFERED.without(1, VIRTIO_F_RING_RESET))).toBe(true);
  });

  it.each([
    ["VIRTIO_F_VERSION_1 is missing", OFFERED.without(VIRTIO_F_VERSION_1)],
    ["a feature is none of the device's", OFFERED.with(5)],
    ["a feature lacks the one it requires", OFFERED.without(0)],
    ["there is none at all", FeatureSet.EMPTY],
  ])("stays as it is when %s", (_, features) => {
    const { device } = makeDevice();
    expect(device.provisionFeatures(features)).toBe("invalid");
    expect(device.provisionedFeatures.equals(OFFERED)).toBe(true);
    expect(device.offeredFeatures.equals(OFFERED)).toBe(true);
  });

  it.each([STATUS.ACKNOWLEDGE, STATUS.FAILED])(
    "stays as it is while the status is %i",
    (status) => {
      const { device } = makeDevice();
      device.writeStatus(status);
      expect(device.provisionFeatures(OFFERED.without(1))).toBe("in use");
      expect(device.offeredFeatures.equals(OFFERED)).toBe(true);
      device.reset();
      expect(device.provisionFeatures(OFFERED.without(1))).toBeUndefined();
    },
  );

  it("keeps what was settled over resets, over what is withheld, and over a connection", () => {
    const { device } = makeDevice(new NotingAdmin(1));
    const all = OFFERED.with(VIRTIO_F_ADMIN_VQ);
    const settled = all.without(1);
    expect(device.provisionFeatures(settled)).toBeUndefined();
    device.connect({
      transport: "test",
      reservedFeatures: [VIRTIO_F_RING_RESET],
      ownFeatures: [VIRTIO_F_NOTIFICATION_DATA],
      usedBuffers() {},
      configurationChange() {},
      deviceReset() {},
    });
    const here = settled.without(VIRTIO_F_RING_RESET).with(VIRTIO_F_NOTIFICATION_DATA);
    device.withholdFeatures([VIRTIO_F_ADMIN_VQ]);
    device.reset();
    expect(device.provisionedFeatures.equals(here)).toBe(true);
    expect(device.offeredFeatures.equals(here.without(VIRTIO_F_ADMIN_VQ))).toBe(true);
    expect(device.provisionFeatures(here.with(1))).toBeUndefined();
    expect(device.offeredFeatures.equals(here.with(1).without(VIRTIO_F_ADMIN_VQ))).toBe(true);
    device.withholdFeatures([]);
    expect(device.offeredFeatures.equals(device.defaultFeatures)).toBe(true);
  });

  it("never offers a feature without the one it requires, nor one it does not have", () => {
    const sets = fc.array(fc.subarray([0, 1, 5, 28, 29, 32, 40]), { maxLength: 6 });
    fc.assert(
      fc.property(sets, fc.subarray([0, 29]), (wanted, withheld) => {
        const { device } = makeDevice();
        device.withholdFeatures(withheld);
        for (const bits of wanted) {
          const before = device.provisionedFeatures;
          const features = FeatureSet.of(...bits);
          const done = device.provisionFeatures(features) === undefined;
          expect(device.provisionedFeatures.equals(done ? features : before)).toBe(true);
          const offered = device.offeredFeatures;
          expect(offered.isSubsetOf(device.provisionedFeatures)).toBe(true);
          expect(offered.isSubsetOf(OFFERED.without(...withheld))).toBe(true);
          expect(offered.has(1) && !offered.has(0)).toBe(false);
          expect(offered.has(VIRTIO_F_VERSION_1)).toBe(true);
        }
      }),
    );
  });
});

describe("a device that is watched", () => {
  function watched() {
    const { device } = makeDevice();
    const told: unknown[] = [];
    const watcher: ProvisionWatcher = {
      changed: (id, what) =>
        void told.push([id, what, device.status, device.provisionedFeatures.has(1)]),
    };
    expect(device.watch(watcher, 4)).toBe(true);
    return { device, told, watcher };
  }

  it("tells when it comes into use and goes out of it, and of nothing in between", () => {
    const { device, told } = watched();
    for (const status of [0, 1, 3, 3, 0, 0, 1]) device.writeStatus(status);
    device.reset();
    expect(told).toEqual([
      [4, "use", 1, true],
      [4, "use", 0, true],
      [4, "use", 1, true],
      [4, "use", 0, true],
    ]);
  });

  it("tells of an error before any driver came, and of a state that is restored", () => {
    const model = new FillModel();
    const device = new VirtioDevice({ model, memory: makeMemory().memory });
    const told: number[] = [];
    device.watch({ changed: () => void told.push(device.status) }, 4);
    model.host.needsReset("planted");
    device.reset();
    device.writeStatus(STATUS.ACKNOWLEDGE);
    const state = device.saveState();
    device.reset();
    const change = device.prepareState(state);
    change.apply();
    change.undo();
    expect(told).toEqual([STATUS.DEVICE_NEEDS_RESET, 0, 1, 0, 1, 0]);
  });

  it("tells of other features once they are settled or its transport brings them", () => {
    const { device, told } = watched();
    expect(device.provisionFeatures(OFFERED.with(5))).toBe("invalid");
    expect(device.provisionFeatures(OFFERED.without(1))).toBeUndefined();
    device.withholdFeatures([0]);
    device.connect({
      transport: "test",
      reservedFeatures: [],
      usedBuffers() {},
      configurationChange() {},
      deviceReset() {},
    });
    expect(told).toEqual([
      [4, "features", 0, false],
      [4, "features", 0, false],
    ]);
  });

  it("tells one at a time", () => {
    const { device, told, watcher } = watched();
    expect(device.watch({ changed: () => void told.push("another") }, 5)).toBe(false);
    device.writeStatus(1);
    expect(device.watch(undefined, 4)).toBe(true);
    device.reset();
    expect(told).toEqual([[4, "use", 1, true]]);
    expect(device.watch(watcher, 6)).toBe(true);
  });

  it("tells for a member of it, where it can", () => {
    const { device } = makeDevice();
    const told: unknown[] = [];
    const watcher: ProvisionWatcher = { changed: (id, what) => void told.push([id, what]) };
    const silent: ProvisionableDevice = {
      status: 0,
      defaultFeatures: OFFERED,
      provisionedFeatures: OFFERED,
      provisionFeatures: () => undefined,
    };
    expect(new DeviceMember(8, silent).watch(watcher)).toBe(false);
    expect(new DeviceMember(9, device).watch(watcher)).toBe(true);
    expect(new DeviceMember(10, device).watch(watcher)).toBe(false);
    device.writeStatus(1);
    expect(told).toEqual([[9, "use"]]);
  });

  it("offers what others like it offer as the same object", () => {
    const [one, two] = [makeDevice().device, makeDevice().device];
    expect(one.offeredFeatures).toBe(two.offeredFeatures);
    one.provisionFeatures(OFFERED.without(1));
    two.provisionFeatures(OFFERED.without(1));
    expect(one.provisionedFeatures).toBe(two.provisionedFeatures);
    expect(one.defaultFeatures.equals(OFFERED)).toBe(true);
  });
});

describe("a device as a member", () => {
  it("has the features of the device and no MSI-X", () => {
    const { device } = makeDevice();
    const member: ManagedMember = new DeviceMember(9, device);
    expect([member.id, member.deviceStatus, isMemberInUse(member)]).toEqual([9, 0, false]);
    expect([member.msixEnabled, member.msixVectors, member.provisionVectors]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(member.offeredFeatures.equals(OFFERED)).toBe(true);
    expect(member.settableFeatures.equals(OFFERED.without(VIRTIO_F_VERSION_1))).toBe(true);
    device.writeStatus(STATUS.ACKNOWLEDGE);
    expect([member.deviceStatus, isMemberInUse(member)]).toEqual([1, true]);
  });

  it("changes only what its maker lets it", () => {
    const { device } = makeDevice();
    const settable = FeatureSet.of(1, 5, VIRTIO_F_VERSION_1);
    const member = new DeviceMember(9, device, { settable });
    expect(member.settableFeatures.bits()).toEqual([1]);
    expect(member.provisionFeatures(OFFERED.without(VIRTIO_F_RING_RESET))).toBe("invalid");
    expect(member.provisionFeatures(OFFERED.with(5))).toBe("invalid");
    expect(device.offeredFeatures.equals(OFFERED)).toBe(true);
    expect(member.provisionFeatures(OFFERED.without(1))).toBeUndefined();
    expect(member.provisionFeatures(OFFERED)).toBeUndefined();
  });

  it("goes back to its defaults, once it was reset", () => {
    const { device } = makeDevice();
    const member = new DeviceMember(9, device);
    member.provisionFeatures(OFFERED.without(1));
    device.writeStatus(STATUS.ACKNOWLEDGE);
    expect(restoreDefaults(member)).toBe("in use");
    expect(device.offeredFeatures.has(1)).toBe(false);
    device.reset();
    expect(restoreDefaults(member)).toBeUndefined();
    expect(device.offeredFeatures.equals(OFFERED)).toBe(true);
  });
});

describe("a member with MSI-X", () => {
  it("goes back to its defaults with its vectors", () => {
    const member = makeMember(1, 4);
    member.provisionVectors(7);
    member.provisionFeatures(OFFERED.without(1));
    member.msixEnabled = true;
    expect(restoreDefaults(member)).toBe("in use");
    expect(member.msixVectors).toBe(7);
    member.msixEnabled = false;
    expect(restoreDefaults(member)).toBeUndefined();
    expect([member.msixVectors, member.offeredFeatures]).toEqual([4, OFFERED]);
  });

  it("keeps its vectors when it refuses the features", () => {
    const member = makeMember(1, 4);
    member.provisionVectors(7);
    const refusing = { ...member, provisionFeatures: () => "in use" as const };
    expect(restoreDefaults(refusing)).toBe("in use");
    expect(member.msixVectors).toBe(7);
  });
});

describe("a group that keeps count", () => {
  const keeping = (free: number): ManagedGroup => ({
    type: SR_IOV_GROUP,
    exists: true,
    memberCount: 1,
    hasMember: (id) => id === 1,
    msix: { total: 10, min: 1, max: 4, free },
    member: () => undefined,
    managedMembers: () => {
      throw new Error("nobody has to look at the members");
    },
  });

  it("is believed how many vectors are free, as long as it can be", () => {
    expect([keeping(7), keeping(0), keeping(-1)].map(freeVectors)).toEqual([7, 0, 0]);
  });
});

describe("a platform group of members that may be provisioned", () => {
  const pool = { total: 10, min: 2, max: 6 };

  it("[platform-group-device-3] has members by id, managed or not", () => {
    const managed = new DeviceMember(7, makeDevice().device);
    const group = new PlatformGroup([3, managed]);
    expect(isManagedGroup(group)).toBe(true);
    expect(isManagedGroup(new SelfGroup())).toBe(false);
    expect([group.members, group.memberCount]).toEqual([[3, 7], 2]);
    expect([3, 7, 8].map((id) => group.member(id))).toEqual([undefined, managed, undefined]);
    expect([3, 7, 8].map((id) => group.hasMember(id))).toEqual([true, true, false]);
    expect(group.managedMembers()).toEqual([managed]);
    expect(group.remove(7)).toBe(true);
    expect([group.member(7), group.hasMember(7)]).toEqual([undefined, false]);
  });

  it("refuses an id that is taken, whether or not it is managed", () => {
    const group = new PlatformGroup([3, new DeviceMember(7, makeDevice().device)]);
    for (const id of [3, 7]) {
      expect(() => group.add(new DeviceMember(id, makeDevice().device))).toThrow(invalid);
    }
    expect(() => group.add(new DeviceMember(-1, makeDevice().device))).toThrow(invalid);
    expect(group.members).toEqual([3, 7]);
  });

  it("counts the vectors that its members have", () => {
    const [one, two] = [makeMember(1, 4), makeMember(2, 2)];
    const group = new PlatformGroup([one, 9, two], { msix: pool });
    expect(freeVectors(group)).toBe(4);
    two.provisionVectors(5);
    expect(freeVectors(group)).toBe(1);
    two.provisionVectors(12);
    expect(freeVectors(group)).toBe(0);
    group.remove(2);
    expect(freeVectors(group)).toBe(6);
    expect(freeVectors(new PlatformGroup([1]))).toBe(0);
  });

  it("refuses members that the pool has no vectors for, and is as before", () => {
    const group = new PlatformGroup([makeMember(1, 6)], { msix: pool });
    for (const vectors of [0, 1, 2.5, 5, 7, undefined]) {
      expect(() => group.add(makeMember(2, vectors))).toThrow(invalid);
    }
    expect([group.members, freeVectors(group)]).toEqual([[1], 4]);
    group.add(makeMember(2, 4));
    expect(freeVectors(group)).toBe(0);
    expect(() => new PlatformGroup([makeMember(1, 4)])).toThrow(invalid);
  });

  it.each([
    { total: -1, min: 1, max: 1 },
    { total: 2 ** 32, min: 1, max: 1 },
    { total: 1.5, min: 1, max: 1 },
    { total: 10, min: 0, max: 1 },
    { total: 10, min: 3, max: 2 },
    { total: 10, min: 1, max: 2049 },
    { total: 10, min: 1, max: Number.NaN },
  ])("refuses the pool %o", (msix) => {
    expect(() => new PlatformGroup([], { msix })).toThrow(
      expect.objectContaining({ code: "GROUP_INVALID", path: "group.msix" }),
    );
  });

  it("keeps its pool whatever its maker does to the object", () => {
    const msix = { ...pool };
    const group = new PlatformGroup([], { msix });
    msix.total = 1;
    expect(group.msix).toEqual({ ...pool, free: 10 });
  });
});
