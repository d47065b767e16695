/**
 * Clauses that the specification does not have: the reference layouts of admin_queue_index on MMIO
 * and channel I/O, and the private groups, commands and formats of this project. Their labels begin
 * with `extension:` and name no section that was ever ratified.
 */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = { scope: "extension" };
const PLATFORM: SectionContext = { scope: "extension", family: "platform-group" };
const MANAGEMENT: SectionContext = { scope: "extension", family: "management" };
const PROPOSAL: SectionContext = { scope: "extension", family: "proposal-v5" };
const TITLE = "Administration virtqueues";
const MMIO = "extension:Virtio Over MMIO / Administration virtqueues";
const CCW = "extension:Virtio over channel I/O / Administration virtqueues";
const PLATFORM_PATH = "extension:Device groups / Platform group";
const MANAGEMENT_PATH = "extension:Group administration commands / Management";
const PROPOSAL_PATH = "extension:Proposal v5";

/** Sections of the extensions; see {@link CLAUSE_SECTIONS}. */
export const EXTENSION_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "admin-transport",
    role: "transport",
    title: TITLE,
    label: "extension:Creating New Transports / Administration virtqueues",
    rules: {
      "1 must":
        "A transport that supports VIRTIO_F_ADMIN_VQ exposes the index of the first administration virtqueue and their number.",
      "2 must":
        "Administration commands are little-endian, whatever the byte order of the transport's own structures.",
      "3 must":
        "VIRTIO_F_ADMIN_VQ counts as negotiated from when FEATURES_OK is read back set, with the bit accepted, until reset.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "admin-unnegotiated-device",
    role: "device",
    title: "Administration virtqueues that were not negotiated",
    label: "extension:Administration virtqueues / Without VIRTIO_F_ADMIN_VQ",
    rules: {
      "1 must":
        "Without VIRTIO_F_ADMIN_VQ negotiated, the queue size of an administration virtqueue reads 0.",
      "2 must":
        "Without VIRTIO_F_ADMIN_VQ negotiated, enabling an administration virtqueue has no effect.",
      "3 must":
        "Without VIRTIO_F_ADMIN_VQ negotiated, notifying an administration virtqueue has no effect.",
      "4 must":
        "On PCI, without VIRTIO_F_ADMIN_VQ negotiated, admin_queue_index and admin_queue_num read 0.",
      "5 must":
        "A driver that does not know VIRTIO_F_ADMIN_VQ finds the device working as one that does not offer it.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "admin-life-device",
    role: "device",
    title: "Life of administration state",
    label: "extension:Administration virtqueues / Reset",
    rules: {
      "1 must":
        "Lists in use, driver capabilities and resource objects survive the reset of an administration virtqueue.",
      "2 must": "Lists in use, driver capabilities and resource objects end with a device reset.",
      "3 must-not":
        "A command that was in progress when its virtqueue or the device was reset or stopped does not write to guest memory afterwards.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "mmio-admin-device",
    role: "device",
    title: TITLE,
    label: MMIO,
    rules: {
      "1 may": "An MMIO device may offer VIRTIO_F_ADMIN_VQ.",
      "2 must": "AdminQueueIndex is a read-only 32-bit register at offset 0x0e0.",
      "3 must": "AdminQueueNum is a read-only 32-bit register at offset 0x0e4.",
      "4 must": "Bits 16 to 31 of AdminQueueIndex and AdminQueueNum read 0.",
      "5 must": "AdminQueueIndex and AdminQueueNum read 0 until VIRTIO_F_ADMIN_VQ is negotiated.",
      "6 must": "AdminQueueIndex and AdminQueueNum read 0 again after a reset.",
      "7 must":
        "AdminQueueIndex is greater than the index of any other virtqueue the device can have under any features it offers.",
      "8 must":
        "AdminQueueNum is 1 to 0x10000 - AdminQueueIndex once VIRTIO_F_ADMIN_VQ is negotiated.",
      "9 must":
        "AdminQueueIndex and AdminQueueNum do not change from negotiation to the next reset.",
      "10 must": "Writes to AdminQueueIndex and AdminQueueNum have no effect.",
      "11 must":
        "QueueSel and the registers it governs work on administration virtqueues as on any other.",
      "12 must": "A used buffer in an administration virtqueue sets bit 0 of InterruptStatus.",
      "13 must":
        "ConfigGeneration does not depend on AdminQueueIndex and AdminQueueNum or on what administration virtqueues do.",
      "14 must":
        "QueueReady 0, and QueueReset where negotiated, stops one administration virtqueue alone.",
      "15 must-not": "An MMIO device never answers commands of the SR-IOV group type with success.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "mmio-admin-driver",
    role: "driver",
    title: TITLE,
    label: MMIO,
    rules: {
      "1 must-not":
        "The driver does not read AdminQueueIndex or AdminQueueNum before VIRTIO_F_ADMIN_VQ is negotiated.",
      "2 must": "The driver disregards bits 16 to 31 of AdminQueueIndex and AdminQueueNum.",
      "3 must": "The driver takes an AdminQueueNum of 0 as none and goes on without them.",
      "4 must":
        "The driver sets up administration virtqueues only at AdminQueueIndex to AdminQueueIndex + AdminQueueNum - 1.",
      "5 may": "The driver may set up fewer administration virtqueues than AdminQueueNum.",
      "6 must":
        "The driver takes bit 0 of InterruptStatus as a notification for its administration virtqueues too.",
      "7 must":
        "The driver works without administration virtqueues on an MMIO device that does not offer VIRTIO_F_ADMIN_VQ.",
      "8 must-not": "The driver does not write AdminQueueIndex or AdminQueueNum.",
      "9 must":
        "The driver treats AdminQueueIndex and AdminQueueNum that reach past index 0xffff as a device failure.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-admin-device",
    role: "device",
    title: TITLE,
    label: CCW,
    rules: {
      "1 must": "READ_ADMIN_VQ is the read-type channel command 0x92.",
      "2 must":
        "READ_ADMIN_VQ stores 4 bytes at revision 3: admin_queue_index and admin_queue_num, 16 bits each, big-endian.",
      "3 must": "Revision 3 includes what revision 2 has, and its length is 0.",
      "4 must": "READ_ADMIN_VQ ends in command reject while a revision below 3 is selected.",
      "5 must": "READ_ADMIN_VQ ends in command reject before a revision is selected.",
      "6 must":
        "At revision 3 and above, READ_ADMIN_VQ stores zeros until VIRTIO_F_ADMIN_VQ is negotiated.",
      "7 must-not":
        "The device does not offer VIRTIO_F_ADMIN_VQ while a revision below 3 is selected.",
      "8 must":
        "READ_ADMIN_VQ follows the length rules of all commands, with length checks suppressed and not.",
      "9 must":
        "The index is greater than that of any other virtqueue the device can have under any features it offers.",
      "10 must": "The number is 1 to 0x10000 - admin_queue_index once the feature is negotiated.",
      "11 must": "Index and number do not change from negotiation to the next reset.",
      "12 must": "The device places administration virtqueues directly after its other virtqueues.",
      "13 must":
        "READ_VQ_CONF, SET_VQ and DIAGNOSE 0x500 work on administration virtqueues as on any other.",
      "14 must":
        "SET_VQ of an administration virtqueue ends in command reject while VIRTIO_F_ADMIN_VQ is not negotiated.",
      "15 must":
        "Administration virtqueue i uses indicator bit i after SET_IND and bit bit_nr + i after SET_IND_ADAPTER.",
      "16 must-not":
        "The device does not set the indicator bit of a queue that SET_VQ has not set up.",
      "17 must": "SET_IND ends in command reject while a queue with an index above 63 is set up.",
      "18 must": "After SET_IND, SET_VQ of a queue with an index above 63 ends in command reject.",
      "19 must": "VDEV_RESET ends administration state and leaves the selected revision as it is.",
      "20 must": "Disabling the subchannel unsets the revision and so closes READ_ADMIN_VQ.",
      "21 must-not":
        "The device does not offer VIRTIO_F_RING_RESET, so that no administration virtqueue is reset alone.",
      "22 must-not":
        "A channel I/O device never answers commands of the SR-IOV group type with success.",
      "23 must": "READ_VQ_CONF returns size 0 for a virtqueue that is not available.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "ccw-admin-driver",
    role: "driver",
    title: TITLE,
    label: CCW,
    rules: {
      "1 should": "The driver tries revision 3 first, then 2 and below.",
      "2 must-not": "The driver does not issue READ_ADMIN_VQ below revision 3.",
      "3 must-not":
        "The driver does not issue READ_ADMIN_VQ before VIRTIO_F_ADMIN_VQ is negotiated with FEATURES_OK read back.",
      "4 must-not":
        "The driver does not accept VIRTIO_F_ADMIN_VQ below revision 3, even if it is offered.",
      "5 must": "The driver takes an admin_queue_num of 0 as none and goes on without them.",
      "6 must":
        "The driver sets up administration virtqueues only at admin_queue_index and the admin_queue_num - 1 indexes behind it.",
      "7 may": "The driver may set up fewer administration virtqueues than admin_queue_num.",
      "8 must-not": "With SET_IND the driver sets up no queue with an index above 63.",
      "9 must":
        "With SET_IND_ADAPTER the driver provides indicator bits up to the highest index it sets up.",
      "10 must":
        "The driver works without administration virtqueues on a device that rejects revision 3.",
      "11 must":
        "The driver treats an index and a number that reach past index 0xffff as a device failure.",
      "12 must": "The driver reads the big-endian answer of READ_ADMIN_VQ as such.",
    },
  }),
  defineSection(PLATFORM, {
    slug: "platform-group-device",
    role: "device",
    title: "Platform group",
    label: PLATFORM_PATH,
    rules: {
      "1 must-not": "A device has no platform group unless its maker asked for one.",
      "2 must": "The platform group has type 0xff00 and works on any transport.",
      "3 must": "The members of a platform group are those its maker named, by the ids given.",
      "4 must":
        "A member id the platform group does not have fails with EINVAL and INVALID_MEMBER.",
      "5 must": "LIST_QUERY of the platform group reports the lists and management commands only.",
      "6 must": "Type 0xff00 fails with EINVAL and INVALID_GROUP where there is no platform group.",
    },
  }),
  defineSection(PLATFORM, {
    slug: "platform-group-driver",
    role: "driver",
    title: "Platform group",
    label: PLATFORM_PATH,
    rules: {
      "1 must-not": "The driver does not use the platform group unless its caller asked for it.",
    },
  }),
  defineSection(MANAGEMENT, {
    slug: "management-device",
    role: "device",
    title: "Management commands",
    label: MANAGEMENT_PATH,
    rules: {
      "1 must-not":
        "LIST_QUERY reports no management commands unless the device's maker asked for them.",
      "2 must":
        "The answer to LIST_QUERY has at least 5 words when management commands are supported.",
      "3 must": "MGMT_ATTRS_GET does not use group_member_id.",
      "4 must":
        "FEATURES_SET replaces exactly the masked bits by those of value, so that a short command changes only what it names.",
      "5 must":
        "FEATURES_SET with a mask bit that is not settable fails with EINVAL and INVALID_FIELD.",
      "6 must":
        "FEATURES_SET with a value bit outside its mask fails with EINVAL and INVALID_FIELD.",
      "7 must":
        "FEATURES_SET that would leave a feature without the one it requires fails with EINVAL and INVALID_FIELD.",
      "8 must-not": "VIRTIO_F_VERSION_1 is never settable.",
      "9 must":
        "MSIX_COUNT_SET outside 1 to 2048, or outside the reported minimum and maximum, fails with EINVAL and INVALID_FIELD.",
      "10 must": "MSIX_COUNT_SET that the pool cannot serve fails with ENOSPC and NORESOURCE.",
      "11 must": "The MSI-X commands are reported only for groups whose members have MSI-X.",
      "12 must": "Table Size of a member reads one less than the vectors that were set.",
      "13 must":
        "A setting command fails with EBUSY and INVALID_COMMAND while the member's status is not 0 or its MSI-X is enabled.",
      "14 must": "What was set survives the member's reset, its FLR and the owner's reset.",
      "15 must sr-iov": "Clearing VF Enable returns the members to their defaults.",
      "16 must-not": "A setting command that fails changes nothing.",
    },
  }),
  defineSection(MANAGEMENT, {
    slug: "management-driver",
    role: "driver",
    title: "Management commands",
    label: MANAGEMENT_PATH,
    rules: {
      "1 must":
        "The driver supplies 64 bytes of opcodes to LIST_QUERY and asks again if all are filled.",
      "2 must": "The driver sets group_member_id of MGMT_ATTRS_GET to 0.",
    },
  }),
  defineSection(PROPOSAL, {
    slug: "proposal-v5-device",
    role: "device",
    title: "Proposal v5",
    label: PROPOSAL_PATH,
    rules: {
      "1 must": "A device speaks the one dialect that it was made with.",
      "2 must":
        "On PCI the device presents a miscellaneous configuration capability, type 10, that holds admin_queue_index.",
      "3 must": "On MMIO and channel I/O the number of administration virtqueues reads 1.",
      "4 must": "The owner is a member of its group, under id 0.",
      "5 must":
        "A command that CAPS_ACCEPT has not accepted is answered as unsupported, CAPS_IDENTIFY and CAPS_ACCEPT excepted.",
    },
  }),
  defineSection(PROPOSAL, {
    slug: "proposal-v5-driver",
    role: "driver",
    title: "Proposal v5",
    label: PROPOSAL_PATH,
    rules: {
      "1 must": "On PCI the driver recognizes the dialect by capability type 10.",
      "2 must": "On MMIO and channel I/O the driver speaks the dialect that it was told.",
      "3 must": "The driver accepts only commands that CAPS_IDENTIFY reported.",
    },
  }),
] as const;
