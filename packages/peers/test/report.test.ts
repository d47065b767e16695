/** The table at the end of a run, and the cells there are. */
import { CELLS, type Row, table, totals } from "@virtio-admin/peers";
import { describe, expect, it } from "vitest";

const ROWS: readonly Row[] = [
  { cell: "long-name", outcome: "pass", notes: ["one", "two"], seconds: 1.26 },
  { cell: "b", outcome: "fail", reason: "it broke", notes: [], seconds: 100 },
];

describe("the report", () => {
  it("has a line for each cell, and counts them", () => {
    expect(table(ROWS).split("\n")).toEqual([
      "long-name  pass       1.3s  one; two",
      "b          fail     100.0s  it broke",
      "",
      "1 passed, 1 failed",
    ]);
  });

  it("counts what could not be run apart", () => {
    const rows: readonly Row[] = [
      ...ROWS,
      { cell: "c", outcome: "not run", reason: "no root", notes: [], seconds: 0 },
    ];
    expect(totals(rows)).toEqual({ passed: 1, failed: 1, notRun: 1 });
    expect(table(rows)).toMatch(/1 passed, 1 failed, 1 not run$/);
    expect(table([])).toMatch(/0 passed, 0 failed$/);
  });
});

describe("the cells", () => {
  it("have names of their own, and say what they check", () => {
    const names = CELLS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, checks, needs } of CELLS) {
      expect(name).toMatch(/^[a-z0-9.-]+$/);
      expect([checks, needs]).not.toContain("");
    }
  });
});
