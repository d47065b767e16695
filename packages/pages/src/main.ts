/**
 * `npm run pages`: the pages in a browser.
 *
 * Exit code 0 when all cells passed, 1 when one failed, 2 for a wrong call, 3 when there is no
 * browser and none can be had.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isVirtioError, VirtioError } from "@virtio-admin/core";
import { type Row, table, totals } from "@virtio-admin/peers/report";
import { type Browser, chromium } from "playwright-core";
import { findChromium } from "./browser/chromium.ts";
import { CELLS } from "./cells/index.ts";
import type { Bench, Cell } from "./cells/types.ts";
import { serveFolder } from "./server.ts";
import { Sitting } from "./sitting.ts";

const USAGE = "usage: npm run pages -- [--list] [--only CELL]... [--json FILE] [--pictures FOLDER]";
const WRONG_CALL = 2;
const NOT_HERE = 3;
const MOST_COMPLAINTS = 5;
const SITE = fileURLToPath(new URL("../../../site/", import.meta.url));

interface Options {
  readonly list?: boolean;
  readonly only?: string[];
  readonly json?: string;
  readonly pictures?: string;
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
        pictures: { type: "string" },
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
    for (const { name, checks } of cells) console.log(`${name}\n    ${checks}`);
    return 0;
  }
  const rows = await run(cells, options.pictures);
  console.log(`\n${table(rows)}`);
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ rows, ...totals(rows) }, null, 2)}\n`);
  }
  const { failed, notRun } = totals(rows);
  return failed > 0 ? 1 : notRun > 0 ? NOT_HERE : 0;
}

async function run(cells: readonly Cell[], pictures: string | undefined): Promise<Row[]> {
  let browser: Browser;
  try {
    browser = await launch();
  } catch (error) {
    if (!isVirtioError(error, "HOST_UNSUPPORTED")) throw error;
    const reason = messageOf(error);
    return cells.map(({ name }) => ({
      cell: name,
      outcome: "not run",
      reason,
      notes: [],
      seconds: 0,
    }));
  }
  const server = await serveFolder(SITE);
  try {
    const rows: Row[] = [];
    for (const cell of cells) rows.push(await runCell(cell, browser, server.url, pictures));
    return rows;
  } finally {
    await browser.close();
    await server.close();
  }
}

async function launch(): Promise<Browser> {
  const { path, env, version } = await findChromium((line) => console.error(line));
  console.error(`${version}, ${path}`);
  try {
    return await chromium.launch({
      executablePath: path,
      env: { ...(process.env as Record<string, string>), ...env },
      // Who runs this in a container is root, for whom a browser has no sandbox.
      chromiumSandbox: false,
    });
  } catch (cause) {
    throw new VirtioError("HOST_UNSUPPORTED", {
      path,
      message: "the browser does not start",
      cause,
    });
  }
}

async function runCell(
  cell: Cell,
  browser: Browser,
  url: string,
  pictures: string | undefined,
): Promise<Row> {
  console.error(`== ${cell.name}: ${cell.checks}`);
  const from = performance.now();
  const sittings: Sitting[] = [];
  const servers: { close(): Promise<void> }[] = [];
  const folders: string[] = [];
  const bench: Bench = {
    site: SITE,
    open: async (hash, look) => {
      const sitting = await Sitting.open(browser, look?.url ?? url, `workbench/${hash}`, look);
      sittings.push(sitting);
      return sitting;
    },
    picture: (name, png) => {
      if (pictures === undefined) return;
      if (!existsSync(pictures)) mkdirSync(pictures, { recursive: true });
      writeFileSync(join(pictures, `${name}.png`), png);
    },
    scratch: () => {
      const folder = mkdtempSync(join(tmpdir(), "virtio-admin-pages-"));
      folders.push(folder);
      return folder;
    },
    serve: async () => {
      const server = await serveFolder(SITE);
      servers.push(server);
      return server;
    },
  };
  let row: Omit<Row, "seconds">;
  try {
    const notes = await cell.run(bench);
    const complaints = sittings.flatMap((sitting) => sitting.complaints);
    if (complaints.length > 0) throw new Error(complaints.slice(0, MOST_COMPLAINTS).join("; "));
    row = { cell: cell.name, outcome: "pass", notes };
  } catch (error) {
    row = { cell: cell.name, outcome: "fail", reason: messageOf(error), notes: [] };
  } finally {
    for (const each of [...sittings, ...servers]) await each.close();
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  }
  const { outcome, reason, notes } = row;
  for (const note of notes) console.error(`   ${note}`);
  console.error(`== ${cell.name}: ${outcome}${reason === undefined ? "" : `, ${reason}`}`);
  return { ...row, seconds: (performance.now() - from) / 1000 };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

process.exitCode = await main(process.argv.slice(2));
