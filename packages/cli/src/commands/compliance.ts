/** `virtio-admin compliance`: the compliance kit on the shipped transports, case by case. */
import { TRANSPORT_FIXTURES } from "@virtio-admin/fixtures";
import { COMPLIANCE_CASES, type ComplianceResult, runCompliance } from "@virtio-admin/testkit";
import type { Output } from "../output.ts";

/** The options of `compliance`. */
export interface ComplianceCommandOptions {
  /** Only this transport. */
  readonly transport?: string;
}

const MARKS = { passed: "✓", failed: "✗", skipped: "–" } as const;
const ID_COLUMNS = 38;

/** Runs every case on every transport; 0 when none fails, 1 otherwise. */
export async function compliance(
  options: ComplianceCommandOptions,
  output: Output,
): Promise<number> {
  const reports: { transport: string; results: readonly ComplianceResult[] }[] = [];
  for (const [name, fixture] of Object.entries(TRANSPORT_FIXTURES)) {
    if (options.transport !== undefined && options.transport !== name) continue;
    let done = 0;
    const { results } = await runCompliance(fixture, {
      onCase: ({ id }) => {
        done++;
        output.progress(`${name}: ${done} of ${COMPLIANCE_CASES.length}, ${id}`);
      },
    });
    reports.push({ transport: name, results });
  }
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

function cell(
  result: ComplianceResult | undefined,
  name: string | undefined,
  { colours }: Output,
): string {
  const outcome = result?.outcome ?? "failed";
  const colour = { passed: colours.green, failed: colours.red, skipped: colours.dim }[outcome];
  return colour(MARKS[outcome].padEnd((name?.length ?? 0) + 1));
}
