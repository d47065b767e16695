/** Which range bit 41 is in: that of the queue and feature negotiation mechanisms, as its chapter says. */
import { FEATURE } from "@virtio-admin/core";
import { squeeze } from "../../latex/book.ts";
import { bitRanges } from "../../lint/numbers.ts";
import { anchorError } from "../anchors.ts";
import type { Draft } from "../draft.ts";
import { FEATURE_NAME, type Topic } from "../topic.ts";

const BIT = FEATURE.VIRTIO_F_ADMIN_VQ;
const CHAPTER = "sec:Reserved Feature Bits";

type Ranges = readonly { readonly from: number; readonly to: number }[];

/** The patch. */
export const FEATURE_BITS: Topic = {
  subject: `content: count ${FEATURE_NAME} among the bits of feature negotiation`,
  body: [
    `The list of feature bits gives bit ${BIT} to the device types, while the chapter on reserved feature bits defines it as ${FEATURE_NAME} for all of them. Move it to the range that refers to this chapter.`,
  ],
  change(draft) {
    const entries = draft.book.items.flatMap((item) => {
      const ranges = bitRanges(squeeze(item.label?.text ?? ""));
      return ranges === undefined ? [] : [{ item, ranges }];
    });
    const home = entries.find(({ item }) => item.references.some(({ name }) => name === CHAPTER));
    if (home === undefined) {
      throw anchorError(`the range of feature bits that refers to "${CHAPTER}"`, "sources");
    }
    if (has(home.ranges)) return;
    const other = entries.find(({ item, ranges }) => item.list === home.item.list && has(ranges));
    if (other !== undefined) relabel(draft, other.item, without(other.ranges));
    relabel(draft, home.item, joined([...home.ranges, { from: BIT, to: BIT }]));
  },
};

function has(ranges: Ranges): boolean {
  return ranges.some(({ from, to }) => from <= BIT && BIT <= to);
}

function without(ranges: Ranges): Ranges {
  return ranges.flatMap(({ from, to }) => {
    if (BIT < from || to < BIT) return [{ from, to }];
    const parts = [
      { from, to: BIT - 1 },
      { from: BIT + 1, to },
    ];
    return parts.filter((part) => part.from <= part.to);
  });
}

function joined(ranges: Ranges): Ranges {
  const result: { from: number; to: number }[] = [];
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = result.at(-1);
    if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to);
    else result.push({ from, to });
  }
  return result;
}

function relabel(draft: Draft, { file, start }: (typeof draft.book.items)[number], ranges: Ranges): void {
  const line = file.lineOf(start);
  const text = file.line(line);
  const label = /^(\s*\\item\s*)\[[^\]]*\](.*)$/.exec(text);
  if (label === null) throw anchorError("the label of a range of feature bits", `${file.path}:${line}`);
  draft.replace(file, line, line, [`${label[1]}[${rangesText(ranges)}]${label[2]}`]);
}

function rangesText(ranges: Ranges): string {
  const parts = ranges.map(({ from, to }) => {
    if (from === to) return String(from);
    return Number.isFinite(to) ? `${from} to ${to}` : `${from} and above`;
  });
  const last = parts.pop() ?? "";
  if (parts.length === 0) return last;
  return `${parts.join(", ")}${last.includes("and") ? "," : ""} and ${last}`;
}
