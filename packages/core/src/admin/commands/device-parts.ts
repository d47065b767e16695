/**
 * The device half of the device parts commands: an owner stops a member of its SR-IOV group, reads
 * its state in parts, sets them on another member, and lets that one go on.
 */
import {
  type DevicePart,
  decodePartHeaders,
  decodeParts,
  encodePartHeaders,
  encodeParts,
  headerOf,
  type PartsDevice,
  partBytes,
  partKey,
} from "../../device/parts.ts";
import { isVirtioError, VirtioError } from "../../errors.ts";
import { isPartsGroup } from "../../group/parts.ts";
import { SR_IOV_GROUP } from "../../group/sr-iov.ts";
import { accessors } from "../../layout/index.ts";
import { type AdminOutcome, OUTCOME, outcome } from "../status.ts";
import type {
  AdminCall,
  AdminCommand,
  AdminOwner,
  CommandFamily,
  CommandHandler,
  FamilyBinding,
} from "../types.ts";
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
  DEVICE_PARTS_COMMANDS,
  metadataListBytes,
} from "./device-parts-layout.ts";
import type { ResourceObjectFamily } from "./resource-objects.ts";
import { RESOURCE_OBJ_CMD_HDR } from "./resource-objects-layout.ts";

const HDR = accessors(RESOURCE_OBJ_CMD_HDR);
const METADATA = accessors(DEV_PARTS_METADATA_DATA);
const METADATA_OUT = accessors(DEV_PARTS_METADATA_RESULT);
const GET = accessors(DEV_PARTS_GET_DATA);
const MODE = accessors(DEV_MODE_SET_DATA);
const STOPPED = DEV_MODE_SET_DATA.fields.flags.bits.stopped.mask;
const METADATA_TYPES: readonly number[] = Object.values(DEV_PARTS_METADATA_TYPE);
const LARGEST_LE32 = 0xffff_ffff;

const NO_OBJECT = outcome("ENXIO", "INVALID_FIELD");
/** The member is not stopped. */
const BUSY = outcome("EBUSY", "INVALID_COMMAND");
/** No part tells the state that the member is in. */
const UNTELLABLE = outcome("EINVAL", "INVALID_COMMAND");
/** The result does not fit, or more was sent than is served. */
const NO_ROOM = outcome("ENOMEM", "NORESOURCE");

/** What a {@link DevicePartsFamily} is made from. */
export interface DevicePartsFamilyInit {
  /** The resource objects of the same owner; `RESOURCE_OBJ_DEV_PARTS` is among their types. */
  readonly objects: ResourceObjectFamily;
}

/**
 * The device parts commands as a family, for SR-IOV groups whose members have parts.
 *
 * | what | answer |
 * |---|---|
 * | the member has no parts, or has gone while the command waited | EINVAL, INVALID_MEMBER |
 * | the group has gone with all members while the command waited | EINVAL, INVALID_GROUP |
 * | `hdr` names another type of object, or an object for the other direction | EINVAL, INVALID_FIELD |
 * | the object does not exist | ENXIO, INVALID_FIELD |
 * | an unknown `type` or mode, a part that the member cannot take | EINVAL, INVALID_FIELD |
 * | the driver of the member uses what no part tells | EINVAL, INVALID_COMMAND |
 * | DEV_PARTS_SET while the member is not stopped | EBUSY, INVALID_COMMAND |
 * | DEV_PARTS_METADATA_GET with too little room, more parts than one command brings | ENOMEM, NORESOURCE |
 * | a stop that was overtaken by a resume | EAGAIN, TRYAGAIN |
 *
 * Nothing has changed then. DEV_MODE_SET and DEV_PARTS_SET wait for a reset of the member that goes
 * on; a stop waits until the member has used all that it took. DEV_PARTS_GET that finds too little
 * room is cut off, as every result is.
 */
export class DevicePartsFamily implements CommandFamily {
  /** Always `device-parts`. */
  readonly name: string = "device-parts";
  /** See {@link CommandFamily.doc}. */
  readonly doc: string = "The owner stops members, reads their state in parts, and sets it.";
  /** Always false. */
  readonly private: boolean = false;
  /** The four commands. */
  readonly commands: readonly AdminCommand[] = DEVICE_PARTS_COMMANDS;
  /** The commands on device parts objects. */
  readonly needs: readonly AdminCommand[];
  readonly #objects: ResourceObjectFamily;

  /**
   * Makes the family of one owner, which has the `objects` too.
   *
   * @throws VirtioError `FAMILY_INVALID` when there are no device parts objects among them
   */
  constructor({ objects }: DevicePartsFamilyInit) {
    this.#objects = objects;
    this.needs = objects.commands;
    if (objects.has(RESOURCE_OBJ_DEV_PARTS)) return;
    throw new VirtioError("FAMILY_INVALID", {
      path: "families.device-parts.objects",
      message: "the device has no device parts objects",
      hint: "give RESOURCE_OBJ_DEV_PARTS to the ResourceObjectFamily",
    });
  }

  /**
   * See {@link CommandFamily.bind}.
   *
   * @throws VirtioError `FAMILY_INVALID` when the members of the owner's SR-IOV group have no parts:
   * a device supports the commands on device parts objects with these, or not at all; or when the
   * resource objects are not the owner's, or come after this family
   */
  bind(owner: AdminOwner): FamilyBinding {
    if (!this.#objects.isOf(owner)) {
      throw new VirtioError("FAMILY_INVALID", {
        path: `families.${this.name}.objects`,
        message: "the resource objects are not this owner's",
        hint: "list the ResourceObjectFamily before the DevicePartsFamily",
      });
    }
    const members = owner.group(SR_IOV_GROUP.id);
    if (members !== undefined && !isPartsGroup(members)) {
      throw new VirtioError("FAMILY_INVALID", {
        path: `families.${this.name}`,
        message: "the members of the SR-IOV group have no parts",
        hint: "leave the family and RESOURCE_OBJ_DEV_PARTS out, or make the group a PartsGroup",
      });
    }
    return {
      handlers: {
        [DEV_PARTS_METADATA_GET.opcode]: forMember((call, device) => this.#metadata(call, device)),
        [DEV_PARTS_GET.opcode]: forMember((call, device) => this.#get(call, device)),
        [DEV_PARTS_SET.opcode]: forMember(afterReset((call, device) => this.#set(call, device))),
        [DEV_MODE_SET.opcode]: forMember(afterReset(setMode)),
      },
      supports: (_, groupType) => owner.group(groupType) !== undefined,
    };
  }

  #metadata(call: AdminCall, device: PartsDevice): AdminOutcome {
    const refusal = this.#refuseObject(call, RESOURCE_OBJ_DEV_PARTS_TYPE.GET);
    if (refusal !== undefined) return refusal;
    const parts = partsOf(device);
    if (parts === undefined) return UNTELLABLE;
    const type = METADATA.type.get(call.data, 0);
    const headers = type === DEV_PARTS_METADATA_TYPE.LIST ? parts.map(headerOf) : [];
    const length = metadataListBytes(headers.length);
    if (!METADATA_TYPES.includes(type)) return OUTCOME.INVALID_FIELD;
    if (length > Math.min(call.resultRoom, call.command.result.max)) return NO_ROOM;
    call.reserveResult(length);
    call.resultLength = length;
    call.resultBytes.set(encodePartHeaders(headers), DEV_PARTS_METADATA_RESULT.size);
    if (type === DEV_PARTS_METADATA_TYPE.SIZE) {
      METADATA_OUT.size.set(call.result, 0, sizeOf(parts));
    } else {
      METADATA_OUT.count.set(call.result, 0, parts.length);
    }
    return OUTCOME.OK;
  }

  #get(call: AdminCall, device: PartsDevice): AdminOutcome {
    const refusal = this.#refuseObject(call, RESOURCE_OBJ_DEV_PARTS_TYPE.GET);
    if (refusal !== undefined) return refusal;
    const type = GET.type.get(call.data, 0);
    const selects = type === DEV_PARTS_GET_TYPE.SELECTED;
    if (!selects && type !== DEV_PARTS_GET_TYPE.ALL) return OUTCOME.INVALID_FIELD;
    const list = listIn(call, DEV_PARTS_GET_DATA.size);
    if (selects && list === undefined) return NO_ROOM;
    const all = partsOf(device);
    if (all === undefined) return UNTELLABLE;
    const parts = selects && list !== undefined ? selected(all, list) : all;
    const bytes = encodeParts(parts);
    if (bytes.length > call.command.result.max) return NO_ROOM;
    call.reserveResult(bytes.length);
    call.resultBytes.set(bytes);
    call.resultLength = bytes.length;
    return OUTCOME.OK;
  }

  #set(call: AdminCall, device: PartsDevice): AdminOutcome {
    const refusal = this.#refuseObject(call, RESOURCE_OBJ_DEV_PARTS_TYPE.SET);
    if (refusal !== undefined) return refusal;
    if (!device.stopped) return BUSY;
    const list = listIn(call, DEV_PARTS_SET_DATA.size);
    if (list === undefined) return NO_ROOM;
    try {
      // The values are views of the command, whose memory serves the next one.
      device.prepareParts(decodeParts(list.slice())).apply();
      return OUTCOME.OK;
    } catch (error) {
      if (isVirtioError(error, "DEVICE_PARTS")) return OUTCOME.INVALID_FIELD;
      throw error;
    }
  }

  /** Why the command cannot go through the object that it names, or `undefined`. */
  #refuseObject({ data, memberId, group }: AdminCall, purpose: number): AdminOutcome | undefined {
    if (HDR.type.get(data, 0) !== RESOURCE_OBJ_DEV_PARTS.type) return OUTCOME.INVALID_FIELD;
    const id = HDR.id.get(data, 0);
    const found = this.#objects.object(RESOURCE_OBJ_DEV_PARTS, id, memberId, group.type.id);
    if (found === undefined) return NO_OBJECT;
    return found.type === purpose ? undefined : OUTCOME.INVALID_FIELD;
  }
}

type MemberHandler = (
  call: AdminCall,
  device: PartsDevice,
) => AdminOutcome | PromiseLike<AdminOutcome>;

function forMember(handle: MemberHandler): CommandHandler {
  return (call) => {
    const device = deviceOf(call);
    return device === undefined ? OUTCOME.INVALID_MEMBER : handle(call, device);
  };
}

function deviceOf({ group, memberId }: AdminCall): PartsDevice | undefined {
  return isPartsGroup(group) && group.exists ? group.partsDevice(memberId) : undefined;
}

/** What is answered for a member that has gone, alone or with its group, while the command waited. */
function goneOf({ group }: AdminCall): AdminOutcome {
  return group.exists ? OUTCOME.INVALID_MEMBER : OUTCOME.INVALID_GROUP;
}

/** A command that arrives while the member is reset is carried out, and answered, afterwards. */
function afterReset(handle: MemberHandler): MemberHandler {
  return (call, device) => {
    const reset = device.resetUnderWay;
    if (reset === undefined) return handle(call, device);
    return reset.then(() => {
      if (call.cancelled) return OUTCOME.OK;
      return deviceOf(call) === device ? afterReset(handle)(call, device) : goneOf(call);
    });
  };
}

const setMode: MemberHandler = (call, device) => {
  const flags = MODE.flags.get(call.data, 0);
  if ((flags & ~STOPPED) !== 0) return OUTCOME.INVALID_FIELD;
  if ((flags & STOPPED) === 0) {
    device.resume();
    return OUTCOME.OK;
  }
  const stopping = device.stop();
  if (stopping === true) return OUTCOME.OK;
  // Nobody learns of a stop that comes later: the member goes on as if it had never been asked.
  let isUnderWay = true;
  call.onCancel(() => {
    if (isUnderWay) device.resume();
  });
  return stopping.then(() => {
    isUnderWay = false;
    if (deviceOf(call) !== device) return goneOf(call);
    return device.stopped ? OUTCOME.OK : OUTCOME.TRY_AGAIN;
  });
};

/** The parts of a member; `undefined` when none tells the state that it is in. */
function partsOf(device: PartsDevice): readonly DevicePart[] | undefined {
  try {
    return device.readParts();
  } catch (error) {
    if (isVirtioError(error, "DEVICE_PARTS")) return undefined;
    throw error;
  }
}

function sizeOf(parts: readonly DevicePart[]): number {
  return Math.min(
    LARGEST_LE32,
    parts.reduce((sum, part) => sum + partBytes(part), 0),
  );
}

/** Those of the parts that a list of headers names, in their own order. */
function selected(parts: readonly DevicePart[], list: Uint8Array): readonly DevicePart[] {
  const wanted = new Set(decodePartHeaders(list).map(partKey));
  return parts.filter((part) => wanted.has(partKey(part)));
}

/** What follows the fixed part of the data; `undefined` when it is more than one command brings. */
function listIn(
  { command, dataBytes, dataLength }: AdminCall,
  from: number,
): Uint8Array | undefined {
  if (dataLength >= command.data.max) return undefined;
  return dataBytes.subarray(from, Math.max(from, dataLength));
}
