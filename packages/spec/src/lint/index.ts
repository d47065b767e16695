export {
  readSpec,
  SOURCE_FILE_LIMIT,
  SOURCE_TREE_LIMIT,
  SourceFile,
  SourceTree,
} from "../latex/source.ts";
export { fingerprint, LINT_RULES, type LintOptions, type LintReport, lintSpec } from "./lint.ts";
export type { Finding, LintRule } from "./rule.ts";
