/** Channel I/O: what a virtqueue that is not there answers, which the other transports do say. */
import { anchorError, inSection, lastLineOf, requirementsIn, sectionOf } from "../anchors.ts";
import { paragraphs, type Topic } from "../topic.ts";

const SECTION =
  "sec:Virtio Transport Options / Virtio over channel I/O / Device Initialization / Configuring a Virtqueue";
const FIELD = "max_queue_size";
const SIZE = `\\field{${FIELD}}`;

/** The patch. */
export const CCW_QUEUE_SIZE: Topic = {
  subject: "ccw: say what a virtqueue that is not available answers",
  body: [
    `On PCI and MMIO a virtqueue that is not available has the size 0. Nothing says so for CCW_CMD_READ_VQ_CONF, by which a driver finds out how many virtqueues there are. Say it here too.`,
  ],
  change(draft) {
    const { book } = draft;
    const section = sectionOf(book, SECTION);
    const described = book.paragraphs.find(
      (paragraph) =>
        paragraph.section === section &&
        paragraph.pieces.some(({ form, text }) => form === "field" && text.trim() === FIELD),
    );
    const last = described?.pieces.at(-1);
    if (described === undefined || last === undefined) {
      throw anchorError(`the paragraph on ${FIELD}`, inSection(section));
    }
    const end = last.file.text.slice(0, last.start + last.text.trimEnd().length);
    draft.insertAfter(last.file, last.file.lineOf(end.length), [
      "",
      ...paragraphs(`A ${SIZE} of 0 means that the virtqueue is not available.`),
    ]);
    const device = requirementsIn(book, section, "device");
    draft.insertAfter(device.file, lastLineOf(book, device), [
      "",
      ...paragraphs(
        `If the virtqueue with the index \\field{index} is not available, the device MUST return 0 in ${SIZE}.`,
      ),
    ]);
  },
};
