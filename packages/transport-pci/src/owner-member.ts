/**
 * A physical function as a member of its own group, which it is in the dialect proposal-v5 (a
 * reconstruction) and not in virtio 1.4. It is read, and never provisioned: its vectors are none of
 * the pool's, and a command that reached it came from its driver.
 */
import {
  FeatureSet,
  type ManagedMember,
  type MemberDefaults,
  PROPOSAL_V5_OWNER_ID,
  type ProvisionRefusal,
  type TransportFacingDevice,
} from "@virtio-admin/core";

/** What of the function is read. */
export interface OwnVectors {
  /** True while MSI-X Enable is set. */
  readonly msixEnabled: boolean;
  /** How many MSI-X vectors it has now; `undefined` without MSI-X. */
  readonly msixVectors: number | undefined;
}

/** The owner of virtual functions, as commands see it. */
export class OwnerMember implements ManagedMember {
  readonly id: number = PROPOSAL_V5_OWNER_ID;
  readonly settableFeatures: FeatureSet = FeatureSet.EMPTY;
  readonly #device: TransportFacingDevice;
  readonly #vectors: OwnVectors;
  readonly #defaultVectors: number | undefined;

  /** `vectors` tells of the function's own MSI-X. */
  constructor(device: TransportFacingDevice, vectors: OwnVectors) {
    this.#device = device;
    this.#vectors = vectors;
    this.#defaultVectors = vectors.msixVectors;
  }

  get deviceStatus(): number {
    return this.#device.status;
  }

  get msixEnabled(): boolean {
    return this.#vectors.msixEnabled;
  }

  get msixVectors(): number | undefined {
    return this.#vectors.msixVectors;
  }

  get defaults(): MemberDefaults {
    return {
      features: this.offeredFeatures,
      msixVectors: this.#defaultVectors,
    };
  }

  get offeredFeatures(): FeatureSet {
    return this.#device.offeredFeatures;
  }

  provisionFeatures(): ProvisionRefusal {
    return "invalid";
  }
}
