/**
 * `npm run peers`: our devices under the drivers of others.
 *
 * Exit code 0 when all cells passed, 1 when one failed or a combination that is to be covered is not,
 * 2 for a wrong call, 3 when some cannot
 * be run here and no other failed, or another run is under way.
 */
import { randomInt } from "node:crypto";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { isVirtioError } from "@virtio-admin/core";
import { cacheFolder, lockCache } from "./cache.ts";
import { CELLS } from "./cells/index.ts";
import type { Cell } from "./cells/types.ts";
import { coverageMarkdown, coverageOf, coverageTable } from "./coverage-table.ts";
import { Environment } from "./environment.ts";
import { Recorder } from "./recorder.ts";
import { type Row, table, totals } from "./report.ts";

const USAGE =
  "usage: npm run peers -- [--list] [--only CELL]... [--json FILE] [--markdown FILE] [--record DIR] [--seed NUMBER]";
const WRONG_CALL = 2;
const NOT_HERE = 3;
const SEEDS = 2 ** 32;

interface Options {
  readonly list?: boolean;
  readonly only?: string[];
  readonly json?: string;
  readonly markdown?: string;
  readonly record?: string;
  readonly seed?: string;
}

async function main(args: readonly string[]): Promise<number> {
  let options: Options;
  let seed = randomInt(SEEDS);
  try {
    options = parseArgs({
      args: [...args],
      options: {
        list: { type: "boolean" },
        only: { type: "string", multiple: true },
        json: { type: "string" },
        markdown: { type: "string" },
        record: { type: "string" },
        seed: { type: "string" },
      },
    }).values;
    if (options.seed !== undefined) seed = seedOf(options.seed);
    const unknown = options.only?.find((name) => !CELLS.some((cell) => cell.name === name));
    if (unknown !== undefined) throw new Error(`there is no cell ${unknown}; --list lists them`);
  } catch (error) {
    console.error(`${messageOf(error)}\n${USAGE}`);
    return WRONG_CALL;
  }
  const cells = CELLS.filter(({ name }) => options.only?.includes(name) ?? true);
  if (options.list === true) {
    for (const { name, needs, checks } of cells) console.log(`${name}\n    ${checks}; ${needs}`);
    return 0;
  }
  const cache = cacheFolder();
  let unlock: () => Promise<void>;
  try {
    unlock = await lockCache(cache);
  } catch (error) {
    console.error(`cells cannot be run here: ${messageOf(error)}`);
    return NOT_HERE;
  }
  try {
    console.error(`seed ${seed}`);
    const environment = new Environment(cache, (line) => console.error(line));
    const rows = await runCells(cells, environment, options.record, seed);
    const coverage = coverageOf(CELLS, rows);
    // Of some cells alone, the table would say little.
    if (options.only === undefined) console.log(`\n${coverageTable(coverage)}`);
    console.log(`\n${table(rows)}`);
    if (options.json !== undefined) {
      const document = { rows, coverage, ...totals(rows) };
      writeFileSync(options.json, `${JSON.stringify(document, null, 2)}\n`);
    }
    if (options.markdown !== undefined) {
      writeFileSync(options.markdown, coverageMarkdown(coverage));
    }
    const { failed, notRun } = totals(rows);
    const isMissing = coverage.some(({ outcome }) => outcome === "missing");
    return failed > 0 || isMissing ? 1 : notRun > 0 ? NOT_HERE : 0;
  } finally {
    await unlock();
  }
}

async function runCells(
  cells: readonly Cell[],
  environment: Environment,
  record: string | undefined,
  seed: number,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const cell of cells) {
    console.error(`== ${cell.name}: ${cell.checks}`);
    const from = performance.now();
    const seconds = () => (performance.now() - from) / 1000;
    let console_: readonly string[] = [];
    const progress = (text: string) =>
      console.error(`   ${seconds().toFixed(1).padStart(6)}s  ${text}`);
    try {
      const notes = await cell.run({
        environment,
        seed,
        progress,
        recording:
          record === undefined ? {} : { recorder: new Recorder(record, cell.name, progress) },
        console: (lines) => {
          console_ = [...lines];
        },
      });
      rows.push({ cell: cell.name, outcome: "pass", notes, seconds: seconds() });
    } catch (error) {
      for (const line of console_) console.error(`   | ${line}`);
      const reason = messageOf(error);
      const outcome = isVirtioError(error, "HOST_UNSUPPORTED") ? "not run" : "fail";
      rows.push({ cell: cell.name, outcome, reason, notes: [], seconds: seconds() });
    }
    const { outcome, reason } = rows.at(-1) as Row;
    console.error(`== ${cell.name}: ${outcome}${reason === undefined ? "" : `, ${reason}`}`);
  }
  return rows;
}

function seedOf(text: string): number {
  const seed = Number(text);
  if (Number.isInteger(seed) && seed >= 0 && seed < SEEDS) return seed;
  throw new Error(`a seed is a number from 0 to ${SEEDS - 1}, and not "${text}"`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

process.exitCode = await main(process.argv.slice(2));
