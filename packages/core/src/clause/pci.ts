/** Clauses of the PCI transport. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = { scope: "pci", file: "transport-pci.tex" };
const PCI = "Virtio Transport Options / Virtio Over PCI Bus";
const LAYOUT = `${PCI} / PCI Device Layout`;
const OPERATION = `${PCI} / PCI-specific Initialization And Device Operation`;
const MSIX = `${OPERATION} / Device Initialization / MSI-X Vector Configuration`;

/** Sections of the PCI transport; see {@link CLAUSE_SECTIONS}. */
export const PCI_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "pci-device",
    role: "device",
    title: "Virtio Over PCI Bus",
    label: `devicenormative:${PCI}`,
    rules: {
      "1 must":
        "The device meets the requirements of the PCI specification it follows, in its configuration space, BARs and capabilities.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-discovery-device",
    role: "device",
    title: "PCI Device Discovery",
    label: `devicenormative:${PCI} / PCI Device Discovery`,
    rules: {
      "1 must": "The PCI Vendor ID is 0x1AF4.",
      "2 must": "The PCI Device ID is 0x1040 plus the device type, or the type's transitional id.",
      "3 may": "The PCI Subsystem Vendor ID and Device ID may reflect the environment's.",
      "4 should": "A non-transitional device has a PCI Device ID from 0x1040 to 0x107f.",
      "5 should": "The PCI Revision ID of a non-transitional device is at least 1.",
      "6 should": "The PCI Subsystem Device ID of a non-transitional device is at least 0x40.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-discovery-driver",
    role: "driver",
    title: "PCI Device Discovery",
    label: `drivernormative:${PCI} / PCI Device Discovery`,
    rules: {
      "1 must":
        "The driver matches Vendor ID 0x1AF4 and a Device ID of 0x1040 plus the device type.",
      "2 must": "A driver of a type that has a transitional PCI Device ID matches that id as well.",
      "3 must": "The driver matches any PCI Revision ID.",
      "4 may": "The driver may match regardless of the PCI subsystem ids.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-layout-driver",
    role: "driver",
    title: "PCI Device Layout",
    label: `drivernormative:${LAYOUT}`,
    rules: {
      "1 must":
        "The driver accesses fields of 8, 16 and 32 bits by their own width, aligned, and 64-bit fields by aligned 32-bit accesses.",
      "2 may": "The driver may access the halves of a 64-bit field independently.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-layout-device",
    role: "device",
    title: "PCI Device Layout",
    label: `devicenormative:${LAYOUT}`,
    rules: {
      "1 must": "The low and high halves of a 64-bit field can be accessed independently.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-capability-driver",
    role: "driver",
    title: "Virtio Structure PCI Capabilities",
    label: `drivernormative:${PCI} / Virtio Structure PCI Capabilities`,
    rules: {
      "1 must": "The driver disregards a virtio capability with a reserved cfg_type.",
      "2 should": "The driver uses the first structure of each type that it can support.",
      "3 must": "The driver accepts a cap_len larger than it knows.",
      "4 must": "The driver disregards a virtio capability with a reserved bar.",
      "5 should": "The driver maps no more of a structure than it needs.",
      "6 must": "The driver copes with a length that is larger than expected.",
      "7 may": "The driver may refuse a length too small for its needs.",
      "8 must-not":
        "The driver does not write to a field of a virtio capability, except in the PCI configuration access capability.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-capability-device",
    role: "device",
    title: "Virtio Structure PCI Capabilities",
    label: `devicenormative:${PCI} / Virtio Structure PCI Capabilities`,
    rules: {
      "1 must": "cap_len covers the capability from cap_vndr to the end of its extra fields.",
      "2 may": "More data or padding of the device's own may follow a structure.",
      "3 should": "Several structures of one type are in order of preference, the best one first.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-common-device",
    role: "device",
    title: "Common configuration structure layout",
    label: `devicenormative:${LAYOUT} / Common configuration structure layout`,
    rules: {
      "1 must": "The common configuration starts at a multiple of 4 bytes.",
      "2 must": "There is at least one common configuration capability.",
      "3 must":
        "device_feature shows the offered bits from 32 * device_feature_select on, for any selector.",
      "4 must":
        "driver_feature shows the valid bits the driver wrote from 32 * driver_feature_select on, for any selector.",
      "5 may": "driver_feature may show invalid bits that the driver wrote.",
      "6 must":
        "config_generation changes after the driver has read a value that changed since it last read any part of the configuration.",
      "7 must": "Writing 0 to device_status resets the device.",
      "8 must": "device_status reads 0 once a reset is complete.",
      "9 must": "queue_enable of every queue reads 0 after a device reset.",
      "10 must": "With VIRTIO_F_RING_RESET, queue_reset reads 0 after a device reset.",
      "11 must":
        "With VIRTIO_F_RING_RESET, queue_reset reads 0 once queue_enable has enabled the queue.",
      "12 must": "Writing 1 to queue_reset resets the selected queue.",
      "13 must": "queue_reset reads 1 as long as the reset of the queue is under way.",
      "14 must": "queue_reset and queue_enable read 0 once the reset of the queue is complete.",
      "15 must": "queue_size reads 0 while queue_select selects a queue that is not available.",
      "16 must": "Without VIRTIO_F_RING_PACKED, queue_size reads 0 or a power of two.",
      "17 must":
        "With VIRTIO_F_ADMIN_VQ negotiated, admin_queue_index is no smaller than num_queues.",
      "18 must":
        "With VIRTIO_F_ADMIN_VQ negotiated, admin_queue_num is at most 0x10000 - admin_queue_index.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-common-driver",
    role: "driver",
    title: "Common configuration structure layout",
    label: `drivernormative:${LAYOUT} / Common configuration structure layout`,
    rules: {
      "1 must-not":
        "The driver does not write device_feature, num_queues, config_generation, queue_notify_off or queue_notif_config_data.",
      "2 must-not": "With VIRTIO_F_RING_PACKED, the driver does not write 0 to queue_size.",
      "3 must-not":
        "Without VIRTIO_F_RING_PACKED, the driver does not write a queue_size that is not a power of two.",
      "4 must": "The driver configures a queue's other fields before it enables the queue.",
      "5 must":
        "After writing 0 to device_status the driver waits until it reads 0 before it initializes the device.",
      "6 must-not": "The driver does not write 0 to queue_enable.",
      "7 must-not":
        "The driver does not take the reset of a queue as complete before queue_reset reads 0 again.",
      "8 may":
        "The driver may enable a queue again through queue_enable after its reset, with other values if it likes.",
      "9 must":
        "The driver configures administration virtqueues only at admin_queue_index to admin_queue_index + admin_queue_num - 1.",
      "10 may": "The driver may leave some of the administration virtqueues unconfigured.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-common-format",
    role: "device",
    title: "Common configuration structure layout",
    label: `sec:${LAYOUT} / Common configuration structure layout`,
    rules: {
      "1 must":
        "admin_queue_index is a 16-bit field at offset 60, admin_queue_num one at offset 62, both read-only to the driver.",
      "2 must": "num_queues does not count administration virtqueues.",
      "3 must":
        "The queues from admin_queue_index on, admin_queue_num of them, are administration virtqueues; 0 means none.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-notify-device",
    role: "device",
    title: "Notification capability",
    label: `devicenormative:${LAYOUT} / Notification capability`,
    rules: {
      "1 must": "There is at least one notification capability.",
      "2 must":
        "Without VIRTIO_F_NOTIFICATION_DATA offered, the notification structure starts at a multiple of 2 bytes.",
      "3 must":
        "Without VIRTIO_F_NOTIFICATION_DATA offered, notify_off_multiplier is an even power of two or 0.",
      "4 must": "Without VIRTIO_F_NOTIFICATION_DATA offered, cap.length is at least 2.",
      "5 must":
        "Without VIRTIO_F_NOTIFICATION_DATA offered, cap.length suffices for every supported queue in every configuration, administration virtqueues included.",
      "6 must":
        "Without VIRTIO_F_NOTIFICATION_DATA offered, cap.length leaves 2 bytes at every queue's notification offset.",
      "7 must":
        "With VIRTIO_F_NOTIFICATION_DATA offered, notify_off_multiplier is a power of two and a multiple of 4, or 0.",
      "8 must":
        "With VIRTIO_F_NOTIFICATION_DATA offered, the notification structure starts at a multiple of 4 bytes.",
      "9 must": "With VIRTIO_F_NOTIFICATION_DATA offered, cap.length is at least 4.",
      "10 must":
        "With VIRTIO_F_NOTIFICATION_DATA offered, cap.length suffices for every supported queue in every configuration, administration virtqueues included.",
      "11 must":
        "With VIRTIO_F_NOTIFICATION_DATA offered, cap.length leaves 4 bytes at every queue's notification offset.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-isr-device",
    role: "device",
    title: "ISR status capability",
    label: `devicenormative:${LAYOUT} / ISR status capability`,
    rules: {
      "1 must": "There is at least one ISR capability.",
      "2 must":
        "The device sets the configuration bit of ISR status before it sends a configuration change notification.",
      "3 must":
        "With MSI-X disabled, the device sets the queue bit of ISR status before it sends a virtqueue notification.",
      "4 must":
        "With MSI-X disabled, Interrupt Status in the PCI Status register is set exactly while ISR status is not 0.",
      "5 must": "A read of ISR status by the driver resets it to 0.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-isr-driver",
    role: "driver",
    title: "ISR status capability",
    label: `drivernormative:${LAYOUT} / ISR status capability`,
    rules: {
      "1 should-not":
        "With MSI-X enabled, the driver does not access ISR status upon a queue interrupt.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-device-config",
    role: "device",
    title: "Device-specific configuration",
    label: `sec:${LAYOUT} / Device-specific configuration`,
    rules: {
      "1 must":
        "A device type with a device-specific configuration has at least one capability for it.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-device-config-device",
    role: "device",
    title: "Device-specific configuration",
    label: `devicenormative:${LAYOUT} / Device-specific configuration`,
    rules: {
      "1 must": "The device-specific configuration starts at a multiple of 4 bytes.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-cfg-access-device",
    role: "device",
    title: "PCI configuration access capability",
    label: `devicenormative:${LAYOUT} / PCI configuration access capability`,
    rules: {
      "1 must": "There is at least one PCI configuration access capability.",
      "2 must":
        "A write to pci_cfg_data writes its first cap.length bytes at cap.offset of the BAR that cap.bar selects.",
      "3 must":
        "A read of pci_cfg_data returns cap.length bytes read at cap.offset of the BAR that cap.bar selects.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-cfg-access-driver",
    role: "driver",
    title: "PCI configuration access capability",
    label: `drivernormative:${LAYOUT} / PCI configuration access capability`,
    rules: {
      "1 must-not": "The driver does not write a cap.offset that is not a multiple of cap.length.",
      "2 must": "Every access through pci_cfg_data is aligned to its own length.",
      "3 must-not":
        "The driver does not access pci_cfg_data while the window lies outside the structures that other virtio capabilities describe.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-msix-device",
    role: "device",
    title: "MSI-X Vector Configuration",
    label: `devicenormative:${MSIX}`,
    rules: {
      "1 should": "A device with an MSI-X capability has 2 to 0x800 vectors.",
      "2 must": "Table Size in the MSI-X capability reports the number of vectors.",
      "3 should": "Table Size is no larger than is useful.",
      "4 must": "Any event can be mapped to any vector that Table Size covers.",
      "5 must": "Any event can be unmapped.",
      "6 must": "The vector fields read the vector that is mapped, or NO_VECTOR.",
      "7 must": "A reset unmaps all queue and configuration events.",
      "8 should-not": "A mapping that the device can carry out does not fail.",
      "9 must": "A vector field reads NO_VECTOR after a mapping that failed.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-msix-driver",
    role: "driver",
    title: "MSI-X Vector Configuration",
    label: `drivernormative:${MSIX}`,
    rules: {
      "1 must": "The driver copes with any MSI-X Table Size from 0 to 0x7FF.",
      "2 may": "The driver may use INTx on a device with a single vector.",
      "3 may": "The driver may take Table Size as a hint of how many vectors to use.",
      "4 must-not": "The driver does not map an event to a vector beyond Table Size.",
      "5 must": "The driver reads a vector field back to see whether the mapping succeeded.",
      "6 may":
        "After a failed mapping the driver may try fewer vectors, disable MSI-X or give up the device.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-available-driver",
    role: "driver",
    title: "Available Buffer Notifications",
    label: `drivernormative:${OPERATION} / Available Buffer Notifications`,
    rules: {
      "1 must": "Without VIRTIO_F_NOTIFICATION_DATA, a driver notification is a 16-bit write.",
      "2 must": "With VIRTIO_F_NOTIFICATION_DATA, a driver notification is a 32-bit write.",
      "3 must":
        "With neither VIRTIO_F_NOTIFICATION_DATA nor VIRTIO_F_NOTIF_CONFIG_DATA, the value is the virtqueue index.",
      "4 must":
        "With VIRTIO_F_NOTIFICATION_DATA alone, vq_index in the value is the virtqueue index.",
      "5 must":
        "With VIRTIO_F_NOTIF_CONFIG_DATA alone, the value is the queue's queue_notif_config_data.",
      "6 must":
        "With VIRTIO_F_NOTIFICATION_DATA and VIRTIO_F_NOTIF_CONFIG_DATA, the value holds queue_notif_config_data in place of the index.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-used-device",
    role: "device",
    title: "Used Buffer Notifications",
    label: `devicenormative:${OPERATION} / Used Buffer Notifications`,
    rules: {
      "1 must-not":
        "With MSI-X enabled, the device does not interrupt for a virtqueue whose vector is NO_VECTOR.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-config-change-device",
    role: "device",
    title: "Notification of Device Configuration Changes",
    label: `devicenormative:${OPERATION} / Notification of Device Configuration Changes`,
    rules: {
      "1 must-not":
        "With MSI-X enabled, the device does not interrupt for a configuration change while config_msix_vector is NO_VECTOR.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "pci-config-change-driver",
    role: "driver",
    title: "Notification of Device Configuration Changes",
    label: `drivernormative:${OPERATION} / Notification of Device Configuration Changes`,
    rules: {
      "1 must":
        "The driver copes with one interrupt for both a configuration change and used virtqueues.",
    },
  }),
] as const;
