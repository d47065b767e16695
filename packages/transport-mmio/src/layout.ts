/**
 * The MMIO register layouts: the ratified one (section "MMIO Device Register Layout") and the
 * reference layout, which adds where the administration virtqueues are. Every offset, direction
 * and reset value of this transport stands here and nowhere else.
 */
import { FEATURE, type RegisterSpecs, registers } from "@virtio-admin/core";

const CITE = "Virtio Over MMIO / MMIO Device Register Layout";

/** The value of MagicValue: `virt` in little-endian order. */
export const MMIO_MAGIC = 0x74726976;
/** The value of Version for a device that is not legacy. */
export const MMIO_VERSION = 2;

/** The bits of InterruptStatus and InterruptACK. */
export const MMIO_INTERRUPT = {
  /** A buffer was used in at least one virtqueue. */
  usedBuffer: 1,
  /** The configuration changed. */
  configurationChange: 2,
} as const;

const ABSENT_REGION = 0xffffffff;

const RATIFIED = {
  MagicValue: {
    offset: 0x000,
    type: "le32",
    access: "R",
    reset: MMIO_MAGIC,
    title: "Magic value",
    linux: "VIRTIO_MMIO_MAGIC_VALUE",
    doc: "The letters `virt`, by which a driver knows the window.",
  },
  Version: {
    offset: 0x004,
    type: "le32",
    access: "R",
    reset: MMIO_VERSION,
    title: "Version of the layout",
    linux: "VIRTIO_MMIO_VERSION",
    doc: "The version of this register layout: 2; legacy devices say 1.",
  },
  DeviceID: {
    offset: 0x008,
    type: "le32",
    access: "R",
    title: "Virtio device id",
    linux: "VIRTIO_MMIO_DEVICE_ID",
    doc: "The virtio device id; 0 is a placeholder without a device.",
  },
  VendorID: {
    offset: 0x00c,
    type: "le32",
    access: "R",
    title: "Virtio vendor id",
    linux: "VIRTIO_MMIO_VENDOR_ID",
    doc: "The virtio subsystem vendor id.",
  },
  DeviceFeatures: {
    offset: 0x010,
    type: "le32",
    access: "R",
    title: "Offered features",
    linux: "VIRTIO_MMIO_DEVICE_FEATURES",
    doc: "32 offered feature bits, chosen by DeviceFeaturesSel.",
  },
  DeviceFeaturesSel: {
    offset: 0x014,
    type: "le32",
    access: "W",
    title: "Word of offered features",
    linux: "VIRTIO_MMIO_DEVICE_FEATURES_SEL",
    doc: "Chooses the word of offered feature bits.",
  },
  DriverFeatures: {
    offset: 0x020,
    type: "le32",
    access: "W",
    title: "Accepted features",
    linux: "VIRTIO_MMIO_DRIVER_FEATURES",
    doc: "Sets 32 accepted feature bits, chosen by DriverFeaturesSel.",
  },
  DriverFeaturesSel: {
    offset: 0x024,
    type: "le32",
    access: "W",
    title: "Word of accepted features",
    linux: "VIRTIO_MMIO_DRIVER_FEATURES_SEL",
    doc: "Chooses the word of accepted feature bits.",
  },
  QueueSel: {
    offset: 0x030,
    type: "le32",
    access: "W",
    title: "Virtqueue index",
    linux: "VIRTIO_MMIO_QUEUE_SEL",
    doc: "Chooses the virtqueue that the other queue registers are about.",
  },
  QueueSizeMax: {
    offset: 0x034,
    type: "le32",
    access: "R",
    title: "Largest virtqueue size",
    linux: "VIRTIO_MMIO_QUEUE_NUM_MAX",
    doc: "The largest size of the chosen virtqueue; 0 when it is not available.",
  },
  QueueSize: {
    offset: 0x038,
    type: "le32",
    access: "W",
    title: "Virtqueue size",
    linux: "VIRTIO_MMIO_QUEUE_NUM",
    doc: "The size that the driver uses for the chosen virtqueue.",
  },
  QueueReady: {
    offset: 0x044,
    type: "le32",
    access: "RW",
    title: "Virtqueue ready",
    linux: "VIRTIO_MMIO_QUEUE_READY",
    doc: "1 lets the device use the chosen virtqueue, 0 stops it.",
  },
  QueueNotify: {
    offset: 0x050,
    type: "le32",
    access: "W",
    title: "Notification of a virtqueue",
    linux: "VIRTIO_MMIO_QUEUE_NOTIFY",
    doc: "The index of a virtqueue that has new available buffers, or VIRTQ_NOTIFICATION.",
  },
  InterruptStatus: {
    offset: 0x060,
    type: "le32",
    access: "R",
    title: "Interrupt status",
    linux: "VIRTIO_MMIO_INTERRUPT_STATUS",
    doc: "The events that assert the interrupt.",
    bits: {
      used_buffer: {
        at: 0,
        linux: "VIRTIO_MMIO_INT_VRING",
        doc: "A buffer was used in at least one virtqueue.",
      },
      configuration_change: {
        at: 1,
        linux: "VIRTIO_MMIO_INT_CONFIG",
        doc: "The configuration of the device changed.",
      },
    },
  },
  InterruptACK: {
    offset: 0x064,
    type: "le32",
    access: "W",
    title: "Interrupt acknowledgement",
    linux: "VIRTIO_MMIO_INTERRUPT_ACK",
    doc: "Clears the events of InterruptStatus that were handled.",
  },
  Status: {
    offset: 0x070,
    type: "le32",
    access: "RW",
    title: "Device status",
    linux: "VIRTIO_MMIO_STATUS",
    doc: "The device status; writing 0 resets the device.",
  },
  QueueDescLow: {
    offset: 0x080,
    type: "le32",
    access: "W",
    title: "Address of the descriptor area",
    linux: "VIRTIO_MMIO_QUEUE_DESC_LOW",
    doc: "Bits 0 to 31 of the address of the chosen virtqueue's descriptor area.",
  },
  QueueDescHigh: {
    offset: 0x084,
    type: "le32",
    access: "W",
    title: "Address of the descriptor area",
    linux: "VIRTIO_MMIO_QUEUE_DESC_HIGH",
    doc: "Bits 32 to 63 of the address of the chosen virtqueue's descriptor area.",
  },
  QueueDriverLow: {
    offset: 0x090,
    type: "le32",
    access: "W",
    title: "Address of the driver area",
    linux: "VIRTIO_MMIO_QUEUE_AVAIL_LOW",
    doc: "Bits 0 to 31 of the address of the chosen virtqueue's driver area.",
  },
  QueueDriverHigh: {
    offset: 0x094,
    type: "le32",
    access: "W",
    title: "Address of the driver area",
    linux: "VIRTIO_MMIO_QUEUE_AVAIL_HIGH",
    doc: "Bits 32 to 63 of the address of the chosen virtqueue's driver area.",
  },
  QueueDeviceLow: {
    offset: 0x0a0,
    type: "le32",
    access: "W",
    title: "Address of the device area",
    linux: "VIRTIO_MMIO_QUEUE_USED_LOW",
    doc: "Bits 0 to 31 of the address of the chosen virtqueue's device area.",
  },
  QueueDeviceHigh: {
    offset: 0x0a4,
    type: "le32",
    access: "W",
    title: "Address of the device area",
    linux: "VIRTIO_MMIO_QUEUE_USED_HIGH",
    doc: "Bits 32 to 63 of the address of the chosen virtqueue's device area.",
  },
  SHMSel: {
    offset: 0x0ac,
    type: "le32",
    access: "W",
    title: "Shared memory region",
    linux: "VIRTIO_MMIO_SHM_SEL",
    doc: "Chooses the shared memory region that the SHM registers are about.",
  },
  SHMLenLow: {
    offset: 0x0b0,
    type: "le32",
    access: "R",
    reset: ABSENT_REGION,
    title: "Length of the shared memory region",
    linux: "VIRTIO_MMIO_SHM_LEN_LOW",
    doc: "Bits 0 to 31 of the region's length; all ones when there is none.",
  },
  SHMLenHigh: {
    offset: 0x0b4,
    type: "le32",
    access: "R",
    reset: ABSENT_REGION,
    title: "Length of the shared memory region",
    linux: "VIRTIO_MMIO_SHM_LEN_HIGH",
    doc: "Bits 32 to 63 of the region's length; all ones when there is none.",
  },
  SHMBaseLow: {
    offset: 0x0b8,
    type: "le32",
    access: "R",
    reset: ABSENT_REGION,
    title: "Address of the shared memory region",
    linux: "VIRTIO_MMIO_SHM_BASE_LOW",
    doc: "Bits 0 to 31 of the region's address; all ones when there is none.",
  },
  SHMBaseHigh: {
    offset: 0x0bc,
    type: "le32",
    access: "R",
    reset: ABSENT_REGION,
    title: "Address of the shared memory region",
    linux: "VIRTIO_MMIO_SHM_BASE_HIGH",
    doc: "Bits 32 to 63 of the region's address; all ones when there is none.",
  },
  QueueReset: {
    offset: 0x0c0,
    type: "le32",
    access: "RW",
    gate: { feature: FEATURE.VIRTIO_F_RING_RESET },
    title: "Reset of a virtqueue",
    doc: "Writing 1 resets the chosen virtqueue; reads 1 while that goes on.",
  },
  ConfigGeneration: {
    offset: 0x0fc,
    type: "le32",
    access: "R",
    title: "Generation of the configuration",
    linux: "VIRTIO_MMIO_CONFIG_GENERATION",
    doc: "Changes whenever the configuration space does.",
  },
  Config: {
    offset: 0x100,
    type: "u8",
    count: "rest",
    access: "RW",
    title: "Configuration space",
    linux: "VIRTIO_MMIO_CONFIG",
    doc: "The configuration space of the device type, accessed in the widths of its fields.",
  },
} as const satisfies RegisterSpecs;

const EXTENSION_CITE = "this project's reference layout for administration virtqueues over MMIO";

const EXTENSION = {
  AdminQueueIndex: {
    offset: 0x0e0,
    type: "le32",
    access: "R",
    gate: { feature: FEATURE.VIRTIO_F_ADMIN_VQ },
    cite: EXTENSION_CITE,
    title: "Index of the first administration virtqueue",
    doc: "The index of the first administration virtqueue in bits 0 to 15; reads 0 before VIRTIO_F_ADMIN_VQ is negotiated.",
    bits: {
      admin_queue_index: { at: 0, width: 16, doc: "The index; the other bits read 0." },
    },
  },
  AdminQueueNum: {
    offset: 0x0e4,
    type: "le32",
    access: "R",
    gate: { feature: FEATURE.VIRTIO_F_ADMIN_VQ },
    cite: EXTENSION_CITE,
    title: "Number of administration virtqueues",
    doc: "The number of administration virtqueues in bits 0 to 15; reads 0 before VIRTIO_F_ADMIN_VQ is negotiated.",
    bits: {
      admin_queue_num: { at: 0, width: 16, doc: "The number; the other bits read 0." },
    },
  },
} as const satisfies RegisterSpecs;

const META = {
  busWidth: 32,
  byteOrder: "little",
  size: 0x100,
  label: `Virtio Transport Options / ${CITE}`,
} as const;

/** The register layout of virtio 1.4, in which VIRTIO_F_ADMIN_VQ is reserved. */
export const MMIO_RATIFIED_LAYOUT = registers(
  "virtio_mmio",
  { ...META, cite: CITE, doc: "The registers of a virtio device over MMIO." },
  RATIFIED,
);

/**
 * The reference layout: virtio 1.4 and two registers, AdminQueueIndex and AdminQueueNum, at
 * offsets that neither the text nor any known extension uses.
 */
export const MMIO_REFERENCE_LAYOUT = registers(
  "virtio_mmio_admin",
  {
    ...META,
    cite: EXTENSION_CITE,
    doc: "The registers of a virtio device over MMIO, with its administration virtqueues.",
  },
  { ...RATIFIED, ...EXTENSION },
);

/** The registers whose behaviour this transport knows. */
export type MmioRegister = keyof (typeof MMIO_REFERENCE_LAYOUT)["registers"];

/** The names of the registers that any layout must have: those of virtio 1.4. */
export const MMIO_REQUIRED_REGISTERS: readonly string[] = Object.keys(RATIFIED);
