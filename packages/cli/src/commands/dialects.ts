/** `virtio-admin dialects`: what became of each idea of the proposal, from the declarations. */
import { type AnyStructLayout, DIALECTS, type DialectDescription } from "@virtio-admin/core";
import { TRANSPORT } from "@virtio-admin/core/di";
import Table from "cli-table3";
import { createApplication } from "../application.ts";
import { IDEAS } from "../dialects/ideas.ts";
import { dialectsMarkdown } from "../dialects/markdown.ts";
import { outcomeRows } from "../dialects/outcomes.ts";
import type { Output } from "../output.ts";

/** The options of `dialects`. */
export interface DialectsOptions {
  /** Print the document that `docs/dialects.md` holds. */
  readonly markdown?: true;
}

const IDEA_WIDTH = 22;
const FORM_WIDTH = 46;

/** Prints the table; always 0. */
export function dialects(options: DialectsOptions, output: Output): number {
  const transports = createApplication()
    .resolveAll(TRANSPORT)
    .map(({ description }) => description);
  if (options.markdown === true) {
    output.line(dialectsMarkdown(transports).trimEnd());
    return 0;
  }
  const columns = [DIALECTS["proposal-v5"], DIALECTS["virtio-1.4"]];
  const table = new Table({
    head: ["idea", ...columns.map(({ label }) => label)],
    style: { head: [], border: [] },
    colWidths: [IDEA_WIDTH, ...columns.map(() => FORM_WIDTH)],
    wordWrap: true,
  });
  const rows = IDEAS.map(({ idea, form }) => ({
    idea,
    forms: columns.map((dialect) => form(dialect, transports)),
  }));
  for (const { idea, forms } of rows) table.push([idea, ...forms]);
  output.line(table.toString());
  output.document({
    dialects: columns.map(described),
    ideas: rows.map(({ idea, forms }) => ({
      idea,
      forms: Object.fromEntries(columns.map(({ name }, i) => [name, forms[i]])),
    })),
    outcomes: outcomeRows(),
  });
  return 0;
}

function described(dialect: DialectDescription): object {
  const { name, label, reconstruction, doc, command, answer, destinations, statuses } = dialect;
  const commands = [dialect.listQuery, dialect.listUse, ...dialect.management];
  return {
    name,
    label,
    reconstruction,
    doc,
    command: structure(command),
    answer: structure(answer),
    destinations,
    statuses,
    commands: commands.map((one) => ({ opcode: one.opcode, name: one.name, groups: one.groups })),
  };
}

function structure({ name, size, fields }: AnyStructLayout): object {
  return {
    name,
    size,
    fields: Object.values(fields).map((field) => ({
      name: field.name,
      offset: field.offset,
      type: field.type,
      ...(field.count === undefined ? {} : { count: field.count }),
    })),
  };
}
