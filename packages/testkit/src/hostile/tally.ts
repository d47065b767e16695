/** What a hostile run found: how often each check was reached, and what must not have happened. */

/** The most violations that are kept; one is enough to fail. */
const KEPT_VIOLATIONS = 20;

/** Counts of a hostile run. A class is counted by the check that it reached, not by its sender. */
export class Tally {
  /** How often each class of defect reached its check. */
  readonly counts: Map<string, number> = new Map();
  /** What broke an invariant, each with the step and the seed; the first twenty. */
  readonly violations: string[] = [];
  /** How many steps were taken. */
  steps = 0;
  readonly #seed: number;

  /** Starts from nothing; the seed goes into violations. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** A check was reached. */
  count(name: string, times = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + times);
  }

  /** Something happened that must not. */
  violate(what: string): void {
    if (this.violations.length >= KEPT_VIOLATIONS) return;
    this.violations.push(`step ${this.steps} of seed ${this.#seed}: ${what}`);
  }
}

/** An error with what is needed to find it. */
export function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
