/** Device parts in front of a device that accepts anything. */
import {
  CapabilityClient,
  commonPart,
  DEV_PARTS_CAP,
  DevicePartsClient,
  decodeParts,
  describePart,
  isVirtioError,
  ResourceObjectClient,
} from "@virtio-admin/core";
import { LIST, opcodeList } from "../admin-bench.ts";
import type { ComplianceContext } from "../context.ts";
import { expectEqual } from "../expect.ts";
import { ComplianceFailure } from "../failure.ts";
import type { AvailableBuffer } from "../hand-device-queue.ts";
import { concat } from "../hand-ring.ts";
import { CAP, le32, OBJ } from "../object-bench.ts";
import { needsParts, PARTS } from "../parts-bench.ts";
import type { ComplianceCase } from "../types.ts";
import { driverCase } from "./define.ts";
import { commanding } from "./driver-admin-commands.ts";

const STATUS_OK = new Uint8Array(8);
const HEADER_BYTES = 24;
const OBJECT_BYTES = 8;
const MEMBER = 1;
/** What the device says that it has. */
const PART_COUNT = 9;
const PART_BYTES = 1000;
const OPCODES = [...Object.values(CAP), ...Object.values(OBJ), ...Object.values(PARTS)];

const STATUS_PART = commonPart("DEVICE_STATUS", Uint8Array.of(3));
const FEATURES_PART = commonPart("DRV_FEATURES", new Uint8Array(16));
const QUEUE_PART = commonPart("VQ_CFG", new Uint8Array(32), 1);

/** Device parts, driver half. */
export const DRIVER_ADMIN_PARTS_CASES: readonly ComplianceCase[] = [
  driverCase(
    "driver-parts-stop-first",
    "The driver stops a member, and awaits that, before it sets parts.",
    ["device-parts-driver-1"],
    async (context) => {
      const { parts, sent } = await partsDriver(context);
      await expectUnsent("parts of a member at work", parts.write(MEMBER, [STATUS_PART]));
      const stopping = parts.stop(MEMBER);
      await expectUnsent("parts of a member that stops", parts.write(MEMBER, [STATUS_PART]));
      await stopping;
      await expectUnsent("parts of another member", parts.write(MEMBER + 1, [STATUS_PART]));
      expectEqual("the commands sent", sent(), [PARTS.mode]);
      await parts.write(MEMBER, [STATUS_PART]);
      expectEqual("the commands sent", sent(), [PARTS.mode, OBJ.create, PARTS.set, OBJ.destroy]);
    },
  ),
  driverCase(
    "driver-parts-order",
    "The driver sets parts in the order of the table.",
    ["device-parts-driver-2"],
    async (context) => {
      const { parts, requests } = await partsDriver(context);
      await parts.stop(MEMBER);
      await parts.write(MEMBER, [QUEUE_PART, STATUS_PART, FEATURES_PART]);
      const set = requests.find(({ readable }) => readable[0] === PARTS.set);
      const list = set?.readable.subarray(HEADER_BYTES + OBJECT_BYTES) ?? new Uint8Array(0);
      const order = decodeParts(list).map(describePart).join(", ");
      expectEqual("the parts", order, "DRV_FEATURES, DEVICE_STATUS, VQ_CFG 1");
    },
  ),
  driverCase(
    "driver-parts-room",
    "The driver supplies room for all metadata and all parts that the device has.",
    ["device-parts-driver-4", "device-parts-driver-5"],
    async (context) => {
      const { parts, requests } = await partsDriver(context);
      await parts.headers(MEMBER);
      await parts.read(MEMBER);
      const rooms = requests.flatMap(({ readable, writable }) => {
        const isMetadata = readable[0] === PARTS.metadata;
        const isList = isMetadata && readable[HEADER_BYTES + OBJECT_BYTES] === 2;
        if (!isList && readable[0] !== PARTS.get) return [];
        return writable.reduce((sum, { length }) => sum + length, 0);
      });
      const needed = [8 + 8 + 16 * PART_COUNT, 8 + PART_BYTES];
      expectEqual("the commands", rooms.length, needed.length);
      for (const [i, least] of needed.entries()) {
        expectEqual(`room ${i} suffices`, (rooms[i] ?? 0) >= least, true);
      }
    },
  ),
];

interface PartsDriver {
  readonly parts: DevicePartsClient;
  /** The commands that reached the device, list commands included. */
  readonly requests: readonly AvailableBuffer[];
  /** The opcodes of those that followed the preparations. */
  sent(): number[];
}

/** A client in front of a device that has parts and says OK to everything. */
async function partsDriver(context: ComplianceContext): Promise<PartsDriver> {
  needsParts(context);
  const { client, requests } = await commanding(context, (readable) => {
    switch (readable[0]) {
      case LIST.query:
        return concat([STATUS_OK, opcodeList([LIST.query, LIST.use, ...OPCODES])]);
      case CAP.get:
        return concat([STATUS_OK, Uint8Array.of(4, 4)]);
      case PARTS.metadata: {
        const type = readable[HEADER_BYTES + OBJECT_BYTES];
        const headers = new Uint8Array(type === 2 ? 16 * PART_COUNT : 0);
        return concat([STATUS_OK, le32(type === 0 ? PART_BYTES : PART_COUNT, 0), headers]);
      }
      default:
        return STATUS_OK;
    }
  });
  const capabilities = new CapabilityClient(client);
  const parts = new DevicePartsClient(client, new ResourceObjectClient(client, capabilities));
  await capabilities.use();
  await parts.use();
  await capabilities.set(DEV_PARTS_CAP, {
    get_parts_resource_objects_limit: 4,
    set_parts_resource_objects_limit: 4,
  });
  const before = requests.length;
  const sent = () => requests.slice(before).map(({ readable }) => readable[0] ?? -1);
  return { parts, requests, sent };
}

async function expectUnsent(what: string, promise: Promise<unknown>): Promise<void> {
  const error = await promise.then(
    () => "success",
    (thrown: unknown) => thrown,
  );
  if (!isVirtioError(error, "DRIVER_STATE")) {
    throw new ComplianceFailure(what, "DRIVER_STATE", error);
  }
}
