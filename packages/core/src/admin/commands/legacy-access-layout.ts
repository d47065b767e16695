/**
 * The wire format of the legacy access commands: payloads, little-endian whatever the guest's byte
 * order, and the declarations of the commands.
 */
import { LEGACY_NOTIFY_PLACES_MAX } from "../../group/legacy-access.ts";
import { SR_IOV_GROUP } from "../../group/sr-iov.ts";
import { struct } from "../../layout/index.ts";
import { CONFIG_SPACE_LIMIT } from "../../transport/types.ts";
import type { AdminCommand } from "../types.ts";

const CITE =
  "Basic Facilities of a Virtio Device / Device groups / Group administration commands / Legacy Interface";

const OFFSET = {
  offset: 0,
  type: "u8",
  doc: "The first byte that is accessed, in the common or in the device-specific configuration.",
} as const;

/**
 * The data of LEGACY_COMMON_CFG_WRITE and LEGACY_DEV_CFG_WRITE: 8 bytes, and what is written. The text
 * has a structure for each command (`virtio_admin_cmd_legacy_dev_reg_wr_data` for the second), with
 * the same fields at the same places; this one serves both, under the name of the first.
 */
export const LEGACY_WRITE_DATA = struct(
  "virtio_admin_cmd_legacy_common_cfg_wr_data",
  {
    cite: CITE,
    linux: "virtio_admin_cmd_legacy_wr_data",
    doc: "Where a legacy register is written, and with what.",
  },
  {
    offset: OFFSET,
    reserved: { offset: 1, type: "u8", count: 7, doc: "Reserved; the device ignores it." },
    data: { offset: 8, type: "u8", count: "rest", doc: "The bytes to write, of one field." },
  },
);

/**
 * The data of LEGACY_COMMON_CFG_READ and LEGACY_DEV_CFG_READ, 1 byte. Of the second command the text
 * says once that its data has this structure, and shows another of the same form
 * (`virtio_admin_cmd_legacy_dev_cfg_rd_data`).
 */
export const LEGACY_READ_DATA = struct(
  "virtio_admin_cmd_legacy_common_cfg_rd_data",
  { cite: CITE, linux: "virtio_admin_cmd_legacy_rd_data", doc: "Where a legacy register is read." },
  { offset: OFFSET },
);

/**
 * The result of LEGACY_COMMON_CFG_READ and LEGACY_DEV_CFG_READ: as many bytes as were asked for, which
 * is as many as there is room for. Of two structures alike this has the name of the first, as the
 * layouts of the data have.
 */
export const LEGACY_READ_RESULT = struct(
  "virtio_admin_cmd_legacy_common_cfg_rd_result",
  { cite: CITE, doc: "What was read of a legacy register." },
  { data: { offset: 0, type: "u8", count: "rest", doc: "The bytes, of one field." } },
);

/** One entry of LEGACY_NOTIFY_INFO, 16 bytes. */
export const LEGACY_NOTIFY_ENTRY = struct(
  "virtio_pci_legacy_notify_info",
  {
    cite: CITE,
    linux: "virtio_admin_cmd_notify_info_data",
    doc: "A place where a write of a queue's index notifies a member.",
  },
  {
    flags: { offset: 0, type: "u8", doc: "Whose BAR it is; 0 ends the list." },
    bar: { offset: 1, type: "u8", doc: "The BAR, 1 to 5." },
    padding: { offset: 2, type: "u8", count: 6, doc: "The device writes 0." },
    offset: { offset: 8, type: "le64", doc: "Where in the BAR; a multiple of 2." },
  },
);

/** The values of `flags`; all others are reserved. */
export const LEGACY_NOTIFY_FLAGS = {
  /** This entry and all after it are none. */
  end: 0,
  /** A BAR of the owner. */
  owner: 1,
  /** A BAR of the member. */
  member: 2,
} as const;

/** How many entries LEGACY_NOTIFY_INFO returns, the end of the list included. */
export const LEGACY_NOTIFY_ENTRIES: number = LEGACY_NOTIFY_PLACES_MAX + 1;

/** The result of LEGACY_NOTIFY_INFO, 64 bytes: 4 entries, each a {@link LEGACY_NOTIFY_ENTRY}. */
export const LEGACY_NOTIFY_INFO_RESULT = struct(
  "virtio_admin_cmd_legacy_notify_info_result",
  {
    cite: CITE,
    linux: "virtio_admin_cmd_notify_info_result",
    doc: "Where a member that a legacy driver uses is notified.",
  },
  {
    entries: {
      offset: 0,
      type: "u8",
      count: LEGACY_NOTIFY_ENTRIES * LEGACY_NOTIFY_ENTRY.size,
      doc: "The entries, one after the other; layouts do not nest.",
    },
  },
);

const GROUPS = [SR_IOV_GROUP.id] as const;

const none = { min: 0, max: 0 };
const offsetOnly = { min: LEGACY_READ_DATA.size, max: LEGACY_READ_DATA.size };
const written = {
  min: LEGACY_WRITE_DATA.fields.data.offset,
  max: LEGACY_WRITE_DATA.fields.data.offset + CONFIG_SPACE_LIMIT,
};
const read = { min: 0, max: CONFIG_SPACE_LIMIT };

/** Writes a field of a member's legacy common configuration. */
export const LEGACY_COMMON_CFG_WRITE: AdminCommand = {
  opcode: 0x0002,
  name: "LEGACY_COMMON_CFG_WRITE",
  groups: GROUPS,
  usesMember: true,
  data: written,
  result: none,
  layouts: { data: LEGACY_WRITE_DATA },
  clauses: [
    "legacy-access-device-1",
    "legacy-access-device-2",
    "legacy-access-device-3",
    "legacy-access-device-4",
    "legacy-access-device-7",
  ],
  doc: "Writes a field of a member's legacy common configuration.",
  cite: CITE,
};

/** Reads a field of a member's legacy common configuration. */
export const LEGACY_COMMON_CFG_READ: AdminCommand = {
  opcode: 0x0003,
  name: "LEGACY_COMMON_CFG_READ",
  groups: GROUPS,
  usesMember: true,
  data: offsetOnly,
  result: read,
  layouts: { data: LEGACY_READ_DATA, result: LEGACY_READ_RESULT },
  clauses: [
    "legacy-access-device-1",
    "legacy-access-device-2",
    "legacy-access-device-3",
    "legacy-access-device-4",
    "legacy-access-device-8",
  ],
  doc: "Reads a field of a member's legacy common configuration.",
  cite: CITE,
};

/** Writes a field of a member's device-specific configuration. */
export const LEGACY_DEV_CFG_WRITE: AdminCommand = {
  opcode: 0x0004,
  name: "LEGACY_DEV_CFG_WRITE",
  groups: GROUPS,
  usesMember: true,
  data: written,
  result: none,
  layouts: { data: LEGACY_WRITE_DATA },
  clauses: [
    "legacy-access-device-1",
    "legacy-access-device-2",
    "legacy-access-device-5",
    "legacy-access-device-6",
    "legacy-access-device-9",
  ],
  doc: "Writes a field of a member's device-specific configuration, as a legacy driver does.",
  cite: CITE,
};

/** Reads a field of a member's device-specific configuration. */
export const LEGACY_DEV_CFG_READ: AdminCommand = {
  opcode: 0x0005,
  name: "LEGACY_DEV_CFG_READ",
  groups: GROUPS,
  usesMember: true,
  data: offsetOnly,
  result: read,
  layouts: { data: LEGACY_READ_DATA, result: LEGACY_READ_RESULT },
  clauses: [
    "legacy-access-device-1",
    "legacy-access-device-2",
    "legacy-access-device-5",
    "legacy-access-device-6",
    "legacy-access-device-10",
  ],
  doc: "Reads a field of a member's device-specific configuration, as a legacy driver does.",
  cite: CITE,
};

/** Tells where a member is notified that a legacy driver uses. */
export const LEGACY_NOTIFY_INFO: AdminCommand = {
  opcode: 0x0006,
  name: "LEGACY_NOTIFY_INFO",
  groups: GROUPS,
  usesMember: true,
  data: none,
  result: { min: LEGACY_NOTIFY_INFO_RESULT.size, max: LEGACY_NOTIFY_INFO_RESULT.size },
  layouts: { result: LEGACY_NOTIFY_INFO_RESULT },
  clauses: [
    "legacy-access-device-13",
    "legacy-access-device-14",
    "legacy-access-device-15",
    "legacy-access-device-16",
    "legacy-access-device-17",
    "legacy-access-device-18",
    "legacy-access-device-19",
  ],
  doc: "Tells where a member is notified that a legacy driver uses.",
  cite: CITE,
};
