import { commands, registers, struct } from "@virtio-admin/core";

const META = { cite: "this project", doc: "A layout for tests." };

/** A structure with every kind of member that a declaration can have. */
export const SAMPLE_STRUCT = struct(
  "sample",
  {
    ...META,
    label: "A Chapter / A Section",
    linux: "sample_hdr",
    size: 48,
    gate: { feature: 41, revision: 3 },
  },
  {
    tag: { offset: 0, type: "u8", doc: "One byte.", title: "Tag", linux: "SAMPLE_TAG", reset: 7 },
    flags: {
      offset: 2,
      type: "be16",
      doc: "Flags.",
      access: "RW",
      bits: {
        first: { at: 0, doc: "The first.", linux: "SAMPLE_FIRST" },
        three: { at: 3, width: 3, doc: "Three of them." },
      },
    },
    pad: { offset: 4, type: "u8", count: 4, doc: "Padding.", access: "R" },
    address: { offset: 8, type: "le64", doc: "An address.", reset: 0xffff_ffff_ffff_ffffn },
    low: { offset: 8, type: "le32", doc: "Its low half.", overlay: true, cite: "elsewhere" },
    pair: { offset: 16, type: "be64", count: 2, doc: "Two wide words.", gate: { feature: 0 } },
    short: { offset: 32, type: "le16", doc: "A short one." },
    word: { offset: 36, type: "be32", doc: "A word." },
    long: { offset: 40, type: "be64", doc: "A long one." },
    tail: { offset: 48, type: "le16", count: "rest", doc: "What follows." },
  },
);

/** A register map with gaps, an array, a pair of widths and a rest. */
export const SAMPLE_REGISTERS = registers(
  "sample_registers",
  {
    ...META,
    label: "Elsewhere",
    linux: "sample_regs",
    busWidth: [32, 8],
    byteOrder: "little",
    gate: { revision: 1 },
  },
  {
    Magic: { offset: 0, type: "le32", access: "R", reset: 0x74726976, doc: "The magic value." },
    Status: {
      offset: 8,
      type: "u8",
      access: "RW",
      doc: "The status.",
      bits: { ok: { at: 7, doc: "All is well." } },
    },
    Notify: { offset: 12, type: "le32", access: "W", doc: "The notification." },
    Lanes: { offset: 16, type: "le16", count: 4, access: "RW", doc: "An array." },
    AdminQueueIndex: {
      offset: 32,
      type: "le32",
      access: "R",
      gate: { feature: 41 },
      doc: "The index of the first administration virtqueue.",
    },
    Config: { offset: 40, type: "u8", count: "rest", access: "RW", doc: "The configuration." },
  },
);

/** Commands with and without a payload. */
export const SAMPLE_COMMANDS = commands(
  "sample_commands",
  { ...META, label: "There", prefix: "SAMPLE_" },
  {
    CCW_CMD_SAMPLE_READ: {
      code: 0x92,
      direction: "read",
      payload: SAMPLE_STRUCT,
      gate: { revision: 3 },
      doc: "Reads the sample.",
      cite: "elsewhere",
    },
    CCW_CMD_SAMPLE_RESET: { code: 0x33, direction: "control", doc: "Resets the sample." },
  },
);
