/** A tree that is being changed: the changes of one patch, and the tree after them. */
import type { Book } from "../latex/book.ts";
import { readBook } from "../latex/reader.ts";
import type { SourceFile, SourceTree } from "../latex/source.ts";
import { anchorError } from "./anchors.ts";
import { applyChanges, type LineChange } from "./diff.ts";

/** One file of a patch. */
export interface FileChange {
  /** The file as it was. */
  readonly file: SourceFile;
  /** The changes. */
  readonly changes: readonly LineChange[];
}

/** Collects the changes of a patch against one tree. All lines are those of the tree before. */
export class Draft {
  /** The text before. */
  readonly book: Book;
  readonly #tree: SourceTree;
  readonly #changes = new Map<string, LineChange[]>();

  /** A draft against this tree. */
  constructor(tree: SourceTree) {
    this.#tree = tree;
    this.book = readBook(tree);
  }

  /** Puts lines before a line. */
  insertBefore(file: SourceFile, line: number, insert: readonly string[]): void {
    this.#change(file, { line, remove: 0, insert });
  }

  /** Puts lines behind a line. */
  insertAfter(file: SourceFile, line: number, insert: readonly string[]): void {
    this.insertBefore(file, line + 1, insert);
  }

  /** Puts lines in the place of those from one line to another, both included. */
  replace(file: SourceFile, from: number, to: number, insert: readonly string[]): void {
    this.#change(file, { line: from, remove: to - from + 1, insert });
  }

  /** The files that change, by path. */
  get files(): readonly FileChange[] {
    return [...this.#changes]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([path, changes]) => ({ file: this.#fileAt(path), changes }));
  }

  /** The tree after the changes. */
  apply(): SourceTree {
    return this.files.reduce(
      (tree, { file, changes }) => tree.with(file.path, applyChanges(file.text, changes)),
      this.#tree,
    );
  }

  #change(file: SourceFile, change: LineChange): void {
    // What could not be decoded would not be found again by who applies the patch.
    if (file.text.includes("\ufffd")) throw anchorError("the text", file.path, "is not UTF-8");
    const ended = { ...change, insert: endedAs(file, change.insert) };
    const known = this.#changes.get(file.path);
    if (known === undefined) this.#changes.set(file.path, [ended]);
    else known.push(ended);
  }

  #fileAt(path: string): SourceFile {
    const file = this.#tree.files.get(path);
    if (file === undefined) throw new RangeError(`no file ${path}`);
    return file;
  }
}

/** Lines that end as those of the file do: one with carriage returns is not to have both kinds. */
function endedAs({ text }: SourceFile, lines: readonly string[]): readonly string[] {
  if (text[text.indexOf("\n") - 1] !== "\r") return lines;
  return lines.map((line) => (line.endsWith("\r") ? line : `${line}\r`));
}
