/** Runs cases one after the other, each within a bound of time, and reports. */
import type { TransportFixture } from "../fixture.ts";
import { COMPLIANCE_CASES } from "./cases/index.ts";
import { ComplianceContext, Skipped } from "./context.ts";
import { ComplianceFailure } from "./failure.ts";
import type { ComplianceCase, ComplianceReport, ComplianceResult } from "./types.ts";

/** How long one case may take before it counts as hanging, in milliseconds, unless told. */
export const CASE_LIMIT = 5000;

/** What {@link runCompliance} runs and whom it tells. */
export interface ComplianceOptions {
  /** The ids of the cases to run; all unless given. */
  readonly only?: readonly string[];
  /** Cases to run instead of the kit's. */
  readonly cases?: readonly ComplianceCase[];
  /** How long one case may take before it counts as hanging, in milliseconds; 5000 unless given. */
  readonly caseLimit?: number;
  /** Called when a case has ended. */
  readonly onCase?: (result: ComplianceResult) => void;
}

/**
 * Runs the kit on a transport. Never rejects for what the transport does: failures are in the
 * report.
 *
 * @throws ComplianceFailure when `only` names a case that there is not.
 */
export async function runCompliance(
  fixture: TransportFixture,
  options: ComplianceOptions = {},
): Promise<ComplianceReport> {
  const all = options.cases ?? COMPLIANCE_CASES;
  const { only } = options;
  for (const id of only ?? []) {
    if (!all.some((one) => one.id === id)) {
      throw new ComplianceFailure("only", "the id of a case", id);
    }
  }
  const results: ComplianceResult[] = [];
  for (const one of all) {
    if (only !== undefined && !only.includes(one.id)) continue;
    const result = await runCase(fixture, one, options.caseLimit);
    results.push(result);
    options.onCase?.(result);
  }
  return {
    transport: fixture.plugin.description.name,
    results,
    passed: results.filter(({ outcome }) => outcome === "passed").length,
    failures: results.filter(({ outcome }) => outcome === "failed"),
    skipped: results.filter(({ outcome }) => outcome === "skipped"),
  };
}

/** Runs one case on a transport, within `limit` milliseconds; what it throws is in the result. */
export async function runCase(
  fixture: TransportFixture,
  one: ComplianceCase,
  limit: number = CASE_LIMIT,
): Promise<ComplianceResult> {
  const { id, title, side, clauses } = one;
  const start = performance.now();
  const context = new ComplianceContext(fixture);
  let ending: Pick<ComplianceResult, "outcome" | "reason" | "error"> = { outcome: "passed" };
  try {
    await bounded(id, limit, one.run(context));
  } catch (error) {
    ending =
      error instanceof Skipped
        ? { outcome: "skipped", reason: error.message }
        : { outcome: "failed", reason: reasonOf(error), error };
  }
  try {
    await bounded(id, limit, context.close());
  } catch (error) {
    if (ending.outcome !== "failed") ending = { outcome: "failed", reason: reasonOf(error), error };
  }
  return { id, title, side, clauses, milliseconds: performance.now() - start, ...ending };
}

/** Ends with `work`, or with a failure after `limit` milliseconds. */
export async function bounded(id: string, limit: number, work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new ComplianceFailure(`the case ${id}`, "an end", `none after ${limit} ms`));
    }, limit);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Why a case failed, for people. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
