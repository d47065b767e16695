/**
 * Every byte of virtio over PCI that has a name: the virtio structures and their capabilities
 * (section "Virtio Structure PCI Capabilities"), and what PCI itself asks for, the type 0 header
 * and MSI-X. Offsets, directions, gates and reset values stand here and nowhere else.
 */
import { DIALECTS, FEATURE, struct } from "@virtio-admin/core";
import { PCI_EXPRESS_CAPABILITY_LAYOUT } from "./express-layout.ts";

const CAPABILITIES = "Virtio Over PCI Bus / Virtio Structure PCI Capabilities";
const LAYOUT = "Virtio Over PCI Bus / PCI Device Layout";
const PCI_LOCAL_BUS = "PCI Local Bus Specification 3.0";

/** The PCI vendor id of every virtio device. */
export const VIRTIO_PCI_VENDOR = 0x1af4;
/** The PCI device id of virtio device type 0; the type is added to it. */
export const VIRTIO_PCI_DEVICE_BASE = 0x1040;
/** The highest PCI device id of a virtio device. */
export const VIRTIO_PCI_DEVICE_LAST = 0x107f;
/** What a vector register reads while its event is unmapped (VIRTIO_MSI_NO_VECTOR). */
export const NO_VECTOR = 0xffff;
/** The most vectors that an MSI-X table has. */
export const MSIX_VECTORS_MAX = 0x800;

/** The capability ids of PCI that this transport reads and writes. */
export const PCI_CAPABILITY = {
  /** A vendor-specific capability: each virtio structure has one. */
  vendor: 0x09,
  /** PCI Express. */
  express: Number(PCI_EXPRESS_CAPABILITY_LAYOUT.fields.cap_id.reset),
  /** MSI-X. */
  msix: 0x11,
} as const;

/** The values of `cfg_type`; all others are reserved. */
export const VIRTIO_PCI_CAP = {
  /** VIRTIO_PCI_CAP_COMMON_CFG. */
  common: 1,
  /** VIRTIO_PCI_CAP_NOTIFY_CFG. */
  notify: 2,
  /** VIRTIO_PCI_CAP_ISR_CFG. */
  isr: 3,
  /** VIRTIO_PCI_CAP_DEVICE_CFG. */
  device: 4,
  /** VIRTIO_PCI_CAP_PCI_CFG. */
  pciCfg: 5,
  /** VIRTIO_PCI_CAP_SHARED_MEMORY_CFG. */
  sharedMemory: 8,
  /** VIRTIO_PCI_CAP_VENDOR_CFG. */
  vendor: 9,
} as const;

/**
 * The `cfg_type` of the miscellaneous configuration structure in the dialect proposal-v5, a
 * reconstruction: the first that virtio 1.4 leaves unused, which a driver of virtio 1.4 ignores.
 */
export const PROPOSAL_V5_PCI_CAP_MISC = 10;

const CAP_FIELDS = {
  cap_vndr: {
    offset: 0,
    type: "u8",
    access: "R",
    reset: PCI_CAPABILITY.vendor,
    linux: "VIRTIO_PCI_CAP_VNDR",
    doc: "The PCI capability id of a vendor-specific capability.",
  },
  cap_next: {
    offset: 1,
    type: "u8",
    access: "R",
    linux: "VIRTIO_PCI_CAP_NEXT",
    doc: "The configuration space offset of the next capability; 0 ends the list.",
  },
  cap_len: {
    offset: 2,
    type: "u8",
    access: "R",
    linux: "VIRTIO_PCI_CAP_LEN",
    doc: "The length of this capability in bytes, extra fields included.",
  },
  cfg_type: {
    offset: 3,
    type: "u8",
    access: "R",
    linux: "VIRTIO_PCI_CAP_CFG_TYPE",
    doc: "Which structure the capability locates.",
  },
  bar: {
    offset: 4,
    type: "u8",
    access: "R",
    linux: "VIRTIO_PCI_CAP_BAR",
    doc: "The BAR that maps the structure, 0 to 5.",
  },
  id: {
    offset: 5,
    type: "u8",
    access: "R",
    doc: "Tells capabilities of one type apart, where the device type gives it a meaning.",
  },
  padding: { offset: 6, type: "u8", count: 2, access: "R", doc: "Fills up the dword." },
  offset: {
    offset: 8,
    type: "le32",
    access: "R",
    linux: "VIRTIO_PCI_CAP_OFFSET",
    doc: "Where in the BAR the structure begins.",
  },
  length: {
    offset: 12,
    type: "le32",
    access: "R",
    linux: "VIRTIO_PCI_CAP_LENGTH",
    doc: "The length of the structure in bytes.",
  },
} as const;

/** `virtio_pci_cap`: where a virtio structure is. */
export const VIRTIO_PCI_CAP_LAYOUT = struct(
  "virtio_pci_cap",
  { cite: CAPABILITIES, doc: "Locates a virtio structure in a BAR." },
  CAP_FIELDS,
);

/** `virtio_pci_cap64`: where a structure is whose offset or length needs more than 32 bits. */
export const VIRTIO_PCI_CAP64_LAYOUT = struct(
  "virtio_pci_cap64",
  { cite: CAPABILITIES, doc: "Locates a virtio structure with a 64-bit offset and length." },
  {
    ...CAP_FIELDS,
    offset_hi: { offset: 16, type: "le32", access: "R", doc: "Bits 32 to 63 of the offset." },
    length_hi: { offset: 20, type: "le32", access: "R", doc: "Bits 32 to 63 of the length." },
  },
);

/** `virtio_pci_notify_cap`: where queues are notified. */
export const VIRTIO_PCI_NOTIFY_CAP_LAYOUT = struct(
  "virtio_pci_notify_cap",
  { cite: `${LAYOUT} / Notification capability`, doc: "Locates the notification structure." },
  {
    ...CAP_FIELDS,
    notify_off_multiplier: {
      offset: 16,
      type: "le32",
      access: "R",
      linux: "VIRTIO_PCI_NOTIFY_CAP_MULT",
      doc: "Multiplies queue_notify_off to the offset of a queue's notification address.",
    },
  },
);

/** `virtio_pci_cfg_cap`: a window into the BARs through configuration space. */
export const VIRTIO_PCI_CFG_CAP_LAYOUT = struct(
  "virtio_pci_cfg_cap",
  {
    cite: `${LAYOUT} / PCI configuration access capability`,
    doc: "Reaches the virtio structures without a mapped BAR.",
  },
  {
    ...CAP_FIELDS,
    bar: { ...CAP_FIELDS.bar, access: "RW", doc: "The BAR that the window shows." },
    offset: { ...CAP_FIELDS.offset, access: "RW", doc: "The offset that the window shows." },
    length: { ...CAP_FIELDS.length, access: "RW", doc: "The width of an access: 1, 2 or 4." },
    pci_cfg_data: {
      offset: 16,
      type: "u8",
      count: 4,
      access: "RW",
      doc: "Reading it reads the BAR, writing it writes the BAR.",
    },
  },
);

/** `virtio_pci_common_cfg`: the common configuration structure. */
export const VIRTIO_PCI_COMMON_CFG_LAYOUT = struct(
  "virtio_pci_common_cfg",
  {
    cite: `${LAYOUT} / Common configuration structure layout`,
    doc: "The registers of the device, of one selected virtqueue, and of the admin virtqueues.",
    label:
      "Virtio Transport Options / Virtio Over PCI Bus / PCI Device Layout / Common configuration structure layout",
    linux: "virtio_pci_modern_common_cfg",
  },
  {
    device_feature_select: {
      offset: 0,
      type: "le32",
      access: "RW",
      linux: "VIRTIO_PCI_COMMON_DFSELECT",
      doc: "Chooses the word of feature bits that device_feature shows.",
    },
    device_feature: {
      offset: 4,
      type: "le32",
      access: "R",
      linux: "VIRTIO_PCI_COMMON_DF",
      doc: "32 offered feature bits.",
    },
    driver_feature_select: {
      offset: 8,
      type: "le32",
      access: "RW",
      linux: "VIRTIO_PCI_COMMON_GFSELECT",
      doc: "Chooses the word of feature bits that driver_feature shows.",
    },
    driver_feature: {
      offset: 12,
      type: "le32",
      access: "RW",
      linux: "VIRTIO_PCI_COMMON_GF",
      doc: "32 accepted feature bits.",
    },
    config_msix_vector: {
      offset: 16,
      type: "le16",
      access: "RW",
      reset: NO_VECTOR,
      linux: "VIRTIO_PCI_COMMON_MSIX",
      doc: "The MSI-X vector of configuration change notifications.",
    },
    num_queues: {
      offset: 18,
      type: "le16",
      access: "R",
      linux: "VIRTIO_PCI_COMMON_NUMQ",
      doc: "How many virtqueues there are, administration virtqueues not counted.",
    },
    device_status: {
      offset: 20,
      type: "u8",
      access: "RW",
      linux: "VIRTIO_PCI_COMMON_STATUS",
      doc: "The device status; writing 0 resets the device.",
    },
    config_generation: {
      offset: 21,
      type: "u8",
      access: "R",
      linux: "VIRTIO_PCI_COMMON_CFGGENERATION",
      doc: "Changes when the driver could have read an inconsistent configuration.",
    },
    queue_select: {
      offset: 22,
      type: "le16",
      access: "RW",
      linux: "VIRTIO_PCI_COMMON_Q_SELECT",
      doc: "Chooses the virtqueue that the queue fields are about.",
    },
    queue_size: {
      offset: 24,
      type: "le16",
      access: "RW",
      linux: "VIRTIO_PCI_COMMON_Q_SIZE",
      doc: "The size of the queue, its maximum after a reset; 0 when there is no such queue.",
    },
    queue_msix_vector: {
      offset: 26,
      type: "le16",
      access: "RW",
      reset: NO_VECTOR,
      linux: "VIRTIO_PCI_COMMON_Q_MSIX",
      doc: "The MSI-X vector of the queue's used buffer notifications.",
    },
    queue_enable: {
      offset: 28,
      type: "le16",
      access: "RW",
      linux: "VIRTIO_PCI_COMMON_Q_ENABLE",
      doc: "1 lets the device use the queue.",
    },
    queue_notify_off: {
      offset: 30,
      type: "le16",
      access: "R",
      linux: "VIRTIO_PCI_COMMON_Q_NOFF",
      doc: "Where the queue is notified, in units of notify_off_multiplier.",
    },
    queue_desc: {
      offset: 32,
      type: "le64",
      access: "RW",
      linux: "VIRTIO_PCI_COMMON_Q_DESCLO",
      doc: "The address of the descriptor area.",
    },
    queue_driver: {
      offset: 40,
      type: "le64",
      access: "RW",
      linux: "VIRTIO_PCI_COMMON_Q_AVAILLO",
      doc: "The address of the driver area.",
    },
    queue_device: {
      offset: 48,
      type: "le64",
      access: "RW",
      linux: "VIRTIO_PCI_COMMON_Q_USEDLO",
      doc: "The address of the device area.",
    },
    queue_notif_config_data: {
      offset: 56,
      type: "le16",
      access: "R",
      gate: { feature: FEATURE.VIRTIO_F_NOTIF_CONFIG_DATA },
      linux: "VIRTIO_PCI_COMMON_Q_NDATA",
      doc: "What an available buffer notification carries in place of the queue's index.",
    },
    queue_reset: {
      offset: 58,
      type: "le16",
      access: "RW",
      gate: { feature: FEATURE.VIRTIO_F_RING_RESET },
      linux: "VIRTIO_PCI_COMMON_Q_RESET",
      doc: "Writing 1 resets the queue; reads 1 while that goes on.",
    },
    admin_queue_index: {
      offset: 60,
      type: "le16",
      access: "R",
      gate: { feature: FEATURE.VIRTIO_F_ADMIN_VQ },
      linux: "VIRTIO_PCI_COMMON_ADM_Q_IDX",
      doc: "The index of the first administration virtqueue.",
    },
    admin_queue_num: {
      offset: 62,
      type: "le16",
      access: "R",
      gate: { feature: FEATURE.VIRTIO_F_ADMIN_VQ },
      linux: "VIRTIO_PCI_COMMON_ADM_Q_NUM",
      doc: "How many administration virtqueues there are; 0 means none.",
    },
  },
);

/** The names of the fields of the common configuration structure. */
export type CommonField = keyof typeof VIRTIO_PCI_COMMON_CFG_LAYOUT.fields;

/** The ISR status structure. */
export const VIRTIO_PCI_ISR_LAYOUT = struct(
  "virtio_pci_isr",
  { cite: `${LAYOUT} / ISR status capability`, doc: "The cause of an INTx interrupt." },
  {
    isr_status: {
      offset: 0,
      type: "u8",
      access: "R",
      doc: "Reading it resets it to 0 and deasserts the interrupt.",
      bits: {
        queue_interrupt: { at: 0, doc: "Used buffers are there in some virtqueue." },
        device_configuration_interrupt: {
          at: 1,
          linux: "VIRTIO_PCI_ISR_CONFIG",
          doc: "The configuration changed.",
        },
      },
    },
  },
);

/** The miscellaneous configuration structure of the dialect proposal-v5, a reconstruction. */
export const PROPOSAL_V5_PCI_MISC_CFG_LAYOUT = struct(
  "virtio_pci_misc_cfg",
  {
    cite: DIALECTS["proposal-v5"].command.cite,
    doc: "Where the administration virtqueue is in the dialect proposal-v5 (reconstruction).",
  },
  {
    admin_queue_index: {
      offset: 0,
      type: "le16",
      access: "R",
      gate: { feature: FEATURE.VIRTIO_F_ADMIN_VQ },
      doc: "The index of the administration virtqueue, of which there is one.",
    },
  },
);

/** The number of base address registers of a type 0 header. */
export const BAR_COUNT = 6;

/** The type 0 header of PCI configuration space. */
export const PCI_HEADER_LAYOUT = struct(
  "pci_type0_header",
  { cite: `${PCI_LOCAL_BUS}, 6.1`, doc: "The first 64 bytes of configuration space." },
  {
    vendor_id: { offset: 0, type: "le16", access: "R", doc: "0x1af4 for every virtio device." },
    device_id: { offset: 2, type: "le16", access: "R", doc: "0x1040 plus the device type." },
    command: {
      offset: 4,
      type: "le16",
      access: "RW",
      doc: "What the function may do on the bus.",
      bits: {
        io_space: { at: 0, doc: "Respond to accesses of I/O BARs." },
        memory_space: { at: 1, doc: "Respond to accesses of memory BARs." },
        bus_master: { at: 2, doc: "Access memory, and send MSI-X messages." },
        parity_error_response: { at: 6, doc: "React to parity errors." },
        serr_enable: { at: 8, doc: "Report errors on SERR#." },
        interrupt_disable: { at: 10, doc: "Do not assert INTx." },
      },
    },
    status: {
      offset: 6,
      type: "le16",
      access: "R",
      doc: "What the function has and has seen.",
      bits: {
        interrupt_status: { at: 3, doc: "An INTx interrupt is pending." },
        capabilities_list: { at: 4, doc: "There is a capability list." },
      },
    },
    revision_id: { offset: 8, type: "u8", access: "R", doc: "1 or more." },
    prog_if: { offset: 9, type: "u8", access: "R", doc: "The programming interface." },
    sub_class: { offset: 10, type: "u8", access: "R", doc: "The sub-class." },
    base_class: { offset: 11, type: "u8", access: "R", doc: "The base class." },
    cache_line_size: { offset: 12, type: "u8", access: "RW", doc: "Kept, without effect." },
    latency_timer: { offset: 13, type: "u8", access: "RW", doc: "Kept, without effect." },
    header_type: { offset: 14, type: "u8", access: "R", doc: "0; bit 7 for several functions." },
    bist: { offset: 15, type: "u8", access: "R", doc: "0: no self test." },
    bar: { offset: 16, type: "le32", count: BAR_COUNT, access: "RW", doc: "Base addresses." },
    cardbus_cis: { offset: 40, type: "le32", access: "R", doc: "0." },
    subsystem_vendor_id: { offset: 44, type: "le16", access: "R", doc: "Of the environment." },
    subsystem_id: { offset: 46, type: "le16", access: "R", doc: "Of the environment." },
    expansion_rom: { offset: 48, type: "le32", access: "R", doc: "0: there is no ROM." },
    capabilities_pointer: { offset: 52, type: "u8", access: "R", doc: "The first capability." },
    interrupt_line: { offset: 60, type: "u8", access: "RW", doc: "Kept, without effect." },
    interrupt_pin: { offset: 61, type: "u8", access: "R", doc: "1 to 4 for INTA to INTD, or 0." },
    min_gnt: { offset: 62, type: "u8", access: "R", doc: "0." },
    max_lat: { offset: 63, type: "u8", access: "R", doc: "0." },
  },
);

/** The bits of a memory or I/O base address register. */
export const PCI_BAR_LAYOUT = struct(
  "pci_bar",
  { cite: `${PCI_LOCAL_BUS}, 6.2.5`, doc: "One base address register." },
  {
    bar: {
      offset: 0,
      type: "le32",
      access: "RW",
      doc: "The address of the BAR, and what kind it is.",
      bits: {
        io: { at: 0, doc: "The BAR is in I/O space." },
        wide: { at: 2, doc: "A memory BAR of 64 bits, which takes the next register too." },
        prefetchable: { at: 3, doc: "A memory BAR whose reads have no side effects." },
        address: { at: 4, width: 28, doc: "The address of a memory BAR, upwards of bit 4." },
      },
    },
  },
);

/** The MSI-X capability. */
export const MSIX_CAPABILITY_LAYOUT = struct(
  "pci_msix_capability",
  { cite: `${PCI_LOCAL_BUS}, 6.8.2`, doc: "Where the MSI-X table is, and its switches." },
  {
    cap_id: {
      offset: 0,
      type: "u8",
      access: "R",
      reset: PCI_CAPABILITY.msix,
      doc: "The PCI capability id of MSI-X.",
    },
    cap_next: { offset: 1, type: "u8", access: "R", doc: "The next capability; 0 ends the list." },
    message_control: {
      offset: 2,
      type: "le16",
      access: "RW",
      doc: "The size of the table, and the switches of the function.",
      bits: {
        table_size: { at: 0, width: 11, doc: "The number of vectors minus 1." },
        function_mask: { at: 14, doc: "Masks every vector." },
        msix_enable: { at: 15, doc: "Interrupts are messages, and INTx is silent." },
      },
    },
    table: {
      offset: 4,
      type: "le32",
      access: "R",
      doc: "Where the table is.",
      bits: {
        bir: { at: 0, width: 3, doc: "The BAR." },
        offset: { at: 3, width: 29, doc: "The offset in the BAR, in units of 8 bytes." },
      },
    },
    pba: {
      offset: 8,
      type: "le32",
      access: "R",
      doc: "Where the pending bits are.",
      bits: {
        bir: { at: 0, width: 3, doc: "The BAR." },
        offset: { at: 3, width: 29, doc: "The offset in the BAR, in units of 8 bytes." },
      },
    },
  },
);

/** One entry of the MSI-X table. */
export const MSIX_ENTRY_LAYOUT = struct(
  "pci_msix_table_entry",
  { cite: `${PCI_LOCAL_BUS}, 6.8.2.6`, doc: "The message of one vector." },
  {
    message_address: { offset: 0, type: "le64", access: "RW", doc: "Where the message goes." },
    message_data: { offset: 8, type: "le32", access: "RW", doc: "What it says." },
    vector_control: {
      offset: 12,
      type: "le32",
      access: "RW",
      reset: 1,
      doc: "The switches of the vector.",
      bits: { mask: { at: 0, doc: "The vector is masked." } },
    },
  },
);
