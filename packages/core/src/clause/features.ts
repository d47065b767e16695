/** Clauses of feature bits and of the reserved, device-independent features. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = { scope: "basic", file: "content.tex" };
const FEATURE_BITS = "Basic Facilities of a Virtio Device / Feature Bits";
const RESERVED = "Reserved Feature Bits";

/** Sections of the feature bits; see {@link CLAUSE_SECTIONS}. */
export const FEATURE_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "features-device",
    role: "device",
    title: "Feature Bits",
    label: `devicenormative:${FEATURE_BITS}`,
    rules: {
      "1 must-not": "The device does not offer a feature without offering the feature it requires.",
      "2 should": "The device accepts any valid subset of its features.",
      "3 must":
        "The device leaves FEATURES_OK clear when it does not accept the features that the driver wrote.",
      "4 must-not":
        "The device does not offer features that it cannot serve, such as unspecified or reserved ones or those barred from its transport or type.",
      "5 should-not": "A set of features that was negotiated once is not refused after a reset.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "features-driver",
    role: "driver",
    title: "Feature Bits",
    label: `drivernormative:${FEATURE_BITS}`,
    rules: {
      "1 must-not": "The driver does not accept a feature that was not offered.",
      "2 must-not":
        "The driver does not accept a feature without accepting the feature it requires.",
      "3 must": "The driver checks the features that the device offers.",
      "4 must":
        "The driver disregards an offered feature that is unspecified, reserved, or not for its transport or device type.",
      "5 must-not":
        "The driver does not accept a feature that is unspecified, reserved, or not for its transport or device type.",
      "6 should": "The driver does without a feature that the device does not offer.",
      "7 must":
        "The driver sets FAILED and gives up initialization when it cannot do without a feature that is not offered.",
      "8 must-not":
        "The driver does not fail only because the device offers a feature it does not know.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "reserved-features-device",
    role: "device",
    title: "Reserved Feature Bits",
    label: `devicenormative:${RESERVED}`,
    rules: {
      "1 must": "The device offers VIRTIO_F_VERSION_1.",
      "2 may": "The device may refuse to go on when VIRTIO_F_VERSION_1 is not accepted.",
      "3 should":
        "The device offers VIRTIO_F_ACCESS_PLATFORM when its access to memory is translated or limited.",
      "4 may": "The device may refuse to go on when VIRTIO_F_ACCESS_PLATFORM is not accepted.",
      "5 must":
        "With VIRTIO_F_IN_ORDER the device uses buffers in the order in which they were made available.",
      "6 may":
        "The device may refuse to go on when VIRTIO_F_ORDER_PLATFORM is offered, not accepted.",
      "7 should sr-iov": "A PCI device with an SR-IOV capability structure offers VIRTIO_F_SR_IOV.",
      "8 must-not sr-iov":
        "A device that is not on PCI or lacks an SR-IOV capability structure does not offer VIRTIO_F_SR_IOV.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "reserved-features-driver",
    role: "driver",
    title: "Reserved Feature Bits",
    label: `drivernormative:${RESERVED}`,
    rules: {
      "1 must": "The driver accepts VIRTIO_F_VERSION_1 when it is offered.",
      "2 may": "The driver may refuse to go on when VIRTIO_F_VERSION_1 is not offered.",
      "3 should": "The driver accepts VIRTIO_F_ACCESS_PLATFORM when it is offered.",
      "4 must":
        "A driver that accepts VIRTIO_F_ACCESS_PLATFORM hands the device addresses that the platform translates, or turns translation off.",
      "5 must":
        "The driver hands the device physical addresses when VIRTIO_F_ACCESS_PLATFORM is not offered.",
      "6 should": "The driver accepts VIRTIO_F_RING_PACKED when it is offered.",
      "7 should": "The driver accepts VIRTIO_F_ORDER_PLATFORM when it is offered.",
      "8 must": "With VIRTIO_F_ORDER_PLATFORM the driver uses barriers fit for hardware devices.",
      "9 may sr-iov":
        "With VIRTIO_F_SR_IOV negotiated the driver may bring up virtual functions by way of the SR-IOV capability.",
      "10 must-not sr-iov":
        "The driver does not negotiate VIRTIO_F_SR_IOV on a device that is not on PCI or lacks an SR-IOV capability.",
      "11 must sr-iov":
        "The driver completes the negotiation of VIRTIO_F_SR_IOV, FEATURES_OK included, before it enables virtual functions.",
      "12 may sr-iov":
        "A driver that negotiated VIRTIO_F_SR_IOV once may enable virtual functions also after a reset, without negotiating again.",
      "13 should": "The driver accepts VIRTIO_F_NOTIF_CONFIG_DATA when it is offered.",
    },
  }),
] as const;
