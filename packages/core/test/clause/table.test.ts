import { describe, expect, it } from "vitest";
import { CLAUSE_SECTIONS, CLAUSES, clause, clausesOf } from "../../src/clause/index.ts";
import { isVirtioError } from "../../src/errors.ts";

const SLUG = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const ROLES = ["device", "driver", "transport"];
const LEVELS = ["must", "must-not", "should", "should-not", "may"];
const NEGATION = /\b(not|no|nothing|never|leaves)\b/;
const LONGEST_TEXT = 240;
/** A section that is about commands in general and has clauses about SR-IOV besides. */
const SLUG_OF_SOME = "admin-cmd-device";

function duplicatesOf(values: readonly string[]): string[] {
  return values.filter((value, index) => values.indexOf(value) !== index);
}

describe("the sections of the clause table", () => {
  const sections = [...CLAUSE_SECTIONS];

  it("are found under their own slug, in lower-case kebab form without a number at the end", () => {
    for (const [slug, section] of sections) {
      expect(section.slug).toBe(slug);
      expect(slug).toMatch(SLUG);
      expect(slug).not.toMatch(/-\d+$/);
    }
  });

  it("are not declared twice", () => {
    const declared = sections.reduce((sum, [, { clauses }]) => sum + clauses.length, 0);
    expect(declared).toBe(CLAUSES.length);
  });

  it.each(sections)("%s counts its clauses from 1 without a hole", (slug, { clauses }) => {
    expect(clauses.length).toBeGreaterThan(0);
    expect(clauses.map(({ id }) => id)).toEqual(clauses.map((_, i) => `${slug}-${i + 1}`));
  });

  it.each(sections)("%s has one label, role and scope for all its clauses", (_slug, section) => {
    for (const each of section.clauses) {
      expect(each.label).toBe(section.label);
      expect(each.role).toBe(section.clauses[0]?.role);
      expect(each.scope).toBe(section.clauses[0]?.scope);
    }
    expect(section.title).toMatch(/^\S.*\S$/);
  });

  it("share a label only where text that describes binds both sides", () => {
    const normative = sections
      .map(([, { label }]) => label)
      .filter((label) => label.includes("normative:"));
    expect(duplicatesOf(normative)).toEqual([]);
  });
});

describe("the clauses", () => {
  it("have ids and texts of their own", () => {
    expect(duplicatesOf(CLAUSES.map(({ id }) => id))).toEqual([]);
    expect(duplicatesOf(CLAUSES.map(({ text, role }) => `${role}: ${text}`))).toEqual([]);
  });

  it("are one line and one sentence each, bound to a known role and level", () => {
    for (const { id, role, level, text } of CLAUSES) {
      expect(ROLES, id).toContain(role);
      expect(LEVELS, id).toContain(level);
      expect(text, id).toMatch(/^[A-Za-z](?:[^.]|\.(?=\S))+\.$/);
      expect(text, id).not.toMatch(/[\t\r\n]| {2}/);
      expect(text.length, id).toBeLessThanOrEqual(LONGEST_TEXT);
    }
  });

  it("say with their text what their level says", () => {
    for (const { id, level, text } of CLAUSES) {
      if (level === "may") expect(text, id).toMatch(/\bmay\b/);
      if (level === "must-not" || level === "should-not") expect(text, id).toMatch(NEGATION);
      expect(text, id).not.toMatch(/\b(MUST|SHOULD|MAY)\b/);
    }
  });

  it("have the label that fits their role and scope", () => {
    for (const { id, label, role, scope, file } of CLAUSES) {
      const kind = label.slice(0, label.indexOf(":"));
      if (scope === "extension") {
        expect(kind, id).toBe("extension");
        expect(file, id).toBeUndefined();
      } else {
        expect(["sec", `${role}normative`], id).toContain(kind);
        expect(file, id).toMatch(/^[a-z-]+\.tex$/);
      }
    }
  });
});

describe("clause()", () => {
  it("finds every clause by its id", () => {
    for (const each of CLAUSES) expect(clause(each.id)).toBe(each);
  });

  it.each([
    "",
    SLUG_OF_SOME,
    `${SLUG_OF_SOME}-0`,
    `${SLUG_OF_SOME}-01`,
    `${SLUG_OF_SOME}-1 `,
    "toString",
  ])("refuses the unknown id %j", (id) => {
    let thrown: unknown;
    try {
      clause(id);
    } catch (error) {
      thrown = error;
    }
    expect(isVirtioError(thrown, "CLAUSE_UNKNOWN")).toBe(true);
    expect(thrown).toMatchObject({ value: id });
  });
});

describe("clausesOf()", () => {
  it("selects by role, scope and family, in the order of the table", () => {
    expect(clausesOf({})).toEqual(CLAUSES);
    for (const scope of new Set(CLAUSES.map((each) => each.scope))) {
      const parts = (["device", "driver", "transport"] as const).map((role) =>
        clausesOf({ role, scope }),
      );
      for (const part of parts.flat()) expect(part.scope).toBe(scope);
      expect(parts.flat()).toHaveLength(clausesOf({ scope }).length);
    }
    const parts = clausesOf({ family: "device-parts", role: "driver" });
    expect(parts.map(({ id }) => id)).toEqual(
      CLAUSE_SECTIONS.get("device-parts-driver")?.clauses.map(({ id }) => id),
    );
  });

  it("finds SR-IOV clauses in sections that are not about SR-IOV", () => {
    const { clauses } = CLAUSE_SECTIONS.get(SLUG_OF_SOME) ?? { clauses: [] };
    const found = clausesOf({ family: "sr-iov", role: "device" });
    const both = clauses.filter((each) => found.includes(each));
    expect(both.length).toBeGreaterThan(0);
    expect(both.length).toBeLessThan(clauses.length);
    for (const each of both) expect(each.text).toMatch(/SR-IOV|VF Enable/);
  });
});
