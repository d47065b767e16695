/**
 * The driver half of the legacy access commands: typed calls over an {@link AdminClient}, as a
 * hypervisor makes them for a guest with a legacy driver.
 */
import { VirtioError } from "../../errors.ts";
import type { LegacyNotifyPlace } from "../../group/legacy-access.ts";
import { SR_IOV_GROUP } from "../../group/sr-iov.ts";
import { accessors } from "../../layout/index.ts";
import type { AdminClient } from "../client.ts";
import type { AdminExecuteOptions } from "../pending.ts";
import type { AdminCommand } from "../types.ts";
import { LEGACY_ACCESS_FAMILY } from "./legacy-access.ts";
import {
  LEGACY_COMMON_CFG_READ,
  LEGACY_COMMON_CFG_WRITE,
  LEGACY_DEV_CFG_READ,
  LEGACY_DEV_CFG_WRITE,
  LEGACY_NOTIFY_ENTRIES,
  LEGACY_NOTIFY_ENTRY,
  LEGACY_NOTIFY_FLAGS,
  LEGACY_NOTIFY_INFO,
  LEGACY_READ_DATA,
  LEGACY_WRITE_DATA,
} from "./legacy-access-layout.ts";

const READ_DATA = accessors(LEGACY_READ_DATA);
const WRITE_DATA = accessors(LEGACY_WRITE_DATA);
const ENTRY = accessors(LEGACY_NOTIFY_ENTRY);
const LARGEST_OFFSET = 0xff;
const LARGEST_LENGTH = LEGACY_DEV_CFG_READ.result.max;
const LAST_BAR = 5;
const NOTIFICATION_BYTES = 2;
const BYTE = 0x100;

/** A register of the legacy common configuration; a field of the transport's layout is one. */
export interface LegacyRegister {
  /** Where it begins, 0 to 255. */
  readonly offset: number;
  /** Its width in bytes. */
  readonly width: 1 | 2 | 4 | 8;
}

/** The length in bytes of a BAR of one function; 0 when it has no such BAR. */
export type BarLength = (bar: number) => number;

/** The BARs that notification places are checked against; of an absent function none is taken. */
export interface LegacyNotifyBars {
  /** The BARs of the owner. */
  readonly owner?: BarLength;
  /** The BARs of the member. */
  readonly member?: BarLength;
}

/**
 * The legacy access commands of the owner of an SR-IOV group. `member` is the number of a virtual
 * function, from 1.
 *
 * Every method fails as {@link AdminClient.execute} does, with `AdminCommandError` for what the
 * device refuses: `EINVAL` and `INVALID_MEMBER` for a member without a legacy interface, `INVALID_FIELD`
 * for an access that is not of one field. Nothing has changed then.
 *
 * The client pads commands as drivers must, so that the device takes an access to go on to the end of
 * its field: a register is read and written as a whole.
 */
export class LegacyAccessClient {
  readonly #client: AdminClient;

  /** Sends through `client`; the group's lists have to allow the commands, see {@link use}. */
  constructor(client: AdminClient) {
    this.#client = client;
  }

  /**
   * Adds the legacy access commands to the list in use of the SR-IOV group: asks which ones there are,
   * and settles them besides what is in use already.
   *
   * @returns the opcodes of the legacy access commands that there are, ascending; none when the
   * members have no legacy interface
   */
  async use(options: AdminExecuteOptions = {}): Promise<readonly number[]> {
    const group = SR_IOV_GROUP.id;
    const reported = await this.#client.listQuery(group, options);
    const ours = LEGACY_ACCESS_FAMILY.commands.map(({ opcode }) => opcode);
    const found = ours.filter((opcode) => reported.includes(opcode));
    const used = this.#client.usedOpcodes(group);
    if (!found.every((opcode) => used.includes(opcode))) {
      await this.#client.listUse(group, [...new Set([...used, ...found])], options);
    }
    return found;
  }

  /**
   * Reads a register of the common configuration.
   *
   * @throws VirtioError `ADMIN_COMMAND` for an offset that is not 0 to 255
   */
  async readCommon(
    member: number | bigint,
    { offset, width }: LegacyRegister,
    options: AdminExecuteOptions = {},
  ): Promise<number> {
    const bytes = await this.#read(LEGACY_COMMON_CFG_READ, member, offset, width, options);
    return bytes.reduceRight((value, byte) => value * BYTE + byte, 0);
  }

  /**
   * Writes a register of the common configuration.
   *
   * @throws VirtioError `ADMIN_COMMAND` for an offset that is not 0 to 255, or a value that does not
   * fit the register
   */
  async writeCommon(
    member: number | bigint,
    { offset, width }: LegacyRegister,
    value: number,
    options: AdminExecuteOptions = {},
  ): Promise<void> {
    if (!Number.isSafeInteger(value) || value < 0 || value >= BYTE ** width) {
      throw new VirtioError("ADMIN_COMMAND", {
        path: "value",
        message: `the register has ${width} bytes`,
        value,
      });
    }
    const bytes = Uint8Array.from(
      { length: width },
      (_, i) => Math.floor(value / BYTE ** i) % BYTE,
    );
    await this.#write(LEGACY_COMMON_CFG_WRITE, member, offset, bytes, options);
  }

  /**
   * Reads bytes of one field of the device-specific configuration.
   *
   * @throws VirtioError `ADMIN_COMMAND` for an offset that is not 0 to 255, or a length that is not 1
   * to 4096
   */
  readDevice(
    member: number | bigint,
    offset: number,
    length: number,
    options: AdminExecuteOptions = {},
  ): Promise<Uint8Array> {
    return this.#read(LEGACY_DEV_CFG_READ, member, offset, length, options);
  }

  /**
   * Writes one field of the device-specific configuration, or the end of one.
   *
   * @throws VirtioError `ADMIN_COMMAND` for an offset that is not 0 to 255, or not 1 to 4096 bytes
   */
  writeDevice(
    member: number | bigint,
    offset: number,
    bytes: Uint8Array,
    options: AdminExecuteOptions = {},
  ): Promise<void> {
    return this.#write(LEGACY_DEV_CFG_WRITE, member, offset, bytes, options);
  }

  /**
   * Asks where the member is notified, best first: places up to the end of the list. What is not a
   * place in a BAR that exists is left out.
   *
   * @param bars the BARs of the functions that the caller can write to
   */
  async notifyPlaces(
    member: number | bigint,
    bars: LegacyNotifyBars,
    options: AdminExecuteOptions = {},
  ): Promise<readonly LegacyNotifyPlace[]> {
    const target = { group: SR_IOV_GROUP.id, member };
    const { result } = await this.#client.executeCommand(LEGACY_NOTIFY_INFO, target, options);
    return decodeNotifyPlaces(result, bars);
  }

  async #read(
    command: AdminCommand,
    member: number | bigint,
    offset: number,
    length: number,
    options: AdminExecuteOptions,
  ): Promise<Uint8Array> {
    checkAccess(command, offset, length);
    const data = new Uint8Array(LEGACY_READ_DATA.size);
    READ_DATA.offset.set(new DataView(data.buffer), 0, offset);
    const target = { group: SR_IOV_GROUP.id, member, data, resultLength: length };
    return (await this.#client.executeCommand(command, target, options)).result;
  }

  async #write(
    command: AdminCommand,
    member: number | bigint,
    offset: number,
    bytes: Uint8Array,
    options: AdminExecuteOptions,
  ): Promise<void> {
    checkAccess(command, offset, bytes.length);
    const at = LEGACY_WRITE_DATA.fields.data.offset;
    const data = new Uint8Array(at + bytes.length);
    WRITE_DATA.offset.set(new DataView(data.buffer), 0, offset);
    data.set(bytes, at);
    await this.#client.executeCommand(command, { group: SR_IOV_GROUP.id, member, data }, options);
  }
}

/**
 * Decodes the result of LEGACY_NOTIFY_INFO: the entries before the first with flags 0, without those
 * whose flags are reserved, whose BAR the function does not have, or whose offset is odd or outside
 * that BAR. Bytes that are missing are zero.
 */
export function decodeNotifyPlaces(
  bytes: Uint8Array,
  bars: LegacyNotifyBars,
): readonly LegacyNotifyPlace[] {
  const whole = new Uint8Array(LEGACY_NOTIFY_ENTRIES * LEGACY_NOTIFY_ENTRY.size);
  whole.set(bytes.subarray(0, whole.length));
  const view = new DataView(whole.buffer);
  const places: LegacyNotifyPlace[] = [];
  for (let at = 0; at < whole.length; at += LEGACY_NOTIFY_ENTRY.size) {
    const flags = ENTRY.flags.get(view, at);
    if (flags === LEGACY_NOTIFY_FLAGS.end) break;
    const of = WHOSE.get(flags);
    const bar = ENTRY.bar.get(view, at);
    const offset = ENTRY.offset.getNumber(view, at);
    if (of === undefined || bar < 1 || bar > LAST_BAR || offset % NOTIFICATION_BYTES !== 0)
      continue;
    if (offset + NOTIFICATION_BYTES <= (bars[of]?.(bar) ?? 0)) places.push({ of, bar, offset });
  }
  return places;
}

const WHOSE: ReadonlyMap<number, LegacyNotifyPlace["of"]> = new Map([
  [LEGACY_NOTIFY_FLAGS.owner, "owner"],
  [LEGACY_NOTIFY_FLAGS.member, "member"],
]);

function checkAccess({ name }: AdminCommand, offset: number, length: number): void {
  if (!Number.isInteger(offset) || offset < 0 || offset > LARGEST_OFFSET) {
    throw new VirtioError("ADMIN_COMMAND", {
      path: `${name}.offset`,
      message: "an offset is an integer from 0 to 255",
      value: offset,
    });
  }
  if (!Number.isInteger(length) || length < 1 || length > LARGEST_LENGTH) {
    throw new VirtioError("ADMIN_COMMAND", {
      path: `${name}.length`,
      message: `an access has 1 to ${LARGEST_LENGTH} bytes`,
      value: length,
    });
  }
}
