/** Features by the names that they have in the specification. */
import { FEATURE, type FeatureSet } from "@virtio-admin/core";
import { BLOCK_FEATURE } from "@virtio-admin/devices";
import type { DeviceTypeName } from "./description.ts";

/** What names of features begin with, and what a reader can do without. */
const PREFIX = /^VIRTIO_([A-Z]+_)?F_/;

/** The features that have a name, by that name, with those of a device type. */
export function namedFeatures(device: DeviceTypeName): ReadonlyMap<string, number> {
  const typed: Readonly<Record<string, number>> = device === "block" ? BLOCK_FEATURE : {};
  return new Map(Object.entries({ ...FEATURE, ...typed }));
}

/** The names of the features in the set, in ascending order of their bits; `bit N` without one. */
export function featureNames(features: FeatureSet, device: DeviceTypeName): string[] {
  const named = [...namedFeatures(device)];
  return features
    .bits()
    .map((bit) => named.find(([, value]) => value === bit)?.[0] ?? `bit ${bit}`);
}

/** The same in few characters, for a table or a line. */
export function shortNames(features: FeatureSet, device: DeviceTypeName): string[] {
  return featureNames(features, device).map((name) => name.replace(PREFIX, ""));
}
