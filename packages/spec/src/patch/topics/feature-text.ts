/** What the feature's own entry says of transports: no longer that there is only one. */
import { FEATURE } from "@virtio-admin/core";
import { anchorError, inSection, itemIn, lastTextBefore, sectionOf } from "../anchors.ts";
import { ADMIN_VIRTQUEUES, FEATURE_NAME, paragraphs, reference, type Topic } from "../topic.ts";
import { CCW_SECTION } from "./ccw.ts";
import { MMIO_SECTION } from "./mmio.ts";

const CHAPTER = "sec:Reserved Feature Bits";
const PCI_SECTION =
  "sec:Virtio Transport Options / Virtio Over PCI Bus / PCI Device Layout / Common configuration structure layout";

/** The patch. */
export const FEATURE_TEXT: Topic = {
  subject: `content: allow ${FEATURE_NAME} on MMIO and channel I/O`,
  body: [
    `With the registers of MMIO and the command of channel I/O, every transport has a place for the index and the number of the administration virtqueues. ${FEATURE_NAME} is no longer reserved on any of them: refer to the three places instead.`,
  ],
  change(draft) {
    const { book } = draft;
    const chapter = sectionOf(book, CHAPTER);
    const name = `${FEATURE_NAME}(${FEATURE.VIRTIO_F_ADMIN_VQ})`;
    const item = itemIn(book, chapter, name);
    for (const label of [ADMIN_VIRTQUEUES, PCI_SECTION, MMIO_SECTION, CCW_SECTION]) {
      sectionOf(book, label);
    }
    const { file } = item;
    const next = book.items.find(({ list, start }) => list === item.list && start > item.start);
    const end = next?.start ?? file.text.indexOf("\\end{description}", item.start);
    if (end < 0) throw anchorError(`the end of the item ${name}`, inSection(chapter));
    const from = file.lineOf(item.start);
    const indent = /^\s*/.exec(file.line(from))?.[0] ?? "";
    const [first = "", ...rest] = paragraphs(
      `\\item[${name}] A device with this feature has at least one administration virtqueue (see ${reference(ADMIN_VIRTQUEUES)}). Where the driver finds their index and their number is transport specific: for PCI see ${reference(PCI_SECTION)}, for MMIO ${reference(MMIO_SECTION)}, and for channel I/O ${reference(CCW_SECTION)}.`,
    );
    draft.replace(file, from, lastTextBefore(file, end), [
      `${indent}${first}`,
      ...rest.map((line) => `${indent}${line}`),
    ]);
  },
};
