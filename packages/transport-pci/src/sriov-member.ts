/**
 * A virtual function as its owner provisions it. Members are alike until somebody provisions them:
 * one that was not looked at yet is known without its device.
 */
import {
  type FeatureSet,
  isSnapshotDevice,
  type ManagedMember,
  type MemberDefaults,
  type ProvisionableDevice,
  type ProvisionRefusal,
  type SnapshotDevice,
} from "@virtio-admin/core";
import type { PciDevice } from "./device.ts";

/** A virtual function that has been looked at. */
export interface MadeFunction {
  /** The function. */
  readonly pci: PciDevice;
  /** Its device. */
  readonly device: ProvisionableDevice;
}

/** What the members of one group ask of it. */
export interface MemberParts {
  /** What every member goes back to. */
  readonly defaults: MemberDefaults;
  /** The features that can be switched on every member. */
  readonly settableFeatures: FeatureSet;
  /** Another number each time VF Enable is set or cleared. */
  readonly epoch: number;
  /** How many MSI-X vectors a member has; 0 where they have none. */
  vectorsOf(id: number): number;
  /** The function, when anything has looked at it. */
  made(id: number): MadeFunction | undefined;
  /** The function, made if it has to be. */
  make(id: number): MadeFunction;
  provisionVectors(id: number, vectors: number): ProvisionRefusal | undefined;
  provisionFeatures(id: number, features: FeatureSet): ProvisionRefusal | undefined;
}

/**
 * A member of an SR-IOV group. Once VF Enable was cleared it refuses all, even when there is a
 * function of its number again.
 */
export class VirtualFunctionMember implements ManagedMember {
  id: number;
  readonly #parts: MemberParts;
  #epoch: number;

  constructor(id: number, parts: MemberParts) {
    this.id = id;
    this.#parts = parts;
    this.#epoch = parts.epoch;
  }

  /** Has it stand for another member, that there is now. */
  standFor(id: number): this {
    this.id = id;
    this.#epoch = this.#parts.epoch;
    return this;
  }

  /** Made when it is asked for: whoever does is about to save or restore it. */
  get device(): SnapshotDevice | undefined {
    if (!this.#isThere) return undefined;
    const { device } = this.#parts.make(this.id);
    return isSnapshotDevice(device) ? device : undefined;
  }

  get deviceStatus(): number {
    return this.#made?.device.status ?? 0;
  }

  get msixEnabled(): boolean {
    return this.#made?.pci.msixEnabled === true;
  }

  get msixVectors(): number | undefined {
    const { defaults } = this.#parts;
    return this.#isThere && defaults.msixVectors !== undefined
      ? this.#parts.vectorsOf(this.id)
      : defaults.msixVectors;
  }

  get defaults(): MemberDefaults {
    return this.#parts.defaults;
  }

  get offeredFeatures(): FeatureSet {
    return this.#made?.device.provisionedFeatures ?? this.#parts.defaults.features;
  }

  get settableFeatures(): FeatureSet {
    return this.#parts.settableFeatures;
  }

  provisionVectors(vectors: number): ProvisionRefusal | undefined {
    return this.#isThere ? this.#parts.provisionVectors(this.id, vectors) : "invalid";
  }

  provisionFeatures(features: FeatureSet): ProvisionRefusal | undefined {
    if (!this.#isThere) return "invalid";
    return this.msixEnabled ? "in use" : this.#parts.provisionFeatures(this.id, features);
  }

  get #isThere(): boolean {
    return this.#epoch === this.#parts.epoch;
  }

  get #made(): MadeFunction | undefined {
    return this.#isThere ? this.#parts.made(this.id) : undefined;
  }
}
