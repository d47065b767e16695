/** Device parts as values: their bytes, and what a device makes of lists from anywhere. */
import {
  COMMON_PARTS,
  commonPart,
  type DevicePart,
  decodePartHeaders,
  decodeParts,
  describePart,
  encodePartHeaders,
  encodeParts,
  FEATURE,
  FeatureSet,
  headerOf,
  isPartsDevice,
  isVirtioError,
  STATUS,
  VirtioDevice,
} from "@virtio-admin/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FillModel, NotingAdmin } from "./models.ts";
import { enable, goLive, makeDevice, type Rig, setDriverOk } from "./rig.ts";

const { VIRTIO_F_VERSION_1, VIRTIO_F_EVENT_IDX, VIRTIO_F_ADMIN_VQ, VIRTIO_F_RING_PACKED } = FEATURE;
const { ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK, DEVICE_NEEDS_RESET } = STATUS;
const RUNNING = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const unhex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));

/** A part and its bytes, field by field. */
const VECTORS: readonly (readonly [string, DevicePart, string])[] = [
  [
    "DEV_FEATURES, optional, 128 bits",
    commonPart("DEV_FEATURES", unhex("0100000001000000 0000000010000000")),
    "0001 01 00 0000000000000000 10000000 0100000001000000 0000000010000000",
  ],
  [
    "DRV_FEATURES",
    commonPart("DRV_FEATURES", unhex("0000000001000000 0000000000000000")),
    "0101 00 00 0000000000000000 10000000 0000000001000000 0000000000000000",
  ],
  [
    "PCI_COMMON_CFG, by offset: num_queues",
    commonPart("PCI_COMMON_CFG", unhex("0200"), 18),
    "0201 00 00 1200000000000000 02000000 0200",
  ],
  [
    "DEVICE_STATUS",
    commonPart("DEVICE_STATUS", unhex("0f")),
    "0301 00 00 0000000000000000 01000000 0f",
  ],
  [
    "VQ_CFG, by index",
    commonPart(
      "VQ_CFG",
      unhex("0001 0300 0100 0000 0010000001000000 0020000000000000 0030000000000000"),
      0x0102,
    ),
    "0401 00 00 0201000000000000 20000000 0001 0300 0100 0000 0010000001000000 0020000000000000 0030000000000000",
  ],
  [
    "VQ_NOTIFY_CFG",
    commonPart("VQ_NOTIFY_CFG", unhex("0500 0000 00000000"), 5),
    "0501 00 00 0500000000000000 08000000 0500 0000 00000000",
  ],
  [
    "a part of a device type, with a selector of its own, and no value",
    {
      type: 0x0200,
      flags: 0,
      selector: unhex("01 02 03 04 05 06 07 08"),
      value: new Uint8Array(0),
    },
    "0002 00 00 0102030405060708 00000000",
  ],
];

describe("the bytes of device parts", () => {
  it.each(VECTORS)("%s", (_, part, bytes) => {
    expect(hex(encodeParts([part]))).toBe(bytes.replaceAll(" ", ""));
    expect(decodeParts(unhex(bytes))).toEqual([part]);
    expect(hex(encodePartHeaders([headerOf(part)]))).toBe(bytes.replaceAll(" ", "").slice(0, 32));
    expect(decodePartHeaders(unhex(bytes).subarray(0, 16))).toEqual([headerOf(part)]);
  });

  it("follow one another, and zeros behind them are padding", () => {
    const parts = VECTORS.map(([, part]) => part);
    const bytes = encodeParts(parts);
    expect(decodeParts(bytes)).toEqual(parts);
    for (const padding of [1, 7, 16, 40]) {
      const padded = new Uint8Array(bytes.length + padding);
      padded.set(bytes);
      expect(decodeParts(padded)).toEqual(parts);
    }
    expect(decodeParts(new Uint8Array(64))).toEqual([]);
  });

  it.each([
    ["a header that is cut off", "0301 00", "parts[0]"],
    ["a value that is cut off", "0301 00 00 0000000000000000 02000000 0f", "parts[0].length"],
    ["a value that is missing", "0301 00 00 0000000000000000 01000000", "parts[0].length"],
    ["a length beyond everything", "0301 00 00 0000000000000000 ffffffff 0f", "parts[0].length"],
    ["a rest behind a part", "0301 00 00 0000000000000000 01000000 0f 0100", "parts[1]"],
  ])("%s is refused", (_, bytes, path) => {
    expect(() => decodeParts(unhex(bytes))).toThrow(
      expect.objectContaining({ code: "DEVICE_PARTS", path }),
    );
  });

  it("of headers that are cut off count as zero", () => {
    expect(decodePartHeaders(unhex("0401 00 00 07"))).toEqual([
      { type: 0x104, flags: 0, selector: unhex("0700000000000000"), length: 0 },
    ]);
  });

  it("are those that the text has", () => {
    expect(Object.entries(COMMON_PARTS).map(([name, { type }]) => [type, name])).toEqual([
      [0x100, "DEV_FEATURES"],
      [0x101, "DRV_FEATURES"],
      [0x102, "PCI_COMMON_CFG"],
      [0x103, "DEVICE_STATUS"],
      [0x104, "VQ_CFG"],
      [0x105, "VQ_NOTIFY_CFG"],
    ]);
  });

  it("round trip for any part", () => {
    const part = fc.record({
      type: fc.integer({ min: 1, max: 0xffff }),
      flags: fc.nat(0xff),
      selector: fc.uint8Array({ minLength: 8, maxLength: 8 }),
      value: fc.uint8Array({ maxLength: 40 }),
    });
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        expect(decodeParts(encodeParts(parts))).toEqual(parts);
      }),
    );
  });
});

/** A stopped device that a driver has brought up, with one queue, and used buffers in it. */
function source(...features: number[]) {
  const rig = makeDevice();
  goLive(rig, ...features);
  const queue = enable(rig, 0, 3);
  setDriverOk(rig);
  rig.device.notify(0);
  rig.device.stop();
  return { ...rig, ...queue };
}

/** A device like {@link source}, idle and stopped, over the same memory. */
function target({ memory }: Pick<Rig, "memory">) {
  const model = new FillModel();
  const device = new VirtioDevice({ model, memory });
  const calls: string[] = [];
  device.connect({
    transport: "test",
    reservedFeatures: [],
    usedBuffers: (queue) => calls.push(`used ${queue}`),
    configurationChange: () => calls.push("config"),
    deviceReset: () => calls.push("reset"),
  });
  device.stop();
  return { device, model, calls };
}

const set = (device: VirtioDevice, parts: readonly DevicePart[]) =>
  device.prepareParts(parts).apply();

/** What a refused list must leave as it was. */
function seen(device: VirtioDevice): unknown {
  return [hex(encodeParts(device.readParts())), device.status, device.stopped];
}

function refusal(device: VirtioDevice, parts: readonly DevicePart[]): string | undefined {
  const before = seen(device);
  try {
    device.prepareParts(parts);
    return undefined;
  } catch (error) {
    if (!isVirtioError(error, "DEVICE_PARTS")) throw error;
    expect(seen(device)).toEqual(before);
    return error.path;
  }
}

describe("the parts of a device", () => {
  it("[device-parts-device-3+] [device-parts-device-27+] [device-parts-device-31+] stand in the order of the table", () => {
    const { device, place } = source(VIRTIO_F_EVENT_IDX);
    const parts = device.readParts();
    expect(parts.map(describePart)).toEqual([
      "DEV_FEATURES",
      "DRV_FEATURES",
      "DEVICE_STATUS",
      "VQ_CFG 0",
      "VQ_CFG 1",
    ]);
    const values = parts.map(({ value }) => hex(value));
    expect(values[0]).toBe(hex(unhex("0300003001010000 0000000000000000")));
    expect(values[1]).toBe(hex(unhex("0000002001000000 0000000000000000")));
    expect(values[2]).toBe("0f");
    const at = (address: number) =>
      hex(new Uint8Array(new BigUint64Array([BigInt(address)]).buffer));
    const areas = [place.descriptorArea, place.driverArea, place.deviceArea].map(at).join("");
    expect(values[3]).toBe(`0800ffff01000000${areas}`);
    expect(values[4]).toBe(`0800ffff00000000${"00".repeat(24)}`);
    expect(isPartsDevice(device)).toBe(true);
  });

  it("put another device into the state of the first; it goes on where the ring says", () => {
    const from = source(VIRTIO_F_EVENT_IDX);
    const to = target(from);
    const parts = from.device.readParts();
    set(to.device, parts);
    expect(hex(encodeParts(to.device.readParts()))).toBe(hex(encodeParts(parts)));
    // Nothing takes effect before the device goes on.
    from.setRing(3, 0);
    from.setAvailIdx(4);
    to.device.notify(0);
    expect([from.usedIdx(), to.model.calls, to.calls]).toEqual([3, [], []]);
    to.device.resume();
    expect([from.usedIdx(), to.model.calls]).toEqual([4, ["start", "notified 0"]]);
    expect(to.device.status).toBe(RUNNING);
    expect(to.device.negotiated(VIRTIO_F_EVENT_IDX)).toBe(true);
  });

  it("[device-parts-device-5+] are set as often as one likes, in parts or as a whole", () => {
    const from = source();
    const to = target(from);
    const parts = from.device.readParts();
    for (const part of [...parts, ...parts]) set(to.device, [part]);
    set(to.device, []);
    set(to.device, [
      commonPart("DEVICE_STATUS", Uint8Array.of(ACKNOWLEDGE | DRIVER | FEATURES_OK)),
    ]);
    set(to.device, parts);
    to.device.resume();
    expect([to.device.status, to.device.queueEnabled(0)]).toEqual([RUNNING, true]);
  });

  it("set on the device that they are of change nothing for its driver", () => {
    const from = source();
    set(from.device, from.device.readParts());
    from.setRing(3, 0);
    from.setAvailIdx(4);
    from.device.resume();
    expect(from.usedIdx()).toBe(4);
  });

  it("of a driver in the middle of its bring-up let it go on with that", () => {
    const rig = makeDevice();
    goLive(rig);
    const queue = enable(rig, 0, 2);
    rig.device.stop();
    const to = target(rig);
    // What lies in the ring of a queue that was never served, nobody looks at.
    rig.memory.write(queue.place.deviceArea + 2, Uint8Array.of(7, 7));
    set(to.device, rig.device.readParts());
    to.device.resume();
    expect(to.device.status).toBe(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    rig.memory.write(queue.place.deviceArea + 2, Uint8Array.of(0, 0));
    to.device.writeStatus(RUNNING);
    to.device.notify(0);
    expect([queue.usedIdx(), to.calls]).toEqual([2, ["used 0"]]);
  });

  it("can take the driver away", () => {
    const from = source();
    const idle = target(from).device.readParts();
    set(from.device, idle);
    from.device.resume();
    expect([from.device.status, from.model.calls.at(-1)]).toEqual([0, "reset"]);
    expect(from.device.queueEnabled(0)).toBe(false);
  });

  it("of a device that needs a reset are told the driver once more", () => {
    const from = source();
    from.model.host.needsReset("test");
    const to = target(from);
    set(to.device, from.device.readParts());
    to.device.resume();
    expect([to.device.status, to.calls]).toEqual([RUNNING | DEVICE_NEEDS_RESET, ["config"]]);
    from.setAvailIdx(4);
    to.device.notify(0);
    expect(from.usedIdx()).toBe(3);
  });

  it("tell the driver of the latest used buffers again, unless it does not want that", () => {
    const from = source();
    for (const [flags, told] of [
      [0, ["used 0"]],
      [1, []],
    ] as const) {
      from.memory.write(from.place.driverArea, Uint8Array.of(flags));
      const to = target(from);
      set(to.device, from.device.readParts());
      to.device.resume();
      expect(to.calls).toEqual(told);
    }
  });

  it("leave a driver that was told not to notify no longer so", () => {
    const from = source();
    from.memory.write(from.place.deviceArea, Uint8Array.of(1));
    const to = target(from);
    set(to.device, from.device.readParts());
    to.device.resume();
    const flags = new Uint8Array(1);
    from.memory.read(from.place.deviceArea, flags);
    expect(flags[0]).toBe(0);
  });

  it("whose ring has become senseless break the queue, and nothing else", () => {
    const from = source();
    from.setAvailIdx(0x7000);
    const to = target(from);
    set(to.device, from.device.readParts());
    to.device.resume();
    expect(to.device.status & DEVICE_NEEDS_RESET).toBe(DEVICE_NEEDS_RESET);
  });

  it("whose memory has gone meanwhile make the device ask for a reset", () => {
    const from = source();
    const to = target(from);
    set(to.device, from.device.readParts());
    from.memory.remove(from.memory.regions[0]!.base);
    to.device.resume();
    expect([to.device.status & DEVICE_NEEDS_RESET, to.calls]).toEqual([
      DEVICE_NEEDS_RESET,
      ["config"],
    ]);
  });

  it("end with a reset of the device", () => {
    const from = source();
    const to = target(from);
    const defaults = hex(encodeParts(to.device.readParts()));
    set(to.device, from.device.readParts());
    to.device.reset();
    expect(hex(encodeParts(to.device.readParts()))).toBe(defaults);
    to.device.resume();
    expect([to.device.status, to.model.calls]).toEqual([0, ["reset"]]);
  });

  it("that a device type adds come last, and are its own to set", () => {
    const from = makeDevice();
    const own = (byte: number): DevicePart => ({
      type: 0x0200,
      flags: 0,
      selector: new Uint8Array(8),
      value: Uint8Array.of(byte),
    });
    const withParts = () => {
      const model = Object.assign(new FillModel(), {
        byte: 1,
        readParts: () => [own(model.byte)],
        prepareParts(parts: readonly DevicePart[]) {
          const before = model.byte;
          const byte = parts[0]?.value[0] ?? before;
          if (byte > 9) throw new Error("at most 9");
          return {
            apply: () => {
              model.byte = byte;
            },
            undo: () => {
              model.byte = before;
            },
          };
        },
      });
      const device = new VirtioDevice({ model, memory: from.memory });
      device.stop();
      return { model, device };
    };
    const { model, device } = withParts();
    expect(device.readParts().at(-1)).toEqual(own(1));
    set(device, [...device.readParts().slice(0, -1), own(7)]);
    expect(model.byte).toBe(7);
    expect(refusal(device, [own(10)])).toBe("parts");
    expect(refusal(device, [own(2), own(3)])).toBe("parts[1]");
    const undo = device.prepareParts([own(5), commonPart("DEVICE_STATUS", Uint8Array.of(1))]);
    undo.apply();
    undo.undo();
    expect([model.byte, device.status]).toEqual([7, 0]);
  });
});

describe("a list of parts that a device cannot take is refused, and changes nothing", () => {
  const queueConfig = (fields: {
    size?: number;
    enabled?: number;
    desc?: number;
    driver?: number;
    device?: number;
    high?: number;
  }): Uint8Array => {
    const view = new DataView(new ArrayBuffer(32));
    view.setUint16(0, fields.size ?? 8, true);
    view.setUint16(2, 0xffff, true);
    view.setUint16(4, fields.enabled ?? 1, true);
    [fields.desc, fields.driver, fields.device].forEach((address, i) => {
      view.setUint32(8 + 8 * i, address ?? 0x10_0000 + 0x1000 * i, true);
      view.setUint32(12 + 8 * i, fields.high ?? 0, true);
    });
    return new Uint8Array(view.buffer);
  };
  const features = (...bits: number[]) => {
    const words = FeatureSet.of(...bits);
    const view = new DataView(new ArrayBuffer(16));
    for (let i = 0; i < 4; i++) view.setUint32(4 * i, words.word(i), true);
    return new Uint8Array(view.buffer);
  };
  const ready = [
    commonPart("DRV_FEATURES", features(VIRTIO_F_VERSION_1)),
    commonPart("DEVICE_STATUS", Uint8Array.of(ACKNOWLEDGE | DRIVER | FEATURES_OK)),
  ];
  const unknown = (flags: number, type = 0x0106): DevicePart => ({
    type,
    flags,
    selector: new Uint8Array(8),
    value: Uint8Array.of(1, 2, 3),
  });

  it.each<[string, string, readonly DevicePart[]]>([
    [
      "[device-parts-device-6-] a value of another length",
      "parts[0].length",
      [commonPart("DEVICE_STATUS", new Uint8Array(2))],
    ],
    [
      "[device-parts-device-6-] features of 64 bits",
      "parts[0].length",
      [commonPart("DRV_FEATURES", new Uint8Array(8))],
    ],
    [
      "[device-parts-device-8-] features that the device does not offer",
      "parts[0].value",
      [commonPart("DEV_FEATURES", features(VIRTIO_F_VERSION_1))],
    ],
    ["a part that it does not know", "parts[0]", [unknown(0)]],
    ["a part of another device type", "parts[0]", [unknown(0, 0x200)]],
    ["a part of a reserved type", "parts[0]", [unknown(0, 0xffff)]],
    ["a part of another transport", "parts[0]", [commonPart("PCI_COMMON_CFG", unhex("0200"), 18)]],
    ["a queue that there is not", "parts[0]", [commonPart("VQ_CFG", queueConfig({}), 2)]],
    ["a queue far beyond", "parts[0]", [commonPart("VQ_CFG", queueConfig({}), 0xffff)]],
    ["the same part twice", "parts[1]", [ready[1]!, ready[1]!]],
    [
      "the same queue twice",
      "parts[3]",
      [
        ...ready,
        commonPart("VQ_CFG", queueConfig({}), 1),
        commonPart("VQ_CFG", queueConfig({}), 1),
      ],
    ],
    ["parts in another order", "parts[1]", [ready[1]!, ready[0]!]],
    [
      "a status without what has to precede it",
      "status",
      [commonPart("DEVICE_STATUS", Uint8Array.of(DRIVER_OK))],
    ],
    [
      "a status bit that is not the driver's",
      "status",
      [commonPart("DEVICE_STATUS", Uint8Array.of(0x20))],
    ],
    [
      "features beyond those offered",
      "driverFeatures",
      [commonPart("DRV_FEATURES", features(VIRTIO_F_VERSION_1, 77)), ready[1]!],
    ],
    ["a legacy driver", "driverFeatures", [commonPart("DRV_FEATURES", features()), ready[1]!]],
    [
      "packed queues, whose position no part tells",
      "driverFeatures",
      [commonPart("DRV_FEATURES", features(VIRTIO_F_VERSION_1, VIRTIO_F_RING_PACKED)), ready[1]!],
    ],
    ["a queue that is enabled too early", "queues", [commonPart("VQ_CFG", queueConfig({}), 0)]],
    [
      "a queue that is neither enabled nor not",
      "parts[2].value.enabled",
      [...ready, commonPart("VQ_CFG", queueConfig({ enabled: 2 }), 0)],
    ],
    ...[0, 3, 16, 0xffff].map((size): [string, string, readonly DevicePart[]] => [
      `a queue of ${size} entries`,
      "parts[2].value.queue_size",
      [...ready, commonPart("VQ_CFG", queueConfig({ size, enabled: 0 }), 0)],
    ]),
    [
      "a misaligned ring",
      "parts[2]",
      [...ready, commonPart("VQ_CFG", queueConfig({ desc: 0x10_0008 }), 0)],
    ],
    [
      "a ring beyond memory",
      "parts[2]",
      [...ready, commonPart("VQ_CFG", queueConfig({ device: 0xffff_fff0 }), 0)],
    ],
    [
      "a ring at an address of 64 bits",
      "parts[2]",
      [...ready, commonPart("VQ_CFG", queueConfig({ high: 0xffff_ffff }), 0)],
    ],
  ])("%s", (_, path, parts) => {
    const { device } = target(makeDevice());
    expect(refusal(device, parts)).toBe(path);
  });

  it("[device-parts-device-9+] but for optional parts that it does not know: those are passed over", () => {
    const { device } = target(makeDevice());
    set(device, [
      unknown(1),
      unknown(1),
      ready[0]!,
      unknown(1, 0x0600),
      ready[1]!,
      { ...commonPart("VQ_CFG", queueConfig({}), 99), flags: 1 },
      { ...commonPart("PCI_COMMON_CFG", unhex("00"), 0), flags: 1 },
    ]);
    expect(device.status).toBe(ACKNOWLEDGE | DRIVER | FEATURES_OK);
  });

  it("[device-parts-device-7-] even the features that it offers stay, when they are set", () => {
    const { device } = target(makeDevice());
    const offered = String(device.offeredFeatures);
    set(device, device.readParts());
    expect(String(device.offeredFeatures)).toBe(offered);
  });

  it("while the device is not stopped; the trace says why", () => {
    const { device, trace } = makeDevice();
    expect(refusal(device, ready)).toBe("mode");
    expect(trace.events.filter(({ op }) => op === "parts")).toEqual([
      { op: "parts", why: expect.stringContaining("not stopped") },
    ]);
    const { device: holds } = target(makeDevice());
    holds.resume();
    expect(refusal(holds, [])).toBe("mode");
  });

  it("and not read, while the driver uses administration virtqueues", () => {
    const rig = makeDevice({ admin: new NotingAdmin(1) });
    expect(rig.device.readParts()).toHaveLength(5);
    goLive(rig, VIRTIO_F_ADMIN_VQ);
    expect(() => rig.device.readParts()).toThrow(
      expect.objectContaining({ code: "DEVICE_PARTS", path: "driverFeatures" }),
    );
    rig.device.reset();
    rig.device.stop();
    const wanted = features(VIRTIO_F_VERSION_1, VIRTIO_F_ADMIN_VQ);
    expect(refusal(rig.device, [commonPart("DRV_FEATURES", wanted), ready[1]!])).toBe(
      "driverFeatures",
    );
  });

  it("whatever the bytes are: a list is taken as a whole or not at all", () => {
    const sound = source().device.readParts();
    const bytes = encodeParts(sound);
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      // Sound bytes with some of them spoilt, doubled or cut.
      fc
        .tuple(
          fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 4 }),
          fc.nat(bytes.length),
          fc.boolean(),
        )
        .map(([pokes, end, twice]) => {
          const spoilt = bytes.slice();
          for (const [at, value] of pokes) spoilt[at] = value;
          const cut = spoilt.subarray(0, end);
          return twice ? new Uint8Array([...cut, ...cut]) : cut;
        }),
    );
    const rig = makeDevice();
    const { device } = target(rig);
    fc.assert(
      fc.property(noise, (list) => {
        device.reset();
        const before = seen(device);
        try {
          set(device, decodeParts(list));
        } catch (error) {
          if (!isVirtioError(error, "DEVICE_PARTS")) throw error;
          expect(seen(device)).toEqual(before);
        }
        device.resume();
        device.notify(0);
        device.stop();
        expect(device.stopped).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
