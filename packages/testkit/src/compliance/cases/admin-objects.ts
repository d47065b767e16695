/** Resource objects: their life, and what depends on what. */
import { expectAnswer, WIRE } from "../admin-bench.ts";
import { expectEqual } from "../expect.ts";
import { le32, type ObjectBench, objectOwnerOf } from "../object-bench.ts";
import { NO_SIZE, PROBE_LIMITS, PROBE_POOL, PROBE_USER, TOO_LARGE } from "../probe-objects.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

const POOL = PROBE_POOL.type;
const USER = PROBE_USER.type;

/** Checks that an object is there and has these two numbers. */
async function expectObject(
  owner: ObjectBench,
  type: number,
  id: number,
  first: number,
  second = 0,
): Promise<void> {
  const answer = await owner.query(type, id);
  expectAnswer(`QUERY of object ${id}`, answer, WIRE.ok, 0);
  expectEqual(`object ${id} of type ${type}`, answer.result, le32(first, second));
}

/** Creates an object, which has to succeed. */
async function make(owner: ObjectBench, type: number, id: number, first: number, second = 0) {
  const answer = await owner.create(type, id, first, second);
  expectAnswer(`CREATE of object ${id} of type ${type}`, answer, WIRE.ok, 0);
}

/** Resource objects. */
export const ADMIN_OBJECT_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "object-create",
    "Objects are created under any ids within the limit, as many as the driver's capability says.",
    ["resource-object-device-6", "resource-object-device-8"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      await owner.allow();
      const ids = Array.from({ length: PROBE_LIMITS.pools }, (_, i) => i).reverse();
      for (const id of ids) await make(owner, POOL, id, 10 + id);
      for (const id of ids) await expectObject(owner, POOL, id, 10 + id);
      for (const id of [PROBE_LIMITS.pools, 0xffff_ffff]) {
        const answer = await owner.create(POOL, id, 0);
        expectAnswer(`CREATE of id ${id}`, answer, WIRE.einval, WIRE.invalidField);
      }
      const unknown = await owner.create(0x04ff, 0, 0);
      expectAnswer("CREATE of an unknown type", unknown, WIRE.einval, WIRE.invalidField);
    },
  ),
  deviceCase(
    "object-exists",
    "An id in use is not given to another object of the type: EEXIST.",
    ["resource-object-device-1"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      await owner.allow();
      await make(owner, POOL, 1, 7);
      const again = await owner.create(POOL, 1, 8);
      expectEqual("the status", again.status, WIRE.eexist);
      await expectObject(owner, POOL, 1, 7);
      await make(owner, USER, 1, 1);
    },
  ),
  deviceCase(
    "object-missing",
    "What does not exist is not modified, queried or destroyed: ENXIO.",
    ["resource-object-device-2"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      await owner.allow();
      await make(owner, POOL, 0, 7);
      for (const [type, id] of [
        [POOL, 1],
        [USER, 0],
        [0x04ff, 0],
        [POOL, 0xffff_ffff],
      ] as const) {
        const what = `of object ${id} of type ${type}`;
        expectEqual(`MODIFY ${what}`, (await owner.modify(type, id, 1)).status, WIRE.enxio);
        expectEqual(`QUERY ${what}`, (await owner.query(type, id)).status, WIRE.enxio);
        expectEqual(`DESTROY ${what}`, (await owner.destroy(type, id)).status, WIRE.enxio);
      }
      await expectObject(owner, POOL, 0, 7);
    },
  ),
  deviceCase(
    "object-exhausted",
    "An object that the device has no room for is not created: ENOSPC.",
    ["resource-object-device-3", "resource-object-device-7"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      await owner.allow();
      const answer = await owner.create(POOL, 0, TOO_LARGE);
      expectEqual("the status", answer.status, WIRE.enospc);
      expectEqual("QUERY of it", (await owner.query(POOL, 0)).status, WIRE.enxio);
      await make(owner, POOL, 0, TOO_LARGE - 1);
    },
  ),
  deviceCase(
    "object-dependants",
    "What others depend on is not modified or destroyed: EBUSY, until they are gone.",
    ["resource-object-device-4"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      await owner.allow();
      await make(owner, POOL, 2, 7);
      await make(owner, POOL, 3, 8);
      await make(owner, USER, 0, 2);
      await make(owner, USER, 1, 2);
      const lost = await owner.create(USER, 2, 1);
      expectAnswer("CREATE that refers to nothing", lost, WIRE.einval, WIRE.invalidField);
      for (const user of [0, 1]) {
        expectEqual("MODIFY", (await owner.modify(POOL, 2, 9)).status, WIRE.ebusy);
        expectEqual("DESTROY", (await owner.destroy(POOL, 2)).status, WIRE.ebusy);
        await expectObject(owner, POOL, 2, 7);
        // The first user takes another pool, the second is destroyed.
        const answer = await (user === 0 ? owner.modify(USER, 0, 3) : owner.destroy(USER, 1));
        expectAnswer("what lets go of the pool", answer, WIRE.ok, 0);
      }
      expectAnswer("DESTROY", await owner.destroy(POOL, 2), WIRE.ok, 0);
      expectEqual("DESTROY of the other", (await owner.destroy(POOL, 3)).status, WIRE.ebusy);
    },
  ),
  deviceCase(
    "object-recreate",
    "An object that was destroyed can be created again without a reset.",
    ["resource-object-device-5", "resource-object-device-6"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      await owner.allow(1, 0);
      for (const size of [1, 2, 3]) {
        await make(owner, POOL, 0, size);
        await expectObject(owner, POOL, 0, size);
        expectAnswer("DESTROY", await owner.destroy(POOL, 0), WIRE.ok, 0);
        expectEqual("DESTROY again", (await owner.destroy(POOL, 0)).status, WIRE.enxio);
      }
    },
  ),
  deviceCase(
    "object-modify-fails",
    "A modification that fails leaves the object as it was.",
    ["resource-object-device-9"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      await owner.allow();
      await make(owner, POOL, 0, 7);
      await make(owner, POOL, 1, 7);
      await make(owner, USER, 0, 0, 5);
      const refused = [
        [POOL, 1, NO_SIZE, WIRE.einval],
        [POOL, 1, TOO_LARGE, WIRE.enospc],
        [USER, 0, 3, WIRE.einval],
      ] as const;
      for (const [type, id, first, status] of refused) {
        const answer = await owner.modify(type, id, first, 6);
        expectEqual(`the status of MODIFY to ${first}`, answer.status, status);
      }
      await expectObject(owner, POOL, 1, 7);
      await expectObject(owner, USER, 0, 0, 5);
      expectEqual("DESTROY of its pool", (await owner.destroy(POOL, 0)).status, WIRE.ebusy);
      expectAnswer("DESTROY of the other pool", await owner.destroy(POOL, 1), WIRE.ok, 0);
    },
  ),
  deviceCase(
    "object-query",
    "QUERY returns what was last created or modified.",
    ["resource-object-device-10"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      await owner.allow();
      await make(owner, POOL, 0, 1);
      await make(owner, USER, 0, 0, 0xdead_beef);
      await expectObject(owner, USER, 0, 0, 0xdead_beef);
      for (const tag of [1, 0, 0xffff_ffff]) {
        expectAnswer("MODIFY", await owner.modify(USER, 0, 0, tag), WIRE.ok, 0);
        await expectObject(owner, USER, 0, 0, tag);
      }
    },
  ),
  deviceCase(
    "object-reset",
    "A device reset destroys all objects.",
    ["resource-object-device-11"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      await owner.allow();
      await make(owner, POOL, 0, 1);
      await make(owner, USER, 0, 0);
      await owner.restart();
      await owner.allow();
      for (const type of [POOL, USER]) {
        expectEqual("QUERY", (await owner.query(type, 0)).status, WIRE.enxio);
      }
      await make(owner, POOL, 0, 2);
    },
  ),
];
