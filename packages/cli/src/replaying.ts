/** What `demo` and `replay` say of a replay. */
import { VirtioError } from "@virtio-admin/core";
import { REPLAY_TARGETS } from "@virtio-admin/fixtures";
import { formatMismatch, type ReplayReport, type ReplayTarget } from "@virtio-admin/testkit";
import type { Output } from "./output.ts";

const MODE_COLUMNS = 9;
/** How many mismatches are shown; the others are counted. */
const SHOWN = 20;

/**
 * The replay target of a transport.
 *
 * @throws VirtioError `TRACE_FORMAT` when there is none of that name
 */
export function targetOf(transport: string): ReplayTarget {
  const target = Object.entries(REPLAY_TARGETS).find(([name]) => name === transport)?.[1];
  if (target !== undefined) return target;
  throw new VirtioError("TRACE_FORMAT", {
    message: "no transport of that name can replay",
    path: "transport",
    value: transport,
    hint: `choose one of ${Object.keys(REPLAY_TARGETS).join(", ")}`,
  });
}

/** Says how a replay went. */
export function reportReplay(report: ReplayReport, output: Output): void {
  const { colours } = output;
  const { mode, checked, expectationsUsed, mismatches } = report;
  const mark = mismatches.length === 0 ? colours.green("✓") : colours.red("✗");
  output.line(
    `  ${mark} ${mode.padEnd(MODE_COLUMNS)} ${checked} answers compared, ` +
      `${expectationsUsed} differ as expected, ${mismatches.length} mismatches`,
  );
  for (const mismatch of mismatches.slice(0, SHOWN))
    output.line(`      ${formatMismatch(mismatch)}`);
  if (mismatches.length > SHOWN) output.line(`      … and ${mismatches.length - SHOWN} more`);
}
