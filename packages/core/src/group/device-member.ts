import { FEATURE, type FeatureSet } from "../device/features.ts";
import { isSnapshotDevice, type SnapshotDevice } from "../device/saved-state.ts";
import type { ProvisionableDevice, ProvisionRefusal, ProvisionWatcher } from "../device/types.ts";
import type { ManagedMember, MemberDefaults } from "./managed.ts";

/** How a {@link DeviceMember} may be provisioned. */
export interface DeviceMemberOptions {
  /** The features that the owner may switch; all that the device can offer when absent. */
  readonly settable?: FeatureSet;
}

/**
 * A device as a member that its owner may provision: its features, and no MSI-X. It serves on any
 * transport; what the owner sets is what the device's own driver is offered.
 */
export class DeviceMember implements ManagedMember {
  /** Its identifier in the group. */
  readonly id: number;
  readonly #device: ProvisionableDevice;
  readonly #settable: FeatureSet | undefined;

  /** Makes `device` (a `VirtioDevice` is one) a member under this id, 0..2^53-1. */
  constructor(id: number, device: ProvisionableDevice, options: DeviceMemberOptions = {}) {
    this.id = id;
    this.#device = device;
    this.#settable = options.settable;
  }

  /** See {@link ManagedMember.device}. */
  get device(): SnapshotDevice | undefined {
    return isSnapshotDevice(this.#device) ? this.#device : undefined;
  }

  /** See {@link ManagedMember.deviceStatus}. */
  get deviceStatus(): number {
    return this.#device.status;
  }

  /** See {@link ManagedMember.defaults}: all that the device can offer on its transport. */
  get defaults(): MemberDefaults {
    return { features: this.#device.defaultFeatures };
  }

  /** See {@link ManagedMember.offeredFeatures}. */
  get offeredFeatures(): FeatureSet {
    return this.#device.provisionedFeatures;
  }

  /** See {@link ManagedMember.settableFeatures}. */
  get settableFeatures(): FeatureSet {
    const all = this.#device.defaultFeatures.without(FEATURE.VIRTIO_F_VERSION_1);
    return this.#settable?.intersect(all) ?? all;
  }

  /** See {@link ManagedMember.provisionFeatures}. */
  provisionFeatures(features: FeatureSet): ProvisionRefusal | undefined {
    const offered = this.offeredFeatures;
    const changed = features.minus(offered).union(offered.minus(features));
    if (!changed.isSubsetOf(this.settableFeatures)) return "invalid";
    return this.#device.provisionFeatures(features);
  }

  /** See {@link ManagedMember.watch}: true where the device can tell, and tells nobody else. */
  watch(watcher: ProvisionWatcher | undefined): boolean {
    return this.#device.watch?.(watcher, this.id) === true;
  }
}
