/**
 * What must not outlive this process: children, folders, sockets. They go when they are let go of,
 * and, at the latest, when the process ends: by its own end, by an error, or by a signal.
 */
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
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
  const path = mkdtempSync(join(tmpdir(), "virtio-admin-peers-"));
  const take = (): void => rmSync(path, { recursive: true, force: true });
  const release = atExit(take);
  return {
    path,
    remove: () => {
      release();
      take();
    },
  };
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
