/** `virtio-admin replay FILE`: recorded traffic on one of our devices. */
import { loadTrace, type ReplayPlan, replayPlanOf } from "@virtio-admin/fixtures";
import {
  REPLAY_MODES,
  type ReplayMode,
  type ReplayReport,
  replay,
  type Trace,
} from "@virtio-admin/testkit";
import type { Output } from "../output.ts";
import { reportReplay, targetOf } from "../replaying.ts";
import { servedOwnerOf, servedReplayTarget } from "../serve/recording.ts";

/** The options of `replay`. */
export interface ReplayCommandOptions {
  /** The transport to replay on; the trace's own unless given. */
  readonly transport?: string;
  /** Only this mode. */
  readonly mode?: ReplayMode;
}

/** Replays a file; 0 when every answer is right, 1 otherwise. */
export function replayFile(file: string, options: ReplayCommandOptions, output: Output): number {
  const { trace, expectations } = loadTrace(file);
  const plan = planOf(trace, options.transport);
  const { target } = plan;
  const modes = options.mode === undefined ? plan.modes : [options.mode];
  output.line(`${file} on ${target.transport}`);
  const reports: ReplayReport[] = modes.map((mode) => {
    output.progress(`replay, ${mode}`);
    const report = replay(trace, target, { mode, expectations });
    reportReplay(report, output);
    return report;
  });
  output.document({ replays: reports });
  return reports.every(({ mismatches }) => mismatches.length === 0) ? 0 : 1;
}

/** On another transport than its own, no more is known of a trace than what it answered. */
function planOf(trace: Trace, transport: string | undefined): ReplayPlan {
  if (transport !== undefined && transport !== trace.transport) {
    return { target: targetOf(transport), modes: REPLAY_MODES };
  }
  const owner = servedOwnerOf(trace);
  if (owner === undefined) return replayPlanOf(trace);
  return { target: servedReplayTarget(owner), modes: [owner.strict ? "strict" : "tolerant"] };
}
