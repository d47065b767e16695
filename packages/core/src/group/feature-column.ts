/**
 * A feature set for each row of a table, a byte each: members of one group offer much the same.
 *
 * Hot path: a set is found by array.
 */
import { FeatureSet } from "../device/features.ts";

/** The byte of a row whose set is not kept; those that are have the others. */
const NOT_KEPT = 0;
const MOST_KEPT = 0xff;

/** The feature sets of the rows of a table. */
export class FeatureColumn {
  #kinds: Uint8Array;
  /** By kind: the set, and how many rows have it. */
  readonly #sets: FeatureSet[] = [FeatureSet.EMPTY];
  readonly #counts: number[] = [0];

  /** `rows` is how many rows there is room for. */
  constructor(rows: number) {
    this.#kinds = new Uint8Array(rows);
  }

  /** The set of a row; `undefined` when it is not kept: it was cleared, or one too many. */
  at(row: number): FeatureSet | undefined {
    const kind = this.#kinds[row] as number;
    return kind === NOT_KEPT ? undefined : this.#sets[kind];
  }

  /** Keeps the set of a row, unless as many different ones are kept as can be. */
  set(row: number, features: FeatureSet): void {
    this.clear(row);
    const kind = this.#kindOf(features);
    this.#kinds[row] = kind;
    if (kind !== NOT_KEPT) this.#counts[kind] = (this.#counts[kind] as number) + 1;
  }

  /** Keeps nothing for a row. */
  clear(row: number): void {
    const kind = this.#kinds[row] as number;
    if (kind !== NOT_KEPT) this.#counts[kind] = (this.#counts[kind] as number) - 1;
    this.#kinds[row] = NOT_KEPT;
  }

  /** Has the sets of these rows from now on, nothing for row -1, and room for so many. */
  arrange(rows: readonly number[], room: number): void {
    const old = this.#kinds;
    this.#kinds = new Uint8Array(room);
    this.#counts.fill(0);
    rows.forEach((from, row) => {
      const kind = from < 0 ? NOT_KEPT : (old[from] as number);
      this.#kinds[row] = kind;
      this.#counts[kind] = (this.#counts[kind] as number) + 1;
    });
  }

  /** Makes room for so many rows. */
  grow(rows: number): void {
    const kinds = new Uint8Array(rows);
    kinds.set(this.#kinds);
    this.#kinds = kinds;
  }

  #kindOf(features: FeatureSet): number {
    let unused = this.#sets.length;
    for (let kind = 1; kind < this.#sets.length; kind++) {
      if (this.#counts[kind] === 0) unused = kind;
      else if (this.#sets[kind]?.equals(features) === true) return kind;
    }
    if (unused > MOST_KEPT) return NOT_KEPT;
    this.#sets[unused] = features;
    this.#counts[unused] = 0;
    return unused;
  }
}
