/** The driver half of the management commands: typed calls over an {@link AdminClient}. */
import { FeatureSet } from "../../device/features.ts";
import { VirtioError } from "../../errors.ts";
import { MSIX_VECTOR_LIMIT } from "../../group/managed.ts";
import { accessors, encode } from "../../layout/index.ts";
import type { AdminClient } from "../client.ts";
import type { AdminExecuteOptions } from "../pending.ts";
import type { AdminCommand } from "../types.ts";
import { MANAGEMENT_FAMILY } from "./management.ts";
import {
  FEATURES_DATA,
  FEATURES_GET,
  FEATURES_RESULT,
  FEATURES_SET,
  MGMT_ATTRS_GET,
  MGMT_ATTRS_RESULT,
  MSIX_COUNT_DATA,
  MSIX_COUNT_GET,
  MSIX_COUNT_RESULT,
  MSIX_COUNT_SET,
  readFeatures,
  writeFeatures,
} from "./management-layout.ts";
import { useCommands } from "./use-commands.ts";

const ATTRS = accessors(MGMT_ATTRS_RESULT);
const COUNT = accessors(MSIX_COUNT_RESULT);
const FEATURES = accessors(FEATURES_RESULT);
const FEATURES_OUT = accessors(FEATURES_DATA);
const { msix: HAS_MSIX, features: HAS_FEATURES } = MGMT_ATTRS_RESULT.fields.attrs.bits;
const NO_DATA = new Uint8Array(0);

/** The MSI-X vectors of a group, as its device reports them. */
export interface MsixAttributes {
  /** The vectors of all members together. */
  readonly total: number;
  /** Those of them that no member has. */
  readonly free: number;
  /** The fewest vectors of one member, 1..max. */
  readonly min: number;
  /** The most vectors of one member, min..2048. */
  readonly max: number;
}

/** What the owner can manage in a group. */
export interface ManagementAttributes {
  /** The MSI-X vectors; absent when the members have no MSI-X. */
  readonly msix: MsixAttributes | undefined;
  /** True when the features that members offer can be switched. */
  readonly features: boolean;
  /** The features that can be switched on some member. */
  readonly settable: FeatureSet;
}

/** How many MSI-X vectors a member has. */
export interface MemberVectors {
  /** How many it has now, 1..2048. */
  readonly vectors: number;
  /** How many it has unless they are set. */
  readonly defaultVectors: number;
}

/** The features of a member. */
export interface MemberFeatures {
  /** What its own driver is offered on the next bring-up. */
  readonly offered: FeatureSet;
  /** What can be switched. */
  readonly settable: FeatureSet;
}

/**
 * The management commands of an owner device. Nothing is sent but what a method is called for, and
 * to the group that it names (`SR_IOV_GROUP.id`, `PLATFORM_GROUP.id`).
 *
 * Every method fails as {@link AdminClient.execute} does, with `AdminCommandError` for what the
 * device refuses: `EINVAL` and `INVALID_MEMBER` or `INVALID_FIELD`, `EBUSY` while the member is in
 * use, `ENOSPC` and `NORESOURCE` when the pool of vectors is short. Nothing has changed then.
 * `ADMIN_RESPONSE` means that an answer cannot be true.
 */
export class ManagementClient {
  readonly #client: AdminClient;

  /** Sends through `client`; the group's lists have to allow the commands, see {@link use}. */
  constructor(client: AdminClient) {
    this.#client = client;
  }

  /**
   * Adds the management commands to the list in use of a group type: asks which ones there are,
   * and settles them besides what is in use already.
   *
   * @returns the opcodes of the management commands that there are, ascending; none when the
   * device has no management commands for this group
   */
  use(group: number, options: AdminExecuteOptions = {}): Promise<readonly number[]> {
    return useCommands(this.#client, group, MANAGEMENT_FAMILY.commands, options);
  }

  /** Asks what can be managed in a group. */
  async attrs(group: number, options: AdminExecuteOptions = {}): Promise<ManagementAttributes> {
    const view = await this.#send(MGMT_ATTRS_GET, group, 0, NO_DATA, options);
    const has = ATTRS.attrs.getLow(view, 0);
    const words = [0, 1].flatMap((half) => [
      ATTRS.settable.getLow(view, 0, half),
      ATTRS.settable.getHigh(view, 0, half),
    ]);
    return {
      msix: (has & HAS_MSIX.mask) === 0 ? undefined : poolOf(view),
      features: (has & HAS_FEATURES.mask) !== 0,
      settable: FeatureSet.fromWords(words),
    };
  }

  /** Asks how many MSI-X vectors a member has. */
  async msixCount(
    group: number,
    member: number | bigint,
    options: AdminExecuteOptions = {},
  ): Promise<MemberVectors> {
    const view = await this.#send(MSIX_COUNT_GET, group, member, NO_DATA, options);
    const vectors = COUNT.vectors.get(view, 0);
    const defaultVectors = COUNT.default.get(view, 0);
    if (!isCount(vectors)) {
      throw senseless(MSIX_COUNT_GET, "vectors", "a member with MSI-X has 1 to 2048", vectors);
    }
    return { vectors, defaultVectors };
  }

  /**
   * Sets how many MSI-X vectors a member has.
   *
   * @throws VirtioError `ADMIN_COMMAND` unless `vectors` is an integer from 1 to 2048
   */
  async setMsixCount(
    group: number,
    member: number | bigint,
    vectors: number,
    options: AdminExecuteOptions = {},
  ): Promise<void> {
    if (!isCount(vectors)) {
      throw new VirtioError("ADMIN_COMMAND", {
        path: "vectors",
        message: `a member has 1 to ${MSIX_VECTOR_LIMIT} vectors`,
        value: vectors,
      });
    }
    const data = encode(MSIX_COUNT_DATA, { vectors });
    await this.#send(MSIX_COUNT_SET, group, member, data, options);
  }

  /** Asks which features a member offers. */
  async features(
    group: number,
    member: number | bigint,
    options: AdminExecuteOptions = {},
  ): Promise<MemberFeatures> {
    const view = await this.#send(FEATURES_GET, group, member, NO_DATA, options);
    return {
      offered: readFeatures(FEATURES.offered_low, FEATURES.offered_high, view),
      settable: readFeatures(FEATURES.settable_low, FEATURES.settable_high, view),
    };
  }

  /**
   * Switches the features in `mask`: on where they are in `value` too, off where not. The others
   * stay as they are.
   *
   * @throws VirtioError `ADMIN_COMMAND` when `value` has a feature that is not in `mask`
   */
  async setFeatures(
    group: number,
    member: number | bigint,
    mask: FeatureSet,
    value: FeatureSet,
    options: AdminExecuteOptions = {},
  ): Promise<void> {
    if (!value.isSubsetOf(mask)) {
      throw new VirtioError("ADMIN_COMMAND", {
        path: "value",
        message: "only features of the mask can be switched on",
        value,
        hint: `add ${value.minus(mask)} to the mask, or take it out of the value`,
      });
    }
    const data = new Uint8Array(FEATURES_DATA.size);
    const view = new DataView(data.buffer);
    writeFeatures(FEATURES_OUT.mask_low, FEATURES_OUT.mask_high, view, mask);
    writeFeatures(FEATURES_OUT.value_low, FEATURES_OUT.value_high, view, value);
    await this.#send(FEATURES_SET, group, member, data, options);
  }

  /** Sends one command; a view of its result, all of it, zero where the device wrote none. */
  async #send(
    command: AdminCommand,
    group: number,
    member: number | bigint,
    data: Uint8Array,
    options: AdminExecuteOptions,
  ): Promise<DataView> {
    const target = { group, member, data, resultLength: command.result.min };
    const { result } = await this.#client.executeCommand(command, target, options);
    return new DataView(result.buffer, result.byteOffset, result.byteLength);
  }
}

function poolOf(view: DataView): MsixAttributes {
  const total = ATTRS.msix_total.get(view, 0);
  const free = ATTRS.msix_free.get(view, 0);
  const min = ATTRS.msix_min.get(view, 0);
  const max = ATTRS.msix_max.get(view, 0);
  if (free > total) throw senseless(MGMT_ATTRS_GET, "msix_free", `there are ${total}`, free);
  if (!isCount(max)) throw senseless(MGMT_ATTRS_GET, "msix_max", "it is 1 to 2048", max);
  if (min < 1 || min > max) {
    throw senseless(MGMT_ATTRS_GET, "msix_min", `it is 1 to msix_max, ${max}`, min);
  }
  return { total, free, min, max };
}

function isCount(vectors: number): boolean {
  return Number.isInteger(vectors) && vectors >= 1 && vectors <= MSIX_VECTOR_LIMIT;
}

function senseless(command: AdminCommand, field: string, message: string, value: number) {
  return new VirtioError("ADMIN_RESPONSE", { path: `${command.name}.${field}`, message, value });
}
