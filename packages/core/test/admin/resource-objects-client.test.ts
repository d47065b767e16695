import { describe, expect, it } from "vitest";
import {
  DEV_PARTS_CAP,
  OUTCOME,
  RESOURCE_OBJ_DEV_PARTS,
  RESOURCE_OBJ_DEV_PARTS_TYPE,
} from "../../src/admin/index.ts";
import { besides, clientsOf, holdBack, opcodesTo, sentTo } from "./object-client-rig.ts";
import {
  type ObjectRigOptions,
  OP_OBJ,
  object,
  pool as poolData,
  SRIOV,
  TEST_CAP,
  TYPE,
  testTypes,
} from "./object-rig.ts";
import { settle } from "./rig.ts";

const { CREATE, QUERY, MODIFY, DESTROY } = OP_OBJ;
const { GET: CAPTURES, SET: RESTORES } = RESOURCE_OBJ_DEV_PARTS_TYPE;

/** Clients whose driver may have four pools and three filters, and device parts objects. */
async function ready(options: ObjectRigOptions = {}) {
  const types = testTypes();
  const clients = await clientsOf({ types: Object.values(types), ...options });
  await clients.capabilities.set(TEST_CAP, { pools: 4, filters: 3 });
  await clients.capabilities.set(DEV_PARTS_CAP, {
    get_parts_resource_objects_limit: 2,
    set_parts_resource_objects_limit: 1,
  });
  clients.rig.events.length = 0;
  return { ...clients, ...types };
}

const wrongState = (path: string, more: object = {}) =>
  expect.objectContaining({ code: "DRIVER_STATE", path, ...more });

describe("typed calls", () => {
  it("create, query, modify and destroy", async () => {
    const { rig, objects, pool } = await ready();
    const one = await objects.create(pool, { size: 0x1234 }, { id: 2 });
    expect(one).toMatchObject({ id: 2, group: 0, member: 0 });
    expect(await objects.query(one)).toEqual({ size: 0x1234, reserved: [0, 0] });
    await objects.modify(one, { size: 5 });
    expect(await objects.query(one)).toMatchObject({ size: 5 });
    await objects.destroy(one);
    const head = (opcode: number) => `0${opcode.toString(16)}00${"00".repeat(22)}`;
    const header = "0002000002000000";
    const flags = "00".repeat(8);
    expect(sentTo(rig)).toEqual([
      `${head(CREATE)}${header}${flags}${poolData(0x1234)}`,
      `${head(QUERY)}${header}${flags}`,
      `${head(MODIFY)}${header}${flags}${poolData(5)}`,
      `${head(QUERY)}${header}${flags}`,
      `${head(DESTROY)}${header}`,
    ]);
    expect(rig.objects.objects()).toEqual([]);
  });

  it("speak the opcodes of the sections where asked to", async () => {
    const { rig, objects, pool } = await ready({ opcodes: "prose" });
    const one = await objects.create(pool, { size: 1 });
    await objects.modify(one, { size: 2 });
    expect(await objects.query(one)).toMatchObject({ size: 2 });
    expect(opcodesTo(rig)).toEqual([CREATE, 0x0b, 0x0c]);
  });

  it("address members, each with ids of its own", async () => {
    const { rig, objects } = await ready();
    const make = (type: number, member: number) =>
      objects.create(RESOURCE_OBJ_DEV_PARTS, { type }, { group: SRIOV, member });
    const made = [await make(CAPTURES, 1), await make(CAPTURES, 2), await make(RESTORES, 1)];
    expect(made.map(({ id, member }) => [id, member])).toEqual([
      [0, 1],
      [0, 2],
      [1, 1],
    ]);
    expect(rig.objects.object(RESOURCE_OBJ_DEV_PARTS, 1, 1)).toMatchObject({ type: RESTORES });
    await objects.destroyAll({ group: SRIOV, member: 1 });
    expect(objects.objects).toEqual([made[1]]);
    await objects.destroyAll({ group: SRIOV });
    expect([objects.objects, rig.objects.objects()]).toEqual([[], []]);
  });

  it("retry what the device asks to try again", async () => {
    const { pool } = testTypes();
    let again = 2;
    const type = { ...pool, refuse: () => (again-- > 0 ? OUTCOME.TRY_AGAIN : undefined) };
    const { rig, timer, objects } = await ready({ types: [type] });
    const creating = objects.create(type, { size: 1 });
    for (let i = 0; i < 3; i++) {
      await settle();
      await timer.advance(500);
    }
    expect((await creating).id).toBe(0);
    expect(opcodesTo(rig)).toEqual([CREATE, CREATE, CREATE]);
  });

  it("say what the device refused, and the object is not there", async () => {
    const { rig, objects, pool } = await ready({ maxObjects: 2 });
    // Objects that were made without this client.
    besides(rig, CREATE, object(TYPE.POOL, 0));
    const refused = (statusName: string, more: object = {}) => ({
      name: "AdminCommandError",
      statusName,
      ...more,
    });
    await expect(objects.create(pool, { size: 1 })).rejects.toMatchObject(refused("EEXIST"));
    expect(objects.objects).toEqual([]);
    const one = await objects.create(pool, { size: 1 }, { id: 1 });
    await expect(objects.create(pool, {}, { id: 2 })).rejects.toMatchObject(
      refused("ENOSPC", { retryable: true }),
    );
    await expect(objects.modify(one, { size: 0x20000 })).rejects.toMatchObject(refused("ENOSPC"));
    expect(objects.objects).toEqual([one]);
    expect(await objects.query(one)).toMatchObject({ size: 1 });
  });
});

describe("what the rules forbid a driver", () => {
  it("[capability-driver-1-] [resource-object-driver-7-] is refused before the capability is set, and while it is", async () => {
    const { pool, ...types } = testTypes();
    const { rig, capabilities, objects } = await clientsOf({
      types: [pool, ...Object.values(types)],
    });
    const refused = wrongState("TEST_POOL");
    await expect(objects.create(pool, {})).rejects.toEqual(refused);
    await capabilities.set(TEST_CAP, {});
    await expect(objects.create(pool, {})).rejects.toEqual(refused);
    await expect(objects.create(pool, {})).rejects.toEqual(refused);
    const letGo = holdBack(rig);
    const setting = capabilities.set(TEST_CAP, { pools: 1 });
    await settle();
    await expect(objects.create(pool, {})).rejects.toEqual(refused);
    letGo();
    await setting;
    expect(opcodesTo(rig)).not.toContain(CREATE);
    await objects.create(pool, {});
  });

  it("[resource-object-driver-1-] is refused: a second object of the same type and id", async () => {
    const { rig, objects, pool } = await ready();
    const first = objects.create(pool, { size: 1 }, { id: 0 });
    const refused = wrongState("TEST_POOL.id", { value: 0 });
    await expect(objects.create(pool, { size: 2 }, { id: 0 })).rejects.toEqual(refused);
    const one = await first;
    await expect(objects.create(pool, { size: 2 }, { id: 0 })).rejects.toEqual(refused);
    expect(opcodesTo(rig)).toEqual([CREATE]);
    await objects.destroy(one);
    await objects.create(pool, { size: 2 }, { id: 0 });
  });

  it("[resource-object-driver-2-] is refused: more objects than the driver's capability allows", async () => {
    const { rig, capabilities, objects, pool } = await ready();
    await capabilities.set(TEST_CAP, { pools: 2 });
    rig.events.length = 0;
    const ids = await Promise.all([0, 1].map(async () => (await objects.create(pool, {})).id));
    expect(ids).toEqual([0, 1]);
    await expect(objects.create(pool, {})).rejects.toEqual(
      wrongState("TEST_POOL.id", { message: expect.stringContaining("every id is in use") }),
    );
    for (const id of [2, -1, 0.5, 2 ** 32]) {
      await expect(objects.create(pool, {}, { id })).rejects.toMatchObject({
        code: "ADMIN_COMMAND",
        path: "TEST_POOL.id",
        value: id,
      });
    }
    const target = { group: SRIOV, member: 1 };
    await expect(objects.create(pool, {}, target)).rejects.toEqual(wrongState("TEST_POOL"));
    expect(opcodesTo(rig)).toEqual([CREATE, CREATE]);
  });

  it("[resource-object-driver-2-] is refused: more of one kind", async () => {
    const { rig, objects } = await ready();
    const make = (type: number) =>
      objects.create(RESOURCE_OBJ_DEV_PARTS, { type }, { group: SRIOV, member: 1 });
    await make(RESTORES);
    await expect(make(RESTORES)).rejects.toEqual(wrongState("RESOURCE_OBJ_DEV_PARTS"));
    const one = await make(CAPTURES);
    await expect(objects.modify(one, { type: RESTORES })).rejects.toEqual(
      wrongState("RESOURCE_OBJ_DEV_PARTS"),
    );
    expect(opcodesTo(rig)).toEqual([CREATE, CREATE]);
  });

  it("[resource-object-driver-3-] is refused: whatever is asked of an object that was destroyed", async () => {
    const { rig, objects, pool } = await ready();
    const one = await objects.create(pool, { size: 1 });
    const destroying = objects.destroy(one);
    const refused = wrongState("TEST_POOL[0]");
    for (const round of ["while", "after"]) {
      await expect(objects.query(one), round).rejects.toEqual(refused);
      await expect(objects.modify(one, {}), round).rejects.toEqual(refused);
      await expect(objects.destroy(one), round).rejects.toEqual(refused);
      await destroying;
    }
    expect(opcodesTo(rig)).toEqual([CREATE, DESTROY]);
    // Another one under the same id is another.
    const next = await objects.create(pool, { size: 2 });
    await expect(objects.destroy(one)).rejects.toEqual(refused);
    expect(await objects.query(next)).toMatchObject({ size: 2 });
  });

  it("[resource-object-driver-4-] is refused: destroying what others depend on", async () => {
    const { rig, objects, pool, filter } = await ready();
    const one = await objects.create(pool, {});
    const creating = objects.create(filter, { pool: 0 });
    const refused = wrongState("TEST_POOL[0]", { value: "TEST_FILTER[0]" });
    await expect(objects.destroy(one)).rejects.toEqual(refused);
    const first = await creating;
    await expect(objects.destroy(one)).rejects.toEqual(refused);
    await expect(objects.modify(one, {})).rejects.toEqual(refused);
    expect(opcodesTo(rig)).toEqual([CREATE, CREATE]);
    await objects.destroy(first);
    await objects.destroy(one);
  });

  it("is refused: data that refers to what this driver has not, and data that is none", async () => {
    const { rig, objects, pool, filter } = await ready();
    const path = "TEST_FILTER.data";
    await expect(objects.create(filter, { pool: 3 })).rejects.toEqual(
      wrongState(path, { value: "type 512, id 3" }),
    );
    const creating = objects.create(pool, {}, { id: 3 });
    await expect(objects.create(filter, { pool: 3 })).rejects.toEqual(wrongState(path));
    await creating;
    const one = await objects.create(filter, { pool: 3 });
    await expect(objects.modify(one, { pool: 3, after: one.id + 1 })).rejects.toEqual(
      wrongState(path),
    );
    await expect(objects.create(pool, { size: 0xbad })).rejects.toMatchObject({
      code: "ADMIN_COMMAND",
      path: "TEST_POOL.data",
    });
    await expect(
      objects.create(RESOURCE_OBJ_DEV_PARTS, { type: 2 }, { group: SRIOV, member: 1 }),
    ).rejects.toMatchObject({ code: "ADMIN_COMMAND", path: "RESOURCE_OBJ_DEV_PARTS.data" });
    await expect(objects.create(RESOURCE_OBJ_DEV_PARTS, {})).rejects.toMatchObject({
      code: "ADMIN_COMMAND",
      path: "RESOURCE_OBJ_DEV_PARTS.group",
    });
    expect(opcodesTo(rig)).toEqual([CREATE, CREATE]);
    expect(rig.objects.objects()).toHaveLength(2);
  });
});

describe("destroying all", () => {
  it("[resource-object-driver-5+] goes backwards, dependants first", async () => {
    const { rig, objects, pool, filter } = await ready();
    const pools = [await objects.create(pool, {}), await objects.create(pool, {})];
    const first = await objects.create(filter, { pool: 0 });
    const second = await objects.create(filter, { pool: 1 });
    // The first depends on the second from now on.
    await objects.modify(first, { pool: 0, after: second.id + 1 });
    expect(objects.objects).toEqual([...pools, second, first]);
    rig.events.length = 0;
    await objects.destroyAll();
    const named = (type: number, id: number) => {
      const [low, high] = [type & 0xff, type >> 8].map((byte) => `0${byte.toString(16)}`.slice(-2));
      return `${low}${high}00000${id}000000`;
    };
    expect(sentTo(rig).map((readable) => readable.slice(48))).toEqual([
      named(TYPE.FILTER, 0),
      named(TYPE.FILTER, 1),
      named(TYPE.POOL, 1),
      named(TYPE.POOL, 0),
    ]);
    expect(rig.objects.objects()).toEqual([]);
  });

  it("stops at the first that cannot be destroyed; the rest lives on", async () => {
    const { rig, objects, pool } = await ready();
    const [one, two] = [await objects.create(pool, {}), await objects.create(pool, {})];
    // A filter of which this client knows nothing.
    besides(rig, CREATE, object(TYPE.FILTER, 0));
    await expect(objects.destroyAll()).rejects.toMatchObject({ statusName: "EBUSY" });
    expect(objects.objects).toEqual([one]);
    await expect(objects.query(two)).rejects.toEqual(wrongState("TEST_POOL[1]"));
    besides(rig, DESTROY, object(TYPE.FILTER, 0));
    await objects.destroyAll();
    expect(rig.objects.objects()).toEqual([]);
  });
});

describe("answers that are not awaited", () => {
  const late = { deadlineMs: 10 } as const;

  it("leave an object that may be there: its id is in use, and it can be destroyed", async () => {
    const { rig, timer, objects, pool, filter } = await ready();
    const letGo = holdBack(rig);
    const ended = expect(objects.create(pool, {}, {}, late)).rejects.toMatchObject({
      code: "ADMIN_DEADLINE",
    });
    await settle();
    await timer.advance(10);
    await ended;
    const [one] = objects.objects;
    await expect(objects.create(pool, {}, { id: 0 })).rejects.toEqual(wrongState("TEST_POOL.id"));
    await expect(objects.query(one!)).rejects.toEqual(wrongState("TEST_POOL[0]"));
    await expect(objects.create(filter, { pool: 0 })).rejects.toEqual(
      wrongState("TEST_FILTER.data"),
    );
    letGo();
    await settle();
    expect(rig.objects.objects()).toHaveLength(1);
    await objects.destroy(one!);
    expect([objects.objects, rig.objects.objects()]).toEqual([[], []]);
  });

  it("leave an object that may have gone: destroying it again succeeds", async () => {
    const { rig, timer, objects, pool } = await ready();
    const one = await objects.create(pool, {});
    const letGo = holdBack(rig);
    const ended = expect(objects.destroy(one, late)).rejects.toMatchObject({
      code: "ADMIN_DEADLINE",
    });
    await settle();
    await timer.advance(10);
    await ended;
    letGo();
    await settle();
    expect(rig.objects.objects()).toEqual([]);
    expect(objects.objects).toEqual([one]);
    await objects.destroyAll();
    expect(objects.objects).toEqual([]);
  });

  it("leave a modified object depending on what it may depend on", async () => {
    const { rig, timer, objects, pool, filter } = await ready();
    const pools = [await objects.create(pool, {}), await objects.create(pool, {})];
    const one = await objects.create(filter, { pool: 0 });
    const letGo = holdBack(rig);
    const ended = expect(objects.modify(one, { pool: 1 }, late)).rejects.toMatchObject({
      code: "ADMIN_DEADLINE",
    });
    await settle();
    await timer.advance(10);
    await ended;
    letGo();
    await settle();
    for (const held of pools) {
      await expect(objects.destroy(held)).rejects.toMatchObject({ code: "DRIVER_STATE" });
    }
    await objects.modify(one, { pool: 1 });
    await objects.destroy(pools[0]!);
    await objects.destroyAll();
  });

  it("of modifications one after the other count in their order", async () => {
    const { rig, objects, pool, filter } = await ready();
    const make = () => objects.create(pool, {});
    const pools = [await make(), await make(), await make()];
    const one = await objects.create(filter, { pool: 0 });
    const letGo = holdBack(rig);
    const first = objects.modify(one, { pool: 1 });
    const second = objects.modify(one, { pool: 2 });
    const isHeld = async (at: number) =>
      expect(objects.destroy(pools[at]!)).rejects.toMatchObject({ code: "DRIVER_STATE" });
    for (const at of [0, 1, 2]) await isHeld(at);
    letGo();
    await Promise.all([first, second]);
    await isHeld(2);
    for (const at of [0, 1]) await objects.destroy(pools[at]!);
  });

  it("leave nothing of what was never sent", async () => {
    const { client, objects, pool } = await ready();
    const one = await objects.create(pool, {});
    await client.listUse(0, [0, 1]);
    await expect(objects.create(pool, {})).rejects.toMatchObject({ code: "ADMIN_LIST" });
    await expect(objects.destroy(one)).rejects.toMatchObject({ code: "ADMIN_LIST" });
    expect(objects.objects).toEqual([one]);
    await objects.use(0);
    await objects.destroy(one);
  });
});

describe("members that go", () => {
  it("take their objects with them: they are forgotten, or destroyed without the device", async () => {
    const { rig, objects } = await ready();
    const make = (member: number) =>
      objects.create(RESOURCE_OBJ_DEV_PARTS, { type: CAPTURES }, { group: SRIOV, member });
    const [first, second] = [await make(1), await make(2)];
    rig.virtual.vanish();
    objects.forget(SRIOV, 1);
    expect(objects.objects).toEqual([second]);
    await expect(objects.destroy(first)).rejects.toEqual(wrongState("RESOURCE_OBJ_DEV_PARTS[0]"));
    await objects.destroyAll();
    expect(objects.objects).toEqual([]);
    rig.virtual.appear();
    expect((await make(1)).id).toBe(0);
  });
});
