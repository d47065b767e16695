/**
 * LIST_QUERY and LIST_USE: which commands a group type supports, and which ones the driver uses.
 * Every owner has them.
 */
import { VirtioError } from "../../errors.ts";
import { struct } from "../../layout/index.ts";
import { OUTCOME } from "../status.ts";
import type { AdminCommand, CommandFamily } from "../types.ts";

const CITE = "Basic Facilities of a Virtio Device / Device groups / Group administration commands";

/** `struct virtio_admin_cmd_list`: one bit for each opcode, in 64-bit words. */
export const ADMIN_COMMAND_LIST = struct(
  "virtio_admin_cmd_list",
  { cite: CITE, doc: "A list of opcodes: bit n of word w stands for opcode 64 * w + n." },
  {
    device_admin_cmd_opcodes: {
      offset: 0,
      type: "le64",
      count: "rest",
      doc: "The words of the list; words that are missing are zero.",
    },
  },
);

/** How many opcodes there can be. */
export const OPCODE_COUNT = 0x10000;
const BITS = 64;
const WORD_BYTES = BITS / 8;
/** The length of a list that holds every opcode, in bytes. */
const LONGEST_LIST = (OPCODE_COUNT / BITS) * WORD_BYTES;

/** Reports the opcodes that a group type supports. */
export const LIST_QUERY: AdminCommand = {
  opcode: 0x0000,
  name: "LIST_QUERY",
  groups: "any",
  usesMember: false,
  data: { min: 0, max: 0 },
  result: { min: WORD_BYTES, max: LONGEST_LIST },
  layouts: { result: ADMIN_COMMAND_LIST },
  clauses: ["admin-format-7", "admin-format-8", "admin-cmd-device-18", "admin-cmd-device-19"],
  doc: "Reports the list of commands that are supported for a group type.",
  cite: CITE,
};

/** Settles the opcodes that the driver uses for a group type. */
export const LIST_USE: AdminCommand = {
  opcode: 0x0001,
  name: "LIST_USE",
  groups: "any",
  usesMember: false,
  data: { min: 0, max: LONGEST_LIST },
  result: { min: 0, max: 0 },
  layouts: { data: ADMIN_COMMAND_LIST },
  clauses: ["admin-cmd-device-11", "admin-cmd-device-14", "admin-cmd-device-15"],
  doc: "Replaces the list of commands that are legal for a group type.",
  cite: CITE,
};

/** The commands that are legal after a reset, before any LIST_USE. */
export const INITIAL_OPCODES: readonly number[] = [LIST_QUERY.opcode, LIST_USE.opcode];

/**
 * The length in bytes of the shortest list that holds these opcodes: whole words up to the largest
 * opcode, at least one. The text has a formula that divides the largest opcode rather than the
 * number of bits, and loses a word at multiples of 64; its prose and its example do not.
 */
export function opcodeListLength(opcodes: Iterable<number>): number {
  let largest = 0;
  for (const opcode of opcodes) largest = Math.max(largest, opcode);
  return Math.ceil((largest + 1) / BITS) * WORD_BYTES;
}

/**
 * Encodes a list of opcodes as `struct virtio_admin_cmd_list`.
 *
 * @param opcodes the opcodes, 0..0xffff, in any order
 * @param length the length in bytes; the shortest that holds them when absent
 * @throws VirtioError `ADMIN_COMMAND` for an opcode that is out of range or needs a longer list, or
 * a length that is no multiple of 8 or longer than 8192
 */
export function encodeOpcodeList(opcodes: readonly number[], length?: number): Uint8Array {
  opcodes.forEach((opcode, index) => {
    if (!Number.isInteger(opcode) || opcode < 0 || opcode >= OPCODE_COUNT) {
      throw new VirtioError("ADMIN_COMMAND", {
        path: `opcodes[${index}]`,
        message: "an opcode is an integer from 0 to 0xffff",
        value: opcode,
      });
    }
  });
  const needed = opcodeListLength(opcodes);
  const size = length ?? needed;
  if (!Number.isInteger(size) || size % WORD_BYTES !== 0 || size > LONGEST_LIST || size < 0) {
    throw new VirtioError("ADMIN_COMMAND", {
      path: "length",
      message: `a list has whole words of ${WORD_BYTES} bytes, at most ${LONGEST_LIST} bytes`,
      value: size,
    });
  }
  if (opcodes.length > 0 && size < needed) {
    throw new VirtioError("ADMIN_COMMAND", {
      path: "length",
      message: "the list is too short for its largest opcode",
      value: size,
      hint: `give at least ${needed} bytes`,
    });
  }
  const bytes = new Uint8Array(size);
  for (const opcode of opcodes) {
    bytes[opcode >>> 3] = (bytes[opcode >>> 3] as number) | (1 << (opcode & 7));
  }
  return bytes;
}

/**
 * Decodes `struct virtio_admin_cmd_list`: the opcodes whose bits are set, ascending. Any length is
 * taken; bytes that are missing are zero, and bytes beyond 8192 stand for no opcode.
 */
export function decodeOpcodeList(bytes: Uint8Array): number[] {
  const opcodes: number[] = [];
  const length = Math.min(bytes.length, LONGEST_LIST);
  for (let i = 0; i < length; i++) {
    const byte = bytes[i] as number;
    if (byte === 0) continue;
    for (let bit = 0; bit < 8; bit++) if ((byte >>> bit) & 1) opcodes.push(8 * i + bit);
  }
  return opcodes;
}

/** The list commands as a family. The executor binds it by itself: every owner has it. */
export const LIST_FAMILY: CommandFamily = listFamily(
  {
    name: "list",
    doc: "Which commands there are, and which ones the driver uses.",
    private: false,
  },
  LIST_QUERY,
  LIST_USE,
);

/** A family of two commands that report the supported opcodes and replace those in use. */
export function listFamily(
  family: Pick<CommandFamily, "name" | "doc" | "private">,
  query: AdminCommand,
  use: AdminCommand,
): CommandFamily {
  return {
    ...family,
    commands: [query, use],
    bind({ lists }) {
      return {
        longestResult: (command) => (command === query ? lists.longestReport : command.result.max),
        handlers: {
          [query.opcode]: (call) => {
            call.resultLength = lists.report(call.group.type.id, call.result);
            return OUTCOME.OK;
          },
          [use.opcode]: (call) => {
            const wanted = decodeOpcodeList(call.dataBytes.subarray(0, call.dataLength));
            const refusal = lists.use(call.group.type.id, wanted);
            return refusal === undefined ? OUTCOME.OK : OUTCOME.INVALID_FIELD;
          },
        },
      };
    },
  };
}
