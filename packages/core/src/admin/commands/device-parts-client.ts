/** The driver half of the device parts commands: typed calls over an {@link AdminClient}. */
import {
  type DevicePart,
  decodePartHeaders,
  decodeParts,
  encodePartHeaders,
  encodeParts,
  inPartOrder,
  PART_HEADER_BYTES,
  type PartHeader,
  partBytes,
} from "../../device/parts.ts";
import { isVirtioError, VirtioError } from "../../errors.ts";
import { SR_IOV_GROUP } from "../../group/sr-iov.ts";
import { accessors, encode } from "../../layout/index.ts";
import type { AdminClient } from "../client.ts";
import { VIRTIO_1_4 } from "../dialect.ts";
import { AdminCommandError, changedNothing } from "../errors.ts";
import type { AdminExecuteOptions, AdminReply } from "../pending.ts";
import type { AdminCommand } from "../types.ts";
import { RESOURCE_OBJ_DEV_PARTS, RESOURCE_OBJ_DEV_PARTS_TYPE } from "./dev-parts-object.ts";
import {
  DEV_MODE_SET,
  DEV_MODE_SET_DATA,
  DEV_PARTS_GET,
  DEV_PARTS_GET_DATA,
  DEV_PARTS_GET_TYPE,
  DEV_PARTS_METADATA_DATA,
  DEV_PARTS_METADATA_GET,
  DEV_PARTS_METADATA_RESULT,
  DEV_PARTS_METADATA_TYPE,
  DEV_PARTS_SET,
  DEV_PARTS_SET_DATA,
  LONGEST_PARTS_DATA,
  metadataListBytes,
} from "./device-parts-layout.ts";
import type { CreatedObject, ResourceObjectClient } from "./resource-objects-client.ts";
import { RESOURCE_OBJ_CMD_HDR } from "./resource-objects-layout.ts";
import { useCommands } from "./use-commands.ts";

const METADATA = accessors(DEV_PARTS_METADATA_RESULT);
const COMMANDS = [DEV_PARTS_METADATA_GET, DEV_PARTS_GET, DEV_PARTS_SET, DEV_MODE_SET] as const;
const STOPPED = DEV_MODE_SET_DATA.fields.flags.bits.stopped.mask;
const DEFAULT_CHUNK = 0x1_0000;
/** Two parts of each of the 65536 queues that there can be, and as many of other kinds. */
const MOST_PARTS = 2 ** 18;
/** How often a device that runs may have other parts than it said a moment before. */
const ATTEMPTS = 4;

/** How a {@link DevicePartsClient} works. */
export interface DevicePartsClientOptions {
  /**
   * The most bytes of parts that one command carries, 64 to 2^18; 65536 when absent. More are read
   * and set by several commands; a part that is longer goes alone.
   */
  readonly chunkLength?: number;
}

/**
 * The device parts commands of an owner device, for the members of its SR-IOV group.
 *
 * Each reading or writing call creates a device parts object and destroys it; the capability
 * `DEV_PARTS_CAP` has to be set before. Methods fail as {@link AdminClient.execute} does, with
 * `AdminCommandError` for what the device refuses, see `DevicePartsFamily`; nothing has changed
 * then. `ADMIN_RESPONSE` means that an answer cannot be true.
 *
 * The configuration space of a member is never touched.
 */
export class DevicePartsClient {
  readonly #client: AdminClient;
  readonly #objects: ResourceObjectClient;
  readonly #chunkLength: number;
  /** The members that are stopped, as this client has had it. */
  readonly #stopped = new Set<number>();

  /**
   * Sends through `client`; the list of the SR-IOV group has to allow the commands, see {@link use}.
   *
   * @param objects the resource objects of the same owner
   * @throws VirtioError `ADMIN_COMMAND` for a chunk length that cannot be
   */
  constructor(
    client: AdminClient,
    objects: ResourceObjectClient,
    { chunkLength = DEFAULT_CHUNK }: DevicePartsClientOptions = {},
  ) {
    if (
      !(Number.isInteger(chunkLength) && chunkLength >= 64 && chunkLength <= LONGEST_PARTS_DATA)
    ) {
      throw new VirtioError("ADMIN_COMMAND", {
        path: "chunkLength",
        message: `a command carries 64 to ${LONGEST_PARTS_DATA} bytes of parts`,
        value: chunkLength,
      });
    }
    this.#client = client;
    this.#objects = objects;
    this.#chunkLength = chunkLength;
  }

  /**
   * Adds the device parts commands, and those on the objects that they go through, to the list in
   * use of the SR-IOV group.
   *
   * @returns false when the device does not have all of them
   */
  async use(options: AdminExecuteOptions = {}): Promise<boolean> {
    const hasObjects = await this.#objects.use(SR_IOV_GROUP.id, options);
    const found = await useCommands(this.#client, SR_IOV_GROUP.id, COMMANDS, options);
    return hasObjects && found.length === COMMANDS.length;
  }

  /**
   * Stops a member: when the promise resolves, it has used every buffer that it took, touches no
   * memory and sends nothing. To stop one that is stopped already changes nothing.
   */
  async stop(member: number, options: AdminExecuteOptions = {}): Promise<void> {
    await this.#setMode(member, STOPPED, options);
    this.#stopped.add(member);
  }

  /** Lets a member go on, with the parts that were set meanwhile. */
  async resume(member: number, options: AdminExecuteOptions = {}): Promise<void> {
    this.#stopped.delete(member);
    await this.#setMode(member, 0, options);
  }

  /** Asks how many bytes the parts of a member have together, headers included. */
  size(member: number, options: AdminExecuteOptions = {}): Promise<number> {
    return this.#through("GET", member, options, (object) => this.#size(object, options));
  }

  /** Asks how many parts a member has. */
  count(member: number, options: AdminExecuteOptions = {}): Promise<number> {
    return this.#through("GET", member, options, (object) => this.#count(object, options));
  }

  /** Asks which parts a member has: their headers, in order. */
  headers(member: number, options: AdminExecuteOptions = {}): Promise<readonly PartHeader[]> {
    return this.#through("GET", member, options, (object) => this.#headers(object, options));
  }

  /**
   * Reads parts of a member, in the order in which they are set. Those of a member that runs may
   * change from one to the next.
   *
   * @param which the headers of the parts, as {@link headers} told them: there is room for values of
   * their lengths. Parts that there are not are left out. All when absent
   */
  read(
    member: number,
    which?: readonly PartHeader[],
    options: AdminExecuteOptions = {},
  ): Promise<readonly DevicePart[]> {
    return this.#through("GET", member, options, async (object) => {
      if (which !== undefined) return this.#readSelected(object, which, options);
      for (let left = ATTEMPTS; ; left--) {
        const size = await this.#size(object, options);
        if (size > this.#chunkLength) {
          return this.#readSelected(object, await this.#headers(object, options), options);
        }
        const data = encode(DEV_PARTS_GET_DATA, {
          hdr: hdrOf(object),
          type: DEV_PARTS_GET_TYPE.ALL,
        });
        // A member that runs may have got more to tell since it was asked how much: it would not
        // leave room for a header then.
        const room = size + PART_HEADER_BYTES;
        const reply = await this.#send(DEV_PARTS_GET, object, data, room, options);
        if (!isFull(reply, room)) return partsIn(reply);
        if (left <= 1) throw senseless(DEV_PARTS_GET, "there are ever more parts", size);
      }
    });
  }

  /**
   * Sets parts of a member that this client has stopped. They take effect when it is resumed. What
   * one command carries is set as a whole or not at all.
   *
   * @param parts in any order; they are sent in the order of the table
   * @throws VirtioError `DRIVER_STATE` unless the member was stopped through {@link stop}
   */
  async write(
    member: number,
    parts: readonly DevicePart[],
    options: AdminExecuteOptions = {},
  ): Promise<void> {
    if (!this.#stopped.has(member)) {
      throw new VirtioError("DRIVER_STATE", {
        path: `member ${member}`,
        message: "parts are set of a member that is stopped",
        hint: "stop it first, and await that",
      });
    }
    await this.#through("SET", member, options, async (object) => {
      for (const chunk of this.#chunks(inPartOrder(parts), partBytes)) {
        const data = encode(DEV_PARTS_SET_DATA, {
          hdr: hdrOf(object),
          parts: encodeParts(chunk),
        });
        await this.#send(DEV_PARTS_SET, object, data, 0, options);
      }
    });
  }

  async #readSelected(
    object: CreatedObject,
    headers: readonly PartHeader[],
    options: AdminExecuteOptions,
  ): Promise<readonly DevicePart[]> {
    const parts: DevicePart[] = [];
    const bytesOf = ({ length }: PartHeader) => PART_HEADER_BYTES + length;
    for (const chunk of this.#chunks(headers, bytesOf)) {
      const data = encode(DEV_PARTS_GET_DATA, {
        hdr: hdrOf(object),
        type: DEV_PARTS_GET_TYPE.SELECTED,
        hdr_list: encodePartHeaders(chunk),
      });
      const size = chunk.reduce((sum, header) => sum + bytesOf(header), 0);
      parts.push(...partsIn(await this.#send(DEV_PARTS_GET, object, data, size, options)));
    }
    return parts;
  }

  async #size(object: CreatedObject, options: AdminExecuteOptions): Promise<number> {
    const { SIZE } = DEV_PARTS_METADATA_TYPE;
    const view = await this.#metadata(object, SIZE, DEV_PARTS_METADATA_RESULT.size, options);
    return METADATA.size.get(view, 0);
  }

  async #count(object: CreatedObject, options: AdminExecuteOptions): Promise<number> {
    const { COUNT } = DEV_PARTS_METADATA_TYPE;
    const view = await this.#metadata(object, COUNT, DEV_PARTS_METADATA_RESULT.size, options);
    return METADATA.count.get(view, 0);
  }

  async #headers(
    object: CreatedObject,
    options: AdminExecuteOptions,
  ): Promise<readonly PartHeader[]> {
    for (let left = ATTEMPTS; ; left--) {
      const there = await this.#count(object, options);
      if (there > MOST_PARTS) {
        throw senseless(DEV_PARTS_METADATA_GET, `a member has at most ${MOST_PARTS} parts`, there);
      }
      const room = metadataListBytes(there);
      try {
        const { LIST } = DEV_PARTS_METADATA_TYPE;
        const view = await this.#metadata(object, LIST, room, options);
        const count = METADATA.count.get(view, 0);
        if (metadataListBytes(count) > view.byteLength) {
          throw senseless(DEV_PARTS_METADATA_GET, "the list is shorter than it says", count);
        }
        const from = view.byteOffset + DEV_PARTS_METADATA_RESULT.size;
        return decodePartHeaders(new Uint8Array(view.buffer, from, PART_HEADER_BYTES * count));
      } catch (error) {
        const isTooLittle = error instanceof AdminCommandError && error.statusName === "ENOMEM";
        if (!isTooLittle || left <= 1) throw error;
      }
    }
  }

  async #metadata(
    object: CreatedObject,
    type: number,
    room: number,
    options: AdminExecuteOptions,
  ): Promise<DataView> {
    const data = encode(DEV_PARTS_METADATA_DATA, { hdr: hdrOf(object), type });
    const { result } = await this.#send(DEV_PARTS_METADATA_GET, object, data, room, options);
    return new DataView(result.buffer, result.byteOffset, room);
  }

  async #setMode(member: number, flags: number, options: AdminExecuteOptions): Promise<void> {
    const data = encode(DEV_MODE_SET_DATA, { flags });
    const target = { group: SR_IOV_GROUP.id, member, data, resultLength: 0 };
    await this.#client.executeCommand(DEV_MODE_SET, target, options);
  }

  #send(
    command: AdminCommand,
    { member }: CreatedObject,
    data: Uint8Array,
    resultLength: number,
    options: AdminExecuteOptions,
  ): Promise<AdminReply> {
    const target = { group: SR_IOV_GROUP.id, member, data, resultLength };
    return this.#client.executeCommand(command, target, options);
  }

  /** Does something through an object that lives as long. */
  async #through<T>(
    purpose: keyof typeof RESOURCE_OBJ_DEV_PARTS_TYPE,
    member: number,
    options: AdminExecuteOptions,
    work: (object: CreatedObject) => Promise<T>,
  ): Promise<T> {
    const target = { group: SR_IOV_GROUP.id, member };
    const value = { type: RESOURCE_OBJ_DEV_PARTS_TYPE[purpose] };
    const object: CreatedObject = await this.#objects.create(
      RESOURCE_OBJ_DEV_PARTS,
      value,
      target,
      options,
    );
    let result: T;
    try {
      result = await work(object);
    } catch (error) {
      // What failed says more than what fails on its account.
      await this.#objects.destroy(object).catch(() => {});
      throw error;
    }
    await this.#objects.destroy(object, options);
    return result;
  }

  /** Runs of these of at most a chunk each, and never empty. */
  *#chunks<T>(items: readonly T[], bytesOf: (item: T) => number): Iterable<readonly T[]> {
    let chunk: T[] = [];
    let bytes = 0;
    for (const item of items) {
      if (chunk.length > 0 && bytes + bytesOf(item) > this.#chunkLength) {
        yield chunk;
        chunk = [];
        bytes = 0;
      }
      chunk.push(item);
      bytes += bytesOf(item);
    }
    if (chunk.length > 0) yield chunk;
  }
}

/** A member with the client of its owner. */
export interface OwnedMember {
  /** The device parts of the owner, ready to be used. */
  readonly parts: DevicePartsClient;
  /** The id of the member in the owner's SR-IOV group. */
  readonly member: number;
}

/** How a member is moved. */
export interface MoveMemberOptions extends AdminExecuteOptions {
  /**
   * Called when the source is stopped and nothing of the target has been touched: the time to copy
   * guest memory, which the target's parts refer to.
   */
  readonly copyMemory?: () => void | PromiseLike<void>;
  /**
   * Called when the parts are set and the target has not gone on yet: the time to set up what is
   * no part, such as configuration space and the MSI-X table.
   */
  readonly beforeResume?: () => void | PromiseLike<void>;
}

/**
 * Moves the state of a member to one of another owner, of the same device type and placement: stops
 * the source, reads its parts, stops the target, sets them, and lets the target go on. The source
 * stays stopped; reset its function before it serves another driver.
 *
 * When it fails before the target was told to go on, or the target refuses to, the source is let go
 * on, and the driver is served there as before. The target stays stopped then, as it may have been
 * set in part: reset its function. When it is not known whether the target went on (`ADMIN_ABORTED`,
 * `ADMIN_DEADLINE`, `ADMIN_RESET`), the source stays stopped, so that two devices never serve one
 * driver.
 *
 * @throws as the methods of {@link DevicePartsClient}
 */
export async function moveMember(
  source: OwnedMember,
  target: OwnedMember,
  options: MoveMemberOptions = {},
): Promise<void> {
  const { copyMemory, beforeResume, ...execute } = options;
  let mayHaveGoneOn = false;
  try {
    await source.parts.stop(source.member, execute);
    const parts = await source.parts.read(source.member, undefined, execute);
    await copyMemory?.();
    await target.parts.stop(target.member, execute);
    await target.parts.write(target.member, parts, execute);
    await beforeResume?.();
    mayHaveGoneOn = true;
    await target.parts.resume(target.member, execute);
  } catch (error) {
    const isHere = !mayHaveGoneOn || changedNothing(error);
    if (isHere) await source.parts.resume(source.member).catch(() => {});
    throw error;
  }
}

function hdrOf({ type, id }: CreatedObject): Uint8Array {
  return encode(RESOURCE_OBJ_CMD_HDR, { type: type.type, id });
}

/** The parts in an answer, as far as the device wrote it. */
function partsIn({ result, usedLength }: AdminReply): readonly DevicePart[] {
  const length = Math.max(0, usedLength - VIRTIO_1_4.responseHeaderLength);
  try {
    return decodeParts(result.subarray(0, length));
  } catch (error) {
    if (!isVirtioError(error, "DEVICE_PARTS")) throw error;
    throw new VirtioError("ADMIN_RESPONSE", {
      path: `${DEV_PARTS_GET.name}.${error.path}`,
      message: "the list of parts is cut off",
      value: error.value,
      hint: "read the parts of a member that is stopped",
      cause: error,
    });
  }
}

/** True when the device wrote all that there was room for. */
function isFull({ usedLength }: AdminReply, room: number): boolean {
  return usedLength - VIRTIO_1_4.responseHeaderLength >= room;
}

function senseless({ name }: AdminCommand, message: string, value: number): VirtioError {
  return new VirtioError("ADMIN_RESPONSE", { path: name, message, value });
}
