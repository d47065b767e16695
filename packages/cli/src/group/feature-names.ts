/** Features by the names that they have in the specification. */
import type { FeatureSet } from "@virtio-admin/core";
import { type DeviceTypeName, namedFeatures } from "./device-types.ts";

/** What names of features begin with, and what a reader can do without. */
const PREFIX = /^VIRTIO_([A-Z]+_)?F_/;

/** The names of the features in the set, in ascending order of their bits; `bit N` without one. */
export function featureNames(features: FeatureSet, device: DeviceTypeName): string[] {
  const named = [...namedFeatures(device)];
  return features
    .bits()
    .map((bit) => named.find(([, value]) => value === bit)?.[0] ?? `bit ${bit}`);
}

/** The same in few characters, for a table or a line. */
export function shortNames(features: FeatureSet, device: DeviceTypeName): string[] {
  return featureNames(features, device).map(shortName);
}

/** A name without what it begins with. */
export function shortName(name: string): string {
  return name.replace(PREFIX, "");
}
