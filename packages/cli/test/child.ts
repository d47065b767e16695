/** The command in processes of their own, from the sources. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "vite";

/** A run of the command. */
export interface CommandChild {
  readonly process: ChildProcess;
  /** What it has written so far. */
  readonly out: () => string;
  readonly err: () => string;
  /** Resolves when it has ended: with its exit code, or the signal. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
  /** Resolves with what `find` finds in the lines of standard output, once it does. */
  line<T>(find: (line: string) => T | undefined): Promise<T>;
}

/** A script of the command in a folder of its own, which the caller removes. */
export interface CommandScript {
  readonly folder: string;
  readonly script: string;
}

/** Bundles the command. */
export async function bundleCommand(): Promise<CommandScript> {
  // Inside the package that has koffi, so that it is found.
  const modules = fileURLToPath(new URL("../../vfio-user/node_modules/", import.meta.url));
  const folder = mkdtempSync(join(modules, ".command-"));
  const conditions = ["virtio-source", "node", "import", "default"];
  await build({
    configFile: false,
    logLevel: "error",
    oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
    resolve: { conditions },
    ssr: { noExternal: true, external: ["koffi"], resolve: { conditions } },
    build: {
      ssr: fileURLToPath(new URL("./program.ts", import.meta.url)),
      outDir: folder,
      emptyOutDir: false,
      minify: false,
      rolldownOptions: { output: { entryFileNames: "program.mjs" } },
    },
  });
  return { folder, script: join(folder, "program.mjs") };
}

/** Runs the command. */
export function start(script: string, words: readonly string[], env = process.env): CommandChild {
  const child = spawn(process.execPath, [script, ...words], { env, stdio: "pipe" });
  let out = "";
  let err = "";
  const waiting = new Set<() => void>();
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on("close", (code, signal) => resolve(code ?? signal));
  });
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    for (const look of [...waiting]) look();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  return {
    process: child,
    out: () => out,
    err: () => err,
    ended,
    line: (find) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          for (const line of out.split("\n").slice(0, -1)) {
            const found = find(line);
            if (found === undefined) continue;
            waiting.delete(look);
            resolve(found);
            return;
          }
        };
        waiting.add(look);
        look();
        void ended.then((how) => reject(new Error(`the command ended (${how}): ${out}${err}`)));
      }),
  };
}
