/** Programs of the host that run to their end. */
import { type SpawnOptions, spawn } from "node:child_process";
import { VirtioError } from "@virtio-admin/core";
import { endsWithUs } from "./cleanup.ts";
import { LineCutter } from "./guest/lines.ts";

/** How a program is run. */
export interface ProgramOptions {
  /** Its working directory. */
  readonly cwd?: string;
  /** Variables of its environment, besides our own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Called with every line that it says. */
  readonly onLine?: (line: string) => void;
}

const LAST_LINES = 8;

/**
 * Runs a program and answers what it wrote to its standard output.
 *
 * @throws VirtioError `HOST_UNSUPPORTED` when there is no such program, or it fails
 */
export function runProgram(
  program: string,
  args: readonly string[],
  { cwd, env, onLine }: ProgramOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options: SpawnOptions = { env: { ...process.env, LC_ALL: "C", ...env } };
    if (cwd !== undefined) options.cwd = cwd;
    const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    const release = endsWithUs(child);
    const output: Buffer[] = [];
    const last: string[] = [];
    const take = (line: string): void => {
      onLine?.(line);
      last.push(line);
      if (last.length > LAST_LINES) last.shift();
    };
    const said = new LineCutter(take);
    const complained = new LineCutter(take);
    child.stdout?.on("data", (bytes: Buffer) => {
      output.push(bytes);
      said.push(bytes);
    });
    child.stderr?.on("data", (bytes: Buffer) => complained.push(bytes));
    child.on("error", (cause) => {
      release();
      reject(failed(program, "it cannot be run", cause));
    });
    child.on("close", (code, signal) => {
      release();
      if (code === 0) resolve(Buffer.concat(output).toString());
      else reject(failed(program, `it ended with ${code ?? signal}: ${last.join(" / ")}`));
    });
  });
}

function failed(program: string, message: string, cause?: unknown): VirtioError {
  return new VirtioError("HOST_UNSUPPORTED", { path: program, message, cause });
}
