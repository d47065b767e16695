/** `npm run bench`: the round trip of an administration command, measured against two references. */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { CCW_TRANSPORT } from "@virtio-admin/transport-ccw";
import { MMIO_TRANSPORT } from "@virtio-admin/transport-mmio";
import { PCI_TRANSPORT } from "@virtio-admin/transport-pci";
import { commandBatch, commandExecutor, commandPromise } from "./admin-paths.ts";
import { cReference } from "./c-twin.ts";
import { measureCodec } from "./codec.ts";
import { measurePairs, type Paired } from "./pairs.ts";
import { rawSplit } from "./raw-split.ts";
import type { Subject } from "./subject.ts";
import { transportPath } from "./transport-paths.ts";
import { v86Reference, v86Version } from "./v86-queue.ts";

const OUTSTANDING = [1, 32, 128];
const USAGE = "usage: npm run bench -- [--json FILE] [--path NAME]...";

/** One row of the report; `over_x` is our time ÷ theirs, `null` where there is no reference. */
interface Row {
  readonly path: string;
  readonly outstanding: number;
  readonly ns: number;
  readonly over_c: number | null;
  readonly over_v86: number | null;
  readonly spread: number;
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function ratio(value: number | null): string {
  return value === null ? "–" : value.toFixed(2);
}

async function main(): Promise<number> {
  let options: { json?: string; path?: string[] };
  try {
    options = parseArgs({
      options: { json: { type: "string" }, path: { type: "string", multiple: true } },
    }).values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    return 2;
  }
  const all: Subject[] = [
    rawSplit(),
    rawSplit(true),
    commandExecutor(),
    commandBatch(),
    commandBatch(true),
    commandPromise(),
  ];
  for (const plugin of [PCI_TRANSPORT, MMIO_TRANSPORT, CCW_TRANSPORT]) {
    all.push(await transportPath(plugin));
  }
  const unknown = (options.path ?? []).find((path) => !all.some((one) => one.path === path));
  if (unknown !== undefined) {
    console.error(`no path ${unknown}: ${all.map(({ path }) => path).join(", ")}\n${USAGE}`);
    return 2;
  }
  const subjects = all.filter(({ path }) => options.path?.includes(path) ?? true);
  const v86 = await v86Reference();
  const c = cReference();
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
      const toC = typeof c === "string" ? undefined : await measurePairs(subject, c, outstanding);
      progress("");
      rows.push(rowOf(subject.path, outstanding, toV86, toC));
      print(rows.at(-1) as Row);
    }
  }
  console.log();
  for (const { name, ratio: found } of measureCodec()) {
    console.log(
      `admin header, ${name}: accessors ÷ hand-written DataView code ${found.toFixed(3)}`,
    );
  }
  v86.close?.();
  if (typeof c !== "string") c.close?.();
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ rows }, null, 2)}\n`);
  }
  return 0;
}

function rowOf(path: string, outstanding: number, toV86: Paired, toC: Paired | undefined): Row {
  return {
    path,
    outstanding,
    ns: toV86.nanoseconds,
    over_c: toC?.ratio ?? null,
    over_v86: toV86.ratio,
    spread: Math.max(toV86.spread, toC?.spread ?? 0),
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

process.exitCode = await main();
