/** Rules about requirements: where they stand, on whom, how often, and in which words. */
import { type Section, squeeze } from "../latex/book.ts";
import { chapterOf, placeText, type Rule, type Sentence } from "./rule.ts";

const KEYWORD =
  /\b(?:MUST(?: NOT)?|SHALL(?: NOT)?|SHOULD(?: NOT)?|MAY|REQUIRED|RECOMMENDED|OPTIONAL)\b/g;
const SUBJECT =
  /^(?:The|A|An|Each|Every) (?:(?!device|driver)[a-z-]+ ){0,3}(device|driver)s? (?:also )?(?:MUST|SHALL|SHOULD|MAY)\b/;
const HALF = /\b(?:MUST|SHALL|SHOULD) not\b|\bMAY (?:not|NOT)\b/g;
const DEFINITION = /RFC\s*\[?(?:2119|8174)|\bkeywords?\b/i;
/** How alike two requirements are that say the same: words in both, of words in either. */
const ALIKE = 0.9;
const FEWEST_WORDS = 8;
const MOST_SENTENCES = 200;
const MOST_LINES = 8;

/** The rules. */
export const REQUIREMENT_RULES: readonly Rule[] = [
  {
    name: "requirement-party",
    doc: "a requirement on a device among those on drivers, or the other way round",
    check({ sentences }, report) {
      for (const { text, start, paragraph } of sentences) {
        const { kind } = paragraph.section;
        if (kind !== "device" && kind !== "driver") continue;
        const subject = SUBJECT.exec(squeeze(text))?.[1];
        if (subject === undefined || subject === kind) continue;
        report(paragraph.at(start), `a requirement on a ${subject} among those on ${kind}s`);
      }
    },
  },
  {
    name: "requirement-place",
    doc: "the word of a requirement outside the sections of requirements",
    check({ book }, report) {
      const clauses = new Set(
        book.sections.filter(({ kind }) => kind === "conformance").map(chapterOf),
      );
      const found = new Map<
        Section,
        { words: Set<string>; at: [number, Sentence["paragraph"]][] }
      >();
      for (const paragraph of book.paragraphs) {
        const { section, text } = paragraph;
        if (section.kind !== "text" || clauses.has(chapterOf(section))) continue;
        if (DEFINITION.test(text)) continue;
        for (const { 0: word, index } of text.matchAll(KEYWORD)) {
          const entry = found.get(section) ?? { words: new Set(), at: [] };
          entry.words.add(word);
          entry.at.push([index, paragraph]);
          found.set(section, entry);
        }
      }
      for (const [section, { words, at }] of found) {
        const places = at.map(([index, paragraph]) => paragraph.at(index));
        const [first] = places;
        if (first === undefined) continue;
        const lines = [...new Set(places.map(({ file, start }) => file.lineOf(start)))];
        const shown = lines.slice(1, MOST_LINES + 1).join(", ");
        const more = lines.length > MOST_LINES + 1 ? " and more" : "";
        const also =
          shown === "" ? "" : ` (also line${lines.length > 2 ? "s" : ""} ${shown}${more})`;
        const where = `"${section.title}", which holds no requirements`;
        report(first, `${[...words].join(", ")} in ${where}${also}`);
      }
    },
  },
  {
    name: "requirement-word",
    doc: "a word of a requirement that is none: MUST not, MAY NOT",
    check({ book }, report) {
      for (const paragraph of book.paragraphs) {
        for (const { 0: words, index } of paragraph.text.matchAll(HALF)) {
          const wrong = words.startsWith("MAY")
            ? "forbids for some readers and allows for others"
            : `is no keyword; the keyword is ${words.toUpperCase()}`;
          report(paragraph.at(index), `"${words}" ${wrong}`);
        }
      }
    },
  },
  {
    name: "requirement-strength",
    doc: "a requirement that a section has twice, in different strength",
    check({ sentences }, report) {
      const sections = new Map<Section, Requirement[]>();
      for (const sentence of sentences) {
        const { section } = sentence.paragraph;
        if (section.kind !== "device" && section.kind !== "driver") continue;
        const requirement = requirementOf(sentence);
        if (requirement === undefined) continue;
        const known = sections.get(section) ?? [];
        sections.set(section, known);
        if (known.length >= MOST_SENTENCES) continue;
        const { paragraph, start } = sentence;
        for (const other of known) {
          if (requirement.keywords === other.keywords || !areAlike(requirement, other)) continue;
          const there = placeText(other.sentence.paragraph.at(other.sentence.start));
          const words = `${requirement.keywords} here and ${other.keywords} at ${there}`;
          report(paragraph.at(start), `the same is required twice: ${words}`);
          break;
        }
        known.push(requirement);
      }
    },
  },
];

interface Requirement {
  readonly sentence: Sentence;
  readonly keywords: string;
  readonly words: ReadonlySet<string>;
}

function requirementOf(sentence: Sentence): Requirement | undefined {
  const text = squeeze(sentence.text);
  const keywords = (text.match(KEYWORD) ?? []).join(", ");
  // What a colon ends is required of the list behind it.
  if (keywords === "" || text.endsWith(":")) return undefined;
  const words = new Set(text.replace(KEYWORD, " ").match(/[\w.]+|§/g) ?? []);
  return words.size < FEWEST_WORDS ? undefined : { sentence, keywords, words };
}

/** Whether two requirements of different strength ask for the same. */
function areAlike(one: Requirement, other: Requirement): boolean {
  if (one.keywords.includes("NOT") !== other.keywords.includes("NOT")) return false;
  const { words: a } = one;
  const { words: b } = other;
  const small = Math.min(a.size, b.size);
  const large = Math.max(a.size, b.size);
  if (small < large * ALIKE) return false;
  let both = 0;
  for (const word of a) if (b.has(word)) both += 1;
  return both >= (a.size + b.size - both) * ALIKE;
}
