/** Device parts of PCI functions: what the transport adds to them, and functions that are stopped. */
import {
  CapabilityFamily,
  COMMON_PARTS,
  commonPart,
  DEV_PARTS_CAP,
  type DevicePart,
  DevicePartsFamily,
  describePart,
  deviceCapability,
  encodeParts,
  FEATURE,
  isVirtioError,
  RESOURCE_OBJ_DEV_PARTS,
  ResourceObjectFamily,
  selectorOf,
} from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import { COMMON, makeRig, type Rig, SampleModel } from "./rig.ts";
import { makeSriovRig } from "./sriov-rig.ts";

const { VIRTIO_F_RING_RESET } = FEATURE;
const NO_VECTOR = 0xffff;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** A function at work, without administration virtqueues, with two queues and three vectors. */
function running(options: Parameters<typeof makeRig>[0] = {}, features: readonly number[] = []) {
  const rig = makeRig({ adminQueues: 0, msix: { vectors: 3 }, ...options });
  rig.negotiate(features);
  rig.set("config_msix_vector", 2);
  rig.enable(0);
  rig.set("queue_msix_vector", 1);
  rig.enable(1);
  rig.set("queue_msix_vector", 0);
  rig.set("device_status", 0xf);
  rig.setMsix(true);
  for (const vector of [0, 1, 2]) rig.entry(vector, 0xfee0_0000, 0x40 + vector);
  return rig;
}

/** A function like it, idle and stopped. */
function target(options: Parameters<typeof makeRig>[0] = {}) {
  const rig = makeRig({ adminQueues: 0, msix: { vectors: 3 }, ...options });
  rig.device.stop();
  return rig;
}

const named = (parts: readonly DevicePart[]) =>
  Object.fromEntries(parts.map((part) => [describePart(part), hex(part.value)]));
const field = (name: keyof typeof COMMON, value: Uint8Array) =>
  commonPart("PCI_COMMON_CFG", value, COMMON[name].offset);
const le16 = (value: number) => Uint8Array.of(value & 0xff, value >>> 8);
const le32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);

function refusal({ device }: Rig, parts: readonly DevicePart[]): string | undefined {
  const before = hex(encodeParts(device.readParts()));
  try {
    device.prepareParts(parts);
    return undefined;
  } catch (error) {
    if (!isVirtioError(error, "DEVICE_PARTS")) throw error;
    expect(hex(encodeParts(device.readParts()))).toBe(before);
    return error.path;
  }
}

describe("the parts of a function", () => {
  it("[device-parts-device-3+] [device-parts-device-27+] [device-parts-device-28+] [device-parts-device-29+] [device-parts-device-31+] stand in the order of the table", () => {
    const { device } = running();
    const types = device.readParts().map(({ type }) => type);
    const order = Object.values(COMMON_PARTS).map(({ type }) => type);
    expect([...types].sort((a, b) => order.indexOf(a) - order.indexOf(b))).toEqual(types);
    expect([...new Set(types)]).toEqual(order);
  });

  it("have the fields that live nowhere else, the vectors, and how queues are notified", () => {
    const rig = running({}, [VIRTIO_F_RING_RESET]);
    rig.set("device_feature_select", 3);
    rig.set("driver_feature_select", 0x01020304);
    rig.set("queue_select", 1);
    const parts = named(rig.device.readParts());
    expect(parts).toMatchObject({
      DRV_FEATURES: "00000000010100000000000000000000",
      "PCI_COMMON_CFG 0": "03000000",
      "PCI_COMMON_CFG 8": "04030201",
      "PCI_COMMON_CFG 16": "0200",
      "PCI_COMMON_CFG 18": "0200",
      "PCI_COMMON_CFG 22": "0100",
      DEVICE_STATUS: "0f",
      "VQ_NOTIFY_CFG 0": "0000000000000000",
      "VQ_NOTIFY_CFG 1": "0100000000000000",
    });
    expect(parts["VQ_CFG 0"]?.slice(0, 16)).toBe("0800010001000000");
    expect(parts["VQ_CFG 1"]?.slice(0, 16)).toBe("0800000001000000");
    expect(Object.keys(parts).filter((name) => name.startsWith("PCI"))).toHaveLength(5);
  });

  it("put another function into the state of the first", () => {
    const from = running({}, [VIRTIO_F_RING_RESET]);
    from.set("queue_select", 1);
    from.set("driver_feature_select", 7);
    from.offer(0);
    from.notify(0);
    from.device.stop();
    const to = target();
    to.bytes.set(from.bytes);
    const parts = from.device.readParts();
    to.device.prepareParts(parts).apply();
    expect(hex(encodeParts(to.device.readParts()))).toBe(hex(encodeParts(parts)));
    for (const name of [
      "queue_select",
      "driver_feature_select",
      "config_msix_vector",
      "device_status",
    ] as const) {
      expect([name, to.get(name)]).toEqual([name, from.get(name)]);
    }
    // MSI-X is no part: it is set up like that of any function.
    to.setMsix(true);
    for (const vector of [0, 1, 2]) to.entry(vector, 0xfee0_0000, 0x40 + vector);
    to.device.resume();
    to.messages.length = 0;
    to.offer(0);
    to.notify(0);
    to.model.host.configChanged();
    expect(to.messages.map(({ vector }) => vector)).toEqual([1, 2]);
    expect(to.model.notified).toContain(0);
  });

  it.each<[string, string, (rig: Rig) => readonly DevicePart[]]>([
    [
      "[device-parts-device-32-] another number of queues",
      "PCI_COMMON_CFG 18",
      () => [field("num_queues", le16(3))],
    ],
    [
      "[device-parts-device-6-] a field of another width",
      "PCI_COMMON_CFG 18",
      () => [field("num_queues", le32(2))],
    ],
    [
      "[device-parts-device-6-] a window of another width",
      "PCI_COMMON_CFG 32",
      () => [field("queue_desc", le32(0))],
    ],
    [
      "a place that is no field",
      "PCI_COMMON_CFG 19",
      () => [commonPart("PCI_COMMON_CFG", le16(0), 19)],
    ],
    [
      "a place beyond the structure",
      "PCI_COMMON_CFG 4294967295",
      () => [commonPart("PCI_COMMON_CFG", le16(0), 0xffff_ffff)],
    ],
    [
      "a vector that there is not, for the configuration",
      "PCI_COMMON_CFG 16",
      () => [field("config_msix_vector", le16(3))],
    ],
    [
      "[device-parts-device-32-] a queue that is notified elsewhere",
      "VQ_NOTIFY_CFG 1",
      () => [commonPart("VQ_NOTIFY_CFG", new Uint8Array(8), 1)],
    ],
    [
      "[device-parts-device-32-] other data for notifications",
      "VQ_NOTIFY_CFG 1",
      () => [commonPart("VQ_NOTIFY_CFG", Uint8Array.of(1, 0, 1, 0, 0, 0, 0, 0), 1)],
    ],
    [
      "[device-parts-device-32-] administration virtqueues that there are not",
      "PCI_COMMON_CFG 62",
      () => [field("admin_queue_num", le16(1))],
    ],
    [
      "[device-parts-device-32-] administration virtqueues elsewhere",
      "PCI_COMMON_CFG 60",
      () => [field("admin_queue_index", le16(2))],
    ],
    [
      "[device-parts-device-32-] another feature word that is shown",
      "PCI_COMMON_CFG 4",
      () => [field("device_feature_select", le32(1)), field("device_feature", le32(0))],
    ],
    [
      "[device-parts-device-32-] another place of the selected queue",
      "PCI_COMMON_CFG 30",
      () => [field("queue_select", le16(1)), field("queue_notify_off", le16(0))],
    ],
    [
      "[device-parts-device-32-] other data of the selected queue",
      "PCI_COMMON_CFG 56",
      () => [field("queue_select", le16(1)), field("queue_notif_config_data", le16(1))],
    ],
    [
      "a vector that there is not, for a queue",
      "VQ_CFG 0",
      ({ device }) => {
        const part = device.readParts().find(({ type }) => type === COMMON_PARTS.VQ_CFG.type)!;
        const value = part.value.slice();
        value.set(le16(3), 2);
        return [{ ...part, value }];
      },
    ],
    [
      "the same field twice",
      "parts[1]",
      () => [field("queue_select", le16(1)), field("queue_select", le16(1))],
    ],
    [
      "how a queue is notified that there is not",
      "parts[0]",
      () => [commonPart("VQ_NOTIFY_CFG", new Uint8Array(8), 2)],
    ],
  ])("%s is refused, and nothing is set", (_, path, partsFor) => {
    const rig = target();
    expect(refusal(rig, partsFor(rig))).toBe(path);
    const state = commonPart("DEVICE_STATUS", Uint8Array.of(1));
    const before = rig.get("device_status");
    const parts = partsFor(rig);
    const isFirst = parts[0]!.type < state.type;
    expect(refusal(rig, isFirst ? [...parts, state] : [state, ...parts])).toBeTypeOf("string");
    expect(rig.get("device_status")).toBe(before);
  });

  it("[device-parts-device-33-] leave alone what is read-only, and what another part has", () => {
    const rig = target();
    const parts = [
      field("device_feature", le32(0xffff_ffff)),
      field("driver_feature", le32(0xffff_ffff)),
      field("num_queues", le16(2)),
      field("device_status", Uint8Array.of(0x0f)),
      field("config_generation", Uint8Array.of(77)),
      field("queue_enable", le16(1)),
      field("queue_desc", new Uint8Array(8).fill(1)),
      field("admin_queue_index", le16(0)),
      field("admin_queue_num", le16(0)),
    ];
    const before = hex(encodeParts(rig.device.readParts()));
    rig.device.prepareParts(parts).apply();
    expect(hex(encodeParts(rig.device.readParts()))).toBe(before);
    expect([rig.get("num_queues"), rig.get("config_generation"), rig.get("device_status")]).toEqual(
      [2, 0, 0],
    );
  });

  it("[device-parts-device-32+] are taken where they are what the function shows itself", () => {
    const rig = target();
    rig.device
      .prepareParts([
        field("device_feature_select", le32(1)),
        field("device_feature", le32(rig.device.offeredFeatures.word(1))),
        field("queue_select", le16(1)),
        field("queue_notify_off", le16(1)),
        field("queue_notif_config_data", le16(0)),
        commonPart("VQ_NOTIFY_CFG", Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), 1),
      ])
      .apply();
    expect([rig.get("device_feature_select"), rig.get("queue_select")]).toEqual([1, 1]);
  });

  it("are passed over when they are optional and unknown", () => {
    const rig = target();
    const optional = (part: DevicePart) => ({ ...part, flags: 1 });
    rig.device
      .prepareParts([
        optional(commonPart("PCI_COMMON_CFG", le16(0), 19)),
        field("queue_select", le16(1)),
        optional(commonPart("VQ_NOTIFY_CFG", new Uint8Array(8), 7)),
      ])
      .apply();
    expect(rig.get("queue_select")).toBe(1);
  });

  it("have no vector where there is no MSI-X, and take none", () => {
    const rig = target({ msix: false });
    const parts = named(rig.device.readParts());
    expect([parts["PCI_COMMON_CFG 16"], parts["VQ_CFG 0"]?.slice(4, 8)]).toEqual(["ffff", "ffff"]);
    expect(refusal(rig, [field("config_msix_vector", le16(0))])).toBe("PCI_COMMON_CFG 16");
    rig.device.prepareParts([field("config_msix_vector", le16(NO_VECTOR))]).apply();
  });

  it("[device-parts-device-25+] are back at their defaults after a reset of the device, and after FLR", () => {
    const fresh = hex(encodeParts(target().device.readParts()));
    const rig = running();
    rig.device.stop();
    rig.set("device_status", 0);
    expect(hex(encodeParts(rig.device.readParts()))).toBe(fresh);
    const other = running();
    other.device.stop();
    other.pci.reset();
    expect(hex(encodeParts(other.device.readParts()))).toBe(fresh);
  });
});

describe("a function that is to stop", () => {
  it("[device-parts-device-11+] is stopped once its last message is out", async () => {
    const rig = running();
    const { model, device } = rig;
    let finish = () => {};
    model.queueNotified = (index) => {
      const queue = model.host.queue(index)!;
      const chain = queue.pop();
      if (chain === undefined) return;
      finish = () => {
        queue.push(chain, 0);
        model.host.publish(index);
      };
    };
    const states: boolean[] = [];
    rig.pci.interruptSink = { msix: () => states.push(device.stopped), intx: () => {} };
    rig.offer(0);
    rig.notify(0);
    const stopping = device.stop();
    expect([device.stopped, states]).toEqual([false, []]);
    finish();
    expect([device.stopped, states, await stopping]).toEqual([true, [false], true]);
  });
});

describe("a stopped function", () => {
  it("[device-parts-device-10-] sends no message, not even one that was pending and is unmasked now", () => {
    const rig = running();
    rig.entry(1, 0xfee0_0000, 0x41, true);
    rig.offer(0);
    rig.notify(0);
    expect(rig.messages).toEqual([]);
    rig.device.stop();
    rig.entry(1, 0xfee0_0000, 0x41, false);
    rig.setMsix(true, true);
    rig.setMsix(true);
    rig.command("memory_space");
    rig.command("memory_space", "bus_master");
    rig.offer(0);
    rig.notify(0);
    rig.model.host.configChanged();
    expect([rig.messages, rig.model.notified]).toEqual([[], [0]]);
    rig.device.resume();
    expect(rig.messages.map(({ vector }) => vector)).toEqual([1, 2, 1]);
    expect(rig.model.notified.filter((queue) => queue === 0)).toHaveLength(2);
  });

  it("[device-parts-device-15+] answers every register with what it has", () => {
    const rig = running();
    const fields = Object.keys(COMMON) as (keyof typeof COMMON)[];
    const read = () => fields.filter((name) => COMMON[name].width < 8).map((name) => rig.get(name));
    const before = read();
    rig.device.stop();
    expect(read()).toEqual(before);
    expect(rig.get("device_status")).toBe(0x0f);
    const { device } = rig.windows;
    expect(rig.pci.barRead(device!.bar, device!.offset, 4)).toBe(0x13121110);
  });

  it("[device-parts-device-14+] updates its parts when its driver writes registers", () => {
    const rig = running();
    rig.device.stop();
    rig.set("queue_select", 0);
    rig.set("config_msix_vector", 0);
    expect(named(rig.device.readParts())).toMatchObject({
      "PCI_COMMON_CFG 16": "0000",
      "PCI_COMMON_CFG 22": "0000",
    });
  });

  it("[device-parts-device-16+] has the same configuration space, MSI-X table and FLR as ever", () => {
    const both = [running(), running()];
    both[1]!.device.stop();
    const seen = both.map((rig) => {
      const bytes = new Uint8Array(256);
      rig.command("memory_space");
      rig.entry(2, 0xfee1_0000, 0x99, true);
      rig.setMsix(false);
      rig.pci.configReadBytes(0, bytes);
      const { bar, offset } = rig.pci.placement.msix!.table;
      const table = Array.from({ length: 12 }, (_, i) => rig.pci.barRead(bar, offset + 4 * i, 4));
      rig.pci.reset();
      const after = new Uint8Array(256);
      rig.pci.configReadBytes(0, after);
      return [hex(bytes), table, hex(after), rig.device.status];
    });
    expect(seen[1]).toEqual(seen[0]);
    expect(both[1]!.device.stopped).toBe(false);
  });

  it("has no power states, so that none changes and no event comes of it", () => {
    const { pci } = running();
    const ids: number[] = [];
    for (let at = pci.configRead(0x34, 1); at !== 0; at = pci.configRead(at + 1, 1)) {
      ids.push(pci.configRead(at, 1));
    }
    expect(ids.length).toBeGreaterThan(3);
    expect(ids).not.toContain(0x01);
  });
});

const LIMITS = { get_parts_resource_objects_limit: 4, set_parts_resource_objects_limit: 4 };
const OP = { CREATE: 0x0a, METADATA: 0x0e, GET: 0x0f, SET: 0x10, MODE: 0x11 };
const OK = [0, 0];
const INVALID_GROUP = [22, 4];
const INVALID_MEMBER = [22, 5];

/** An owner with virtual functions of the sample type, its commands in use, its objects created. */
function ready(count = 3) {
  const capabilities = new CapabilityFamily([deviceCapability(DEV_PARTS_CAP, LIMITS)]);
  const objects = new ResourceObjectFamily({ capabilities, types: [RESOURCE_OBJ_DEV_PARTS] });
  const models = new Map<number, SampleModel>();
  const rig = makeSriovRig({
    negotiatedBefore: true,
    families: [capabilities, objects, new DevicePartsFamily({ objects })],
    models: (id) => {
      const model = new SampleModel(2, true);
      models.set(id, model);
      return model;
    },
  });
  rig.enable(count);
  expect(rig.useAll()).toEqual(OK);
  return { ...rig, objects, models };
}

describe("virtual functions", () => {
  it("are stopped and go on, each on its own; they are made for that", () => {
    const rig = ready();
    expect(rig.command(OP.MODE, 2, [1])).toEqual(OK);
    expect([...rig.members.keys()]).toEqual([1, 2]);
    expect([1, 2].map((id) => rig.members.get(id)!.device.stopped)).toEqual([false, true]);
    expect(rig.command(OP.MODE, 2, [0])).toEqual(OK);
    expect(rig.members.get(2)!.device.stopped).toBe(false);
    expect(rig.command(OP.MODE, 4, [1])).toEqual(INVALID_MEMBER);
  });

  it("go on with FLR, and are as ever when VF Enable is set again", () => {
    const rig = ready();
    for (const id of [1, 2]) rig.command(OP.MODE, id, [1]);
    rig.functionOf(1).reset();
    expect([1, 2].map((id) => rig.members.get(id)!.device.stopped)).toEqual([false, true]);
    rig.disable();
    expect(rig.command(OP.MODE, 2, [1])).toEqual(INVALID_GROUP);
    rig.enable(2);
    expect(rig.members.get(2)!.device.stopped).toBe(false);
  });

  it("[device-parts-device-20+] answer DEV_MODE_SET and DEV_PARTS_SET after an FLR that goes on", async () => {
    const rig = ready();
    rig.command(OP.MODE, 1, [1]);
    const pci = rig.functionOf(1);
    pci.configWrite(0x0c, 1, 0x55);
    const order: string[] = [];
    const waiting: Promise<unknown>[] = [];
    const send = (name: string, opcode: number, data: readonly number[]) => {
      const request = new Uint8Array(24 + data.length);
      request.set([opcode, 0, 1]);
      request[16] = 1;
      request.set(data, 24);
      const response = new Uint8Array(8);
      const answer = rig.executor.execute(request, response);
      order.push(`${name} ${typeof answer}`);
      waiting.push(
        Promise.resolve(answer).then(() => {
          // The whole function was reset, its configuration space too.
          order.push(`${name} answered ${response[0]} ${pci.configRead(0x0c, 1)}`);
        }),
      );
    };
    rig.models.get(1)!.reset = () => {
      if (waiting.length > 0) return;
      send("set", OP.SET, [0, 0, 0, 0, 0, 0, 0, 0]);
      send("mode", OP.MODE, [1]);
    };
    pci.reset();
    await Promise.all(waiting);
    // The stop that ended with the FLR is over: there is no object either, which is looked at first.
    expect(order).toEqual(["set object", "mode object", "set answered 6 0", "mode answered 0 0"]);
    expect(rig.members.get(1)!.device.stopped).toBe(true);
  });

  it("have parts that fit those of another owner's virtual function", () => {
    const [from, to] = [ready(), ready()];
    const parts = from.vfs.partsDevice(1)!.readParts();
    const other = to.vfs.partsDevice(3)!;
    other.stop();
    other.prepareParts(parts).apply();
    expect(hex(encodeParts(other.readParts()))).toBe(hex(encodeParts(parts)));
    expect(to.vfs.partsDevice(4)).toBeUndefined();
    expect(parts.filter(({ type }) => type === COMMON_PARTS.VQ_CFG.type).map(selectorOf)).toEqual([
      0, 1,
    ]);
  });
});
