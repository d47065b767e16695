import { readFileSync } from "node:fs";
import {
  ADMIN_COMMAND_HEADER,
  ADMIN_RESPONSE_HEADER,
  checkLayout,
  type ErrorCode,
  isLayout,
  LAYOUT_FORMAT,
  LAYOUT_FORMAT_VERSION,
  LAYOUT_LIMITS,
  type Layout,
  layoutFromJson,
  layoutToJson,
  struct,
  VirtioError,
} from "@virtio-admin/core";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { failureOf } from "./failure.ts";
import { SAMPLE_COMMANDS, SAMPLE_REGISTERS, SAMPLE_STRUCT } from "./samples.ts";

const schema = JSON.parse(
  readFileSync(new URL("../../schema/layout.schema.json", import.meta.url), "utf8"),
);
const matchesSchema = new Ajv2020({ strict: true, strictRequired: false }).compile(schema);

const LAYOUTS: readonly Layout[] = [
  SAMPLE_STRUCT,
  SAMPLE_REGISTERS,
  SAMPLE_COMMANDS,
  ADMIN_COMMAND_HEADER,
  ADMIN_RESPONSE_HEADER,
];

/** What a user's file holds: the document, after a trip through text. */
// biome-ignore lint/suspicious/noExplicitAny: the edits below go wherever a user's would
function documentOf(layout: Layout): any {
  return JSON.parse(JSON.stringify(layoutToJson(layout)));
}

describe("layout documents", () => {
  it.each(LAYOUTS.map((layout) => [layout.name, layout] as const))("round-trip %s", (_, layout) => {
    const document = documentOf(layout);
    const read = layoutFromJson(document);
    expect(read).toEqual(layout);
    expect(documentOf(read)).toEqual(document);
    expect(isLayout(read)).toBe(true);
    expect(isLayout(document)).toBe(false);
    expect(matchesSchema(document)).toBe(true);
    expect(checkLayout(layout)).toEqual([]);
    expect(checkLayout(document)).toEqual([]);
  });

  it("have the type of their layout's kind, so that an author can edit them", () => {
    const members = [
      ...layoutToJson(SAMPLE_STRUCT).fields,
      ...layoutToJson(SAMPLE_REGISTERS).registers,
      ...layoutToJson(SAMPLE_COMMANDS).commands,
    ];
    expect(members.map(({ name }) => name)).toEqual([
      ...Object.keys(SAMPLE_STRUCT.fields),
      ...Object.keys(SAMPLE_REGISTERS.registers),
      ...Object.keys(SAMPLE_COMMANDS.commands),
    ]);
  });

  it("name both members that share bytes", () => {
    const document = layoutToJson(SAMPLE_REGISTERS);
    const [first, second] = document.registers;
    const registers = [first, { ...second, offset: first?.offset }];
    const [finding] = checkLayout({ ...document, registers });
    expect(finding?.code).toBe("LAYOUT_OVERLAP");
    expect(finding?.message).toMatch(
      new RegExp(`${second?.name} shares bytes with ${first?.name}, which takes 0x00 to 0x03`),
    );
  });

  it("name their format", () => {
    expect(documentOf(SAMPLE_STRUCT)).toMatchObject({
      format: LAYOUT_FORMAT,
      version: LAYOUT_FORMAT_VERSION,
      kind: "struct",
    });
  });

  it("keep a reset value beyond 2^53 exactly", () => {
    const document = documentOf(SAMPLE_STRUCT);
    expect(document.fields[3].reset).toBe("0xffffffffffffffff");
    expect(documentOf(SAMPLE_REGISTERS).registers[0].reset).toBe(0x74726976);
  });

  it("may leave out the size, write one bus width as a number, and name a schema", () => {
    const document = documentOf(SAMPLE_REGISTERS);
    delete document.size;
    document.busWidth = 32;
    document.registers[1].type = "le32";
    document.$schema = "./layout.schema.json";
    expect(matchesSchema(document)).toBe(true);
    expect(layoutFromJson(document)).toMatchObject({ size: 40, busWidths: [32] });
  });
});

// biome-ignore lint/suspicious/noExplicitAny: the edits below go wherever a user's would
type Edit = (document: any) => unknown;

/** Documents that a schema can tell are wrong; the rest of the table is beyond a schema. */
const MALFORMED: readonly [string, Layout, Edit, string][] = [
  ["no object", SAMPLE_STRUCT, () => null, "layout"],
  ["a list", SAMPLE_STRUCT, () => [], "layout"],
  ["another format", SAMPLE_STRUCT, (d) => ({ ...d, format: "x" }), "layout.format"],
  ["a later version", SAMPLE_STRUCT, (d) => ({ ...d, version: 2 }), "layout.version"],
  ["an unknown kind", SAMPLE_STRUCT, (d) => ({ ...d, kind: "union" }), "layout.kind"],
  ["no kind", SAMPLE_STRUCT, ({ kind, ...d }) => d, "layout.kind"],
  ["a schema that is no text", SAMPLE_STRUCT, (d) => ({ ...d, $schema: 1 }), "layout.$schema"],
  ["an unknown member", SAMPLE_STRUCT, (d) => ({ ...d, extra: 1 }), "layout.extra"],
  ["a member of another kind", SAMPLE_STRUCT, (d) => ({ ...d, busWidth: [32] }), "layout.busWidth"],
  [
    "a member that every object has",
    SAMPLE_STRUCT,
    (d) => JSON.parse(`{"__proto__": 1,${JSON.stringify(d).slice(1)}`),
    "layout.__proto__",
  ],
  ["no name", SAMPLE_STRUCT, ({ name, ...d }) => d, "layout.name"],
  ["a name with a blank", SAMPLE_STRUCT, (d) => ({ ...d, name: "a b" }), "layout.name"],
  ["a name of 65", SAMPLE_STRUCT, (d) => ({ ...d, name: "a".repeat(65) }), "layout.name"],
  ["no cite", SAMPLE_STRUCT, ({ cite, ...d }) => d, "layout.cite"],
  ["an empty doc", SAMPLE_STRUCT, (d) => ({ ...d, doc: "" }), "layout.doc"],
  ["a long doc", SAMPLE_STRUCT, (d) => ({ ...d, doc: "x".repeat(4097) }), "layout.doc"],
  ["half a size", SAMPLE_STRUCT, (d) => ({ ...d, size: 48.5 }), "layout.size"],
  ["a size as a text", SAMPLE_STRUCT, (d) => ({ ...d, size: "48" }), "layout.size"],
  ["a size of null", SAMPLE_STRUCT, (d) => ({ ...d, size: null }), "layout.size"],
  ["a huge size", SAMPLE_STRUCT, (d) => ({ ...d, size: 0x1_0001 }), "layout.size"],
  ["an empty gate", SAMPLE_STRUCT, (d) => ({ ...d, gate: {} }), "layout.gate"],
  ["a gate of null", SAMPLE_STRUCT, (d) => ({ ...d, gate: null }), "layout.gate"],
  ["an odd gate", SAMPLE_STRUCT, (d) => ({ ...d, gate: { bit: 1 } }), "layout.gate.bit"],
  [
    "a feature beyond 127",
    SAMPLE_STRUCT,
    (d) => ({ ...d, gate: { feature: 128 } }),
    "layout.gate.feature",
  ],
  [
    "a negative revision",
    SAMPLE_STRUCT,
    (d) => ({ ...d, gate: { revision: -1 } }),
    "layout.gate.revision",
  ],
  ["an empty label", SAMPLE_STRUCT, (d) => ({ ...d, label: "" }), "layout.label"],
  ["a label that is no text", SAMPLE_REGISTERS, (d) => ({ ...d, label: 1 }), "layout.label"],
  ["a name in Linux with a blank", SAMPLE_STRUCT, (d) => ({ ...d, linux: "a b" }), "layout.linux"],
  ["a name in Linux of null", SAMPLE_REGISTERS, (d) => ({ ...d, linux: null }), "layout.linux"],
  ["a prefix that is no name", SAMPLE_COMMANDS, (d) => ({ ...d, prefix: "1" }), "layout.prefix"],
  ["a prefix of a structure", SAMPLE_STRUCT, (d) => ({ ...d, prefix: "A_" }), "layout.prefix"],
  ["a name of commands in Linux", SAMPLE_COMMANDS, (d) => ({ ...d, linux: "a" }), "layout.linux"],
  ["no fields", SAMPLE_STRUCT, ({ fields, ...d }) => d, "layout.fields"],
  ["an empty list", SAMPLE_STRUCT, (d) => ({ ...d, fields: [] }), "layout.fields"],
  ["fields by name", SAMPLE_STRUCT, (d) => ({ ...d, fields: { a: {} } }), "layout.fields"],
  [
    "too many fields",
    SAMPLE_STRUCT,
    (d) => ({ ...d, fields: new Array(1025).fill(d.fields[0]) }),
    "layout.fields",
  ],
  field("a field that is no object", () => 7, "layout.fields[0]"),
  field("a field without an offset", ({ offset, ...f }) => f, "layout.fields[0].offset"),
  field("a negative offset", (f) => ({ ...f, offset: -1 }), "layout.fields[0].offset"),
  field("an offset as a text", (f) => ({ ...f, offset: "0" }), "layout.fields[0].offset"),
  field("a huge offset", (f) => ({ ...f, offset: 1e300 }), "layout.fields[0].offset"),
  field("an unknown type", (f) => ({ ...f, type: "le24" }), "layout.fields[0].type"),
  field("a type of every object", (f) => ({ ...f, type: "toString" }), "layout.fields[0].type"),
  field("a count of 0", (f) => ({ ...f, count: 0 }), "layout.fields[0].count"),
  field("a count of null", (f) => ({ ...f, count: null }), "layout.fields[0].count"),
  field("an unknown access", (f) => ({ ...f, access: "RO" }), "layout.fields[0].access"),
  field("a negative reset", (f) => ({ ...f, reset: -1 }), "layout.fields[0].reset"),
  field("an unsafe reset", (f) => ({ ...f, reset: 2 ** 53 }), "layout.fields[0].reset"),
  field("a decimal reset text", (f) => ({ ...f, reset: "12" }), "layout.fields[0].reset"),
  field(
    "a reset of 17 digits",
    (f) => ({ ...f, reset: `0x${"1".repeat(17)}` }),
    "layout.fields[0].reset",
  ),
  field("an overlay of 1", (f) => ({ ...f, overlay: 1 }), "layout.fields[0].overlay"),
  field("a doc of a number", (f) => ({ ...f, doc: 1 }), "layout.fields[0].doc"),
  field("a cite of null", (f) => ({ ...f, cite: null }), "layout.fields[0].cite"),
  field("an empty title", (f) => ({ ...f, title: "" }), "layout.fields[0].title"),
  field("a name in Linux that is none", (f) => ({ ...f, linux: "-" }), "layout.fields[0].linux"),
  field("a gate without a condition", (f) => ({ ...f, gate: {} }), "layout.fields[0].gate"),
  field("an unknown member", (f) => ({ ...f, size: 1 }), "layout.fields[0].size"),
  field("a name that is an index", (f) => ({ ...f, name: "0" }), "layout.fields[0].name"),
  field("bits by name", (f) => ({ ...f, bits: {} }), "layout.fields[0].bits"),
  field("too many bits", (f) => ({ ...f, bits: new Array(1025).fill(0) }), "layout.fields[0].bits"),
  bit("bits that are no object", () => "x", "layout.fields[1].bits[1]"),
  bit("bits without a name", ({ name, ...b }) => b, "layout.fields[1].bits[1].name"),
  bit("bits with an odd name", (b) => ({ ...b, name: "-" }), "layout.fields[1].bits[1].name"),
  bit("bit 64", (b) => ({ ...b, at: 64 }), "layout.fields[1].bits[1].at"),
  bit("bits of no width", (b) => ({ ...b, width: 0 }), "layout.fields[1].bits[1].width"),
  bit("bits of a null width", (b) => ({ ...b, width: null }), "layout.fields[1].bits[1].width"),
  bit("bits without a doc", ({ doc, ...b }) => b, "layout.fields[1].bits[1].doc"),
  bit("a name in Linux of 1", (b) => ({ ...b, linux: 1 }), "layout.fields[1].bits[1].linux"),
  bit("an unknown member", (b) => ({ ...b, mask: 1 }), "layout.fields[1].bits[1].mask"),
  ["no bus width", SAMPLE_REGISTERS, ({ busWidth, ...d }) => d, "layout.busWidth"],
  ["an odd bus width", SAMPLE_REGISTERS, (d) => ({ ...d, busWidth: [24] }), "layout.busWidth"],
  ["a width twice", SAMPLE_REGISTERS, (d) => ({ ...d, busWidth: [8, 8] }), "layout.busWidth"],
  ["a width as a text", SAMPLE_REGISTERS, (d) => ({ ...d, busWidth: "32" }), "layout.busWidth"],
  ["an odd byte order", SAMPLE_REGISTERS, (d) => ({ ...d, byteOrder: "le" }), "layout.byteOrder"],
  [
    "a register without an access",
    SAMPLE_REGISTERS,
    edit("registers", 3, ({ access, ...r }) => r),
    "layout.registers[3].access",
  ],
  ["no commands", SAMPLE_COMMANDS, (d) => ({ ...d, commands: [] }), "layout.commands"],
  ["a size of commands", SAMPLE_COMMANDS, (d) => ({ ...d, size: 1 }), "layout.size"],
  command("the code 0", (c) => ({ ...c, code: 0 }), "layout.commands[0].code"),
  command("a code of two bytes", (c) => ({ ...c, code: 256 }), "layout.commands[0].code"),
  command("no direction", ({ direction, ...c }) => c, "layout.commands[0].direction"),
  command("an odd direction", (c) => ({ ...c, direction: 1 }), "layout.commands[0].direction"),
  command("a payload by name", (c) => ({ ...c, payload: "x" }), "layout.commands[0].payload"),
  command(
    "a payload with a kind",
    (c) => ({ ...c, payload: { ...c.payload, kind: "struct" } }),
    "layout.commands[0].payload.kind",
  ),
  command(
    "a bad field in the payload",
    (c) => ({ ...c, payload: edit("fields", 2, (f) => ({ ...f, type: 8 }))(c.payload) }),
    "layout.commands[0].payload.fields[2].type",
  ),
];

const CONTRADICTORY: readonly [string, Layout, Edit, ErrorCode, string][] = [
  [
    "an overlap",
    SAMPLE_STRUCT,
    edit("fields", 6, (f) => ({ ...f, offset: 31 })),
    "LAYOUT_OVERLAP",
    "layout.fields[6].offset",
  ],
  [
    "bits that overlap",
    SAMPLE_STRUCT,
    edit(
      "fields",
      1,
      edit("bits", 1, (b) => ({ ...b, at: 0 })),
    ),
    "LAYOUT_OVERLAP",
    "layout.fields[1].bits[1].at",
  ],
  [
    "bits beyond the field",
    SAMPLE_STRUCT,
    edit(
      "fields",
      1,
      edit("bits", 1, (b) => ({ ...b, at: 14 })),
    ),
    "LAYOUT_INVALID",
    "layout.fields[1].bits[1].width",
  ],
  [
    "bits twice",
    SAMPLE_STRUCT,
    edit(
      "fields",
      1,
      edit("bits", 1, (b) => ({ ...b, name: "first" })),
    ),
    "LAYOUT_INVALID",
    "layout.fields[1].bits[1].name",
  ],
  [
    "a name twice",
    SAMPLE_STRUCT,
    edit("fields", 2, (f) => ({ ...f, name: "tag" })),
    "LAYOUT_INVALID",
    "layout.fields[2].name",
  ],
  ["a size too small", SAMPLE_STRUCT, (d) => ({ ...d, size: 40 }), "LAYOUT_INVALID", "layout.size"],
  [
    "a reset beyond the type",
    SAMPLE_STRUCT,
    edit("fields", 0, (f) => ({ ...f, reset: "0x100" })),
    "LAYOUT_INVALID",
    "layout.fields[0].reset",
  ],
  [
    "an unaligned register",
    SAMPLE_REGISTERS,
    edit("registers", 4, (r) => ({ ...r, offset: 30 })),
    "LAYOUT_INVALID",
    "layout.registers[4].offset",
  ],
  [
    "a width the bus lacks",
    SAMPLE_REGISTERS,
    edit("registers", 4, (r) => ({ ...r, type: "le64" })),
    "LAYOUT_INVALID",
    "layout.registers[4].type",
  ],
  [
    "a code twice",
    SAMPLE_COMMANDS,
    edit("commands", 1, (c) => ({ ...c, code: 0x92 })),
    "LAYOUT_INVALID",
    "layout.commands[1].code",
  ],
  [
    "an overlap in a payload",
    SAMPLE_COMMANDS,
    edit("commands", 0, (c) => ({
      ...c,
      payload: edit("fields", 8, (f) => ({ ...f, offset: 16 }))(c.payload),
    })),
    "LAYOUT_OVERLAP",
    "layout.commands[0].payload.fields[8].offset",
  ],
];

function edit(list: string, index: number, change: Edit): Edit {
  return (document) => ({
    ...document,
    [list]: document[list].map((item: unknown, i: number) => (i === index ? change(item) : item)),
  });
}

function field(what: string, change: Edit, path: string): [string, Layout, Edit, string] {
  return [what, SAMPLE_STRUCT, edit("fields", 0, change), path];
}

function bit(what: string, change: Edit, path: string): [string, Layout, Edit, string] {
  return [what, SAMPLE_STRUCT, edit("fields", 1, edit("bits", 1, change)), path];
}

function command(what: string, change: Edit, path: string): [string, Layout, Edit, string] {
  return [what, SAMPLE_COMMANDS, edit("commands", 0, change), path];
}

describe("bad layout documents", () => {
  it.each(MALFORMED)("refuse %s, as the schema does (%#)", (_, layout, change, path) => {
    const document = change(documentOf(layout));
    const error = failureOf(() => layoutFromJson(document));
    expect({ code: error.code, path: error.path }).toEqual({ code: "LAYOUT_JSON", path });
    expect(matchesSchema(document)).toBe(false);
    expect(checkLayout(document)[0]).toMatchObject({ severity: "error", code: error.code, path });
  });

  it.each(CONTRADICTORY)("refuse %s, which no schema tells", (_, layout, change, code, path) => {
    const document = change(documentOf(layout));
    const error = failureOf(() => layoutFromJson(document));
    expect({ code: error.code, path: error.path }).toEqual({ code, path });
    expect(matchesSchema(document)).toBe(true);
  });

  it("get a list of all that is wrong", () => {
    const document = documentOf(SAMPLE_STRUCT);
    document.fields[0].type = "le24";
    document.fields[6].offset = 31;
    document.more = true;
    expect(checkLayout(document).map(({ code, path }) => [code, path])).toEqual([
      ["LAYOUT_JSON", "layout.more"],
      ["LAYOUT_JSON", "layout.fields[0].type"],
      ["LAYOUT_OVERLAP", "layout.fields[6].offset"],
    ]);
  });

  it("get a list that ends", () => {
    const document = documentOf(SAMPLE_STRUCT);
    document.fields = new Array(LAYOUT_LIMITS.entries).fill(0);
    expect(checkLayout(document)).toHaveLength(LAYOUT_LIMITS.findings);
  });

  it("throw nothing but VirtioError, and a LAYOUT_JSON is found exactly when the schema refuses", () => {
    const document = documentOf(SAMPLE_COMMANDS);
    const paths: (string | number)[][] = [];
    const walk = (value: unknown, path: (string | number)[]) => {
      paths.push(path);
      if (typeof value !== "object" || value === null) return;
      for (const [name, member] of Object.entries(value)) {
        walk(member, [...path, Array.isArray(value) ? Number(name) : name]);
      }
    };
    walk(document, []);
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
        const changed = replaced(document, path, value);
        let code: ErrorCode | undefined;
        try {
          layoutFromJson(changed);
        } catch (error) {
          if (!(error instanceof VirtioError)) throw error;
          code = error.code;
        }
        const errors = checkLayout(changed).filter(({ severity }) => severity === "error");
        expect(errors[0]?.code).toBe(code);
        expect(errors.some((finding) => finding.code === "LAYOUT_JSON")).toBe(
          !matchesSchema(changed),
        );
      }),
      { numRuns: 1000 },
    );
  });
});

function replaced(document: unknown, path: readonly (string | number)[], value: unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return value;
  const copy = structuredClone(document) as Record<string | number, unknown>;
  copy[first] = replaced(copy[first], rest, value);
  return copy;
}

describe("the schema", () => {
  it("has the limits that the code has", () => {
    const { name, text, field, bits, gate, structDocument } = schema.$defs;
    expect(name.maxLength).toBe(LAYOUT_LIMITS.name);
    expect(text.maxLength).toBe(LAYOUT_LIMITS.text);
    expect(field.properties.offset.maximum).toBe(LAYOUT_LIMITS.bytes);
    expect(field.properties.count.anyOf[0].maximum).toBe(LAYOUT_LIMITS.bytes);
    expect(bits.properties.at.maximum).toBe(LAYOUT_LIMITS.bit);
    expect(gate.properties.feature.maximum).toBe(LAYOUT_LIMITS.feature);
    expect(gate.properties.revision.maximum).toBe(LAYOUT_LIMITS.revision);
    expect(structDocument.properties.fields.maxItems).toBe(LAYOUT_LIMITS.entries);
    expect(structDocument.properties.format.const).toBe(LAYOUT_FORMAT);
    expect(structDocument.properties.version.const).toBe(LAYOUT_FORMAT_VERSION);
  });

  it("has the types that the code has", () => {
    for (const type of schema.$defs.type.enum) {
      const layout = struct(
        "x",
        { cite: "this project", doc: "One field." },
        { a: { offset: 0, type, doc: "A." } },
      );
      expect(matchesSchema(documentOf(layout))).toBe(true);
    }
    expect(schema.$defs.type.enum).toHaveLength(7);
  });
});
