/** The management commands for a platform group that keeps the vectors of its members. */
import { describe, expect, it } from "vitest";
import { FEATURE, FeatureSet, STATUS, type VirtioDevice } from "../../src/device/index.ts";
import { DeviceMember, PlatformGroup, SelfGroup } from "../../src/group/index.ts";
import { restoreSnapshot, takeSnapshot } from "../../src/snapshot/index.ts";
import {
  count,
  EBUSY,
  INVALID_FIELD,
  INVALID_MEMBER,
  ManagementRig,
  makeMemberDevice,
  NORESOURCE,
  OK,
  OP_MGMT,
  PLATFORM,
  SETTABLE,
  VanishingGroup,
} from "./management-rig.ts";

const { ATTRS, COUNT_GET, COUNT_SET, FEATURES_GET } = OP_MGMT;

/** Members 3 and 7 with 4 vectors each at first, of 12, and member 20 by its id alone. */
class KeptRig extends ManagementRig {
  readonly devices: readonly VirtioDevice[];
  readonly kept: PlatformGroup;

  constructor() {
    const devices = [makeMemberDevice(), makeMemberDevice()];
    const members = devices.map((device, i) => new DeviceMember([3, 7][i] ?? 0, device));
    const msix = { total: 12, min: 2, max: 8, vectors: 4 };
    const kept = new PlatformGroup([...members, 20], { msix });
    super({ groups: [new SelfGroup(), new VanishingGroup([], undefined), kept] });
    this.devices = devices;
    this.kept = kept;
  }
}

describe("a platform group that keeps the vectors of its members", () => {
  it("[management-device-10] has them read and set, from one pool", () => {
    const rig = new KeptRig();
    expect(rig.command(COUNT_GET, 7)).toEqual({ outcome: OK, result: "0400040000000000" });
    expect(rig.command(COUNT_SET, 7, count(8)).outcome).toEqual(OK);
    expect(rig.command(COUNT_GET, 7).result).toBe("0800040000000000");
    expect(rig.command(COUNT_SET, 3, count(5)).outcome).toEqual(NORESOURCE);
    expect(rig.command(COUNT_SET, 3, count(2)).outcome).toEqual(OK);
    expect(rig.command(ATTRS, 0).result.slice(16, 48)).toBe("0c000000020000000200080000000000");
    expect([rig.kept.vectorsOf(3), rig.kept.vectorsOf(7), rig.kept.msix?.free]).toEqual([2, 8, 2]);
    for (const wrong of [0, 1, 9, 0xffff]) {
      expect(rig.command(COUNT_SET, 3, count(wrong)).outcome).toEqual(INVALID_FIELD);
    }
  });

  it("[management-device-3] leaves a member in use and one named by its id alone as they are", () => {
    const rig = new KeptRig();
    rig.devices[1]?.writeStatus(STATUS.ACKNOWLEDGE);
    expect(rig.command(COUNT_SET, 7, count(5)).outcome).toEqual(EBUSY);
    expect(rig.command(COUNT_GET, 7).outcome).toEqual(OK);
    expect(rig.command(COUNT_SET, 20, count(5)).outcome).toEqual(INVALID_MEMBER);
    expect(rig.command(COUNT_GET, 20).outcome).toEqual(INVALID_MEMBER);
    rig.devices[1]?.reset();
    expect(rig.command(COUNT_SET, 7, count(5)).outcome).toEqual(OK);
  });

  it("shows what was settled behind the commands", () => {
    const rig = new KeptRig();
    const hex = (features: FeatureSet) => features.word(1).toString(16).padStart(8, "0");
    const without = SETTABLE.without(FEATURE.VIRTIO_F_RING_RESET);
    const before = rig.command(FEATURES_GET, 3).result;
    rig.devices[0]?.provisionFeatures(without.with(FEATURE.VIRTIO_F_VERSION_1));
    expect(rig.command(FEATURES_GET, 3).result).not.toBe(before);
    expect(rig.command(FEATURES_GET, 7).result).toBe(before);
    expect(hex(rig.kept.borrow(3)?.offeredFeatures ?? FeatureSet.EMPTY)).toBe("00000001");
  });

  it("is in a snapshot with them", () => {
    const [from, to] = [new KeptRig(), new KeptRig()];
    from.command(COUNT_SET, 7, count(8));
    from.command(COUNT_SET, 3, count(3));
    from.devices[0]?.writeStatus(STATUS.ACKNOWLEDGE);
    to.command(COUNT_SET, 3, count(8));
    const snapshot = takeSnapshot({ device: from.device, executor: from.executor });
    to.device.reset();
    restoreSnapshot({ device: to.device, executor: to.executor }, snapshot);
    expect([3, 7, 20].map((id) => to.kept.vectorsOf(id))).toEqual([3, 8, undefined]);
    expect([to.kept.members, to.kept.msix?.free]).toEqual([[3, 7, 20], 1]);
    expect(to.kept.borrow(3)?.deviceStatus).toBe(STATUS.ACKNOWLEDGE);
    expect(to.executor.used(PLATFORM)).toEqual(from.executor.used(PLATFORM));
  });
});
