/**
 * The device parts object and the capability that limits it ("Device parts"): what the device parts
 * commands name to say whether they capture or restore.
 */
import { SR_IOV_GROUP } from "../../group/sr-iov.ts";
import { struct } from "../../layout/index.ts";
import { type Capability, defineCapability, type FieldsOf } from "./capability.ts";
import { DEVICE_PARTS_COMMANDS } from "./device-parts-layout.ts";
import { defineResourceObjectType, type ResourceObjectType } from "./resource-object.ts";

const CITE =
  "Basic Facilities of a Virtio Device / Device groups / Group administration commands / Device parts";

/** The value of VIRTIO_DEV_PARTS_CAP, 2 bytes. */
export const DEV_PARTS_CAP_LAYOUT = struct(
  "virtio_dev_parts_cap",
  { cite: `${CITE} / VIRTIO_DEV_PARTS_CAP`, doc: "How many device parts objects there may be." },
  {
    get_parts_resource_objects_limit: {
      offset: 0,
      type: "u8",
      doc: "How many objects may capture device parts.",
    },
    set_parts_resource_objects_limit: {
      offset: 1,
      type: "u8",
      doc: "How many objects may restore device parts.",
    },
  },
);

/** Capability 0x0000: how many device parts objects there may be. */
export const DEV_PARTS_CAP: Capability<FieldsOf<typeof DEV_PARTS_CAP_LAYOUT>> = defineCapability({
  id: 0x0000,
  name: "DEV_PARTS_CAP",
  layout: DEV_PARTS_CAP_LAYOUT,
  rules: { get_parts_resource_objects_limit: "limit", set_parts_resource_objects_limit: "limit" },
  doc: "How many device parts objects there may be, of each of the two types.",
  cite: DEV_PARTS_CAP_LAYOUT.cite,
});

/** What a device parts object is for: the values of its field `type`. */
export const RESOURCE_OBJ_DEV_PARTS_TYPE = {
  /** It captures device parts. */
  GET: 0,
  /** It restores device parts. */
  SET: 1,
} as const;

/** The data of a device parts object, 8 bytes. */
export const RESOURCE_OBJ_DEV_PARTS_LAYOUT = struct(
  "virtio_resource_obj_dev_parts",
  { cite: `${CITE} / VIRTIO_RESOURCE_OBJ_DEV_PARTS`, doc: "What a device parts object is for." },
  {
    type: { offset: 0, type: "u8", doc: "0 when it captures device parts, 1 when it restores." },
    reserved: { offset: 1, type: "u8", count: 7, doc: "Reserved; the driver writes 0." },
  },
);

/**
 * Type 0x000: device parts objects, for members of an SR-IOV group. Those that capture and those
 * that restore share their ids; there are as many of each as the capability says. An owner that has
 * them has a `DevicePartsFamily` too.
 */
export const RESOURCE_OBJ_DEV_PARTS: ResourceObjectType<
  FieldsOf<typeof RESOURCE_OBJ_DEV_PARTS_LAYOUT>,
  FieldsOf<typeof DEV_PARTS_CAP_LAYOUT>
> = defineResourceObjectType({
  type: 0x000,
  name: "RESOURCE_OBJ_DEV_PARTS",
  groups: [SR_IOV_GROUP.id],
  layout: RESOURCE_OBJ_DEV_PARTS_LAYOUT,
  reserved: ["reserved"],
  capability: DEV_PARTS_CAP,
  limits: (driver) => [
    driver.get_parts_resource_objects_limit,
    driver.set_parts_resource_objects_limit,
  ],
  kindOf: ({ type }) => type,
  commands: DEVICE_PARTS_COMMANDS,
  doc: "Says whether the device parts commands capture or restore.",
  cite: RESOURCE_OBJ_DEV_PARTS_LAYOUT.cite,
});
