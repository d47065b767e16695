/**
 * The wire format of the resource object commands: payloads, little-endian on every transport, and
 * the declarations of the commands.
 */
import { SELF_GROUP } from "../../group/self.ts";
import { SR_IOV_GROUP } from "../../group/sr-iov.ts";
import { type FieldSpecs, struct } from "../../layout/index.ts";
import type { AdminCommand } from "../types.ts";
import { LONGEST_RESOURCE_OBJECT } from "./resource-object.ts";

const CITE =
  "Basic Facilities of a Virtio Device / Device groups / Group administration commands / Device resource objects";

/** The fields that every command begins with; layouts do not nest. */
const HDR = {
  type: { offset: 0, type: "le16", doc: "The type of the object." },
  reserved: { offset: 2, type: "u8", count: 2, doc: "Reserved; the driver writes 0." },
  id: { offset: 4, type: "le32", doc: "The id of the object, unique among those of its type." },
} as const satisfies FieldSpecs;
const HDR_SIZE = 8;

/** What follows the header in commands that have data of the object or ask for it. */
const FLAGS = {
  flags: { offset: HDR_SIZE, type: "le64", doc: "Reserved; the driver writes 0." },
} as const satisfies FieldSpecs;

/** The object's own data, at the end. */
const SPECIFIC_DATA = {
  resource_obj_specific_data: {
    offset: HDR_SIZE + 8,
    type: "u8",
    count: "rest",
    doc: "The object's data, in the layout of its type.",
  },
} as const satisfies FieldSpecs;

/** What every command about a resource object begins with, and all of RESOURCE_OBJ_DESTROY. */
export const RESOURCE_OBJ_CMD_HDR = struct(
  "virtio_admin_cmd_resource_obj_cmd_hdr",
  { cite: CITE, doc: "Which resource object a command is about." },
  HDR,
);

/** The data of RESOURCE_OBJ_CREATE: 16 bytes, and the object in its type's layout. */
export const RESOURCE_OBJ_CREATE_DATA = struct(
  "virtio_admin_cmd_resource_obj_create_data",
  { cite: CITE, doc: "A resource object to create." },
  { ...HDR, ...FLAGS, ...SPECIFIC_DATA },
);

/** The data of RESOURCE_OBJ_MODIFY: 16 bytes, and the object in its type's layout. */
export const RESOURCE_OBJ_MODIFY_DATA = struct(
  "virtio_admin_cmd_resource_modify_data",
  { cite: CITE, doc: "What a resource object is to become." },
  { ...HDR, ...FLAGS, ...SPECIFIC_DATA },
);

/** The data of RESOURCE_OBJ_QUERY, 16 bytes. */
export const RESOURCE_OBJ_QUERY_DATA = struct(
  "virtio_admin_cmd_resource_obj_query_data",
  { cite: CITE, doc: "Which resource object is asked for." },
  { ...HDR, ...FLAGS },
);

/** The result of RESOURCE_OBJ_QUERY: the object in its type's layout. */
export const RESOURCE_OBJ_QUERY_RESULT = struct(
  "virtio_admin_cmd_resource_obj_query_result",
  { cite: CITE, doc: "A resource object as the device has it." },
  {
    resource_obj_specific_result: {
      offset: 0,
      type: "u8",
      count: "rest",
      doc: "The object's data, in the layout of its type.",
    },
  },
);

/** Which of the two contradicting texts counts, see {@link RESOURCE_OBJ_OPCODES}. */
export type ResourceObjectOpcodes = "table" | "prose";

/** The opcodes that the two texts swap. */
export interface SwappedOpcodes {
  /** That of RESOURCE_OBJ_QUERY. */
  readonly query: number;
  /** That of RESOURCE_OBJ_MODIFY. */
  readonly modify: number;
}

/**
 * The opcodes of RESOURCE_OBJ_QUERY and RESOURCE_OBJ_MODIFY. The text contradicts itself: the table
 * of opcodes ("Group administration commands") has one order, the sections of the two commands the
 * other. The table is what this project speaks unless told otherwise.
 */
export const RESOURCE_OBJ_OPCODES: Readonly<Record<ResourceObjectOpcodes, SwappedOpcodes>> = {
  /** As the table of opcodes has them; the default. */
  table: { query: 0x000b, modify: 0x000c },
  /** As the sections of the two commands have them. */
  prose: { query: 0x000c, modify: 0x000b },
};

/** The resource object commands, under the opcodes of one reading of the text. */
export interface ResourceObjectCommands {
  /** Creates an object. */
  readonly CREATE: AdminCommand;
  /** Reports an object's data. */
  readonly QUERY: AdminCommand;
  /** Replaces an object's data. */
  readonly MODIFY: AdminCommand;
  /** Destroys an object. */
  readonly DESTROY: AdminCommand;
}

const none = { min: 0, max: 0 };
const exactly = ({ size }: { readonly size: number }) => ({ min: size, max: size });
const withObject = ({ size }: { readonly size: number }) => ({
  min: size,
  max: size + LONGEST_RESOURCE_OBJECT,
});

/** What the commands have in common. In the Self group the member id is 0. */
const COMMON = { groups: [SELF_GROUP.id, SR_IOV_GROUP.id], usesMember: true, cite: CITE } as const;

/**
 * The resource object commands.
 *
 * @param opcodes the reading of the text; `table` when absent
 */
export function resourceObjectCommands(
  opcodes: ResourceObjectOpcodes = "table",
): ResourceObjectCommands {
  return COMMANDS[opcodes];
}

function declare({ query, modify }: SwappedOpcodes): ResourceObjectCommands {
  return {
    CREATE: {
      ...COMMON,
      opcode: 0x000a,
      name: "RESOURCE_OBJ_CREATE",
      data: withObject(RESOURCE_OBJ_CREATE_DATA),
      result: none,
      layouts: { data: RESOURCE_OBJ_CREATE_DATA },
      clauses: [
        "resource-object-device-1",
        "resource-object-device-3",
        "resource-object-device-5",
        "resource-object-device-6",
        "resource-object-device-7",
        "resource-object-device-8",
      ],
      doc: "Creates a resource object under an id that the driver chose.",
    },
    QUERY: {
      ...COMMON,
      opcode: query,
      name: "RESOURCE_OBJ_QUERY",
      data: exactly(RESOURCE_OBJ_QUERY_DATA),
      result: { min: 0, max: LONGEST_RESOURCE_OBJECT },
      layouts: { data: RESOURCE_OBJ_QUERY_DATA, result: RESOURCE_OBJ_QUERY_RESULT },
      clauses: ["resource-object-device-2", "resource-object-device-10"],
      doc: "Reports the data of a resource object.",
    },
    MODIFY: {
      ...COMMON,
      opcode: modify,
      name: "RESOURCE_OBJ_MODIFY",
      data: withObject(RESOURCE_OBJ_MODIFY_DATA),
      result: none,
      layouts: { data: RESOURCE_OBJ_MODIFY_DATA },
      clauses: ["resource-object-device-2", "resource-object-device-4", "resource-object-device-9"],
      doc: "Replaces the data of a resource object.",
    },
    DESTROY: {
      ...COMMON,
      opcode: 0x000d,
      name: "RESOURCE_OBJ_DESTROY",
      data: exactly(RESOURCE_OBJ_CMD_HDR),
      result: none,
      layouts: { data: RESOURCE_OBJ_CMD_HDR },
      clauses: ["resource-object-device-2", "resource-object-device-4", "resource-object-device-5"],
      doc: "Destroys a resource object.",
    },
  };
}

const COMMANDS: Readonly<Record<ResourceObjectOpcodes, ResourceObjectCommands>> = {
  table: declare(RESOURCE_OBJ_OPCODES.table),
  prose: declare(RESOURCE_OBJ_OPCODES.prose),
};
