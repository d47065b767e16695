import { describe, expect, it } from "vitest";
import {
  AdminClient,
  CapabilityClient,
  CapabilityFamily,
  DEV_PARTS_CAP,
  defineCapability,
} from "../../src/admin/index.ts";
import { SelfGroup } from "../../src/group/index.ts";
import { besides, clientsOf, holdBack, opcodesTo, sentTo } from "./object-client-rig.ts";
import {
  LIST_CAP,
  OP_CAP,
  OP_OBJ,
  object,
  TEST_CAP,
  TEST_DEVICE,
  TYPE,
  testTypes,
} from "./object-rig.ts";
import { AdminRig, settle } from "./rig.ts";

const { LIST, GET, SET } = OP_CAP;
const header = (opcode: string) => `${opcode}00${"00".repeat(22)}`;
const ABSENT = defineCapability({ ...TEST_CAP, id: 0x0801, name: "ABSENT_CAP" });

describe("lists", () => {
  it("adds the capability commands to what is in use", async () => {
    const { rig, client } = await clientsOf();
    expect(rig.executor.used(0)).toEqual(expect.arrayContaining([0, 1, LIST, GET, SET]));
    expect(client.usedOpcodes(1)).not.toContain(LIST);
  });

  it("tells when the device has no capabilities", async () => {
    const rig = new AdminRig({ groups: [new SelfGroup()], families: [new CapabilityFamily([])] });
    const capabilities = new CapabilityClient(new AdminClient(rig.ports, rig.arena));
    expect(await capabilities.use()).toBe(false);
    await expect(capabilities.ids()).rejects.toMatchObject({ code: "ADMIN_LIST" });
  });
});

describe("typed calls", () => {
  it("ask for ids and values", async () => {
    const { rig, capabilities } = await clientsOf();
    expect(await capabilities.ids()).toEqual([0, 0x0800, 0x0840]);
    expect(await capabilities.device(DEV_PARTS_CAP)).toEqual({
      get_parts_resource_objects_limit: 2,
      set_parts_resource_objects_limit: 1,
    });
    expect(await capabilities.device(TEST_CAP)).toMatchObject(TEST_DEVICE);
    const { count, list } = await capabilities.device(LIST_CAP);
    expect([count, list]).toEqual([3, [0x11, 0x22, 0xffffffff]]);
    expect(sentTo(rig)).toEqual([
      header("07"),
      `${header("08")}0000000000000000`,
      `${header("08")}0008000000000000`,
      `${header("08")}4008000000000000`,
    ]);
  });

  it("set a value, which the device is asked about once", async () => {
    const { rig, capabilities } = await clientsOf();
    expect(capabilities.driver(DEV_PARTS_CAP)).toBeUndefined();
    await capabilities.set(DEV_PARTS_CAP, { get_parts_resource_objects_limit: 1 });
    await capabilities.set(DEV_PARTS_CAP, { set_parts_resource_objects_limit: 1 });
    expect(sentTo(rig)).toEqual([
      `${header("08")}0000000000000000`,
      `${header("09")}00000000000000000100000000000000`,
      `${header("09")}00000000000000000001000000000000`,
    ]);
    const expected = { get_parts_resource_objects_limit: 0, set_parts_resource_objects_limit: 1 };
    expect(capabilities.driver(DEV_PARTS_CAP)).toEqual(expected);
    expect(rig.capabilities.driver(DEV_PARTS_CAP)).toEqual(expected);
    await capabilities.set(LIST_CAP, { count: 1, list: [0x22] });
    expect(rig.capabilities.driver(LIST_CAP).list).toEqual([0x22, 0, 0]);
  });

  it("know what the device makes of fields that are not writable or reserved", async () => {
    const { rig, capabilities } = await clientsOf();
    await capabilities.set(TEST_CAP, { pools: 1, revision: 7, reserved: new Array(10).fill(9) });
    expect(capabilities.driver(TEST_CAP)).toEqual(rig.capabilities.driver(TEST_CAP));
    expect(capabilities.driver(TEST_CAP)).toMatchObject({ pools: 1, revision: 0x0102 });
  });

  it.each([
    ["[capability-driver-2-] a limit", { pools: 5 }, "pools", "it offers 4"],
    ["[capability-driver-2-] a limit in an array", { depths: [2, 0, 0, 0] }, "depths", /1, 2, 3/],
    ["[capability-driver-3-] a flag", { flags: 2n }, "flags", /it offers/],
    ["[capability-driver-4-] an entry", { kinds: [8, 0, 0, 0] }, "kinds", /it offers 7, 9/],
    ["what does not go together", { filters: 1 }, "TEST_CAP", undefined],
  ])("refuse before sending %s beyond the device's", async (_, value, field, hint) => {
    const { rig, capabilities } = await clientsOf();
    await capabilities.device(TEST_CAP);
    rig.events.length = 0;
    await expect(capabilities.set(TEST_CAP, value)).rejects.toMatchObject({
      code: "ADMIN_COMMAND",
      path: `TEST_CAP.${field}`,
      ...(hint === undefined ? {} : { hint: expect.stringMatching(hint) }),
    });
    expect(rig.events).toEqual([]);
    expect(capabilities.driver(TEST_CAP)).toBeUndefined();
  });

  it("[capability-driver-4-] refuse an entry, and a count, beyond those of a list", async () => {
    const { rig, capabilities } = await clientsOf();
    await expect(capabilities.set(LIST_CAP, { list: [0x11, 0x33] })).rejects.toMatchObject({
      path: "LIST_CAP.list",
    });
    await expect(capabilities.set(LIST_CAP, { count: 4 })).rejects.toMatchObject({
      path: "LIST_CAP.count",
      value: "4",
    });
    expect(opcodesTo(rig)).toEqual([GET]);
  });

  it("refuse what cannot be encoded", async () => {
    const { rig, capabilities } = await clientsOf();
    await expect(capabilities.set(TEST_CAP, { pools: -1 })).rejects.toMatchObject({
      code: "VALUE_RANGE",
    });
    expect(rig.events).toEqual([]);
  });

  it("say what the device refused", async () => {
    const { capabilities } = await clientsOf();
    const refused = { statusName: "ENXIO", path: "DEVICE_CAP_GET (group 0x0)" };
    await expect(capabilities.device(ABSENT)).rejects.toMatchObject(refused);
    await expect(capabilities.set(ABSENT, {})).rejects.toMatchObject(refused);
  });
});

describe("what is known to be set", () => {
  it("[capability-driver-5-] [resource-object-driver-6-] does not change while objects live that it governs", async () => {
    const { rig, capabilities, objects } = await clientsOf();
    const { pool } = testTypes();
    await capabilities.set(TEST_CAP, { pools: 4 });
    await capabilities.set(DEV_PARTS_CAP, { get_parts_resource_objects_limit: 1 });
    const one = await objects.create(pool, { size: 1 });
    rig.events.length = 0;
    for (const value of [{}, { pools: 4 }, { pools: 3 }]) {
      await expect(capabilities.set(TEST_CAP, value)).rejects.toMatchObject({
        code: "DRIVER_STATE",
        path: "TEST_CAP",
        value: "TEST_POOL[0]",
      });
    }
    expect(rig.events).toEqual([]);
    await capabilities.set(DEV_PARTS_CAP, {});
    await objects.destroy(one);
    await capabilities.set(TEST_CAP, {});
    expect(opcodesTo(rig)).toEqual([SET, OP_OBJ.DESTROY, SET]);
  });

  it("is nothing while the device is being told, and stays when it refuses", async () => {
    const { rig, capabilities } = await clientsOf();
    await capabilities.set(TEST_CAP, { pools: 2 });
    const letGo = holdBack(rig);
    const setting = capabilities.set(TEST_CAP, { pools: 3 });
    await settle();
    expect(capabilities.driver(TEST_CAP)).toBeUndefined();
    letGo();
    await setting;
    expect(capabilities.driver(TEST_CAP)).toMatchObject({ pools: 3 });
    // An object that another client of the driver has made.
    besides(rig, OP_OBJ.CREATE, object(TYPE.POOL, 2));
    await expect(capabilities.set(TEST_CAP, { pools: 1 })).rejects.toMatchObject({
      statusName: "EBUSY",
    });
    expect(capabilities.driver(TEST_CAP)).toMatchObject({ pools: 3 });
  });

  it("is nothing when the answer was not awaited, until it is set again", async () => {
    const { rig, timer, capabilities } = await clientsOf();
    await capabilities.set(TEST_CAP, { pools: 2 });
    const letGo = holdBack(rig);
    const setting = capabilities.set(TEST_CAP, { pools: 3 }, { deadlineMs: 10 });
    const ended = expect(setting).rejects.toMatchObject({ code: "ADMIN_DEADLINE" });
    await settle();
    await timer.advance(10);
    await ended;
    letGo();
    await settle();
    expect(capabilities.driver(TEST_CAP)).toBeUndefined();
    await capabilities.set(TEST_CAP, { pools: 1 });
    expect(capabilities.driver(TEST_CAP)).toMatchObject({ pools: 1 });
  });

  it("stays when the command could not be sent", async () => {
    const { client, capabilities } = await clientsOf();
    await capabilities.set(TEST_CAP, { pools: 2 });
    await client.listUse(0, [0, 1]);
    await expect(capabilities.set(TEST_CAP, { pools: 3 })).rejects.toMatchObject({
      code: "ADMIN_LIST",
    });
    expect(capabilities.driver(TEST_CAP)).toMatchObject({ pools: 2 });
  });
});
