/**
 * Holds the clause table against the specification. Its sources are no part of this project:
 * VIRTIO_SPEC names a folder that has them. Without it the table is held against the counts below,
 * which the same tests compare with the sources where there are any.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CLAUSE_SECTIONS, CLAUSES } from "../../src/clause/index.ts";

/** How often the word MUST stands in each normative section that the table covers. */
const COUNTED_MUSTS: Readonly<Record<string, number>> = {
  "admin-cmd-device": 19,
  "admin-cmd-driver": 7,
  "admin-vq-device": 7,
  "admin-vq-driver": 5,
  "legacy-access-device": 14,
  "legacy-access-driver": 4,
  "capability-device": 5,
  "capability-driver": 3,
  "resource-object-device": 4,
  "resource-object-driver": 4,
  "device-parts-device": 25,
  "device-parts-driver": 2,
};

/** Normative sections that no clause is about, and why. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  "Device Suspend": "VIRTIO_F_SUSPEND is never offered or accepted",
  "Shared memory capability": "no device type here has shared memory",
  "Vendor data capability": "no device here presents vendor data",
};

const ADMIN_FILES = [
  "admin.tex",
  "admin-cmds-legacy-interface.tex",
  "admin-cmds-capabilities.tex",
  "admin-cmds-resource-objects.tex",
  "admin-cmds-device-parts.tex",
];
const OTHER_FILES = [
  "content.tex",
  "split-ring.tex",
  "packed-ring.tex",
  "transport-pci.tex",
  "transport-mmio.tex",
  "transport-ccw.tex",
];

/** So many words in a row, shared with the specification, count as quoting it. */
const QUOTED_WORDS = 8;

interface NormativeSection {
  readonly label: string;
  readonly title: string;
  readonly musts: number;
}

const folder = process.env["VIRTIO_SPEC"];
const hasSources = folder !== undefined && folder !== "";

function sourceOf(file: string): string {
  return readFileSync(join(folder ?? "", file), "utf8").replace(/\s+/g, " ");
}

function normativeSectionsOf(source: string): NormativeSection[] {
  const headings =
    /\\(?:(device|driver)normative\{[^}]*\} ?\{([^}]*)\} ?\{([^}]*)\}|(?:chapter|(?:sub)*section|(?:sub)?paragraph)\*?\{|input\{)/g;
  const found = [...source.matchAll(headings)];
  return found.flatMap((heading, i) => {
    const [whole, role, title, path] = heading;
    if (role === undefined || title === undefined || path === undefined) return [];
    const body = source.slice(heading.index + whole.length, found[i + 1]?.index);
    return [
      { label: `${role}normative:${path}`, title, musts: body.match(/\bMUST\b/g)?.length ?? 0 },
    ];
  });
}

function mandatory(slug: string): number {
  const clauses = CLAUSE_SECTIONS.get(slug)?.clauses ?? [];
  return clauses.filter(({ level }) => level === "must" || level === "must-not").length;
}

function wordsOf(text: string): string[] {
  return text
    .toLowerCase()
    .replace(/\\(?:field|em|hyperref|ref|textit) ?/g, " ")
    .split(/[^a-z0-9_-]+/)
    .filter((word) => word !== "");
}

describe("the clauses of the administration sections", () => {
  it.each(Object.entries(COUNTED_MUSTS))(
    "%s has a clause for each of the %i times its section says MUST",
    (slug, musts) => {
      expect(mandatory(slug)).toBeGreaterThanOrEqual(musts);
    },
  );

  it("are all counted", () => {
    const slugs = [...CLAUSE_SECTIONS.values()]
      .filter(({ label, clauses }) => label.includes("normative:") && clauses[0]?.scope === "admin")
      .map(({ slug }) => slug);
    expect(slugs.toSorted()).toEqual(Object.keys(COUNTED_MUSTS).toSorted());
  });
});

describe("the specification's sources (these run when VIRTIO_SPEC names their folder)", () => {
  const fromSpecification = [...CLAUSE_SECTIONS.values()].filter(
    ({ label }) => !label.startsWith("extension:"),
  );

  it.runIf(hasSources)(
    "have every label of the table, in the file and with the title given",
    () => {
      for (const { slug, label, title, clauses } of fromSpecification) {
        const source = sourceOf(clauses[0]?.file ?? "");
        if (label.startsWith("sec:")) {
          expect(
            source.includes(`{${title}}\\label{${label}}`) ||
              source.includes(`{${title}} \\label{${label}}`),
            slug,
          ).toBe(true);
        } else {
          const section = normativeSectionsOf(source).find((each) => each.label === label);
          expect(section?.title, slug).toBe(title);
        }
      }
    },
  );

  it.runIf(hasSources)("have no normative section that the table forgets", () => {
    const known = new Set(fromSpecification.map(({ label }) => label));
    const forgotten = [...ADMIN_FILES, ...OTHER_FILES]
      .flatMap((file) => normativeSectionsOf(sourceOf(file)))
      .filter(({ label, title }) => !known.has(label) && !(title in LEFT_OUT))
      .map(({ label }) => label);
    expect(forgotten).toEqual([]);
  });

  it.runIf(hasSources)("say MUST as often as is counted here", () => {
    const sections = ADMIN_FILES.flatMap((file) => normativeSectionsOf(sourceOf(file)));
    const counted = Object.keys(COUNTED_MUSTS).map((slug) => {
      const label = CLAUSE_SECTIONS.get(slug)?.label;
      return [slug, sections.find((each) => each.label === label)?.musts];
    });
    expect(Object.fromEntries(counted)).toEqual(COUNTED_MUSTS);
    expect(sections).toHaveLength(counted.length);
  });

  it.runIf(hasSources)(
    "say MUST no more often than the table has clauses, on transports too",
    () => {
      const slugOf = new Map(fromSpecification.map(({ slug, label }) => [label, slug]));
      const short = OTHER_FILES.flatMap((file) => normativeSectionsOf(sourceOf(file)))
        .map(({ label, musts }) => ({ slug: slugOf.get(label), musts }))
        .filter(({ slug, musts }) => slug !== undefined && mandatory(slug) < musts);
      expect(short).toEqual([]);
    },
  );

  it.runIf(hasSources)("are nowhere quoted", () => {
    const sequences = new Set<string>();
    for (const file of [...ADMIN_FILES, ...OTHER_FILES]) {
      const words = wordsOf(sourceOf(file));
      for (let i = 0; i + QUOTED_WORDS <= words.length; i++) {
        sequences.add(words.slice(i, i + QUOTED_WORDS).join(" "));
      }
    }
    const quoting = CLAUSES.filter(({ text }) => {
      const words = wordsOf(text);
      return words.some((_, i) => sequences.has(words.slice(i, i + QUOTED_WORDS).join(" ")));
    }).map(({ id, text }) => `${id}: ${text}`);
    expect(quoting).toEqual([]);
  });
});
