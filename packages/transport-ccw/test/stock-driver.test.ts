/**
 * The bring-up of a stock driver (Linux 6.12), as the channel programs that it was recorded to
 * start: it knows nothing of administration virtqueues and finds a device that works.
 */
import {
  AdminExecutor,
  AdminQueues,
  createGuestMemory,
  SelfGroup,
  VirtioDevice,
} from "@virtio-admin/core";
import { createEntropy } from "@virtio-admin/devices";
import { CcwDevice } from "@virtio-admin/transport-ccw";
import { describe, expect, it } from "vitest";
import { brief, CE_DE, ccw1, hex, unhex } from "./rig.ts";

const FIRST = 0x768028;
const SECOND = 0x7680f0;
const AREA = 0x1ff11000;
const SUMMARY = 0x74d018;

/** Address of the program, command, flags, count, data before and (where it answers) after. */
const PROGRAMS: readonly [number, number, number, number, string, string?][] = [
  [FIRST, 0xe4, 0x20, 40, "00ffff", "ff383204"],
  [FIRST, 0x03, 0x20, 0, ""],
  [SECOND, 0x83, 0, 4, "00020000"],
  [SECOND, 0x33, 0, 0, ""],
  [SECOND, 0x72, 0, 1, "00", "00"],
  [SECOND, 0x31, 0, 1, "01"],
  [SECOND, 0x72, 0, 1, "01", "01"],
  [SECOND, 0x31, 0, 1, "03"],
  [SECOND, 0x12, 0, 5, "0000000000", "0000003000"],
  [SECOND, 0x12, 0, 5, "0000003001", "0100000001"],
  [SECOND, 0x11, 0, 5, "0000003000"],
  [SECOND, 0x11, 0, 5, "0100000001"],
  [SECOND, 0x72, 0, 1, "03", "03"],
  [SECOND, 0x31, 0, 1, "0b"],
  [SECOND, 0x72, 0, 1, "0b", "0b"],
  [SECOND, 0x32, 0, 4, "00000000", "00000008"],
  [SECOND, 0x13, 0, 32, "0000000002c7800000000000000000080000000002c780800000000002c79000"],
  [SECOND, 0x73, 0x20, 25, "000000000074d018000000001ff11000000000000000000003"],
  [SECOND, 0x53, 0, 8, "00000000007680e0"],
  [SECOND, 0x72, 0, 1, "0b", "0b"],
  [SECOND, 0x31, 0, 1, "0f"],
  [SECOND, 0x72, 0, 1, "0f", "0f"],
];

function makeMachine() {
  const region = (base: number, length: number) => ({ base, bytes: new Uint8Array(length) });
  const memory = createGuestMemory([
    region(0x74d000, 0x1000),
    region(0x768000, 0x1000),
    region(0x1000000, 0x1000),
    region(0x2c78000, 0x2000),
    region(AREA, 0x1000),
  ]);
  const device = new VirtioDevice({
    model: createEntropy({ queueSize: 8, source: (target) => target.fill(0x5a) }),
    memory,
    admin: new AdminQueues({ executor: new AdminExecutor({ groups: [new SelfGroup()] }) }),
  });
  return { memory, device, subchannel: new CcwDevice({ device }) };
}

describe("the channel programs of a stock driver", () => {
  it("[admin-unnegotiated-device-5] [ccw-admin-device-7] reach DRIVER_OK on a device with administration virtqueues", () => {
    const { memory, device, subchannel } = makeMachine();
    const data = 0x1000000;
    const read = (address: number, length: number) => {
      const bytes = new Uint8Array(length);
      expect(memory.read(address, bytes)).toBe(true);
      return hex(bytes);
    };
    for (const [program, command, flags, count, before, after] of PROGRAMS) {
      memory.write(data, unhex(before));
      memory.write(program, unhex(ccw1(command, flags, count, count === 0 ? 0 : data)));
      const orb = unhex(`0282500000c28000${program.toString(16).padStart(8, "0")}`);
      expect([command, ...brief(subchannel.startSubchannel(orb))]).toEqual([command, CE_DE, 0, 0]);
      if (after !== undefined) expect(read(data, after.length / 2)).toBe(after);
    }
    expect(device.status).toBe(0x0f);
    expect(device.queueEnabled(0)).toBe(true);
    memory.write(0x2c78000, unhex("000000010000000020000000 0200 0000"));
    memory.write(0x2c78082, unhex("0100"));
    expect(subchannel.diagnose500(3, 0x10000, 0, 0)).toBeGreaterThanOrEqual(0);
    expect([read(AREA, 1), read(SUMMARY, 1), read(data, 2)]).toEqual(["80", "01", "5a5a"]);
  });
});
