import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RESOURCE_OBJ_DEV_PARTS } from "../../src/admin/index.ts";
import { PlatformGroup, SelfGroup } from "../../src/group/index.ts";
import {
  EBUSY,
  EEXIST,
  ENOSPC,
  ENXIO,
  filter,
  INVALID_FIELD,
  INVALID_GROUP,
  INVALID_MEMBER,
  INVALID_OPCODE,
  le,
  ObjectRig,
  type ObjectRigOptions,
  OK,
  OP_OBJ,
  object,
  parts,
  pool,
  SELF,
  SRIOV,
  TYPE,
  testTypes,
} from "./object-rig.ts";
import { AdminRig, unhex } from "./rig.ts";

const { CREATE, QUERY, MODIFY, DESTROY } = OP_OBJ;
const { DEV_PARTS, POOL, FILTER } = TYPE;
const PARTS_OPCODES = [0x0e, 0x0f, 0x10, 0x11];
const MEMBER = { group: SRIOV, member: 1 } as const;
const OTHER = { group: SRIOV, member: 2 } as const;

/** A rig whose driver has set all capabilities. */
function ready(options: ObjectRigOptions = {}): ObjectRig {
  const rig = new ObjectRig(options);
  rig.limit();
  rig.limitParts();
  return rig;
}

describe("the list of resource object commands", () => {
  it("has all four, where objects may live", () => {
    const rig = new ObjectRig();
    const all = [CREATE, QUERY, MODIFY, DESTROY];
    expect(rig.executor.supported(SELF)).toEqual(expect.arrayContaining(all));
    expect(rig.executor.supported(SRIOV)).toEqual([0, 1, ...all, ...PARTS_OPCODES]);
    const parts = new ObjectRig({ types: [] });
    expect(parts.executor.supported(SELF)).not.toContain(CREATE);
    expect(parts.executor.supported(SRIOV)).toEqual([0, 1, ...all, ...PARTS_OPCODES]);
  });

  it("may be used in part, as Linux does", () => {
    const rig = new ObjectRig();
    expect(rig.outcome(1, "0324", { group: SRIOV })).toEqual(OK);
    expect(rig.executor.used(SRIOV)).toEqual([0, 1, CREATE, DESTROY]);
  });

  it("has QUERY and MODIFY the other way round where the sections count", () => {
    const rig = ready({ opcodes: "prose" });
    expect(rig.create(POOL, 0, pool(5))).toEqual(OK);
    const query = rig.command(0x0c, object(POOL, 0) + le(0, 8));
    expect(query).toEqual({ outcome: OK, result: pool(5) });
    expect(rig.outcome(0x0b, object(POOL, 0) + le(0, 8) + pool(6))).toEqual(OK);
    expect(rig.command(0x0c, object(POOL, 0)).result).toBe(pool(6));
  });
});

describe("RESOURCE_OBJ_CREATE", () => {
  it("[resource-object-device-6+] [resource-object-device-8+] creates as many as the driver's capability says, in any order", () => {
    const rig = ready();
    for (const id of [3, 0, 2, 1]) expect(rig.create(POOL, id, pool(id))).toEqual(OK);
    expect(rig.create(POOL, 4, pool(4))).toEqual(INVALID_FIELD);
    for (const id of [0, 1, 2, 3]) expect(rig.query(POOL, id).result).toBe(pool(id));
    expect(rig.told.map(({ name }) => name)).toEqual(["200:3", "200:0", "200:2", "200:1"]);
  });

  it("[capability-device-9-] creates none before the driver has set the capability", () => {
    const rig = new ObjectRig();
    const before = rig.state();
    expect(rig.create(POOL, 0, pool(1))).toEqual(INVALID_FIELD);
    expect(rig.create(DEV_PARTS, 0, parts.get, MEMBER)).toEqual(INVALID_FIELD);
    expect(rig.state()).toEqual(before);
  });

  it("keeps to the driver's limit, below the device's", () => {
    const rig = new ObjectRig();
    rig.limit(2, 1);
    expect(rig.create(POOL, 1, pool(1))).toEqual(OK);
    const before = rig.state();
    for (const id of [2, 3, 4, 2 ** 32 - 1]) {
      expect(rig.create(POOL, id, pool(1))).toEqual(INVALID_FIELD);
    }
    expect(rig.state()).toEqual(before);
  });

  it("[resource-object-device-1-] fails with EEXIST for an id in use, whatever the data, and changes nothing", () => {
    const rig = ready();
    expect(rig.create(POOL, 1, pool(7))).toEqual(OK);
    const before = rig.state();
    for (const data of ["", pool(7), pool(8), pool(0xbad), pool(0x20000)]) {
      expect(rig.create(POOL, 1, data)).toEqual(EEXIST);
    }
    expect(rig.state()).toEqual(before);
    // The same id of another type, and of another member, is another object.
    expect(rig.create(FILTER, 1, filter(1))).toEqual(OK);
    expect(rig.create(POOL, 1, pool(8), MEMBER)).toEqual(OK);
    expect(rig.query(POOL, 1).result).toBe(pool(7));
  });

  it.each([
    ["an unknown type", 0x202, pool(1)],
    ["a type above all", 0xffff, pool(1)],
    ["a type that does not live in the group", DEV_PARTS, parts.get],
    ["data that no object has", POOL, pool(0xbad)],
    ["a reference to nothing", FILTER, filter(3)],
    ["a reference to itself", FILTER, filter(0, 0)],
    ["a reference to an object of another member", FILTER, filter(1)],
  ])("fails with EINVAL, and changes nothing, for %s", (_, type, data) => {
    const rig = ready();
    expect(rig.create(POOL, 0, pool(1))).toEqual(OK);
    expect(rig.create(POOL, 1, pool(1), MEMBER)).toEqual(OK);
    const before = rig.state();
    expect(rig.create(type, 0, data)).toEqual(type === POOL ? EEXIST : INVALID_FIELD);
    expect(rig.create(type, 2, data)).toEqual(INVALID_FIELD);
    expect(rig.state()).toEqual(before);
  });

  it("[resource-object-device-3-] [resource-object-device-7-] fails with ENOSPC when something inside is exhausted", () => {
    const rig = ready({ maxObjects: 3 });
    expect(rig.create(POOL, 0, pool(0x10001))).toEqual(ENOSPC);
    for (const id of [0, 1, 2]) expect(rig.create(POOL, id, pool(1))).toEqual(OK);
    const before = rig.state();
    expect(rig.create(POOL, 3, pool(1))).toEqual(ENOSPC);
    expect(rig.create(FILTER, 0, filter(0))).toEqual(ENOSPC);
    expect(rig.create(DEV_PARTS, 0, parts.get, MEMBER)).toEqual(ENOSPC);
    expect(rig.state()).toEqual(before);
    expect(rig.destroy(POOL, 0)).toEqual(OK);
    expect(rig.create(POOL, 3, pool(1))).toEqual(OK);
  });

  it("reads short data as extended by zeros; looks at no reserved field, no flags and nothing behind", () => {
    const rig = ready();
    expect(rig.outcome(CREATE, le(POOL, 2))).toEqual(OK);
    expect(rig.query(POOL, 0).result).toBe(pool(0));
    const odd = `${le(POOL, 2)}ffff${le(1, 4)}${"ff".repeat(8)}05000000${"ee".repeat(5000)}`;
    expect(rig.outcome(CREATE, odd)).toEqual(OK);
    expect(rig.query(POOL, 1).result).toBe(pool(5));
  });
});

describe("RESOURCE_OBJ_QUERY, MODIFY and DESTROY", () => {
  it.each([
    ["that was never created", POOL, 1, {}],
    ["of a type that is unknown", 0x300, 0, {}],
    ["of another type", FILTER, 0, {}],
    ["beyond the limit", POOL, 99, {}],
    ["of another member", POOL, 0, OTHER],
    ["of the device, for a member", POOL, 0, MEMBER],
  ])("[resource-object-device-2-] fail with ENXIO for an object %s", (_, type, id, target) => {
    const rig = ready();
    expect(rig.create(POOL, 0, pool(1))).toEqual(OK);
    const before = rig.state();
    expect(rig.query(type, id, target)).toEqual({ outcome: ENXIO, result: "" });
    expect(rig.modify(type, id, pool(2), target)).toEqual(ENXIO);
    expect(rig.destroy(type, id, target)).toEqual(ENXIO);
    expect(rig.state()).toEqual(before);
  });

  it("[resource-object-device-2-] [resource-object-device-5+] fail for an object that was destroyed, which can be created again", () => {
    const rig = ready();
    for (let round = 0; round < 3; round++) {
      expect(rig.create(POOL, 1, pool(round))).toEqual(OK);
      expect(rig.destroy(POOL, 1)).toEqual(OK);
      expect(rig.query(POOL, 1).outcome).toEqual(ENXIO);
      expect(rig.modify(POOL, 1, pool(9))).toEqual(ENXIO);
      expect(rig.destroy(POOL, 1)).toEqual(ENXIO);
    }
  });

  it("[resource-object-device-10+] report what was last created or modified", () => {
    const rig = ready();
    expect(rig.create(POOL, 1, pool(7))).toEqual(OK);
    expect(rig.query(POOL, 1)).toEqual({ outcome: OK, result: pool(7) });
    expect(rig.modify(POOL, 1, pool(8))).toEqual(OK);
    expect(rig.query(POOL, 1).result).toBe(pool(8));
    expect(rig.modify(POOL, 1, "0900")).toEqual(OK);
    expect(rig.query(POOL, 1).result).toBe(pool(9));
    expect(rig.query(POOL, 1, { room: 3 }).result).toBe("090000");
    // A filter has 7 bytes; the answer is padded to 8.
    expect(rig.create(FILTER, 0, filter(1, undefined, 5))).toEqual(OK);
    expect(rig.query(FILTER, 0).result).toBe(`${filter(1, undefined, 5)}00`);
  });

  it.each([
    ["data that no object has", POOL, 1, pool(0xbad), INVALID_FIELD],
    ["what the device has no room for", POOL, 1, pool(0x20000), ENOSPC],
    ["a reference to nothing", FILTER, 1, filter(3), INVALID_FIELD],
    ["a reference to itself", FILTER, 1, filter(0, 1), INVALID_FIELD],
    ["an object that others depend on", POOL, 0, pool(5), EBUSY],
    ["a filter that another depends on", FILTER, 0, filter(1), EBUSY],
  ])(
    "[resource-object-device-9-] a modification that fails changes nothing: %s",
    (_, type, id, data, outcome) => {
      const rig = ready();
      for (const at of [0, 1]) expect(rig.create(POOL, at, pool(1))).toEqual(OK);
      expect(rig.create(FILTER, 0, filter(0))).toEqual(OK);
      expect(rig.create(FILTER, 1, filter(0, 0))).toEqual(OK);
      const before = rig.state();
      expect(rig.modify(type, id, data)).toEqual(outcome);
      expect(rig.state()).toEqual(before);
    },
  );

  it("[resource-object-device-4-] fail with EBUSY for an object that others depend on", () => {
    const rig = ready();
    expect(rig.create(POOL, 0, pool(1))).toEqual(OK);
    expect(rig.create(POOL, 1, pool(1))).toEqual(OK);
    expect(rig.create(FILTER, 0, filter(0))).toEqual(OK);
    expect(rig.create(FILTER, 1, filter(0, 0))).toEqual(OK);
    const before = rig.state();
    for (const [type, id] of [
      [POOL, 0],
      [FILTER, 0],
    ] as const) {
      expect(rig.destroy(type, id)).toEqual(EBUSY);
      expect(rig.modify(type, id, pool(0))).toEqual(EBUSY);
    }
    expect(rig.query(POOL, 0).outcome).toEqual(OK);
    expect(rig.state()).toEqual(before);
    // Filter 1 lets go of filter 0, and takes the other pool.
    expect(rig.modify(FILTER, 1, filter(1))).toEqual(OK);
    expect(rig.destroy(POOL, 1)).toEqual(EBUSY);
    expect(rig.destroy(FILTER, 0)).toEqual(OK);
    expect(rig.destroy(POOL, 0)).toEqual(OK);
    expect(rig.destroy(FILTER, 1)).toEqual(OK);
    expect(rig.destroy(POOL, 1)).toEqual(OK);
    expect(rig.objects.objects()).toEqual([]);
  });

  it("let an object depend on one that was created after it", () => {
    const rig = ready();
    expect(rig.create(POOL, 0, pool(1))).toEqual(OK);
    expect(rig.create(FILTER, 0, filter(0))).toEqual(OK);
    expect(rig.create(FILTER, 1, filter(0))).toEqual(OK);
    expect(rig.modify(FILTER, 0, filter(0, 1))).toEqual(OK);
    expect(rig.modify(FILTER, 1, filter(0, 0))).toEqual(EBUSY);
    rig.told.length = 0;
    rig.bringUp();
    expect(rig.told.map(({ name }) => name)).toEqual(["201:0", "201:1", "200:0"]);
  });
});

describe("the end of objects", () => {
  it("[resource-object-device-11+] a device reset destroys all, in the reverse order of their creation", () => {
    const rig = ready();
    expect(rig.create(POOL, 2, pool(1))).toEqual(OK);
    expect(rig.create(DEV_PARTS, 0, parts.get, MEMBER)).toEqual(OK);
    expect(rig.create(FILTER, 0, filter(2))).toEqual(OK);
    expect(rig.create(POOL, 0, pool(1), MEMBER)).toEqual(OK);
    rig.told.length = 0;
    rig.restart();
    expect(rig.told.map(({ what, name }) => `${what} ${name}`)).toEqual([
      "destroyed 200:0@1",
      "destroyed 201:0",
      "destroyed 200:2",
    ]);
    expect(rig.objects.objects()).toEqual([]);
    rig.limit();
    expect(rig.query(POOL, 2).outcome).toEqual(ENXIO);
    expect(rig.create(POOL, 2, pool(3))).toEqual(OK);
  });

  it("one that fails to hear of it keeps no other alive", () => {
    const heard: number[] = [];
    const { pool: declared } = testTypes();
    const type = {
      ...declared,
      changed: (now: unknown, before: { readonly id: number } | undefined) => {
        if (now !== undefined || before === undefined) return;
        heard.push(before.id);
        throw new Error("deaf");
      },
    };
    const rig = ready({ types: [type] });
    for (const id of [0, 1]) expect(rig.create(POOL, id, pool(1))).toEqual(OK);
    rig.bringUp();
    expect([heard, rig.faults]).toEqual([[1, 0], [new Error("deaf")]]);
    expect(rig.objects.objects()).toEqual([]);
  });

  it("the objects of a member go with it, and are not those of the next under its id", () => {
    const rig = ready();
    expect(rig.create(POOL, 0, pool(1))).toEqual(OK);
    expect(rig.create(POOL, 0, pool(2), MEMBER)).toEqual(OK);
    expect(rig.create(DEV_PARTS, 0, parts.get, MEMBER)).toEqual(OK);
    expect(rig.create(DEV_PARTS, 0, parts.get, OTHER)).toEqual(OK);
    expect(rig.objects.object(RESOURCE_OBJ_DEV_PARTS, 0, 1)).toMatchObject({ type: 0 });
    rig.told.length = 0;
    rig.virtual.vanish();
    expect(rig.objects.object(RESOURCE_OBJ_DEV_PARTS, 0, 1)).toBeUndefined();
    expect(rig.objects.objects()).toHaveLength(1);
    expect(rig.query(POOL, 0, MEMBER).outcome).toEqual(INVALID_GROUP);
    rig.virtual.appear();
    expect(rig.objects.object(RESOURCE_OBJ_DEV_PARTS, 0, 1)).toBeUndefined();
    // Both places for objects that capture are free again.
    expect(rig.create(DEV_PARTS, 1, parts.get, OTHER)).toEqual(OK);
    expect(rig.create(DEV_PARTS, 0, parts.get, MEMBER)).toEqual(OK);
    expect(rig.told).toEqual([{ what: "destroyed", name: "200:0@1" }]);
    expect(rig.query(POOL, 0, MEMBER).outcome).toEqual(ENXIO);
    expect(rig.query(POOL, 0).result).toBe(pool(1));
  });

  it("the objects of a member survive its reset, and a member that is no more holds none", () => {
    const rig = ready();
    expect(rig.create(DEV_PARTS, 0, parts.get, MEMBER)).toEqual(OK);
    rig.virtual.all[0]!.virtio.reset();
    expect(rig.query(DEV_PARTS, 0, MEMBER)).toEqual({ outcome: OK, result: parts.get });
    expect(rig.query(DEV_PARTS, 0, { group: SRIOV, member: 4 }).outcome).toEqual(INVALID_MEMBER);
  });
});

describe("the reset of a queue", () => {
  it("changes nothing about capabilities and objects", () => {
    const rig = ready();
    expect(rig.create(POOL, 0, pool(1))).toEqual(OK);
    const before = rig.state();
    rig.device.resetQueue(rig.port.index);
    expect(rig.device.queueEnabled(rig.port.index)).toBe(false);
    expect(rig.state()).toEqual(before);
  });
});

describe("device parts objects", () => {
  it("share their ids, and are as many of each type as the capability says", () => {
    const rig = ready();
    expect(rig.create(DEV_PARTS, 2, parts.get, MEMBER)).toEqual(OK);
    expect(rig.create(DEV_PARTS, 0, parts.set, OTHER)).toEqual(OK);
    const before = rig.state();
    expect(rig.create(DEV_PARTS, 2, parts.set, MEMBER)).toEqual(EEXIST);
    expect(rig.create(DEV_PARTS, 1, parts.set, MEMBER)).toEqual(ENOSPC);
    expect(rig.create(DEV_PARTS, 3, parts.get, MEMBER)).toEqual(INVALID_FIELD);
    expect(rig.create(DEV_PARTS, 1, le(2, 8), MEMBER)).toEqual(INVALID_FIELD);
    expect(rig.create(DEV_PARTS, 1, le(255, 8), MEMBER)).toEqual(INVALID_FIELD);
    expect(rig.create(DEV_PARTS, 0, parts.get)).toEqual(INVALID_FIELD);
    expect(rig.modify(DEV_PARTS, 2, parts.set, MEMBER)).toEqual(ENOSPC);
    expect(rig.state()).toEqual(before);
    expect(rig.create(DEV_PARTS, 1, parts.get, MEMBER)).toEqual(OK);
    expect(rig.create(DEV_PARTS, 0, parts.get, MEMBER)).toEqual(ENOSPC);
    expect(rig.destroy(DEV_PARTS, 0, OTHER)).toEqual(OK);
    expect(rig.modify(DEV_PARTS, 2, parts.set, MEMBER)).toEqual(OK);
    expect(rig.create(DEV_PARTS, 0, parts.get, MEMBER)).toEqual(OK);
  });

  it("can be looked up, for a member that is there", () => {
    const rig = ready();
    expect(rig.objects.has(RESOURCE_OBJ_DEV_PARTS)).toBe(true);
    expect(rig.objects.has({ ...RESOURCE_OBJ_DEV_PARTS })).toBe(false);
    expect(rig.create(DEV_PARTS, 1, parts.set, OTHER)).toEqual(OK);
    const found = (id: number, member: number, group?: number) =>
      rig.objects.object(RESOURCE_OBJ_DEV_PARTS, id, member, group);
    expect(found(1, 2)).toEqual({ type: 1, reserved: new Array(7).fill(0) });
    expect([found(0, 2), found(1, 1), found(1, 9), found(1, 2, SELF), found(1, 2, 77)]).toEqual(
      new Array(5).fill(undefined),
    );
    expect(rig.objects.object({ ...RESOURCE_OBJ_DEV_PARTS }, 1, 2)).toBeUndefined();
  });

  it("answer zero in reserved fields, whatever was written there", () => {
    const rig = ready();
    expect(rig.create(DEV_PARTS, 0, `01${"ff".repeat(7)}`, MEMBER)).toEqual(OK);
    expect(rig.query(DEV_PARTS, 0, MEMBER).result).toBe(parts.set);
  });
});

describe("groups and members", () => {
  it.each([CREATE, QUERY, MODIFY, DESTROY])(
    "opcode %i needs a valid member, 0 in the Self group",
    (opcode) => {
      const rig = ready();
      const before = rig.state();
      const data = object(POOL, 0) + le(0, 8) + pool(1);
      for (const member of [1, 2n ** 64n - 1n]) {
        expect(rig.outcome(opcode, data, { member })).toEqual(INVALID_MEMBER);
      }
      for (const member of [0, 4, 2n ** 53n]) {
        expect(rig.outcome(opcode, data, { group: SRIOV, member })).toEqual(INVALID_MEMBER);
      }
      expect(rig.outcome(opcode, data, { group: 0xff00 })).toEqual(INVALID_GROUP);
      rig.virtual.vanish();
      expect(rig.outcome(opcode, data, MEMBER)).toEqual(INVALID_GROUP);
      expect(rig.state()).toEqual(before);
    },
  );

  it("[platform-group-device-5] leave a platform group alone", () => {
    const groups = [new SelfGroup(), new PlatformGroup([0, 1])];
    const rig = new ObjectRig({ groups });
    expect(rig.executor.supported(0xff00)).toEqual([0, 1]);
    rig.useAll(0xff00);
    const target = { group: 0xff00, member: 1 };
    expect(rig.create(POOL, 0, pool(1), target)).toEqual(INVALID_OPCODE);
  });

  it("count for one limit, because the capability is the owner's", () => {
    const rig = new ObjectRig();
    rig.limit(2, 0);
    expect(rig.create(POOL, 0, pool(1))).toEqual(OK);
    expect(rig.create(POOL, 0, pool(1), MEMBER)).toEqual(OK);
    expect(rig.create(POOL, 1, pool(1), OTHER)).toEqual(ENOSPC);
    expect(rig.destroy(POOL, 0)).toEqual(OK);
    expect(rig.create(POOL, 1, pool(1), OTHER)).toEqual(OK);
  });
});

describe("the family", () => {
  it("belongs to one owner, whose capabilities come before it", () => {
    const rig = new ObjectRig();
    const { capabilities, objects } = rig;
    expect(() => new AdminRig({ families: [objects] })).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID", path: "families.resource-objects" }),
    );
    expect(() => new AdminRig({ families: [objects, capabilities] })).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID", path: "families.resource-objects" }),
    );
  });
});

describe("a saved state", () => {
  it("comes back in another owner, in an order that obeys what depends on what", () => {
    const rig = ready();
    for (const id of [1, 0]) expect(rig.create(POOL, id, pool(id + 1))).toEqual(OK);
    expect(rig.create(FILTER, 0, filter(0))).toEqual(OK);
    expect(rig.create(FILTER, 1, filter(1))).toEqual(OK);
    expect(rig.modify(FILTER, 0, filter(0, 1))).toEqual(OK);
    expect(rig.create(DEV_PARTS, 1, parts.set, OTHER)).toEqual(OK);
    const saved = JSON.parse(JSON.stringify(rig.executor.saveState()));
    const other = new ObjectRig();
    other.executor.prepareState(saved).apply();
    expect(other.executor.saveState()).toEqual(saved);
    expect(other.told.map(({ what }) => what)).toEqual(new Array(4).fill("created"));
    expect(other.destroy(FILTER, 1)).toEqual(EBUSY);
    expect(other.create(POOL, 1, pool(1))).toEqual(EEXIST);
    expect(other.objects.object(RESOURCE_OBJ_DEV_PARTS, 1, 2)).toMatchObject({ type: 1 });
    other.told.length = 0;
    other.bringUp();
    expect(other.told.map(({ name }) => name)).toEqual(["201:0", "201:1", "200:0", "200:1"]);
  });

  it("is undone as a whole", () => {
    const rig = ready();
    expect(rig.create(POOL, 1, pool(1))).toEqual(OK);
    const other = new ObjectRig();
    other.limit(3, 3);
    expect(other.create(POOL, 2, pool(2))).toEqual(OK);
    expect(other.create(FILTER, 2, filter(2))).toEqual(OK);
    const before = other.executor.saveState();
    const change = other.executor.prepareState(rig.executor.saveState());
    expect(other.executor.saveState()).toEqual(before);
    change.apply();
    expect(other.executor.saveState()).toEqual(rig.executor.saveState());
    other.told.length = 0;
    change.undo();
    expect(other.executor.saveState()).toEqual(before);
    expect(other.told.map(({ what, name }) => `${what} ${name}`)).toEqual([
      "destroyed 200:1",
      "created 200:2",
      "created 201:2",
    ]);
    expect(other.destroy(POOL, 2)).toEqual(EBUSY);
  });

  it("leaves the objects of members that have gone behind", () => {
    const rig = ready();
    expect(rig.create(DEV_PARTS, 0, parts.get, MEMBER)).toEqual(OK);
    rig.virtual.vanish();
    rig.virtual.appear();
    const { families } = rig.executor.saveState();
    expect(families[0]!.state).toMatchObject({
      dependants: { "resource-objects": { objects: [] } },
    });
  });

  const one = { groupType: SELF, memberId: 0, type: POOL, id: 0, data: pool(1) };
  const dependant = { ...one, type: FILTER, data: filter(0) };
  it.each([
    ["no list", { objects: 7 }, ".objects"],
    ["too many", { objects: new Array(100).fill(one) }, ".objects"],
    ["no object", { objects: [null] }, ".objects[0]"],
    ["an unknown type", { objects: [{ ...one, type: 0x300 }] }, ".objects[0]"],
    ["a type that is no number", { objects: [{ ...one, type: "512" }] }, ".objects[0]"],
    ["an unknown group", { objects: [{ ...one, groupType: 2 }] }, ".objects[0]"],
    [
      "a group that it cannot live in",
      { objects: [{ ...dependant, groupType: 1 }] },
      ".objects[0]",
    ],
    ["no such member", { objects: [{ ...one, memberId: 1 }] }, ".objects[0].memberId"],
    [
      "a member that is no number",
      { objects: [{ ...one, memberId: "0" }] },
      ".objects[0].memberId",
    ],
    ["an id that is none", { objects: [{ ...one, id: -1 }] }, ".objects[0].id"],
    ["an id that is no integer", { objects: [{ ...one, id: 0.5 }] }, ".objects[0].id"],
    ["one object twice", { objects: [one, one] }, ".objects[1].id"],
    ["an id beyond the driver's limit", { objects: [{ ...one, id: 2 }] }, ".objects[0]"],
    ["data that is no bytes", { objects: [{ ...one, data: "zz" }] }, ".objects[0].data"],
    ["data that is too short", { objects: [{ ...one, data: "00" }] }, ".objects[0].data"],
    ["a reserved field", { objects: [{ ...one, data: "ff".repeat(8) }] }, ".objects[0].data"],
    ["data that no object has", { objects: [{ ...one, data: pool(0xbad) }] }, ".objects[0]"],
    ["a reference to a later one", { objects: [dependant, one] }, ".objects[0]"],
    ["no bytes at all", { objects: [{ ...one, data: 1 }] }, ".objects[0].data"],
  ])("is refused when it has %s, and nothing changes", (_, objects, path) => {
    const rig = new ObjectRig({ maxObjects: 99 });
    rig.limit(2, 2);
    expect(rig.create(POOL, 0, pool(5))).toEqual(OK);
    const before = rig.executor.saveState();
    const { driver } = before.families[0]!.state as { readonly driver: unknown };
    const state = { driver, dependants: { "resource-objects": objects } };
    const families = [{ name: "capabilities", state }];
    expect(() => rig.executor.prepareState({ ...before, families })).toThrow(
      expect.objectContaining({ code: "SNAPSHOT", path: `resource-objects${path}` }),
    );
    expect(rig.executor.saveState()).toEqual(before);
  });

  it("[capability-device-9-] is refused when the driver has not set what limits its objects", () => {
    const rig = new ObjectRig();
    const state = { driver: [], dependants: { "resource-objects": { objects: [one] } } };
    const saved = { ...rig.executor.saveState(), families: [{ name: "capabilities", state }] };
    expect(() => rig.executor.prepareState(saved)).toThrow(
      expect.objectContaining({ code: "SNAPSHOT", path: "resource-objects.objects[0]" }),
    );
  });
});

describe("whatever a driver sends", () => {
  it("never fails the device, and never has it keep more than the limits allow", () => {
    const rig = ready();
    const type = fc.oneof(fc.constantFrom(POOL, FILTER, DEV_PARTS), fc.nat(0xffff));
    const command = fc.record({
      opcode: fc.constantFrom(CREATE, CREATE, CREATE, QUERY, MODIFY, DESTROY),
      header: fc.tuple(type, fc.oneof(fc.nat(5), fc.nat(2 ** 32 - 1)), fc.constantFrom(0, 1)),
      body: fc.uint8Array({ maxLength: 24 }),
      tail: fc.constantFrom(0, 1, 7, 8, 100, 5000),
      cut: fc.nat(40),
      room: fc.nat(40),
      target: fc.constantFrom({}, {}, MEMBER, OTHER, { group: SRIOV, member: 77 }),
    });
    fc.assert(
      fc.property(command, ({ opcode, header, body, tail, cut, room, target }) => {
        const [kind, id, flags] = header;
        const whole = unhex(object(kind, id) + le(flags, 8));
        const data = new Uint8Array([...[...whole, ...body].slice(0, cut), ...new Array(tail)]);
        const before = JSON.stringify(rig.state());
        const { outcome } = rig.command(opcode, data, { ...target, room });
        expect([0, 6, 16, 17, 22, 28]).toContain(outcome[0]);
        const changed = JSON.stringify(rig.state()) !== before;
        if (changed) expect(outcome).toEqual(OK);
        expect(rig.objects.objects().length).toBeLessThanOrEqual(4 + 3 + 3);
        expect(rig.faults).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
