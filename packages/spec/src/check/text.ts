/** The text of a layout or a variant: YAML, of which JSON is a part, and the lines that findings are about. */
import { isLayout, layoutToJson } from "@virtio-admin/core";
import { isAlias, isMap, isNode, isSeq, LineCounter, type Node, parseDocument } from "yaml";

/** A text that was read, or why not. */
export interface ReadText {
  /** What it says; `undefined` when it could not be read. */
  readonly value: unknown;
  /** What is wrong with the text as such; empty when it could be read. */
  readonly problems: readonly { readonly message: string; readonly line: number }[];
  /** The line where the member at a path begins, from 1, or that of the nearest one around it. */
  lineOf(path: Path): number | undefined;
}

/** Keys and indexes from the outside in. */
export type Path = readonly (string | number)[];

/** The longest text that is read, in characters: more than the longest layout has. */
const LONGEST_TEXT = 4 << 20;

/** Reads a text; never throws, whatever it says. */
export function readText(text: string): ReadText {
  if (typeof text !== "string" || text.length > LONGEST_TEXT) {
    return failed(`a layout has at most ${LONGEST_TEXT} characters`, 1);
  }
  const lines = new LineCounter();
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      uniqueKeys: true,
      prettyErrors: false,
    });
    const [error] = document.errors;
    if (error !== undefined) return failed(error.message, lines.linePos(error.pos[0]).line);
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    return {
      value,
      problems: [],
      lineOf: (path) => lineOf(document.contents, path, lines),
    };
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error), 1);
  }
}

function failed(message: string, line: number): ReadText {
  return { value: undefined, problems: [{ message, line }], lineOf: () => undefined };
}

function lineOf(root: Node | null, path: Path, lines: LineCounter): number | undefined {
  let node: unknown = root;
  let line = startOf(root, lines);
  for (const key of path) {
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find(({ key: own }) => String(own) === String(key));
      line = startOf(pair?.key, lines) ?? line;
      next = pair?.value;
    } else if (isSeq(node)) {
      next = typeof key === "number" ? node.items[key] : undefined;
      line = startOf(next, lines) ?? line;
    }
    if (next === undefined || isAlias(next)) break;
    node = next;
  }
  return line;
}

function startOf(node: unknown, lines: LineCounter): number | undefined {
  if (!isNode(node) || node.range === undefined || node.range === null) return undefined;
  return lines.linePos(node.range[0]).line;
}

/** The document of what may be a layout already, or a document. */
export function documentOf(layout: unknown): unknown {
  return isLayout(layout) ? layoutToJson(layout) : layout;
}

/** `layout.registers[3].offset` as keys and indexes, without the first, which is the document itself. */
export function pathKeys(path: string): Path {
  const keys: (string | number)[] = [];
  for (const [, name, index] of path.matchAll(/([^.[\]]+)|\[(\d+)\]/g)) {
    keys.push(index === undefined ? (name ?? "") : Number(index));
  }
  return keys.slice(1);
}
