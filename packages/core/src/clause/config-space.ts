/** Clauses of the device configuration space. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = { scope: "basic", file: "content.tex" };
const PATH = "Basic Facilities of a Virtio Device / Device Configuration Space";
const TITLE = "Device Configuration Space";

/** Sections of the configuration space; see {@link CLAUSE_SECTIONS}. */
export const CONFIG_SPACE_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "config-space-device",
    role: "device",
    title: TITLE,
    label: `devicenormative:${PATH}`,
    rules: {
      "1 must": "Every configuration field can be read before FEATURES_OK.",
      "2 must":
        "A configuration field that depends on a feature can be read before FEATURES_OK when the feature is offered.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "config-space-driver",
    role: "driver",
    title: TITLE,
    label: `drivernormative:${PATH}`,
    rules: {
      "1 must-not":
        "The driver does not take a read of more than 32 bits, or of several fields, to be atomic.",
      "2 should":
        "The driver reads the generation before and after the fields and starts over when it has changed.",
      "3 must":
        "The driver checks that a feature is offered before it accesses fields that depend on the feature.",
      "4 must-not":
        "The driver does not set an upper limit to the size of the configuration space.",
      "5 should":
        "The driver checks only that the configuration space is large enough for what it needs.",
    },
  }),
] as const;
