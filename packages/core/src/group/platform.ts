import { VirtioError } from "../errors.ts";
import type { DeviceGroup, GroupType } from "./types.ts";

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

/** A platform group: members come and go as its maker says. It exists even without members. */
export class PlatformGroup implements DeviceGroup {
  /** Always {@link PLATFORM_GROUP}. */
  readonly type: GroupType = PLATFORM_GROUP;
  /** Always true. */
  readonly exists: boolean = true;
  readonly #members = new Set<number>();

  /**
   * Makes a group of these members.
   *
   * @throws VirtioError `GROUP_INVALID` for an id that {@link add} refuses.
   */
  constructor(members: Iterable<number> = []) {
    for (const id of members) this.add(id);
  }

  /** How many members there are now. */
  get memberCount(): number {
    return this.#members.size;
  }

  /** The member ids in the order in which they were added. */
  get members(): readonly number[] {
    return [...this.#members];
  }

  /** True when this id names a member now. */
  hasMember(id: number): boolean {
    return this.#members.has(id);
  }

  /**
   * Adds a member.
   *
   * @throws VirtioError `GROUP_INVALID` when the id is not an integer from 0 to 2^53-1, or taken.
   */
  add(id: number): void {
    if (!Number.isSafeInteger(id) || id < 0) {
      throw new VirtioError("GROUP_INVALID", {
        path: "group.members",
        message: "a member id is an integer from 0 to 2^53-1",
        value: id,
      });
    }
    if (this.#members.has(id)) {
      throw new VirtioError("GROUP_INVALID", {
        path: "group.members",
        message: "two members of one group have the same id",
        value: id,
        hint: "give every member an id of its own",
      });
    }
    this.#members.add(id);
  }

  /** Removes a member; false when there was none of that id. */
  remove(id: number): boolean {
    return this.#members.delete(id);
  }
}
