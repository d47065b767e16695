/** The rows as text, and as the section of `docs/benchmarks.md`. */
import { availableParallelism, cpus } from "node:os";
import type { AllocatedBytes } from "./allocations.ts";
import type { CodecLibrary } from "./codec-libraries.ts";
import type { Ratio, Row } from "./measure-path.ts";
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
  /** How many processes measured each path. */
  readonly processes: number;
}

/** The title of the section. */
export const SPEED_TITLE = "The round trip of a command";

const HEADINGS = ["path", "outstanding", "ns", "÷ C", "÷ hand", "÷ v86"];

/** A ratio and its spread. */
export function ratioText(found: Ratio | null): string {
  if (found === null || Number.isNaN(found.ratio)) return "–";
  const { ratio, spread } = found;
  return `${ratio.toFixed(2)} ±${(100 * spread).toFixed(0)}%`;
}

function cellsOf(row: Row): readonly string[] {
  return [
    row.path,
    String(row.outstanding),
    row.ns.toFixed(0),
    ratioText(row.over_c),
    ratioText(row.over_hand),
    ratioText(row.over_v86),
  ];
}

const COLUMNS = [22, 11, 8, 12, 12, 11];

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
  const { rows, registers, libraries, allocations, load, v86, processes } = speed;
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
- Every path in processes of its own, ${processes} of them, with the program in C called in the same
  process. Each slice of ours, of one millisecond, stands between two slices of the reference. A pair
  whose reference drifted by more than 12% is dropped, as is one of a slow spell of the machine, in which
  the reference took 1.2 times its shortest and more: C and JavaScript are not slowed down alike. The
  median of 30 pairs; between two threads 12, of 8 milliseconds; the median of the processes.
- The spread is how far the process is off that is farthest from the median, as an engine does not
  compile a program the same way twice; or half the distance between the quartiles within one, where
  that is more.
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
