/** Every administration command by its opcode, for whoever has only the bytes. */
import {
  type AdminCommand,
  CAP_ID_LIST_QUERY,
  DEVICE_CAP_GET,
  DEVICE_PARTS_COMMANDS,
  DIALECTS,
  type DialectName,
  DRIVER_CAP_SET,
  LEGACY_ACCESS_FAMILY,
  resourceObjectCommands,
} from "@virtio-admin/core";

const SHARED: readonly AdminCommand[] = [
  ...LEGACY_ACCESS_FAMILY.commands,
  CAP_ID_LIST_QUERY,
  DEVICE_CAP_GET,
  DRIVER_CAP_SET,
  ...Object.values(resourceObjectCommands()),
  ...DEVICE_PARTS_COMMANDS,
];

/** The command with this opcode in a dialect; `undefined` where none has it. */
export function commandOf(dialect: DialectName, opcode: number): AdminCommand | undefined {
  const { listQuery, listUse, management } = DIALECTS[dialect];
  return [listQuery, listUse, ...management, ...SHARED].find((each) => each.opcode === opcode);
}
