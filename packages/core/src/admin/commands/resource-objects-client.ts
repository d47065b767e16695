/** The driver half of the resource object commands: typed calls over an {@link AdminClient}. */
import { VirtioError } from "../../errors.ts";
import { SELF_GROUP, SELF_MEMBER_ID } from "../../group/self.ts";
import { type Decoded, decode, type Encodable, encode, type Fields } from "../../layout/index.ts";
import { toHex } from "../../trace/hex.ts";
import type { AdminClient } from "../client.ts";
import { AdminCommandError, changedNothing } from "../errors.ts";
import type { AdminExecuteOptions, AdminReply } from "../pending.ts";
import type { AdminCommand } from "../types.ts";
import type { CapabilityClient } from "./capabilities-client.ts";
import type { Capability } from "./capability.ts";
import type { ResourceObjectReference, ResourceObjectType } from "./resource-object.ts";
import { sumOf } from "./resource-object-admission.ts";
import {
  RESOURCE_OBJ_CMD_HDR,
  RESOURCE_OBJ_CREATE_DATA,
  RESOURCE_OBJ_MODIFY_DATA,
  RESOURCE_OBJ_QUERY_DATA,
  type ResourceObjectCommands,
  type ResourceObjectOpcodes,
  resourceObjectCommands,
} from "./resource-objects-layout.ts";
import { useCommands } from "./use-commands.ts";

/** How a {@link ResourceObjectClient} works. */
export interface ResourceObjectClientOptions {
  /** Which opcodes QUERY and MODIFY have, see `RESOURCE_OBJ_OPCODES`; `table` when absent. */
  readonly opcodes?: ResourceObjectOpcodes;
}

/** Where an object is to live, and under which id. */
export interface ResourceObjectTarget {
  /** The type of the group; Self when absent. */
  readonly group?: number;
  /** The member it is for; 0 when absent, as in the Self group. */
  readonly member?: number;
  /** Its id; the lowest that is free for the member when absent. */
  readonly id?: number;
}

/** An object that was created through a {@link ResourceObjectClient}, by which it is named. */
export interface CreatedObject<F extends Fields = Fields> {
  /** The declaration of its type. */
  readonly type: ResourceObjectType<F>;
  /** Its id. */
  readonly id: number;
  /** The type of the group it lives in. */
  readonly group: number;
  /** The member it belongs to. */
  readonly member: number;
}

/**
 * What the client knows of an object. `created` is certain; of the others the device may or may
 * not have one: they keep their id, and can be destroyed.
 */
interface Known {
  readonly handle: CreatedObject;
  state: "creating" | "created" | "uncertain" | "destroying";
  /** What it depends on. */
  references: readonly ResourceObjectReference[];
  /** The modifications that may have it depend on something else, in the order of sending. */
  pending: readonly PendingModification[];
  kind: number;
}

/** A modification that is under way, or whose answer was not awaited. */
interface PendingModification {
  readonly references: readonly ResourceObjectReference[];
  isAbandoned: boolean;
}

/**
 * The resource objects of an owner device and its members, as this driver has created them.
 *
 * What the rules forbid a driver is refused before it is sent (`DRIVER_STATE`): objects before
 * DRIVER_CAP_SET or beyond it, a second one of the same type and id, one that was destroyed, one on
 * which others depend. While objects live, the capability that limits them cannot be set.
 *
 * Methods fail as {@link AdminClient.execute} does, with `AdminCommandError` for what the device
 * refuses. An object whose creation or destruction was not awaited to its end (`ADMIN_ABORTED`,
 * `ADMIN_DEADLINE`) is kept in mind, because the device may have it: it can be destroyed.
 */
export class ResourceObjectClient {
  readonly #client: AdminClient;
  readonly #capabilities: CapabilityClient;
  readonly #commands: ResourceObjectCommands;
  /** In an order in which each comes after those it depends on: of creation, as a rule. */
  readonly #known = new Map<CreatedObject, Known>();

  /**
   * Sends through `client`; the lists of the groups have to allow the commands, see {@link use}.
   *
   * @param capabilities the capabilities of the same device
   */
  constructor(
    client: AdminClient,
    capabilities: CapabilityClient,
    options: ResourceObjectClientOptions = {},
  ) {
    this.#client = client;
    this.#capabilities = capabilities;
    this.#commands = resourceObjectCommands(options.opcodes);
    capabilities.hold((capability) => this.#heldBy(capability));
  }

  /**
   * Adds the resource object commands to the list in use of a group type.
   *
   * @returns false when the device has no objects in such a group
   */
  async use(group: number, options: AdminExecuteOptions = {}): Promise<boolean> {
    const { CREATE, QUERY, MODIFY, DESTROY } = this.#commands;
    const commands = [CREATE, QUERY, MODIFY, DESTROY];
    return (await useCommands(this.#client, group, commands, options)).length > 0;
  }

  /** The objects that live, as far as is known, each after those it depends on. */
  get objects(): readonly CreatedObject[] {
    return [...this.#known.keys()];
  }

  /**
   * Creates an object; what is left out of `data` is 0.
   *
   * @throws VirtioError `DRIVER_STATE` before the capability of the type was set, when there are as
   * many objects as that allows, when the id is in use, or when `data` refers to an object that this
   * driver has not; `ADMIN_COMMAND` for an id, a group or data that the type does not have
   */
  async create<F extends Fields, C extends Fields>(
    type: ResourceObjectType<F, C>,
    data: Encodable<F>,
    target: ResourceObjectTarget = {},
    options: AdminExecuteOptions = {},
  ): Promise<CreatedObject<F>> {
    const { group = SELF_GROUP.id, member = SELF_MEMBER_ID } = target;
    if (!type.groups.includes(group)) {
      throw refuse(`${type.name}.group`, "such objects do not live in this group", group);
    }
    const bytes = encode(type.layout, data);
    const limits = this.#limitsOf(type);
    const id = this.#idFor(type, { ...target, group, member }, sumOf(limits));
    const handle: CreatedObject = Object.freeze({ type, id, group, member });
    const known = this.#judge(handle, bytes, limits);
    const fields = { ...headerOf(handle), resource_obj_specific_data: bytes };
    const create = encode(RESOURCE_OBJ_CREATE_DATA, fields);
    this.#known.set(handle, known);
    await this.#settle(known, this.#send(this.#commands.CREATE, handle, create, options));
    return handle as CreatedObject<F>;
  }

  /** Asks for the data of an object. */
  async query<F extends Fields>(
    object: CreatedObject<F>,
    options: AdminExecuteOptions = {},
  ): Promise<Decoded<F>> {
    const known = this.#need(object, ["created"]);
    const { layout } = object.type;
    const query = encode(RESOURCE_OBJ_QUERY_DATA, headerOf(known.handle));
    const reply = await this.#send(this.#commands.QUERY, object, query, options, layout.size);
    return decode(layout, reply.result);
  }

  /**
   * Replaces the data of an object; what is left out of `data` is 0. When it fails, the object is
   * as before.
   *
   * @throws VirtioError as {@link create}, and `DRIVER_STATE` when others depend on the object
   */
  async modify<F extends Fields>(
    object: CreatedObject<F>,
    data: Encodable<F>,
    options: AdminExecuteOptions = {},
  ): Promise<void> {
    const known = this.#need(object, ["created"]);
    this.#refuseDependants(known);
    const bytes = encode(object.type.layout, data);
    const { handle } = known;
    const { references, kind } = this.#judge(handle, bytes, this.#limitsOf(handle.type), known);
    const own: PendingModification = { references, isAbandoned: false };
    known.pending = [...known.pending, own];
    const fields = { ...headerOf(handle), resource_obj_specific_data: bytes };
    const modify = encode(RESOURCE_OBJ_MODIFY_DATA, fields);
    try {
      await this.#send(this.#commands.MODIFY, handle, modify, options);
    } catch (error) {
      own.isAbandoned = true;
      if (changedNothing(error)) known.pending = known.pending.filter((one) => one !== own);
      throw error;
    }
    // Those abandoned before it came before it: only commands that are awaited are repeated.
    const at = known.pending.indexOf(own);
    known.pending = known.pending.filter((one, i) => i > at || (i < at && !one.isAbandoned));
    known.references = references;
    known.kind = kind;
    if (references.length > 0 && this.#known.delete(handle)) this.#known.set(handle, known);
  }

  /**
   * Destroys an object; its id is free then. An object that the device has not is destroyed.
   *
   * @throws VirtioError `DRIVER_STATE` when it was destroyed already, or others depend on it
   */
  async destroy(object: CreatedObject<Fields>, options: AdminExecuteOptions = {}): Promise<void> {
    const known = this.#need(object, ["created", "uncertain"]);
    this.#refuseDependants(known);
    const before = known.state;
    known.state = "destroying";
    try {
      const destroy = encode(RESOURCE_OBJ_CMD_HDR, headerOf(known.handle));
      await this.#send(this.#commands.DESTROY, known.handle, destroy, options);
      this.#known.delete(known.handle);
    } catch (error) {
      if (isGone(error)) {
        this.#known.delete(known.handle);
        return;
      }
      known.state = changedNothing(error) ? before : "uncertain";
      throw error;
    }
  }

  /**
   * Destroys every object, or those of one member, dependants first, one after the other.
   *
   * @throws as {@link destroy}, for the first that cannot be destroyed; those after it live on
   */
  async destroyAll(
    of: Omit<ResourceObjectTarget, "id"> = {},
    options: AdminExecuteOptions = {},
  ): Promise<void> {
    for (const object of [...this.#known.keys()].reverse()) {
      const isOther =
        (of.group !== undefined && of.group !== object.group) ||
        (of.member !== undefined && of.member !== object.member);
      if (!isOther && this.#known.has(object)) await this.destroy(object, options);
    }
  }

  /** Forgets the objects of a member that has gone, and they with it: VF Enable was cleared. */
  forget(group: number, member: number): void {
    for (const object of [...this.#known.keys()]) {
      if (object.group === group && object.member === member) this.#known.delete(object);
    }
  }

  #limitsOf(type: ResourceObjectType): readonly number[] {
    const { name, capability } = type;
    const driver = this.#capabilities.driver(capability);
    if (driver !== undefined) return type.limits(driver);
    throw new VirtioError("DRIVER_STATE", {
      path: name,
      message: `the driver has not set the capability ${capability.name}`,
      hint: "set it with a CapabilityClient, and await that",
    });
  }

  #idFor(
    type: ResourceObjectType,
    { id, group, member }: ResourceObjectTarget,
    limit: number,
  ): number {
    const used = new Set<number>();
    for (const { handle } of this.#known.values()) {
      const isBeside = handle.group === group && handle.member === member && handle.type === type;
      if (isBeside) used.add(handle.id);
    }
    if (limit === 0) {
      throw new VirtioError("DRIVER_STATE", {
        path: type.name,
        message: "the driver's capability allows no such object",
        hint: `set a limit in ${type.capability.name}`,
      });
    }
    if (id === undefined) {
      for (let free = 0; free < limit; free++) if (!used.has(free)) return free;
    } else if (!(Number.isInteger(id) && id >= 0 && id < limit)) {
      throw refuse(`${type.name}.id`, `the driver's capability allows 0 to ${limit - 1}`, id);
    } else if (!used.has(id)) {
      return id;
    }
    throw new VirtioError("DRIVER_STATE", {
      path: `${type.name}.id`,
      message: id === undefined ? "every id is in use" : "the id is in use",
      value: id,
      hint: "destroy the object first",
    });
  }

  /** What there is to know of an object with this data; throws when it cannot be. */
  #judge(handle: CreatedObject, bytes: Uint8Array, limits: readonly number[], one?: Known): Known {
    const { type } = handle;
    const data = decode(type.layout, bytes);
    const kind = type.kindOf?.(data) ?? 0;
    const limit = limits[kind];
    if (limit === undefined || type.isValid?.(data) === false) {
      throw refuse(`${type.name}.data`, "no such object has this data", toHex(bytes));
    }
    const others = [...this.#known.values()].filter((other) => other !== one);
    const alike = others.filter((other) => other.handle.type === type && other.kind === kind);
    if (alike.length >= limit) {
      throw new VirtioError("DRIVER_STATE", {
        path: type.name,
        message: "there are as many objects as the driver's capability allows",
        value: limit,
        hint: "destroy one first",
      });
    }
    const references = type.references?.(data) ?? [];
    for (const reference of references) {
      const isThere = others.some(
        (other) => other.state === "created" && refersTo(reference, handle, other.handle),
      );
      if (isThere) continue;
      throw new VirtioError("DRIVER_STATE", {
        path: `${type.name}.data`,
        message: "the data refers to an object that this driver has not created",
        value: `type ${reference.type}, id ${reference.id}`,
      });
    }
    return { handle, state: "creating", references, pending: [], kind };
  }

  async #settle(known: Known, created: Promise<AdminReply>): Promise<void> {
    try {
      await created;
      known.state = "created";
    } catch (error) {
      known.state = "uncertain";
      if (changedNothing(error)) this.#known.delete(known.handle);
      throw error;
    }
  }

  #need(object: CreatedObject<Fields>, states: readonly Known["state"][]): Known {
    const known = this.#known.get(object);
    if (known !== undefined && states.includes(known.state)) return known;
    throw new VirtioError("DRIVER_STATE", {
      path: `${object.type.name}[${object.id}]`,
      message:
        known === undefined
          ? "the object was destroyed"
          : "the object is being created or destroyed",
      value: known?.state,
    });
  }

  #refuseDependants(known: Known): void {
    for (const other of this.#known.values()) {
      const pending = other.pending.flatMap(({ references }) => references);
      const references = [...other.references, ...pending];
      const depends = references.some((one) => refersTo(one, other.handle, known.handle));
      if (!depends || other === known) continue;
      throw new VirtioError("DRIVER_STATE", {
        path: labelOf(known.handle),
        message: "other objects depend on the object",
        value: labelOf(other.handle),
        hint: "destroy them first",
      });
    }
  }

  #heldBy(capability: Capability): string | undefined {
    for (const { type, id } of this.#known.keys()) {
      if (type.capability === capability) return `${type.name}[${id}]`;
    }
    return undefined;
  }

  #send(
    command: AdminCommand,
    { group, member }: Pick<CreatedObject, "group" | "member">,
    data: Uint8Array,
    options: AdminExecuteOptions,
    resultLength = 0,
  ): Promise<AdminReply> {
    return this.#client.executeCommand(command, { group, member, data, resultLength }, options);
  }
}

/** The fields of the header of every command about an object. */
function headerOf({ type, id }: Pick<CreatedObject, "type" | "id">) {
  return { type: type.type, id };
}

function labelOf({ type, id }: Pick<CreatedObject, "type" | "id">): string {
  return `${type.name}[${id}]`;
}

/** True when `to` is the object that a reference in `from` means: one of the same member. */
function refersTo(
  reference: ResourceObjectReference,
  from: CreatedObject,
  to: CreatedObject,
): boolean {
  const isBeside = from.group === to.group && from.member === to.member;
  return isBeside && reference.type === to.type.type && reference.id === to.id;
}

/** True when the device has no such object: it, or the member with all its objects, has gone. */
function isGone(error: unknown): boolean {
  if (!(error instanceof AdminCommandError)) return false;
  const { statusName, qualifierName } = error;
  if (statusName === "ENXIO") return true;
  return qualifierName === "INVALID_MEMBER" || qualifierName === "INVALID_GROUP";
}

function refuse(path: string, message: string, value: unknown): VirtioError {
  return new VirtioError("ADMIN_COMMAND", { path, message, value });
}
