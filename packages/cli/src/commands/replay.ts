/** `virtio-admin replay FILE`: recorded traffic on one of our devices. */
import { loadTrace } from "@virtio-admin/fixtures";
import { REPLAY_MODES, type ReplayMode, type ReplayReport, replay } from "@virtio-admin/testkit";
import type { Output } from "../output.ts";
import { reportReplay, targetOf } from "../replaying.ts";
import { type ServedOwner, servedOwnerOf, servedReplayTarget } from "../serve/recording.ts";

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
  const made = servedOwnerOf(trace);
  const target =
    made === undefined || options.transport !== undefined
      ? targetOf(options.transport ?? trace.transport)
      : servedReplayTarget(made);
  const modes = options.mode === undefined ? modesOf(made) : [options.mode];
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

/** Both, unless the trace says in which one its owner was. */
function modesOf(made: ServedOwner | undefined): readonly ReplayMode[] {
  if (made === undefined) return REPLAY_MODES;
  return [made.strict ? "strict" : "tolerant"];
}
