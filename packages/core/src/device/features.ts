/** Feature bits: 128 of them, as an immutable set with four 32-bit words. */
import { VirtioError } from "../errors.ts";

/** How many feature bits exist. */
export const FEATURE_BITS = 128;
/** How many 32-bit words they take on the wire. */
export const FEATURE_WORDS = FEATURE_BITS / 32;

/**
 * The device-independent feature bits by their names in the specification (section "Reserved
 * Feature Bits").
 */
export const FEATURE = {
  /** Descriptors may refer to tables of descriptors. */
  VIRTIO_F_INDIRECT_DESC: 28,
  /** Each side says by an index when it wants to be notified. */
  VIRTIO_F_EVENT_IDX: 29,
  /** The device complies with virtio 1.0 and later; not offered by legacy devices. */
  VIRTIO_F_VERSION_1: 32,
  /** The device's access to memory may be limited or translated by the platform. */
  VIRTIO_F_ACCESS_PLATFORM: 33,
  /** Packed virtqueues. */
  VIRTIO_F_RING_PACKED: 34,
  /** The device uses buffers in the order in which they were made available. */
  VIRTIO_F_IN_ORDER: 35,
  /** Memory accesses are ordered as the platform orders those of devices. */
  VIRTIO_F_ORDER_PLATFORM: 36,
  /** The device supports Single Root I/O Virtualization; PCI only. */
  VIRTIO_F_SR_IOV: 37,
  /** The driver passes extra data in its notifications. */
  VIRTIO_F_NOTIFICATION_DATA: 38,
  /** The driver notifies with data that the device gave it; PCI only. */
  VIRTIO_F_NOTIF_CONFIG_DATA: 39,
  /** One virtqueue can be reset on its own. */
  VIRTIO_F_RING_RESET: 40,
  /** The device exposes administration virtqueues. */
  VIRTIO_F_ADMIN_VQ: 41,
  /** The device can be suspended; never offered here. */
  VIRTIO_F_SUSPEND: 43,
} as const;

/** The name of a device-independent feature bit, or `bit N`. */
export function featureName(bit: number): string {
  for (const [name, value] of Object.entries(FEATURE)) if (value === bit) return name;
  return `bit ${bit}`;
}

/** By this name Node.js asks an object what `console.log` is to print; browsers do not. */
const INSPECT: unique symbol = Symbol.for("nodejs.util.inspect.custom");

/** An immutable set of feature bits. */
export class FeatureSet {
  /** The set without any bit. */
  static readonly EMPTY: FeatureSet = new FeatureSet([0, 0, 0, 0]);

  readonly #words: readonly number[];

  private constructor(words: readonly number[]) {
    this.#words = words;
  }

  /**
   * The set of these bits.
   *
   * @throws VirtioError `VALUE_RANGE` for a bit that is not 0..127.
   */
  static of(...bits: readonly number[]): FeatureSet {
    return FeatureSet.EMPTY.with(...bits);
  }

  /** The set with these four words, bit `32 * i + j` in bit `j` of word `i`; absent words are 0. */
  static fromWords(words: ArrayLike<number>): FeatureSet {
    const four = [0, 0, 0, 0];
    for (let i = 0; i < FEATURE_WORDS; i++) four[i] = (words[i] ?? 0) >>> 0;
    return new FeatureSet(four);
  }

  /** Word `index` (0..3) as an unsigned number; 0 for any other index. */
  word(index: number): number {
    return this.#words[index] ?? 0;
  }

  /** True when the bit is in the set. */
  has(bit: number): boolean {
    return ((this.word(bit >>> 5) >>> (bit & 31)) & 1) === 1;
  }

  /** This set and these bits. @throws VirtioError `VALUE_RANGE` for a bit that is not 0..127. */
  with(...bits: readonly number[]): FeatureSet {
    const words = [...this.#words];
    for (const bit of bits) {
      if (!Number.isInteger(bit) || bit < 0 || bit >= FEATURE_BITS) {
        throw new VirtioError("VALUE_RANGE", {
          message: "a feature bit is an integer from 0 to 127",
          path: "feature",
          value: bit,
        });
      }
      words[bit >>> 5] = ((words[bit >>> 5] ?? 0) | (1 << (bit & 31))) >>> 0;
    }
    return new FeatureSet(words);
  }

  /** This set without these bits. */
  without(...bits: readonly number[]): FeatureSet {
    return this.minus(FeatureSet.of(...bits));
  }

  /** The bits of this set that are not in `other`. */
  minus(other: FeatureSet): FeatureSet {
    return new FeatureSet(this.#words.map((word, i) => (word & ~other.word(i)) >>> 0));
  }

  /** The bits in both sets. */
  intersect(other: FeatureSet): FeatureSet {
    return new FeatureSet(this.#words.map((word, i) => (word & other.word(i)) >>> 0));
  }

  /** The bits in either set. */
  union(other: FeatureSet): FeatureSet {
    return new FeatureSet(this.#words.map((word, i) => (word | other.word(i)) >>> 0));
  }

  /** This set with word `index` replaced; any other index than 0..3 changes nothing. */
  withWord(index: number, value: number): FeatureSet {
    return new FeatureSet(this.#words.map((word, i) => (i === index ? value >>> 0 : word)));
  }

  /** True when every bit of this set is in `other`. */
  isSubsetOf(other: FeatureSet): boolean {
    return this.minus(other).isEmpty;
  }

  /** True when the set has no bit. */
  get isEmpty(): boolean {
    return this.#words.every((word) => word === 0);
  }

  /** True when both sets have the same bits. */
  equals(other: FeatureSet): boolean {
    return this === other || this.#words.every((word, i) => word === other.word(i));
  }

  /** The bits in ascending order. */
  bits(): number[] {
    const found: number[] = [];
    for (let bit = 0; bit < FEATURE_BITS; bit++) if (this.has(bit)) found.push(bit);
    return found;
  }

  /** The set as one hexadecimal number: `0x20100000000`. */
  toString(): string {
    const digits = [...this.#words].reverse().map((word) => word.toString(16).padStart(8, "0"));
    return `0x${digits.join("").replace(/^0+(?=.)/, "")}`;
  }

  /**
   * What `console.log` of Node.js prints; without it that would be an empty object.
   *
   * @internal
   */
  [INSPECT](): string {
    return `FeatureSet ${this.toString()}`;
  }
}
