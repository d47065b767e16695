/**
 * What one device offers its driver: the features it has, less what its transport cannot carry,
 * less what an owner withdrew, less what is withheld for the moment.
 */
import { type FeatureDependency, violatedDependency, withoutUnmet } from "./feature-rules.ts";
import { FEATURE, FeatureSet } from "./features.ts";
import { shared } from "./shared-features.ts";
import type { DevicePort } from "./types.ts";

/** The features of one device, from what it has to what its driver reads. */
export class FeatureOffer {
  /** What the features require. */
  readonly dependencies: readonly FeatureDependency[];
  readonly #own: FeatureSet;
  #full: FeatureSet;
  /** Kept rather than what is left: a transport that connects later brings its own features. */
  #withdrawn: FeatureSet = FeatureSet.EMPTY;
  #withheld: FeatureSet = FeatureSet.EMPTY;
  #provisioned: FeatureSet;
  #offered: FeatureSet;

  constructor(own: FeatureSet, dependencies: readonly FeatureDependency[]) {
    this.#own = shared(own);
    this.dependencies = dependencies;
    this.#full = shared(withoutUnmet(own, dependencies));
    this.#provisioned = this.#full;
    this.#offered = this.#full;
  }

  /** Everything that the device can offer on its transport. */
  get full(): FeatureSet {
    return this.#full;
  }

  /** What is left of {@link full} by who provisioned the device; what is withheld counts. */
  get provisioned(): FeatureSet {
    return this.#provisioned;
  }

  /** What the driver reads. */
  get offered(): FeatureSet {
    return this.#offered;
  }

  /** Takes the features of the transport into account. */
  connect({ ownFeatures = [], reservedFeatures }: DevicePort): void {
    const carried = this.#own.union(FeatureSet.of(...ownFeatures)).without(...reservedFeatures);
    this.#full = shared(withoutUnmet(carried, this.dependencies));
    this.#update();
  }

  /** Withholds these bits, and no others, until the next call. */
  withhold(bits: readonly number[]): void {
    this.#withheld = shared(FeatureSet.of(...bits));
    this.#update();
  }

  /** Offers exactly these features from now on; false, and nothing changes, when it cannot be. */
  provision(features: FeatureSet): boolean {
    const sound =
      features.has(FEATURE.VIRTIO_F_VERSION_1) &&
      features.isSubsetOf(this.#full) &&
      violatedDependency(features, this.dependencies) === undefined;
    if (!sound) return false;
    this.#withdrawn = shared(this.#full.minus(features));
    this.#update();
    return true;
  }

  #update(): void {
    this.#provisioned = this.#without(this.#full, this.#withdrawn);
    this.#offered = this.#without(this.#provisioned, this.#withheld);
  }

  /** Less these features, and less those that required one of them. */
  #without(features: FeatureSet, less: FeatureSet): FeatureSet {
    return less.isEmpty ? features : shared(withoutUnmet(features.minus(less), this.dependencies));
  }
}
