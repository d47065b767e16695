/** What every transport has to have for administration virtqueues: one sentence for all of them. */
import { lastLineOf, sectionOf } from "../anchors.ts";
import { ADMIN_VIRTQUEUES, FEATURE_NAME, paragraphs, reference, type Topic } from "../topic.ts";

const CHAPTER = "sec:Creating New Transports";

/** The patch. */
export const TRANSPORTS: Topic = {
  subject: "newtransport: say what administration virtqueues need of a transport",
  body: [
    `The requirements on transports say nothing of ${FEATURE_NAME}: each one had to find out that a driver needs the index and the number of the administration virtqueues, and that administration commands do not follow the byte order of the transport. Say so once.`,
  ],
  change(draft) {
    const chapter = sectionOf(draft.book, CHAPTER);
    sectionOf(draft.book, ADMIN_VIRTQUEUES);
    draft.insertAfter(chapter.file, lastLineOf(draft.book, chapter), [
      "",
      ...paragraphs(
        `A transport that supports ${FEATURE_NAME} provides a mechanism for the driver to read the index of the first administration virtqueue and the number of administration virtqueues once the feature has been negotiated (see ${reference(ADMIN_VIRTQUEUES)}). Group administration commands are little-endian on every transport, whatever the byte order of the transport's own structures.`,
      ),
    ]);
  },
};
