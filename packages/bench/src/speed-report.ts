/** The rows as text, and as the section of `docs/benchmarks.md`. */
import { availableParallelism, cpus } from "node:os";
import type { AllocatedBytes } from "./allocations.ts";
import type { CodecLibrary } from "./codec-libraries.ts";
import type { Row } from "./measure-path.ts";
import type { RegisterAccess } from "./register-access.ts";

/** What the report is made of. */
export interface Speed {
  readonly rows: readonly Row[];
  readonly registers: readonly RegisterAccess[];
  readonly libraries: readonly CodecLibrary[];
  /** Absent where no collection could be forced. */
  readonly allocations: readonly AllocatedBytes[] | undefined;
  /** The load average of the machine before anything was measured, and after. */
  readonly load: readonly [number, number];
  readonly v86: string;
}

/** The title of the section. */
export const SPEED_TITLE = "The round trip of a command";

const HEADINGS = ["path", "outstanding", "ns", "÷ C", "÷ hand", "÷ v86", "spread"];

function ratio(value: number | null): string {
  return value === null || Number.isNaN(value) ? "–" : value.toFixed(2);
}

function cellsOf(row: Row): readonly string[] {
  return [
    row.path,
    String(row.outstanding),
    row.ns.toFixed(0),
    ratio(row.over_c),
    ratio(row.over_hand),
    ratio(row.over_v86),
    `±${(100 * row.spread).toFixed(0)}%`,
  ];
}

const COLUMNS = [22, 11, 8, 6, 7, 7, 8];

/** The line above the rows on a terminal. */
export const SPEED_HEADING: string = lineOf(HEADINGS);

/** One row on a terminal. */
export function speedLine(row: Row): string {
  return lineOf(cellsOf(row));
}

function lineOf(cells: readonly string[]): string {
  return cells
    .map((cell, i) => (i === 0 ? cell.padEnd(COLUMNS[i] ?? 0) : cell.padStart(COLUMNS[i] ?? 0)))
    .join(" ");
}

function table(headings: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, i) =>
    Math.max(heading.length, ...lines.map((line) => line[i]?.length ?? 0)),
  );
  const row = (line: readonly string[]) =>
    `| ${line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, i) =>
    i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [headings, rule, ...lines].map(row).join("\n");
}

/** The section in Markdown, its heading included. */
export function speedReport(speed: Speed): string {
  const { rows, registers, libraries, allocations, load, v86 } = speed;
  const processor = cpus()[0]?.model.trim() ?? "unknown processor";
  const allocated =
    allocations === undefined
      ? "Not measured: `NODE_OPTIONS=--expose-gc npm run bench` does."
      : table(
          ["path", "bytes of heap for a command"],
          allocations.map(({ path, bytes }) => [path, bytes.toFixed(3)]),
        );
  return `## ${SPEED_TITLE}

One round trip: 24 bytes readable, 16 writable, a ring of 256. \`÷ C\` is our time ÷ that of a program
in C that does the same with the same checks, over the same ring format; \`÷ hand\` is our time ÷ that of
a split ring written by hand in one class, the least that JavaScript takes; \`÷ v86\` is that of the
device half of another emulator in JavaScript.

${table(HEADINGS, rows.map(cellsOf))}

- \`hand\`: the ring written by hand itself, to tell what the engine costs on this machine.
- \`raw-*\`: the ring alone. \`-atomic\`: with Atomics on the indexes, as between threads.
- \`command-executor\`: with the executor; \`command-batch\`: with the client too, synchronously, through
  \`AdminClient.batch\`; \`promise-per-batch\`: the same, one promise a batch; \`command-promise\`: one promise
  a command.
- \`two-threads\`: the ring alone, the device's half in a worker, both polling; C with two threads as well.
- \`transport-*\`: one promise a command, registers, notification and interrupt included.
- \`members-N\`, \`functions-N\`, \`features-N\`: commands to one member of N at random.

One register access by the driver half, with its promise (CCW: a channel program):

${table(
  ["transport", "ns"],
  registers.map(({ transport, ns }) => [transport, ns.toFixed(0)]),
)}

Decoding the 24 bytes of a command's header, against libraries that describe bytes, each used as its
documentation does:

${table(
  ["library", "ns", "÷ our accessors"],
  libraries.map(({ name, ns, over_ours }) => [name, ns.toFixed(0), over_ours.toFixed(0)]),
)}

What a command below the promises allocates:

${allocated}

How it was measured:

- Node ${process.version}, ${availableParallelism()} cores (${processor}), v86 ${v86}, gcc -O2.
- Every path in a process of its own, the program in C called in it. Each slice of ours, of one
  millisecond, stands between two slices of the reference. A pair whose reference drifted by more than
  12% is dropped, as is one of a slow spell of the machine, in which the reference took 1.2 times its
  shortest and more: C and JavaScript are not slowed down alike. The median of 100 pairs; between two
  threads 24, of 8 milliseconds. The spread is half the distance between the quartiles ÷ the median,
  of the ratio to C.
- The load average was ${load[0].toFixed(1)} before and ${load[1].toFixed(1)} after. On a machine that has other things to do only the
  ratios mean anything, and those of two threads little.
`;
}

const LEAD = `# Benchmarks

Written by \`npm run bench -- --report docs/benchmarks.md\`, and with \`--mailbox\` for the second section.
`;

/** The text with this section in the place of the one of the same title, or at its end. */
export function withSection(text: string, title: string, section: string): string {
  const others = text
    .split(/^(?=## )/m)
    .filter((part) => part.startsWith("## ") && !part.startsWith(`## ${title}\n`))
    .map((part) => part.trimEnd());
  const all = [LEAD.trimEnd(), section.trimEnd(), ...others];
  return `${all.join("\n\n")}\n`;
}
