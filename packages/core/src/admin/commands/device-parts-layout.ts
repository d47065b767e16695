/**
 * The wire format of the device parts commands: payloads, little-endian on every transport, and the
 * declarations of the commands. The parts themselves are declared in `device/part-layout.ts`.
 */
import { VIRTIO_DEV_PART_HDR } from "../../device/part-layout.ts";
import { SR_IOV_GROUP } from "../../group/sr-iov.ts";
import { type FieldSpecs, struct } from "../../layout/index.ts";
import { LONGEST_PART } from "../dialect.ts";
import type { AdminCommand } from "../types.ts";
import { RESOURCE_OBJ_CMD_HDR } from "./resource-objects-layout.ts";

const CITE =
  "Basic Facilities of a Virtio Device / Device groups / Group administration commands / Device parts";
const HDR_SIZE = RESOURCE_OBJ_CMD_HDR.size;

/** Which device parts object a command goes through. */
const HDR = {
  hdr: {
    offset: 0,
    type: "u8",
    count: HDR_SIZE,
    doc: "Which device parts object it is, a virtio_admin_cmd_resource_obj_cmd_hdr.",
  },
} as const satisfies FieldSpecs;

const RESERVED = {
  reserved: { offset: HDR_SIZE + 1, type: "u8", count: 7, doc: "Reserved; the driver writes 0." },
} as const satisfies FieldSpecs;

/** What DEV_PARTS_METADATA_GET can be asked for: the values of its field `type`. */
export const DEV_PARTS_METADATA_TYPE = {
  /** The size of all parts in bytes, headers included. */
  SIZE: 0,
  /** How many parts there are. */
  COUNT: 1,
  /** The headers of all parts. */
  LIST: 2,
} as const;

/** What DEV_PARTS_GET can be asked for: the values of its field `type`. */
export const DEV_PARTS_GET_TYPE = {
  /** The parts of the list. */
  SELECTED: 0,
  /** All parts; there is no list. */
  ALL: 1,
} as const;

/** The data of DEV_PARTS_METADATA_GET, 16 bytes. */
export const DEV_PARTS_METADATA_DATA = struct(
  "virtio_admin_cmd_dev_parts_metadata_data",
  { cite: CITE, doc: "What to tell of the parts." },
  {
    ...HDR,
    type: { offset: HDR_SIZE, type: "u8", doc: "0 for their size, 1 how many, 2 their headers." },
    ...RESERVED,
  },
);

/** The result of DEV_PARTS_METADATA_GET: 8 bytes, and the headers when they were asked for. */
export const DEV_PARTS_METADATA_RESULT = struct(
  "virtio_admin_cmd_dev_parts_metadata_result",
  { cite: CITE, doc: "What there is to tell of the parts." },
  {
    size: { offset: 0, type: "le32", doc: "The most bytes that all parts have together." },
    count: { offset: 0, type: "le32", overlay: true, doc: "How many parts there are." },
    reserved: { offset: 4, type: "le32", doc: "Reserved; the device writes 0." },
    hdrs: { offset: 8, type: "u8", count: "rest", doc: "The header of every part, in order." },
  },
);

/** The data of DEV_PARTS_GET: 16 bytes, and the headers of the parts that are wanted. */
export const DEV_PARTS_GET_DATA = struct(
  "virtio_admin_cmd_dev_parts_get_data",
  { cite: CITE, doc: "Which parts to read." },
  {
    ...HDR,
    type: { offset: HDR_SIZE, type: "u8", doc: "0 for the parts of the list, 1 for all." },
    ...RESERVED,
    hdr_list: {
      offset: HDR_SIZE + 8,
      type: "u8",
      count: "rest",
      doc: "The headers of the parts that are wanted; their lengths do not count.",
    },
  },
);

/** The result of DEV_PARTS_GET: the parts. */
export const DEV_PARTS_GET_RESULT = struct(
  "virtio_admin_cmd_dev_parts_get_result",
  { cite: CITE, doc: "The parts that were read." },
  { parts: { offset: 0, type: "u8", count: "rest", doc: "The parts, one after the other." } },
);

/** The data of DEV_PARTS_SET: 8 bytes, and the parts. */
export const DEV_PARTS_SET_DATA = struct(
  "virtio_admin_cmd_dev_parts_set_data",
  { cite: CITE, doc: "The parts to set." },
  {
    ...HDR,
    parts: { offset: HDR_SIZE, type: "u8", count: "rest", doc: "The parts, one after the other." },
  },
);

/** The data of DEV_MODE_SET, 1 byte. */
export const DEV_MODE_SET_DATA = struct(
  "virtio_admin_cmd_dev_mode_set_data",
  { cite: CITE, doc: "Whether a member is to stop or to go on." },
  {
    flags: {
      offset: 0,
      type: "u8",
      doc: "The mode; other bits are reserved.",
      bits: { stopped: { at: 0, doc: "The member stops; it goes on when clear." } },
    },
  },
);

/**
 * The most bytes of parts, or of headers, that one command may bring. Members with more, those of
 * thousands of queues, are set by several commands.
 */
export const LONGEST_PARTS_DATA: number = 2 ** 18;

const GROUPS = [SR_IOV_GROUP.id] as const;
const none = { min: 0, max: 0 };
const exactly = ({ size }: { readonly size: number }) => ({ min: size, max: size });
/** One byte more than is served: who sends it has sent too much. */
const withParts = ({ size }: { readonly size: number }) => ({
  min: size,
  max: size + LONGEST_PARTS_DATA + 1,
});

/** Tells how large the parts of a member are, how many, or which. */
export const DEV_PARTS_METADATA_GET: AdminCommand = {
  opcode: 0x000e,
  name: "DEV_PARTS_METADATA_GET",
  groups: GROUPS,
  usesMember: true,
  data: exactly(DEV_PARTS_METADATA_DATA),
  result: { min: DEV_PARTS_METADATA_RESULT.size, max: LONGEST_PART },
  layouts: { data: DEV_PARTS_METADATA_DATA, result: DEV_PARTS_METADATA_RESULT },
  clauses: [
    "device-parts-device-1",
    "device-parts-device-27",
    "device-parts-device-28",
    "device-parts-device-29",
    "device-parts-device-31",
  ],
  doc: "Tells how large the parts of a member are, how many, or which.",
  cite: CITE,
};

/** Reads parts of a member. */
export const DEV_PARTS_GET: AdminCommand = {
  opcode: 0x000f,
  name: "DEV_PARTS_GET",
  groups: GROUPS,
  usesMember: true,
  data: withParts(DEV_PARTS_GET_DATA),
  result: { min: 0, max: LONGEST_PART },
  layouts: { data: DEV_PARTS_GET_DATA, result: DEV_PARTS_GET_RESULT },
  clauses: [
    "device-parts-device-1",
    "device-parts-device-2",
    "device-parts-device-3",
    "device-parts-device-26",
    "device-parts-device-27",
    "device-parts-device-28",
    "device-parts-device-29",
    "device-parts-device-31",
  ],
  doc: "Reads parts of a member.",
  cite: CITE,
};

/** Sets parts of a member that is stopped. */
export const DEV_PARTS_SET: AdminCommand = {
  opcode: 0x0010,
  name: "DEV_PARTS_SET",
  groups: GROUPS,
  usesMember: true,
  data: withParts(DEV_PARTS_SET_DATA),
  result: none,
  layouts: { data: DEV_PARTS_SET_DATA },
  clauses: [
    "device-parts-device-1",
    "device-parts-device-4",
    "device-parts-device-5",
    "device-parts-device-6",
    "device-parts-device-7",
    "device-parts-device-8",
    "device-parts-device-9",
    "device-parts-device-20",
    "device-parts-device-21",
    "device-parts-device-22",
    "device-parts-device-32",
    "device-parts-device-33",
  ],
  doc: "Sets parts of a member that is stopped; they take effect when it goes on.",
  cite: CITE,
};

/** Stops a member, or lets it go on. */
export const DEV_MODE_SET: AdminCommand = {
  opcode: 0x0011,
  name: "DEV_MODE_SET",
  groups: GROUPS,
  usesMember: true,
  data: exactly(DEV_MODE_SET_DATA),
  result: none,
  layouts: { data: DEV_MODE_SET_DATA },
  clauses: [
    "device-parts-device-1",
    "device-parts-device-10",
    "device-parts-device-11",
    "device-parts-device-12",
    "device-parts-device-20",
    "device-parts-device-21",
    "device-parts-device-22",
    "device-parts-device-23",
    "device-parts-device-24",
  ],
  doc: "Stops a member once it has used all that it took, or lets it go on.",
  cite: CITE,
};

/** The device parts commands, in the order of their opcodes. */
export const DEVICE_PARTS_COMMANDS: readonly AdminCommand[] = [
  DEV_PARTS_METADATA_GET,
  DEV_PARTS_GET,
  DEV_PARTS_SET,
  DEV_MODE_SET,
];

/** How many bytes of result tell the headers of `count` parts. */
export function metadataListBytes(count: number): number {
  return DEV_PARTS_METADATA_RESULT.size + VIRTIO_DEV_PART_HDR.size * count;
}
