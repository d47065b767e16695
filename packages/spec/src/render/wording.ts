/** What all renderings say in the same words. */
import { type Count, type Field, featureName, type Gate, type Layout } from "@virtio-admin/core";

/** An offset or a code with as many digits as its neighbours have. */
export function hex(value: number, digits = 2): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

/** How many hexadecimal digits the offsets of a layout have. */
export function offsetDigits(layout: Layout): number {
  if (layout.kind === "commands") return 2;
  if (layout.kind === "registers") return Math.max(3, layout.size.toString(16).length);
  return Math.max(2, layout.size.toString(16).length);
}

/** A type as the specification writes it: `le16`, `u8[12]`, `u8[]`. */
export function typeText({
  type,
  count,
}: {
  readonly type: string;
  readonly count: Count | undefined;
}): string {
  if (count === undefined) return type;
  return count === "rest" ? `${type}[]` : `${type}[${count}]`;
}

/** What has to be so, in words: `VIRTIO_F_ADMIN_VQ negotiated, revision 3`; empty without a gate. */
export function gateText(gate: Gate | undefined): string {
  if (gate === undefined) return "";
  const feature = gate.feature === undefined ? [] : [`${featureName(gate.feature)} negotiated`];
  const revision = gate.revision === undefined ? [] : [`revision ${gate.revision}`];
  return [...feature, ...revision].join(", ");
}

/** How many bytes a field takes; 0 for one that takes the rest. */
export function bytesOf({ width, count }: Pick<Field, "width" | "count">): number {
  return count === "rest" ? 0 : width * (count ?? 1);
}

/** Lines of at most `width` characters, broken at blanks. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).filter((each) => each !== "")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return line === "" ? lines : [...lines, line];
}

/** `QueueSizeMax` as `QUEUE_SIZE_MAX`, `admin_vq` as `ADMIN_VQ`. */
export function upperSnake(name: string): string {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replaceAll(/([A-Z])([A-Z][a-z])/g, "$1_$2")
    .toUpperCase();
}
