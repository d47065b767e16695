/** A layout as a section of Markdown: a table of its entries, and one for the bits of those that have some. */
import type { Field, FieldBits, Layout } from "@virtio-admin/core";
import { entriesOf, type LayoutEntry } from "./entries.ts";

/** The section: heading, description, table; payloads of commands as sections of their own. */
export function renderMarkdown(layout: Layout): string {
  return `${sections(layout, 2).join("\n\n")}\n`;
}

function sections(layout: Layout, level: number): string[] {
  const { columns, entries } = entriesOf(layout);
  const head = [
    `${"#".repeat(level)} ${code(layout.name)}`,
    `${cell(layout.doc)} (${cell(layout.cite)})`,
    ...(layout.kind === "commands" ? [] : [factsOf(layout)]),
    table(columns, entries.map(cellsOf)),
  ];
  const bits = entries.flatMap(({ name, field }) =>
    field === undefined || Object.keys(field.bits).length === 0
      ? []
      : [`Bits of ${code(name)}:`, table(["bits", "name", "meaning"], bitRows(field))],
  );
  const payloads =
    layout.kind === "commands"
      ? [...new Set(Object.values(layout.commands).flatMap(({ payload }) => payload ?? []))]
      : [];
  return [...head, ...bits, ...payloads.flatMap((payload) => sections(payload, level + 1))];
}

function factsOf(layout: Exclude<Layout, { kind: "commands" }>): string {
  const facts = [`${layout.size} bytes${layout.rest === undefined ? "" : " and the rest"}`];
  if (layout.kind === "registers") {
    facts.push(`accessed in ${layout.busWidths.join(", ")} bits`);
    if (layout.byteOrder !== undefined) facts.push(`${layout.byteOrder}-endian`);
  } else if (layout.packed) {
    facts.push("packed");
  }
  return `${facts.join(", ")}.`;
}

function cellsOf({ cells }: LayoutEntry): string[] {
  const last = cells.length - 1;
  return cells.map((text, column) => {
    if (text === "") return "";
    return column === last || text.includes(" ") ? cell(text) : code(text);
  });
}

function bitRows({ bits }: Field): string[][] {
  return Object.entries<FieldBits>(bits).map(([name, { at, width, doc }]) => [
    width === 1 ? `${at}` : `${at}–${at + width - 1}`,
    code(name),
    cell(doc),
  ]);
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(columns), line(columns.map(() => "---")), ...rows.map(line)].join("\n");
}

function code(text: string): string {
  return `\`${text.replaceAll("`", "'").replaceAll("|", "\\|")}\``;
}

/** Text that stays in its cell, and is no markup. */
function cell(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll(/[|<>*_\\[\]]/g, "\\$&");
}
