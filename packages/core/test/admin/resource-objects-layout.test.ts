import { describe, expect, it } from "vitest";
import {
  CapabilityFamily,
  DEV_PARTS_CAP,
  defineResourceObjectType,
  deviceCapability,
  RESOURCE_OBJ_DEV_PARTS,
  RESOURCE_OBJ_OPCODES,
  ResourceObjectFamily,
  resourceObjectCommands,
} from "../../src/admin/index.ts";
import { struct } from "../../src/layout/index.ts";
import { TEST_CAP, testTypes } from "./object-rig.ts";

type Values = Readonly<Record<string, unknown>>;
describe("payloads of the resource object commands", () => {
  it("belong to commands 0x000a to 0x000d, for the Self group and the SR-IOV group", () => {
    const { CREATE, QUERY, MODIFY, DESTROY } = resourceObjectCommands();
    expect(
      [CREATE, QUERY, MODIFY, DESTROY].map((command) => [
        command.opcode,
        command.name,
        command.usesMember,
        command.data,
        command.result.max,
        command.groups,
      ]),
    ).toEqual([
      [0x000a, "RESOURCE_OBJ_CREATE", true, { min: 16, max: 16 + 4096 }, 0, [0, 1]],
      [0x000b, "RESOURCE_OBJ_QUERY", true, { min: 16, max: 16 }, 4096, [0, 1]],
      [0x000c, "RESOURCE_OBJ_MODIFY", true, { min: 16, max: 16 + 4096 }, 0, [0, 1]],
      [0x000d, "RESOURCE_OBJ_DESTROY", true, { min: 8, max: 8 }, 0, [0, 1]],
    ]);
  });

  it("have the opcodes of the sections where one asks for them", () => {
    const prose = resourceObjectCommands("prose");
    const opcodes = ({ CREATE, QUERY, MODIFY, DESTROY } = prose) =>
      [CREATE, QUERY, MODIFY, DESTROY].map(({ opcode }) => opcode);
    expect(opcodes()).toEqual([0x0a, 0x0c, 0x0b, 0x0d]);
    expect(RESOURCE_OBJ_OPCODES).toEqual({
      table: { query: 0x0b, modify: 0x0c },
      prose: { query: 0x0c, modify: 0x0b },
    });
  });
});

describe("declaring a type of resource objects", () => {
  const { pool } = testTypes();
  const declare = (more: Values) => defineResourceObjectType({ ...pool, ...more } as never);
  const laidOut = (fields: Parameters<typeof struct>[2]) => ({
    layout: struct("odd", { cite: "test", doc: "Odd." }, fields),
    reserved: [],
  });

  it.each([
    ["type", { type: -1 }],
    ["type", { type: 0x500 }],
    ["type", { type: 0.5 }],
    ["groups", { groups: [] }],
    ["groups", { groups: [0, 0xff00] }],
    ["reserved", { reserved: ["other"] }],
    ["layout", laidOut({ list: { offset: 0, type: "u8", count: "rest", doc: "Any." } })],
    ["layout", laidOut({ long: { offset: 0, type: "u8", count: 4097, doc: "Long." } })],
  ])("with a wrong %s is refused: %o", (path, more) => {
    expect(() => declare(more)).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID", path: `TEST_POOL.${path}` }),
    );
  });

  it("takes types up to 0x4ff", () => {
    expect([0, 0x1ff, 0x200, 0x4ff].map((type) => declare({ type }).type)).toHaveLength(4);
    expect([RESOURCE_OBJ_DEV_PARTS.type, RESOURCE_OBJ_DEV_PARTS.groups]).toEqual([0, [1]]);
  });

  it("refuses a family of what was declared otherwise and contradicts itself", () => {
    const capabilities = new CapabilityFamily([deviceCapability(TEST_CAP, {})]);
    const types = [{ ...pool, type: 0x500 }];
    expect(() => new ResourceObjectFamily({ capabilities, types })).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID", path: "TEST_POOL.type" }),
    );
  });

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])(
    "refuses at most %d objects",
    (maxObjects) => {
      const capabilities = new CapabilityFamily([]);
      expect(() => new ResourceObjectFamily({ capabilities, types: [], maxObjects })).toThrow(
        expect.objectContaining({ code: "FAMILY_INVALID", path: "maxObjects" }),
      );
    },
  );

  it("refuses two types of one identifier, and one whose capability the device lacks", () => {
    const capabilities = () => new CapabilityFamily([deviceCapability(TEST_CAP, {})]);
    const twice = { capabilities: capabilities(), types: [pool, pool] };
    expect(() => new ResourceObjectFamily(twice)).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID", path: "types" }),
    );
    const lacking = { capabilities: capabilities(), types: [pool, RESOURCE_OBJ_DEV_PARTS] };
    expect(() => new ResourceObjectFamily(lacking)).toThrow(
      expect.objectContaining({
        code: "FAMILY_INVALID",
        path: "types.RESOURCE_OBJ_DEV_PARTS.capability",
        value: DEV_PARTS_CAP.name,
      }),
    );
  });
});
