/** Guests on messages move as they do on the transports that are shipped. */
import { restoreSnapshot, takeSnapshot, type VirtioDevice } from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import { testMoves } from "../../fixtures/test/moves.ts";
import { Guest, platformWay } from "../../fixtures/test/moving-guest.ts";
import { testDamage } from "../../fixtures/test/snapshot-damage.ts";
import {
  loopbackBus,
  type MessageBus,
  MessageDevice,
  MessageDriver,
} from "../src/message-transport/index.ts";

const way = (limit = 264, firstNumber = 0) =>
  platformWay(
    "a platform group, messages",
    (device: VirtioDevice, id: number) =>
      loopbackBus(new MessageDevice({ device, limit, deviceNumber: firstNumber + id })),
    (bus, dma, id) =>
      new MessageDriver({ bus: bus as MessageBus, dma, deviceNumber: firstNumber + id }),
  );

testMoves(way());
testDamage(way());

describe("a guest on messages", () => {
  it("needs the same bus: its number and its limit", async () => {
    const guest = await Guest.start(way());
    const snapshot = takeSnapshot(guest.machine);
    expect(snapshot.device.port).toEqual({ deviceNumber: 0, limit: 264 });
    for (const [other, path] of [
      [way(128), "device.port.limit"],
      [way(264, 1), "device.port.deviceNumber"],
    ] as const) {
      const { machine } = Guest.targetOf(other, guest.ram());
      expect(() => restoreSnapshot(machine, snapshot)).toThrow(path);
    }
  });
});
