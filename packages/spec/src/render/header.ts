/**
 * A C header from layouts, in the style of Linux's uapi headers: macros for registers, channel
 * commands and named bits, structures with fixed-width types, and assertions on every size and offset.
 * It compiles as C11 and as C++17.
 */
import type {
  AnyStructLayout,
  CommandLayout,
  Field,
  FieldBits,
  Fields,
  Layout,
  RegisterLayout,
} from "@virtio-admin/core";
import { memberName } from "./c-names.ts";
import { type Member, membersOf, type UnionArm } from "./members.ts";
import { gateText, hex, typeText, upperSnake, wrap } from "./wording.ts";

/** What a header is made of. */
export interface HeaderOptions {
  /** The name of the header, from which its guard is made; that of the first layout when absent. */
  readonly name?: string;
}

const LINE = 76;
const LONGEST_LINE = 100;
const TAB = 8;
const MACRO_COLUMNS = 40;
const DECLARATION_COLUMNS = 32;

/**
 * The header of these layouts; structures that channel commands carry are among them.
 *
 * Registers and bits have the names of Linux's headers where their declarations know one. Otherwise the
 * name is made from the layout's, as `VIRTIO_MMIO_ADMIN_QUEUE_INDEX` is.
 */
export function renderHeader(layouts: readonly Layout[], options: HeaderOptions = {}): string {
  const name = options.name ?? layouts[0]?.name ?? "virtio_layout";
  const guard = `_${upperSnake(name.replaceAll(/[^A-Za-z0-9_]/g, "_"))}_H`;
  const structs = new Map<string, AnyStructLayout>();
  for (const layout of layouts.flatMap(withPayloads)) {
    if (layout.kind === "struct") structs.set(layout.name, layout);
  }
  const parts = [
    ...layouts.flatMap((layout) => (layout.kind === "registers" ? registerMacros(layout) : [])),
    ...layouts.flatMap((layout) => (layout.kind === "commands" ? commandMacros(layout) : [])),
    ...[...structs.values()].flatMap(structText),
  ];
  return [
    "/* SPDX-License-Identifier: BSD-3-Clause */",
    "/* Made from a layout by `virtio-admin layout render`: change the layout, not this file. */",
    `#ifndef ${guard}`,
    `#define ${guard}`,
    "",
    "#include <linux/types.h>",
    ...(structs.size === 0 ? [] : ["#include <stddef.h>", "", ...ASSERT]),
    ...parts,
    "",
    `#endif /* ${guard} */`,
    "",
  ].join("\n");
}

const ASSERT = [
  "#ifdef __cplusplus",
  "#define VIRTIO_LAYOUT_ASSERT(holds) static_assert(holds, #holds)",
  "#else",
  "#define VIRTIO_LAYOUT_ASSERT(holds) _Static_assert(holds, #holds)",
  "#endif",
];

function withPayloads(layout: Layout): Layout[] {
  if (layout.kind !== "commands") return [layout];
  return [layout, ...Object.values(layout.commands).flatMap(({ payload }) => payload ?? [])];
}

/** What Linux's headers call an offset, or would: the name of the macro that {@link renderHeader} gives it. */
export function macroName(layout: RegisterLayout | AnyStructLayout, field: Field): string {
  return field.linux ?? `${macroPrefix(layout)}${upperSnake(field.name)}`;
}

/** What the names that Linux has for the fields begin with, else the name of the layout. */
function macroPrefix(layout: RegisterLayout | AnyStructLayout): string {
  const fields: Fields = layout.kind === "registers" ? layout.registers : layout.fields;
  const names = Object.values(fields).flatMap(({ linux }) => linux ?? []);
  const [first = ""] = names;
  let length = names.length < 2 ? 0 : first.length;
  for (const name of names) while (!name.startsWith(first.slice(0, length))) length--;
  const prefix = first.slice(0, length).replace(/[^_]*$/, "");
  return prefix === "" ? `${upperSnake(layout.name)}_` : prefix;
}

function registerMacros(layout: RegisterLayout): string[] {
  const digits = Math.max(3, layout.size.toString(16).length);
  const names = new Names();
  const fields = Object.values<Field>(layout.registers).sort((a, b) => a.offset - b.offset);
  return [
    "",
    ...comment(`${layout.doc} (${layout.cite})`),
    ...fields.flatMap((field) => [
      "",
      ...comment(described(field)),
      macro(names.free(macroName(layout, field)), hex(field.offset, digits)),
      ...bitMacros(layout, field, names),
    ]),
  ];
}

function bitMacros(layout: RegisterLayout | AnyStructLayout, field: Field, names: Names): string[] {
  return Object.entries<FieldBits>(field.bits).flatMap(([name, run]) => {
    const base = run.linux ?? `${macroName(layout, field)}_${upperSnake(name)}`;
    const suffix = field.width === 8 ? "ULL" : "U";
    if (run.width === 1) {
      return [macro(names.free(base), `(1${field.width === 8 ? "ULL" : ""} << ${run.at})`)];
    }
    return [
      macro(names.free(`${base}_SHIFT`), String(run.at)),
      macro(names.free(`${base}_MASK`), `0x${maskOf(run).toString(16)}${suffix}`),
    ];
  });
}

function maskOf({ at, width }: FieldBits): bigint {
  return ((1n << BigInt(width)) - 1n) << BigInt(at);
}

function commandMacros(layout: CommandLayout): string[] {
  return [
    "",
    ...comment(`${layout.doc} (${layout.cite})`),
    ...Object.values(layout.commands).flatMap((command) => [
      "",
      ...comment(
        [command.doc, gateText(command.gate)].filter((part) => part !== "").join(" With "),
      ),
      macro(commandMacro(layout, command.name), hex(command.code)),
    ]),
  ];
}

/** The macro of a command: the specification's name of it. */
export function commandMacro(layout: CommandLayout, name: string): string {
  return `${layout.prefix ?? `${upperSnake(layout.name)}_`}${name}`;
}

function structText(layout: AnyStructLayout): string[] {
  const packed = layout.packed ? " __attribute__((packed))" : "";
  const names = new Names();
  const fields = Object.values<Field>(layout.fields);
  const offsets = fields.flatMap((field) =>
    field.linux === undefined ? [] : [macro(names.free(field.linux), String(field.offset))],
  );
  const bits = fields.flatMap((field) => bitMacros(layout, field, names));
  return [
    "",
    ...comment(`${layout.doc} (${layout.cite})`),
    `struct ${structName(layout)} {`,
    ...membersOf(layout).flatMap((member) => memberText(layout, member, packed)),
    `}${packed};`,
    "",
    assertion(`sizeof(struct ${structName(layout)}) == ${layout.size}`),
    ...fields
      .filter(({ name }) => !isLoneRest(layout, name))
      .map((field) =>
        assertion(
          `offsetof(struct ${structName(layout)}, ${memberIn(layout, field)}) == ${field.offset}`,
        ),
      ),
    ...(offsets.length === 0 ? [] : ["", ...offsets]),
    ...(bits.length === 0 ? [] : ["", ...bits]),
  ];
}

function structName({ name }: AnyStructLayout): string {
  return memberName(name);
}

/** True for a field that takes the rest and has nothing before it: C has no flexible array then. */
function isLoneRest(layout: AnyStructLayout, name: string): boolean {
  return layout.size === 0 && layout.rest === name;
}

function memberText(layout: AnyStructLayout, member: Member, packed: string): string[] {
  switch (member.kind) {
    case "padding":
      return [`\t__u8 ${member.name}[${member.bytes}];`];
    case "field":
      return declared(layout, member.field, 1);
    case "union":
      return ["\tunion {", ...member.arms.flatMap((arm) => armText(layout, arm, packed)), "\t};"];
  }
}

function armText(layout: AnyStructLayout, arm: UnionArm, packed: string): string[] {
  const { field, before, padding } = arm;
  if (before === 0 && packed === "") return declared(layout, field, 2);
  return [
    "\t\tstruct {",
    ...(before === 0 ? [] : [`\t\t\t__u8 ${padding}[${before}];`]),
    ...declared(layout, field, 3),
    `\t\t}${packed};`,
  ];
}

/** The declaration with what it means beside it, or above it where the line would be long. */
function declared(layout: AnyStructLayout, field: Field, depth: number): string[] {
  const brackets = isLoneRest(layout, field.name)
    ? "[0]"
    : typeText(field).slice(field.type.length);
  const indent = "\t".repeat(depth);
  const text = `__${field.type} ${memberIn(layout, field)}${brackets};`;
  const meaning = inComment(described(field));
  const width = TAB * depth + Math.max(text.length, DECLARATION_COLUMNS) + meaning.length + 7;
  if (width <= LONGEST_LINE)
    return [`${indent}${text.padEnd(DECLARATION_COLUMNS)} /* ${meaning} */`];
  return [...comment(described(field)).map((line) => `${indent}${line}`), `${indent}${text}`];
}

function memberIn(layout: AnyStructLayout, { name }: Field): string {
  return memberName(name, new Set(Object.keys(layout.fields)));
}

function described({ doc, access, gate }: Field): string {
  const notes = [access ?? "", gateText(gate)].filter((note) => note !== "");
  return notes.length === 0 ? doc : `${doc} [${notes.join("; ")}]`;
}

function assertion(holds: string): string {
  return `VIRTIO_LAYOUT_ASSERT(${holds});`;
}

function macro(name: string, value: string): string {
  return `${`#define ${name}`.padEnd(MACRO_COLUMNS)} ${value}`;
}

function comment(text: string): string[] {
  const lines = wrap(inComment(text), LINE);
  if (lines.length === 1) return [`/* ${lines[0]} */`];
  return ["/*", ...lines.map((line) => ` * ${line}`), " */"];
}

/** Text that neither ends a comment nor begins one. */
function inComment(text: string): string {
  return text
    .replaceAll("*/", "* /")
    .replaceAll("/*", "/ *")
    .replaceAll(/[\r\n\t\\]+/g, " ");
}

/** Names of one scope of macros: a second of the same name gets a number. */
class Names {
  readonly #taken = new Set<string>();

  free(wanted: string): string {
    let name = wanted;
    for (let i = 2; this.#taken.has(name); i++) name = `${wanted}_${i}`;
    this.#taken.add(name);
    return name;
  }
}
