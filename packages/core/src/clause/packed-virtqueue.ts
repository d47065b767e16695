/** Clauses of the packed virtqueue. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = { scope: "packed", file: "packed-ring.tex" };
const FACILITIES = "Basic Facilities of a Virtio Device";
const PACKED = `${FACILITIES} / Packed Virtqueues`;
const TABLE = "The Virtqueue Descriptor Table";

/** Sections of the packed virtqueue; see {@link CLAUSE_SECTIONS}. */
export const PACKED_VIRTQUEUE_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "packed-layout-driver",
    role: "driver",
    title: "Virtqueues",
    label: `drivernormative:${PACKED}`,
    rules: {
      "1 must":
        "Descriptor ring and event suppression structures start at multiples of 16, 4 and 4 bytes.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "packed-order-device",
    role: "device",
    title: "Virtqueues",
    label: `devicenormative:${PACKED}`,
    rules: {
      "1 must": "The device starts on available descriptors in the order of the ring.",
      "2 must": "The device starts to write used descriptors in the order in which they complete.",
      "3 may": "Writes of used descriptors that are under way may pass each other.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "packed-desc-device",
    role: "device",
    title: TABLE,
    label: `devicenormative:${PACKED} / ${TABLE}`,
    rules: {
      "1 must-not": "The device leaves device-readable elements of a packed list as they are.",
      "2 should-not": "The device does not read device-writable elements.",
      "3 must-not":
        "The device does not use a descriptor before it has seen the available bit in its flags change.",
      "4 must-not":
        "The device does not change a descriptor after it changed the used bit in its flags.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "packed-desc-driver",
    role: "driver",
    title: TABLE,
    // The text spells this label with two capitals.
    label: `drivernormative:${FACILITIES} / PAcked Virtqueues / ${TABLE}`,
    rules: {
      "1 must-not":
        "The driver does not change a descriptor before it has seen the used bit in its flags change.",
      "2 must-not":
        "The driver does not change a descriptor after it changed the available bit in its flags.",
      "3 must":
        "A notification with data names the offset and the wrap counter of the next descriptor that is not yet available.",
      "4 may": "The driver may notify of available buffers again without making any available.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "packed-list-driver",
    role: "driver",
    title: "Scatter-Gather Support",
    label: `drivernormative:${PACKED} / Scatter-Gather Support`,
    rules: {
      "1 must-not": "The driver does not make a list longer than the device allows.",
      "2 must-not": "The driver does not make a list longer than the queue's size.",
      "3 must": "In a list all device-readable elements precede the device-writable ones.",
      "4 must-not":
        "The driver does not count on the device to use descriptors while a list is being written.",
      "5 must":
        "There is room in the ring for a whole list before its first descriptor is made available.",
      "6 must-not":
        "The first descriptor of a list is not made available before all others of the list are.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "packed-list-device",
    role: "device",
    title: "Scatter-Gather Support",
    label: `devicenormative:${PACKED} / Scatter-Gather Support`,
    rules: {
      "1 must":
        "The device uses the descriptors of a list in the order in which they were made available.",
      "2 may": "The device may bound, within its own limits, how long lists are.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "packed-indirect-driver",
    role: "driver",
    title: "Indirect Descriptors",
    label: `drivernormative:${PACKED} / ${TABLE} / Indirect Descriptors`,
    rules: {
      "1 must-not":
        "Without VIRTIO_F_INDIRECT_DESC the driver puts no indirect descriptor into a packed ring.",
      "2 must-not": "In an indirect table no flag but the write flag is set.",
      "3 must-not": "The driver does not make a chain longer than the device allows.",
      "4 must-not": "A list that the next flag links contains no indirect descriptor.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "packed-publish-driver",
    role: "driver",
    title: "Updating flags",
    label: `drivernormative:${PACKED} / Supplying Buffers to The Device / Updating flags`,
    rules: {
      "1 must":
        "All else in a descriptor is visible to the device before the flags that make it available.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "packed-notify-driver",
    role: "driver",
    title: "Sending Available Buffer Notifications",
    label: `drivernormative:${PACKED} / Supplying Buffers to The Device / Sending Available Buffer Notifications`,
    rules: {
      "1 must":
        "The driver reads the device's event suppression structure only after the device can see the flags.",
    },
  }),
] as const;
