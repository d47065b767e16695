/**
 * Whole structures to plain objects and back, for tests, tools and documentation. Hot paths use
 * the accessors.
 */
import { VirtioError } from "../errors.ts";
import { type AnyAccessor, accessors, fieldsOf } from "./accessors.ts";
import { fitsWidth } from "./scalars.ts";
import type {
  Count,
  Field,
  Fields,
  RegisterLayout,
  ScalarType,
  StructLayout,
  WideType,
} from "./types.ts";

/** What a field of type `T` decodes to: a bigint for 64 bits, an array when there is a count. */
export type ValueFor<T extends ScalarType, C extends Count | undefined> = C extends undefined
  ? T extends WideType
    ? bigint
    : number
  : T extends WideType
    ? readonly bigint[]
    : readonly number[];

/** What a field of type `T` can be encoded from. */
export type InputFor<T extends ScalarType, C extends Count | undefined> = C extends undefined
  ? T extends WideType
    ? number | bigint
    : number
  : T extends WideType
    ? ArrayLike<number | bigint>
    : ArrayLike<number>;

/** A decoded structure: every field by wire name. */
export type Decoded<F extends Fields> = {
  readonly [K in keyof F]: ValueFor<F[K]["type"], F[K]["count"]>;
};

/** The values to encode; a field that is left out has its reset value, or 0. */
export type Encodable<F extends Fields> = {
  readonly [K in keyof F]?: InputFor<F[K]["type"], F[K]["count"]>;
};

/** How to decode. */
export interface DecodeOptions {
  /** True to read missing bytes at the end as zero; otherwise they are an error. */
  readonly zeroExtend?: boolean;
}

/** The most bytes that one structure is encoded to. */
const LONGEST = 0x7fff_ffff;

/**
 * Decodes the structure that begins at byte `at`.
 *
 * A `"rest"` field takes all bytes up to the end of `bytes`.
 *
 * @returns a plain object; fields of 64 bits are bigint, arrays are arrays
 * @throws VirtioError `VALUE_RANGE` when bytes are missing and `zeroExtend` isn't set, or `at` is
 * no position in `bytes`
 */
export function decode<const F extends Fields>(
  layout: StructLayout<F> | RegisterLayout<F>,
  bytes: Uint8Array,
  at = 0,
  options: DecodeOptions = {},
): Decoded<F> {
  if (!Number.isInteger(at) || at < 0 || at > bytes.length) {
    throw new VirtioError("VALUE_RANGE", {
      message: `the position is outside the ${bytes.length} bytes`,
      path: layout.name,
      value: at,
    });
  }
  const available = bytes.length - at;
  const rest = restWidthOf(layout);
  const elements = Math.ceil(Math.max(0, available - layout.size) / rest);
  const needed = layout.rest === undefined ? layout.size : layout.size + elements * rest;
  if (available < needed && options.zeroExtend !== true) {
    throw new VirtioError("VALUE_RANGE", {
      message: `only ${available} of ${needed} bytes are there`,
      path: `${layout.name}.${firstBeyond(layout, available)}`,
      hint: "zeroExtend reads missing bytes as zero",
    });
  }
  const whole = new Uint8Array(needed);
  whole.set(bytes.subarray(at, at + Math.min(available, needed)));
  const view = new DataView(whole.buffer);
  const values = Object.values<Field>(fieldsOf(layout)).map((field) => [
    field.name,
    readField(accessorOf(layout, field), view, field.count === "rest" ? elements : 0),
  ]);
  return Object.fromEntries(values) as Decoded<F>;
}

/**
 * Encodes a structure.
 *
 * @param values the fields by wire name; an array has exactly the declared number of elements, or
 * any number for a `"rest"` field
 * @returns as many bytes as the layout has, and those of the `"rest"` field
 * @throws VirtioError `VALUE_RANGE` when a value doesn't fit its field, `LAYOUT_UNKNOWN_FIELD`
 * when there is no such field
 */
export function encode<const F extends Fields>(
  layout: StructLayout<F> | RegisterLayout<F>,
  values: Encodable<F>,
): Uint8Array<ArrayBuffer> {
  const fields: Fields = fieldsOf(layout);
  for (const name of Object.keys(values)) {
    if (!Object.hasOwn(fields, name)) {
      throw new VirtioError("LAYOUT_UNKNOWN_FIELD", {
        message: "there is no such field",
        path: `${layout.name}.${name}`,
        hint: `the fields are ${Object.keys(fields).join(", ")}`,
      });
    }
  }
  const given = values as Readonly<Record<string, unknown>>;
  const tail = layout.rest === undefined ? undefined : given[layout.rest];
  const length = tail === undefined ? 0 : lengthOf(tail, `${layout.name}.${layout.rest}`);
  const total = layout.size + length * restWidthOf(layout);
  if (total > LONGEST) {
    throw new VirtioError("VALUE_RANGE", {
      message: "the array is too long",
      path: `${layout.name}.${layout.rest}`,
      value: length,
    });
  }
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  const write = (field: Field, value: unknown) =>
    writeField(accessorOf(layout, field), view, field, value, `${layout.name}.${field.name}`);
  // Reset values first: where fields share bytes, the one that was given counts.
  for (const field of Object.values(fields)) {
    if (field.reset !== undefined) write(field, field.reset);
  }
  for (const field of Object.values(fields)) {
    if (given[field.name] !== undefined) write(field, given[field.name]);
  }
  return bytes;
}

type AnyFieldLayout = StructLayout<Fields> | RegisterLayout<Fields>;

const known = new WeakMap<AnyFieldLayout, Readonly<Record<string, AnyAccessor>>>();

function accessorOf(layout: AnyFieldLayout, field: Field): AnyAccessor {
  let all = known.get(layout);
  if (all === undefined) {
    all = accessors<Fields>(layout);
    known.set(layout, all);
  }
  return all[field.name] as AnyAccessor;
}

function restWidthOf(layout: AnyFieldLayout): number {
  return layout.rest === undefined ? 1 : (fieldsOf(layout)[layout.rest]?.width ?? 1);
}

/** The first field that isn't wholly inside the first `available` bytes. */
function firstBeyond(layout: AnyFieldLayout, available: number): string {
  const beyond = Object.values<Field>(fieldsOf(layout)).find(
    ({ offset, width, count }) => count === "rest" || offset + width * (count ?? 1) > available,
  );
  return beyond?.name ?? "size";
}

function readField(access: AnyAccessor, view: DataView, elements: number): unknown {
  switch (access.kind) {
    case "number":
      return access.get(view, 0);
    case "wide":
      return access.getBig(view, 0);
    case "numbers":
      return Array.from({ length: finite(access.count, elements) }, (_, i) =>
        access.get(view, 0, i),
      );
    case "wides":
      return Array.from({ length: finite(access.count, elements) }, (_, i) =>
        access.getBig(view, 0, i),
      );
  }
}

function finite(count: number, elements: number): number {
  return count === Number.POSITIVE_INFINITY ? elements : count;
}

function writeField(
  access: AnyAccessor,
  view: DataView,
  field: Field,
  value: unknown,
  path: string,
): void {
  if (access.kind === "number") {
    access.set(view, 0, Number(fitting(field, value, path)));
    return;
  }
  if (access.kind === "wide") {
    access.setBig(view, 0, BigInt(fitting(field, value, path)));
    return;
  }
  const length = lengthOf(value, path);
  if (length !== finite(access.count, length)) {
    throw new VirtioError("VALUE_RANGE", {
      message: `the array has ${access.count} elements`,
      path,
      value: length,
    });
  }
  const elements = value as ArrayLike<unknown>;
  for (let i = 0; i < length; i++) {
    const element = fitting(field, elements[i], `${path}[${i}]`);
    if (access.kind === "numbers") access.set(view, 0, i, Number(element));
    else access.setBig(view, 0, i, BigInt(element));
  }
}

function fitting(field: Field, value: unknown, path: string): number | bigint {
  if (fitsWidth(value, field.width)) return value;
  throw new VirtioError("VALUE_RANGE", {
    message: `the value does not fit ${field.type}`,
    path,
    value,
    ...(field.width === 8 ? { hint: "use a bigint above 2^53-1" } : {}),
  });
}

function lengthOf(value: unknown, path: string): number {
  const length =
    typeof value === "object" && value !== null
      ? (value as { length?: unknown }).length
      : undefined;
  if (typeof length === "number" && Number.isSafeInteger(length) && length >= 0) return length;
  throw new VirtioError("VALUE_RANGE", { message: "the field is an array", path, value });
}
