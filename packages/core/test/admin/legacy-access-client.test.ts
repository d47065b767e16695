import { describe, expect, it } from "vitest";
import { AdminClient, LegacyAccessClient } from "../../src/admin/index.ts";
import type { BufferEvent } from "../../src/trace/index.ts";
import { LegacyAccessRig, OP_LEGACY, SRIOV, TestLegacyGroup } from "./legacy-rig.ts";

const ALL = Object.values(OP_LEGACY);
const BARS = { member: (bar: number) => (bar === 2 ? 0x8000 : 0) };

async function ready(group?: TestLegacyGroup) {
  const rig = new LegacyAccessRig(group, { traced: true });
  const client = new AdminClient(rig.ports, rig.arena);
  const legacy = new LegacyAccessClient(client);
  const found = await legacy.use();
  rig.events.length = 0;
  return { rig, client, legacy, found };
}

const buffersOf = (rig: LegacyAccessRig) =>
  rig.events.filter((event): event is BufferEvent => event.op === "buffer");

describe("lists", () => {
  it("adds the legacy access commands to what is in use, once", async () => {
    const { rig, client, legacy, found } = await ready();
    expect(found).toEqual(ALL);
    expect(client.usedOpcodes(SRIOV)).toEqual([0, 1, ...ALL]);
    expect(await legacy.use()).toEqual(ALL);
    expect(buffersOf(rig)).toHaveLength(1);
  });

  it("finds none where members have no legacy interface, and sends nothing then", async () => {
    const { rig, legacy, found } = await ready(new TestLegacyGroup(false));
    expect(found).toEqual([]);
    await expect(legacy.readCommon(1, { offset: 0, width: 4 })).rejects.toMatchObject({
      code: "ADMIN_LIST",
    });
    expect(buffersOf(rig)).toEqual([]);
  });
});

describe("typed calls", () => {
  it("[legacy-access-driver-1+] [legacy-access-driver-2+] read and write registers as little-endian numbers", async () => {
    const { rig, legacy } = await ready();
    expect(await legacy.readCommon(1, { offset: 0, width: 4 })).toBe(0x13121110);
    expect(await legacy.readCommon(1, { offset: 4, width: 2 })).toBe(0x1514);
    expect(await legacy.readCommon(1, { offset: 6, width: 1 })).toBe(0x16);
    await legacy.writeCommon(1, { offset: 0, width: 4 }, 0xfedcba98);
    expect(await legacy.readCommon(1, { offset: 0, width: 4 })).toBe(0xfedcba98);
    await legacy.writeCommon(1, { offset: 6, width: 1 }, 7);
    expect(rig.first.common.log).toEqual([
      "read 0 4",
      "read 4 2",
      "read 6 1",
      "write 0 98badcfe",
      "read 0 4",
      "write 6 07",
    ]);
    expect(rig.group.members[1]!.common.log).toEqual([]);
  });

  it("[legacy-access-driver-3+] read and write fields of the configuration", async () => {
    const { rig, legacy } = await ready();
    expect([...(await legacy.readDevice(2, 0, 8))]).toEqual([
      ...rig.group.members[1]!.config.bytes.subarray(0, 8),
    ]);
    expect([...(await legacy.readDevice(2, 9, 3))]).toEqual([0x49, 0x4a, 0x4b]);
    await legacy.writeDevice(2, 20, Uint8Array.of(1, 2));
    await legacy.writeDevice(2, 12, Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1));
    // Room and data are padded: an access goes on to the end of its field, up to what pads it.
    expect(rig.group.members[1]!.config.log).toEqual([
      "read 0 8",
      "read 9 8",
      "write 20 0102",
      "write 12 0807060504030201",
    ]);
  });

  it("send both parts in multiples of 8 bytes", async () => {
    const { rig, legacy } = await ready();
    await legacy.readCommon(1, { offset: 6, width: 1 });
    await legacy.writeCommon(1, { offset: 4, width: 2 }, 0x1234);
    await legacy.notifyPlaces(1, BARS);
    for (const { readable, descriptors } of buffersOf(rig)) {
      expect((readable.length / 2) % 8).toBe(0);
      expect(descriptors.map(({ length }) => length % 8)).toEqual([0, 0]);
    }
    expect(buffersOf(rig)[1]!.readable.slice(48)).toBe("04000000000000003412000000000000");
  });

  it("[legacy-access-driver-6+] decode where to notify", async () => {
    const { rig, legacy } = await ready();
    expect(await legacy.notifyPlaces(1, BARS)).toEqual([{ of: "member", bar: 2, offset: 0x4000 }]);
    expect(await legacy.notifyPlaces(1, { member: () => 0x4000 })).toEqual([]);
    rig.first.notifyPlaces = [];
    expect(await legacy.notifyPlaces(1, BARS)).toEqual([]);
  });

  it("tell what the device refuses", async () => {
    const { rig, legacy } = await ready();
    const refusal = (qualifier: number) => ({ code: "ADMIN_STATUS", status: 22, qualifier });
    await expect(legacy.readCommon(3, { offset: 0, width: 4 })).rejects.toMatchObject(refusal(5));
    await expect(legacy.readCommon(1, { offset: 7, width: 1 })).rejects.toMatchObject(refusal(3));
    await expect(legacy.writeDevice(1, 0, new Uint8Array(9).fill(1))).rejects.toMatchObject(
      refusal(3),
    );
    await expect(legacy.notifyPlaces(9, BARS)).rejects.toMatchObject(refusal(5));
    expect(rig.log).toEqual([]);
  });

  it("are refused before they are sent when they cannot be encoded", async () => {
    const { rig, legacy } = await ready();
    const refusal = { code: "ADMIN_COMMAND" };
    for (const offset of [-1, 256, 0.5, Number.NaN]) {
      await expect(legacy.readCommon(1, { offset, width: 1 })).rejects.toMatchObject(refusal);
      await expect(legacy.writeDevice(1, offset, Uint8Array.of(1))).rejects.toMatchObject(refusal);
    }
    for (const length of [0, -1, 4097, 1.5]) {
      await expect(legacy.readDevice(1, 0, length)).rejects.toMatchObject(refusal);
    }
    await expect(legacy.writeDevice(1, 0, new Uint8Array(0))).rejects.toMatchObject(refusal);
    for (const value of [-1, 256, 0.5, Number.NaN]) {
      await expect(legacy.writeCommon(1, { offset: 6, width: 1 }, value)).rejects.toMatchObject(
        refusal,
      );
    }
    await expect(legacy.readCommon(2n ** 64n, { offset: 0, width: 1 })).rejects.toMatchObject(
      refusal,
    );
    expect(buffersOf(rig)).toEqual([]);
  });
});
