import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CapabilityFamily, DEV_PARTS_CAP, deviceCapability } from "../../src/admin/index.ts";
import { SelfGroup } from "../../src/group/index.ts";
import {
  capGet,
  capSet,
  EBUSY,
  ENXIO,
  INVALID_FIELD,
  INVALID_OPCODE,
  LIST_CAP,
  le,
  OBJECTS_OF_ALL,
  ObjectRig,
  OK,
  OP_CAP,
  parts,
  pool,
  SRIOV,
  TEST_CAP,
  TEST_DEVICE,
  TYPE,
} from "./object-rig.ts";
import { AdminRig, answerOf, request, unhex } from "./rig.ts";

const { LIST, GET, SET } = OP_CAP;
const bare = (text: string) => text.replaceAll(" ", "");

/** The value of TEST_CAP on the wire, as the device has it unless told otherwise. */
function testCap(over: Partial<typeof TEST_DEVICE> = {}): string {
  const { pools, filters, flags, kinds, depths, revision } = { ...TEST_DEVICE, ...over };
  return [
    le(pools, 4),
    le(filters, 4),
    le(flags, 8),
    ...kinds.map((kind) => le(kind, 2)),
    ...depths.map((depth) => le(depth, 1)),
    le(revision, 2),
    le(0, 10),
  ].join("");
}
const DEVICE = testCap();

describe("the list of capability commands", () => {
  it("[capability-device-1+-] has all three or none, for the Self group alone", () => {
    const rig = new ObjectRig();
    expect(rig.executor.supported(0)).toEqual(expect.arrayContaining([LIST, GET, SET]));
    expect(rig.executor.supported(SRIOV)).not.toContain(LIST);
    const none = new AdminRig({ groups: [new SelfGroup()], families: [new CapabilityFamily([])] });
    expect(none.executor.supported(0)).toEqual([0, 1]);
  });

  it.each([
    [[LIST], INVALID_FIELD],
    [[GET, SET], INVALID_FIELD],
    [[LIST, GET], INVALID_FIELD],
    [[LIST, GET, SET], OK],
    [[], OK],
  ])("[capability-device-1+-] LIST_USE of %o answers %o", (opcodes, outcome) => {
    const rig = new ObjectRig();
    const before = rig.executor.used(0);
    const list = new Uint8Array(8);
    for (const opcode of [0, 1, ...opcodes]) list[opcode >> 3]! |= 1 << (opcode & 7);
    expect(rig.outcome(1, list)).toEqual(outcome);
    const after = rig.executor.used(0);
    expect(after).toEqual(outcome === OK ? [0, 1, ...opcodes] : before);
  });

  it.each([LIST, GET, SET])(
    "[capability-device-5-] opcode %i fails with EINVAL outside the Self group, and changes nothing",
    (opcode) => {
      const rig = new ObjectRig();
      const before = rig.state();
      for (const member of [0, 1, 99]) {
        const target = { group: SRIOV, member };
        expect(rig.outcome(opcode, capSet(0, "0101"), target)).toEqual(INVALID_OPCODE);
        expect(rig.outcome(opcode, capSet(0, "0101"), { group: 0x1234, member })[0]).toBe(22);
      }
      expect(rig.state()).toEqual(before);
    },
  );
});

describe("CAP_ID_LIST_QUERY", () => {
  it("reports the ids in as many words as the largest takes", () => {
    const rig = new ObjectRig();
    // Ids 0, 0x800 = 32 * 64 and 0x840 = 33 * 64: the largest alone is in the last word.
    const words = ["0100000000000000", ...new Array(31).fill("00".repeat(8))];
    const ids = [...words, "0100000000000000", "0100000000000000"].join("");
    expect(rig.command(LIST, "", { room: 512 })).toEqual({ outcome: OK, result: ids });
    expect(rig.command(LIST, "", { room: 8 }).result).toBe("0100000000000000");
    expect(rig.command(LIST, "ff".repeat(40), { room: 0, member: 99 }).outcome).toEqual(OK);
  });

  it("reports one word for the device parts capability alone", () => {
    const families = [new CapabilityFamily([deviceCapability(DEV_PARTS_CAP, {})])];
    const rig = new AdminRig({ groups: [new SelfGroup()], families });
    rig.useAll(0);
    const answer = rig.send({ readable: request(LIST, 0, 0), writableLength: 64 })!;
    expect([answer.used, answer.bytes[8]]).toEqual([16, 1]);
  });
});

describe("DEVICE_CAP_GET", () => {
  it("reports the device's value, whatever the driver has set", () => {
    const rig = new ObjectRig();
    for (let i = 0; i < 2; i++) {
      expect(rig.command(GET, capGet(0)).result).toBe(`0201${"00".repeat(6)}`);
      expect(rig.command(GET, capGet(0x0800))).toEqual({ outcome: OK, result: DEVICE });
      expect(rig.command(GET, capGet(0x0840)).result).toBe(
        bare("03000000 11000000 22000000 ffffffff"),
      );
      rig.limit(1, 0);
      rig.limitParts(0, 0);
    }
  });

  it.each([1, 0x3f, 0x07ff, 0x0801, 0x0fff, 0x1000, 0xffff])(
    "[capability-device-7-] fails with ENXIO for id %i, which the device has not reported",
    (id) => {
      const rig = new ObjectRig();
      const before = rig.state();
      expect(rig.command(GET, capGet(id))).toEqual({ outcome: ENXIO, result: "" });
      expect(rig.outcome(SET, capSet(id, ""))).toEqual(ENXIO);
      expect(rig.state()).toEqual(before);
    },
  );

  it("serves parts of any length, as Linux cuts them", () => {
    const rig = new ObjectRig({ parts: [16, 16] });
    const get = rig.send({
      readable: request(GET, 0, 0, unhex(capGet(0))),
      readableCuts: [24],
      writableLength: 10,
      writableCuts: [8],
    })!;
    expect([get.used, [...get.bytes]]).toEqual([10, [0, 0, 0, 0, 0, 0, 0, 0, 16, 16]]);
    const set = rig.send({
      readable: request(SET, 0, 0, unhex(capSet(0, "1010"))),
      readableCuts: [24],
      writableLength: 8,
    })!;
    expect([set.used, answerOf(set.bytes)]).toEqual([8, OK]);
    expect(rig.capabilities.driver(DEV_PARTS_CAP)).toEqual({
      get_parts_resource_objects_limit: 16,
      set_parts_resource_objects_limit: 16,
    });
  });

  it("reads a short id as extended by zeros, and looks at nothing behind it", () => {
    const rig = new ObjectRig();
    expect(rig.command(GET, "").result).toBe(`0201${"00".repeat(6)}`);
    expect(rig.command(GET, "0008").result).toBe(DEVICE);
    expect(rig.command(GET, `0008${"ff".repeat(20)}`).result).toBe(DEVICE);
  });
});

describe("DRIVER_CAP_SET", () => {
  it.each([
    ["the device's own value", DEVICE],
    ["[capability-device-2+] lower limits", testCap({ pools: 1, filters: 0 })],
    ["[capability-device-3+] fewer flags", testCap({ flags: 4n })],
    ["[capability-device-3+] no flags", testCap({ flags: 0n })],
    ["fewer entries, in another order", testCap({ kinds: [0x1234, 0, 7, 7] })],
    ["lower elements of an array of limits", testCap({ depths: [0, 0, 3, 254] })],
    ["nothing at all", testCap({ pools: 0, filters: 0, flags: 0n, kinds: [0, 0, 0, 0] })],
  ])("accepts %s", (_, value) => {
    const rig = new ObjectRig();
    expect(rig.outcome(SET, capSet(0x0800, value))).toEqual(OK);
    const { state } = rig.executor.saveState().families[0]!;
    expect(state).toMatchObject({ driver: [{ id: 0x0800, value }] });
    expect(rig.command(GET, capGet(0x0800)).result).toBe(DEVICE);
  });

  it.each([
    ["[capability-device-4-] a limit above the device's", testCap({ pools: 5 })],
    ["[capability-device-4-] the largest limit", testCap({ filters: 2 ** 32 - 1 })],
    ["[capability-device-4-] a flag the device lacks", testCap({ flags: 2n })],
    ["[capability-device-4-] a high flag the device lacks", testCap({ flags: 2n ** 62n })],
    ["an entry the device lacks", testCap({ kinds: [7, 9, 8, 0] })],
    ["an element above the device's of that place", testCap({ depths: [2, 0, 0, 0] })],
    ["fields that do not go together", testCap({ pools: 0, filters: 1 })],
  ])("fails with EINVAL, and changes nothing, for %s", (_, value) => {
    const rig = new ObjectRig();
    rig.limit(2, 1);
    const before = rig.state();
    expect(rig.outcome(SET, capSet(0x0800, value))).toEqual(INVALID_FIELD);
    expect(rig.state()).toEqual(before);
  });

  it("keeps a field that is not writable, and looks at no reserved one", () => {
    const rig = new ObjectRig();
    const value = `${testCap({ revision: 0xffff }).slice(0, 60)}${"ee".repeat(10)}`;
    expect(rig.outcome(SET, capSet(0x0800, value))).toEqual(OK);
    expect(rig.capabilities.driver(TEST_CAP)).toMatchObject({
      revision: TEST_DEVICE.revision,
      reserved: new Array(10).fill(0),
    });
    expect(rig.outcome(SET, `0008${"ff".repeat(6)}${value}`)).toEqual(OK);
  });

  it("reads a short value as extended by zeros, and looks at nothing beyond the device's", () => {
    const rig = new ObjectRig();
    expect(rig.outcome(SET, capSet(0x0800, le(3, 4)))).toEqual(OK);
    expect(rig.capabilities.driver(TEST_CAP)).toMatchObject({ pools: 3, filters: 0, flags: 0n });
    expect(rig.outcome(SET, "0008")).toEqual(OK);
    expect(rig.capabilities.driver(TEST_CAP).pools).toBe(0);
    expect(rig.outcome(SET, capSet(0x0800, DEVICE) + "ff".repeat(5000))).toEqual(OK);
    expect(rig.capabilities.driver(TEST_CAP).pools).toBe(TEST_DEVICE.pools);
  });

  it.each([
    ["the whole list", "03000000 11000000 22000000 ffffffff", OK],
    ["a part of it", "01000000 22000000", OK],
    ["one with padding", "02000000 22000000 11000000 00000000", OK],
    ["half an entry, which the zeros behind it complete", "01000000 22", OK],
    ["too many", "04000000 11000000", INVALID_FIELD],
    ["a foreign one", "01000000 33000000", INVALID_FIELD],
    ["half of one, which the zeros behind it do not complete", "01000000 ffff", INVALID_FIELD],
    ["more than the device has, not looked at", "03000000 11000000 22000000 ffffffff 33", OK],
  ])("judges a capability of no fixed length: %s", (_, value, outcome) => {
    const rig = new ObjectRig();
    expect(rig.outcome(SET, capSet(0x0840, bare(value)))).toEqual(outcome);
    const { list } = rig.capabilities.driver(LIST_CAP);
    expect(list.length > 0).toBe(outcome === OK);
  });

  it("[capability-device-8+] [capability-device-9-] is undone by a device reset; unset counts as zero", () => {
    const rig = new ObjectRig();
    const unset = { pools: 0, filters: 0, flags: 0n, revision: 0 };
    expect(rig.capabilities.driver(TEST_CAP)).toMatchObject(unset);
    rig.limit();
    expect(rig.capabilities.driver(TEST_CAP)).toMatchObject({ pools: 4, filters: 3 });
    rig.restart();
    expect(rig.capabilities.driver(TEST_CAP)).toMatchObject(unset);
    expect(rig.create(TYPE.POOL, 0, pool(1))).toEqual(INVALID_FIELD);
  });

  it("[capability-device-6-] fails with EBUSY while an object lives that it would take the limit from", () => {
    const rig = new ObjectRig();
    rig.limit();
    expect(rig.create(TYPE.POOL, 2, pool(1))).toEqual(OK);
    const before = rig.state();
    for (const pools of [0, 1, 2]) {
      expect(rig.outcome(SET, capSet(0x0800, le(pools, 4)))).toEqual(EBUSY);
    }
    expect(rig.state()).toEqual(before);
    rig.limit(3);
    rig.limit(4);
    expect(rig.destroy(TYPE.POOL, 2)).toEqual(OK);
    rig.limit(0, 0);
  });

  it("[capability-device-6-] fails with EBUSY while too many of a kind live, whatever their ids", () => {
    const rig = new ObjectRig();
    rig.limitParts(2, 1);
    expect(rig.create(TYPE.DEV_PARTS, 0, parts.get, { group: SRIOV, member: 1 })).toEqual(OK);
    expect(rig.create(TYPE.DEV_PARTS, 0, parts.get, { group: SRIOV, member: 2 })).toEqual(OK);
    expect(rig.outcome(SET, capSet(0, "0101"))).toEqual(EBUSY);
    expect(rig.outcome(SET, capSet(0, "0200"))).toEqual(OK);
    // The objects of members that have gone hold nothing.
    rig.virtual.vanish();
    expect(rig.outcome(SET, capSet(0, "0000"))).toEqual(OK);
  });
});

describe("the family", () => {
  it("tells nothing about capabilities that the device has not", () => {
    const family = new CapabilityFamily([deviceCapability(DEV_PARTS_CAP, {})]);
    expect(family.device(TEST_CAP)).toBeUndefined();
    expect(family.driver(TEST_CAP)).toMatchObject({ pools: 0 });
    const alike = { ...DEV_PARTS_CAP };
    expect(family.device(alike)).toBeUndefined();
    expect(family.device(DEV_PARTS_CAP)).toEqual({
      get_parts_resource_objects_limit: 0,
      set_parts_resource_objects_limit: 0,
    });
  });

  it("belongs to one owner, and takes no dependant once it does", () => {
    const rig = new ObjectRig();
    expect(() => new AdminRig({ families: [rig.capabilities] })).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID", path: "families.capabilities" }),
    );
    const dependant = { name: "other", allows: () => true, save: () => 0, restore: () => () => {} };
    expect(() => rig.capabilities.attach(dependant)).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID", value: "other" }),
    );
    const family = new CapabilityFamily([]);
    family.attach(dependant);
    expect(() => family.attach(dependant)).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID", value: "other" }),
    );
  });
});

describe("tolerance T2", () => {
  const tolerant = { tolerances: { T2: true } } as const;
  const list = (rig: AdminRig, group: number) => rig.executor.supported(group);

  it("serves the real family without a LIST_USE for the Self group", () => {
    const rig = new ObjectRig(tolerant);
    rig.bringUp();
    expect(rig.outcome(LIST)).toEqual(OK);
    expect(rig.outcome(SET, capSet(0, "0101"))).toEqual(OK);
    expect(rig.outcome(0x0a, "")).toEqual(INVALID_OPCODE);
    expect(list(rig, SRIOV)).toEqual(expect.arrayContaining([LIST, GET, SET]));
    // Once the driver has settled a list for the Self group, that list counts.
    expect(rig.outcome(1, "03")).toEqual(OK);
    expect(rig.outcome(LIST)).toEqual(INVALID_OPCODE);
    // In the SR-IOV group they are listed, and not legal.
    rig.useAll(SRIOV);
    expect(rig.outcome(LIST, "", { group: SRIOV, member: 1 })).toEqual(INVALID_OPCODE);
  });

  it("[admin-cmd-device-17-] is off by default", () => {
    const rig = new ObjectRig();
    rig.bringUp();
    for (const opcode of [LIST, GET, SET]) expect(rig.outcome(opcode)).toEqual(INVALID_OPCODE);
  });
});

describe("whatever a driver sends", () => {
  it("[capability-device-4-] sets nothing beyond the device's, and never fails the device", () => {
    const rig = new ObjectRig();
    const id = fc.oneof(fc.constantFrom(0, 0x0800, 0x0840), fc.integer({ min: 0, max: 0xffff }));
    const command = fc.record({
      opcode: fc.constantFrom(LIST, GET, SET, SET, SET),
      id,
      value: fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.uint8Array({ max: 3, maxLength: 64 })),
      cut: fc.nat(80),
      room: fc.nat(64),
      member: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    });
    fc.assert(
      fc.property(command, ({ opcode, id, value, cut, room, member }) => {
        const data = unhex(capSet(id, "")).slice();
        const whole = new Uint8Array([...data, ...value]).subarray(0, cut);
        const { outcome } = rig.command(opcode, whole, { room, member });
        expect([0, 6, 22]).toContain(outcome[0]);
        const driver = rig.capabilities.driver(TEST_CAP);
        expect(driver.pools).toBeLessThanOrEqual(TEST_DEVICE.pools);
        expect(driver.flags & ~TEST_DEVICE.flags).toBe(0n);
        const { list, count } = rig.capabilities.driver(LIST_CAP);
        expect(list.length).toBeLessThanOrEqual(3);
        expect(count).toBeLessThanOrEqual(3);
        expect(rig.faults).toEqual([]);
      }),
    );
  });
});

describe("a saved state", () => {
  it("comes back in another owner", () => {
    const rig = new ObjectRig();
    rig.limit(3, 2);
    rig.limitParts(1, 1);
    const other = new ObjectRig();
    other.executor.prepareState(rig.executor.saveState()).apply();
    expect(other.executor.saveState()).toEqual(rig.executor.saveState());
    expect(other.capabilities.driver(TEST_CAP)).toMatchObject({ pools: 3, filters: 2 });
  });

  const saved = (driver: unknown, dependants: unknown = OBJECTS_OF_ALL) => ({ driver, dependants });
  const two = [0, 0].map((id) => ({ id, value: "0000" }));
  const revised = { id: 0x0800, value: testCap({ revision: 9 }) };
  it.each([
    ["nothing", undefined, "admin.families.capabilities"],
    ["no object", 7, "capabilities.driver"],
    ["no list", saved({}), "capabilities.driver"],
    ["an entry that is none", saved([7]), "capabilities.driver[0].id"],
    ["an unknown id", saved([{ id: 1, value: "" }]), "capabilities.driver[0].id"],
    ["an id that is no number", saved([{ id: "0", value: "0000" }]), "capabilities.driver[0].id"],
    ["one id twice", saved(two), "capabilities.driver[1].id"],
    ["no bytes", saved([{ id: 0, value: "00zz" }]), "capabilities.driver[0].value"],
    ["a value too short", saved([{ id: 0, value: "00" }]), "capabilities.driver[0].value"],
    ["a value too long", saved([{ id: 0, value: "000000" }]), "capabilities.driver[0].value"],
    ["more than the device", saved([{ id: 0, value: "0300" }]), "capabilities.driver[0].value"],
    ["another fixed field", saved([revised]), "capabilities.driver[0].value"],
    ["no dependants", saved([], null), "resource-objects.objects"],
    ["a foreign dependant", saved([], { ...OBJECTS_OF_ALL, x: 1 }), "capabilities.dependants"],
  ])("is refused when it has %s, and nothing changes", (_, state, path) => {
    const rig = new ObjectRig();
    rig.limit(3, 2);
    const before = rig.executor.saveState();
    const families = before.families.map((family) => ({ ...family, state }));
    expect(() => rig.executor.prepareState({ ...before, families })).toThrow(
      expect.objectContaining({ code: "SNAPSHOT", path }),
    );
    expect(rig.executor.saveState()).toEqual(before);
  });
});
