/** What another process is, for people. */
import { readFileSync } from "node:fs";

const LONGEST = 120;

/** `process 12 (qemu-system-x86_64 …)`; without its words where they cannot be read. */
export function processName(pid: number | undefined): string {
  if (pid === undefined) return "a process that cannot be seen from here";
  const words = commandLine(pid);
  return words === undefined ? `process ${pid}` : `process ${pid} (${words})`;
}

/** The command line of a process, shortened; `undefined` where it cannot be read. */
export function commandLine(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    const words = text
      .replace(/\0+$/, "")
      .replaceAll("\0", " ")
      .replace(/\p{Cc}/gu, "?");
    if (words === "") return undefined;
    return words.length > LONGEST ? `${words.slice(0, LONGEST)}…` : words;
  } catch {
    return undefined;
  }
}
