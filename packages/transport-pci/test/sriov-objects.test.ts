/** Device parts objects of virtual functions: they belong to one for as long as it is there. */
import {
  CapabilityClient,
  CapabilityFamily,
  DEV_PARTS_CAP,
  DevicePartsFamily,
  deviceCapability,
  RESOURCE_OBJ_DEV_PARTS,
  RESOURCE_OBJ_DEV_PARTS_TYPE,
  ResourceObjectClient,
  ResourceObjectFamily,
  restoreSnapshot,
  SELF_GROUP,
  SR_IOV_GROUP,
  takeSnapshot,
} from "@virtio-admin/core";
import { describe, expect, it } from "vitest";
import { makeSriovRig, type SriovRigOptions, VF_BARS_AT } from "./sriov-rig.ts";

const LIMITS = { get_parts_resource_objects_limit: 3, set_parts_resource_objects_limit: 3 };
const { GET, SET } = RESOURCE_OBJ_DEV_PARTS_TYPE;

function makeOwner(options: SriovRigOptions = {}) {
  const capabilities = new CapabilityFamily([deviceCapability(DEV_PARTS_CAP, LIMITS)]);
  const objects = new ResourceObjectFamily({ capabilities, types: [RESOURCE_OBJ_DEV_PARTS] });
  const families = [capabilities, objects, new DevicePartsFamily({ objects })];
  return { ...makeSriovRig({ ...options, families }), objects };
}

/** An owner whose driver has set all that it needs, with four virtual functions. */
async function ready() {
  const rig = makeOwner();
  const { client, sriov, owner } = await rig.start();
  await sriov.enable(4, { barsAt: VF_BARS_AT });
  const capabilities = new CapabilityClient(client);
  const driven = new ResourceObjectClient(client, capabilities);
  expect(await capabilities.use()).toBe(true);
  expect(await driven.use(SR_IOV_GROUP.id)).toBe(true);
  expect(await driven.use(SELF_GROUP.id)).toBe(false);
  await capabilities.set(DEV_PARTS_CAP, LIMITS);
  const create = (member: number, type: number = GET) =>
    driven.create(RESOURCE_OBJ_DEV_PARTS, { type }, { group: SR_IOV_GROUP.id, member });
  const found = (member: number, id = 0) =>
    rig.objects.object(RESOURCE_OBJ_DEV_PARTS, id, member)?.type;
  return { rig, sriov, owner, client, capabilities, driven, create, found };
}

describe("device parts objects of virtual functions", () => {
  it("[device-parts-device-1+-] are there with the device parts commands, or the owner is not made", async () => {
    const { rig } = await ready();
    expect(rig.executor.supported(SR_IOV_GROUP.id)).toEqual([
      0, 1, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x10, 0x11,
    ]);
    const capabilities = new CapabilityFamily([deviceCapability(DEV_PARTS_CAP, LIMITS)]);
    const objects = new ResourceObjectFamily({ capabilities, types: [RESOURCE_OBJ_DEV_PARTS] });
    expect(() => makeSriovRig({ families: [capabilities, objects] })).toThrow(
      expect.objectContaining({ code: "FAMILY_INVALID", path: "families.resource-objects" }),
    );
  });

  it("are created, found and destroyed for each on its own; no function is made for that", async () => {
    const { rig, driven, create, found } = await ready();
    await create(2, SET);
    const first = await create(3);
    expect([found(1), found(2), found(3)]).toEqual([undefined, SET, GET]);
    expect([...rig.members.keys()]).toEqual([1]);
    await driven.destroy(first);
    expect([found(2), found(3)]).toEqual([SET, undefined]);
    await expect(create(5)).rejects.toMatchObject({ qualifierName: "INVALID_MEMBER" });
  });

  it("go when VF Enable is cleared, and do not come back with it", async () => {
    const { rig, sriov, driven, create, found } = await ready();
    for (const member of [1, 2, 3]) await create(member);
    await sriov.disable();
    expect([1, 2, 3].map((member) => found(member))).toEqual(new Array(3).fill(undefined));
    expect(rig.objects.objects()).toEqual([]);
    for (const member of [1, 2, 3]) driven.forget(SR_IOV_GROUP.id, member);
    await sriov.enable(4, { barsAt: VF_BARS_AT });
    expect(rig.objects.objects()).toEqual([]);
    // All places are free again: three objects that capture, whosever they are.
    for (const member of [2, 2, 4]) await create(member);
    expect([found(1), found(2), found(4)]).toEqual([undefined, GET, GET]);
  });

  it("survive the reset of the function, and go with the reset of the owner", async () => {
    const { rig, owner, create, found } = await ready();
    await create(1);
    rig.functionOf(1).reset();
    expect(found(1)).toBe(GET);
    await owner.close();
    expect(found(1)).toBeUndefined();
    expect(rig.vfs.memberCount).toBe(4);
  });

  it("are in a snapshot of the owner", async () => {
    const { rig, sriov, create, found } = await ready();
    await create(2, SET);
    await create(4);
    const snapshot = takeSnapshot({ device: rig.device, executor: rig.executor });
    const target = makeOwner({ negotiatedBefore: true });
    target.enable(4);
    restoreSnapshot({ device: target.device, executor: target.executor }, snapshot);
    expect(target.objects.objects()).toEqual(rig.objects.objects());
    await sriov.disable();
    expect(found(2)).toBeUndefined();
    expect(target.objects.object(RESOURCE_OBJ_DEV_PARTS, 0, 2)?.type).toBe(SET);
  });
});
