import type { CommandInterface } from "../admin/command-interface.ts";
import type { AdminQueuesOptions } from "../admin/device-queue.ts";
import type { DialectName } from "../admin/dialect-name.ts";
import type { Tolerances } from "../admin/tolerances.ts";
import type { CommandFamily } from "../admin/types.ts";
import type { DeviceModel } from "../device/types.ts";
import type { DeviceGroup } from "../group/types.ts";
import type { DmaAllocator, GuestMemory } from "../memory/types.ts";
import type { TraceSink } from "../trace/types.ts";
import type { TransportPlugin } from "../transport/types.ts";
import type { InjectionToken } from "./container.ts";

/** A transport. Registered any number of times, under different names, in one container. */
export const TRANSPORT: InjectionToken<TransportPlugin> = Symbol("virtio-admin.TRANSPORT");

/** A group that the owner controls. Registered once for each group type. */
export const GROUP_TYPE: InjectionToken<DeviceGroup> = Symbol("virtio-admin.GROUP_TYPE");

/** A command family, beyond the list commands. Registered any number of times. */
export const COMMAND_FAMILY: InjectionToken<CommandFamily> = Symbol("virtio-admin.COMMAND_FAMILY");

/**
 * What carries commands besides the administration virtqueues, which every owner has. Registered any
 * number of times.
 */
export const COMMAND_INTERFACE: InjectionToken<CommandInterface> = Symbol(
  "virtio-admin.COMMAND_INTERFACE",
);

/** The device type of the owner, or of a member. One object serves one device. */
export const DEVICE_MODEL: InjectionToken<DeviceModel> = Symbol("virtio-admin.DEVICE_MODEL");

/** Where events go. Optional, and registered once. */
export const TRACE_SINK: InjectionToken<TraceSink> = Symbol("virtio-admin.TRACE_SINK");

/** The memory that both halves share. */
export const GUEST_MEMORY: InjectionToken<GuestMemory> = Symbol("virtio-admin.GUEST_MEMORY");

/** Where the driver half takes its queues and buffers from, inside {@link GUEST_MEMORY}. */
export const DMA: InjectionToken<DmaAllocator> = Symbol("virtio-admin.DMA");

/** What can be chosen about an owner's administration virtqueues. */
export interface AdminSettings extends Omit<AdminQueuesOptions, "executor"> {
  /** The dialect of the commands; `virtio-1.4` when absent. */
  readonly dialect?: DialectName;
  /** Departures from the text that are put up with; none when absent. */
  readonly tolerances?: Tolerances;
}

/** The settings of the administration virtqueues. Optional. */
export const ADMIN_SETTINGS: InjectionToken<AdminSettings> = Symbol("virtio-admin.ADMIN_SETTINGS");

/** What a token is called in errors. */
export function nameOf(token: InjectionToken): string {
  if (typeof token === "symbol") return token.description ?? "symbol";
  return typeof token === "function" ? token.name : String(token);
}
