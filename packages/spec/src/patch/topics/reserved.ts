/** The lists of features that a transport reserves. */
import { anchorError, endOf, itemIn, lastTextBefore, sectionOf } from "../anchors.ts";
import type { Draft } from "../draft.ts";

/**
 * Takes a feature off the list in the section with this label; a list that would be empty goes with
 * its section.
 */
export function takeOffReserved(draft: Draft, label: string, feature: string): void {
  const { book } = draft;
  const section = sectionOf(book, label);
  const { file } = section;
  const item = itemIn(book, section, feature);
  const others = book.items.filter(({ list }) => list === item.list);
  const line = file.lineOf(item.start);
  if (others.length > 1) {
    draft.replace(file, line, line, []);
    return;
  }
  const reference = book.references.find(({ name }) => name === label);
  if (reference !== undefined) {
    throw anchorError(`the section labelled "${label}"`, reference.file.path, "is referred to");
  }
  const end = endOf(book, section);
  // What was before the section ends the file when the section did.
  const from =
    end >= file.text.trimEnd().length
      ? lastTextBefore(file, section.start) + 1
      : file.lineOf(section.start);
  const to = end >= file.text.trimEnd().length ? lastTextBefore(file, end) : file.lineOf(end) - 1;
  draft.replace(file, from, to, []);
}
