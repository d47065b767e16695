/**
 * The text as a reader meets it: files in the order in which they include each other, cut into
 * sections, paragraphs, list items, tables and listings, with the labels and references in them.
 */
import type { SourceFile } from "./source.ts";

/** A place in the sources. */
export interface Place {
  /** The file. */
  readonly file: SourceFile;
  /** The index of the character. */
  readonly start: number;
}

/**
 * What a section holds: requirements on a device or on a driver, the conformance lists, the legacy
 * interface (whose requirements are listed by section), or description.
 */
export type SectionKind = "text" | "device" | "driver" | "conformance" | "legacy";

/** A section, from its heading to the next of the same level or a higher one. */
export interface Section extends Place {
  /** 0 for a chapter, 5 for a subparagraph, -1 for what stands before the first heading. */
  readonly level: number;
  /** The heading. */
  readonly title: string;
  /** Its own kind, or that of the section around it. */
  readonly kind: SectionKind;
  /** The section around it. */
  readonly parent: Section | undefined;
  /** The labels of the heading. */
  readonly labels: Label[];
}

/** A label that a reference can name. Spaces and line breaks in it count as one space. */
export interface Label extends Place {
  /** The name. */
  readonly name: string;
  /** The section that it stands in. */
  readonly section: Section;
}

/** A reference to a label. */
export interface Reference extends Place {
  /** The name of the label. */
  readonly name: string;
  /** The section that it stands in. */
  readonly section: Section;
}

/** A piece of prose that is the same in the source, character by character. */
export interface Piece extends Place {
  /** The text, line breaks as spaces. */
  readonly text: string;
  /** A field name, the place of a reference, or plain. */
  readonly form: "plain" | "field" | "reference";
}

/** Prose without a break. */
export class Paragraph {
  /** The pieces in order. */
  readonly pieces: readonly Piece[];
  /** The section that it stands in. */
  readonly section: Section;
  /** Whether it is a cell of a table. */
  readonly cell: boolean;
  /** The pieces in one. References read `§`. */
  readonly text: string;
  readonly #starts: readonly number[];

  /** A paragraph of these pieces. */
  constructor(pieces: readonly Piece[], section: Section, cell: boolean) {
    this.pieces = pieces;
    this.section = section;
    this.cell = cell;
    this.text = pieces.map(({ text }) => text).join("");
    let at = 0;
    this.#starts = pieces.map(({ text }) => {
      at += text.length;
      return at - text.length;
    });
  }

  /** Where the character at `index` of {@link text} stands. */
  at(index: number): Place {
    const [piece, start] = this.#pieceAt(index);
    if (piece === undefined) return { file: this.section.file, start: this.section.start };
    return { file: piece.file, start: piece.start + Math.min(index - start, piece.text.length) };
  }

  /** The piece in which the character at `index` is. */
  pieceAt(index: number): Piece | undefined {
    return this.#pieceAt(index)[0];
  }

  /** The pieces that begin in a part of {@link text}. */
  *piecesIn(from: number, to: number): Iterable<Piece> {
    for (let at = this.#indexAt(from); at < this.pieces.length; at++) {
      const start = this.#starts[at] ?? to;
      if (start >= to) return;
      const piece = this.pieces[at];
      if (piece !== undefined && start >= from) yield piece;
    }
  }

  #pieceAt(index: number): [piece: Piece | undefined, start: number] {
    const at = this.#indexAt(index);
    return [this.pieces[at], this.#starts[at] ?? 0];
  }

  #indexAt(index: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** A listing: code that is shown as it is. */
export interface Listing extends Place {
  /** The code. */
  readonly text: string;
  /** The section that it stands in. */
  readonly section: Section;
}

/** An item of a list. */
export interface Item extends Place {
  /** What stands in brackets after `\item`. */
  readonly label: Paragraph | undefined;
  /** Its paragraphs, those of lists within it too. */
  readonly body: Paragraph[];
  /** The references in it. */
  readonly references: Reference[];
  /** Which list it is of: items of one list have the same number. */
  readonly list: number;
  /** The section that it stands in. */
  readonly section: Section;
}

/** A cell of a table. */
export interface Cell {
  /** Its paragraphs. */
  readonly paragraphs: Paragraph[];
}

/** A row of a table. */
export interface Row extends Place {
  /** The macro that the row is made with, if any. */
  readonly macro: string | undefined;
  /** The cells. */
  readonly cells: Cell[];
}

/** A table. */
export interface Table extends Place {
  /** The rows, the heading first. */
  readonly rows: Row[];
  /** The section that it stands in. */
  readonly section: Section;
}

/** The whole text. */
export interface Book {
  /** The sections in reading order. */
  readonly sections: readonly Section[];
  /** The paragraphs in reading order, those of items and cells too, but no headings. */
  readonly paragraphs: readonly Paragraph[];
  /** The headings as prose, in reading order. */
  readonly headings: readonly Paragraph[];
  /** The labels in reading order. */
  readonly labels: readonly Label[];
  /** The references in reading order. */
  readonly references: readonly Reference[];
  /** The listings in reading order. */
  readonly listings: readonly Listing[];
  /** The items in reading order. */
  readonly items: readonly Item[];
  /** The tables in reading order. */
  readonly tables: readonly Table[];
  /** Whether a document begins somewhere: the sources are whole, not chapters alone. */
  readonly whole: boolean;
  /** The paths of `\input` that name no file of the tree. */
  readonly missing: readonly (Place & { readonly path: string })[];
}

/** A text with its white space as the reader sees it: one space, none at the ends. */
export function squeeze(text: string): string {
  return text.replace(/[\s~]+/g, " ").trim();
}

/** The text of a cell. */
export function cellText(cell: Cell | undefined): string {
  return squeeze(cell?.paragraphs.map(({ text }) => text).join(" ") ?? "");
}

/** A section and those around it, from the inside out. */
export function* around(section: Section): Iterable<Section> {
  for (let at: Section | undefined = section; at !== undefined; at = at.parent) yield at;
}
