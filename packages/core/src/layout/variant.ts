/** A user's layout in the place of a declared one: moved, but with everything that code names. */
import { VirtioError } from "../errors.ts";
import type { ChannelCommand, Field, Fields, Layout } from "./types.ts";

/**
 * Checks that `candidate` can stand in for `base`: it has all of its fields, registers or commands,
 * with the same types, counts, access and directions. Offsets, sizes, codes, gates, reset values
 * and texts are free, and so is what the candidate has besides.
 *
 * @param base the layout that the code was written against
 * @param candidate what a user wants in its place, usually from `layoutFromJson`
 * @returns `candidate`, typed as `base` is
 * @throws VirtioError `LAYOUT_INVALID` with the path of what is missing or differs
 */
export function variantOf<L extends Layout>(base: L, candidate: Layout): L {
  if (candidate.kind !== base.kind) {
    throw refuse(
      `${candidate.name}.kind`,
      `the layout is not of the kind "${base.kind}"`,
      candidate.kind,
    );
  }
  checkVariant(base, candidate, candidate.name);
  return candidate as L;
}

function checkVariant(base: Layout, candidate: Layout, path: string): void {
  if (base.kind === "commands" && candidate.kind === "commands") {
    for (const [name, command] of Object.entries(base.commands)) {
      checkCommand(command, named(candidate.commands, name, path), `${path}.${name}`);
    }
  } else if (base.kind === "registers" && candidate.kind === "registers") {
    checkFields(base.registers, candidate.registers, path);
  } else if (base.kind === "struct" && candidate.kind === "struct") {
    checkFields(base.fields, candidate.fields, path);
  }
}

function checkFields(base: Fields, candidate: Fields, path: string): void {
  for (const [name, field] of Object.entries(base)) {
    checkField(field, named(candidate, name, path), `${path}.${name}`);
  }
}

function checkField(base: Field, field: Field, path: string): void {
  if (field.type !== base.type) {
    throw refuse(`${path}.type`, `the type has to stay ${base.type}`, field.type);
  }
  if (field.count !== base.count) {
    throw refuse(`${path}.count`, `the count has to stay ${base.count ?? "absent"}`, field.count);
  }
  if (base.access !== undefined && field.access !== base.access) {
    throw refuse(`${path}.access`, `the access has to stay ${base.access}`, field.access);
  }
  for (const [name, bits] of Object.entries(base.bits)) {
    const width = named(field.bits, name, `${path}.bits`).width;
    if (width !== bits.width) {
      throw refuse(`${path}.bits.${name}.width`, `the width has to stay ${bits.width}`, width);
    }
  }
}

function checkCommand(base: ChannelCommand, command: ChannelCommand, path: string): void {
  if (command.direction !== base.direction) {
    throw refuse(
      `${path}.direction`,
      `the direction has to stay ${base.direction}`,
      command.direction,
    );
  }
  if (base.payload === undefined) return;
  if (command.payload === undefined) {
    throw refuse(`${path}.payload`, `the payload ${base.payload.name} is missing`, undefined);
  }
  checkVariant(base.payload, command.payload, `${path}.payload`);
}

function named<T>(members: Readonly<Record<string, T>>, name: string, path: string): T {
  const member = Object.hasOwn(members, name) ? members[name] : undefined;
  if (member === undefined) throw refuse(`${path}.${name}`, "the layout lacks it", undefined);
  return member;
}

function refuse(path: string, message: string, value: unknown): VirtioError {
  return new VirtioError("LAYOUT_INVALID", {
    message,
    path,
    ...(value === undefined ? {} : { value }),
    hint: "a variant may move what the layout has, and add to it",
  });
}
