/**
 * A member of a table for the length of one command: one object, whichever member it is.
 *
 * Hot path: nothing is allocated for a command.
 */
import type { FeatureSet } from "../device/features.ts";
import type { SnapshotDevice } from "../device/saved-state.ts";
import type { ProvisionRefusal } from "../device/types.ts";
import type { KeptVectors } from "./kept-vectors.ts";
import type { ManagedMember, MemberDefaults } from "./managed.ts";
import type { MemberTable } from "./member-table.ts";

/**
 * The known member in a row of a table. The member itself is looked at only where a driver uses it,
 * for the features of its defaults, and to provision what it keeps itself.
 */
export class BorrowedMember implements ManagedMember {
  id = 0;
  readonly defaults: MemberDefaults;
  readonly #table: MemberTable;
  readonly #kept: KeptVectors | undefined;
  #row = 0;

  /** `kept` is there when the group keeps the vectors of its members. */
  constructor(table: MemberTable, kept: KeptVectors | undefined) {
    this.#table = table;
    this.#kept = kept;
    const borrowed = this;
    this.defaults = {
      get features(): FeatureSet {
        return borrowed.#member.defaults.features;
      },
      get msixVectors(): number | undefined {
        return vectorsOrNone(table.defaultVectorsAt(borrowed.#row));
      },
    };
  }

  /** Has it stand for the known member of this id, which is in this row. */
  standFor(id: number, row: number): this {
    this.id = id;
    this.#row = row;
    return this;
  }

  get device(): SnapshotDevice | undefined {
    return this.#member.device;
  }

  get deviceStatus(): number {
    return this.#table.isInUse(this.#row) ? this.#member.deviceStatus : 0;
  }

  get msixEnabled(): boolean {
    return this.#table.isInUse(this.#row) && this.#member.msixEnabled === true;
  }

  get msixVectors(): number | undefined {
    return vectorsOrNone(this.#table.vectorsAt(this.#row));
  }

  get offeredFeatures(): FeatureSet {
    return this.#table.offeredAt(this.#row);
  }

  get settableFeatures(): FeatureSet {
    return this.#table.settableAt(this.#row);
  }

  provisionVectors(vectors: number): ProvisionRefusal | undefined {
    if (this.#kept !== undefined) return this.#kept.provision(this.#row, this, vectors);
    const member = this.#member;
    return member.provisionVectors === undefined ? "invalid" : member.provisionVectors(vectors);
  }

  provisionFeatures(features: FeatureSet): ProvisionRefusal | undefined {
    return this.#member.provisionFeatures(features);
  }

  get #member(): ManagedMember {
    return this.#table.memberAt(this.#row) as ManagedMember;
  }
}

function vectorsOrNone(vectors: number): number | undefined {
  return vectors === 0 ? undefined : vectors;
}
