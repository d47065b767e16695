/**
 * Layouts as JSON documents, described by `schema/layout.schema.json`: what tools print, users
 * edit, and transports take back as a variant. Lists instead of objects keep the order and make
 * every path an index. A value above 2^53-1 is a string of hexadecimal digits.
 */
import { fieldsOf } from "./accessors.ts";
import type {
  Access,
  BusWidth,
  ByteOrder,
  ChannelCommand,
  ChannelDirection,
  CommandLayout,
  Count,
  Field,
  FieldBits,
  Gate,
  Layout,
  RegisterLayout,
  ScalarType,
  StructLayout,
} from "./types.ts";

/** What the member `format` of a layout document says. */
export const LAYOUT_FORMAT = "virtio-admin.layout";

/** What the member `version` of a layout document says. */
export const LAYOUT_FORMAT_VERSION = 1;

/** Named bits in a document. */
export interface BitsDocument {
  /** The name of the bits. */
  readonly name: string;
  /** The number of the lowest bit. */
  readonly at: number;
  /** The number of bits; absent: 1. */
  readonly width?: number;
  /** What the bits mean. */
  readonly doc: string;
  /** What Linux's headers call the mask of the bits. */
  readonly linux?: string;
}

/** A field or a register in a document. */
export interface FieldDocument {
  /** The wire name. */
  readonly name: string;
  /** Bytes from the start of the layout. */
  readonly offset: number;
  /** The type of the value, or of each element. */
  readonly type: ScalarType;
  /** The number of elements of an array, or `"rest"`; absent for a scalar. */
  readonly count?: Count;
  /** What the driver may do with it; every register has it. */
  readonly access?: Access;
  /** The value after a reset; above 2^53-1 a string as `"0x20000000000000"`. */
  readonly reset?: number | string;
  /** What has to be so for the field to exist. */
  readonly gate?: Gate;
  /** True when it shares bytes with another on purpose. */
  readonly overlay?: boolean;
  /** What the field is. */
  readonly doc: string;
  /** What it is for in a few words. */
  readonly title?: string;
  /** The section of the specification, where it is another than the layout's. */
  readonly cite?: string;
  /** What Linux's headers call its offset. */
  readonly linux?: string;
  /** The named bits. */
  readonly bits?: readonly BitsDocument[];
}

/** The payload of a command in a document: a structure without `format`, `version` and `kind`. */
export interface PayloadDocument {
  /** The name of the structure. */
  readonly name: string;
  /** The section it comes from. */
  readonly cite: string;
  /** What it is. */
  readonly doc: string;
  /** The label of its section in the specification's sources. */
  readonly label?: string;
  /** What Linux's headers call it, where they have it under another name. */
  readonly linux?: string;
  /** The size in bytes without a `"rest"` field; absent: the end of the last field. */
  readonly size?: number;
  /** What has to be so for the structure to exist. */
  readonly gate?: Gate;
  /** The fields in the order of the declaration. */
  readonly fields: readonly FieldDocument[];
}

/** A channel command in a document. */
export interface ChannelCommandDocument {
  /** The name in the specification. */
  readonly name: string;
  /** The command code. */
  readonly code: number;
  /** What it does with its data. */
  readonly direction: ChannelDirection;
  /** The data it carries. */
  readonly payload?: PayloadDocument;
  /** What has to be so for the command to be accepted. */
  readonly gate?: Gate;
  /** What the command does. */
  readonly doc: string;
  /** The section of the specification, where it is another than the layout's. */
  readonly cite?: string;
}

/** What every layout document begins with. */
export interface DocumentHead {
  /** Where the schema is; ignored. */
  readonly $schema?: string;
  /** Always {@link LAYOUT_FORMAT}. */
  readonly format: typeof LAYOUT_FORMAT;
  /** Always {@link LAYOUT_FORMAT_VERSION}. */
  readonly version: typeof LAYOUT_FORMAT_VERSION;
}

/** A structure as a document. */
export interface StructDocument extends DocumentHead, PayloadDocument {
  /** Tells a structure from the other kinds. */
  readonly kind: "struct";
}

/** A register map as a document. */
export interface RegistersDocument extends DocumentHead {
  /** Tells a register map from the other kinds. */
  readonly kind: "registers";
  /** The name of the map. */
  readonly name: string;
  /** The section it comes from. */
  readonly cite: string;
  /** What it is. */
  readonly doc: string;
  /** The label of its section in the specification's sources. */
  readonly label?: string;
  /** What Linux's headers call it, where they have it under another name. */
  readonly linux?: string;
  /** The size in bytes without a `"rest"` field; absent: the end of the last register. */
  readonly size?: number;
  /** The widths of an access in bits. */
  readonly busWidth: readonly BusWidth[];
  /** The byte order that every register has. */
  readonly byteOrder?: ByteOrder;
  /** What has to be so for the map to exist. */
  readonly gate?: Gate;
  /** The registers in the order of the declaration. */
  readonly registers: readonly FieldDocument[];
}

/** Channel commands as a document. */
export interface CommandsDocument extends DocumentHead {
  /** Tells channel commands from the other kinds. */
  readonly kind: "commands";
  /** The name of the set. */
  readonly name: string;
  /** The section it comes from. */
  readonly cite: string;
  /** What it is. */
  readonly doc: string;
  /** The label of its section in the specification's sources. */
  readonly label?: string;
  /** What the specification writes before every name. */
  readonly prefix?: string;
  /** The commands in the order of the declaration. */
  readonly commands: readonly ChannelCommandDocument[];
}

/** A layout of any kind as a document; `kind` tells which. */
export type LayoutDocument = StructDocument | RegistersDocument | CommandsDocument;

/** The document of a structure, as `JSON.stringify` takes it and `layoutFromJson` reads it back. */
export function layoutToJson(layout: StructLayout): StructDocument;
/** The document of a register map. */
export function layoutToJson(layout: RegisterLayout): RegistersDocument;
/** The document of channel commands. */
export function layoutToJson(layout: CommandLayout): CommandsDocument;
/** The document of a layout whose kind is not known before. */
export function layoutToJson(layout: Layout): LayoutDocument;
export function layoutToJson(layout: Layout): LayoutDocument {
  const head = { format: LAYOUT_FORMAT, version: LAYOUT_FORMAT_VERSION } as const;
  switch (layout.kind) {
    case "struct":
      return { ...head, kind: "struct", ...structBody(layout) };
    case "registers":
      return { ...head, kind: "registers", ...registersBody(layout) };
    case "commands":
      return { ...head, kind: "commands", ...commandsBody(layout) };
  }
}

function structBody(layout: StructLayout): PayloadDocument {
  return {
    name: layout.name,
    cite: layout.cite,
    doc: layout.doc,
    ...given("label", layout.label),
    ...given("linux", layout.linux),
    size: layout.size,
    ...given("gate", layout.gate),
    fields: fieldDocuments(layout),
  };
}

function registersBody(layout: RegisterLayout) {
  return {
    name: layout.name,
    cite: layout.cite,
    doc: layout.doc,
    ...given("label", layout.label),
    ...given("linux", layout.linux),
    size: layout.size,
    busWidth: layout.busWidths,
    ...given("byteOrder", layout.byteOrder),
    ...given("gate", layout.gate),
    registers: fieldDocuments(layout),
  };
}

function commandsBody(layout: CommandLayout) {
  return {
    name: layout.name,
    cite: layout.cite,
    doc: layout.doc,
    ...given("label", layout.label),
    ...given("prefix", layout.prefix),
    commands: Object.values<ChannelCommand>(layout.commands).map((command) => ({
      name: command.name,
      code: command.code,
      direction: command.direction,
      ...given("payload", command.payload && structBody(command.payload)),
      ...given("gate", command.gate),
      doc: command.doc,
      ...given("cite", command.cite === layout.cite ? undefined : command.cite),
    })),
  };
}

function fieldDocuments(layout: StructLayout | RegisterLayout): FieldDocument[] {
  return Object.values<Field>(fieldsOf(layout)).map((field) => ({
    name: field.name,
    offset: field.offset,
    type: field.type,
    ...given("count", field.count),
    ...given("access", field.access),
    ...given("reset", resetDocument(field.reset)),
    ...given("gate", field.gate),
    ...given("overlay", field.overlay ? true : undefined),
    doc: field.doc,
    ...given("title", field.title),
    ...given("cite", field.cite === layout.cite ? undefined : field.cite),
    ...given("linux", field.linux),
    ...given("bits", bitsDocuments(field.bits)),
  }));
}

function resetDocument(reset: number | bigint | undefined): number | string | undefined {
  return typeof reset === "bigint" ? `0x${reset.toString(16)}` : reset;
}

function bitsDocuments(bits: Readonly<Record<string, FieldBits>>): BitsDocument[] | undefined {
  const documents = Object.entries(bits).map(([name, { at, width, doc, linux }]) => ({
    name,
    at,
    ...given("width", width === 1 ? undefined : width),
    doc,
    ...given("linux", linux),
  }));
  return documents.length === 0 ? undefined : documents;
}

/** An object with the member, or without it when there is no value. */
function given<K extends string, V>(
  name: K,
  value: V,
): { readonly [P in K]?: Exclude<V, undefined> } {
  return (value === undefined ? {} : { [name]: value }) as {
    readonly [P in K]?: Exclude<V, undefined>;
  };
}
