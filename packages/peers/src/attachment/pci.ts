/** A function of a PC. */
import { type InterruptChoice, PciDriver } from "@virtio-admin/transport-pci";
import { Q35 } from "../qtest/boards.ts";
import { startMachine } from "../qtest/machine.ts";
import { QtestPciBus } from "../qtest/pci.ts";
import type { Attachment } from "./types.ts";

const SLOT = 4;
/** Between RAM and what a PC has below 4 GiB. */
const BAR_BASE = 0xe0000000;

/** A function of a PC, its interrupts in every way. */
export const PCI: Attachment = {
  name: "pci",
  transport: "pci",
  processor: Q35.processor,
  resetsQueues: true,
  losesBytes: false,
  lacks: [],
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
  start: async (program, devices) => {
    const { client, dma, monitor, close } = await startMachine(program, Q35, devices);
    return {
      monitor,
      close,
      attach: async ({ choice, ...limit }) => {
        const interrupts = choice as InterruptChoice;
        const bus = await QtestPciBus.open({ client, slot: SLOT, barBase: BAR_BASE, dma });
        const driver = new PciDriver({ bus, dma, interrupts, ...limit });
        return { driver, bus, messages: bus.messages };
      },
    };
  },
};
