/** The table of what a run covered: features by place, a place being transport, direction and type. */
import Table from "cli-table3";
import type { Coverage } from "./cells/coverage.ts";
import { COVERED_FEATURES, EXPECTED_COVERAGE, isSame, UNREACHABLE } from "./cells/covered.ts";
import type { Cell } from "./cells/types.ts";
import type { Row } from "./report.ts";

/** What came of one combination, of all cells that exercise it. */
export interface Covered extends Coverage {
  /** `missing` is a failure: it is expected, and no cell exercises it. */
  readonly outcome: Row["outcome"] | "missing" | "unreachable";
  /** Why, for what did not pass. */
  readonly reason?: string;
  /** The cells. */
  readonly cells: readonly string[];
}

const NO_CELL = "it is expected, and no cell exercises it";
const NO_RUN = "none of its cells was among those to run";
const MARKS: Readonly<Record<Covered["outcome"], string>> = {
  pass: "✓",
  fail: "✗",
  missing: "✗",
  "not run": "?",
  unreachable: "–",
};
const HEADS: Readonly<Record<Coverage["direction"], string>> = {
  "linux-on-ours": "Linux, on ours",
  "ours-on-qemu": "ours, on QEMU",
};
/** No lines but those below and beside the heads. */
const PLAIN = {
  ...{ top: "", "top-mid": "", "top-left": "", "top-right": "" },
  ...{ bottom: "", "bottom-mid": "", "bottom-left": "", "bottom-right": "" },
  ...{ left: "", "left-mid": "", mid: "", "mid-mid": "", right: "", "right-mid": "", middle: " " },
};

/** Judges every combination that is expected, unreachable, or exercised by a cell. */
export function coverageOf(cells: readonly Cell[], rows: readonly Row[]): Covered[] {
  const known: Coverage[] = [];
  for (const each of [
    ...EXPECTED_COVERAGE,
    ...UNREACHABLE,
    ...cells.flatMap((one) => one.covers),
  ]) {
    if (!known.some((other) => isSame(each, other))) known.push(placed(each));
  }
  return known.map((combination) => judge(combination, cells, rows));
}

function judge(combination: Coverage, cells: readonly Cell[], rows: readonly Row[]): Covered {
  const covering = cells.filter(({ covers }) => covers.some((each) => isSame(each, combination)));
  const names = covering.map(({ name }) => name);
  const found = { ...combination, cells: names };
  if (covering.length === 0) {
    const why = UNREACHABLE.find((each) => isSame(each, combination));
    return why === undefined
      ? { ...found, outcome: "missing", reason: NO_CELL }
      : { ...found, outcome: "unreachable", reason: why.reason };
  }
  const ran = rows.filter(({ cell }) => names.includes(cell));
  for (const outcome of ["fail", "pass", "not run"] as const) {
    const row = ran.find((each) => each.outcome === outcome);
    if (row === undefined) continue;
    const { reason } = row;
    return { ...found, outcome, ...(reason === undefined ? {} : { reason }) };
  }
  return { ...found, outcome: "not run", reason: NO_RUN };
}

/** The table, and a line for each reason that there is. */
export function coverageTable(covered: readonly Covered[]): string {
  const { places, features } = axesOf(covered);
  const notes = new Notes();
  const table = new Table({
    head: ["", ...places.map(headOf)],
    chars: PLAIN,
    colAligns: ["left", ...places.map(() => "center" as const)],
    style: { head: [], border: [], compact: true, "padding-left": 0, "padding-right": 1 },
  });
  for (const feature of features) {
    table.push([feature, ...places.map((place) => markAt(covered, place, feature, notes))]);
  }
  const lines = table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd());
  return [...lines, ...notes.lines()].join("\n");
}

/** The same in Markdown. */
export function coverageMarkdown(covered: readonly Covered[]): string {
  const { places, features } = axesOf(covered);
  const notes = new Notes();
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const heads = places.map((place) => headOf(place).replaceAll("\n", "<br>"));
  return [
    row(["", ...heads]),
    row(["---", ...places.map(() => ":-:")]),
    ...features.map((feature) =>
      row([feature, ...places.map((place) => markAt(covered, place, feature, notes))]),
    ),
    "",
    ...notes.lines().map((line) => `- ${line}`),
    "",
  ].join("\n");
}

type Place = Omit<Coverage, "feature">;

/** Numbers the reasons in the order in which they come up. */
class Notes {
  readonly #reasons: string[] = [];

  number(reason: string): number {
    const at = this.#reasons.indexOf(reason);
    return at >= 0 ? at + 1 : this.#reasons.push(reason);
  }

  lines(): string[] {
    return this.#reasons.map((reason, i) => `${i + 1}  ${reason}`);
  }
}

function markAt(covered: readonly Covered[], place: Place, feature: string, notes: Notes): string {
  const found = covered.find((each) => isSame(each, { ...place, feature }));
  if (found === undefined) return "";
  const { outcome, reason } = found;
  return reason === undefined ? MARKS[outcome] : `${MARKS[outcome]} ${notes.number(reason)}`;
}

function headOf({ transport, direction, deviceType }: Place): string {
  return [transport.toUpperCase(), ...HEADS[direction].split(", "), deviceType].join("\n");
}

function axesOf(covered: readonly Covered[]): { places: Place[]; features: string[] } {
  const places = new Map<string, Place>();
  for (const { transport, direction, deviceType } of covered) {
    const place = { transport, direction, deviceType };
    places.set(JSON.stringify(place), place);
  }
  const found = new Set(covered.map(({ feature }) => feature));
  // What nobody has declared, of cells with features of their own, comes last.
  const features = new Set<string>([
    ...COVERED_FEATURES.filter((each) => found.has(each)),
    ...found,
  ]);
  return { places: [...places.values()], features: [...features] };
}

/** A combination and no more. */
function placed({ transport, direction, deviceType, feature }: Coverage): Coverage {
  return { transport, direction, deviceType, feature };
}
