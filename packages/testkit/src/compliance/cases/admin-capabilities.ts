/** Capabilities: what the device has, and what the driver sets of it. */
import { PLATFORM_GROUP } from "@virtio-admin/core";
import { decodeAnswer, encodeCommand, expectAnswer, LIST, WIRE } from "../admin-bench.ts";
import { expectEqual, expectTrue } from "../expect.ts";
import { concat } from "../hand-ring.ts";
import { CAP, le32, OBJ, objectOwnerOf, probeCap } from "../object-bench.ts";
import {
  PROBE_CAP,
  PROBE_LIMITS,
  PROBE_ODD_CAP,
  PROBE_ODD_LIMITS,
  PROBE_POOL,
} from "../probe-objects.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

const { pools, users, flags } = PROBE_LIMITS;
const ODD_VALUE = Uint8Array.of(PROBE_ODD_LIMITS.first, PROBE_ODD_LIMITS.second);
const UNKNOWN_IDS = [0x0001, 0x0860, 0x0862, 0x0fff, 0x1000, 0xffff];

/** Capabilities. */
export const ADMIN_CAPABILITY_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "capability-commands",
    "The three capability commands are there together, and used together or not at all.",
    ["capability-device-1"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      const { result } = await owner.send(LIST.query);
      for (const opcode of Object.values(CAP)) {
        expectTrue(
          `opcode ${opcode} is listed`,
          (((result[opcode >> 3] ?? 0) >> (opcode & 7)) & 1) === 1,
        );
      }
      const { list, get, set } = CAP;
      for (const some of [[list], [list, get], [set, get]]) {
        const what = `LIST_USE of ${some.join(" and ")}`;
        expectAnswer(what, await owner.useList(some), WIRE.einval, WIRE.invalidField);
      }
      expectAnswer("a command of the list before", await owner.send(CAP.list), WIRE.ok, 0);
      expectAnswer("LIST_USE without", await owner.useList([OBJ.create]), WIRE.ok, 0);
      expectEqual("the status then", (await owner.send(CAP.list)).status, WIRE.einval);
    },
  ),
  deviceCase(
    "capability-list",
    "CAP_ID_LIST_QUERY reports the ids in whole words, as many as the largest takes.",
    ["capability-device-1"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      const answer = await owner.send(CAP.list);
      expectAnswer("CAP_ID_LIST_QUERY", answer, WIRE.ok, 0);
      const expected = new Uint8Array(8 * (Math.floor(PROBE_CAP.id / 64) + 1));
      for (const { id } of [PROBE_CAP, PROBE_ODD_CAP]) expected[id >> 3] = 1 << (id & 7);
      expectEqual("the list", answer.result, expected);
    },
  ),
  deviceCase(
    "capability-self-only",
    "The capability commands fail with EINVAL outside the Self group.",
    ["capability-device-5"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      for (const opcode of Object.values(CAP)) {
        const data = concat([le32(PROBE_ODD_CAP.id, 0), ODD_VALUE]);
        const answer = await owner.send(opcode, data, PLATFORM_GROUP.id);
        expectAnswer(`opcode ${opcode}`, answer, WIRE.einval, WIRE.invalidOpcode);
      }
    },
  ),
  deviceCase(
    "capability-get",
    "DEVICE_CAP_GET reports the device's value, whatever the driver has set.",
    ["capability-device-1", "admin-vq-device-8"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      for (const round of ["before", "after"]) {
        const whole = await owner.get(PROBE_CAP.id);
        expectAnswer(`DEVICE_CAP_GET ${round} DRIVER_CAP_SET`, whole, WIRE.ok, 0);
        expectEqual("the value", whole.result, probeCap(pools, users, flags));
        const odd = await owner.get(PROBE_ODD_CAP.id);
        expectEqual("the odd value", odd.result, concat([ODD_VALUE, new Uint8Array(6)]));
        await owner.allow(1, 1);
      }
    },
  ),
  deviceCase(
    "capability-unknown",
    "An id that was not reported fails with ENXIO.",
    ["capability-device-7"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      for (const id of UNKNOWN_IDS) {
        expectEqual(`DEVICE_CAP_GET of ${id}`, (await owner.get(id)).status, WIRE.enxio);
        const set = await owner.set(id, new Uint8Array(8));
        expectEqual(`DRIVER_CAP_SET of ${id}`, set.status, WIRE.enxio);
      }
    },
  ),
  deviceCase(
    "capability-set-within",
    "A limit up to the device's, and any of its flags, can be set, again and again.",
    ["capability-device-2", "capability-device-3"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      const values = [
        [pools, users, flags],
        [1, 0, 1],
        [0, 0, 0],
        [pools, users, 0x8000_0000],
        [pools, 0, 4],
      ] as const;
      for (const [ofPools, ofUsers, bits] of values) {
        const answer = await owner.set(PROBE_CAP.id, probeCap(ofPools, ofUsers, bits));
        const what = `DRIVER_CAP_SET of ${ofPools}, ${ofUsers}, ${bits}`;
        expectAnswer(what, answer, WIRE.ok, 0);
      }
    },
  ),
  deviceCase(
    "capability-set-beyond",
    "A limit above the device's, or a flag that it lacks, fails with EINVAL; what was set stays.",
    ["capability-device-4", "admin-cmd-device-9"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      await owner.allow(2, 0);
      const values = [
        [pools + 1, 0, 0],
        [0xffff, users, 0],
        [0, users + 1, 0],
        [0, 0, 2],
        [0, 0, flags + 0x4000_0000],
      ] as const;
      for (const [ofPools, ofUsers, bits] of values) {
        const answer = await owner.set(PROBE_CAP.id, probeCap(ofPools, ofUsers, bits));
        const what = `DRIVER_CAP_SET of ${ofPools}, ${ofUsers}, ${bits}`;
        expectAnswer(what, answer, WIRE.einval, WIRE.invalidField);
      }
      const inside = await owner.create(PROBE_POOL.type, 1, 0);
      expectAnswer("an object within the limit that was set", inside, WIRE.ok, 0);
      const outside = await owner.create(PROBE_POOL.type, 2, 0);
      expectEqual("the status of one beyond it", outside.status, WIRE.einval);
    },
  ),
  deviceCase(
    "capability-busy",
    "A capability is not taken back while an object lives that needs it: EBUSY.",
    ["capability-device-6"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      await owner.allow();
      expectAnswer("CREATE", await owner.create(PROBE_POOL.type, 1, 7), WIRE.ok, 0);
      for (const limit of [0, 1]) {
        const answer = await owner.set(PROBE_CAP.id, probeCap(limit, 0, 0));
        expectEqual(`the status for a limit of ${limit}`, answer.status, WIRE.ebusy);
      }
      const query = await owner.query(PROBE_POOL.type, 1);
      expectEqual("the object", query.result, le32(7, 0));
      const other = await owner.create(PROBE_POOL.type, pools - 1, 7);
      expectAnswer("an object within the limit that stayed", other, WIRE.ok, 0);
      for (const id of [1, pools - 1]) await owner.destroy(PROBE_POOL.type, id);
      const answer = await owner.set(PROBE_CAP.id, probeCap(0, 0, 0));
      expectAnswer("the limit 0 without objects", answer, WIRE.ok, 0);
    },
  ),
  deviceCase(
    "capability-reset",
    "What the driver has not set counts as zero, and so does everything after a device reset.",
    ["capability-device-8", "capability-device-9"],
    async (context) => {
      const owner = await objectOwnerOf(context);
      const create = async () => (await owner.create(PROBE_POOL.type, 0, 0)).status;
      expectEqual("CREATE before DRIVER_CAP_SET", await create(), WIRE.einval);
      await owner.allow();
      expectEqual("CREATE after DRIVER_CAP_SET", await create(), WIRE.ok);
      await owner.restart();
      expectEqual("CREATE after a reset", await create(), WIRE.einval);
    },
  ),
  deviceCase(
    "capability-odd-lengths",
    "Parts of ten bytes are served, in descriptors for header and data each: Linux sends such.",
    ["admin-vq-device-2", "admin-vq-device-7"],
    async (context) => {
      const { bench, queue } = await objectOwnerOf(context);
      const exchange = async (opcode: number, data: Uint8Array, rooms: readonly number[]) => {
        const request = encodeCommand({ opcode, data });
        const parts = [request.slice(0, 24), request.slice(24)];
        const buffer = queue.ring.add(parts, rooms);
        const [used] = await bench.exchange(queue);
        return decodeAnswer(buffer, used?.length ?? 0);
      };
      const id = le32(PROBE_ODD_CAP.id, 0);
      const get = await exchange(CAP.get, id, [8, 2]);
      expectAnswer("DEVICE_CAP_GET with room for two bytes", get, WIRE.ok, 0);
      expectEqual("the used length", get.used, 10);
      expectEqual("the value", get.result, ODD_VALUE);
      const set = await exchange(CAP.set, concat([id, ODD_VALUE]), [8]);
      expectAnswer("DRIVER_CAP_SET of two bytes", set, WIRE.ok, 0);
      const beyond = concat([id, Uint8Array.of(0, PROBE_ODD_LIMITS.second + 1)]);
      const refused = await exchange(CAP.set, beyond, [8]);
      expectAnswer("the last byte counts", refused, WIRE.einval, WIRE.invalidField);
    },
  ),
];
