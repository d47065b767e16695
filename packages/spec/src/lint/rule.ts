/** What a rule of the linter is, what it finds, and what all rules look at. */
import {
  around,
  type Book,
  type Listing,
  type Paragraph,
  type Place,
  type Section,
} from "../latex/book.ts";
import { type Declarations, declarationsOf, type Struct } from "../latex/c.ts";
import { readBook } from "../latex/reader.ts";
import type { SourceTree } from "../latex/source.ts";

/** One thing that a rule found. */
export interface Finding {
  /** The rule's name. */
  readonly rule: string;
  /** The path of the file in the tree. */
  readonly file: string;
  /** The line, from 1. */
  readonly line: number;
  /** What is wrong, and what it was compared with. */
  readonly message: string;
}

/** Takes what a rule found, at a place. */
export type Report = (place: Place, message: string) => void;

/** A rule of the linter. It names no file, line or identifier of any version of the text. */
export interface LintRule {
  /** Its name. */
  readonly name: string;
  /** What it finds, in a few words. */
  readonly doc: string;
  /** True when it was written for one known defect, because judging takes more than comparing. */
  readonly judgement?: true;
  /** True when it says nothing of the chapters alone: what they refer to may be elsewhere. */
  readonly whole?: true;
}

/** A rule with what it does. */
export interface Rule extends LintRule {
  /** Looks through the text. */
  readonly check: (text: LintText, report: Report) => void;
}

/** A listing with what it declares. */
export interface Code extends Listing {
  /** What it declares. */
  readonly declarations: Declarations;
}

/** A structure where it is declared. */
export interface DeclaredStruct extends Place {
  /** The structure. */
  readonly struct: Struct;
  /** The listing. */
  readonly code: Code;
}

/** A sentence of a paragraph. */
export interface Sentence {
  /** The words, as they stand in the paragraph. */
  readonly text: string;
  /** Where it begins in the paragraph. */
  readonly start: number;
  /** The paragraph. */
  readonly paragraph: Paragraph;
}

/** The text that is linted, with what several rules need of it; made once, when first asked for. */
export class LintText {
  /** The files. */
  readonly tree: SourceTree;
  /** The text as it is read. */
  readonly book: Book;
  #codes: readonly Code[] | undefined;
  #structs: ReadonlyMap<string, readonly DeclaredStruct[]> | undefined;
  #sentences: readonly Sentence[] | undefined;

  /** The text of a tree. */
  constructor(tree: SourceTree) {
    this.tree = tree;
    this.book = readBook(tree);
  }

  /** The listings with what they declare. */
  get codes(): readonly Code[] {
    this.#codes ??= this.book.listings.map((listing) => ({
      ...listing,
      declarations: declarationsOf(listing.text),
    }));
    return this.#codes;
  }

  /** The structures by name, in reading order. */
  get structs(): ReadonlyMap<string, readonly DeclaredStruct[]> {
    if (this.#structs === undefined) {
      const structs = new Map<string, DeclaredStruct[]>();
      for (const code of this.codes) {
        for (const struct of code.declarations.structs) {
          const { file } = code;
          const declared = { struct, code, file, start: code.start + struct.at };
          const known = structs.get(struct.name);
          if (known === undefined) structs.set(struct.name, [declared]);
          else known.push(declared);
        }
      }
      this.#structs = structs;
    }
    return this.#structs;
  }

  /** Of every structure the first declaration, for sizes. */
  firstStructs(): ReadonlyMap<string, Struct> {
    const first = new Map<string, Struct>();
    for (const [name, [declared]] of this.structs) {
      if (declared !== undefined) first.set(name, declared.struct);
    }
    return first;
  }

  /** The sentences in reading order. */
  get sentences(): readonly Sentence[] {
    this.#sentences ??= this.book.paragraphs.flatMap(sentencesOf);
    return this.#sentences;
  }
}

/** What ends with a full stop and goes on. */
const ABBREVIATION = /(?:^|[\s(])(?:e\.g|i\.e|eg|etc|vs|p|cf|resp|Note)$/;
const LONGEST_ABBREVIATION = 8;

/** The sentences of a paragraph. */
function sentencesOf(paragraph: Paragraph): Sentence[] {
  const { text } = paragraph;
  const sentences: Sentence[] = [];
  let start = 0;
  const cut = (end: number): void => {
    const raw = text.slice(start, end);
    const words = raw.trim();
    const lead = raw.length - raw.trimStart().length;
    if (words !== "") sentences.push({ text: words, start: start + lead, paragraph });
    start = end;
  };
  for (const { index } of text.matchAll(/[.;:](?=\s|$)/g)) {
    if (text[index] === ".") {
      const before = text.slice(Math.max(start, index - LONGEST_ABBREVIATION), index);
      if (ABBREVIATION.test(before)) continue;
    }
    cut(index + 1);
  }
  cut(text.length);
  return sentences;
}

/** Whether a section is another one or in it. */
export function isWithin(section: Section, outer: Section): boolean {
  for (const at of around(section)) if (at === outer) return true;
  return false;
}

/** The chapter of a section, or what stands before the first. */
export function chapterOf(section: Section): Section {
  let chapter = section;
  for (const at of around(section)) if (at.level >= 0) chapter = at;
  return chapter;
}

/** `file:line` of a place. */
export function placeText({ file, start }: Place): string {
  return `${file.path}:${file.lineOf(start)}`;
}
