/** Packages that are unpacked beside the system, each set of them in a folder of its own. */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { VirtioError } from "@virtio-admin/core";
import { runProgram } from "../program.ts";
import type { AptRoot, Progress } from "./apt-root.ts";
import type { Pinned } from "./version.ts";

/** What there is of a tree when all of it is there; written last. */
interface Stamp {
  readonly packages: readonly string[];
  /** How many files and folders there are below {@link COUNTED}. */
  readonly entries: number;
}

/** Gets packages; an {@link AptRoot} is one that does. */
export type Downloader = Pick<AptRoot, "download">;

/** Where packages put what is used here; beside it, whoever uses a tree may have files of its own. */
const COUNTED = ["boot", "usr"];
const STAMP = "unpacked.json";
const PARTIAL = ".partial";

/** Where the packages of a tree are when they are unpacked. */
export function treeFolder(cache: string, name: string, packages: readonly Pinned[]): string {
  const key = createHash("sha256").update(namesOf(packages).join("\n")).digest("hex").slice(0, 12);
  return join(cache, "trees", `${name}-${key}`);
}

/** True when all that was unpacked into a tree is still there. */
export function isComplete(folder: string): boolean {
  const stamp = readStamp(folder);
  return stamp !== undefined && countEntries(folder) === stamp.entries;
}

/** The trees of a name that are complete, in any order. */
export function completeTrees(cache: string, name: string): string[] {
  const trees = join(cache, "trees");
  if (!existsSync(trees)) return [];
  return readdirSync(trees)
    .filter((each) => isOf(each, name) && !each.endsWith(PARTIAL))
    .map((each) => join(trees, each))
    .filter(isComplete);
}

/** The packages of a complete tree, as `name=version`. */
export function packagesOf(folder: string): readonly string[] {
  return readStamp(folder)?.packages ?? [];
}

/**
 * Downloads and unpacks packages, unless they are there; other trees of this name go afterwards.
 *
 * @returns the folder
 */
export async function unpack(
  apt: Downloader,
  cache: string,
  name: string,
  packages: readonly Pinned[],
  progress: Progress,
): Promise<string> {
  const folder = treeFolder(cache, name, packages);
  if (!isComplete(folder)) await unpackAnew(apt, folder, packages, progress);
  const trees = join(cache, "trees");
  for (const each of readdirSync(trees)) {
    const other = join(trees, each);
    if (isOf(each, name) && other !== folder) rmSync(other, { recursive: true, force: true });
  }
  return folder;
}

async function unpackAnew(
  apt: Downloader,
  folder: string,
  packages: readonly Pinned[],
  progress: Progress,
): Promise<void> {
  const partial = `${folder}${PARTIAL}`;
  const archives = join(partial, "archives");
  rmSync(partial, { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(archives, { recursive: true });
  await apt.download(packages, archives);
  const files = readdirSync(archives).filter((file) => file.endsWith(".deb"));
  if (files.length !== packages.length) {
    throw new VirtioError("HOST_UNSUPPORTED", {
      path: archives,
      message: `apt downloaded ${files.length} packages of ${packages.length}`,
    });
  }
  for (const [i, file] of files.sort().entries()) {
    progress(`unpack ${i + 1} of ${files.length}: ${file}`);
    await runProgram("dpkg-deb", ["--extract", join(archives, file), partial]);
  }
  rmSync(archives, { recursive: true, force: true });
  const stamp: Stamp = { packages: namesOf(packages), entries: countEntries(partial) };
  writeFileSync(join(partial, STAMP), `${JSON.stringify(stamp, null, 2)}\n`);
  renameSync(partial, folder);
}

function namesOf(packages: readonly Pinned[]): string[] {
  return packages.map(({ name, version }) => `${name}=${version}`).sort();
}

/** `linux-7-0123456789ab` is of `linux-7`, and not of `linux`. */
function isOf(folder: string, name: string): boolean {
  return (
    folder.startsWith(`${name}-`) &&
    /^[0-9a-f]{12}(\.partial)?$/.test(folder.slice(name.length + 1))
  );
}

function countEntries(folder: string): number {
  return COUNTED.map((name) => join(folder, name))
    .filter((path) => existsSync(path))
    .reduce((sum, path) => sum + readdirSync(path, { recursive: true }).length, 0);
}

function readStamp(folder: string): Stamp | undefined {
  try {
    const { packages, entries } = JSON.parse(readFileSync(join(folder, STAMP), "utf8")) as Stamp;
    return Array.isArray(packages) && typeof entries === "number"
      ? { packages, entries }
      : undefined;
  } catch {
    return undefined;
  }
}
