/**
 * Rows by member id, for ids in any order.
 *
 * Hot path: ids that lie close together are found by array.
 */

/** How many ids an index has room for at first. */
const FIRST_IDS = 64;
/** Ids up to so many times the number of members are found by array, all others by map. */
const NEAR_FACTOR = 4;
const NO_ROW = -1;

/** Which row a member's id has; ids are 0..2^53-1. */
export class RowIndex {
  #size = 0;
  /** By id: the row and 1. */
  #near = new Uint32Array(FIRST_IDS);
  readonly #far = new Map<number, number>();

  /** The row of this id; -1 when it has none. */
  get(id: number): number {
    const near = id >= 0 && id < this.#near.length ? this.#near[id] : 0;
    if (near !== undefined && near !== 0) return near - 1;
    return this.#far.size === 0 ? NO_ROW : (this.#far.get(id) ?? NO_ROW);
  }

  /** Gives a row to an id that has none. */
  add(id: number, row: number): void {
    this.#size++;
    if (id >= this.#near.length && id < NEAR_FACTOR * this.#size) {
      const wider = new Uint32Array(2 ** Math.ceil(Math.log2(id + 1)));
      wider.set(this.#near);
      this.#near = wider;
    }
    if (id < this.#near.length) this.#near[id] = row + 1;
    else this.#far.set(id, row);
  }

  /** Takes the row away from an id that has one. */
  delete(id: number): void {
    this.#size--;
    if (!this.#far.delete(id)) this.#near[id] = 0;
  }
}
