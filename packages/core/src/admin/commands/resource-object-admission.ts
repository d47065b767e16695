/** Whether a resource object can be, and what it has then: for commands and for snapshots alike. */
import type { DeviceGroup } from "../../group/types.ts";
import type { Decoded, Fields } from "../../layout/index.ts";
import { type AdminOutcome, OUTCOME, outcome } from "../status.ts";
import type { ResourceObjectType } from "./resource-object.ts";
import {
  type LivingObject,
  type ObjectContents,
  objectOf,
  type ResourceObjectStore,
} from "./resource-object-store.ts";

const EXHAUSTED = outcome("ENOSPC", "NORESOURCE");

/** An object that is to be, or to become another. */
export interface ObjectPlace {
  readonly store: ResourceObjectStore;
  readonly type: ResourceObjectType;
  readonly id: number;
  readonly group: DeviceGroup;
  readonly memberId: number;
  /** What the driver set of the capability that limits the type. */
  readonly driver: Decoded<Fields>;
  /** The object that is modified; absent for a creation. */
  readonly one?: LivingObject;
}

/** What the object will have, or why it cannot be. */
export function admit(
  place: ObjectPlace,
  maxObjects: number,
  bytes: Uint8Array,
): ObjectContents | AdminOutcome {
  const { store, type, id, group, memberId, driver, one } = place;
  const limits = type.limits(driver);
  if (one === undefined && id >= sumOf(limits)) return OUTCOME.INVALID_FIELD;
  const object = objectOf(type, id, place, bytes);
  const kind = type.kindOf?.(object.data) ?? 0;
  const limit = limits[kind];
  if (limit === undefined || type.isValid?.(object.data) === false) return OUTCOME.INVALID_FIELD;
  const references: LivingObject[] = [];
  for (const reference of type.references?.(object.data) ?? []) {
    const found = store.find(group, memberId, reference.type, reference.id);
    if (found === undefined || found === one) return OUTCOME.INVALID_FIELD;
    references.push(found);
  }
  const isOneMore = one === undefined || one.contents.kind !== kind;
  if (isOneMore && store.count(type, kind) >= limit) return EXHAUSTED;
  if (one === undefined && store.size >= maxObjects) return EXHAUSTED;
  return { bytes, object, kind, references };
}

/** Data as an object keeps it: what is missing is zero, reserved fields too, the rest dropped. */
export function settled(
  { layout, reserved = [] }: ResourceObjectType,
  sent: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(layout.size);
  bytes.set(sent.subarray(0, bytes.length));
  for (const name of reserved) {
    const field = layout.fields[name];
    if (field === undefined || field.count === "rest") continue;
    bytes.fill(0, field.offset, field.offset + field.width * (field.count ?? 1));
  }
  return bytes;
}

/** How many objects of all kinds together there may be. */
export function sumOf(limits: readonly number[]): number {
  return limits.reduce((sum, limit) => sum + limit, 0);
}
