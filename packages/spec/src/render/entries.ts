/** The entries of a layout as rows of text: what tables on a terminal and in documents have in common. */
import type { ChannelCommand, Field, Layout } from "@virtio-admin/core";
import { bytesOf, gateText, hex, offsetDigits, typeText } from "./wording.ts";

/** A row: its cells, and what it is about. */
export interface LayoutEntry {
  /** The wire name. */
  readonly name: string;
  /** A cell for each column. */
  readonly cells: readonly string[];
  /** The field or register; absent for a command. */
  readonly field?: Field;
  /** The command; absent for a field. */
  readonly command?: ChannelCommand;
}

/** A layout as a table: the headings of its columns, and a row for each entry in order of place. */
export interface LayoutTable {
  /** The headings. */
  readonly columns: readonly string[];
  /** The rows. */
  readonly entries: readonly LayoutEntry[];
}

/** The table of a layout. Columns of which nothing is known (reset, access, gate) are left out. */
export function entriesOf(layout: Layout): LayoutTable {
  if (layout.kind === "commands") {
    return table(
      ["code", "name", "direction", "payload", "gate", "meaning"],
      Object.values(layout.commands).map((command) => ({
        name: command.name,
        command,
        cells: [
          hex(command.code),
          `${layout.prefix ?? ""}${command.name}`,
          command.direction,
          command.payload === undefined ? "" : payloadText(command.payload),
          gateText(command.gate),
          command.doc,
        ],
      })),
    );
  }
  const fields: readonly Field[] = Object.values(
    layout.kind === "registers" ? layout.registers : layout.fields,
  );
  const digits = offsetDigits(layout);
  return table(
    ["offset", "name", "type", "access", "reset", "gate", "meaning"],
    [...fields]
      .sort((a, b) => a.offset - b.offset || bytesOf(a) - bytesOf(b))
      .map((field) => ({
        name: field.name,
        field,
        cells: [
          hex(field.offset, digits),
          field.name,
          typeText(field),
          field.access ?? "",
          field.reset === undefined ? "" : `0x${field.reset.toString(16)}`,
          gateText(field.gate),
          field.doc,
        ],
      })),
  );
}

function payloadText({ name, size }: { readonly name: string; readonly size: number }): string {
  return `${name} (${size})`;
}

function table(columns: readonly string[], entries: readonly LayoutEntry[]): LayoutTable {
  const used = columns.flatMap((_, i) =>
    i < 2 || entries.some(({ cells }) => cells[i] !== "") ? [i] : [],
  );
  const pick = (cells: readonly string[]) => used.map((i) => cells[i] ?? "");
  return {
    columns: pick(columns),
    entries: entries.map((entry) => ({ ...entry, cells: pick(entry.cells) })),
  };
}
