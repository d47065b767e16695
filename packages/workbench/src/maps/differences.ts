/** What differs between two layouts, by the keys that strips have. */
import type { Layout } from "@virtio-admin/core";
import { CHANGE_CLASSES, diffLayouts, type LayoutChange } from "@virtio-admin/spec/diff";

/** One difference: what changed, what it means for who knows the other layout, and why. */
export interface Difference extends LayoutChange {
  /** The key of the field or command; something else for what is about the layout as a whole. */
  readonly key: string;
}

/** The differences from `base` to `other`, the gravest first. */
export function differencesOf(base: Layout, other: Layout): readonly Difference[] {
  return diffLayouts(base, other)
    .map((change) => ({ ...change, key: keyOf(base, change) }))
    .sort((a, b) => CHANGE_CLASSES.indexOf(a.class) - CHANGE_CLASSES.indexOf(b.class));
}

/** From the path of names that a change has: of the data of a command, the field is what is meant. */
function keyOf({ kind, name }: Layout, { path, what, after }: LayoutChange): string {
  // A layout's name may have no dot, nor may any other.
  const [entry = "", member, field] = path.slice(name.length + 1).split(".");
  if (kind === "commands" && member === "payload" && field !== undefined) {
    return `${entry}.${what === "renamed" && after !== undefined ? after : field}`;
  }
  return what === "renamed" && after !== undefined ? after : entry;
}

/** A difference in words: `offset 0x0e4 → 0x0e8`. */
export function differenceWords(base: Layout, { path, what, before, after }: Difference): string {
  const where = path.slice(base.name.length + 1);
  if (what === "added") return `${where}: ${after ?? ""} is new`;
  if (what === "removed") return `${where}: ${before ?? ""} is gone`;
  return `${where}: ${before ?? "nothing"} → ${after ?? "nothing"}`;
}
