/** How a driver finds administration virtqueues, and what it does not believe. */
import { type AdminQueuePlace, FEATURE, STATUS } from "@virtio-admin/core";
import type { ComplianceContext } from "../context.ts";
import { expectEqual, expectRefusal, expectTrue } from "../expect.ts";
import { SCRIPTED_FEATURES } from "../scripted-device.ts";
import type { ComplianceCase } from "../types.ts";
import { driverCase } from "./define.ts";

const { VIRTIO_F_ADMIN_VQ } = FEATURE;
const WITH_ADMIN = [...SCRIPTED_FEATURES, VIRTIO_F_ADMIN_VQ];
const PLACE = { index: 2, num: 3 } as const;
const OPTIONAL = { count: 1, required: false } as const;

/** Places that no device has, and which no driver must believe. */
const BAD_PLACES: readonly { readonly index: number; readonly num: number }[] = [
  { index: 0xffff, num: 2 },
  { index: 2, num: 0xffff },
  { index: 0, num: 1 },
];

/** How a driver finds administration virtqueues, and what it does not believe. */
export const DRIVER_ADMIN_PLACE_CASES: readonly ComplianceCase[] = [
  driverCase(
    "driver-admin-place",
    "The driver finds the administration virtqueues and sets up those it was asked for, no others.",
    ["pci-common-driver-9", "mmio-admin-driver-4", "ccw-admin-driver-6", "admin-vq-1"],
    async (context) => {
      context.needsAdminQueues();
      for (const [asked, queues] of [
        [1, [0, 2]],
        [2, [0, 2, 3]],
        ["all", [0, 2, 3, 4]],
        [9, [0, 2, 3, 4]],
      ] as const) {
        const bench = context.driver({ features: WITH_ADMIN, admin: PLACE });
        const driven = await bench.bringUp({ adminQueues: asked });
        expectEqual("the queues enabled", bench.device.queuesEnabled, [...queues]);
        expectEqual(
          "the administration virtqueues",
          driven.adminQueues.map(({ index }) => index),
          queues.slice(1),
        );
        expectTrue("the feature is accepted", bench.device.driverFeatures.has(VIRTIO_F_ADMIN_VQ));
      }
    },
  ),
  driverCase(
    "driver-admin-read-late",
    "The place is not read before FEATURES_OK was read back set.",
    ["mmio-admin-driver-1", "ccw-admin-driver-3", "admin-transport-3"],
    async (context) => {
      context.needsAdminQueues();
      const bench = context.driver({ features: WITH_ADMIN, admin: PLACE });
      await bench.bringUp({ adminQueues: 1 });
      const { calls } = bench.device;
      const read = calls.findIndex(({ op }) => op === "admin-place");
      const readBack = calls.findIndex(
        (call) => call.op === "read-status" && (call.value & STATUS.FEATURES_OK) !== 0,
      );
      expectTrue("FEATURES_OK is read back", readBack >= 0);
      expectTrue("the place is read after that", read > readBack);
    },
  ),
  driverCase(
    "driver-admin-refused-features",
    "When FEATURES_OK does not stick, the place is not read at all.",
    ["mmio-admin-driver-1", "ccw-admin-driver-3", "init-driver-7"],
    async (context) => {
      const bench = context.driver({ features: WITH_ADMIN, admin: PLACE, accepts: () => false });
      await expectRefusal("bring-up", bench.bringUp({ adminQueues: OPTIONAL }), "FEATURES_REFUSED");
      expectEqual("reads of the place", bench.device.placeReads, 0);
    },
  ),
  driverCase(
    "driver-admin-not-offered",
    "Without VIRTIO_F_ADMIN_VQ the driver goes on, or says what is missing; it reads no place.",
    ["mmio-admin-driver-7", "ccw-admin-driver-10", "features-driver-6"],
    async (context) => {
      const optional = context.driver({ admin: PLACE });
      const driven = await optional.bringUp({ adminQueues: OPTIONAL });
      expectEqual("administration virtqueues", driven.adminQueues.length, 0);
      expectEqual("reads of the place", optional.device.placeReads, 0);
      const required = context.driver({ admin: PLACE });
      const error = await expectRefusal(
        "bring-up",
        required.bringUp({ adminQueues: 1 }),
        "ADMIN_QUEUE_UNAVAILABLE",
      );
      expectTrue(
        `"${error.message}" names ${context.transport.name}`,
        error.message.toLowerCase().includes(context.transport.name),
      );
      expectEqual("reads of the place", required.device.placeReads, 0);
      const last = required.device.statusesWritten.at(-1) ?? 0;
      expectEqual("FAILED in the last status", last & STATUS.FAILED, STATUS.FAILED);
    },
  ),
  driverCase(
    "driver-admin-not-wanted",
    "A driver that wants no administration virtqueue does not accept the feature.",
    ["admin-unnegotiated-device-5", "features-driver-5"],
    async (context) => {
      const bench = context.driver({ features: WITH_ADMIN, admin: PLACE });
      await bench.bringUp();
      const accepted = bench.device.driverFeatures.has(VIRTIO_F_ADMIN_VQ);
      expectEqual("the feature is accepted", accepted, false);
      expectEqual("reads of the place", bench.device.placeReads, 0);
    },
  ),
  driverCase(
    "driver-admin-reserved",
    "Where the transport cannot say the place, the feature is not accepted although offered.",
    ["features-driver-5", "ccw-admin-driver-4"],
    async (context) => {
      if (context.carriesAdminQueues) {
        context.skip(`this ${context.transport.name} transport can say the place`);
      }
      const bench = context.driver({ features: WITH_ADMIN, admin: PLACE });
      const driven = await bench.bringUp({ adminQueues: OPTIONAL });
      expectEqual("administration virtqueues", driven.adminQueues.length, 0);
      const accepted = bench.device.driverFeatures.has(VIRTIO_F_ADMIN_VQ);
      expectEqual("the feature is accepted", accepted, false);
      const required = context.driver({ features: WITH_ADMIN, admin: PLACE });
      await expectRefusal(
        "bring-up",
        required.bringUp({ adminQueues: 1 }),
        "ADMIN_QUEUE_UNAVAILABLE",
      );
    },
  ),
  driverCase(
    "driver-admin-none",
    "A number of 0 means none: the driver goes on without, or says so.",
    ["mmio-admin-driver-3", "ccw-admin-driver-5", "pci-common-format-3"],
    async (context) => {
      context.needsAdminQueues();
      const admin = { index: 2, num: 0 };
      const optional = context.driver({ features: WITH_ADMIN, admin });
      const driven = await optional.bringUp({ adminQueues: OPTIONAL });
      expectEqual("administration virtqueues", driven.adminQueues.length, 0);
      const required = context.driver({ features: WITH_ADMIN, admin });
      await expectRefusal(
        "bring-up",
        required.bringUp({ adminQueues: 1 }),
        "ADMIN_QUEUE_UNAVAILABLE",
      );
    },
  ),
  driverCase(
    "driver-admin-nonsense",
    "A place that reaches beyond the last index, or over ordinary queues, is a device failure.",
    ["mmio-admin-driver-9", "ccw-admin-driver-11", "pci-common-device-18"],
    async (context) => {
      context.needsAdminQueues();
      for (const admin of BAD_PLACES) {
        const bench = context.driver({ features: WITH_ADMIN, admin });
        await expectRefusal(
          `bring-up with ${admin.num} at ${admin.index}`,
          bench.bringUp({ adminQueues: 1 }),
          "DEVICE_FAILED",
          "TRANSPORT",
        );
        expectEqual("queues enabled", bench.device.queuesEnabled, []);
      }
    },
  ),
  driverCase(
    "driver-admin-nonsense-at-transport",
    "The driver half itself refuses a place that reaches beyond the last index.",
    ["mmio-admin-driver-9", "ccw-admin-driver-11", "pci-common-device-18"],
    async (context) => {
      context.needsAdminQueues();
      for (const admin of [
        { index: 0xffff, num: 2 },
        { index: 2, num: 0xffff },
      ]) {
        const what = `a place of ${admin.num} at ${admin.index}`;
        await expectRefusal(what, placeOf(context, admin), "DEVICE_FAILED", "TRANSPORT");
      }
    },
  ),
  driverCase(
    "driver-admin-last-index",
    "Administration virtqueues may reach up to the last index.",
    ["mmio-admin-device-8", "pci-common-device-18"],
    async (context) => {
      context.needsAdminQueues();
      const place = await placeOf(context, { index: 0xfffe, num: 2 });
      expectEqual("index and number", [place.index, place.count], [0xfffe, 2]);
    },
  ),
];

/** What the driver half reads of a device that has accepted all it offers. */
async function placeOf(
  context: ComplianceContext,
  admin: { readonly index: number; readonly num: number },
): Promise<AdminQueuePlace> {
  const { driver, device } = context.driver({ features: WITH_ADMIN, admin });
  const status = STATUS.ACKNOWLEDGE | STATUS.DRIVER;
  await driver.open();
  await driver.reset();
  await driver.writeStatus(STATUS.ACKNOWLEDGE);
  await driver.writeStatus(status);
  await driver.writeFeatures(device.offeredFeatures);
  await driver.writeStatus(status | STATUS.FEATURES_OK);
  return driver.adminQueues(device.offeredFeatures);
}
