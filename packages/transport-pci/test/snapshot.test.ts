/** Snapshots of functions: their registers come back, and whoever drives them goes on. */
import { readFileSync } from "node:fs";
import {
  type DeviceState,
  encodeSnapshot,
  FEATURE,
  type GroupSnapshot,
  isVirtioError,
  restoreSnapshot,
  takeSnapshot,
} from "@virtio-admin/core";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import type { SavedPci } from "../src/saved-state.ts";
import { arrive, Hand, Host, move } from "./snapshot-rig.ts";

const { VIRTIO_F_ADMIN_VQ, VIRTIO_F_RING_RESET, VIRTIO_F_SR_IOV } = FEATURE;
const schema = JSON.parse(
  readFileSync(new URL("../schema/port.schema.json", import.meta.url), "utf8"),
);
const matchesSchema = new Ajv2020({ strict: true, strictRequired: false }).compile(schema);

/** A host and the hands on its functions; both go on with the next host. */
class Guest {
  host = new Host();
  readonly hands = [0, 1, 2, 3].map((id) => new Hand(id, () => this.host));

  move(): void {
    this.host = move(this.host);
  }

  get pf(): Hand {
    return this.hands[0]!;
  }

  vf(id: number): Hand {
    return this.hands[id]!;
  }

  /** The owner at work, with two virtual functions of which the first is at work too. */
  static busy(): Guest {
    const guest = new Guest();
    guest.pf.bringUp([VIRTIO_F_ADMIN_VQ, VIRTIO_F_SR_IOV, VIRTIO_F_RING_RESET]);
    guest.pf.enableVfs(2);
    guest.vf(1).bringUp();
    return guest;
  }
}

const portOf = ({ port }: DeviceState) => port as SavedPci;

function refusal(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    if (isVirtioError(error, "SNAPSHOT")) return error.path;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("a function that was moved", () => {
  it("has every register as it was, and its members with it", () => {
    const guest = Guest.busy();
    guest.pf.set("device_feature_select", 3);
    guest.pf.set("queue_select", 1);
    guest.pf.pci.configWrite(0x3c, 1, 0x2a);
    guest.pf.pci.configWrite(0x10, 4, 0xe000_0000);
    guest.pf.pci.configWrite(0x124, 4, 0x8000_0000);
    guest.vf(2).pci.barWrite(1, 0, 4, 0x1234_5678);
    const before = guest.host.all();
    guest.move();
    // Which lines ever changed, and how often the group told, is the old host's own.
    const ownOf = (all: unknown) => (all as unknown[]).toSpliced(4, 1);
    expect(ownOf(guest.host.all())).toEqual(ownOf(before));
    // Once when it was made, once when all was in place.
    expect(guest.host.changes).toBe(2);
    expect(guest.host.group.memberCount).toBe(2);
    expect(guest.host.function(2)?.barAddress(0)).toBe(0x8000_4000);
  });

  it("goes on with its queues, vectors and configuration", () => {
    const guest = Guest.busy();
    guest.vf(1).writeConfig(4, 0x77);
    guest.move();
    expect(guest.host.messages).toEqual([]);
    for (const hand of [guest.pf, guest.vf(1)]) {
      for (let i = 1; i <= 20; i++) {
        hand.offer(1);
        hand.notify(1);
        expect(hand.used(1)).toEqual([i, hand.id === 0 ? 5 : 0x77]);
        expect(guest.host.messages.at(-1)).toBe(`${hand.id}: 2 1fee0${hand.id}000 34`);
      }
      guest.host.models[hand.id]!.change(9);
      expect(guest.host.messages.at(-1)).toBe(`${hand.id}: 0 1fee0${hand.id}000 32`);
      expect(hand.readConfig(0)).toBe(9);
    }
  });

  it("serves what was available without a notification, and interrupts once", () => {
    const guest = Guest.busy();
    guest.vf(1).offer(0);
    guest.move();
    expect(guest.vf(1).used(0)).toEqual([1, 5]);
    expect(guest.host.messages).toEqual(["1: 1 1fee01000 33"]);
  });

  it("keeps messages pending that are masked, and sends them when they no longer are", () => {
    const guest = Guest.busy();
    guest.pf.mask(2, true);
    guest.vf(1).msix(true, true);
    for (const hand of [guest.pf, guest.vf(1)]) {
      hand.offer(1);
      hand.notify(1);
    }
    guest.move();
    expect(guest.host.messages).toEqual([]);
    expect([guest.pf.pending(), guest.vf(1).pending()]).toEqual([4, 4]);
    guest.pf.mask(2, false);
    guest.vf(1).msix(true);
    expect(guest.host.messages).toEqual(["0: 2 1fee00000 34", "1: 2 1fee01000 34"]);
    expect([guest.pf.pending(), guest.vf(1).pending()]).toEqual([0, 0]);
  });

  it("keeps notifications back until it is a bus master again", () => {
    const guest = Guest.busy();
    guest.vf(1).command();
    guest.vf(1).offer(0);
    guest.vf(1).notify(0);
    guest.move();
    expect(guest.vf(1).used(0)).toEqual([0, 0]);
    guest.vf(1).command("bus_master");
    expect(guest.vf(1).used(0)).toEqual([1, 5]);
    expect(guest.host.messages).toEqual(["1: 1 1fee01000 33"]);
  });

  it("raises its line again, and Interrupt Disable still holds", () => {
    const guest = new Guest();
    guest.pf.command("memory_space", "bus_master");
    guest.pf.negotiate();
    guest.pf.enable(0);
    guest.pf.set("device_status", 0xf);
    guest.pf.offer(0);
    guest.pf.notify(0);
    guest.host.models[0]!.change(1);
    expect(guest.host.lines).toEqual(new Map([[0, true]]));
    guest.move();
    expect([guest.host.pf.interruptLine, guest.host.lines.get(0)]).toEqual([true, true]);
    guest.pf.command("memory_space", "bus_master", "interrupt_disable");
    guest.move();
    expect([guest.host.pf.interruptLine, guest.host.lines.get(0)]).toEqual([false, false]);
    expect(guest.pf.isr()).toBe(3);
  });

  it("lets a driver go on in the middle of a queue's set-up", () => {
    const guest = new Guest();
    guest.pf.command("memory_space", "bus_master");
    guest.pf.negotiate([VIRTIO_F_RING_RESET]);
    guest.pf.set("queue_select", 1);
    guest.pf.set("queue_size", 4);
    guest.pf.set("queue_msix_vector", 2);
    guest.move();
    expect(guest.pf.get("queue_select")).toBe(1);
    expect(guest.pf.get("queue_size")).toBe(4);
    expect(guest.pf.get("queue_msix_vector")).toBe(2);
    expect(guest.pf.get("driver_feature_select")).toBe(1);
    expect(guest.pf.get("device_status")).toBe(0xb);
  });

  it("reads the window of the PCI configuration access capability where it stood", () => {
    const guest = new Guest();
    const isWindow = (at: number) => guest.pf.pci.configRead(at + 3, 1) === 5;
    let at = guest.pf.pci.configRead(0x34, 1);
    while (!(guest.pf.pci.configRead(at, 1) === 9 && isWindow(at))) {
      at = guest.pf.pci.configRead(at + 1, 1);
    }
    guest.pf.pci.configWrite(at + 4, 1, 0);
    guest.pf.pci.configWrite(at + 8, 4, 0x12);
    guest.pf.pci.configWrite(at + 12, 4, 2);
    guest.move();
    // num_queues.
    expect(guest.pf.pci.configRead(at + 16, 2)).toBe(2);
  });

  it("counts config_generation on from what the driver saw", () => {
    const guest = Guest.busy();
    for (let i = 0; i < 3; i++) {
      guest.host.models[0]!.change(i);
      guest.pf.readConfig(0);
    }
    guest.host.models[0]!.change(7);
    guest.move();
    expect(guest.pf.get("config_generation")).toBe(3);
    expect([guest.pf.readConfig(0), guest.pf.get("config_generation")]).toEqual([7, 4]);
    expect([guest.pf.readConfig(0), guest.pf.get("config_generation")]).toEqual([7, 4]);
  });

  it("resets as before: FLR takes the members away, and the feature need not come back", () => {
    const guest = Guest.busy();
    guest.move();
    guest.pf.flr();
    expect([guest.host.group.exists, guest.host.device.status]).toEqual([false, 0]);
    guest.pf.enableVfs(3);
    expect(guest.host.group.memberCount).toBe(3);
    guest.move();
    expect(guest.host.group.memberCount).toBe(3);
  });
});

describe("a virtual function that its owner has stopped", () => {
  it("stays so, with what is pending, until its owner lets it go on", () => {
    const guest = Guest.busy();
    const device = () => guest.host.group.partsDevice(1)!;
    guest.vf(1).mask(1, true);
    guest.vf(1).offer(0);
    guest.vf(1).notify(0);
    expect(device().stop()).toBe(true);
    guest.vf(1).mask(1, false);
    guest.vf(1).offer(1);
    guest.vf(1).notify(1);
    guest.move();
    expect([device().stopped, guest.vf(1).pending(), guest.vf(1).used(1)]).toEqual([
      true,
      2,
      [0, 0],
    ]);
    expect(guest.host.messages).toEqual([]);
    device().resume();
    expect([guest.vf(1).pending(), guest.vf(1).used(1)]).toEqual([0, [1, 5]]);
    expect(guest.host.messages).toEqual(["1: 1 1fee01000 33", "1: 2 1fee01000 34"]);
  });

  it("waits for Bus Master Enable as well", () => {
    const guest = Guest.busy();
    const device = () => guest.host.group.partsDevice(1)!;
    expect(device().stop()).toBe(true);
    guest.vf(1).command();
    guest.vf(1).offer(0);
    guest.move();
    device().resume();
    expect(guest.vf(1).used(0)).toEqual([0, 0]);
    guest.vf(1).command("bus_master");
    expect(guest.vf(1).used(0)).toEqual([1, 5]);
  });
});

describe("a group that was moved", () => {
  it("has its lists, provisioned vectors and features, and as many free vectors", () => {
    const guest = Guest.busy();
    // MSIX_COUNT_SET and FEATURES_SET for the second, which no driver uses.
    guest.host.command(1, 0, [0x03, 0x1f, ...new Array(38).fill(0)].slice(0, 40));
    const opcodes = guest.host.executor.supported(1);
    const words = new Array<number>(40).fill(0);
    for (const opcode of opcodes) words[opcode >> 3]! |= 1 << (opcode & 7);
    expect(guest.host.command(1, 0, words)).toMatch(/^00000000/);
    expect(guest.host.command(0x102, 2, [4, 0, 0, 0, 0, 0, 0, 0])).toMatch(/^00000000/);
    const member = guest.host.group.member(2)!;
    expect(member.provisionFeatures(member.offeredFeatures.without(0))).toBeUndefined();
    guest.move();
    const moved = guest.host.group.member(2)!;
    expect([moved.msixVectors, moved.offeredFeatures.has(0)]).toEqual([4, false]);
    expect(guest.host.group.msix?.free).toBe(4);
    expect(guest.host.executor.used(1)).toEqual(opcodes);
    // And its own driver finds four vectors, of which it maps the last.
    guest.vf(2).bringUp();
    guest.vf(2).set("config_msix_vector", 3);
    expect(guest.vf(2).get("config_msix_vector")).toBe(3);
    guest.move();
    expect(guest.vf(2).get("config_msix_vector")).toBe(3);
  });

  it("goes where its members are already, provisioned otherwise", () => {
    const guest = Guest.busy();
    const host = new Host({ memory: guest.host.memory, group: { negotiatedBefore: true } });
    new Hand(0, () => host).enableVfs(2);
    host.group.member(1)?.provisionVectors?.(4);
    const snapshot = takeSnapshot(guest.host);
    restoreSnapshot(host, snapshot);
    expect(takeSnapshot(host)).toEqual(snapshot);
  });

  it("does not go where other members are, and those stay", () => {
    const guest = Guest.busy();
    const snapshot = takeSnapshot(guest.host);
    for (const count of [1, 3]) {
      const host = new Host({ group: { negotiatedBefore: true } });
      const hand = new Hand(0, () => host);
      hand.enableVfs(count);
      const member = host.group.member(1);
      member?.provisionVectors?.(2);
      const before = host.all();
      expect(refusal(() => restoreSnapshot(host, snapshot))).toBe("device.port.sriov.num_vfs");
      expect(host.all()).toEqual(before);
      expect(host.group.member(1)).toBe(member);
    }
    const host = new Host({ group: { negotiatedBefore: true } });
    new Hand(0, () => host).enableVfs(1);
    const none = takeSnapshot(new Host());
    expect(refusal(() => restoreSnapshot(host, none))).toBe("device.port.sriov.control");
    expect(host.group.memberCount).toBe(1);
  });

  it("tells of its members only when all is in place", () => {
    const guest = Guest.busy();
    const snapshot = takeSnapshot(guest.host);
    const host = new Host({ memory: guest.host.memory });
    const seen: unknown[] = [];
    host.group.onChange = () => {
      seen.push([host.group.memberCount, host.function(1)?.msixEnabled, host.device.status]);
    };
    restoreSnapshot(host, snapshot, { beforeResume: () => seen.push("before") });
    expect(seen).toEqual(["before", [2, true, 0xf]]);
  });
});

describe("the saved form", () => {
  it("is next to nothing for a function after a reset", () => {
    const { device, groups } = takeSnapshot(new Host());
    expect(portOf(device)).toEqual({
      layout: expect.stringMatching(/^[0-9a-f]{8}$/),
      generation: { config_generation: 0, of: 0 },
      sriov: {
        negotiated: false,
        control: 0,
        num_vfs: 0,
        system_page_size: 1,
        vf_bar: [0, 0, 0, 0, 0, 0],
      },
    });
    expect(groups.map(({ exists }) => exists)).toEqual([true, false]);
  });

  it("names what a driver left in registers, and matches the schema", () => {
    const guest = Guest.busy();
    guest.pf.pci.configWrite(0x14, 4, 0xe001_0000);
    guest.pf.mask(1, true);
    guest.pf.offer(0);
    guest.pf.notify(0);
    const { device, groups } = takeSnapshot(guest.host);
    expect(portOf(device)).toMatchObject({
      config: { command: 6, bar1: 0xe001_0000, "msix.message_control": 0x8000 },
      common: {
        device_feature_select: 0,
        driver_feature_select: 1,
        config_msix_vector: 0,
        queue_select: 0,
        queue_msix_vector: [1, 2],
      },
      msix: {
        table: [
          { vector: 0, address: "0x1fee00000", data: 32, masked: false },
          { vector: 1, address: "0x1fee00000", data: 33, masked: true },
          { vector: 2, address: "0x1fee00000", data: 34, masked: false },
        ],
        pending: [1],
      },
      sriov: { negotiated: true, control: 9, num_vfs: 2 },
    });
    const ports = [device, ...groups.flatMap(({ members }) => members.map((m) => m.device!))];
    expect(ports).toHaveLength(3);
    for (const each of ports) {
      expect(matchesSchema(portOf(each)), JSON.stringify(matchesSchema.errors)).toBe(true);
    }
  });
});

describe("a host that is built otherwise refuses", () => {
  const guest = Guest.busy();
  const snapshot = takeSnapshot(guest.host);
  const elsewhere = (options: ConstructorParameters<typeof Host>[0]) => () =>
    arrive(guest.host, snapshot, options);

  it.each<[string, ConstructorParameters<typeof Host>[0], string]>([
    ["another vendor", { owner: { identity: { subsystemVendorId: 7 } } }, "device.port.layout"],
    ["another multiplier", { owner: { notifyOffMultiplier: 2 } }, "device.port.layout"],
    ["larger BARs", { owner: { bars: bars(0x8000, 0x1000) } }, "device.port.layout"],
    ["fewer vectors", { owner: { msix: { vectors: 3 } } }, "device.port.layout"],
    ["more virtual functions", { group: { totalVfs: 4, msix: {} } }, "device.port.layout"],
    [
      "larger BARs of virtual functions",
      { group: { placement: { bars: bars(0x8000, 0x1000) } } },
      "device.port.layout",
    ],
    [
      "structures elsewhere in virtual functions",
      { group: { placement: { windows: { isr: { bar: 0, offset: 0x1800, length: 1 } } } } },
      "groups[1].members[0].device.port.layout",
    ],
  ])("%s", (_what, options, path) => {
    expect(refusal(elsewhere(options))).toBe(path);
  });

  it("another number of vectors that was settled on its function", () => {
    const host = new Host({ memory: guest.host.memory });
    host.pf.setMsixVectors(3);
    expect(refusal(() => restoreSnapshot(host, snapshot))).toBe("device.port.layout");
    expect(refusal(() => move(host))).toBe("device.port.layout");
  });

  it("and takes it when it is built the same", () => {
    expect(elsewhere({})().group.memberCount).toBe(2);
    expect(encodeSnapshot(takeSnapshot(elsewhere({})()))).toBe(encodeSnapshot(snapshot));
  });
});

describe("on another transport", () => {
  it("nothing of the registers counts, and the caller sets up what there has to be", () => {
    const guest = Guest.busy();
    const { device, ...rest } = takeSnapshot(guest.host);
    const other: GroupSnapshot = { ...rest, device: { ...device, transport: "other", port: 1 } };
    const host = new Host({ memory: guest.host.memory, group: { negotiatedBefore: true } });
    expect(refusal(() => restoreSnapshot(host, other))).toBe("groups[1].exists");
    new Hand(0, () => host).enableVfs(2);
    restoreSnapshot(host, other);
    expect(host.device.status).toBe(0xf);
    expect([host.pf.msixEnabled, host.function(1)?.msixEnabled]).toEqual([false, true]);
  });
});

function bars(structures: number, msix: number) {
  return [
    { index: 0, length: structures },
    { index: 1, length: msix },
  ];
}
