/** Snapshots of devices that their owner has stopped: they stay so, and what waits goes on waiting. */
import {
  DmaArena,
  decodeSnapshot,
  encodeSnapshot,
  type GroupSnapshot,
  restoreSnapshot,
  takeSnapshot,
} from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import { BASE, DeviceSide, DriverSide, LENGTH, negotiate, setDriverOk } from "./rig.ts";

/** An owner whose device is at work, with one buffer used and one available. */
function working() {
  const side = new DeviceSide();
  const arena = new DmaArena(side.memory, BASE, LENGTH);
  negotiate(side.device);
  const queue = new DriverSide(side.device, 0, arena);
  setDriverOk(side.device);
  queue.offer(new Uint8Array(0), 4);
  side.device.notify(0);
  return { side, queue };
}

const again = (snapshot: GroupSnapshot) => decodeSnapshot(encodeSnapshot(snapshot));

describe("a stopped device", () => {
  it("is stopped where it is restored, and goes on there when it is told so", () => {
    const { side, queue } = working();
    side.device.stop();
    queue.offer(new Uint8Array(0), 4);
    side.device.notify(0);
    side.model.host.configChanged();
    const snapshot = again(takeSnapshot(side));
    expect([snapshot.device.stopped, snapshot.device.configurationDue]).toEqual([true, true]);
    const target = new DeviceSide({ memory: side.memory });
    restoreSnapshot(target, snapshot);
    target.device.notify(0);
    expect([target.device.stopped, target.model.served, target.model.starts]).toEqual([true, 1, 0]);
    expect([target.interrupts, queue.reap()]).toEqual([[], 1]);
    expect(takeSnapshot(target)).toEqual(snapshot);
    target.device.resume();
    expect([target.device.stopped, target.model.served, target.model.starts]).toEqual([
      false,
      2,
      1,
    ]);
    expect([target.interrupts, queue.reap()]).toEqual([["owner config", "owner used 0"], 1]);
  });

  it("is at work where a snapshot of one at work is restored", () => {
    const { side, queue } = working();
    side.model.mode = "nothing";
    queue.offer(new Uint8Array(0), 4);
    const snapshot = takeSnapshot(side);
    expect("stopped" in snapshot.device).toBe(false);
    const target = new DeviceSide({ memory: side.memory });
    target.device.stop();
    restoreSnapshot(target, snapshot);
    expect([target.device.stopped, target.model.served, queue.reap()]).toEqual([false, 2, 2]);
  });

  it("is as before when a restore fails", () => {
    const { side } = working();
    const snapshot = takeSnapshot(side);
    const target = new DeviceSide({ memory: side.memory });
    target.device.stop();
    const beforeResume = () => {
      throw new Error("no");
    };
    expect(() => restoreSnapshot(target, snapshot, { beforeResume })).toThrow();
    expect([target.device.stopped, target.device.status]).toEqual([true, 0]);
    target.device.resume();
    expect(target.model.served).toBe(0);
  });

  it("is not saved between the setting of its parts and its going on", () => {
    const { side } = working();
    side.device.stop();
    const parts = side.device.readParts();
    const target = new DeviceSide({ memory: side.memory });
    target.device.stop();
    target.device.prepareParts(parts).apply();
    expect(() => takeSnapshot(target)).toThrow(
      expect.objectContaining({ code: "SNAPSHOT_BUSY", path: "device" }),
    );
    target.device.resume();
    expect(takeSnapshot(target).device.queues[0]).toEqual(takeSnapshot(side).device.queues[0]);
  });

  it("that is reset is saved like that", () => {
    const side = new DeviceSide();
    side.device.stop();
    const target = new DeviceSide();
    restoreSnapshot(target, again(takeSnapshot(side)));
    expect([target.device.stopped, target.device.status]).toEqual([true, 0]);
  });

  it.each([false, 1, "true"])("is not one that says %s", (stopped) => {
    const snapshot = takeSnapshot(working().side);
    const wrong = { ...snapshot, device: { ...snapshot.device, stopped } };
    expect(() => encodeSnapshot(wrong as unknown as GroupSnapshot)).toThrow(
      expect.objectContaining({ code: "SNAPSHOT", path: "device.stopped" }),
    );
  });
});
