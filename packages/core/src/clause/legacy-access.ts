/** Clauses of the commands that give a driver access to a member's legacy interface. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = {
  scope: "admin",
  file: "admin-cmds-legacy-interface.tex",
  family: "legacy-access",
};
const PATH =
  "Basic Facilities of a Virtio Device / Device groups / Group administration commands / Legacy Interface";
const TITLE = "Legacy Interface";

/** Sections of legacy access; see {@link CLAUSE_SECTIONS}. */
export const LEGACY_ACCESS_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "legacy-access-device",
    role: "device",
    title: TITLE,
    label: `devicenormative:${PATH}`,
    rules: {
      "1 must":
        "A device supports all four of the commands that read and write legacy common and device configuration, or none.",
      "2 must":
        "The device takes and gives the data of the four legacy configuration commands in little-endian form.",
      "3 must":
        "A legacy common configuration command whose offset and length do not name exactly one field fails.",
      "4 must":
        "A legacy common configuration command that reaches beyond the common configuration fails.",
      "5 must":
        "A legacy device configuration command whose offset and length do not name exactly one field fails.",
      "6 must":
        "A legacy device configuration command that reaches beyond the device-specific configuration fails.",
      "7 must":
        "LEGACY_COMMON_CFG_WRITE acts as a write to the common configuration through the legacy interface would.",
      "8 must":
        "LEGACY_COMMON_CFG_READ acts as a read of the common configuration through the legacy interface would.",
      "9 must":
        "LEGACY_DEV_CFG_WRITE acts as a write to the device-specific configuration through the legacy interface would.",
      "10 must":
        "LEGACY_DEV_CFG_READ acts as a read of the device-specific configuration through the legacy interface would.",
      "11 should":
        "Where all legacy commands are supported, Revision ID and Subsystem Device ID of owner and members are those of a non-transitional PCI device.",
      "12 should":
        "An owner that supports all legacy commands has the PCI Device ID of a non-transitional device.",
      "13 must":
        "A notification at any address that LEGACY_NOTIFY_INFO named acts as a legacy write to Queue Notify would.",
      "14 must":
        "A device that supports LEGACY_NOTIFY_INFO supports the four legacy configuration commands as well.",
      "15 must": "The last entry that LEGACY_NOTIFY_INFO returns has flags 0.",
      "16 must": "A valid entry of LEGACY_NOTIFY_INFO names a BAR that is not hardwired to zero.",
      "17 must": "A valid entry of LEGACY_NOTIFY_INFO has an offset that is a multiple of two.",
      "18 may":
        "LEGACY_NOTIFY_INFO may return entries of the owner, of the member, or of both of them.",
      "19 must":
        "The owner of an SR-IOV group that supports LEGACY_NOTIFY_INFO hardwires VF BAR0 to zero.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "legacy-access-driver",
    role: "driver",
    title: TITLE,
    label: `drivernormative:${PATH}`,
    rules: {
      "1 must":
        "The driver gives and takes the data of the four legacy configuration commands in little-endian form.",
      "2 should":
        "Offset and length of a legacy common configuration command name one field of the common configuration.",
      "3 should":
        "Offset and length of a legacy device configuration command name one field of the device-specific configuration.",
      "4 should":
        "The driver sends its notifications to the address that LEGACY_NOTIFY_INFO supplies where the command is supported.",
      "5 must":
        "The driver stops at the first entry of LEGACY_NOTIFY_INFO with flags 0 and disregards the rest.",
      "6 must":
        "The driver checks that each entry before the end has flags 1 or 2, an existing BAR of the device it names, and an even offset inside that BAR.",
      "7 must": "The driver disregards an entry of LEGACY_NOTIFY_INFO that fails its checks.",
    },
  }),
] as const;
