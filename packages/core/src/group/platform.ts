import type { FeatureSet } from "../device/features.ts";
import type { ProvisionRefusal } from "../device/types.ts";
import { VirtioError } from "../errors.ts";
import { BorrowedMember } from "./borrowed-member.ts";
import { KeptVectors } from "./kept-vectors.ts";
import {
  countedPool,
  freeVectors,
  type ManagedGroup,
  type ManagedMember,
  MSIX_VECTOR_LIMIT,
  type MsixPool,
} from "./managed.ts";
import { MemberTable } from "./member-table.ts";
import type { GroupType } from "./types.ts";

const LARGEST_TOTAL = 0xffff_ffff;

/**
 * The platform group type: an owner and the members its maker names, on any transport. Private to
 * this project; the specification reserves its identifier.
 */
export const PLATFORM_GROUP: GroupType = {
  id: 0xff00,
  name: "platform",
  private: true,
  transports: "any",
  cite: "this project: platform group",
};

/** The MSI-X vectors of a platform group: a pool, and who keeps the number of every member. */
export interface PlatformMsix extends MsixPool {
  /**
   * How many each member has at first, where the group keeps the numbers; min..max. Its members
   * then have no MSI-X of their own (a `DeviceMember` is one such), and whoever emulates it asks
   * {@link PlatformGroup.vectorsOf}. Absent: each member keeps its own number.
   */
  readonly vectors?: number;
  /**
   * Asked when a member is to get another number that the group keeps, which is one it can have, and
   * its status is 0. What it returns is the refusal: the member then has what it had. The place to
   * look at MSI-X Enable, and to resize a table.
   */
  readonly settle?: (id: number, vectors: number) => ProvisionRefusal | undefined;
}

/** What a {@link PlatformGroup} has besides its members. */
export interface PlatformGroupOptions {
  /** The MSI-X vectors that the members share; absent when the members have no MSI-X. */
  readonly msix?: PlatformMsix;
}

/**
 * A platform group: members come and go as its maker says. It exists even without members. A
 * member that is named by its id alone is in the group, and its owner cannot provision it.
 */
export class PlatformGroup implements ManagedGroup {
  /** Always {@link PLATFORM_GROUP}. */
  readonly type: GroupType = PLATFORM_GROUP;
  /** Always true. */
  readonly exists: boolean = true;
  /** The MSI-X vectors that the members share, if they have MSI-X. */
  readonly msix: MsixPool | undefined;
  readonly #table: MemberTable;
  readonly #kept: KeptVectors | undefined;
  readonly #borrowed: BorrowedMember;

  /**
   * Makes a group of these members, each an id or a member that the owner may provision.
   *
   * @throws VirtioError `GROUP_INVALID` for a pool of vectors that contradicts itself, or a member
   * that {@link add} refuses.
   */
  constructor(members: Iterable<number | ManagedMember> = [], options: PlatformGroupOptions = {}) {
    const { msix } = options;
    if (msix !== undefined) checkPool(msix);
    this.#table = new MemberTable(msix?.vectors);
    const pool = msix && countedPool(msix, () => this.#table.vectors);
    this.msix = pool;
    if (pool !== undefined && msix?.vectors !== undefined) {
      this.#kept = new KeptVectors(this.#table, pool, msix.settle);
    }
    this.#borrowed = new BorrowedMember(this.#table, this.#kept);
    for (const member of members) this.add(member);
  }

  /** How many members there are now. */
  get memberCount(): number {
    return this.#table.size;
  }

  /** The member ids in the order in which they were added. */
  get members(): readonly number[] {
    return this.#table.ids();
  }

  /** True when this id names a member now. */
  hasMember(id: number): boolean {
    return this.#table.rowOf(id) >= 0;
  }

  /** The features that can be switched on some member. */
  get settableFeatures(): FeatureSet {
    return this.#table.settableFeatures;
  }

  /** See {@link ManagedGroup.member}. */
  member(id: number): ManagedMember | undefined {
    const member = this.#table.memberAt(this.#table.rowOf(id));
    return member && this.#seen(member);
  }

  /** See {@link ManagedGroup.borrow}. */
  borrow(id: number): ManagedMember | undefined {
    const table = this.#table;
    const row = table.rowOf(id);
    if (row >= 0 && table.isKnown(row)) return this.#borrowed.standFor(id, row);
    return this.member(id);
  }

  /**
   * How many MSI-X vectors the member of this id has now, as {@link member} says; `undefined`
   * without MSI-X, and for no such member.
   */
  vectorsOf(id: number): number | undefined {
    return this.borrow(id)?.msixVectors;
  }

  /** See {@link ManagedGroup.managedMembers}. */
  managedMembers(): readonly ManagedMember[] {
    return this.#table.managed().map((member) => this.#seen(member));
  }

  /**
   * Adds a member: an id, or a member that the owner may provision. The vectors that it has count
   * as allocated.
   *
   * @throws VirtioError `GROUP_INVALID` when the id is not an integer from 0 to 2^53-1, or taken;
   * when only one of group and member has MSI-X, or both keep its vectors; when the pool has too
   * few of them left. The group
   * is then as before.
   */
  add(member: number | ManagedMember): void {
    const managed = typeof member === "number" ? undefined : member;
    const id = typeof member === "number" ? member : member.id;
    if (!Number.isSafeInteger(id) || id < 0) {
      throw new VirtioError("GROUP_INVALID", {
        path: "group.members",
        message: "a member id is an integer from 0 to 2^53-1",
        value: id,
      });
    }
    if (this.hasMember(id)) {
      throw new VirtioError("GROUP_INVALID", {
        path: "group.members",
        message: "two members of one group have the same id",
        value: id,
        hint: "give every member an id of its own",
      });
    }
    if (managed !== undefined) this.#checkVectors(managed);
    this.#table.add(id, managed);
  }

  /** Removes a member; false when there was none of that id. Its vectors are free then. */
  remove(id: number): boolean {
    const member = this.#table.memberAt(this.#table.rowOf(id));
    if (member !== undefined) this.#kept?.forget(member);
    return this.#table.remove(id);
  }

  /** The ids of the members, for a snapshot. */
  save(): readonly number[] {
    return this.members;
  }

  /**
   * Checks saved ids; what it returns gives the group these members in this order. Those that the
   * owner may provision must be the ones that are here, the others come and go with the snapshot.
   *
   * @throws VirtioError `SNAPSHOT` for what is no list of different ids, or lacks one of them
   */
  restore(value: unknown): () => void {
    const ids = Array.isArray(value) ? (value as readonly unknown[]).slice() : undefined;
    const members = new Set<number>();
    for (const id of ids ?? [value]) {
      const isId = typeof id === "number" && Number.isSafeInteger(id) && id >= 0;
      if (ids === undefined || !isId || members.has(id)) {
        throw new VirtioError("SNAPSHOT", {
          path: "group.members",
          message: "the members are no list of ids, or an id stands twice",
          value: id,
        });
      }
      members.add(id);
    }
    for (const { id } of this.managedMembers()) {
      if (members.has(id)) continue;
      throw new VirtioError("SNAPSHOT", {
        path: "group.members",
        message: "a member is here that the snapshot does not know",
        value: id,
        hint: "remove it from the group first",
      });
    }
    return () => this.#table.arrange([...members]);
  }

  /** As its owner sees it. */
  #seen(member: ManagedMember): ManagedMember {
    return this.#kept === undefined ? member : this.#kept.memberWith(member);
  }

  #checkVectors({ id, msixVectors: own }: ManagedMember): void {
    const { msix } = this;
    const path = `group.members[${id}].msixVectors`;
    if (this.#kept !== undefined && own !== undefined) {
      throw new VirtioError("GROUP_INVALID", {
        path,
        message: "the group keeps the vectors of its members, and this one has its own",
        value: own,
        hint: "leave out msix.vectors, or add the device as a DeviceMember",
      });
    }
    const vectors = this.#kept === undefined ? own : this.#table.vectorsAtFirst;
    if ((vectors === undefined) !== (msix === undefined)) {
      throw new VirtioError("GROUP_INVALID", {
        path,
        message: "either the group and all its members have MSI-X, or none has",
        value: vectors,
        hint: "give the group a pool of vectors, or put the member into a group of its own",
      });
    }
    if (msix === undefined || vectors === undefined) return;
    const { min, max } = msix;
    const free = freeVectors(this);
    const most = Math.min(max, free);
    if (isWhole(vectors, min, most)) return;
    throw new VirtioError("GROUP_INVALID", {
      path,
      message: `a member of this group has ${min} to ${max} vectors, and ${free} are free`,
      value: vectors,
    });
  }
}

function checkPool({ total, min, max, vectors, settle }: PlatformMsix): void {
  const sound =
    isWhole(total, 0, LARGEST_TOTAL) && isWhole(min, 1, max) && isWhole(max, 1, MSIX_VECTOR_LIMIT);
  if (!sound) {
    throw new VirtioError("GROUP_INVALID", {
      path: "group.msix",
      message: `a pool has a total of 32 bits, and 1 <= min <= max <= ${MSIX_VECTOR_LIMIT}`,
      value: `total ${total}, min ${min}, max ${max}`,
    });
  }
  const isKept = vectors !== undefined;
  if (isKept ? isWhole(vectors, min, max) : settle === undefined) return;
  throw new VirtioError("GROUP_INVALID", {
    path: "group.msix.vectors",
    message: isKept
      ? `a member has ${min} to ${max} vectors`
      : "only vectors that the group keeps can be settled",
    value: vectors,
  });
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}
