/**
 * A layout bound to what the transport does: commands by name, accessors of their payloads. A
 * variant (a command moved, fields moved or appended) binds the same way.
 */
import { accessors, type CommandLayout, FEATURE, variantOf } from "@virtio-admin/core";
import { CCW_RATIFIED_LAYOUT, CCW_REFERENCE_LAYOUT } from "./layout.ts";

/** The features that virtio over channel I/O never carries, whatever the layout. */
export const CCW_RESERVED_FEATURES: readonly number[] = [
  FEATURE.VIRTIO_F_RING_RESET,
  FEATURE.VIRTIO_F_SR_IOV,
  FEATURE.VIRTIO_F_NOTIF_CONFIG_DATA,
];

/** True when the layout says where the administration virtqueues are. */
export function exposesAdminQueues(layout: CommandLayout): boolean {
  return Object.hasOwn(layout.commands, CCW_REFERENCE_LAYOUT.commands.READ_ADMIN_VQ.name);
}

/** {@link CCW_RESERVED_FEATURES}, and VIRTIO_F_ADMIN_VQ where a layout cannot carry it. */
export function reservedFeaturesOf(layout: CommandLayout): readonly number[] {
  return exposesAdminQueues(layout)
    ? CCW_RESERVED_FEATURES
    : [...CCW_RESERVED_FEATURES, FEATURE.VIRTIO_F_ADMIN_VQ];
}

/**
 * Checks that a layout has what this transport needs, and binds it.
 *
 * @throws VirtioError `LAYOUT_INVALID` when it lacks a command of virtio 1.4 or a field of one, or
 * has one in another form.
 */
export function bindLayout(layout: CommandLayout) {
  const { commands } = variantOf(CCW_RATIFIED_LAYOUT, layout);
  const admin = exposesAdminQueues(layout)
    ? variantOf(CCW_REFERENCE_LAYOUT, layout).commands.READ_ADMIN_VQ
    : undefined;
  return {
    commands,
    admin,
    adminFields: admin === undefined ? undefined : accessors(admin.payload),
    setVq: accessors(commands.SET_VQ.payload),
    readVqConf: accessors(commands.READ_VQ_CONF.payload),
    setInd: accessors(commands.SET_IND.payload),
    setConfInd: accessors(commands.SET_CONF_IND.payload),
    setIndAdapter: accessors(commands.SET_IND_ADAPTER.payload),
    readFeat: accessors(commands.READ_FEAT.payload),
    writeFeat: accessors(commands.WRITE_FEAT.payload),
    readStatus: accessors(commands.READ_STATUS.payload),
    writeStatus: accessors(commands.WRITE_STATUS.payload),
    setRevision: accessors(commands.SET_VIRTIO_REV.payload),
  };
}

/** A bound layout. */
export type BoundLayout = ReturnType<typeof bindLayout>;
