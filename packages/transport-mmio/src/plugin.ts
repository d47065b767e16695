/** Virtio over MMIO as a plug-in. */
import { DIALECTS, type RegisterLayout, type TransportPlugin } from "@virtio-admin/core";
import { loopbackBus } from "./bus.ts";
import { exposesAdminQueues, MmioDevice, reservedFeaturesOf } from "./device.ts";
import { MmioDriver } from "./driver.ts";
import { MMIO_RATIFIED_LAYOUT, MMIO_REFERENCE_LAYOUT } from "./layout.ts";

/** Makes the plug-in for a register layout; the reference layout by default. */
export function mmioTransport(layout: RegisterLayout = MMIO_REFERENCE_LAYOUT): TransportPlugin {
  const offset = (name: string) =>
    `${name} 0x${(layout.registers[name]?.offset ?? 0).toString(16).padStart(3, "0")}`;
  const exposed = exposesAdminQueues(layout);
  const location = exposed
    ? `registers ${offset("AdminQueueIndex")}, ${offset("AdminQueueNum")}`
    : "none";
  const form = exposed ? "two le32 registers, value in bits 0-15" : "none";
  return {
    description: {
      name: "mmio",
      title: "Virtio Over MMIO",
      layouts: layout === MMIO_RATIFIED_LAYOUT ? [layout] : [layout, MMIO_RATIFIED_LAYOUT],
      adminQueueLocation: location,
      adminQueueForm: form,
      adminQueueGate: exposed ? "VIRTIO_F_ADMIN_VQ negotiated" : "none",
      adminQueueStatus: "reference layout",
      dialects: exposed
        ? [
            {
              name: "proposal-v5",
              label: DIALECTS["proposal-v5"].label,
              location,
              form: `${form}; AdminQueueNum reads ${DIALECTS["proposal-v5"].mostQueues}`,
              detection: "the driver is told",
            },
          ]
        : [],
      groupTypes: ["Self", "platform (private)"],
      interrupts: "one line, InterruptStatus and InterruptACK",
      queueReset: "QueueReset, or QueueReady = 0",
      reservedFeatures: reservedFeaturesOf(layout),
    },
    loopback: (device, options) => {
      const window = new MmioDevice({ device, layout });
      const bus = loopbackBus(window);
      // Both halves are here: what the device was made with is what its driver is told.
      const dialect = device.adminDialect ?? "virtio-1.4";
      const driver = new MmioDriver({ bus, dma: options.dma, layout, dialect });
      return { driver, close: () => bus.onInterrupt(undefined) };
    },
  };
}

/** Virtio over MMIO with the reference layout. */
export const MMIO_TRANSPORT: TransportPlugin = mmioTransport();
