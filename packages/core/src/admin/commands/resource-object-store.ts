/** The resource objects that live in one owner device, and what depends on what. */
import { isManagedGroup, type ManagedMember } from "../../group/managed.ts";
import type { DeviceGroup } from "../../group/types.ts";
import { decode } from "../../layout/index.ts";
import type { ResourceObject, ResourceObjectType } from "./resource-object.ts";

/** Where objects live: one member for as long as it is there. Ids are unique in it, per type. */
export interface ObjectScope {
  /** The group. */
  readonly group: DeviceGroup;
  /** The member's id. */
  readonly memberId: number;
  /** The member itself, where its group tells members apart that had the same id. */
  readonly member: ManagedMember | undefined;
  /** Its objects, by {@link keyOf} type and id. */
  readonly objects: Map<number, LivingObject>;
}

/** What an object is to have. */
export interface ObjectContents {
  /** Its data as it is on the wire. */
  readonly bytes: Uint8Array;
  /** What others see of it. */
  readonly object: ResourceObject;
  /** Which of its type's limits it counts for. */
  readonly kind: number;
  /** The objects that it depends on, of the same scope. */
  readonly references: readonly LivingObject[];
}

/** An object that lives. */
export interface LivingObject {
  /** The declaration of its type. */
  readonly type: ResourceObjectType;
  /** Where it lives. */
  readonly scope: ObjectScope;
  /** What it has now. */
  contents: ObjectContents;
  /** How many references others have to it. */
  dependants: number;
}

const ID_UNIT = 2 ** 32;

/** Type and id as one exact number. */
export function keyOf(type: number, id: number): number {
  return type * ID_UNIT + id;
}

/** Makes what others see of an object. */
export function objectOf(
  { type, layout }: ResourceObjectType,
  id: number,
  { group, memberId }: Pick<ObjectScope, "group" | "memberId">,
  bytes: Uint8Array,
): ResourceObject {
  const groupType = group.type.id;
  return Object.freeze({ type, id, groupType, memberId, data: decode(layout, bytes) });
}

/** The objects of one owner. Nothing is checked here: who calls has. */
export class ResourceObjectStore {
  /** By group type and member id. No scope is empty. */
  readonly #scopes = new Map<string, ObjectScope>();
  /** In an order in which each comes after those it depends on: of creation, as a rule. */
  readonly #living = new Set<LivingObject>();
  readonly #counts = new Map<ResourceObjectType, Map<number, number>>();

  /** How many objects live. */
  get size(): number {
    return this.#living.size;
  }

  /** The objects of members that are there, each after those it depends on. */
  *living(): Iterable<LivingObject> {
    for (const one of this.#living) if (isCurrent(one.scope)) yield one;
  }

  /** How many objects of a type and kind there are. */
  count(type: ResourceObjectType, kind: number): number {
    return this.#counts.get(type)?.get(kind) ?? 0;
  }

  /** The scope of a member that has objects; not that of one before it under the same id. */
  scope(group: DeviceGroup, memberId: number): ObjectScope | undefined {
    const scope = this.#scopes.get(nameOf(group, memberId));
    return scope !== undefined && isCurrent(scope) ? scope : undefined;
  }

  /** An object of a member; `undefined` when there is none. */
  find(group: DeviceGroup, memberId: number, type: number, id: number): LivingObject | undefined {
    return this.scope(group, memberId)?.objects.get(keyOf(type, id));
  }

  /** Adds an object. */
  create(
    type: ResourceObjectType,
    group: DeviceGroup,
    memberId: number,
    contents: ObjectContents,
  ): LivingObject {
    const scope = this.scope(group, memberId) ?? this.#open(group, memberId);
    const one: LivingObject = { type, scope, contents, dependants: 0 };
    scope.objects.set(keyOf(type.type, contents.object.id), one);
    this.#living.add(one);
    this.#hold(one);
    return one;
  }

  /** Gives an object other contents. Nothing depends on it, so that it can go to the end. */
  modify(one: LivingObject, contents: ObjectContents): void {
    this.#release(one);
    one.contents = contents;
    this.#hold(one);
    if (contents.references.length === 0) return;
    this.#living.delete(one);
    this.#living.add(one);
  }

  /** Removes an object; nothing depends on it. */
  destroy(one: LivingObject): void {
    const { scope, type, contents } = one;
    this.#release(one);
    this.#living.delete(one);
    scope.objects.delete(keyOf(type.type, contents.object.id));
    if (scope.objects.size > 0) return;
    const name = nameOf(scope.group, scope.memberId);
    if (this.#scopes.get(name) === scope) this.#scopes.delete(name);
  }

  /** The objects to destroy when all that are `chosen` go, in that order: dependants first. */
  backwards(chosen: (scope: ObjectScope) => boolean): LivingObject[] {
    return [...this.#living].filter(({ scope }) => chosen(scope)).reverse();
  }

  /** The scopes of members that are not there any more. */
  stale(): ReadonlySet<ObjectScope> {
    return new Set([...this.#scopes.values()].filter((scope) => !isCurrent(scope)));
  }

  #open(group: DeviceGroup, memberId: number): ObjectScope {
    const member = memberOf(group, memberId);
    const scope: ObjectScope = { group, memberId, member, objects: new Map() };
    this.#scopes.set(nameOf(group, memberId), scope);
    return scope;
  }

  #hold({ type, contents }: LivingObject): void {
    this.#add(type, contents.kind, 1);
    for (const reference of contents.references) reference.dependants++;
  }

  #release({ type, contents }: LivingObject): void {
    this.#add(type, contents.kind, -1);
    for (const reference of contents.references) reference.dependants--;
  }

  #add(type: ResourceObjectType, kind: number, change: number): void {
    const counts = this.#counts.get(type) ?? new Map<number, number>();
    this.#counts.set(type, counts);
    counts.set(kind, (counts.get(kind) ?? 0) + change);
  }
}

function nameOf(group: DeviceGroup, memberId: number): string {
  return `${group.type.id}:${memberId}`;
}

function memberOf(group: DeviceGroup, memberId: number): ManagedMember | undefined {
  return isManagedGroup(group) ? group.member(memberId) : undefined;
}

/** True while the member is there for which the objects were created. */
function isCurrent({ group, memberId, member }: ObjectScope): boolean {
  return group.exists && group.hasMember(memberId) && memberOf(group, memberId) === member;
}
