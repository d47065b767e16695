/**
 * The device half of the resource object commands: the objects that a driver has created, for the
 * device itself and for its members.
 *
 * Every handler is synchronous: its checks and its change are one step.
 */
import { refuseState } from "../../device/saved-state.ts";
import { VirtioError } from "../../errors.ts";
import { SR_IOV_GROUP } from "../../group/sr-iov.ts";
import { accessors, type Decoded, type Fields } from "../../layout/index.ts";
import { fromHex, toHex } from "../../trace/hex.ts";
import { type AdminOutcome, OUTCOME, outcome } from "../status.ts";
import type {
  AdminCall,
  AdminCommand,
  AdminOwner,
  CommandFamily,
  CommandHandler,
  FamilyBinding,
} from "../types.ts";
import type { CapabilityDependant, CapabilityFamily, DriverCapabilities } from "./capabilities.ts";
import type { Capability } from "./capability.ts";
import {
  checkResourceObjectType,
  type ResourceObject,
  type ResourceObjectType,
} from "./resource-object.ts";
import { admit, settled, sumOf } from "./resource-object-admission.ts";
import { type LivingObject, ResourceObjectStore } from "./resource-object-store.ts";
import {
  RESOURCE_OBJ_CMD_HDR,
  RESOURCE_OBJ_CREATE_DATA,
  type ResourceObjectCommands,
  type ResourceObjectOpcodes,
  resourceObjectCommands,
} from "./resource-objects-layout.ts";

const HDR = accessors(RESOURCE_OBJ_CMD_HDR);
/** Where the object's own data begins, when it is created and when it is modified. */
const DATA_AT = RESOURCE_OBJ_CREATE_DATA.size;
const DEFAULT_MAX_OBJECTS = 65536;

const NO_OBJECT = outcome("ENXIO", "INVALID_FIELD");
const EXISTS = outcome("EEXIST", "INVALID_FIELD");
const BUSY = outcome("EBUSY", "INVALID_COMMAND");

/** What a {@link ResourceObjectFamily} is made from. */
export interface ResourceObjectFamilyInit {
  /** The capabilities of the same owner, which come before this family there. */
  readonly capabilities: CapabilityFamily;
  /** The types of objects that the device has. */
  readonly types: readonly ResourceObjectType[];
  /** The most objects of all types, groups and members together; 65536 when absent. */
  readonly maxObjects?: number;
  /** Which opcodes QUERY and MODIFY have, see `RESOURCE_OBJ_OPCODES`; `table` when absent. */
  readonly opcodes?: ResourceObjectOpcodes;
}

/** One object in a snapshot. */
export interface SavedResourceObject {
  /** The type of the group it lives in. */
  readonly groupType: number;
  /** The member it belongs to. */
  readonly memberId: number;
  /** Its type. */
  readonly type: number;
  /** Its id. */
  readonly id: number;
  /** Its data, two lower-case digits a byte. */
  readonly data: string;
}

/**
 * The resource object commands as a family, with the objects of one owner. Ids are unique for each
 * member; the limits of a type hold for all members together, as the capability is the owner's.
 *
 * CREATE is checked in this order: the type (EINVAL, INVALID_FIELD), whether the object exists
 * (EEXIST), its id against the limit, its data and what that refers to (EINVAL, INVALID_FIELD),
 * then whether there is room (ENOSPC, NORESOURCE). The others: whether the object exists (ENXIO),
 * whether others depend on it (EBUSY), then its data as for CREATE.
 *
 * The objects of a member go when the member does; before the next command here they are gone. A
 * device reset destroys all. The objects are in a snapshot with the capabilities, because what the
 * driver set limits them.
 */
export class ResourceObjectFamily implements CommandFamily {
  /** Always `resource-objects`. */
  readonly name: string = "resource-objects";
  /** See {@link CommandFamily.doc}. */
  readonly doc: string = "Objects that take resources of the device.";
  /** Always false. */
  readonly private: boolean = false;
  /** The four commands, under the opcodes that were chosen. */
  readonly commands: readonly AdminCommand[];
  /** The commands that are for objects of the types. */
  readonly needs: readonly AdminCommand[];

  readonly #declared: ResourceObjectCommands;
  readonly #capabilities: CapabilityFamily;
  readonly #types: ReadonlyMap<number, ResourceObjectType>;
  readonly #maxObjects: number;
  #store = new ResourceObjectStore();
  #owner: AdminOwner | undefined;

  /**
   * Makes the family of one owner.
   *
   * @throws VirtioError `FAMILY_INVALID` when two types have one identifier, a declaration
   * contradicts itself, the device lacks the capability that limits one, or the owner of the
   * capabilities was made already; or `maxObjects` is no whole number
   */
  constructor(init: ResourceObjectFamilyInit) {
    const { capabilities, types } = init;
    this.#declared = resourceObjectCommands(init.opcodes);
    const { CREATE, QUERY, MODIFY, DESTROY } = this.#declared;
    this.commands = [CREATE, QUERY, MODIFY, DESTROY].sort((a, b) => a.opcode - b.opcode);
    this.needs = types.flatMap(({ commands = [] }) => commands);
    this.#capabilities = capabilities;
    this.#types = new Map(types.map((type) => [type.type, type]));
    this.#maxObjects = init.maxObjects ?? DEFAULT_MAX_OBJECTS;
    if (!Number.isSafeInteger(this.#maxObjects) || this.#maxObjects < 0) {
      throw new VirtioError("FAMILY_INVALID", {
        path: "maxObjects",
        message: "it is an integer from 0",
        value: this.#maxObjects,
      });
    }
    if (this.#types.size !== types.length) {
      throw new VirtioError("FAMILY_INVALID", {
        path: "types",
        message: "two types of resource objects have one identifier",
        value: types.map(({ type }) => type).join(", "),
      });
    }
    for (const type of types) {
      checkResourceObjectType(type);
      const { name, capability } = type;
      if (capabilities.device(capability) !== undefined) continue;
      throw new VirtioError("FAMILY_INVALID", {
        path: `types.${name}.capability`,
        message: "the device lacks the capability that limits these objects",
        value: capability.name,
        hint: "give it to the CapabilityFamily",
      });
    }
    capabilities.attach(this.#dependant());
  }

  /** True once the family is bound to this owner. */
  isOf(owner: AdminOwner): boolean {
    return this.#owner === owner;
  }

  /** True when the device has objects of this type. */
  has<F extends Fields, C extends Fields>(type: ResourceObjectType<F, C>): boolean {
    return this.#types.get(type.type) === type;
  }

  /**
   * The data of an object of a member that is there now; `undefined` when there is none.
   *
   * @param groupType the type of the member's group; SR-IOV when absent
   */
  object<F extends Fields, C extends Fields>(
    type: ResourceObjectType<F, C>,
    id: number,
    memberId: number,
    groupType: number = SR_IOV_GROUP.id,
  ): Decoded<F> | undefined {
    const group = this.#owner?.group(groupType);
    if (group === undefined || !this.has(type)) return undefined;
    const found = this.#store.find(group, memberId, type.type, id);
    return found?.contents.object.data as Decoded<F> | undefined;
  }

  /** The objects of all members that are there, each after those it depends on. */
  objects(): readonly ResourceObject[] {
    return [...this.#store.living()].map(({ contents }) => contents.object);
  }

  /**
   * See {@link CommandFamily.bind}.
   *
   * @throws VirtioError `FAMILY_INVALID` the second time, or when the capabilities are not the
   * owner's, or come after this family
   */
  bind(owner: AdminOwner): FamilyBinding {
    const isForeign = !this.#capabilities.isOf(owner);
    if (this.#owner !== undefined || isForeign) {
      throw new VirtioError("FAMILY_INVALID", {
        path: `families.${this.name}`,
        message: isForeign
          ? "the capabilities that limit the objects are not this owner's"
          : "the family belongs to another owner already",
        hint: isForeign
          ? "list the CapabilityFamily before the ResourceObjectFamily"
          : "make a ResourceObjectFamily for each owner",
      });
    }
    this.#owner = owner;
    const { CREATE, QUERY, MODIFY, DESTROY } = this.#declared;
    const types = [...this.#types.values()];
    return {
      handlers: {
        [CREATE.opcode]: this.#swept((call) => this.#create(call)),
        [QUERY.opcode]: this.#swept((call) => this.#query(call)),
        [MODIFY.opcode]: this.#swept((call) => this.#modify(call)),
        [DESTROY.opcode]: this.#swept((call) => this.#destroy(call)),
      },
      supports: (_, groupType) => types.some(({ groups }) => groups.includes(groupType)),
      reset: () => this.#end(this.#store.backwards(() => true)),
    };
  }

  #create(call: AdminCall): AdminOutcome {
    const { group, memberId, data } = call;
    const id = HDR.id.get(data, 0);
    const type = this.#types.get(HDR.type.get(data, 0));
    if (type === undefined || !type.groups.includes(group.type.id)) return OUTCOME.INVALID_FIELD;
    const store = this.#store;
    if (store.find(group, memberId, type.type, id) !== undefined) return EXISTS;
    const driver = this.#capabilities.driver(type.capability);
    const place = { store, type, id, group, memberId, driver };
    const contents = admit(place, this.#maxObjects, sentOf(type, call));
    if (typeof contents === "number") return contents;
    const refusal = type.refuse?.(contents.object) ?? OUTCOME.OK;
    if (refusal !== OUTCOME.OK) return refusal;
    store.create(type, group, memberId, contents);
    type.changed?.(contents.object, undefined);
    return OUTCOME.OK;
  }

  #query(call: AdminCall): AdminOutcome {
    const one = this.#find(call);
    if (one === undefined) return NO_OBJECT;
    const { bytes } = one.contents;
    call.resultBytes.set(bytes);
    call.resultLength = bytes.length;
    return OUTCOME.OK;
  }

  #modify(call: AdminCall): AdminOutcome {
    const one = this.#find(call);
    if (one === undefined) return NO_OBJECT;
    if (one.dependants > 0) return BUSY;
    const { type, scope } = one;
    const before = one.contents.object;
    const driver = this.#capabilities.driver(type.capability);
    const place = { ...scope, store: this.#store, type, id: before.id, driver, one };
    const contents = admit(place, this.#maxObjects, sentOf(type, call));
    if (typeof contents === "number") return contents;
    const refusal = type.refuse?.(contents.object, before) ?? OUTCOME.OK;
    if (refusal !== OUTCOME.OK) return refusal;
    this.#store.modify(one, contents);
    type.changed?.(contents.object, before);
    return OUTCOME.OK;
  }

  #destroy(call: AdminCall): AdminOutcome {
    const one = this.#find(call);
    if (one === undefined) return NO_OBJECT;
    if (one.dependants > 0) return BUSY;
    this.#end([one]);
    return OUTCOME.OK;
  }

  #find({ group, memberId, data }: AdminCall): LivingObject | undefined {
    return this.#store.find(group, memberId, HDR.type.get(data, 0), HDR.id.get(data, 0));
  }

  /** Destroys the objects of members that have gone before `handle` looks at any. */
  #swept(handle: (call: AdminCall) => AdminOutcome): CommandHandler {
    return (call) => {
      const stale = this.#store.stale();
      if (stale.size > 0) this.#end(this.#store.backwards((scope) => stale.has(scope)));
      return handle(call);
    };
  }

  /** Destroys these objects, dependants first. One that fails to hear of it keeps no other alive. */
  #end(objects: readonly LivingObject[]): void {
    for (const one of objects) this.#store.destroy(one);
    tell(objects.map(endOf));
  }

  #dependant(): CapabilityDependant {
    return {
      name: this.name,
      allows: (capability, next) => this.#allows(capability, next),
      save: () => ({ objects: this.#save() }),
      restore: (value, driver) => this.#restore(value, driver),
    };
  }

  /** True when every object that lives would be within the limits. */
  #allows(capability: Capability, next: Decoded<Fields>): boolean {
    const counts = new Map<ResourceObjectType, number[]>();
    for (const { type, contents } of this.#store.living()) {
      if (type.capability !== capability) continue;
      const limits = type.limits(next);
      const count = counts.get(type) ?? limits.map(() => 0);
      counts.set(type, count);
      const { kind, object } = contents;
      const alike = (count[kind] ?? 0) + 1;
      count[kind] = alike;
      if (object.id >= sumOf(limits) || alike > (limits[kind] ?? 0)) return false;
    }
    return true;
  }

  #save(): SavedResourceObject[] {
    return [...this.#store.living()].map(({ contents: { object, bytes } }) => ({
      groupType: object.groupType,
      memberId: object.memberId,
      type: object.type,
      id: object.id,
      data: toHex(bytes),
    }));
  }

  #restore(value: unknown, driver: DriverCapabilities): () => void {
    const { objects } = Object(value) as { readonly objects?: unknown };
    if (!Array.isArray(objects) || objects.length > this.#maxObjects) {
      throw refuseState(`${this.name}.objects`, `not a list of at most ${this.#maxObjects}`);
    }
    const store = new ResourceObjectStore();
    for (const [i, item] of Array.from(objects as readonly unknown[]).entries()) {
      this.#restoreOne(store, item, driver, `${this.name}.objects[${i}]`);
    }
    return () => {
      const before = this.#store.backwards(() => true);
      this.#store = store;
      tell([...before.map(endOf), ...[...store.living()].map(creationOf)]);
    };
  }

  #restoreOne(
    store: ResourceObjectStore,
    item: unknown,
    driverOf: DriverCapabilities,
    path: string,
  ): void {
    const saved = Object(item) as Readonly<Record<keyof SavedResourceObject, unknown>>;
    const { groupType, memberId, type: typeId, id, data } = saved;
    const type = typeof typeId === "number" ? this.#types.get(typeId) : undefined;
    const group = typeof groupType === "number" ? this.#owner?.group(groupType) : undefined;
    if (type === undefined || group === undefined || !type.groups.includes(group.type.id)) {
      const message = "the owner here has no objects of this type in such a group";
      throw refuseState(path, message, { value: `type ${typeId}, group ${groupType}` });
    }
    if (typeof memberId !== "number" || !group.exists || !group.hasMember(memberId)) {
      throw refuseState(`${path}.memberId`, "there is no such member", { value: memberId });
    }
    const isId = typeof id === "number" && id >>> 0 === id;
    if (!isId || store.find(group, memberId, type.type, id) !== undefined) {
      throw refuseState(`${path}.id`, "not an id, or it stands here twice", { value: id });
    }
    const bytes = typeof data === "string" ? fromHex(data) : undefined;
    if (bytes === undefined || toHex(settled(type, bytes)) !== data) {
      throw refuseState(`${path}.data`, "not the data of such an object", { value: data });
    }
    const place = { store, type, id, group, memberId, driver: driverOf(type.capability) };
    const contents = admit(place, this.#maxObjects, bytes);
    if (typeof contents === "number") {
      const message = "no driver can have created this object here";
      throw refuseState(path, message, { value: `type ${typeId}, id ${id}, data ${data}` });
    }
    store.create(type, group, memberId, contents);
  }
}

/** The object's data in a command, as long as its layout. */
function sentOf(type: ResourceObjectType, { dataBytes, dataLength }: AdminCall): Uint8Array {
  return settled(type, dataBytes.subarray(DATA_AT, Math.max(DATA_AT, dataLength)));
}

/** What became of an object. */
interface Change {
  readonly type: ResourceObjectType;
  readonly now?: ResourceObject;
  readonly before?: ResourceObject;
}

const creationOf = ({ type, contents }: LivingObject): Change => ({ type, now: contents.object });
const endOf = ({ type, contents }: LivingObject): Change => ({ type, before: contents.object });

/** Tells types what has happened. All are told, then the first error is thrown, if any. */
function tell(changes: readonly Change[]): void {
  const errors: unknown[] = [];
  for (const { type, now, before } of changes) {
    try {
      type.changed?.(now, before);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
