/**
 * Text of the specification from a layout, in the macros of its own sources: rows of the register
 * table (transport-mmio.tex), lists of channel commands and revision rows (transport-ccw.tex),
 * listings of structures, and normative sections from clauses.
 */
import {
  type AnyStructLayout,
  type Clause,
  type ClauseSection,
  type CommandLayout,
  type Field,
  type FieldBits,
  featureName,
  type Gate,
  type Layout,
  type RegisterLayout,
} from "@virtio-admin/core";
import { latexLabel, latexProse, latexText } from "./latex-text.ts";
import { type Member, membersOf } from "./members.ts";
import { hex, typeText, wrap } from "./wording.ts";

/** Which entries of a layout to render. */
export interface LatexSelection {
  /** The names of the registers or commands; all of the layout when absent. */
  readonly only?: readonly string[];
}

const LINE = 72;
const ROW_INDENT = "  ";
const BODY_INDENT = "    ";
/** What the listings of the specification indent by. */
const LISTING_INDENT = "        ";

/**
 * Rows of the register table: `\mmioreg{…}` for a register, `\mmiodreg{…}` for two that are the
 * halves of one value, each with `\hline` on a line of its own after it.
 *
 * @returns lines that each end in a line feed, in order of the offsets
 */
export function renderLatexRegisterRows(
  layout: RegisterLayout,
  selection: LatexSelection = {},
): string {
  const all = Object.values(layout.registers).sort((a, b) => a.offset - b.offset);
  const chosen = all.filter(({ name }) => isChosen(name, selection));
  const names = all.map(({ name }) => name);
  const rows: string[] = [];
  for (let i = 0; i < chosen.length; i++) {
    const register = chosen[i];
    if (register === undefined) continue;
    const next = chosen[i + 1];
    const isPair = next !== undefined && areHalves(register, next);
    rows.push(...registerRow(register, isPair ? next : undefined, names));
    if (isPair) i++;
  }
  return lines(rows);
}

/** `<stem>Low` and `<stem>High`, one after the other, of one kind. */
function areHalves(low: Field, high: Field): boolean {
  const stem = low.name.endsWith("Low") ? low.name.slice(0, -"Low".length) : undefined;
  return (
    stem !== undefined &&
    high.name === `${stem}High` &&
    high.offset === low.offset + low.width &&
    high.access === low.access &&
    low.count === undefined
  );
}

function registerRow(register: Field, high: Field | undefined, names: readonly string[]): string[] {
  const title = latexText(register.title ?? register.name);
  const place = (field: Field) => `${hex(field.offset, 3)}${field.count === "rest" ? "+" : ""}`;
  const head =
    high === undefined
      ? `\\mmioreg{${register.name}}{${title}}{${place(register)}}{${register.access ?? ""}}{%`
      : `\\mmiodreg{${register.name}}{${high.name}}{${title}}{${place(register)}}{${place(high)}}{${register.access ?? ""}}{%`;
  const doc = high === undefined ? register.doc : `${register.doc} ${high.doc}`;
  const gate = unsaidGate(register.gate, doc);
  return [
    `${ROW_INDENT}${head}`,
    ...paragraph(latexProse(`${doc}${gate}`, names), BODY_INDENT),
    ...bitList(register, names),
    `${ROW_INDENT}}`,
    `${ROW_INDENT}\\hline`,
  ];
}

function bitList({ bits }: Field, names: readonly string[]): string[] {
  const entries = Object.entries<FieldBits>(bits);
  if (entries.length === 0) return [];
  return [
    `${BODY_INDENT}\\begin{description}`,
    ...entries.flatMap(([name, run]) => [
      `${BODY_INDENT}  \\item[\\field{${name}}] ${bitsText(run)}:`,
      ...paragraph(latexProse(run.doc, names), `${BODY_INDENT}    `),
    ]),
    `${BODY_INDENT}\\end{description}`,
  ];
}

function bitsText({ at, width }: FieldBits): string {
  return width === 1 ? `bit ${at}` : `bits ${at} to ${at + width - 1}`;
}

/** The condition as a sentence, unless the description names it already. */
function unsaidGate(gate: Gate | undefined, doc: string): string {
  const feature =
    gate?.feature === undefined || doc.includes(featureName(gate.feature))
      ? ""
      : ` Present only if ${featureName(gate.feature)} has been negotiated.`;
  const revision =
    gate?.revision === undefined || doc.includes(`revision ${gate.revision}`)
      ? ""
      : ` Present from revision ${gate.revision} on.`;
  return `${feature}${revision}`;
}

/** The `#define` lines of channel commands, as they stand in the listing of transport-ccw.tex. */
export function renderLatexCommands(layout: CommandLayout, selection: LatexSelection = {}): string {
  return lines(
    commandsOf(layout, selection).map(
      ({ name, code }) => `#define ${layout.prefix ?? ""}${name} ${hex(code)}`,
    ),
  );
}

/** Rows of the table of revisions: one for each revision that brings chosen commands. */
export function renderLatexRevisionRows(
  layout: CommandLayout,
  selection: LatexSelection = {},
): string {
  const byRevision = new Map<number, string[]>();
  for (const { name, gate } of commandsOf(layout, selection)) {
    if (gate?.revision === undefined) continue;
    const names = byRevision.get(gate.revision) ?? [];
    byRevision.set(gate.revision, [...names, `${layout.prefix ?? ""}${name}`]);
  }
  const rows = [...byRevision].sort(([a], [b]) => a - b);
  return lines(
    rows.flatMap(([revision, names]) => [
      `${String(revision).padEnd(8)} & 0      & <empty>   & ${names.join(", ")} support \\\\`,
      "\\hline",
    ]),
  );
}

function commandsOf(layout: CommandLayout, selection: LatexSelection) {
  return Object.values(layout.commands).filter(({ name }) => isChosen(name, selection));
}

/** A structure as a listing: `\begin{lstlisting}`, the C of the specification, `\end{lstlisting}`. */
export function renderLatexStruct(layout: AnyStructLayout): string {
  return lines([
    "\\begin{lstlisting}",
    `struct ${layout.name} {`,
    ...membersOf(layout).flatMap((member) => listingMember(member, LISTING_INDENT)),
    "};",
    "\\end{lstlisting}",
  ]);
}

function listingMember(member: Member, indent: string): string[] {
  switch (member.kind) {
    case "padding":
      return [`${indent}u8 ${member.name}[${member.bytes}];`];
    case "field":
      return [`${indent}${declaration(member.field)}`];
    case "union":
      return [
        `${indent}union {`,
        ...member.arms.flatMap(({ field, before, padding }) =>
          before === 0
            ? [`${indent}${LISTING_INDENT}${declaration(field)}`]
            : [
                `${indent}${LISTING_INDENT}struct {`,
                `${indent}${LISTING_INDENT.repeat(2)}u8 ${padding}[${before}];`,
                `${indent}${LISTING_INDENT.repeat(2)}${declaration(field)}`,
                `${indent}${LISTING_INDENT}};`,
              ],
        ),
        `${indent}};`,
      ];
  }
}

function declaration(field: Field): string {
  const text = typeText(field);
  return `${field.type} ${field.name}${text.slice(field.type.length)};`;
}

/** The meaning of every field of a structure, as a `description` list. */
export function renderLatexFields(layout: AnyStructLayout): string {
  const fields = Object.values(layout.fields);
  const names = fields.map(({ name }) => name);
  return lines([
    "\\begin{description}",
    ...fields.flatMap((field) => [
      `\\item[\\field{${field.name}}]`,
      ...paragraph(
        latexProse(`${field.doc}${unsaidGate(field.gate, field.doc)}`, names),
        LISTING_INDENT,
      ),
    ]),
    "\\end{description}",
  ]);
}

/** Where a normative section stands, and how deep. */
export interface NormativePlace {
  /** The path of its label; that of the section's own label when absent. */
  readonly path?: string;
  /** The sectioning command, without the backslash; `subsubsection` when absent. */
  readonly level?: "subsection" | "subsubsection" | "paragraph" | "subparagraph";
  /** Names that stand in the rules and are fields or registers. */
  readonly fields?: readonly string[];
}

/** The path of a section's label, without what says of which kind it is. */
export function normativePath(section: ClauseSection): string {
  return latexLabel(section.label.replace(/^(devicenormative|drivernormative|extension|sec):/, ""));
}

/**
 * A normative section from clauses: `\devicenormative{…}` or `\drivernormative{…}` with its label,
 * and a paragraph for each rule, in this project's words. The sources want RFC 2119 words in capitals:
 * how strong a rule is stands in a comment before it, for its author to word it by.
 */
export function renderLatexNormative(section: ClauseSection, place: NormativePlace = {}): string {
  const [first] = section.clauses;
  const role = first?.role === "driver" ? "driver" : "device";
  const path = place.path === undefined ? normativePath(section) : latexLabel(place.path);
  const level = place.level ?? "subsubsection";
  return lines([
    `\\${role}normative{\\${level}}{${latexText(section.title)}}{${path}}`,
    ...section.clauses.flatMap((clause) => [
      "",
      `% ${clause.id}: ${keyword(clause)}`,
      ...wrap(latexProse(clause.text, place.fields), LINE),
    ]),
  ]);
}

/** The line of conformance.tex that lists a normative section. */
export function renderLatexConformance(section: ClauseSection, place: NormativePlace = {}): string {
  const role = section.clauses[0]?.role === "driver" ? "driver" : "device";
  const path = place.path === undefined ? normativePath(section) : latexLabel(place.path);
  return `\\item \\ref{${role}normative:${path}}\n`;
}

function keyword({ level }: Clause): string {
  return level.replace("-", " ").toUpperCase();
}

/**
 * A whole layout: the register table's rows, the commands with the structures they carry, or the
 * listing of a structure with the meaning of its fields.
 */
export function renderLatex(layout: Layout, selection: LatexSelection = {}): string {
  switch (layout.kind) {
    case "registers":
      return renderLatexRegisterRows(layout, selection);
    case "struct":
      return `${renderLatexStruct(layout)}\n${renderLatexFields(layout)}`;
    case "commands": {
      const payloads = new Set(
        commandsOf(layout, selection).flatMap(({ payload }) => payload ?? []),
      );
      const listing = `\\begin{lstlisting}\n${renderLatexCommands(layout, selection)}\\end{lstlisting}\n`;
      const revisions = renderLatexRevisionRows(layout, selection);
      const structs = [...payloads].map((payload) => `\n${renderLatex(payload)}`);
      return `${listing}${revisions === "" ? "" : `\n${revisions}`}${structs.join("")}`;
    }
  }
}

function isChosen(name: string, { only }: LatexSelection): boolean {
  return only === undefined || only.includes(name);
}

function paragraph(text: string, indent: string): string[] {
  return wrap(text, LINE - indent.length).map((line) => `${indent}${line}`);
}

function lines(list: readonly string[]): string {
  return list.map((line) => `${line}\n`).join("");
}
