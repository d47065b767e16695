/** The payloads of the device parts commands, byte by byte. */
import { describe, expect, it } from "vitest";
import {
  DEV_MODE_SET,
  DEV_PARTS_GET,
  DEV_PARTS_METADATA_GET,
  DEV_PARTS_SET,
} from "../../src/admin/index.ts";
import { CLAUSES } from "../../src/clause/index.ts";

describe("device parts on the wire", () => {
  it("has the opcodes, sizes and group of the text", () => {
    const commands = [DEV_PARTS_METADATA_GET, DEV_PARTS_GET, DEV_PARTS_SET, DEV_MODE_SET];
    expect(commands.map(({ opcode, name }) => [opcode, name])).toEqual([
      [0x0e, "DEV_PARTS_METADATA_GET"],
      [0x0f, "DEV_PARTS_GET"],
      [0x10, "DEV_PARTS_SET"],
      [0x11, "DEV_MODE_SET"],
    ]);
    expect(commands.map(({ data, result }) => [data.min, result.min])).toEqual([
      [16, 8],
      [16, 0],
      [8, 0],
      [1, 0],
    ]);
    const ids = new Set(CLAUSES.map(({ id }) => id));
    for (const { groups, usesMember, clauses } of commands) {
      expect([groups, usesMember, clauses.every((id) => ids.has(id))]).toEqual([[1], true, true]);
    }
  });
});
