/** Clauses of the group administration commands every owner device has: format, lists, groups. */
import { defineSection, type SectionContext } from "./section.ts";

const CONTEXT: SectionContext = { scope: "admin", file: "admin.tex" };
const GROUPS = "Basic Facilities of a Virtio Device / Device groups";
const COMMANDS = `${GROUPS} / Group administration commands`;
const TITLE = "Group administration commands";

/** Sections of the base commands; see {@link CLAUSE_SECTIONS}. */
export const ADMIN_COMMAND_SECTIONS = [
  defineSection(CONTEXT, {
    slug: "group",
    role: "device",
    title: "Device groups",
    label: `sec:${GROUPS}`,
    rules: {
      "1 must": "An owner controls at most one group of each group type.",
      "2 must": "The Self group (type 0x0) has exactly one member, the owner, under member id 0x0.",
      "3 must sr-iov":
        "The members of the SR-IOV group (type 0x1) are the owner's virtual functions, numbered from 1 to NumVFs.",
      "4 must-not sr-iov":
        "The physical function that owns an SR-IOV group is no member of it, not even under id 0.",
      "5 must sr-iov":
        "The SR-IOV group exists exactly as long as VF Enable is set in the owner's SR-IOV capability.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "admin-format",
    role: "device",
    title: TITLE,
    label: `sec:${COMMANDS}`,
    rules: {
      "1 must":
        "The readable part is opcode (le16 at 0), group_type (le16 at 2), twelve reserved bytes, group_member_id (le64 at 16) and the command's data from byte 24, little-endian on every transport.",
      "2 must":
        "The writable part is status (le16 at 0), status_qualifier (le16 at 2), four reserved bytes and the command's result from byte 8, little-endian on every transport.",
      "3 must": "With status OK the device writes 0 to status_qualifier.",
      "4 must": "The device disregards readable fields that a command does not use.",
      "5 must": "The device zeroes writable fields that a command does not use.",
      "6 must":
        "In a list of opcodes, bit n of the 64-bit little-endian word w stands for opcode 64 * w + n.",
      "7 must": "The answer to LIST_QUERY always has the bits of LIST_QUERY and LIST_USE set.",
      "8 must":
        "The answer to LIST_QUERY is long enough to hold the bit of every supported opcode.",
      "9 may": "A list of opcodes may be longer than needed, filled up with zero words.",
      "10 must": "LIST_QUERY and LIST_USE do not use group_member_id, whatever its value.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "admin-format-driver",
    role: "driver",
    title: TITLE,
    label: `sec:${COMMANDS}`,
    rules: {
      "1 must": "The driver zeroes readable fields that a command does not use.",
      "2 must": "The driver disregards writable fields that a command does not use.",
      "3 must":
        "For LIST_QUERY and LIST_USE, which use no member id, the driver sets group_member_id to 0.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "admin-cmd-device",
    role: "device",
    title: TITLE,
    label: `devicenormative:${COMMANDS}`,
    rules: {
      "1 must":
        "An invalid or unsupported opcode, group_type or group_member_id fails the command with status EINVAL and a qualifier that says which.",
      "2 must":
        "An invalid group_type is reported as INVALID_GROUP before opcode and member id are looked at.",
      "3 must":
        "An invalid opcode in a valid group is reported as INVALID_OPCODE before the member id is looked at.",
      "4 must":
        "An invalid group_member_id, with group and opcode valid, is reported as INVALID_MEMBER when the command uses a member id.",
      "5 must": "A command that succeeds completes with status OK.",
      "6 must": "A command that fails completes with a status other than OK.",
      "7 must-not": "A command that completes with EINVAL does not change the device's state.",
      "8 must-not":
        "A command that completes with EINVAL has no side effect on owner, members, queues or lists.",
      "9 must-not":
        "A command that completes with EINVAL does not put the device into an error state.",
      "10 should-not":
        "A command that fails with any other status leaves the device's state as it was.",
      "11 may":
        "The device may refuse a LIST_USE whose opcodes violate its dependencies, with EINVAL and INVALID_FIELD.",
      "12 must":
        "The commands of one group type work independently of those of another: a list used for one has no effect on the other.",
      "13 may": "LIST_QUERY may answer differently for different group types.",
      "14 must":
        "After reset, until LIST_USE succeeds for a supported group type, LIST_QUERY and LIST_USE are the only legal commands of that type.",
      "15 must":
        "A successful LIST_USE replaces the list of legal commands by the one it carries, also where that is smaller.",
      "16 must": "The device checks each command against the list in use for its group type.",
      "17 must":
        "A command outside the list in use fails with EINVAL and INVALID_OPCODE, also if the device supports it.",
      "18 must-not": "The list of supported commands of a group type never shrinks.",
      "19 must-not":
        "A command that LIST_QUERY once reported as supported is never reported as unsupported later.",
      "20 may": "The list of supported commands of a group type may grow.",
      "21 should": "A LIST_USE that succeeded before succeeds with the same list after a reset.",
      "22 must-not":
        "A LIST_USE after reset with a list that was accepted before does not fail only because of that list.",
      "23 must sr-iov":
        "Commands of the SR-IOV type fail with EINVAL and INVALID_GROUP while the owner has no SR-IOV capability or VF Enable is clear.",
      "24 must sr-iov":
        "With VF Enable set, a command of the SR-IOV type that uses a member id outside 1 to NumVFs fails with EINVAL and INVALID_MEMBER.",
    },
  }),
  defineSection(CONTEXT, {
    slug: "admin-cmd-driver",
    role: "driver",
    title: TITLE,
    label: `drivernormative:${COMMANDS}`,
    rules: {
      "1 may":
        "The driver may find out whether a group type is supported by sending it a LIST_QUERY.",
      "2 must":
        "The driver waits for a LIST_USE that completed with OK before it issues anything but the first LIST_QUERY and LIST_USE.",
      "3 may": "The driver may issue LIST_USE any number of times.",
      "4 must-not":
        "The driver does not issue LIST_USE while another command is still outstanding.",
      "5 should-not": "The driver does not ask to use an opcode that it does not know how to use.",
      "6 must-not":
        "The driver does not ask to use an opcode that LIST_QUERY has not reported for the same group type.",
      "7 must-not":
        "The driver does not use a command in a group type before a LIST_USE for that type has named it.",
      "8 may":
        "The driver may lock the lists by a LIST_USE that clears the bits of LIST_QUERY and LIST_USE.",
      "9 must": "The driver treats a reserved status of a failed command as it treats EINVAL.",
      "10 must":
        "The driver treats a reserved status_qualifier of a failed command as it treats INVALID_COMMAND.",
      "11 must sr-iov":
        "The driver addresses members of the SR-IOV group by ids from 1 to NumVFs only.",
      "12 must sr-iov":
        "The driver keeps VF Enable set while a command of the SR-IOV type is outstanding.",
      "13 must sr-iov":
        "The driver keeps VF Migration Capable clear while a command of the SR-IOV type is outstanding.",
    },
  }),
] as const;
