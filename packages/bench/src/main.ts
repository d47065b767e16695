/**
 * `npm run bench`: the round trip of an administration command, measured against two references.
 * `npm run bench -- --mailbox`: a register mailbox against administration virtqueues.
 */
import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { CCW_TRANSPORT } from "@virtio-admin/transport-ccw";
import { MMIO_TRANSPORT } from "@virtio-admin/transport-mmio";
import { PCI_TRANSPORT } from "@virtio-admin/transport-pci";
import { commandBatch, commandExecutor, commandPromise, promisePerBatch } from "./admin-paths.ts";
import { cReference } from "./c-twin.ts";
import { measureCodec } from "./codec.ts";
import { type IdleBytes, measureIdleBytes } from "./idle-bytes.ts";
import {
  measureProvisioning,
  PLAN,
  provisioningReport,
  provisioningTable,
} from "./mailbox-report.ts";
import { featuresPath, functionsPath, membersPath } from "./member-paths.ts";
import { measurePairs, type Paired, SHORT_SLICES } from "./pairs.ts";
import { rawPacked } from "./raw-packed.ts";
import { rawSplit } from "./raw-split.ts";
import type { Subject } from "./subject.ts";
import { transportPath } from "./transport-paths.ts";
import { v86Reference, v86Version } from "./v86-queue.ts";

const OUTSTANDING = [1, 32, 128];
const MOST_MEMBERS = 65_535;
const MEMBER_COUNTS = [1, 256, MOST_MEMBERS];
const RATIO_BAR = 1.1;
const BYTES_BAR = 1024;
const USAGE = `usage: npm run bench -- [--json FILE] [--path NAME]...
       npm run bench -- --mailbox [--json FILE] [--report FILE]`;

/** One row of the report; `over_x` is our time ÷ theirs, `null` where there is no reference. */
interface Row {
  readonly path: string;
  readonly outstanding: number;
  readonly ns: number;
  readonly over_c: number | null;
  readonly over_v86: number | null;
  readonly spread: number;
  /** Paths with members: our time ÷ that of the same commands to a group of one. */
  readonly over_one?: number;
  readonly over_one_spread?: number;
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function ratio(value: number | null): string {
  return value === null ? "–" : value.toFixed(2);
}

interface Options {
  readonly json?: string;
  readonly path?: string[];
  readonly mailbox?: boolean;
  readonly report?: string;
}

async function main(): Promise<number> {
  let options: Options;
  try {
    options = parseArgs({
      options: {
        json: { type: "string" },
        path: { type: "string", multiple: true },
        mailbox: { type: "boolean" },
        report: { type: "string" },
      },
    }).values;
    if ((options.mailbox === true ? options.path : options.report) !== undefined) {
      throw new Error("--report goes with --mailbox, and --path without it");
    }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    return 2;
  }
  return options.mailbox === true ? compareWithMailbox(options) : measurePaths(options);
}

async function compareWithMailbox(options: Options): Promise<number> {
  const load = loadavg()[0] ?? 0;
  const rows = await measureProvisioning(PLAN, progress);
  console.log(`${PLAN.members} members provisioned, the median of ${PLAN.runs} runs:\n`);
  console.log(provisioningTable(rows, PLAN));
  if (options.report !== undefined)
    writeFileSync(options.report, provisioningReport(rows, PLAN, load));
  writeJson(options, { rows });
  return 0;
}

async function measurePaths(options: Options): Promise<number> {
  const all: Subject[] = [
    rawSplit(),
    rawSplit(true),
    rawPacked(),
    rawPacked(true),
    commandExecutor(),
    commandBatch(),
    commandBatch(true),
    commandPromise(),
    promisePerBatch(),
  ];
  for (const plugin of [PCI_TRANSPORT, MMIO_TRANSPORT, CCW_TRANSPORT]) {
    all.push(await transportPath(plugin));
  }
  for (const path of [membersPath, functionsPath, featuresPath]) all.push(...againstOne(path));
  const unknown = (options.path ?? []).find((path) => !all.some((one) => one.path === path));
  if (unknown !== undefined) {
    console.error(`no path ${unknown}: ${all.map(({ path }) => path).join(", ")}\n${USAGE}`);
    return 2;
  }
  const subjects = all.filter(({ path }) => options.path?.includes(path) ?? true);
  const v86 = await v86Reference();
  const c = cReference();
  const cPacked = cReference("packed");
  if (typeof c === "string") console.log(c);
  console.log(
    `One round trip: 24 bytes readable, 16 writable, ring of 256, one thread. Node ${process.version}, v86 ${v86Version()}.`,
  );
  console.log("Ratios are our time ÷ theirs, each slice of ours between two of the reference.\n");
  console.log("path                   outstanding       ns   ÷ C   ÷ v86   spread");
  const rows: Row[] = [];
  for (const subject of subjects) {
    for (const outstanding of OUTSTANDING) {
      progress(`${subject.path}, ${outstanding} outstanding`);
      const toV86 = await measurePairs(subject, v86, outstanding);
      const twin = subject.format === "packed" ? cPacked : c;
      const toC =
        typeof twin === "string" ? undefined : await measurePairs(subject, twin, outstanding);
      const { baseline } = subject;
      const toOne = baseline && (await measurePairs(subject, baseline, outstanding, SHORT_SLICES));
      progress("");
      rows.push(rowOf(subject.path, outstanding, toV86, toC, toOne));
      print(rows.at(-1) as Row);
    }
  }
  const idle = rows.some(({ over_one }) => over_one !== undefined) ? printMembers(rows) : undefined;
  console.log();
  for (const { name, ratio: found } of measureCodec()) {
    console.log(
      `admin header, ${name}: accessors ÷ hand-written DataView code ${found.toFixed(3)}`,
    );
  }
  v86.close?.();
  for (const twin of [c, cPacked]) if (typeof twin !== "string") twin.close?.();
  writeJson(options, idle === undefined ? { rows } : { rows, idle });
  return 0;
}

/** A path with members in every size, each to be paired against a group of one too. */
function againstOne(make: (count: number) => Subject): readonly Subject[] {
  const baseline = make(1);
  return MEMBER_COUNTS.map((count) => ({ ...(count === 1 ? baseline : make(count)), baseline }));
}

function writeJson({ json }: Options, report: object): void {
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
}

function rowOf(
  path: string,
  outstanding: number,
  toV86: Paired,
  toC: Paired | undefined,
  toOne: Paired | undefined,
): Row {
  return {
    path,
    outstanding,
    ns: toV86.nanoseconds,
    over_c: toC?.ratio ?? null,
    over_v86: toV86.ratio,
    spread: Math.max(toV86.spread, toC?.spread ?? 0),
    ...(toOne === undefined ? {} : { over_one: toOne.ratio, over_one_spread: toOne.spread }),
  };
}

function print(row: Row): void {
  const cells = [
    row.path.padEnd(22),
    String(row.outstanding).padStart(11),
    row.ns.toFixed(0).padStart(8),
    ratio(row.over_c).padStart(5),
    ratio(row.over_v86).padStart(7),
    `±${(100 * row.spread).toFixed(0)}%`.padStart(8),
  ];
  console.log(cells.join(" "));
}

/** What large groups cost: time for each command, memory for each member. */
function printMembers(rows: readonly Row[]): IdleBytes | undefined {
  console.log(`\ntime ÷ that of a group of one (bar for ${MOST_MEMBERS} members: ${RATIO_BAR})`);
  console.log("A command that reads and one that sets take turns, each to a member at random.\n");
  for (const { path, outstanding, over_one, over_one_spread } of rows) {
    if (over_one === undefined || over_one_spread === undefined) continue;
    const found = `${over_one.toFixed(2)} ±${(100 * over_one_spread).toFixed(0)}%`;
    console.log(`${path.padEnd(22)} ${String(outstanding).padStart(11)} ${found.padStart(14)}`);
  }
  console.log(
    "members-, functions-: MSI-X vectors, which the group keeps. features-: FEATURES_SET",
  );
  console.log("changes the device itself, somewhere in memory: docs/decisions/015.");
  progress("idle members");
  const idle = measureIdleBytes(MOST_MEMBERS);
  progress("");
  if (idle === undefined) {
    console.log("\nno memory of idle members: NODE_OPTIONS=--expose-gc npm run bench measures it");
    return undefined;
  }
  console.log(
    `\nbytes for an idle member, of ${MOST_MEMBERS} (bar: ${BYTES_BAR} beyond its device model)`,
  );
  const lines: readonly (readonly [string, number])[] = [
    ["device core", idle.device],
    ["member of a platform group, its device core included", idle.device + idle.platformMember],
    ["virtual function that no command has named", idle.virtualFunction],
    ["virtual function whose vectors were set", idle.provisionedFunction],
    ["PCI function that was made, beyond its device core", idle.pciFunction],
  ];
  for (const [what, bytes] of lines) console.log(`${what.padEnd(54)} ${bytes.toFixed(0)}`);
  return idle;
}

process.exitCode = await main();
