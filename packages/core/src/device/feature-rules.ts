/**
 * Which feature bits exist, who may offer them and which need another (sections "Feature Bits" and
 * "Reserved Feature Bits"). Both halves judge by these tables.
 */
import { FEATURE, FEATURE_BITS, FeatureSet, featureName } from "./features.ts";

/** One feature that must not be offered or accepted without another. */
export interface FeatureDependency {
  /** The feature. */
  readonly feature: number;
  /** The feature it requires. */
  readonly requires: number;
}

/**
 * What the device-independent features require. The bits from 32 on exist only where a device is
 * used through the modern interface.
 */
export const FEATURE_DEPENDENCIES: readonly FeatureDependency[] = Object.values(FEATURE)
  .filter((bit) => bit > FEATURE.VIRTIO_F_VERSION_1)
  .map((feature) => ({ feature, requires: FEATURE.VIRTIO_F_VERSION_1 }));

/**
 * The features of virtqueues that a device offers by default; VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER
 * and VIRTIO_F_NOTIFICATION_DATA are on request.
 */
export const RING_FEATURES: readonly number[] = [
  FEATURE.VIRTIO_F_INDIRECT_DESC,
  FEATURE.VIRTIO_F_EVENT_IDX,
  FEATURE.VIRTIO_F_RING_RESET,
];

/**
 * The device-independent features that either half of this project can live up to. A transport
 * brings some of them (SR-IOV), the platform others. VIRTIO_F_SUSPEND is not among them.
 */
export const SUPPORTED_FEATURES: FeatureSet = FeatureSet.of(
  ...RING_FEATURES,
  FEATURE.VIRTIO_F_VERSION_1,
  FEATURE.VIRTIO_F_ACCESS_PLATFORM,
  FEATURE.VIRTIO_F_RING_PACKED,
  FEATURE.VIRTIO_F_IN_ORDER,
  FEATURE.VIRTIO_F_ORDER_PLATFORM,
  FEATURE.VIRTIO_F_SR_IOV,
  FEATURE.VIRTIO_F_NOTIFICATION_DATA,
  FEATURE.VIRTIO_F_NOTIF_CONFIG_DATA,
  FEATURE.VIRTIO_F_ADMIN_VQ,
);

/** Feature bits of device types, as first and last. 41 counts as one in the text, but is VIRTIO_F_ADMIN_VQ. */
const DEVICE_TYPE_RANGES: readonly (readonly [number, number])[] = [
  [0, 23],
  [42, 42],
  [50, FEATURE_BITS - 1],
];

/** True when the specification leaves this bit to the device types. */
export function isDeviceTypeFeature(bit: number): boolean {
  return (
    Number.isInteger(bit) && DEVICE_TYPE_RANGES.some(([first, last]) => bit >= first && bit <= last)
  );
}

/** The first dependency that `features` violates, or `undefined`. */
export function violatedDependency(
  features: FeatureSet,
  dependencies: readonly FeatureDependency[] = FEATURE_DEPENDENCIES,
): FeatureDependency | undefined {
  return dependencies.find(
    ({ feature, requires }) => features.has(feature) && !features.has(requires),
  );
}

/** `features` without those whose requirements are not in it, however many steps away. */
export function withoutUnmet(
  features: FeatureSet,
  dependencies: readonly FeatureDependency[] = FEATURE_DEPENDENCIES,
): FeatureSet {
  let kept = features;
  for (;;) {
    const violated = violatedDependency(kept, dependencies);
    if (violated === undefined) return kept;
    kept = kept.without(violated.feature);
  }
}

/** A dependency in words: `VIRTIO_F_ADMIN_VQ requires VIRTIO_F_VERSION_1`. */
export function describeDependency({ feature, requires }: FeatureDependency): string {
  return `${featureName(feature)} requires ${featureName(requires)}`;
}
