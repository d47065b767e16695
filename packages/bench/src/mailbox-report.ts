/** `npm run bench -- --mailbox`: what queues are for, measured against a register mailbox. */
import { availableParallelism, cpus } from "node:os";
import { platformMembers } from "./measured-groups.ts";
import { quantile } from "./pairs.ts";
import { type Provisioning, throughMailbox, throughQueues, wait } from "./provisioning.ts";

/** One row of the report. */
export interface ProvisioningRow {
  /** `mailbox`, `1 queue` or `4 queues`. */
  readonly path: string;
  /** How long the device takes for a command, in microseconds. */
  readonly latency_us: number;
  /** How long one such wait really took, in microseconds: the median. */
  readonly waited_us: number;
  /** All members, in milliseconds: the median over the runs. */
  readonly ms: number;
  /** The mailbox's time ÷ this one's, run by run: the median. */
  readonly mailbox_over: number;
  /** Half the distance between the first and the third quartile of `ms` ÷ its median. */
  readonly spread: number;
}

/** How much is measured. */
export interface ProvisioningPlan {
  readonly members: number;
  readonly runs: number;
  readonly latenciesUs: readonly number[];
  readonly queueCounts: readonly number[];
}

/** What `npm run bench -- --mailbox` measures. */
export const PLAN: ProvisioningPlan = {
  members: 1000,
  runs: 7,
  latenciesUs: [0, 50, 1000],
  queueCounts: [1, 4],
};

const WAITS = 101;
const WARM_UP_MS = 300;
const HEADINGS = ["device latency", "through", "ms", "µs/member", "mailbox ÷ this", "spread"];

/** Measures every path with every latency; the paths take turns, run by run. */
export async function measureProvisioning(
  { members, runs, latenciesUs, queueCounts }: ProvisioningPlan,
  progress: (text: string) => void = () => undefined,
): Promise<readonly ProvisioningRow[]> {
  const rows: ProvisioningRow[] = [];
  for (const latencyUs of latenciesUs) {
    const latencyMs = latencyUs / 1000;
    const paths: Provisioning[] = [throughMailbox(platformMembers(members), latencyMs)];
    for (const count of queueCounts) {
      paths.push(await throughQueues(count, platformMembers(members), latencyMs));
    }
    const times = paths.map((): number[] => []);
    for (const path of paths) {
      progress(`${path.path}, ${latencyUs} µs, warming up`);
      for (let ms = 0; ms < WARM_UP_MS; ) ms += await path.run();
    }
    for (let run = 1; run <= runs; run++) {
      for (const [i, path] of paths.entries()) {
        progress(`${path.path}, ${latencyUs} µs, run ${run} of ${runs}`);
        times[i]?.push(await path.run());
      }
    }
    progress("");
    // Afterwards, when its code is as warm as in the runs.
    const waited = latencyUs === 0 ? 0 : await medianWait(latencyMs);
    const mailbox = times[0] ?? [];
    for (const [i, { path }] of paths.entries()) {
      const own = times[i] ?? [];
      const ratios = own.map((ms, run) => (mailbox[run] ?? Number.NaN) / ms);
      const ms = quantile(own, 0.5);
      rows.push({
        path,
        latency_us: latencyUs,
        waited_us: waited,
        ms,
        mailbox_over: quantile(ratios, 0.5),
        spread: (quantile(own, 0.75) - quantile(own, 0.25)) / 2 / ms,
      });
    }
  }
  return rows;
}

async function medianWait(ms: number): Promise<number> {
  const waits: number[] = [];
  for (let i = 0; i < WAITS; i++) {
    const from = performance.now();
    await wait(ms);
    waits.push(1000 * (performance.now() - from));
  }
  return quantile(waits, 0.5);
}

/** The rows as a table in Markdown, aligned so that it can be read as it is. */
export function provisioningTable(
  rows: readonly ProvisioningRow[],
  { members }: ProvisioningPlan,
): string {
  const cells = rows.map((row) => [
    row.latency_us === 0 ? "none" : `${row.latency_us} µs (${row.waited_us.toFixed(0)} µs)`,
    row.path,
    row.ms.toFixed(1),
    ((1000 * row.ms) / members).toFixed(1),
    row.mailbox_over.toFixed(2),
    `±${(100 * row.spread).toFixed(0)}%`,
  ]);
  const widths = HEADINGS.map((heading, i) =>
    Math.max(heading.length, ...cells.map((line) => line[i]?.length ?? 0)),
  );
  const lineOf = (line: readonly string[]) =>
    `| ${line.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, i) => (i < 2 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [HEADINGS, rule, ...cells].map(lineOf).join("\n");
}

/** The title of the section. */
export const MAILBOX_TITLE = "A mailbox and administration virtqueues";

/**
 * The section of `docs/benchmarks.md`.
 *
 * @param load the load average of the machine before anything was measured
 */
export function provisioningReport(
  rows: readonly ProvisioningRow[],
  plan: ProvisioningPlan,
  load: number,
): string {
  const { members, runs } = plan;
  const processor = cpus()[0]?.model.trim() ?? "unknown processor";
  return `## ${MAILBOX_TITLE}

The owner gives each of its ${members} members another number of MSI-X vectors: ${members} MSIX_COUNT_SET
commands. Through the register mailbox one command is under way at a time. Through administration
virtqueues all are submitted at once; the device works for its queues at the same time, and for one
queue in order.

${provisioningTable(rows, plan)}

How it was measured:

- Node ${process.version}, ${availableParallelism()} cores (${processor}), both halves in one thread.
- The median of ${runs} runs, after ${WARM_UP_MS} ms that do not count; the paths take turns, run by run. The
  spread is half the distance between the quartiles ÷ the median. \`mailbox ÷ this\` is the median of
  the ratios within a run.
- The load average was ${load.toFixed(1)} before the first run. Figures of a machine that has other things to do
  are no good: it is near 0 on a quiet one.
- The device latency is a handler that waits. It looks at the clock once in each turn of the event
  loop, so that other queues go on meanwhile; what such a wait really took on this machine, its
  median, stands in parentheses.
- The mailbox is \`AdminMailbox\`, written and read by hand; access to its windows costs what access
  to memory costs, and its interrupt is a call. A register behind a hypervisor costs an exit for
  each access, which is not in these figures.
- The queues are on PCI, 256 entries each, both halves of the transport included: rings,
  notifications, interrupts, and a promise for each command (\`ManagementClient\`).
- The members are idle devices in a platform group that keeps their vectors, so that the way of the
  commands is what counts.
`;
}
