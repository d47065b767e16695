/**
 * The same round trip in C, compiled here when there is a compiler, and called in this process:
 * against a process of its own, which has ours sleep in between, ratios differed by half from one run
 * to the next.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import koffi from "koffi";
import type { Subject } from "./subject.ts";

/** The programs: a round trip over rings of a format in one thread, or over a split one in two. */
export type CProgram = "split" | "packed" | "two-threads";

const FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Werror", "-pthread", "-shared", "-fPIC"];

/** The reference `c` for this kind of round trip, or why there is none. */
export function cReference(format: CProgram = "split"): Subject | string {
  const source = fileURLToPath(new URL(`../c/${format}.c`, import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "virtio-admin-bench-"));
  const library = join(folder, `${format}.so`);
  try {
    execFileSync("gcc", [...FLAGS, "-o", library, source], { stdio: ["ignore", "ignore", "pipe"] });
    const run = koffi
      .load(library)
      .func("double run(unsigned int outstanding, unsigned int rounds)");
    const slice = (outstanding: number, rounds: number) =>
      Number(run(outstanding, rounds)) / (rounds * outstanding);
    return { path: "c", slice };
  } catch (error) {
    return `no C reference: ${error instanceof Error ? error.message.split("\n")[0] : error}`;
  } finally {
    // What is loaded stays.
    rmSync(folder, { recursive: true, force: true });
  }
}
