/** `virtio-admin compliance`: the compliance kit on the shipped transports, case by case. */
import { TRANSPORT_FIXTURES } from "@virtio-admin/fixtures";
import { TwoThreads } from "@virtio-admin/fixtures/threads";
import { COMPLIANCE_CASES, type ComplianceResult, runCompliance } from "@virtio-admin/testkit";
import type { Output } from "../output.ts";

/** The options of `compliance`. */
export interface ComplianceCommandOptions {
  /** Only this transport. */
  readonly transport?: string;
  /** On mmio with its halves in two threads, and nowhere else. */
  readonly threads?: boolean;
  /** The program of the thread of devices, where it is not the one that was built. */
  readonly program?: URL;
}

/** How one run ended. */
interface Run {
  readonly transport: string;
  readonly results: readonly ComplianceResult[];
}

const MARKS = { passed: "✓", failed: "✗", skipped: "–" } as const;
const ID_COLUMNS = 38;
const TWO_THREADS = "mmio, two threads";

/** Runs every case on every transport that is asked for; 0 when none fails, 1 otherwise. */
export async function compliance(
  options: ComplianceCommandOptions,
  output: Output,
): Promise<number> {
  const reports =
    options.threads === true
      ? [await runInTwoThreads(options.program, output)]
      : await runInOneThread(options.transport, output);
  const names = reports.map(({ transport }) => transport);
  output.line(`${names.join(" ")}  case`);
  COMPLIANCE_CASES.forEach(({ id, title, side }, i) => {
    const cells = reports.map(({ results }, column) => cell(results[i], names[column], output));
    output.line(`${cells.join("")} ${id.padEnd(ID_COLUMNS)} ${side}: ${title}`);
  });
  const results = reports.flatMap((report) =>
    report.results.map((result) => ({ transport: report.transport, ...result })),
  );
  for (const { transport, id, outcome, reason } of results) {
    if (outcome !== "passed") output.line(`${MARKS[outcome]} ${transport}, ${id}: ${reason ?? ""}`);
  }
  const count = (wanted: ComplianceResult["outcome"]) =>
    results.filter(({ outcome }) => outcome === wanted).length;
  output.line();
  output.line(
    `${COMPLIANCE_CASES.length} cases on ${names.join(", ")}: ${count("passed")} passed, ` +
      `${count("failed")} failed, ${count("skipped")} do not apply`,
  );
  output.document({
    results: results.map(({ error: _, ...result }) => result),
    passed: count("passed"),
    failed: count("failed"),
    skipped: count("skipped"),
  });
  return count("failed") === 0 ? 0 : 1;
}

async function runInOneThread(only: string | undefined, output: Output): Promise<Run[]> {
  const runs: Run[] = [];
  for (const [transport, fixture] of Object.entries(TRANSPORT_FIXTURES)) {
    if (only !== undefined && only !== transport) continue;
    let done = 0;
    const { results } = await runCompliance(fixture, {
      onCase: ({ id }) => tellProgress(transport, ++done, id, output),
    });
    runs.push({ transport, results });
  }
  return runs;
}

async function runInTwoThreads(program: URL | undefined, output: Output): Promise<Run> {
  const threads = new TwoThreads(program);
  const results: ComplianceResult[] = [];
  try {
    for (const one of COMPLIANCE_CASES) {
      const result = await threads.run(one);
      results.push(result);
      tellProgress(TWO_THREADS, results.length, one.id, output);
    }
  } finally {
    await threads.close();
  }
  return { transport: TWO_THREADS, results };
}

function tellProgress(transport: string, done: number, id: string, output: Output): void {
  output.progress(`${transport}: ${done} of ${COMPLIANCE_CASES.length}, ${id}`);
}

function cell(
  result: ComplianceResult | undefined,
  name: string | undefined,
  { colours }: Output,
): string {
  const outcome = result?.outcome ?? "failed";
  const colour = { passed: colours.green, failed: colours.red, skipped: colours.dim }[outcome];
  return colour(MARKS[outcome].padEnd((name?.length ?? 0) + 1));
}
