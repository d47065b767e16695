import {
  createGuestMemory,
  DmaArena,
  decodeSnapshot,
  encodeSnapshot,
  FEATURE,
  type GroupSnapshot,
  isVirtioError,
  type RegionMemory,
  RING_FEATURES,
  restoreSnapshot,
  STATUS,
  takeSnapshot,
  VirtioDevice,
} from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import {
  BASE,
  busyOwner,
  command,
  DeviceSide,
  DriverSide,
  Filler,
  LENGTH,
  negotiate,
  PLATFORM,
  readConfig,
  SET_COUNTER,
  setDriverOk,
  WAIT,
} from "./rig.ts";

const { VIRTIO_F_EVENT_IDX, VIRTIO_F_IN_ORDER, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_RING_PACKED } =
  FEATURE;
const EMPTY = new Uint8Array(0);

/** Over the wire, as a migration would do it. */
const carried = (snapshot: GroupSnapshot) => decodeSnapshot(encodeSnapshot(snapshot));

function caught(action: () => unknown): { code: string; path: string | undefined } {
  try {
    action();
  } catch (error) {
    if (isVirtioError(error)) return { code: error.code, path: error.path };
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe.each([
  ["no ring features", [], false],
  ["event indexes and indirect descriptors", [VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC], false],
  ["a trace", [VIRTIO_F_EVENT_IDX], true],
  ["packed rings", [VIRTIO_F_RING_PACKED], false],
  ["packed rings and all else", [...RING_FEATURES, VIRTIO_F_RING_PACKED], true],
  ["buffers in order", [VIRTIO_F_IN_ORDER], false],
  ["packed rings in order", [...RING_FEATURES, VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER], false],
])("a snapshot in the middle of work, with %s", (_what, features, trace) => {
  it("lets the driver go on: pending buffers are served, commands stay usable", () => {
    const { side, first, admin, memberQueue } = busyOwner({ trace }, features);
    side.model.mode = "nothing";
    side.models[0]!.mode = "nothing";
    const pending = first.offer(EMPTY, 16);
    const pendingOfMember = memberQueue.offer(EMPTY, 4);
    // The administration virtqueue has a command that nobody notified of.
    const answer = admin.offer(command(0x101, PLATFORM, 7), 16);
    const snapshot = carried(takeSnapshot(side));

    const packed = features.includes(VIRTIO_F_RING_PACKED);
    const inOrder = features.includes(VIRTIO_F_IN_ORDER);
    const target = new DeviceSide({ memory: side.memory, trace, packed, inOrder });
    restoreSnapshot(target, snapshot);

    expect(target.device.status).toBe(side.device.status);
    expect(first.reap()).toBe(1);
    expect(first.read(pending, 16)).toEqual(new Uint8Array(16).fill(0x5a));
    expect(memberQueue.reap()).toBe(1);
    expect(memberQueue.read(pendingOfMember, 4)).toEqual(new Uint8Array(4).fill(0x77));
    expect(admin.reap()).toBe(1);
    // MSIX_COUNT_GET: the member has the eight vectors that it was given.
    expect([...admin.read(answer, 10)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 8, 0]);
    expect(target.interrupts).toEqual(
      expect.arrayContaining(["owner used 0", "owner used 2", "member 3 used 1"]),
    );

    // Around the ring twice: both halves agree on every index.
    for (let i = 0; i < 20; i++) {
      const at = first.offer(EMPTY, 4);
      target.device.notify(0);
      expect(first.reap()).toBe(1);
      expect(first.read(at, 4)).toEqual(new Uint8Array(4).fill(0x5a));
    }
    const set = admin.offer(command(SET_COUNTER, PLATFORM, 0, Uint8Array.of(9, 0, 0, 0)), 8);
    target.device.notify(2);
    expect(admin.reap()).toBe(1);
    expect(admin.read(set, 2)).toEqual(Uint8Array.of(0, 0));
    expect(target.family.counter).toBe(9);
  });
});

describe("packed rings of a snapshot", () => {
  const packed = () => busyOwner({}, [VIRTIO_F_RING_PACKED]);

  it.each([false, true])(
    "go on behind what was used and not published, on either side of their end (in order %s)",
    (inOrder) => {
      for (const before of [0, 3, 6, 7, 14]) {
        const { side, first } = inOrder
          ? busyOwner({}, [VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER])
          : packed();
        for (let i = 0; i < before; i++) {
          first.offer(EMPTY, 4);
          side.device.notify(0);
          expect(first.reap()).toBe(1);
        }
        side.model.mode = "no publish";
        const offered = [first.offer(EMPTY, 4), first.offer(EMPTY, 4)];
        side.device.notify(0);
        expect(first.reap()).toBe(0);
        const snapshot = carried(takeSnapshot(side));
        const position = (descriptors: number) =>
          (descriptors % 8) | (Math.floor(descriptors / 8) % 2 === 0 ? 0x8000 : 0);
        expect(snapshot.device.queues[0]?.ring).toMatchObject({
          index: position(before + 3),
          publishedIndex: position(before + 1),
        });
        const target = new DeviceSide({ memory: side.memory, packed: true, inOrder });
        restoreSnapshot(target, snapshot);
        // In order, one used descriptor stands for both: its predecessor wrote them in full.
        expect(first.reap()).toBe(2);
        for (const at of offered) expect(first.read(at, 4)).toEqual(new Uint8Array(4).fill(0x5a));
        expect(first.queue.defect).toBeUndefined();
      }
    },
  );

  it.each([
    ["index", { index: 8 }],
    ["index", { index: 0x800f }],
    ["publishedIndex", { publishedIndex: 0x7fff }],
    ["publishedIndex", { publishedIndex: 4 | 0x8000 }],
  ])("are refused with a position that cannot be: %s, %j", (_, ring) => {
    const { side } = packed();
    const snapshot = structuredClone(carried(takeSnapshot(side)));
    const [queue] = snapshot.device.queues;
    Object.assign(queue!.ring!, ring);
    const target = new DeviceSide({ memory: side.memory, packed: true });
    const seen = target.seen();
    expect(caught(() => restoreSnapshot(target, snapshot))).toEqual({
      code: "SNAPSHOT",
      path: "device.queues[0]",
    });
    expect(target.seen()).toEqual(seen);
  });

  it("are refused where the device offers split rings alone", () => {
    const { memory } = new DeviceSide();
    const features = [VIRTIO_F_RING_PACKED];
    const device = new VirtioDevice({ model: new Filler(), memory, features });
    negotiate(device, VIRTIO_F_RING_PACKED);
    const snapshot = carried(takeSnapshot({ device }));
    const target = new VirtioDevice({ model: new Filler(), memory });
    expect(caught(() => restoreSnapshot({ device: target }, snapshot))).toEqual({
      code: "SNAPSHOT",
      path: "device.driverFeatures",
    });
  });
});

describe("what a snapshot brings along", () => {
  it("is everything that another snapshot would tell", () => {
    const { side } = busyOwner();
    const snapshot = takeSnapshot(side);
    const target = new DeviceSide({ memory: side.memory });
    restoreSnapshot(target, snapshot);
    expect(takeSnapshot(target)).toEqual(snapshot);
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot);
  });

  it("lists, family state, provisioned values, membership, configuration", () => {
    const { side } = busyOwner();
    side.group.remove(20);
    side.group.add(21);
    const target = new DeviceSide({ memory: side.memory });
    restoreSnapshot(target, carried(takeSnapshot(side)));
    expect(target.executor.used(PLATFORM)).toEqual(side.executor.used(PLATFORM));
    expect(target.executor.used(PLATFORM)).toContain(SET_COUNTER);
    expect(target.executor.used(0)).toEqual([0, 1]);
    expect(target.family.counter).toBe(0x2a);
    expect(target.members.map(({ msixVectors }) => msixVectors)).toEqual([2, 8]);
    expect(target.members[0]!.offeredFeatures.has(1)).toBe(false);
    expect(target.members[1]!.offeredFeatures.has(1)).toBe(true);
    expect(target.group.members).toEqual([3, 7, 21]);
    expect([...readConfig(target.members[0]!.device)]).toEqual([0x11, 0x22, 0x77, 0x4f]);
    expect(target.model.served).toBe(1);
    expect(target.model.starts).toBe(1);
  });

  it("holds guest memory of another place as well", () => {
    const { side, first } = busyOwner();
    side.model.mode = "nothing";
    const pending = first.offer(EMPTY, 4);
    const snapshot = carried(takeSnapshot(side));
    const bytes = new Uint8Array(LENGTH);
    side.memory.read(BASE, bytes);
    const memory: RegionMemory = createGuestMemory([{ base: BASE, bytes }]);
    restoreSnapshot(new DeviceSide({ memory }), snapshot);
    const there = new Uint8Array(4);
    memory.read(pending, there);
    expect([...there]).toEqual([0x5a, 0x5a, 0x5a, 0x5a]);
    expect([...first.read(pending, 4)]).toEqual([0, 0, 0, 0]);
  });

  it("fits another transport; what a transport saves comes back on the same one only", () => {
    const { side } = busyOwner({ transport: "saving" });
    side.register = 77;
    const snapshot = carried(takeSnapshot(side));
    expect(snapshot.device.port).toBe(77);
    const same = new DeviceSide({ memory: side.memory, transport: "saving" });
    restoreSnapshot(same, snapshot);
    expect(same.register).toBe(77);
    const other = new DeviceSide({ memory: side.memory, transport: "other" });
    restoreSnapshot(other, snapshot);
    expect([other.register, other.device.status]).toEqual([0, side.device.status]);
  });

  it("publishes what was used and not published, and interrupts", () => {
    const { side, first } = busyOwner();
    side.model.mode = "no publish";
    first.offer(EMPTY, 4);
    side.device.notify(0);
    expect(first.reap()).toBe(0);
    const target = new DeviceSide({ memory: side.memory });
    restoreSnapshot(target, takeSnapshot(side));
    expect(first.reap()).toBe(1);
    expect(target.interrupts).toContain("owner used 0");
  });

  it("keeps notifications disabled until the device type enables them", () => {
    const { side } = busyOwner();
    side.model.host.queue(0)!.disableNotifications();
    const target = new DeviceSide({ memory: side.memory });
    restoreSnapshot(target, takeSnapshot(side));
    expect(target.model.host.queue(0)!.notifications).toBe(false);
    expect(target.models[0]!.host.queue(1)!.notifications).toBe(true);
  });

  it("lets a driver go on that was not done with the bring-up", () => {
    const side = new DeviceSide();
    const arena = new DmaArena(side.memory, BASE, LENGTH);
    negotiate(side.device);
    const queue = new DriverSide(side.device, 0, arena);
    queue.offer(EMPTY, 4);
    const target = new DeviceSide({ memory: side.memory });
    restoreSnapshot(target, takeSnapshot(side));
    expect([target.model.starts, queue.reap()]).toEqual([0, 0]);
    setDriverOk(target.device);
    target.device.notify(0);
    expect([target.model.starts, queue.reap()]).toEqual([1, 1]);
  });

  it("does not let a device go on that needs a reset", () => {
    const { side, first } = busyOwner();
    side.model.mode = "hold";
    first.offer(EMPTY, 4);
    side.device.notify(0);
    side.model.host.needsReset("a test");
    const target = new DeviceSide({ memory: side.memory });
    restoreSnapshot(target, takeSnapshot(side));
    expect(target.device.status & STATUS.DEVICE_NEEDS_RESET).toBe(STATUS.DEVICE_NEEDS_RESET);
    first.offer(EMPTY, 4);
    target.device.notify(0);
    expect([first.reap(), target.model.starts]).toEqual([0, 0]);
    target.device.reset();
    expect(target.device.status).toBe(0);
  });

  it("is a device alone, too", () => {
    const make = () => new VirtioDevice({ model: new Filler(), memory: side.memory });
    const side = new DeviceSide();
    const device = make();
    device.setQueueSize(1, 4);
    const snapshot = takeSnapshot({ device });
    expect(snapshot.groups).toEqual([]);
    const target = make();
    restoreSnapshot({ device: target }, carried(snapshot));
    expect(target.queueSize(1)).toBe(4);
  });

  it("calls back before any device goes on", () => {
    const { side, first } = busyOwner();
    side.model.mode = "nothing";
    first.offer(EMPTY, 4);
    const target = new DeviceSide({ memory: side.memory });
    let before: unknown;
    restoreSnapshot(target, takeSnapshot(side), {
      beforeResume: () => {
        before = [target.device.status, first.reap(), target.interrupts.length];
      },
    });
    expect(before).toEqual([side.device.status, 0, 0]);
    expect(first.reap()).toBe(1);
  });

  it("does not start a device that was reset before it could go on", () => {
    const { side } = busyOwner();
    const target = new DeviceSide({ memory: side.memory });
    const member = target.members[0]!.device;
    restoreSnapshot(target, takeSnapshot(side), { beforeResume: () => member.reset() });
    expect([member.status, target.models[0]!.starts, target.model.starts]).toEqual([0, 0, 1]);
  });
});

describe("a snapshot is refused", () => {
  it("while a device holds a buffer, naming the queue", () => {
    const { side, memberQueue } = busyOwner();
    side.models[0]!.mode = "hold";
    memberQueue.offer(EMPTY, 4);
    side.members[0]!.device.notify(1);
    expect(() => takeSnapshot(side)).toThrow(/queue 1 \(secondq\) holds buffers/);
    expect(caught(() => takeSnapshot(side))).toEqual({
      code: "SNAPSHOT_BUSY",
      path: "groups[1].members[0].device.queues[1]",
    });
  });

  it("while a command waits, whether or not it came through a queue", async () => {
    const { side, admin } = busyOwner();
    const waiting = side.executor.execute(command(WAIT, PLATFORM), new Uint8Array(8));
    expect(caught(() => takeSnapshot(side))).toEqual({ code: "SNAPSHOT_BUSY", path: "admin" });
    side.family.answer?.();
    await waiting;
    admin.offer(command(WAIT, PLATFORM), 8);
    side.device.notify(2);
    expect(caught(() => takeSnapshot(side)).path).toBe("device.queues[2]");
    side.family.answer?.();
    await new Promise((resolve) => setTimeout(resolve));
    expect(takeSnapshot(side).version).toBe(2);
  });

  it("while a driver uses a member whose device cannot be saved", () => {
    const { side } = busyOwner();
    const member = side.members[0]!;
    Object.defineProperty(member, "device", { value: undefined });
    Object.defineProperty(member, "deviceStatus", { value: 15 });
    expect(caught(() => takeSnapshot(side)).code).toBe("SNAPSHOT_BUSY");
  });
});
