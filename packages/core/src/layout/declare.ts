/** Declarations become layouts here: checked, completed, frozen. */
import { busWidthsOf, checkCommands, checkRegisters, checkStruct } from "./check.ts";
import { endOf } from "./extents.ts";
import { type Entry, Findings } from "./findings.ts";
import { SCALARS } from "./scalars.ts";
import type {
  BitSpec,
  ChannelCommand,
  ChannelCommandOf,
  ChannelCommandSpec,
  ChannelCommandSpecs,
  CommandLayout,
  CommandsMeta,
  Field,
  FieldBits,
  FieldOf,
  FieldSpec,
  FieldSpecs,
  Gate,
  Layout,
  LayoutMeta,
  RegisterLayout,
  RegisterMeta,
  RegisterSpecs,
  ScalarWidth,
  StructLayout,
  StructMeta,
} from "./types.ts";

const finished = new WeakSet<object>();

/** True when `value` is a layout that one of the functions here made, and so is sound. */
export function isLayout(value: unknown): value is Layout {
  return typeof value === "object" && value !== null && finished.has(value);
}

function finish<L extends Layout>(layout: L): L {
  finished.add(layout);
  return Object.freeze(layout);
}

/**
 * Declares a structure, field by field, with the names of the specification.
 *
 * @param name the name of the structure in the specification
 * @param meta where it comes from, what it is, and its size if it is padded at the end
 * @param fields every field by wire name
 * @returns the frozen layout, which the accessors, the documentation and the JSON form derive from
 * @throws VirtioError `LAYOUT_OVERLAP` when two fields share bytes without `overlay: true`, or two
 * names share bits; `LAYOUT_INVALID` for whatever else contradicts itself
 */
export function struct<const F extends FieldSpecs>(
  name: string,
  meta: StructMeta,
  fields: F,
): StructLayout<{ readonly [K in keyof F]: FieldOf<F[K]> }> {
  const findings = new Findings();
  checkStruct(findings, name, name, meta, entriesOf(name, fields));
  findings.throwFirst();
  const size = sizeOf(meta, fields);
  const alignment = alignmentOf(fields, size);
  const layout: StructLayout = {
    kind: "struct",
    name,
    cite: meta.cite,
    doc: meta.doc,
    label: meta.label,
    linux: meta.linux,
    size,
    alignment: alignment ?? 1,
    packed: alignment === undefined,
    gate: finishGate(meta.gate),
    rest: restOf(fields),
    fields: finishFields(meta, fields),
  };
  return finish(layout) as StructLayout<{ readonly [K in keyof F]: FieldOf<F[K]> }>;
}

/**
 * Declares a register map.
 *
 * @param name the name of the map
 * @param meta where it comes from, what it is, and the widths in which the bus accesses it
 * @param regs every register by name; each says who may access it, and stands at a multiple of
 * its width
 * @returns the frozen layout; `registerTable` makes the look-up by offset from it
 * @throws VirtioError `LAYOUT_OVERLAP` when two registers share bytes without `overlay: true`, or
 * two names share bits; `LAYOUT_INVALID` for whatever else contradicts itself
 */
export function registers<const R extends RegisterSpecs>(
  name: string,
  meta: RegisterMeta,
  regs: R,
): RegisterLayout<{ readonly [K in keyof R]: FieldOf<R[K]> }> {
  const findings = new Findings();
  checkRegisters(findings, name, name, meta, entriesOf(name, regs));
  findings.throwFirst();
  const layout: RegisterLayout = {
    kind: "registers",
    name,
    cite: meta.cite,
    doc: meta.doc,
    label: meta.label,
    linux: meta.linux,
    size: sizeOf(meta, regs),
    busWidths: Object.freeze(busWidthsOf(meta.busWidth) ?? []),
    byteOrder: meta.byteOrder,
    gate: finishGate(meta.gate),
    rest: restOf(regs),
    registers: finishFields(meta, regs),
  };
  return finish(layout) as RegisterLayout<{ readonly [K in keyof R]: FieldOf<R[K]> }>;
}

/**
 * Declares the commands of a channel.
 *
 * @param name the name of the set
 * @param meta where it comes from and what it is
 * @param cmds every command by name; codes are unique
 * @returns the frozen layout
 * @throws VirtioError `LAYOUT_INVALID` when a code is used twice, or something is malformed
 */
export function commands<const C extends ChannelCommandSpecs>(
  name: string,
  meta: CommandsMeta,
  cmds: C,
): CommandLayout<{ readonly [K in keyof C]: ChannelCommandOf<C[K]> }> {
  const findings = new Findings();
  checkCommands(findings, name, name, meta, entriesOf(name, cmds));
  findings.throwFirst();
  const layout: CommandLayout = {
    kind: "commands",
    name,
    cite: meta.cite,
    doc: meta.doc,
    label: meta.label,
    prefix: meta.prefix,
    commands: mapFrozen<ChannelCommandSpec, ChannelCommand>(cmds, (spec, command) => ({
      name: command,
      code: spec.code,
      direction: spec.direction,
      payload: spec.payload,
      gate: finishGate(spec.gate),
      doc: spec.doc,
      cite: spec.cite ?? meta.cite,
    })),
  };
  return finish(layout) as CommandLayout<{
    readonly [K in keyof C]: ChannelCommandOf<C[K]>;
  }>;
}

function entriesOf<S>(layout: string, specs: Readonly<Record<string, S>>): Entry<S>[] {
  return Object.entries(specs).map(([name, spec]) => ({ name, spec, path: `${layout}.${name}` }));
}

function mapFrozen<S, T>(
  specs: Readonly<Record<string, S>>,
  complete: (spec: S, name: string) => T,
): Readonly<Record<string, T>> {
  return Object.freeze(
    Object.fromEntries(
      Object.entries(specs).map(([name, spec]) => [name, Object.freeze(complete(spec, name))]),
    ),
  );
}

function finishFields(meta: LayoutMeta, specs: FieldSpecs): Readonly<Record<string, Field>> {
  return mapFrozen<FieldSpec, Field>(specs, (spec, name) => ({
    name,
    offset: spec.offset,
    type: spec.type,
    width: SCALARS[spec.type].width,
    count: spec.count,
    access: spec.access,
    reset: spec.reset,
    gate: finishGate(spec.gate),
    overlay: spec.overlay ?? false,
    doc: spec.doc,
    title: spec.title,
    cite: spec.cite ?? meta.cite,
    linux: spec.linux,
    bits: mapFrozen<BitSpec, FieldBits>(spec.bits ?? {}, ({ at, width = 1, doc, linux }) => ({
      at,
      width,
      mask: (2 ** width - 1) * 2 ** at,
      doc,
      linux,
    })),
  }));
}

function finishGate(gate: Gate | undefined): Gate | undefined {
  return gate === undefined ? undefined : Object.freeze({ ...gate });
}

function sizeOf(meta: StructMeta, specs: FieldSpecs): number {
  return (
    meta.size ?? Object.values(specs).reduce((end, spec) => Math.max(end, endOf(spec) ?? 0), 0)
  );
}

function restOf(specs: FieldSpecs): string | undefined {
  return Object.keys(specs).find((name) => specs[name]?.count === "rest");
}

/** The widest scalar when everything is naturally aligned, else `undefined`. */
function alignmentOf(specs: FieldSpecs, size: number): ScalarWidth | undefined {
  let alignment: ScalarWidth = 1;
  for (const { offset, type } of Object.values(specs)) {
    const { width } = SCALARS[type];
    if (offset % width !== 0) return undefined;
    if (width > alignment) alignment = width;
  }
  return size % alignment === 0 ? alignment : undefined;
}
