/** The SR-IOV group: members that come and go with VF Enable, and what their owner may do to them. */
import {
  AdminCommandError,
  AdminExecutor,
  type CommandFamily,
  type DeviceModel,
  FEATURE,
  FeatureSet,
  freeVectors,
  MANAGEMENT_FAMILY,
  ManagementClient,
  OUTCOME,
  SelfGroup,
} from "@virtio-admin/core";
import { EntropyDriver } from "@virtio-admin/devices";
import { type PciDevice, SriovGroup } from "@virtio-admin/transport-pci";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { makeMember, makeSriovRig, type SriovRig, VF_BARS_AT, VF_ENABLE } from "./sriov-rig.ts";

const { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_RING_RESET } = FEATURE;
const OP = {
  QUERY: 0,
  USE: 1,
  ATTRS: 0x100,
  COUNT_GET: 0x101,
  COUNT_SET: 0x102,
  FEATURES_GET: 0x103,
  FEATURES_SET: 0x104,
};
const OK = [0, 0];
const INVALID_GROUP = [22, 4];
const INVALID_OPCODE = [22, 2];
const INVALID_MEMBER = [22, 5];
const BUSY = [16, 1];
const NORESOURCE = [28, 6];
const POOL = { vectors: 2, total: 20, min: 1, max: 8 };
const NEGOTIATED = { negotiatedBefore: true, msix: POOL };
const STATUS_AT = 20;

/** A rig with VF Enable set and every command in use. */
function ready(count = 4): SriovRig {
  const rig = makeSriovRig(NEGOTIATED);
  rig.enable(count);
  expect(rig.useAll()).toEqual(OK);
  return rig;
}

const setVectors = (rig: SriovRig, id: number, vectors: number) =>
  rig.command(OP.COUNT_SET, id, [vectors & 0xff, vectors >>> 8]);
/** Withdraws VIRTIO_F_RING_RESET (bit 40). */
const withdraw = (rig: SriovRig, id: number) =>
  rig.command(OP.FEATURES_SET, id, [0, 0, 0, 0, 0, 1]);
const msixControlOf = (pci: PciDevice) => {
  let at = pci.configRead(0x34, 1);
  while (pci.configRead(at, 1) !== 0x11) at = pci.configRead(at + 1, 1);
  return at + 2;
};
const tableSizeOf = (pci: PciDevice) => pci.configRead(msixControlOf(pci), 2) & 0x7ff;

describe("commands of the SR-IOV type", () => {
  it("[admin-cmd-device-23-] fail without the capability, whatever they are", () => {
    const rig = makeSriovRig();
    const bare = new AdminExecutor({ groups: [new SelfGroup()], families: [MANAGEMENT_FAMILY] });
    for (const opcode of [...Object.values(OP), 0x7fff]) {
      expect(rig.command(opcode, 1)).toEqual(INVALID_GROUP);
      const request = Uint8Array.of(opcode & 0xff, opcode >>> 8, 1, 0, ...new Array(20).fill(0));
      const response = new Uint8Array(8);
      bare.execute(request, response);
      expect([...response.subarray(0, 4)]).toEqual([22, 0, 4, 0]);
    }
  });

  it("[admin-cmd-device-23-] [group-5-] fail while VF Enable is clear", () => {
    const rig = makeSriovRig(NEGOTIATED);
    for (const opcode of Object.values(OP)) expect(rig.command(opcode, 1)).toEqual(INVALID_GROUP);
    rig.enable(3);
    expect(rig.command(OP.QUERY, 0)).toEqual(OK);
    expect(rig.command(OP.COUNT_GET, 1)).toEqual(INVALID_OPCODE);
    rig.disable();
    for (const opcode of Object.values(OP)) expect(rig.command(opcode, 1)).toEqual(INVALID_GROUP);
  });

  it.each<[number | bigint, readonly number[]]>([
    [0, INVALID_MEMBER],
    [1, OK],
    [4, OK],
    [5, INVALID_MEMBER],
    [8, INVALID_MEMBER],
    [2n ** 32n + 1n, INVALID_MEMBER],
    [2n ** 53n + 1n, INVALID_MEMBER],
    [2n ** 64n - 1n, INVALID_MEMBER],
  ])(
    "[admin-cmd-device-24+-] [group-3+-] [group-4-] with four members, member %s",
    (id, answer) => {
      const rig = ready(4);
      for (const opcode of [OP.COUNT_GET, OP.FEATURES_GET]) {
        expect(rig.command(opcode, id)).toEqual(answer);
      }
    },
  );

  it("keep their list while VF Enable is cleared and set again", () => {
    const rig = ready();
    rig.disable();
    rig.enable(1);
    expect(rig.command(OP.COUNT_GET, 1)).toEqual(OK);
  });

  it("[management-device-11] have no vectors to manage where members have no MSI-X", () => {
    const rig = makeSriovRig({ negotiatedBefore: true, msix: false });
    rig.enable(2);
    expect(rig.executor.supported(1)).toEqual([0, 1, OP.ATTRS, OP.FEATURES_GET, OP.FEATURES_SET]);
    expect([rig.vfs.msix, rig.vfs.member(1)!.msixVectors]).toEqual([undefined, undefined]);
    expect(rig.vfs.member(1)!.provisionVectors?.(1)).toBe("invalid");
  });

  it("[admin-cmd-device-23-] are refused where the group belongs to no physical function", () => {
    const vfs = new SriovGroup({
      totalVfs: 8,
      negotiatedBefore: true,
      msix: POOL,
      makeDevice: (id) => makeMember(id).device,
    });
    expect([vfs.exists, vfs.memberCount, vfs.hasMember(1)]).toEqual([false, 0, false]);
    const executor = new AdminExecutor({
      groups: [new SelfGroup(), vfs],
      families: [MANAGEMENT_FAMILY],
    });
    for (const opcode of Object.values(OP)) {
      const request = Uint8Array.of(opcode & 0xff, opcode >>> 8, 1, 0, ...new Array(20).fill(0));
      request[16] = 1;
      const response = new Uint8Array(64);
      executor.execute(request, response);
      expect([...response.subarray(0, 8)]).toEqual([22, 0, 4, 0, 0, 0, 0, 0]);
    }
  });
});

describe("the vectors of members", () => {
  it("[management-device-12] show in Table Size, and in what the table and the mapping take", () => {
    const rig = ready();
    const vf = rig.functionOf(2);
    expect([tableSizeOf(vf), vf.msixVectors]).toEqual([1, 2]);
    expect(setVectors(rig, 2, 5)).toEqual(OK);
    expect([tableSizeOf(vf), tableSizeOf(rig.functionOf(1))]).toEqual([4, 1]);
    vf.barWrite(0, 16, 2, 4);
    expect(vf.barRead(0, 16, 2)).toBe(4);
    vf.barWrite(0, 16, 2, 5);
    expect(vf.barRead(0, 16, 2)).toBe(0xffff);
    vf.barWrite(1, 4 * 16 + 8, 4, 0x1234);
    vf.barWrite(1, 5 * 16 + 8, 4, 0x1234);
    expect([vf.barRead(1, 4 * 16 + 8, 4), vf.barRead(1, 5 * 16 + 8, 4)]).toEqual([0x1234, 0]);
    vf.barWrite(0, 16, 2, 4);
    expect(setVectors(rig, 2, 1)).toEqual(OK);
    expect(vf.barRead(0, 16, 2)).toBe(0xffff);
    expect(setVectors(rig, 2, 8)).toEqual(OK);
    expect([vf.barRead(1, 4 * 16 + 8, 4), vf.barRead(1, 7 * 16 + 12, 4)]).toEqual([0, 1]);
  });

  it("[management-device-10] come out of one pool", () => {
    const rig = ready(4);
    expect(freeVectors(rig.vfs)).toBe(12);
    expect(setVectors(rig, 1, 8)).toEqual(OK);
    expect(setVectors(rig, 2, 8)).toEqual(OK);
    expect(freeVectors(rig.vfs)).toBe(0);
    expect(setVectors(rig, 3, 3)).toEqual(NORESOURCE);
    expect(rig.vfs.member(3)!.provisionVectors?.(3)).toBe("invalid");
    expect(setVectors(rig, 1, 7)).toEqual(OK);
    expect(setVectors(rig, 3, 3)).toEqual(OK);
    expect(freeVectors(rig.vfs)).toBe(0);
  });

  it("[management-device-13] [management-device-16] stay while the member is in use", () => {
    const rig = ready();
    const vf = rig.functionOf(1);
    vf.barWrite(0, STATUS_AT, 1, 1);
    expect([setVectors(rig, 1, 3), withdraw(rig, 1)]).toEqual([BUSY, BUSY]);
    vf.barWrite(0, STATUS_AT, 1, 0);
    vf.configWrite(msixControlOf(vf), 2, 0x8000);
    expect([setVectors(rig, 1, 3), withdraw(rig, 1)]).toEqual([BUSY, BUSY]);
    const member = rig.vfs.member(1)!;
    expect(member.provisionVectors?.(3)).toBe("in use");
    expect(member.provisionFeatures(member.offeredFeatures)).toBe("in use");
    expect([tableSizeOf(vf), freeVectors(rig.vfs)]).toEqual([1, 12]);
    vf.configWrite(msixControlOf(vf), 2, 0);
    expect([setVectors(rig, 1, 3), withdraw(rig, 1)]).toEqual([OK, OK]);
  });

  it.each<[string, (rig: SriovRig) => void]>([
    ["the member", (rig) => rig.functionOf(1).barWrite(0, STATUS_AT, 1, 0)],
    ["the member's function", (rig) => rig.functionOf(1).reset()],
    ["the owner's device", (rig) => rig.device.reset()],
  ])("[management-device-14] survive a reset of %s", (_name, reset) => {
    const rig = ready();
    setVectors(rig, 1, 5);
    withdraw(rig, 1);
    reset(rig);
    const { device } = rig.members.get(1)!;
    expect([rig.vfs.exists, tableSizeOf(rig.functionOf(1)), freeVectors(rig.vfs)]).toEqual([
      true,
      4,
      9,
    ]);
    expect(device.offeredFeatures.has(VIRTIO_F_RING_RESET)).toBe(false);
  });

  it.each<[string, (rig: SriovRig) => void]>([
    ["VF Enable is cleared", (rig) => rig.disable()],
    ["the owner's function is reset", (rig) => rig.pf.reset()],
  ])("[management-device-15] [group-5+] go back to their defaults when %s", (_name, clear) => {
    const rig = ready();
    setVectors(rig, 1, 5);
    withdraw(rig, 1);
    clear(rig);
    expect([rig.vfs.exists, freeVectors(rig.vfs)]).toEqual([false, 20]);
    rig.enable(8);
    expect([tableSizeOf(rig.functionOf(1)), freeVectors(rig.vfs)]).toEqual([1, 4]);
    const { device } = rig.members.get(1)!;
    expect(device.offeredFeatures.equals(device.defaultFeatures)).toBe(true);
  });

  it("need the capability that shows how many there are", () => {
    const capabilities = ["common", "isr", "notify", "pci-cfg", "express"] as const;
    const placement = { capabilities: capabilities.map((name) => ({ name })) };
    expect(() => makeSriovRig({ placement })).toThrow(
      expect.objectContaining({
        code: "TRANSPORT_OPTIONS",
        path: "sriov.placement.capabilities",
      }),
    );
    expect(makeSriovRig({ placement, msix: false }).vfs.msix).toBeUndefined();
  });

  it("can be the features that the maker says, and no others", () => {
    const settable = FeatureSet.of(VIRTIO_F_RING_RESET);
    const rig = makeSriovRig({ ...NEGOTIATED, settable });
    rig.enable(1);
    rig.useAll();
    expect(rig.vfs.settableFeatures.equals(settable)).toBe(true);
    expect(withdraw(rig, 1)).toEqual(OK);
    expect(rig.command(OP.FEATURES_SET, 1, [0, 0, 0, 0x10])).toEqual([22, 3]);
  });
});

describe("virtual functions that share a shape", () => {
  /** Configuration space and BARs, as far as anything is there. */
  const read = (pci: PciDevice) => {
    const bytes = new Uint8Array(0x110);
    pci.configReadBytes(0, bytes);
    const table = new Uint8Array(POOL.max * 16);
    pci.barReadBytes(1, 0, table);
    const pending = pci.barRead(1, 0x800, 4);
    return [...bytes, ...table, pending, pci.barRead(0, STATUS_AT, 1)].join();
  };

  it("share nothing that a driver or an owner changes", () => {
    const rig = ready();
    const [one, two] = [rig.functionOf(1), rig.functionOf(2)];
    const fresh = read(one);
    expect([one.placement, read(two)]).toEqual([two.placement, fresh]);
    expect(one.placement).toBe(two.placement);
    setVectors(rig, 2, 5);
    two.configWrite(4, 2, 4);
    two.configWrite(msixControlOf(two), 2, 0x4000);
    two.barWrite(1, 16, 4, 0xfee0_0000);
    two.barWrite(1, 28, 4, 0);
    two.barWrite(0, STATUS_AT, 1, 1);
    expect(read(one)).toBe(fresh);
    expect(read(two)).not.toBe(fresh);
    expect(read(rig.functionOf(3))).toBe(fresh);
    two.reset();
    expect(tableSizeOf(two)).toBe(4);
    setVectors(rig, 2, 2);
    expect(read(two)).toBe(fresh);
  });

  it("are told apart where the device of one is another", () => {
    const model = (features: readonly number[], queues: number): DeviceModel => ({
      name: "other",
      deviceId: 4,
      features,
      queues: Array.from({ length: queues }, (_, i) => ({ name: `q${i}`, maxSize: 4 })),
      attach() {},
      queueNotified() {},
      reset() {},
    });
    const rig = makeSriovRig({ ...NEGOTIATED, models: (id) => model([], id) });
    rig.enable(2);
    const queues = [1, 2].map((id) => rig.functionOf(id).barRead(0, 18, 2));
    expect(queues).toEqual([1, 2]);
    expect(rig.functionOf(1).placement).toEqual(rig.functionOf(2).placement);
  });
});

describe("a member", () => {
  it("is one object while it is there, and another one once it is there again", () => {
    const rig = ready();
    const held = rig.vfs.member(2);
    expect(rig.vfs.member(2)).toBe(held);
    expect([...rig.vfs.managedMembers()][1]).toBe(held);
    rig.disable();
    rig.enable(4);
    expect(rig.vfs.member(2)).toBeDefined();
    expect(rig.vfs.member(2)).not.toBe(held);
  });
});

describe("VF Enable cleared by a driver that does not wait", () => {
  it("takes members out of the hands of whoever held them", () => {
    const rig = ready();
    const held = rig.vfs.member(2)!;
    expect(held.provisionVectors?.(3)).toBeUndefined();
    rig.disable();
    rig.enable(4);
    expect([held.deviceStatus, held.msixEnabled, held.msixVectors]).toEqual([0, false, 2]);
    expect(held.provisionVectors?.(5)).toBe("invalid");
    expect(held.provisionFeatures(held.defaults.features)).toBe("invalid");
    expect([freeVectors(rig.vfs), rig.functionOf(2).msixVectors]).toEqual([12, 2]);
    const gone = rig.functionOf(2);
    rig.disable();
    expect([gone.setMsixVectors(3), gone.setMsixVectors(2)]).toEqual(["invalid", undefined]);
    expect([freeVectors(rig.vfs), gone.msixVectors]).toEqual([20, 2]);
  });

  it("lets a command that waits be answered once, without a member", async () => {
    let finish: (() => void) | undefined;
    const seen: unknown[] = [];
    const waiting: CommandFamily = {
      name: "waiting",
      doc: "Waits.",
      private: true,
      commands: [
        {
          opcode: 0x200,
          name: "WAIT",
          groups: [1],
          usesMember: true,
          data: { min: 0, max: 0 },
          result: { min: 0, max: 0 },
          clauses: [],
          doc: "Waits.",
          cite: "test",
        },
      ],
      bind: () => ({
        handlers: {
          512: async (call) => {
            await new Promise<void>((resolve) => {
              finish = resolve;
            });
            seen.push(call.group.hasMember(call.memberId));
            return call.group.hasMember(call.memberId) ? OUTCOME.OK : OUTCOME.INVALID_MEMBER;
          },
        },
      }),
    };
    const rig = makeSriovRig({ families: [MANAGEMENT_FAMILY, waiting] });
    const { client, sriov, owner } = await rig.start();
    await sriov.enable(2, { barsAt: VF_BARS_AT });
    await client.useReported(1);
    const answer = client.execute({ opcode: 0x200, group: 1, member: 2 }).catch((error) => error);
    await expect.poll(() => finish !== undefined).toBe(true);
    await expect(sriov.disable(client)).rejects.toThrow(/outstanding/);
    expect(rig.vfs.exists).toBe(true);
    rig.set("control", 0);
    finish?.();
    expect(await answer).toBeInstanceOf(AdminCommandError);
    expect(seen).toEqual([false]);
    expect(client.outstanding).toBe(0);
    await expect(client.listQuery(1)).rejects.toThrow(/INVALID_GROUP/);
    await owner.close();
  });

  it("silences members whose drivers run, and leaves the owner alone", async () => {
    const rig = makeSriovRig();
    const { owner, sriov } = await rig.start();
    await sriov.enable(3, { barsAt: VF_BARS_AT });
    const drivers = [];
    for (const id of [1, 2, 3]) drivers.push(await rig.bringUpMember(sriov, id));
    const messages: number[] = [];
    for (const id of [1, 2, 3]) {
      rig.functionOf(id).interruptSink = {
        msix: () => void messages.push(id),
        intx: () => void messages.push(-id),
      };
    }
    rig.set("control", 0);
    for (const { device } of rig.members.values()) {
      expect([device.status, device.queueEnabled(0)]).toEqual([0, false]);
      device.notify(0);
      device.writeConfig(0, new Uint8Array(1));
    }
    // Nobody answers any more, and nobody fails for it.
    for (const driver of drivers) new EntropyDriver(driver).read(4).catch(() => undefined);
    expect(messages).toEqual([]);
    expect((await new EntropyDriver(owner).read(4))[0]).toBe(0xee);
    await Promise.allSettled(drivers.map((driver) => driver.close()));
    await sriov.enable(3, { barsAt: VF_BARS_AT });
    const again = await rig.bringUpMember(sriov, 2);
    expect([...(await new EntropyDriver(again).read(3))]).toEqual([2, 2, 2]);
    await again.close();
    await owner.close();
  });
});

describe("TotalVFs of 65535", () => {
  it("cost nothing until they are looked at", async () => {
    const rig = makeSriovRig({ totalVfs: 0xffff, msix: { vectors: 2, max: 4, total: 140_000 } });
    const { owner, client, sriov } = await rig.start();
    await sriov.enable(0xffff, { barsAt: 0x1000_0000 });
    const management = new ManagementClient(client);
    await management.use(1);
    expect((await management.attrs(1)).msix).toEqual({
      total: 140_000,
      free: 140_000 - 2 * 0xffff,
      min: 1,
      max: 4,
    });
    expect((await management.msixCount(1, 0x8000)).vectors).toBe(2);
    expect([...rig.members.keys()]).toEqual([1]);
    await management.setMsixCount(1, 0xffff, 4);
    expect((await management.features(1, 0xffff)).offered.has(VIRTIO_F_EVENT_IDX)).toBe(true);
    expect([...rig.members.keys()]).toEqual([1]);
    expect(tableSizeOf(rig.functionOf(0xffff))).toBe(3);
    await management.setFeatures(1, 2, FeatureSet.of(VIRTIO_F_EVENT_IDX), FeatureSet.EMPTY);
    expect([...rig.members.keys()]).toEqual([1, 0xffff, 2]);
    expect(rig.functionOf(0xffff).barAddress(1) - rig.functionOf(1).barAddress(1)).toBe(
      0xfffe * 0x1000,
    );
    await sriov.disable(client);
    expect(freeVectors(rig.vfs)).toBe(140_000);
    await owner.close();
  });

  it("are told what they are like without one being made, and refuse what they cannot be", () => {
    const rig = makeSriovRig({ ...NEGOTIATED, totalVfs: 0xffff, msix: { vectors: 2, max: 4 } });
    rig.enable(0xffff);
    const member = rig.vfs.member(0x8000)!;
    const { features } = member.defaults;
    expect(member.offeredFeatures.equals(features)).toBe(true);
    expect(member.settableFeatures.isEmpty).toBe(false);
    expect(member.provisionFeatures(features)).toBeUndefined();
    for (const vectors of [0, 5, 1.5, 3]) {
      expect([vectors, member.provisionVectors?.(vectors)]).toEqual([vectors, "invalid"]);
    }
    expect(member.provisionVectors?.(1)).toBeUndefined();
    expect(rig.vfs.member(1)!.provisionVectors?.(3)).toBeUndefined();
    expect([...rig.members.keys()]).toEqual([1]);
    expect(rig.functionOf(0x8000).msixVectors).toBe(1);
    expect(member.device).toBe(rig.members.get(0x8000)?.device);
    expect(rig.vfs.member(2)?.device).toBe(rig.members.get(2)?.device);
    rig.disable();
    expect([member.device, member.offeredFeatures.equals(features)]).toEqual([undefined, true]);
  });

  it("has members that can all be listed", () => {
    const rig = makeSriovRig({ totalVfs: 0xffff, negotiatedBefore: true });
    rig.enable(0xffff);
    let sum = 0;
    for (const { id, msixVectors = 0 } of rig.vfs.managedMembers()) sum += id * msixVectors;
    expect(sum).toBe(0xffff * 0x10000);
    expect(rig.members.size).toBe(1);
  });
});

type Action =
  | { readonly do: "num" | "control"; readonly value: number }
  | {
      readonly do: "vectors" | "withdraw" | "touch" | "status" | "flr" | "own vectors";
      readonly id: number;
      readonly value: number;
    }
  | { readonly do: "pf-reset" | "owner-reset" };

const ACTION: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ do: fc.constant("num" as const), value: fc.integer({ min: 0, max: 9 }) }),
  fc.record({ do: fc.constant("control" as const), value: fc.constantFrom(0, 1, 8, 9, 9, 9) }),
  fc.record({
    do: fc.constantFrom("vectors", "vectors", "withdraw", "touch", "status", "flr", "own vectors"),
    id: fc.integer({ min: 0, max: 9 }),
    value: fc.integer({ min: 0, max: 9 }),
  }),
  fc.record({ do: fc.constantFrom("pf-reset" as const, "owner-reset" as const) }),
);

/** What the group should be. */
class Model {
  num = 0;
  control = 0;
  vectors = new Map<number, number>();
  withdrawn = new Set<number>();
  running = new Set<number>();

  get count(): number {
    return (this.control & VF_ENABLE) === 0 ? 0 : this.num;
  }

  get free(): number {
    let free = POOL.total;
    for (let id = 1; id <= this.count; id++) free -= this.vectors.get(id) ?? POOL.vectors;
    return free;
  }

  write(control: number): void {
    const wasEnabled = this.count > 0;
    this.control = this.num === 0 ? control & ~VF_ENABLE : control;
    if (wasEnabled && this.count === 0) {
      this.vectors.clear();
      this.withdrawn.clear();
      this.running.clear();
    }
  }
}

describe("whatever the driver switches, in whatever order", () => {
  it("[group-3+-] [group-5+-] [management-device-15] members, pool and features are those of a model", () => {
    fc.assert(
      fc.property(fc.array(ACTION, { minLength: 1, maxLength: 60 }), (actions) => {
        const rig = makeSriovRig(NEGOTIATED);
        const model = new Model();
        const held = new Map<number, PciDevice>();
        let listed = false;
        for (const action of actions) {
          const there = "id" in action && action.id >= 1 && action.id <= model.count;
          switch (action.do) {
            case "num":
              rig.set("num_vfs", action.value);
              if (model.count === 0 && action.value <= 8) model.num = action.value;
              break;
            case "control":
              rig.set("control", action.value);
              model.write(action.value);
              break;
            case "pf-reset":
              rig.pf.reset();
              listed = false;
              model.write(0);
              model.num = 0;
              break;
            case "owner-reset":
              rig.device.reset();
              listed = false;
              break;
            case "touch": {
              const pci = rig.vfs.function(action.id);
              expect(pci !== undefined).toBe(there);
              if (pci !== undefined) held.set(action.id, pci);
              break;
            }
            case "status":
              // Through whatever hold there is, even on a function that is gone.
              held.get(action.id)?.barWrite(0, STATUS_AT, 1, action.value & 1);
              if (there && (model.control & 8) !== 0 && held.has(action.id)) {
                if ((action.value & 1) === 1) model.running.add(action.id);
                else model.running.delete(action.id);
              }
              break;
            case "own vectors": {
              // What the function is given by itself comes out of the same pool.
              const pci = held.get(action.id);
              if (pci === undefined) break;
              const had = there ? (model.vectors.get(action.id) ?? POOL.vectors) : POOL.vectors;
              const most = there ? Math.min(POOL.max, had + model.free) : had;
              const fits = action.value >= (there ? 1 : had) && action.value <= most;
              const isCount = action.value >= 1 && action.value <= POOL.max;
              const inUse = model.running.has(action.id);
              const expected = !isCount
                ? "invalid"
                : inUse
                  ? "in use"
                  : fits
                    ? undefined
                    : "invalid";
              expect(pci.setMsixVectors(action.value)).toBe(expected);
              if (expected === undefined && there) model.vectors.set(action.id, action.value);
              break;
            }
            case "flr":
              held.get(action.id)?.reset();
              model.running.delete(action.id);
              break;
            default: {
              if (!listed && model.count > 0) listed = rig.useAll()[0] === 0;
              const answer =
                action.do === "vectors"
                  ? setVectors(rig, action.id, action.value)
                  : withdraw(rig, action.id);
              const had = model.vectors.get(action.id) ?? POOL.vectors;
              const field = action.do === "vectors" && (action.value < 1 || action.value > 8);
              const short = action.do === "vectors" && action.value - had > model.free;
              let expected: readonly number[] = OK;
              if (model.count === 0) expected = INVALID_GROUP;
              else if (!there) expected = INVALID_MEMBER;
              else if (field) expected = [22, 3];
              else if (model.running.has(action.id)) expected = BUSY;
              else if (short) expected = NORESOURCE;
              expect(answer).toEqual(expected);
              if (expected !== OK) break;
              if (action.do === "vectors") model.vectors.set(action.id, action.value);
              else model.withdrawn.add(action.id);
            }
          }
          expect([rig.get("num_vfs"), rig.get("control")]).toEqual([model.num, model.control]);
          expect([rig.vfs.exists, rig.vfs.memberCount]).toEqual([model.count > 0, model.count]);
          expect(freeVectors(rig.vfs)).toBe(model.free);
          let counted = POOL.total;
          for (const member of rig.vfs.managedMembers()) counted -= member.msixVectors ?? 0;
          expect(counted).toBe(model.free);
          for (let id = 0; id <= 9; id++) {
            expect(rig.vfs.hasMember(id)).toBe(id >= 1 && id <= model.count);
            const member = rig.vfs.member(id);
            expect(rig.vfs.borrow(id)?.msixVectors).toBe(member?.msixVectors);
            expect(member?.offeredFeatures.has(VIRTIO_F_RING_RESET)).toBe(
              member && !model.withdrawn.has(id),
            );
            const made = rig.members.get(id);
            if (made === undefined) continue;
            const { device } = made;
            expect(device.status !== 0).toBe(model.running.has(id));
            expect(device.offeredFeatures.has(VIRTIO_F_RING_RESET)).toBe(!model.withdrawn.has(id));
            expect(device.offeredFeatures.has(VIRTIO_F_EVENT_IDX)).toBe(true);
            expect(device.offeredFeatures.has(VIRTIO_F_INDIRECT_DESC)).toBe(true);
            const pci = held.get(id);
            if (pci === undefined) continue;
            expect(pci.msixVectors).toBe(model.vectors.get(id) ?? POOL.vectors);
            if (id <= model.count) continue;
            expect([pci.configRead(4, 4), pci.barRead(0, STATUS_AT, 4)]).toEqual([
              0xffffffff, 0xffffffff,
            ]);
          }
        }
      }),
      { numRuns: 150 },
    );
  });
});
