/**
 * Reads layout documents that anybody may have written. The form is checked here, member by
 * member, before the rules in check.ts see what the members say; nothing is built from a document
 * that has an error, and lists are bounded before they are walked.
 */
import { checkCommands, checkRegisters, checkStruct, isLayoutName } from "./check.ts";
import { commands, isLayout, registers, struct } from "./declare.ts";
import { LAYOUT_FORMAT, LAYOUT_FORMAT_VERSION, layoutToJson } from "./document.ts";
import { type Entry, Findings, LAYOUT_LIMITS, type LayoutFinding } from "./findings.ts";
import type {
  AnyStructLayout,
  BitSpec,
  ChannelCommandSpec,
  CommandsMeta,
  FieldSpec,
  Gate,
  Layout,
  RegisterMeta,
  RegisterSpec,
  StructMeta,
} from "./types.ts";

/** The path of the document itself. */
const ROOT = "layout";

/**
 * Reads a layout from the parsed JSON of a document.
 *
 * @param json what `JSON.parse` returned; nothing about it is taken for granted
 * @returns a frozen layout, the same as one that was declared
 * @throws VirtioError `LAYOUT_JSON` when the document doesn't match `layout.schema.json`,
 * `LAYOUT_OVERLAP` and `LAYOUT_INVALID` when it does, but contradicts itself; `path` leads to the
 * member, as in `layout.registers[3].offset`
 */
export function layoutFromJson(json: unknown): Layout {
  const findings = new Findings("LAYOUT_JSON");
  const build = readDocument(findings, json);
  findings.throwFirst();
  return build();
}

/**
 * Checks a layout, for somebody who is writing one.
 *
 * @param layout the parsed JSON of a document, or a layout
 * @returns everything that was found, errors and warnings, at most {@link LAYOUT_LIMITS}`.findings`;
 * `layoutFromJson` accepts a document without errors
 */
export function checkLayout(layout: unknown): readonly LayoutFinding[] {
  const findings = new Findings("LAYOUT_JSON");
  readDocument(findings, isLayout(layout) ? layoutToJson(layout) : layout);
  return findings.list;
}

/** The members of an object, each read once. */
type Members = Readonly<Record<string, unknown>>;

const HEAD = ["$schema", "format", "version", "kind"];
const META = ["name", "cite", "doc"];
const NAMES = ["label", "linux"];
const FIELD = {
  required: ["name", "offset", "type", "doc"],
  optional: ["count", "access", "reset", "gate", "overlay", "title", "cite", "linux", "bits"],
};
const STRUCT = { required: [...META, "fields"], optional: [...NAMES, "size", "gate"] };
const REGISTERS = {
  required: [...META, "busWidth", "registers"],
  optional: [...NAMES, "size", "byteOrder", "gate"],
};
const COMMANDS = { required: [...META, "commands"], optional: ["label", "prefix"] };
const COMMAND = {
  required: ["name", "code", "direction", "doc"],
  optional: ["payload", "gate", "cite"],
};
const BITS = { required: ["name", "at", "doc"], optional: ["width", "linux"] };
const GATE = { required: [], optional: ["feature", "revision"] };

interface Shape {
  readonly required: readonly string[];
  readonly optional: readonly string[];
}

/** Fills `findings`; the function it returns may be called when there is no error among them. */
function readDocument(findings: Findings, json: unknown): () => Layout {
  const unusable = () => {
    throw new TypeError("a layout document with errors builds no layout");
  };
  if (!isObject(json)) {
    findings.malformed(ROOT, "a layout document is an object", json);
    return unusable;
  }
  const { $schema, format, version, kind } = json;
  if ($schema !== undefined && typeof $schema !== "string") {
    findings.malformed(`${ROOT}.$schema`, "the address of a schema is a text", $schema);
  }
  if (format !== LAYOUT_FORMAT) {
    findings.malformed(`${ROOT}.format`, `the format is "${LAYOUT_FORMAT}"`, format);
  }
  if (version !== LAYOUT_FORMAT_VERSION) {
    findings.malformed(`${ROOT}.version`, `the version is ${LAYOUT_FORMAT_VERSION}`, version);
  }
  switch (kind) {
    case "struct":
      return readStruct(findings, ROOT, json, HEAD);
    case "registers":
      return readRegisters(findings, json);
    case "commands":
      return readCommands(findings, json);
    default:
      findings.malformed(`${ROOT}.kind`, 'a kind is "struct", "registers" or "commands"', kind);
      return unusable;
  }
}

function readStruct(
  findings: Findings,
  path: string,
  json: unknown,
  head: readonly string[] = [],
): () => AnyStructLayout {
  const members = readMembers(findings, path, json, STRUCT, head);
  const { name, fields } = members;
  const meta = readMeta(findings, path, members) as StructMeta;
  const entries = readFields(findings, `${path}.fields`, fields);
  checkStruct(findings, path, name as string, meta, entries);
  return () => struct(name as string, meta, specsOf(entries));
}

function readRegisters(findings: Findings, json: unknown): () => Layout {
  const members = readMembers(findings, ROOT, json, REGISTERS, HEAD);
  const { name, busWidth, byteOrder, registers: list } = members;
  const meta = {
    ...readMeta(findings, ROOT, members),
    busWidth,
    ...(byteOrder === undefined ? {} : { byteOrder }),
  } as RegisterMeta;
  const entries = readFields(findings, `${ROOT}.registers`, list) as Entry<RegisterSpec>[];
  checkRegisters(findings, ROOT, name as string, meta, entries);
  return () => registers(name as string, meta, specsOf(entries));
}

function readCommands(findings: Findings, json: unknown): () => Layout {
  const members = readMembers(findings, ROOT, json, COMMANDS, HEAD);
  const { name, commands: list } = members;
  const meta = readMeta(findings, ROOT, members) as CommandsMeta;
  const payloads = new Map<Entry<ChannelCommandSpec>, () => AnyStructLayout>();
  const path = `${ROOT}.commands`;
  const entries = readList(findings, path, list).map((item, index) => {
    const where = `${path}[${index}]`;
    const { payload, gate, name: command, ...spec } = readMembers(findings, where, item, COMMAND);
    const entry: Entry<ChannelCommandSpec> = {
      name: command as string,
      spec: { ...spec, ...readGate(findings, where, gate) } as unknown as ChannelCommandSpec,
      path: where,
    };
    if (payload !== undefined) {
      payloads.set(entry, readStruct(findings, `${where}.payload`, payload));
    }
    return entry;
  });
  checkCommands(findings, ROOT, name as string, meta, entries);
  return () => {
    const built = entries.map((entry) => {
      const payload = payloads.get(entry)?.();
      return payload === undefined ? entry : { ...entry, spec: { ...entry.spec, payload } };
    });
    return commands(name as string, meta, specsOf(built));
  };
}

function readFields(findings: Findings, path: string, list: unknown): Entry<FieldSpec>[] {
  return readList(findings, path, list).map((item, index) => {
    const where = `${path}[${index}]`;
    const { name, gate, bits, reset, ...spec } = readMembers(findings, where, item, FIELD);
    const bitPaths = new Map<string, string>();
    return {
      name: name as string,
      spec: {
        ...spec,
        ...(reset === undefined ? {} : { reset: readReset(reset) }),
        ...readGate(findings, where, gate),
        ...readBits(findings, `${where}.bits`, bits, bitPaths),
      } as unknown as FieldSpec,
      path: where,
      bitPaths,
    };
  });
}

function readMeta(findings: Findings, path: string, members: Members): object {
  const { cite, doc, gate } = members;
  const optional = ["label", "linux", "prefix", "size"].filter((name) => name in members);
  return {
    cite,
    doc,
    ...Object.fromEntries(optional.map((name) => [name, members[name]])),
    ...readGate(findings, path, gate),
  };
}

function readGate(findings: Findings, path: string, gate: unknown): { gate?: Gate } {
  if (gate === undefined) return {};
  return { gate: readMembers(findings, `${path}.gate`, gate, GATE) };
}

/** Hexadecimal digits become a bigint; everything else is left for check.ts to judge. */
function readReset(reset: unknown): unknown {
  return typeof reset === "string" && /^0x[0-9a-fA-F]{1,16}$/.test(reset) ? BigInt(reset) : reset;
}

function readBits(
  findings: Findings,
  path: string,
  list: unknown,
  bitPaths: Map<string, string>,
): { bits?: Readonly<Record<string, BitSpec>> } {
  if (list === undefined) return {};
  const bits = new Map<string, BitSpec>();
  for (const [index, item] of readList(findings, path, list).entries()) {
    const where = `${path}[${index}]`;
    const { name, ...spec } = readMembers(findings, where, item, BITS);
    if (typeof name !== "string" || !isLayoutName(name)) {
      findings.malformed(`${where}.name`, "a name is a letter, then letters, digits and _", name);
    } else if (bits.has(name)) {
      findings.invalid("name", `${where}.name`, "there are other bits of that name", name);
    } else {
      bits.set(name, spec as unknown as BitSpec);
      bitPaths.set(name, where);
    }
  }
  return { bits: Object.fromEntries(bits) };
}

function readList(findings: Findings, path: string, list: unknown): readonly unknown[] {
  if (!Array.isArray(list)) {
    findings.malformed(path, "a list is needed", list);
    return [];
  }
  if (list.length > LAYOUT_LIMITS.entries) {
    findings.malformed(path, `a list has at most ${LAYOUT_LIMITS.entries} members`, list.length);
    return [];
  }
  return list;
}

/** The members that `shape` names; the others, and the ones that are missing, are findings. */
function readMembers(
  findings: Findings,
  path: string,
  json: unknown,
  shape: Shape,
  ignored: readonly string[] = [],
): Members {
  if (!isObject(json)) {
    findings.malformed(path, "an object is needed", json);
    return {};
  }
  const members: [string, unknown][] = [];
  for (const name of Object.keys(json)) {
    if (shape.required.includes(name) || shape.optional.includes(name)) {
      members.push([name, json[name]]);
    } else if (!ignored.includes(name)) {
      findings.malformed(`${path}.${name.slice(0, LAYOUT_LIMITS.name)}`, "there is no such member");
    }
  }
  for (const name of shape.required) {
    if (!Object.hasOwn(json, name)) findings.malformed(`${path}.${name}`, "the member is missing");
  }
  return Object.fromEntries(members);
}

function specsOf<S>(entries: readonly Entry<S>[]): Readonly<Record<string, S>> {
  return Object.fromEntries(entries.map(({ name, spec }) => [name, spec]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
