/** Layouts against the headers of Linux, name by name. */
import type {
  AnyStructLayout,
  ByteOrder,
  Field,
  FieldBits,
  Layout,
  ScalarType,
} from "@virtio-admin/core";
import { commandMacro } from "../render/header.ts";
import { bytesOf } from "../render/wording.ts";
import { type CMember, type CStruct, readC } from "./read-c.ts";

/**
 * How an entry and Linux agree: `same` place under the same name, the same place under another name
 * (`renamed`), `differs`, `absent` from the headers, or there and in no layout that was given (`linux-only`).
 */
export type HeaderVerdict = "same" | "renamed" | "differs" | "absent" | "linux-only";

/** One name that was compared. */
export interface HeaderComparison {
  /** The layout that has it, or that it would belong to. */
  readonly layout: string;
  /** What it is called in the layout: a field, a command, bits, or `size`; empty for `linux-only`. */
  readonly name: string;
  /** What it is called in the headers; empty when absent. */
  readonly linux: string;
  /** Offset, code, mask or size here; absent for `linux-only`. */
  readonly ours?: bigint;
  /** The same in the headers; absent when they lack it, or nothing begins there. */
  readonly theirs?: bigint;
  /** How the two agree. */
  readonly verdict: HeaderVerdict;
}

/**
 * Compares every macro that a declaration names, and every structure, with the texts of headers. A macro
 * is compared by its value; a structure by its size and by the bytes that each field takes, whatever the
 * field is called and whether Linux has it in halves.
 *
 * @param headers the texts of `linux/virtio_mmio.h`, `linux/virtio_pci.h` and others, in any order
 */
export function compareWithHeaders(
  layouts: readonly Layout[],
  headers: readonly string[],
): readonly HeaderComparison[] {
  const { macros, structs } = readC(headers);
  const rows = new Map<string, HeaderComparison>();
  const claimed = new Set<string>();
  const add = (row: HeaderComparison) => {
    claimed.add(row.linux);
    // Layouts share fields: a name with one meaning is one row.
    const known = [...rows.values()].some(
      (other) =>
        other.verdict === row.verdict &&
        other.linux === row.linux &&
        other.ours === row.ours &&
        (row.linux !== "" || other.name === row.name),
    );
    if (!known) rows.set(`${row.layout}.${row.name}.${row.linux}`, row);
  };
  for (const layout of layouts) {
    for (const { name, linux, value } of macrosOf(layout)) {
      const theirs = macros.get(linux);
      add({
        layout: layout.name,
        name,
        linux: theirs === undefined ? "" : linux,
        ours: value,
        ...(theirs === undefined ? {} : { theirs }),
        verdict: theirs === undefined ? "absent" : theirs === value ? "same" : "differs",
      });
    }
    if (layout.kind === "struct") {
      const name = layout.linux ?? layout.name;
      const struct = structs.get(name);
      if (struct !== undefined) for (const row of compareStruct(layout, name, struct)) add(row);
    }
  }
  return [...rows.values(), ...linuxOnly(layouts, macros, claimed)];
}

interface NamedValue {
  readonly name: string;
  readonly linux: string;
  readonly value: bigint;
}

/** The macros that declarations name: offsets, masks of bits; and all channel commands. */
function macrosOf(layout: Layout): NamedValue[] {
  if (layout.kind === "commands") {
    return Object.values(layout.commands).map(({ name, code }) => ({
      name,
      linux: commandMacro(layout, name),
      value: BigInt(code),
    }));
  }
  const fields: readonly Field[] = Object.values(
    layout.kind === "registers" ? layout.registers : layout.fields,
  );
  return fields.flatMap((field) => [
    ...(field.linux === undefined
      ? []
      : [{ name: field.name, linux: field.linux, value: BigInt(field.offset) }]),
    ...Object.entries<FieldBits>(field.bits).flatMap(([name, bits]) =>
      bits.linux === undefined
        ? []
        : [{ name: `${field.name}.${name}`, linux: bits.linux, value: maskOf(bits) }],
    ),
  ]);
}

function maskOf({ at, width }: FieldBits): bigint {
  return ((1n << BigInt(width)) - 1n) << BigInt(at);
}

function compareStruct(
  layout: AnyStructLayout,
  linux: string,
  struct: CStruct,
): HeaderComparison[] {
  const rows: HeaderComparison[] = [
    {
      layout: layout.name,
      name: "size",
      linux: `struct ${linux}`,
      ours: BigInt(layout.size),
      theirs: BigInt(struct.size),
      verdict: struct.size === layout.size ? "same" : "differs",
    },
  ];
  for (const field of Object.values<Field>(layout.fields)) {
    const found = membersAt(field, struct);
    const first = found[0];
    const row = { layout: layout.name, name: field.name, ours: BigInt(field.offset) };
    if (first === undefined) {
      // A structure may end before what has no fixed length.
      const isRest = field.count === "rest";
      rows.push({ ...row, linux: "", verdict: isRest ? "absent" : "differs" });
    } else {
      const isNamed = found.every(({ path }) => path.split(/\W/).includes(field.name));
      const more = found.length > 1 ? `, and ${found.length - 1} more` : "";
      rows.push({
        ...row,
        linux: `${linux}.${first.path}${more}`,
        theirs: BigInt(first.offset),
        verdict: isNamed ? "same" : "renamed",
      });
    }
  }
  return rows;
}

/** The members that together take the bytes of the field, in its byte order; none if there are no such. */
function membersAt(field: Field, { members }: CStruct): CMember[] {
  if (field.count === "rest") {
    return members.filter(({ offset, count }) => offset === field.offset && count === "rest");
  }
  const end = field.offset + bytesOf(field);
  const exact = members.filter(
    (member) =>
      member.offset === field.offset && endOf(member) === end && agrees(field.type, member),
  );
  const named = exact.find(({ path }) => path.split(".").at(-1) === field.name);
  if (named !== undefined) return [named];
  if (exact[0] !== undefined) return [exact[0]];
  const parts: CMember[] = [];
  let at = field.offset;
  for (const member of [...members].sort((a, b) => a.offset - b.offset)) {
    if (member.offset !== at || endOf(member) > end || !agrees(field.type, member)) continue;
    parts.push(member);
    at = endOf(member);
    if (at === end) return parts;
  }
  return [];
}

function endOf({ offset, width, count }: CMember): number {
  return offset + width * (count === "rest" ? 0 : (count ?? 1));
}

function agrees(type: ScalarType, { order, width }: CMember): boolean {
  const ours: ByteOrder | undefined =
    type === "u8" ? undefined : type.startsWith("le") ? "little" : "big";
  return ours === undefined || order === undefined || width === 1 || order === ours;
}

/** The macros that begin as those of a layout do, and that no declaration names. */
function linuxOnly(
  layouts: readonly Layout[],
  macros: ReadonlyMap<string, bigint>,
  claimed: ReadonlySet<string>,
): HeaderComparison[] {
  const rows: HeaderComparison[] = [];
  for (const layout of layouts) {
    if (layout.kind !== "registers") continue;
    const [first] = macrosOf(layout);
    const prefix = first?.linux.split("_").slice(0, 2).join("_");
    if (prefix === undefined) continue;
    for (const [name, theirs] of macros) {
      if (!name.startsWith(`${prefix}_`) || claimed.has(name)) continue;
      if (rows.some(({ linux }) => linux === name)) continue;
      rows.push({ layout: layout.name, name: "", linux: name, theirs, verdict: "linux-only" });
    }
  }
  return rows;
}
