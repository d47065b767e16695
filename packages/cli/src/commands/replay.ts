/** `virtio-admin replay FILE`: recorded traffic on one of our devices. */
import {
  describedReplayTarget,
  deviceDescriptionOf,
  loadTrace,
  modesOf,
} from "@virtio-admin/fixtures";
import {
  REPLAY_MODES,
  type ReplayMode,
  type ReplayReport,
  type ReplayTarget,
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
  const { target, modes: itsModes } = (options.transport === undefined && madeAsSaid(trace)) || {
    target: targetOf(options.transport ?? trace.transport),
    modes: REPLAY_MODES,
  };
  const modes = options.mode === undefined ? itsModes : [options.mode];
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

/** What makes the device that the header of a trace speaks of, and the modes it was recorded in. */
function madeAsSaid(
  trace: Trace,
): { readonly target: ReplayTarget; readonly modes: readonly ReplayMode[] } | undefined {
  const owner = servedOwnerOf(trace);
  if (owner !== undefined) {
    return { target: servedReplayTarget(owner), modes: [owner.strict ? "strict" : "tolerant"] };
  }
  const device = deviceDescriptionOf(trace);
  if (device === undefined) return undefined;
  return { target: describedReplayTarget(device, trace), modes: modesOf(device) };
}
