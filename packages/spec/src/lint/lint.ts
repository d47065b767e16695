/** The linter: every rule over a text. */
import { createHash } from "node:crypto";
import { squeeze } from "../latex/book.ts";
import type { SourceTree } from "../latex/source.ts";
import { LABEL_RULES } from "./labels.ts";
import { NAME_RULES } from "./names.ts";
import { NUMBER_RULES } from "./numbers.ts";
import { REQUIREMENT_RULES } from "./requirements.ts";
import { type Finding, LintText, type Rule } from "./rule.ts";
import { STRUCTURE_RULES } from "./structures.ts";

/** Every rule, in the order in which they are listed. */
export const LINT_RULES: readonly Rule[] = [
  ...LABEL_RULES,
  ...NAME_RULES,
  ...NUMBER_RULES,
  ...REQUIREMENT_RULES,
  ...STRUCTURE_RULES,
];

/** What to lint with. */
export interface LintOptions {
  /** Only the rules with these names; all unless given. */
  readonly rules?: readonly string[];
}

/** Lints a text: what every rule finds, by file and line. */
export function lintSpec(tree: SourceTree, options: LintOptions = {}): Finding[] {
  const text = new LintText(tree);
  const findings: Finding[] = [];
  for (const { name, check } of LINT_RULES) {
    if (options.rules !== undefined && !options.rules.includes(name)) continue;
    check(text, ({ file, start }, message) => {
      findings.push({ rule: name, file: file.path, line: file.lineOf(start), message });
    });
  }
  for (const file of tree.oversized) {
    const message = "the file is too long to be a chapter and was not read";
    findings.push({ rule: "file-size", file, line: 1, message });
  }
  return findings.sort(
    (a, b) => compare(a.file, b.file) || a.line - b.line || compare(a.rule, b.rule),
  );
}

/**
 * What stays of a finding when lines move: a hash of the rule, the message without its line numbers
 * and the line of the text, by which a judgement on it is kept.
 */
export function fingerprint(tree: SourceTree, finding: Finding): string {
  const line = tree.files.get(finding.file)?.line(finding.line) ?? "";
  const message = finding.message.replace(/:\d+|lines? [\d, ]+/g, "");
  const excerpt = [finding.rule, finding.file, message, squeeze(line)].join("\n");
  return createHash("sha256").update(excerpt).digest("hex").slice(0, 16);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
