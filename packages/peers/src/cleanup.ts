/**
 * What must not outlive this process: children, folders, sockets. They go when they are let go of,
 * and, at the latest, when the process ends: by its own end, by an error, or by a signal, SIGKILL
 * among them.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const SIGNALS: Readonly<Partial<Record<NodeJS.Signals, number>>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGTERM: 15,
};
const SIGNALLED = 128;
const SETPRIV = "/usr/bin/setpriv";

const pending = new Set<() => void>();
let installed = false;

/** Runs `undo` when this process ends, unless the function that is returned was called before. */
export function atExit(undo: () => void): () => void {
  install();
  pending.add(undo);
  return () => void pending.delete(undo);
}

/** Kills a child when this process ends before it does. */
export function endsWithUs(child: ChildProcess): () => void {
  const release = atExit(() => void child.kill("SIGKILL"));
  child.once("exit", release);
  return release;
}

/**
 * A command line that the kernel kills when this process is killed, and cannot clean up; the same
 * command line where util-linux is not there to ask it.
 */
export function killedWithUs(
  file: string,
  args: readonly string[],
): readonly [file: string, args: readonly string[]] {
  return existsSync(SETPRIV)
    ? [SETPRIV, ["--pdeathsig", "KILL", "--", file, ...args]]
    : [file, args];
}

/** A folder of this user alone. */
export interface PrivateFolder {
  /** Where it is. */
  readonly path: string;
  /** Takes it away, with all that is in it. */
  remove(): void;
}

/** Makes a folder in the system's place for temporary files. */
export function privateFolder(): PrivateFolder {
  base ??= makeBase();
  const path = mkdtempSync(join(base, "f-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Waits for the end of its input, which is that of this process, and takes a folder away. */
const SWEEP = 'cat >/dev/null; for i in 1 2 3 4 5; do rm -rf -- "$1" && exit; sleep 1; done';

/** The folder that all of them are in. */
let base: string | undefined;

/** Makes it; a process of its own outlives us for as long as it takes to remove it. */
function makeBase(): string {
  const path = join(tmpdir(), `virtio-admin-peers-${randomBytes(4).toString("hex")}`);
  const sweeper = spawn("/bin/sh", ["-c", SWEEP, "sh", path], {
    // What ends our process group is no end of it.
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  // Without it, the folder stays behind after a SIGKILL, and only then.
  sweeper.on("error", () => undefined);
  sweeper.unref();
  (sweeper.stdin as Socket).unref();
  mkdirSync(path, { mode: 0o700 });
  atExit(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function install(): void {
  if (installed) return;
  installed = true;
  process.once("exit", undoAll);
  for (const [signal, number] of Object.entries(SIGNALS)) {
    process.once(signal, () => process.exit(SIGNALLED + number));
  }
}

/** Last made, first undone; one that fails does not keep the others. */
function undoAll(): void {
  for (const undo of [...pending].reverse()) {
    try {
      undo();
    } catch (error) {
      process.stderr.write(`not cleaned up: ${error instanceof Error ? error.message : error}\n`);
    }
  }
  pending.clear();
}
