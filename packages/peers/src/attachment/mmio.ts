/** A window of registers of a machine that has such. */
import { MmioDriver } from "@virtio-admin/transport-mmio";
import type { MmioBoard } from "../qtest/boards.ts";
import { startMachine } from "../qtest/machine.ts";
import { QtestMmioBus } from "../qtest/mmio.ts";
import type { Attachment } from "./types.ts";

/** The window of a board that has a device. */
export function mmio(name: string, board: MmioBoard): Attachment {
  return {
    name: `mmio-${name}`,
    transport: "mmio",
    processor: board.processor,
    // QEMU offers VIRTIO_F_RING_RESET and has no QueueReset: 11.1 takes the write for a mistake of the guest.
    resetsQueues: false,
    losesBytes: false,
    lacks: [],
    interrupts: [{ choice: "auto" }],
    device: (type, properties) => JSON.stringify({ driver: `${type}-device`, ...properties }),
    start: async (program, devices) => {
      const { client, dma, monitor, close } = await startMachine(program, board, devices);
      return {
        monitor,
        close,
        attach: async () => {
          const bus = await QtestMmioBus.find(client, board);
          return { driver: new MmioDriver({ bus, dma }), bus, messages: [] };
        },
      };
    },
  };
}
