/** How a device of QEMU's is attached to a machine, and how our driver half reaches it there. */
import type { DriverTransport } from "@virtio-admin/core";
import { MmioDriver } from "@virtio-admin/transport-mmio";
import { type InterruptChoice, PciDriver } from "@virtio-admin/transport-pci";
import { AARCH64_VIRT, type Board, MICROVM, type MmioBoard, Q35, RISCV64_VIRT } from "./boards.ts";
import type { QtestMachine } from "./machine.ts";
import { QtestMmioBus } from "./mmio.ts";
import { QtestPciBus } from "./pci.ts";

/** The devices that are tried, as QEMU calls them. */
export type DeviceType = "virtio-rng" | "virtio-blk";

/** Which interrupts a driver half uses. */
export interface InterruptPlan {
  /** MSI-X, INTx, or what there is. */
  readonly choice: InterruptChoice;
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
}

/** A machine with a place for one device. */
export interface Attachment {
  /** Its name in those of cells: `mmio-microvm`. */
  readonly name: string;
  /** The transport. */
  readonly transport: "pci" | "mmio";
  /** The machine. */
  readonly board: Board;
  /**
   * True when one of its queues can be reset there. On MMIO, QEMU offers VIRTIO_F_RING_RESET and has
   * no QueueReset: 11.1 takes the write for a mistake of the guest.
   */
  readonly resetsQueues: boolean;
  /** Which interrupts there are to be tried. */
  readonly interrupts: readonly InterruptPlan[];
  /** The argument for a device. */
  device(type: DeviceType, properties: Readonly<Record<string, unknown>>): string;
  /** Finds the device, and makes a driver half for it. */
  attach(machine: QtestMachine, plan: InterruptPlan): Promise<Attached>;
}

const SLOT = 4;
/** Between RAM and what a PC has below 4 GiB. */
const BAR_BASE = 0xe0000000;

/** A function of a PC. */
const PCI: Attachment = {
  name: "pci",
  transport: "pci",
  board: Q35,
  resetsQueues: true,
  // A vector for each queue, one for all queues, one for everything, and none.
  interrupts: [
    { choice: "msix" },
    { choice: "msix", vectorLimit: 2 },
    { choice: "msix", vectorLimit: 1 },
    { choice: "intx" },
  ],
  device: (type, properties) =>
    JSON.stringify({
      driver: `${type}-pci`,
      addr: `${SLOT}.0`,
      "disable-legacy": "on",
      ...properties,
    }),
  attach: async ({ client, dma }, { choice: interrupts, ...limit }) => {
    const bus = await QtestPciBus.open({ client, slot: SLOT, barBase: BAR_BASE, dma });
    const driver = new PciDriver({ bus, dma, interrupts, ...limit });
    return { driver, bus, messages: bus.messages };
  },
};

/** All of them. */
export const ATTACHMENTS: readonly Attachment[] = [
  PCI,
  mmio("microvm", MICROVM),
  mmio("aarch64", AARCH64_VIRT),
  mmio("riscv64", RISCV64_VIRT),
];

function mmio(name: string, board: MmioBoard): Attachment {
  return {
    name: `mmio-${name}`,
    transport: "mmio",
    board,
    resetsQueues: false,
    interrupts: [{ choice: "auto" }],
    device: (type, properties) => JSON.stringify({ driver: `${type}-device`, ...properties }),
    attach: async ({ client, dma }) => {
      const bus = await QtestMmioBus.find(client, board);
      return { driver: new MmioDriver({ bus, dma }), bus, messages: [] };
    },
  };
}
