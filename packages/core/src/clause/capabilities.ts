/** Clauses of the device and driver capabilities. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = {
  scope: "admin",
  file: "admin-cmds-capabilities.tex",
  family: "capabilities",
};
const PATH =
  "Basic Facilities of a Virtio Device / Device groups / Group administration commands / Device and driver capabilities";
const TITLE = "Device and driver capabilities";

/** Sections of the capabilities; see {@link CLAUSE_SECTIONS}. */
export const CAPABILITY_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "capability-device",
    role: "device",
    title: TITLE,
    label: `devicenormative:${PATH}`,
    rules: {
      "1 must":
        "A device with capabilities supports CAP_ID_LIST_QUERY, DEVICE_CAP_GET and DRIVER_CAP_SET, all three.",
      "2 must":
        "DRIVER_CAP_SET accepts a resource object limit equal to or below the device's own, unless the field is not writable.",
      "3 must":
        "DRIVER_CAP_SET accepts the device's flag bits or any subset of them, unless the field is not writable.",
      "4 may":
        "DRIVER_CAP_SET with a limit above the device's or a flag the device lacks may fail with EINVAL.",
      "5 must": "The capability commands fail with EINVAL outside the Self group type.",
      "6 should": "Disabling a capability that living resource objects depend on fails with EBUSY.",
      "7 should":
        "DEVICE_CAP_GET and DRIVER_CAP_SET fail with ENXIO for an id that CAP_ID_LIST_QUERY does not report.",
      "8 must": "A device reset resets all driver capabilities.",
      "9 should": "A resource limit that the driver has not set counts as zero.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "capability-driver",
    role: "driver",
    title: TITLE,
    label: `drivernormative:${PATH}`,
    rules: {
      "1 must":
        "The driver sets a capability with DRIVER_CAP_SET before it uses resource objects that need the capability.",
      "2 must-not":
        "The driver does not set a resource object limit above the one DEVICE_CAP_GET reported.",
      "3 must-not": "The driver does not set capability flags that DEVICE_CAP_GET did not report.",
      "4 must-not":
        "The driver does not set capability array entries that DEVICE_CAP_GET did not report.",
      "5 must-not":
        "The driver does not disable a capability while objects that need it have been created and not destroyed.",
    },
  }),
] as const;
