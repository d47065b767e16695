/** Rules about labels: defined, listed where conformance is, and spelt alike. */
import type { Label } from "../latex/book.ts";
import { placeText, type Rule } from "./rule.ts";

const NORMATIVE = /^(?:device|driver)normative:/;
const PREFIX = /^[a-z]+:/;

/** The rules. */
export const LABEL_RULES: readonly Rule[] = [
  {
    name: "label-unlisted",
    doc: "a section of requirements that no conformance clause lists",
    check({ book }, report) {
      const clauses = book.references.filter(({ section }) => section.kind === "conformance");
      if (clauses.length === 0) return;
      const listed = new Set(clauses.map(({ name }) => name));
      const folded = new Map([...listed].map((name) => [fold(name), name]));
      for (const label of book.labels) {
        if (!NORMATIVE.test(label.name) || listed.has(label.name)) continue;
        if (label.section.labels.some(({ name }) => listed.has(name))) continue;
        const near = folded.get(fold(label.name));
        const but = near === undefined ? "" : `; one that differs in case only is: ${near}`;
        report(label, `no conformance clause lists ${label.name}${but}`);
      }
    },
  },
  {
    name: "label-undefined",
    doc: "a reference to a label that is nowhere",
    whole: true,
    check({ book }, report) {
      const defined = new Set(book.labels.map(({ name }) => name));
      const folded = new Map(book.labels.map(({ name }) => [fold(name), name]));
      for (const reference of book.references) {
        if (defined.has(reference.name)) continue;
        const near = folded.get(fold(reference.name));
        const but = near === undefined ? "" : `; there is ${near}`;
        report(reference, `no label has the name ${reference.name}${but}`);
      }
    },
  },
  {
    name: "label-duplicate",
    doc: "a label that is defined twice",
    check({ book }, report) {
      const first = new Map<string, Label>();
      for (const label of book.labels) {
        const before = first.get(label.name);
        if (before === undefined) first.set(label.name, label);
        else report(label, `the label ${label.name} is defined at ${placeText(before)} too`);
      }
    },
  },
  {
    name: "label-case",
    doc: "one part of the text under labels that differ in case",
    check({ book }, report) {
      const spellings = new Map<string, Map<string, Label[]>>();
      for (const label of book.labels) {
        const path = label.name.replace(PREFIX, "");
        let at = -1;
        for (let parts = 0; parts < MOST_PARTS; parts++) {
          at = path.indexOf(" / ", at + 1);
          const upTo = at < 0 ? path : path.slice(0, at);
          const known = spellings.get(fold(upTo)) ?? new Map<string, Label[]>();
          known.set(upTo, [...(known.get(upTo)?.slice(0, ENOUGH) ?? []), label]);
          spellings.set(fold(upTo), known);
          if (at < 0) break;
        }
      }
      for (const known of spellings.values()) {
        if (known.size === 1) continue;
        const sorted = [...known].sort(([, a], [, b]) => b.length - a.length);
        const [usual, ...others] = sorted;
        for (const [path, [label]] of others) {
          const there = usual?.[1][0];
          if (usual === undefined || there === undefined || label === undefined) continue;
          // Parts of a path that differs already are told once, where it begins to differ.
          if (lastPart(path) === lastPart(usual[0])) continue;
          report(label, `the label says ${path}, another ${usual[0]} (${placeText(there)})`);
        }
      }
    },
  },
];

/** So many labels show which spelling is the usual one. */
const ENOUGH = 8;
const MOST_PARTS = 16;

function fold(name: string): string {
  return name.toLowerCase();
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf(" / ") + 1);
}
