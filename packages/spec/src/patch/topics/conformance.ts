/** The requirements on commands and virtqueues of administration, listed where conformance is. */
import { anchorError, clauseOf } from "../anchors.ts";
import type { Draft } from "../draft.ts";
import type { Topic } from "../topic.ts";

const FACILITIES = "Basic Facilities of a Virtio Device";
const GROUPS = `${FACILITIES} / Device groups`;
const PATHS = [
  `${GROUPS} / Group administration commands`,
  `${FACILITIES} / Administration virtqueues`,
];

/** The patch. */
export const CONFORMANCE: Topic = {
  subject: "conformance: list the requirements on administration commands and virtqueues",
  body: [
    "The sections of requirements on group administration commands and on administration virtqueues are in no conformance clause, so that nobody has to keep to them. List them for devices and for drivers: other transports are about to rely on them.",
  ],
  change(draft) {
    for (const party of ["driver", "device"]) {
      const Party = party === "driver" ? "Driver" : "Device";
      list(
        draft,
        `sec:Conformance / ${Party} Conformance`,
        PATHS.map((path) => `${party}normative:${path}`),
        `${party}normative:${GROUPS} /`,
      );
    }
  },
};

/**
 * Lists labels in a clause: before what begins with `before`, or at its end. Those that are listed
 * stay where they are.
 */
export function list(
  draft: Draft,
  clause: string,
  labels: readonly string[],
  before?: string,
): void {
  const listed = clauseOf(draft.book, clause);
  const missing = labels.filter((label) => !listed.some(({ name }) => name === label));
  for (const label of missing) {
    if (draft.book.labels.some(({ name }) => name === label)) continue;
    throw anchorError(`the section labelled "${label}"`, "sources");
  }
  insertReferences(draft, clause, missing, before);
}

/** Puts references to labels into a clause, whether or not the labels are there yet. */
export function insertReferences(
  draft: Draft,
  clause: string,
  labels: readonly string[],
  before?: string,
): void {
  const listed = clauseOf(draft.book, clause);
  const lines = labels.map((label) => `\\item \\ref{${label}}`);
  const next =
    before === undefined ? undefined : listed.find(({ name }) => name.startsWith(before));
  const last = listed.at(-1);
  if (lines.length === 0 || last === undefined) return;
  if (next !== undefined) draft.insertBefore(next.file, next.file.lineOf(next.start), lines);
  else draft.insertAfter(last.file, last.file.lineOf(last.start), lines);
}
