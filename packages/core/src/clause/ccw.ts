/** Clauses of the channel I/O transport. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = { scope: "ccw", file: "transport-ccw.tex" };
const CCW = "Virtio Transport Options / Virtio over channel I/O";
const INIT = `${CCW} / Device Initialization`;
const OPERATION = `${CCW} / Device Operation`;
const ADAPTER = `${OPERATION} / Host->Guest Notification / Notification via Adapter I/O Interrupts`;

/** Sections of the channel I/O transport; see {@link CLAUSE_SECTIONS}. */
export const CCW_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "ccw-basic-device",
    role: "device",
    title: "Basic Concepts",
    label: `devicenormative:${CCW} / Basic Concepts`,
    rules: {
      "1 must": "A command the device does not support ends in a unit check with command reject.",
      "2 must":
        "Without suppressed length checks, a length other than the expected one gives the subchannel status for incorrect length.",
      "3 must": "With suppressed length checks, too little data gives a check condition.",
      "4 should": "With suppressed length checks, the device accepts a buffer that is too long.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-basic-driver",
    role: "driver",
    title: "Basic Concepts",
    label: `drivernormative:${CCW} / Basic Concepts`,
    rules: {
      "1 must": "The driver checks for control unit type 0x3832.",
      "2 must": "The driver disregards device type and model.",
      "3 should": "The driver gives the correct length also where it suppresses length checks.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-revision-device",
    role: "device",
    title: "Setting the Virtio Revision",
    label: `devicenormative:${INIT} / Setting the Virtio Revision`,
    rules: {
      "1 must": "The device rejects a revision it does not support.",
      "2 must": "The device rejects an invalid combination of revision, length and data.",
      "3 must": "A non-transitional device rejects revision 0.",
      "4 should": "The device rejects virtio commands that the selected revision does not contain.",
      "5 must": "The device rejects another revision once one has been selected.",
      "6 must":
        "The revision is unset from when the subchannel is enabled until one is set, so that it does not outlive disabling.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-revision-driver",
    role: "driver",
    title: "Setting the Virtio Revision",
    label: `drivernormative:${INIT} / Setting the Virtio Revision`,
    rules: {
      "1 should":
        "The driver tries its highest revision first and lower ones each time it is rejected.",
      "2 must-not":
        "The driver does not issue another virtio command before it has set the revision.",
      "3 must-not": "The driver does not try to select another revision once one is selected.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-revision-legacy",
    role: "device",
    title: "Legacy Interfaces: A Note on Setting the Virtio Revision",
    label: `sec:${INIT} / Setting the Virtio Revision / Legacy Interfaces: A Note on Setting the Virtio Revision`,
    rules: {
      "1 must":
        "A non-transitional device rejects virtio commands that come before a revision is set.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-revision-legacy-driver",
    role: "driver",
    title: "Legacy Interfaces: A Note on Setting the Virtio Revision",
    label: `sec:${INIT} / Setting the Virtio Revision / Legacy Interfaces: A Note on Setting the Virtio Revision`,
    rules: {
      "1 must": "A non-transitional driver gives up a device that rejects SET_VIRTIO_REV itself.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-vq-device",
    role: "device",
    title: "Configuring a Virtqueue",
    label: `devicenormative:${INIT} / Configuring a Virtqueue`,
    rules: {
      "1 must": "The device disregards res0 of SET_VQ.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-vq-format",
    role: "device",
    title: "Configuring a Virtqueue",
    label: `sec:${INIT} / Configuring a Virtqueue`,
    rules: {
      "1 must":
        "READ_VQ_CONF takes a big-endian 16-bit index and returns the queue's maximum size, big-endian, behind it.",
      "2 must":
        "SET_VQ takes 32 big-endian bytes: desc (64 bits), res0 (32), index (16), size (16), driver (64), device (64).",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-status-driver",
    role: "driver",
    title: "Communicating Status Information",
    label: `drivernormative:${INIT} / Communicating Status Information`,
    rules: {
      "1 must":
        "The driver takes a rejected WRITE_STATUS to have left the device status as it was.",
      "2 should":
        "From revision 2 on, the driver reads the status with READ_STATUS after a configuration change.",
      "3 must-not": "Below revision 2, the driver does not issue READ_STATUS.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-status-device",
    role: "device",
    title: "Communicating Status Information",
    label: `devicenormative:${INIT} / Communicating Status Information`,
    rules: {
      "1 must": "A status the device cannot set leaves the device status unchanged.",
      "2 must": "A status the device cannot set ends WRITE_STATUS in a unit check with reject.",
      "3 must": "From revision 2 on, READ_STATUS returns the current device status.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-features",
    role: "device",
    title: "Handling Device Features",
    label: `sec:${INIT} / Handling Device Features`,
    rules: {
      "1 must":
        "READ_FEAT and WRITE_FEAT use exactly five bytes: 32 feature bits, little-endian, and the index of those bits.",
      "2 must": "READ_FEAT returns zero at an index beyond the features of the device.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-indicators",
    role: "device",
    title: "Setting Up Classic Queue Indicators",
    label: `sec:${INIT} / Setting Up Indicators / Setting Up Classic Queue Indicators`,
    rules: {
      "1 must": "The device rejects SET_IND after SET_IND_ADAPTER has set up indicators.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-indicators-device",
    role: "device",
    title: "Setting Up Two-Stage Queue Indicators",
    label: `devicenormative:${INIT} / Setting Up Indicators / Setting Up Two-Stage Queue Indicators`,
    rules: {
      "1 must": "The device rejects SET_IND_ADAPTER after SET_IND has set up indicators.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-classic-interrupt",
    role: "device",
    title: "Notification via Classic I/O Interrupts",
    label: `sec:${OPERATION} / Host->Guest Notification / Notification via Classic I/O Interrupts`,
    rules: {
      "1 must":
        "After SET_IND, a used buffer notification sets the queue's bit in the indicators and raises an I/O interrupt unless one is pending.",
      "2 must":
        "A configuration change sets bit 0 of the configuration indicators and raises an I/O interrupt, also with adapter interrupts for queues.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-adapter-interrupt",
    role: "device",
    title: "Notification via Adapter I/O Interrupts",
    label: `sec:${ADAPTER}`,
    rules: {
      "1 must":
        "After SET_IND_ADAPTER, a used buffer notification sets the queue's bit at bit_nr plus its index, counted from the left.",
      "2 must":
        "After the queue's bit, the summary indicator is set to 0x01 and an adapter interrupt is raised for the given subclass.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-adapter-device",
    role: "device",
    title: "Notification via Adapter I/O Interrupts",
    label: `devicenormative:${ADAPTER}`,
    rules: {
      "1 should":
        "The device raises an adapter interrupt only if the summary indicator was not set before.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-adapter-driver",
    role: "driver",
    title: "Notification via Adapter I/O Interrupts",
    label: `drivernormative:${ADAPTER}`,
    rules: {
      "1 must":
        "After an adapter interrupt the driver clears the summary indicator before it processes the queue indicators.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-notify",
    role: "driver",
    title: "Guest->Host Notification",
    label: `sec:${OPERATION} / Guest->Host Notification`,
    rules: {
      "1 must":
        "The driver notifies by DIAGNOSE 0x500 with subcode 3 in GPR 1, the subchannel in GPR 2 and the virtqueue index in GPR 3.",
      "2 must":
        "With VIRTIO_F_NOTIFICATION_DATA, GPR 3 holds the virtqueue index and the position in the ring.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-notify-device",
    role: "device",
    title: "Guest->Host Notification",
    label: `devicenormative:${OPERATION} / Guest->Host Notification`,
    rules: {
      "1 must": "The device disregards the upper 32 bits of GPR 2.",
      "2 may": "The device may return a cookie in GPR 2.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-notify-driver",
    role: "driver",
    title: "Guest->Host Notification",
    label: `drivernormative:${OPERATION} / Guest->Host Notification`,
    rules: {
      "1 should": "The driver passes the cookie of the notification before in GPR 4.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-reset-device",
    role: "device",
    title: "Resetting Devices",
    label: `devicenormative:${OPERATION} / Resetting Devices`,
    rules: {
      "1 must": "The reset is complete before VDEV_RESET concludes with success.",
      "2 must": "The device status is zero before VDEV_RESET concludes with success.",
      "3 must-not":
        "The device does not send notifications after VDEV_RESET has concluded with success.",
      "4 must-not":
        "The device does not touch the queues after VDEV_RESET has concluded with success.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-reset-driver",
    role: "driver",
    title: "Resetting Devices",
    label: `drivernormative:${OPERATION} / Resetting Devices`,
    rules: {
      "1 may":
        "The driver may take the reset as complete once VDEV_RESET has concluded with success.",
      "2 may": "The driver may verify the reset by READ_STATUS.",
    },
  }),
] as const;
