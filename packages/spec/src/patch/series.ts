/** The series: the topics in order, each against the tree that those before it leave. */
import type { SourceTree } from "../latex/source.ts";
import { Draft } from "./draft.ts";
import { type Author, patchMail, patchName } from "./mail.ts";
import type { Topic } from "./topic.ts";
import { CCW } from "./topics/ccw.ts";
import { CCW_QUEUE_SIZE } from "./topics/ccw-queue-size.ts";
import { CONFORMANCE } from "./topics/conformance.ts";
import { FEATURE_TEXT } from "./topics/feature-text.ts";
import { MMIO } from "./topics/mmio.ts";
import { TRANSPORTS } from "./topics/transports.ts";

/**
 * The range that gives bit 41 to device types is not among them: the network device has an old feature
 * of that number, and the range says so on purpose. Both cannot be mended by an editor.
 */
const TOPICS: readonly Topic[] = [CONFORMANCE, TRANSPORTS, MMIO, CCW_QUEUE_SIZE, CCW, FEATURE_TEXT];

/** Who the patches are from when nobody says; to be replaced before they are sent. */
export const DEFAULT_AUTHOR = "Spec Author <spec-author@example.org>";

/** A patch of the series. */
export interface SpecPatch {
  /** The name of its file: `0001-….patch`. */
  readonly name: string;
  /** The first line of its message. */
  readonly subject: string;
  /** The mail, as `git am` takes it. */
  readonly text: string;
}

/** The series and what it leads to. */
export interface SpecSeries {
  /** The patches in order. */
  readonly patches: readonly SpecPatch[];
  /** The tree with all of them applied. */
  readonly patched: SourceTree;
}

/**
 * The patches that give VIRTIO_F_ADMIN_VQ a place on MMIO and channel I/O: registers, command and
 * revision as this project's layouts declare them, the requirements on both halves, the lists of
 * what is reserved and of what conformance asks for. A topic whose text is there already is left out.
 *
 * @throws VirtioError `SPEC_ANCHOR`, its `path` a file and section, when a place in the sources is
 * not there or not as in virtio 1.4; then there is no patch at all
 */
export function specPatches(tree: SourceTree, author: Partial<Author> = {}): SpecSeries {
  const { from = DEFAULT_AUTHOR, date = new Date(), signOff = false } = author;
  let patched = tree;
  const drafts: (readonly [Topic, Draft])[] = [];
  for (const topic of TOPICS) {
    const draft = new Draft(patched);
    topic.change(draft);
    if (draft.files.length === 0) continue;
    drafts.push([topic, draft]);
    patched = draft.apply();
  }
  const patches = drafts.map(([topic, { files }], index) => ({
    name: patchName(index + 1, topic.subject),
    subject: topic.subject,
    text: patchMail(topic, files, { from, date, signOff }, index + 1, drafts.length),
  }));
  return { patches, patched };
}
