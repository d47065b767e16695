/** The dialects as a document: what `docs/dialects.md` holds. */
import {
  type AnyStructLayout,
  DIALECTS,
  type DialectDescription,
  type TransportDescription,
} from "@virtio-admin/core";
import { IDEAS, opcodeText, typeOf } from "./ideas.ts";
import { outcomeRows } from "./outcomes.ts";

/** Writes the document. */
export function dialectsMarkdown(transports: readonly TransportDescription[]): string {
  const ratified = DIALECTS["virtio-1.4"];
  const proposal = DIALECTS["proposal-v5"];
  const both = [proposal, ratified];
  const heads = both.map(({ label }) => label);
  const sections = [
    "# Dialects of administration commands",
    "Written by `virtio-admin dialects --markdown` from the declarations in the sources; do not edit.",
    ...both.map(({ label, doc }) => `**${label}.** ${doc}`),
    "A device has one dialect, chosen when it is made; `virtio-1.4` is the default everywhere. Why each of\nthese forms: [012](decisions/012-dialect-proposal-v5.md).",
    "## What became of each idea",
    table(
      ["idea", ...heads],
      IDEAS.map((idea) => [idea.idea, ...both.map((dialect) => idea.form(dialect, transports))]),
    ),
    "## Commands",
    table(
      ["command", ...heads, `destinations in ${proposal.name}`],
      commandRows(proposal, ratified),
    ),
    "## How a command ends",
    `An outcome is a status and a qualifier of ${ratified.name}, whatever is spoken; the two numbers are the status\nfields of an answer.`,
    table(
      ["outcome", ...both.map((dialect) => `${dialect.label}: ${statusFields(dialect)}`)],
      outcomeRows().map(({ outcome, answers }) => [
        outcome,
        ...both.map(({ name }) => answers[name].join(", ")),
      ]),
    ),
    `## The structures of ${proposal.label}`,
    ...[proposal.command, proposal.answer].flatMap((layout) => [
      `\`${layout.name}\`: ${layout.doc}`,
      structTable(layout),
    ]),
  ];
  return `${sections.join("\n\n")}\n`;
}

function commandRows(
  proposal: DialectDescription,
  ratified: DialectDescription,
): readonly (readonly string[])[] {
  const here = [proposal.listQuery, proposal.listUse, ...proposal.management];
  const there = [ratified.listQuery, ratified.listUse, ...ratified.management];
  return here.map(({ name, opcode, groups }, i) => {
    const other = there[i];
    const addressed = proposal.destinations.filter(
      ({ value }) => groups === "any" || groups.includes(value),
    );
    return [
      name === other?.name ? name : `${name} / ${other?.name}`,
      opcodeText(opcode),
      opcodeText(other?.opcode ?? 0),
      addressed.map((each) => each.name).join(", "),
    ];
  });
}

function statusFields({ answer }: DialectDescription): string {
  return Object.keys(answer.fields).slice(0, 2).join(", ");
}

function structTable(layout: AnyStructLayout): string {
  return table(
    ["offset", "field", "type", ""],
    Object.values(layout.fields).map((field) => [
      String(field.offset),
      field.name,
      typeOf(field),
      field.doc,
    ]),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---|").join("")}`, ...rows.map(line)].join("\n");
}
