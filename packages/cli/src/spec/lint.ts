/** `virtio-admin spec lint`: what contradicts itself in the specification's sources. */
import { join } from "node:path";
import { type Finding, lintSpec, readSpec } from "@virtio-admin/spec";
import type { Output } from "../output.ts";
import { failing } from "./failing.ts";

/** The options of `spec lint`. */
export interface SpecLintOptions {
  /** The folder of the sources. */
  readonly spec: string;
  /** Only these rules. */
  readonly rule?: readonly string[];
}

/** 0 when nothing is found, 1 when something is, 3 when there are no sources. */
export function lintFolder({ spec, rule }: SpecLintOptions, output: Output): number {
  return failing(output, () => {
    const tree = readSpec(spec);
    const report = lintSpec(tree, rule === undefined ? {} : { rules: rule });
    output.document({ findings: report.findings, skipped: report.skipped });
    for (const [file, findings] of byFile(report.findings)) {
      output.line(output.colours.bold(file));
      for (const { line, rule: name, message } of findings) {
        const place = output.colours.cyan(`${join(spec, file)}:${line}`);
        output.line(`  ${place}  ${output.colours.dim(name)}`);
        output.line(`      ${message}`);
      }
      output.line();
    }
    output.line(summaryOf(report.findings));
    for (const name of report.skipped) {
      output.line(`not checked: ${name}, which says nothing of chapters alone`);
    }
    return report.findings.length === 0 ? 0 : 1;
  });
}

function byFile(findings: readonly Finding[]): Map<string, Finding[]> {
  const files = new Map<string, Finding[]>();
  for (const finding of findings) {
    const known = files.get(finding.file);
    if (known === undefined) files.set(finding.file, [finding]);
    else known.push(finding);
  }
  return files;
}

function summaryOf(findings: readonly Finding[]): string {
  if (findings.length === 0) return "nothing found";
  const rules = new Map<string, number>();
  for (const { rule } of findings) rules.set(rule, (rules.get(rule) ?? 0) + 1);
  const counts = [...rules].sort((a, b) => b[1] - a[1]).map(([rule, count]) => `${count} ${rule}`);
  const files = byFile(findings).size;
  const all = `${findings.length} finding${findings.length === 1 ? "" : "s"}`;
  return `${all} in ${files} file${files === 1 ? "" : "s"}: ${counts.join(", ")}`;
}
