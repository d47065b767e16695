/**
 * The registers of PCI's own configuration space that a driver writes, by name: what a snapshot of a
 * function holds of them. Which bits of them can be written, configuration space says; the extended
 * capabilities have rules of their own and are not among them.
 */
import { type Field, refuseState, savedInteger, savedObject } from "@virtio-admin/core";
import type { PciConfigSpace } from "./config-space.ts";
import type { PciConfigTemplate } from "./config-template.ts";

/** The bits of one register, and what they hold, by the names of the registers. */
export type SavedRegisters = Readonly<Record<string, number>>;

/** One register. */
export interface WritableRegister {
  /** Its name, with that of its capability: `msix.message_control`. */
  readonly name: string;
  /** Where it is. */
  readonly offset: number;
  /** Its bytes. */
  readonly width: number;
  /** The bits that the driver writes, and that stay. */
  readonly mask: number;
}

const WIDEST = 4;

/**
 * The registers among these fields that a driver writes.
 *
 * @param at where the structure of the fields begins
 * @param transient bits that act when they are written, and never stay, by the name of the field
 */
export function writableRegisters(
  config: PciConfigTemplate,
  fields: readonly Field[],
  { prefix = "", at = 0, transient = {} }: RegisterPlace = {},
): WritableRegister[] {
  return fields.flatMap((field) => {
    const count = typeof field.count === "number" ? field.count : 1;
    // An array of bytes that makes up a dword is one register.
    const whole = field.width * count <= WIDEST;
    const width = whole ? field.width * count : field.width;
    return Array.from({ length: whole ? 1 : count }, (_, i) => {
      const offset = at + field.offset + i * width;
      const writable = width <= WIDEST ? config.writableBits(offset, width) : 0;
      const mask = (writable & ~(transient[field.name] ?? 0)) >>> 0;
      return { name: `${prefix}${field.name}${whole ? "" : i}`, offset, width, mask };
    }).filter(({ mask }) => mask !== 0);
  });
}

/** Where a structure is, and what is special about it. */
export interface RegisterPlace {
  /** What stands before the names of its fields. */
  readonly prefix?: string;
  /** Where it begins. */
  readonly at?: number;
  /** See {@link writableRegisters}. */
  readonly transient?: Readonly<Record<string, number>>;
}

/** What the driver left in the registers; one that is as after a reset is left out. */
export function saveRegisters(
  config: PciConfigSpace,
  registers: readonly WritableRegister[],
): SavedRegisters {
  return Object.fromEntries(
    registers.flatMap(({ name, offset, width, mask }) => {
      const value = (config.bits(offset, width) & mask) >>> 0;
      const reset = (config.resetBits(offset, width) & mask) >>> 0;
      return value === reset ? [] : [[name, value]];
    }),
  );
}

/**
 * Checks saved registers; what it returns puts all of them in place.
 *
 * @throws VirtioError `SNAPSHOT` for a register that there is not, and bits that one cannot hold
 */
export function prepareRegisters(
  config: PciConfigSpace,
  registers: readonly WritableRegister[],
  value: unknown,
  path: string,
): () => void {
  const read = savedObject<SavedRegisters>(
    Object.fromEntries(
      registers.map(({ name, width }) => [name, savedInteger(0, 2 ** (8 * width) - 1)]),
    ),
    registers.map(({ name }) => name),
  );
  const saved = value === undefined ? {} : read(value, path);
  const values = registers.map(({ name, offset, width, mask }) => {
    const bits = saved[name] ?? (config.resetBits(offset, width) & mask) >>> 0;
    if ((bits & ~mask) === 0) return bits;
    throw refuseState(`${path}.${name}`, "the register here does not hold these bits", {
      value: bits,
    });
  });
  return () => {
    registers.forEach(({ offset, width, mask }, i) => {
      config.putBits(offset, width, mask, values[i] ?? 0);
    });
  };
}
