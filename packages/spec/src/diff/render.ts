/** Changes as text: for a terminal, and as Markdown for a mail or an issue. */
import { CHANGE_CLASSES, type ChangeClass, type LayoutChange } from "./changes.ts";

/** How often each class occurs. */
export function countChanges(
  changes: readonly LayoutChange[],
): Readonly<Record<ChangeClass, number>> {
  const counts = { breaking: 0, behavioural: 0, compatible: 0, editorial: 0 };
  for (const change of changes) counts[change.class]++;
  return counts;
}

/** `2 breaking, 1 editorial`, or `no change`. */
export function summaryOf(changes: readonly LayoutChange[]): string {
  const counts = countChanges(changes);
  const parts = CHANGE_CLASSES.filter((each) => counts[each] > 0).map(
    (each) => `${counts[each]} ${each}`,
  );
  return parts.length === 0 ? "no change" : parts.join(", ");
}

/** The changes as Markdown: a table, the gravest first. */
export function renderDiffMarkdown(changes: readonly LayoutChange[]): string {
  if (changes.length === 0) return "No change.\n";
  const rows = sortedChanges(changes).map((change) => [
    change.class,
    `\`${change.path}\``,
    changeText(change),
    change.reason,
  ]);
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll(/\s+/g, " ").replaceAll("|", "\\|")).join(" | ")} |`;
  return `${[line(["class", "where", "change", "why"]), "| --- | --- | --- | --- |", ...rows.map(line)].join("\n")}\n\n${summaryOf(changes)}.\n`;
}

/** The gravest first, else in their order. */
export function sortedChanges(changes: readonly LayoutChange[]): readonly LayoutChange[] {
  return CHANGE_CLASSES.flatMap((each) => changes.filter((change) => change.class === each));
}

/** `0x0e0 → 0x0c4`, `added: le32 at 0x0f0`. */
export function changeText({ what, before, after }: LayoutChange): string {
  if (what === "added") return `added: ${after ?? ""}`;
  if (what === "removed") return `removed: ${before ?? ""}`;
  return `${before ?? ""} → ${after ?? ""}`;
}
