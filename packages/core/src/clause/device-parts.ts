/** Clauses of the device parts: stopping a member, reading and writing its state. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = {
  scope: "admin",
  file: "admin-cmds-device-parts.tex",
  family: "device-parts",
};
const PATH =
  "Basic Facilities of a Virtio Device / Device groups / Group administration commands / Device parts";
const TITLE = "Device parts";

/** Sections of the device parts; see {@link CLAUSE_SECTIONS}. */
export const DEVICE_PART_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "device-parts-device",
    role: "device",
    title: TITLE,
    label: `devicenormative:${PATH}`,
    rules: {
      "1 must":
        "A device supports all of the device parts commands, those on device parts objects and DEV_MODE_SET, or none.",
      "2 must": "DEV_PARTS_GET can be repeated.",
      "3 must": "DEV_PARTS_GET returns several parts in the order of the table of parts.",
      "4 should": "DEV_PARTS_SET fails while the device is not stopped.",
      "5 must": "DEV_PARTS_SET can be repeated with the same parts or with others.",
      "6 must":
        "DEV_PARTS_SET fails for a part whose length is not the length it has in the device.",
      "7 must-not": "DEV_PARTS_SET does not change the features that the device offers.",
      "8 must":
        "DEV_PARTS_SET compares a supplied DEV_FEATURES part with the device's features and fails where they differ.",
      "9 may": "The device may pass over a part that is flagged optional.",
      "10 must-not": "A stopped member of an SR-IOV group initiates no PCI transaction.",
      "11 must":
        "A member of an SR-IOV group ends its outstanding PCI transactions before the command that stops it completes.",
      "12 must": "A member that stops writes back the descriptors of all buffers it has observed.",
      "13 must": "A stopped member accepts driver notifications.",
      "14 may": "A stopped member may update its parts when it is notified.",
      "15 must": "A stopped member answers PCI reads with valid values.",
      "16 must":
        "The interfaces that PCI itself defines work the same whether a member is stopped or not.",
      "17 must-not": "A stopped member generates no PCI power management event.",
      "18 must-not": "A stopped device does not touch its virtqueues or the memory they refer to.",
      "19 must-not":
        "A stopped device sends no configuration change notification and no virtqueue notification.",
      "20 must":
        "DEV_MODE_SET and DEV_PARTS_SET that arrive during an FLR of the member are answered after the FLR.",
      "21 must":
        "DEV_MODE_SET and DEV_PARTS_SET that arrive during a reset of the member are answered after the reset.",
      "22 must":
        "DEV_MODE_SET and DEV_PARTS_SET that arrive during a power state transition are answered after the transition.",
      "23 must": "Stopping a device that is stopped already succeeds.",
      "24 must": "Resuming a device that is not stopped succeeds.",
      "25 must": "A reset or FLR of a member returns all its parts to their defaults.",
      "26 may": "DEV_PARTS_GET may leave out a selected part that is invalid in the device.",
      "27 must": "Driver features come after device features in an answer that has both.",
      "28 must": "PCI common configuration comes after device features in an answer that has both.",
      "29 must": "PCI common configuration comes after driver features in an answer that has both.",
      "30 must": "Device configuration comes after device features in an answer that has both.",
      "31 must":
        "Device status comes after device features and driver features in an answer that has them.",
      "32 should":
        "DEV_PARTS_SET checks the read-only and invariant fields of the parts it is given.",
      "33 should-not":
        "DEV_PARTS_SET does not apply parts that are there to be compared, above all their read-only and invariant fields.",
      "34 must":
        "Driver configuration comes after device features, driver features and device configuration in an answer that has it.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "device-parts-driver",
    role: "driver",
    title: TITLE,
    label: `drivernormative:${PATH}`,
    rules: {
      "1 must": "The driver stops the member with DEV_MODE_SET before it sets parts.",
      "2 must": "The driver sets several parts in the order of the table of parts.",
      "3 should-not": "The driver does not access the configuration space of a stopped member.",
      "4 should": "The driver supplies room for all metadata that DEV_PARTS_METADATA_GET returns.",
      "5 should": "The driver supplies room for all parts that DEV_PARTS_GET returns.",
    },
  }),
] as const;
