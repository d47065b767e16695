/**
 * What a type of resource objects is: an identifier, a layout, the capability that limits how many
 * there may be, and what one object refers to ("Device resource objects"). Command families and
 * device types declare theirs with {@link defineResourceObjectType}; both halves judge by it.
 */
import { VirtioError } from "../../errors.ts";
import { SELF_GROUP } from "../../group/self.ts";
import { SR_IOV_GROUP } from "../../group/sr-iov.ts";
import type { Decoded, Fields, StructLayout } from "../../layout/index.ts";
import type { AdminOutcome } from "../status.ts";
import type { AdminCommand } from "../types.ts";
import type { Capability, IdRange } from "./capability.ts";

/** The identifiers of types of resource objects, by what may have them. */
export const RESOURCE_OBJECT_TYPES: Readonly<Record<"generic" | "deviceType", IdRange>> = {
  /** Of any device type. */
  generic: { first: 0x000, last: 0x1ff },
  /** Of one device type. */
  deviceType: { first: 0x200, last: 0x4ff },
};

/** The most bytes of data that a resource object has. */
export const LONGEST_RESOURCE_OBJECT = 4096;

const GROUP_TYPES: readonly number[] = [SELF_GROUP.id, SR_IOV_GROUP.id];

/** Which resource object: one of the same group and the same member. */
export interface ResourceObjectReference {
  /** Its type, 0..0x4ff. */
  readonly type: number;
  /** Its id, 0..2^32-1. */
  readonly id: number;
}

/** A resource object that lives in a device. */
export interface ResourceObject<F extends Fields = Fields> extends ResourceObjectReference {
  /** The type of the group it lives in. */
  readonly groupType: number;
  /** The member it belongs to; 0 in the Self group. */
  readonly memberId: number;
  /** Its data: what it was created with, or last modified to. */
  readonly data: Decoded<F>;
}

/** One type of resource objects, declared as data and pure functions of it. */
export interface ResourceObjectType<F extends Fields = Fields, C extends Fields = Fields> {
  /** Its identifier, 0..0x4ff; see {@link RESOURCE_OBJECT_TYPES}. */
  readonly type: number;
  /** The name in the specification without `VIRTIO_`: `RESOURCE_OBJ_DEV_PARTS`. */
  readonly name: string;
  /** The ids of the group types in which such objects may live. */
  readonly groups: readonly number[];
  /** The layout of `resource_obj_specific_data` and `resource_obj_specific_result`. */
  readonly layout: StructLayout<F>;
  /** The fields of it that say nothing: not looked at, and zero in a result. */
  readonly reserved?: readonly string[];
  /** The capability that limits how many there may be. */
  readonly capability: Capability<C>;
  /**
   * How many objects of each kind there may be, given what the driver set of the capability. Ids
   * are 0 up to the sum, one less. A type whose objects are all alike has one kind.
   */
  limits(driver: Decoded<C>): readonly number[];
  /**
   * The kind of an object: an index into {@link limits}; anything else makes the data invalid.
   * Absent: kind 0.
   */
  kindOf?(data: Decoded<F>): number;
  /** False for data that no object of this type has. Absent: any data will do. */
  isValid?(data: Decoded<F>): boolean;
  /**
   * The objects that one with this data depends on; they have to exist as long as it does. Absent:
   * none.
   */
  references?(data: Decoded<F>): readonly ResourceObjectReference[];
  /**
   * Why the device cannot have this object besides what is checked here: `ENOSPC` when something
   * inside is exhausted, or whatever the type's text says. `before` is there for a modification.
   * Must change nothing; it is not asked about objects of a snapshot.
   */
  refuse?(
    object: ResourceObject<NoInfer<F>>,
    before?: ResourceObject<NoInfer<F>>,
  ): AdminOutcome | undefined;
  /**
   * Told of what has happened: created, modified or destroyed, the latter by command, by a device
   * reset, or because the member went; a snapshot that is restored replaces all. Objects that go
   * together go dependants first, in the reverse order of their creation. Must not throw.
   */
  changed?(
    now: ResourceObject<NoInfer<F>> | undefined,
    before: ResourceObject<NoInfer<F>> | undefined,
  ): void;
  /**
   * The commands that are for objects of this type: a device has them with such objects, or has
   * neither. Absent: none.
   */
  readonly commands?: readonly AdminCommand[];
  /** What it is for, in one sentence. */
  readonly doc: string;
  /** The section that defines it. */
  readonly cite: string;
}

/**
 * Declares a type of resource objects.
 *
 * @throws VirtioError `FAMILY_INVALID` for an identifier outside 0..0x4ff, no group type or one that
 * has no objects, a reserved field that the layout does not have, or data of no fixed length
 */
export function defineResourceObjectType<const F extends Fields, const C extends Fields>(
  spec: ResourceObjectType<F, C>,
): ResourceObjectType<F, C> {
  checkResourceObjectType(spec);
  return Object.freeze(spec);
}

/** @throws VirtioError `FAMILY_INVALID` for a declaration that contradicts itself. */
export function checkResourceObjectType(spec: ResourceObjectType): void {
  const refuse = (path: string, message: string, value: unknown) =>
    new VirtioError("FAMILY_INVALID", { path: `${spec.name}.${path}`, message, value });
  const { type, layout, groups, reserved = [] } = spec;
  if (!(Number.isInteger(type) && type >= 0 && type <= RESOURCE_OBJECT_TYPES.deviceType.last)) {
    throw refuse("type", "a type of resource objects is 0 to 0x4ff", type);
  }
  if (groups.length === 0 || !groups.every((group) => GROUP_TYPES.includes(group))) {
    throw refuse("groups", "objects live in the Self group, the SR-IOV group or both", groups);
  }
  if (layout.rest !== undefined || layout.size > LONGEST_RESOURCE_OBJECT) {
    const message = `an object has a fixed length of at most ${LONGEST_RESOURCE_OBJECT} bytes`;
    throw refuse("layout", message, layout.rest ?? layout.size);
  }
  const unknown = reserved.find((name) => !Object.hasOwn(layout.fields, name));
  if (unknown !== undefined) throw refuse("reserved", "the layout has no such field", unknown);
}
