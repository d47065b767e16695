/**
 * A layout as strips of bytes: a register map or a structure is one, and every channel command is
 * one with the data it carries. Where a strip is drawn, and how large, follows from the bytes alone.
 */
import {
  type BitSpec,
  FEATURE,
  type Field,
  featureName,
  type Gate,
  type Layout,
} from "@virtio-admin/core";

/** A field as a reader looks at it. */
export interface MapField {
  /** Unique in its layout: the name, after the command's where it is in the data of one. */
  readonly key: string;
  /** The wire name. */
  readonly name: string;
  /** Bytes from the start of its strip. */
  readonly offset: number;
  /** How many bytes it has; 0 for the elements of a `"rest"` field. */
  readonly length: number;
  /** Its type, with the number of elements: `u8[249]`. */
  readonly type: string;
  /** What the driver may do with it; absent where the layout doesn't say. */
  readonly access?: string;
  /** What has to be so for it to exist; absent: it always does. */
  readonly gate?: string;
  /** The value after a reset, where it was declared. */
  readonly reset?: string;
  /** What it is. */
  readonly doc: string;
  /** The section of the specification. */
  readonly cite: string;
  /** The named bits. */
  readonly bits: readonly (BitSpec & { readonly name: string })[];
  /** True when it is about administration virtqueues. */
  readonly admin: boolean;
}

/** Bytes in a row, and what they are. */
export interface Strip {
  /** Unique in its layout. */
  readonly key: string;
  /** Its name. */
  readonly name: string;
  /** What there is to say before the bytes: `0x92, read`; absent for a register map. */
  readonly head?: string;
  /** What has to be so for it to exist. */
  readonly gate?: string;
  /** What it is. */
  readonly doc: string;
  /** The section of the specification. */
  readonly cite: string;
  /** How many bytes there are, without a `"rest"` field. */
  readonly size: number;
  /** The fields by offset. */
  readonly fields: readonly MapField[];
  /** True when all of it is about administration virtqueues. */
  readonly admin: boolean;
}

/** The strips of a layout, in its order. */
export function stripsOf(layout: Layout): readonly Strip[] {
  if (layout.kind !== "commands") {
    const fields = layout.kind === "registers" ? layout.registers : layout.fields;
    const { name, doc, cite, size, gate } = layout;
    return [strip({ key: name, name, doc, cite, size }, gate, Object.values(fields), "")];
  }
  return Object.values(layout.commands).map(
    ({ name, code, direction, payload, gate, doc, cite }) => {
      const head = `${hex(code, 2)}, ${direction}`;
      const size = payload?.size ?? 0;
      const fields = Object.values<Field>(payload?.fields ?? {});
      const both = { ...payload?.gate, ...gate };
      return strip({ key: name, name, head, doc, cite, size }, both, fields, `${name}.`);
    },
  );
}

function strip(
  parts: Omit<Strip, "fields" | "gate" | "admin">,
  gate: Gate | undefined,
  fields: readonly Field[],
  prefix: string,
): Strip {
  const words = gateWords(gate);
  return {
    ...parts,
    ...(words === undefined ? {} : { gate: words }),
    fields: fields
      .map((field) => mapField(field, prefix))
      .sort((one, other) => one.offset - other.offset),
    admin: isAdmin(parts.name, gate),
  };
}

function mapField(field: Field, prefix: string): MapField {
  const { name, offset, type, width, count, access, gate, reset, doc, cite, bits } = field;
  const elements = count === undefined ? 1 : count === "rest" ? 0 : count;
  const words = gateWords(gate);
  return {
    key: `${prefix}${name}`,
    name,
    offset,
    length: elements * width,
    type: count === undefined ? type : `${type}[${count === "rest" ? "" : count}]`,
    ...(access === undefined ? {} : { access }),
    ...(words === undefined ? {} : { gate: words }),
    ...(reset === undefined ? {} : { reset: `0x${reset.toString(16)}` }),
    doc,
    cite,
    bits: Object.entries(bits).map(([bit, { at, width, doc }]) => ({ name: bit, at, width, doc })),
    admin: isAdmin(name, gate),
  };
}

/** A reader's own layout may leave the gate out, and not the name. */
function isAdmin(name: string, gate: Gate | undefined): boolean {
  return gate?.feature === FEATURE.VIRTIO_F_ADMIN_VQ || /admin/i.test(name);
}

/** What a gate asks for, in words; `undefined` where it asks for nothing. */
export function gateWords(gate: Gate | undefined): string | undefined {
  const words: string[] = [];
  if (gate?.feature !== undefined) {
    words.push(`${featureName(gate.feature) ?? `feature ${gate.feature}`} negotiated`);
  }
  if (gate?.revision !== undefined) words.push(`revision ${gate.revision} or later`);
  return words.length === 0 ? undefined : words.join(", ");
}

/** A number as the specification writes it: `0x0e0`. */
export function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}
