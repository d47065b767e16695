/** The transports of the page, by name. */
import type { TransportPlugin } from "@virtio-admin/core";
import { CCW_TRANSPORT } from "@virtio-admin/transport-ccw";
import { MMIO_TRANSPORT } from "@virtio-admin/transport-mmio";
import { PCI_TRANSPORT } from "@virtio-admin/transport-pci";

/** The name of a transport. */
export type TransportName = "pci" | "mmio" | "ccw";

/** Every transport, in the order of the specification. */
export const TRANSPORT_NAMES: readonly TransportName[] = ["pci", "mmio", "ccw"];

/** The transports as plug-ins. */
export const TRANSPORTS: Readonly<Record<TransportName, TransportPlugin>> = {
  pci: PCI_TRANSPORT,
  mmio: MMIO_TRANSPORT,
  ccw: CCW_TRANSPORT,
};

/** Whether a text names a transport. */
export function isTransportName(text: unknown): text is TransportName {
  return TRANSPORT_NAMES.some((name) => name === text);
}
