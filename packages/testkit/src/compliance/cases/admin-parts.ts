/** Device parts: members that stop and go on, what they tell of themselves, and what they are set to. */
import {
  COMMON_PARTS,
  commonPart,
  type DevicePart,
  decodePartHeaders,
  decodeParts,
  describePart,
  encodePartHeaders,
  encodeParts,
  headerOf,
} from "@virtio-admin/core";
import { expectAnswer, WIRE } from "../admin-bench.ts";
import { RUNNING_STATUS } from "../device-bench.ts";
import { expectEqual, expectTrue } from "../expect.ts";
import { PARTS, type PartsBench, partsOwnerOf } from "../parts-bench.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

const SELECTOR = new Uint8Array(8);
const names = (parts: readonly DevicePart[]) => parts.map(describePart).join(", ");
const statusPart = (value: number) => commonPart("DEVICE_STATUS", Uint8Array.of(value));

/** Checks that a command is refused, and that the parts of the member are as before. */
async function expectUnchanged(
  owner: PartsBench,
  what: string,
  parts: readonly DevicePart[],
): Promise<void> {
  const before = encodeParts(await owner.parts(2));
  const answer = await owner.set(2, parts);
  expectTrue(`${what} fails`, answer.status !== WIRE.ok);
  expectEqual(`the parts after ${what}`, encodeParts(await owner.parts(2)), before);
}

/** Device parts. */
export const ADMIN_PARTS_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "parts-mode",
    "Members are stopped and resumed, each on its own; it succeeds when there is nothing to do.",
    ["device-parts-device-23", "device-parts-device-24"],
    async (context) => {
      const owner = await partsOwnerOf(context);
      const { device } = owner.member(2);
      await owner.resume(2);
      for (const flags of [1, 1, 0, 0]) {
        expectAnswer(`DEV_MODE_SET ${flags}`, await owner.mode(2, flags), WIRE.ok, 0);
        expectEqual("the mode", device.stopped, flags === 1);
        expectEqual("the mode of another", owner.member(1).device.stopped, false);
      }
      const unknown = await owner.mode(2, 2);
      expectEqual("the status of an unknown mode", unknown.status, WIRE.einval);
    },
  ),
  deviceCase(
    "parts-stop-completes",
    "The stop is answered once every observed buffer is used; no other is taken.",
    ["device-parts-device-11", "device-parts-device-12"],
    async (context) => {
      const owner = await partsOwnerOf(context);
      const { model, device } = owner.member(1);
      const ring = owner.member(1).bringUp();
      model.holds = true;
      for (let i = 0; i < 2; i++) ring.add([Uint8Array.of(i)], [1]);
      device.notify(0);
      expectEqual("the buffers taken", model.popped, 2);
      const look = owner.begin(PARTS.mode, 1, Uint8Array.of(1));
      ring.add([Uint8Array.of(7)], [1]);
      device.notify(0);
      await owner.bench.settle();
      expectEqual("an answer too early", look(), undefined);
      model.release();
      let answer = look();
      await owner.bench.expectSoon("the answer to DEV_MODE_SET", () => {
        answer ??= look();
        return answer !== undefined;
      });
      if (answer !== undefined) expectAnswer("DEV_MODE_SET", answer, WIRE.ok, 0);
      expectEqual("the used buffers", ring.takeUsed().length, 2);
      expectEqual("the buffers taken", model.popped, 2);
      await owner.resume(1);
      expectEqual("the used buffers after the member went on", ring.takeUsed().length, 1);
    },
  ),
  deviceCase(
    "parts-stopped",
    "A stopped member takes notifications, and touches no memory and sends nothing meanwhile.",
    [
      "device-parts-device-10",
      "device-parts-device-13",
      "device-parts-device-18",
      "device-parts-device-19",
    ],
    async (context) => {
      const owner = await partsOwnerOf(context);
      const { device, model, told } = owner.member(1);
      const ring = owner.member(1).bringUp();
      await owner.stop(1);
      ring.add([Uint8Array.of(5)], [1]);
      const before = owner.members.bytes.slice();
      told.length = 0;
      device.notify(0);
      model.host.configChanged();
      await owner.bench.settle();
      expectEqual("the memory", owner.members.bytes, before);
      expectEqual("what the driver was told", told, []);
      await owner.resume(1);
      expectEqual("the used buffers", ring.takeUsed().length, 1);
      expectEqual("what the driver was told then", [...told].sort(), ["configuration", "used 0"]);
    },
  ),
  deviceCase(
    "parts-get",
    "Parts are read in the order of the table, as often as one likes, all or those selected.",
    [
      "device-parts-device-2",
      "device-parts-device-3",
      "device-parts-device-26",
      "device-parts-device-27",
      "device-parts-device-31",
    ],
    async (context) => {
      const owner = await partsOwnerOf(context);
      owner.member(1).bringUp();
      const parts = await owner.parts(1);
      const queues = owner.member(1).device.queueCount;
      const ofQueues = Array.from({ length: queues }, (_, i) => `VQ_CFG ${i}`);
      const order = ["DEV_FEATURES", "DRV_FEATURES", "DEVICE_STATUS", ...ofQueues];
      expectEqual("the parts", names(parts), order.join(", "));
      expectEqual("the status", parts[2]?.value[0], RUNNING_STATUS);
      const again = await owner.parts(1);
      expectEqual("the parts once more", encodeParts(again), encodeParts(parts));
      const missing = commonPart("VQ_CFG", new Uint8Array(32), 999);
      const wanted = [parts[4], missing, parts[1], parts[0]].filter((part) => part !== undefined);
      const some = await owner.get(1, encodePartHeaders(wanted.map(headerOf)));
      expectAnswer("DEV_PARTS_GET of some", some, WIRE.ok, 0);
      const found = names(decodeParts(some.result));
      expectEqual("the selected parts", found, "DEV_FEATURES, DRV_FEATURES, VQ_CFG 1");
    },
  ),
  deviceCase(
    "parts-metadata",
    "Metadata tell the size, the number and the headers of the parts, or ENOMEM for lack of room.",
    ["device-parts-device-27"],
    async (context) => {
      const owner = await partsOwnerOf(context);
      const parts = await owner.parts(1);
      const expected = [encodeParts(parts).length, parts.length, parts.length];
      for (const [type, value] of expected.entries()) {
        const answer = await owner.metadata(1, type);
        expectAnswer(`DEV_PARTS_METADATA_GET ${type}`, answer, WIRE.ok, 0);
        const view = new DataView(answer.result.buffer, answer.result.byteOffset);
        expectEqual(`the answer to ${type}`, view.getUint32(0, true), value);
      }
      const { result } = await owner.metadata(1, 2);
      const headers = decodePartHeaders(result.subarray(8));
      expectEqual(
        "the headers",
        encodePartHeaders(headers),
        encodePartHeaders(parts.map(headerOf)),
      );
      const short = await owner.metadata(1, 2, 8 + 16 * parts.length - 8);
      expectEqual("the status with too little room", short.status, WIRE.enomem);
    },
  ),
  deviceCase(
    "parts-set-stopped",
    "Parts are set of stopped members only.",
    ["device-parts-device-4"],
    async (context) => {
      const owner = await partsOwnerOf(context);
      await expectUnchanged(owner, "DEV_PARTS_SET of a member at work", [statusPart(3)]);
      await owner.stop(2);
      expectAnswer("DEV_PARTS_SET", await owner.set(2, [statusPart(3)]), WIRE.ok, 0);
      expectEqual("the status", owner.member(2).device.status, 3);
    },
  ),
  deviceCase(
    "parts-set-refused",
    "Another length, other features or an unknown part fail the command, and nothing is set.",
    ["device-parts-device-6", "device-parts-device-7", "device-parts-device-8"],
    async (context) => {
      const owner = await partsOwnerOf(context);
      await owner.stop(2);
      const offered = String(owner.member(2).device.offeredFeatures);
      const value = new Uint8Array(16).fill(0xff);
      const unknown = { type: 0x01ff, flags: 0, selector: SELECTOR, value: new Uint8Array(4) };
      const longer = commonPart("DEVICE_STATUS", new Uint8Array(2));
      const features = commonPart("DEV_FEATURES", value);
      await expectUnchanged(owner, "a part of another length", [longer]);
      await expectUnchanged(owner, "other features", [features, statusPart(1)]);
      await expectUnchanged(owner, "an unknown part", [statusPart(1), unknown]);
      expectEqual("the features", String(owner.member(2).device.offeredFeatures), offered);
      const optional = [{ ...unknown, flags: 1 }, statusPart(1)];
      expectAnswer("an optional one", await owner.set(2, optional), WIRE.ok, 0);
    },
  ),
  deviceCase(
    "parts-move",
    "A member that is set to another's parts goes on where that one's rings say.",
    ["device-parts-device-5", "device-parts-device-7"],
    async (context) => {
      const owner = await partsOwnerOf(context);
      const ring = owner.member(1).bringUp();
      const source = owner.member(1).device;
      for (let i = 0; i < 3; i++) ring.add([Uint8Array.of(i)], [1]);
      source.notify(0);
      expectEqual("the used buffers", ring.takeUsed().length, 3);
      await owner.stop(1);
      const buffer = ring.add([Uint8Array.of(0x5a)], [1]);
      source.notify(0);
      const parts = await owner.parts(1);
      await owner.stop(2);
      for (let i = 0; i < 2; i++) {
        expectAnswer("DEV_PARTS_SET", await owner.set(2, parts), WIRE.ok, 0);
      }
      expectEqual("the parts of the target", encodeParts(await owner.parts(2)), encodeParts(parts));
      expectEqual("buffers used too early", ring.takeUsed().length, 0);
      await owner.resume(2);
      const used = ring.takeUsed();
      expectEqual(
        "the buffers used there",
        used.map(({ id }) => id),
        [buffer.head],
      );
      expectEqual("the buffers taken there", owner.member(2).model.popped, 1);
      expectEqual("the answer", buffer.written(), Uint8Array.of(0x5a));
      expectEqual("the status", owner.member(2).device.status, RUNNING_STATUS);
    },
  ),
  deviceCase(
    "parts-reset",
    "A reset returns the parts of a member to their defaults.",
    ["device-parts-device-25"],
    async (context) => {
      const owner = await partsOwnerOf(context);
      const defaults = encodeParts(await owner.parts(1));
      owner.member(1).bringUp();
      const running = encodeParts(await owner.parts(1));
      expectTrue("parts tell of the driver", running.join() !== defaults.join());
      owner.member(1).device.writeStatus(0);
      expectEqual("the parts", encodeParts(await owner.parts(1)), defaults);
      const { VQ_CFG } = COMMON_PARTS;
      const queues = (await owner.parts(1)).filter(({ type }) => type === VQ_CFG.type);
      expectEqual("enabled queues", queues.filter(({ value }) => value[4] !== 0).length, 0);
    },
  ),
];
