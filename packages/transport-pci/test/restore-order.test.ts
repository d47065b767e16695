/** Commands that wait in the owner's administration virtqueue while its group is restored. */
import {
  ADMIN_COMMAND_HEADER,
  type AdminExecutor,
  accessors,
  CapabilityFamily,
  type CommandFamily,
  DEV_MODE_SET,
  DEV_PARTS_CAP,
  DevicePartsFamily,
  deviceCapability,
  encodeOpcodeList,
  FEATURE,
  LIST_USE,
  MANAGEMENT_FAMILY,
  RESOURCE_OBJ_DEV_PARTS,
  ResourceObjectFamily,
  SR_IOV_GROUP,
  takeSnapshot,
} from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import { arrive, Hand, Host } from "./snapshot-rig.ts";

const HEADER = accessors(ADMIN_COMMAND_HEADER);
const MEMBER = 1;
/** The queue behind the two of the device type. */
const ADMIN_QUEUE = 2;
const [STOP, RESUME] = [1, 0];

function families(): readonly CommandFamily[] {
  const limits = { get_parts_resource_objects_limit: 1, set_parts_resource_objects_limit: 1 };
  const capabilities = new CapabilityFamily([deviceCapability(DEV_PARTS_CAP, limits)]);
  const objects = new ResourceObjectFamily({ capabilities, types: [RESOURCE_OBJ_DEV_PARTS] });
  return [MANAGEMENT_FAMILY, capabilities, objects, new DevicePartsFamily({ objects })];
}

function command(opcode: number, member: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(ADMIN_COMMAND_HEADER.size + data.length);
  const view = new DataView(bytes.buffer);
  HEADER.opcode.set(view, 0, opcode);
  HEADER.group_type.set(view, 0, SR_IOV_GROUP.id);
  HEADER.group_member_id.setLow(view, 0, member);
  bytes.set(data, ADMIN_COMMAND_HEADER.size);
  return bytes;
}

const settingMode = (mode: number) => command(DEV_MODE_SET.opcode, MEMBER, Uint8Array.of(mode));

function execute(executor: AdminExecutor, request: Uint8Array): void {
  const response = new Uint8Array(8);
  executor.execute(request, response);
  expect([...response]).toEqual(new Array(8).fill(0));
}

/** An owner whose driver, and that of a member, are at work; every command is in use. */
function running(): { readonly host: Host; readonly owner: Hand } {
  const host = new Host({ families: families() });
  const owner = new Hand(0, () => host);
  owner.command("memory_space", "bus_master");
  owner.negotiate([FEATURE.VIRTIO_F_ADMIN_VQ, FEATURE.VIRTIO_F_SR_IOV]);
  owner.enable(ADMIN_QUEUE);
  owner.set("device_status", 0xf);
  owner.enableVfs(2);
  const list = encodeOpcodeList(host.executor.supported(SR_IOV_GROUP.id));
  execute(host.executor, command(LIST_USE.opcode, 0, list));
  new Hand(MEMBER, () => host).bringUp();
  return { host, owner };
}

/** Makes a command available without a notification; where its answer will be. */
function wait(host: Host, owner: Hand, request: Uint8Array): number {
  const ring = owner.ringAt(ADMIN_QUEUE);
  const [readable, writable] = [ring + 0xc00, ring + 0xd00];
  const table = new DataView(new ArrayBuffer(32));
  table.setUint32(0, readable, true);
  table.setUint32(8, request.length, true);
  table.setUint32(12, 0x1_0001, true);
  table.setUint32(16, writable, true);
  table.setUint32(24, 8, true);
  table.setUint16(28, 2, true);
  host.memory.write(ring, new Uint8Array(table.buffer));
  host.memory.write(readable, request);
  host.memory.write(writable, new Uint8Array(8).fill(0xff));
  host.memory.write(ring + 0x402, Uint8Array.of(1, 0, 0, 0));
  return writable;
}

describe("a command that waits in the owner's queue while its group is restored", () => {
  it.each([
    ["stops a member that ran", RESUME, STOP],
    ["lets a member go on that was stopped", STOP, RESUME],
  ])("%s", (_, first, waiting) => {
    const { host, owner } = running();
    execute(host.executor, settingMode(first));
    const answer = wait(host, owner, settingMode(waiting));
    const target = arrive(host, takeSnapshot(host), { families: families() });
    const bytes = new Uint8Array(8);
    target.memory.read(answer, bytes);
    expect([...bytes]).toEqual(new Array(8).fill(0));
    expect(target.devices[MEMBER]?.stopped).toBe(waiting === STOP);
    expect(host.devices[MEMBER]?.stopped).toBe(first === STOP);
  });
});
