/** What is covered, and what a run makes of it. */
import {
  CELLS,
  type Cell,
  type Coverage,
  coverageMarkdown,
  coverageOf,
  coverageTable,
  type Row,
} from "@virtio-admin/peers";
import { describe, expect, it } from "vitest";
import {
  COVERED_FEATURES,
  EXPECTED_COVERAGE,
  isSame,
  linuxOnOurs,
  UNREACHABLE,
} from "../src/cells/covered.ts";
import { momentsOf } from "../src/cells/moments.ts";

const passed = (cells: readonly Cell[]): Row[] =>
  cells.map(({ name }) => ({ cell: name, outcome: "pass", notes: [], seconds: 1 }));
const textOf = ({ transport, direction, deviceType, feature }: Coverage) =>
  `${transport} ${direction} ${deviceType} ${feature}`;

describe("the cells", () => {
  it("cover all that is expected", () => {
    const covered = coverageOf(CELLS, passed(CELLS));
    expect(covered.filter(({ outcome }) => outcome === "missing").map(textOf)).toEqual([]);
  });

  it("cover nothing that is said to be out of reach, and nothing twice", () => {
    const out = CELLS.flatMap(({ covers }) =>
      covers.filter((each) => UNREACHABLE.some((other) => isSame(each, other))),
    );
    expect(out.map(textOf)).toEqual([]);
    for (const { covers } of CELLS) {
      expect(new Set(covers.map(textOf)).size).toBe(covers.length);
    }
  });

  it("leave no combination without a cell or a reason", () => {
    expect(EXPECTED_COVERAGE.length + UNREACHABLE.length).toBe(3 * 2 * 2 * COVERED_FEATURES.length);
    for (const { reason } of UNREACHABLE) expect(reason).not.toBe("");
  });
});

describe("what a run covered", () => {
  const [first, second, ...rest] = CELLS;
  const cells = [first, second, ...rest] as Cell[];
  const withRow = (name: string, row: Partial<Row>) =>
    passed(cells).map((each) => (each.cell === name ? { ...each, ...row } : each));
  const outcomes = (rows: readonly Row[], which: Coverage) =>
    coverageOf(cells, rows).find((each) => isSame(each, which));
  const [admin] = linuxOnOurs("pci", "entropy", ["admin commands"]) as [Coverage];
  const [reset] = linuxOnOurs("pci", "block", ["queue reset"]) as [Coverage];

  it("is what all of its cells say: one that failed counts for all", () => {
    expect(outcomes(passed(cells), admin)).toMatchObject({ outcome: "pass" });
    const failed = withRow("linux-7-admin-vq", { outcome: "fail", reason: "it broke" });
    expect(outcomes(failed, admin)).toMatchObject({ outcome: "fail", reason: "it broke" });
    const notRun = withRow("linux-7-admin-vq", { outcome: "not run", reason: "no root" });
    expect(outcomes(notRun, admin)).toMatchObject({ outcome: "pass" });
    const only = withRow("linux-queue-reset", { outcome: "not run", reason: "no root" });
    expect(outcomes(only, reset)).toMatchObject({ outcome: "not run", reason: "no root" });
    expect(outcomes([], reset)).toMatchObject({ outcome: "not run" });
  });

  it("misses what has no cell any more", () => {
    const others = cells.filter(({ name }) => name !== "linux-queue-reset");
    const missing = coverageOf(others, passed(others)).filter((each) => each.outcome === "missing");
    expect(missing.map(textOf)).toContain(textOf(reset));
    expect(coverageTable(missing)).toContain("✗ 1");
  });

  it("is a table that fits a terminal, and one in Markdown", () => {
    const covered = coverageOf(cells, passed(cells));
    const table = coverageTable(covered).split("\n");
    for (const feature of COVERED_FEATURES) {
      expect(table.filter((line) => line.startsWith(`${feature} `))).toHaveLength(1);
    }
    expect(Math.max(...table.map((line) => line.length))).toBeLessThanOrEqual(132);
    const markdown = coverageMarkdown(covered).split("\n");
    expect(markdown.filter((line) => line.startsWith("|"))).toHaveLength(
      2 + COVERED_FEATURES.length,
    );
  });
});

describe("random moments", () => {
  it("are those of their seed", () => {
    expect(momentsOf(7)).toEqual(momentsOf(7));
    expect(momentsOf(7)).not.toEqual(momentsOf(8));
    expect(momentsOf(7)).toHaveLength(20);
    for (const moment of momentsOf(7)) {
      expect(moment).toBeGreaterThanOrEqual(0);
      expect(moment).toBeLessThanOrEqual(9000);
    }
  });
});
