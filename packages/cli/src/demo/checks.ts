/** What a demonstration found, step by step: each is right or wrong, and counted. */

/** One step of the demonstration. */
export interface Check {
  /** What was done. */
  readonly step: string;
  /** What came of it, for people. */
  readonly found: string;
  /** Whether that is what should come of it. */
  readonly ok: boolean;
}

/** The steps on one transport. */
export class Checks {
  readonly #checks: Check[] = [];

  /** The steps so far. */
  get all(): readonly Check[] {
    return this.#checks;
  }

  /** Records a step. */
  add(step: string, ok: boolean, found: string): void {
    this.#checks.push({ step, found, ok });
  }

  /** Runs a step; an error is what it found, and wrong. */
  async attempt(step: string, run: () => Promise<readonly [ok: boolean, found: string]>) {
    try {
      this.add(step, ...(await run()));
    } catch (error) {
      this.add(step, false, error instanceof Error ? error.message : String(error));
    }
  }
}
