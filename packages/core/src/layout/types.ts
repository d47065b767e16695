/**
 * The vocabulary of layouts: what a declaration is written in, and what it becomes.
 *
 * A declaration ({@link FieldSpec}, {@link ChannelCommandSpec}) is what somebody writes; a layout
 * ({@link StructLayout}, {@link RegisterLayout}, {@link CommandLayout}) is what `struct`,
 * `registers` and `commands` make of it: checked, completed and frozen.
 */

/**
 * A scalar as the specification writes it: unsigned, of 8, 16, 32 or 64 bits, little- or
 * big-endian ("Structure Specifications" in the chapter Introduction).
 */
export type ScalarType = "u8" | "le16" | "le32" | "le64" | "be16" | "be32" | "be64";

/** The type of a field, or of each element of an array field. */
export type FieldType = ScalarType;

/** The scalar types whose values need not fit a JavaScript number exactly. */
export type WideType = "le64" | "be64";

/** A scalar's width in bytes. */
export type ScalarWidth = 1 | 2 | 4 | 8;

/** How many elements an array field has; `"rest"`: as many as the surrounding bytes hold. */
export type Count = number | "rest";

/** Who may do what: the driver reads, writes, or both. */
export type Access = "R" | "W" | "RW";

/** What has to be so for a field, a structure or a command to exist. */
export interface Gate {
  /** The number of the feature bit that has to be negotiated. */
  readonly feature?: number;
  /** The lowest revision of the transport that has it. */
  readonly revision?: number;
}

/** A run of bits inside a field, as declared. */
export interface BitSpec {
  /** The number of the lowest bit; bit 0 is the least significant one of the value. */
  readonly at: number;
  /** The number of bits; 1 when absent. */
  readonly width?: number;
  /** What the bits mean. */
  readonly doc: string;
  /** What Linux's headers call the mask of the bits. */
  readonly linux?: string;
}

/** A field or a register, as declared. */
export interface FieldSpec {
  /** Bytes from the start of the layout. */
  readonly offset: number;
  /** The type of the value, or of each element when there is a `count`. */
  readonly type: FieldType;
  /** Makes it an array of this many elements; `"rest"` only for the last field. */
  readonly count?: Count;
  /** What the driver may do with it. Every register has it; a structure's field may. */
  readonly access?: Access;
  /** The value after a reset; absent means 0. Not for arrays. */
  readonly reset?: number | bigint;
  /** What has to be so for the field to exist; absent: it always does. */
  readonly gate?: Gate;
  /** True when the field shares its bytes with another on purpose (a union). */
  readonly overlay?: boolean;
  /** What the field is, in one sentence. */
  readonly doc: string;
  /** What it is for in a few words: the heading of its description in the specification. */
  readonly title?: string;
  /** The section of the specification, where it is another than the layout's. */
  readonly cite?: string;
  /** What Linux's headers call its offset. */
  readonly linux?: string;
  /** The named bits of the value, or of each element. */
  readonly bits?: Readonly<Record<string, BitSpec>>;
}

/** The fields of a structure by their wire names, in the order of the declaration. */
export type FieldSpecs = Readonly<Record<string, FieldSpec>>;

/** A register, as declared: a field that says who may access it. */
export interface RegisterSpec extends FieldSpec {
  /** What the driver may do with the register. */
  readonly access: Access;
}

/** The registers of a map by name, in the order of the declaration. */
export type RegisterSpecs = Readonly<Record<string, RegisterSpec>>;

/** What every layout says about itself. */
export interface LayoutMeta {
  /** The section or the file it comes from; "this project" for what no text has. */
  readonly cite: string;
  /** What it is, in one sentence. */
  readonly doc: string;
  /**
   * The label of its section in the specification's sources, without the `sec:` before it:
   * `Virtio Transport Options / Virtio Over MMIO / MMIO Device Register Layout`.
   */
  readonly label?: string;
}

/** What a structure says about itself. */
export interface StructMeta extends LayoutMeta {
  /**
   * The size in bytes without a `"rest"` field; when absent, the end of the last field. Larger
   * than that means padding at the end.
   */
  readonly size?: number;
  /** What has to be so for the structure to exist. */
  readonly gate?: Gate;
  /** What Linux's headers call the structure, where they have it under another name. */
  readonly linux?: string;
}

/** What a set of channel commands says about itself. */
export interface CommandsMeta extends LayoutMeta {
  /** What the specification writes before every name: `CCW_CMD_`. */
  readonly prefix?: string;
}

/** The width in bits of one access on a bus. */
export type BusWidth = 8 | 16 | 32 | 64;

/** The byte order of a bus. */
export type ByteOrder = "little" | "big";

/** What a register map says about itself. */
export interface RegisterMeta extends StructMeta {
  /** The widths in which the bus accesses registers; a `"rest"` field or an array may have others. */
  readonly busWidth: BusWidth | readonly BusWidth[];
  /** The byte order that every register must have; when absent, each says it by its type. */
  readonly byteOrder?: ByteOrder;
}

/** How a channel command moves data, seen from the driver. */
export type ChannelDirection = "read" | "write" | "control";

/** A channel command, as declared. */
export interface ChannelCommandSpec {
  /** The command code, one byte, not 0. */
  readonly code: number;
  /** What it does with its data; see {@link ChannelDirection}. */
  readonly direction: ChannelDirection;
  /** The data it carries; absent: none, or of a length that no layout describes. */
  readonly payload?: AnyStructLayout;
  /** What has to be so for the command to be accepted. */
  readonly gate?: Gate;
  /** What the command does, in one sentence. */
  readonly doc: string;
  /** The section of the specification, where it is another than the layout's. */
  readonly cite?: string;
}

/** Channel commands by name, in the order of the declaration. */
export type ChannelCommandSpecs = Readonly<Record<string, ChannelCommandSpec>>;

/** A run of bits of a {@link Field}. */
export interface FieldBits {
  /** The number of the lowest bit. */
  readonly at: number;
  /** The number of bits. */
  readonly width: number;
  /** The bits as a mask of the value; exact for runs of up to 53 bits. */
  readonly mask: number;
  /** What the bits mean. */
  readonly doc: string;
  /** What Linux's headers call the mask of the bits, or `undefined`. */
  readonly linux: string | undefined;
}

/** A field of a finished layout. */
export interface Field<
  T extends ScalarType = ScalarType,
  C extends Count | undefined = Count | undefined,
  B extends string = string,
> {
  /** The wire name. */
  readonly name: string;
  /** Bytes from the start of the layout. */
  readonly offset: number;
  /** The type of the value, or of each element. */
  readonly type: T;
  /** The width in bytes of the value, or of each element. */
  readonly width: ScalarWidth;
  /** The number of elements of an array, `"rest"`, or `undefined` for a scalar. */
  readonly count: C;
  /** What the driver may do with it; `undefined` when the layout doesn't say. */
  readonly access: Access | undefined;
  /** The value after a reset; `undefined` when nothing was declared, which means 0. */
  readonly reset: number | bigint | undefined;
  /** What has to be so for the field to exist; `undefined`: it always does. */
  readonly gate: Gate | undefined;
  /** True when the field shares bytes with another on purpose. */
  readonly overlay: boolean;
  /** What the field is. */
  readonly doc: string;
  /** What it is for in a few words, or `undefined`. */
  readonly title: string | undefined;
  /** The section of the specification; the layout's when the field has none of its own. */
  readonly cite: string;
  /** What Linux's headers call its offset, or `undefined`. */
  readonly linux: string | undefined;
  /** The named bits; an empty object when there are none. */
  readonly bits: Readonly<Record<B, FieldBits>>;
}

/** Finished fields by wire name. */
export type Fields = Readonly<Record<string, Field>>;

/** The {@link Field} that a declaration becomes; keeps name, type, count and bit names only. */
export type FieldOf<S extends FieldSpec> = FieldSpec extends S
  ? Field
  : Field<S["type"], S["count"] extends Count ? S["count"] : undefined, keyof S["bits"] & string>;

/** A structure: what `struct` returns. Frozen, as everything it holds. */
export interface StructLayout<F extends Fields = Fields> {
  /** Tells a structure from the other kinds. */
  readonly kind: "struct";
  /** The name in the specification. */
  readonly name: string;
  /** The section it comes from. */
  readonly cite: string;
  /** What it is. */
  readonly doc: string;
  /** The label of its section in the specification's sources, or `undefined`. */
  readonly label: string | undefined;
  /** What Linux's headers call it, or `undefined`. */
  readonly linux: string | undefined;
  /** The size in bytes, without the elements of a `"rest"` field, which begins here. */
  readonly size: number;
  /** The strictest natural alignment, in bytes, that all fields and the size obey; 1 if packed. */
  readonly alignment: ScalarWidth;
  /** True when a field or the size isn't naturally aligned, so that C needs it packed. */
  readonly packed: boolean;
  /** What has to be so for the structure to exist, or `undefined`. */
  readonly gate: Gate | undefined;
  /** The name of the `"rest"` field, or `undefined`. */
  readonly rest: string | undefined;
  /** The fields by wire name, in the order of the declaration. */
  readonly fields: F;
}

/** Any structure, whatever its fields. */
export type AnyStructLayout = StructLayout<Fields>;

/** A register map: what `registers` returns. Frozen, as everything it holds. */
export interface RegisterLayout<R extends Fields = Fields> {
  /** Tells a register map from the other kinds. */
  readonly kind: "registers";
  /** The name of the map. */
  readonly name: string;
  /** The section it comes from. */
  readonly cite: string;
  /** What it is. */
  readonly doc: string;
  /** The label of its section in the specification's sources, or `undefined`. */
  readonly label: string | undefined;
  /** What Linux's headers call it, or `undefined`. */
  readonly linux: string | undefined;
  /** The size in bytes, without the elements of a `"rest"` field, which begins here. */
  readonly size: number;
  /** The widths of an access in bits, ascending. */
  readonly busWidths: readonly BusWidth[];
  /** The byte order that every register has, or `undefined` when that wasn't declared. */
  readonly byteOrder: ByteOrder | undefined;
  /** What has to be so for the map to exist, or `undefined`. */
  readonly gate: Gate | undefined;
  /** The name of the `"rest"` field, or `undefined`. */
  readonly rest: string | undefined;
  /** The registers by name, in the order of the declaration. */
  readonly registers: R;
}

/** A channel command of a finished layout. */
export interface ChannelCommand<
  P extends AnyStructLayout | undefined = AnyStructLayout | undefined,
> {
  /** The name in the specification. */
  readonly name: string;
  /** The command code. */
  readonly code: number;
  /** What it does with its data. */
  readonly direction: ChannelDirection;
  /** The data it carries, or `undefined`. */
  readonly payload: P;
  /** What has to be so for the command to be accepted, or `undefined`. */
  readonly gate: Gate | undefined;
  /** What the command does. */
  readonly doc: string;
  /** The section of the specification; the layout's when the command has none of its own. */
  readonly cite: string;
}

/** Finished commands by name. */
export type ChannelCommands = Readonly<Record<string, ChannelCommand>>;

/** The {@link ChannelCommand} that a declaration becomes. */
export type ChannelCommandOf<S extends ChannelCommandSpec> = ChannelCommandSpec extends S
  ? ChannelCommand
  : ChannelCommand<S["payload"] extends AnyStructLayout ? S["payload"] : undefined>;

/** Channel commands: what `commands` returns. Frozen, as everything it holds. */
export interface CommandLayout<C extends ChannelCommands = ChannelCommands> {
  /** Tells channel commands from the other kinds. */
  readonly kind: "commands";
  /** The name of the set. */
  readonly name: string;
  /** The section it comes from. */
  readonly cite: string;
  /** What it is. */
  readonly doc: string;
  /** The label of its section in the specification's sources, or `undefined`. */
  readonly label: string | undefined;
  /** What the specification writes before every name, or `undefined`. */
  readonly prefix: string | undefined;
  /** The commands by name, in the order of the declaration. */
  readonly commands: C;
}

/** A layout of any kind; `kind` tells which. */
export type Layout = AnyStructLayout | RegisterLayout | CommandLayout;
