/** The driver half of the capability commands: typed calls over an {@link AdminClient}. */
import { VirtioError } from "../../errors.ts";
import { SELF_GROUP } from "../../group/self.ts";
import { type Decoded, type Encodable, encode, type Fields } from "../../layout/index.ts";
import type { AdminClient } from "../client.ts";
import { VIRTIO_1_4 } from "../dialect.ts";
import { changedNothing } from "../errors.ts";
import type { AdminExecuteOptions } from "../pending.ts";
import {
  CAP_GET_DATA,
  CAP_ID_LIST_QUERY,
  CAP_SET_DATA,
  DEVICE_CAP_GET,
  DRIVER_CAP_SET,
  decodeCapabilityIds,
} from "./capabilities-layout.ts";
import {
  type Capability,
  type DeviceCapability,
  decodeCapability,
  driverValue,
  offendingField,
} from "./capability.ts";
import { useCommands } from "./use-commands.ts";

const COMMANDS = [CAP_ID_LIST_QUERY, DEVICE_CAP_GET, DRIVER_CAP_SET] as const;

/** Why a capability cannot be set now: what still lives that it governs, for the error. */
export type CapabilityHold = (capability: Capability) => string | undefined;

/**
 * The capabilities of an owner device. Every method but {@link driver} and {@link hold} sends
 * commands, for the Self group.
 *
 * Those fail as {@link AdminClient.execute} does, with `AdminCommandError` for what the device
 * refuses: `ENXIO` for a capability that it does not have, `EINVAL` and `INVALID_FIELD` for a value
 * beyond its own, `EBUSY` while objects live that a change would take the capability from.
 */
export class CapabilityClient {
  readonly #client: AdminClient;
  /** What the device reported, by id. */
  readonly #device = new Map<number, DeviceCapability>();
  /** What the device has accepted, by id; nothing while that is not known. */
  readonly #driver = new Map<number, Decoded<Fields>>();
  readonly #holds: CapabilityHold[] = [];

  /** Sends through `client`; the Self group's list has to allow the commands, see {@link use}. */
  constructor(client: AdminClient) {
    this.#client = client;
  }

  /**
   * Adds the capability commands to the list in use of the Self group.
   *
   * @returns false when the device has no capabilities
   */
  async use(options: AdminExecuteOptions = {}): Promise<boolean> {
    const found = await useCommands(this.#client, SELF_GROUP.id, COMMANDS, options);
    return found.length > 0;
  }

  /** Asks which capabilities the device has: their ids, ascending. */
  async ids(options: AdminExecuteOptions = {}): Promise<readonly number[]> {
    const target = { group: SELF_GROUP.id };
    const { result } = await this.#client.executeCommand(CAP_ID_LIST_QUERY, target, options);
    return decodeCapabilityIds(result);
  }

  /** Asks for the device's value of a capability. */
  async device<F extends Fields>(
    capability: Capability<F>,
    options: AdminExecuteOptions = {},
  ): Promise<Decoded<F>> {
    const { bytes } = await this.#ask(capability, options);
    return decodeCapability(capability, bytes);
  }

  /**
   * Tells the device what is used of a capability; what is left out of `value` is 0. The device is
   * asked for its own value first, unless it was before.
   *
   * @throws VirtioError `ADMIN_COMMAND`, naming the field, for a value beyond the device's;
   * `DRIVER_STATE` while objects live that the capability governs; `VALUE_RANGE` and
   * `LAYOUT_UNKNOWN_FIELD` as `encode`. Nothing has been set then.
   */
  async set<F extends Fields>(
    capability: Capability<F>,
    value: Encodable<F>,
    options: AdminExecuteOptions = {},
  ): Promise<void> {
    const bytes = encode(capability.layout, value);
    const one = this.#reported(capability) ?? (await this.#ask(capability, options));
    this.#refuseBeyond(capability, decodeCapability(capability, bytes), one.bytes);
    this.#refuseHeld(one.capability);
    const data = encode(CAP_SET_DATA, { id: capability.id, cap_specific_data: bytes });
    const before = this.#driver.get(capability.id);
    this.#driver.delete(capability.id);
    let settled: Decoded<Fields> | undefined;
    try {
      await this.#client.executeCommand(DRIVER_CAP_SET, { group: SELF_GROUP.id, data }, options);
      settled = decodeCapability(one.capability, driverValue(one, bytes));
    } catch (error) {
      // Whatever else ended the wait, the device may still carry the command out.
      if (changedNothing(error)) settled = before;
      throw error;
    } finally {
      if (settled !== undefined) this.#driver.set(capability.id, settled);
    }
  }

  /**
   * What the device has accepted; `undefined` until it has, while it is being set, and when the
   * answer to that was not awaited.
   */
  driver<F extends Fields>(capability: Capability<F>): Decoded<F> | undefined {
    if (this.#reported(capability) === undefined) return undefined;
    return this.#driver.get(capability.id) as Decoded<F> | undefined;
  }

  /** Lets `hold` keep capabilities from being set, while what depends on them lives. */
  hold(hold: CapabilityHold): void {
    this.#holds.push(hold);
  }

  async #ask<F extends Fields>(
    capability: Capability<F>,
    options: AdminExecuteOptions,
  ): Promise<DeviceCapability> {
    const { id, layout } = capability;
    const target = {
      group: SELF_GROUP.id,
      data: encode(CAP_GET_DATA, { id }),
      ...(layout.rest === undefined ? { resultLength: layout.size } : {}),
    };
    const reply = await this.#client.executeCommand(DEVICE_CAP_GET, target, options);
    const length = Math.max(layout.size, reply.usedLength - VIRTIO_1_4.responseHeaderLength);
    const one = { capability, bytes: reply.result.slice(0, length) };
    this.#device.set(id, one);
    return one;
  }

  #reported(capability: Capability<Fields>): DeviceCapability | undefined {
    const one = this.#device.get(capability.id);
    return one?.capability === capability ? one : undefined;
  }

  #refuseBeyond<F extends Fields>(
    capability: Capability<F>,
    driver: Decoded<F>,
    offered: Uint8Array,
  ): void {
    const device = decodeCapability(capability, offered);
    const field = offendingField(capability, driver, device);
    if (field === undefined) return;
    throw new VirtioError("ADMIN_COMMAND", {
      path: `${capability.name}.${field}`,
      message: "the device does not offer this",
      value: show(driver[field as keyof F & string]),
      hint: `it offers ${show(device[field as keyof F & string])}`,
    });
  }

  #refuseHeld(capability: Capability): void {
    for (const hold of this.#holds) {
      const held = hold(capability);
      if (held === undefined) continue;
      throw new VirtioError("DRIVER_STATE", {
        path: capability.name,
        message: "a capability is not set while objects live that it governs",
        value: held,
        hint: "destroy them first",
      });
    }
  }
}

function show(value: unknown): string {
  return Array.isArray(value) ? value.join(", ") : String(value);
}
