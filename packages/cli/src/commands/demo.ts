/** `virtio-admin demo`: the tour. */
import { resolveTransport } from "@virtio-admin/core/di";
import { loadTrace, REPLAY_TARGETS, recordedTraces, replayPlanOf } from "@virtio-admin/fixtures";
import { type ReplayReport, replay } from "@virtio-admin/testkit";
import { createApplication } from "../application.ts";
import type { Check } from "../demo/checks.ts";
import { tellOfMembers } from "../demo/members.ts";
import { tellStory } from "../demo/story.ts";
import type { Output } from "../output.ts";
import { reportReplay } from "../replaying.ts";
import { openTrace, type TraceForm } from "../tracing.ts";

/** The options of `demo`. */
export interface DemoOptions {
  /** Only this transport. */
  readonly transport?: string;
  /** Trace every event of the first owner device on each transport. */
  readonly trace?: TraceForm;
}

const STEP_COLUMNS = 40;

/** Runs the demonstration; 0 when every check is right, 1 otherwise. */
export async function demo(options: DemoOptions, output: Output): Promise<number> {
  const application = createApplication();
  const names = Object.keys(REPLAY_TARGETS).filter((name) => isChosen(name, options));
  const transports: { transport: string; title: string; checks: readonly Check[] }[] = [];
  for (const name of names) {
    output.progress(`${name}: administration commands`);
    const plugin = resolveTransport(application, name);
    const { title } = plugin.description;
    output.line(output.colours.bold(title));
    const trace = openTrace(options.trace, name, output);
    const story = await tellStory(application, plugin, trace?.sink);
    trace?.close();
    output.progress(`${name}: an owner and its members`);
    await tellOfMembers(application, plugin, story);
    const checks = story.all;
    for (const check of checks) output.line(checkLine(check, output));
    output.line();
    transports.push({ transport: name, title, checks });
  }

  output.line(output.colours.bold("What stock Linux sent, replayed on these devices"));
  const replays: ReplayReport[] = [];
  for (const { file, transport, title } of recordedTraces()) {
    if (!isChosen(transport, options)) continue;
    output.line(`  ${title}`);
    const { trace, expectations } = loadTrace(file);
    const { target, modes } = replayPlanOf(trace);
    for (const mode of modes) {
      output.progress(`${transport}: replay, ${mode}`);
      const report = replay(trace, target, { mode, expectations });
      replays.push(report);
      reportReplay(report, output);
    }
  }

  const checks = transports.flatMap((one) => one.checks);
  const wrong = checks.filter(({ ok }) => !ok).length;
  const mismatches = replays.reduce((sum, report) => sum + report.mismatches.length, 0);
  const compared = replays.reduce((sum, report) => sum + report.checked, 0);
  const passed = checks.length - wrong + compared - mismatches;
  const failed = wrong + mismatches;
  output.line();
  output.line(
    `${checks.length} steps and ${compared} recorded answers: ${passed} right, ${failed} wrong`,
  );
  output.document({ transports, replays, passed, failed });
  return failed === 0 ? 0 : 1;
}

function isChosen(transport: string, options: DemoOptions): boolean {
  return options.transport === undefined || options.transport === transport;
}

function checkLine({ step, found, ok }: Check, { colours }: Output): string {
  const mark = ok ? colours.green("✓") : colours.red("✗");
  return `  ${mark} ${step.padEnd(STEP_COLUMNS)} ${found}`;
}
