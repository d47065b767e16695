/**
 * What a device dispatches on: registers by offset, commands by code, in constant time. Look-ups
 * are a hot path: one typed array, nothing allocated, any number is a legal argument.
 */
import { VirtioError } from "../errors.ts";
import type {
  Access,
  ChannelCommand,
  ChannelCommands,
  CommandLayout,
  Count,
  Field,
  Fields,
  Gate,
  RegisterLayout,
  ScalarType,
  ScalarWidth,
} from "./types.ts";

/** A register as a device meets it. */
export interface RegisterEntry<N extends string = string> {
  /** The position in the declaration, from 0: dense, so that arrays can run parallel to it. */
  readonly index: number;
  /** The name of the register. */
  readonly name: N;
  /** Bytes from the start of the map. */
  readonly offset: number;
  /** The type of the register, or of each element. */
  readonly type: ScalarType;
  /** The width in bytes of the register, or of each element. */
  readonly width: ScalarWidth;
  /** The number of elements, `"rest"`, or `undefined` for a single register. */
  readonly count: Count | undefined;
  /** What the driver may do with it. */
  readonly access: Access;
  /** True when the driver may read it. */
  readonly readable: boolean;
  /** True when the driver may write it. */
  readonly writable: boolean;
  /** What has to be so for the register to exist, or `undefined`. */
  readonly gate: Gate | undefined;
}

/** The registers of a map by offset, by index and by name. */
export interface RegisterTable<N extends string = string> {
  /** The registers in the order of the declaration. */
  readonly entries: readonly RegisterEntry<N>[];
  /** The registers by name. */
  readonly byName: Readonly<Record<N, RegisterEntry<N>>>;
  /**
   * The register that begins at `offset`, or an element of which does; `undefined` when none does.
   * Where registers share bytes, the one that was declared first.
   */
  at(offset: number): RegisterEntry<N> | undefined;
  /** The register that the byte at `offset` belongs to, or `undefined`. */
  covering(offset: number): RegisterEntry<N> | undefined;
}

/** The commands of a channel by code. */
export interface CommandTable<C extends ChannelCommand = ChannelCommand> {
  /** The commands in the order of the declaration. */
  readonly entries: readonly C[];
  /** The command with that code, or `undefined`. */
  at(code: number): C | undefined;
}

const NOBODY = -1;

/**
 * Makes the look-up by offset of a register map, the project's own or a user's.
 *
 * @throws VirtioError `LAYOUT_INVALID` when a register doesn't say who may access it, which only a
 * map that `registers` and `layoutFromJson` didn't make can lack
 */
export function registerTable<const R extends Fields>(
  layout: RegisterLayout<R>,
): RegisterTable<keyof R & string> {
  type N = keyof R & string;
  const fields = Object.values<Field>(layout.registers);
  const entries = fields.map((field, index) => entryOf(layout.name, field, index));
  const rest = entries.find((entry) => entry.count === "rest");
  const { size } = layout;
  let granule = 8;
  for (const { width, count } of entries) if (count !== "rest") granule = Math.min(granule, width);
  // Widths are powers of two, and registers stand at multiples of theirs: shifts divide exactly.
  const shift = Math.log2(granule);
  const slots = Math.ceil(size / granule);
  const starts = new Int16Array(slots).fill(NOBODY);
  const owners = new Int16Array(slots).fill(NOBODY);
  for (const { index, offset, width, count } of entries) {
    if (count === "rest") continue;
    for (let i = 0; i < (count ?? 1); i++) {
      const first = (offset + i * width) >> shift;
      if (starts[first] === NOBODY) starts[first] = index;
      for (let slot = first; slot < first + (width >> shift); slot++) {
        if (owners[slot] === NOBODY) owners[slot] = index;
      }
    }
  }
  const table: RegisterTable = {
    entries: Object.freeze(entries),
    byName: Object.freeze(Object.fromEntries(entries.map((entry) => [entry.name, entry]))),
    at(offset) {
      if (offset >= 0 && offset < size) {
        if (offset % granule !== 0) return undefined;
        return entries[starts[offset >> shift] as number];
      }
      if (rest === undefined || !(offset >= size)) return undefined;
      return (offset - size) % rest.width === 0 ? rest : undefined;
    },
    covering(offset) {
      if (offset >= 0 && offset < size) {
        return Number.isInteger(offset) ? entries[owners[offset >> shift] as number] : undefined;
      }
      return offset >= size && Number.isInteger(offset) ? rest : undefined;
    },
  };
  return Object.freeze(table) as RegisterTable<N>;
}

function entryOf(map: string, field: Field, index: number): RegisterEntry {
  const { name, offset, type, width, count, access, gate } = field;
  if (access === undefined) {
    throw new VirtioError("LAYOUT_INVALID", {
      message: "a register says who may access it",
      path: `${map}.${name}.access`,
    });
  }
  return Object.freeze({
    index,
    name,
    offset,
    type,
    width,
    count,
    access,
    readable: access !== "W",
    writable: access !== "R",
    gate,
  });
}

/** Makes the look-up by code of a channel's commands, the project's own or a user's. */
export function commandTable<const C extends ChannelCommands>(
  layout: CommandLayout<C>,
): CommandTable<C[keyof C]> {
  const entries = Object.values(layout.commands) as C[keyof C][];
  const byCode: (C[keyof C] | undefined)[] = new Array(0x100).fill(undefined);
  for (const command of entries) byCode[command.code] = command;
  return Object.freeze({
    entries: Object.freeze(entries),
    at: (code: number) => byCode[code],
  });
}
