/** Reads sources into a {@link Book}: one pass over the tokens of every file. */
import {
  type Book,
  type Item,
  type Label,
  type Listing,
  Paragraph,
  type Piece,
  type Place,
  type Reference,
  type Row,
  type Section,
  type SectionKind,
  squeeze,
  type Table,
} from "./book.ts";
import { lexed } from "./lexer.ts";
import type { SourceFile, SourceTree } from "./source.ts";

const LEVELS: ReadonlyMap<string, number> = new Map(
  ["chapter", "section", "subsection", "subsubsection", "paragraph", "subparagraph"].map(
    (name, level) => [name, level],
  ),
);
const NORMATIVE: ReadonlyMap<string, SectionKind> = new Map([
  ["devicenormative", "device"],
  ["drivernormative", "driver"],
]);
const TABLES = new Set(["tabular", "tabularx", "tabulary", "longtable", "tabular*"]);
const LISTS = new Set(["itemize", "itemize*", "enumerate", "enumerate*", "description"]);
const REFERENCES = new Set(["ref", "nameref", "pageref", "autoref"]);
const INPUTS = new Set(["input", "include"]);
const DEFINITIONS = new Set(["newcommand", "renewcommand", "providecommand", "newenvironment"]);
/** Commands with so many arguments that nobody reads. */
const UNREAD: ReadonlyMap<string, number> = new Map([
  ["caption", 1],
  ["url", 1],
  ["href", 1],
  ["multicolumn", 2],
  ["multirow", 2],
  ["cline", 1],
  ["vspace", 1],
  ["hspace", 1],
  ["setlength", 2],
  ["setcounter", 2],
  ["lstset", 1],
  ["includegraphics", 1],
  ["usepackage", 1],
  ["documentclass", 1],
]);
/** The label of a listing is among its options. */
const LISTING_LABEL = /^\[[^\]\n]{0,1024}?label=\{([^}\n]*)\}/;
const LONGEST_LISTING_OPTION = 1024;
const LEGACY = /\blegacy interfaces?\b/i;
/** Headings of requirements that are made without the macro. */
const REQUIREMENTS = /^(device|driver) requirements:/i;
/** A command of a table with so many arguments makes a row. */
const ROW_ARGUMENTS = 4;
const LONGEST_OPTION = 64;
/** What is begun deeper is read as if it were not begun. */
const DEEPEST_ENVIRONMENT = 32;

/** Reads a tree: every file that no other includes, and what it includes, each file once. */
export function readBook(tree: SourceTree): Book {
  return new Reader(tree).read();
}

interface Frame {
  readonly file: SourceFile;
  at: number;
  /** The cells of rows that are made by macros: where they end. */
  readonly cellEnds: Map<number, "cell" | "row">;
}

interface Environment {
  readonly name: string;
  readonly table: Table | undefined;
  readonly list: number;
  item: Item | undefined;
}

class Reader {
  readonly #tree: SourceTree;
  readonly #read = new Set<string>();
  readonly #frames: Frame[] = [];
  readonly #environments: Environment[] = [];
  readonly #book = {
    sections: [] as Section[],
    paragraphs: [] as Paragraph[],
    headings: [] as Paragraph[],
    labels: [] as Label[],
    references: [] as Reference[],
    listings: [] as Listing[],
    items: [] as Item[],
    tables: [] as Table[],
    missing: [] as (Place & { readonly path: string })[],
    whole: false,
  };
  #pieces: Piece[] = [];
  #section: Section;
  #fresh = true;
  #row: Row | undefined;
  #lists = 0;

  constructor(tree: SourceTree) {
    this.#tree = tree;
    const [first] = tree.files.values();
    if (first === undefined) throw new RangeError("a tree has at least one file");
    this.#section = top(first);
  }

  read(): Book {
    for (const file of roots(this.#tree)) {
      this.#section = top(file);
      this.#enter(file);
      while (this.#frames.length > 0) this.#step();
      this.#flush();
      this.#environments.length = 0;
      this.#row = undefined;
    }
    return this.#book;
  }

  #enter(file: SourceFile): void {
    if (this.#read.has(file.path)) return;
    this.#read.add(file.path);
    this.#frames.push({ file, at: 0, cellEnds: new Map() });
  }

  #step(): void {
    const frame = this.#frames.at(-1);
    if (frame === undefined) return;
    const { file } = frame;
    const index = frame.at;
    const token = lexed(file).tokens[index];
    if (token === undefined) {
      this.#frames.pop();
      return;
    }
    frame.at += 1;
    switch (token.kind) {
      case "text":
      case "bracket":
        this.#prose(file, token.start, token.end);
        break;
      case "blank":
        this.#flush();
        break;
      case "cell":
        this.#endCell();
        break;
      case "close": {
        const end = frame.cellEnds.get(index);
        if (end === undefined) break;
        frame.cellEnds.delete(index);
        this.#endCell();
        if (end === "row") this.#endRow();
        break;
      }
      case "begin":
        this.#begin(frame, token.name, token.start);
        break;
      case "end":
        this.#end(token.name);
        break;
      case "verbatim":
        this.#flush();
        this.#fresh = false;
        this.#listing(file, token.start, file.text.slice(token.start, token.end));
        break;
      case "command":
        this.#command(frame, token.name, token.start);
        break;
      default:
    }
  }

  #prose(file: SourceFile, start: number, end: number): void {
    const text = file.text.slice(start, end).replace(/[\s~]/g, " ");
    if (text.trim() === "" && this.#pieces.length === 0) return;
    this.#pieces.push({ file, start, text, form: "plain" });
  }

  #begin(frame: Frame, name: string, start: number): void {
    this.#flush();
    const { file } = frame;
    if (name === "document") this.#book.whole = true;
    let table: Table | undefined;
    if (TABLES.has(name)) {
      this.#option(frame);
      while (this.#argument(frame) !== undefined) this.#option(frame);
      table = { file, start, rows: [], section: this.#section };
      this.#book.tables.push(table);
      this.#row = undefined;
    }
    this.#lists += 1;
    if (this.#environments.length >= DEEPEST_ENVIRONMENT) return;
    this.#environments.push({ name, table, list: this.#lists, item: undefined });
  }

  #end(name: string): void {
    this.#flush();
    // What is left open inside is closed with it; an end without its beginning is nobody's.
    const at = this.#environments.findLastIndex((environment) => environment.name === name);
    if (at < 0) return;
    if (this.#environments[at]?.table !== undefined) this.#endRow();
    this.#environments.length = at;
  }

  #command(frame: Frame, name: string, start: number): void {
    const { file } = frame;
    const level = LEVELS.get(name);
    if (level !== undefined) {
      this.#flush();
      this.#option(frame);
      const title = this.#argument(frame);
      if (title !== undefined) this.#heading(file, start, level, title, undefined);
    } else if (NORMATIVE.has(name) || name === "conformance") {
      this.#normative(frame, name, start);
    } else if (name === "label") {
      const label = this.#name(frame);
      if (label !== undefined) this.#label(file, start, label);
    } else if (REFERENCES.has(name)) {
      const label = this.#name(frame);
      if (label !== undefined) this.#reference(file, start, label);
    } else if (name === "hyperref") {
      const label = this.#option(frame);
      if (label !== undefined) this.#reference(file, start, squeeze(label), false);
    } else if (name === "field") {
      const range = this.#argument(frame);
      if (range !== undefined) {
        const text = file.text
          .slice(...range)
          .replace(/\\_/g, "_")
          .replace(/\s/g, " ");
        this.#pieces.push({ file, start: range[0], text, form: "field" });
      }
    } else if (name === "item") {
      this.#item(frame, start);
    } else if (name === "\\\\") {
      this.#option(frame);
      if (this.#table() !== undefined) {
        this.#endRow();
      } else {
        this.#pieces.push({ file, start, text: " ", form: "plain" });
      }
    } else if (INPUTS.has(name)) {
      this.#input(frame, start);
    } else if (name === "lstinputlisting") {
      this.#option(frame);
      const path = this.#name(frame);
      const listed = path === undefined ? undefined : this.#tree.files.get(path);
      if (listed !== undefined && !this.#read.has(listed.path)) {
        this.#read.add(listed.path);
        this.#listing(listed, 0, listed.text);
      }
    } else if (DEFINITIONS.has(name)) {
      this.#argument(frame);
      this.#option(frame);
      this.#argument(frame);
      if (name === "newenvironment") this.#argument(frame);
    } else if (UNREAD.has(name)) {
      this.#option(frame);
      for (let left = UNREAD.get(name) ?? 0; left > 0; left--) this.#argument(frame);
    } else if (this.#table() !== undefined) {
      this.#macroRow(frame, name, start);
    }
  }

  #listing(file: SourceFile, start: number, text: string): void {
    const label = LISTING_LABEL.exec(text.slice(0, LONGEST_LISTING_OPTION))?.[1];
    if (label !== undefined) this.#label(file, start, squeeze(label));
    this.#book.listings.push({ file, start, text, section: this.#section });
  }

  #normative(frame: Frame, name: string, start: number): void {
    const { file } = frame;
    this.#flush();
    const heading = this.#argument(frame);
    const title = this.#argument(frame);
    if (heading === undefined || title === undefined) return;
    const command = file.text.slice(...heading).trim();
    const level = LEVELS.get(command.replace(/^\\/, ""));
    if (level === undefined) return;
    const kind = NORMATIVE.get(name);
    this.#heading(file, start, level, title, kind ?? "conformance");
    if (kind === undefined) return;
    const path = this.#name(frame);
    if (path !== undefined) this.#label(file, start, `${name}:${path}`);
  }

  #heading(
    file: SourceFile,
    start: number,
    level: number,
    title: readonly [number, number],
    kind: SectionKind | undefined,
  ): void {
    let parent: Section | undefined = this.#section;
    while (parent !== undefined && parent.level >= level) parent = parent.parent;
    const text = headingText(file.text.slice(...title));
    const around = parent?.kind ?? "text";
    const section: Section = {
      file,
      start,
      level,
      title: text,
      kind: kind ?? kindOf(text) ?? around,
      parent,
      labels: [],
    };
    this.#section = section;
    this.#book.sections.push(section);
    const piece: Piece = { file, start: title[0], text, form: "plain" };
    this.#book.headings.push(new Paragraph([piece], section, false));
    this.#fresh = true;
  }

  #label(file: SourceFile, start: number, name: string): void {
    const label: Label = { file, start, name, section: this.#section };
    this.#book.labels.push(label);
    if (this.#fresh && this.#pieces.length === 0) this.#section.labels.push(label);
  }

  #reference(file: SourceFile, start: number, name: string, printed = true): void {
    const reference: Reference = { file, start, name, section: this.#section };
    this.#book.references.push(reference);
    for (const { item } of this.#environments) item?.references.push(reference);
    if (printed) this.#pieces.push({ file, start, text: "§", form: "reference" });
  }

  #item(frame: Frame, start: number): void {
    this.#flush();
    const { file } = frame;
    const environment = this.#environments.findLast(({ name }) => LISTS.has(name));
    const label = this.#option(frame);
    let paragraph: Paragraph | undefined;
    if (label !== undefined) {
      const form = label.includes("\\field") ? "field" : "plain";
      const piece: Piece = { file, start, text: headingText(label), form };
      paragraph = new Paragraph([piece], this.#section, false);
    }
    const item: Item = {
      file,
      start,
      label: paragraph,
      body: [],
      references: [],
      list: environment?.list ?? 0,
      section: this.#section,
    };
    if (environment !== undefined) environment.item = item;
    this.#book.items.push(item);
  }

  #input(frame: Frame, start: number): void {
    const { file } = frame;
    const path = this.#name(frame);
    if (path === undefined) return;
    const included = resolve(this.#tree, file, path);
    if (included === undefined) this.#book.missing.push({ file, start, path });
    else this.#enter(included);
  }

  #macroRow(frame: Frame, name: string, start: number): void {
    const { file } = frame;
    const ends: number[] = [];
    let at = frame.at;
    for (;;) {
      const next = skipSpace(file, at);
      const close =
        lexed(file).tokens[next]?.kind === "open" ? (lexed(file).groups[next] ?? -1) : -1;
      if (close < 0) break;
      ends.push(close);
      at = close + 1;
    }
    if (ends.length < ROW_ARGUMENTS) return;
    this.#endRow();
    this.#openRow({ file, start, macro: name, cells: [] });
    ends.forEach((end, index) => {
      frame.cellEnds.set(end, index === ends.length - 1 ? "row" : "cell");
    });
  }

  #table(): Table | undefined {
    return this.#environments.findLast(({ table }) => table !== undefined)?.table;
  }

  #openRow(row: Row): void {
    this.#row = row;
    row.cells.push({ paragraphs: [] });
    this.#table()?.rows.push(row);
  }

  #endCell(): void {
    this.#flush();
    const table = this.#table();
    if (table === undefined) return;
    if (this.#row === undefined) this.#openRow({ ...placeOf(table), macro: undefined, cells: [] });
    this.#row?.cells.push({ paragraphs: [] });
  }

  #endRow(): void {
    this.#flush();
    // A macro's row has a cell more than arguments: the one that the end of the last one opened.
    if (this.#row?.macro !== undefined) this.#row.cells.pop();
    this.#row = undefined;
  }

  #flush(): void {
    const pieces = this.#pieces;
    this.#pieces = [];
    if (pieces.every(({ text }) => text.trim() === "")) return;
    this.#fresh = false;
    const table = this.#table();
    const paragraph = new Paragraph(pieces, this.#section, table !== undefined);
    this.#book.paragraphs.push(paragraph);
    for (const { item } of this.#environments) item?.body.push(paragraph);
    if (table === undefined) return;
    if (this.#row === undefined) {
      const place = pieces.find(({ text }) => text.trim() !== "") ?? table;
      this.#openRow({ ...placeOf(place), macro: undefined, cells: [] });
    }
    this.#row?.cells.at(-1)?.paragraphs.push(paragraph);
  }

  /** The next group, white space before it aside: what is in it, and past it. */
  #argument(frame: Frame): readonly [number, number] | undefined {
    const { file } = frame;
    const open = skipSpace(file, frame.at);
    const close = lexed(file).tokens[open]?.kind === "open" ? (lexed(file).groups[open] ?? -1) : -1;
    if (close < 0) return undefined;
    frame.at = close + 1;
    return [lexed(file).tokens[open]?.end ?? 0, lexed(file).tokens[close]?.start ?? 0];
  }

  /** The next group as a name. */
  #name(frame: Frame): string | undefined {
    const range = this.#argument(frame);
    return range === undefined ? undefined : squeeze(frame.file.text.slice(...range));
  }

  /** What stands in brackets next, or `undefined`. */
  #option(frame: Frame): string | undefined {
    const { file } = frame;
    const open = skipSpace(file, frame.at);
    if (!isBracket(file, open, "[")) return undefined;
    let groups = 0;
    let brackets = 0;
    for (let at = open + 1; at < open + LONGEST_OPTION; at++) {
      const token = lexed(file).tokens[at];
      if (token === undefined || token.kind === "blank") return undefined;
      if (token.kind === "open") groups += 1;
      else if (token.kind === "close") groups -= 1;
      else if (token.kind === "bracket" && groups === 0) {
        if (isBracket(file, at, "[")) brackets += 1;
        else if (brackets > 0) brackets -= 1;
        else {
          frame.at = at + 1;
          return file.text.slice(lexed(file).tokens[open]?.end, token.start);
        }
      }
    }
    return undefined;
  }
}

function placeOf({ file, start }: Place): Place {
  return { file, start };
}

function top(file: SourceFile): Section {
  const none = { title: "", kind: "text", parent: undefined } as const;
  return { file, start: 0, level: -1, labels: [], ...none };
}

function kindOf(title: string): SectionKind | undefined {
  const party = REQUIREMENTS.exec(title)?.[1]?.toLowerCase();
  if (party === "device" || party === "driver") return party;
  return LEGACY.test(title) ? "legacy" : undefined;
}

function isBracket(file: SourceFile, index: number, bracket: "[" | "]"): boolean {
  const token = lexed(file).tokens[index];
  return token?.kind === "bracket" && file.text[token.start] === bracket;
}

function skipSpace(file: SourceFile, index: number): number {
  let at = index;
  for (let token = lexed(file).tokens[at]; token?.kind === "text"; token = lexed(file).tokens[at]) {
    if (file.text.slice(token.start, token.end).trim() !== "") break;
    at += 1;
  }
  return at;
}

/** A heading without its macros. */
function headingText(source: string): string {
  return squeeze(source.replace(/\\_/g, "_").replace(/\\[A-Za-z]+|[{}\\]/g, ""));
}

function resolve(tree: SourceTree, from: SourceFile, path: string): SourceFile | undefined {
  const folder = from.path.slice(0, from.path.lastIndexOf("/") + 1);
  for (const base of new Set(["", folder])) {
    const found = tree.files.get(base + path) ?? tree.files.get(`${base}${path}.tex`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The files that no other includes, then whatever they do not lead to. */
function roots(tree: SourceTree): Iterable<SourceFile> {
  const texts = [...tree.files.values()].filter(({ path }) => path.endsWith(".tex"));
  const included = new Set<SourceFile>();
  for (const file of texts) {
    lexed(file).tokens.forEach(({ kind, name }, index) => {
      if (kind !== "command" || !INPUTS.has(name)) return;
      const open = skipSpace(file, index + 1);
      const close = lexed(file).groups[open] ?? -1;
      if (close < 0) return;
      const path = squeeze(
        file.text.slice(lexed(file).tokens[open]?.end, lexed(file).tokens[close]?.start),
      );
      const found = resolve(tree, file, path);
      if (found !== undefined && found !== file) included.add(found);
    });
  }
  return new Set([...texts.filter((file) => !included.has(file)), ...texts]);
}
