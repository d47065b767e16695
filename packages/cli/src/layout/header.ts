/** `virtio-admin layout header`: a C header, and what Linux's headers have under the same names. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Layout } from "@virtio-admin/core";
import {
  compareWithHeaders,
  type HeaderComparison,
  type HeaderVerdict,
  LAYOUT_CATALOGUE,
  renderHeader,
} from "@virtio-admin/spec";
import { Output, type Streams } from "../output.ts";
import { deliver } from "./deliver.ts";
import { demandLayout } from "./source.ts";

/** The options of `header`. */
export interface HeaderCommandOptions {
  /** A folder of headers to compare with, in place of printing one. */
  readonly compare?: string;
  /** The form of the comparison; text when absent. */
  readonly format?: "text" | "json";
  /** A file; standard output when absent. */
  readonly out?: string;
}

const LONGEST_HEADER = 1 << 20;
const MOST_HEADERS = 256;
const ENVIRONMENT = 3;

/** Prints a header, or a comparison: 0, 1 when a name differs, 3 when the folder has no headers of virtio. */
export function headerOf(
  words: readonly string[],
  options: HeaderCommandOptions,
  streams: Streams,
): number {
  const layouts = words.length === 0 ? [...LAYOUT_CATALOGUE.values()] : words.map(demandLayout);
  if (options.compare === undefined) {
    const name = layouts.length === 1 ? layouts[0]?.name : "virtio_layouts";
    const text = renderHeader(withoutDoubles(layouts), name === undefined ? {} : { name });
    deliver([{ file: `${name}.h`, text }], options.out, streams);
    return 0;
  }
  const headers = headersIn(options.compare);
  if (headers.length === 0) {
    streams.err(
      `${options.compare}: there are no headers of virtio; give the folder that has linux/virtio_pci.h\n`,
    );
    return ENVIRONMENT;
  }
  const rows = compareWithHeaders(
    layouts,
    headers.map((file) => readFileSync(file, "utf8")),
  );
  const differing = rows.filter(({ verdict }) => verdict === "differs").length;
  const text =
    options.format === "json"
      ? `${JSON.stringify({ headers, rows: rows.map(plain) }, null, 2)}\n`
      : comparisonText(headers, rows, streams);
  deliver([{ file: "headers.txt", text }], options.out, streams);
  return differing === 0 ? 0 : 1;
}

/** A ratified layout is left out where the one that extends it is there: both have the same macros. */
function withoutDoubles(layouts: readonly Layout[]): Layout[] {
  const names = layouts.map(({ name }) => name);
  return layouts.filter(({ name }) => !names.includes(`${name}_admin`));
}

/** The headers of virtio in a folder, or in the folder `linux` in it. */
function headersIn(folder: string): string[] {
  for (const candidate of [join(folder, "linux"), folder]) {
    if (statSync(candidate, { throwIfNoEntry: false })?.isDirectory() !== true) continue;
    const found = readdirSync(candidate)
      .filter((name) => /^virtio[a-z_-]*\.h$/.test(name))
      .slice(0, MOST_HEADERS)
      .map((name) => join(candidate, name))
      .filter((file) => statSync(file).isFile() && statSync(file).size <= LONGEST_HEADER);
    if (found.length > 0) return found;
  }
  return [];
}

function plain({ ours, theirs, ...row }: HeaderComparison): object {
  return {
    ...row,
    ...(ours === undefined ? {} : { ours: Number(ours) }),
    ...(theirs === undefined ? {} : { theirs: Number(theirs) }),
  };
}

const VERDICTS: readonly HeaderVerdict[] = ["differs", "renamed", "absent", "linux-only", "same"];

function comparisonText(
  headers: readonly string[],
  rows: readonly HeaderComparison[],
  streams: Streams,
): string {
  const { colours } = new Output(streams, false);
  const colour: Readonly<Record<HeaderVerdict, (text: string) => string>> = {
    differs: colours.red,
    renamed: colours.yellow,
    absent: colours.dim,
    "linux-only": colours.dim,
    same: colours.green,
  };
  const value = (at: bigint | undefined) => (at === undefined ? "–" : `0x${at.toString(16)}`);
  const lines = VERDICTS.flatMap((verdict) =>
    rows
      .filter((row) => row.verdict === verdict)
      .map(({ layout, name, linux, ours, theirs }) => {
        const here = name === "" ? "–" : `${layout}.${name}`;
        return `${colour[verdict](verdict.padEnd(10))} ${here} ${value(ours)}  ${linux === "" ? "–" : linux} ${value(theirs)}`;
      }),
  );
  const counts = VERDICTS.map((verdict) => {
    return `${rows.filter((row) => row.verdict === verdict).length} ${verdict}`;
  });
  return `${lines.join("\n")}\n${headers.length} headers: ${counts.join(", ")}\n`;
}
