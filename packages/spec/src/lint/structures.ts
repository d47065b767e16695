/** Rules about listings: comments that end, sizes that agree, structures where they are used. */
import { type Paragraph, type Section, squeeze } from "../latex/book.ts";
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
          const before = sections
            .get(paragraph.section)
            ?.findLast(({ file, start: at }) => file === place.file && at < place.start);
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
      const sections = structsBySection(text);
      for (const { text: words, start, paragraph } of text.sentences) {
        const declared = sections.get(paragraph.section) ?? [];
        const unused = declared.find(({ struct }) => !mentioned.has(struct.name));
        if (unused === undefined) continue;
        for (const { index, 1: name = "" } of words.matchAll(FORMAT)) {
          if (declared.some(({ struct }) => struct.name === name)) continue;
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
      for (const declared of text.structs.values()) {
        for (const { struct } of declared) {
          const readOnly = struct.fields
            .filter(({ comment }) => READ_ONLY.test(comment))
            .map(({ name }) => name);
          if (readOnly.length < FEWEST_READ_ONLY) continue;
          for (const { text: words, start, paragraph } of text.sentences) {
            if (!NO_WRITING.test(squeeze(words))) continue;
            const fields = fieldsOf(paragraph, start, start + words.length);
            const listed = readOnly.filter((name) => fields.has(name));
            if (listed.length < FEWEST_READ_ONLY || listed.length === readOnly.length) continue;
            const left = readOnly.filter((name) => !fields.has(name)).join(", ");
            report(paragraph.at(start), `of the read-only fields of ${struct.name} no ${left}`);
          }
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
          const short = `${variable} numbers are one fewer than those from 0 to ${variable}`;
          report(paragraph.at(index), `${squeeze(formula)}: ${short}`);
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
      const seen = new Set<string>();
      for (const { text: words, start, paragraph } of text.sentences) {
        for (const { index, 1: name = "" } of words.matchAll(FORMAT)) {
          const field = [...fieldsOf(paragraph, start, start + index)].findLast((f) =>
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
          const owner = openBytes(text, paragraph.section, member);
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
  let at = 0;
  for (const { text, form } of paragraph.pieces) {
    if (form === "field" && at >= from && at < to) fields.add(text.trim());
    at += text.length;
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

/** The structure of a section that ends in bytes with this name and has other members before. */
function openBytes(
  { structs }: LintText,
  section: Section,
  member: string,
): DeclaredStruct | undefined {
  const isOpen = ({ name, flexible, type }: Field) => name === member && flexible && type === "u8";
  return [...structs.values()]
    .flat()
    .find(({ struct, code }) => code.section === section && struct.fields.some(isOpen));
}
