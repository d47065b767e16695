/** Values that stand for larger ones, to compare what a driver found with what is here. */
import { layoutToJson } from "../layout/document.ts";
import type { Layout } from "../layout/types.ts";
import { crc32 } from "./crc32.ts";

/** Members that say something to people alone. */
const PROSE: ReadonlySet<string> = new Set(["doc", "cite", "title", "label", "linux", "prefix"]);

const ofLayouts = new WeakMap<Layout, string>();

/**
 * Eight hexadecimal digits that are the same for the same JSON value. A transport saves those of what
 * its driver has found out and cannot change, to recognize it where the driver goes on. They find
 * mistakes, and are no proof.
 */
export function fingerprint(value: unknown): string {
  return crc32(JSON.stringify(value));
}

/** The {@link fingerprint} of a layout, whatever it says to people. */
export function layoutFingerprint(layout: Layout): string {
  const known = ofLayouts.get(layout);
  if (known !== undefined) return known;
  const text = JSON.stringify(layoutToJson(layout), (key, member) =>
    PROSE.has(key) ? undefined : member,
  );
  const made = crc32(text);
  ofLayouts.set(layout, made);
  return made;
}
