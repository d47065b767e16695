/** The files of the specification: read from a folder once, bounded, or given as texts. */
import { lstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { VirtioError } from "@virtio-admin/core";

/** The most bytes of one file that are read; the largest of the specification has 180 KiB. */
export const SOURCE_FILE_LIMIT = 4 * 1024 * 1024;
/** The most bytes of all files together. */
export const SOURCE_TREE_LIMIT = 64 * 1024 * 1024;
const MOST_FILES = 4096;
const MOST_FOLDERS = 4096;
const DEEPEST_FOLDER = 8;

const SOURCE_NAMES = /\.(?:tex|c|h)$/;
/** The lists of past changes: what they name need not be in the text any more. */
const HISTORY = /^(?:changelog|cl-[^/]*)\.tex$/;

/** One file. */
export class SourceFile {
  /** The path in the tree, with slashes. */
  readonly path: string;
  /** The text as it stands in the file. */
  readonly text: string;
  #lineStarts: number[] | undefined;

  /** A file with this path and text. */
  constructor(path: string, text: string) {
    this.path = path;
    this.text = text;
  }

  /** The line, from 1, in which the character at `offset` stands. */
  lineOf(offset: number): number {
    const starts = this.#starts();
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  }

  /** The text of a line, from 1, without its end; empty when there is none. */
  line(number: number): string {
    const starts = this.#starts();
    const start = starts[number - 1];
    if (start === undefined) return "";
    return this.text.slice(start, (starts[number] ?? this.text.length + 1) - 1);
  }

  #starts(): number[] {
    if (this.#lineStarts === undefined) {
      const starts = [0];
      for (let at = this.text.indexOf("\n"); at >= 0; at = this.text.indexOf("\n", at + 1)) {
        starts.push(at + 1);
      }
      this.#lineStarts = starts;
    }
    return this.#lineStarts;
  }
}

/** The sources of one version of the specification. */
export class SourceTree {
  /** The files by path, in the order of their paths. */
  readonly files: ReadonlyMap<string, SourceFile>;
  /** Paths that were left out because they are too long to be a chapter. */
  readonly oversized: readonly string[];

  /** A tree of these files. */
  constructor(files: Iterable<SourceFile>, oversized: readonly string[] = []) {
    const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
    this.files = new Map(sorted.map((file) => [file.path, file]));
    this.oversized = oversized;
  }

  /** The tree in which a file has another text; all others stay as they are. */
  with(path: string, text: string): SourceTree {
    const files = new Map(this.files).set(path, new SourceFile(path, text));
    return new SourceTree(files.values(), this.oversized);
  }
}

/**
 * Reads the sources in a folder: a checkout of the specification, or its chapters alone. Links are
 * not followed, lists of past changes are left out.
 *
 * @throws VirtioError `SPEC_TREE` when the folder is missing, cannot be read, has no `.tex` file or
 * is larger than any specification
 */
export function readSpec(directory: string): SourceTree {
  try {
    if (!statSync(directory).isDirectory()) throw treeError(directory, "it is not a folder");
  } catch (error) {
    throw error instanceof VirtioError ? error : treeError(directory, "it cannot be read", error);
  }
  const files: SourceFile[] = [];
  const oversized: string[] = [];
  let total = 0;
  let visited = 0;
  const folders: [path: string, depth: number][] = [["", 0]];
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    const [folder, depth] = next;
    visited += 1;
    if (visited > MOST_FOLDERS) throw treeError(directory, "it holds more than any specification");
    for (const name of namesIn(directory, folder)) {
      const path = folder === "" ? name : `${folder}/${name}`;
      const stat = lstatSync(join(directory, path), { throwIfNoEntry: false });
      if (stat?.isDirectory() && depth < DEEPEST_FOLDER && !name.startsWith(".")) {
        folders.push([path, depth + 1]);
      }
      if (!stat?.isFile() || !SOURCE_NAMES.test(name) || HISTORY.test(name)) continue;
      if (stat.size > SOURCE_FILE_LIMIT) {
        oversized.push(path);
        continue;
      }
      total += stat.size;
      if (total > SOURCE_TREE_LIMIT || files.length >= MOST_FILES) {
        throw treeError(directory, "it holds more than any specification");
      }
      files.push(readSource(directory, path));
    }
  }
  if (!files.some(({ path }) => path.endsWith(".tex"))) {
    throw treeError(directory, "it holds no .tex file");
  }
  return new SourceTree(files, oversized.sort());
}

function namesIn(directory: string, folder: string): readonly string[] {
  try {
    return readdirSync(join(directory, folder)).sort();
  } catch (error) {
    throw treeError(join(directory, folder), "it cannot be read", error);
  }
}

function readSource(directory: string, path: string): SourceFile {
  try {
    return new SourceFile(path, readFileSync(join(directory, path), "utf8"));
  } catch (error) {
    throw treeError(join(directory, path), "it cannot be read", error);
  }
}

function treeError(path: string, what: string, cause?: unknown): VirtioError {
  return new VirtioError("SPEC_TREE", {
    path,
    message: `the sources of the specification are not there: ${what}`,
    hint: "give the folder of a checkout of the virtio specification, the one with admin.tex",
    ...(cause === undefined ? {} : { cause }),
  });
}
