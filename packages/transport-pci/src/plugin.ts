/** Virtio over PCI as a plug-in. */
import { DIALECTS, FEATURE, type TransportPlugin } from "@virtio-admin/core";
import { loopbackBus } from "./bus.ts";
import { PciDevice } from "./device.ts";
import { PciDriver } from "./driver.ts";
import {
  PROPOSAL_V5_PCI_CAP_MISC,
  PROPOSAL_V5_PCI_MISC_CFG_LAYOUT,
  VIRTIO_PCI_COMMON_CFG_LAYOUT,
} from "./layout.ts";
import { PCI_LAYOUTS } from "./layouts.ts";
import type { PciPlacement } from "./placement.ts";
import type { InterruptChoice } from "./vectors.ts";
import type { VirtualFunctions } from "./virtual-function.ts";

/** What may be chosen for both halves of a loopback. */
export interface PciTransportOptions extends PciPlacement {
  /** Which interrupts the driver half uses: MSI-X where it can, by default. */
  readonly interrupts?: InterruptChoice;
  /** Makes the device a physical function that owns these; for one device alone. */
  readonly sriov?: VirtualFunctions;
}

/** Where the driver half of a loopback begins to place BARs; any address below 4 GiB will do. */
const BARS_AT = 0xe0000000;

/** Makes the plug-in for a placement of the structures; the default placement by default. */
export function pciTransport(options: PciTransportOptions = {}): TransportPlugin {
  const { name, fields } = VIRTIO_PCI_COMMON_CFG_LAYOUT;
  const { admin_queue_index: index, admin_queue_num: number } = fields;
  const { label } = DIALECTS["proposal-v5"];
  const misc = PROPOSAL_V5_PCI_MISC_CFG_LAYOUT;
  return {
    description: {
      name: "pci",
      title: "Virtio Over PCI Bus",
      layouts: PCI_LAYOUTS,
      adminQueueLocation: `${name}, offsets ${index.offset} and ${number.offset}`,
      adminQueueForm: `${index.type}, ${number.type}`,
      adminQueueGate: "VIRTIO_F_ADMIN_VQ negotiated",
      adminQueueStatus: "ratified",
      dialects: [
        {
          name: "proposal-v5",
          label,
          location: `${misc.name} (cfg_type ${PROPOSAL_V5_PCI_CAP_MISC}), offset ${misc.fields.admin_queue_index.offset}`,
          form: misc.fields.admin_queue_index.type,
          detection: `cfg_type ${PROPOSAL_V5_PCI_CAP_MISC}`,
        },
      ],
      groupTypes: ["Self", "SR-IOV", "platform (private)"],
      interrupts: "MSI-X, a vector per queue; or INTx and ISR status",
      queueReset: `queue_reset, with VIRTIO_F_RING_RESET (bit ${FEATURE.VIRTIO_F_RING_RESET})`,
      reservedFeatures: [],
    },
    loopback: (device, { dma }) => {
      const { interrupts, ...placement } = options;
      const bus = loopbackBus(new PciDevice({ ...placement, device }));
      const choice = interrupts === undefined ? {} : { interrupts };
      const driver = new PciDriver({ bus, dma, assignBarsAt: BARS_AT, ...choice });
      return { driver, close: () => bus.onInterrupt(undefined) };
    },
  };
}

/** Virtio over PCI with the default placement. */
export const PCI_TRANSPORT: TransportPlugin = pciTransport();
