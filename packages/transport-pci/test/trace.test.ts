/** Register events: what a VMM asked for, byte for byte, with the names of the registers. */
import { describe, expect, it } from "vitest";
import { makeRig } from "./rig.ts";

describe("register events", () => {
  it("name the registers and show the bytes in memory order", () => {
    const rig = makeRig({ trace: true });
    rig.events.length = 0;
    rig.pci.configRead(0, 4);
    rig.pci.configWrite(0x10, 4, 0xfebf0000);
    rig.pci.configRead(0x48, 4);
    rig.pci.configWrite(rig.msixControlAt(), 2, 0x8000);
    const config = rig.events.filter((event) => event.op === "read" || event.op === "write");
    expect(config.slice(0, 3)).toEqual([
      { op: "read", region: "config", offset: 0, size: 4, data: "f41a4410", name: "vendor_id" },
      { op: "write", region: "config", offset: 16, size: 4, data: "0000bffe", name: "bar0" },
      {
        op: "read",
        region: "config",
        offset: 72,
        size: 4,
        data: "00000000",
        name: "common.offset",
      },
    ]);
    expect(config.at(-1)).toMatchObject({ name: "msix.message_control", data: "0080" });
  });

  it.each([
    [0, 20, 1, "device_status"],
    [0, 36, 4, "queue_desc.high"],
    [0, 60, 2, "admin_queue_index"],
    [0, 21, 2, "config_generation"],
    [0, 0x1000, 1, "isr_status"],
    [0, 0x2004, 4, "device_config"],
    [0, 0x3004, 2, "queue_notify"],
    [1, 0x14, 4, "msix_table[1].message_address.high"],
    [1, 0x2c, 4, "msix_table[2].vector_control"],
    [1, 0x800, 4, "msix_pba"],
    [0, 0x900, 4, undefined],
    [0, 23, 1, undefined],
  ])("of BAR %i offset %i with %i bytes name %s", (bar, offset, size, name) => {
    const rig = makeRig({ trace: true });
    rig.events.length = 0;
    const value = rig.pci.barRead(bar, offset, size);
    const data = Buffer.alloc(8);
    data.writeUInt32LE(value);
    expect(rig.events).toEqual([
      {
        op: "read",
        region: `bar${bar}`,
        offset,
        size,
        data: data.subarray(0, size).toString("hex"),
        ...(name === undefined ? {} : { name }),
      },
    ]);
  });

  it("are one for one access, whatever it is cut into", () => {
    const rig = makeRig({ trace: true });
    rig.events.length = 0;
    rig.pci.configReadBytes(0, new Uint8Array(256));
    rig.pci.barReadBytes(0, 0x2001, new Uint8Array(9));
    rig.pci.barWriteBytes(0, 0x20, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    expect(rig.events.map((event) => ("size" in event ? event.size : 0))).toEqual([256, 9, 8]);
  });

  it("come before what they bring about", () => {
    const rig = makeRig({ trace: true });
    rig.events.length = 0;
    rig.set("device_status", 0);
    expect(rig.events.map(({ op }) => op)).toEqual(["write", "reset"]);
  });
});
