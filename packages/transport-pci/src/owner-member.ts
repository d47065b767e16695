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
import type { PciDevice } from "./device.ts";

/** The owner of virtual functions, as commands see it. */
export class OwnerMember implements ManagedMember {
  readonly id: number = PROPOSAL_V5_OWNER_ID;
  readonly settableFeatures: FeatureSet = FeatureSet.EMPTY;
  readonly #device: TransportFacingDevice;
  readonly #pci: PciDevice;

  constructor(device: TransportFacingDevice, pci: PciDevice) {
    this.#device = device;
    this.#pci = pci;
  }

  get deviceStatus(): number {
    return this.#device.status;
  }

  get msixEnabled(): boolean {
    return this.#pci.msixEnabled;
  }

  get msixVectors(): number | undefined {
    return this.#pci.msixVectors;
  }

  get defaults(): MemberDefaults {
    return {
      features: this.offeredFeatures,
      msixVectors: this.#pci.placement.msix?.vectors,
    };
  }

  get offeredFeatures(): FeatureSet {
    return this.#device.offeredFeatures;
  }

  provisionFeatures(): ProvisionRefusal {
    return "invalid";
  }
}
