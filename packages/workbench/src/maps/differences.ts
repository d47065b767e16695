/** What differs between two layouts, field by field. */
import type { Layout } from "@virtio-admin/core";
import { hex, type MapField, type Strip, stripsOf } from "./strips.ts";

/** One difference. */
export interface Difference {
  /** The key of the field or command. */
  readonly key: string;
  /** Whether the second layout has more, less, or something else. */
  readonly kind: "added" | "removed" | "changed";
  /** Member by member, in words: `offset 0x0e0 → 0x0c8`. */
  readonly words: readonly string[];
}

type Members = ReadonlyMap<string, string>;

/** The differences from `base` to `other`, in the order of `other`; what it lacks comes last. */
export function differencesOf(base: Layout, other: Layout): readonly Difference[] {
  const before = membersOf(base);
  const after = membersOf(other);
  const found: Difference[] = [];
  for (const [key, members] of after) {
    const was = before.get(key);
    if (was === undefined) {
      found.push({ key, kind: "added", words: wordsOf(members) });
      continue;
    }
    const words = [...new Set([...was.keys(), ...members.keys()])].flatMap((name) => {
      const [from, to] = [was.get(name) ?? "none", members.get(name) ?? "none"];
      return from === to ? [] : [`${name} ${from} → ${to}`];
    });
    if (words.length > 0) found.push({ key, kind: "changed", words });
  }
  for (const [key, members] of before) {
    if (!after.has(key)) found.push({ key, kind: "removed", words: wordsOf(members) });
  }
  return found;
}

function wordsOf(members: Members): string[] {
  return [...members].filter(([name]) => name !== "doc").map(([name, value]) => `${name} ${value}`);
}

function membersOf(layout: Layout): ReadonlyMap<string, Members> {
  const found = new Map<string, Members>();
  for (const strip of stripsOf(layout)) {
    if (layout.kind === "commands") found.set(strip.key, commandMembers(strip));
    for (const field of strip.fields) found.set(field.key, fieldMembers(field));
  }
  return found;
}

function commandMembers({ head, gate, doc, size }: Strip): Members {
  const [code = "", direction = ""] = (head ?? "").split(", ");
  return members({ code, direction, size: size === 0 ? undefined : `${size}`, gate, doc });
}

function fieldMembers({ offset, type, access, gate, reset, bits, doc }: MapField): Members {
  const named = bits.map(({ name, at, width = 1 }) => `${name}:${at}+${width}`).join(" ");
  return members({
    offset: hex(offset, 3),
    type,
    access,
    gate,
    reset,
    bits: named === "" ? undefined : named,
    doc,
  });
}

function members(values: Readonly<Record<string, string | undefined>>): Members {
  return new Map(
    Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
