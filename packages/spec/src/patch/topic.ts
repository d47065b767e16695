/** What a topic of the series is, and the words that several of them use. */
import type { Draft } from "./draft.ts";
import { type Message, wrap } from "./mail.ts";

/** One topic: a patch of the series. */
export interface Topic extends Message {
  /**
   * Collects the changes. A topic that finds its text there already changes nothing and is left out.
   *
   * @throws VirtioError `SPEC_ANCHOR` when a place is not there
   */
  readonly change: (draft: Draft) => void;
}

/** The feature that the series is about. */
export const FEATURE_NAME = "VIRTIO_F_ADMIN_VQ";
/** The title of every section that the series adds. */
export const SECTION_TITLE = "Administration Virtqueues";
/** The section of the text that says what administration virtqueues are. */
export const ADMIN_VIRTQUEUES =
  "sec:Basic Facilities of a Virtio Device / Administration Virtqueues";

/** A reference to a section, by number and by title. */
export function reference(label: string): string {
  return `\\ref{${label}}~\\nameref{${label}}`;
}

/** Paragraphs as lines, an empty line between two. References are not broken. */
export function paragraphs(...texts: readonly string[]): string[] {
  return texts.flatMap((text, index) => [...(index === 0 ? [] : [""]), ...lines(text)]);
}

const KEPT_SPACE = "\u0001";

function lines(text: string): string[] {
  const kept = text.replace(/\\(?:name)?ref\{[^}]*\}/g, (ref) => ref.replace(/ /g, KEPT_SPACE));
  return wrap(kept).replaceAll(KEPT_SPACE, " ").split("\n");
}

/** Where a section of requirements of the series stands. */
export interface Requirements {
  /** The label without its prefix. */
  readonly path: string;
  /** The sectioning command. */
  readonly level: "subsubsection" | "paragraph" | "subparagraph";
  /** What is required, a paragraph each. */
  readonly device: readonly string[];
  /** The same of drivers. */
  readonly driver: readonly string[];
}

/** The two sections of requirements, an empty line before each. */
export function requirementLines({ path, level, device, driver }: Requirements): string[] {
  const section = (party: string, rules: readonly string[]): string[] => [
    "",
    `\\${party}normative{\\${level}}{${SECTION_TITLE}}{${path}}`,
    "",
    ...paragraphs(...rules),
  ];
  return [...section("device", device), ...section("driver", driver)];
}
