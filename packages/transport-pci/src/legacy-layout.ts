/**
 * What a driver from before virtio 1.0 finds in the I/O BAR of a transitional PCI device, and what the
 * owner of a virtual function reaches with the legacy access commands (section "Legacy Interfaces: A
 * Note on PCI Device Layout"). The text gives the width and the order of the fields; their offsets
 * follow.
 */
import { struct } from "@virtio-admin/core";
import { NO_VECTOR } from "./layout.ts";

const CITE =
  "Virtio Over PCI Bus / PCI Device Layout / Legacy Interfaces: A Note on PCI Device Layout";

/** The queue alignment of the legacy interface over PCI, and the unit of the Queue Address. */
export const LEGACY_QUEUE_ALIGNMENT = 4096;

const HEADER_FIELDS = {
  device_features: {
    offset: 0,
    type: "le32",
    access: "R",
    linux: "VIRTIO_PCI_HOST_FEATURES",
    doc: "The offered feature bits 0 to 31; there are no others here.",
  },
  driver_features: {
    offset: 4,
    type: "le32",
    access: "RW",
    linux: "VIRTIO_PCI_GUEST_FEATURES",
    doc: "The accepted feature bits 0 to 31; reads those that the device has taken.",
  },
  queue_address: {
    offset: 8,
    type: "le32",
    access: "RW",
    linux: "VIRTIO_PCI_QUEUE_PFN",
    doc: "The address of the selected queue, divided by 4096; 0 stops the queue.",
  },
  queue_size: {
    offset: 12,
    type: "le16",
    access: "R",
    linux: "VIRTIO_PCI_QUEUE_NUM",
    doc: "The size of the selected queue; 0 when there is no such queue.",
  },
  queue_select: {
    offset: 14,
    type: "le16",
    access: "RW",
    linux: "VIRTIO_PCI_QUEUE_SEL",
    doc: "Chooses the virtqueue that the queue fields are about.",
  },
  queue_notify: {
    offset: 16,
    type: "le16",
    access: "RW",
    linux: "VIRTIO_PCI_QUEUE_NOTIFY",
    doc: "Writing a queue's index notifies the device of the queue; reads 0.",
  },
  device_status: {
    offset: 18,
    type: "u8",
    access: "RW",
    linux: "VIRTIO_PCI_STATUS",
    doc: "The device status; writing 0 resets the device.",
  },
  isr_status: {
    offset: 19,
    type: "u8",
    access: "R",
    linux: "VIRTIO_PCI_ISR",
    doc: "The cause of an interrupt; reading it resets it to 0.",
  },
} as const;

/** The legacy common configuration while MSI-X is disabled; the device-specific one follows it. */
export const VIRTIO_PCI_LEGACY_LAYOUT = struct(
  "virtio_pci_legacy",
  { cite: CITE, doc: "The legacy registers of the device and of one selected virtqueue." },
  HEADER_FIELDS,
);

/** The legacy common configuration while MSI-X is enabled; the device-specific one follows it. */
export const VIRTIO_PCI_LEGACY_MSIX_LAYOUT = struct(
  "virtio_pci_legacy_msix",
  { cite: CITE, doc: "The legacy registers of a function whose MSI-X is enabled." },
  {
    ...HEADER_FIELDS,
    config_msix_vector: {
      offset: 20,
      type: "le16",
      access: "RW",
      reset: NO_VECTOR,
      linux: "VIRTIO_MSI_CONFIG_VECTOR",
      doc: "The MSI-X vector of configuration change notifications.",
    },
    queue_msix_vector: {
      offset: 22,
      type: "le16",
      access: "RW",
      reset: NO_VECTOR,
      linux: "VIRTIO_MSI_QUEUE_VECTOR",
      doc: "The MSI-X vector of the selected queue's used buffer notifications.",
    },
  },
);

/** The names of the legacy registers. */
export type LegacyField = keyof typeof VIRTIO_PCI_LEGACY_MSIX_LAYOUT.fields;
