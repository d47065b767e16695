/** MMIO: the two registers, what devices and drivers have to do about them, and the reserved list. */
import { MMIO_REFERENCE_LAYOUT } from "@virtio-admin/transport-mmio";
import { cellText } from "../../latex/book.ts";
import { numberOf } from "../../latex/c.ts";
import { renderLatexRegisterRows } from "../../render/index.ts";
import { anchorError, endOf, inSection, sectionOf } from "../anchors.ts";
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

const { AdminQueueIndex, AdminQueueNum } = MMIO_REFERENCE_LAYOUT.registers;
const NEW = [AdminQueueIndex, AdminQueueNum];
const TRANSPORT = "Virtio Transport Options / Virtio Over MMIO";
const REGISTERS = `sec:${TRANSPORT} / MMIO Device Register Layout`;
const OPERATION = `${TRANSPORT} / MMIO-specific Initialization And Device Operation`;
const PATH = `${OPERATION} / ${SECTION_TITLE}`;
/** Where the column of offsets is in the macro of a register's row. */
const OFFSET_CELL = 2;

const INDEX = `\\field{${AdminQueueIndex.name}}`;
const NUM = `\\field{${AdminQueueNum.name}}`;
const BOTH = `${INDEX} and ${NUM}`;
const NEGOTIATED = `If ${FEATURE_NAME} has been negotiated`;
const NOT_NEGOTIATED = `If ${FEATURE_NAME} has not been negotiated`;

/** The label of the section that the patch adds. */
export const MMIO_SECTION = `sec:${PATH}`;

/** The patch. */
export const MMIO: Topic = {
  subject: `mmio: add ${AdminQueueIndex.name} and ${AdminQueueNum.name}`,
  body: [
    `${FEATURE_NAME} is reserved on MMIO because the register layout has no place for the index and the number of the administration virtqueues. Since there is a group type that needs no PCI device, administration commands are of use here too.`,
    `Add two read-only registers of 32 bits, ${AdminQueueIndex.name} at 0x${hex(AdminQueueIndex.offset)} and ${AdminQueueNum.name} at 0x${hex(AdminQueueNum.offset)}, with the names and the meaning that PCI has. The offsets are free, and keep clear of those that earlier proposals for message signalled interrupts on MMIO used. Both read zero until the feature is negotiated, so that nothing changes for drivers that do not know it.`,
    "There is no register with the number of other virtqueues: the index is greater than that of any of them, under any features that the device offers. One interrupt serves all virtqueues, as before.",
  ],
  change(draft) {
    const { book } = draft;
    addRows(draft);
    const operation = sectionOf(book, `sec:${OPERATION}`);
    const { file } = operation;
    draft.insertBefore(file, file.lineOf(endOf(book, operation)), [...section(), ""]);
    takeOffReserved(draft, `sec:${TRANSPORT} / Features reserved for future use`, FEATURE_NAME);
    for (const party of ["driver", "device"] as const) {
      const Party = party === "driver" ? "Driver" : "Device";
      const clause = `sec:Conformance / ${Party} Conformance / MMIO ${Party} Conformance`;
      insertReferences(draft, clause, [`${party}normative:${PATH}`]);
    }
  },
};

function hex(offset: number): string {
  return offset.toString(16).padStart(3, "0");
}

/** Puts the rows where their offsets belong. */
function addRows(draft: Draft): void {
  const layout = sectionOf(draft.book, REGISTERS);
  const table = draft.book.tables.find(({ section }) => section === layout);
  const rows = (table?.rows ?? []).flatMap((row) => {
    const offset = numberOf(cellText(row.cells[OFFSET_CELL]));
    return row.macro === undefined || offset === undefined ? [] : [{ row, offset }];
  });
  for (const { name, offset } of NEW) {
    const taken = rows.find((row) => row.offset === offset);
    if (taken !== undefined) {
      throw anchorError(`the offset 0x${hex(offset)}, for ${name},`, inSection(layout), "is taken");
    }
  }
  const next = rows.find(({ offset }) => offset > AdminQueueIndex.offset)?.row;
  if (next === undefined) throw anchorError("the row behind the new registers", inSection(layout));
  const text = renderLatexRegisterRows(MMIO_REFERENCE_LAYOUT, {
    only: NEW.map(({ name }) => name),
  });
  draft.insertBefore(next.file, next.file.lineOf(next.start), text.trimEnd().split("\n"));
}

function section(): string[] {
  return [
    `\\subsubsection{${SECTION_TITLE}}\\label{${MMIO_SECTION}}`,
    "",
    ...paragraphs(
      `${NEGOTIATED}, the virtqueues with indices from ${INDEX} to ${INDEX} + ${NUM} - 1 are the device's administration virtqueues (see ${reference(ADMIN_VIRTQUEUES)}). The driver sets them up, notifies the device of them, stops and resets them as it does with any other virtqueue, and their used buffer notifications assert the same interrupt.`,
      `The values of ${BOTH} do not change while the feature is negotiated, and are not part of what \\field{ConfigGeneration} covers.`,
    ),
    ...requirementLines({
      path: PATH,
      level: "paragraph",
      device: [
        `${NOT_NEGOTIATED}, the device MUST present 0 in ${BOTH}. In particular, it MUST do so on reset and until it presents FEATURES_OK with the feature accepted.`,
        `${NEGOTIATED}, the device MUST present in ${INDEX} a value that is greater than the index of any other virtqueue that it can expose with any set of the features it offers, and in ${NUM} a value of at least 1 and at most 0x10000 - ${INDEX}.`,
        `The device MUST present 0 in bits 16 to 31 of ${BOTH}.`,
        `${NEGOTIATED}, the device MUST NOT change the values of ${BOTH} until it is reset.`,
        `${NOT_NEGOTIATED}, the device MUST present 0 in \\field{QueueSizeMax} for the indices of administration virtqueues and MUST ignore writes of these indices to \\field{QueueNotify}.`,
      ],
      driver: [
        `${NOT_NEGOTIATED}, the driver MUST NOT read ${INDEX} or ${NUM}.`,
        `The driver MUST ignore bits 16 to 31 of ${BOTH}.`,
        `${NEGOTIATED} and ${NUM} is 0, the driver MUST assume that the device has no administration virtqueue; it SHOULD continue without.`,
        `If the driver configures any administration virtqueues, it MUST configure them with indices from ${INDEX} to ${INDEX} + ${NUM} - 1. It MAY leave some of them unconfigured.`,
        `If ${INDEX} + ${NUM} is greater than 0x10000, the driver MUST NOT configure any administration virtqueue, and SHOULD set the FAILED \\field{device status} bit.`,
      ],
    }),
  ];
}
