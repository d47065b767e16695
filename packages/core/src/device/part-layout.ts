/**
 * The wire format of device parts: the header of every part, the values of the common parts, and
 * the table that orders them. Little-endian on every transport.
 */
import { type AnyStructLayout, struct } from "../layout/index.ts";

const CITE = "Basic Facilities of a Virtio Device / Device parts";
const COMMON = `${CITE} / Common device parts`;

/** What every device part begins with, 16 bytes. `length` bytes of value follow. */
export const VIRTIO_DEV_PART_HDR = struct(
  "virtio_dev_part_hdr",
  { cite: CITE, doc: "Which part it is, and how long its value." },
  {
    part_type: { offset: 0, type: "le16", doc: "The type of the part." },
    flags: {
      offset: 2,
      type: "u8",
      doc: "What the part is; other bits are reserved.",
      bits: { optional: { at: 0, doc: "The device works without the part." } },
    },
    reserved: { offset: 3, type: "u8", doc: "Reserved; written as 0." },
    selector: {
      offset: 4,
      type: "u8",
      count: 8,
      doc: "Which of the parts of one type it is; 0 where a type has one part.",
    },
    pci_common_cfg_offset: {
      offset: 4,
      type: "le32",
      overlay: true,
      doc: "The selector of PCI_COMMON_CFG: the offset of the field.",
    },
    vq_index: {
      offset: 4,
      type: "le16",
      overlay: true,
      doc: "The selector of VQ_CFG and VQ_NOTIFY_CFG: the index of the virtqueue.",
    },
    length: { offset: 12, type: "le32", doc: "The length of the value in bytes." },
  },
);

/** The value of DEV_FEATURES and DRV_FEATURES: 128 feature bits, 16 bytes. */
export const VIRTIO_DEV_PART_FEATURES = struct(
  "virtio_dev_part_features",
  { cite: `${COMMON} / VIRTIO_DEV_PART_DEV_FEATURES`, doc: "A set of features." },
  {
    feature_bits: {
      offset: 0,
      type: "le64",
      count: 2,
      doc: "The features 0 to 63, and 64 to 127.",
    },
  },
);

/** The value of DEVICE_STATUS, 1 byte. */
export const VIRTIO_DEV_PART_DEVICE_STATUS = struct(
  "virtio_dev_part_device_status",
  { cite: `${COMMON} / VIRTIO_DEV_PART_DEVICE_STATUS`, doc: "The device status." },
  { device_status: { offset: 0, type: "u8", doc: "The bits of the device status field." } },
);

/** The value of VQ_CFG, 32 bytes. */
export const VIRTIO_DEV_PART_VQ_CFG = struct(
  "virtio_dev_part_vq_cfg",
  {
    cite: `${COMMON} / VIRTIO_DEV_PART_VQ_CFG`,
    doc: "How one virtqueue is set up. Where its ring goes on is not part of it.",
  },
  {
    queue_size: { offset: 0, type: "le16", doc: "The size that is set." },
    vector: { offset: 2, type: "le16", doc: "Its MSI-X vector; 0xffff for none." },
    enabled: { offset: 4, type: "le16", doc: "1 while the queue is enabled, else 0." },
    reserved: { offset: 6, type: "le16", doc: "Reserved; written as 0." },
    queue_desc: { offset: 8, type: "le64", doc: "The address of the descriptor area." },
    queue_driver: { offset: 16, type: "le64", doc: "The address of the driver area." },
    queue_device: { offset: 24, type: "le64", doc: "The address of the device area." },
  },
);

/** The value of VQ_NOTIFY_CFG, 8 bytes. */
export const VIRTIO_DEV_PART_VQ_NOTIFY_DATA = struct(
  "virtio_dev_part_vq_notify_data",
  { cite: `${COMMON} / VIRTIO_DEV_PART_VQ_NOTIFY_CFG`, doc: "How one virtqueue is notified." },
  {
    queue_notify_off: { offset: 0, type: "le16", doc: "The register of the same name." },
    queue_notif_config_data: {
      offset: 2,
      type: "le16",
      doc: "The register of the same name; 0 without VIRTIO_F_NOTIF_CONFIG_DATA.",
    },
    reserved: { offset: 4, type: "u8", count: 4, doc: "Reserved; written as 0." },
  },
);

/** The vector of a queue that has none. */
export const NO_QUEUE_VECTOR = 0xffff;

/** What the selector of a part is. */
export type PartSelectorKind = "none" | "field offset" | "queue index";

/** One type of part that is common to all device types. */
export interface CommonPart {
  /** The value of `part_type`. */
  readonly type: number;
  /** What its selector is. */
  readonly selector: PartSelectorKind;
  /** True when the device can do without it: it is exchanged with the flag `optional`. */
  readonly optional: boolean;
  /** The layout of its value; absent where the selector decides. */
  readonly value?: AnyStructLayout;
  /** What it is, in a few words. */
  readonly doc: string;
}

/** The name of a common part without `VIRTIO_DEV_PART_`. */
export type CommonPartName =
  | "DEV_FEATURES"
  | "DRV_FEATURES"
  | "PCI_COMMON_CFG"
  | "DEVICE_STATUS"
  | "VQ_CFG"
  | "VQ_NOTIFY_CFG";

/**
 * The common parts by name, in the order in which several parts of one command stand (section
 * "Device parts order").
 */
export const COMMON_PARTS: Readonly<Record<CommonPartName, CommonPart>> = {
  DEV_FEATURES: {
    type: 0x100,
    selector: "none",
    optional: true,
    value: VIRTIO_DEV_PART_FEATURES,
    doc: "the features that the device offers; compared, never set",
  },
  DRV_FEATURES: {
    type: 0x101,
    selector: "none",
    optional: false,
    value: VIRTIO_DEV_PART_FEATURES,
    doc: "the features that the driver wrote",
  },
  PCI_COMMON_CFG: {
    type: 0x102,
    selector: "field offset",
    optional: false,
    doc: "one field of the PCI common configuration structure",
  },
  DEVICE_STATUS: {
    type: 0x103,
    selector: "none",
    optional: false,
    value: VIRTIO_DEV_PART_DEVICE_STATUS,
    doc: "the device status",
  },
  VQ_CFG: {
    type: 0x104,
    selector: "queue index",
    optional: false,
    value: VIRTIO_DEV_PART_VQ_CFG,
    doc: "how a virtqueue is set up",
  },
  VQ_NOTIFY_CFG: {
    type: 0x105,
    selector: "queue index",
    optional: false,
    value: VIRTIO_DEV_PART_VQ_NOTIFY_DATA,
    doc: "how a virtqueue is notified",
  },
};

/** The types of parts that belong to device types. */
export const DEVICE_TYPE_PARTS = {
  /** The first type. */
  first: 0x0200,
  /** The last type. */
  last: 0x05ff,
} as const;
