/**
 * Feature negotiation: what one device offers, what its driver writes, and what is in force from
 * FEATURES_OK on (sections "Feature Bits" and "Device Initialization").
 */

import { FeatureOffer } from "./feature-offer.ts";
import {
  describeDependency,
  FEATURE_DEPENDENCIES,
  type FeatureDependency,
  RING_FEATURES,
  violatedDependency,
} from "./feature-rules.ts";
import { FEATURE, FeatureSet, featureName } from "./features.ts";
import type { VirtioDeviceInit } from "./init.ts";
import { messageOf } from "./message-of.ts";
import { refuseState } from "./saved-state.ts";
import { STATUS } from "./status.ts";
import type { DeviceModel } from "./types.ts";

/** The features of one device and its driver. */
export class FeatureNegotiation {
  /** What the driver may accept. */
  readonly offer: FeatureOffer;
  readonly #model: DeviceModel;
  #driverFeatures: FeatureSet = FeatureSet.EMPTY;
  #inForce: FeatureSet = FeatureSet.EMPTY;

  constructor({ model, features = RING_FEATURES, admin }: VirtioDeviceInit) {
    const dependencies =
      model.featureDependencies === undefined
        ? FEATURE_DEPENDENCIES
        : [...FEATURE_DEPENDENCIES, ...model.featureDependencies];
    const own = FeatureSet.of(
      ...model.features,
      ...features,
      FEATURE.VIRTIO_F_VERSION_1,
      ...(admin === undefined ? [] : [FEATURE.VIRTIO_F_ADMIN_VQ]),
    );
    this.#model = model;
    this.offer = new FeatureOffer(own, dependencies);
  }

  /** What the driver reads. */
  get offered(): FeatureSet {
    return this.offer.offered;
  }

  /** What the features require. */
  get dependencies(): readonly FeatureDependency[] {
    return this.offer.dependencies;
  }

  /** What the driver wrote. */
  get driverFeatures(): FeatureSet {
    return this.#driverFeatures;
  }

  /** The features in force: what the driver wrote, from FEATURES_OK on. */
  get inForce(): FeatureSet {
    return this.#inForce;
  }

  /** True for a feature in force. */
  negotiated(bit: number): boolean {
    return this.#inForce.has(bit);
  }

  /** The driver writes one word of its features. */
  writeWord(word: number, value: number): void {
    this.#driverFeatures = this.#driverFeatures.withWord(word, value);
  }

  /** Puts in force what the driver wrote, or says why it cannot be. */
  settle(): string | undefined {
    const why = this.#refusal(this.#driverFeatures, this.offered);
    if (why === undefined) this.#inForce = this.#driverFeatures;
    return why;
  }

  /** Goes on with these features, whatever stood there. */
  set(driverFeatures: FeatureSet, inForce: FeatureSet): void {
    this.#driverFeatures = driverFeatures;
    this.#inForce = inForce;
  }

  /** The device was reset: no driver has written anything. */
  reset(): void {
    this.#inForce = FeatureSet.EMPTY;
    this.#driverFeatures = FeatureSet.EMPTY;
  }

  /**
   * The features in force with this status, of what a driver wrote.
   *
   * @param offered what the driver was offered
   * @throws VirtioError `SNAPSHOT` when they cannot be accepted
   */
  acceptable(
    features: FeatureSet,
    status: number,
    path: string,
    offered: FeatureSet = this.offered,
  ): FeatureSet {
    if ((status & STATUS.FEATURES_OK) === 0) return FeatureSet.EMPTY;
    const why = this.#refusal(features, offered);
    if (why !== undefined) throw refuseState(path, why, { value: String(features) });
    return features;
  }

  /** Why the device type refuses these features, or `undefined`. */
  typeRefusal(features: FeatureSet): string | undefined {
    try {
      return this.#model.refuseFeatures?.(features);
    } catch (error) {
      return messageOf(error);
    }
  }

  /** Why these features cannot be accepted, or `undefined`. */
  #refusal(features: FeatureSet, offered: FeatureSet): string | undefined {
    const [extra] = features.minus(offered).bits();
    if (extra !== undefined) return `${featureName(extra)} is not offered`;
    if (!features.has(FEATURE.VIRTIO_F_VERSION_1)) return "VIRTIO_F_VERSION_1 is not accepted";
    const violated = violatedDependency(features, this.dependencies);
    if (violated !== undefined) return describeDependency(violated);
    return this.typeRefusal(features);
  }
}
