/**
 * Readers of saved state that anybody may have made: what they return is a copy of exactly the form
 * that is declared, every value read once. A transport, a device type or a command family reads with
 * them what it once saved.
 */
import { refuseState } from "./saved-state.ts";

const NOT_HEX = /[^0-9a-f]/;
const ADDRESS = /^0x(?:0|[1-9a-f][0-9a-f]{0,15})$/;

/**
 * Reads a value; `path` is where it stands.
 *
 * @throws VirtioError `SNAPSHOT` with the path of what is wrong
 */
export type StateReader<T> = (value: unknown, path: string) => T;

/** A reader for each member of an object. */
export type StateReaders<T> = {
  readonly [Name in keyof T]-?: StateReader<NonNullable<T[Name]>>;
};

/** Reads an integer from `least` to `most`. */
export function savedInteger(least: number, most: number): StateReader<number> {
  return (value, path) => {
    const isInt = typeof value === "number" && Number.isInteger(value);
    if (isInt && value >= least && value <= most && !Object.is(value, -0)) return value;
    throw refuseState(path, `not an integer from ${least} to ${most}`, { value });
  };
}

/** Reads a value that has to be the same here; `what` says of what it is. */
export function savedSame<T extends string | number | boolean>(
  here: T,
  what: string,
): StateReader<T> {
  return (value, path) => {
    if (value === here) return here;
    throw refuseState(path, `${what} is another one here, ${here}`, {
      value,
      hint: "build the target as the source was built",
    });
  };
}

/** Reads true or false. */
export const savedBoolean: StateReader<boolean> = (value, path) => {
  if (typeof value === "boolean") return value;
  throw refuseState(path, "neither true nor false", { value });
};

/** Reads a text of a form, which `what` names for people. */
export function savedText(
  form: RegExp,
  what: string,
  longest: number = Number.POSITIVE_INFINITY,
): StateReader<string> {
  return (value, path) => {
    if (typeof value === "string" && value.length <= longest && form.test(value)) return value;
    throw refuseState(path, `not ${what}`, { value });
  };
}

/** Reads an address of 64 bits as {@link addressToHex} writes it. */
export const savedAddress: StateReader<string> = savedText(
  ADDRESS,
  "an address of 64 bits as 0x and lower-case digits",
);

/** Reads bytes of two lower-case hexadecimal digits each: as many as said, or any number. */
export function savedBytes(length?: number): StateReader<string> {
  return (value, path) => {
    const isHex = typeof value === "string" && value.length % 2 === 0 && !NOT_HEX.test(value);
    if (isHex && (length === undefined || value.length === 2 * length)) return value;
    const many = length === undefined ? "" : `${length} `;
    throw refuseState(path, `not ${many}bytes of two lower-case digits each`, { value });
  };
}

/** Reads a list of at most `most` items. */
export function savedList<T>(
  read: StateReader<T>,
  most: number = Number.POSITIVE_INFINITY,
): StateReader<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw refuseState(path, "not a list", { value });
    const { length } = value;
    if (length > most) throw refuseState(path, `more than ${most} items`, { value: length });
    return Array.from(value as readonly unknown[], (item, i) => read(item, `${path}[${i}]`));
  };
}

/** Reads a list in which a number of every item is more than that of the one before. */
export function savedAscending<T>(
  read: StateReader<T>,
  numberOf: (item: T) => number,
): StateReader<readonly T[]> {
  const readList = savedList(read);
  return (value, path) => {
    const items = readList(value, path);
    let before = Number.NEGATIVE_INFINITY;
    items.forEach((item, i) => {
      const number = numberOf(item);
      if (number <= before) {
        throw refuseState(`${path}[${i}]`, "not more than the one before", { value: number });
      }
      before = number;
    });
    return items;
  };
}

/** Reads an object with these members and no others; those in `optional` may be absent. */
export function savedObject<T>(
  readers: StateReaders<T>,
  optional: readonly (keyof T & string)[] = [],
): StateReader<T> {
  const names = Object.keys(readers) as (keyof T & string)[];
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw refuseState(path === "" ? "snapshot" : path, "not an object", { value });
    }
    const at = (name: string) => (path === "" ? name : `${path}.${name}`);
    const members = new Map<string, unknown>(Object.entries(value));
    for (const name of members.keys()) {
      if (!Object.hasOwn(readers, name)) throw refuseState(at(name), "no such member is known");
    }
    const found: [string, unknown][] = [];
    for (const name of names) {
      const member = members.get(name);
      if (member !== undefined) found.push([name, readers[name](member, at(name))]);
      else if (!optional.includes(name)) throw refuseState(at(name), "the member is missing");
    }
    return Object.fromEntries(found) as T;
  };
}
