/** `virtio-admin layout diff`: what is otherwise in another layout or revision, and what that means. */
import {
  type ChangeClass,
  changeText,
  countChanges,
  diffLayouts,
  isAtLeast,
  type LayoutChange,
  renderDiffMarkdown,
  sortedChanges,
  summaryOf,
} from "@virtio-admin/spec";
import { Output, type Streams } from "../output.ts";
import { deliver } from "./deliver.ts";
import { demandLayout } from "./source.ts";

/** The options of `diff`. */
export interface DiffOptions {
  /** The form of the report; text when absent. */
  readonly format?: "text" | "json" | "markdown";
  /** A file; standard output when absent. */
  readonly out?: string;
  /** The class from which on a change counts as a finding; none does when absent. */
  readonly failOn?: ChangeClass;
}

/** Compares two layouts; 0, or 1 when a change is at least as grave as `failOn`. */
export function diffFiles(
  before: string,
  after: string,
  options: DiffOptions,
  streams: Streams,
): number {
  const changes = diffLayouts(demandLayout(before), demandLayout(after));
  const fails = options.failOn !== undefined && isAtLeast(changes, options.failOn);
  deliver([{ file: "diff.txt", text: formOf(changes, options, streams) }], options.out, streams);
  return fails ? 1 : 0;
}

function formOf(
  changes: readonly LayoutChange[],
  { format }: DiffOptions,
  streams: Streams,
): string {
  switch (format ?? "text") {
    case "json":
      return `${JSON.stringify({ changes, counts: countChanges(changes) }, null, 2)}\n`;
    case "markdown":
      return renderDiffMarkdown(changes);
    case "text": {
      const { colours } = new Output(streams, false);
      const colour: Readonly<Record<ChangeClass, (text: string) => string>> = {
        breaking: colours.red,
        behavioural: colours.yellow,
        compatible: colours.green,
        editorial: colours.dim,
      };
      const lines = sortedChanges(changes).map(
        (change) =>
          `${colour[change.class](change.class.padEnd(11))} ${change.path}: ${changeText(change)}\n` +
          `            ${colours.dim(change.reason)}\n`,
      );
      return `${lines.join("")}${summaryOf(changes)}\n`;
    }
  }
}
