/**
 * The device configuration space: bytes that the device type owns, a mask of what the driver may
 * write, and the generation count (section "Device Configuration Space").
 */
import { VirtioError } from "../errors.ts";
import type { Field, StructLayout } from "../layout/index.ts";

/** One field of a configuration space: an array counts as one. */
export interface ConfigField {
  /** Where it begins. */
  readonly offset: number;
  /** How many bytes it has. */
  readonly width: number;
}

/** What a configuration space is made from. */
export interface ConfigSpaceInit {
  /** The bytes after start; they are copied. Multi-byte fields are little-endian. */
  readonly bytes: Uint8Array;
  /** Bits that the driver may write, byte by byte; absent bytes are read-only. */
  readonly writable?: Uint8Array;
  /**
   * What its fields are. Only the legacy interface of a transitional device asks: there an access is
   * of one field.
   */
  readonly layout?: StructLayout;
  /** Called after a write of the driver changed a byte, with the range that it wrote. */
  readonly written?: (offset: number, length: number) => void;
}

/** The configuration space of one device. */
export class ConfigSpace {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #initial: Uint8Array;
  readonly #mask: Uint8Array;
  readonly #layout: StructLayout | undefined;
  readonly #written: ((offset: number, length: number) => void) | undefined;
  #generation = 0;

  /**
   * Makes a configuration space.
   *
   * @throws VirtioError `DEVICE_MODEL` when the mask is longer than the bytes.
   */
  constructor(init: ConfigSpaceInit) {
    const mask = init.writable ?? new Uint8Array(0);
    if (mask.length > init.bytes.length) {
      throw new VirtioError("DEVICE_MODEL", {
        message: `the write mask is longer than the ${init.bytes.length} configuration bytes`,
        path: "config.writable",
        value: mask.length,
      });
    }
    this.#bytes = Uint8Array.from(init.bytes);
    this.#initial = Uint8Array.from(init.bytes);
    this.#view = new DataView(this.#bytes.buffer);
    this.#mask = new Uint8Array(this.#bytes.length);
    this.#mask.set(mask);
    this.#layout = init.layout;
    this.#written = init.written;
  }

  /** How many bytes there are. */
  get length(): number {
    return this.#bytes.length;
  }

  /** True when it is known what the fields are. */
  get hasFields(): boolean {
    return this.#layout !== undefined;
  }

  /**
   * The field that the byte at `offset` is part of, as far as it lies in the space; `undefined` for
   * a byte of no field, or where the fields are not known.
   */
  field(offset: number): ConfigField | undefined {
    for (const field of Object.values<Field>(this.#layout?.fields ?? {})) {
      const { offset: start, width, count = 1 } = field;
      const end = Math.min(count === "rest" ? Infinity : start + width * count, this.length);
      if (offset >= start && offset < end) return { offset: start, width: end - start };
    }
    return undefined;
  }

  /** Changes whenever the device changed its configuration; 32 bits, wraps. */
  get generation(): number {
    return this.#generation;
  }

  /** The device's own access: changes the bytes in `change` and raises the generation once. */
  update(change: (view: DataView, bytes: Uint8Array) => void): void {
    try {
      change(this.#view, this.#bytes);
    } finally {
      this.raise();
    }
  }

  /** Raises the generation: the configuration may read differently from now on. */
  raise(): void {
    this.#generation = (this.#generation + 1) >>> 0;
  }

  /** Copies bytes from `offset` on into `target`; bytes outside the space read 0. */
  read(offset: number, target: Uint8Array): void {
    for (let i = 0; i < target.length; i++) target[i] = this.#bytes[offset + i] ?? 0;
  }

  /** The driver's write: takes the bits that the mask allows. Returns whether any byte changed. */
  write(offset: number, source: Uint8Array): boolean {
    let changed = false;
    for (let i = 0; i < source.length; i++) {
      const old = this.#bytes[offset + i];
      const mask = this.#mask[offset + i];
      if (old === undefined || mask === undefined) continue;
      const value = (old & ~mask) | ((source[i] ?? 0) & mask);
      if (value === old) continue;
      this.#bytes[offset + i] = value;
      changed = true;
    }
    if (changed) this.#written?.(offset, source.length);
    return changed;
  }

  /**
   * Puts saved bytes, the device's own included, and a saved generation in place: the driver goes
   * on with what it knew. The device type hears of it when the driver's bits changed.
   */
  restore(bytes: Uint8Array, generation: number): void {
    let changed = false;
    for (let i = 0; i < this.#bytes.length; i++) {
      const value = bytes[i] ?? 0;
      changed ||= (((this.#bytes[i] ?? 0) ^ value) & (this.#mask[i] ?? 0)) !== 0;
      this.#bytes[i] = value;
    }
    this.#generation = generation >>> 0;
    if (changed) this.#written?.(0, this.#bytes.length);
  }

  /** Puts what the driver wrote back to the values after start; the device's own fields stay. */
  reset(): void {
    for (let i = 0; i < this.#bytes.length; i++) {
      const mask = this.#mask[i] ?? 0;
      this.#bytes[i] = ((this.#bytes[i] ?? 0) & ~mask) | ((this.#initial[i] ?? 0) & mask);
    }
  }
}
