/** The same round trip in C, compiled here when there is a compiler, as a process that takes turns. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Subject } from "./subject.ts";

/** The programs: a round trip over rings of a format in one thread, or over a split one in two. */
export type CProgram = "split" | "packed" | "two-threads";

/** The reference `c` for this kind of round trip, or why there is none. */
export function cReference(format: CProgram = "split"): Subject | string {
  const source = fileURLToPath(new URL(`../c/${format}.c`, import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "virtio-admin-bench-"));
  const program = join(folder, format);
  try {
    execFileSync(
      "gcc",
      ["-std=gnu11", "-O2", "-Wall", "-Werror", "-pthread", "-o", program, source],
      {
        stdio: ["ignore", "ignore", "pipe"],
      },
    );
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    return `no C reference: ${error instanceof Error ? error.message.split("\n")[0] : error}`;
  }
  return new CTwin(spawn(program, { stdio: ["pipe", "pipe", "inherit"] }), folder);
}

class CTwin implements Subject {
  readonly path = "c";
  readonly #process: ChildProcess;
  readonly #lines: Interface;
  readonly #folder: string;

  constructor(process: ChildProcess, folder: string) {
    if (process.stdout === null) throw new Error("the C program has no output");
    this.#process = process;
    this.#lines = createInterface({ input: process.stdout });
    this.#folder = folder;
  }

  slice(outstanding: number, rounds: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const gone = () => reject(new Error("the C program ended"));
      this.#process.once("exit", gone);
      this.#lines.once("line", (line) => {
        this.#process.off("exit", gone);
        resolve(Number(line) / (rounds * outstanding));
      });
      this.#process.stdin?.write(`${outstanding} ${rounds}\n`);
    });
  }

  close(): void {
    this.#process.stdin?.end();
    this.#lines.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
