/** Rules about numbers: tables against prose, gaps in tables, ranges, feature bits. */
import {
  around,
  cellText,
  type Item,
  type Place,
  type Section,
  squeeze,
  type Table,
} from "../latex/book.ts";
import { chapterOf, isWithin, type LintText, placeText, type Rule } from "./rule.ts";

/** Numbers from one to another, both included. */
interface Range {
  readonly from: number;
  readonly to: number;
}

const NAME = /^[A-Z][A-Z0-9]*(?:_[A-Za-z0-9]+)+$/;
const NAMES = /\b[A-Z][A-Z0-9]*(?:_[A-Za-z0-9]+)+\b/g;
const NUMBER = "(?:0x[\\dA-Fa-f]{1,16}|\\d{1,20})";
const WHOLE_NUMBER = new RegExp(`^${NUMBER}$`);
const IDENTIFIER = /^[A-Za-z]\w*$/;
const RANGE = new RegExp(`^(${NUMBER})(?:\\s*(?:-|--|to)\\s*(${NUMBER}|n))?$`);
const HEXADECIMAL = /\b(0x[\dA-Fa-f]{1,16})\s*-{1,2}\s*(0x[\dA-Fa-f]{1,16})\b/g;
/** A field that is set to a number. */
const SETTING = new RegExp(`\\b(?:is|are) set to (${NUMBER})(?![\\w.]*\\w)`, "g");
const FEATURE = /^([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*) ?\((\d{1,5})\)$/;
const DEVICE_FEATURE = /_F_/;
const RESERVED = /\breserved\b/i;
const FEWEST_ROWS = 3;
const MOST_RANGES = 2000;
/** How many characters around a range in prose say what it is of. */
const NEAR = 400;
const MOST_ALLOCATIONS = 8;
const MOST_ENTRIES = 64;
/** Words that say nothing about what a range is of. */
const COMMON =
  /^(?:a|all|and|any|are|across|by|common|device|devices?|for|future|generic|in|is|of|or|other|range|reserved|specific|that|the|this|to|type|types|use|used|using|values?|independent|describe|possibly)$/;

/** The rules. */
export const NUMBER_RULES: readonly Rule[] = [
  {
    name: "value-mismatch",
    doc: "a number of a name that the table, the code and the prose do not agree on",
    check(text, report) {
      const values = new Map<string, Value>();
      const compare = (name: string, value: number, place: Place, bit = false): void => {
        const known = values.get(name);
        if (known === undefined) values.set(name, { value, place, bit });
        else if (!areEqual(known, { value, place, bit })) {
          const there = `${hex(known.value)} at ${placeText(known.place)}`;
          report(place, `${name} is ${hex(value)} here and ${there}`);
        }
      };
      for (const { rows } of text.book.tables) {
        for (const row of rows) {
          const [cell, ...others] = row.cells.map(cellText);
          const range = rangeOf(cell ?? "");
          const names = others.filter((other) => NAME.test(other));
          const [name] = names;
          if (range === undefined || range.from !== range.to || names.length !== 1) continue;
          compare(name ?? "", range.from, row);
        }
      }
      for (const { declarations, file, start } of text.codes) {
        for (const { name, value, at } of declarations.constants) {
          if (value !== undefined) compare(name, value, { file, start: start + at });
        }
      }
      for (const item of text.book.items) {
        const feature = FEATURE.exec(squeeze(item.label?.text ?? ""));
        if (feature !== null) compare(feature[1] ?? "", Number(feature[2]), item, true);
      }
      for (const { text: words, start, paragraph } of text.sentences) {
        const names = [...words.matchAll(NAMES)];
        let name: string | undefined;
        let next = 0;
        for (const { index, 1: number = "" } of words.matchAll(SETTING)) {
          for (; (names[next]?.index ?? index) < index; next++) name = names[next]?.[0];
          if (name === undefined || !values.has(name)) continue;
          if (paragraph.pieceAt(start + index - 2)?.form !== "field") continue;
          compare(name, Number(number), paragraph.at(start + index));
        }
      }
    },
  },
  {
    name: "table-coverage",
    doc: "a table of ranges with a number that it leaves out, or has twice",
    check({ book }, report) {
      for (const table of book.tables) {
        const rows = rangedRows(table);
        const whole = rows.some(({ from, to }) => from !== to) && isFull(rows.at(-1)?.to ?? 0);
        if (rows.length < FEWEST_ROWS || !whole) continue;
        let next = rows[0]?.from ?? 0;
        for (const { from, to, place } of rows) {
          if (from > next) {
            report(place, `the table leaves out ${rangeText({ from: next, to: from - 1 })}`);
          } else if (from < next) {
            report(place, `the table has ${hex(from)} in more than one row`);
          }
          next = Math.max(next, to + 1);
        }
      }
    },
  },
  {
    name: "value-duplicate",
    doc: "two names in one table that have the same number",
    check({ book }, report) {
      for (const { rows } of book.tables) {
        const first = new Map<number, Named>();
        for (const entry of rows.flatMap(namedRow)) {
          const before = first.get(entry.value);
          if (before === undefined) first.set(entry.value, entry);
          else if (before.name !== entry.name) {
            const there = `${before.name} at ${placeText(before.place)}`;
            report(entry.place, `${entry.name} is ${hex(entry.value)}, and so is ${there}`);
          }
        }
      }
    },
  },
  {
    name: "range-conflict",
    doc: "two ranges of the same thing that cut each other",
    check(text, report) {
      const ranges = describedRanges(text).slice(0, MOST_RANGES);
      const told = new Set<DescribedRange>();
      ranges.forEach((range, index) => {
        for (const other of ranges.slice(0, index)) {
          if (told.has(other) || !cuts(range, other)) continue;
          if (!isWithin(range.section, other.section) && !isWithin(other.section, range.section)) {
            continue;
          }
          const shared = [...range.words].filter((word) => other.words.has(word));
          if (shared.length === 0) continue;
          const there = `${rangeText(other)} at ${placeText(other.place)}`;
          report(range.place, `${rangeText(range)} (${shared.join(", ")}) cuts ${there}`);
          told.add(range).add(other);
          break;
        }
      });
    },
  },
  {
    name: "feature-bit",
    doc: "a feature bit outside the range for its kind, or two features with one bit",
    check({ book }, report) {
      const features = book.items.flatMap((item) => {
        const match = FEATURE.exec(squeeze(item.label?.text ?? ""));
        return match === null ? [] : [{ item, name: match[1] ?? "", bit: Number(match[2]) }];
      });
      for (const entries of allocations(book.items)) {
        checkAllocation(entries, report);
        const referred = new Set(entries.flatMap(({ sections }) => sections));
        const shared = new Set(
          book.sections.filter(({ labels }) => labels.some(({ name }) => referred.has(name))),
        );
        const isShared = (item: Item): boolean => {
          for (const section of around(item.section)) if (shared.has(section)) return true;
          return false;
        };
        const [first] = entries;
        if (shared.size === 0 || first === undefined) continue;
        const at = placeText(first.item);
        const common = new Map(
          features.filter(({ item }) => isShared(item)).map((feature) => [feature.bit, feature]),
        );
        for (const { item, name, bit } of features) {
          const home = isShared(item);
          if (!home && (!DEVICE_FEATURE.test(name) || chapterOf(item.section).level !== 0))
            continue;
          const same = common.get(bit);
          if (!home && same !== undefined) {
            const there = `${same.name} (${placeText(same.item)})`;
            report(item, `${name} has bit ${bit}, and so has ${there}, which is for all devices`);
            continue;
          }
          const entry = entries.find(({ ranges }) => ranges.some((range) => holds(range, bit)));
          if (entry === undefined) {
            report(item, `${name} has bit ${bit}, which ${at} gives to nothing`);
          } else if (home && entry.sections.length === 0) {
            report(item, `${name} has bit ${bit}, which ${at} gives to something else`);
          } else if (!home && (entry.sections.length > 0 || RESERVED.test(entry.about))) {
            report(item, `${name} has bit ${bit}, which ${at} reserves`);
          }
        }
      }
      const bits = new Map<string, (typeof features)[number]>();
      for (const feature of features) {
        const key = `${feature.item.list} ${feature.bit}`;
        const before = bits.get(key);
        if (before === undefined) bits.set(key, feature);
        else if (DEVICE_FEATURE.test(feature.name)) {
          const there = `${before.name} (${placeText(before.item)})`;
          report(feature.item, `${feature.name} has bit ${feature.bit}, and so has ${there}`);
        }
      }
    },
  },
];

/** A name with its number. */
interface Named {
  readonly name: string;
  readonly value: number;
  readonly place: Place;
}

/** Of a row with a number and one name these; a macro has its names first, and a number for each of them. */
function namedRow(row: Table["rows"][number]): Named[] {
  const cells = row.cells.map(cellText);
  if (row.macro !== undefined) {
    const numbers = cells.flatMap((cell) => (WHOLE_NUMBER.test(cell) ? [Number(cell)] : []));
    return numbers.flatMap((value, index) => {
      const name = cells[index] ?? "";
      return IDENTIFIER.test(name) ? [{ name, value, place: row }] : [];
    });
  }
  const [first = "", ...others] = cells;
  const [name, ...more] = others.filter((other) => NAME.test(other));
  if (!WHOLE_NUMBER.test(first) || name === undefined || more.length > 0) return [];
  return [{ name, value: Number(first), place: row }];
}

interface Value {
  readonly value: number;
  readonly place: Place;
  /** Whether it is the number of a bit: code may have the bit itself. */
  readonly bit: boolean;
}

function areEqual(a: Value, b: Value): boolean {
  if (a.value === b.value || a.bit === b.bit) return a.value === b.value;
  const [number, mask] = a.bit ? [a, b] : [b, a];
  return 2 ** number.value === mask.value;
}

function hex(value: number): string {
  return value > 9 ? `0x${value.toString(16)} (${value})` : String(value);
}

function rangeText({ from, to }: Range): string {
  const one = `0x${from.toString(16)}`;
  return from === to ? one : `${one}-0x${to.toString(16)}`;
}

function rangeOf(text: string): Range | undefined {
  const match = RANGE.exec(text);
  if (match === null) return undefined;
  const [, from = "", to = from] = match;
  return { from: Number(from), to: to === "n" ? Number.POSITIVE_INFINITY : Number(to) };
}

function isFull(to: number): boolean {
  return to > 0xf && Number.isInteger(Math.log2(to + 1));
}

function rangedRows(table: Table): (Range & { readonly place: Place })[] {
  return table.rows
    .flatMap((row) => {
      const range = rangeOf(cellText(row.cells[0]));
      return range === undefined ? [] : [{ ...range, place: row }];
    })
    .sort((a, b) => a.from - b.from);
}

interface DescribedRange extends Range {
  readonly place: Place;
  readonly section: Section;
  readonly words: ReadonlySet<string>;
}

/** The ranges of items, tables and prose, with the words that tell what they are of. */
function describedRanges({ book, sentences }: LintText): DescribedRange[] {
  const ranges: DescribedRange[] = [];
  const add = (range: Range | undefined, about: string, place: Place, section: Section): void => {
    if (range === undefined || range.to <= range.from || !Number.isFinite(range.to)) return;
    ranges.push({ ...range, place, section, words: wordsOf(about) });
  };
  for (const { label, body, section, ...place } of book.items) {
    const about = body.map(({ text }) => text).join(" ");
    add(rangeOf(squeeze(label?.text ?? "")), about, place, section);
  }
  for (const { rows, section } of book.tables) {
    for (const row of rows) {
      const [first, ...others] = row.cells.map(cellText);
      add(rangeOf(first ?? ""), others.join(" "), row, section);
    }
  }
  for (const { text, start, paragraph } of sentences) {
    if (paragraph.cell) continue;
    for (const { index, 1: from = "", 2: to = "" } of text.matchAll(HEXADECIMAL)) {
      const range = { from: Number(from), to: Number(to) };
      const about = text.slice(Math.max(0, index - NEAR), index + NEAR);
      add(range, about, paragraph.at(start + index), paragraph.section);
    }
  }
  return ranges;
}

function wordsOf(text: string): Set<string> {
  const words = text.toLowerCase().match(/[a-z]{3,}/g) ?? [];
  return new Set(words.filter((word) => !COMMON.test(word)).map((word) => word.replace(/s$/, "")));
}

/** Whether two ranges overlap and neither is in the other. */
function cuts(a: Range, b: Range): boolean {
  const [first, second] = a.from < b.from ? [a, b] : [b, a];
  return first.from < second.from && second.from <= first.to && first.to < second.to;
}

function holds({ from, to }: Range, value: number): boolean {
  return from <= value && value <= to;
}

interface Allocation {
  readonly item: Item;
  readonly ranges: readonly Range[];
  readonly sections: readonly string[];
  readonly about: string;
}

/** The lists that say what bits are for: their labels are nothing but ranges. */
function allocations(items: readonly Item[]): Allocation[][] {
  const lists = new Map<number, Allocation[]>();
  for (const item of items) {
    const ranges = bitRanges(squeeze(item.label?.text ?? ""));
    if (ranges === undefined) continue;
    const sections = item.references.map(({ name }) => name);
    const about = item.body.map(({ text }) => text).join(" ");
    const entry = { item, ranges, sections, about };
    const list = lists.get(item.list);
    if (list === undefined) lists.set(item.list, [entry]);
    else list.push(entry);
  }
  return [...lists.values()]
    .filter((entries) => entries.length > 1 && entries.length <= MOST_ENTRIES)
    .filter((entries) => entries.some(({ about }) => /\bfeature bits?\b/i.test(about)))
    .slice(0, MOST_ALLOCATIONS);
}

/** `0 to 23, 41 and 50 to 127`, `128 and above`. */
function bitRanges(label: string): Range[] | undefined {
  if (!/^\d/.test(label) || label.length > 200) return undefined;
  const ranges: Range[] = [];
  for (const part of label.split(/\s*(?:,|\band\b(?!\s+above))\s*/)) {
    if (part === "") continue;
    const match = /^(\d{1,5})(?:\s*(?:to|-)\s*(\d{1,5})|\s*(and above|or above|\+))?$/.exec(part);
    if (match === null) return undefined;
    const [, from = "", to, above] = match;
    const end = above === undefined ? Number(to ?? from) : Number.POSITIVE_INFINITY;
    ranges.push({ from: Number(from), to: end });
  }
  return ranges;
}

function checkAllocation(
  entries: readonly Allocation[],
  report: (place: Place, message: string) => void,
): void {
  const all = entries
    .flatMap(({ item, ranges }) => ranges.map((range) => ({ ...range, item })))
    .sort((a, b) => a.from - b.from);
  let next = 0;
  for (const { from, to, item } of all) {
    if (from > next) report(item, `no entry has ${bitsText(next, from - 1)}`);
    else if (from < next) report(item, `bit ${from} is in more than one entry`);
    next = Math.max(next, to + 1);
  }
}

function bitsText(from: number, to: number): string {
  return from === to ? `bit ${from}` : `bits ${from} to ${to}`;
}
