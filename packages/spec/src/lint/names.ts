/** Rules about names: what prose calls something is declared somewhere, under that name. */
import { cellText, type Paragraph, type Place, squeeze } from "../latex/book.ts";
import { type LintText, placeText, type Report, type Rule } from "./rule.ts";
import { Spelling } from "./spelling.ts";

/** A name in capitals with an underscore; a letter of another case among them is a slip. */
const NAME = /\b[A-Z][A-Z0-9]*(?:_[A-Za-z0-9]+)+\b/g;
const WHOLE_NAME = /^[A-Z][A-Z0-9]*(?:_[A-Za-z0-9]+)+$/;
/** An item that begins with a name and its number. */
const NUMBERED = /^\s*([A-Z]\w*_\w+) ?\(\d/;
/** What a name stands after that is no longer one. */
const FORMER = /\b(?:called|known as|named|was) *$/;
const PLACEHOLDER = /_X{2,}(?:_|$)/;
const IDENTIFIER = /^[A-Za-z_]\w*$/;
/** A name that is spelt in parts: what stands in words, not in one of them. */
const COMPOUND = /_|[a-z][A-Z]/;
const STATUS = /status/i;
/** The parts of a name that tell which names it is among. */
const FAMILY_PARTS = 2;
const FEWEST_SIBLINGS = 2;
const SHORTEST_MISSPELT = 6;
const LONGEST_NAME = 96;
const SHORTEST_FAMILY = 10;
const FORMER_LENGTH = 16;
const MOST_LINES = 6;
/** How many capitals make a name one in capitals. */
const CAPITALS = 0.7;

/** The rules. */
export const NAME_RULES: readonly Rule[] = [
  {
    name: "name-undefined",
    doc: "a constant, command or part that is used and nowhere defined",
    check: (text, report) => checkNames(text, report, false),
  },
  {
    name: "status-unlisted",
    doc: "a status that is used and not in the table of statuses",
    check: (text, report) => checkNames(text, report, true),
  },
  {
    name: "struct-undefined",
    doc: "a structure that is named and nowhere declared",
    check({ sentences, structs, book }, report) {
      const families = new Set([...structs.keys()].map((name) => name.split("_", 1)[0]));
      const uses = new Map<string, Place[]>();
      for (const { text, start, paragraph } of sentences) {
        for (const { index, 1: name = "" } of text.matchAll(/\bstruct\s+(\w+)/g)) {
          if (name.length > LONGEST_NAME || !COMPOUND.test(name) || structs.has(name)) continue;
          if (!families.has(name.split("_", 1)[0])) continue;
          push(uses, name, paragraph.at(start + index));
        }
      }
      const spelling = new Spelling();
      const known = new Set(book.listings.flatMap(({ text }) => text.match(/\w+/g) ?? []));
      for (const [name, places] of uses) {
        if (known.has(name)) continue;
        const [first] = places;
        const near = spelling.nearest(name, structs.keys());
        if (first === undefined) continue;
        report(first, `no listing declares struct ${name}${also(places)}${like(near)}`);
      }
    },
  },
  {
    name: "field-misspelt",
    doc: "a field name that is nearly, but not quite, one that is declared",
    check({ book, codes }, report) {
      const known = new Map<string, Set<string>>();
      const everywhere = new Set<string>();
      const learn = (file: string, words: Iterable<string>): void => {
        const names = known.get(file) ?? new Set();
        for (const word of words) {
          if (word.length > LONGEST_NAME) continue;
          names.add(word);
          everywhere.add(word);
        }
        known.set(file, names);
      };
      for (const { file, declarations } of codes) {
        learn(file.path, declarations.code.match(/\w+/g) ?? []);
      }
      for (const { rows, file } of book.tables) {
        for (const { macro, cells } of rows) {
          if (macro !== undefined) learn(file.path, cells.slice(0, 2).map(cellText));
        }
      }
      for (const { label, file } of book.items) {
        if (label !== undefined) learn(file.path, label.text.match(/\w+/g) ?? []);
      }
      const uses = new Map<string, Place[]>();
      for (const { pieces } of book.paragraphs) {
        for (const piece of pieces) {
          if (piece.form !== "field" || piece.text.length > LONGEST_NAME) continue;
          for (const name of piece.text.trim().replace(/\[.*$/, "").split(".")) {
            if (!IDENTIFIER.test(name) || !COMPOUND.test(name)) continue;
            if (name.length < SHORTEST_MISSPELT || everywhere.has(name)) continue;
            push(uses, `${piece.file.path}\0${name}`, piece);
          }
        }
      }
      const spelling = new Spelling();
      for (const [key, places] of uses) {
        const [file = "", name = ""] = key.split("\0");
        const near = spelling.nearest(name, known.get(file) ?? []);
        const [first] = places;
        if (near === undefined || first === undefined) continue;
        report(first, `nothing has the name ${name}${also(places)}${like(near)}`);
      }
    },
  },
];

function checkNames({ book, codes }: LintText, report: Report, statuses: boolean): void {
  const defined = new Map<string, "status" | "other">();
  const define = (name: string, status = false): void => {
    if (name.length > LONGEST_NAME) return;
    if (!defined.has(name) || status) defined.set(name, status ? "status" : "other");
  };
  for (const { declarations } of codes) {
    for (const { name } of declarations.constants) define(name);
    for (const [name] of declarations.code.matchAll(NAME)) define(name);
  }
  for (const { rows } of book.tables) {
    const [heading] = rows;
    const status = STATUS.test(heading?.cells.map(cellText).join(" ") ?? "");
    for (const { cells } of rows) {
      for (const cell of cells) {
        const name = cellText(cell);
        if (WHOLE_NAME.test(name)) define(name, status && name.split("_").some(isStatus));
      }
    }
  }
  for (const { label, body } of book.items) {
    for (const [name] of label?.text.matchAll(NAME) ?? []) define(name);
    const numbered = NUMBERED.exec(body[0]?.text.slice(0, LONGEST_NAME) ?? "")?.[1];
    if (numbered !== undefined) define(numbered);
  }
  for (const { text } of book.headings) if (WHOLE_NAME.test(text)) define(text);

  const families = new Map<string, number>();
  const stems = new Set<string>();
  const tables = new Map<string, number>();
  for (const [name, kind] of defined) {
    const family = familyOf(name);
    families.set(family, (families.get(family) ?? 0) + 1);
    for (let at = name.indexOf("_"); at > 0; at = name.indexOf("_", at + 1)) {
      stems.add(name.slice(0, at));
    }
    if (kind !== "status") continue;
    const stem = statusStem(name);
    if (stem !== undefined) tables.set(stem, (tables.get(stem) ?? 0) + 1);
  }
  const spelling = new Spelling();
  // Of a family that is known, or a letter off it.
  const familiar = new Map<string, boolean>();
  const isFamiliar = (name: string): boolean => {
    const family = familyOf(name);
    const known = familiar.get(family);
    if (known !== undefined) return known;
    const is =
      (families.get(family) ?? 0) >= FEWEST_SIBLINGS ||
      (family.length >= SHORTEST_FAMILY &&
        spelling.nearest(family, families.keys(), 1) !== undefined);
    familiar.set(family, is);
    return is;
  };
  const uses = new Map<string, Place[]>();
  for (const paragraph of book.paragraphs) {
    for (const { 0: name, index } of paragraph.text.matchAll(NAME)) {
      if (name.length > LONGEST_NAME || defined.has(name) || stems.has(name)) continue;
      if (!isCapital(name)) continue;
      if (isPattern(paragraph, index + name.length) || PLACEHOLDER.test(name)) continue;
      if (FORMER.test(paragraph.text.slice(Math.max(0, index - FORMER_LENGTH), index))) continue;
      if (!isFamiliar(name)) continue;
      const place = paragraph.at(index);
      push(uses, `${place.file.path}\0${name}`, place);
    }
  }
  for (const [key, places] of uses) {
    const name = key.slice(key.indexOf("\0") + 1);
    const stem = statusStem(name);
    const inTable = stem !== undefined && (tables.get(stem) ?? 0) >= FEWEST_SIBLINGS;
    const [first] = places;
    if (inTable !== statuses || first === undefined) continue;
    const near = spelling.nearest(name, defined.keys());
    const what = inTable ? `the table of ${stem}_ has no ${name}` : `nothing defines ${name}`;
    report(first, `${what}${also(places)}${like(near)}`);
  }
}

/** The names that a family has in common: their first parts. */
function familyOf(name: string): string {
  return name.split("_", FAMILY_PARTS).join("_");
}

function isStatus(part: string): boolean {
  return part === "STATUS";
}

/** A name up to the part that says status. */
function statusStem(name: string): string | undefined {
  const parts = name.split("_");
  const at = parts.findIndex(isStatus);
  return at < 1 || at === parts.length - 1 ? undefined : parts.slice(0, at + 1).join("_");
}

/** Whether a name goes on as a pattern: `NAME_*`. */
function isPattern({ text }: Paragraph, end: number): boolean {
  return /^(?:_?\*|_|\{|<|\.\.\.)/.test(text.slice(end, end + 3));
}

function isCapital(name: string): boolean {
  const letters = name.replace(/[^A-Za-z]/g, "");
  return letters.replace(/[a-z]/g, "").length >= letters.length * CAPITALS;
}

function push(uses: Map<string, Place[]>, key: string, place: Place): void {
  const places = uses.get(key);
  if (places === undefined) uses.set(key, [place]);
  else places.push(place);
}

/** The other places, shortly. */
export function also(places: readonly Place[]): string {
  const [first, ...rest] = places;
  if (first === undefined || rest.length === 0) return "";
  const lines = new Set(
    rest.map((place) =>
      place.file === first.file ? `line ${place.file.lineOf(place.start)}` : placeText(place),
    ),
  );
  lines.delete(`line ${first.file.lineOf(first.start)}`);
  if (lines.size === 0) return "";
  const shown = [...lines].slice(0, MOST_LINES);
  const more = lines.size > shown.length ? ` and ${lines.size - shown.length} more` : "";
  return ` (also ${squeeze(shown.join(", "))}${more})`;
}

function like(name: string | undefined): string {
  return name === undefined ? "" : `; the nearest that is there is ${name}`;
}
