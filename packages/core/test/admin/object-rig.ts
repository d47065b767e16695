/** An owner with capabilities and resource objects of every kind, over real queues. */
import {
  CapabilityFamily,
  DEV_PARTS_CAP,
  DevicePartsFamily,
  defineCapability,
  defineResourceObjectType,
  deviceCapability,
  RESOURCE_OBJ_DEV_PARTS,
  type ResourceObject,
  ResourceObjectFamily,
  type ResourceObjectOpcodes,
  type ResourceObjectType,
} from "../../src/admin/index.ts";
import { type PartsGroup, SelfGroup } from "../../src/group/index.ts";
import { struct } from "../../src/layout/index.ts";
import { MsixMember, VanishingGroup } from "./management-rig.ts";
import { AdminRig, type AdminRigOptions, answerOf, hex, request, unhex } from "./rig.ts";

/** The opcodes as the table of the text has them. */
export const OP_CAP = { LIST: 0x07, GET: 0x08, SET: 0x09 } as const;
export const OP_OBJ = { CREATE: 0x0a, QUERY: 0x0b, MODIFY: 0x0c, DESTROY: 0x0d } as const;

export const SELF = 0;
export const SRIOV = 1;

export const OK: readonly [number, number] = [0, 0];
export const ENXIO: readonly [number, number] = [6, 3];
export const EBUSY: readonly [number, number] = [16, 1];
export const EEXIST: readonly [number, number] = [17, 3];
export const INVALID_OPCODE: readonly [number, number] = [22, 2];
export const INVALID_FIELD: readonly [number, number] = [22, 3];
export const INVALID_GROUP: readonly [number, number] = [22, 4];
export const INVALID_MEMBER: readonly [number, number] = [22, 5];
export const ENOSPC: readonly [number, number] = [28, 6];

const cite = "this project: tests";

/** A capability with a field of every rule, 40 bytes. */
export const TEST_CAP = defineCapability({
  id: 0x0800,
  name: "TEST_CAP",
  layout: struct(
    "test_cap",
    { cite, doc: "A field of every rule." },
    {
      pools: { offset: 0, type: "le32", doc: "How many pools." },
      filters: { offset: 4, type: "le32", doc: "How many filters." },
      flags: { offset: 8, type: "le64", doc: "What it can." },
      kinds: { offset: 16, type: "le16", count: 4, doc: "Which ones it knows." },
      depths: { offset: 24, type: "u8", count: 4, doc: "How deep each may be." },
      revision: { offset: 28, type: "le16", doc: "Not writable." },
      reserved: { offset: 30, type: "u8", count: 10, doc: "Reserved." },
    },
  ),
  rules: {
    pools: "limit",
    filters: "limit",
    flags: "flags",
    kinds: "entries",
    depths: "limit",
    revision: "fixed",
    reserved: "reserved",
  },
  accepts: (driver) => driver.filters === 0 || driver.pools > 0,
  doc: "A field of every rule.",
  cite,
});
export const TEST_DEVICE = {
  pools: 4,
  filters: 3,
  flags: 0x8000_0000_0000_0005n,
  kinds: [7, 9, 0x1234, 0],
  depths: [1, 2, 3, 255],
  revision: 0x0102,
};

/** A capability of no fixed length: what it can is a list. Its id is a multiple of 64. */
export const LIST_CAP = defineCapability({
  id: 0x0840,
  name: "LIST_CAP",
  layout: struct(
    "list_cap",
    { cite, doc: "A list." },
    {
      count: { offset: 0, type: "u8", doc: "How many there are." },
      reserved: { offset: 1, type: "u8", count: 3, doc: "Reserved." },
      list: { offset: 4, type: "le32", count: "rest", doc: "What it can." },
    },
  ),
  rules: { count: "limit", reserved: "reserved", list: "entries" },
  doc: "A list.",
  cite,
});
export const LIST_DEVICE = { count: 3, list: [0x11, 0x22, 0xffffffff] };

/** The saved state of no objects. */
export const OBJECTS_OF_ALL = { "resource-objects": { objects: [] } } as const;

/** What of an object a type was told, by `type:id`. */
export interface Told {
  readonly what: "created" | "modified" | "destroyed";
  readonly name: string;
}

const nameOf = ({ type, id, memberId }: ResourceObject) =>
  `${type.toString(16)}:${id}${memberId === 0 ? "" : `@${memberId}`}`;

/** Types of objects: pools, and filters that need a pool and perhaps another filter. */
export function testTypes(told: Told[] = []) {
  const changed = (now?: ResourceObject, before?: ResourceObject) => {
    const what = now === undefined ? "destroyed" : before === undefined ? "created" : "modified";
    told.push({ what, name: nameOf((now ?? before)!) });
  };
  const pool = defineResourceObjectType({
    type: 0x200,
    name: "TEST_POOL",
    groups: [SELF, SRIOV],
    layout: struct(
      "test_pool",
      { cite, doc: "A pool." },
      {
        size: { offset: 0, type: "le32", doc: "Its size." },
        reserved: { offset: 4, type: "le16", count: 2, doc: "Reserved." },
      },
    ),
    reserved: ["reserved"],
    capability: TEST_CAP,
    limits: (driver) => [driver.pools],
    isValid: ({ size }) => size !== 0xbad,
    refuse: ({ data }) => (data.size > 0x10000 ? 28 + (6 << 16) : undefined),
    changed,
    doc: "A pool.",
    cite,
  });
  const filter = defineResourceObjectType({
    type: 0x201,
    name: "TEST_FILTER",
    groups: [SELF],
    layout: struct(
      "test_filter",
      { cite, doc: "A filter." },
      {
        pool: { offset: 0, type: "le32", doc: "The id of the pool it is for." },
        after: { offset: 4, type: "le16", doc: "The id of the filter before it, and one." },
        rule: { offset: 6, type: "u8", doc: "What it does." },
      },
    ),
    capability: TEST_CAP,
    limits: (driver) => [driver.filters],
    references: ({ pool, after }) => [
      { type: 0x200, id: pool },
      ...(after === 0 ? [] : [{ type: 0x201, id: after - 1 }]),
    ],
    changed,
    doc: "A filter.",
    cite,
  });
  return { pool, filter };
}

export const TYPE = { DEV_PARTS: 0x000, POOL: 0x200, FILTER: 0x201 } as const;

export interface ObjectRigOptions extends AdminRigOptions {
  readonly opcodes?: ResourceObjectOpcodes;
  readonly maxObjects?: number;
  readonly types?: readonly ResourceObjectType[];
  /** The limits of device parts objects that the device has. */
  readonly parts?: readonly [number, number];
}

/**
 * Virtual functions that may come again: then they are others, under the same ids. They have objects,
 * and no parts.
 */
class VirtualFunctions extends VanishingGroup implements PartsGroup {
  readonly #present: MsixMember[];

  constructor() {
    const members = VirtualFunctions.#make();
    super(members, { total: 100, min: 1, max: 8 });
    this.#present = members;
  }

  partsDevice(): undefined {
    return undefined;
  }

  appear(): void {
    this.#present.splice(0, this.#present.length, ...VirtualFunctions.#make());
    this.exists = true;
  }

  static #make(): MsixMember[] {
    return [1, 2, 3].map((id) => new MsixMember(id, 2));
  }
}

/** A Self group, three virtual functions, and everything above. */
export class ObjectRig extends AdminRig {
  readonly told: Told[];
  readonly capabilities: CapabilityFamily;
  readonly objects: ResourceObjectFamily;
  readonly virtual: VirtualFunctions;

  constructor(options: ObjectRigOptions = {}) {
    const told: Told[] = [];
    const { parts = [2, 1], types = Object.values(testTypes(told)) } = options;
    const capabilities = new CapabilityFamily([
      deviceCapability(LIST_CAP, LIST_DEVICE),
      deviceCapability(TEST_CAP, TEST_DEVICE),
      deviceCapability(DEV_PARTS_CAP, {
        get_parts_resource_objects_limit: parts[0],
        set_parts_resource_objects_limit: parts[1],
      }),
    ]);
    const objects = new ResourceObjectFamily({
      capabilities,
      types: [...types, RESOURCE_OBJ_DEV_PARTS],
      ...(options.maxObjects === undefined ? {} : { maxObjects: options.maxObjects }),
      ...(options.opcodes === undefined ? {} : { opcodes: options.opcodes }),
    });
    const virtual = new VirtualFunctions();
    const deviceParts = new DevicePartsFamily({ objects });
    super({
      groups: [new SelfGroup(), virtual],
      families: [capabilities, objects, deviceParts],
      ...options,
    });
    this.told = told;
    this.capabilities = capabilities;
    this.objects = objects;
    this.virtual = virtual;
    this.useAll(SELF);
    if (this.executor.supported(SRIOV).length > 0) this.useAll(SRIOV);
  }

  /** Resets the owner, and lets its driver use everything again. */
  restart(): void {
    this.bringUp();
    this.useAll(SELF);
    if (this.virtual.exists) this.useAll(SRIOV);
  }

  /** Sends one command over a queue; data in hexadecimal, and so is the result. */
  command(
    opcode: number,
    data: string | Uint8Array = "",
    { group = SELF, member = 0, room = 64 }: CommandTarget = {},
  ): CommandAnswer {
    const bytes = typeof data === "string" ? unhex(data) : data;
    const buffer = { readable: request(opcode, group, member, bytes), writableLength: 8 + room };
    const answer = this.send(buffer);
    if (answer === undefined) throw new Error("the device did not answer");
    return {
      outcome: answerOf(answer.bytes),
      result: hex(answer.bytes.subarray(8, answer.used)),
    };
  }

  outcome(opcode: number, data: string | Uint8Array = "", target: CommandTarget = {}) {
    return this.command(opcode, data, target).outcome;
  }

  /** Lets the driver have `pools` pools and `filters` filters. */
  limit(pools = 4, filters = 3): void {
    const outcome = this.outcome(OP_CAP.SET, capSet(0x0800, le(pools, 4) + le(filters, 4)));
    if (outcome[0] !== 0) throw new Error(`DRIVER_CAP_SET failed with ${outcome}`);
  }

  limitParts(get = 2, set = 1): void {
    const outcome = this.outcome(OP_CAP.SET, capSet(0, le(get, 1) + le(set, 1)));
    if (outcome[0] !== 0) throw new Error(`DRIVER_CAP_SET failed with ${outcome}`);
  }

  create(type: number, id: number, data: string, target: CommandTarget = {}) {
    return this.outcome(OP_OBJ.CREATE, object(type, id) + le(0, 8) + data, target);
  }

  modify(type: number, id: number, data: string, target: CommandTarget = {}) {
    return this.outcome(OP_OBJ.MODIFY, object(type, id) + le(0, 8) + data, target);
  }

  query(type: number, id: number, target: CommandTarget = {}): CommandAnswer {
    return this.command(OP_OBJ.QUERY, object(type, id) + le(0, 8), target);
  }

  destroy(type: number, id: number, target: CommandTarget = {}) {
    return this.outcome(OP_OBJ.DESTROY, object(type, id), target);
  }

  /** All that a command could change. */
  state(): unknown {
    return { saved: this.executor.saveState(), told: [...this.told] };
  }
}

export interface CommandTarget {
  readonly group?: number;
  readonly member?: number | bigint;
  readonly room?: number;
}

export interface CommandAnswer {
  readonly outcome: readonly [number, number];
  readonly result: string;
}

/** A little-endian number of `width` bytes in hexadecimal. */
export function le(value: number | bigint, width: number): string {
  let text = "";
  let rest = BigInt(value);
  for (let i = 0; i < width; i++) {
    text += Number(rest & 0xffn)
      .toString(16)
      .padStart(2, "0");
    rest >>= 8n;
  }
  return text;
}

/** The data of DEVICE_CAP_GET. */
export function capGet(id: number): string {
  return le(id, 8);
}

/** The data of DRIVER_CAP_SET. */
export function capSet(id: number, value: string): string {
  return le(id, 8) + value;
}

/** The header of a command about an object. */
export function object(type: number, id: number): string {
  return le(type, 4) + le(id, 4);
}

/** The data of a pool. */
export function pool(size: number): string {
  return le(size, 8);
}

/** The data of a filter for a pool, perhaps after another filter. */
export function filter(poolId: number, after?: number, rule = 0): string {
  return le(poolId, 4) + le(after === undefined ? 0 : after + 1, 2) + le(rule, 1);
}

/** The data of a device parts object that captures, or restores. */
export const parts = { get: le(0, 8), set: le(1, 8) } as const;
