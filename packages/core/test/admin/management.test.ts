import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MANAGEMENT_FAMILY } from "../../src/admin/index.ts";
import { FEATURE, FeatureSet, STATUS } from "../../src/device/index.ts";
import { DeviceMember, PlatformGroup, SelfGroup } from "../../src/group/index.ts";
import {
  count,
  EBUSY,
  INVALID_FIELD,
  INVALID_GROUP,
  INVALID_MEMBER,
  ManagementRig,
  MEMBER_FEATURES,
  makeMemberDevice,
  NORESOURCE,
  OK,
  OP_MGMT,
  PLATFORM,
  SRIOV,
  switching,
  take,
} from "./management-rig.ts";
import { AdminRig, answerOf, hex, request, unhex } from "./rig.ts";

const { VIRTIO_F_EVENT_IDX, VIRTIO_F_VERSION_1 } = FEATURE;
const { ATTRS, COUNT_GET, COUNT_SET, FEATURES_GET, FEATURES_SET } = OP_MGMT;
const NONE = FeatureSet.EMPTY;
const set = (...bits: number[]) => FeatureSet.of(...bits);
const bare = (text: string) => text.replaceAll(" ", "");

/** LIST_QUERY of a platform group, as it stands in the buffer. */
function listOf(rig: AdminRig, group = PLATFORM) {
  const answer = rig.send({ readable: request(0, group, 0), writableLength: 8 + 64 })!;
  return { outcome: answerOf(answer.bytes), list: hex(answer.bytes.subarray(8, answer.used)) };
}

describe("the list of management commands", () => {
  it("[management-device-2] [platform-group-device-5] has five words, and nothing but lists and management", () => {
    const words = "0300000000000000 0000000000000000 0000000000000000 0000000000000000";
    expect(listOf(new ManagementRig())).toEqual({
      outcome: OK,
      list: bare(`${words} 1f00000000000000`),
    });
  });

  it("[management-device-11] lacks the MSI-X commands where members have none", () => {
    const members = [new DeviceMember(3, makeMemberDevice())];
    const groups = [new SelfGroup(), new PlatformGroup(members)];
    const rig = new AdminRig({ groups, families: [MANAGEMENT_FAMILY] });
    expect(rig.executor.supported(PLATFORM)).toEqual([0, 1, ATTRS, FEATURES_GET, FEATURES_SET]);
    rig.useAll(PLATFORM);
    for (const opcode of [COUNT_GET, COUNT_SET]) {
      const readable = request(opcode, PLATFORM, 3, count(4));
      expect(answerOf(rig.send({ readable, writableLength: 16 })!.bytes)).toEqual([22, 2]);
    }
    const use = new Uint8Array(40);
    use[0] = 3;
    use[COUNT_SET >> 3] = 1 << (COUNT_SET & 7);
    const listUse = request(1, PLATFORM, 0, use);
    expect(answerOf(rig.send({ readable: listUse, writableLength: 8 })!.bytes)).toEqual(
      INVALID_FIELD,
    );
  });

  it("[management-device-1] is not there unless the maker asked for it", () => {
    const groups = () => [new PlatformGroup([new DeviceMember(3, makeMemberDevice())])];
    expect(listOf(new AdminRig({ groups: groups(), families: [] }))).toEqual({
      outcome: OK,
      list: "0300000000000000",
    });
    const asked = new AdminRig({ groups: groups(), families: [MANAGEMENT_FAMILY] });
    expect(asked.executor.supported(PLATFORM)).toContain(ATTRS);
  });

  it("is not there for groups of another type, nor for one whose members cannot be provisioned", () => {
    const plain = {
      type: { id: SRIOV, name: "SR-IOV", private: false, transports: "any", cite: "test" } as const,
      exists: true,
      memberCount: 1,
      hasMember: (id: number) => id === 1,
    };
    const rig = new AdminRig({
      groups: [new SelfGroup(), plain],
      families: [MANAGEMENT_FAMILY],
    });
    expect([rig.executor.supported(0), rig.executor.supported(SRIOV)]).toEqual([
      [0, 1],
      [0, 1],
    ]);
  });

  it("[platform-group-device-1] [platform-group-device-6] has no platform group that nobody made", () => {
    const rig = new AdminRig({ groups: [new SelfGroup()], families: [MANAGEMENT_FAMILY] });
    expect(listOf(rig).outcome).toEqual(INVALID_GROUP);
    const readable = request(ATTRS, PLATFORM, 0);
    expect(answerOf(rig.send({ readable, writableLength: 64 })!.bytes)).toEqual(INVALID_GROUP);
  });
});

describe("getting commands", () => {
  it("[platform-group-device-2] [management-device-3] report the pool and what can be switched, whatever the member id", () => {
    const rig = new ManagementRig();
    // 3 members of 4 vectors leave 8 of 20; VIRTIO_F_VERSION_1, bit 32, is not in 0x100_3000_0003.
    const attrs =
      "0300000000000000 14000000 08000000 0200 0800 00000000 0300003000010000 0000000010000000";
    for (const member of [0, 3, 99, 2n ** 64n - 1n]) {
      expect(rig.command(ATTRS, member)).toEqual({ outcome: OK, result: bare(attrs) });
    }
  });

  it("report no pool, and nothing that can be switched, where there is nothing", () => {
    const groups = [new PlatformGroup([5])];
    const rig = new AdminRig({ groups, families: [MANAGEMENT_FAMILY] });
    rig.useAll(PLATFORM);
    const readable = request(ATTRS, PLATFORM, 0);
    const { bytes } = rig.send({ readable, writableLength: 8 + 40 })!;
    expect(hex(bytes)).toBe(`00000000000000000200000000000000${"00".repeat(32)}`);
  });

  it("report what can be switched on any of the members", () => {
    const members = [set(0, 100), set(VIRTIO_F_EVENT_IDX, VIRTIO_F_VERSION_1)].map(
      (settable, id) => new DeviceMember(id, makeMemberDevice(), { settable }),
    );
    const groups = [new PlatformGroup(members)];
    const rig = new AdminRig({ groups, families: [MANAGEMENT_FAMILY] });
    rig.useAll(PLATFORM);
    const readable = request(ATTRS, PLATFORM, 0);
    const { bytes } = rig.send({ readable, writableLength: 8 + 40 })!;
    expect(hex(bytes.subarray(8 + 24))).toBe(bare("0100002000000000 0000000010000000"));
  });

  it("[management-device-8] believe a group that knows what can be switched, but for VIRTIO_F_VERSION_1", () => {
    const rig = new ManagementRig();
    Object.defineProperty(rig.virtual, "settableFeatures", { value: set(2, VIRTIO_F_VERSION_1) });
    const { result } = rig.command(ATTRS, 0, undefined, { group: SRIOV });
    expect(result.slice(2 * 24)).toBe(bare("0400000000000000 0000000000000000"));
  });

  it("report a member's vectors and its default", () => {
    const rig = new ManagementRig();
    expect(rig.command(COUNT_SET, 7, count(6)).outcome).toEqual(OK);
    expect(rig.command(COUNT_GET, 7)).toEqual({ outcome: OK, result: "0600040000000000" });
    expect(rig.command(COUNT_GET, 3)).toEqual({ outcome: OK, result: "0400040000000000" });
  });

  it("[management-device-8] report a member's features; VIRTIO_F_VERSION_1 is offered and not settable", () => {
    const rig = new ManagementRig();
    const words = [
      "0300003001010000", // 0, 1, 28, 29, 32, 40
      "0300003000010000",
      "0000000010000000", // 100
      "0000000010000000",
    ];
    expect(rig.command(FEATURES_GET, 3)).toEqual({ outcome: OK, result: words.join("") });
  });

  it("answer at their full length what a buffer has room for, all zero when they fail", () => {
    const rig = new ManagementRig();
    expect(rig.command(COUNT_GET, 3, undefined, { room: 1 }).result).toBe("04");
    expect(rig.command(COUNT_GET, 4)).toEqual({ outcome: INVALID_MEMBER, result: "00".repeat(8) });
    expect(rig.command(FEATURES_GET, 4).result).toBe("00".repeat(32));
  });

  it("serve a member that is in use", () => {
    const rig = new ManagementRig();
    take(rig.first);
    rig.first.msixEnabled = true;
    for (const opcode of [COUNT_GET, FEATURES_GET]) {
      expect(rig.command(opcode, 3).outcome).toEqual(OK);
    }
  });
});

describe("members", () => {
  it.each([COUNT_GET, COUNT_SET, FEATURES_GET, FEATURES_SET])(
    "[platform-group-device-4] [management-device-16] opcode 0x%x fails for an id that is no member",
    (opcode) => {
      const rig = new ManagementRig();
      const before = rig.state();
      const data = opcode === COUNT_SET ? count(5) : switching(set(0), NONE);
      for (const member of [0, 4, 2 ** 53, 2n ** 64n - 1n]) {
        expect(rig.command(opcode, member, data).outcome).toEqual(INVALID_MEMBER);
      }
      expect(rig.state()).toEqual(before);
    },
  );

  it("[platform-group-device-4] that left are members no more, and their vectors are free", () => {
    const rig = new ManagementRig();
    rig.group.remove(3);
    expect(rig.command(COUNT_SET, 3, count(5)).outcome).toEqual(INVALID_MEMBER);
    expect(rig.command(ATTRS, 0).result.slice(24, 32)).toBe("0c000000");
    rig.group.add(rig.first);
    expect(rig.command(COUNT_SET, 3, count(5)).outcome).toEqual(OK);
  });

  it("that are named by their id alone cannot be provisioned", () => {
    const rig = new ManagementRig();
    rig.group.add(5);
    for (const opcode of [COUNT_GET, COUNT_SET, FEATURES_GET, FEATURES_SET]) {
      expect(rig.command(opcode, 5, count(5)).outcome).toEqual(INVALID_MEMBER);
    }
  });
});

describe("FEATURES_SET", () => {
  it("[management-device-4] replaces the masked bits and no others", () => {
    const rig = new ManagementRig();
    const { virtio: device } = rig.first;
    const off = switching(set(1, 100), NONE);
    expect(rig.command(FEATURES_SET, 3, off).outcome).toEqual(OK);
    expect(device.offeredFeatures.equals(MEMBER_FEATURES.without(1, 100))).toBe(true);
    const back = switching(set(1, 28), set(1));
    expect(rig.command(FEATURES_SET, 3, back).outcome).toEqual(OK);
    expect(device.offeredFeatures.equals(MEMBER_FEATURES.without(100, 28))).toBe(true);
    expect(rig.members[1]!.virtio.offeredFeatures.equals(MEMBER_FEATURES)).toBe(true);
  });

  it.each([0, 1, 8, 16, 24, 31])(
    "[management-device-4] changes only what its first %i bytes name when it is short",
    (length) => {
      const rig = new ManagementRig();
      const whole = switching(set(1, 100), set(1));
      expect(rig.command(FEATURES_SET, 3, whole.subarray(0, length)).outcome).toEqual(OK);
      // Bit 1 is switched by the first byte, to the value of the ninth; bit 100 by byte 20.
      const off = [...(length > 0 && length <= 8 ? [1] : []), ...(length > 20 ? [100] : [])];
      expect(rig.first.offeredFeatures.bits()).toEqual(MEMBER_FEATURES.without(...off).bits());
    },
  );

  it("[management-device-4] does not look at bytes beyond its structure", () => {
    const rig = new ManagementRig();
    const long = new Uint8Array(4096).fill(0xff);
    long.set(switching(set(100), NONE));
    expect(rig.command(FEATURES_SET, 3, long).outcome).toEqual(OK);
    expect(rig.first.offeredFeatures.equals(MEMBER_FEATURES.without(100))).toBe(true);
  });

  it.each([
    ["[management-device-5] a mask bit that is not settable", set(0, 1, 2), NONE],
    ["[management-device-5] a mask bit that is not settable, high", set(127), NONE],
    ["[management-device-8] VIRTIO_F_VERSION_1 off", set(VIRTIO_F_VERSION_1), NONE],
    [
      "[management-device-8] VIRTIO_F_VERSION_1 on, as it is",
      set(VIRTIO_F_VERSION_1),
      set(VIRTIO_F_VERSION_1),
    ],
    ["[management-device-6] a value bit outside the mask", set(1), set(100)],
    ["[management-device-6] a value bit outside the mask that is on already", NONE, set(0)],
    ["[management-device-7] a feature without the one it requires", set(0), NONE],
  ])("[management-device-16] fails, and changes nothing, for %s", (_, mask, value) => {
    const rig = new ManagementRig();
    const before = rig.state();
    expect(rig.command(FEATURES_SET, 3, switching(mask, value)).outcome).toEqual(INVALID_FIELD);
    expect(rig.state()).toEqual(before);
  });

  it("[management-device-7] looks at what would be, not at what is", () => {
    const rig = new ManagementRig();
    expect(rig.command(FEATURES_SET, 3, switching(set(0, 1), NONE)).outcome).toEqual(OK);
    expect(rig.command(FEATURES_SET, 3, switching(set(1), set(1))).outcome).toEqual(INVALID_FIELD);
    expect(rig.command(FEATURES_SET, 3, switching(set(0, 1), set(0, 1))).outcome).toEqual(OK);
    expect(rig.first.offeredFeatures.equals(MEMBER_FEATURES)).toBe(true);
  });

  it("[management-device-8] is not fooled by a member that calls VIRTIO_F_VERSION_1 settable", () => {
    const rig = new ManagementRig();
    Object.defineProperty(rig.first, "settableFeatures", { value: MEMBER_FEATURES });
    const version = set(VIRTIO_F_VERSION_1);
    expect(rig.command(FEATURES_SET, 3, switching(version, NONE)).outcome).toEqual(INVALID_FIELD);
    expect(rig.command(FEATURES_GET, 3).result.slice(16, 32)).toBe("0300003000010000");
  });
});

describe("MSIX_COUNT_SET", () => {
  it.each([0, 1, 9, 2048, 2049, 0xffff])(
    "[management-device-9] [management-device-16] fails, and changes nothing, for %i of 2 to 8 vectors",
    (vectors) => {
      const rig = new ManagementRig();
      const before = rig.state();
      expect(rig.command(COUNT_SET, 3, count(vectors)).outcome).toEqual(INVALID_FIELD);
      expect(rig.state()).toEqual(before);
    },
  );

  it("[management-device-9] takes 2048 vectors and no more where the pool says so", () => {
    const rig = new ManagementRig();
    // A group of somebody else's, with a pool that no table could hold.
    Object.defineProperty(rig.virtual, "msix", { value: { total: 9000, min: 0, max: 4096 } });
    const send = (vectors: number) =>
      rig.command(COUNT_SET, 1, count(vectors), { group: SRIOV }).outcome;
    expect([send(2048), send(2049), send(0), send(1)]).toEqual([
      OK,
      INVALID_FIELD,
      INVALID_FIELD,
      OK,
    ]);
  });

  it("[management-device-10] [management-device-16] fails, and changes nothing, when the pool is short", () => {
    const rig = new ManagementRig();
    expect(rig.command(COUNT_SET, 3, count(8)).outcome).toEqual(OK);
    expect(rig.command(COUNT_SET, 7, count(7)).outcome).toEqual(OK);
    const before = rig.state();
    expect(rig.command(COUNT_SET, 11, count(6)).outcome).toEqual(NORESOURCE);
    expect(rig.state()).toEqual(before);
    expect(rig.command(COUNT_SET, 11, count(5)).outcome).toEqual(OK);
    expect(rig.command(ATTRS, 0).result.slice(16, 32)).toBe("1400000000000000");
    // The last of the pool: a member may have fewer and the same again.
    expect(rig.command(COUNT_SET, 3, count(8)).outcome).toEqual(OK);
    expect(rig.command(COUNT_SET, 3, count(7)).outcome).toEqual(OK);
    expect(rig.command(COUNT_SET, 11, count(6)).outcome).toEqual(OK);
  });

  it("takes fewer vectors from a member although the pool is overdrawn", () => {
    const rig = new ManagementRig();
    rig.first.msixVectors = 18;
    expect(rig.command(ATTRS, 0).result.slice(16, 32)).toBe("1400000000000000");
    expect(rig.command(COUNT_SET, 7, count(5)).outcome).toEqual(NORESOURCE);
    expect(rig.command(COUNT_SET, 7, count(3)).outcome).toEqual(OK);
  });

  it("reads a short command as extended by zeros, and ignores reserved and further bytes", () => {
    const rig = new ManagementRig();
    expect(rig.command(COUNT_SET, 3, new Uint8Array(0)).outcome).toEqual(INVALID_FIELD);
    expect(rig.command(COUNT_SET, 3, unhex("05")).outcome).toEqual(OK);
    expect(rig.first.msixVectors).toBe(5);
    expect(rig.command(COUNT_SET, 3, unhex("0600ffffffffffffffffff")).outcome).toEqual(OK);
    expect(rig.first.msixVectors).toBe(6);
  });

  it("fails for a member without MSI-X in a group of somebody else's that has a pool", () => {
    const rig = new ManagementRig();
    Object.defineProperty(rig.virtual.all[0]!, "msixVectors", { value: undefined });
    for (const opcode of [COUNT_GET, COUNT_SET]) {
      const { outcome } = rig.command(opcode, 1, count(5), { group: SRIOV });
      expect(outcome).toEqual(INVALID_MEMBER);
    }
  });
});

describe("a member in use", () => {
  const statuses = [STATUS.ACKNOWLEDGE, STATUS.ACKNOWLEDGE | STATUS.DRIVER, STATUS.FAILED];

  it.each(statuses)(
    "[management-device-13] [management-device-16] is left alone while its status is 0x%x",
    (status) => {
      const rig = new ManagementRig();
      rig.first.virtio.writeStatus(status);
      const before = rig.state();
      expect(rig.first.deviceStatus).toBe(status);
      expect(rig.command(COUNT_SET, 3, count(5)).outcome).toEqual(EBUSY);
      expect(rig.command(FEATURES_SET, 3, switching(set(100), NONE)).outcome).toEqual(EBUSY);
      expect(rig.command(FEATURES_SET, 3, new Uint8Array(0)).outcome).toEqual(EBUSY);
      expect(rig.state()).toEqual(before);
      rig.first.virtio.reset();
      expect(rig.command(COUNT_SET, 3, count(5)).outcome).toEqual(OK);
    },
  );

  it("[management-device-13] is left alone while its MSI-X is enabled", () => {
    const rig = new ManagementRig();
    rig.first.msixEnabled = true;
    const before = rig.state();
    expect(rig.command(COUNT_SET, 3, count(5)).outcome).toEqual(EBUSY);
    expect(rig.command(FEATURES_SET, 3, switching(set(100), NONE)).outcome).toEqual(EBUSY);
    expect(rig.state()).toEqual(before);
    expect(rig.command(COUNT_SET, 7, count(5)).outcome).toEqual(OK);
  });

  it("[management-device-13] is told apart from an invalid field, and from a pool that is short", () => {
    const rig = new ManagementRig();
    rig.command(COUNT_SET, 7, count(8));
    rig.command(COUNT_SET, 11, count(7));
    take(rig.first);
    expect(rig.command(COUNT_SET, 3, count(0)).outcome).toEqual(INVALID_FIELD);
    expect(rig.command(COUNT_SET, 3, count(8)).outcome).toEqual(EBUSY);
    expect(rig.command(FEATURES_SET, 3, switching(set(2), NONE)).outcome).toEqual(INVALID_FIELD);
  });

  it("[management-device-13] is not asked at all, whatever it would say", () => {
    const rig = new ManagementRig();
    const asked: string[] = [];
    rig.first.provisionVectors = () => void asked.push("vectors");
    rig.first.provisionFeatures = () => void asked.push("features");
    take(rig.first);
    expect(rig.command(COUNT_SET, 3, count(5)).outcome).toEqual(EBUSY);
    expect(rig.command(FEATURES_SET, 3, switching(set(100), NONE)).outcome).toEqual(EBUSY);
    expect(asked).toEqual([]);
  });

  it.each([
    ["in use" as const, EBUSY],
    ["invalid" as const, INVALID_FIELD],
  ])("that itself refuses, saying %o, has the last word", (refusal, outcome) => {
    const rig = new ManagementRig();
    rig.first.provisionVectors = () => refusal;
    rig.first.provisionFeatures = () => refusal;
    const before = rig.state();
    expect(rig.command(COUNT_SET, 3, count(5)).outcome).toEqual(outcome);
    expect(rig.command(FEATURES_SET, 3, switching(set(100), NONE)).outcome).toEqual(outcome);
    expect(rig.state()).toEqual(before);
  });

  it("that throws fails the command and not the device", () => {
    const rig = new ManagementRig();
    rig.first.provisionVectors = () => {
      throw new Error("broken member");
    };
    expect(rig.command(COUNT_SET, 3, count(5)).outcome).toEqual([5, 1]);
    expect(rig.faults).toHaveLength(1);
    expect(rig.command(COUNT_SET, 7, count(5)).outcome).toEqual(OK);
  });
});

describe("what was set", () => {
  it("[management-device-14] survives resets of the member, of the owner and of the owner's queues", () => {
    const rig = new ManagementRig();
    const { virtio: device } = rig.first;
    rig.command(COUNT_SET, 3, count(6));
    rig.command(FEATURES_SET, 3, switching(set(100), NONE));
    const before = rig.state();
    device.reset();
    take(rig.first);
    device.reset();
    rig.device.resetQueue(rig.port.index);
    rig.restart();
    expect(rig.state()).toEqual(before);
    expect(rig.command(COUNT_GET, 3).result).toBe("0600040000000000");
    expect(device.offeredFeatures.has(100)).toBe(false);
  });

  it("is what the member's own driver negotiates about", () => {
    const rig = new ManagementRig();
    const { virtio: device } = rig.first;
    const accepts = (features: FeatureSet) => {
      device.reset();
      device.writeStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
      for (let word = 0; word < 4; word++) device.writeDriverFeatures(word, features.word(word));
      device.writeStatus(device.status | STATUS.FEATURES_OK);
      const accepted = (device.status & STATUS.FEATURES_OK) !== 0;
      device.reset();
      return accepted;
    };
    expect(accepts(MEMBER_FEATURES)).toBe(true);
    rig.command(FEATURES_SET, 3, switching(set(VIRTIO_F_EVENT_IDX), NONE));
    expect(accepts(MEMBER_FEATURES)).toBe(false);
    expect(accepts(MEMBER_FEATURES.without(VIRTIO_F_EVENT_IDX))).toBe(true);
  });

  it("[management-device-15] is gone when the members vanish, and their vectors are free", () => {
    const rig = new ManagementRig();
    const options = { group: SRIOV };
    const fresh = rig.state();
    expect(rig.command(COUNT_SET, 1, count(8), options).outcome).toEqual(OK);
    expect(rig.command(FEATURES_SET, 2, switching(set(1), NONE), options).outcome).toEqual(OK);
    take(rig.virtual.all[2]!);
    rig.virtual.all[2]!.msixEnabled = true;
    rig.virtual.vanish();
    for (const opcode of Object.values(OP_MGMT)) {
      expect(rig.command(opcode, 1, count(5), options).outcome).toEqual(INVALID_GROUP);
    }
    rig.virtual.exists = true;
    expect(rig.state()).toEqual(fresh);
    expect(rig.command(COUNT_GET, 1, undefined, options).result).toBe("0400040000000000");
  });
});

describe("any command", () => {
  const word = fc.constantFrom(0n, 1n, 2n, 3n, 1n << 28n, 1n << 32n, 1n << 36n, (1n << 64n) - 1n);
  const features = fc.tuple(word, word, word, word).map((words) => {
    const bytes = new Uint8Array(32);
    const view = new DataView(bytes.buffer);
    words.forEach((value, i) => void view.setBigUint64(8 * i, value, true));
    return bytes;
  });
  const body = fc.oneof(
    fc.integer({ min: 0, max: 12 }).map(count),
    features,
    fc.uint8Array({ maxLength: 48 }),
    fc.tuple(features, fc.nat(32)).map(([bytes, length]) => bytes.subarray(0, length)),
  );
  const bits = fc.subarray([0, 1, 28, 29, 32, 100, 127]);
  const likely = fc.tuple(bits, bits).map(([mask, value]) => {
    const inside = value.filter((bit) => mask.includes(bit));
    return switching(set(...mask), set(...inside));
  });
  const step = fc.record({
    command: fc.oneof(
      {
        weight: 2,
        arbitrary: fc.record({
          opcode: fc.constant<number>(COUNT_SET),
          body: fc.integer({ min: 1, max: 10 }).map(count),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ opcode: fc.constant<number>(FEATURES_SET), body: likely }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ opcode: fc.integer({ min: 0x00ff, max: 0x0105 }), body }),
      },
    ),
    group: fc.constantFrom(PLATFORM, PLATFORM, SRIOV, 0),
    // Member 3 is in both groups.
    member: fc.constantFrom(0, 1, 2, 3, 3, 3, 4, 7, 11, 2 ** 53),
    room: fc.constantFrom(0, 8, 32, 40, 64),
    event: fc.constantFrom(
      ...["none", "none", "none", "none", "reset", "reset", "disable", "appear"],
      ...["take", "enable", "vanish"],
    ),
  });

  it("[management-device-13] [management-device-16] that gets or fails changes nothing; one that sets changes what it names", () => {
    let [succeeded, failed] = [0, 0];
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
        const rig = new ManagementRig();
        const all = [...rig.members, ...rig.virtual.all];
        for (const { command, group, member, room, event } of steps) {
          const { opcode, body } = command;
          const subject = all[member % all.length]!;
          if (event === "take") take(subject);
          if (event === "reset") subject.virtio.reset();
          if (event === "enable" || event === "disable") subject.msixEnabled = event === "enable";
          if (event === "vanish") rig.virtual.vanish();
          if (event === "appear") rig.virtual.exists = true;
          const found = (group === PLATFORM ? rig.group : rig.virtual).member(member);
          const busy = found !== undefined && (found.deviceStatus !== 0 || found.msixEnabled);
          const before = structuredClone(rig.state());
          const { outcome } = rig.command(opcode, member, body, { group, room });
          const sets = opcode === COUNT_SET || opcode === FEATURES_SET;
          if (!sets || outcome[0] !== 0) expect(rig.state()).toEqual(before);
          else {
            const changed = expected(before, opcode, group, member, body);
            expect(rig.state()).toEqual(changed);
          }
          if (sets) {
            expect(busy && outcome[0] === 0).toBe(false);
            if (outcome[0] === 0) succeeded++;
            else failed++;
          }
        }
        expect(rig.faults).toEqual([]);
      }),
      { numRuns: 150 },
    );
    expect(succeeded).toBeGreaterThan(0);
    expect(failed).toBeGreaterThan(0);
  });
});

interface MemberState {
  readonly id: number;
  readonly vectors: number;
  readonly offered: string;
}

/** The state after a setting command that succeeded, by arithmetic on the state before. */
function expected(
  before: unknown,
  opcode: number,
  group: number,
  member: number,
  body: Uint8Array,
): unknown {
  const groups = structuredClone(before) as { free: number; members: MemberState[] }[];
  const at = groups[group === PLATFORM ? 0 : 1]!;
  const data = new DataView(new ArrayBuffer(32));
  new Uint8Array(data.buffer).set(body.subarray(0, 32));
  at.members = at.members.map((state) => {
    if (state.id !== member) return state;
    if (opcode === COUNT_SET) {
      const vectors = data.getUint16(0, true);
      at.free += state.vectors - vectors;
      return { ...state, vectors };
    }
    const wide = (low: number, high: number) =>
      data.getBigUint64(low, true) | (data.getBigUint64(high, true) << 64n);
    const [mask, value] = [wide(0, 16), wide(8, 24)];
    const offered = `0x${((BigInt(state.offered) & ~mask) | value).toString(16)}`;
    return { ...state, offered, read: offered };
  });
  return groups;
}
