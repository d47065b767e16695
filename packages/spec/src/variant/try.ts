/**
 * A trial of a layout: it is checked, then both halves of its transport run on it through the compliance
 * kit, then whatever tour the caller has. What fails is said by rule.
 */
import { type Clause, clause, type Layout } from "@virtio-admin/core";
import type { TransportFixture } from "@virtio-admin/testkit";
import { type ComplianceReport, type ComplianceResult, runCompliance } from "@virtio-admin/testkit";
import { checkLayoutDesign } from "../check/check.ts";
import { CHECK_RULES, type CheckFinding, type CheckRule } from "../check/rules.ts";

/** A transport that runs on the layout, as `layoutFixtures` of `@virtio-admin/fixtures` makes them. */
export interface TrialFixture {
  /** Which halves know the layout, for people. */
  readonly title: string;
  /** The transport. */
  readonly fixture: TransportFixture;
  /** The ids of the compliance cases that apply; absent: all. */
  readonly only?: readonly string[];
}

/** One step of a tour. */
export interface TrialStep {
  /** What was done. */
  readonly step: string;
  /** What came of it, for people. */
  readonly found: string;
  /** Whether that is what should come of it. */
  readonly ok: boolean;
}

/** What a layout is tried with. */
export interface TrialOptions {
  /**
   * Makes the transports to run the kit on. Called once the layout is sound.
   *
   * Throws VirtioError when the transport cannot run on the layout at all: that is then the rule it breaks.
   */
  readonly fixtures: (layout: Layout) => readonly TrialFixture[];
  /** What else is to work on the layout; nothing when absent. */
  readonly tour?: (layout: Layout) => Promise<readonly TrialStep[]>;
  /** Rules of the check that the author has reason to break; their findings are reported and do not count. */
  readonly allow?: readonly CheckRule[];
  /** Called when a compliance case has ended. */
  readonly onCase?: (result: ComplianceResult, run: TrialFixture) => void;
}

/** A rule that does not hold on the layout. */
export interface BrokenRule {
  /** The id of a clause, or the name of a rule of the check, or `transport`, or `tour`. */
  readonly rule: string;
  /** What it asks for. */
  readonly text: string;
  /** What showed it: a place of the layout, compliance cases, steps of the tour. */
  readonly shownBy: readonly string[];
  /** What happened, the first time. */
  readonly reason: string;
}

/** One run of the compliance kit. */
export interface TrialRun {
  /** Which halves know the layout. */
  readonly title: string;
  /** What came of it. */
  readonly report: ComplianceReport;
}

/** What a trial came to. */
export interface TrialReport {
  /** The name of the layout. */
  readonly layout: string;
  /** What the check found. */
  readonly findings: readonly CheckFinding[];
  /** The runs of the compliance kit; none when the layout cannot run. */
  readonly runs: readonly TrialRun[];
  /** The steps of the tour. */
  readonly tour: readonly TrialStep[];
  /**
   * The rules that do not hold, each once: those of the check first, then the transport's own and those of the
   * administration virtqueues' place, as a layout is more likely at their root than at that of the others.
   */
  readonly broken: readonly BrokenRule[];
  /** True when no rule is broken. */
  readonly holds: boolean;
}

/** Tries a layout. Never rejects for what the layout or the transports do: that is in the report. */
export async function tryLayout(layout: Layout, options: TrialOptions): Promise<TrialReport> {
  const allowed = new Set<string>(options.allow);
  const { findings } = checkLayoutDesign(layout);
  const broken = new Broken();
  for (const { rule, severity, path, message } of findings) {
    if (severity !== "note" && !allowed.has(rule))
      broken.add(rule, CHECK_RULES[rule], path, message);
  }
  const runs: TrialRun[] = [];
  for (const run of fixturesOf(layout, options, broken)) {
    const { fixture, title, only } = run;
    const report = await runCompliance(fixture, {
      ...(only === undefined ? {} : { only }),
      onCase: (result) => options.onCase?.(result, run),
    });
    runs.push({ title, report });
    for (const failure of report.failures) blame(broken, failure, title, report.transport);
  }
  const tour = runs.length === 0 ? [] : await tourOf(layout, options);
  for (const { step, found, ok } of tour) {
    if (!ok) broken.add("tour", "the tour of the transport works as it does on ours", step, found);
  }
  const list = broken.inOrder(runs[0]?.report.transport);
  return { layout: layout.name, findings, runs, tour, broken: list, holds: list.length === 0 };
}

function fixturesOf(
  layout: Layout,
  options: TrialOptions,
  broken: Broken,
): readonly TrialFixture[] {
  try {
    return options.fixtures(layout);
  } catch (error) {
    const text =
      "the transport runs on the layout: it has what the transport has, in the same form";
    broken.add("transport", text, layout.name, reasonOf(error));
    return [];
  }
}

async function tourOf(layout: Layout, { tour }: TrialOptions): Promise<readonly TrialStep[]> {
  try {
    return (await tour?.(layout)) ?? [];
  } catch (error) {
    return [{ step: "the tour", found: reasonOf(error), ok: false }];
  }
}

/** A failed case stands for the clauses that it checks, those of other transports left out. */
function blame(broken: Broken, failure: ComplianceResult, title: string, transport: string): void {
  const clauses = failure.clauses.map(clause).filter((each) => isAbout(each, transport));
  const shownBy = `${failure.id} (${title})`;
  const reason = failure.reason ?? "";
  if (clauses.length === 0) broken.add(failure.id, failure.title, shownBy, reason);
  for (const { id, text } of clauses) broken.add(id, text, shownBy, reason);
}

/** Clauses about where the administration virtqueues are. */
const PLACE_RULES = /^(admin-vq|admin-transport)-\d+$/;

const TRANSPORTS = ["pci", "mmio", "ccw"];

function isAbout({ id, text }: Clause, transport: string): boolean {
  const [slug = ""] = id.split("-");
  if (TRANSPORTS.includes(slug)) return slug === transport;
  return transport === "pci" || !text.startsWith("On PCI");
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Rules that do not hold, by name. */
class Broken {
  readonly list: BrokenRule[] = [];

  inOrder(transport: string | undefined): readonly BrokenRule[] {
    const rank = ({ rule }: BrokenRule) => {
      if (Object.hasOwn(CHECK_RULES, rule) || rule === "transport") return 0;
      if (PLACE_RULES.test(rule)) return 1;
      return transport !== undefined && rule.startsWith(`${transport}-`) ? 2 : 3;
    };
    return [...this.list].sort((a, b) => rank(a) - rank(b));
  }

  add(rule: string, text: string, shownBy: string, reason: string): void {
    const at = this.list.findIndex((each) => each.rule === rule);
    const known = this.list[at];
    if (known === undefined) this.list.push({ rule, text, shownBy: [shownBy], reason });
    else if (!known.shownBy.includes(shownBy)) {
      this.list[at] = { ...known, shownBy: [...known.shownBy, shownBy] };
    }
  }
}
