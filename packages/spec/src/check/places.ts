/** The entries of a layout with their paths in its document, whatever its kind. */
import type {
  AnyStructLayout,
  ChannelCommand,
  Field,
  Gate,
  Layout,
  RegisterLayout,
} from "@virtio-admin/core";

/** A field, a register or a command, and where it stands in the layout's document. */
export interface PlacedEntry {
  /** The wire name. */
  readonly name: string;
  /** The path in the document: `layout.registers[3]`. */
  readonly path: string;
  /** What has to be so for it to exist. */
  readonly gate: Gate | undefined;
  /** The field or register; absent for a command. */
  readonly field?: Field;
  /** The command; absent for a field. */
  readonly command?: ChannelCommand;
}

/** A register map or a structure, with its path in the document. */
export interface PlacedLayout {
  /** The layout. */
  readonly layout: AnyStructLayout | RegisterLayout;
  /** The path in the document: `layout`, or `layout.commands[2].payload`. */
  readonly path: string;
  /** Its fields or registers. */
  readonly entries: readonly (PlacedEntry & { readonly field: Field })[];
}

/** The entries of the layout itself, without those of payloads. */
export function entriesAt(layout: Layout, path = "layout"): readonly PlacedEntry[] {
  if (layout.kind !== "commands") return fieldsAt(layout, path);
  return Object.values(layout.commands).map((command, i) => ({
    name: command.name,
    path: `${path}.commands[${i}]`,
    gate: command.gate,
    command,
  }));
}

/** The register map or structure, or the payloads of the commands. */
export function fieldLayouts(layout: Layout): readonly PlacedLayout[] {
  if (layout.kind !== "commands") return [placed(layout, "layout")];
  return Object.values(layout.commands).flatMap(({ payload }, i) =>
    payload === undefined ? [] : [placed(payload, `layout.commands[${i}].payload`)],
  );
}

function placed(layout: AnyStructLayout | RegisterLayout, path: string): PlacedLayout {
  return { layout, path, entries: fieldsAt(layout, path) };
}

function fieldsAt(layout: AnyStructLayout | RegisterLayout, path: string) {
  const [list, fields] =
    layout.kind === "registers" ? ["registers", layout.registers] : ["fields", layout.fields];
  return Object.values<Field>(fields as Readonly<Record<string, Field>>).map((field, i) => ({
    name: field.name,
    path: `${path}.${list}[${i}]`,
    gate: field.gate,
    field,
  }));
}
