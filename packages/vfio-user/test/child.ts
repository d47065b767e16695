/** Builds and runs the programs of other processes, from the sources. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "vite";

/** A process, and what it says line by line. */
export interface Child {
  readonly process: ChildProcess;
  readonly lines: string[];
  /** Resolves with the first line, from now on or said before, that matches. */
  line(pattern: RegExp): Promise<string>;
  /** Resolves when it has ended: with its exit code, or the signal. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

/** Bundles a program of this directory into `folder`; answers the script. */
export async function bundle(program: string, folder: string): Promise<string> {
  await build({
    configFile: false,
    logLevel: "error",
    resolve: { conditions: ["virtio-source", "node", "import", "default"] },
    ssr: {
      noExternal: /^@virtio-admin\//,
      external: ["koffi"],
      resolve: { conditions: ["virtio-source", "node", "import"] },
    },
    build: {
      ssr: fileURLToPath(new URL(`./${program}.ts`, import.meta.url)),
      // Inside the package, where koffi is found.
      outDir: folder,
      emptyOutDir: false,
      rolldownOptions: { output: { entryFileNames: `${program}.mjs` } },
    },
  });
  return join(folder, `${program}.mjs`);
}

/** Runs a script. */
export function run(script: string, ...args: string[]): Child {
  const child = spawn(process.execPath, [script, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on("exit", (code, signal) => resolve(code ?? signal));
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    for (const look of [...waiting]) look();
  });
  return {
    process: child,
    lines,
    ended,
    line: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = lines.find((line) => pattern.test(line));
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
        void ended.then((how) =>
          reject(new Error(`the child ended (${how}): ${lines.join("; ")}`)),
        );
      }),
  };
}
