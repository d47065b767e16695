import { FEATURE } from "@virtio-admin/core";
import { describe, expect, test } from "vitest";
import { MMIO_REFERENCE_LAYOUT } from "../src/index.ts";
import { CONFIG, MEMORY_BASE, rig, WITH_ADMIN, WITH_RING_RESET } from "./rig.ts";

/** Offset, what it reads after a reset as bytes in memory order, and whether it can be written. */
const AFTER_RESET: readonly (readonly [string, number, string])[] = [
  ["MagicValue", 0x000, "76697274"],
  ["Version", 0x004, "02000000"],
  ["DeviceID", 0x008, "2a000000"],
  ["VendorID", 0x00c, "f41a0000"],
  ["DeviceFeatures", 0x010, "01000030"],
  ["QueueSizeMax", 0x034, "10000000"],
  ["QueueReady", 0x044, "00000000"],
  ["InterruptStatus", 0x060, "00000000"],
  ["Status", 0x070, "00000000"],
  ["SHMLenLow", 0x0b0, "ffffffff"],
  ["SHMLenHigh", 0x0b4, "ffffffff"],
  ["SHMBaseLow", 0x0b8, "ffffffff"],
  ["SHMBaseHigh", 0x0bc, "ffffffff"],
  ["QueueReset", 0x0c0, "00000000"],
  ["AdminQueueIndex", 0x0e0, "00000000"],
  ["AdminQueueNum", 0x0e4, "00000000"],
  ["ConfigGeneration", 0x0fc, "00000000"],
  ["Config", 0x100, "11223344"],
];

const WRITE_ONLY = Object.values(MMIO_REFERENCE_LAYOUT.registers).filter(
  ({ access }) => access === "W",
);
const READ_ONLY = Object.values(MMIO_REFERENCE_LAYOUT.registers).filter(
  ({ access }) => access === "R",
);

function hexAt({ window }: ReturnType<typeof rig>, offset: number): string {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, window.read(offset, 4), true);
  return Buffer.from(view.buffer).toString("hex");
}

describe("registers after a reset", () => {
  test.each(AFTER_RESET)(
    "[mmio-layout-1] [mmio-device-1] [mmio-device-2] [mmio-admin-device-2] [mmio-admin-device-3] %s at 0x%s",
    (_name, offset, hex) => {
      expect(hexAt(rig(), offset)).toBe(hex);
    },
  );

  test("the vectors name every register that can be read", () => {
    const named = AFTER_RESET.map(([name]) => name).sort();
    const readable = Object.values(MMIO_REFERENCE_LAYOUT.registers)
      .filter(({ access }) => access !== "W")
      .map(({ name }) => name)
      .sort();
    expect(named).toEqual(readable);
  });
});

describe("directions and widths", () => {
  test.each(WRITE_ONLY.map(({ name, offset }) => [name, offset] as const))(
    "[mmio-driver-3] %s reads 0 after a write",
    (_name, offset) => {
      const bench = rig();
      bench.window.write(offset, 4, 0x12);
      expect(bench.window.read(offset, 4)).toBe(0);
    },
  );

  test.each(READ_ONLY.map(({ name, offset }) => [name, offset] as const))(
    "[mmio-driver-2] [mmio-admin-device-10] %s keeps its value over a write",
    (_name, offset) => {
      const bench = rig({ adminQueues: 2 });
      bench.negotiate(...WITH_ADMIN);
      const before = bench.window.read(offset, 4);
      for (const value of [0, 1, 0xffffffff]) bench.window.write(offset, 4, value);
      expect(bench.window.read(offset, 4)).toBe(before);
      expect(bench.read("Status")).toBe(0x0b);
    },
  );

  test.each([
    [0x000, 1],
    [0x000, 2],
    [0x002, 4],
    [0x001, 1],
    [0x070, 1],
    [0x0e0, 2],
    [0x0fe, 2],
    [0x000, 8],
    [0x000, 3],
    [0x018, 4],
    [0x0cc, 4],
    [-4, 4],
  ])("[mmio-driver-4] [mmio-driver-1] a read of %i, %i bytes, answers 0", (offset, size) => {
    expect(rig().window.read(offset, size)).toBe(0);
  });

  test.each([
    [0x070, 1],
    [0x070, 2],
    [0x071, 4],
    [0x070, 8],
  ])("[mmio-driver-4] a write at %i, %i bytes, is ignored", (offset, size) => {
    const bench = rig();
    bench.window.write(offset, size, 1);
    expect(bench.read("Status")).toBe(0);
  });

  test("[mmio-layout-6] a status above a byte is ignored", () => {
    const bench = rig();
    bench.write("Status", 0x101);
    expect(bench.read("Status")).toBe(0);
    bench.write("Status", 1);
    bench.write("Status", 0x100);
    expect(bench.read("Status")).toBe(1);
  });
});

describe("selectors", () => {
  test.each([
    [0, 0x30000001],
    [1, 0x40301],
    [2, 0],
    [3, 0],
    [4, 0],
    [0xffffffff, 0],
  ])("[mmio-layout-2] [mmio-driver-11] DeviceFeatures of word %i", (word, expected) => {
    const bench = rig();
    bench.write("DeviceFeaturesSel", word);
    expect(bench.read("DeviceFeatures")).toBe(expected);
  });

  test("[mmio-layout-3] [mmio-driver-12] DriverFeatures go to the word that is selected", () => {
    const bench = rig();
    bench.write("DriverFeaturesSel", 2);
    bench.write("DriverFeatures", 0x80000001);
    bench.write("DriverFeaturesSel", 4);
    bench.write("DriverFeatures", 0xffffffff);
    expect(bench.device.driverFeatures.bits()).toEqual([64, 95]);
  });

  test.each([
    [0, 16],
    [1, 8],
    [2, 0],
    [0xffff, 0],
    [0x10000, 0],
    [0xffffffff, 0],
  ])("[mmio-layout-4] QueueSizeMax of queue %i is %i", (queue, size) => {
    const bench = rig();
    bench.write("QueueSel", queue);
    expect(bench.read("QueueSizeMax")).toBe(size);
  });

  test("[mmio-layout-5] [mmio-device-6] a queue becomes ready, and is not after a reset", () => {
    const bench = rig();
    bench.negotiate(0, 1);
    bench.write("QueueSel", 1);
    bench.write("QueueSize", 4);
    bench.write("QueueDescLow", MEMORY_BASE);
    bench.write("QueueDriverLow", MEMORY_BASE + 0x100);
    bench.write("QueueDeviceLow", MEMORY_BASE + 0x200);
    bench.write("QueueReady", 2);
    expect(bench.read("QueueReady")).toBe(0);
    bench.write("QueueReady", 1);
    expect(bench.read("QueueReady")).toBe(1);
    expect(bench.device.queueSize(1)).toBe(4);
    bench.write("Status", 0);
    bench.write("QueueSel", 1);
    expect(bench.read("QueueReady")).toBe(0);
  });

  test("[mmio-device-11] [mmio-device-13] QueueReset stops a ready queue, and only 1 does", () => {
    const bench = rig();
    bench.negotiate(...WITH_RING_RESET);
    bench.write("QueueDescLow", MEMORY_BASE);
    bench.write("QueueDriverLow", MEMORY_BASE + 0x200);
    bench.write("QueueDeviceLow", MEMORY_BASE + 0x400);
    bench.write("QueueReady", 1);
    for (const value of [0, 2, 0xffffffff]) bench.write("QueueReset", value);
    expect(bench.read("QueueReady")).toBe(1);
    bench.write("QueueReset", 1);
    expect(bench.read("QueueReset")).toBe(0);
    expect(bench.read("QueueReady")).toBe(0);
  });

  test("[mmio-driver-15] [mmio-driver-16] QueueReady 0 stops a queue without the feature", () => {
    const bench = rig();
    bench.negotiate(0, 1);
    bench.write("QueueDescLow", MEMORY_BASE);
    bench.write("QueueDriverLow", MEMORY_BASE + 0x200);
    bench.write("QueueDeviceLow", MEMORY_BASE + 0x400);
    bench.write("QueueReady", 1);
    bench.write("QueueReady", 0);
    expect(bench.read("QueueReady")).toBe(0);
  });
});

describe("QueueNotify", () => {
  const ready = (features: readonly number[]) => {
    const bench = rig({ features });
    bench.negotiate(0, bench.device.offeredFeatures.word(1) & ~(1 << 9));
    bench.write("QueueSel", 1);
    bench.write("QueueDescLow", MEMORY_BASE);
    bench.write("QueueDriverLow", MEMORY_BASE + 0x200);
    bench.write("QueueDeviceLow", MEMORY_BASE + 0x400);
    bench.write("QueueReady", 1);
    bench.write("Status", 0x0f);
    return bench;
  };

  test("[mmio-notify-driver-1] is the index of a queue, and nothing above 16 bits", () => {
    const { write, model } = ready([]);
    write("QueueNotify", 1);
    for (const value of [0x1_0001, 0x8000_0001, 0xffff]) write("QueueNotify", value);
    expect(model.notified).toEqual([1]);
  });

  test("[mmio-notify-driver-2] with VIRTIO_F_NOTIFICATION_DATA has it in the low 16 bits", () => {
    const { write, model } = ready([FEATURE.VIRTIO_F_NOTIFICATION_DATA]);
    // Whatever position it claims; no queue has the last index.
    for (const value of [1, 0x1_0001, 0xffff_0001, 0x1_0000, 0x1_ffff]) write("QueueNotify", value);
    expect(model.notified).toEqual([1, 1, 1]);
  });
});

describe("AdminQueueIndex and AdminQueueNum", () => {
  test.each([1, 2, 7])(
    "[mmio-admin-device-4] [mmio-admin-device-5] [mmio-admin-device-7] %i of them",
    (count) => {
      const bench = rig({ adminQueues: count });
      const place = () => [bench.read("AdminQueueIndex"), bench.read("AdminQueueNum")];
      expect(place()).toEqual([0, 0]);
      bench.negotiate(...WITH_ADMIN);
      expect(place()).toEqual([2, count]);
      bench.write("Status", 0);
      expect(place()).toEqual([0, 0]);
    },
  );

  test("[mmio-admin-device-11] the queue registers work on them, and only once negotiated", () => {
    const bench = rig({ adminQueues: 2 });
    bench.negotiate(0, 1);
    bench.write("QueueSel", 2);
    expect(bench.read("QueueSizeMax")).toBe(0);
    bench.negotiate(...WITH_ADMIN);
    for (const [queue, size] of [
      [2, 8],
      [3, 8],
      [4, 0],
    ] as const) {
      bench.write("QueueSel", queue);
      expect(bench.read("QueueSizeMax")).toBe(size);
    }
  });
});

describe("Config", () => {
  test.each([
    [0, 1, 0x11],
    [3, 1, 0x44],
    [0, 2, 0x2211],
    [6, 2, 0x8877],
    [0, 4, 0x44332211],
    [4, 4, 0x88776655],
    [8, 4, 0],
    [1, 2, 0],
    [2, 4, 0],
    [0, 3, 0],
    [0, 8, 0],
  ])("[mmio-layout-9] [mmio-driver-5] %i bytes at %i read %i", (at, size, expected) => {
    expect(rig().window.read(0x100 + at, size)).toBe(expected);
  });

  test("[mmio-layout-9] writes take the widths of fields, and what the device type allows", () => {
    const bench = rig();
    bench.negotiate(0, 1);
    bench.window.write(0x104, 4, 0xdeadbeef);
    bench.window.write(0x104, 1, 1);
    bench.window.write(0x106, 2, 0x2222);
    bench.window.write(0x105, 2, 0x9999);
    bench.window.write(0x100, 4, 0x99999999);
    expect(bench.window.read(0x104, 4)).toBe(0x2222be01);
    expect(bench.window.read(0x100, 4)).toBe(0x44332211);
    expect(CONFIG[4]).toBe(0x55);
  });

  test("[mmio-layout-8] [mmio-device-7] ConfigGeneration follows changes of the configuration", () => {
    const bench = rig();
    const before = bench.read("ConfigGeneration");
    bench.window.read(0x100, 4);
    expect(bench.read("ConfigGeneration")).toBe(before);
    bench.model.config.update((view) => view.setUint8(0, 9));
    expect(bench.read("ConfigGeneration")).not.toBe(before);
  });
});

describe("traces", () => {
  test("an access is an event with its bytes in memory order and the register's name", () => {
    const bench = rig({ vendorId: 0x12345678 });
    bench.read("VendorID");
    bench.window.write(0x104, 2, 0xbeef);
    bench.window.read(0x018, 4);
    expect(bench.trace.events).toEqual([
      { op: "read", offset: 0x00c, size: 4, data: "78563412", name: "VendorID" },
      { op: "write", offset: 0x104, size: 2, data: "efbe", name: "Config" },
      { op: "read", offset: 0x018, size: 4, data: "00000000" },
    ]);
  });
});
