/**
 * A group of the SR-IOV type whose members are functions of their own: QEMU shows no SR-IOV
 * capability of a vfio-user device, and Linux speaks to no other type of group. The members are
 * there from the beginning.
 */
import {
  isPartsDevice,
  type LegacyGroup,
  type LegacyMember,
  type PartsDevice,
  type PartsGroup,
  SR_IOV_GROUP,
  type VirtioDevice,
} from "@virtio-admin/core";
import { PciDevice, type VirtualFunctionOwner } from "@virtio-admin/transport-pci";

/** The BAR in which an owner says that it takes legacy notifications, the first member at 0. */
export const LEGACY_BAR = 2;
/** How far apart the places of two members are. */
export const LEGACY_STRIDE = 4;

interface Member {
  readonly device: VirtioDevice;
  readonly pci: PciDevice;
}

/** A group whose members are there as long as it is. */
export class StandingGroup implements PartsGroup, LegacyGroup {
  /** Always SR-IOV. */
  readonly type = SR_IOV_GROUP;
  /** Always true. */
  readonly exists = true;
  /** Always true: the members are transitional. */
  readonly hasLegacyAccess = true;
  /** Always true. */
  readonly hasLegacyNotify = true;
  readonly #members: ReadonlyMap<number, Member>;

  /** Makes `count` members, numbered from 1. */
  constructor(count: number, makeDevice: (id: number) => VirtioDevice) {
    const members = new Map<number, Member>();
    const owner: VirtualFunctionOwner = {
      memberCount: count,
      memorySpace: true,
      hasLegacyAccess: true,
      legacyPlace: (id) => ({ bar: LEGACY_BAR, offset: (id - 1) * LEGACY_STRIDE }),
      barAddress: () => 0,
    };
    for (let id = 1; id <= count; id++) {
      const device = makeDevice(id);
      members.set(id, { device, pci: new PciDevice({ device }, { owner, id }) });
    }
    this.#members = members;
  }

  /** How many members there are. */
  get memberCount(): number {
    return this.#members.size;
  }

  /** True for 1 to {@link memberCount}. */
  hasMember(id: number): boolean {
    return this.#members.has(id);
  }

  /** The device of a member. */
  device(id: number): VirtioDevice | undefined {
    return this.#members.get(id)?.device;
  }

  /** See `PartsGroup.partsDevice`. */
  partsDevice(id: number): PartsDevice | undefined {
    const device = this.#members.get(id)?.device;
    return device !== undefined && isPartsDevice(device) ? device : undefined;
  }

  /** See `LegacyGroup.legacyMember`. */
  legacyMember(id: number): LegacyMember | undefined {
    return this.#members.get(id)?.pci.legacy;
  }
}
