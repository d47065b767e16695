/** Every finding in virtio 1.4 was looked at: whether it is one is kept beside this file, by its fingerprint. */
import { readFileSync } from "node:fs";
import { fingerprint, LINT_RULES, lintSpec } from "@virtio-admin/spec";
import { expect, it } from "vitest";
import { describeSpecification, specification } from "../specification.ts";

interface Judgement {
  readonly rule: string;
  readonly fingerprint: string;
  readonly verdict: "true" | "false";
}

const JUDGEMENTS: readonly Judgement[] = JSON.parse(
  readFileSync(new URL("judgements.json", import.meta.url), "utf8"),
);
/** What nobody wants to fall below. */
const LEAST_PRECISION = 0.95;

describeSpecification("the findings in virtio 1.4", () => {
  it("are judged, each of them, and hardly any is false", () => {
    const tree = specification();
    const verdicts = new Map(JUDGEMENTS.map((entry) => [entry.fingerprint, entry]));
    const { findings } = lintSpec(tree);
    const judged = findings.map((finding) => ({
      finding,
      judgement: verdicts.get(fingerprint(tree, finding)),
    }));
    expect(judged.filter(({ judgement }) => judgement === undefined)).toEqual([]);
    for (const { finding, judgement } of judged) expect(judgement?.rule).toBe(finding.rule);
    const isTrue = ({ judgement }: (typeof judged)[number]) => judgement?.verdict === "true";
    const right = judged.filter(isTrue).length;
    const rows = LINT_RULES.flatMap(({ name }) => {
      const of = judged.filter(({ finding }) => finding.rule === name);
      return of.length === 0 ? [] : [`${name} ${of.filter(isTrue).length}/${of.length}`];
    });
    const precision = right / judged.length;
    console.log(
      `precision ${right}/${judged.length} = ${precision.toFixed(3)}: ${rows.join(", ")}`,
    );
    expect(precision).toBeGreaterThanOrEqual(LEAST_PRECISION);
  });
});
