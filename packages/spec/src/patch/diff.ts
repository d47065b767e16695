/** Unified differences, made from the changes themselves: what was changed is known, not guessed. */

/** A change of whole lines. */
export interface LineChange {
  /** The first line that goes, or before which lines come; from 1. */
  readonly line: number;
  /** How many lines go. */
  readonly remove: number;
  /** The lines that come, without their ends. */
  readonly insert: readonly string[];
}

/** Lines around a change that are shown with it, as git does. */
const CONTEXT = 3;

/** A text as lines, and whether the last one is ended. */
interface Lines {
  readonly lines: readonly string[];
  readonly ended: boolean;
}

function linesOf(text: string): Lines {
  if (text === "") return { lines: [], ended: true };
  const lines = text.split("\n");
  const ended = lines.at(-1) === "";
  return { lines: ended ? lines.slice(0, -1) : lines, ended };
}

/** The text after changes; they do not overlap. */
export function applyChanges(text: string, changes: readonly LineChange[]): string {
  const { lines, ended } = linesOf(text);
  const result: string[] = [];
  let next = 1;
  for (const { line, remove, insert } of sorted(changes, lines, ended)) {
    result.push(...lines.slice(next - 1, line - 1), ...insert);
    next = line + remove;
  }
  // Where the last line goes, so does that it was not ended: those before it are, and those that come.
  const isEnded = ended || next > lines.length;
  result.push(...lines.slice(next - 1));
  return result.join("\n") + (isEnded && result.length > 0 ? "\n" : "");
}

/** How many lines come and go. */
export interface ChangeCount {
  /** Lines that come. */
  readonly added: number;
  /** Lines that go. */
  readonly removed: number;
}

/** Counts the lines of changes. */
export function countChanges(changes: readonly LineChange[]): ChangeCount {
  let added = 0;
  let removed = 0;
  for (const { insert, remove } of changes) {
    added += insert.length;
    removed += remove;
  }
  return { added, removed };
}

/** The hunks of a unified difference, without the lines that name the files. */
export function hunks(text: string, changes: readonly LineChange[]): string {
  const { lines, ended } = linesOf(text);
  const output: string[] = [];
  let shift = 0;
  const groups = grouped(sorted(changes, lines, ended));
  for (const group of groups) {
    const first = group[0]?.line ?? 1;
    const last = group.at(-1);
    const from = Math.max(1, first - CONTEXT);
    const to = Math.min(lines.length, (last?.line ?? 1) + (last?.remove ?? 0) - 1 + CONTEXT);
    const body: string[] = [];
    let next = from;
    const keep = (end: number): void => {
      for (; next < end; next++) body.push(` ${lines[next - 1]}`, ...unended(next));
    };
    const unended = (line: number): string[] =>
      line === lines.length && !ended ? ["\\ No newline at end of file"] : [];
    for (const { line, remove, insert } of group) {
      keep(line);
      for (; next < line + remove; next++) body.push(`-${lines[next - 1]}`, ...unended(next));
      for (const inserted of insert) body.push(`+${inserted}`);
    }
    keep(to + 1);
    const { added, removed } = countChanges(group);
    const length = to - from + 1;
    output.push(`@@ -${from},${length} +${from + shift},${length + added - removed} @@`, ...body);
    shift += added - removed;
  }
  return `${output.join("\n")}\n`;
}

/** Changes in order. What comes behind a last line that is not ended puts that line in its place. */
function sorted(
  changes: readonly LineChange[],
  lines: readonly string[],
  ended: boolean,
): LineChange[] {
  const last = lines.at(-1);
  return [...changes]
    .sort((a, b) => a.line - b.line)
    .map((change) =>
      ended || last === undefined || change.line <= lines.length
        ? change
        : { line: lines.length, remove: 1, insert: [last, ...change.insert] },
    );
}

/** Changes whose surroundings touch, together. */
function grouped(changes: readonly LineChange[]): LineChange[][] {
  const groups: LineChange[][] = [];
  let end = Number.NEGATIVE_INFINITY;
  for (const change of changes) {
    if (change.line - CONTEXT <= end) groups.at(-1)?.push(change);
    else groups.push([change]);
    end = change.line + change.remove - 1 + CONTEXT + 1;
  }
  return groups;
}
