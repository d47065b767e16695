/**
 * `npm run bench`: the round trip of an administration command, measured against two references.
 * `npm run bench -- --mailbox`: a register mailbox against administration virtqueues.
 */

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { measureAllocations } from "./allocations.ts";
import { measureCodec } from "./codec.ts";
import { measureCodecLibraries } from "./codec-libraries.ts";
import { type IdleBytes, measureIdleBytes } from "./idle-bytes.ts";
import {
  MAILBOX_TITLE,
  measureProvisioning,
  PLAN,
  provisioningReport,
  provisioningTable,
} from "./mailbox-report.ts";
import { combined, type Row, shortestOf } from "./measure-path.ts";
import { MOST_MEMBERS, PATHS } from "./paths.ts";
import { measureRegisterAccess } from "./register-access.ts";
import {
  ratioText,
  SPEED_HEADING,
  SPEED_TITLE,
  speedLine,
  speedReport,
  withSection,
} from "./speed-report.ts";
import { v86Version } from "./v86-queue.ts";

const RATIO_BAR = 1.1;
const BYTES_BAR = 1024;
/** How many processes measure each path. */
const PROCESSES = 5;
const USAGE = `usage: npm run bench -- [--json FILE] [--report FILE] [--path NAME]...
       npm run bench -- --mailbox [--json FILE] [--report FILE]`;

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
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
    if (options.mailbox === true && options.path !== undefined) {
      throw new Error("--path goes without --mailbox");
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
  writeSection(options, MAILBOX_TITLE, provisioningReport(rows, PLAN, load));
  writeJson(options, { rows });
  return 0;
}

async function measurePaths(options: Options): Promise<number> {
  const before = loadavg()[0] ?? 0;
  const names = Object.keys(PATHS);
  const unknown = (options.path ?? []).find((path) => !names.includes(path));
  if (unknown !== undefined) {
    console.error(`no path ${unknown}: ${names.join(", ")}\n${USAGE}`);
    return 2;
  }
  console.log(
    `One round trip: 24 bytes readable, 16 writable, ring of 256. Node ${process.version}, v86 ${v86Version()}.`,
  );
  console.log("Ratios are our time ÷ theirs, each slice of ours between two of the reference.\n");
  console.log(SPEED_HEADING);
  const rows: Row[] = [];
  for (const name of names) {
    if (options.path?.includes(name) === false) continue;
    const found = measureApart(name, rows);
    progress("");
    for (const row of found) console.log(speedLine(row));
    rows.push(...found);
  }
  const idle = rows.some(({ over_one }) => over_one !== null) ? printMembers(rows) : undefined;
  console.log();
  for (const { name, ratio: found } of measureCodec()) {
    console.log(
      `admin header, ${name}: accessors ÷ hand-written DataView code ${found.toFixed(3)}`,
    );
  }
  const libraries = await measureCodecLibraries();
  for (const { name, ns, over_ours } of libraries) {
    console.log(
      `admin header, decode: ${name} ${ns.toFixed(0)} ns, ${over_ours.toFixed(0)} times ours`,
    );
  }
  const registers = await measureRegisterAccess();
  for (const { transport, ns } of registers) {
    console.log(`register access, ${transport}: ${ns.toFixed(0)} ns`);
  }
  const allocations = measureAllocations();
  for (const { path, bytes } of allocations ?? []) {
    console.log(`heap for a command, ${path}: ${bytes.toFixed(3)} bytes`);
  }
  if (allocations === undefined) {
    console.log("heap for a command: NODE_OPTIONS=--expose-gc npm run bench measures it");
  }
  const load: [number, number] = [before, loadavg()[0] ?? 0];
  const v86 = v86Version();
  const speed = { rows, registers, libraries, allocations, load, v86, processes: PROCESSES };
  writeSection(options, SPEED_TITLE, speedReport(speed));
  writeJson(options, { ...speed, idle });
  return 0;
}

/** Measures one path in processes of its own, which are told how fast the machine was before. */
function measureApart(name: string, before: readonly Row[]): readonly Row[] {
  const program = fileURLToPath(new URL("./measure-main.js", import.meta.url));
  const processes: (readonly Row[])[] = [];
  for (let i = 1; i <= PROCESSES; i++) {
    progress(`${name}, ${i} of ${PROCESSES}`);
    const shortest = JSON.stringify(shortestOf([...before, ...processes.flat()]));
    const said = execFileSync(process.execPath, [program, name, shortest], {
      stdio: ["ignore", "pipe", "inherit"],
      encoding: "utf8",
    });
    processes.push(JSON.parse(said.trim().split("\n").at(-1) ?? "") as Row[]);
  }
  return combined(processes);
}

function writeSection({ report }: Options, title: string, section: string): void {
  if (report === undefined) return;
  const before = existsSync(report) ? readFileSync(report, "utf8") : "";
  writeFileSync(report, withSection(before, title, section));
}

function writeJson({ json }: Options, report: object): void {
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
}

/** What large groups cost: time for each command, memory for each member. */
function printMembers(rows: readonly Row[]): IdleBytes | undefined {
  console.log(`\ntime ÷ that of a group of one (bar for ${MOST_MEMBERS} members: ${RATIO_BAR})`);
  console.log("A command that reads and one that sets take turns, each to a member at random.\n");
  for (const { path, outstanding, over_one } of rows) {
    if (over_one === null) continue;
    console.log(
      `${path.padEnd(22)} ${String(outstanding).padStart(11)} ${ratioText(over_one).padStart(14)}`,
    );
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
