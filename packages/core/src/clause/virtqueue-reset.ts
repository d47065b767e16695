/** Clauses of resetting and re-enabling one virtqueue, and of driver notifications. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = { scope: "basic", file: "content.tex" };
const FACILITIES = "Basic Facilities of a Virtio Device";
const PATH = `${FACILITIES} / Virtqueues / Virtqueue Reset`;

/** Sections common to all virtqueue formats; see {@link CLAUSE_SECTIONS}. */
export const VIRTQUEUE_RESET_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "vq-reset-device",
    role: "device",
    title: "Virtqueue Reset",
    label: `devicenormative:${PATH} / Virtqueue Reset`,
    rules: {
      "1 must-not":
        "The device does not execute requests of a virtqueue after that virtqueue was reset.",
      "2 must-not":
        "The device does not notify the driver for a virtqueue after that virtqueue was reset.",
      "3 must":
        "A reset returns a virtqueue's state to the defaults, its available and used positions included.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "vq-reset-driver",
    role: "driver",
    title: "Virtqueue Reset",
    label: `drivernormative:${PATH} / Virtqueue Reset`,
    rules: {
      "1 must": "The driver verifies that a virtqueue has been reset before it goes on.",
      "2 may": "The driver may free what belongs to a virtqueue once its reset has succeeded.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "vq-reenable-device",
    role: "device",
    title: "Virtqueue Re-enable",
    label: `devicenormative:${PATH} / Virtqueue Re-enable`,
    rules: {
      "1 must":
        "A virtqueue that is enabled again works with the configuration the driver has written since its reset, its size included.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "vq-reenable-driver",
    role: "driver",
    title: "Virtqueue Re-enable",
    label: `drivernormative:${PATH} / Virtqueue Re-enable`,
    rules: {
      "1 must":
        "The driver configures a virtqueue that it enables again as it does at first, with the same or other parameters.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "driver-notification",
    role: "driver",
    title: "Driver Notifications",
    label: `sec:${FACILITIES} / Driver notifications`,
    rules: {
      "1 must":
        "Without VIRTIO_F_NOTIFICATION_DATA a notification carries the virtqueue index, or the device's configuration data for it where that is negotiated.",
      "2 must":
        "With VIRTIO_F_NOTIFICATION_DATA a notification on a split virtqueue carries the low 15 bits of the available index as next_off and its bit 15 as next_wrap.",
      "3 must":
        "With VIRTIO_F_NOTIFICATION_DATA a notification on a packed virtqueue carries the offset of the next available descriptor and the wrap counter.",
    },
  }),
] as const;
