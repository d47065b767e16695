/**
 * What a capability is: an identifier, a layout, and how the value that a driver sets has to relate
 * to the device's ("Device and driver capabilities"). Command families and device types declare
 * theirs with {@link defineCapability}; both halves judge values by the declaration.
 */
import { VirtioError } from "../../errors.ts";
import {
  type Decoded,
  decode,
  type Encodable,
  encode,
  type Field,
  type Fields,
  type StructLayout,
} from "../../layout/index.ts";

/** A range of identifiers. */
export interface IdRange {
  /** The first. */
  readonly first: number;
  /** The last. */
  readonly last: number;
}

/** The identifiers of capabilities, by what may have them. */
export const CAPABILITY_IDS: Readonly<Record<"generic" | "deviceType", IdRange>> = {
  /** Of any device type. */
  generic: { first: 0x0000, last: 0x07ff },
  /** Of one device type. */
  deviceType: { first: 0x0800, last: 0x0fff },
};

/** The most bytes that a capability has. */
export const LONGEST_CAPABILITY = 4096;

/**
 * How a field of a driver's value relates to the same field of the device's; in an array, each
 * element to the one of the same index, but for `entries`.
 *
 * - `limit`: a number up to the device's
 * - `flags`: bits, all of which the device has too
 * - `entries`: an array whose elements are all among the device's, in any order; a zero is none
 * - `fixed`: not writable; the driver's value has the device's, whatever the driver sends
 * - `reserved`: not looked at, and zero
 */
export type CapabilityRule = "limit" | "flags" | "entries" | "fixed" | "reserved";

/** The fields of a structure, to name the type of what is declared with it. */
export type FieldsOf<L> = L extends StructLayout<infer F> ? F : never;

/** One capability, declared as data. */
export interface Capability<F extends Fields = Fields> {
  /** Its identifier, 0..0x0fff; see {@link CAPABILITY_IDS}. */
  readonly id: number;
  /** The name in the specification without `VIRTIO_`: `DEV_PARTS_CAP`. */
  readonly name: string;
  /** The layout of `cap_specific_data`. */
  readonly layout: StructLayout<F>;
  /** The rule of every field of the layout. */
  readonly rules: { readonly [K in keyof F]: CapabilityRule };
  /**
   * What the rules of single fields cannot say about a driver's value that keeps to them. Pure;
   * absent: nothing more is asked.
   */
  accepts?(driver: Decoded<F>, device: Decoded<F>): boolean;
  /** What it is for, in one sentence. */
  readonly doc: string;
  /** The section that defines it. */
  readonly cite: string;
}

/** A capability as one device has it. */
export interface DeviceCapability {
  /** The declaration. */
  readonly capability: Capability;
  /** The device's value, as DEVICE_CAP_GET reports it. */
  readonly bytes: Uint8Array;
}

/**
 * Declares a capability.
 *
 * @throws VirtioError `FAMILY_INVALID` for an identifier outside 0..0x0fff, a field without a rule,
 * a rule without a field, or `entries` for what is no array
 */
export function defineCapability<const F extends Fields>(spec: Capability<F>): Capability<F> {
  checkCapability(spec);
  return Object.freeze(spec);
}

/**
 * The capability with the value that a device reports.
 *
 * @param value the fields by wire name; those left out are 0
 * @throws VirtioError `VALUE_RANGE` and `LAYOUT_UNKNOWN_FIELD` as `encode`; `FAMILY_INVALID` for a
 * value longer than {@link LONGEST_CAPABILITY}
 */
export function deviceCapability<const F extends Fields>(
  capability: Capability<F>,
  value: Encodable<F>,
): DeviceCapability {
  const one = { capability, bytes: encode(capability.layout, value) };
  checkDeviceCapability(one);
  return Object.freeze(one);
}

/** @throws VirtioError `FAMILY_INVALID` for a declaration that contradicts itself. */
function checkCapability({ name, id, layout, rules }: Capability): void {
  const refuse = (path: string, message: string, value: unknown) =>
    new VirtioError("FAMILY_INVALID", { path: `${name}.${path}`, message, value });
  if (!(Number.isInteger(id) && id >= 0 && id <= CAPABILITY_IDS.deviceType.last)) {
    throw refuse("id", "a capability has an id from 0 to 0x0fff", id);
  }
  for (const key of new Set([...Object.keys(layout.fields), ...Object.keys(rules)])) {
    const field = Object.hasOwn(layout.fields, key) ? layout.fields[key] : undefined;
    const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
    if (field === undefined || rule === undefined) {
      throw refuse(`rules.${key}`, "every field of the layout has a rule, and nothing else", rule);
    }
    if (rule === "entries" && field.count === undefined) {
      throw refuse(`rules.${key}`, "only an array has entries", rule);
    }
  }
}

/** @throws VirtioError `FAMILY_INVALID` for a value of a length that the capability has not. */
export function checkDeviceCapability({ capability, bytes }: DeviceCapability): void {
  checkCapability(capability);
  const { name, layout } = capability;
  const most = layout.rest === undefined ? layout.size : LONGEST_CAPABILITY;
  if (bytes.length >= layout.size && bytes.length <= most) return;
  throw new VirtioError("FAMILY_INVALID", {
    path: name,
    message: `the value has ${layout.size} to ${most} bytes`,
    value: bytes.length,
  });
}

/**
 * The driver's value out of the bytes that it sent, as long as the device's: what it did not send
 * is zero, what is too much is dropped, fixed fields are the device's and reserved ones zero.
 */
export function driverValue(
  { capability, bytes: device }: DeviceCapability,
  sent: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(device.length);
  bytes.set(sent.subarray(0, device.length));
  const { layout, rules } = capability;
  for (const field of Object.values(layout.fields)) {
    const { offset, width, count } = field;
    const end = count === "rest" ? bytes.length : offset + width * (count ?? 1);
    if (rules[field.name] === "fixed") bytes.set(device.subarray(offset, end), offset);
    if (rules[field.name] === "reserved") bytes.fill(0, offset, end);
  }
  return bytes;
}

/**
 * The field that keeps the driver's value from being set, given the device's; the name of the
 * capability when only all fields together do. `undefined` when it may be set.
 */
export function offendingField<F extends Fields>(
  capability: Capability<F>,
  driver: Decoded<F>,
  device: Decoded<F>,
): string | undefined {
  for (const field of Object.values<Field>(capability.layout.fields)) {
    const name = field.name as keyof F & string;
    const wanted = elementsOf(driver[name]);
    const offered = elementsOf(device[name]);
    const obeys = OBEYS[capability.rules[name]];
    if (!wanted.every((value, i) => obeys(value, offered[i] ?? 0n, offered))) return name;
  }
  return capability.accepts?.(driver, device) === false ? capability.name : undefined;
}

/** The value that bytes of any length hold: what is missing is zero. */
export function decodeCapability<F extends Fields>(
  { layout }: Capability<F>,
  bytes: Uint8Array,
): Decoded<F> {
  return decode(layout, bytes, 0, { zeroExtend: true });
}

type Obeys = (wanted: bigint, offered: bigint, all: readonly bigint[]) => boolean;

const OBEYS: Readonly<Record<CapabilityRule, Obeys>> = {
  limit: (wanted, offered) => wanted <= offered,
  flags: (wanted, offered) => (wanted & ~offered) === 0n,
  entries: (wanted, _, all) => wanted === 0n || all.includes(wanted),
  fixed: () => true,
  reserved: () => true,
};

function elementsOf(value: unknown): readonly bigint[] {
  const elements = Array.isArray(value) ? value : [value];
  return elements.map((element: number | bigint) => BigInt(element));
}
