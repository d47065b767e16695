/** `virtio-admin spec`: patches for the specification's sources, and what is wrong in them. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isVirtioError, VirtioError } from "@virtio-admin/core";
import {
  DEFAULT_AUTHOR,
  type Finding,
  LINT_RULES,
  lintSpec,
  readSpec,
  specPatches,
} from "@virtio-admin/spec";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Output } from "../output.ts";

/** What a run of a command needs: how to make its output. It answers with the exit code. */
type Run = (output: (json: boolean) => Output) => number;

/** The options of `spec lint`. */
interface SpecLintOptions {
  readonly spec: string;
  readonly rule?: readonly string[];
  readonly json?: true;
}

/** The options of `spec patch`. */
interface SpecPatchOptions {
  readonly spec: string;
  readonly out: string;
  readonly from: string;
  readonly signOff?: true;
  readonly json?: true;
}

const EXIT_OF = { SPEC_ANCHOR: 1, SPEC_OUTPUT: 2, SPEC_TREE: 3 } as const;
/** One line, a name and an address: it becomes the head of a mail. */
const ADDRESS = /^[^<>\p{C}]{1,200} <[^<>\s\p{C}]{1,200}@[^<>\s\p{C}]{1,200}>$/u;
const PATCH_NAME = /\.patch$/;

/** Adds `spec` with its commands to the program. */
export function addSpecCommands(program: Command, execute: (run: Run) => void): void {
  const spec = program
    .command("spec")
    .description("patches and checks for the sources of the specification");
  const folder = () =>
    new Option("--spec <folder>", "the sources: a checkout, or its chapters").makeOptionMandatory();
  const json = () => new Option("--json", "answer with one JSON document");

  spec
    .command("lint")
    .description("find what contradicts itself in the sources; every finding by file and line")
    .addOption(folder())
    .addOption(
      new Option("--rule <names...>", "only these rules").choices(
        LINT_RULES.map(({ name }) => name),
      ),
    )
    .addOption(json())
    .addHelpText("after", rulesText)
    .action((options: SpecLintOptions) => {
      execute((output) => lint(options, output(options.json === true)));
    });

  spec
    .command("patch")
    .description("write patches that add the administration virtqueues of MMIO and channel I/O")
    .addOption(folder())
    .addOption(
      new Option("--out <folder>", "where the patches go, for git am").makeOptionMandatory(),
    )
    .option("--from <author>", "who they are from", author, DEFAULT_AUTHOR)
    .option("--sign-off", "sign them off as this author")
    .addOption(json())
    .action((options: SpecPatchOptions) => {
      execute((output) => patch(options, output(options.json === true)));
    });
}

function author(text: string): string {
  if (ADDRESS.test(text)) return text;
  throw new InvalidArgumentError('It has the form "Name <name@example.org>".');
}

function rulesText(): string {
  const width = Math.max(...LINT_RULES.map(({ name }) => name.length));
  const rows = LINT_RULES.map(
    ({ name, doc, judgement }) =>
      `  ${name.padEnd(width)}  ${doc}${judgement === true ? " (a matter of judgement)" : ""}`,
  );
  return ["", "Rules:", ...rows].join("\n");
}

function guarded(output: Output, run: () => number): number {
  try {
    return run();
  } catch (error) {
    if (!isVirtioError(error) || !(error.code in EXIT_OF)) throw error;
    output.error(error.message);
    const { code, message, path } = error;
    output.document({ error: { code, message, path } });
    return EXIT_OF[code as keyof typeof EXIT_OF];
  }
}

/** 0 when nothing is found, 1 when something is, 3 when there are no sources. */
function lint({ spec, rule }: SpecLintOptions, output: Output): number {
  return guarded(output, () => {
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

/** 0 when the patches are written, 1 when a place in the sources is missing, 3 without sources. */
function patch({ spec, out, from, signOff }: SpecPatchOptions, output: Output): number {
  return guarded(output, () => {
    const { patches } = specPatches(readSpec(spec), { from, signOff: signOff === true });
    const names = new Set(patches.map(({ name }) => name));
    try {
      mkdirSync(out, { recursive: true });
      const other = readdirSync(out).find((name) => PATCH_NAME.test(name) && !names.has(name));
      if (other !== undefined) throw outputError(join(out, other), "another patch is there");
      for (const { name, text } of patches) writeFileSync(join(out, name), text);
    } catch (error) {
      throw isVirtioError(error) ? error : outputError(out, "it cannot be written", error);
    }
    for (const { name } of patches) output.line(join(out, name));
    output.line();
    output.line(`in a checkout of the specification: git am ${join(out, "*.patch")}`);
    if (from === DEFAULT_AUTHOR) output.line(`they are from ${from}; --from says who you are`);
    output.document({
      patches: patches.map(({ name, subject }) => ({ file: join(out, name), subject })),
    });
    return 0;
  });
}

function outputError(path: string, what: string, cause?: unknown): VirtioError {
  return new VirtioError("SPEC_OUTPUT", {
    path,
    message: `the patches have nowhere to go: ${what}`,
    hint: "give a folder that is new or empty",
    ...(cause === undefined ? {} : { cause }),
  });
}
