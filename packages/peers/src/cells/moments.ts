/** Random moments at which something is killed, and what it must not leave behind. */
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Random } from "@virtio-admin/testkit";
import { expect, until } from "./types.ts";

/** How many moments. */
export const KILLS = 20;
/** A guest is up and reads entropy by then, or nearly so. */
const LATEST = 9000;
const UNIT = 2 ** 32;
/** Who was killed may take a while to be gone. */
const GONE_TIME = 20_000;

/**
 * Moments in milliseconds, from a seed: they come close together at the beginning, where every
 * message is another one, and are rare at the end, as each costs what it is late.
 */
export function momentsOf(seed: number): number[] {
  const random = new Random(seed);
  return Array.from({ length: KILLS }, () => Math.round(LATEST * (random.uint32() / UNIT) ** 4));
}

/** Waits for a moment, or the end of what is to be killed then. */
export async function reached(moment: number, ended: Promise<unknown>): Promise<void> {
  const gone = new AbortController();
  try {
    await Promise.race([delay(moment, undefined, { signal: gone.signal }), ended]);
  } catch {
    // Nobody waits for it any more.
  } finally {
    gone.abort();
  }
}

/** Checks that no process, and no socket, has anything to do with a folder, in a while. */
export async function expectNobody(folder: string, when: string): Promise<void> {
  let left: string[] = [];
  const look = (): boolean => {
    left = [...processesOf(folder), ...socketsIn(folder)];
    return left.length === 0;
  };
  await until(look, "", GONE_TIME).catch(() => undefined);
  expect(look(), `${when}, there is ${left.join(", ")}`);
}

/** Processes, but for this one, whose command line or environment names the folder. */
function processesOf(folder: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) =>
      textOf(`/proc/${pid}/cmdline`)
        .concat(textOf(`/proc/${pid}/environ`))
        .includes(folder),
    )
    .map((pid) => `process ${pid}`);
}

function socketsIn(folder: string): string[] {
  return textOf("/proc/net/unix")
    .split("\n")
    .filter((line) => line.includes(folder))
    .map((line) => `the socket ${line.slice(line.indexOf(folder))}`);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
