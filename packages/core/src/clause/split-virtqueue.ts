/** Clauses of the split virtqueue. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = { scope: "split", file: "split-ring.tex" };
const FACILITIES = "Basic Facilities of a Virtio Device";
const VIRTQUEUES = `${FACILITIES} / Virtqueues`;

/** Sections of the split virtqueue; see {@link CLAUSE_SECTIONS}. */
export const SPLIT_VIRTQUEUE_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "split-layout-driver",
    role: "driver",
    title: "Virtqueues",
    label: `drivernormative:${VIRTQUEUES}`,
    rules: {
      "1 must":
        "Descriptor table, available ring and used ring start at multiples of 16, 2 and 4 bytes.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-framing-device",
    role: "device",
    title: "Message Framing",
    label: `devicenormative:${FACILITIES} / Message Framing`,
    rules: {
      "1 must-not": "The device does not depend on how a buffer is cut into descriptors.",
      "2 may": "The device may limit, within reason, the number of descriptors in a chain.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-framing-driver",
    role: "driver",
    title: "Message Framing",
    label: `drivernormative:${FACILITIES} / Message Framing`,
    rules: {
      "1 must": "In a chain all device-readable elements precede the device-writable ones.",
      "2 should-not": "The driver does not cut a buffer into far more descriptors than it needs.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-desc-device",
    role: "device",
    title: "The Virtqueue Descriptor Table",
    label: `devicenormative:${VIRTQUEUES} / The Virtqueue Descriptor Table`,
    rules: {
      "1 must-not": "The device does not write to a device-readable buffer.",
      "2 should-not": "The device does not read a device-writable buffer, except to debug.",
      "3 must-not": "The device does not write to the descriptor table.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-desc-driver",
    role: "driver",
    title: "The Virtqueue Descriptor Table",
    label: `drivernormative:${VIRTQUEUES} / The Virtqueue Descriptor Table`,
    rules: {
      "1 must-not": "The driver does not add a chain of more than 2^32 bytes in total.",
      "2 must-not": "The driver does not build a chain that loops.",
      "3 must":
        "With VIRTIO_F_IN_ORDER the next field of a chained descriptor is the following index, and 0 in the table's last.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-indirect-device",
    role: "device",
    title: "Indirect Descriptors",
    label: `devicenormative:${VIRTQUEUES} / The Virtqueue Descriptor Table / Indirect Descriptors`,
    rules: {
      "1 must":
        "The device disregards the write flag of a descriptor that refers to an indirect table.",
      "2 must":
        "The device serves a chain of any number of plain descriptors that ends in an indirect one.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-indirect-driver",
    role: "driver",
    title: "Indirect Descriptors",
    label: `drivernormative:${VIRTQUEUES} / The Virtqueue Descriptor Table / Indirect Descriptors`,
    rules: {
      "1 must-not": "The driver does not use indirect descriptors without VIRTIO_F_INDIRECT_DESC.",
      "2 must-not": "An indirect table contains no indirect descriptor.",
      "3 must-not": "A chain has no more descriptors than the queue's size.",
      "4 must-not": "A descriptor never has both the indirect and the next flag.",
      "5 must":
        "With VIRTIO_F_IN_ORDER the descriptors of an indirect table follow each other by index.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-avail-driver",
    role: "driver",
    title: "The Virtqueue Available Ring",
    label: `drivernormative:${VIRTQUEUES} / The Virtqueue Available Ring`,
    rules: {
      "1 must-not": "The driver does not take back the available index of a virtqueue.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-used-notification-driver",
    role: "driver",
    title: "Used Buffer Notification Suppression",
    label: `drivernormative:${VIRTQUEUES} / Used Buffer Notification Suppression`,
    rules: {
      "1 must": "Without VIRTIO_F_EVENT_IDX the driver sets the available ring's flags to 0 or 1.",
      "2 may": "Without VIRTIO_F_EVENT_IDX the driver may ask for no notifications by flags 1.",
      "3 must": "With VIRTIO_F_EVENT_IDX the driver sets the available ring's flags to 0.",
      "4 may":
        "With VIRTIO_F_EVENT_IDX the driver may say by used_event which used entry it wants to be told of.",
      "5 must": "The driver copes with a used buffer notification that has no cause.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-used-notification-device",
    role: "device",
    title: "Used Buffer Notification Suppression",
    label: `devicenormative:${VIRTQUEUES} / Used Buffer Notification Suppression`,
    rules: {
      "1 must": "Without VIRTIO_F_EVENT_IDX the device disregards used_event.",
      "2 should-not":
        "Without VIRTIO_F_EVENT_IDX the device does not notify of a used buffer while the driver's flags are 1.",
      "3 must":
        "Without VIRTIO_F_EVENT_IDX the device notifies of a used buffer while the driver's flags are 0.",
      "4 must":
        "With VIRTIO_F_EVENT_IDX the device disregards the lowest bit of the available ring's flags.",
      "5 must":
        "With VIRTIO_F_EVENT_IDX the device notifies when the used index at which it placed an entry equals used_event.",
      "6 should-not":
        "With VIRTIO_F_EVENT_IDX the device does not notify of an entry whose index is not used_event.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-used-device",
    role: "device",
    title: "The Virtqueue Used Ring",
    label: `devicenormative:${VIRTQUEUES} / The Virtqueue Used Ring`,
    rules: {
      "1 must": "The device sets a used entry's len before it advances the used index.",
      "2 must":
        "The device has written at least len bytes, from the first writable one on, before it advances the used index.",
      "3 may": "The device may write more bytes to a buffer than len says.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-used-driver",
    role: "driver",
    title: "The Virtqueue Used Ring",
    label: `drivernormative:${VIRTQUEUES} / The Virtqueue Used Ring`,
    rules: {
      "1 must-not": "The driver does not assume anything about writable bytes beyond len.",
      "2 should": "The driver disregards writable bytes beyond len.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-avail-notification-driver",
    role: "driver",
    title: "Available Buffer Notification Suppression",
    label: `drivernormative:${VIRTQUEUES} / Available Buffer Notification Suppression`,
    rules: {
      "1 must": "The driver sets the used ring's flags to 0 when it allocates the ring.",
      "2 must": "Without VIRTIO_F_EVENT_IDX the driver disregards avail_event.",
      "3 should-not":
        "Without VIRTIO_F_EVENT_IDX the driver does not notify of an available buffer while the device's flags are 1.",
      "4 must":
        "Without VIRTIO_F_EVENT_IDX the driver notifies of an available buffer while the device's flags are 0.",
      "5 must":
        "With VIRTIO_F_EVENT_IDX the driver disregards the lowest bit of the used ring's flags.",
      "6 must":
        "With VIRTIO_F_EVENT_IDX the driver notifies when the available index at which it placed an entry equals avail_event.",
      "7 should-not":
        "With VIRTIO_F_EVENT_IDX the driver does not notify of an entry whose index is not avail_event.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-avail-notification-device",
    role: "device",
    title: "Available Buffer Notification Suppression",
    label: `devicenormative:${VIRTQUEUES} / Available Buffer Notification Suppression`,
    rules: {
      "1 must": "Without VIRTIO_F_EVENT_IDX the device sets the used ring's flags to 0 or 1.",
      "2 may": "Without VIRTIO_F_EVENT_IDX the device may ask for no notifications by flags 1.",
      "3 must": "With VIRTIO_F_EVENT_IDX the device sets the used ring's flags to 0.",
      "4 may":
        "With VIRTIO_F_EVENT_IDX the device may say by avail_event which available entry it wants to be told of.",
      "5 must": "The device copes with an available buffer notification that has no cause.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-publish-driver",
    role: "driver",
    title: "Updating idx",
    label: `drivernormative:${VIRTQUEUES} / Supplying Buffers to The Device / Updating idx`,
    rules: {
      "1 must":
        "Descriptors and ring entries are visible to the device before the available index that exposes them.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "split-notify-driver",
    role: "driver",
    title: "Notifying The Device",
    label: `drivernormative:${VIRTQUEUES} / Supplying Buffers to The Device / Notifying The Device`,
    rules: {
      "1 must":
        "The driver reads flags or avail_event only after the device can see the new available index.",
    },
  }),
] as const;
