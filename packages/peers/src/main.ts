/**
 * `npm run peers`: our devices under the drivers of others.
 *
 * Exit code 0 when all cells passed, 1 when one failed, 2 for a wrong call, 3 when some cannot
 * be run here and no other failed, or another run is under way.
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { isVirtioError } from "@virtio-admin/core";
import { cacheFolder, lockCache } from "./cache.ts";
import { CELLS } from "./cells/index.ts";
import type { Cell } from "./cells/types.ts";
import { Environment } from "./environment.ts";
import { Recorder } from "./recorder.ts";
import { type Row, table, totals } from "./report.ts";

const USAGE = "usage: npm run peers -- [--list] [--only CELL]... [--json FILE] [--record DIR]";
const WRONG_CALL = 2;
const NOT_HERE = 3;

interface Options {
  readonly list?: boolean;
  readonly only?: string[];
  readonly json?: string;
  readonly record?: string;
}

async function main(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = parseArgs({
      args: [...args],
      options: {
        list: { type: "boolean" },
        only: { type: "string", multiple: true },
        json: { type: "string" },
        record: { type: "string" },
      },
    }).values;
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
    const environment = new Environment(cache, (line) => console.error(line));
    const rows = await runCells(cells, environment, options.record);
    console.log(`\n${table(rows)}`);
    if (options.json !== undefined) {
      writeFileSync(options.json, `${JSON.stringify({ rows, ...totals(rows) }, null, 2)}\n`);
    }
    const { failed, notRun } = totals(rows);
    return failed > 0 ? 1 : notRun > 0 ? NOT_HERE : 0;
  } finally {
    await unlock();
  }
}

async function runCells(
  cells: readonly Cell[],
  environment: Environment,
  record: string | undefined,
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

process.exitCode = await main(process.argv.slice(2));
