/** What came of cells, as rows, a table and JSON. */

/** What came of one cell. */
export interface Row {
  /** Its name. */
  readonly cell: string;
  /** Whether everything held. */
  readonly outcome: "pass" | "fail";
  /** Why it failed. */
  readonly reason?: string;
  /** What is worth to be told, when it passed. */
  readonly notes: readonly string[];
  /** How long it took, in seconds. */
  readonly seconds: number;
}

/** How many passed and failed. */
export interface Totals {
  readonly passed: number;
  readonly failed: number;
}

/** Counts rows. */
export function totals(rows: readonly Row[]): Totals {
  const passed = rows.filter(({ outcome }) => outcome === "pass").length;
  return { passed, failed: rows.length - passed };
}

/** The table at the end, and the line that counts. */
export function table(rows: readonly Row[]): string {
  const width = Math.max(4, ...rows.map(({ cell }) => cell.length));
  const lines = rows.map(({ cell, outcome, reason, notes, seconds }) => {
    const told = outcome === "pass" ? notes.join("; ") : (reason ?? "");
    return `${cell.padEnd(width)}  ${outcome}  ${seconds.toFixed(1).padStart(6)}s  ${told}`.trimEnd();
  });
  const { passed, failed } = totals(rows);
  return [...lines, "", `${passed} passed, ${failed} failed`].join("\n");
}
