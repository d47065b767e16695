/** Saved registers that no driver can have left there: refused by name, and nothing has changed. */
import {
  type DeviceState,
  FEATURE,
  type GroupSnapshot,
  isVirtioError,
  restoreSnapshot,
  takeSnapshot,
  VirtioDevice,
} from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import { Filler, Hand, Host, memoryBytes, SRIOV_AT } from "./snapshot-rig.ts";

/** Saved state as a file has it: nothing about it is certain. */
// biome-ignore lint/suspicious/noExplicitAny: a test writes anything anywhere.
type Loose = any;

function busyHost(): Host {
  const host = new Host();
  const [pf, vf] = [0, 1].map((id) => new Hand(id, () => host)) as [Hand, Hand];
  pf.bringUp([FEATURE.VIRTIO_F_ADMIN_VQ, FEATURE.VIRTIO_F_SR_IOV]);
  pf.enableVfs(2);
  vf.bringUp();
  vf.mask(1, true);
  vf.offer(0);
  vf.notify(0);
  vf.command();
  vf.offer(1);
  vf.notify(1);
  pf.pci.configWrite(0x10, 4, 0xe000_0000);
  return host;
}

const source = busyHost();
const SNAPSHOT = takeSnapshot(source);

/** A host with guest memory as it was at the snapshot, and registers that something had written. */
function makeTarget(): Host {
  const host = new Host({ group: { negotiatedBefore: true } });
  const [pf, vf] = [0, 2].map((id) => new Hand(id, () => host)) as [Hand, Hand];
  pf.command("memory_space");
  pf.pci.configWrite(0x10, 4, 0xd000_0000);
  pf.pci.configWrite(SRIOV_AT + 0x20, 4, 0x10);
  pf.pci.configWrite(SRIOV_AT + 0x24, 4, 0x7000_0000);
  pf.enableVfs(2);
  host.group.member(1)?.provisionVectors?.(4);
  host.group.member(2)?.provisionVectors?.(2);
  host.group.member(2)?.provisionFeatures(host.group.member(2)!.offeredFeatures.without(0));
  vf.entry(1, 77);
  vf.set("queue_select", 5);
  vf.set("config_msix_vector", 1);
  host.models[2]!.change(3);
  vf.readConfig(0);
  host.memory.write(0x10_0000, memoryBytes(source.memory));
  return host;
}

function refusal(action: () => void): string | undefined {
  try {
    action();
  } catch (error) {
    if (isVirtioError(error, "SNAPSHOT")) return error.path;
    throw error;
  }
  return undefined;
}

const OWNER = "device.port";
const MEMBER = "groups[1].members[0].device.port";

/** The ports of the owner and of virtual function 1, open to changes. */
function portsOf(snapshot: GroupSnapshot): { owner: Loose; member: Loose } {
  const port = (device: DeviceState | undefined) => (device as Loose).port;
  return { owner: port(snapshot.device), member: port(snapshot.groups[1]?.members[0]?.device) };
}

describe("a restore is refused, and nothing has changed", () => {
  it.each<[string, (ports: { owner: Loose; member: Loose }) => void, string]>([
    ["no registers", ({ owner }) => delete owner.layout, `${OWNER}.layout`],
    ["another layout", ({ member }) => (member.layout = "00000000"), `${MEMBER}.layout`],
    ["a layout that is no text", ({ member }) => (member.layout = 1), `${MEMBER}.layout`],
    ["an unknown member", ({ owner }) => (owner.more = 1), `${OWNER}.more`],
    [
      "a register that is not there",
      ({ owner }) => (owner.config.status = 1),
      `${OWNER}.config.status`,
    ],
    ["registers that are no object", ({ owner }) => (owner.config = [6]), `${OWNER}.config`],
    [
      "a register that is too wide",
      ({ owner }) => (owner.config.command = 0x10000),
      `${OWNER}.config.command`,
    ],
    ["a fraction", ({ owner }) => (owner.config.command = 0.5), `${OWNER}.config.command`],
    [
      "Command with reserved bits",
      ({ owner }) => (owner.config.command = 0x8000),
      `${OWNER}.config.command`,
    ],
    [
      "Memory Space Enable of a virtual function",
      ({ member }) => (member.config.command = 2),
      `${MEMBER}.config.command`,
    ],
    [
      "a BAR of a virtual function",
      ({ member }) => (member.config.bar0 = 0x10000),
      `${MEMBER}.config.bar0`,
    ],
    [
      "a BAR inside its length",
      ({ owner }) => (owner.config.bar0 = 0xe000_1000),
      `${OWNER}.config.bar0`,
    ],
    [
      "a BAR of another kind",
      ({ owner }) => (owner.config.bar0 = 0xe000_0004),
      `${OWNER}.config.bar0`,
    ],
    [
      "a BAR that there is not",
      ({ owner }) => (owner.config.bar3 = 0xe000_0000),
      `${OWNER}.config.bar3`,
    ],
    [
      "another Table Size",
      ({ owner }) => (owner.config["msix.message_control"] = 0x8007),
      `${OWNER}.config.msix.message_control`,
    ],
    [
      "a function level reset on its way",
      ({ owner }) => (owner.config["express.device_control"] = 0x8000),
      `${OWNER}.config.express.device_control`,
    ],
    [
      "a selector of 33 bits",
      ({ owner }) => (owner.common.device_feature_select = 2 ** 32),
      `${OWNER}.common.device_feature_select`,
    ],
    [
      "a negative selector",
      ({ owner }) => (owner.common.driver_feature_select = -1),
      `${OWNER}.common.driver_feature_select`,
    ],
    [
      "a queue of 17 bits",
      ({ owner }) => (owner.common.queue_select = 0x10000),
      `${OWNER}.common.queue_select`,
    ],
    [
      "no queue selected",
      ({ owner }) => delete owner.common.queue_select,
      `${OWNER}.common.queue_select`,
    ],
    [
      "a configuration vector beyond the table",
      ({ owner }) => (owner.common.config_msix_vector = 4),
      `${OWNER}.common.config_msix_vector`,
    ],
    [
      "a queue's vector beyond the table",
      ({ member }) => (member.common.queue_msix_vector[1] = 3),
      `${MEMBER}.common.queue_msix_vector[1]`,
    ],
    [
      "a vector for a queue that there is not",
      ({ member }) => (member.common.queue_msix_vector = [1, 2, 1]),
      `${MEMBER}.common.queue_msix_vector`,
    ],
    ["no generation", ({ owner }) => delete owner.generation, `${OWNER}.generation`],
    [
      "a generation of 9 bits",
      ({ owner }) => (owner.generation.config_generation = 256),
      `${OWNER}.generation.config_generation`,
    ],
    ["reserved bits of ISR status", ({ owner }) => (owner.isr_status = 4), `${OWNER}.isr_status`],
    [
      "a legacy interface",
      ({ member }) => (member.legacy_queue_select = 0),
      `${MEMBER}.legacy_queue_select`,
    ],
    [
      "an entry beyond the table",
      ({ owner }) => owner.msix.table.push({ vector: 4, address: "0x0", data: 0, masked: true }),
      `${OWNER}.msix.table[3].vector`,
    ],
    [
      "an entry twice",
      ({ owner }) => owner.msix.table.push(owner.msix.table[2]),
      `${OWNER}.msix.table[3]`,
    ],
    [
      "an entry without data",
      ({ owner }) => delete owner.msix.table[0].data,
      `${OWNER}.msix.table[0].data`,
    ],
    [
      "a message to no dword",
      ({ owner }) => (owner.msix.table[0].address = "0x2"),
      `${OWNER}.msix.table[0].address`,
    ],
    [
      "a message beyond 64 bits",
      ({ owner }) => (owner.msix.table[0].address = "0x10000000000000000"),
      `${OWNER}.msix.table[0].address`,
    ],
    [
      "an address in capitals",
      ({ owner }) => (owner.msix.table[0].address = "0xFEE00000"),
      `${OWNER}.msix.table[0].address`,
    ],
    [
      "a pending vector beyond the table",
      ({ member }) => (member.msix.pending = [3]),
      `${MEMBER}.msix.pending[0]`,
    ],
    [
      "pending vectors in no order",
      ({ member }) => (member.msix.pending = [2, 1]),
      `${MEMBER}.msix.pending[1]`,
    ],
    [
      "a queue that waits and is not there",
      ({ member }) => (member.waiting = [2]),
      `${MEMBER}.waiting[0]`,
    ],
    ["a queue that waits twice", ({ member }) => (member.waiting = [1, 1]), `${MEMBER}.waiting[1]`],
    ["no SR-IOV registers", ({ owner }) => delete owner.sriov, `${OWNER}.sriov`],
    [
      "SR-IOV registers of a member",
      ({ owner, member }) => (member.sriov = owner.sriov),
      `${MEMBER}.sriov`,
    ],
    [
      "a feature that was never negotiated",
      ({ owner }) => (owner.sriov.negotiated = false),
      `${OWNER}.sriov.control`,
    ],
    [
      "reserved bits of SR-IOV Control",
      ({ owner }) => (owner.sriov.control = 11),
      `${OWNER}.sriov.control`,
    ],
    ["NumVFs beyond TotalVFs", ({ owner }) => (owner.sriov.num_vfs = 4), `${OWNER}.sriov.num_vfs`],
    [
      "VF Enable without NumVFs",
      ({ owner }) => (owner.sriov.num_vfs = 0),
      `${OWNER}.sriov.control`,
    ],
    [
      "another NumVFs than there are here",
      ({ owner }) => (owner.sriov.num_vfs = 3),
      `${OWNER}.sriov.num_vfs`,
    ],
    [
      "no page size",
      ({ owner }) => (owner.sriov.system_page_size = 0),
      `${OWNER}.sriov.system_page_size`,
    ],
    [
      "two page sizes",
      ({ owner }) => (owner.sriov.system_page_size = 3),
      `${OWNER}.sriov.system_page_size`,
    ],
    [
      "a page size that is not supported",
      ({ owner }) => (owner.sriov.system_page_size = 4),
      `${OWNER}.sriov.system_page_size`,
    ],
    [
      "a VF BAR inside its page",
      ({ owner }) => (owner.sriov.vf_bar[1] = 0x800),
      `${OWNER}.sriov.vf_bar[1]`,
    ],
    [
      "a VF BAR that there is not",
      ({ owner }) => (owner.sriov.vf_bar[5] = 0x10000),
      `${OWNER}.sriov.vf_bar[5]`,
    ],
    ["five VF BARs", ({ owner }) => owner.sriov.vf_bar.pop(), `${OWNER}.sriov.vf_bar`],
    [
      "VF Enable clear, and a group",
      ({ owner }) => (owner.sriov.control = 0),
      `${OWNER}.sriov.control`,
    ],
  ])("for %s", (_what, damage, path) => {
    const wrong = structuredClone(SNAPSHOT);
    damage(portsOf(wrong));
    const target = makeTarget();
    const before = target.all();
    expect(refusal(() => restoreSnapshot(target, wrong))).toBe(path);
    expect(target.all()).toEqual(before);
    // The same target takes the snapshot itself.
    restoreSnapshot(target, SNAPSHOT);
    expect(target.device.status).toBe(source.device.status);
  });

  it("for members that the registers do not make, where there were none", () => {
    const cases: [(ports: { owner: Loose }) => void, string][] = [
      [({ owner }) => (owner.sriov.control = 0), "groups[1].exists"],
      [({ owner }) => (owner.sriov.num_vfs = 1), "groups[1].members"],
      [({ owner }) => (owner.sriov.num_vfs = 3), "groups[1].members"],
    ];
    for (const [damage, path] of cases) {
      const wrong = structuredClone(SNAPSHOT);
      damage(portsOf(wrong));
      const target = new Host({ memory: source.memory });
      const before = target.all();
      expect(refusal(() => restoreSnapshot(target, wrong))).toBe(path);
      expect(target.all()).toEqual(before);
    }
  });

  it("for features that members do not offer, once the members are there", () => {
    const wrong = structuredClone(SNAPSHOT) as Loose;
    wrong.groups[1].members[1].offeredFeatures = "0x100000002";
    const target = new Host({ memory: source.memory });
    const before = target.all();
    expect(refusal(() => restoreSnapshot(target, wrong))).toBe(
      "groups[1].members[1].offeredFeatures",
    );
    expect(target.all()).toEqual(before);
    expect(target.group.exists).toBe(false);
  });

  it("while a driver uses MSI-X of a member", () => {
    const target = makeTarget();
    const hand = new Hand(2, () => target);
    hand.msix(true);
    const before = target.all();
    expect(refusal(() => restoreSnapshot(target, SNAPSHOT))).toBe("groups[1].members[1]");
    expect(target.all()).toEqual(before);
  });

  it("when whoever is to set up the rest fails", () => {
    for (const target of [makeTarget(), new Host({ memory: source.memory })]) {
      const before = target.all();
      const fail = () => {
        throw new Error("the VMM");
      };
      expect(refusal(() => restoreSnapshot(target, SNAPSHOT, { beforeResume: fail }))).toBe(
        "snapshot",
      );
      expect(target.all()).toEqual(before);
    }
  });

  it("when the device of a member cannot be made", () => {
    const { memory } = source;
    const makeDevice = (id: number) => {
      if (id > 1) throw new Error("there is no more room");
      return new VirtioDevice({ memory, model: new Filler() });
    };
    const target = new Host({ memory, group: { makeDevice } });
    const before = target.all();
    expect(refusal(() => restoreSnapshot(target, SNAPSHOT))).toBe("snapshot");
    expect(target.all()).toEqual(before);
  });
});
