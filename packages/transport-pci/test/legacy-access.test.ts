/** What the owner of transitional virtual functions reads and writes of them, register by register. */
import {
  ConfigSpace,
  decode,
  encode,
  FEATURE,
  type StructLayout,
  struct,
} from "@virtio-admin/core";
import {
  createBlock,
  createEntropy,
  memoryStorage,
  VIRTIO_BLK_CONFIG,
} from "@virtio-admin/devices";
import {
  type LegacyField,
  NO_VECTOR,
  PCI_HEADER_LAYOUT,
  PciDevice,
  VIRTIO_PCI_LEGACY_LAYOUT,
  VIRTIO_PCI_LEGACY_MSIX_LAYOUT,
} from "@virtio-admin/transport-pci";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  INVALID_FIELD,
  INVALID_MEMBER,
  LEGACY,
  type LegacyRig,
  makeGuest,
  makeLegacyRig,
  OK,
  OP,
  readyRig,
} from "./legacy-rig.ts";
import { MEMORY_BASE, SampleModel } from "./rig.ts";
import { makeSriovRig, SRIOV } from "./sriov-rig.ts";

const { COMMON_READ, COMMON_WRITE, DEV_READ, DEV_WRITE, NOTIFY_INFO } = OP;
const PAGE = 4096;
const bytesOf = (value: number, width: number) =>
  Array.from({ length: width }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff);
const numberOf = (bytes: readonly number[]) =>
  bytes.reduceRight((value, byte) => value * 0x100 + byte, 0);
const writing = (offset: number, ...bytes: readonly number[]) => [
  offset,
  ...new Array(7).fill(0),
  ...bytes,
];

/** Reads a register of a member, of exactly its width. */
function get(rig: LegacyRig, field: LegacyField, member = 1): number {
  const { offset, width } = LEGACY[field];
  const { outcome, result } = rig.exact(COMMON_READ, member, [offset], width);
  expect([field, outcome]).toEqual([field, OK]);
  return numberOf(result);
}

function set(rig: LegacyRig, field: LegacyField, value: number, member = 1): void {
  const { offset, width } = LEGACY[field];
  const data = writing(offset, ...bytesOf(value, width));
  expect([field, rig.exact(COMMON_WRITE, member, data, 0).outcome]).toEqual([field, OK]);
}

function setMsix(pci: PciDevice, enable: boolean): void {
  let at = pci.configRead(0x34, 1);
  while (pci.configRead(at, 1) !== 0x11) at = pci.configRead(at + 1, 1);
  pci.configWrite(at + 2, 2, enable ? 0x8000 : 0);
}

/** Everything of a member that a command could change. */
function stateOf(rig: LegacyRig, member = 1): unknown {
  const { device, bytes } = rig.guestOf(member);
  return {
    device: device.saveState(),
    memory: Buffer.from(bytes).toString("base64"),
    registers: ["queue_select", "queue_address", "config_msix_vector", "queue_msix_vector"].map(
      (field) =>
        rig.functionOf(member).msixEnabled || !field.includes("msix")
          ? get(rig, field as LegacyField, member)
          : undefined,
    ),
  };
}

const blockRig = () =>
  readyRig({
    models: () => createBlock({ storage: memoryStorage(new Uint8Array(0x8000)), queueSize: 8 }),
  });

describe("the layout", () => {
  it("has the fields of the text, one after the other", () => {
    const rows = Object.values(VIRTIO_PCI_LEGACY_MSIX_LAYOUT.fields).map(
      ({ name, offset, width, access }) => [name, offset, width, access],
    );
    expect(rows).toEqual([
      ["device_features", 0, 4, "R"],
      ["driver_features", 4, 4, "RW"],
      ["queue_address", 8, 4, "RW"],
      ["queue_size", 12, 2, "R"],
      ["queue_select", 14, 2, "RW"],
      ["queue_notify", 16, 2, "RW"],
      ["device_status", 18, 1, "RW"],
      ["isr_status", 19, 1, "R"],
      ["config_msix_vector", 20, 2, "RW"],
      ["queue_msix_vector", 22, 2, "RW"],
    ]);
    expect([VIRTIO_PCI_LEGACY_LAYOUT.size, VIRTIO_PCI_LEGACY_MSIX_LAYOUT.size]).toEqual([20, 24]);
    expect(VIRTIO_PCI_LEGACY_LAYOUT.fields).toEqual(
      Object.fromEntries(Object.entries(VIRTIO_PCI_LEGACY_MSIX_LAYOUT.fields).slice(0, 8)),
    );
  });

  const REGISTERS = {
    device_features: 0x01020304,
    driver_features: 0x11121314,
    queue_address: 0x21222324,
    queue_size: 0x3132,
    queue_select: 0x4142,
    queue_notify: 0x5152,
    device_status: 0x61,
    isr_status: 0x71,
  };
  const BYTES = "04030201 14131211 24232221 3231 4241 5251 61 71";

  it.each([
    ["without MSI-X", VIRTIO_PCI_LEGACY_LAYOUT, REGISTERS, BYTES],
    [
      "with MSI-X",
      VIRTIO_PCI_LEGACY_MSIX_LAYOUT,
      { ...REGISTERS, config_msix_vector: 0x8182, queue_msix_vector: 0xffff },
      `${BYTES} 8281 ffff`,
    ],
    [
      "with MSI-X, of which the queue has a vector",
      VIRTIO_PCI_LEGACY_MSIX_LAYOUT,
      { ...REGISTERS, config_msix_vector: 0xffff, queue_msix_vector: 0x9192 },
      `${BYTES} ffff 9291`,
    ],
  ] as readonly [string, StructLayout, Readonly<Record<string, number>>, string][])(
    "%s is these bytes and back, and no byte less",
    (_, layout, values, text) => {
      const bytes = Buffer.from(text.replaceAll(" ", ""), "hex");
      expect(Buffer.from(encode(layout, values)).equals(bytes)).toBe(true);
      expect(decode(layout, bytes)).toEqual(values);
      const refusal = expect.objectContaining({ code: "VALUE_RANGE" });
      for (let length = 0; length < bytes.length; length++) {
        expect(() => decode(layout, bytes.subarray(0, length)), `${length} bytes`).toThrow(refusal);
      }
      expect(() => encode(layout, { ...values, device_status: 0x100 })).toThrow(refusal);
    },
  );
});

/** A configuration of which the driver writes four bytes, and one half of the last two. */
class WritableModel extends SampleModel {
  override readonly config = new ConfigSpace({
    bytes: Uint8Array.from({ length: 8 }, (_, i) => 0x10 + i),
    writable: Uint8Array.of(0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0),
    layout: struct(
      "writable_config",
      { cite: "this project: tests", doc: "Fields that can be written, or not, or in part." },
      {
        fixed: { offset: 0, type: "le16", doc: "Cannot be written." },
        free: { offset: 2, type: "le32", doc: "Can be written." },
        mixed: { offset: 6, type: "le16", doc: "Can be written in its low byte." },
      },
    ),
  });
}

describe("what is offered", () => {
  it("[legacy-access-device-1+-] [legacy-access-device-14+-] are all five commands where members are transitional, else none", () => {
    expect(readyRig().executor.supported(1).slice(0, 7)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    const modern = readyRig({ modern: [1, 2, 3, 4] });
    expect(modern.executor.supported(1).filter((opcode) => opcode < 0x100)).toEqual([0, 1]);
    expect(modern.exact(COMMON_READ, 1, [0], 4).outcome).toEqual([22, 2]);
    const withoutFamily = readyRig({ families: [] });
    expect(withoutFamily.executor.supported(1)).toEqual([0, 1]);
  });

  it("depends on member 1; another that is not transitional has no legacy interface", () => {
    const rig = readyRig({ modern: [2] });
    for (const [opcode, room] of [
      [COMMON_READ, 4],
      [COMMON_WRITE, 0],
      [DEV_READ, 4],
      [DEV_WRITE, 0],
      [NOTIFY_INFO, 64],
    ] as const) {
      expect(rig.exact(opcode, 2, writing(18, 1), room).outcome).toEqual(INVALID_MEMBER);
    }
    expect(get(rig, "queue_size", 3)).toBe(8);
    // Its place in the BAR is there, as the members' BARs are alike, and notifies nothing.
    const { legacyNotify } = rig.functionOf(2).placement;
    rig.functionOf(2).barWrite(legacyNotify!.bar, legacyNotify!.offset, 2, 0);
    expect(rig.guestOf(2).device.status).toBe(0);
  });

  it("is not there without VF Enable, nor beyond NumVFs", () => {
    const rig = readyRig({}, 2);
    expect(rig.exact(COMMON_READ, 3, [0], 4).outcome).toEqual(INVALID_MEMBER);
    rig.disable();
    expect(rig.exact(COMMON_READ, 1, [0], 4).outcome).toEqual([22, 4]);
  });

  it("[legacy-access-device-11+] [legacy-access-device-12+] leaves owner and members with the ids of devices that are not transitional", () => {
    const rig = readyRig();
    const { device_id, revision_id, subsystem_id } = PCI_HEADER_LAYOUT.fields;
    for (const pci of [rig.pf, rig.functionOf(1), rig.functionOf(3)]) {
      expect(pci.configRead(revision_id.offset, 1)).toBeGreaterThanOrEqual(1);
      expect(pci.configRead(subsystem_id.offset, 2)).toBeGreaterThanOrEqual(0x40);
    }
    expect(rig.pf.configRead(device_id.offset, 2)).toBe(0x1044);
    expect(rig.get("vf_device_id")).toBe(0x1044);
  });

  it("[legacy-access-device-19+] [legacy-access-device-16+] hardwires VF BAR0 to zero, and notifies in a BAR that is not", () => {
    const rig = readyRig();
    rig.disable();
    const bars = Array.from({ length: 6 }, (_, i) => {
      const at = 0x100 + SRIOV.vf_bar.offset + 4 * i;
      rig.pf.configWrite(at, 4, 0xffffffff);
      return rig.pf.configRead(at, 4) >>> 0;
    });
    expect(bars).toEqual([0, 0xfffff000, 0xffff8000, 0, 0, 0]);
    rig.enable(1);
    const { outcome, result } = rig.exact(NOTIFY_INFO, 1, [], 64);
    expect(outcome).toEqual(OK);
    const [flags, bar] = result;
    expect([flags, bar]).toEqual([2, 2]);
    expect(rig.functionOf(1).barLength(0)).toBe(0);
  });

  it("[legacy-access-device-17+] [legacy-access-device-15+] names an even offset, and ends the list after it", () => {
    const rig = readyRig({ placement: { legacyNotify: { bar: 4, offset: 0x22, length: 2 } } });
    const { result } = rig.exact(NOTIFY_INFO, 2, [], 64);
    expect(result).toEqual([2, 4, 0, 0, 0, 0, 0, 0, 0x22, ...new Array(55).fill(0)]);
  });

  it.each([
    ["in BAR 0", { legacyNotify: { bar: 0, offset: 0, length: 2 } }, "legacyNotify.bar"],
    ["at an odd offset", { legacyNotify: { bar: 3, offset: 1, length: 2 } }, "legacyNotify.offset"],
    ["of one byte", { legacyNotify: { bar: 3, offset: 0, length: 1 } }, "legacyNotify.length"],
    [
      "with a BAR 0 for the rest",
      { windows: { isr: { bar: 0, offset: 0, length: 1 } } },
      "bars[0]",
    ],
    [
      "over another structure",
      { legacyNotify: { bar: 2, offset: 0x1000, length: 2 } },
      "legacyNotify",
    ],
  ])(
    "[legacy-access-device-16-] [legacy-access-device-17-] [legacy-access-device-19-] is not made %s",
    (_, placement, path) => {
      expect(() => makeLegacyRig({ placement })).toThrow(
        expect.objectContaining({ code: "TRANSPORT_OPTIONS", path }),
      );
    },
  );

  it("has no place at functions that are neither owner nor transitional member", () => {
    const legacyNotify = { bar: 2, offset: 0, length: 64 };
    const refusal = expect.objectContaining({ code: "TRANSPORT_OPTIONS" });
    const { device } = makeGuest(createEntropy());
    expect(() => new PciDevice({ device, legacyNotify })).toThrow(refusal);
    expect(new PciDevice({ device }).legacy).toBeUndefined();
    expect(() => makeSriovRig({ placement: { legacyNotify } })).toThrow(refusal);
    // An owner whose members have no legacy interface, and one whose place is too small for them all.
    expect(() => makeSriovRig({ ownerPlacement: { legacyNotify } })).toThrow(refusal);
    expect(() =>
      makeLegacyRig({ ownerPlacement: { legacyNotify: { ...legacyNotify, length: 15 } } }),
    ).toThrow(refusal);
  });

  it("leaves virtual functions that are not transitional where they were", () => {
    const rig = makeSriovRig({ negotiatedBefore: true });
    rig.enable(1);
    const { bars, windows, legacyNotify } = rig.functionOf(1).placement;
    expect(bars).toEqual([
      { index: 0, length: 0x4000 },
      { index: 1, length: 0x1000 },
    ]);
    expect([windows.common.bar, legacyNotify]).toEqual([0, undefined]);
  });
});

describe("common configuration registers", () => {
  it("[legacy-access-device-8+] read what a device is after a reset", () => {
    const rig = readyRig();
    const offered = 2 ** 28 + 2 ** 29 + 2 ** 27 + 2 ** 30;
    expect(
      Object.keys(VIRTIO_PCI_LEGACY_LAYOUT.fields).map((field) => get(rig, field as LegacyField)),
    ).toEqual([offered, 0, 0, 8, 0, 0, 0, 0]);
  });

  it("[legacy-access-device-7+] [legacy-access-device-2+] write, and read back what the device took", () => {
    const rig = readyRig();
    set(rig, "driver_features", 0x3fffffff);
    expect(get(rig, "driver_features")).toBe(2 ** 28 + 2 ** 29 + 2 ** 27);
    set(rig, "queue_address", 0x12345);
    expect(get(rig, "queue_address")).toBe(0x12345);
    const { device } = rig.guestOf(1);
    expect(device.queueAddress(0, "descriptorArea", 0)).toBe(0x12345 * PAGE);
    expect(device.queueAddress(0, "driverArea", 0)).toBe(0x12345 * PAGE + 128);
    expect(device.queueAddress(0, "deviceArea", 0)).toBe(0x12346 * PAGE);
    set(rig, "queue_select", 0x1234);
    expect([get(rig, "queue_select"), get(rig, "queue_size"), get(rig, "queue_address")]).toEqual([
      0x1234, 0, 0,
    ]);
    set(rig, "queue_address", 1);
    expect(get(rig, "queue_address")).toBe(0);
    set(rig, "device_status", 0x83);
    expect(get(rig, "device_status")).toBe(0x83);
    set(rig, "device_status", 0);
    expect([
      get(rig, "queue_select"),
      get(rig, "driver_features"),
      get(rig, "queue_address"),
    ]).toEqual([0, 0, 0]);
  });

  it("[legacy-access-device-7-] keep what cannot be written, and succeed", () => {
    const rig = readyRig();
    const before = stateOf(rig);
    for (const field of ["device_features", "queue_size", "isr_status"] as const) {
      const value = get(rig, field);
      set(rig, field, 0);
      expect(get(rig, field)).toBe(value);
    }
    expect(stateOf(rig)).toEqual(before);
  });

  it("[legacy-access-device-8+] isr_status is reset by reading, whatever else is read is not", () => {
    const rig = readyRig({ msix: false });
    const { device } = rig.guestOf(1);
    // Needing a reset is a change of the configuration.
    set(rig, "queue_address", 0xffffffff);
    set(rig, "device_status", 7);
    expect(device.status).toBe(0x47);
    expect([get(rig, "isr_status"), get(rig, "isr_status")]).toEqual([2, 0]);
    expect([get(rig, "device_status"), get(rig, "device_status")]).toEqual([0x47, 0x47]);
  });

  it("[legacy-access-device-3+] are accessed in parts, of one register", () => {
    const rig = readyRig();
    set(rig, "queue_address", 0x0a0b0c0d);
    expect(rig.exact(COMMON_READ, 1, [9], 2)).toEqual({ outcome: OK, result: [0x0c, 0x0b] });
    expect(rig.exact(COMMON_READ, 1, [11], 1)).toEqual({ outcome: OK, result: [0x0a] });
    expect(rig.exact(COMMON_WRITE, 1, writing(10, 0x77), 0).outcome).toEqual(OK);
    expect(get(rig, "queue_address")).toBe(0x0a770c0d);
    expect(rig.exact(COMMON_WRITE, 1, writing(8, 1, 2, 3), 0).outcome).toEqual(OK);
    expect(get(rig, "queue_address")).toBe(0x0a030201);
    expect(rig.exact(COMMON_WRITE, 1, writing(15, 0x01), 0).outcome).toEqual(OK);
    expect(get(rig, "queue_select")).toBe(0x0100);
  });

  it.each([
    ["features and accepted features", 2, 4],
    ["two registers", 0, 5],
    ["all registers", 0, 20],
    ["status and ISR status", 18, 2],
    ["ISR status and what is no register", 19, 2],
    ["vectors that are not there", 20, 2],
    ["the last offset", 255, 1],
    ["no byte", 0, 0],
  ])(
    "[legacy-access-device-3-] [legacy-access-device-4-] refuse an access of %s, and nothing has changed",
    (_, offset, length) => {
      const rig = readyRig();
      set(rig, "queue_address", 0x55);
      const before = stateOf(rig);
      const data = new Array(length).fill(0xff);
      expect(rig.exact(COMMON_READ, 1, [offset], length)).toEqual({
        outcome: INVALID_FIELD,
        result: [],
      });
      expect(rig.exact(COMMON_WRITE, 1, writing(offset, ...data), 0).outcome).toEqual(
        INVALID_FIELD,
      );
      expect(stateOf(rig)).toEqual(before);
    },
  );

  it("[legacy-access-device-4+] [legacy-access-device-8+] has two more registers while MSI-X is enabled", () => {
    const rig = readyRig();
    const pci = rig.functionOf(1);
    setMsix(pci, true);
    expect([get(rig, "config_msix_vector"), get(rig, "queue_msix_vector")]).toEqual([
      NO_VECTOR,
      NO_VECTOR,
    ]);
    set(rig, "config_msix_vector", 0);
    set(rig, "queue_msix_vector", 1);
    expect([get(rig, "config_msix_vector"), get(rig, "queue_msix_vector")]).toEqual([0, 1]);
    set(rig, "config_msix_vector", pci.msixVectors!);
    expect(get(rig, "config_msix_vector")).toBe(NO_VECTOR);
    set(rig, "queue_select", 1);
    set(rig, "queue_msix_vector", 1);
    expect(get(rig, "queue_msix_vector")).toBe(NO_VECTOR);
    expect(rig.exact(COMMON_READ, 1, [24], 1).outcome).toEqual(INVALID_FIELD);
    expect(rig.exact(COMMON_READ, 1, [22], 3).outcome).toEqual(INVALID_FIELD);
    setMsix(pci, false);
    expect(rig.exact(COMMON_READ, 1, [20], 2).outcome).toEqual(INVALID_FIELD);
    setMsix(pci, true);
    set(rig, "queue_select", 0);
    expect(get(rig, "queue_msix_vector")).toBe(1);
    set(rig, "device_status", 0);
    expect([get(rig, "config_msix_vector"), get(rig, "queue_msix_vector")]).toEqual([
      NO_VECTOR,
      NO_VECTOR,
    ]);
  });

  it("[legacy-access-device-2+] serve padded commands like those that are not", () => {
    const rig = readyRig();
    const padded = writing(18, 3, ...new Array(7).fill(0));
    expect(rig.exact(COMMON_WRITE, 1, padded, 8).outcome).toEqual(OK);
    expect(get(rig, "device_status")).toBe(3);
    expect(rig.exact(COMMON_READ, 1, [18, ...new Array(7).fill(0)], 8).result).toEqual([
      3,
      ...new Array(7).fill(0),
    ]);
    expect(rig.exact(COMMON_WRITE, 1, writing(18, 3, 0, 0, 0, 0, 0, 0, 1), 8).outcome).toEqual(
      INVALID_FIELD,
    );
  });
});

describe("device-specific configuration", () => {
  it("[legacy-access-device-10+] [legacy-access-device-5+-] reads any part of one field, and no more", () => {
    const rig = blockRig();
    const { capacity, blk_size, geometry_heads } = VIRTIO_BLK_CONFIG.fields;
    expect(numberOf(rig.exact(DEV_READ, 1, [capacity.offset], 8).result)).toBe(64);
    expect(rig.exact(DEV_READ, 1, [capacity.offset + 4], 4)).toEqual({
      outcome: OK,
      result: [0, 0, 0, 0],
    });
    expect(rig.exact(DEV_READ, 1, [blk_size.offset + 1], 1)).toEqual({ outcome: OK, result: [2] });
    expect(rig.exact(DEV_READ, 1, [geometry_heads.offset], 2).outcome).toEqual(INVALID_FIELD);
    expect(rig.exact(DEV_READ, 1, [capacity.offset + 6], 4).outcome).toEqual(INVALID_FIELD);
  });

  it("[legacy-access-device-6-] has an end, and is not there for a device type without", () => {
    const rig = blockRig();
    const { size } = VIRTIO_BLK_CONFIG;
    expect(rig.exact(DEV_READ, 1, [size - 1], 1).outcome).toEqual(OK);
    for (const [offset, length] of [
      [size, 1],
      [size - 1, 2],
      [255, 1],
    ] as const) {
      expect(rig.exact(DEV_READ, 1, [offset], length).outcome).toEqual(INVALID_FIELD);
      expect(
        rig.exact(DEV_WRITE, 1, writing(offset, ...new Array(length).fill(0)), 0).outcome,
      ).toEqual(INVALID_FIELD);
    }
    const entropy = readyRig();
    expect(entropy.exact(DEV_READ, 1, [0], 1).outcome).toEqual(INVALID_FIELD);
    expect(entropy.exact(DEV_WRITE, 1, writing(0, 0), 0).outcome).toEqual(INVALID_FIELD);
  });

  it("[legacy-access-device-9+-] takes writes before any status, and keeps what cannot be written", () => {
    const rig = blockRig();
    expect(rig.exact(DEV_WRITE, 1, writing(0, 1, 2, 3), 0).outcome).toEqual(OK);
    expect(numberOf(rig.exact(DEV_READ, 1, [0], 8).result)).toBe(64);
    expect(rig.exact(DEV_WRITE, 1, writing(10, 1, 2, 3), 0).outcome).toEqual(INVALID_FIELD);
  });

  it("[legacy-access-device-9+-] writes what can be written, and nothing next to it", () => {
    const rig = readyRig({ models: () => new WritableModel(1, false) });
    const fields = [
      [0, 2],
      [2, 4],
      [6, 2],
    ] as const;
    const read = (member = 1) =>
      fields.flatMap(([at, width]) => rig.exact(DEV_READ, member, [at], width).result);
    const before = read();
    expect(before).toEqual([0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17]);
    expect(rig.exact(DEV_WRITE, 1, writing(2, 0xa1, 0xa2, 0xa3), 0).outcome).toEqual(OK);
    expect(read()).toEqual([...before.slice(0, 2), 0xa1, 0xa2, 0xa3, ...before.slice(5)]);
    expect([read(2), read(3)]).toEqual([before, before]);
    // Of the last field, only the low byte changes.
    expect(rig.exact(DEV_WRITE, 1, writing(6, 0xb1, 0xb2), 0).outcome).toEqual(OK);
    expect(read().slice(5)).toEqual([before[5], 0xb1, before[7]]);
  });

  it("[legacy-access-device-10+] is at the same offsets whether MSI-X is enabled or not", () => {
    const rig = blockRig();
    setMsix(rig.functionOf(1), true);
    expect(numberOf(rig.exact(DEV_READ, 1, [0], 8).result)).toBe(64);
  });
});

describe("hostile owners and guests", () => {
  const register = (field: LegacyField, value: number) =>
    [
      COMMON_WRITE,
      1,
      writing(LEGACY[field].offset, ...bytesOf(value, LEGACY[field].width)),
      0,
    ] as const;
  /** Anything, and often what a driver does. */
  const command = fc.oneof(
    fc.tuple(
      fc.constantFrom(COMMON_WRITE, COMMON_READ, DEV_WRITE, DEV_READ, NOTIFY_INFO),
      fc.constantFrom(0, 1, 1, 2, 3, 4, 0xffff),
      fc.oneof(
        fc.uint8Array({ maxLength: 32 }).map((bytes) => [...bytes]),
        fc
          .tuple(fc.nat({ max: 26 }), fc.uint8Array({ maxLength: 8 }))
          .map(([offset, bytes]) => writing(offset, ...bytes)),
      ),
      fc.nat({ max: 40 }),
    ),
    fc.nat({ max: 1 }).map((page) => register("queue_address", MEMORY_BASE / PAGE + page)),
    fc.constantFrom(
      register("queue_notify", 0),
      register("queue_notify", 0),
      register("device_status", 7),
      register("device_status", 0),
      register("queue_address", 0),
      register("driver_features", 2 ** 29),
    ),
  );
  /** Writes into the two pages where queues of 8 entries are: descriptors, and both rings. */
  const poke = fc.oneof(
    fc
      .record({
        page: fc.nat({ max: 1 }),
        descriptor: fc.nat({ max: 7 }),
        address: fc.constantFrom(MEMORY_BASE + 0x8000, MEMORY_BASE + 0xfff0, 0, 2 ** 40),
        length: fc.constantFrom(0, 1, 17, 513, 0xffffffff),
        flags: fc.nat({ max: 7 }),
        next: fc.nat({ max: 9 }),
      })
      .map(({ page, descriptor, address, length, flags, next }) => {
        const bytes = [address, Math.floor(address / 2 ** 32), length].flatMap((v) =>
          bytesOf(v, 4),
        );
        return [page * PAGE + 16 * descriptor, [...bytes, flags, 0, next, 0]] as const;
      }),
    fc
      .tuple(fc.nat({ max: 1 }), fc.nat({ max: 8 }), fc.nat({ max: 9 }))
      .map(([page, index, head]) => {
        const ring = Array.from({ length: 8 }, () => [head, 0]).flat();
        return [page * PAGE + 128, [0, 0, index, 0, ...ring]] as const;
      }),
  );

  it.each([
    ["entropy", () => createEntropy({ queueSize: 8 })],
    ["block", () => createBlock({ storage: memoryStorage(new Uint8Array(0x8000)), queueSize: 8 })],
  ])("get an answer to any command, and what is refused changes nothing: %s", (_, model) => {
    fc.assert(
      fc.property(
        fc.array(command, { minLength: 1, maxLength: 30, size: "max" }),
        fc.array(poke, { maxLength: 30, size: "max" }),
        fc.boolean(),
        (commands, pokes, msix) => {
          const rig = readyRig({ models: model });
          for (const id of [1, 2, 3]) {
            const pci = rig.functionOf(id);
            pci.configWrite(4, 2, 4);
            setMsix(pci, msix);
          }
          commands.forEach(([opcode, id, data, room], i) => {
            const [at, bytes] = pokes[i] ?? [0, []];
            rig.guestOf(1).bytes.set(bytes, at);
            const before = [1, 2, 3].map((each) => frozen(rig, each));
            const { outcome } = rig.exact(opcode, id, data, room);
            expect([OK, INVALID_FIELD, INVALID_MEMBER]).toContainEqual(outcome);
            before.forEach(({ state, memory }, k) => {
              if (outcome[0] === 0 && id === k + 1) return;
              expect(frozen(rig, k + 1).state).toEqual(state);
              expect(Buffer.compare(rig.guestOf(k + 1).bytes, memory)).toBe(0);
            });
          });
          for (const id of [1, 2, 3]) {
            set(rig, "device_status", 0, id);
            expect(get(rig, "device_status", id)).toBe(0);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  /** State and memory of a member; a device that holds buffers cannot be saved, and says so. */
  function frozen(rig: LegacyRig, id: number) {
    const { device, bytes } = rig.guestOf(id);
    let state: unknown;
    try {
      state = device.saveState();
    } catch (error) {
      state = String(error);
    }
    return { state, memory: bytes.slice() };
  }
});

describe("features of transitional members", () => {
  it("that their owner withdraws are not offered to legacy drivers either", () => {
    const rig = readyRig();
    const before = get(rig, "device_features");
    const { device } = rig.guestOf(1);
    const left = device.defaultFeatures.without(FEATURE.VIRTIO_F_EVENT_IDX);
    expect(rig.vfs.member(1)!.provisionFeatures(left)).toBeUndefined();
    expect(get(rig, "device_features")).toBe(before - 2 ** FEATURE.VIRTIO_F_EVENT_IDX);
    set(rig, "queue_address", 1);
    expect(rig.vfs.member(1)!.provisionFeatures(device.defaultFeatures)).toBe("in use");
  });
});
