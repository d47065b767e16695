/** Capabilities and resource objects in front of a device that accepts anything. */
import {
  CapabilityClient,
  isVirtioError,
  ResourceObjectClient,
  SELF_GROUP,
} from "@virtio-admin/core";
import { LIST, opcodeList } from "../admin-bench.ts";
import type { ComplianceContext } from "../context.ts";
import { expectEqual } from "../expect.ts";
import { ComplianceFailure } from "../failure.ts";
import type { AvailableBuffer } from "../hand-device-queue.ts";
import { concat } from "../hand-ring.ts";
import { CAP, OBJ, OBJECT_OPCODES, probeCap } from "../object-bench.ts";
import { PROBE_CAP, PROBE_LIMITS, PROBE_POOL, PROBE_USER } from "../probe-objects.ts";
import type { ComplianceCase } from "../types.ts";
import { driverCase } from "./define.ts";
import { commanding } from "./driver-admin-commands.ts";

const STATUS_OK = new Uint8Array(8);
const HEADER_BYTES = 24;
const { pools, users, flags } = PROBE_LIMITS;

/** Capabilities and resource objects, driver half. */
export const DRIVER_ADMIN_OBJECT_CASES: readonly ComplianceCase[] = [
  driverCase(
    "driver-capability-within",
    "The driver sets no limit and no flag beyond what the device has reported.",
    ["capability-driver-2", "capability-driver-3"],
    async (context) => {
      const { capabilities, sent } = await objectDriver(context);
      const beyond = [
        { pools: pools + 1 },
        { pools: 1, users: users + 1 },
        { flags: 2 },
        { flags: flags + 0x4000_0000 },
      ];
      for (const value of beyond) {
        const what = `setting ${JSON.stringify(value)}`;
        await expectRefused(what, "ADMIN_COMMAND", capabilities.set(PROBE_CAP, value));
      }
      expectEqual("the commands sent", sent(), [CAP.get]);
      await capabilities.set(PROBE_CAP, { pools, users, flags });
      expectEqual("the commands sent", sent(), [CAP.get, CAP.set]);
    },
  ),
  driverCase(
    "driver-capability-first",
    "The driver sends DRIVER_CAP_SET, and awaits its answer, before it creates objects.",
    ["capability-driver-1", "resource-object-driver-7"],
    async (context) => {
      const { capabilities, objects, sent } = await objectDriver(context);
      const create = () => objects.create(PROBE_POOL, { size: 1 });
      await expectRefused("CREATE at first", "DRIVER_STATE", create());
      await capabilities.device(PROBE_CAP);
      const setting = capabilities.set(PROBE_CAP, { pools: 1 });
      await expectRefused("CREATE while the capability is set", "DRIVER_STATE", create());
      await setting;
      await create();
      expectEqual("the commands sent", sent(), [CAP.get, CAP.set, OBJ.create]);
    },
  ),
  driverCase(
    "driver-capability-held",
    "The driver sets no capability while objects live that it governs.",
    ["capability-driver-5", "resource-object-driver-6"],
    async (context) => {
      const { capabilities, objects, sent } = await objectDriver(context);
      await capabilities.set(PROBE_CAP, { pools });
      const pool = await objects.create(PROBE_POOL, { size: 1 });
      for (const value of [{}, { pools }]) {
        await expectRefused("DRIVER_CAP_SET", "DRIVER_STATE", capabilities.set(PROBE_CAP, value));
      }
      await objects.destroy(pool);
      await capabilities.set(PROBE_CAP, {});
      const expected = [CAP.get, CAP.set, OBJ.create, OBJ.destroy, CAP.set];
      expectEqual("the commands sent", sent(), expected);
    },
  ),
  driverCase(
    "driver-objects-within",
    "The driver creates no second object of an id, and no more than its capability allows.",
    ["resource-object-driver-1", "resource-object-driver-2"],
    async (context) => {
      const { capabilities, objects, sent } = await objectDriver(context);
      await capabilities.set(PROBE_CAP, { pools: 2 });
      await objects.create(PROBE_POOL, { size: 1 }, { id: 1 });
      const again = objects.create(PROBE_POOL, { size: 2 }, { id: 1 });
      await expectRefused("CREATE of the same id", "DRIVER_STATE", again);
      const far = objects.create(PROBE_POOL, { size: 2 }, { id: 2 });
      await expectRefused("CREATE of an id beyond the limit", "ADMIN_COMMAND", far);
      const { id } = await objects.create(PROBE_POOL, { size: 2 });
      expectEqual("the id that was free", id, 0);
      const more = objects.create(PROBE_POOL, { size: 3 });
      await expectRefused("CREATE of one too many", "DRIVER_STATE", more);
      expectEqual("the commands sent", sent(), [CAP.get, CAP.set, OBJ.create, OBJ.create]);
    },
  ),
  driverCase(
    "driver-objects-order",
    "The driver destroys dependants before what they depend on, and nothing twice.",
    ["resource-object-driver-3", "resource-object-driver-4", "resource-object-driver-5"],
    async (context) => {
      const { capabilities, objects, requests } = await objectDriver(context);
      await capabilities.set(PROBE_CAP, { pools, users });
      const pool = await objects.create(PROBE_POOL, { size: 1 }, { id: 2 });
      await objects.create(PROBE_USER, { pool: 2 }, { id: 1 });
      await objects.create(PROBE_POOL, { size: 1 }, { id: 0 });
      await expectRefused("DESTROY of the pool", "DRIVER_STATE", objects.destroy(pool));
      const before = requests.length;
      await objects.destroyAll();
      await expectRefused("DESTROY once more", "DRIVER_STATE", objects.destroy(pool));
      const destroyed = requests.slice(before).map(({ readable }) => {
        const view = new DataView(readable.slice(HEADER_BYTES).buffer);
        return [readable[0], view.getUint16(0, true), view.getUint32(4, true)];
      });
      expectEqual("the objects destroyed", destroyed, [
        [OBJ.destroy, PROBE_POOL.type, 0],
        [OBJ.destroy, PROBE_USER.type, 1],
        [OBJ.destroy, PROBE_POOL.type, 2],
      ]);
    },
  ),
];

interface ObjectDriver {
  readonly capabilities: CapabilityClient;
  readonly objects: ResourceObjectClient;
  /** The commands that reached the device, list commands included. */
  readonly requests: readonly AvailableBuffer[];
  /** The opcodes of those that followed the list commands. */
  sent(): number[];
}

/** Clients in front of a device that has {@link PROBE_CAP} and says OK to everything. */
async function objectDriver(context: ComplianceContext): Promise<ObjectDriver> {
  const { client, requests } = await commanding(context, ({ 0: opcode }) => {
    if (opcode === LIST.query) {
      return concat([STATUS_OK, opcodeList([LIST.query, LIST.use, ...OBJECT_OPCODES])]);
    }
    if (opcode === CAP.get) return concat([STATUS_OK, probeCap(pools, users, flags)]);
    return STATUS_OK;
  });
  await client.useReported(SELF_GROUP.id);
  const capabilities = new CapabilityClient(client);
  const objects = new ResourceObjectClient(client, capabilities);
  const before = requests.length;
  const sent = () => requests.slice(before).map(({ readable }) => readable[0] ?? -1);
  return { capabilities, objects, requests, sent };
}

async function expectRefused(
  what: string,
  code: "ADMIN_COMMAND" | "DRIVER_STATE",
  promise: Promise<unknown>,
): Promise<void> {
  const error = await promise.then(
    () => "success",
    (thrown: unknown) => thrown,
  );
  if (!isVirtioError(error, code)) throw new ComplianceFailure(what, code, error);
}
