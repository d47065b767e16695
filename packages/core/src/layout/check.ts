/**
 * What makes a declaration sound. One set of rules for declarations in source, which throw at the
 * first error, and for a user's document, which gets the whole list.
 */
import { checkExtents } from "./extents.ts";
import { type Entry, type Findings, LAYOUT_LIMITS } from "./findings.ts";
import { fitsWidth, isScalarType, isWhole, SCALARS } from "./scalars.ts";
import type {
  BitSpec,
  BusWidth,
  ChannelCommandSpec,
  CommandsMeta,
  FieldSpec,
  Gate,
  LayoutMeta,
  RegisterMeta,
  ScalarWidth,
  StructMeta,
} from "./types.ts";

const NAME = /^[A-Za-z][A-Za-z0-9_]*$/;

/** A letter first, so that no name is an array index, and none is a member of every object. */
export function isLayoutName(value: unknown): value is string {
  return typeof value === "string" && value.length <= LAYOUT_LIMITS.name && NAME.test(value);
}

/** Checks a structure. */
export function checkStruct(
  findings: Findings,
  path: string,
  name: string,
  meta: StructMeta,
  entries: readonly Entry<FieldSpec>[],
): void {
  checkMeta(findings, path, name, meta);
  checkStructMeta(findings, path, meta);
  checkEntries(findings, path, "field", entries);
  for (const entry of entries) checkField(findings, entry);
  checkExtents(findings, path, meta.size, entries);
}

/** Checks a register map. */
export function checkRegisters(
  findings: Findings,
  path: string,
  name: string,
  meta: RegisterMeta,
  entries: readonly Entry<FieldSpec>[],
): void {
  checkMeta(findings, path, name, meta);
  checkStructMeta(findings, path, meta);
  const widths = busWidthsOf(meta.busWidth);
  if (widths === undefined) {
    findings.malformed(
      `${path}.busWidth`,
      "a bus width is 8, 16, 32 or 64, each at most once",
      meta.busWidth,
    );
  }
  if (meta.byteOrder !== undefined && meta.byteOrder !== "little" && meta.byteOrder !== "big") {
    findings.malformed(`${path}.byteOrder`, 'a byte order is "little" or "big"', meta.byteOrder);
  }
  checkEntries(findings, path, "register", entries);
  for (const entry of entries) {
    checkField(findings, entry);
    checkRegister(findings, entry, widths, meta.byteOrder);
  }
  checkExtents(findings, path, meta.size, entries);
}

/** Checks a set of channel commands; the payloads have been checked where they were declared. */
export function checkCommands(
  findings: Findings,
  path: string,
  name: string,
  meta: CommandsMeta,
  entries: readonly Entry<ChannelCommandSpec>[],
): void {
  checkMeta(findings, path, name, meta);
  checkIdentifier(findings, `${path}.prefix`, meta.prefix);
  checkEntries(findings, path, "command", entries);
  const names = new Map<number, string>();
  for (const entry of entries) {
    const { code } = entry.spec;
    checkCommand(findings, entry);
    const other = names.get(code);
    if (other !== undefined) {
      findings.invalid("code", `${entry.path}.code`, `the code is taken by ${other}`, code);
    }
    names.set(code, entry.name);
  }
}

/** The widths in ascending order, or `undefined` when the declaration is wrong. */
export function busWidthsOf(
  declared: BusWidth | readonly BusWidth[],
): readonly BusWidth[] | undefined {
  const widths = typeof declared === "number" ? [declared] : declared;
  if (!Array.isArray(widths) || widths.length === 0 || widths.length > 4) return undefined;
  const legal = widths.every(
    (width) => width === 8 || width === 16 || width === 32 || width === 64,
  );
  if (!legal || new Set(widths).size !== widths.length) return undefined;
  return [...widths].sort((a, b) => a - b);
}

function checkMeta(findings: Findings, path: string, name: string, meta: LayoutMeta): void {
  if (!isLayoutName(name)) {
    findings.malformed(`${path}.name`, "a name is a letter, then letters, digits and _", name);
  }
  checkText(findings, `${path}.cite`, meta.cite);
  checkText(findings, `${path}.doc`, meta.doc);
  if (meta.label !== undefined) checkText(findings, `${path}.label`, meta.label);
}

function checkStructMeta(findings: Findings, path: string, meta: StructMeta): void {
  checkGate(findings, `${path}.gate`, meta.gate);
  checkIdentifier(findings, `${path}.linux`, meta.linux);
}

/** What stands in C as it is, where there is one. */
function checkIdentifier(findings: Findings, path: string, name: string | undefined): void {
  if (name === undefined || isLayoutName(name)) return;
  findings.malformed(path, "a name is a letter, then letters, digits and _", name);
}

function checkText(findings: Findings, path: string, text: unknown): void {
  if (typeof text !== "string" || text.length === 0 || text.length > LAYOUT_LIMITS.text) {
    findings.malformed(path, `a text has 1 to ${LAYOUT_LIMITS.text} characters`, text);
  }
}

function checkGate(findings: Findings, path: string, gate: Gate | undefined): void {
  if (gate === undefined) return;
  const { feature, revision } = gate;
  if (feature === undefined && revision === undefined) {
    findings.malformed(path, "a gate names a feature bit, a revision, or both");
  }
  if (feature !== undefined && !isWhole(feature, 0, LAYOUT_LIMITS.feature)) {
    findings.malformed(
      `${path}.feature`,
      `a feature bit is 0 to ${LAYOUT_LIMITS.feature}`,
      feature,
    );
  }
  if (revision !== undefined && !isWhole(revision, 0, LAYOUT_LIMITS.revision)) {
    findings.malformed(
      `${path}.revision`,
      `a revision is 0 to ${LAYOUT_LIMITS.revision}`,
      revision,
    );
  }
}

function checkEntries(
  findings: Findings,
  path: string,
  what: string,
  entries: readonly Entry<unknown>[],
): void {
  if (entries.length === 0 || entries.length > LAYOUT_LIMITS.entries) {
    findings.malformed(
      `${path}.${what}s`,
      `a layout has 1 to ${LAYOUT_LIMITS.entries} ${what}s`,
      entries.length,
    );
  }
  const names = new Set<string>();
  for (const entry of entries) {
    if (!isLayoutName(entry.name)) {
      findings.malformed(
        `${entry.path}.name`,
        "a name is a letter, then letters, digits and _",
        entry.name,
      );
    }
    if (names.has(entry.name)) {
      findings.invalid(
        "name",
        `${entry.path}.name`,
        `there is another ${what} of that name`,
        entry.name,
      );
    }
    names.add(entry.name);
  }
}

function checkField(findings: Findings, entry: Entry<FieldSpec>): void {
  const { spec, path } = entry;
  checkText(findings, `${path}.doc`, spec.doc);
  if (spec.title !== undefined) checkText(findings, `${path}.title`, spec.title);
  if (spec.cite !== undefined) checkText(findings, `${path}.cite`, spec.cite);
  checkIdentifier(findings, `${path}.linux`, spec.linux);
  checkGate(findings, `${path}.gate`, spec.gate);
  if (!isWhole(spec.offset, 0, LAYOUT_LIMITS.bytes)) {
    findings.malformed(
      `${path}.offset`,
      `an offset is 0 to ${LAYOUT_LIMITS.bytes} bytes`,
      spec.offset,
    );
  }
  const { access, count, overlay } = spec;
  if (access !== undefined && access !== "R" && access !== "W" && access !== "RW") {
    findings.malformed(`${path}.access`, 'an access is "R", "W" or "RW"', access);
  }
  if (count !== undefined && count !== "rest" && !isWhole(count, 1, LAYOUT_LIMITS.bytes)) {
    findings.malformed(
      `${path}.count`,
      `a count is 1 to ${LAYOUT_LIMITS.bytes} or "rest"`,
      count,
      "leave it out for a scalar",
    );
  }
  if (overlay !== undefined && typeof overlay !== "boolean") {
    findings.malformed(`${path}.overlay`, "overlay is true or false", overlay);
  }
  if (!isScalarType(spec.type)) {
    findings.malformed(
      `${path}.type`,
      `a type is one of ${Object.keys(SCALARS).join(", ")}`,
      spec.type,
    );
    return;
  }
  const { width } = SCALARS[spec.type];
  checkReset(findings, path, spec, width);
  checkBits(findings, entry, width);
}

function checkReset(findings: Findings, path: string, spec: FieldSpec, width: ScalarWidth): void {
  if (spec.reset === undefined) return;
  if (!fitsWidth(spec.reset, 8)) {
    findings.malformed(`${path}.reset`, "a reset value is a whole number of 64 bits", spec.reset);
  } else if (spec.count !== undefined) {
    findings.invalid("reset", `${path}.reset`, "an array has no reset value", spec.reset);
  } else if (!fitsWidth(spec.reset, width)) {
    findings.invalid(
      "reset",
      `${path}.reset`,
      `the reset value does not fit ${spec.type}`,
      spec.reset,
    );
  }
}

function checkBits(findings: Findings, entry: Entry<FieldSpec>, width: ScalarWidth): void {
  const { spec, path, bitPaths } = entry;
  const owners: string[] = [];
  for (const [name, bits] of Object.entries<BitSpec>(spec.bits ?? {})) {
    const where = bitPaths?.get(name) ?? `${path}.bits.${name}`;
    const run = bits.width === undefined ? 1 : bits.width;
    if (!isLayoutName(name)) {
      findings.malformed(where, "a name is a letter, then letters, digits and _", name);
    }
    checkText(findings, `${where}.doc`, bits.doc);
    checkIdentifier(findings, `${where}.linux`, bits.linux);
    if (!isWhole(bits.at, 0, LAYOUT_LIMITS.bit)) {
      findings.malformed(`${where}.at`, `a bit is 0 to ${LAYOUT_LIMITS.bit}`, bits.at);
    } else if (!isWhole(run, 1, LAYOUT_LIMITS.bit + 1)) {
      findings.malformed(`${where}.width`, `a width is 1 to ${LAYOUT_LIMITS.bit + 1} bits`, run);
    } else if (bits.at >= 8 * width) {
      findings.invalid(
        "bits",
        `${where}.at`,
        `a bit of ${spec.type} is 0 to ${8 * width - 1}`,
        bits.at,
      );
    } else if (run > 8 * width - bits.at) {
      findings.invalid("bits", `${where}.width`, `bits reach beyond the end of ${spec.type}`, run);
    } else {
      for (let bit = bits.at; bit < bits.at + run; bit++) {
        const other = owners[bit];
        if (other !== undefined) {
          findings.add({
            rule: "overlap",
            severity: "error",
            code: "LAYOUT_OVERLAP",
            path: `${where}.at`,
            message: `bit ${bit} belongs to ${other}`,
            value: bits.at,
          });
          break;
        }
        owners[bit] = name;
      }
    }
  }
}

function checkRegister(
  findings: Findings,
  { spec, path }: Entry<FieldSpec>,
  busWidths: readonly BusWidth[] | undefined,
  byteOrder: string | undefined,
): void {
  if (spec.access === undefined) {
    findings.malformed(`${path}.access`, 'a register says who may access it: "R", "W" or "RW"');
  }
  if (!isScalarType(spec.type)) return;
  const { width, order } = SCALARS[spec.type];
  if (isWhole(spec.offset, 0, LAYOUT_LIMITS.bytes) && spec.offset % width !== 0) {
    findings.invalid(
      "alignment",
      `${path}.offset`,
      `a ${spec.type} register stands at a multiple of ${width}`,
      spec.offset,
    );
  }
  const accessible = busWidths?.some((bits) => bits === 8 * width) ?? true;
  if (!accessible && spec.count === undefined) {
    findings.invalid(
      "bus-width",
      `${path}.type`,
      `the bus has no access of ${8 * width} bits`,
      spec.type,
      "split the register, or name the width in busWidth",
    );
  }
  if (byteOrder !== undefined && order !== undefined && order !== byteOrder) {
    findings.invalid(
      "byte-order",
      `${path}.type`,
      `the registers are ${byteOrder}-endian`,
      spec.type,
    );
  }
}

function checkCommand(findings: Findings, { spec, path }: Entry<ChannelCommandSpec>): void {
  checkText(findings, `${path}.doc`, spec.doc);
  if (spec.cite !== undefined) checkText(findings, `${path}.cite`, spec.cite);
  checkGate(findings, `${path}.gate`, spec.gate);
  const { code, direction } = spec;
  if (!isWhole(code, 1, 0xff)) {
    findings.malformed(`${path}.code`, "a command code is 1 to 255", code);
  }
  if (direction !== "read" && direction !== "write" && direction !== "control") {
    findings.malformed(
      `${path}.direction`,
      'a direction is "read", "write" or "control"',
      direction,
    );
    return;
  }
  // The channel subsystem tells the operation by the low bits of the code.
  const implied = CODE_DIRECTIONS[code & 3];
  if (implied !== undefined && implied !== direction) {
    findings.add({
      rule: "direction",
      severity: "warning",
      code: "LAYOUT_INVALID",
      path: `${path}.code`,
      message: `to the channel subsystem the low bits of the code say ${implied}`,
      value: code,
    });
  }
}

const CODE_DIRECTIONS = [undefined, "write", "read", "control"] as const;
