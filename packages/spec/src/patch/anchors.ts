/**
 * Places in the sources that changes hang on. They are found by structure: labels, section commands,
 * macros, rows, items. A place that is not there is named in the error; nothing is guessed.
 */
import { VirtioError } from "@virtio-admin/core";
import {
  type Book,
  type Item,
  type Listing,
  type Place,
  type Reference,
  type Section,
  squeeze,
  type Table,
} from "../latex/book.ts";
import type { SourceFile } from "../latex/source.ts";

/** The error about a place that is not there, or not as it has to be. */
export function anchorError(what: string, where: string, message = "is not there"): VirtioError {
  return new VirtioError("SPEC_ANCHOR", {
    path: where,
    message: `${what} ${message}`,
    hint: "the patches are made for the sources of virtio 1.4; for others the text has to be found by hand",
  });
}

/** The section with a label. */
export function sectionOf(book: Book, label: string): Section {
  const found = book.sections.find(({ labels }) => labels.some(({ name }) => name === label));
  if (found === undefined) throw anchorError(`the section labelled "${label}"`, "sources");
  return found;
}

/** The requirements on a device or a driver that stand in a section under its own title. */
export function requirementsIn(book: Book, parent: Section, kind: "device" | "driver"): Section {
  const isIn = within(book, parent);
  const found = book.sections.find(
    (section) => section.kind === kind && section.title === parent.title && isIn(section),
  );
  if (found === undefined) throw anchorError(`the ${kind} requirements`, inSection(parent));
  return found;
}

/** Where a section ends in its file, subsections included. */
export function endOf(book: Book, section: Section): number {
  const next = book.sections.find(
    ({ file, start, level }) =>
      file === section.file && start > section.start && level <= section.level,
  );
  return next?.start ?? section.file.text.length;
}

/** The line before which a block goes that is to end a section: behind the last line with text. */
export function lastLineOf(book: Book, section: Section): number {
  return lastTextBefore(section.file, endOf(book, section));
}

/** The line of the last text before an offset. */
export function lastTextBefore(file: SourceFile, offset: number): number {
  return file.lineOf(file.text.slice(0, offset).trimEnd().length);
}

/** What tells whether something stands in a section, subsections included. */
export function within(book: Book, section: Section): (place: Place) => boolean {
  const end = endOf(book, section);
  return ({ file, start }) => file === section.file && start >= section.start && start < end;
}

/** The first table in a section. */
export function tableIn(book: Book, section: Section): Table {
  const found = book.tables.find(within(book, section));
  if (found === undefined) throw anchorError("the table", inSection(section));
  return found;
}

/** The first listing in a section that contains a text. */
export function listingIn(book: Book, section: Section, text: string): Listing {
  const isIn = within(book, section);
  const found = book.listings.find((listing) => isIn(listing) && listing.text.includes(text));
  if (found === undefined) throw anchorError(`the listing with ${text}`, inSection(section));
  return found;
}

/** The item in a section that says nothing but this, or has it as its label. */
export function itemIn(book: Book, section: Section, text: string): Item {
  const isIn = within(book, section);
  const found = book.items.find((item) => isIn(item) && itemText(item) === text);
  if (found === undefined) throw anchorError(`the item ${text}`, inSection(section));
  return found;
}

/** An item's label without spaces, or its text when it has no label. */
function itemText({ label, body }: Item): string {
  if (label !== undefined) return squeeze(label.text).replace(/\s/g, "");
  return squeeze(body.map(({ text }) => text).join(" "));
}

/** The references of a conformance clause, in order. */
export function clauseOf(book: Book, label: string): readonly Reference[] {
  const section = sectionOf(book, label);
  const listed = book.references.filter((reference) => reference.section === section);
  if (listed.length === 0) throw anchorError("the list of requirements", inSection(section));
  return listed;
}

/** `file: section`. */
export function inSection(section: Section): string {
  return `${section.file.path}: ${section.title}`;
}
