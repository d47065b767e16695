/**
 * Every structure of the administration commands, value and bytes, as the text lays it out; those of
 * proposal-v5 and of the management commands as this project does.
 *
 * That bytes which are cut off are refused is the rule of the codecs here. The text has another for
 * data that is shorter than its structure: what is missing is zero. Hence each of those bytes has
 * its reading with `zeroExtend` too.
 */
import * as admin from "../../src/admin/index.ts";
import * as device from "../../src/device/index.ts";
import { type AnyStructLayout, isLayout, type StructLayout } from "../../src/layout/index.ts";

type Values = Readonly<Record<string, unknown>>;

/** What it is, its layout, its fields, its bytes, and the clauses that this checks. */
export type LayoutVector = readonly [
  what: string,
  layout: StructLayout,
  values: Values,
  bytes: string,
  clauses?: readonly string[],
];

const LEGACY = ["legacy-access-device-2", "legacy-access-driver-1"];
const NO = (count: number) => new Array<number>(count).fill(0);
const OBJECT = { type: 0x0201, reserved: [0, 0], id: 0x12345678 };
/** The header of a device parts object, inside another structure. */
const PARTS_OBJECT = [0x01, 0x02, 0, 0, 0x78, 0x56, 0x34, 0x12];

const HEADERS: readonly LayoutVector[] = [
  [
    "a command to a member",
    admin.ADMIN_COMMAND_HEADER,
    {
      opcode: 0x0011,
      group_type: 0x0001,
      reserved1: NO(12),
      group_member_id: 0x0102030405060708n,
      command_specific_data: [1],
    },
    "1100 0100 000000000000000000000000 0807060504030201 01",
    ["admin-format-1"],
  ],
  [
    "a command without data",
    admin.ADMIN_COMMAND_HEADER,
    {
      opcode: 0xfffe,
      group_type: 0x8001,
      reserved1: NO(12),
      group_member_id: 0n,
      command_specific_data: [],
    },
    "feff 0180 000000000000000000000000 0000000000000000",
    ["admin-format-1"],
  ],
  [
    "success with a result",
    admin.ADMIN_RESPONSE_HEADER,
    { status: 0, status_qualifier: 0, reserved2: NO(4), command_specific_result: [7, 8] },
    "0000 0000 00000000 0708",
    ["admin-format-2"],
  ],
  [
    "EINVAL, INVALID_MEMBER",
    admin.ADMIN_RESPONSE_HEADER,
    { status: 22, status_qualifier: 5, reserved2: NO(4), command_specific_result: [] },
    "1600 0500 00000000",
    ["admin-format-2"],
  ],
  [
    "a status and a qualifier of two bytes each",
    admin.ADMIN_RESPONSE_HEADER,
    {
      status: 0x1234,
      status_qualifier: 0xabcd,
      reserved2: [1, 2, 3, 4],
      command_specific_result: [5],
    },
    "3412 cdab 01020304 05",
    ["admin-format-2"],
  ],
  [
    "a list of opcodes",
    admin.ADMIN_COMMAND_LIST,
    { device_admin_cmd_opcodes: [0x0003_fc03n, 1n] },
    "03fc030000000000 0100000000000000",
    ["admin-format-6"],
  ],
  [
    "a list without a word",
    admin.ADMIN_COMMAND_LIST,
    { device_admin_cmd_opcodes: [] },
    "",
    ["admin-format-6"],
  ],
  [
    "a command of proposal-v5",
    admin.PROPOSAL_V5_COMMAND_HEADER,
    {
      command: 0x0102,
      dst_type: 1,
      reserved: NO(4),
      dst_member_id: 0x0102030405060708n,
      command_specific_data: [9],
    },
    "0201 0100 00000000 0807060504030201 09",
  ],
  [
    "an answer of proposal-v5",
    admin.PROPOSAL_V5_ANSWER_HEADER,
    { status: 1, command_specific_error: 16, reserved: NO(6), command_specific_result: [] },
    "01 10 000000000000",
  ],
  ["a list of proposal-v5", admin.PROPOSAL_V5_CAPS, { commands: [0x7fn] }, "7f00000000000000"],
];

const LEGACY_ACCESS: readonly LayoutVector[] = [
  ["where to read", admin.LEGACY_READ_DATA, { offset: 0x13 }, "13", LEGACY],
  [
    "a status to write",
    admin.LEGACY_WRITE_DATA,
    { offset: 18, reserved: NO(7), data: [7] },
    "12 00000000000000 07",
    LEGACY,
  ],
  [
    "a queue address to write, little-endian",
    admin.LEGACY_WRITE_DATA,
    { offset: 8, reserved: NO(7), data: [0x78, 0x56, 0x34, 0x12] },
    "08 00000000000000 78563412",
    LEGACY,
  ],
  [
    "nothing to write",
    admin.LEGACY_WRITE_DATA,
    { offset: 255, reserved: [1, 2, 3, 4, 5, 6, 7], data: [] },
    "ff 01020304050607",
    LEGACY,
  ],
  [
    "a queue size that was read, little-endian",
    admin.LEGACY_READ_RESULT,
    { data: [0x00, 0x01] },
    "0001",
    LEGACY,
  ],
  [
    "a place in a BAR of the member",
    admin.LEGACY_NOTIFY_ENTRY,
    { flags: 2, bar: 4, padding: NO(6), offset: 0x1122334455667788n },
    "02 04 000000000000 8877665544332211",
  ],
  [
    "the end of the list of places",
    admin.LEGACY_NOTIFY_ENTRY,
    { flags: 0, bar: 0, padding: NO(6), offset: 0n },
    "00 00 000000000000 0000000000000000",
  ],
  [
    "a place, and the end of the list",
    admin.LEGACY_NOTIFY_INFO_RESULT,
    { entries: [2, 4, ...NO(6), 0x88, 0x77, ...NO(6), ...NO(48)] },
    `02 04 000000000000 8877000000000000 ${"00".repeat(48)}`,
  ],
];

const CAPABILITIES: readonly LayoutVector[] = [
  [
    "a list of capabilities",
    admin.CAP_ID_LIST_RESULT,
    { supported_caps: [3n, 1n] },
    "0300000000000000 0100000000000000",
  ],
  ["a capability to get", admin.CAP_GET_DATA, { id: 0x0801, reserved: NO(6) }, "0108 000000000000"],
  ["a value", admin.CAP_GET_RESULT, { cap_specific_data: [1, 2, 3] }, "010203"],
  [
    "a capability to set",
    admin.CAP_SET_DATA,
    { id: 0x0fff, reserved: NO(6), cap_specific_data: [16, 32] },
    "ff0f 000000000000 10 20",
  ],
  [
    "the device parts capability",
    admin.DEV_PARTS_CAP_LAYOUT,
    { get_parts_resource_objects_limit: 0x10, set_parts_resource_objects_limit: 0xff },
    "10 ff",
  ],
];

const OBJECTS: readonly LayoutVector[] = [
  ["which object", admin.RESOURCE_OBJ_CMD_HDR, OBJECT, "0102 0000 78563412"],
  [
    "an object to create",
    admin.RESOURCE_OBJ_CREATE_DATA,
    { ...OBJECT, flags: 0x8000000000000001n, resource_obj_specific_data: [1, 2, 3] },
    "0102 0000 78563412 0100000000000080 010203",
  ],
  [
    "an object to modify",
    admin.RESOURCE_OBJ_MODIFY_DATA,
    { ...OBJECT, flags: 0x0102030405060708n, resource_obj_specific_data: [0xff] },
    "0102 0000 78563412 0807060504030201 ff",
  ],
  [
    "an object to query",
    admin.RESOURCE_OBJ_QUERY_DATA,
    { ...OBJECT, flags: 0x8000000000000010n },
    "0102 0000 78563412 1000000000000080",
  ],
  [
    "an object that was queried",
    admin.RESOURCE_OBJ_QUERY_RESULT,
    { resource_obj_specific_result: [1, ...NO(7)] },
    "0100000000000000",
  ],
  [
    "a device parts object that restores",
    admin.RESOURCE_OBJ_DEV_PARTS_LAYOUT,
    { type: admin.RESOURCE_OBJ_DEV_PARTS_TYPE.SET, reserved: NO(7) },
    "01 00000000000000",
  ],
];

const PARTS: readonly LayoutVector[] = [
  [
    "what to tell of the parts",
    admin.DEV_PARTS_METADATA_DATA,
    { hdr: PARTS_OBJECT, type: 2, reserved: NO(7) },
    "0102 0000 78563412 02 00000000000000",
  ],
  [
    "the size of the parts",
    admin.DEV_PARTS_METADATA_RESULT,
    { size: 0x01020304, reserved: 0, hdrs: [] },
    "04030201 00000000",
  ],
  [
    "how many parts there are",
    admin.DEV_PARTS_METADATA_RESULT,
    { count: 7, reserved: 0, hdrs: [] },
    "07000000 00000000",
  ],
  [
    "a list of headers",
    admin.DEV_PARTS_METADATA_RESULT,
    { count: 1, reserved: 0, hdrs: [0, 1, 1, 0, ...NO(8), 16, 0, 0, 0] },
    "01000000 00000000 0001 01 00 0000000000000000 10000000",
  ],
  [
    "all parts",
    admin.DEV_PARTS_GET_DATA,
    { hdr: PARTS_OBJECT, type: 1, reserved: NO(7), hdr_list: [] },
    "0102 0000 78563412 01 00000000000000",
  ],
  [
    "selected parts",
    admin.DEV_PARTS_GET_DATA,
    {
      hdr: PARTS_OBJECT,
      type: 0,
      reserved: NO(7),
      hdr_list: [4, 1, 0, 0, 5, ...NO(11)],
    },
    "0102 0000 78563412 00 00000000000000 0401 00 00 0500000000000000 00000000",
  ],
  [
    "parts that were read",
    admin.DEV_PARTS_GET_RESULT,
    { parts: [3, 1, 0, 0, ...NO(8), 1, 0, 0, 0, 0x4f] },
    "0301 00 00 0000000000000000 01000000 4f",
  ],
  [
    "parts to set",
    admin.DEV_PARTS_SET_DATA,
    { hdr: PARTS_OBJECT, parts: [3, 1, 0, 0, ...NO(8), 1, 0, 0, 0, 15] },
    "0102 0000 78563412 0301 00 00 0000000000000000 01000000 0f",
  ],
  ["a member to stop", admin.DEV_MODE_SET_DATA, { flags: 1 }, "01"],
  ["a member to go on", admin.DEV_MODE_SET_DATA, { flags: 0 }, "00"],
  [
    "the header of an optional part of a device type",
    device.VIRTIO_DEV_PART_HDR,
    {
      part_type: 0x0200,
      flags: 1,
      reserved: 0,
      selector: [1, 2, 3, 4, 5, 6, 7, 8],
      length: 0x01020304,
    },
    "0002 01 00 0102030405060708 04030201",
  ],
  [
    "the header of a field of the common configuration",
    device.VIRTIO_DEV_PART_HDR,
    { part_type: 0x0102, flags: 0, reserved: 0, pci_common_cfg_offset: 18, length: 2 },
    "0201 00 00 12000000 00000000 02000000",
  ],
  [
    "the header of a field at an offset of four bytes",
    device.VIRTIO_DEV_PART_HDR,
    { part_type: 0x0102, flags: 0, reserved: 0, pci_common_cfg_offset: 0x01020304, length: 0x800 },
    "0201 00 00 04030201 00000000 00080000",
  ],
  [
    "the header of a queue's part",
    device.VIRTIO_DEV_PART_HDR,
    { part_type: 0x0104, flags: 0, reserved: 0, vq_index: 0x0102, length: 0x20000 },
    "0401 00 00 0201 000000000000 00000200",
  ],
  [
    "features",
    device.VIRTIO_DEV_PART_FEATURES,
    { feature_bits: [0x0102030405060708n, 1n] },
    "0807060504030201 0100000000000000",
  ],
  ["a status", device.VIRTIO_DEV_PART_DEVICE_STATUS, { device_status: 0x4f }, "4f"],
  [
    "a queue",
    device.VIRTIO_DEV_PART_VQ_CFG,
    {
      queue_size: 256,
      vector: 0x0102,
      enabled: 0x0304,
      reserved: 0,
      queue_desc: 0x0102030405060708n,
      queue_driver: 0x1112131415161718n,
      queue_device: 0x2122232425262728n,
    },
    "0001 0201 0403 0000 0807060504030201 1817161514131211 2827262524232221",
  ],
  [
    "a queue without a vector",
    device.VIRTIO_DEV_PART_VQ_CFG,
    {
      queue_size: 0x8000,
      vector: device.NO_QUEUE_VECTOR,
      enabled: 1,
      reserved: 0,
      queue_desc: 0x1000n,
      queue_driver: 0x2000n,
      queue_device: 0x3000n,
    },
    "0080 ffff 0100 0000 0010000000000000 0020000000000000 0030000000000000",
  ],
  [
    "how a queue is notified",
    device.VIRTIO_DEV_PART_VQ_NOTIFY_DATA,
    { queue_notify_off: 0x0102, queue_notif_config_data: 0x0304, reserved: NO(4) },
    "0201 0403 00000000",
  ],
];

const MANAGEMENT: readonly LayoutVector[] = [
  [
    "the attributes of a group",
    admin.MGMT_ATTRS_RESULT,
    {
      attrs: 3n,
      msix_total: 0x12345678,
      msix_free: 0x9abcdef0,
      msix_min: 2,
      msix_max: 0x0800,
      reserved: NO(4),
      settable: [0x8000000000000001n, 0x10n],
    },
    "0300000000000000 78563412 f0debc9a 0200 0008 00000000 0100000000000080 1000000000000000",
  ],
  [
    "a count of vectors",
    admin.MSIX_COUNT_RESULT,
    { vectors: 0x0102, default: 0x0304, reserved: NO(4) },
    "0201 0403 00000000",
  ],
  [
    "a count to set",
    admin.MSIX_COUNT_DATA,
    { vectors: 2048, reserved: NO(6) },
    "0008 000000000000",
  ],
  [
    "the features of a member",
    admin.FEATURES_RESULT,
    {
      offered_low: 0x0102030405060708n,
      settable_low: 1n,
      offered_high: 2n ** 63n,
      settable_high: 3n,
    },
    "0807060504030201 0100000000000000 0000000000000080 0300000000000000",
  ],
  [
    "features to switch",
    admin.FEATURES_DATA,
    { mask_low: 5n, value_low: 4n, mask_high: 2n ** 36n, value_high: 0n },
    "0500000000000000 0400000000000000 0000000010000000 0000000000000000",
  ],
];

/** All of them. */
export const LAYOUT_VECTORS: readonly LayoutVector[] = [
  ...HEADERS,
  ...LEGACY_ACCESS,
  ...CAPABILITIES,
  ...OBJECTS,
  ...PARTS,
  ...MANAGEMENT,
];

/**
 * Bytes that are no such structure, beyond those that are merely cut off, and what they are where
 * missing bytes are read as zero.
 */
export const NO_SUCH_BYTES: readonly (readonly [string, StructLayout, string, Values])[] = [
  [
    "half a header",
    admin.ADMIN_COMMAND_HEADER,
    "1100 0100 0000000000000000",
    {
      opcode: 0x11,
      group_type: 1,
      reserved1: NO(12),
      group_member_id: 0n,
      command_specific_data: [],
    },
  ],
  [
    "a status alone",
    admin.ADMIN_RESPONSE_HEADER,
    "1600",
    { status: 22, status_qualifier: 0, reserved2: NO(4), command_specific_result: [] },
  ],
  [
    "a list of nine bytes",
    admin.ADMIN_COMMAND_LIST,
    "03fc030000000000 01",
    { device_admin_cmd_opcodes: [0x0003_fc03n, 1n] },
  ],
  [
    "a list of four bytes",
    admin.ADMIN_COMMAND_LIST,
    "03fc0300",
    { device_admin_cmd_opcodes: [0x0003_fc03n] },
  ],
  [
    "a list of capabilities of nine bytes",
    admin.CAP_ID_LIST_RESULT,
    "0300000000000000 01",
    { supported_caps: [3n, 1n] },
  ],
  ["a list of capabilities of one byte", admin.CAP_ID_LIST_RESULT, "03", { supported_caps: [3n] }],
  [
    "a list of proposal-v5 of seven bytes",
    admin.PROPOSAL_V5_CAPS,
    "7f000000000000",
    { commands: [0x7fn] },
  ],
  [
    "a capability to get without its reserved bytes",
    admin.CAP_GET_DATA,
    "0108",
    { id: 0x0801, reserved: NO(6) },
  ],
  [
    "half a device parts capability",
    admin.DEV_PARTS_CAP_LAYOUT,
    "10",
    { get_parts_resource_objects_limit: 0x10, set_parts_resource_objects_limit: 0 },
  ],
];

/** Values that do not fit their fields, or what else they are. */
export const NO_SUCH_VALUES: readonly (readonly [StructLayout, Values, what?: string])[] = [
  [admin.ADMIN_COMMAND_HEADER, { opcode: 0x10000 }],
  [admin.ADMIN_COMMAND_HEADER, { group_member_id: 2n ** 64n }],
  [admin.ADMIN_RESPONSE_HEADER, { status: -1 }],
  [admin.ADMIN_COMMAND_LIST, { device_admin_cmd_opcodes: [2n ** 64n] }],
  [admin.PROPOSAL_V5_COMMAND_HEADER, { dst_type: 0x10000 }],
  [admin.PROPOSAL_V5_ANSWER_HEADER, { status: 256 }],
  [admin.PROPOSAL_V5_CAPS, { commands: [-1n] }],
  [admin.LEGACY_READ_DATA, { offset: 0x100 }],
  [admin.LEGACY_READ_DATA, { offset: -1 }],
  [admin.LEGACY_WRITE_DATA, { data: [256] }],
  [admin.LEGACY_WRITE_DATA, { reserved: [0] }],
  [admin.LEGACY_READ_RESULT, { data: [-1] }],
  [admin.LEGACY_NOTIFY_ENTRY, { flags: 256 }],
  [admin.LEGACY_NOTIFY_ENTRY, { offset: 2n ** 64n }],
  [admin.LEGACY_NOTIFY_INFO_RESULT, { entries: NO(65) }],
  [admin.CAP_ID_LIST_RESULT, { supported_caps: [2n ** 64n] }],
  [admin.CAP_GET_DATA, { id: 0x10000 }],
  [admin.CAP_GET_DATA, { reserved: [0] }],
  [admin.CAP_GET_RESULT, { cap_specific_data: [0.5] }],
  [admin.CAP_SET_DATA, { cap_specific_data: [256] }],
  [admin.DEV_PARTS_CAP_LAYOUT, { get_parts_resource_objects_limit: 256 }],
  [admin.RESOURCE_OBJ_CMD_HDR, { type: 0x10000 }],
  [admin.RESOURCE_OBJ_CMD_HDR, { id: 2 ** 32 }],
  [admin.RESOURCE_OBJ_CREATE_DATA, { flags: 2n ** 64n }],
  [admin.RESOURCE_OBJ_MODIFY_DATA, { resource_obj_specific_data: [256] }],
  [admin.RESOURCE_OBJ_QUERY_DATA, { flags: -1n }],
  [admin.RESOURCE_OBJ_QUERY_RESULT, { resource_obj_specific_result: [256] }],
  [admin.RESOURCE_OBJ_DEV_PARTS_LAYOUT, { type: 256 }],
  [admin.DEV_PARTS_METADATA_DATA, { type: 256 }],
  [admin.DEV_PARTS_METADATA_RESULT, { size: 2 ** 32 }],
  [admin.DEV_PARTS_GET_DATA, { hdr: NO(7) }],
  [admin.DEV_PARTS_GET_RESULT, { parts: [256] }],
  [admin.DEV_PARTS_SET_DATA, { parts: [-1] }],
  [admin.DEV_MODE_SET_DATA, { flags: -1 }],
  [device.VIRTIO_DEV_PART_HDR, { part_type: 0x1_0000 }],
  [device.VIRTIO_DEV_PART_HDR, { length: 2 ** 32 }],
  [device.VIRTIO_DEV_PART_HDR, { vq_index: 0x1_0000 }],
  [device.VIRTIO_DEV_PART_HDR, { pci_common_cfg_offset: 2 ** 32 }],
  // The text has words without number; that there are two is the rule of the devices here.
  [
    device.VIRTIO_DEV_PART_FEATURES,
    { feature_bits: [0n] },
    "other number of words than the two of the devices here",
  ],
  [device.VIRTIO_DEV_PART_FEATURES, { feature_bits: [0n, 2n ** 64n] }],
  [device.VIRTIO_DEV_PART_DEVICE_STATUS, { device_status: 256 }],
  [device.VIRTIO_DEV_PART_VQ_CFG, { queue_size: 0x1_0000 }],
  [device.VIRTIO_DEV_PART_VQ_NOTIFY_DATA, { queue_notify_off: 0x1_0000 }],
  [admin.MSIX_COUNT_DATA, { vectors: 0x10000 }],
  [admin.MSIX_COUNT_DATA, { vectors: -1 }],
  [admin.MSIX_COUNT_DATA, { vectors: 1.5 }],
  [admin.MSIX_COUNT_DATA, { reserved: [0] }],
  [admin.MSIX_COUNT_RESULT, { default: 0x10000 }],
  [admin.MGMT_ATTRS_RESULT, { msix_total: 2 ** 32 }],
  [admin.MGMT_ATTRS_RESULT, { settable: [1n] }],
  [admin.FEATURES_RESULT, { settable_high: 2n ** 64n }],
  [admin.FEATURES_DATA, { mask_low: 2n ** 64n }],
];

const EXPORTS: readonly unknown[] = [...Object.values(admin), ...Object.values(device)];

/** Every structure that the folders of administration commands and of device parts export. */
export const EXPORTED_LAYOUTS: readonly AnyStructLayout[] = EXPORTS.filter(
  (value): value is AnyStructLayout => isLayout(value) && value.kind === "struct",
);
