/** How a device of QEMU's is attached to a machine, and how our driver half reaches it there. */
import type { DriverTransport } from "@virtio-admin/core";
import type { InterruptChoice } from "@virtio-admin/transport-pci";
import type { QemuMonitor } from "../qemu/monitor.ts";
import type { Processor, Program } from "../qemu/program.ts";

/** The devices that are tried, as QEMU calls them. */
export type DeviceType = "virtio-rng" | "virtio-blk";

/** Which interrupts a driver half uses. */
export interface InterruptPlan {
  /** MSI-X, INTx, or what there is; adapter or classic indicators of a channel device. */
  readonly choice: InterruptChoice | "adapter" | "classic";
  /** The most MSI-X vectors; as many as the device has, unless given. */
  readonly vectorLimit?: number;
}

/** A driver half, and what it is reached by. */
export interface Attached {
  /** Our driver half. */
  readonly driver: DriverTransport;
  /** Whether the interrupt line is high. */
  readonly bus: { readonly asserted: boolean };
  /** How many MSI-X messages came, by vector; none on other transports. */
  readonly messages: readonly number[];
  /** How many interrupts of each kind came to a channel device. */
  readonly interrupts?: Readonly<Record<"subchannel" | "adapter", number>>;
}

/** A machine that was started. */
export interface Machine {
  /** Its monitor. */
  readonly monitor: QemuMonitor;
  /** Finds the device, and makes a driver half for it. */
  attach(plan: InterruptPlan): Promise<Attached>;
  /** Ends QEMU. */
  close(): Promise<void>;
}

/** A machine with a place for one device. */
export interface Attachment {
  /** Its name in those of cells: `mmio-microvm`. */
  readonly name: string;
  /** The transport. */
  readonly transport: "pci" | "mmio" | "ccw";
  /** The machine's processor. */
  readonly processor: Processor;
  /** True when one of its queues can be reset there. */
  readonly resetsQueues: boolean;
  /** True where QEMU loses what it has read of its source, as its machine is stopped now and then. */
  readonly losesBytes: boolean;
  /** Features of rings that its transport has no means for. */
  readonly lacks: readonly number[];
  /** Which interrupts there are to be tried. */
  readonly interrupts: readonly InterruptPlan[];
  /** The argument for a device. */
  device(type: DeviceType, properties: Readonly<Record<string, unknown>>): string;
  /** Starts the machine, with further arguments of QEMU's own for its devices. */
  start(program: Program, devices: readonly string[]): Promise<Machine>;
}
