/** Channel I/O: the command and its revision, what they require, and the reserved list. */
import { ADMIN_VQ_BLOCK, CCW_REFERENCE_LAYOUT } from "@virtio-admin/transport-ccw";
import { cellText } from "../../latex/book.ts";
import { renderLatexCommands, renderLatexStruct } from "../../render/index.ts";
import { anchorError, endOf, inSection, listingIn, sectionOf, tableIn } from "../anchors.ts";
import type { Draft } from "../draft.ts";
import {
  ADMIN_VIRTQUEUES,
  FEATURE_NAME,
  paragraphs,
  reference,
  requirementLines,
  SECTION_TITLE,
  type Topic,
} from "../topic.ts";
import { insertReferences } from "./conformance.ts";
import { takeOffReserved } from "./reserved.ts";

const { READ_ADMIN_VQ } = CCW_REFERENCE_LAYOUT.commands;
const PREFIX = "CCW_CMD_";
const COMMAND = `${PREFIX}${READ_ADMIN_VQ.name}`;
const REVISION = READ_ADMIN_VQ.gate?.revision ?? 0;
const TRANSPORT = "Virtio Transport Options / Virtio over channel I/O";
const INITIALIZATION = `${TRANSPORT} / Device Initialization`;
const COMMANDS = `sec:${TRANSPORT} / Basic Concepts/ Channel Commands for Virtio`;
const REVISIONS = `sec:${INITIALIZATION} / Setting the Virtio Revision`;
const CONFIGURING = `sec:${INITIALIZATION} / Configuring a Virtqueue`;
const PATH = `${INITIALIZATION} / ${SECTION_TITLE}`;

const INDEX = `\\field{${ADMIN_VQ_BLOCK.fields.admin_queue_index.name}}`;
const NUM = `\\field{${ADMIN_VQ_BLOCK.fields.admin_queue_num.name}}`;
const NEGOTIATED = `If ${FEATURE_NAME} has been negotiated`;
/** The highest index that has a bit among the classic indicators. */
const HIGHEST_CLASSIC = 63;

/** The label of the section that the patch adds. */
export const CCW_SECTION = `sec:${PATH}`;

/** The patch. */
export const CCW: Topic = {
  subject: `ccw: add revision ${REVISION} with ${COMMAND}`,
  body: [
    `${FEATURE_NAME} is reserved on channel I/O because no command tells the index and the number of the administration virtqueues. Since there is a group type that needs no PCI device, administration commands are of use here too.`,
    `Add ${COMMAND}, code 0x${READ_ADMIN_VQ.code.toString(16)}: a free code of those whose low bits say that the device stores data. A device rejects commands that are not of the selected revision, and features are known later only, so that the command comes with a revision of its own; below it the feature is not offered.`,
    "Indicators are by the index of a virtqueue: say that administration virtqueues are directly behind the others, and what becomes of those that the classic indicators have no bit for.",
  ],
  change(draft) {
    const { book } = draft;
    addCommand(draft);
    addRevision(draft);
    const configuring = sectionOf(book, CONFIGURING);
    const { file } = configuring;
    draft.insertBefore(file, file.lineOf(endOf(book, configuring)), [...section(), ""]);
    takeOffReserved(draft, `sec:${TRANSPORT} / Features reserved for future use`, FEATURE_NAME);
    for (const party of ["driver", "device"] as const) {
      const Party = party === "driver" ? "Driver" : "Device";
      const clause = `sec:Conformance / ${Party} Conformance / Channel I/O ${Party} Conformance`;
      insertReferences(draft, clause, [`${party}normative:${PATH}`]);
    }
  },
};

/** Behind the last command that is defined. */
function addCommand(draft: Draft): void {
  const section = sectionOf(draft.book, COMMANDS);
  const listing = listingIn(draft.book, section, `#define ${PREFIX}`);
  const defined = [...listing.text.matchAll(/^#define (\w+) (0x[\dA-Fa-f]+)/gm)];
  const code = `0x${READ_ADMIN_VQ.code.toString(16)}`;
  const taken = defined.find(([, name, value]) => name === COMMAND || value === code);
  const last = defined.at(-1);
  if (taken !== undefined || last === undefined) {
    throw anchorError(`the code ${code}, for ${COMMAND},`, inSection(section), "is taken");
  }
  const text = renderLatexCommands(CCW_REFERENCE_LAYOUT, { only: [READ_ADMIN_VQ.name] });
  const { file } = listing;
  draft.insertAfter(file, file.lineOf(listing.start + last.index), text.trimEnd().split("\n"));
}

/** Before the row that reserves all revisions from this one on, which then begins one later. */
function addRevision(draft: Draft): void {
  const section = sectionOf(draft.book, REVISIONS);
  const table = tableIn(draft.book, section);
  const row = table.rows.find(({ cells }) => cellText(cells[0]) === `${REVISION}-n`);
  if (row === undefined) {
    throw anchorError(`the row that reserves revision ${REVISION}`, inSection(section));
  }
  const { file } = row;
  const line = file.lineOf(row.start + leading(file.text.slice(row.start)));
  const text = file.line(line);
  const reserved = text.replace(`${REVISION}-n`, `${REVISION + 1}-n`);
  // The columns of the row that is there: its neighbour is to look like it.
  const columns = text.split("&").map((cell) => cell.length);
  const cells = [String(REVISION), " 0", " <empty>", ` ${COMMAND} support`];
  const added = cells.map((cell, index) => {
    return index === cells.length - 1 ? cell : cell.padEnd(columns[index] ?? 0);
  });
  draft.replace(file, line, line, [`${added.join("&")} \\\\`, "\\hline", reserved]);
}

function leading(text: string): number {
  return text.length - text.trimStart().length;
}

function section(): string[] {
  return [
    `\\subsubsection{${SECTION_TITLE}}\\label{${CCW_SECTION}}`,
    "",
    ...paragraphs(
      `With revision ${REVISION}, ${COMMAND} is defined. It is issued by the driver to obtain the index of the first administration virtqueue and the number of administration virtqueues (see ${reference(ADMIN_VIRTQUEUES)}). The device stores the following structure:`,
    ),
    "",
    ...renderLatexStruct(ADMIN_VQ_BLOCK).trimEnd().split("\n"),
    "",
    ...paragraphs(
      `${NEGOTIATED}, the virtqueues with indices from ${INDEX} to ${INDEX} + ${NUM} - 1 are the device's administration virtqueues. The driver configures them and notifies the device of them as it does with any other virtqueue, and their used buffer notifications use the indicators that their indices have.`,
      `Revisions after ${REVISION} append to the structure only. The structure is big-endian, as all structures of this transport are; group administration commands are little-endian here as well.`,
    ),
    ...requirementLines({
      path: PATH,
      level: "paragraph",
      device: [
        `The device MUST NOT offer ${FEATURE_NAME} unless at least revision ${REVISION} has been selected. If it has not, the device MUST post a unit check with command reject to any ${COMMAND} command.`,
        `If ${FEATURE_NAME} has not been negotiated, the device MUST return 0 in both ${INDEX} and ${NUM}, and MUST post a unit check with command reject to any CCW_CMD_SET_VQ command for an administration virtqueue.`,
        `${NEGOTIATED}, the device MUST return in ${INDEX} one more than the highest index of any other virtqueue that it can expose with any set of the features it offers, and in ${NUM} a value of at least 1 and at most 0x10000 - ${INDEX}. The device MUST NOT change these values until it is reset.`,
        `The device MUST NOT set the indicator bit of a virtqueue that the driver has not configured.`,
        `If the driver has configured a virtqueue with an index greater than ${HIGHEST_CLASSIC}, the device MUST post a unit check with command reject to any CCW_CMD_SET_IND command. After a successful CCW_CMD_SET_IND command, the device MUST post a unit check with command reject to any CCW_CMD_SET_VQ command for such a virtqueue.`,
      ],
      driver: [
        `The driver MUST NOT accept ${FEATURE_NAME}, even if it is offered, unless at least revision ${REVISION} has been selected.`,
        `The driver MUST NOT issue ${COMMAND} unless ${FEATURE_NAME} has been negotiated.`,
        `If ${NUM} is 0, the driver MUST assume that the device has no administration virtqueue; it SHOULD continue without.`,
        `If the driver configures any administration virtqueues, it MUST configure them with indices from ${INDEX} to ${INDEX} + ${NUM} - 1. It MAY leave some of them unconfigured.`,
        `If ${INDEX} + ${NUM} is greater than 0x10000, the driver MUST NOT configure any administration virtqueue, and SHOULD set the FAILED \\field{device status} bit.`,
        `If the driver uses classic queue indicators, it MUST NOT configure a virtqueue with an index greater than ${HIGHEST_CLASSIC}. If it uses two-stage queue indicators, it MUST provide an indicator bit for every index up to the highest that it configures.`,
      ],
    }),
  ];
}
