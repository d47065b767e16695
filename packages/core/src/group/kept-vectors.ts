/** MSI-X vectors of members that their group keeps, rather than every member its own number. */
import type { FeatureSet } from "../device/features.ts";
import type { SnapshotDevice } from "../device/saved-state.ts";
import type { ProvisionRefusal } from "../device/types.ts";
import {
  isMemberInUse,
  type ManagedMember,
  type MemberDefaults,
  type MsixPool,
} from "./managed.ts";
import type { MemberTable } from "./member-table.ts";

/** Asked when a member is to get another number of vectors; it may refuse. */
export type VectorSettler = (id: number, vectors: number) => ProvisionRefusal | undefined;

/** The vectors of a group's members, in the rows of its table. */
export class KeptVectors {
  readonly #table: MemberTable;
  readonly #pool: MsixPool;
  readonly #settle: VectorSettler | undefined;
  readonly #seen = new Map<ManagedMember, ManagedMember>();

  constructor(table: MemberTable, pool: MsixPool, settle: VectorSettler | undefined) {
    this.#table = table;
    this.#pool = pool;
    this.#settle = settle;
  }

  /** Gives the member in this row so many vectors, if no driver uses it and the pool has them. */
  provision(row: number, member: ManagedMember, vectors: number): ProvisionRefusal | undefined {
    const { total, min, max } = this.#pool;
    const most = Math.min(max, total - this.#table.vectors + this.#table.vectorsAt(row));
    if (!Number.isInteger(vectors) || vectors < min || vectors > most) return "invalid";
    if (isMemberInUse(member)) return "in use";
    if (this.#settle === undefined) {
      this.#table.setVectors(row, vectors);
      return undefined;
    }
    return this.#settleWith(this.#settle, row, member.id, vectors);
  }

  /** Whoever is asked may change the group: the pool is without the vectors by then. */
  #settleWith(
    settle: VectorSettler,
    row: number,
    id: number,
    vectors: number,
  ): ProvisionRefusal | undefined {
    const table = this.#table;
    const member = table.memberAt(row);
    const before = table.vectorsAt(row);
    let refusal: ProvisionRefusal | undefined = "invalid";
    table.setVectors(row, vectors);
    try {
      refusal = settle(id, vectors);
    } finally {
      const now = table.rowOf(id);
      if (refusal !== undefined && table.memberAt(now) === member) table.setVectors(now, before);
    }
    return refusal;
  }

  /** A member with the vectors that are kept for it: the same object until {@link forget}. */
  memberWith(member: ManagedMember): ManagedMember {
    let seen = this.#seen.get(member);
    if (seen === undefined) {
      seen = new MemberWithVectors(member, this.#table, this);
      this.#seen.set(member, seen);
    }
    return seen;
  }

  /** The member is none of the group any more. */
  forget(member: ManagedMember): void {
    this.#seen.delete(member);
  }
}

/** The member itself, and the vectors that its group keeps for it as long as it is a member. */
class MemberWithVectors implements ManagedMember {
  readonly #member: ManagedMember;
  readonly #table: MemberTable;
  readonly #kept: KeptVectors;

  constructor(member: ManagedMember, table: MemberTable, kept: KeptVectors) {
    this.#member = member;
    this.#table = table;
    this.#kept = kept;
  }

  get id(): number {
    return this.#member.id;
  }

  get device(): SnapshotDevice | undefined {
    return this.#member.device;
  }

  get deviceStatus(): number {
    return this.#member.deviceStatus;
  }

  get msixEnabled(): boolean {
    return this.#member.msixEnabled === true;
  }

  get msixVectors(): number | undefined {
    const row = this.#row;
    return row < 0 ? undefined : this.#table.vectorsAt(row);
  }

  get defaults(): MemberDefaults {
    const row = this.#row;
    const { features } = this.#member.defaults;
    return row < 0 ? { features } : { features, msixVectors: this.#table.defaultVectorsAt(row) };
  }

  get offeredFeatures(): FeatureSet {
    return this.#member.offeredFeatures;
  }

  get settableFeatures(): FeatureSet {
    return this.#member.settableFeatures;
  }

  provisionVectors(vectors: number): ProvisionRefusal | undefined {
    const row = this.#row;
    return row < 0 ? "invalid" : this.#kept.provision(row, this, vectors);
  }

  provisionFeatures(features: FeatureSet): ProvisionRefusal | undefined {
    return this.#member.provisionFeatures(features);
  }

  /** Where the member stands; -1 once it is no member any more. */
  get #row(): number {
    const row = this.#table.rowOf(this.id);
    return this.#table.memberAt(row) === this.#member ? row : -1;
  }
}
