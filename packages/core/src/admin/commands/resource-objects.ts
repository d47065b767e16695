/**
 * The device half of the resource object commands: the objects that a driver has created, for the
 * device itself and for its members.
 */
import type { Decoded } from "../../layout/index.ts";
import type { Fields } from "../../layout/index.ts";
import type { AdminCommand, AdminOwner, CommandFamily, FamilyBinding } from "../types.ts";
import type { CapabilityFamily } from "./capabilities.ts";
import type { ResourceObject, ResourceObjectType } from "./resource-object.ts";
import { type ResourceObjectOpcodes, resourceObjectCommands } from "./resource-objects-layout.ts";

/** What a {@link ResourceObjectFamily} is made from. */
export interface ResourceObjectFamilyInit {
  /** The capabilities of the same owner; listed before this family there. */
  readonly capabilities: CapabilityFamily;
  /** The types of objects that the device has. */
  readonly types: readonly ResourceObjectType[];
  /** The most objects of all types, groups and members together; 65536 when absent. */
  readonly maxObjects?: number;
  /** Which opcodes QUERY and MODIFY have, see `RESOURCE_OBJ_OPCODES`; `table` when absent. */
  readonly opcodes?: ResourceObjectOpcodes;
}

/** The resource object commands as a family, with the objects of one owner. */
export class ResourceObjectFamily implements CommandFamily {
  readonly name: string = "resource-objects";
  readonly doc: string = "Objects that take resources of the device.";
  readonly private: boolean = false;
  readonly commands: readonly AdminCommand[];

  /**
   * @throws VirtioError `FAMILY_INVALID` when two types have one identifier, or the device has not
   * the capability that limits a type
   */
  constructor(init: ResourceObjectFamilyInit) {
    const { CREATE, QUERY, MODIFY, DESTROY } = resourceObjectCommands(init.opcodes);
    this.commands = [CREATE, QUERY, MODIFY, DESTROY];
  }

  /** True when the device has objects of this type. */
  has(_type: ResourceObjectType): boolean {
    throw new Error("to come");
  }

  /**
   * The data of an object of a member that is there now; `undefined` when there is none.
   *
   * @param groupType the type of the member's group; SR-IOV when absent
   */
  object<F extends Fields, C extends Fields>(
    _type: ResourceObjectType<F, C>,
    _id: number,
    _memberId: number,
    _groupType?: number,
  ): Decoded<F> | undefined {
    throw new Error("to come");
  }

  /** Every object, in an order in which each comes after those it depends on. */
  objects(): readonly ResourceObject[] {
    throw new Error("to come");
  }

  bind(_owner: AdminOwner): FamilyBinding {
    throw new Error("to come");
  }
}
