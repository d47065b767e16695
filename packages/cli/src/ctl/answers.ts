/** What `ctl` asks an owner, and how it says the answers. */
import {
  ADMIN_RESPONSE_HEADER,
  type AdminCommand,
  AdminCommandError,
  isVirtioError,
  type ManagementAttributes,
  type MemberFeatures,
  type MemberVectors,
  VirtioError,
} from "@virtio-admin/core";
import { commandRegister } from "@virtio-admin/fixtures";
import Table from "cli-table3";
import { featureNames, shortNames } from "../group/feature-names.ts";
import type { Output } from "../output.ts";
import type { OwnerDriver } from "./owner-driver.ts";
import { featuresOf, GROUP_TYPES, groupName, hexOf } from "./words.ts";

const RESPONSE_BYTES = ADMIN_RESPONSE_HEADER.size;
/** Members of an SR-IOV group are numbered up to this. */
const MOST_MEMBERS = 0xffff;
/** No lines between rows: there may be many. */
const ROWS = { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" };

/** The commands of every group that there is, or of one. */
export async function list(
  owner: OwnerDriver,
  { group }: { readonly group: number | undefined },
  output: Output,
): Promise<void> {
  const names = commandNames();
  const groups = [];
  for (const id of group === undefined ? GROUP_TYPES.map((type) => type.id) : [group]) {
    const supported = await reported(owner, id, group !== undefined);
    if (supported === undefined) continue;
    const used = new Set(owner.usedOpcodes(id));
    const commands = supported.map((opcode) => ({
      opcode,
      ...(names.has(opcode) ? { name: names.get(opcode)?.name } : {}),
      in_use: used.has(opcode),
    }));
    groups.push({ id, name: groupName(id), commands });
  }
  const table = tableOf("group", "", "command", "in use");
  for (const { id, name, commands } of groups) {
    for (const { opcode, name: command = "", in_use: inUse } of commands) {
      table.push([`${name} (${hexOf(id)})`, hexOf(opcode), command, inUse ? "yes" : "no"]);
    }
  }
  output.line(table.toString());
  output.document({ groups });
}

/** What can be managed. */
export async function attrs(
  owner: OwnerDriver,
  options: { readonly group: number | undefined },
  output: Output,
): Promise<void> {
  const group = await owner.useManagement(options.group);
  const found = await owner.management.attrs(group, owner.options);
  output.line(`${groupName(group)} group`);
  sayAttributes(owner, found, output);
  const { msix, features, settable } = found;
  output.document({
    group: groupFields(group),
    ...(msix === undefined ? {} : { msix }),
    features,
    settable: featureNames(settable, owner.deviceType),
  });
}

/** The members of these ids; unless given, those from 1 on up to the first that there is not. */
export async function members(
  owner: OwnerDriver,
  options: { readonly group: number | undefined; readonly ids: readonly number[] },
  output: Output,
): Promise<void> {
  const group = await owner.useManagement(options.group);
  const attributes = await owner.management.attrs(group, owner.options);
  const found = [];
  const isCount = options.ids.length === 0;
  const ids = isCount ? Array.from({ length: MOST_MEMBERS }, (_, i) => i + 1) : options.ids;
  for (const member of ids) {
    output.progress(`member ${member}`);
    try {
      const vectors =
        attributes.msix === undefined
          ? undefined
          : await owner.management.msixCount(group, member, owner.options);
      const features = await owner.management.features(group, member, owner.options);
      found.push({ member, vectors, features });
    } catch (error) {
      if (isCount && isNoMember(error)) break;
      throw error;
    }
  }
  const table = tableOf("member", ...(attributes.msix === undefined ? [] : ["vectors"]), "offered");
  for (const { member, vectors, features } of found) {
    const counts = vectors === undefined ? [] : [vectors.vectors];
    table.push([member, ...counts, shortNames(features.offered, owner.deviceType).join(" ")]);
  }
  output.line(`${groupName(group)} group`);
  output.line(table.toString());
  sayAttributes(owner, attributes, output);
  output.document({
    group: groupFields(group),
    members: found.map(({ member, vectors, features }) => ({
      member,
      ...(vectors === undefined ? {} : vectorFields(vectors)),
      ...featureFields(owner, features),
    })),
  });
}

/** The vectors of a member, set before when a number is given. */
export async function msix(
  owner: OwnerDriver,
  options: { readonly group: number | undefined; readonly member: number; readonly set?: number },
  output: Output,
): Promise<void> {
  const { member, set } = options;
  const group = await owner.useManagement(options.group);
  if (set !== undefined) await owner.management.setMsixCount(group, member, set, owner.options);
  const count = await owner.management.msixCount(group, member, owner.options);
  output.line(`member ${member}: ${count.vectors} vectors, ${count.defaultVectors} unless set`);
  output.document({ group: groupFields(group), member, ...vectorFields(count) });
}

/** The features of a member, switched before when some are given. */
export async function features(
  owner: OwnerDriver,
  options: {
    readonly group: number | undefined;
    readonly member: number;
    readonly set?: readonly string[];
    readonly clear?: readonly string[];
  },
  output: Output,
): Promise<void> {
  const { deviceType, management } = owner;
  const { member, set = [], clear = [] } = options;
  const on = featuresOf("set", set, deviceType);
  const off = featuresOf("clear", clear, deviceType);
  const both = on.intersect(off);
  if (!both.isEmpty) {
    throw new VirtioError("VALUE_RANGE", {
      path: "features",
      message: "a feature is both set and cleared",
      value: featureNames(both, deviceType).join(", "),
    });
  }
  const mask = on.union(off);
  const group = await owner.useManagement(options.group);
  if (!mask.isEmpty) await management.setFeatures(group, member, mask, on, owner.options);
  const found = await management.features(group, member, owner.options);
  output.line(`member ${member}: ${shortNames(found.offered, deviceType).join(" ")}`);
  output.line(`settable: ${shortNames(found.settable, deviceType).join(" ")}`);
  output.document({ group: groupFields(group), member, ...featureFields(owner, found) });
}

/** One command as it is given, whatever it is. */
export async function exec(
  owner: OwnerDriver,
  options: {
    readonly opcode: number;
    readonly group: number;
    readonly member: number;
    readonly data: Uint8Array;
    readonly room: number;
  },
  output: Output,
): Promise<void> {
  const { opcode, group, member, data, room } = options;
  await reported(owner, group, false);
  const name = commandNames().get(opcode)?.name;
  const { usedLength, result } = await owner.execute({
    opcode,
    group,
    member,
    data,
    resultLength: room,
    ...(name === undefined ? {} : { name }),
  });
  const written = result.subarray(0, Math.max(0, usedLength - RESPONSE_BYTES));
  const hex = Buffer.from(written).toString("hex");
  output.line(`OK, ${written.length} bytes of result${hex === "" ? "" : ` ${hex}`}`);
  output.document({ opcode, group: groupFields(group), member, status: "OK", result: hex });
}

/** Says what the device refused. */
export function sayRefusal(
  { message, path, statusName, qualifierName }: AdminCommandError,
  output: Output,
): void {
  output.error(message);
  output.document({ refused: { command: path, status: statusName, qualifier: qualifierName } });
}

/** Takes all commands of a group type into use; `undefined` when there is no such group. */
async function reported(
  owner: OwnerDriver,
  group: number,
  needed: boolean,
): Promise<readonly number[] | undefined> {
  try {
    return await owner.useReported(group);
  } catch (error) {
    if (needed || !isVirtioError(error, "ADMIN_STATUS")) throw error;
    return undefined;
  }
}

function commandNames(): ReadonlyMap<number, AdminCommand> {
  return new Map(commandRegister().map(({ command }) => [command.opcode, command]));
}

function isNoMember(error: unknown): boolean {
  return error instanceof AdminCommandError && error.qualifierName === "INVALID_MEMBER";
}

function sayAttributes(
  { deviceType }: OwnerDriver,
  { msix, settable }: ManagementAttributes,
  output: Output,
): void {
  if (msix !== undefined) {
    const { total, free, min, max } = msix;
    output.line(`pool: ${total} vectors, ${free} free, ${min} to ${max} for one member`);
  }
  output.line(`settable: ${shortNames(settable, deviceType).join(" ")}`);
}

function groupFields(id: number): { readonly id: number; readonly name: string } {
  return { id, name: groupName(id) };
}

function vectorFields({ vectors, defaultVectors }: MemberVectors) {
  return { vectors, default_vectors: defaultVectors };
}

function featureFields({ deviceType }: OwnerDriver, { offered, settable }: MemberFeatures) {
  return {
    offered: featureNames(offered, deviceType),
    settable: featureNames(settable, deviceType),
  };
}

function tableOf(...head: readonly string[]): Table.Table {
  return new Table({ head: [...head], style: { head: [], border: [] }, chars: ROWS });
}
