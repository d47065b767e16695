/** The linter: every rule over a text. */
import { createHash } from "node:crypto";
import { squeeze } from "../latex/book.ts";
import type { SourceTree } from "../latex/source.ts";
import { LABEL_RULES } from "./labels.ts";
import { NAME_RULES } from "./names.ts";
import { NUMBER_RULES } from "./numbers.ts";
import { REQUIREMENT_RULES } from "./requirements.ts";
import { type Finding, type LintRule, LintText, type Rule } from "./rule.ts";
import { STRUCTURE_RULES } from "./structures.ts";

const RULES: readonly Rule[] = [
  ...LABEL_RULES,
  ...NAME_RULES,
  ...NUMBER_RULES,
  ...REQUIREMENT_RULES,
  ...STRUCTURE_RULES,
];

/** Every rule, in the order in which they are listed. */
export const LINT_RULES: readonly LintRule[] = RULES.map(({ check, ...rule }) => rule);

/** What to lint with. */
export interface LintOptions {
  /** Only the rules with these names; all unless given. */
  readonly rules?: readonly string[];
}

/** What the linter has to say of a text. */
export interface LintReport {
  /** What the rules found, by file and line. */
  readonly findings: readonly Finding[];
  /** The names of rules that say nothing of chapters alone, when that is what there was. */
  readonly skipped: readonly string[];
}

/** Lints a text. It may be any text: what the rules do not understand they pass over. */
export function lintSpec(tree: SourceTree, options: LintOptions = {}): LintReport {
  const text = new LintText(tree);
  const findings = new Map<string, Finding>();
  const skipped: string[] = [];
  for (const { name, whole, check } of RULES) {
    if (options.rules !== undefined && !options.rules.includes(name)) continue;
    if (whole === true && !text.book.whole) {
      skipped.push(name);
      continue;
    }
    check(text, ({ file, start }, said) => {
      const message = printable(said);
      const finding = { rule: name, file: file.path, line: file.lineOf(start), message };
      findings.set(JSON.stringify(finding), finding);
    });
  }
  for (const file of tree.oversized) {
    const message = "the file is too long to be a chapter and was not read";
    findings.set(file, { rule: "file-size", file, line: 1, message });
  }
  const sorted = [...findings.values()].sort(
    (a, b) => compare(a.file, b.file) || a.line - b.line || compare(a.rule, b.rule),
  );
  return { findings: sorted, skipped };
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

const LONGEST_MESSAGE = 600;

/** What sources say is shown on terminals: without what moves their cursor, and not without end. */
function printable(message: string): string {
  const text = message.replace(/\p{C}/gu, "?");
  return text.length > LONGEST_MESSAGE ? `${text.slice(0, LONGEST_MESSAGE)}…` : text;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
