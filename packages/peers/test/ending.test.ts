/** A process that ends, by itself, by an error or by a signal, leaves nothing behind. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

let folder: string;
let script: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "peers-test-"));
  await build({
    configFile: false,
    logLevel: "error",
    build: {
      ssr: fileURLToPath(new URL("./ending-child.ts", import.meta.url)),
      outDir: folder,
      emptyOutDir: false,
      rolldownOptions: { output: { entryFileNames: "child.mjs" } },
    },
  });
  script = join(folder, "child.mjs");
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A child that is killed stays in the list of processes until somebody takes notice. */
function isAlive(pid: string): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

describe("a process that ends", () => {
  it.each([
    ["by itself", "exit", undefined, 5],
    ["by an error", "throw", undefined, 1],
    ["by SIGINT", "wait", "SIGINT", 130],
    ["by SIGTERM", "wait", "SIGTERM", 143],
    ["by SIGHUP", "wait", "SIGHUP", 129],
  ] as const)("%s takes its children and folders with it", async (_name, how, signal, code) => {
    const parent = spawn(process.execPath, [script, how], { stdio: ["ignore", "pipe", "ignore"] });
    const ended = once(parent, "exit");
    const [said] = (await once(parent.stdout, "data")) as [Buffer];
    const [pid = "", path = ""] = said.toString().trim().split(" ");
    if (signal !== undefined) parent.kill(signal);
    expect(await ended).toEqual([code, null]);
    expect(existsSync(dirname(path))).toBe(false);
    // The kernel may still be about to take a killed process away.
    while (isAlive(pid)) await delay(1);
  });

  it.skipIf(!existsSync("/usr/bin/setpriv"))(
    "by SIGKILL takes its children and folders with it, where setpriv is there to ask the kernel",
    async () => {
      const parent = spawn(process.execPath, [script, "wait"], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      const ended = once(parent, "exit");
      const [said] = (await once(parent.stdout, "data")) as [Buffer];
      const [pid = "", path = ""] = said.toString().trim().split(" ");
      parent.kill("SIGKILL");
      await ended;
      while (isAlive(pid)) await delay(1);
      // All folders of a process are in one.
      while (existsSync(dirname(path))) await delay(1);
    },
  );
});
