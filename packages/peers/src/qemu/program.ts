/** Where QEMU is: on the path, or unpacked, run by the loader and with the libraries beside it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { compareVersions } from "../debian/version.ts";
import { runProgram } from "../program.ts";

/** A QEMU that can be started. */
export interface Program {
  /** Its version: `11.1.3`. */
  readonly version: string;
  /** The file to run. */
  readonly file: string;
  /** Arguments that come before all others. */
  readonly before: readonly string[];
  /** Variables that it needs. */
  readonly env: Readonly<Record<string, string>>;
}

/** The processors that QEMU is started for. */
export type Processor = "x86_64" | "aarch64" | "riscv64" | "s390x";

const LOADER = "usr/lib64/ld-linux-x86-64.so.2";
const LIBRARIES = ["usr/lib/x86_64-linux-gnu", "usr/lib"];
const FIRMWARE = ["usr/share/qemu", "usr/share/seabios"];
const DEVICE = "vfio-user-pci";
/** Packages are those of amd64. */
const HOST: Processor = "x86_64";

/** QEMU on the path when it is at least this new and has the device; else `undefined`. */
export async function qemuOnPath(least: string): Promise<Program | undefined> {
  const program = { file: nameFor(HOST), before: [], env: {} };
  try {
    const version = await versionOf(program);
    if (compareVersions(version, least) < 0 || !(await hasDevice(program))) return undefined;
    return { ...program, version };
  } catch {
    return undefined;
  }
}

/** QEMU of a folder of unpacked packages. */
export async function unpackedProgram(
  folder: string,
  processor: Processor = HOST,
): Promise<Program> {
  const program = {
    file: join(folder, LOADER),
    before: [
      "--library-path",
      LIBRARIES.map((path) => join(folder, path)).join(":"),
      join(folder, "usr/bin", nameFor(processor)),
      ...FIRMWARE.map((path) => join(folder, path))
        .filter((path) => existsSync(path))
        .flatMap((path) => ["-L", path]),
    ],
    env: { QEMU_MODULE_DIR: join(folder, "usr/lib/x86_64-linux-gnu/qemu") },
  };
  return { ...program, version: await versionOf(program) };
}

function nameFor(processor: Processor): string {
  return `qemu-system-${processor}`;
}

type Runnable = Omit<Program, "version">;

async function versionOf(program: Runnable): Promise<string> {
  const text = await run(program, "--version");
  return /version (\d[\d.]*)/.exec(text)?.[1] ?? "0";
}

async function hasDevice(program: Runnable): Promise<boolean> {
  return (await run(program, "-device", "help")).includes(`"${DEVICE}"`);
}

function run({ file, before, env }: Runnable, ...args: string[]): Promise<string> {
  return runProgram(file, [...before, ...args], { env });
}
