/**
 * The device half of the capability commands: which capabilities the device has, and what its
 * driver has set of them. What depends on a capability, as resource objects do, may make a change
 * of it wait, and goes into a snapshot with it.
 *
 * Every handler is synchronous: its checks and its change are one step.
 */
import { refuseState } from "../../device/saved-state.ts";
import { VirtioError } from "../../errors.ts";
import { accessors, type Decoded, type Fields } from "../../layout/index.ts";
import { fromHex, toHex } from "../../trace/hex.ts";
import { type AdminOutcome, OUTCOME, outcome } from "../status.ts";
import { CAPABILITY_FAMILY_NAME } from "../tolerances.ts";
import type {
  AdminCall,
  AdminCommand,
  AdminOwner,
  CommandFamily,
  FamilyBinding,
} from "../types.ts";
import {
  CAP_GET_DATA,
  CAP_ID_LIST_QUERY,
  CAP_SET_DATA,
  DEVICE_CAP_GET,
  DRIVER_CAP_SET,
  encodeCapabilityIds,
} from "./capabilities-layout.ts";
import {
  type Capability,
  checkDeviceCapability,
  type DeviceCapability,
  decodeCapability,
  driverValue,
  offendingField,
} from "./capability.ts";

const GET = accessors(CAP_GET_DATA);
const SET = accessors(CAP_SET_DATA);

const NO_CAPABILITY = outcome("ENXIO", "INVALID_FIELD");
const BUSY = outcome("EBUSY", "INVALID_COMMAND");
const NO_BYTES = new Uint8Array(0);

/** What the driver has set of a capability: zero in every field when it has set nothing. */
export type DriverCapabilities = <F extends Fields>(capability: Capability<F>) => Decoded<F>;

/** What keeps state that has to fit what the driver set. */
export interface CapabilityDependant {
  /** Its name in a snapshot, unique among the dependants of one owner. */
  readonly name: string;
  /** True when the driver's value of a capability may become `next` now. Pure. */
  allows(capability: Capability, next: Decoded<Fields>): boolean;
  /** Its state, made of JSON values. */
  save(): unknown;
  /**
   * Checks a saved state, which may come from anywhere, and changes nothing. What it returns puts
   * the state in place, and must not throw.
   *
   * @param driver the driver's values that come back with it
   * @throws VirtioError `SNAPSHOT` when the state is refused
   */
  restore(value: unknown, driver: DriverCapabilities): () => void;
}

/** What a driver has set of one capability. */
export interface SavedCapability {
  /** The id of the capability. */
  readonly id: number;
  /** The value, two lower-case digits a byte. */
  readonly value: string;
}

/** What a {@link CapabilityFamily} adds to a snapshot. */
export interface SavedCapabilities {
  /** What the driver has set, by ascending id. */
  readonly driver: readonly SavedCapability[];
  /** The state of every dependant by its name. */
  readonly dependants: Readonly<Record<string, unknown>>;
}

/**
 * The capability commands as a family, for the Self group of one owner, with what its driver has
 * set. DRIVER_CAP_SET is checked in this order: the id (ENXIO), the value against the device's
 * (EINVAL, INVALID_FIELD), then whether something that lives depends on what would be taken back
 * (EBUSY).
 *
 * An owner without capabilities lists none of the commands.
 */
export class CapabilityFamily implements CommandFamily {
  /** Always `capabilities`: tolerance T2 goes by it. */
  readonly name: string = CAPABILITY_FAMILY_NAME;
  /** See {@link CommandFamily.doc}. */
  readonly doc: string = "What the device is capable of, and what its driver uses of that.";
  /** Always false. */
  readonly private: boolean = false;
  /** The three commands. */
  readonly commands: readonly AdminCommand[] = [CAP_ID_LIST_QUERY, DEVICE_CAP_GET, DRIVER_CAP_SET];
  /** The capabilities of the device, by ascending id. */
  readonly capabilities: readonly DeviceCapability[];

  readonly #byId: ReadonlyMap<number, DeviceCapability>;
  readonly #idList: Uint8Array;
  readonly #dependants: CapabilityDependant[] = [];
  /** What the driver has set, by id. A value is replaced, never changed. */
  #driver: ReadonlyMap<number, Uint8Array> = new Map();
  #owner: AdminOwner | undefined;

  /**
   * Makes the family of one owner.
   *
   * @throws VirtioError `FAMILY_INVALID` when two capabilities have one id, a declaration
   * contradicts itself, or a value has another length than its layout
   */
  constructor(capabilities: readonly DeviceCapability[]) {
    for (const one of capabilities) checkDeviceCapability(one);
    this.capabilities = [...capabilities].sort((a, b) => a.capability.id - b.capability.id);
    this.#byId = new Map(this.capabilities.map((one) => [one.capability.id, one]));
    if (this.#byId.size !== this.capabilities.length) {
      throw new VirtioError("FAMILY_INVALID", {
        path: "capabilities",
        message: "two capabilities have one id",
        value: this.capabilities.map(({ capability }) => capability.id).join(", "),
      });
    }
    this.#idList = encodeCapabilityIds([...this.#byId.keys()]);
  }

  /** The device's value; `undefined` when the device has no such capability. */
  device<F extends Fields>(capability: Capability<F>): Decoded<F> | undefined {
    const one = this.#find(capability);
    return one === undefined ? undefined : decodeCapability(capability, one.bytes);
  }

  /**
   * What the driver has set. Until it has, after a device reset, and for a capability that the
   * device does not have, every field is zero.
   */
  driver<F extends Fields>(capability: Capability<F>): Decoded<F> {
    return this.#driverIn(this.#driver)(capability);
  }

  /** True once the family is bound to this owner. */
  isOf(owner: AdminOwner): boolean {
    return this.#owner === owner;
  }

  /**
   * Adds something that depends on capabilities; before the family is bound to its owner.
   *
   * @throws VirtioError `FAMILY_INVALID` when a dependant has this name already, or it is too late
   */
  attach(dependant: CapabilityDependant): void {
    const isTaken = this.#dependants.some(({ name }) => name === dependant.name);
    if (this.#owner !== undefined || isTaken) {
      throw new VirtioError("FAMILY_INVALID", {
        path: "capabilities",
        message: isTaken ? "two dependants have one name" : "the owner has been made already",
        value: dependant.name,
      });
    }
    this.#dependants.push(dependant);
  }

  /**
   * See {@link CommandFamily.bind}.
   *
   * @throws VirtioError `FAMILY_INVALID` the second time: one family has the state of one owner
   */
  bind(owner: AdminOwner): FamilyBinding {
    if (this.#owner !== undefined) {
      throw new VirtioError("FAMILY_INVALID", {
        path: "families.capabilities",
        message: "the family belongs to another owner already",
        hint: "make a CapabilityFamily for each owner",
      });
    }
    this.#owner = owner;
    return {
      handlers: {
        [CAP_ID_LIST_QUERY.opcode]: (call) => this.#list(call),
        [DEVICE_CAP_GET.opcode]: (call) => this.#get(call),
        [DRIVER_CAP_SET.opcode]: (call) => this.#set(call),
      },
      supports: () => this.#byId.size > 0,
      refuseList: (_, uses) => {
        const used = this.commands.filter(({ opcode }) => uses(opcode)).length;
        if (used === 0 || used === this.commands.length) return undefined;
        return "the capability commands are used all three, or not at all";
      },
      reset: () => {
        this.#driver = new Map();
      },
      save: () => this.#save(),
      restore: (value) => this.#restore(value),
    };
  }

  #list(call: AdminCall): AdminOutcome {
    call.resultBytes.set(this.#idList);
    call.resultLength = this.#idList.length;
    return OUTCOME.OK;
  }

  #get(call: AdminCall): AdminOutcome {
    const one = this.#byId.get(GET.id.get(call.data, 0));
    if (one === undefined) return NO_CAPABILITY;
    call.resultBytes.set(one.bytes);
    call.resultLength = one.bytes.length;
    return OUTCOME.OK;
  }

  #set({ data, dataBytes, dataLength }: AdminCall): AdminOutcome {
    const id = SET.id.get(data, 0);
    const one = this.#byId.get(id);
    if (one === undefined) return NO_CAPABILITY;
    const sent = dataBytes.subarray(CAP_SET_DATA.size, Math.max(CAP_SET_DATA.size, dataLength));
    const value = driverValue(one, sent);
    const next = fitting(one, value);
    if (next === undefined) return OUTCOME.INVALID_FIELD;
    if (!this.#dependants.every((dependant) => dependant.allows(one.capability, next))) return BUSY;
    this.#driver = new Map(this.#driver).set(id, value);
    return OUTCOME.OK;
  }

  /** The device's own declaration counts: one of the same id with another layout is another. */
  #find(capability: Capability<Fields>): DeviceCapability | undefined {
    const one = this.#byId.get(capability.id);
    return one?.capability === capability ? one : undefined;
  }

  #driverIn(values: ReadonlyMap<number, Uint8Array>): DriverCapabilities {
    return (capability) => {
      const one = this.#find(capability);
      const value = one === undefined ? undefined : values.get(capability.id);
      return decodeCapability(capability, value ?? NO_BYTES);
    };
  }

  #save(): SavedCapabilities {
    return {
      driver: [...this.#driver]
        .sort(([a], [b]) => a - b)
        .map(([id, value]) => ({ id, value: toHex(value) })),
      dependants: Object.fromEntries(this.#dependants.map((one) => [one.name, one.save()])),
    };
  }

  #restore(value: unknown): () => void {
    const { driver, dependants } = Object(value) as Partial<SavedCapabilities>;
    const values = this.#readDriver(driver);
    const saved = new Map(Object.entries(Object(dependants) as Record<string, unknown>));
    const puts = this.#dependants.map((dependant) => {
      const put = dependant.restore(saved.get(dependant.name), this.#driverIn(values));
      saved.delete(dependant.name);
      return put;
    });
    for (const name of saved.keys()) {
      throw refuseState("capabilities.dependants", "nothing here depends on capabilities so", {
        value: name,
      });
    }
    return () => {
      this.#driver = values;
      for (const put of puts) put();
    };
  }

  #readDriver(list: unknown): ReadonlyMap<number, Uint8Array> {
    if (!Array.isArray(list)) {
      throw refuseState("capabilities.driver", "not a list", { value: list });
    }
    const values = new Map<number, Uint8Array>();
    for (const [i, item] of Array.from(list as readonly unknown[]).entries()) {
      const path = `capabilities.driver[${i}]`;
      const { id, value } = Object(item) as Readonly<Record<keyof SavedCapability, unknown>>;
      const one = typeof id === "number" ? this.#byId.get(id) : undefined;
      if (one === undefined || values.has(one.capability.id)) {
        const message = "the device here has no such capability, or it stands here twice";
        throw refuseState(`${path}.id`, message, { value: id });
      }
      const bytes = typeof value === "string" ? fromHex(value) : undefined;
      const isCanonical = bytes !== undefined && toHex(driverValue(one, bytes)) === value;
      if (!isCanonical || fitting(one, bytes) === undefined) {
        throw refuseState(`${path}.value`, "the driver cannot have set this here", { value });
      }
      values.set(one.capability.id, bytes);
    }
    return values;
  }
}

/** The driver's value when it may be set, given the device's. */
function fitting(
  { capability, bytes: device }: DeviceCapability,
  driver: Uint8Array,
): Decoded<Fields> | undefined {
  const next = decodeCapability(capability, driver);
  const offered = decodeCapability(capability, device);
  return offendingField(capability, next, offered) === undefined ? next : undefined;
}
