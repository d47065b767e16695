/** What is loaded first, and from where; and that nothing is missing without a network. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { holds, same } from "../expect.ts";
import type { Bench, Cell } from "./types.ts";

/** The most that a first load may have, compressed. */
const FIRST_LOAD = 150_000;
const PANELS = ["maps", "group", "way"] as const;

async function sizeOfFirstLoad(bench: Bench, panel: string): Promise<string> {
  const sitting = await bench.open(`#${panel}`);
  const paths = [...new Set(sitting.requested)]
    .filter((url) => url.startsWith("http"))
    .map((url) => new URL(url).pathname);
  let bytes = 0;
  for (const path of paths) {
    const file = join(bench.site, path.endsWith("/") ? `${path}index.html` : path);
    bytes += gzipSync(readFileSync(file), { level: 9 }).length;
  }
  const [entry] = await sitting.page.evaluate(() =>
    performance.getEntriesByType("paint").map((each) => each.startTime),
  );
  holds(`${panel} loads less than ${FIRST_LOAD} bytes at first, not ${bytes}`, bytes < FIRST_LOAD);
  const paint = entry === undefined ? "no paint" : `painted after ${entry.toFixed(0)} ms`;
  return `${panel}: ${(bytes / 1000).toFixed(1)} kB in ${paths.length} files, ${paint}`;
}

/** What each panel loads when it is the first. */
export const FIRST: Cell = {
  name: "first-load",
  checks: "each panel loads less than 150 kB compressed, and asks no other host for anything",
  run: async (bench) => {
    const notes: string[] = [];
    for (const panel of PANELS) notes.push(await sizeOfFirstLoad(bench, panel));
    return notes;
  },
};

/** Everything works with the server gone. */
export const OFFLINE: Cell = {
  name: "offline",
  checks: "after one visit, every panel and every recording is there without the server",
  run: async (bench) => {
    const server = await bench.serve();
    const { url } = server;
    const sitting = await bench.open("#maps", { url, more: { serviceWorkers: "allow" } });
    const { page } = sitting;
    await page.evaluate(async () => {
      await navigator.serviceWorker.ready;
    });
    await server.close();
    const seen: string[] = [];
    for (const hash of [
      "#maps",
      "#group",
      "#way",
      "#way?trace=linux-pci",
      "#way?trace=linux-ccw",
    ]) {
      await page.goto("about:blank");
      await sitting.go(`${url}workbench/${hash}`);
      same(`an alert at ${hash}`, await page.locator("[role=alert]").count(), 0);
      seen.push(hash);
    }
    same("the moments", (await page.locator("[role=option]").count()) > 0, true);
    return [`${seen.length} addresses without a server`];
  },
};
