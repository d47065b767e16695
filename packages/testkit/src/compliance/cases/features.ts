/** Feature bits, from the driver's side of the registers. */
import {
  FEATURE,
  FEATURE_BITS,
  FEATURE_WORDS,
  FeatureSet,
  isDeviceTypeFeature,
  STATUS,
} from "@virtio-admin/core";
import { FEATURES_OK_STATUS } from "../device-bench.ts";
import { expectEqual, expectTrue } from "../expect.ts";
import { ComplianceFailure } from "../failure.ts";
import { PROBE_DEPENDENCY, PROBE_FEATURES, PROBE_REFUSES_ALONE } from "../probe-model.ts";
import type { ComplianceCase } from "../types.ts";
import { deviceCase } from "./define.ts";

const { VIRTIO_F_VERSION_1, VIRTIO_F_ADMIN_VQ, VIRTIO_F_RING_RESET } = FEATURE;
const PLAIN = FeatureSet.of(VIRTIO_F_VERSION_1);

/** Features from 0 to 127 that no device of this project can offer on any transport. */
const NEVER_OFFERED: readonly number[] = Array.from(
  { length: FEATURE_BITS },
  (_, bit) => bit,
).filter(
  (bit) =>
    !isDeviceTypeFeature(bit) &&
    (!Object.values<number>(FEATURE).includes(bit) || bit === FEATURE.VIRTIO_F_SUSPEND),
);

/** Feature bits and their negotiation. */
export const FEATURE_CASES: readonly ComplianceCase[] = [
  deviceCase(
    "features-all-words",
    "All 128 offered bits read as the device offers them, in every word.",
    ["mmio-layout-2", "pci-common-device-3", "ccw-features-1"],
    async (context) => {
      const bench = await context.device();
      const offered = await bench.driver.readFeatures();
      for (let word = 0; word < FEATURE_WORDS; word++) {
        expectEqual(`word ${word}`, offered.word(word), bench.device.offeredFeatures.word(word));
      }
      for (const bit of PROBE_FEATURES) expectTrue(`bit ${bit} is offered`, offered.has(bit));
    },
  ),
  deviceCase(
    "features-version-1",
    "VIRTIO_F_VERSION_1 is offered, and FEATURES_OK without it does not stick.",
    ["reserved-features-device-1", "reserved-features-device-2", "features-device-3"],
    async (context) => {
      const bench = await context.device();
      await bench.begin();
      const offered = await bench.driver.readFeatures();
      expectTrue("VIRTIO_F_VERSION_1 is offered", offered.has(VIRTIO_F_VERSION_1));
      await bench.driver.writeFeatures(FeatureSet.of(...PROBE_FEATURES));
      expectEqual("FEATURES_OK", (await bench.tryFeaturesOk()) & STATUS.FEATURES_OK, 0);
    },
  ),
  deviceCase(
    "features-reserved-not-offered",
    "Neither reserved bits nor those that the transport reserves are offered.",
    ["features-device-4", "reserved-features-device-8"],
    async (context) => {
      const bench = await context.device();
      const offered = await bench.driver.readFeatures();
      for (const bit of [...NEVER_OFFERED, ...context.transport.reservedFeatures]) {
        expectEqual(`bit ${bit} is offered`, offered.has(bit), false);
      }
    },
  ),
  deviceCase(
    "features-reserved-not-accepted",
    "FEATURES_OK does not stick when a reserved bit is written.",
    ["features-device-3", "features-device-4"],
    async (context) => {
      const bench = await context.device();
      for (const bit of [FEATURE.VIRTIO_F_SUSPEND, ...context.transport.reservedFeatures]) {
        await bench.begin();
        await bench.driver.writeFeatures(PLAIN.with(bit));
        expectEqual(
          `FEATURES_OK with bit ${bit}`,
          (await bench.tryFeaturesOk()) & STATUS.FEATURES_OK,
          0,
        );
      }
    },
  ),
  deviceCase(
    "features-not-offered-not-accepted",
    "FEATURES_OK does not stick when a bit is written that is not offered, in any word.",
    ["features-device-3"],
    async (context) => {
      const bench = await context.device({ adminQueues: 0 });
      for (const bit of [2, 23, 51, 63, 70, 95, 96, 126, VIRTIO_F_ADMIN_VQ]) {
        await bench.begin();
        await bench.driver.writeFeatures(PLAIN.with(bit));
        expectEqual(
          `FEATURES_OK with bit ${bit}`,
          (await bench.tryFeaturesOk()) & STATUS.FEATURES_OK,
          0,
        );
      }
    },
  ),
  deviceCase(
    "features-any-subset",
    "Every valid subset that was tried is accepted, and is what is in force.",
    ["features-device-2", "mmio-layout-3", "pci-common-device-4", "ccw-features-1"],
    async (context) => {
      const bench = await context.device();
      const offered = await bench.driver.readFeatures();
      const subsets = [
        PLAIN,
        offered,
        PLAIN.with(PROBE_FEATURES[0] ?? 0),
        PLAIN.with(50, 64, 127),
        offered.without(VIRTIO_F_ADMIN_VQ),
        offered.without(VIRTIO_F_RING_RESET, 127),
      ];
      for (const subset of subsets) {
        await bench.begin();
        await bench.accept(subset);
        expectEqual("the features in force", bench.device.driverFeatures, subset);
      }
    },
  ),
  deviceCase(
    "features-rewritten",
    "Features may be written again before FEATURES_OK; the last ones count, word by word.",
    ["features-device-2"],
    async (context) => {
      const bench = await context.device();
      await bench.begin();
      await bench.driver.writeFeatures(PLAIN.with(0, 1, 50, 127));
      await bench.accept(PLAIN.with(64));
      expectEqual("the features in force", bench.device.driverFeatures, PLAIN.with(64));
    },
  ),
  deviceCase(
    "features-dependency",
    "FEATURES_OK does not stick when a feature is accepted without the one it requires.",
    ["features-device-3", "features-driver-2"],
    async (context) => {
      const bench = await context.device();
      await bench.begin();
      await bench.driver.writeFeatures(PLAIN.with(PROBE_DEPENDENCY.feature));
      expectEqual("FEATURES_OK", (await bench.tryFeaturesOk()) & STATUS.FEATURES_OK, 0);
      await bench.begin();
      await bench.accept(PLAIN.with(PROBE_DEPENDENCY.feature, PROBE_DEPENDENCY.requires));
    },
  ),
  deviceCase(
    "features-offer-consistent",
    "No feature is offered without the one it requires, also when the transport withholds some.",
    ["features-device-1"],
    async (context) => {
      const bench = await context.device({ adminQueues: 2 });
      const offered = await bench.driver.readFeatures();
      for (const bit of offered.bits()) {
        if (bit > VIRTIO_F_VERSION_1 && !isDeviceTypeFeature(bit)) {
          expectTrue(`VIRTIO_F_VERSION_1 beside bit ${bit}`, offered.has(VIRTIO_F_VERSION_1));
        }
      }
      if (offered.has(PROBE_DEPENDENCY.feature)) {
        expectTrue("the feature it requires", offered.has(PROBE_DEPENDENCY.requires));
      }
    },
  ),
  deviceCase(
    "features-refused-by-type",
    "Features that the device type refuses leave FEATURES_OK clear; after a reset all is well.",
    ["features-device-3", "features-device-5"],
    async (context) => {
      const bench = await context.device();
      await bench.begin();
      await bench.driver.writeFeatures(PLAIN.with(PROBE_REFUSES_ALONE));
      expectEqual("FEATURES_OK", (await bench.tryFeaturesOk()) & STATUS.FEATURES_OK, 0);
      expectEqual(
        "the status otherwise",
        await bench.driver.readStatus(),
        STATUS.ACKNOWLEDGE | STATUS.DRIVER,
      );
      await bench.echo(await bench.runWith(0));
    },
  ),
  deviceCase(
    "features-frozen",
    "Features that are written after FEATURES_OK have no effect.",
    ["init-driver-4"],
    async (context) => {
      const bench = await context.device();
      await bench.begin();
      const features = PLAIN.with(0, 50);
      await bench.accept(features);
      await attemptFeatures(bench.driver.writeFeatures(PLAIN.with(1, 127)));
      expectEqual("the features in force", bench.device.driverFeatures, features);
      expectEqual("the status", await bench.driver.readStatus(), FEATURES_OK_STATUS);
    },
  ),
  deviceCase(
    "features-repeatable",
    "A set of features that was negotiated once is accepted again after a reset.",
    ["features-device-5"],
    async (context) => {
      const bench = await context.device();
      const first = await bench.negotiate([]);
      for (let i = 0; i < 3; i++) {
        const offered = await bench.driver.readFeatures();
        if (!first.isSubsetOf(offered)) {
          throw new ComplianceFailure("the offered features", first.toString(), offered.toString());
        }
        await bench.begin();
        await bench.accept(first);
      }
    },
  ),
  deviceCase(
    "features-admin-offered",
    "VIRTIO_F_ADMIN_VQ is offered by devices with administration virtqueues, where it can be.",
    ["features-device-4", "mmio-admin-device-1", "admin-unnegotiated-device-5"],
    async (context) => {
      const owner = await context.device();
      const other = await context.device({ adminQueues: 0 });
      expectEqual(
        "an owner offers it",
        (await owner.driver.readFeatures()).has(VIRTIO_F_ADMIN_VQ),
        context.carriesAdminQueues,
      );
      expectEqual(
        "another device offers it",
        (await other.driver.readFeatures()).has(VIRTIO_F_ADMIN_VQ),
        false,
      );
    },
  ),
];

async function attemptFeatures(work: Promise<void>): Promise<void> {
  await work.catch(() => undefined);
}
