/** A description of a group in a file of YAML (or JSON, which is YAML): faults have a line and column. */
import { closeSync, openSync, readSync } from "node:fs";
import { isVirtioError, VirtioError } from "@virtio-admin/core";
import {
  type Document,
  isMap,
  isScalar,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
} from "yaml";
import { describeGroup, type GroupDescription } from "./description.ts";
import type { Path } from "./schema-check.ts";

/** The most bytes of a file that are read. */
export const GROUP_FILE_LIMIT = 64 * 1024;
/** The parser compares every key of a map with every other; {@link refuseTwice} looks each up. */
const PARSING = {
  prettyErrors: false,
  stringKeys: true,
  uniqueKeys: false,
  logLevel: "silent",
} as const;

/** A key that is shown as it is; of others so many characters, quoted. */
const PLAIN_KEY = /^[\w$-]{1,64}$/;
const LONGEST_KEY = 40;

/** A description, and where its parts stand. */
export interface GroupFile {
  /** What is described. */
  readonly description: GroupDescription;
  /** The document as it stands in the file: plain data. */
  readonly document: unknown;
  /** `file:line:column` of a part. */
  readonly placeOf: (path: Path) => string;
}

/**
 * Reads a group from a file.
 *
 * @throws VirtioError `GROUP_INVALID`, its path beginning with `file:line:column` where it is about
 * the text, when the file cannot be read, is too long, or describes no group
 */
export function readGroupFile(file: string): GroupFile {
  return parseGroup(readText(file), file);
}

/** Reads a group from text; `file` is its name in messages. Throws as {@link readGroupFile}. */
export function parseGroup(text: string, file: string): GroupFile {
  const lines = new LineCounter();
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  const { document, value: whole } = parse(text, file, lines, at);
  const description = describeGroup(whole, (path, message, of) => {
    const value = document.getIn(path, true);
    throw invalid(
      [at(offsetOf(document, path, of === "key")), pathText(path)].filter(Boolean).join(": "),
      message,
      isScalar(value) && of !== "key" ? [value.value] : [],
    );
  });
  return { description, document: whole, placeOf: (path) => at(offsetOf(document, path, false)) };
}

function readText(file: string): string {
  const bytes = new Uint8Array(GROUP_FILE_LIMIT + 1);
  let length = 0;
  let handle: number | undefined;
  try {
    handle = openSync(file, "r");
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = readSync(handle, bytes, length, bytes.length - length, null);
    }
  } catch (error) {
    throw invalid(file, `the file cannot be read: ${reasonOf(error)}`);
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
  if (length > GROUP_FILE_LIMIT) {
    throw invalid(file, `the file has more than ${GROUP_FILE_LIMIT} bytes`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length));
  } catch {
    throw invalid(file, "the file is not UTF-8");
  }
}

function parse(
  text: string,
  file: string,
  lineCounter: LineCounter,
  at: (offset: number) => string,
): { document: Document; value: unknown } {
  try {
    const document = parseDocument(text, { lineCounter, ...PARSING });
    const [problem] = [...document.errors, ...document.warnings];
    if (problem !== undefined) throw invalid(at(problem.pos[0]), problem.message);
    visit(document, {
      Alias: (_, { range }) => {
        throw invalid(at(range?.[0] ?? 0), "a group is written without aliases");
      },
      Map: (_, { items }) => refuseTwice(items, at),
    });
    return { document, value: document.toJS({ maxAliasCount: 0 }) };
  } catch (error) {
    if (isVirtioError(error)) throw error;
    // Text that is nested deeply enough exhausts the parser's stack.
    throw invalid(file, `the text cannot be read: ${reasonOf(error)}`);
  }
}

function refuseTwice(pairs: readonly Pair[], at: (offset: number) => string): void {
  const seen = new Set<unknown>();
  for (const { key } of pairs) {
    if (!isScalar(key)) continue;
    if (seen.has(key.value)) throw invalid(at(key.range?.[0] ?? 0), "the key stands twice");
    seen.add(key.value);
  }
}

/** Where the part at this path begins, or where its key does; else what is around it. */
function offsetOf(document: Document, path: Path, ofKey: boolean): number {
  const parent = path.length === 0 ? undefined : document.getIn(path.slice(0, -1), true);
  if (ofKey && isMap(parent)) {
    const name = path.at(-1);
    const pair = parent.items.find(({ key }: Pair) => isScalar(key) && key.value === name);
    const range = (pair?.key as Node | undefined)?.range;
    if (range != null) return range[0];
  }
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true) as Node | undefined;
    if (node?.range != null) return node.range[0];
  }
  return document.contents?.range?.[0] ?? 0;
}

function pathText(path: Path): string {
  const text = path.map((part) => {
    if (typeof part === "number") return `[${part}]`;
    return PLAIN_KEY.test(part) ? `.${part}` : `[${JSON.stringify(part.slice(0, LONGEST_KEY))}]`;
  });
  return text.join("").replace(/^\./, "");
}

function invalid(path: string, message: string, value: readonly unknown[] = []): VirtioError {
  // Messages of the parser quote the file: no control character of it reaches a terminal.
  const details = { path, message: message.replace(/\p{Cc}/gu, "?") };
  return new VirtioError(
    "GROUP_INVALID",
    value.length === 0 ? details : { ...details, value: value[0] },
  );
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
