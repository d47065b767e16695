/**
 * What a group keeps in mind of its members, in the order in which they came. A command to one of
 * many then touches a few numbers that lie close together, and no object of the member's own.
 * Members that do not tell of their changes are looked at each time instead.
 *
 * Hot path: a member is found by array, and nothing is allocated for a command.
 */
import { FeatureSet } from "../device/features.ts";
import type { ProvisionAspect, ProvisionWatcher } from "../device/types.ts";
import { FeatureColumn } from "./feature-column.ts";
import { isMemberInUse, type ManagedMember, MSIX_VECTOR_LIMIT } from "./managed.ts";
import { RowIndex } from "./row-index.ts";

// What stands in the cell of a row: how many vectors the member has, and above that
const VECTORS = 0x0fff;
/** There is a member in the row. */
const TAKEN = 0x1000;
/** It tells this table of its changes. */
const WATCHED = 0x2000;
/** What stands in the row is true of it. */
const KNOWN = 0x4000;
/** A driver uses it. */
const IN_USE = 0x8000;

const NO_ROW = -1;
const FIRST_ROWS = 16;
const ASPECTS: readonly ProvisionAspect[] = ["use", "vectors", "features"];

/** The members of a group, a row for each. It is the watcher of those that tell of changes. */
export class MemberTable implements ProvisionWatcher {
  /** How many members there are. */
  size = 0;
  /** How many vectors a member has at first, where they are kept here; else 0. */
  readonly vectorsAtFirst: number;

  /** The id in row 0, while every row has the id that is one more than that of the row before. */
  #firstId = 0;
  /** Absent as long as ids are in step with rows. */
  #index: RowIndex | undefined = undefined;

  // By row
  #cells = new Uint16Array(FIRST_ROWS);
  #defaultVectors = new Uint16Array(FIRST_ROWS);
  #ids: number[] = [];
  #members: (ManagedMember | undefined)[] = [];
  readonly #offered = new FeatureColumn(FIRST_ROWS);
  readonly #settable = new FeatureColumn(FIRST_ROWS);

  // Of all rows
  /** The sum of {@link vectorsAt}. */
  #allocated = 0;
  /** How many members may be provisioned and are not known. */
  #unknown = 0;
  /** What can be switched on some known member; absent until somebody asks. */
  #settableOnSome: FeatureSet | undefined = undefined;

  /**
   * `vectorsAtFirst` is given when the vectors of members are kept here, of members that are not
   * known too; they have none of their own then.
   */
  constructor(vectorsAtFirst: number = 0) {
    this.vectorsAtFirst = vectorsAtFirst;
  }

  /** The row of the member of this id; -1 when there is none. */
  rowOf(id: number): number {
    if (this.#index !== undefined) return this.#index.get(id);
    const row = id - this.#firstId;
    const isRow = row >= 0 && row < this.#cells.length;
    return isRow && ((this.#cells[row] ?? 0) & TAKEN) !== 0 ? row : NO_ROW;
  }

  /** The member in a row; `undefined` for one that is named by its id alone, and in no row. */
  memberAt(row: number): ManagedMember | undefined {
    return row < 0 ? undefined : this.#members[row];
  }

  /** True when the numbers and sets of this row are true of its member. */
  isKnown(row: number): boolean {
    return this.#has(row, KNOWN);
  }

  /** True while a driver uses the member. */
  isInUse(row: number): boolean {
    return this.#has(row, IN_USE);
  }

  /** How many MSI-X vectors it has; 0 where it has no MSI-X. */
  vectorsAt(row: number): number {
    return (this.#cells[row] as number) & VECTORS;
  }

  /** How many it has when nobody has provisioned it; 0 where it has no MSI-X. */
  defaultVectorsAt(row: number): number {
    return this.vectorsAtFirst || (this.#defaultVectors[row] as number);
  }

  /** Keeps another number of vectors for the member in this row. */
  setVectors(row: number, vectors: number): void {
    const cell = this.#cells[row] as number;
    this.#allocated += vectors - (cell & VECTORS);
    this.#cells[row] = (cell & ~VECTORS) | vectors;
  }

  /** The features that it offers. */
  offeredAt(row: number): FeatureSet {
    return this.#offered.at(row) ?? (this.#members[row] as ManagedMember).offeredFeatures;
  }

  /** The features that its owner may switch. */
  settableAt(row: number): FeatureSet {
    return this.#settable.at(row) ?? (this.#members[row] as ManagedMember).settableFeatures;
  }

  /** The ids of the members, in their order. */
  ids(): number[] {
    return this.#ids.filter((_, row) => this.#has(row, TAKEN));
  }

  /** The members that may be provisioned, in their order. */
  managed(): ManagedMember[] {
    return this.#members.filter((member) => member !== undefined);
  }

  /** How many MSI-X vectors all members have together. */
  get vectors(): number {
    let sum = this.#allocated;
    for (const { msixVectors = 0 } of this.#strangers()) sum += msixVectors;
    return sum;
  }

  /** The features that can be switched on some member. */
  get settableFeatures(): FeatureSet {
    this.#settableOnSome ??= this.#uniteSettable();
    return this.#strangers().reduce(
      (all, { settableFeatures }) => all.union(settableFeatures),
      this.#settableOnSome,
    );
  }

  /** Appends a member; its id is 0..2^53-1 and not in the table. */
  add(id: number, member: ManagedMember | undefined): void {
    const isWatched = member !== undefined && isSound(member) && member.watch?.(this) === true;
    const row = this.#ids.length;
    if (row === this.#cells.length) this.#grow();
    // -0 is 0 here, as it is to any map.
    this.#ids.push(id + 0);
    this.#members.push(member);
    this.#cells[row] = isWatched ? TAKEN | WATCHED | KNOWN : TAKEN;
    this.#defaultVectors[row] = 0;
    this.size++;
    if (row === 0) this.#firstId = id;
    if (this.#index === undefined && id - this.#firstId !== row) this.#index = this.#indexOfRows();
    else this.#index?.add(id, row);
    if (member === undefined) return;
    this.setVectors(row, this.vectorsAtFirst);
    if (!isWatched) this.#unknown++;
    for (const what of ASPECTS) this.changed(id, what);
  }

  /** Removes the member of this id; false when there is none. */
  remove(id: number): boolean {
    const row = this.rowOf(id);
    if (row < 0) return false;
    const member = this.#members[row];
    const isWatched = this.#has(row, WATCHED);
    if (member !== undefined) {
      if (this.isKnown(row)) this.#forget(row);
      this.#unknown--;
      this.setVectors(row, 0);
    }
    this.#cells[row] = 0;
    this.#members[row] = undefined;
    this.#index?.delete(id);
    this.size--;
    if (this.#ids.length > 2 * this.size + FIRST_ROWS) this.arrange(this.ids());
    if (isWatched) member?.watch?.(undefined);
    return true;
  }

  /**
   * Has exactly these ids from now on, in this order. Members that may be provisioned are all among
   * them and stay; any other id is a member by that alone.
   */
  arrange(ids: readonly number[]): void {
    const rows = ids.map((id) => this.rowOf(id));
    const column = <T>(from: ArrayLike<T>, none: T): T[] =>
      rows.map((row) => (row < 0 ? none : (from[row] as T)));
    const room = Math.max(FIRST_ROWS, 2 ** Math.ceil(Math.log2(ids.length)));
    this.#cells = filled(new Uint16Array(room), column(this.#cells, TAKEN));
    this.#defaultVectors = filled(new Uint16Array(room), column(this.#defaultVectors, 0));
    this.#members = column(this.#members, undefined);
    this.#offered.arrange(rows, room);
    this.#settable.arrange(rows, room);
    this.#ids = [...ids];
    this.size = ids.length;
    const [first = 0] = ids;
    this.#firstId = first;
    const isInStep = ids.every((id, row) => id - first === row);
    this.#index = isInStep ? undefined : this.#indexOfRows();
  }

  /** See {@link ProvisionWatcher.changed}. */
  changed(id: number, what: ProvisionAspect): void {
    const row = this.rowOf(id);
    const member = this.memberAt(row);
    if (member === undefined || !this.isKnown(row)) return;
    try {
      if (what === "use") this.#readUse(row, member);
      else if (what === "vectors") this.#readVectors(row, member);
      else this.#readFeatures(row, member);
    } catch {
      // Whoever told of the change does not suffer for it; the member is looked at from now on.
      this.#forget(row);
    }
  }

  #readUse(row: number, member: ManagedMember): void {
    const cell = this.#cells[row] as number;
    this.#cells[row] = isMemberInUse(member) ? cell | IN_USE : cell & ~IN_USE;
  }

  #readVectors(row: number, { msixVectors, defaults }: ManagedMember): void {
    if (this.vectorsAtFirst > 0) return;
    if (!fits(msixVectors) || !fits(defaults.msixVectors)) {
      this.#forget(row);
      return;
    }
    this.setVectors(row, msixVectors ?? 0);
    this.#defaultVectors[row] = defaults.msixVectors ?? 0;
  }

  #readFeatures(row: number, { offeredFeatures, settableFeatures }: ManagedMember): void {
    this.#offered.set(row, offeredFeatures);
    if (this.#settable.at(row)?.equals(settableFeatures) === true) return;
    this.#settable.set(row, settableFeatures);
    this.#settableOnSome = undefined;
  }

  /** Its row says nothing any more: the member is looked at each time. */
  #forget(row: number): void {
    if (this.vectorsAtFirst === 0) this.setVectors(row, 0);
    this.#offered.clear(row);
    this.#settable.clear(row);
    this.#settableOnSome = undefined;
    this.#cells[row] = (this.#cells[row] as number) & ~(KNOWN | IN_USE);
    this.#unknown++;
  }

  /** The members that may be provisioned and are not known. */
  #strangers(): readonly ManagedMember[] {
    if (this.#unknown === 0) return [];
    return this.#members.filter(
      (member, row): member is ManagedMember => member !== undefined && !this.isKnown(row),
    );
  }

  #uniteSettable(): FeatureSet {
    const sets = new Set<FeatureSet>();
    this.#ids.forEach((_, row) => {
      if (this.isKnown(row)) sets.add(this.settableAt(row));
    });
    return [...sets].reduce((all, one) => all.union(one), FeatureSet.EMPTY);
  }

  #has(row: number, flag: number): boolean {
    return ((this.#cells[row] as number) & flag) !== 0;
  }

  #indexOfRows(): RowIndex {
    const index = new RowIndex();
    this.#ids.forEach((id, row) => {
      if (this.#has(row, TAKEN)) index.add(id, row);
    });
    return index;
  }

  #grow(): void {
    const room = 2 * this.#cells.length;
    this.#cells = filled(new Uint16Array(room), this.#cells);
    this.#defaultVectors = filled(new Uint16Array(room), this.#defaultVectors);
    this.#offered.grow(room);
    this.#settable.grow(room);
  }
}

function filled<T extends Uint16Array>(array: T, values: ArrayLike<number>): T {
  array.set(values);
  return array;
}

/** True for a member that has vectors exactly where it can be given others. */
function isSound({ msixVectors, provisionVectors }: ManagedMember): boolean {
  return (msixVectors === undefined) === (provisionVectors === undefined);
}

/** True for a number of vectors that a cell can say, and for none. */
function fits(vectors: number | undefined): boolean {
  if (vectors === undefined) return true;
  return Number.isInteger(vectors) && vectors >= 1 && vectors <= MSIX_VECTOR_LIMIT;
}
