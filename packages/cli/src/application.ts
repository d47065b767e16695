/**
 * The application as containers: one that knows every transport, and a child of it for each owner
 * device, which holds what is that owner's own.
 */
import {
  type CommandFamily,
  type CommandLayout,
  createGuestMemory,
  type DeviceGroup,
  type DeviceModel,
  DmaArena,
  type RegisterLayout,
  type TraceSink,
} from "@virtio-admin/core";
import {
  ADMIN_SETTINGS,
  COMMAND_FAMILY,
  container,
  DEVICE_MODEL,
  type DependencyContainer,
  DMA,
  GROUP_TYPE,
  GUEST_MEMORY,
  registerCore,
  TRACE_SINK,
} from "@virtio-admin/core/di";
import { createEntropy } from "@virtio-admin/devices";
import { registerCcw } from "@virtio-admin/transport-ccw/di";
import { registerMmio } from "@virtio-admin/transport-mmio/di";
import { registerPci } from "@virtio-admin/transport-pci/di";

/** Where the guest memory of an owner begins: below 2 GiB, as channel programs need it. */
const GUEST_BASE = 0x10_0000;
const GUEST_BYTES = 4 << 20;

/** What an owner of the demonstration is made of, beyond the defaults. */
export interface OwnerParts {
  /** Its device type; entropy unless given. */
  readonly model?: DeviceModel;
  /** How many administration virtqueues it has. */
  readonly adminQueues: number;
  /** Its groups besides Self. */
  readonly groups: readonly DeviceGroup[];
  /** Its command families besides the list commands. */
  readonly families: readonly CommandFamily[];
  /** Where its events go. */
  readonly trace: TraceSink | undefined;
}

/** Layouts that the transports have in place of their own. */
export interface ApplicationLayouts {
  /** The registers of MMIO. */
  readonly mmio?: RegisterLayout;
  /** The channel commands of CCW. */
  readonly ccw?: CommandLayout;
}

/** A container with the three transports. */
export function createApplication({ mmio, ccw }: ApplicationLayouts = {}): DependencyContainer {
  const application = container.createChildContainer();
  registerPci(application);
  registerMmio(application, mmio === undefined ? {} : { layout: mmio });
  registerCcw(application, ccw === undefined ? {} : { layout: ccw });
  return application;
}

/** A container for one owner: a device in memory of its own, with what `parts` says. */
export function createOwnerContainer(
  application: DependencyContainer,
  parts: OwnerParts,
): DependencyContainer {
  const owner = application.createChildContainer();
  const memory = createGuestMemory([{ base: GUEST_BASE, bytes: new Uint8Array(GUEST_BYTES) }]);
  registerCore(owner);
  owner.registerInstance(DEVICE_MODEL, parts.model ?? createEntropy());
  owner.registerInstance(GUEST_MEMORY, memory);
  owner.registerInstance(DMA, new DmaArena(memory, GUEST_BASE, GUEST_BYTES));
  owner.registerInstance(ADMIN_SETTINGS, { count: parts.adminQueues });
  for (const group of parts.groups) owner.registerInstance(GROUP_TYPE, group);
  for (const family of parts.families) owner.registerInstance(COMMAND_FAMILY, family);
  if (parts.trace !== undefined) owner.registerInstance(TRACE_SINK, parts.trace);
  return owner;
}
