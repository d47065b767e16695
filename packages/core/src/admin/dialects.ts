/** Every dialect by its name. */
import { VirtioError } from "../errors.ts";
import { type Dialect, type DialectDescription, VIRTIO_1_4 } from "./dialect.ts";
import type { DialectName } from "./dialect-name.ts";
import { PROPOSAL_V5 } from "./proposal-v5.ts";
import type { AdminCommand } from "./types.ts";

const FORMATS: Readonly<Record<DialectName, Dialect>> = {
  "virtio-1.4": VIRTIO_1_4,
  "proposal-v5": PROPOSAL_V5,
};

/** Every dialect of administration commands: the ratified one, and the reconstruction. */
export const DIALECTS: Readonly<Record<DialectName, DialectDescription>> = FORMATS;

/**
 * The dialect of this name, `virtio-1.4` when there is none.
 *
 * @throws VirtioError `VALUE_RANGE` for a name that no dialect has
 */
export function dialectOf(name: DialectName = "virtio-1.4"): Dialect {
  if (Object.hasOwn(FORMATS, name)) return FORMATS[name];
  throw new VirtioError("VALUE_RANGE", {
    path: "dialect",
    message: "there is no such dialect of administration commands",
    value: name,
    hint: `the dialects are ${Object.keys(FORMATS).join(" and ")}`,
  });
}

/** The commands that every dialect has under a number of its own, in one order for all. */
function ownCommands({ listQuery, listUse, management }: Dialect): readonly AdminCommand[] {
  return [listQuery, listUse, ...management];
}

/** The numbers of those commands in a dialect, for the declarations of every dialect. */
function numbersIn(dialect: Dialect): ReadonlyMap<AdminCommand, number> {
  const here = ownCommands(dialect);
  const numbers = new Map<AdminCommand, number>();
  for (const other of Object.values(FORMATS)) {
    ownCommands(other).forEach((command, place) => {
      const opcode = here[place]?.opcode;
      if (opcode !== undefined) numbers.set(command, opcode);
    });
  }
  return numbers;
}

const NUMBERS: ReadonlyMap<Dialect, ReadonlyMap<AdminCommand, number>> = new Map(
  Object.values(FORMATS).map((dialect) => [dialect, numbersIn(dialect)]),
);

/** True for a number that proposal-v5 gives to a command of its own: no other command has it. */
export function isTaken(dialect: Dialect, opcode: number): boolean {
  // Of virtio-1.4 the list commands are checked like any other; management is opt-in, and private.
  return dialect !== VIRTIO_1_4 && ownCommands(dialect).some((own) => own.opcode === opcode);
}

/**
 * The number that a command has in a dialect. A command that is a part of every dialect may have
 * one in each; any other keeps its own.
 *
 * @returns `undefined` when the dialect has no such command, but gives its number to another
 */
export function opcodeIn(dialect: Dialect, command: AdminCommand): number | undefined {
  const number = NUMBERS.get(dialect)?.get(command);
  if (number !== undefined) return number;
  return isTaken(dialect, command.opcode) ? undefined : command.opcode;
}
