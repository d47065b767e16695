/** What came of cells, as rows, a table and JSON. */

/** What came of one cell. */
export interface Row {
  /** Its name. */
  readonly cell: string;
  /** Whether everything held. */
  readonly outcome: "pass" | "fail" | "not run";
  /** Why it did not pass. */
  readonly reason?: string;
  /** What is worth to be told, when it passed. */
  readonly notes: readonly string[];
  /** How long it took, in seconds. */
  readonly seconds: number;
}

/** How many there are of each outcome. */
export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly notRun: number;
}

/** Counts rows. */
export function totals(rows: readonly Row[]): Totals {
  const count = (wanted: Row["outcome"]) => rows.filter(({ outcome }) => outcome === wanted).length;
  return { passed: count("pass"), failed: count("fail"), notRun: count("not run") };
}

/** The table at the end, and the line that counts. */
export function table(rows: readonly Row[]): string {
  const width = Math.max(0, ...rows.map(({ cell }) => cell.length));
  const lines = rows.map(({ cell, outcome, reason, notes, seconds }) => {
    const told = outcome === "pass" ? notes.join("; ") : (reason ?? "");
    const time = `${seconds.toFixed(1).padStart(6)}s`;
    return `${cell.padEnd(width)}  ${outcome.padEnd(7)} ${time}  ${told}`.trimEnd();
  });
  const { passed, failed, notRun } = totals(rows);
  const missing = notRun > 0 ? `, ${notRun} not run` : "";
  return [...lines, "", `${passed} passed, ${failed} failed${missing}`].join("\n");
}
