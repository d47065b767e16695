/** Rules of structures and register maps: holes, packing, unions, access. */
import type { Field } from "@virtio-admin/core";
import { LAYOUT_CATALOGUE } from "../catalogue.ts";
import { bytesOf, hex } from "../render/wording.ts";
import { holesOf } from "./free.ts";
import type { PlacedEntry, PlacedLayout } from "./places.ts";
import type { CheckFindings, CheckSeverity } from "./rules.ts";

type PlacedField = PlacedEntry & { readonly field: Field };

/** Checks one register map or structure. */
export function checkFields(findings: CheckFindings, placed: PlacedLayout): void {
  // Of a payload that is in use as it is, nothing need be said again.
  const severity = severityFor(placed);
  const isKnown = placed.path !== "layout" && severity === "note";
  if (placed.layout.kind === "struct" && !isKnown) {
    checkHoles(findings, placed, severity);
    checkPacked(findings, placed, severity);
  }
  checkUnions(findings, placed);
  for (const entry of placed.entries) checkAccess(findings, entry, placed);
}

/** What stands in a text that was ratified, or is in use, is only to be known. */
function severityFor({ layout }: PlacedLayout): CheckSeverity {
  const known = LAYOUT_CATALOGUE.get(layout.name);
  if (known?.kind !== "struct" || layout.kind !== "struct") return "warning";
  const places = (fields: Readonly<Record<string, Field>>) =>
    Object.values(fields)
      .map(({ name, offset, type, count }) => `${name} ${offset} ${type} ${count}`)
      .sort()
      .join();
  return places(known.fields) === places(layout.fields) && known.size === layout.size
    ? "note"
    : "warning";
}

function checkHoles(findings: CheckFindings, placed: PlacedLayout, severity: CheckSeverity): void {
  for (const { start, end } of holesOf(placed.layout)) {
    const bytes = end - start;
    findings.add({
      rule: "hole",
      severity,
      path: placed.path,
      message: `${placed.layout.name} has no name for ${bytesText(bytes)} at ${hex(start)}`,
      remedy: `add { name: reserved, offset: ${hex(start)}, type: u8${bytes === 1 ? "" : `, count: ${bytes}`} }, so that both sides agree that it is 0`,
    });
  }
}

function checkPacked(findings: CheckFindings, placed: PlacedLayout, severity: CheckSeverity): void {
  const { layout, entries } = placed;
  if (layout.kind !== "struct" || !layout.packed) return;
  const crooked = entries.filter(({ field }) => field.offset % field.width !== 0);
  for (const { field, path } of crooked) {
    const before = Math.floor(field.offset / field.width) * field.width;
    findings.add({
      rule: "packed",
      severity,
      path: `${path}.offset`,
      message: `${field.name}, a ${field.type}, stands at ${hex(field.offset)}, which is no multiple of ${field.width}`,
      remedy: `move it to ${hex(before)} or ${hex(before + field.width)}, or fill up before it with reserved bytes`,
    });
  }
  if (crooked.length > 0) return;
  const width = Math.max(...entries.map(({ field }) => field.width));
  findings.add({
    rule: "packed",
    severity,
    path: `${placed.path}.size`,
    message: `the size ${layout.size} is no multiple of ${width}, the width of its widest field`,
    remedy: `add ${bytesText(width - (layout.size % width))} reserved at the end`,
  });
}

function checkUnions(findings: CheckFindings, { layout, entries }: PlacedLayout): void {
  const sized = entries.filter(({ field }) => field.count !== "rest");
  for (const { field, path } of sized) {
    if (!field.overlay || findings.isFull) continue;
    const shared = sized.filter(
      (other) => other.field !== field && !other.field.overlay && overlaps(field, other.field),
    );
    findings.add(
      shared.length === 0
        ? {
            rule: "union",
            severity: layout.kind === "registers" ? "warning" : "note",
            path: `${path}.overlay`,
            message: `${field.name} is declared to share bytes, and shares them with no plain field`,
            remedy: "leave out overlay, or declare the plain field that it reads in another way",
          }
        : {
            rule: "union",
            severity: layout.kind === "registers" ? "warning" : "note",
            path: `${path}.overlay`,
            message: `${field.name} shares its bytes with ${shared.map((other) => other.name).join(", ")}`,
            remedy: "say in its description what tells the driver which of them counts",
          },
    );
  }
}

function overlaps(a: Field, b: Field): boolean {
  return a.offset < b.offset + bytesOf(b) && b.offset < a.offset + bytesOf(a);
}

function checkAccess(findings: CheckFindings, entry: PlacedField, placed: PlacedLayout): void {
  const { field, path } = entry;
  if (placed.layout.kind === "registers" && field.access === "W" && field.reset !== undefined) {
    findings.add({
      rule: "access",
      severity: "warning",
      path: `${path}.reset`,
      message: `${field.name} is write-only, and nobody reads the value that it has after a reset`,
      remedy: 'leave out reset, or make the access "RW"',
    });
  }
  if (placed.layout.kind === "registers" && typeof field.count === "number") {
    const bits = 8 * field.width;
    if (!placed.layout.busWidths.some((width) => width === bits)) {
      findings.add({
        rule: "bus-width",
        severity: "warning",
        path: `${path}.type`,
        message: `the bus has no access of ${bits} bits for an element of ${field.name}`,
        remedy: "use elements as wide as the bus, or name the width in busWidth",
      });
    }
  }
  checkHalves(findings, entry, placed);
}

/** `QueueDescLow` and `QueueDescHigh` are one value: accessed alike, one behind the other. */
function checkHalves(findings: CheckFindings, entry: PlacedField, placed: PlacedLayout): void {
  const { field, path } = entry;
  if (!field.name.endsWith("Low") || placed.layout.kind !== "registers") return;
  const stem = field.name.slice(0, -"Low".length);
  const high = placed.entries.find(({ name }) => name === `${stem}High`);
  if (high === undefined) {
    findings.add({
      rule: "access",
      severity: "warning",
      path: `${path}.name`,
      message: `${field.name} is the low half of a value without a high half`,
      remedy: `add ${stem}High at ${hex(field.offset + field.width, 3)}, or rename it`,
    });
    return;
  }
  if (high.field.access !== field.access) {
    findings.add({
      rule: "access",
      severity: "warning",
      path: `${high.path}.access`,
      message: `${high.name} is ${high.field.access}, and its low half ${field.name} is ${field.access}`,
      remedy: `make both ${field.access}`,
    });
  }
  if (high.field.offset !== field.offset + field.width) {
    findings.add({
      rule: "access",
      severity: "warning",
      path: `${high.path}.offset`,
      message: `${high.name} does not follow its low half, which ends at ${hex(field.offset + field.width, 3)}`,
      remedy: `move it to ${hex(field.offset + field.width, 3)}`,
    });
  }
}

function bytesText(bytes: number): string {
  return bytes === 1 ? "1 byte" : `${bytes} bytes`;
}
