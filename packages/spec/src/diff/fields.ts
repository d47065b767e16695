/** Changes of fields and registers. */
import {
  type Access,
  type AnyStructLayout,
  type Field,
  type FieldBits,
  featureName,
  type Gate,
  type RegisterLayout,
} from "@virtio-admin/core";
import { bytesOf, gateText, hex, offsetDigits, typeText } from "../render/wording.ts";
import type { Changes, Verdict } from "./changes.ts";
import { NewGates } from "./gates.ts";

type FieldLayout = AnyStructLayout | RegisterLayout;

/** Compares what two structures or register maps of one kind have. */
export function diffFields(changes: Changes, path: string, a: FieldLayout, b: FieldLayout): void {
  const before = fieldsOf(a);
  const after = fieldsOf(b);
  const renamed = renamesOf(before, after, sameWire);
  const asked = new NewGates(a);
  for (const field of before.values()) {
    const where = `${path}.${field.name}`;
    const same = after.get(field.name);
    const other = renamed.get(field.name);
    if (same !== undefined) {
      diffField(changes, where, field, same, a, b);
    } else if (other !== undefined) {
      const now = after.get(other);
      changes.renamed(where, field.name, other, field.doc === now?.doc);
      if (now !== undefined) diffField(changes, where, field, now, a, b);
    } else {
      changes.changed(where, placeText(field, a), undefined, removal(field, after, asked));
    }
  }
  const taken = new Set(renamed.values());
  for (const field of after.values()) {
    if (before.has(field.name) || taken.has(field.name)) continue;
    changes.changed(
      `${path}.${field.name}`,
      undefined,
      placeText(field, b),
      addition(field, a, asked),
    );
  }
  diffSize(changes, path, a, b);
}

function fieldsOf(layout: FieldLayout): ReadonlyMap<string, Field> {
  const fields = layout.kind === "registers" ? layout.registers : layout.fields;
  return new Map(Object.entries<Field>(fields));
}

/** Entries that are gone, with the name of one that is new and the same otherwise, where there is one. */
export function renamesOf<E>(
  before: ReadonlyMap<string, E>,
  after: ReadonlyMap<string, E>,
  isSame: (a: E, b: E) => boolean,
): ReadonlyMap<string, string> {
  const renames = new Map<string, string>();
  const taken = new Set<string>();
  for (const [name, entry] of before) {
    if (after.has(name)) continue;
    const found = [...after].find(
      ([other, candidate]) => !before.has(other) && !taken.has(other) && isSame(entry, candidate),
    );
    if (found === undefined) continue;
    renames.set(name, found[0]);
    taken.add(found[0]);
  }
  return renames;
}

function sameWire(a: Field, b: Field): boolean {
  return (
    a.offset === b.offset &&
    a.type === b.type &&
    a.count === b.count &&
    a.access === b.access &&
    sameGate(a.gate, b.gate) &&
    a.overlay === b.overlay &&
    isReserved(a) === isReserved(b)
  );
}

/** Bytes that have a name only to say that they have no meaning. */
function isReserved({ name }: Field): boolean {
  return /^(?:reserved|padding|unused)_?\d*$/i.test(name);
}

function placeText(field: Field, layout: FieldLayout): string {
  return `${typeText(field)} at ${hex(field.offset, offsetDigits(layout))}`;
}

function removal(field: Field, after: ReadonlyMap<string, Field>, asked: NewGates): Verdict {
  if (!isReserved(field)) {
    return ["breaking", "who knows it goes on using it, and finds something else or nothing"];
  }
  const heirs = [...after.values()].filter(
    (other) =>
      other.offset < field.offset + bytesOf(field) && field.offset < other.offset + bytesOf(other),
  );
  return heirs.length === 0 || heirs.every(isReserved)
    ? ["editorial", "reserved bytes have no meaning, with a name or without"]
    : heirs.every(({ gate }) => gate !== undefined && asked.has(gate))
      ? ["compatible", "reserved bytes were given a meaning that has to be negotiated"]
      : ["behavioural", "reserved bytes were given a meaning that nothing new negotiates"];
}

function addition(field: Field, before: FieldLayout, asked: NewGates): Verdict {
  if (isReserved(field)) {
    return ["editorial", "reserved bytes have no meaning, with a name or without"];
  }
  if (field.gate !== undefined && !asked.has(field.gate)) {
    const gate = gateText(field.gate);
    return ["behavioural", `${gate} is not new: the other side cannot tell whether it is there`];
  }
  if (field.gate !== undefined) {
    return ["compatible", `only with ${gateText(field.gate)} is it there: others never see it`];
  }
  if (before.kind === "struct" && field.offset >= before.size) {
    return ["behavioural", "the structure is longer, and nothing negotiates that"];
  }
  return ["behavioural", "nothing negotiates it: the other side cannot tell whether it is there"];
}

function diffField(
  changes: Changes,
  path: string,
  a: Field,
  b: Field,
  layout: FieldLayout,
  after: FieldLayout,
): void {
  const digits = offsetDigits(layout);
  const reserved = isReserved(a) && isReserved(b);
  const wire = (reason: string): Verdict =>
    reserved
      ? ["editorial", "reserved bytes have no meaning, wherever they are"]
      : ["breaking", reason];
  if (a.offset !== b.offset) {
    const reason = "who knows the old place uses the old place";
    changes.changed(`${path}.offset`, hex(a.offset, digits), hex(b.offset, digits), wire(reason));
  }
  if (a.type !== b.type) {
    const reason =
      a.width === b.width
        ? "the two sides read the bytes in different orders"
        : "the two sides take different numbers of bytes for it";
    changes.changed(`${path}.type`, a.type, b.type, wire(reason));
  }
  if (a.count !== b.count) {
    const reason = "the two sides take different numbers of bytes for it";
    changes.changed(`${path}.count`, countText(a), countText(b), wire(reason));
  }
  if (a.access !== b.access) {
    changes.changed(`${path}.access`, a.access, b.access, accessVerdict(a.access, b.access));
  }
  diffReset(changes, path, a, b);
  diffGate(changes, path, a.gate, b.gate);
  if (a.overlay !== b.overlay) {
    const reason = "its bytes are the same, whoever else reads them";
    changes.changed(`${path}.overlay`, `${a.overlay}`, `${b.overlay}`, ["editorial", reason]);
  }
  diffBits(changes, path, a, b);
  diffProse(changes, path, a, b, ["doc", "title", "linux"]);
  diffCite(changes, path, ownCite(a, layout), ownCite(b, after));
}

function countText({ count }: Field): string {
  return count === undefined ? "one" : String(count);
}

function accessVerdict(a: Access | undefined, b: Access | undefined): Verdict {
  if (a === undefined || b === undefined) {
    return ["editorial", "it is only said now, or no longer said, who may access it"];
  }
  return b === "RW"
    ? ["behavioural", "a driver may do more with it than devices of the old layout expect"]
    : ["breaking", "a driver of the old layout does with it what it may no longer do"];
}

function diffReset(changes: Changes, path: string, a: Field, b: Field): void {
  if (a.reset === b.reset) return;
  const isSame = BigInt(a.reset ?? 0) === BigInt(b.reset ?? 0);
  changes.changed(
    `${path}.reset`,
    valueText(a.reset),
    valueText(b.reset),
    isSame
      ? ["editorial", "a value that is not declared is 0"]
      : ["behavioural", "a driver finds another value after a reset"],
  );
}

function valueText(value: number | bigint | undefined): string {
  return value === undefined ? "0, not declared" : `0x${value.toString(16)}`;
}

/** Compares what has to be so for an entry, a structure or a command. */
export function diffGate(
  changes: Changes,
  path: string,
  a: Gate | undefined,
  b: Gate | undefined,
): void {
  if (sameGate(a, b)) return;
  const before = a === undefined ? undefined : gateText(a);
  const after = b === undefined ? undefined : gateText(b);
  changes.changed(`${path}.gate`, before, after, gateVerdict(a, b));
}

function sameGate(a: Gate | undefined, b: Gate | undefined): boolean {
  return a?.feature === b?.feature && a?.revision === b?.revision;
}

function gateVerdict(a: Gate | undefined, b: Gate | undefined): Verdict {
  if (b?.feature !== undefined && b.feature !== a?.feature) {
    const name = featureName(b.feature);
    return ["breaking", `who has not negotiated ${name} finds nothing where something was`];
  }
  if ((b?.revision ?? 0) > (a?.revision ?? 0)) {
    return ["breaking", "who selects the old revision finds nothing where something was"];
  }
  return ["behavioural", "it is there for those too who have not negotiated it"];
}

function diffBits(changes: Changes, path: string, a: Field, b: Field): void {
  const before = new Map(Object.entries<FieldBits>(a.bits));
  const after = new Map(Object.entries<FieldBits>(b.bits));
  const renamed = renamesOf(before, after, (x, y) => x.at === y.at && x.width === y.width);
  for (const [name, run] of before) {
    const where = `${path}.bits.${name}`;
    const other = renamed.get(name);
    const now = after.get(other ?? name);
    if (other !== undefined) changes.renamed(where, name, other, run.doc === now?.doc);
    if (now === undefined) {
      changes.changed(where, bitsText(run), undefined, [
        "breaking",
        "who knows the bits goes on using them",
      ]);
      continue;
    }
    if (now.at !== run.at || now.width !== run.width) {
      changes.changed(where, bitsText(run), bitsText(now), [
        "breaking",
        "the two sides find the value in different bits",
      ]);
    }
    diffProse(changes, where, run, now, ["doc", "linux"]);
  }
  const taken = new Set(renamed.values());
  for (const [name, run] of after) {
    if (before.has(name) || taken.has(name)) continue;
    changes.changed(`${path}.bits.${name}`, undefined, bitsText(run), [
      "behavioural",
      "bits that had no meaning have one, and nothing negotiates it",
    ]);
  }
}

function bitsText({ at, width }: FieldBits): string {
  return width === 1 ? `bit ${at}` : `bits ${at} to ${at + width - 1}`;
}

function diffSize(changes: Changes, path: string, a: FieldLayout, b: FieldLayout): void {
  if (a.size === b.size) return;
  changes.changed(
    `${path}.size`,
    String(a.size),
    String(b.size),
    b.size < a.size
      ? ["breaking", "who knows the old size reads beyond the end"]
      : ["behavioural", "it is longer: who checks the length finds another"],
  );
}

/** The citation that an entry has of its own, where it is another than that of its layout. */
export function ownCite(
  entry: { readonly cite: string },
  layout: { readonly cite: string },
): string | undefined {
  return entry.cite === layout.cite ? undefined : entry.cite;
}

/** Compares citations of entries; what they inherit is compared once, with their layouts. */
export function diffCite(
  changes: Changes,
  path: string,
  a: string | undefined,
  b: string | undefined,
): void {
  diffProse(changes, path, { cite: a }, { cite: b }, ["cite"]);
}

/** Compares members that say something to people. */
export function diffProse<T extends object>(
  changes: Changes,
  path: string,
  a: T,
  b: T,
  members: readonly (keyof T & string)[],
): void {
  for (const member of members) {
    if (a[member] === b[member]) continue;
    const text = (value: unknown) => (value === undefined ? undefined : String(value));
    changes.changed(`${path}.${member}`, text(a[member]), text(b[member]), [
      "editorial",
      "no byte is otherwise",
    ]);
  }
}
