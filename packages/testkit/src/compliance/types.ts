/** What a compliance case is, and what a run of them reports. */
import type { ComplianceContext } from "./context.ts";

/** Which half of the transport a case puts to the test. */
export type ComplianceSide = "device" | "driver";

/** One rule (or a few that stand and fall together), checked through any transport. */
export interface ComplianceCase {
  /** Its name, unique in the kit, in kebab case: `status-order`. */
  readonly id: string;
  /** What holds, in one sentence. */
  readonly title: string;
  /** The half that is put to the test. */
  readonly side: ComplianceSide;
  /** The ids of the clauses it checks. */
  readonly clauses: readonly string[];
  /**
   * Runs it. Resolves when the rule holds or was found not to apply
   * ({@link ComplianceContext.skip}).
   *
   * @throws ComplianceFailure when the rule does not hold.
   */
  run(context: ComplianceContext): Promise<void>;
}

/** How one case ended. */
export interface ComplianceResult {
  /** The case. */
  readonly id: string;
  /** What the case says. */
  readonly title: string;
  /** The half that was put to the test. */
  readonly side: ComplianceSide;
  /** The ids of the clauses. */
  readonly clauses: readonly string[];
  /** Whether the rule holds, does not hold, or does not apply to this transport. */
  readonly outcome: "passed" | "failed" | "skipped";
  /** How long it took, in milliseconds. */
  readonly milliseconds: number;
  /** Why it failed, or does not apply; absent when it passed. */
  readonly reason?: string;
  /** What was thrown; present when it failed. */
  readonly error?: unknown;
}

/** What a run of the kit comes to. */
export interface ComplianceReport {
  /** The transport's name. */
  readonly transport: string;
  /** All results, in the order of the cases. */
  readonly results: readonly ComplianceResult[];
  /** How many passed. */
  readonly passed: number;
  /** The results that failed. */
  readonly failures: readonly ComplianceResult[];
  /** The results that do not apply, each with its reason. */
  readonly skipped: readonly ComplianceResult[];
}
