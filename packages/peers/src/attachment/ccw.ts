/** A channel device of an s390x machine. */
import { FEATURE } from "@virtio-admin/core";
import { CcwDriver } from "@virtio-admin/transport-ccw";
import { GdbChannelBus } from "../gdb/channel.ts";
import { startMachine } from "../gdb/machine.ts";
import type { Attachment } from "./types.ts";

const DEVICE_NUMBER = 0x0042;

/** A channel device, with adapter indicators and with classic ones. */
export const CCW: Attachment = {
  name: "ccw",
  transport: "ccw",
  processor: "s390x",
  resetsQueues: false,
  losesBytes: true,
  // There is no command to reset one queue with.
  lacks: [FEATURE.VIRTIO_F_RING_RESET],
  interrupts: [{ choice: "adapter" }, { choice: "classic" }],
  device: (type, properties) => {
    const devno = `fe.0.${DEVICE_NUMBER.toString(16).padStart(4, "0")}`;
    return JSON.stringify({ driver: `${type}-ccw`, devno, ...properties });
  },
  start: async (program, devices) => {
    const { processor, memory, dma, monitor, close } = await startMachine(program, devices);
    return {
      monitor,
      close,
      attach: async ({ choice }) => {
        const bus = await GdbChannelBus.find(processor, memory, {
          deviceNumber: DEVICE_NUMBER,
          adapterInterrupts: choice === "adapter",
        });
        const { interrupts } = bus;
        // It has no interrupt line that could stay high.
        return {
          driver: new CcwDriver({ bus, dma }),
          bus: { asserted: false },
          messages: [],
          interrupts,
        };
      },
    };
  },
};
