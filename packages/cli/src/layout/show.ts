/** `virtio-admin layout show` and `render`: the layouts, and one of them in every form. */
import type { Layout } from "@virtio-admin/core";
import {
  entriesOf,
  LAYOUT_CATALOGUE,
  renderHeader,
  renderJson,
  renderLatex,
  renderMarkdown,
  renderSvg,
  renderYaml,
  type Theme,
} from "@virtio-admin/spec";
import Table from "cli-table3";
import type { Streams } from "../output.ts";
import { deliver, type Rendering } from "./deliver.ts";
import { demandLayout } from "./source.ts";

/** The forms that a layout is rendered in. */
export const RENDER_FORMATS = [
  "table",
  "latex",
  "header",
  "markdown",
  "json",
  "yaml",
  "svg",
] as const;

/** A form of {@link RENDER_FORMATS}. */
export type RenderFormat = (typeof RENDER_FORMATS)[number];

/** The options of `render`, and of `show` as far as it has them. */
export interface RenderOptions {
  /** The form; a table when absent. */
  readonly format?: RenderFormat;
  /** A file or a folder; standard output when absent. */
  readonly out?: string;
  /** The registers or commands to render, for LaTeX. */
  readonly only?: readonly string[];
  /** The colours of a diagram; both in a folder when absent. */
  readonly theme?: Theme;
}

const MEANING_WIDTH = 50;
const GATE_WIDTH = 22;

/** Prints the list of layouts, or one of them. */
export function showLayout(
  word: string | undefined,
  options: RenderOptions,
  streams: Streams,
): number {
  if (word === undefined) {
    const isJson = options.format === "json";
    const text = isJson ? `${JSON.stringify(listing(), null, 2)}\n` : `${listTable()}\n`;
    deliver([{ file: "layouts.txt", text }], options.out, streams);
    return 0;
  }
  return renderLayouts([word], options, streams);
}

/** Renders layouts; one after the other, or each into a file of its own. */
export function renderLayouts(
  words: readonly string[],
  options: RenderOptions,
  streams: Streams,
): number {
  const layouts = words.map(demandLayout);
  deliver(
    layouts.flatMap((layout) => renderingsOf(layout, options)),
    options.out,
    streams,
  );
  return 0;
}

function renderingsOf(layout: Layout, options: RenderOptions): Rendering[] {
  const { name } = layout;
  switch (options.format ?? "table") {
    case "table":
      return [{ file: `${name}.txt`, text: tableText(layout) }];
    case "latex": {
      const selection = options.only === undefined ? {} : { only: options.only };
      return [{ file: `${name}.tex`, text: renderLatex(layout, selection) }];
    }
    case "header":
      return [{ file: `${name}.h`, text: renderHeader([layout]) }];
    case "markdown":
      return [{ file: `${name}.md`, text: renderMarkdown(layout) }];
    case "json":
      return [{ file: `${name}.json`, text: renderJson(layout) }];
    case "yaml":
      return [{ file: `${name}.yaml`, text: renderYaml(layout) }];
    case "svg": {
      const isFolder = options.out !== undefined && !options.out.endsWith(".svg");
      const both: readonly Theme[] = isFolder ? ["light", "dark"] : ["light"];
      const themes = options.theme === undefined ? both : [options.theme];
      return themes.map((theme) => ({
        file: themes.length === 1 ? `${name}.svg` : `${name}-${theme}.svg`,
        text: renderSvg(layout, { theme }),
      }));
    }
  }
}

/** A layout as a table for a terminal. */
function tableText(layout: Layout): string {
  const { columns, entries } = entriesOf(layout);
  const widths = columns.map((column) =>
    column === "meaning" ? MEANING_WIDTH : column === "gate" ? GATE_WIDTH : null,
  );
  const table = new Table({
    head: [...columns],
    style: { head: [], border: [] },
    colWidths: widths,
    wordWrap: true,
  });
  for (const { cells } of entries) table.push([...cells]);
  return `${layout.name}: ${layout.doc} (${layout.cite})\n${table.toString()}\n`;
}

function listing(): object[] {
  return [...LAYOUT_CATALOGUE.values()].map((layout) => ({
    name: layout.name,
    kind: layout.kind,
    size: layout.kind === "commands" ? undefined : layout.size,
    doc: layout.doc,
    cite: layout.cite,
  }));
}

function listTable(): string {
  const table = new Table({
    head: ["name", "kind", "bytes", "what it is"],
    style: { head: [], border: [] },
    colWidths: [null, null, null, MEANING_WIDTH],
    wordWrap: true,
  });
  for (const layout of LAYOUT_CATALOGUE.values()) {
    const bytes = layout.kind === "commands" ? "" : String(layout.size);
    table.push([layout.name, layout.kind, bytes, layout.doc]);
  }
  return table.toString();
}
