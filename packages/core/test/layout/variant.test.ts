import {
  type Layout,
  layoutFromJson,
  layoutToJson,
  registerTable,
  variantOf,
} from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import { failureOf } from "./failure.ts";
import { SAMPLE_COMMANDS, SAMPLE_REGISTERS, SAMPLE_STRUCT } from "./samples.ts";

/** The layout after `edit` changed its document. */
// biome-ignore lint/suspicious/noExplicitAny: the edits below go wherever a user's would
function edited(layout: Layout, edit: (document: any) => void): Layout {
  const document = JSON.parse(JSON.stringify(layoutToJson(layout)));
  edit(document);
  return layoutFromJson(document);
}

describe("variantOf", () => {
  it("takes a map with moved registers, and the table follows", () => {
    const moved = edited(SAMPLE_REGISTERS, (document) => {
      document.registers[4].offset = 0x24;
      document.registers[4].gate = { feature: 42 };
      document.registers.push({ name: "More", offset: 28, type: "u8", access: "R", doc: "More." });
    });
    const variant = variantOf(SAMPLE_REGISTERS, moved);
    expect(variant.registers.AdminQueueIndex.offset).toBe(0x24);
    const table = registerTable(variant);
    expect([table.at(0x20)?.name, table.at(0x24)?.name]).toEqual([undefined, "AdminQueueIndex"]);
  });

  it("takes commands with other codes", () => {
    const moved = edited(SAMPLE_COMMANDS, (document) => {
      document.commands[0].code = 0x42;
      document.commands[0].payload.fields[6].offset = 34;
    });
    expect(variantOf(SAMPLE_COMMANDS, moved).commands.CCW_CMD_SAMPLE_READ.code).toBe(0x42);
  });

  // biome-ignore lint/suspicious/noExplicitAny: the edits below go wherever a user's would
  it.each<[string, Layout, Layout, (document: any) => void, string]>([
    ["another kind", SAMPLE_STRUCT, SAMPLE_COMMANDS, () => {}, "sample_commands.kind"],
    [
      "a missing field",
      SAMPLE_STRUCT,
      SAMPLE_STRUCT,
      (document) => document.fields.splice(1, 1),
      "sample.flags",
    ],
    [
      "another type",
      SAMPLE_REGISTERS,
      SAMPLE_REGISTERS,
      (document) => {
        document.registers[0].type = "u8";
        document.registers[0].reset = 0;
      },
      "sample_registers.Magic.type",
    ],
    [
      "another count",
      SAMPLE_REGISTERS,
      SAMPLE_REGISTERS,
      (document) => {
        document.registers[3].count = 2;
      },
      "sample_registers.Lanes.count",
    ],
    [
      "another access",
      SAMPLE_REGISTERS,
      SAMPLE_REGISTERS,
      (document) => {
        document.registers[0].access = "RW";
      },
      "sample_registers.Magic.access",
    ],
    [
      "missing bits",
      SAMPLE_REGISTERS,
      SAMPLE_REGISTERS,
      (document) => {
        delete document.registers[1].bits;
      },
      "sample_registers.Status.bits.ok",
    ],
    [
      "narrower bits",
      SAMPLE_STRUCT,
      SAMPLE_STRUCT,
      (document) => {
        document.fields[1].bits[1].width = 2;
      },
      "sample.flags.bits.three.width",
    ],
    [
      "another direction",
      SAMPLE_COMMANDS,
      SAMPLE_COMMANDS,
      (document) => {
        document.commands[0].direction = "write";
      },
      "sample_commands.CCW_CMD_SAMPLE_READ.direction",
    ],
    [
      "a missing payload",
      SAMPLE_COMMANDS,
      SAMPLE_COMMANDS,
      (document) => {
        delete document.commands[0].payload;
      },
      "sample_commands.CCW_CMD_SAMPLE_READ.payload",
    ],
    [
      "a payload without a field",
      SAMPLE_COMMANDS,
      SAMPLE_COMMANDS,
      (document) => document.commands[0].payload.fields.shift(),
      "sample_commands.CCW_CMD_SAMPLE_READ.payload.tag",
    ],
  ])("refuses %s", (_, base, other, edit, path) => {
    const error = failureOf(() => variantOf(base, edited(other, edit)));
    expect([error.code, error.path]).toEqual(["LAYOUT_INVALID", path]);
  });
});
