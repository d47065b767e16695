/** `virtio-admin layout try`: a layout runs, and the rules that it breaks are named. */
import type { Layout } from "@virtio-admin/core";
import { resolveTransport } from "@virtio-admin/core/di";
import { layoutFixtures } from "@virtio-admin/fixtures";
import {
  CHECK_RULES,
  type CheckRule,
  type TrialReport,
  type TrialStep,
  tryLayout,
} from "@virtio-admin/spec";
import { exposesAdminQueues as ccwExposes } from "@virtio-admin/transport-ccw";
import { exposesAdminQueues as mmioExposes } from "@virtio-admin/transport-mmio";
import { createApplication } from "../application.ts";
import { tellOfMembers } from "../demo/members.ts";
import { tellStory } from "../demo/story.ts";
import { Output, type Streams } from "../output.ts";
import { findingText } from "./check.ts";
import { deliver } from "./deliver.ts";
import { openLayout } from "./source.ts";

/** The options of `try`. */
export interface TryOptions {
  /** The form of the report; text when absent. */
  readonly format?: "text" | "json" | "markdown";
  /** A file; standard output when absent. */
  readonly out?: string;
  /** Rules of the check that the author has reason to break. */
  readonly allow?: readonly CheckRule[];
}

const ID_COLUMNS = 26;
/** What a terminal shows: where one rule breaks, many that build on it do. */
const MOST_RULES = 8;
const MOST_CASES = 3;

/** Tries a layout; 0 when it holds, 1 when it breaks a rule. */
export async function tryFile(
  word: string,
  options: TryOptions,
  streams: Streams,
): Promise<number> {
  const source = openLayout(word);
  const output = new Output(streams, options.format === "json");
  const allowed = new Set<string>(options.allow);
  const counting = source.findings.filter(({ severity }) => severity !== "note");
  if (source.layout === undefined) {
    const text =
      options.format === "json"
        ? `${JSON.stringify({ holds: false, findings: source.findings }, null, 2)}\n`
        : `${counting.map((each) => findingText(word, each, allowed, streams)).join("\n")}\nit cannot run: no layout could be made of it\n`;
    deliver([{ file: "trial.txt", text }], options.out, streams);
    return 1;
  }
  let done = 0;
  const report = await tryLayout(source.layout, {
    fixtures: (layout) => Object.values(layoutFixtures(layout)),
    tour,
    ...(options.allow === undefined ? {} : { allow: options.allow }),
    onCase: ({ id }, { title }) => output.progress(`${title}: ${++done} cases, ${id}`),
  });
  const findings = counting.map((each) => findingText(word, each, allowed, streams));
  deliver([{ file: "trial.txt", text: formOf(report, findings, options) }], options.out, streams);
  return report.holds ? 0 : 1;
}

/** The demonstration on the transport with the layout; nothing where it has no administration virtqueues. */
async function tour(layout: Layout): Promise<readonly TrialStep[]> {
  if (layout.kind === "struct") return [];
  const isExposed = layout.kind === "registers" ? mmioExposes(layout) : ccwExposes(layout);
  if (!isExposed) return [];
  const name = layout.kind === "registers" ? "mmio" : "ccw";
  const application = createApplication(
    layout.kind === "registers" ? { mmio: layout } : { ccw: layout },
  );
  const plugin = resolveTransport(application, name);
  const story = await tellStory(application, plugin, undefined);
  await tellOfMembers(application, plugin, story);
  return story.all;
}

function formOf(report: TrialReport, findings: readonly string[], options: TryOptions): string {
  switch (options.format ?? "text") {
    case "json":
      return `${JSON.stringify(jsonOf(report), null, 2)}\n`;
    case "markdown":
      return markdownOf(report);
    case "text":
      return textOf(report, findings);
  }
}

function jsonOf({ runs, ...report }: TrialReport): object {
  return {
    ...report,
    runs: runs.map(({ title, report: { results } }) => ({
      title,
      results: results.map(({ error: _, ...result }) => result),
    })),
  };
}

function summaries({ runs, tour: steps }: TrialReport): string[] {
  const compliance = runs.map(
    ({ title, report: { results, passed, failures, skipped } }) =>
      `${title}: ${results.length} cases, ${passed} passed, ${failures.length} failed, ${skipped.length} do not apply`,
  );
  const wrong = steps.filter(({ ok }) => !ok).length;
  const told =
    steps.length === 0
      ? "the tour: not taken, there is no place for administration virtqueues"
      : `the tour: ${steps.length} steps, ${wrong} wrong`;
  return runs.length === 0 ? [] : [...compliance, told];
}

function verdict({ layout, broken }: TrialReport): string {
  return broken.length === 0
    ? `${layout} holds`
    : `${layout} breaks ${broken.length === 1 ? "1 rule" : `${broken.length} rules`}`;
}

function textOf(report: TrialReport, findings: readonly string[]): string {
  // What the check found is said above, with its remedy.
  const ran = report.broken.filter(({ rule }) => !Object.hasOwn(CHECK_RULES, rule));
  const broken = ran.slice(0, MOST_RULES).map(({ rule, text, shownBy, reason }) => {
    const more = shownBy.length > MOST_CASES ? `; and ${shownBy.length - MOST_CASES} more` : "";
    return `✗ ${rule.padEnd(ID_COLUMNS)} ${text}\n    shown by ${shownBy.slice(0, MOST_CASES).join("; ")}${more}\n    ${reason}`;
  });
  const others = ran.length - broken.length;
  const rest = others > 0 ? [`✗ and ${others} more; --format json or markdown lists them`] : [];
  return `${[...findings, ...broken, ...rest, ...summaries(report), verdict(report)].join("\n")}\n`;
}

function markdownOf(report: TrialReport): string {
  const cell = (text: string) => text.replaceAll(/\s+/g, " ").replaceAll("|", "\\|");
  const broken = report.broken.map(
    ({ rule, text, shownBy, reason }) =>
      `| \`${rule}\` | ${cell(text)} | ${cell(shownBy.join("; "))} | ${cell(reason)} |`,
  );
  const table =
    broken.length === 0
      ? []
      : [
          "",
          "| rule | asks for | shown by | what happened |",
          "| --- | --- | --- | --- |",
          ...broken,
        ];
  const notes = report.findings.map(
    ({ rule, severity, path, message }) =>
      `- ${severity}, \`${rule}\`, \`${path}\`: ${cell(message)}`,
  );
  return `${[
    `## Trial of \`${report.layout}\``,
    "",
    `**${verdict(report)}.**`,
    "",
    ...summaries(report).map((line) => `- ${line}`),
    ...table,
    ...(notes.length === 0 ? [] : ["", "The check found:", "", ...notes]),
  ].join("\n")}\n`;
}
