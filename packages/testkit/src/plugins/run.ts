/** Runs the cases of a plug-in point, each within a bound of time, and reports. */
import { Skipped } from "../compliance/context.ts";
import { ComplianceFailure } from "../compliance/failure.ts";
import { bounded, CASE_LIMIT, reasonOf } from "../compliance/run.ts";
import type { ComplianceResult } from "../compliance/types.ts";

/** Where something of one's own can be put in place; transports have a kit of their own. */
export type PluginPoint =
  | "group type"
  | "command family"
  | "command interface"
  | "device type"
  | "trace sink";

/** One rule of a plug-in point. */
export interface PluginCase<Fixture> {
  /** Its name, unique in the kit, in kebab case: `group-members`. */
  readonly id: string;
  /** What holds, in one sentence. */
  readonly title: string;
  /** The ids of the clauses it checks. */
  readonly clauses: readonly string[];
  /**
   * Runs it. Resolves when the rule holds.
   *
   * @throws ComplianceFailure when the rule does not hold.
   */
  run(fixture: Fixture): Promise<void>;
}

/** How one case ended. */
export type PluginResult = Omit<ComplianceResult, "side">;

/** What a check of a plug-in comes to. */
export interface PluginReport {
  /** What kind of plug-in it is. */
  readonly point: PluginPoint;
  /** Its name. */
  readonly plugin: string;
  /** All results, in the order of the cases. */
  readonly results: readonly PluginResult[];
  /** How many passed. */
  readonly passed: number;
  /** The results that failed. */
  readonly failures: readonly PluginResult[];
  /** The results that do not apply, each with its reason. */
  readonly skipped: readonly PluginResult[];
}

/** How a plug-in is checked. */
export interface PluginCheckOptions {
  /** The ids of the cases to run; all unless given. */
  readonly only?: readonly string[];
  /** How long one case may take before it counts as hanging, in milliseconds; 5000 unless given. */
  readonly caseLimit?: number;
}

/** Ends a case whose rule does not apply, and says why. */
export function skip(reason: string): never {
  throw new Skipped(reason);
}

/**
 * Runs the cases on a fixture. Never rejects for what the plug-in does.
 *
 * @throws ComplianceFailure when `only` names a case that there is not.
 */
export async function runPluginCases<Fixture extends { readonly name: string }>(
  point: PluginPoint,
  cases: readonly PluginCase<Fixture>[],
  fixture: Fixture,
  { only, caseLimit = CASE_LIMIT }: PluginCheckOptions = {},
): Promise<PluginReport> {
  for (const id of only ?? []) {
    if (!cases.some((one) => one.id === id)) throw new ComplianceFailure("only", "a case", id);
  }
  const results: PluginResult[] = [];
  for (const one of cases) {
    if (only !== undefined && !only.includes(one.id)) continue;
    const { id, title, clauses } = one;
    const start = performance.now();
    let ending: Pick<PluginResult, "outcome" | "reason" | "error"> = { outcome: "passed" };
    try {
      await bounded(id, caseLimit, one.run(fixture));
    } catch (error) {
      ending =
        error instanceof Skipped
          ? { outcome: "skipped", reason: error.message }
          : { outcome: "failed", reason: reasonOf(error), error };
    }
    results.push({ id, title, clauses, milliseconds: performance.now() - start, ...ending });
  }
  return {
    point,
    plugin: fixture.name,
    results,
    passed: results.filter(({ outcome }) => outcome === "passed").length,
    failures: results.filter(({ outcome }) => outcome === "failed"),
    skipped: results.filter(({ outcome }) => outcome === "skipped"),
  };
}

/** A rule that checks at once. */
export function pluginCase<Fixture>(
  id: string,
  title: string,
  clauses: readonly string[],
  run: (fixture: Fixture) => void | Promise<void>,
): PluginCase<Fixture> {
  return { id, title, clauses, run: async (fixture) => run(fixture) };
}
