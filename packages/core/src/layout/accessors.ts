/**
 * Reads and writes fields in place. A hot path: the closures below capture a constant offset and
 * call one DataView method; they allocate nothing, and no BigInt is made but in `getBig`/`setBig`.
 * Closures of one type and byte order come from one literal, so that call sites share one function.
 *
 * `view` and `at` say where the structure begins. Nothing is checked beyond what DataView checks
 * (a range outside the view throws RangeError) and the index of an array: callers compare lengths
 * with the layout's size first. Narrow setters keep the low bits of a value that doesn't fit.
 */
import { VirtioError } from "../errors.ts";
import { SCALARS } from "./scalars.ts";
import type {
  Count,
  Field,
  Fields,
  RegisterLayout,
  ScalarType,
  StructLayout,
  WideType,
} from "./types.ts";

/** What every accessor knows about its field. */
interface AccessorBase {
  /** Bytes from the start of the layout. */
  readonly offset: number;
  /** The width in bytes of the value, or of each element. */
  readonly width: number;
}

/** Accesses a scalar of up to 32 bits. */
export interface NumberAccessor extends AccessorBase {
  /** Tells the accessors apart when the field isn't known by its type. */
  readonly kind: "number";
  /** The value of the field. */
  readonly get: (view: DataView, at: number) => number;
  /** Sets the field to `value`, of which the low bits count. */
  readonly set: (view: DataView, at: number, value: number) => void;
}

/** Accesses a scalar of 64 bits. */
export interface WideAccessor extends AccessorBase {
  /** Tells the accessors apart when the field isn't known by its type. */
  readonly kind: "wide";
  /**
   * The value as a number: exact up to 2^53-1. A larger one is rounded to a double that is at
   * least 2^53, so that callers who accept only safe integers refuse it.
   */
  readonly getNumber: (view: DataView, at: number) => number;
  /** Sets the field to a whole number from 0 to 2^53-1; other values are the caller's mistake. */
  readonly setNumber: (view: DataView, at: number, value: number) => void;
  /** The low 32 bits, unsigned. */
  readonly getLow: (view: DataView, at: number) => number;
  /** The high 32 bits, unsigned. */
  readonly getHigh: (view: DataView, at: number) => number;
  /** Sets the low 32 bits. */
  readonly setLow: (view: DataView, at: number, value: number) => void;
  /** Sets the high 32 bits. */
  readonly setHigh: (view: DataView, at: number, value: number) => void;
  /** The exact value. Makes a BigInt: not for hot paths. */
  readonly getBig: (view: DataView, at: number) => bigint;
  /** Sets the field to `value`, of which the low 64 bits count. Not for hot paths. */
  readonly setBig: (view: DataView, at: number, value: bigint) => void;
}

/**
 * Accesses the elements of an array of scalars of up to 32 bits. An index outside the declared
 * count throws VirtioError `VALUE_RANGE`; a `"rest"` array ends where the view does.
 */
export interface NumbersAccessor extends AccessorBase {
  /** Tells the accessors apart when the field isn't known by its type. */
  readonly kind: "numbers";
  /** The number of elements; `Infinity` for a `"rest"` array. */
  readonly count: number;
  /** The element at `index`. */
  readonly get: (view: DataView, at: number, index: number) => number;
  /** Sets the element at `index` to `value`, of which the low bits count. */
  readonly set: (view: DataView, at: number, index: number, value: number) => void;
}

/**
 * Accesses the elements of an array of scalars of 64 bits; see {@link WideAccessor} for the
 * methods and {@link NumbersAccessor} for the index.
 */
export interface WidesAccessor extends AccessorBase {
  /** Tells the accessors apart when the field isn't known by its type. */
  readonly kind: "wides";
  /** The number of elements; `Infinity` for a `"rest"` array. */
  readonly count: number;
  /** The element at `index`: exact up to 2^53-1, beyond that at least 2^53. */
  readonly getNumber: (view: DataView, at: number, index: number) => number;
  /** Sets the element at `index` to a whole number from 0 to 2^53-1. */
  readonly setNumber: (view: DataView, at: number, index: number, value: number) => void;
  /** The low 32 bits of the element at `index`, unsigned. */
  readonly getLow: (view: DataView, at: number, index: number) => number;
  /** The high 32 bits of the element at `index`, unsigned. */
  readonly getHigh: (view: DataView, at: number, index: number) => number;
  /** Sets the low 32 bits of the element at `index`. */
  readonly setLow: (view: DataView, at: number, index: number, value: number) => void;
  /** Sets the high 32 bits of the element at `index`. */
  readonly setHigh: (view: DataView, at: number, index: number, value: number) => void;
  /** The exact element at `index`. Makes a BigInt: not for hot paths. */
  readonly getBig: (view: DataView, at: number, index: number) => bigint;
  /** Sets the element at `index`, of which the low 64 bits count. Not for hot paths. */
  readonly setBig: (view: DataView, at: number, index: number, value: bigint) => void;
}

/** An accessor of a field that isn't known by its type; `kind` tells which. */
export type AnyAccessor = NumberAccessor | WideAccessor | NumbersAccessor | WidesAccessor;

/** The accessor of a scalar of type `T`, of an array of them when the count `C` isn't `undefined`. */
export type AccessorFor<T extends ScalarType, C extends Count | undefined> = C extends undefined
  ? T extends WideType
    ? WideAccessor
    : NumberAccessor
  : T extends WideType
    ? WidesAccessor
    : NumbersAccessor;

/** The accessor of a field; a union of accessors when its type isn't known to the compiler. */
export type AccessorOf<F extends Field> = AccessorFor<F["type"], F["count"]>;

/** The accessors of a layout, by wire name. */
export type Accessors<F extends Fields> = { readonly [K in keyof F]: AccessorOf<F[K]> };

/**
 * Makes the accessors of a structure or a register map. Make them once, in a `const` of the module
 * that uses them.
 *
 * @returns a frozen object with one accessor for every field, by wire name
 */
export function accessors<const F extends Fields>(
  layout: StructLayout<F> | RegisterLayout<F>,
): Accessors<F> {
  const made = Object.values<Field>(fieldsOf(layout)).map((field) => [
    field.name,
    Object.freeze(accessorOf(field, `${layout.name}.${field.name}`)),
  ]);
  return Object.freeze(Object.fromEntries(made)) as Accessors<F>;
}

/** The fields of a structure, or the registers of a map. */
export function fieldsOf<F extends Fields>(layout: StructLayout<F> | RegisterLayout<F>): F {
  return layout.kind === "struct" ? layout.fields : layout.registers;
}

function accessorOf(field: Field, path: string): AnyAccessor {
  const { offset, type, width, count } = field;
  const little = SCALARS[type].order === "little";
  if (count === undefined) {
    if (width === 8) return little ? wideLittle(offset) : wideBig(offset);
    return NUMBERS[type as Exclude<ScalarType, WideType>](offset);
  }
  const limit = count === "rest" ? Number.POSITIVE_INFINITY : count;
  if (width === 8) return widesOf(little ? wideLittle(0) : wideBig(0), offset, limit, path);
  return numbersOf(NUMBERS[type as Exclude<ScalarType, WideType>](0), offset, limit, path);
}

const NUMBERS: Readonly<Record<Exclude<ScalarType, WideType>, (offset: number) => NumberAccessor>> =
  {
    u8: (offset) => ({
      kind: "number",
      offset,
      width: 1,
      get: (view, at) => view.getUint8(at + offset),
      set: (view, at, value) => view.setUint8(at + offset, value),
    }),
    le16: (offset) => ({
      kind: "number",
      offset,
      width: 2,
      get: (view, at) => view.getUint16(at + offset, true),
      set: (view, at, value) => view.setUint16(at + offset, value, true),
    }),
    be16: (offset) => ({
      kind: "number",
      offset,
      width: 2,
      get: (view, at) => view.getUint16(at + offset, false),
      set: (view, at, value) => view.setUint16(at + offset, value, false),
    }),
    le32: (offset) => ({
      kind: "number",
      offset,
      width: 4,
      get: (view, at) => view.getUint32(at + offset, true),
      set: (view, at, value) => view.setUint32(at + offset, value, true),
    }),
    be32: (offset) => ({
      kind: "number",
      offset,
      width: 4,
      get: (view, at) => view.getUint32(at + offset, false),
      set: (view, at, value) => view.setUint32(at + offset, value, false),
    }),
  };

const WORD = 0x1_0000_0000;

function wideLittle(offset: number): WideAccessor {
  const high = offset + 4;
  return {
    kind: "wide",
    offset,
    width: 8,
    getNumber: (view, at) =>
      view.getUint32(at + high, true) * WORD + view.getUint32(at + offset, true),
    setNumber: (view, at, value) => {
      view.setUint32(at + offset, value, true);
      view.setUint32(at + high, value / WORD, true);
    },
    getLow: (view, at) => view.getUint32(at + offset, true),
    getHigh: (view, at) => view.getUint32(at + high, true),
    setLow: (view, at, value) => view.setUint32(at + offset, value, true),
    setHigh: (view, at, value) => view.setUint32(at + high, value, true),
    getBig: (view, at) => view.getBigUint64(at + offset, true),
    setBig: (view, at, value) => view.setBigUint64(at + offset, value, true),
  };
}

function wideBig(offset: number): WideAccessor {
  const low = offset + 4;
  return {
    kind: "wide",
    offset,
    width: 8,
    getNumber: (view, at) =>
      view.getUint32(at + offset, false) * WORD + view.getUint32(at + low, false),
    setNumber: (view, at, value) => {
      view.setUint32(at + low, value, false);
      view.setUint32(at + offset, value / WORD, false);
    },
    getLow: (view, at) => view.getUint32(at + low, false),
    getHigh: (view, at) => view.getUint32(at + offset, false),
    setLow: (view, at, value) => view.setUint32(at + low, value, false),
    setHigh: (view, at, value) => view.setUint32(at + offset, value, false),
    getBig: (view, at) => view.getBigUint64(at + offset, false),
    setBig: (view, at, value) => view.setBigUint64(at + offset, value, false),
  };
}

/** The position of an element, once its index is known to be inside the array. */
type Position = (at: number, index: number) => number;

function positionOf(offset: number, width: number, count: number, path: string): Position {
  return (at, index) => {
    if (!(index >= 0 && index < count)) throw outside(path, index, count);
    return at + offset + index * width;
  };
}

function outside(path: string, index: number, count: number): VirtioError {
  return new VirtioError("VALUE_RANGE", {
    message: `an index is 0 to ${count - 1}`,
    path: `${path}[${index}]`,
    value: index,
  });
}

function numbersOf(
  element: NumberAccessor,
  offset: number,
  count: number,
  path: string,
): NumbersAccessor {
  const { get, set, width } = element;
  const position = positionOf(offset, width, count, path);
  return {
    kind: "numbers",
    offset,
    width,
    count,
    get: (view, at, index) => get(view, position(at, index)),
    set: (view, at, index, value) => set(view, position(at, index), value),
  };
}

function widesOf(
  element: WideAccessor,
  offset: number,
  count: number,
  path: string,
): WidesAccessor {
  const { getNumber, setNumber, getLow, getHigh, setLow, setHigh, getBig, setBig } = element;
  const position = positionOf(offset, element.width, count, path);
  return {
    kind: "wides",
    offset,
    width: element.width,
    count,
    getNumber: (view, at, index) => getNumber(view, position(at, index)),
    setNumber: (view, at, index, value) => setNumber(view, position(at, index), value),
    getLow: (view, at, index) => getLow(view, position(at, index)),
    getHigh: (view, at, index) => getHigh(view, position(at, index)),
    setLow: (view, at, index, value) => setLow(view, position(at, index), value),
    setHigh: (view, at, index, value) => setHigh(view, position(at, index), value),
    getBig: (view, at, index) => getBig(view, position(at, index)),
    setBig: (view, at, index, value) => setBig(view, position(at, index), value),
  };
}
