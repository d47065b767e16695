/** Rules about listings: comments that end, sizes that agree, structures where they are used. */
import { type Paragraph, type Place, type Section, squeeze } from "../latex/book.ts";
import { elementSize, type Field, sizeOf } from "../latex/c.ts";
import { type DeclaredStruct, type LintText, placeText, type Rule } from "./rule.ts";

const READ_ONLY = /\bread-only\b/i;
const NO_WRITING = /\bMUST NOT write\b/;
const FORMAT = /\bin (?:the )?format (?:of )?(?:the )?struct (\w+)/g;
const EXACT = /\bexactly (\d{1,6}) bytes\b/g;
const ROUNDING = /\b\w*ROUND_UP\(\s*(\w+)\s*,\s*\w+\s*\)/g;
const LARGEST = /^\s*(?:is|being) the (?:largest|highest|greatest|maximum|biggest)\b/;
const LENGTH_OF = /\blength of the data\b[^.;]{0,40}\bis simply the length of (\w+)/g;
const FEWEST_READ_ONLY = 2;
const MOST_OWNERS = 16;
/** How many characters before a format say what it is the format of. */
const NEAR = 400;

/** The rules. */
export const STRUCTURE_RULES: readonly Rule[] = [
  {
    name: "comment-open",
    doc: "a comment in a listing that does not end",
    check({ codes }, report) {
      for (const { file, start, declarations } of codes) {
        for (const { open, at } of declarations.comments) {
          if (open) report({ file, start: start + at }, "the comment that begins here has no end");
        }
      }
    },
  },
  {
    name: "struct-size",
    doc: "a structure whose size is not the one the prose says, or another declaration has",
    check(text, report) {
      const first = text.firstStructs();
      for (const [name, declared] of text.structs) {
        const [one, ...others] = declared;
        const size = one?.struct.complete ? sizeOf(one.struct.fields, first) : undefined;
        if (one === undefined || size === undefined) continue;
        for (const other of others) {
          const second = other.struct.complete ? sizeOf(other.struct.fields, first) : undefined;
          if (second === undefined || second.bytes === size.bytes) continue;
          // Where an array without a length is, so many members behind it are only sometimes there.
          if (second.open || size.open) continue;
          const there = `${size.bytes} bytes at ${placeText(one)}`;
          report(other, `struct ${name} has ${second.bytes} bytes here and ${there}`);
        }
      }
      const sections = structsBySection(text);
      for (const { text: words, start, paragraph } of text.sentences) {
        for (const { index, 1: bytes } of words.matchAll(EXACT)) {
          const place = paragraph.at(start + index);
          const before = lastBefore(sections.get(paragraph.section) ?? [], place);
          if (before === undefined) continue;
          const size = before.struct.complete ? sizeOf(before.struct.fields, first) : undefined;
          if (size === undefined || size.open || size.bytes === Number(bytes)) continue;
          const what = `struct ${before.struct.name} has ${size.bytes} bytes`;
          report(place, `${what} (${placeText(before)}), not ${bytes}`);
        }
      }
    },
  },
  {
    name: "struct-wrong",
    doc: "a format that names another section's structure, while its own is never named",
    check(text, report) {
      const mentioned = new Set<string>();
      for (const { text: words } of text.book.paragraphs) {
        for (const [name] of words.matchAll(/\w+/g)) mentioned.add(name);
      }
      for (const { declarations } of text.codes) {
        const inside = declarations.code.match(/\bstruct\s+\w+\s+[\w*]/g) ?? [];
        for (const use of inside) mentioned.add(use.split(/\s+/)[1] ?? "");
      }
      const sections = new Map(
        [...structsBySection(text)].map(([section, declared]) => [
          section,
          {
            names: new Set(declared.map(({ struct }) => struct.name)),
            unused: declared.find(({ struct }) => !mentioned.has(struct.name)),
          },
        ]),
      );
      for (const { text: words, start, paragraph } of text.sentences) {
        const { names, unused } = sections.get(paragraph.section) ?? {};
        if (unused === undefined) continue;
        for (const { index, 1: name = "" } of words.matchAll(FORMAT)) {
          if (names?.has(name)) continue;
          const own = `struct ${unused.struct.name} (${placeText(unused)}), which nothing names`;
          report(paragraph.at(start + index), `the format is struct ${name}; here is ${own}`);
        }
      }
    },
  },
  {
    name: "write-list",
    doc: "a list of fields not to be written that leaves out read-only ones",
    check(text, report) {
      const owners = readOnlyFields(text);
      for (const { text: words, start, paragraph } of text.sentences) {
        if (!NO_WRITING.test(squeeze(words))) continue;
        const fields = fieldsOf(paragraph, start, start + words.length);
        const candidates = new Set([...fields].flatMap((name) => owners.get(name) ?? []));
        for (const { name, readOnly } of candidates) {
          const listed = readOnly.filter((field) => fields.has(field));
          if (listed.length < FEWEST_READ_ONLY || listed.length === readOnly.length) continue;
          const left = readOnly.filter((field) => !fields.has(field)).join(", ");
          report(paragraph.at(start), `of the read-only fields of ${name} no ${left}`);
        }
      }
    },
  },
  {
    name: "length-formula",
    doc: "a length that counts up to the largest number and forgets that numbers begin at 0",
    judgement: true,
    check({ book }, report) {
      for (const paragraph of book.paragraphs) {
        for (const { index, 0: formula, 1: variable = "" } of paragraph.text.matchAll(ROUNDING)) {
          const after = paragraph.text.slice(index + formula.length);
          const at = after.indexOf(variable);
          if (at < 0 || !LARGEST.test(after.slice(at + variable.length))) continue;
          const short = `${squeeze(formula)} has room for ${variable} numbers`;
          report(paragraph.at(index), `${short}; from 0 to ${variable} there is one more`);
        }
      }
    },
  },
  {
    name: "element-size",
    doc: "a structure that fills no whole number of the elements it is said to be an array of",
    judgement: true,
    check(text, report) {
      const structs = text.firstStructs();
      const arrays = wideArrays(text);
      const sections = structsBySection(text);
      const seen = new Set<string>();
      for (const { text: words, start, paragraph } of text.sentences) {
        for (const { index, 1: name = "" } of words.matchAll(FORMAT)) {
          const from = start + Math.max(0, index - NEAR);
          const field = [...fieldsOf(paragraph, from, start + index)].findLast((f) =>
            arrays.has(f),
          );
          const [declared] = text.structs.get(name) ?? [];
          if (field === undefined || declared === undefined || seen.has(`${field} ${name}`))
            continue;
          const size = sizeOf(declared.struct.fields, structs);
          const element = arrays.get(field) ?? 1;
          if (size === undefined || size.bytes % element === 0) continue;
          seen.add(`${field} ${name}`);
          const what = `struct ${name} has ${size.bytes} byte${size.bytes === 1 ? "" : "s"}`;
          report(paragraph.at(start + index), `${what}; ${field} has elements of ${element}`);
        }
        for (const { index, 1: member = "" } of words.matchAll(LENGTH_OF)) {
          const owner = openBytes(sections.get(paragraph.section) ?? [], member);
          if (owner === undefined || arrays.size === 0) continue;
          const what = `the length is that of ${member} in struct ${owner.struct.name}`;
          report(paragraph.at(start + index), `${what}, which padding to whole elements hides`);
        }
      }
    },
  },
];

function structsBySection({ structs }: LintText): Map<Section, DeclaredStruct[]> {
  const sections = new Map<Section, DeclaredStruct[]>();
  for (const declared of [...structs.values()].flat()) {
    const { section } = declared.code;
    const known = sections.get(section);
    if (known === undefined) sections.set(section, [declared]);
    else known.push(declared);
  }
  for (const known of sections.values()) known.sort((a, b) => a.start - b.start);
  return sections;
}

/** The field names in a part of a paragraph. */
function fieldsOf(paragraph: Paragraph, from: number, to: number): Set<string> {
  const fields = new Set<string>();
  for (const { text, form } of paragraph.piecesIn(from, to)) {
    if (form === "field") fields.add(text.trim());
  }
  return fields;
}

/** Members without a length whose elements have more than a byte, with the size of an element. */
function wideArrays(text: LintText): Map<string, number> {
  const arrays = new Map<string, number>();
  const structs = text.firstStructs();
  for (const { fields } of structs.values()) {
    for (const field of fields) {
      const size = field.flexible ? elementSize(field, structs) : undefined;
      if (size !== undefined && size.bytes > 1 && !size.open) arrays.set(field.name, size.bytes);
    }
  }
  return arrays;
}

/** The first structure that has bytes without a length under this name. */
function openBytes(
  declared: readonly DeclaredStruct[],
  member: string,
): DeclaredStruct | undefined {
  const isOpen = ({ name, flexible, type }: Field) => name === member && flexible && type === "u8";
  return declared.find(({ struct }) => struct.fields.some(isOpen));
}

/** The last structure before a place, of those in order that are given. */
function lastBefore(
  declared: readonly DeclaredStruct[],
  { file, start }: Place,
): DeclaredStruct | undefined {
  let low = 0;
  let high = declared.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((declared[middle]?.start ?? 0) < start) low = middle + 1;
    else high = middle;
  }
  const before = declared[low - 1];
  return before?.file === file ? before : undefined;
}

interface Owner {
  readonly name: string;
  readonly readOnly: readonly string[];
}

/** The structures with read-only fields, by each of those. */
function readOnlyFields({ structs }: LintText): Map<string, Owner[]> {
  const owners = new Map<string, Owner[]>();
  for (const { struct } of [...structs.values()].flat()) {
    const readOnly = struct.fields
      .filter(({ comment }) => READ_ONLY.test(comment))
      .map(({ name }) => name);
    if (readOnly.length < FEWEST_READ_ONLY) continue;
    const owner = { name: struct.name, readOnly };
    for (const field of readOnly) {
      const known = owners.get(field);
      if (known === undefined) owners.set(field, [owner]);
      else if (known.length < MOST_OWNERS) known.push(owner);
    }
  }
  return owners;
}
