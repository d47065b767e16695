/**
 * Reads fields of JSON that nobody vouches for. Each reader returns the value or throws the one
 * error of a malformed file, with file, line and field.
 */
import { VirtioError } from "@virtio-admin/core";

/** One JSON object of a file, and where it stands. */
export class FieldReader {
  readonly #place: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  /** @throws VirtioError `TRACE_FORMAT` when `value` is no object. */
  constructor(place: string, value: unknown) {
    this.#place = place;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw this.#error("", "an object is needed", value);
    }
    this.#fields = value as Readonly<Record<string, unknown>>;
  }

  /** True when the field is there. */
  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name);
  }

  /** Whatever is there; `undefined` when nothing is. */
  value(name: string): unknown {
    return this.#field(name);
  }

  /** An integer from `least` to `most`. */
  integer(name: string, least: number, most: number): number {
    const value = this.#field(name);
    if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
      throw this.#error(name, `an integer from ${least} to ${most} is needed`, value);
    }
    return value as number;
  }

  /** A text of at least one and at most `longest` characters. */
  text(name: string, longest: number): string {
    const value = this.#field(name);
    if (typeof value !== "string" || value.length === 0 || value.length > longest) {
      throw this.#error(name, `a text of 1 to ${longest} characters is needed`, value);
    }
    return value;
  }

  /** True or false. */
  flag(name: string): boolean {
    const value = this.#field(name);
    if (typeof value !== "boolean") throw this.#error(name, "true or false is needed", value);
    return value;
  }

  /** Bytes, written as pairs of hex digits. */
  bytes(name: string): Uint8Array {
    const value = this.#field(name);
    const bytes = typeof value === "string" ? fromHex(value) : undefined;
    if (bytes === undefined) throw this.#error(name, "pairs of hex digits are needed", value);
    return bytes;
  }

  /** An object. */
  object(name: string): FieldReader {
    return new FieldReader(`${this.#place}.${name}`, this.#field(name));
  }

  /** An array of at most `most` objects. */
  objects(name: string, most: number): FieldReader[] {
    const value = this.#field(name);
    if (!Array.isArray(value) || value.length > most) {
      throw this.#error(name, `an array of at most ${most} is needed`, value);
    }
    return value.map((item, i) => new FieldReader(`${this.#place}.${name}[${i}]`, item));
  }

  /** Refuses the object for what `name` says; always throws. */
  refuse(name: string, message: string): never {
    throw this.#error(name, message, this.#field(name));
  }

  #field(name: string): unknown {
    return this.has(name) ? this.#fields[name] : undefined;
  }

  #error(name: string, message: string, value: unknown): VirtioError {
    const path = name === "" ? this.#place : `${this.#place}.${name}`;
    return new VirtioError("TRACE_FORMAT", { message, path, value });
  }
}

/** The bytes of a hex string, or `undefined` when it is none. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(text)) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/**
 * Parses JSON.
 *
 * @throws VirtioError `TRACE_FORMAT` naming `place`.
 */
export function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new VirtioError("TRACE_FORMAT", { message: "no JSON", path: place, value: text, cause });
  }
}
