/** Clauses of device status, reset, initialization and cleanup. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = { scope: "basic", file: "content.tex" };
const FACILITIES = "Basic Facilities of a Virtio Device";
const OPERATION = "General Initialization And Device Operation";

/** Sections of the device's life from reset to reset; see {@link CLAUSE_SECTIONS}. */
export const DEVICE_STATUS_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "status-device",
    role: "device",
    title: "Device Status Field",
    label: `devicenormative:${FACILITIES} / Device Status Field`,
    rules: {
      "1 must-not": "The device does not consume buffers before DRIVER_OK.",
      "2 must-not": "The device does not send used buffer notifications before DRIVER_OK.",
      "3 should":
        "The device sets DEVICE_NEEDS_RESET when it is in an error state that only a reset ends.",
      "4 must":
        "A device that sets DEVICE_NEEDS_RESET while DRIVER_OK is set sends a configuration change notification.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "status-driver",
    role: "driver",
    title: "Device Status Field",
    label: `drivernormative:${FACILITIES} / Device Status Field`,
    rules: {
      "1 must": "The driver sets status bits as it completes the steps of initialization.",
      "2 must-not": "The driver does not clear a status bit.",
      "3 must": "After FAILED the driver resets the device before it initializes it again.",
      "4 should-not":
        "The driver does not count on operations to complete once DEVICE_NEEDS_RESET is set.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "reset-device",
    role: "device",
    title: "Device Reset",
    label: `devicenormative:${FACILITIES} / Device Reset`,
    rules: {
      "1 must": "After a reset the device status is 0.",
      "2 must-not":
        "After a reset is complete the device sends no notification before it is initialized again.",
      "3 must-not":
        "After a reset is complete the device does not touch the queues before it is initialized again.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "reset-driver",
    role: "driver",
    title: "Device Reset",
    label: `drivernormative:${FACILITIES} / Device Reset`,
    rules: {
      "1 should": "The driver takes the reset it started as complete once device status reads 0.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "init-driver",
    role: "driver",
    title: "Device Initialization",
    label: `drivernormative:${OPERATION} / Device Initialization`,
    rules: {
      "1 must":
        "The driver goes through reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK, set-up and DRIVER_OK in that order.",
      "2 may":
        "The driver may read the device's configuration fields while it negotiates features.",
      "3 must-not":
        "The driver does not write the device's configuration fields while it negotiates features.",
      "4 must-not": "The driver does not accept further features after it has set FEATURES_OK.",
      "5 must":
        "The driver reads the status back after FEATURES_OK and treats the device as unusable when the bit is clear.",
      "6 should": "The driver sets FAILED when a step goes wrong beyond recovery.",
      "7 must-not": "The driver does not go on with initialization after a step has gone wrong.",
      "8 must-not": "The driver does not send an available buffer notification before DRIVER_OK.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "cleanup-driver",
    role: "driver",
    title: "Device Cleanup",
    label: `drivernormative:${OPERATION} / Device Cleanup`,
    rules: {
      "1 must-not":
        "The driver does not alter the entries of buffers that are available and not yet used in a live virtqueue.",
      "2 must":
        "The driver makes sure that a virtqueue is not live before it takes back its buffers.",
    },
  }),
] as const;
