/**
 * Feature sets that are equal as one object: the devices of one type all offer the same, and large
 * groups are made of them.
 */
import { FEATURE_WORDS, type FeatureSet } from "./features.ts";

/** How many sets are kept, a power of two: what drivers and owners come up with is not bounded. */
const KEPT = 256;
const MULTIPLIER = 0x9e3779b1;

const kept: (FeatureSet | undefined)[] = new Array(KEPT).fill(undefined);

/** A set with the same features; the same object as last time, unless another took its place. */
export function shared(features: FeatureSet): FeatureSet {
  let hash = 0;
  for (let i = 0; i < FEATURE_WORDS; i++) hash = Math.imul(hash ^ features.word(i), MULTIPLIER);
  const place = (hash ^ (hash >>> 16)) & (KEPT - 1);
  const found = kept[place];
  if (found?.equals(features) === true) return found;
  kept[place] = features;
  return features;
}
