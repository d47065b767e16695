import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AdminExecutor,
  CapabilityFamily,
  type CommandFamily,
  DEV_PARTS_CAP,
  DEV_PARTS_GET_TYPE,
  DEV_PARTS_METADATA_TYPE,
  DEVICE_PARTS_COMMANDS,
  DevicePartsFamily,
  deviceCapability,
  LONGEST_PARTS_DATA,
  RESOURCE_OBJ_DEV_PARTS,
  ResourceObjectFamily,
  type ResourceObjectType,
} from "../../src/admin/index.ts";
import {
  commonPart,
  type DevicePart,
  decodeParts,
  describePart,
  encodePartHeaders,
  encodeParts,
  FEATURE,
  headerOf,
  STATUS,
} from "../../src/device/index.ts";
import { SelfGroup, SR_IOV_GROUP } from "../../src/group/index.ts";
import { HoldModel, NotingAdmin } from "../device/models.ts";
import {
  asking,
  EBUSY,
  ENOMEM,
  ENXIO,
  GET_OBJECT,
  INVALID_FIELD,
  INVALID_GROUP,
  INVALID_MEMBER,
  INVALID_OPCODE,
  OK,
  OP_PARTS,
  PartsMember,
  PartsMembers,
  PartsRig,
  readAnswer,
  SET_OBJECT,
  SRIOV,
  setting,
  TRY_AGAIN,
  UNTELLABLE,
} from "./device-parts-rig.ts";
import { AdminRig, hex, request, settle, unhex } from "./rig.ts";

const { METADATA, GET, SET, MODE } = OP_PARTS;
const { SIZE, COUNT, LIST } = DEV_PARTS_METADATA_TYPE;
const { SELECTED, ALL } = DEV_PARTS_GET_TYPE;
const { VIRTIO_F_ADMIN_VQ } = FEATURE;
const RUNNING = STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK | STATUS.DRIVER_OK;

/** The number that a result begins with. */
const le32 = (result: string) => Buffer.from(result, "hex").readUInt32LE(0);
const STOP_FIRST = request(MODE, SRIOV, 1, Uint8Array.of(1));
const partsIn = (result: string) => decodeParts(unhex(result));
const status = (value: number) => commonPart("DEVICE_STATUS", Uint8Array.of(value));

function ready(buffers = 0) {
  const rig = new PartsRig();
  const member = rig.prepare(1).member(1);
  const queue = member.bringUp(buffers);
  return { rig, member, queue };
}

describe("the list of device parts commands", () => {
  it("[device-parts-device-1+] has all of them, and those on the objects, or none", () => {
    const rig = new PartsRig();
    expect(rig.executor.supported(SRIOV)).toEqual([0, 1, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x10, 0x11]);
    expect(rig.executor.supported(0)).toEqual([0, 1, 7, 8, 9]);
    // Members without parts would have the commands on the objects alone.
    const plain = { type: SR_IOV_GROUP, exists: true, memberCount: 1, hasMember: () => true };
    expect(() => new PartsRig({ groups: [new SelfGroup(), plain] })).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID" }),
    );
    const alone = new PartsRig({ groups: [new SelfGroup()], uses: [0] });
    expect([alone.executor.supported(0), alone.executor.supported(SRIOV)]).toEqual([
      [0, 1, 7, 8, 9],
      [],
    ]);
    const none = new AdminRig({ groups: [new SelfGroup(), rig.group], families: [] });
    expect(none.executor.supported(SRIOV)).toEqual([0, 1]);
  });

  const partsOf = (types: readonly ResourceObjectType[] = [RESOURCE_OBJ_DEV_PARTS]) => {
    const capabilities = new CapabilityFamily([
      deviceCapability(DEV_PARTS_CAP, {
        get_parts_resource_objects_limit: 1,
        set_parts_resource_objects_limit: 1,
      }),
    ]);
    return { capabilities, objects: new ResourceObjectFamily({ capabilities, types }) };
  };

  it("cannot be there without device parts objects", () => {
    const { objects } = partsOf([]);
    expect(() => new DevicePartsFamily({ objects })).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID" }),
    );
  });

  it("[device-parts-device-1-] cannot be there in part: an owner with one half is not made", () => {
    const groups = [new SelfGroup(), new PartsMembers([new PartsMember()])];
    const make = (families: readonly CommandFamily[]) => () =>
      new AdminExecutor({ groups, families });
    const refusal = (path: string, message: string) =>
      expect.objectContaining({
        code: "FAMILY_INVALID",
        path,
        message: expect.stringContaining(message),
      });
    const { capabilities, objects } = partsOf();
    const parts = new DevicePartsFamily({ objects });
    // Objects without the commands that they are for.
    expect(make([capabilities, objects])).toThrow(
      refusal("families.resource-objects", "DEV_PARTS_METADATA_GET"),
    );
    // Commands without those on the objects that they go through.
    expect(make([capabilities, parts])).toThrow(
      refusal("families.device-parts", "RESOURCE_OBJ_CREATE"),
    );
    // Three of the four.
    for (const missing of DEVICE_PARTS_COMMANDS) {
      const some: CommandFamily = {
        name: "some",
        doc: "All but one.",
        private: true,
        commands: DEVICE_PARTS_COMMANDS.filter((command) => command !== missing),
        bind: () => ({ handlers: {} }),
      };
      expect(make([capabilities, objects, some])).toThrow(
        refusal("families.resource-objects", missing.name),
      );
    }
    // The objects of another owner.
    const other = partsOf();
    expect(make([other.capabilities, other.objects, parts])).toThrow(
      refusal("families.device-parts.objects", "not this owner's"),
    );
    // Refused as a whole, so that the same families serve an owner that has them all.
    const executor = make([capabilities, objects, parts])();
    expect(executor.supported(SRIOV)).toEqual([0, 1, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x10, 0x11]);
  });

  it.each(Object.entries(OP_PARTS))("%s is no command of the Self group", (_, opcode) => {
    const { rig } = ready();
    expect(rig.command(opcode, 0, "", { group: 0 }).outcome).toEqual(INVALID_OPCODE);
  });

  it.each(Object.entries(OP_PARTS))(
    "%s needs a member that is there, and has parts",
    (_, opcode) => {
      const { rig } = ready();
      const before = rig.state();
      for (const member of [0, 4, 5, 2n ** 64n - 1n]) {
        const data = opcode === MODE ? "01" : asking(0, opcode === SET ? SET_OBJECT : GET_OBJECT);
        expect(rig.outcome(opcode, member, data)).toEqual(INVALID_MEMBER);
      }
      rig.group.exists = false;
      expect(rig.outcome(opcode, 1)).toEqual(INVALID_GROUP);
      rig.group.exists = true;
      expect(rig.state()).toEqual(before);
    },
  );
});

describe("the object that a command goes through", () => {
  it.each<[string, number, string, readonly [number, number]]>([
    ["METADATA_GET, no object", METADATA, asking(SIZE, "0000 0000 07000000"), ENXIO],
    ["GET, no object", GET, asking(ALL, "0000 0000 02000000"), ENXIO],
    ["SET, no object", SET, "0000 0000 ffffffff", ENXIO],
    ["METADATA_GET, another type", METADATA, asking(SIZE, "0002 0000 00000000"), INVALID_FIELD],
    ["GET, another type", GET, asking(ALL, "0100 0000 00000000"), INVALID_FIELD],
    ["SET, another type", SET, "ffff 0000 01000000", INVALID_FIELD],
    ["METADATA_GET, one that restores", METADATA, asking(SIZE, SET_OBJECT), INVALID_FIELD],
    ["GET, one that restores", GET, asking(ALL, SET_OBJECT), INVALID_FIELD],
    ["SET, one that captures", SET, GET_OBJECT, INVALID_FIELD],
  ])("%s", (_, opcode, data, outcome) => {
    const { rig } = ready();
    rig.stop(1);
    const before = rig.state();
    expect(rig.outcome(opcode, 1, data)).toEqual(outcome);
    expect(rig.state()).toEqual(before);
  });

  it("is the member's own", () => {
    const { rig } = ready();
    expect(rig.outcome(GET, 2, asking(ALL))).toEqual(ENXIO);
    rig.prepare(2);
    expect(rig.outcome(GET, 2, asking(ALL))).toEqual(OK);
  });

  it("has its reserved fields passed over", () => {
    const { rig } = ready();
    const { outcome, result } = rig.command(METADATA, 1, "0000 ffff 00000000 01 ffffffffffffff");
    expect([outcome, le32(result)]).toEqual([OK, 5]);
  });
});

describe("DEV_PARTS_METADATA_GET", () => {
  it("tells the size, the number and the headers of what DEV_PARTS_GET returns", () => {
    const { rig, member } = ready(2);
    const parts = member.device.readParts();
    const bytes = encodeParts(parts);
    expect(rig.command(METADATA, 1, asking(SIZE))).toEqual({
      outcome: OK,
      result: `${bytes.length.toString(16).padStart(2, "0")}00000000000000`,
    });
    expect(rig.command(METADATA, 1, asking(COUNT)).result).toBe("0500000000000000");
    expect(rig.command(METADATA, 1, asking(LIST)).result).toBe(
      `0500000000000000${hex(encodePartHeaders(parts.map(headerOf)))}`,
    );
    const all = rig.command(GET, 1, asking(ALL));
    expect(all.result.slice(0, 2 * bytes.length)).toBe(hex(bytes));
  });

  it("answers ENOMEM when there is too little room, and tells nothing", () => {
    const { rig } = ready();
    for (const [type, length] of [
      [SIZE, 8],
      [COUNT, 8],
      [LIST, 8 + 5 * 16],
    ] as const) {
      const short = rig.command(METADATA, 1, asking(type), { room: length - 1 });
      expect(short.outcome).toEqual(ENOMEM);
      expect(short.result).toMatch(/^0*$/);
      expect(rig.command(METADATA, 1, asking(type), { room: length }).outcome).toEqual(OK);
    }
  });

  it("knows no other questions", () => {
    const { rig } = ready();
    for (const type of ["03", "ff"]) {
      const data = `${GET_OBJECT} ${type} 00000000000000`;
      expect(rig.outcome(METADATA, 1, data)).toEqual(INVALID_FIELD);
    }
    // What is not supplied is zero: the size.
    expect(rig.command(METADATA, 1, "").outcome).toEqual(OK);
  });
});

describe("DEV_PARTS_GET", () => {
  it("[device-parts-device-2+] [device-parts-device-3+] returns all parts in order, as often as it is asked, stopped or not", () => {
    const { rig } = ready();
    const names = ["DEV_FEATURES", "DRV_FEATURES", "DEVICE_STATUS", "VQ_CFG 0", "VQ_CFG 1"];
    const first = rig.command(GET, 1, asking(ALL));
    expect(partsIn(first.result).map(describePart)).toEqual(names);
    expect(rig.command(GET, 1, asking(ALL))).toEqual(first);
    rig.stop(1);
    expect(rig.command(GET, 1, asking(ALL))).toEqual(first);
  });

  const select = (parts: readonly DevicePart[], rest = "") =>
    `${asking(SELECTED)} ${hex(encodePartHeaders(parts.map(headerOf)))} ${rest}`;

  it("[device-parts-device-3+] [device-parts-device-26+] returns the selected parts in order, without those that there are not", () => {
    const { rig, member } = ready();
    const [offered, , state, first, second] = member.device.readParts();
    const missing = [
      commonPart("PCI_COMMON_CFG", new Uint8Array(2), 18),
      commonPart("VQ_CFG", new Uint8Array(32), 77),
      { type: 0x0200, flags: 0, selector: new Uint8Array(8), value: new Uint8Array(0) },
    ];
    const wanted = [second!, ...missing, state!, offered!, second!, first!];
    const { outcome, result } = rig.command(GET, 1, select(wanted));
    expect(outcome).toEqual(OK);
    expect(partsIn(result)).toEqual([offered, state, first, second]);
    expect(rig.command(GET, 1, select(missing))).toEqual({ outcome: OK, result: "" });
    expect(rig.command(GET, 1, select([]))).toEqual({ outcome: OK, result: "" });
  });

  it("goes by type and selector; a header that is cut off has zeros there", () => {
    const { rig, member } = ready();
    const [, , , first] = member.device.readParts();
    expect(partsIn(rig.command(GET, 1, select([], "0401")).result)).toEqual([first]);
    const strange = { ...first!, flags: 0xff, value: new Uint8Array(3) };
    expect(partsIn(rig.command(GET, 1, select([strange])).result)).toEqual([first]);
  });

  it("is cut off when there is too little room, as every result is", () => {
    const { rig, member } = ready();
    const bytes = hex(encodeParts(member.device.readParts()));
    const cut = rig.command(GET, 1, asking(ALL), { room: 40 });
    expect(cut).toEqual({ outcome: OK, result: bytes.slice(0, 80) });
  });

  it("knows no other selections", () => {
    const { rig } = ready();
    expect(rig.outcome(GET, 1, asking(2))).toEqual(INVALID_FIELD);
  });

  it("takes no more headers than it serves", () => {
    const rig = new PartsRig({ size: 8 });
    rig.prepare(1);
    const ask = (length: number) => {
      const readable = request(GET, SRIOV, 1, new Uint8Array(16 + length));
      const response = new Uint8Array(64);
      const used = rig.executor.execute(readable, response) as number;
      return readAnswer(response, used).outcome;
    };
    expect([ask(LONGEST_PARTS_DATA), ask(LONGEST_PARTS_DATA + 1)]).toEqual([OK, ENOMEM]);
  });
});

describe("DEV_PARTS_SET", () => {
  it("[device-parts-device-4+-] fails while the member is not stopped", () => {
    const { rig, member } = ready();
    const before = rig.state();
    const data = setting(encodeParts(member.device.readParts()));
    expect(rig.outcome(SET, 1, data)).toEqual(EBUSY);
    expect(rig.state()).toEqual(before);
    rig.stop(1);
    expect(rig.outcome(SET, 1, data)).toEqual(OK);
    rig.resume(1);
    expect(rig.outcome(SET, 1, data)).toEqual(EBUSY);
  });

  it("[device-parts-device-5+] sets parts that take effect when the member goes on", () => {
    const { rig, member } = ready();
    rig.stop(1);
    rig.prepare(2).stop(2);
    const { result } = rig.command(GET, 1, asking(ALL));
    for (let i = 0; i < 2; i++) {
      expect(rig.outcome(SET, 2, setting(unhex(result)))).toEqual(OK);
      expect(rig.command(GET, 2, asking(ALL)).result).toBe(result);
    }
    const other = rig.member(2);
    expect([other.device.status, other.model.calls]).toEqual([RUNNING, []]);
    expect(rig.resume(2)).toEqual(OK);
    expect(other.model.calls.slice(0, 2)).toEqual(["start", "notified 0"]);
    expect(member.device.stopped).toBe(true);
  });

  it.each<[string, readonly DevicePart[]]>([
    [
      "[device-parts-device-6-] a part of another length",
      [commonPart("DEVICE_STATUS", new Uint8Array(4))],
    ],
    [
      "[device-parts-device-8-] [device-parts-device-32-] other features than the member's",
      [commonPart("DEV_FEATURES", new Uint8Array(16)), status(1)],
    ],
    [
      "an unknown part",
      [status(1), { type: 0x300, flags: 0, selector: new Uint8Array(8), value: new Uint8Array(1) }],
    ],
    ["a sound part and a senseless one", [status(1), commonPart("VQ_CFG", new Uint8Array(32), 0)]],
    ["a status that no driver comes to", [status(STATUS.DRIVER_OK)]],
  ])("%s: nothing is set", (_, parts) => {
    const { rig } = ready();
    rig.prepare(2).stop(2);
    const before = rig.state();
    expect(rig.outcome(SET, 2, setting(encodeParts(parts)))).toEqual(INVALID_FIELD);
    expect(rig.state()).toEqual(before);
  });

  it("[device-parts-device-6-] refuses a list that is cut off; zeros behind it are padding", () => {
    const { rig } = ready();
    rig.prepare(2).stop(2);
    const list = encodeParts([status(1)]);
    for (let end = 1; end < list.length; end++) {
      expect(rig.outcome(SET, 2, setting(list.subarray(0, end)))).toEqual(INVALID_FIELD);
    }
    expect(rig.member(2).device.status).toBe(0);
    const padded = new Uint8Array(64);
    padded.set(list);
    expect(rig.outcome(SET, 2, setting(padded))).toEqual(OK);
    expect(rig.member(2).device.status).toBe(1);
    expect(rig.outcome(SET, 2, setting(new Uint8Array(0)))).toEqual(OK);
  });

  it("[device-parts-device-9+] passes over optional parts that it does not know", () => {
    const { rig } = ready();
    rig.prepare(2).stop(2);
    const odd = { type: 0xfff0, flags: 1, selector: new Uint8Array(8), value: new Uint8Array(5) };
    expect(rig.outcome(SET, 2, setting(encodeParts([odd, status(3), odd])))).toEqual(OK);
    expect(rig.member(2).device.status).toBe(3);
  });

  it("takes no more bytes than it serves", () => {
    const rig = new PartsRig();
    rig.prepare(1).stop(1);
    const ask = (length: number) => {
      const readable = request(SET, SRIOV, 1, setting(new Uint8Array(length)));
      const response = new Uint8Array(8);
      const used = rig.executor.execute(readable, response) as number;
      return readAnswer(response, used).outcome;
    };
    expect([ask(LONGEST_PARTS_DATA), ask(LONGEST_PARTS_DATA + 1)]).toEqual([OK, ENOMEM]);
  });

  it("takes any bytes, sets all or nothing, and keeps no view of them", () => {
    const rig = new PartsRig();
    rig.prepare(1).member(1).bringUp();
    rig.prepare(2).stop(2);
    const sound = encodeParts(rig.member(1).device.readParts());
    const lists = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc
        .tuple(fc.nat(sound.length - 1), fc.nat(255), fc.nat(sound.length))
        .map(([at, value, end]) => {
          const spoilt = sound.slice();
          spoilt[at] = value;
          return spoilt.subarray(0, end);
        }),
    );
    fc.assert(
      fc.property(lists, (list) => {
        const before = rig.command(GET, 2, asking(ALL));
        const outcome = rig.outcome(SET, 2, setting(list));
        const after = rig.command(GET, 2, asking(ALL));
        if (outcome[0] === 0) return;
        expect(outcome).toEqual(INVALID_FIELD);
        expect(after).toEqual(before);
      }),
      { numRuns: 150 },
    );
    expect(rig.faults).toEqual([]);
  });
});

describe("DEV_MODE_SET", () => {
  it("[device-parts-device-23+] [device-parts-device-24+] stops and resumes, and succeeds when there is nothing to do", () => {
    const { rig, member } = ready();
    expect([rig.resume(1), member.device.stopped]).toEqual([OK, false]);
    expect([rig.stop(1), rig.stop(1), member.device.stopped]).toEqual([OK, OK, true]);
    expect([rig.resume(1), rig.resume(1), member.device.stopped]).toEqual([OK, OK, false]);
    rig.stop(1);
    // What is not supplied is zero.
    expect([rig.outcome(MODE, 1, ""), member.device.stopped]).toEqual([OK, false]);
  });

  it("refuses a mode that it does not know", () => {
    const { rig } = ready();
    rig.stop(1);
    const before = rig.state();
    for (const flags of ["02", "03", "80"]) {
      expect(rig.outcome(MODE, 1, flags)).toEqual(INVALID_FIELD);
      expect(rig.outcome(MODE, 2, flags)).toEqual(INVALID_FIELD);
    }
    expect(rig.state()).toEqual(before);
  });

  it("[device-parts-device-11+] [device-parts-device-12+] answers once the member has used all that it took", async () => {
    const { rig, member } = ready(3);
    expect(member.model.held.length).toBe(3);
    const placed = rig.add({ readable: STOP_FIRST, writableLength: 8 });
    rig.port.notify();
    member.model.use();
    member.model.use();
    await settle();
    expect([rig.take(placed), member.device.stopped]).toEqual([undefined, false]);
    member.model.use();
    await settle();
    const answer = rig.take(placed)!;
    expect([readAnswer(answer.bytes, answer.used).outcome, member.told]).toEqual([
      OK,
      ["used 0", "used 0", "used 0"],
    ]);
  });

  it("is overtaken by a resume through another queue", async () => {
    const rig = new PartsRig({ count: 2 });
    const member = rig.prepare(1).member(1);
    member.bringUp(1);
    const placed = rig.add({ readable: STOP_FIRST, writableLength: 8 });
    rig.port.notify();
    expect(rig.command(MODE, 1, "00", { port: rig.ports[1]! }).outcome).toEqual(OK);
    await settle();
    const answer = rig.take(placed)!;
    expect([readAnswer(answer.bytes, answer.used).outcome, member.device.stopped]).toEqual([
      TRY_AGAIN,
      false,
    ]);
    expect(member.model.held.length).toBe(1);
  });

  it.each(["owner's reset", "reset of the queue"])(
    "that is cancelled by the %s leaves the member at work",
    async (how) => {
      const { rig, member } = ready(1);
      rig.add({ readable: STOP_FIRST, writableLength: 8 });
      rig.port.notify();
      if (how === "owner's reset") rig.bringUp();
      else rig.device.resetQueue(rig.port.index);
      member.model.use();
      await settle();
      expect([member.device.stopped, member.model.host.running]).toEqual([false, true]);
      expect(rig.faults).toEqual([]);
    },
  );

  it("[admin-cmd-device-23-] that waits when the group goes finds none", async () => {
    const { rig } = ready(1);
    const placed = rig.add({ readable: STOP_FIRST, writableLength: 8 });
    rig.port.notify();
    rig.group.vanish();
    await settle();
    const answer = rig.take(placed)!;
    expect(readAnswer(answer.bytes, answer.used).outcome).toEqual(INVALID_GROUP);
    rig.group.exists = true;
    expect(rig.member(1).device.stopped).toBe(false);
  });

  it("outlasts the reset of the owner", () => {
    const { rig, member } = ready();
    rig.stop(1);
    rig.bringUp();
    expect(member.device.stopped).toBe(true);
  });

  it("[device-parts-device-21+] is answered, and so is DEV_PARTS_SET, after a reset that goes on", async () => {
    const rig = new PartsRig({ count: 3 });
    const member = rig.prepare(1).member(1);
    member.bringUp();
    rig.stop(1);
    const seen: unknown[] = [];
    const send = (opcode: number, data: Uint8Array, port: number) => {
      const placed = rig.add(
        { readable: request(opcode, SRIOV, 1, data), writableLength: 8 },
        rig.ports[port],
      );
      rig.ports[port]!.notify();
      return placed;
    };
    const placed: ReturnType<typeof send>[] = [];
    member.model.reset = () => {
      placed.push(send(SET, setting(encodeParts([status(3)])), 0), send(MODE, unhex("01"), 1));
      seen.push(rig.take(placed[0]!, rig.ports[0]), rig.take(placed[1]!, rig.ports[1]));
    };
    member.device.writeStatus(0);
    expect([seen, member.device.status]).toEqual([[undefined, undefined], 0]);
    await settle();
    const answers = placed.map((one, i) => {
      const { bytes, used } = rig.take(one, rig.ports[i])!;
      return readAnswer(bytes, used).outcome;
    });
    expect([answers, member.device.status, member.device.stopped]).toEqual([[OK, OK], 3, true]);
  });
});

describe("a driver that sends each part of a command in a descriptor of its own, unpadded", () => {
  it("is served: stock Linux does so", () => {
    const rig = new PartsRig();
    rig.prepare(1).member(1).bringUp();
    rig.prepare(2);
    const exchange = (opcode: number, member: number, data: string, room: number) => {
      const readable = request(opcode, SRIOV, member, unhex(data));
      const cuts = { readableCuts: [24], writableCuts: [8] };
      const { bytes, used } = rig.send({ readable, writableLength: 8 + room, ...cuts })!;
      return readAnswer(bytes, used);
    };
    for (const member of [1, 2]) {
      expect(exchange(MODE, member, "01", 0)).toEqual({ outcome: OK, result: "" });
    }
    const size = le32(exchange(METADATA, 1, asking(SIZE), 8).result);
    const { outcome, result } = exchange(GET, 1, asking(ALL), size);
    expect([outcome, result.length, size % 8]).toEqual([OK, 2 * size, 1]);
    expect(exchange(SET, 2, `${SET_OBJECT} ${result}`, 0).outcome).toEqual(OK);
    for (const member of [1, 2]) expect(exchange(MODE, member, "00", 0).outcome).toEqual(OK);
    expect(rig.member(2).device.status).toBe(RUNNING);
  });
});

describe("what no part can tell", () => {
  it("is refused with EINVAL and INVALID_COMMAND, by metadata and parts", () => {
    const admin = new NotingAdmin(1);
    const rig = new PartsRig({ members: [new PartsMember({ admin }), new PartsMember({ admin })] });
    const { device } = rig.prepare(1).member(1);
    expect(rig.outcome(GET, 1, asking(ALL))).toEqual(OK);
    rig.member(1).bringUp(0, VIRTIO_F_ADMIN_VQ);
    rig.stop(1);
    for (const type of [SIZE, COUNT, LIST]) {
      expect(rig.command(METADATA, 1, asking(type))).toEqual({
        outcome: UNTELLABLE,
        result: "0000000000000000",
      });
    }
    for (const type of [SELECTED, ALL]) {
      expect(rig.command(GET, 1, asking(type))).toEqual({ outcome: UNTELLABLE, result: "" });
    }
    rig.resume(1);
    expect([device.negotiated(VIRTIO_F_ADMIN_VQ), device.stopped]).toEqual([true, false]);
  });

  it("is where the packed ring of a member at work goes on: no part is told, and none is taken", async () => {
    const features = [FEATURE.VIRTIO_F_RING_PACKED];
    const members = [1, 2].map(() => new PartsMember({ features }));
    const rig = new PartsRig({ members });
    const member = rig.prepare(1).member(1);
    const queue = member.bringUp(2, FEATURE.VIRTIO_F_RING_PACKED);
    while (member.model.held.length > 0) member.model.use();
    expect(rig.stop(1)).toEqual(OK);
    for (const type of [SIZE, COUNT, LIST]) {
      expect(rig.outcome(METADATA, 1, asking(type))).toEqual(UNTELLABLE);
    }
    for (const type of [SELECTED, ALL]) {
      expect(rig.outcome(GET, 1, asking(type))).toEqual(UNTELLABLE);
    }
    const version1 = unhex("0000000001000000 0000000000000000");
    const split = [commonPart("DRV_FEATURES", version1), status(RUNNING)];
    expect(rig.outcome(SET, 1, setting(encodeParts(split)))).toEqual(INVALID_FIELD);
    // Its queue goes on where it was, as if nobody had asked.
    rig.resume(1);
    expect([queue.reap(), queue.reap(), queue.reap(), queue.defect]).toEqual([
      ...[expect.any(Number), expect.any(Number)],
      ...[-1, undefined],
    ]);
    queue.add([member.memory.regions[0]!.base], [4], 1, 0);
    queue.publish();
    member.device.notify(0);
    member.model.use();
    expect([queue.reap() >= 0, queue.usedLength]).toEqual([true, 4]);
    // Nor are the parts of a packed driver taken by a member without a driver.
    const packed = unhex("0000000005000000 0000000000000000");
    const other = [commonPart("DRV_FEATURES", packed), status(RUNNING)];
    rig.prepare(2);
    expect(rig.stop(2)).toEqual(OK);
    expect(rig.outcome(SET, 2, setting(encodeParts(other)))).toEqual(INVALID_FIELD);
    expect(rig.member(2).device.status).toBe(0);
  });

  it("is not replaced by parts: DEV_PARTS_SET fails while the member has VIRTIO_F_ADMIN_VQ in force", () => {
    const admin = () => new NotingAdmin(1);
    const members = [1, 2].map(() => new PartsMember({ admin: admin() }));
    const rig = new PartsRig({ members });
    const { device } = rig.prepare(1).member(1);
    // Nothing in these parts says anything of administration virtqueues.
    const version1 = unhex("0000000001000000 0000000000000000");
    const data = setting(encodeParts([commonPart("DRV_FEATURES", version1), status(RUNNING)]));
    rig.member(1).bringUp(0, VIRTIO_F_ADMIN_VQ);
    expect(rig.stop(1)).toEqual(OK);
    const state = () => [device.status, String(device.driverFeatures), device.queueEnabled(0)];
    const before = state();
    expect(rig.outcome(SET, 1, data)).toEqual(INVALID_FIELD);
    expect([state(), device.negotiated(VIRTIO_F_ADMIN_VQ)]).toEqual([before, true]);
    // Once its driver has reset it, the same parts are taken.
    device.reset();
    expect(rig.outcome(SET, 1, data)).toEqual(OK);
    expect([device.status, device.negotiated(VIRTIO_F_ADMIN_VQ)]).toEqual([RUNNING, false]);
  });
});

describe("commands that are as long as can be", () => {
  it("are served a few at a time, so that they hold nothing up", async () => {
    const rig = new PartsRig();
    rig.prepare(1);
    const readable = request(GET, SRIOV, 1, new Uint8Array(16 + LONGEST_PARTS_DATA));
    const { address } = rig.arena.allocate(readable.length, 8);
    rig.memory.write(address, readable);
    const { queue } = rig.port;
    const COMMANDS = 16;
    for (let i = 0; i < COMMANDS; i++) {
      queue.add([address, rig.arena.allocate(8, 8).address], [readable.length, 8], 2, 1);
    }
    const answered = () => {
      let count = 0;
      while (queue.reap() >= 0) count++;
      return count;
    };
    rig.port.notify();
    let total = answered();
    expect(total).toBeGreaterThan(0);
    expect(total).toBeLessThan(COMMANDS / 2);
    for (let turn = 0; turn < 200 && total < COMMANDS; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      total += answered();
    }
    expect(total).toBe(COMMANDS);
  });
});

describe("members with many queues", () => {
  it("are told and set by one command each, far longer than the others", () => {
    const QUEUES = 1000;
    const members = [1, 2].map(() => {
      const model = new HoldModel();
      model.queues = Array.from({ length: QUEUES }, (_, i) => ({ name: `q${i}`, maxSize: 8 }));
      return new PartsMember({ model });
    });
    const rig = new PartsRig({ members });
    rig.prepare(1).member(1).bringUp(0);
    members[0]!.device.setQueueSize(999, 4);
    rig.stop(1);
    rig.prepare(2).stop(2);
    const length = 32 + 32 + 17 + 48 * QUEUES;
    expect(le32(rig.command(METADATA, 1, asking(SIZE)).result)).toBe(length);
    const { outcome, result } = rig.command(GET, 1, asking(ALL), { room: length });
    expect([outcome, result.length]).toEqual([OK, 2 * length]);
    // A result has whole words, zero behind its end.
    const padded = rig.command(GET, 1, asking(ALL), { room: length + 100 }).result;
    expect(padded).toBe(result + "00".repeat(8 * Math.ceil(length / 8) - length));
    const list = rig.command(METADATA, 1, asking(LIST), { room: 8 + 16 * (QUEUES + 3) });
    expect([list.outcome, le32(list.result)]).toEqual([OK, QUEUES + 3]);
    expect(rig.outcome(SET, 2, setting(unhex(result)))).toEqual(OK);
    expect([members[1]!.device.queueSize(999), members[1]!.device.status]).toEqual([4, RUNNING]);
    // Short commands after long ones are as before.
    expect(rig.command(METADATA, 2, asking(COUNT)).result).toBe("eb03000000000000");
  });
});
