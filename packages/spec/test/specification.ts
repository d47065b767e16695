import process from "node:process";
import { readSpec, SourceFile, SourceTree } from "@virtio-admin/spec";
import { describe } from "vitest";

/** The folder of the specification's sources, of which nothing is kept here. */
export const SPECIFICATION = process.env["VIRTIO_SPEC"];

/** A suite that reads the specification itself. */
export function describeSpecification(title: string, body: () => void): void {
  const reason = SPECIFICATION === undefined ? " (skipped: VIRTIO_SPEC names no folder)" : "";
  describe.skipIf(SPECIFICATION === undefined)(`${title}${reason}`, body);
}

let tree: SourceTree | undefined;

/** The specification, read once. */
export function specification(): SourceTree {
  tree ??= readSpec(SPECIFICATION ?? "");
  return tree;
}

/** A tree of texts by path. */
export function treeOf(texts: Readonly<Record<string, string>>): SourceTree {
  return new SourceTree(Object.entries(texts).map(([path, text]) => new SourceFile(path, text)));
}

/** The tree in which a text of a file is another; it has to be there. */
export function edited(
  from: SourceTree,
  path: string,
  text: string | RegExp,
  replacement: string,
): SourceTree {
  const before = from.files.get(path)?.text;
  const after = before?.replace(text, replacement);
  if (after === undefined || after === before) throw new Error(`${path} has no ${text}`);
  return from.with(path, after);
}

/** The tree with more text at the end of a file. */
export function extended(from: SourceTree, path: string, text: string): SourceTree {
  return from.with(path, `${from.files.get(path)?.text ?? ""}\n${text}\n`);
}
