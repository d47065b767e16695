import type {
  Clause,
  ClauseFamily,
  ClauseLevel,
  ClauseRole,
  ClauseScope,
  ClauseSection,
} from "./types.ts";

/**
 * `<ordinal> <level>`, and the family where one clause of a section has its own. The ordinal is
 * written out rather than counted, so that an id is found by searching and outlives its neighbours.
 */
type ClauseKey = `${number} ${ClauseLevel}` | `${number} ${ClauseLevel} ${ClauseFamily}`;

/** What the sections of one area have in common. */
export interface SectionContext {
  readonly scope: ClauseScope;
  readonly file?: string;
  readonly family?: ClauseFamily;
}

/** How one section is declared: its name, its place, and each rule under its ordinal and level. */
export interface SectionDeclaration {
  readonly slug: string;
  readonly role: ClauseRole;
  readonly title: string;
  readonly label: string;
  readonly rules: Readonly<Record<ClauseKey, string>>;
}

/** Turns a declaration into the section with its clauses; the order of the rules is kept. */
export function defineSection(
  context: SectionContext,
  { slug, role, title, label, rules }: SectionDeclaration,
): ClauseSection {
  const clauses = Object.entries(rules).map(([key, text]): Clause => {
    const [ordinal, level, ownFamily] = key.split(" ") as [string, ClauseLevel, ClauseFamily?];
    const family = ownFamily ?? context.family;
    return {
      id: `${slug}-${ordinal}`,
      label,
      ...(context.file === undefined ? {} : { file: context.file }),
      role,
      level,
      text,
      scope: context.scope,
      ...(family === undefined ? {} : { family }),
    };
  });
  return { slug, label, title, clauses };
}
