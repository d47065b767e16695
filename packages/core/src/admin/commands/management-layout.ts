/**
 * The wire format of the management commands: payloads, little-endian on every transport, and the
 * declarations of the commands.
 */
import { FeatureSet } from "../../device/features.ts";
import { PLATFORM_GROUP } from "../../group/platform.ts";
import { SR_IOV_GROUP } from "../../group/sr-iov.ts";
import { struct, type WideAccessor } from "../../layout/index.ts";
import type { AdminCommand } from "../types.ts";

const CITE = "this project: management commands";

/** The result of MGMT_ATTRS_GET, 40 bytes. */
export const MGMT_ATTRS_RESULT = struct(
  "virtio_admin_cmd_mgmt_attrs_get_result",
  { cite: CITE, doc: "What the owner can manage in a group." },
  {
    attrs: {
      offset: 0,
      type: "le64",
      doc: "What can be managed; other bits are reserved.",
      bits: {
        msix: { at: 0, doc: "The members have MSI-X: the fields of the pool count." },
        features: { at: 1, doc: "The features that members offer can be switched." },
      },
    },
    msix_total: { offset: 8, type: "le32", doc: "The vectors of all members together." },
    msix_free: { offset: 12, type: "le32", doc: "Those of them that no member has." },
    msix_min: { offset: 16, type: "le16", doc: "The fewest vectors of one member." },
    msix_max: { offset: 18, type: "le16", doc: "The most vectors of one member." },
    reserved: { offset: 20, type: "u8", count: 4, doc: "Reserved; the device writes 0." },
    settable: {
      offset: 24,
      type: "le64",
      count: 2,
      doc: "The features that can be switched on some member: bits 0 to 63, and 64 to 127.",
    },
  },
);

/** The result of MSIX_COUNT_GET, 8 bytes. */
export const MSIX_COUNT_RESULT = struct(
  "virtio_admin_cmd_msix_count_get_result",
  { cite: CITE, doc: "How many MSI-X vectors a member has." },
  {
    vectors: { offset: 0, type: "le16", doc: "The vectors that the member has now." },
    default: { offset: 2, type: "le16", doc: "The vectors that it has unless they are set." },
    reserved: { offset: 4, type: "u8", count: 4, doc: "Reserved; the device writes 0." },
  },
);

/** The data of MSIX_COUNT_SET, 8 bytes. */
export const MSIX_COUNT_DATA = struct(
  "virtio_admin_cmd_msix_count_set_data",
  { cite: CITE, doc: "How many MSI-X vectors a member is to have." },
  {
    vectors: { offset: 0, type: "le16", doc: "The vectors, 1 to 2048." },
    reserved: { offset: 2, type: "u8", count: 6, doc: "Reserved; the device ignores it." },
  },
);

/** The result of FEATURES_GET, 32 bytes. */
export const FEATURES_RESULT = struct(
  "virtio_admin_cmd_features_get_result",
  { cite: CITE, doc: "Which features a member offers, and which ones can be switched." },
  {
    offered_low: { offset: 0, type: "le64", doc: "What it offers of the features 0 to 63." },
    settable_low: { offset: 8, type: "le64", doc: "What can be switched of the same." },
    offered_high: { offset: 16, type: "le64", doc: "What it offers of the features 64 to 127." },
    settable_high: { offset: 24, type: "le64", doc: "What can be switched of the same." },
  },
);

/** The data of FEATURES_SET, 32 bytes. */
export const FEATURES_DATA = struct(
  "virtio_admin_cmd_features_set_data",
  { cite: CITE, doc: "Which features of a member to switch, and how." },
  {
    mask_low: { offset: 0, type: "le64", doc: "Which of the features 0 to 63 to switch." },
    value_low: { offset: 8, type: "le64", doc: "Which of these to switch on." },
    mask_high: { offset: 16, type: "le64", doc: "Which of the features 64 to 127 to switch." },
    value_high: { offset: 24, type: "le64", doc: "Which of these to switch on." },
  },
);

/** Reads the feature set that two le64 fields of the structure at the start of `view` hold. */
export function readFeatures(low: WideAccessor, high: WideAccessor, view: DataView): FeatureSet {
  return FeatureSet.fromWords([
    low.getLow(view, 0),
    low.getHigh(view, 0),
    high.getLow(view, 0),
    high.getHigh(view, 0),
  ]);
}

/** Writes a feature set into two le64 fields of the structure at the start of `view`. */
export function writeFeatures(
  low: WideAccessor,
  high: WideAccessor,
  view: DataView,
  features: FeatureSet,
): void {
  low.setLow(view, 0, features.word(0));
  low.setHigh(view, 0, features.word(1));
  high.setLow(view, 0, features.word(2));
  high.setHigh(view, 0, features.word(3));
}

const GROUPS = [SR_IOV_GROUP.id, PLATFORM_GROUP.id] as const;

const none = { min: 0, max: 0 };
const exactly = ({ size }: { readonly size: number }) => ({ min: size, max: size });

/** Reports what the owner can manage in a group. It uses no member id. */
export const MGMT_ATTRS_GET: AdminCommand = {
  opcode: 0x0100,
  name: "MGMT_ATTRS_GET",
  groups: GROUPS,
  usesMember: false,
  data: none,
  result: exactly(MGMT_ATTRS_RESULT),
  layouts: { result: MGMT_ATTRS_RESULT },
  clauses: ["management-device-3", "management-driver-2"],
  doc: "Reports what the owner can manage in a group.",
  cite: CITE,
};

/** Reports how many MSI-X vectors a member has. */
export const MSIX_COUNT_GET: AdminCommand = {
  opcode: 0x0101,
  name: "MSIX_COUNT_GET",
  groups: GROUPS,
  usesMember: true,
  data: none,
  result: exactly(MSIX_COUNT_RESULT),
  layouts: { result: MSIX_COUNT_RESULT },
  clauses: ["management-device-11"],
  doc: "Reports how many MSI-X vectors a member has.",
  cite: CITE,
};

/** Sets how many MSI-X vectors a member has. */
export const MSIX_COUNT_SET: AdminCommand = {
  opcode: 0x0102,
  name: "MSIX_COUNT_SET",
  groups: GROUPS,
  usesMember: true,
  data: exactly(MSIX_COUNT_DATA),
  result: none,
  layouts: { data: MSIX_COUNT_DATA },
  clauses: [
    "management-device-9",
    "management-device-10",
    "management-device-11",
    "management-device-12",
  ],
  doc: "Sets how many MSI-X vectors a member has.",
  cite: CITE,
};

/** Reports the features that a member offers, and which ones can be switched. */
export const FEATURES_GET: AdminCommand = {
  opcode: 0x0103,
  name: "FEATURES_GET",
  groups: GROUPS,
  usesMember: true,
  data: none,
  result: exactly(FEATURES_RESULT),
  layouts: { result: FEATURES_RESULT },
  clauses: [],
  doc: "Reports the features that a member offers, and which ones can be switched.",
  cite: CITE,
};

/** Switches features that a member offers on and off. */
export const FEATURES_SET: AdminCommand = {
  opcode: 0x0104,
  name: "FEATURES_SET",
  groups: GROUPS,
  usesMember: true,
  data: exactly(FEATURES_DATA),
  result: none,
  layouts: { data: FEATURES_DATA },
  clauses: [
    "management-device-4",
    "management-device-5",
    "management-device-6",
    "management-device-7",
    "management-device-8",
  ],
  doc: "Switches features that a member offers on and off.",
  cite: CITE,
};

/** The management commands; a dialect has them under numbers of its own, in this order. */
export type ManagementCommands = Readonly<
  Record<"attrsGet" | "msixCountGet" | "msixCountSet" | "featuresGet" | "featuresSet", AdminCommand>
>;

/** The management commands as virtio-1.4 numbers them. */
export const MANAGEMENT_COMMANDS: ManagementCommands = {
  attrsGet: MGMT_ATTRS_GET,
  msixCountGet: MSIX_COUNT_GET,
  msixCountSet: MSIX_COUNT_SET,
  featuresGet: FEATURES_GET,
  featuresSet: FEATURES_SET,
};
