/**
 * The wire format of the capability commands: payloads, little-endian on every transport, and the
 * declarations of the commands.
 */
import { VirtioError } from "../../errors.ts";
import { SELF_GROUP } from "../../group/self.ts";
import { struct } from "../../layout/index.ts";
import type { AdminCommand } from "../types.ts";
import { CAPABILITY_IDS, LONGEST_CAPABILITY } from "./capability.ts";
import { decodeOpcodeList, encodeOpcodeList } from "./list.ts";

const CITE =
  "Basic Facilities of a Virtio Device / Device groups / Group administration commands / Device and driver capabilities";

const WORD_BITS = 64;
const WORD_BYTES = WORD_BITS / 8;

/** The result of CAP_ID_LIST_QUERY: one bit for each capability, in 64-bit words. */
export const CAP_ID_LIST_RESULT = struct(
  "virtio_admin_cmd_query_cap_id_result",
  { cite: CITE, doc: "Which capabilities there are: bit n of word w stands for id 64 * w + n." },
  {
    supported_caps: {
      offset: 0,
      type: "le64",
      count: "rest",
      doc: "The words of the list; words that are missing are zero.",
    },
  },
);

/** The data of DEVICE_CAP_GET, 8 bytes. */
export const CAP_GET_DATA = struct(
  "virtio_admin_cmd_cap_get_data",
  { cite: CITE, doc: "Which capability of the device is asked for." },
  {
    id: { offset: 0, type: "le16", doc: "The id of the capability." },
    reserved: { offset: 2, type: "u8", count: 6, doc: "Reserved; the driver writes 0." },
  },
);

/** The result of DEVICE_CAP_GET: the capability in its own layout. */
export const CAP_GET_RESULT = struct(
  "virtio_admin_cmd_cap_get_result",
  { cite: CITE, doc: "The device's value of a capability." },
  {
    cap_specific_data: {
      offset: 0,
      type: "u8",
      count: "rest",
      doc: "The value, in the capability's layout.",
    },
  },
);

/** The data of DRIVER_CAP_SET: 8 bytes, and the capability in its own layout. */
export const CAP_SET_DATA = struct(
  "virtio_admin_cmd_cap_set_data",
  { cite: CITE, doc: "What the driver uses of a capability." },
  {
    id: { offset: 0, type: "le16", doc: "The id of the capability." },
    reserved: { offset: 2, type: "u8", count: 6, doc: "Reserved; the driver writes 0." },
    cap_specific_data: {
      offset: 8,
      type: "u8",
      count: "rest",
      doc: "The driver's value, in the capability's layout.",
    },
  },
);

const GROUPS = [SELF_GROUP.id] as const;
const LONGEST_LIST = ((CAPABILITY_IDS.deviceType.last + 1) / WORD_BITS) * WORD_BYTES;
const none = { min: 0, max: 0 };

/** Reports which capabilities the device has. */
export const CAP_ID_LIST_QUERY: AdminCommand = {
  opcode: 0x0007,
  name: "CAP_ID_LIST_QUERY",
  groups: GROUPS,
  usesMember: false,
  data: none,
  result: { min: 0, max: LONGEST_LIST },
  layouts: { result: CAP_ID_LIST_RESULT },
  clauses: ["capability-device-1", "capability-device-5"],
  doc: "Reports the ids of the capabilities that the device has.",
  cite: CITE,
};

/** Reports the device's value of a capability. */
export const DEVICE_CAP_GET: AdminCommand = {
  opcode: 0x0008,
  name: "DEVICE_CAP_GET",
  groups: GROUPS,
  usesMember: false,
  data: { min: CAP_GET_DATA.size, max: CAP_GET_DATA.size },
  result: { min: 0, max: LONGEST_CAPABILITY },
  layouts: { data: CAP_GET_DATA, result: CAP_GET_RESULT },
  clauses: ["capability-device-1", "capability-device-5", "capability-device-7"],
  doc: "Reports the device's value of a capability.",
  cite: CITE,
};

/** Sets what the driver uses of a capability. */
export const DRIVER_CAP_SET: AdminCommand = {
  opcode: 0x0009,
  name: "DRIVER_CAP_SET",
  groups: GROUPS,
  usesMember: false,
  data: { min: CAP_SET_DATA.size, max: CAP_SET_DATA.size + LONGEST_CAPABILITY },
  result: none,
  layouts: { data: CAP_SET_DATA },
  clauses: [
    "capability-device-1",
    "capability-device-2",
    "capability-device-3",
    "capability-device-4",
    "capability-device-5",
    "capability-device-6",
    "capability-device-7",
  ],
  doc: "Sets what the driver uses of a capability.",
  cite: CITE,
};

/**
 * Encodes `struct virtio_admin_cmd_query_cap_id_result`, which has the form of a list of opcodes:
 * whole words up to the largest id. Its formula loses a word at multiples of 64 as theirs does.
 *
 * @param ids the ids, 0..0x0fff
 * @throws VirtioError `ADMIN_COMMAND` for an id that no capability has
 */
export function encodeCapabilityIds(ids: readonly number[]): Uint8Array {
  const { last } = CAPABILITY_IDS.deviceType;
  ids.forEach((id, index) => {
    if (Number.isInteger(id) && id >= 0 && id <= last) return;
    throw new VirtioError("ADMIN_COMMAND", {
      path: `ids[${index}]`,
      message: "a capability has an id from 0 to 0x0fff",
      value: id,
    });
  });
  return encodeOpcodeList(ids);
}

/**
 * Decodes `struct virtio_admin_cmd_query_cap_id_result`: the ids whose bits are set, ascending.
 * Any length is taken; bits of reserved ids count too.
 */
export function decodeCapabilityIds(bytes: Uint8Array): number[] {
  return decodeOpcodeList(bytes);
}
