/** Which bytes the fields of a layout take: overlaps, the size, and where the rest begins. */
import { type Entry, type Findings, LAYOUT_LIMITS } from "./findings.ts";
import { isScalarType, isWhole, SCALARS } from "./scalars.ts";
import type { FieldSpec } from "./types.ts";

interface Extent {
  readonly entry: Entry<FieldSpec>;
  readonly start: number;
  readonly end: number;
}

/** Checks that the fields share no bytes, and that they and the rest fit the size. */
export function checkExtents(
  findings: Findings,
  path: string,
  size: number | undefined,
  entries: readonly Entry<FieldSpec>[],
): void {
  const sizeIsSound = size === undefined || isWhole(size, 0, LAYOUT_LIMITS.bytes);
  if (!sizeIsSound) {
    findings.malformed(`${path}.size`, `a size is 0 to ${LAYOUT_LIMITS.bytes} bytes`, size);
  }
  const extents: Extent[] = [];
  let rest: Entry<FieldSpec> | undefined;
  for (const entry of entries) {
    const { offset, count } = entry.spec;
    const end = endOf(entry.spec);
    if (end === undefined) continue;
    if (end > LAYOUT_LIMITS.bytes) {
      findings.invalid(
        "size",
        `${entry.path}.offset`,
        `a layout ends by ${LAYOUT_LIMITS.bytes}`,
        offset,
      );
    } else if (count !== "rest") {
      extents.push({ entry, start: offset, end });
    } else if (rest === undefined) {
      rest = entry;
    } else {
      findings.invalid("size", `${entry.path}.count`, `only one field takes the rest`, count);
    }
  }
  checkOverlap(findings, extents);
  const last = extents.reduce((end, extent) => Math.max(end, extent.end), 0);
  if (rest !== undefined && rest.spec.offset < last) {
    findings.invalid(
      "size",
      `${rest.path}.offset`,
      "a field that takes the rest begins after all others",
      rest.spec.offset,
    );
  }
  if (size === undefined || !sizeIsSound) return;
  if (size < last) {
    findings.invalid("size", `${path}.size`, `the fields end at ${last}`, size);
  } else if (rest !== undefined && rest.spec.offset !== size) {
    findings.invalid(
      "size",
      `${path}.size`,
      `the field that takes the rest begins at ${rest.spec.offset}`,
      size,
      "the size leaves out the rest",
    );
  }
}

/** Where a field ends, a `"rest"` field where it begins; `undefined` if its parts are wrong. */
export function endOf({ offset, type, count }: FieldSpec): number | undefined {
  if (!isWhole(offset, 0, LAYOUT_LIMITS.bytes) || !isScalarType(type)) return undefined;
  if (count === "rest") return offset;
  if (count !== undefined && !isWhole(count, 1, LAYOUT_LIMITS.bytes)) return undefined;
  return offset + SCALARS[type].width * (count ?? 1);
}

function checkOverlap(findings: Findings, extents: readonly Extent[]): void {
  const sorted = extents
    .filter((extent) => extent.entry.spec.overlay !== true)
    .sort((a, b) => a.start - b.start);
  let before: Extent | undefined;
  for (const extent of sorted) {
    if (before !== undefined && extent.start < before.end) {
      findings.add({
        rule: "overlap",
        severity: "error",
        code: "LAYOUT_OVERLAP",
        path: `${extent.entry.path}.offset`,
        message: `${extent.entry.name} shares bytes with ${before.entry.name}, which takes ${hex(before.start)} to ${hex(before.end - 1)}`,
        value: extent.start,
        hint: "move one of them, or declare a union with overlay: true",
      });
    }
    if (before === undefined || extent.end > before.end) before = extent;
  }
}

function hex(offset: number): string {
  return `0x${offset.toString(16).padStart(2, "0")}`;
}
