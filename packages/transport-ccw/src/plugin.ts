/** Virtio over channel I/O as a plug-in. */
import { type CommandLayout, DIALECTS, type TransportPlugin } from "@virtio-admin/core";
import { exposesAdminQueues, reservedFeaturesOf } from "./binding.ts";
import { type CcwLoopbackOptions, loopbackBus } from "./bus.ts";
import { CcwDevice } from "./device.ts";
import { CcwDriver } from "./driver.ts";
import { CCW_BASIC_LAYOUT, CCW_RATIFIED_LAYOUT, CCW_REFERENCE_LAYOUT } from "./layout.ts";

/** Makes the plug-in for a command layout; the reference layout by default. */
export function ccwTransport(
  layout: CommandLayout = CCW_REFERENCE_LAYOUT,
  options: CcwLoopbackOptions = {},
): TransportPlugin {
  const command = layout.commands[CCW_REFERENCE_LAYOUT.commands.READ_ADMIN_VQ.name];
  const exposed = exposesAdminQueues(layout) && command !== undefined;
  const revision = command?.gate?.revision;
  const location = exposed
    ? `command READ_ADMIN_VQ 0x${command.code.toString(16).padStart(2, "0")}`
    : "none";
  const form = exposed ? "be16, be16" : "none";
  return {
    description: {
      name: "ccw",
      title: "Virtio Over Channel I/O",
      layouts: [
        ...(layout === CCW_RATIFIED_LAYOUT ? [layout] : [layout, CCW_RATIFIED_LAYOUT]),
        CCW_BASIC_LAYOUT,
      ],
      adminQueueLocation: location,
      adminQueueForm: form,
      adminQueueGate: exposed
        ? `${revision === undefined ? "" : `revision ${revision} selected, `}VIRTIO_F_ADMIN_VQ negotiated`
        : "none",
      adminQueueStatus: "reference layout",
      dialects: exposed
        ? [
            {
              name: "proposal-v5",
              label: DIALECTS["proposal-v5"].label,
              location,
              form: `${form}; the number reads ${DIALECTS["proposal-v5"].mostQueues}`,
              detection: "the driver is told",
            },
          ]
        : [],
      groupTypes: ["Self", "platform (private)"],
      interrupts: "adapter or classic I/O interrupts, with indicator bits in memory",
      queueReset: "not possible",
      reservedFeatures: reservedFeaturesOf(layout),
    },
    loopback: (device, { dma }) => {
      const subchannel = new CcwDevice({ device, layout });
      const bus = loopbackBus(subchannel, options);
      // Both halves are here: what the device was made with is what its driver is told.
      const dialect = device.adminDialect ?? "virtio-1.4";
      const driver = new CcwDriver({ bus, dma, layout, dialect });
      return { driver, close: () => bus.onInterrupt(undefined) };
    },
  };
}

/** Virtio over channel I/O with the reference layout. */
export const CCW_TRANSPORT: TransportPlugin = ccwTransport();
